package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	browserToken    = "operator-of-browser-tests-0123456789"
	browserPassword = "correct horse battery staple"
	browserTime     = 10 * time.Minute // and not longer
)

// browserDocument has one tool that everybody may call. It leaves a mark outside of the
// gateway.
const browserDocument = `
connections:
  - name: canary
    baseUrl: %s
servers:
  - name: open
    access: {anonymous: true}
    tools:
      - name: touch
        inputSchema: {type: object, properties: {row: {type: string}, pad: {type: string}}, required: [row]}
        invoker: {kind: rest, config: {connection: canary, method: GET, path: '/touch/{row}', query: {pad: pad}}}
`

// canary is the service behind the tool: it remembers who touched it.
type canary struct {
	server *httptest.Server
	mu     sync.Mutex
	rows   map[string]bool
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	c := &canary{rows: map[string]bool{}}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if row, found := strings.CutPrefix(r.URL.Path, "/touch/"); found {
			c.mu.Lock()
			c.rows[row] = true
			c.mu.Unlock()
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	t.Cleanup(c.server.Close)
	return c
}

func (c *canary) touched(row string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rows[row]
}

// fort is a real gateway with an administrator, asked by what its own state says.
type fort struct {
	t      *testing.T
	p      *program
	origin string
	canary *canary
}

// newFort starts one. binary is that of another one, or "" to build it.
func newFort(t *testing.T, name string, c *canary, binary string, flags ...string) *fort {
	t.Helper()
	folder := t.TempDir()
	document := filepath.Join(folder, "gateway.yaml")
	if err := os.WriteFile(document, fmt.Appendf(nil, browserDocument, c.server.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	// Without the race detector: with it, each password takes seconds.
	p := &program{name: name, pack: ".", plain: true, binary: binary, args: func(address string) []string {
		return append([]string{
			"serve", "--config", document, "--listen", address, "--admin-token", browserToken, "--egress-allow", "127.0.0.1/32",
			"--log-level", "error", "--drain-lag", "0s", "--drain-hard-stop", "5s", "--access-calls-per-second", "0", "--store-poll", "200ms",
		}, flags...)
	}}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	f := &fort{t: t, p: p, origin: p.url(t), canary: c}
	setup := regexp.MustCompile(`(?m)^ +([A-Za-z0-9_-]{30,})$`)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if m := setup.FindStringSubmatch(p.output.String()); m != nil {
			f.ask("POST", "/setup", map[string]any{"token": m[1], "name": "ada", "password": browserPassword}, "", http.StatusCreated)
			return f
		}
		if time.Since(begin) > startTime {
			t.Fatalf("no setup token was printed:\n%s", p.output.String())
		}
	}
}

// ask sends a request as a program does, not as a browser.
func (f *fort) ask(method, path string, body any, token string, status int, header ...string) (string, http.Header) {
	f.t.Helper()
	var text []byte
	if body != nil {
		text = []byte(encode(f.t, body))
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.origin+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		f.t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		f.t.Fatalf("%s %s: %d, want %d: %s %v", method, path, response.StatusCode, status, answer, err)
	}
	return string(answer), response.Header
}

// has tells whether there is a user of that name, and whether the audit trail says that
// one was made: both, or neither.
func (f *fort) has(name string) bool {
	f.t.Helper()
	users, _ := f.ask("GET", "/users?name="+name, nil, browserToken, http.StatusOK)
	var found struct{ Items []struct{ ID string } }
	decode(f.t, users, &found)
	if len(found.Items) == 0 {
		return false
	}
	trail, _ := f.ask("GET", "/audit?action=user.write", nil, browserToken, http.StatusOK)
	if !strings.Contains(trail, found.Items[0].ID) {
		f.t.Errorf("user %s was made and no audit entry says so", name)
	}
	return true
}

// changes returns how many audit entries there are of what somebody did with a login.
func (f *fort) changes() (n int) {
	f.t.Helper()
	text, _ := f.ask("GET", "/audit?limit=1000", nil, browserToken, http.StatusOK)
	var page struct {
		Items []struct{ Via string }
	}
	decode(f.t, text, &page)
	for _, e := range page.Items {
		if e.Via == "login" {
			n++
		}
	}
	return n
}

// person makes a user who logs in with browserPassword.
func (f *fort) person(name, role string) {
	f.t.Helper()
	made, header := f.ask("POST", "/users", map[string]any{"name": name, "roles": []string{role}}, browserToken, http.StatusCreated)
	var user struct{ ID string }
	decode(f.t, made, &user)
	given, _ := f.ask("POST", "/users/"+user.ID+"/password", map[string]any{}, browserToken, http.StatusOK, "If-Match", header.Get("ETag"))
	var temporary struct{ Password string }
	decode(f.t, given, &temporary)
	cookie, csrf := f.login(name, temporary.Password)
	f.ask("POST", "/me/password", map[string]any{"old": temporary.Password, "new": browserPassword}, "", http.StatusOK,
		"Cookie", "sallyport="+cookie, "X-CSRF-Token", csrf, "Origin", f.origin)
}

// login logs in as a program that sends what browsers send.
func (f *fort) login(name, password string) (cookie, csrf string) {
	f.t.Helper()
	answer, header := f.ask("POST", "/login", map[string]any{"name": name, "password": password}, "", http.StatusOK, "Origin", f.origin)
	var state struct{ CSRF string }
	decode(f.t, answer, &state)
	cookie, _, _ = strings.Cut(strings.TrimPrefix(header.Get("Set-Cookie"), "sallyport="), ";")
	return cookie, state.CSRF
}

// browser is a Chromium that node/browser.mjs drives.
type browser struct {
	t       *testing.T
	in      io.WriteCloser
	out     *bufio.Scanner
	errs    tail
	lastID  int
	version string
}

// chromium finds one. Where there is none the test is left out, which fails a run with
// CI=true.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("left out: there is no Chromium (make test installs Debian's)")
	return ""
}

// openBrowser starts one with a new profile. rules say where names lead.
func openBrowser(t *testing.T, rules ...string) *browser {
	t.Helper()
	binary, folder := node(t)
	args := []string{
		"browser.mjs", chromium(t), t.TempDir(),
		"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-dev-shm-usage", "--disable-popup-blocking", "--no-proxy-server",
		// Chromium has defences of its own against pages that reach for this machine. The
		// gateway must not need them: older browsers have none.
		"--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
		"--host-resolver-rules=" + strings.Join(rules, ","),
	}
	ctx, cancel := context.WithTimeout(context.Background(), browserTime)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = folder
	b := &browser{t: t}
	cmd.Stderr = &b.errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if b.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		_ = b.in.Close() // it ends with its input
		if err := cmd.Wait(); err != nil {
			t.Errorf("the browser does not end well: %v\n%s", err, ending(b.errs.String()))
		}
	})
	b.out = bufio.NewScanner(out)
	b.out.Buffer(nil, 4<<20)
	b.answer(0, &b.version)
	return b
}

