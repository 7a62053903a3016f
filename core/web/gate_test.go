package web

import (
	"bufio"
	"io"
	"net/netip"
	"strings"
	"testing"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

func TestHostAndOrigin(t *testing.T) {
	r := run(t, func(o *Options, _ *fakeEndpoint) {
		o.Hosts = []string{"MCP.example.com", "ports.example.com:8443"}
		o.Origins = []string{"https://Admin.example.com"}
	})
	port := r.addr[strings.LastIndexByte(r.addr, ':'):]
	hosts := []struct {
		host string
		ok   bool
	}{
		{"127.0.0.1", true},
		{"127.0.0.1" + port, true},
		{"localhost", true},
		{"LocalHost" + port, true},
		{"localhost:1", true},
		{"[::1]" + port, true},
		{"127.0.0.2", true},
		{"mcp.example.com", true},
		{"mcp.EXAMPLE.com:99", true},
		{"ports.example.com:8443", true},
		{"ports.example.com", false},
		{"ports.example.com:443", false},
		{"evil.example", false},
		{"evil.example" + port, false},
		{"localhost.evil.example", false},
		{"evil.localhost", false},
		{"10.0.0.1", false},
		{"169.254.169.254", false},
		{"127.0.0.1.evil.example", false},
		{"localhost:0", false},
		{"localhost:99999", false},
		{"localhost:x", false},
		{"localhost:", false},
		{"user@localhost", false},
		{"::1", false},
		{"[::1", false},
		{"localhost.", false},
		{"0", false},
		{"2130706433", false},
	}
	origins := []struct {
		origin string
		ok     map[string]bool // by prefix; "" = everywhere
	}{
		{"", map[string]bool{"shop": true, "web": true, "open": true, "healthz": true}},
		{"http://localhost", map[string]bool{"shop": true, "web": true, "open": true, "healthz": true}},
		{"http://localhost:3000", map[string]bool{"shop": true, "web": true, "open": true, "healthz": true}},
		{"https://127.0.0.1:1", map[string]bool{"shop": true, "web": true, "open": true, "healthz": true}},
		{"http://[::1]:5", map[string]bool{"shop": true, "web": true, "open": true, "healthz": true}},
		{"https://admin.example.com", map[string]bool{"shop": true, "web": true, "open": true, "healthz": true}},
		{"https://app.example.com", map[string]bool{"web": true, "open": true}},
		{"http://app.example.com", map[string]bool{"open": true}},
		{"https://app.example.com.evil.example", map[string]bool{"open": true}},
		{"https://evil.example", map[string]bool{"open": true}},
		{"null", map[string]bool{"open": true}},
		{"http://localhost.evil.example", map[string]bool{"open": true}},
		{"file://", map[string]bool{"open": true}},
		{"http://localhost@evil.example", map[string]bool{"open": true}},
	}
	for _, h := range hosts {
		for _, path := range []string{"/shop/mcp", "/shop/sse", "/healthz", "/readyz", "/nowhere"} {
			method := "GET"
			if path == "/shop/mcp" {
				method = "POST"
			}
			got := r.raw(strings.Replace(request(method, path, "{}"), "$HOST", h.host, 1))
			if refused := got.StatusCode == 403 || got.StatusCode == 400; refused == h.ok {
				t.Errorf("Host %q on %s: status %d, want allowed %v", h.host, path, got.StatusCode, h.ok)
			}
		}
	}
	for _, o := range origins {
		for _, prefix := range []string{"shop", "web", "open", "healthz", "nowhere"} {
			text := post("/"+prefix+"/mcp", "{}", "Origin: "+o.origin)
			if prefix == "healthz" {
				text = request("GET", "/healthz", "", "Origin: "+o.origin)
			}
			if o.origin == "" {
				text = strings.Replace(text, "Origin: \r\n", "", 1)
			}
			ok := o.ok[prefix] || prefix == "nowhere" && o.ok["shop"]
			if got := r.raw(text); (got.StatusCode == 403) == ok {
				t.Errorf("Origin %q at %s: status %d, want allowed %v", o.origin, prefix, got.StatusCode, ok)
			}
		}
	}
}

// Beyond loopback, localhost and loopback origins mean somebody else's machine.
func TestGateBeyondLoopback(t *testing.T) {
	g := newGate([]string{"mcp.example.com"}, nil)
	local := netip.MustParseAddr("192.0.2.7")
	for host, want := range map[string]bool{
		"192.0.2.7": true, "192.0.2.7:80": true, "192.0.2.8": false, "localhost": false, "127.0.0.1": false, "mcp.example.com": true, "": false,
	} {
		if got := g.host(host, local); got != want {
			t.Errorf("host %q: %v, want %v", host, got, want)
		}
	}
	for origin, want := range map[string]bool{
		"http://localhost": false, "http://127.0.0.1": false, "https://mcp.example.com": true, "https://evil.example": false,
	} {
		if got := g.origin(origin, "mcp.example.com", local, nil); got != want {
			t.Errorf("origin %q: %v, want %v", origin, got, want)
		}
	}
}

func TestCORS(t *testing.T) {
	r := run(t, nil)
	preflight := func(prefix, origin string) reply {
		return r.raw(request("OPTIONS", "/"+prefix+"/mcp", "", "Origin: "+origin,
			"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type, mcp-param-region, x-evil, mcp-param-"))
	}
	got := preflight("web", "https://app.example.com")
	if got.StatusCode != 204 || got.body != "" {
		t.Errorf("preflight: %d %q", got.StatusCode, got.body)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Methods": allowMCP,
		"Access-Control-Allow-Headers": allowedHeaders + ", mcp-param-region", "Access-Control-Max-Age": "600",
		"Access-Control-Allow-Credentials": "", "X-Content-Type-Options": "nosniff",
	} {
		if g := got.Header.Get(name); g != want {
			t.Errorf("preflight: %s is %q, want %q", name, g, want)
		}
	}
	if vary := strings.Join(got.Header.Values("Vary"), ", "); !strings.Contains(vary, "Origin") {
		t.Errorf("Vary is %q: a cache would serve one origin's answer to another", vary)
	}

	got = r.raw(post("/web/mcp", "{}", "Origin: https://app.example.com"))
	if got.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || got.Header.Get("Access-Control-Expose-Headers") != exposedHeaders {
		t.Errorf("POST: headers %v", got.Header)
	}
	got = r.raw(post("/open/mcp", "{}", "Origin: https://any.example"))
	if got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("POST to an open server: headers %v", got.Header)
	}
	got = r.raw(post("/web/mcp", "{}"))
	if got.Header.Get("Access-Control-Allow-Origin") != "" || got.Header.Get("Vary") != "Origin" {
		t.Errorf("POST without Origin: headers %v", got.Header)
	}
	// Off by default, also for origins that may call.
	got = preflight("shop", "http://localhost:3000")
	for name := range got.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("server without CORS: %s: %s", name, got.Header.Get(name))
		}
	}
	if got := preflight("web", "https://evil.example"); got.StatusCode != 403 {
		t.Errorf("preflight of a foreign origin: %d, want 403", got.StatusCode)
	}
}

