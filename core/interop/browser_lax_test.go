package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The defences that lax can take away.
const (
	guardOrigin   = "origin"   // who is not of the gateway's origin changes nothing
	guardCSRF     = "csrf"     // the token of the login
	guardType     = "type"     // bodies are JSON, and say so
	guardSameSite = "sameSite" // the cookie stays away from what other sites send
	guardCORS     = "cors"     // no leave for pages of others
	guardRead     = "read"     // no frames, no sniffing, no loading by others
	guardGet      = "get"      // what is read changes nothing
	guardHeaders  = "headers"  // the headers of MCP
	guardSite     = "site"     // what a browser tells of the page that makes it ask
	guardHTTPOnly = "httpOnly" // scripts do not see the cookie
)

// lax is a gateway without its defences: it stands before a real one and answers for it
// to whatever the real one would refuse. What stands in kept it leaves alone. With it the
// tests see that an attack works in this browser at all.
type lax struct {
	fort   *fort
	server *httptest.Server
	to     *httputil.ReverseProxy

	mu     sync.Mutex
	kept   map[string]bool
	tokens map[string]string // X-CSRF-Token by cookie
}

func newLax(t *testing.T, f *fort) *lax {
	t.Helper()
	l := &lax{fort: f, tokens: map[string]string{}}
	to, err := url.Parse(f.origin)
	if err != nil {
		t.Fatal(err)
	}
	l.to = &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to) // and the Host
		},
		ModifyResponse: l.answer,
	}
	l.server = httptest.NewServer(l)
	t.Cleanup(l.server.Close)
	return l
}

// keep says which defences stand.
func (l *lax) keep(guards ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = map[string]bool{}
	for _, g := range guards {
		l.kept[g] = true
	}
}

func (l *lax) keeps(guard string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[guard]
}

func (l *lax) token(r *http.Request) string {
	c, err := r.Cookie("sallyport")
	if err != nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tokens[c.Value]
}

// ServeHTTP takes from a request what the gateway would refuse it for.
func (l *lax) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions && !l.keeps(guardCORS) {
		share(w.Header(), r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
		w.Header().Set("Access-Control-Max-Age", "0") // the next row may be refused
		w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if wanted := r.URL.Query().Get("make"); wanted != "" && r.Method == http.MethodGet && !l.keeps(guardGet) {
		r.Method, r.URL.RawQuery = http.MethodPost, ""
		l.body(r, encodeAny(map[string]any{"name": wanted}))
	}
	r = r.WithContext(context.WithValue(r.Context(), asked{}, asked{r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Dest")}))
	if !l.keeps(guardSite) {
		for _, name := range []string{"Site", "Mode", "Dest"} {
			r.Header.Del("Sec-Fetch-" + name)
		}
	}
	if sent := r.Header.Get("Origin"); sent == l.server.URL || !l.keeps(guardOrigin) && (sent != "" || r.Method != http.MethodGet) {
		r.Header.Set("Origin", l.fort.origin)
	}
	if token := l.token(r); token != "" && !l.keeps(guardCSRF) {
		r.Header.Set("X-CSRF-Token", token)
	}
	if r.Method == http.MethodPost && !l.keeps(guardType) {
		l.body(r, unwrapped(r))
	}
	if r.URL.Path == "/open/mcp" && !l.keeps(guardHeaders) {
		for name, value := range mcpHeaders {
			r.Header.Set(name, value)
		}
	}
	l.to.ServeHTTP(w, r)
}

// mcpHeaders are those of the call of the tool.
var mcpHeaders = map[string]string{
	"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "touch",
}

func (l *lax) body(r *http.Request, text []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Type", "application/json")
}

// unwrapped returns the JSON that a form holds in its field body, or the body as it is.
func unwrapped(r *http.Request) []byte {
	if media := r.Header.Get("Content-Type"); strings.HasPrefix(media, "application/x-www-form-urlencoded") || strings.HasPrefix(media, "multipart/form-data") {
		return []byte(r.FormValue("body"))
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	return bytes.TrimRight(text, "\r\n")
}

// asked is what a browser said, and the key under which a request keeps it.
type asked struct{ origin, dest string }

func share(h http.Header, origin string) {
	if origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// answer takes from an answer what would keep a browser back.
func (l *lax) answer(r *http.Response) error {
	said, _ := r.Request.Context().Value(asked{}).(asked)
	if !l.keeps(guardCORS) {
		share(r.Header, said.origin)
	}
	if !l.keeps(guardRead) {
		for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "Cross-Origin-Resource-Policy", "X-Content-Type-Options"} {
			r.Header.Del(name)
		}
		switch said.dest {
		case "script": // Chromium itself keeps plain JSON from pages of others
			r.Header.Set("Content-Type", "text/javascript")
			r.Header.Del("Content-Length")
			r.ContentLength = -1
			r.Body = prefixed{io.MultiReader(strings.NewReader("window.answer="), r.Body), r.Body}
		case "style":
			r.Header.Set("Content-Type", "text/css")
		}
	}
	cookies := r.Header.Values("Set-Cookie")
	for i, one := range cookies {
		if !l.keeps(guardSameSite) {
			one = strings.Replace(one, "SameSite=Strict", "SameSite=None; Secure", 1)
		}
		if !l.keeps(guardHTTPOnly) {
			one = strings.Replace(one, "; HttpOnly", "", 1)
		}
		cookies[i] = one
	}
	if r.Request.URL.Path == "/api/v1/login" && r.StatusCode == http.StatusOK {
		return l.learn(r)
	}
	return nil
}

// prefixed is a body with something before it.
type prefixed struct {
	io.Reader
	io.Closer
}

// learn keeps the token of a new login.
func (l *lax) learn(r *http.Response) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read the answer to a login: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	var state struct{ CSRF string }
	if err := json.Unmarshal(text, &state); err != nil {
		return fmt.Errorf("read a login: %w", err)
	}
	for _, c := range r.Cookies() {
		l.mu.Lock()
		l.tokens[c.Value] = state.CSRF
		l.mu.Unlock()
	}
	return nil
}

func encodeAny(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

// rebound is a name that leads elsewhere: connections go to whatever address it was
// told last, as with a name server that changes its mind.
type rebound struct {
	listener net.Listener
	to       atomic.Value // string
}

func newRebound(t *testing.T, to string) *rebound {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rebound{listener: listener}
	r.to.Store(to)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() { r.join(from) })
		}
	})
	t.Cleanup(func() { listener.Close(); work.Wait() })
	return r
}

func (r *rebound) join(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", r.to.Load().(string))
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}

func (r *rebound) address() string { return r.listener.Addr().String() }

// attacker is the web site of somebody else.
func attacker(t *testing.T, secure bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // names that lead elsewhere do so with the next request
		switch r.URL.Path {
		case "/attacks.js":
			w.Header().Set("Content-Type", "text/javascript")
			http.ServeFile(w, r, "testdata/browser/attacks.js")
		case "/plant":
			w.Header().Set("Set-Cookie", r.URL.Query().Get("cookie"))
			fallthrough
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, `<!doctype html><title>Win a prize</title><body><script src="/attacks.js"></script>`)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the browser tries without exceptions first
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}
