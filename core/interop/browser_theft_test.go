package interop

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// stolen lets pages of others read what the administrator may read.
func stolen(t *testing.T, s *siege) {
	const path, secret = "/api/v1/users?name=ada", `"name":"ada"`
	for _, row := range []struct {
		attack, holds string
		guards        []string
	}{
		{"read", secret, []string{guardCORS, guardOrigin}},
		{"readNoCors", "loaded", []string{guardRead}},
		{"script", secret, []string{guardRead, guardSite}},
		{"style", "loaded", []string{guardRead, guardSite}},
	} {
		for _, site := range []string{otherPort, otherSite} {
			t.Run(row.attack+" from "+site, func(t *testing.T) {
				if got := s.page(atGateway, site).attack(row.attack, s.fort.origin+path, nil); got != "" {
					t.Errorf("the page learned %q", got)
				}
				s.lax.keep()
				if got := s.page(atLax, site).attack(row.attack, s.lax.server.URL+path, nil); !strings.Contains(got, row.holds) {
					t.Errorf("it does not work without any defence: %q", got)
				}
				for _, guard := range row.guards {
					s.lax.keep(guard)
					if got := s.page(atLax, site).attack(row.attack, s.lax.server.URL+path, nil); strings.Contains(got, secret) || row.holds == "loaded" && got != "" {
						t.Errorf("%s alone does not stop it: %q", guard, got)
					}
				}
			})
		}
	}
	for _, site := range []string{otherPort, otherSite} {
		t.Run("frame from "+site, func(t *testing.T) {
			if got := s.page(atGateway, site).attack("frame", s.fort.origin+path, nil); got != "" || s.b.seen(atGateway, secret) {
				t.Errorf("it shows in a frame; the page learned %q", got)
			}
			s.lax.keep()
			s.page(atLax, site).attack("frame", s.lax.server.URL+path, nil)
			if !s.b.seen(atLax, secret) {
				t.Error("it does not show without any defence, so this test shows nothing")
			}
			s.reload(atLax, site)
			s.reload(atGateway, site)
		})
		t.Run("window from "+site, func(t *testing.T) {
			if got := s.page(atGateway, site).attack("popup", s.fort.origin+path, nil); got != "" {
				t.Errorf("the page learned %q", got)
			}
			if s.b.seen(atGateway, secret) {
				t.Error("the window shows it")
			}
			s.lax.keep()
			s.page(atLax, site).attack("popup", s.lax.server.URL+path, nil)
			if !s.b.seen(atLax, secret) {
				t.Error("it does not show without any defence, so this test shows nothing")
			}
			for _, context := range []string{atGateway, atLax} {
				s.b.do(nil, "clear", map[string]any{"context": context})
			}
		})
		t.Run("feed from "+site, func(t *testing.T) {
			follow := func(page *tab, origin, name string) (learned string) {
				page.run(nil, watchFeed, origin+"/api/v1/audit/feed")
				s.fort.ask("POST", "/users", map[string]any{"name": name}, browserToken, http.StatusCreated)
				page.run(&learned, `() => window.pending`, nil)
				return learned
			}
			if got := follow(s.page(atGateway, site), s.fort.origin, rowName("feed", site)); got != "" {
				t.Errorf("the page learned %q", got)
			}
			s.lax.keep()
			if got := follow(s.page(atLax, site), s.lax.server.URL, rowName("feed", site, "lax")); !strings.Contains(got, `"user.write"`) {
				t.Errorf("it does not work without any defence: %q", got)
			}
		})
		t.Run("stream of MCP from "+site, func(t *testing.T) {
			if got := s.page(atGateway, site).attack("events", s.fort.origin+"/open/sse", nil); got != "" {
				t.Errorf("the page learned %q", got)
			}
			s.lax.keep()
			if got := s.page(atLax, site).attack("events", s.lax.server.URL+"/open/sse", nil); !strings.Contains(got, "/open/message") {
				t.Errorf("it does not work without any defence: %q", got)
			}
		})
		// Browsers let every page open a WebSocket. There is none here.
		t.Run("socket from "+site, func(t *testing.T) {
			for _, path := range []string{"/api/v1/audit/feed", "/open/mcp", "/open/sse"} {
				s.lax.keep()
				for context, origin := range map[string]string{atGateway: s.fort.origin, atLax: s.lax.server.URL} {
					if got := s.page(context, site).attack("socket", origin+path, nil); got != "" {
						t.Errorf("%s: %s", path, got)
					}
				}
			}
		})
	}
}

