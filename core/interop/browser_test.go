package interop

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// siege is what the browser tests share.
type siege struct {
	fort *fort
	b    *browser
	lax  *lax
	// Pages of somebody else, by where they come from.
	sites map[string]string
	pages map[string]*tab // by context and site
}

// Sites of attackers. Cookies know no ports, so a page of another port is of the same
// site and its requests carry even strict cookies.
const (
	otherPort = "another port"
	otherSite = "another site"
)

// Browser contexts in which an administrator is logged in: at the gateway, at the lax one,
// and at the lax one with a cookie that is strict all the same.
const (
	atGateway = "gateway"
	atLax     = "lax"
	atStrict  = "lax, with a strict cookie"
)

// TestBrowser lets pages of others attack a gateway in a real Chromium where an
// administrator is logged in (threats: forged requests, DNS rebinding, stolen cookies).
// Whether an attack worked is asked of the gateway. Each attack is made again on a
// gateway without its defences, where it must work, and on one that has a single one.
func TestBrowser(t *testing.T) {
	node(t)
	chromium(t)
	c := newCanary(t)
	f := newFort(t, "sallyport serve", c, "")
	named := newFort(t, "sallyport serve with names", c, f.p.binary,
		"--allowed-hosts", "rebound.example,admin.corp.example", "--trusted-proxies", "127.0.0.1/32")
	evil := attacker(t, false)
	host := strings.TrimPrefix(evil.URL, "http://")
	refused, allowed := newRebound(t, host), newRebound(t, host)
	b := openBrowser(t,
		"MAP attacker.example 127.0.0.1", "MAP *.corp.example 127.0.0.1",
		"MAP rebind.example "+refused.address(), "MAP rebound.example "+allowed.address())
	t.Logf("Chromium %s", b.version)
	s := &siege{
		fort: f, b: b, lax: newLax(t, f), pages: map[string]*tab{},
		sites: map[string]string{otherPort: evil.URL, otherSite: strings.Replace(evil.URL, "127.0.0.1", "attacker.example", 1)},
	}
	for context, origin := range map[string]string{atGateway: f.origin, atLax: s.lax.server.URL, atStrict: s.lax.server.URL} {
		b.context(context)
		s.lax.keep()
		if context == atStrict {
			s.lax.keep(guardSameSite)
		}
		b.open(context, origin+"/healthz").login("ada")
		for site, address := range s.sites {
			s.pages[context+site] = b.open(context, address)
		}
	}

	t.Run("honest page", func(t *testing.T) { honest(t, s) })
	t.Run("forged change", func(t *testing.T) { forged(t, s) })
	t.Run("forged call", func(t *testing.T) { forgedCalls(t, s) })
	t.Run("change by reading", func(t *testing.T) { changedByReading(t, s) })
	t.Run("stolen answer", func(t *testing.T) { stolen(t, s) })
	t.Run("token of a login", func(t *testing.T) { csrfTokens(t, s) })
	t.Run("rebinding", func(t *testing.T) {
		rebind(t, s, "http://rebind.example", refused, f, false)
		rebind(t, s, "http://rebound.example", allowed, named, true)
	})
	t.Run("planted cookie", func(t *testing.T) { planted(t, s, evil.URL) })
	t.Run("cookie over TLS", func(t *testing.T) { overTLS(t, s, named) })
}

// page returns the attacker's page of a site in a context.
func (s *siege) page(context, site string) *tab { return s.pages[context+site] }

// what a row of the tables writes, and how its names are told apart.
var unfit = regexp.MustCompile(`[^a-z]+`)

func rowName(parts ...string) string {
	return unfit.ReplaceAllString(strings.ToLower(strings.Join(parts, "-")), "-")
}

// attempt is a way to send something, and the defences that each stop it alone.
type attempt struct {
	attack string
	guards []string
}

