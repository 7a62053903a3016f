package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// browserScenarios are what a browser does; each row logs in by itself.
func browserScenarios() []scenario {
	fresh := func(t *testing.T, r *apiRig, who string) []string { t.Helper(); h, _ := r.login(who); return h }
	return []scenario{
		{name: "no setup is wanted", method: "GET", path: "/setup", status: 200, holds: []string{`{"wanted":false}`}},
		{name: "no setup is done", method: "POST", path: "/setup", body: `{"token":"x","name":"eve","password":"` + password + `"}`, status: 401},
		{name: "a wrong password", method: "POST", path: "/login", body: `{"name":"viewer","password":"x"}`, status: 401, lacks: []string{"viewer"}, after: func(t *testing.T, _ *apiRig, got apiAnswer) {
			t.Helper()
			if got.header.Get("Set-Cookie") != "" {
				t.Error("a cookie all the same")
			}
		}},
		{name: "nobody", method: "GET", path: "/me", status: 401},
		{name: "the operator", as: "operator", method: "GET", path: "/me", status: 200, holds: []string{`"via":"operator"`, `"everywhere":["admin"]`}, lacks: []string{"csrf"}},
		{name: "somebody", as: "viewer", method: "GET", path: "/me", status: 200, holds: []string{`"subject":"$viewer"`, `"roles":["viewer"]`, `"document:read"`, `"via":"token"`}},
		{name: "logins", as: "admin", method: "GET", path: "/logins", status: 200, holds: []string{`"user":"$editor"`}, lacks: []string{`"sum"`, `"csrf"`}, before: func(r *apiRig) { r.login("editor") }},
		{name: "a viewer sees no logins", as: "viewer", method: "GET", path: "/logins", status: 403},
		{name: "end no login", as: "admin", method: "DELETE", path: "/logins/x", status: 404},
		{name: "no provider", method: "GET", path: "/login/none", status: 404},
		{name: "nobody comes back from a provider", method: "GET", path: "/login/fake/callback?code=good&state=x", status: 401},
		{name: "nobody comes back from an upstream", method: "GET", path: "/connect/github/callback?code=good&state=x", status: 401},
		{name: "tokens connect no accounts", as: "viewer", method: "GET", path: "/connect/github", status: 403},
		{name: "tokens do not log out", as: "viewer", method: "POST", path: "/logout", status: 400},
		{name: "no accounts", as: "viewer", method: "GET", path: "/me/accounts", status: 200, holds: []string{`"items":[]`}},
		{name: "forget an account", as: "viewer", method: "DELETE", path: "/me/accounts/github", status: 204},
		{name: "forget none", as: "viewer", method: "DELETE", path: "/me/accounts/gitlab", status: 404},
		{
			name: "a login and what is its own", method: "GET", path: "/setup", status: 200,
			after: func(t *testing.T, r *apiRig, _ apiAnswer) {
				t.Helper()
				h := fresh(t, r, "publisher")
				expect := func(status int, got apiAnswer, holds string) apiAnswer {
					t.Helper()
					if got.status != status || !strings.Contains(got.body, holds) {
						t.Fatalf("%d, want %d: %s does not hold %s", got.status, status, got.body, holds)
					}
					return got
				}
				me := expect(200, r.ask("", "GET", "/api/v1/me", "", h[0]), `"via":"login"`)
				if csrf := strings.TrimPrefix(h[1], "X-CSRF-Token: "); !strings.Contains(me.body, `"csrf":"`+csrf+`"`) {
					t.Errorf("another token than at the login: %s", me.body)
				}
				minted := expect(201, r.ask("", "POST", "/api/v1/me/tokens", `{"name":"laptop"}`, h...), `"token":"spt_`)
				id := strings.Split(minted.header.Get("Location"), "/")[4]
				expect(404, r.ask("viewer", "DELETE", "/api/v1/me/tokens/"+id, ""), "")
				expect(204, r.ask("", "DELETE", "/api/v1/me/tokens/"+id, "", h...), "")
				expect(403, r.ask("", "POST", "/api/v1/login/prove", `{"password":"`+password+`"}`, h[0], h[2]), `"code":"csrf"`)
				expect(401, r.ask("", "POST", "/api/v1/login/prove", `{"password":"x"}`, h...), "")
				expect(200, r.ask("", "POST", "/api/v1/login/prove", `{"password":"`+password+`"}`, h...), `"until":"`)
				expect(403, r.ask("", "POST", "/api/v1/me/password", `{"old":"x","new":"another long password"}`, h...), "old password")
				expect(422, r.ask("", "POST", "/api/v1/me/password", `{"old":"`+password+`","new":"short"}`, h...), `"/new"`)
				other := fresh(t, r, "publisher")
				logins := expect(200, r.ask("", "GET", "/api/v1/me/logins", "", h[0]), `"items":[{`)
				if strings.Contains(logins.body, r.users["editor"]) {
					t.Error("logins of others")
				}
				_, state := r.login("publisher")
				ids := strings.Split(expect(200, r.ask("", "GET", "/api/v1/me/logins", "", h[0]), state.Subject).body, `"id":"`)
				expect(204, r.ask("", "DELETE", "/api/v1/me/logins/"+strings.Split(ids[len(ids)-1], `"`)[0], "", h...), "")
				changed := r.ask("", "POST", "/api/v1/me/password", `{"old":"`+password+`","new":"`+password+` 2"}`, h...)
				if changed.status == 401 { // it was this login that ended
					h = fresh(t, r, "publisher")
					changed = r.ask("", "POST", "/api/v1/me/password", `{"old":"`+password+`","new":"`+password+` 2"}`, h...)
				}
				expect(200, changed, `"csrf":"`)
				for _, cookie := range []string{h[0], other[0]} {
					expect(401, r.ask("", "GET", "/api/v1/me", "", cookie), "")
				}
			},
		},
		{
			name: "an administrator ends a login", method: "GET", path: "/setup", status: 200, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
				t.Helper()
				h := fresh(t, r, "member")
				if got := r.ask("", "GET", "/api/v1/me", "", h[0]); got.status != 200 {
					t.Fatal(got)
				}
				list := r.ask("admin", "GET", "/api/v1/logins?user="+r.users["member"], "")
				id := strings.Split(strings.Split(list.body, `"id":"`)[1], `"`)[0]
				if got := r.ask("admin", "DELETE", "/api/v1/logins/"+id, "", "X-Reason: lost laptop"); got.status != 204 {
					t.Fatal(got)
				}
				recorded("login.revoke", "lost laptop", "")(t, r, apiAnswer{})
				if got := r.ask("", "GET", "/api/v1/me", "", h[0]); got.status != 401 || !strings.Contains(got.header.Get("Set-Cookie"), "Max-Age=0") {
					t.Errorf("%d %v", got.status, got.header)
				}
			},
		},
		{
			name: "log out", method: "GET", path: "/setup", status: 200, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
				t.Helper()
				h := fresh(t, r, "auditor")
				got := r.ask("", "POST", "/api/v1/logout", "", h...)
				if cookie := got.header.Get("Set-Cookie"); got.status != 204 || !strings.HasPrefix(cookie, "sallyport=;") || !strings.Contains(cookie, "Max-Age=0") {
					t.Errorf("%d %v", got.status, got.header)
				}
				if got := r.ask("", "GET", "/api/v1/me", "", h[0]); got.status != 401 {
					t.Errorf("a login that ended opens: %d", got.status)
				}
			},
		},
		{
			name: "by a provider", method: "GET", path: "/login/fake?return=/admin/users", status: 303, after: func(t *testing.T, r *apiRig, got apiAnswer) {
				t.Helper()
				to, err := url.Parse(got.header.Get("Location"))
				if err != nil || to.Query().Get("redirect_uri") != "http://"+r.addr+"/api/v1/login/fake/callback" {
					t.Fatal(to, err)
				}
				cookie := got.header.Get("Set-Cookie")
				if !strings.HasPrefix(cookie, "sallyport-flow=") || !strings.Contains(cookie, "; HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "Max-Age=600") {
					t.Error(cookie)
				}
				flow, _, _ := strings.Cut(cookie, ";")
				back := r.ask("", "GET", "/api/v1/login/fake/callback?code=good&state=x", "", "Cookie: "+flow)
				cookies := back.header.Values("Set-Cookie")
				if back.status != 200 || !strings.Contains(back.body, `url='/admin/users'`) || len(cookies) != 2 || !strings.Contains(strings.Join(cookies, "\n"), "sallyport-flow=; ") {
					t.Fatalf("%d %q %s", back.status, cookies, back.body)
				}
				for _, one := range cookies {
					if value, found := strings.CutPrefix(one, "sallyport="); found {
						if !strings.Contains(one, "SameSite=Strict") {
							t.Error(one)
						}
						value, _, _ = strings.Cut(value, ";")
						if got := r.ask("", "GET", "/api/v1/me", "", "Cookie: sallyport="+value); got.status != 200 {
							t.Error(got)
						}
					}
				}
				if got := r.ask("", "GET", "/api/v1/login/fake/callback?code=bad&state=x", "", "Cookie: "+flow); got.status != 401 {
					t.Error(got)
				}
				if got := r.ask("", "GET", "/api/v1/login/fake?prove=1", ""); got.status != 401 {
					t.Error(got)
				}
			},
		},
		{
			name: "connect an account", method: "GET", path: "/setup", status: 200, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
				t.Helper()
				h := fresh(t, r, "editor")
				got := r.ask("", "GET", "/api/v1/connect/github?return=/admin/me", "", h[0])
				if got.status != 303 || !strings.HasPrefix(got.header.Get("Location"), "https://as.example/authorize?") {
					t.Fatalf("%d %v %s", got.status, got.header, got.body)
				}
				flow, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
				const callback = "/api/v1/connect/github/callback?code=good&state=x"
				first := r.ask("", "GET", callback, "", "Cookie: "+flow) // another site sends no strict cookie
				if first.status != 200 || !strings.Contains(first.body, `url='/api/v1/connect/github/callback?code=good&amp;state=x&amp;again=1'`) || first.header.Get("Set-Cookie") != "" {
					t.Fatalf("%d %s", first.status, first.body)
				}
				if got := r.ask("", "GET", callback+"&again=1", "", "Cookie: "+flow); got.status != 401 {
					t.Errorf("round and round: %d", got.status)
				}
				eve := fresh(t, r, "viewer")
				if got := r.ask("", "GET", callback+"&again=1", "", "Cookie: "+flow+"; "+strings.TrimPrefix(eve[0], "Cookie: ")); got.status != 403 {
					t.Errorf("somebody else's account: %d", got.status)
				}
				done := r.ask("", "GET", callback+"&again=1", "", "Cookie: "+flow+"; "+strings.TrimPrefix(h[0], "Cookie: "))
				if done.status != 200 || !strings.Contains(done.body, "/admin/me") {
					t.Fatalf("%d %s", done.status, done.body)
				}
				if got := r.ask("", "GET", "/api/v1/connect/gitlab", "", h[0]); got.status != 404 {
					t.Error(got)
				}
			},
		},
	}
}