func (s *siege) reload(context, site string) { s.page(context, site).visit(s.sites[site]) }

// rebind lets a name of the attacker lead to the gateway: its page is then of the same
// origin as what it asks, and only the Host says that it is not ours. works is for a
// gateway whose settings allow that name.
func rebind(t *testing.T, s *siege, name string, to *rebound, f *fort, works bool) {
	_, port, _ := strings.Cut(strings.TrimPrefix(f.origin, "http://"), ":")
	title := "refused"
	if works {
		title = "a name that the settings allow"
	}
	t.Run(title, func(t *testing.T) {
		context := rowName("rebind", title)
		s.b.context(context)
		page := s.b.open(context, name+":"+port+"/")
		to.to.Store(strings.TrimPrefix(f.origin, "http://"))
		logins := func() int {
			text, _ := f.ask("GET", "/logins", nil, browserToken, http.StatusOK)
			return strings.Count(text, `"user":`)
		}
		before := logins()
		check := func(what string, done bool) {
			t.Helper()
			if done != works {
				t.Errorf("%s: %t", what, done)
			}
		}
		page.attack("fetchMCP", "/open/mcp", touch(context))
		check("the tool was called", f.canary.touched(context))
		check("the stream of MCP was read", page.attack("events", "/open/sse", nil) != "")
		check("the list of tools was read", strings.Contains(page.attack("read", "/healthz", nil), "alive"))
		token := map[string]string{"Authorization": "Bearer " + browserToken} // let it have been guessed
		page.call("POST", "/api/v1/users", map[string]any{"name": context}, token)
		check("a user was made", f.has(context))
		status, text := page.call("POST", "/api/v1/login", map[string]any{"name": "ada", "password": browserPassword}, nil)
		check("somebody logged in", status == http.StatusOK && logins() > before)
		if !works && (status != http.StatusForbidden || !strings.Contains(text, "Host")) {
			t.Errorf("%d %s", status, text)
		}
		check("a cookie is there", len(s.b.cookies(context)) > 0)
	})
}

// planted lets a page on another port of this machine, whose cookies are ours too, put a
// cookie of its own under a login to come.
func planted(t *testing.T, s *siege, evil string) {
	cookie, _ := s.fort.login("mallory", browserPassword)
	plant := func(b *browser, context, cookie string) {
		b.open(context, evil+"/plant?cookie="+url.QueryEscape(cookie))
	}
	subject := func(cookie string) string {
		text, _ := s.fort.ask("GET", "/me", nil, "", http.StatusOK, "Cookie", "sallyport="+cookie)
		var who struct{ Name string }
		decode(t, text, &who)
		return who.Name
	}
	t.Run("the same cookie", func(t *testing.T) {
		s.b.context("planted")
		plant(s.b, "planted", "sallyport="+cookie+"; Path=/")
		page := s.b.open("planted", s.fort.origin+"/healthz")
		if who := page.me(); who != "mallory" {
			t.Fatalf("the cookie does not arrive (%q), so this test shows nothing", who)
		}
		page.login("ada")
		if who := page.me(); who != "ada" {
			t.Errorf("after the login it is %q", who)
		}
		if who := subject(cookie); who != "mallory" {
			t.Errorf("the planted cookie is %q now", who)
		}
		for _, c := range s.b.cookies("planted") {
			if c.Value == cookie {
				t.Error("the planted cookie is still there")
			}
		}
	})
	t.Run("a second cookie", func(t *testing.T) {
		s.b.context("second")
		page := s.b.open("second", s.fort.origin+"/healthz")
		page.login("ada")
		plant(s.b, "second", "sallyport="+cookie+"; Path=/api/v1") // sent first: its path is longer
		if who := page.me(); who != "" {
			t.Errorf("of two cookies it takes that of %s", who)
		}
		if status, _ := page.call("POST", "/api/v1/me/tokens", map[string]any{"name": "x"}, nil); status != http.StatusUnauthorized {
			t.Errorf("a change: %d", status)
		}
	})
	t.Run("seen by scripts", func(t *testing.T) {
		for _, row := range []struct {
			context, origin string
			seen            bool
		}{{atGateway, s.fort.origin, false}, {atLax, s.lax.server.URL, true}} {
			var text string
			if s.b.open(row.context, row.origin+"/healthz").run(&text, `() => document.cookie`, nil); strings.Contains(text, "sallyport=") != row.seen {
				t.Errorf("%s: a script sees %q", row.context, text)
			}
		}
		for _, c := range s.b.cookies(atGateway) {
			if c.Name != "sallyport" || !c.HTTPOnly || c.SameSite != "Strict" || c.Path != "/" || c.Domain != "127.0.0.1" {
				t.Errorf("%+v", c)
			}
		}
	})
}

