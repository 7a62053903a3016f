package web

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sallyport/sallyport/core"
)

// Doorkeeper says who calls, and where tokens for a server come from.
type Doorkeeper interface {
	core.Authenticator
	// Metadata returns the document of RFC 9728 for an endpoint; false where there is no
	// authorization server to name. A server that is not there has the same as any other.
	Metadata(request *core.AuthRequest) (body []byte, ok bool)
}

// tenanted is the optional second interface of a Finder: whose server a prefix would be.
type tenanted interface{ Tenant(prefix string) string }

// protectedResource begins the paths where RFC 9728 (section 3.1) puts the metadata of
// an endpoint: it stands before the path of the endpoint itself.
const protectedResource = "/.well-known/oauth-protected-resource"

// caller fills in request.Who. It answers by itself, and returns false, when the caller
// may not come in. handler is nil where there is no server of that prefix: whoever is
// not known learns no difference.
func (c *call) caller(rc *fasthttp.RequestCtx, handler core.Handler) bool {
	if c.edge.doorkeeper == nil {
		return true
	}
	ask := c.ask(handler)
	// The request's own context begins when it is answered. What asks an authorization
	// server here bounds its time by itself.
	who, err := c.edge.doorkeeper.Authenticate(context.Background(), ask)
	if err != nil {
		c.write(rc, c.turnedAway(err))
		return false
	}
	who.Address = ask.Address
	c.request.Who, c.request.Auth = who, ask
	if handler != nil && !handler.Visible(context.Background(), who) {
		c.server = "" // as if it were not there, in the log of metrics too
		c.refuse(rc, refusePath)
		return false
	}
	return true
}

// ask says what is asked of the Doorkeeper.
func (c *call) ask(handler core.Handler) *core.AuthRequest {
	asked := c.conn.asked.of(c)
	ask := &core.AuthRequest{Resource: asked.resource, Metadata: asked.metadata, Header: &c.head, Address: c.address()}
	if handler != nil {
		ask.Server = handler.Server()
	}
	if t, ok := c.edge.servers.(tenanted); ok {
		ask.Tenant = t.Tenant(c.route.prefix)
	}
	return ask
}

// asked is what an endpoint is called, as it was asked for last on a connection: clients
// hardly ever ask for another.
type asked struct {
	prefix, name, host string
	secure             bool
	resource, metadata string
}

// of returns the names of the endpoint that a call is for. A token for a server opens
// each of its three endpoints: what HTTP+SSE adds are doors to the same server.
func (a *asked) of(c *call) *asked {
	secure := c.secure()
	if a.resource != "" && a.prefix == c.route.prefix && a.name == c.route.name && a.host == c.head.host && a.secure == secure {
		return a
	}
	path := "/" + c.route.name
	if c.route.prefix != "" {
		path = "/" + c.route.prefix + path
	}
	origin, endpoint := c.publicOrigin(), strings.TrimSuffix(path, c.route.name)+"mcp"
	*a = asked{
		prefix: strings.Clone(c.route.prefix), name: strings.Clone(c.route.name), host: strings.Clone(c.head.host), secure: secure,
		resource: origin + endpoint, metadata: origin + protectedResource + endpoint,
	}
	return a
}

// publicOrigin is where clients reach us: as the settings say, or by the Host header,
// which was checked.
func (c *call) publicOrigin() string {
	if c.edge.public != "" {
		return c.edge.public
	}
	if c.secure() {
		return "https://" + c.head.host
	}
	return "http://" + c.head.host
}

// secure tells whether the client speaks TLS, to us or to a trusted proxy before us.
func (c *call) secure() bool {
	// Of a peer that is no trusted proxy the header was dropped.
	return !c.conn.plain && c.conn.raw != nil || equalFold(c.head.Get("X-Forwarded-Proto"), "https")
}

// address is where the request came from, without a port: the last address that a
// trusted proxy names, else that of the connection.
func (c *call) address() string {
	peer := address(c.conn.Conn.RemoteAddr())
	if !c.conn.trusted {
		return text(peer)
	}
	hops := strings.Split(strings.Join(c.head.Values("X-Forwarded-For"), ","), ",")
	for _, one := range slices.Backward(hops) {
		hop, err := netip.ParseAddr(strings.TrimSpace(one))
		if err != nil {
			break
		}
		if peer = hop.Unmap(); !c.edge.proxied(peer) {
			break
		}
	}
	return text(peer)
}

func (e *Edge) proxied(a netip.Addr) bool {
	for _, proxy := range e.proxies {
		if proxy.Contains(a) {
			return true
		}
	}
	return false
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// doorStatuses are the HTTP statuses of refusals before a message was read.
var doorStatuses = map[core.Code]int{
	core.CodeUnauthenticated: 401, core.CodeScope: 403, core.CodeDenied: 403, core.CodeNotFound: 404, core.CodeLimited: 429,
	core.CodeUnavailable: 503, core.CodeTooLarge: 413, core.CodeInvalid: 400,
}

// turnedAway answers a caller who is not known.
func (c *call) turnedAway(err error) *answer {
	known := core.AsError(err)
	status := doorStatuses[known.Code]
	if status == 0 {
		status = 500
		c.edge.log.Error("authenticate", "request", c.id, "error", err)
	}
	r := refusal{message: known.Message, fix: known.Fix}
	a := &answer{status: status, contentType: "application/problem+json", body: r.body()}
	if known.Challenge != "" {
		a.header = append(a.header, core.Field{Name: "WWW-Authenticate", Value: known.Challenge})
	}
	if known.RetryAfter > 0 {
		a.header = append(a.header, core.Field{Name: "Retry-After", Value: strconv.Itoa(known.RetryAfter)})
	}
	return a
}

// serveMetadata answers what RFC 9728 says of an endpoint. Any web page may read it:
// clients in browsers look there before they have a token.
func (c *call) serveMetadata(rc *fasthttp.RequestCtx) {
	switch c.method {
	case "GET", "HEAD":
	case "OPTIONS":
		c.allowed = "*"
		c.write(rc, c.preflight(&core.CORS{Origins: []string{"*"}, MaxAge: 600}))
		return
	default:
		c.refuse(rc, refuseMethod)
		return
	}
	if c.edge.doorkeeper == nil {
		c.refuse(rc, refusePath)
		return
	}
	handler := c.edge.servers.Find(c.route.prefix)
	if handler != nil {
		defer handler.Release()
	}
	named := c.route.name
	c.route.name = "mcp"
	body, ok := c.edge.doorkeeper.Metadata(c.ask(handler))
	c.route.name = named
	if !ok {
		c.refuse(rc, refusePath)
		return
	}
	c.allowed = "*"
	c.write(rc, &answer{status: 200, contentType: "application/json", body: body})
}