// setUp makes the first administrator of an empty store.
func setUp(t *testing.T, r *apiRig) {
	t.Helper()
	token, needed, err := r.logins.EnsureSetup(context.Background())
	if err != nil || !needed {
		t.Fatal(err)
	}
	form := func(token core.Secret, password string) string {
		return fmt.Sprintf(`{"token":%q,"name":"ada","title":"Ada","password":%q}`, token.Reveal(), password)
	}
	if got := r.ask("", "GET", "/api/v1/setup", ""); got.status != 200 || got.body != `{"wanted":true}` {
		t.Error(got)
	}
	if got := r.ask("", "POST", "/api/v1/setup", form("wrong", password)); got.status != 401 {
		t.Error(got)
	}
	got := r.ask("", "POST", "/api/v1/setup", form(token, password))
	if got.status != 201 {
		t.Fatal(got)
	}
	cookie, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
	if got := r.ask("", "GET", "/api/v1/tenants", "", "Cookie: "+cookie); got.status != 200 {
		t.Errorf("the first user may not everything: %v", got)
	}
	if got := r.ask("", "POST", "/api/v1/setup", form(token, password)); got.status != 401 {
		t.Errorf("the token is good twice: %v", got)
	}
}

// event is one of a feed.
type feedEvent struct{ id, name, data string }