func TestRoutes(t *testing.T) {
	rows := []struct {
		path, name, prefix string
	}{
		{"/mcp", "mcp", ""},
		{"/sse", "sse", ""},
		{"/message", "message", ""},
		{"/shop/mcp", "mcp", "shop"},
		{"/a/b/mcp", "mcp", "a/b"},
		{"/mcp/mcp", "mcp", "mcp"},
		{"/a/api/mcp", "mcp", "a/api"},
		{"/healthz", "healthz", ""},
		{"/readyz", "readyz", ""},
		{"/metrics", "metrics", ""},
		{"", "", ""},
		{"/", "", ""},
		{"/shop", "", ""},
		{"/MCP", "", ""},
		{"/shop/MCP", "", ""},
		{"/mcp/", "", ""},
		{"//mcp", "", ""},
		{"/shop//mcp", "", ""},
		{"//shop/mcp", "", ""},
		{"/./mcp", "", ""},
		{"/../mcp", "", ""},
		{"/a/../mcp", "", ""},
		{"/a/./mcp", "", ""},
		{"/%2e/mcp", "", ""},
		{"/shop%2fmcp", "", ""},
		{"/sh%6fp/mcp", "", ""},
		{"/shop/%6dcp", "", ""},
		{"/shop;x/mcp", "", ""},
		{"/shop\\mcp", "", ""},
		{"/admin/mcp", "", ""},
		{"/api/mcp", "api", ""}, // the admin plane, which answers 404
		{"/healthz/mcp", "", ""},
		{"/readyz/x/mcp", "", ""},
		{"/metrics/mcp", "", ""},
		{"/.well-known/mcp", "", ""},
		{"/healthz/", "", ""},
		{"/Healthz", "", ""},
		{"/mcpx", "", ""},
		{"mcp", "", ""},
	}
	for _, row := range rows {
		if got := find(row.path); got.name != row.name || got.name != "" && got.prefix != row.prefix {
			t.Errorf("find(%q) = %q %q, want %q %q", row.path, got.name, got.prefix, row.name, row.prefix)
		}
	}
	r := run(t, nil)
	for _, path := range []string{"/MCP", "/Shop/mcp", "/shop//mcp", "//shop/mcp", "/%2e/mcp", "/sh%6fp/mcp", "/shop/mcp/", "/unknown/mcp", "/admin", "/api/Admin"} {
		if got := r.raw(post(path, "{}")); got.StatusCode != 404 {
			t.Errorf("POST %s: %d, want 404", path, got.StatusCode)
		}
	}
	for _, row := range []struct{ method, path, allow string }{
		{"PUT", "/shop/mcp", allowMCP},
		{"PATCH", "/shop/mcp", allowMCP},
		{"HEAD", "/shop/mcp", allowMCP},
		{"TRACE", "/shop/mcp", allowMCP},
		{"POST", "/shop/sse", allowSSE},
		{"DELETE", "/shop/sse", allowSSE},
		{"GET", "/shop/message", allowMessage},
		{"POST", "/healthz", allowRead},
	} {
		got := r.raw(request(row.method, row.path, ""))
		if got.StatusCode != 405 || got.Header.Get("Allow") != row.allow {
			t.Errorf("%s %s: %d Allow %q, want 405 %q", row.method, row.path, got.StatusCode, got.Header.Get("Allow"), row.allow)
		}
	}
	if taken, released := r.servers.taken.Load(), r.servers.released.Load(); taken != released || taken == 0 {
		t.Errorf("%d handlers taken, %d released", taken, released)
	}
}

