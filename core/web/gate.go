package web

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// gate decides by Host and Origin who may come in: pages of foreign web sites may
// not, even when their name resolves to us (DNS rebinding).
type gate struct {
	hosts   map[string]bool // lower case, with or without a port
	origins map[string]bool
}

func newGate(hosts, origins []string) gate {
	g := gate{hosts: make(map[string]bool), origins: make(map[string]bool)}
	for _, host := range hosts {
		g.hosts[strings.ToLower(host)] = true
	}
	for _, origin := range origins {
		g.origins[strings.ToLower(origin)] = true
	}
	return g
}

// host reports whether a Host header is allowed on a connection to local.
func (g *gate) host(host string, local netip.Addr) bool {
	name, port := splitHost(host)
	if name == "" {
		return false
	}
	name = strings.ToLower(name)
	if g.hosts[name] || port != "" && g.hosts[name+":"+port] {
		return true
	}
	// A name can be made to resolve to us; an address that the client really
	// connected to cannot be anybody else's.
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return local.IsValid() && ip.Unmap() == local || local.IsLoopback() && ip.Unmap().IsLoopback()
	}
	return name == "localhost" && (local.IsLoopback() || !local.IsValid())
}

// splitHost splits host[:port]; name is "" when that is not what it is.
func splitHost(host string) (name, port string) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '+' {
			return "", ""
		}
	}
	if bracketed := strings.HasPrefix(name, "["); bracketed != strings.Contains(name, ":") || bracketed != strings.HasSuffix(name, "]") {
		return "", ""
	}
	return name, port
}

// origin reports whether an Origin may call. host is the Host header, which is
// allowed already.
func (g *gate) origin(origin, host string, local netip.Addr, cors *core.CORS) bool {
	if g.origins[strings.ToLower(origin)] {
		return true
	}
	if cors != nil && grants(cors, origin) {
		return true
	}
	authority, found := strings.CutPrefix(origin, "http://")
	if !found {
		authority, found = strings.CutPrefix(origin, "https://")
	}
	if !found {
		return false
	}
	if equalFold(authority, host) {
		return true // a page that we served ourselves
	}
	if !local.IsLoopback() {
		return false
	}
	name, _ := splitHost(authority)
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// grants reports whether a server's CORS names the origin.
func grants(cors *core.CORS, origin string) bool {
	for _, one := range cors.Origins {
		if one == origin || one == "*" {
			return true
		}
	}
	return false
}

// What a browser may read of an answer and send with a request.
const (
	exposedHeaders = "Mcp-Session-Id, Mcp-Protocol-Version, X-Request-Id, Retry-After, Allow, WWW-Authenticate"
	allowedHeaders = "Content-Type, Accept, Authorization, Last-Event-ID, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name"
)

// share decides the CORS headers of an answer to this origin.
func (c *call) share(cors *core.CORS) {
	if cors == nil || len(cors.Origins) == 0 {
		return
	}
	if len(cors.Origins) == 1 && cors.Origins[0] == "*" {
		if c.head.origin != "" {
			c.allowed = "*"
		}
		return
	}
	c.exposed = true
	if c.head.origin != "" && grants(cors, c.head.origin) {
		c.allowed = c.head.origin
	}
}

// preflight returns the answer to OPTIONS: what a browser asks before it calls.
func (c *call) preflight(cors *core.CORS) *answer {
	a := &answer{status: 204, header: []core.Field{{Name: "Allow", Value: c.route.allow}}}
	if c.allowed == "" || c.head.Get("Access-Control-Request-Method") == "" {
		return a
	}
	a.header = append(a.header,
		core.Field{Name: "Access-Control-Allow-Methods", Value: c.route.allow},
		core.Field{Name: "Access-Control-Allow-Headers", Value: allowedHeaders + mirrored(c.head.Get("Access-Control-Request-Headers"))},
		core.Field{Name: "Access-Control-Max-Age", Value: strconv.Itoa(max(cors.MaxAge, 0))},
		core.Field{Name: "Vary", Value: "Access-Control-Request-Headers"},
	)
	return a
}

// mirrored returns those of the asked-for headers that carry tool arguments
// (Mcp-Param-…): only the caller knows their names.
func mirrored(asked string) string {
	var b strings.Builder
	for asked != "" {
		var one string
		one, asked, _ = strings.Cut(asked, ",")
		one = strings.TrimSpace(one)
		if len(one) > 10 && equalFold(one[:10], "Mcp-Param-") && token(one) && b.Len() < 4096 {
			b.WriteString(", ")
			b.WriteString(one)
		}
	}
	return b.String()
}

// loopback reports whether only this machine reaches an address.
func loopback(a net.Addr) bool {
	if a.Network() == "unix" {
		return true
	}
	ip := address(a)
	return ip.IsValid() && ip.IsLoopback()
}
