package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// One code, one status: a code without one would be a 500 to everybody.
func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Code" {
				return true
			}
			seen++
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || statuses[core.Code(code)] == 0 {
				t.Errorf("core.%s has no HTTP status", spec.Names[0].Name)
			}
			return true
		})
	}
	if seen < 15 {
		t.Errorf("only %d codes were found", seen)
	}
}

// An internal error tells nothing of its cause.
func TestProblemHidesCauses(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		io.ErrUnexpectedEOF,
		&core.Error{Code: core.CodeInternal, Message: secretCanary, Fix: secretCanary, Details: []byte(`"` + secretCanary + `"`)},
		&core.Error{Code: core.CodeUnavailable, Message: "away", Err: io.ErrUnexpectedEOF},
		&core.Error{Code: "a code that nobody knows", Message: "x"},
	} {
		p, _ := problemOf(err, "id")
		body := string(p.body())
		if strings.Contains(body, secretCanary) || strings.Contains(body, "EOF") || !strings.Contains(body, `"trace_id":"id"`) {
			t.Errorf("%v: %s", err, body)
		}
	}
}

// changeBy is the change that the tests below try to force.
const changeBy = `{"per":"tenant","perDay":1}`

// forged are the ways in which the page of a stranger could make a browser that is logged
// in change something.
var forged = []struct {
	name    string
	status  int
	code    core.Code
	headers func(cookie, csrf, origin string) []string
}{
	{"as our own page", 201, "", func(k, c, o string) []string { return []string{k, c, o} }},
	{"without the token", 403, codeCSRF, func(k, _, o string) []string { return []string{k, o} }},
	{"with an empty token", 403, codeCSRF, func(k, _, o string) []string { return []string{k, "X-CSRF-Token: ", o} }},
	{"with the token of another login", 403, codeCSRF, func(k, _, o string) []string {
		return []string{k, "X-CSRF-Token: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", o}
	}},
	{"with the cookie as the token", 403, codeCSRF, func(k, _, o string) []string {
		return []string{k, "X-CSRF-Token: " + strings.TrimPrefix(k, "Cookie: sallyport="), o}
	}},
	{"without an origin", 403, codeOrigin, func(k, c, _ string) []string { return []string{k, c} }},
	{"of another origin", 403, codeOrigin, func(k, c, _ string) []string { return []string{k, c, "Origin: http://evil.example"} }},
	{"of another port of this machine", 403, codeOrigin, func(k, c, _ string) []string { return []string{k, c, "Origin: http://127.0.0.1:1"} }},
	{"of another scheme", 403, codeOrigin, func(k, c, o string) []string { return []string{k, c, strings.Replace(o, "http:", "https:", 1)} }},
	{"of no origin", 403, codeOrigin, func(k, c, _ string) []string { return []string{k, c, "Origin: null"} }},
	{"of an origin that begins like ours", 403, codeOrigin, func(k, c, o string) []string { return []string{k, c, o + ".evil.example"} }},
	{"of an origin that is allowed", 201, "", func(k, c, _ string) []string { return []string{k, c, "Origin: https://ui.example.com"} }},
}

func forge(t *testing.T, r *apiRig) (through []string) {
	t.Helper()
	h, _ := r.login("admin")
	for _, try := range forged {
		got := r.ask("", "POST", "/api/v1/limits", changeBy, try.headers(h[0], h[1], h[2])...)
		if got.status == 201 && try.status != 201 {
			through = append(through, try.name)
			continue
		}
		if got.status != try.status || try.code != "" && got.problem().Code != try.code {
			t.Errorf("%s: %d %s", try.name, got.status, got.body)
		}
	}
	return through
}

func withOrigin(o *APIOptions, _ *Options) { o.Origins = []string{"https://ui.example.com"} }

// T15: a page of a stranger changes nothing.
func TestForgedChanges(t *testing.T) {
	t.Parallel()
	if through := forge(t, startAPI(t, withOrigin)); through != nil {
		t.Errorf("changed something: %q", through)
	}
}

// The test must see each defence that is off.
func TestForgedChangesBites(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]func(*API){
		"no token is asked for": func(a *API) { a.lax.csrf = true }, "no origin is asked for": func(a *API) { a.lax.origin = true },
	} {
		r := startAPI(t, withOrigin)
		off(r.api)
		if through := forge(t, r); len(through) < 4 {
			t.Errorf("%s: only %q came through", name, through)
		}
	}
}