func TestParameter(t *testing.T) {
	for query, want := range map[string]string{
		"sessionId=a": "a", "x=1&sessionId=a%2Bb": "a+b", "": "", "sessionId=": "", "sessionId=a&sessionId=b": "", "sessionId=%zz": "", "SessionId=a": "",
	} {
		if got := parameter(query, "sessionId"); got != want {
			t.Errorf("parameter(%q) = %q, want %q", query, got, want)
		}
	}
}

func TestCheckListen(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8080", "[::1]:8080", "localhost:0", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"} {
		if err := CheckListen(addr, false); err != nil {
			t.Errorf("CheckListen(%q): %v", addr, err)
		}
	}
	for _, addr := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "example.com:80", "127.1:80"} {
		err := CheckListen(addr, false)
		if err == nil || !strings.Contains(err.Error(), "no authentication is configured") || !strings.Contains(err.Error(), "127.0.0.1:8080") {
			t.Errorf("CheckListen(%q) = %v, want a refusal that says how to go on", addr, err)
		}
		if err := CheckListen(addr, true); err != nil {
			t.Errorf("CheckListen(%q) with authentication: %v", addr, err)
		}
	}
	if err := CheckListen("8080", true); err == nil {
		t.Error("CheckListen of no address: nil")
	}
}