// run makes an attempt on the gateway, on one without defences, and on one with each of
// the defences alone. worked tells what the gateway says of a name.
func (s *siege) run(t *testing.T, a attempt, site, path string, body func(name string) any, worked func(name string) bool) {
	t.Helper()
	name := rowName(a.attack, site, path)
	s.page(atGateway, site).attack(a.attack, s.fort.origin+path, body(name))
	if worked(name) {
		t.Error("the gateway did it")
	}
	name = rowName(a.attack, site, path, "lax")
	s.lax.keep()
	s.page(atLax, site).attack(a.attack, s.lax.server.URL+path, body(name))
	if !worked(name) {
		t.Error("it does not work without any defence, so this test shows nothing")
	}
	for _, guard := range a.guards {
		context := atLax
		if guard == guardSameSite {
			context = atStrict
		}
		name := rowName(a.attack, site, path, guard)
		s.lax.keep(guard)
		s.page(context, site).attack(a.attack, s.lax.server.URL+path, body(name))
		if worked(name) {
			t.Errorf("%s alone does not stop it", guard)
		}
	}
}

// pad is where a form puts the = that it must have.
const pad = "@pad@"

// forged lets pages of others make users, with the administrator's cookie.
func forged(t *testing.T, s *siege) {
	simple := []string{guardOrigin, guardCSRF, guardType}
	for _, a := range []attempt{
		{"formUrlencoded", simple},
		{"formMultipart", simple},
		{"formPlain", simple},
		{"formNull", simple},
		{"fetchPlain", simple},
		{"fetchUntyped", simple},
		{"beacon", simple},
		{"fetchJSON", []string{guardOrigin, guardCSRF, guardCORS}},
		{"fetchToken", []string{guardOrigin, guardCORS}},
	} {
		for _, site := range []string{otherPort, otherSite} {
			t.Run(a.attack+" from "+site, func(t *testing.T) {
				if site == otherSite {
					a.guards = append(slices.Clone(a.guards), guardSameSite)
				}
				s.run(t, a, site, "/api/v1/users", func(name string) any { return map[string]any{"name": name, "title": pad} }, s.fort.has)
			})
		}
	}
}

// forgedCalls lets pages of others call a tool that needs no token: whoever is on this
// machine may call it, and a page is not.
func forgedCalls(t *testing.T, s *siege) {
	simple := []string{guardType, guardHeaders}
	for _, a := range []attempt{
		{"formUrlencoded", simple},
		{"formPlain", simple},
		{"formNull", append([]string{guardOrigin}, simple...)},
		{"fetchPlain", simple},
		{"fetchUntyped", simple},
		{"fetchJSON", []string{guardCORS, guardHeaders}},
		{"fetchMCP", []string{guardCORS}},
	} {
		for _, site := range []string{otherPort, otherSite} {
			t.Run(a.attack+" from "+site, func(t *testing.T) {
				if site == otherSite && !slices.Contains(a.guards, guardOrigin) { // other ports of this machine may call
					a.guards = append(slices.Clone(a.guards), guardOrigin)
				}
				s.run(t, a, site, "/open/mcp", touch, s.fort.canary.touched)
			})
		}
	}
}

