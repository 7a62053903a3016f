package web

import (
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/core/mcp"
)

// route is where a request wants to go.
type route struct {
	name      string // mcp, sse, message, healthz, readyz, metrics, protected-resource, api; "" = nowhere
	prefix    string // of the server, without outer slashes
	transport mcp.Transport
	allow     string // methods
}

const (
	allowMCP     = "GET, POST, DELETE, OPTIONS"
	allowSSE     = "GET, OPTIONS"
	allowMessage = "POST, OPTIONS"
	allowRead    = "GET, HEAD, OPTIONS"
)

// reserved are first segments that no prefix may have.
func reserved(segment string) bool {
	switch segment {
	case "admin", "api", "healthz", "readyz", "metrics", ".well-known":
		return true
	}
	return false
}

// find reads a path exactly as it was sent: nothing is decoded, folded or cleaned,
// so that one place has one spelling. Every other spelling leads nowhere.
func find(path string) route {
	switch path {
	case "/healthz", "/readyz", "/metrics":
		return route{name: path[1:], allow: allowRead}
	}
	if rest, found := strings.CutPrefix(path, protectedResource); found {
		if rest == "" {
			rest = "/mcp"
		}
		if r := find(rest); r.name == "mcp" {
			return route{name: "protected-resource", prefix: r.prefix, allow: allowRead}
		}
		return route{}
	}
	if path == "" || path[0] != '/' {
		return route{}
	}
	if strings.HasPrefix(path, "/api/") {
		return route{name: "api"}
	}
	last := strings.LastIndexByte(path, '/')
	r := route{name: path[last+1:]}
	switch r.name {
	case "mcp":
		r.transport, r.allow = mcp.Streamable, allowMCP
	case "sse":
		r.transport, r.allow = mcp.SSEStream, allowSSE
	case "message":
		r.transport, r.allow = mcp.SSEMessage, allowMessage
	default:
		return route{}
	}
	if last == 0 {
		return r
	}
	r.prefix = path[1:last]
	for i, rest := 0, r.prefix; rest != "" || i == 0; i++ {
		segment, next, more := strings.Cut(rest, "/")
		if !plain(segment) || i == 0 && reserved(segment) || more && next == "" {
			return route{}
		}
		rest = next
	}
	return r
}

// plain reports whether a path segment means the same to every reader: not empty,
// no dot segment, no escape, only unreserved characters (RFC 3986, section 2.3).
func plain(segment string) bool {
	if segment == "" || segment == "." || segment == ".." {
		return false
	}
	for i := range len(segment) {
		c := segment[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// target splits a request target into path and query. A target in absolute form
// must name the same host as the Host header (RFC 9112, section 3.2.2).
func target(text, host string) (path, query string, bad *refusal) {
	if text[0] != '/' {
		rest, found := strings.CutPrefix(text, "http://")
		if !found {
			rest, found = strings.CutPrefix(text, "https://")
		}
		if !found {
			return "", "", refuseTarget
		}
		cut := strings.IndexAny(rest, "/?#")
		if cut < 0 {
			cut = len(rest)
		}
		if !equalFold(rest[:cut], host) {
			return "", "", refuseForeign
		}
		text = rest[cut:]
		if text == "" || text[0] != '/' {
			return "", "", refuseTarget
		}
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return "", "", refuseTarget
		}
	}
	path, query, _ = strings.Cut(text, "?")
	return path, query, nil
}

// parameter returns one query parameter, decoded; "" when it is absent, comes
// twice or cannot be decoded.
func parameter(query, name string) string {
	value, seen := "", false
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, text, _ := strings.Cut(pair, "=")
		if key != name {
			continue
		}
		decoded, err := url.QueryUnescape(text)
		if err != nil || seen {
			return ""
		}
		value, seen = decoded, true
	}
	return value
}