// overTLS looks at the cookie behind a proxy that ends TLS, where other hosts of the
// same domain may be anybody's.
func overTLS(t *testing.T, s *siege, f *fort) {
	front, renames := tlsFront(t, f)
	evil := attacker(t, true)
	at := func(server *httptest.Server, name string) string {
		return strings.Replace(server.URL, "127.0.0.1", name+".corp.example", 1)
	}
	f.person("mallory", "viewer")
	cookie, _ := f.login("mallory", browserPassword)
	toss := func(context, cookie string) {
		s.b.open(context, at(evil, "evil")+"/plant?cookie="+url.QueryEscape(cookie))
	}

	t.Run("flags", func(t *testing.T) {
		s.b.context("tls")
		page := s.b.open("tls", at(front, "admin")+"/healthz")
		page.login("ada")
		list := s.b.cookies("tls")
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		c := list[0]
		if c.Name != "__Host-sallyport" || !c.Secure || !c.HTTPOnly || c.SameSite != "Strict" || c.Path != "/" || c.Domain != "admin.corp.example" {
			t.Errorf("%+v", c)
		}
		var text string
		if page.run(&text, `() => document.cookie`, nil); text != "" {
			t.Errorf("a script sees %q", text)
		}
	})
	t.Run("change from a sibling", func(t *testing.T) {
		page := s.b.open("tls", at(evil, "evil"))
		for _, attack := range []string{"formPlain", "fetchPlain", "fetchJSON", "fetchToken"} {
			name := rowName("sibling", attack)
			page.attack(attack, at(front, "admin")+"/api/v1/users", map[string]any{"name": name, "title": pad})
			if f.has(name) {
				t.Errorf("%s made a user", attack)
			}
		}
		if got := page.attack("read", at(front, "admin")+"/api/v1/me", nil); got != "" {
			t.Errorf("it learned %q", got)
		}
	})
	for _, row := range []struct {
		name, cookie string
		kept, plain  bool
		who          string // whom the gateway takes the browser for
	}{
		{"the cookie, for the domain", "__Host-sallyport=" + cookie + "; Secure; Path=/; Domain=corp.example", false, false, ""},
		{"the name without a prefix", "sallyport=" + cookie + "; Secure; Path=/; Domain=corp.example", true, false, ""},
		{"a gateway without the prefix", "sallyport=" + cookie + "; Secure; Path=/; Domain=corp.example", true, true, "mallory"},
	} {
		t.Run("tossed: "+row.name, func(t *testing.T) {
			context := rowName("tossed", row.name)
			s.b.context(context)
			toss(context, row.cookie)
			kept := slices.ContainsFunc(s.b.cookies(context), func(c cookieKept) bool { return c.Domain == ".corp.example" })
			if kept != row.kept {
				t.Errorf("the browser keeps it: %t", kept)
			}
			renames.Store(row.plain)
			defer renames.Store(false)
			page := s.b.open(context, at(front, "admin")+"/healthz")
			if who := page.me(); who != row.who {
				t.Errorf("the gateway takes the browser for %q, want %q", who, row.who)
			}
			if row.plain {
				return
			}
			page.login("ada")
			if who := page.me(); who != "ada" {
				t.Errorf("after a login for %q", who)
			}
		})
	}
}

// tlsFront is a proxy that ends TLS. While renames is true it stands for a gateway whose
// cookie has no prefix.
func tlsFront(t *testing.T, f *fort) (front *httptest.Server, renames *atomic.Bool) {
	t.Helper()
	renames = &atomic.Bool{}
	to, err := url.Parse(f.origin)
	if err != nil {
		t.Fatal(err)
	}
	front = httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			if renames.Load() {
				r.Out.Header.Set("Cookie", strings.ReplaceAll(r.In.Header.Get("Cookie"), "sallyport=", "__Host-sallyport="))
			}
		},
	})
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	return front, renames
}