// strayed are the ways in which a browser that is logged in can be made to read: what it
// tells of itself (Sec-Fetch-Site, -Mode, -Dest), and an Origin.
var strayed = []struct {
	name, path, site, mode, dest, origin string
	status                               int
}{
	{"a program", "/audit/export", "", "", "", "", 200},
	{"a person types it", "/audit/export", "none", "navigate", "document", "", 200},
	{"our own page", "/audit/export", "same-origin", "cors", "empty", "", 200},
	{"a link of ours", "/audit/export", "same-origin", "navigate", "document", "", 200},
	{"a picture of another port", "/audit/export", "same-site", "no-cors", "image", "", 403},
	{"a script of another site", "/audit/export", "cross-site", "no-cors", "script", "", 403},
	{"a frame of another port", "/audit/export", "same-site", "navigate", "iframe", "", 403},
	{"a window of another port", "/audit/export", "same-site", "navigate", "document", "", 403},
	{"a word that nobody knows", "/audit/export", "sideways", "no-cors", "image", "", 403},
	{"a page that is allowed", "/audit/export", "cross-site", "cors", "empty", "https://ui.example.com", 200},
	{"a link to connect an account", "/connect/github", "same-site", "navigate", "document", "", 303},
	{"a picture that connects an account", "/connect/github", "same-site", "no-cors", "image", "", 403},
	{"a frame that connects an account", "/connect/github", "same-site", "navigate", "iframe", "", 403},
	{"what is public", "/setup", "cross-site", "no-cors", "image", "", 200},
}

func stray(t *testing.T, r *apiRig) (through []string) {
	t.Helper()
	h, _ := r.login("auditor")
	for _, row := range strayed {
		headers := []string{h[0]}
		for name, value := range map[string]string{"Sec-Fetch-Site": row.site, "Sec-Fetch-Mode": row.mode, "Sec-Fetch-Dest": row.dest, "Origin": row.origin} {
			if value != "" {
				headers = append(headers, name+": "+value)
			}
		}
		got := r.ask("", "GET", "/api/v1"+row.path, "", headers...)
		if got.status < 400 && row.status == 403 {
			through = append(through, row.name)
			continue
		}
		if got.status != row.status || row.status == 403 && got.problem().Code != codeOrigin {
			t.Errorf("%s: %d %s", row.name, got.status, got.body)
		}
	}
	return through
}

// T15: a page of a stranger makes nobody read. Exports stand in the audit trail.
func TestStrayReads(t *testing.T) {
	t.Parallel()
	if through := stray(t, startAPI(t, withOrigin)); through != nil {
		t.Errorf("read something: %q", through)
	}
	r := startAPI(t, withOrigin)
	r.api.lax.origin = true
	if through := stray(t, r); len(through) < 7 {
		t.Errorf("no origin is asked for, and only %q came through", through)
	}
}

// T8: Host and Origin of every way in. A name that resolves to us is not ours (rebinding).
func TestAPIHostAndOrigin(t *testing.T) {
	t.Parallel()
	r := startAPI(t, func(o *APIOptions, e *Options) {
		withOrigin(o, e)
		e.Hosts = []string{"admin.example.com"}
		e.Origins = []string{"https://mcp.example.com"} // of MCP pages, which are not those of the admin plane
	})
	for _, row := range []struct {
		name, host, origin string
		status             int
	}{
		{"a program", "", "", 200},
		{"our own page", "", "http://" + r.addr, 200},
		{"localhost", "localhost", "http://localhost", 200},
		{"a name of ours", "admin.example.com", "http://admin.example.com", 200},
		{"a page that is allowed", "", "https://ui.example.com", 200},
		{"a rebound name", "evil.example", "", 403},
		{"a rebound name and its page", "evil.example", "http://evil.example", 403},
		{"another page", "", "http://evil.example", 403},
		{"a page of MCP", "", "https://mcp.example.com", 403},
		{"a page on another port", "", "http://localhost:3000", 403},
		{"a file", "", "null", 403},
	} {
		headers := []string{}
		if row.host != "" {
			headers = append(headers, "Host: "+row.host)
		}
		if row.origin != "" {
			headers = append(headers, "Origin: "+row.origin)
		}
		for _, who := range []string{"operator", "viewer"} {
			if got := r.ask(who, "GET", "/api/v1/plugins", "", headers...); got.status != row.status {
				t.Errorf("%s as %s: %d, want %d: %s", row.name, who, got.status, row.status, got.body)
			} else if got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: CORS %v", row.name, got.header)
			}
		}
		if got := r.ask("", "POST", "/api/v1/login", `{"name":"x","password":"x"}`, headers...); row.status == 403 && got.status != 403 || row.status == 200 && got.status != 401 {
			t.Errorf("%s logs in: %d", row.name, got.status)
		}
	}
}