// openFeed opens a feed and returns what reads its events.
func openFeed(t *testing.T, r *apiRig, who, path string, headers ...string) (next func() feedEvent, response *http.Response, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+apiRoot+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range r.as(who) {
		request.Header.Set(name, value)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err = apiClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	return func() feedEvent {
		var e feedEvent
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case key == "id":
				e.id = value
			case key == "event":
				e.name = value
			case key == "data":
				e.data = value
			case key == "" && value == "" && e.data != "":
				return e
			}
		}
		return feedEvent{}
	}, response, cancel
}

// followFeeds follows calls and the trail, comes back with the id of an event, and sees
// feeds end.
func followFeeds(t *testing.T, r *apiRig) {
	t.Helper()
	call := func(id string, at time.Time, tenant string) {
		t.Helper()
		if err := r.store.Append(context.Background(), &core.CallRecord{ID: id, Time: at, Replica: "r1", Tenant: tenant, Server: "shop", Kind: "tool", Name: "buy", Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	next, response, stop := openFeed(t, r, "viewer", "/calls/feed?server=shop")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != eventType || response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Content-Security-Policy") == "" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	now := time.Now().Add(time.Second).Truncate(time.Microsecond)
	call("f1", now, core.DefaultTenant)
	call("f1-acme", now, "acme")
	first := next()
	if first.name != "call" || !strings.Contains(first.data, `"id":"f1"`) {
		t.Errorf("%+v", first)
	}
	call("f3", now.Add(2*time.Second), core.DefaultTenant)
	if e := next(); !strings.Contains(e.data, `"id":"f3"`) {
		t.Errorf("%+v", e)
	}
	call("f2", now.Add(time.Second), core.DefaultTenant) // another replica is late
	if e := next(); !strings.Contains(e.data, `"id":"f2"`) {
		t.Errorf("%+v", e)
	}
	stop()

	next, _, stop = openFeed(t, r, "viewer", "/calls/feed", "Last-Event-ID: "+first.id)
	for _, want := range []string{"f2", "f3"} {
		if e := next(); !strings.Contains(e.data, `"id":"`+want+`"`) {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	stop()
	r.spec.seen["GET /calls/feed 200"] = true

	if got := r.ask("viewer", "GET", "/api/v1/calls/feed", "", "Last-Event-ID: nonsense"); got.status != 400 {
		t.Error(got)
	}
	if got := r.ask("member", "GET", "/api/v1/calls/feed", ""); got.status != 403 {
		t.Error(got)
	}

	next, _, stop = openFeed(t, r, "auditor", "/audit/feed?action=limit.write")
	r.ask("admin", "POST", "/api/v1/limits", `{"per":"tenant","perDay":1}`)
	if e := next(); e.name != "audit" || !strings.Contains(e.data, `"action":"limit.write"`) {
		t.Errorf("%+v", e)
	}
	stop()
	r.spec.seen["GET /audit/feed 200"] = true
}