// answer reads the answer to a request.
func (b *browser) answer(id int, into any) {
	b.t.Helper()
	if !b.out.Scan() {
		b.t.Fatalf("the browser is gone: %v\n%s", b.out.Err(), ending(b.errs.String()))
	}
	var got struct {
		ID    int
		Value json.RawMessage
		Error string
	}
	decode(b.t, b.out.Text(), &got)
	if got.ID != id || got.Error != "" {
		b.t.Fatalf("the browser answers %d, not %d: %s", got.ID, id, got.Error)
	}
	if into != nil {
		decode(b.t, string(got.Value), into)
	}
}

func (b *browser) do(into any, act string, request map[string]any) {
	b.t.Helper()
	b.lastID++
	request = maps.Clone(request)
	request["id"], request["do"] = b.lastID, act
	if _, err := io.WriteString(b.in, encode(b.t, request)+"\n"); err != nil {
		b.t.Fatalf("tell the browser: %v\n%s", err, ending(b.errs.String()))
	}
	b.answer(b.lastID, into)
}

// tab is a page of one browser context.
type tab struct {
	b             *browser
	context, name string
}

// context makes a browser profile, with cookies of its own.
func (b *browser) context(name string) {
	b.t.Helper()
	b.do(nil, "context", map[string]any{"name": name})
}

// shown is what a page shows.
type shown struct {
	Status    int
	URL, Text string
}

// open opens a page in a context.
func (b *browser) open(context, url string) *tab {
	b.t.Helper()
	page := &tab{b, context, fmt.Sprintf("tab-%d", b.lastID)}
	page.visit(url)
	return page
}

func (p *tab) visit(url string) shown {
	p.b.t.Helper()
	var got shown
	p.b.do(&got, "open", map[string]any{"context": p.context, "page": p.name, "url": url})
	return got
}

// run calls a function in the page.
func (p *tab) run(into any, code string, arg any) {
	p.b.t.Helper()
	p.b.do(into, "run", map[string]any{"page": p.name, "code": code, "arg": arg})
}

// attack runs one of testdata/browser/attacks.js and returns what the page learned.
func (p *tab) attack(name, target string, body any) string {
	p.b.t.Helper()
	var learned string
	p.run(&learned, `([name, target, body]) => attacks[name](target, body)`, []any{name, target, body})
	return learned
}

// call sends a request from a page of the gateway's own, as its UI would.
func (p *tab) call(method, path string, body any, header map[string]string) (status int, text string) {
	p.b.t.Helper()
	var got shown
	p.run(&got, `async ([method, path, body, headers]) => {
		if (body !== null) headers = { 'Content-Type': 'application/json', ...headers };
		const r = await fetch(path, { method, headers: headers ?? {}, body: body === null ? undefined : JSON.stringify(body) });
		return { status: r.status, text: await r.text() };
	}`, []any{method, path, body, header})
	return got.Status, got.Text
}

// login logs in from a page of the gateway's own and returns the token for changes.
func (p *tab) login(name string) (csrf string) {
	p.b.t.Helper()
	status, text := p.call("POST", "/api/v1/login", map[string]any{"name": name, "password": browserPassword}, nil)
	if status != http.StatusOK {
		p.b.t.Fatalf("log %s in: %d %s", name, status, text)
	}
	var state struct{ CSRF string }
	decode(p.b.t, text, &state)
	return state.CSRF
}

// me returns who the gateway takes this browser for; "" = nobody.
func (p *tab) me() string {
	p.b.t.Helper()
	status, text := p.call("GET", "/api/v1/me", nil, nil)
	if status != http.StatusOK {
		return ""
	}
	var who struct{ Name string }
	decode(p.b.t, text, &who)
	return who.Name
}

// cookieKept is one that a browser keeps.
type cookieKept struct {
	Name, Value, Domain, Path, SameSite string
	HTTPOnly                            bool `json:"httpOnly"`
	Secure                              bool
}

func (b *browser) cookies(context string) []cookieKept {
	b.t.Helper()
	var list []cookieKept
	b.do(&list, "cookies", map[string]any{"context": context})
	return list
}

// seen tells whether some frame or window of a context shows a text.
func (b *browser) seen(context, text string) bool {
	b.t.Helper()
	var list []shown
	b.do(&list, "frames", map[string]any{"context": context})
	return slices.ContainsFunc(list, func(s shown) bool { return strings.Contains(s.Text, text) })
}