// Every spelling of a path but one leads nowhere, whoever asks.
func TestAPIPaths(t *testing.T) {
	t.Parallel()
	r := startAPI(t, nil)
	for _, path := range []string{
		"/API/v1/users", "/api/V1/users", "/api/v1/Users", "/api/v1/users/", "/api/v1//users", "//api/v1/users", "/api//v1/users", "/api/v1/./users",
		"/api/v1/x/../users", "/api/v1/%75sers", "/api/v1/users%2f", "/api/v1/users%00", "/api/v1/users;x", "/api/v1/users/%2e", "/api/v1/users/..", "/api/v1/users/.",
		"/api/v1/users/a%2fb", "/api/v1/users/a\\b", "/api/v1", "/api/v1/", "/api/", "/api", "/api/v2/users", "/api/v1/users/a/b", "/x/api/v1/users", "/api/v1/mcp",
	} {
		for _, who := range []string{"operator", "super", ""} {
			got := r.ask(who, "GET", path, "")
			if got.status == 400 && strings.HasPrefix(path, "//") {
				continue // it names another host
			}
			if got.status != 404 && (who != "" || got.status != 401) {
				t.Errorf("%s as %q: %d %s", path, who, got.status, got.body)
			}
		}
	}
	// Where nobody is known there is no difference between routes, wrong methods and nothing.
	for _, line := range []string{"GET /api/v1/users", "GET /api/v1/usrs", "DELETE /api/v1/users", "PUT /api/v1/users/x", "TRACE /api/v1/users"} {
		method, path, _ := strings.Cut(line, " ")
		if got := r.ask("", method, path, ""); got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", line, got.status, got.body)
		}
	}
	// An edge of the admin plane serves nothing else.
	for _, path := range []string{"/mcp", "/shop/mcp", "/sse", "/.well-known/oauth-protected-resource/mcp", "/metrics"} {
		if got := r.ask("operator", "GET", path, ""); got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

// What makes somebody known: one thing, once.
func TestAPICredentials(t *testing.T) {
	t.Parallel()
	r := startAPI(t, nil)
	h, _ := r.login("admin")
	cookie := strings.TrimPrefix(h[0], "Cookie: ")
	bearer := "Authorization: Bearer " + operatorToken
	for _, row := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"a token", []string{bearer}, 200},
		{"a cookie", []string{h[0]}, 200},
		{"a cookie among others", []string{"Cookie: a=b; " + cookie + "; c=d"}, 200},
		{"both", []string{bearer, h[0]}, 400},
		{"both, the cookie wrong", []string{bearer, "Cookie: sallyport=x"}, 400},
		{"two cookies", []string{"Cookie: " + cookie + "; " + cookie}, 401},
		{"two cookies, one of a neighbour", []string{"Cookie: sallyport=x; " + cookie}, 401},
		{"the cookie of TLS", []string{"Cookie: __Host-" + cookie}, 401},
		{"a cookie in another case", []string{"Cookie: S" + cookie[1:]}, 401},
		{"a cut cookie", []string{"Cookie: " + cookie[:len(cookie)-1]}, 401},
		{"an empty cookie", []string{"Cookie: sallyport="}, 401},
		{"basic", []string{"Authorization: Basic " + operatorToken}, 401},
		{"bearer in another case", []string{"Authorization: bearer " + operatorToken}, 401},
		{"half a token", []string{bearer[:len(bearer)-1]}, 401},
		{"a longer token", []string{bearer + "0"}, 401},
		{"an empty token", []string{"Authorization: Bearer "}, 401},
		{"a token in the query", nil, 401},
	} {
		path := "/api/v1/plugins"
		if row.headers == nil {
			path += "?access_token=" + operatorToken
		}
		if got := r.ask("", "GET", path, "", row.headers...); got.status != row.status {
			t.Errorf("%s: %d, want %d: %s", row.name, got.status, row.status, got.body)
		}
	}
	if got := r.raw("GET /api/v1/plugins HTTP/1.1\r\nHost: $HOST\r\n" + bearer + "\r\n" + bearer + "\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("the token twice: %.60s", got)
	}
	if got := r.raw("GET http://evil.example/api/v1/plugins HTTP/1.1\r\nHost: $HOST\r\n" + bearer + "\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("a foreign host in the line: %.60s", got)
	}
}