// touch is a call of the tool that leaves a mark.
func touch(name string) any {
	return json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{}},"name":"touch","arguments":{"row":"` + name + `","pad":"` + pad + `"}}}`)
}

var readable = regexp.MustCompile(`(?m)^  "(/[a-z/.-]+)":\n    get:`)

// changedByReading loads every address of the admin plane that is read, as pictures,
// scripts and styles: what GET answers changes nothing.
func changedByReading(t *testing.T, s *siege) {
	text, err := os.ReadFile(root + "/core/web/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, m := range readable.FindAllStringSubmatch(string(text), -1) {
		if !strings.HasSuffix(m[1], "/feed") { // a feed does not end
			addresses = append(addresses, s.fort.origin+"/api/v1"+m[1])
		}
	}
	if len(addresses) < 20 {
		t.Fatalf("only %d addresses were found in openapi.yaml", len(addresses))
	}
	for _, kind := range []string{"image", "script", "style"} {
		for _, site := range []string{otherPort, otherSite} {
			t.Run(kind+" from "+site, func(t *testing.T) {
				before := s.fort.changes()
				var loaded []string
				s.page(atGateway, site).run(&loaded, `async ([kind, list]) => (await Promise.all(list.map(one => attacks[kind](one).then(got => got && one)))).filter(Boolean)`,
					[]any{kind, addresses})
				if len(loaded) > 0 {
					t.Errorf("the page loaded %q", loaded)
				}
				if after := s.fort.changes(); after != before {
					t.Errorf("%d entries of the audit trail more than before", after-before)
				}
				// What is written out leaves a trace. It is not that of the administrator.
				for _, guards := range [][]string{{}, {guardSite}} {
					before := s.fort.changes()
					s.lax.keep(guards...)
					s.page(atLax, site).attack(kind, s.lax.server.URL+"/api/v1/audit/export", nil)
					if traced := s.fort.changes() > before; traced != (len(guards) == 0) {
						t.Errorf("with %q a trace is left: %t", guards, traced)
					}
				}
				name := rowName(kind, site, "by-reading")
				s.lax.keep()
				s.page(atLax, site).attack(kind, s.lax.server.URL+"/api/v1/users?make="+name, nil)
				if !s.fort.has(name) {
					t.Error("it does not work where reading changes something, so this test shows nothing")
				}
			})
		}
	}
}

// csrfTokens changes something from the gateway's own page, with tokens that are right
// and wrong.
func csrfTokens(t *testing.T, s *siege) {
	s.fort.person("mallory", "admin")
	_, others := s.fort.login("mallory", browserPassword)
	page := s.b.open(atGateway, s.fort.origin+"/healthz")
	_, text := page.call("GET", "/api/v1/me", nil, nil)
	var me struct{ CSRF string }
	decode(t, text, &me)
	s.b.context("ended")
	old := s.b.open("ended", s.fort.origin+"/healthz").login("ada")
	for _, row := range []struct {
		name, token string
		status      int
	}{
		{"none", "", http.StatusForbidden},
		{"wrong", strings.Repeat("x", len(me.CSRF)), http.StatusForbidden},
		{"of another user", others, http.StatusForbidden},
		{"of another login of the same user", old, http.StatusForbidden},
		{"right", me.CSRF, http.StatusCreated},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := rowName("token", row.name)
			header := map[string]string{}
			if row.token != "" {
				header["X-CSRF-Token"] = row.token
			}
			if status, text := page.call("POST", "/api/v1/users", map[string]any{"name": name}, header); status != row.status {
				t.Errorf("%d, want %d: %s", status, row.status, text)
			}
			if made := s.fort.has(name); made != (row.status == http.StatusCreated) {
				t.Errorf("a user was made: %t", made)
			}
		})
	}
}

// honest is what the gateway's own pages do.
func honest(t *testing.T, s *siege) {
	s.b.context("honest")
	page := s.b.open("honest", s.fort.origin+"/healthz")
	if who := page.me(); who != "" {
		t.Fatalf("a new browser is %s", who)
	}
	csrf := page.login("ada")
	second := s.b.open("honest", s.fort.origin+"/healthz")
	if page.me() != "ada" || second.me() != "ada" {
		t.Fatal("nobody is logged in")
	}
	page.run(nil, watchFeed, s.fort.origin+"/api/v1/audit/feed")
	if status, text := page.call("POST", "/api/v1/users", map[string]any{"name": "alan"}, map[string]string{"X-CSRF-Token": csrf}); status != http.StatusCreated || !s.fort.has("alan") {
		t.Errorf("make a user: %d %s", status, text)
	}
	var event string
	if page.run(&event, `() => window.pending`, nil); !strings.Contains(event, `"user.write"`) {
		t.Errorf("the feed tells %q", event)
	}
	if status, text := second.call("POST", "/api/v1/logout", nil, map[string]string{"X-CSRF-Token": csrf}); status != http.StatusNoContent {
		t.Errorf("log out: %d %s", status, text)
	}
	if page.me() != "" || len(s.b.cookies("honest")) != 0 {
		t.Error("the other window is still logged in")
	}
	if status, _ := page.call("POST", "/api/v1/users", map[string]any{"name": "too-late"}, map[string]string{"X-CSRF-Token": csrf}); status != http.StatusUnauthorized || s.fort.has("too-late") {
		t.Errorf("a change after logging out: %d", status)
	}
}

// watchFeed opens a feed and comes back when it is open, or refused. What it tells first is
// in window.pending.
const watchFeed = `async target => {
	window.feedIsOpen = false;
	window.pending = (window.attacks ?? { events: target => new Promise(done => {
		const source = new EventSource(target);
		source.onopen = () => { window.feedIsOpen = true; };
		source.addEventListener('audit', event => { source.close(); done(event.data); });
		source.onerror = () => { source.close(); done(''); };
	}) }).events(target);
	let ended = false;
	window.pending.then(() => { ended = true; });
	while (!window.feedIsOpen && !ended) await new Promise(done => setTimeout(done, 20));
}`