// raw sends bytes as they are.
func (r *apiRig) raw(text string) string {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "$HOST", r.addr)); err != nil {
		r.t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

// A cookie that somebody put into the browser before is never that of the login to come.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	r := startAPI(t, nil)
	eve, _ := r.login("viewer")
	got := r.ask("", "POST", "/api/v1/login", `{"name":"admin","password":"`+password+`"}`, eve[0])
	if got.status != 200 {
		t.Fatal(got)
	}
	cookies := got.header.Values("Set-Cookie")
	if len(cookies) != 1 || strings.Contains(cookies[0], strings.TrimPrefix(eve[0], "Cookie: ")) {
		t.Errorf("%q", cookies)
	}
	if me := r.ask("", "GET", "/api/v1/me", "", eve[0]); !strings.Contains(me.body, r.users["viewer"]) {
		t.Errorf("the cookie of before is somebody else now: %s", me.body)
	}
	// Two logins in a row share nothing.
	again := r.ask("", "POST", "/api/v1/login", `{"name":"admin","password":"`+password+`"}`)
	if slices.Equal(again.header.Values("Set-Cookie"), cookies) {
		t.Error("the same cookie twice")
	}
	// A made-up cookie is answered by one that takes it away.
	made := "Cookie: sallyport=" + strings.Repeat("A", 43) + ".default"
	if got := r.ask("", "GET", "/api/v1/me", "", made); got.status != 401 || !strings.Contains(got.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := r.ask("", "POST", "/api/v1/login", `{"name":"admin","password":"`+password+`"}`, made); got.status != 200 || len(got.header.Values("Set-Cookie")) != 1 {
		t.Errorf("%d %q", got.status, got.header.Values("Set-Cookie"))
	}
}

// Cookies and headers by the way in which a request came.
func TestCookieFlags(t *testing.T) {
	t.Parallel()
	const form = `{"name":"viewer","password":"` + password + `"}`
	plain := startAPI(t, nil)
	got := plain.ask("", "POST", "/api/v1/login", form)
	cookie := got.header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "sallyport=") || strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "; Path=/; HttpOnly; SameSite=Strict; Max-Age=") || got.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("over plain HTTP on loopback: %q %v", cookie, got.header)
	}
	for _, forwarded := range []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1"} {
		got := plain.ask("", "POST", "/api/v1/login", form, forwarded)
		if !strings.HasPrefix(got.header.Get("Set-Cookie"), "sallyport=") {
			t.Errorf("%s of a stranger is believed: %q", forwarded, got.header.Get("Set-Cookie"))
		}
	}

	proxied := startAPI(t, func(_ *APIOptions, o *Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	got = proxied.ask("", "POST", "/api/v1/login", form, "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1")
	cookie = got.header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "__Host-sallyport=") || !strings.Contains(cookie, "; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=") || strings.Contains(cookie, "Domain") || got.header.Get("Strict-Transport-Security") == "" {
		t.Errorf("over TLS: %q %v", cookie, got.header)
	}
	value, _, _ := strings.Cut(cookie, ";")
	for name, status := range map[string]int{value: 200, strings.TrimPrefix(value, "__Host-"): 401} {
		if got := proxied.ask("", "GET", "/api/v1/me", "", "Cookie: "+name, "X-Forwarded-Proto: https"); got.status != status {
			t.Errorf("%s: %d, want %d", name[:12], got.status, status)
		}
	}
	if me := proxied.ask("", "GET", "/api/v1/me", "", "Cookie: "+value, "X-Forwarded-Proto: https"); !strings.Contains(me.body, `"address":"192.0.2.1"`) {
		t.Errorf("the address of the proxy, not of the client: %s", me.body)
	}
	if got := proxied.ask("", "POST", "/api/v1/login", form, "X-Forwarded-For: 192.0.2.1"); got.status != 403 || got.header.Get("Set-Cookie") != "" {
		t.Errorf("a password over the network in the clear: %d %s", got.status, got.body)
	}
	for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "X-Content-Type-Options", "Cross-Origin-Resource-Policy"} {
		for _, got := range []apiAnswer{plain.ask("", "GET", "/api/v1/me", ""), plain.ask("viewer", "GET", "/api/v1/me", ""), plain.ask("viewer", "GET", "/api/v1/usrs", "")} {
			if got.header.Get(name) == "" {
				t.Errorf("%d has no %s", got.status, name)
			}
		}
	}
}

// Over TLS of our own, too.
func TestAPIOverTLS(t *testing.T) {
	t.Parallel()
	r := startAPI(t, nil)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(certificate)
	edge, err := New(Options{API: r.api, Drain: DrainTimes{Stop: 5 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- edge.Serve(ctx, tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}))
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+ln.Addr().String()+"/api/v1/login", strings.NewReader(`{"name":"viewer","password":"`+password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if cookie := response.Header.Get("Set-Cookie"); response.StatusCode != 200 || !strings.HasPrefix(cookie, "__Host-sallyport=") || !strings.Contains(cookie, "Secure") || response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

// What is dangerous needs a proof of late, and each such route asks for it.
func TestProof(t *testing.T) {
	t.Parallel()
	r := startAPI(t, nil)
	h, _ := r.login("super")
	form := `{"name":"victim"}`
	made := r.ask("", "POST", "/api/v1/users", form, h...)
	path := made.header.Get("Location")
	match := "If-Match: " + made.header.Get("ETag")
	r.wait(11 * time.Minute)
	if got := r.ask("", "DELETE", path, "", append(h, match)...); got.status != 403 || got.problem().Code != codeProof {
		t.Errorf("without a proof: %d %s", got.status, got.body)
	}
	if got := r.ask("", "POST", "/api/v1/users", `{"name":"x","everywhere":["admin"]}`, h...); got.status != 403 || got.problem().Code != codeProof {
		t.Errorf("without a proof: %d %s", got.status, got.body)
	}
	if got := r.ask("", "POST", "/api/v1/keys/rotate", `{}`, h...); got.status != 403 || got.problem().Code != codeProof || r.keys.rotated != 0 {
		t.Errorf("without a proof: %d %s", got.status, got.body)
	}
	r.api.lax.proof = true
	if got := r.ask("", "POST", "/api/v1/keys/rotate", `{}`, h...); got.status != 200 || r.keys.rotated != 1 {
		t.Errorf("the test sees no proof that is not asked for: %d", got.status)
	}
	r.api.lax.proof = false
	if got := r.ask("", "POST", "/api/v1/login/prove", `{"password":"`+password+`"}`, h...); got.status != 200 {
		t.Fatal(got)
	}
	if got := r.ask("", "DELETE", path, "", append(h, match)...); got.status != 204 {
		t.Errorf("with a proof: %d %s", got.status, got.body)
	}
}

// Nothing of one tenant is in any answer to another, whatever is asked for: every route,
// with the ids of the other tenant in every place.
func TestTwoTenants(t *testing.T) {
	t.Parallel()
	if seen := twoTenants(t, startAPI(t, nil)); seen != nil {
		t.Errorf("the other tenant's canary came in %q", seen)
	}
	r := startAPI(t, nil)
	r.api.lax.permission, r.api.lax.tenant = true, true
	if seen := twoTenants(t, r); len(seen) < 3 {
		t.Errorf("the test sees no tenant that is open: %q", seen)
	}
}

func twoTenants(t *testing.T, r *apiRig) (seen []string) {
	t.Helper()
	h, _ := r.login("acme-admin")
	ids := []string{"acme", "x1", r.users["acme-viewer"], r.users["acme-admin"]}
	for _, kind := range []string{"tokens", "logins"} {
		list := r.ask("acme-admin", "GET", "/api/v1/"+kind, "")
		for _, part := range strings.Split(list.body, `"id":"`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			ids = append(ids, id)
		}
	}
	mine, _ := r.login("admin")
	for _, route := range r.api.routes.routes {
		if route.Feed || route.Public != "" || route.Pattern == "/logout" || strings.HasPrefix(route.Pattern, "/me/password") {
			continue
		}
		for _, id := range ids {
			path := apiRoot + route.Pattern
			for _, name := range route.names {
				path = strings.Replace(path, "{"+name+"}", id, 1)
			}
			queries := []string{""}
			if route.tenanted() {
				queries = append(queries, "?tenant=acme")
			}
			for _, query := range queries {
				body := ""
				if route.Body != nil {
					body = `{"user":"` + id + `","subject":"` + id + `","name":"x","id":"` + id + `"}`
				}
				got := r.ask("", route.Method, path+query, body, append(mine, `If-Match: "1"`)...)
				if strings.Contains(got.body, "canary-acme") && !slices.Contains(seen, route.Method+" "+route.Pattern) {
					seen = append(seen, route.Method+" "+route.Pattern)
				}
			}
			if len(route.names) == 0 {
				break
			}
		}
	}
	if me := r.ask("", "GET", "/api/v1/me", "", h[0]); me.status != 200 && !r.api.lax.permission {
		t.Errorf("a login of the other tenant was ended: %d", me.status)
	}
	return seen
}

// Secrets go in and never come out: not in answers, not in the trail, not in the log.
func TestAPISecretsStayIn(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	r := startAPI(t, func(o *APIOptions, e *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		e.Log = o.Log
	})
	var all bytes.Buffer
	note := func(got apiAnswer) apiAnswer { all.WriteString(got.body); return got }
	note(r.ask("admin", "POST", "/api/v1/credentials", `{"name":"A","value":"`+secretCanary+`"}`))
	note(r.ask("admin", "POST", "/api/v1/credentials", `{"name":"B","vale":"`+secretCanary+`"}`))
	note(r.ask("admin", "POST", "/api/v1/credentials", `{"name":"B","value":["`+secretCanary+`"]}`))
	note(r.ask("admin", "POST", "/api/v1/credentials", `{"name":"`+secretCanary+` ","value":"x"}`))
	note(r.ask("admin", "POST", "/api/v1/credentials", `{"name":"C","value":"`+secretCanary+`"`))
	note(r.ask("", "POST", "/api/v1/login", `{"name":"`+secretCanary+`","password":"`+secretCanary+`"}`))
	note(r.ask("", "POST", "/api/v1/setup", `{"token":"`+secretCanary+`","name":"x","password":"`+secretCanary+`"}`))
	note(r.ask("", "GET", "/api/v1/me", "", "Authorization: Bearer "+secretCanary))
	note(r.ask("", "GET", "/api/v1/me", "", "Cookie: sallyport="+secretCanary))
	note(r.ask("", "GET", "/api/v1/login/fake/callback?code="+secretCanary, "", "Cookie: sallyport-flow="+secretCanary))
	note(r.ask("admin", "GET", "/api/v1/users?name="+secretCanary, ""))
	note(r.ask("admin", "GET", "/api/v1/users?"+secretCanary+"=1", ""))
	trail := note(r.ask("auditor", "GET", "/api/v1/audit?limit=1000", ""))
	if !strings.Contains(trail.body, "credential.write") {
		t.Error("the trail is empty")
	}
	if strings.Contains(all.String(), secretCanary) {
		t.Errorf("an answer holds it: %s", all.String())
	}
	if strings.Contains(log.String(), secretCanary) || strings.Contains(r.log.String(), secretCanary) {
		t.Error("the log holds it")
	}
}

// A panic ends its request, and says nothing.
func TestAPIPanics(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	r := startAPI(t, func(o *APIOptions, _ *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Plugins = func(string) []core.PluginStatus { panic(secretCanary) }
	})
	for range 300 { // more than may be busy at once: each gives its place back
		if got := r.ask("operator", "GET", "/api/v1/plugins", ""); got.status != 500 || strings.Contains(got.body, secretCanary) {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got := log.String(); strings.Contains(got, secretCanary) || !strings.Contains(got, "a value of type string") {
		t.Error(got)
	}
}

// Feeds end when the caller may no longer read, and are bounded.
func TestFeedsEnd(t *testing.T) {
	t.Parallel()
	r := startAPI(t, func(o *APIOptions, _ *Options) { o.Feeds = 1 })
	next, response, _ := openFeed(t, r, "viewer", "/calls/feed")
	if response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	eventually(t, "the feed to be counted", func() bool { return r.api.feeds.Load() == 1 })
	if got := r.ask("viewer", "GET", "/api/v1/calls/feed", ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", got.status, got.body)
	}
	u := &core.User{Tenant: core.DefaultTenant, ID: r.users["viewer"]}
	if err := r.store.Get(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	u.Roles = []string{"member"}
	r.put(u)
	r.wait(feedCheck)
	if e := next(); e.data != "" {
		t.Errorf("%+v", e)
	}
	eventually(t, "the feed to end", func() bool { return r.api.feeds.Load() == 0 && r.api.busy.Load() == 0 })
}

// Without a store, users and policies the operator still comes in, and nobody else.
func TestAPIAlone(t *testing.T) {
	t.Parallel()
	r := startAPI(t, func(o *APIOptions, _ *Options) {
		*o = APIOptions{Operator: operatorToken, Plugins: o.Plugins}
	})
	for _, row := range []struct {
		who, path string
		status    int
	}{
		{"operator", "/plugins", 200},
		{"operator", "/me", 200},
		{"operator", "/users", 503},
		{"operator", "/health", 503},
		{"operator", "/calls", 503},
		{"viewer", "/plugins", 401},
		{"", "/plugins", 401},
		{"", "/setup", 503},
		{"", "/openapi.yaml", 200},
	} {
		if got := r.ask(row.who, "GET", "/api/v1"+row.path, ""); got.status != row.status {
			t.Errorf("%s as %s: %d, want %d: %s", row.path, row.who, got.status, row.status, got.body)
		}
	}
	if _, err := NewAPI(APIOptions{Operator: "short"}); err == nil || strings.Contains(err.Error(), "short\"") {
		t.Error(err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("an edge of nothing")
	}
}

// A database that is gone is told at once and not after a timeout, and comes back by
// itself.
func TestAPIWithoutDatabase(t *testing.T) {
	t.Parallel()
	r := startAPI(t, func(o *APIOptions, _ *Options) {
		o.Timeout = 100 * time.Millisecond
		o.Store = &hangingStore{o.Store}
	})
	if got := r.ask("admin", "GET", "/api/v1/limits", ""); got.status != 504 && got.status != 503 {
		t.Errorf("a store that hangs: %d %s", got.status, got.body)
	}
	r.away = &core.Error{Message: "away"}
	if got := r.ask("admin", "GET", "/api/v1/limits", ""); got.status != 503 || got.header.Get("Retry-After") == "" || got.problem().Code != core.CodeUnavailable {
		t.Errorf("a store that is known to be away: %d %s", got.status, got.body)
	}
	if got := r.ask("admin", "GET", "/api/v1/plugins", ""); got.status != 200 {
		t.Errorf("what needs no store: %d %s", got.status, got.body)
	}
}

// hangingStore answers nothing until its context ends.
type hangingStore struct{ core.Store }

func (*hangingStore) List(ctx context.Context, _ any, _ core.Query) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// FuzzDecodeBody: whatever is sent, reading it ends, and what is accepted is whole.
func FuzzDecodeBody(f *testing.F) {
	for _, text := range []string{`{"name":"a","roles":["b"]}`, `{"name":1}`, `[]`, `{`, `{"name":"a","name":"b"}`, `{"expires":"2030-01-01T00:00:00Z"}`, "\xff", `{"extra":{"a":"b"},"value":{"x":[1e999]}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []any{&userForm{}, &connectorForm{}, &settingForm{}, &limitForm{}, &tokenForm{}, &revocationForm{}} {
			err := decodeBody(body, into)
			if err == nil {
				continue
			}
			e := core.AsError(err)
			if e.Code != core.CodeInvalid || len(e.Problems) == 0 || len(e.Problems) > 20 {
				t.Fatalf("%q: %v", body, err)
			}
		}
	})
}
