package authn

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/core"
)

func TestOpenIDLogin(t *testing.T) {
	r := newRig(t)
	to, flow := r.begin("", "corp", "/servers?tab=1#x")
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || len(q.Get("state")) != 43 || q.Get("redirect_uri") != callback || q.Get("scope") != "openid profile" {
		t.Errorf("%v", q)
	}
	query := r.idp.authorize(t, to, "ada-at-corp", map[string]any{"groups": []string{"devs"}, "preferred_username": "Ada L."})
	g, back, err := r.finish(flow, query, callback)
	if err != nil {
		t.Fatal(err)
	}
	if back != "/servers?tab=1#x" || g.Who.Subject != Subject(core.DefaultTenant, "corp", "ada-at-corp") || strings.Join(g.Who.Roles, " ") != "editor member" || g.Login.Provider != "corp" {
		t.Errorf("%s %+v", back, g.Who)
	}
	if r.find(g.Cookie) != "" {
		t.Error("the login is not found")
	}
	if got := r.store.actions(); !slices.Equal(got, []string{"user.provision", "login.ok"}) {
		t.Error(got)
	}
	// Known now; the groups of this login count.
	to, flow = r.begin("", "corp", "/")
	g2, _, err := r.finish(flow, r.idp.authorize(t, to, "ada-at-corp", map[string]any{"groups": []string{"ops"}}), callback)
	if err != nil || g2.Who.Subject != g.Who.Subject || strings.Join(g2.Who.Roles, " ") != "member publisher" {
		t.Errorf("%+v %v", g2, err)
	}
	// A login by a provider has no password to prove.
	if err := r.logins.Prove(context.Background(), g2.Login, "", From{}); codeOf(err) != core.CodeUnauthenticated {
		t.Errorf("%v", err)
	}
}

func TestOpenIDRefusals(t *testing.T) {
	tests := []struct {
		name string
		do   func(r *rig) // before
		want core.Code
		edit func(query url.Values)
	}{
		{"nothing", nil, "", nil},
		{"the provider refuses", nil, core.CodeDenied, func(q url.Values) { q.Del("code"); q.Set("error", "access_denied<script>") }},
		{"two states", nil, core.CodeUnauthenticated, func(q url.Values) { q.Add("state", "x") }},
		{"two codes", nil, core.CodeUnauthenticated, func(q url.Values) { q.Add("code", "x") }},
		{"no state", nil, core.CodeUnauthenticated, func(q url.Values) { q.Del("state") }},
		{"no code", nil, core.CodeUnauthenticated, func(q url.Values) { q.Del("code") }},
		{"another audience", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["aud"] = "another" } }, core.CodeUnauthenticated, nil},
		{"several audiences, no azp", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["aud"] = []string{"sallyport", "x"} } }, core.CodeUnauthenticated, nil},
		{"several audiences, azp", func(r *rig) {
			r.idp.dress = func(c jwt.MapClaims) { c["aud"], c["azp"] = []string{"sallyport", "x"}, "sallyport" }
		}, "", nil},
		{"azp of another", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["azp"] = "x" } }, core.CodeUnauthenticated, nil},
		{"another issuer", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["iss"] = "https://x" } }, core.CodeUnauthenticated, nil},
		{"expired", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["exp"] = r.clock.now().Add(-time.Hour).Unix() } }, core.CodeUnauthenticated, nil},
		{"from the future", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["iat"] = r.clock.now().Add(time.Hour).Unix() } }, core.CodeUnauthenticated, nil},
		{"access token of another", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" } }, core.CodeUnauthenticated, nil},
		{"no subject", func(r *rig) { r.idp.dress = func(c jwt.MapClaims) { c["sub"] = "" } }, core.CodeUnauthenticated, nil},
		{"too late", func(r *rig) { r.idp.dress = nil; r.clock.add(flowTime) }, core.CodeUnauthenticated, nil},
		{"issuer away", func(r *rig) { r.idp.mu.Lock(); r.idp.down = true; r.idp.mu.Unlock() }, core.CodeUnavailable, nil},
		{"not for logins any more", func(r *rig) { r.corp(func(p *core.Provider) { p.Login = false }) }, core.CodeNotFound, nil},
		{"disabled", func(r *rig) { r.corp(func(p *core.Provider) { p.Disabled = true }) }, core.CodeNotFound, nil},
		{"another issuer meanwhile", func(r *rig) { r.corp(func(p *core.Provider) { p.Issuer = r.other.URL }) }, core.CodeUnauthenticated, nil},
		{"a secret that does not open", func(r *rig) { r.corp(func(p *core.Provider) { p.ClientSecret = "x" }) }, core.CodeUnavailable, nil},
		{"a stranger", func(r *rig) { r.corp(func(p *core.Provider) { p.Provision = false }) }, core.CodeDenied, nil},
		{"known by e-mail address only", func(r *rig) {
			r.corp(func(p *core.Provider) { p.Provision = false })
			r.user(core.User{ID: "u9", Name: "ada-at-corp", Email: "ada@example.com", Provider: "corp", External: "another"}, "")
			r.idp.dress = func(c jwt.MapClaims) {
				c["email"], c["email_verified"], c["preferred_username"] = "ada@example.com", true, "ada-at-corp"
			}
		}, core.CodeDenied, nil},
		{"a disabled user", func(r *rig) {
			r.user(core.User{ID: "u9", Name: "ada", Provider: "corp", External: "ada-at-corp", Disabled: true}, "")
		}, core.CodeDenied, nil},
		{"a program", func(r *rig) {
			r.user(core.User{ID: "u9", Name: "ada", Provider: "corp", External: "ada-at-corp", Service: true}, "")
		}, core.CodeDenied, nil},
		{"a name that is taken", func(r *rig) {
			r.user(core.User{ID: "u9", Name: "ada"}, "")
			r.idp.dress = func(c jwt.MapClaims) { c["preferred_username"] = "ada" }
		}, "", nil},
		{"store down", func(r *rig) { r.store.down = true }, core.CodeUnavailable, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			to, flow := r.begin("", "corp", "/")
			query := r.idp.authorize(t, to, "ada-at-corp", nil)
			if tt.edit != nil {
				tt.edit(query)
			}
			if tt.do != nil {
				tt.do(r)
			}
			g, _, err := r.finish(flow, query, callback)
			if codeOf(err) != tt.want || (err == nil) != (g != nil) {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(core.AsError(err).Public(), "script") {
				t.Error("the provider speaks through us")
			}
		})
	}
	r := newRig(t)
	for _, tt := range [][2]string{{"", "nobody"}, {"acme", "corp"}, {"gone", "corp"}, {"nowhere", "corp"}, {"*", "corp"}} {
		if _, _, err := r.logins.Begin(context.Background(), tt[0], tt[1], "/", callback, nil); codeOf(err) != core.CodeNotFound {
			t.Errorf("%v: %v", tt, err)
		}
	}
	if _, _, err := r.finish("nonsense", url.Values{"state": {"x"}}, callback); codeOf(err) != core.CodeUnauthenticated {
		t.Error(err)
	}
	if got, err := r.logins.Providers(context.Background(), ""); err != nil || len(got) != 1 || got[0].ID != "corp" || got[0].ClientSecret != "" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := r.logins.Providers(context.Background(), "*"); err != nil || len(got) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

func (r *rig) corp(f func(*core.Provider)) {
	p := *r.store.rows[core.Key{Kind: "provider", Tenant: core.DefaultTenant, ID: "corp"}].(*core.Provider)
	f(&p)
	r.store.set(&p)
}

// A login by a provider is proved there.
func TestProveByProvider(t *testing.T) {
	tests := []struct {
		name string
		sub  string
		more map[string]any
		want core.Code
	}{
		{"asked again", "ada-at-corp", nil, ""},
		{"somebody else", "bob-at-corp", nil, core.CodeUnauthenticated},
		{"nobody was asked", "ada-at-corp", map[string]any{"auth_time": 1}, core.CodeUnauthenticated},
		{"the provider does not say", "ada-at-corp", map[string]any{"auth_time": nil}, core.CodeUnauthenticated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			to, flow := r.begin("", "corp", "/")
			g, _, err := r.finish(flow, r.idp.authorize(t, to, "ada-at-corp", nil), callback)
			if err != nil {
				t.Fatal(err)
			}
			r.clock.add(time.Hour)
			to, flow, err = r.logins.Begin(context.Background(), "", "corp", "/", callback, g.Login)
			if err != nil || !strings.Contains(to, "prompt=login") || !strings.Contains(to, "max_age=0") {
				t.Fatal(to, err)
			}
			next, _, err := r.finish(flow, r.idp.authorize(t, to, tt.sub, tt.more), callback)
			if codeOf(err) != tt.want {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			if err == nil && (!r.logins.Proved(next.Login) || r.find(g.Cookie) == "" || r.find(next.Cookie) != "") {
				t.Error("the new login does not take the place of the old")
			}
			if err != nil && r.find(g.Cookie) != "" {
				t.Error("the old login is gone")
			}
		})
	}
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	if _, _, err := r.logins.Begin(context.Background(), "", "corp", "/", callback, r.mustLogin("ada").Login); codeOf(err) != core.CodeInvalid {
		t.Errorf("a login by password is proved by a provider: %v", err)
	}
}

// No secret that passes through here stands in an error, a log, the trail or a row.
func TestCanaries(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	r.user(core.User{ID: "u1", Name: "ada"}, password)
	api := r.mint(core.Token{ID: "t1", User: "u1"})
	access := r.token(jwt.MapClaims{"sub": "x"})
	bad := strings.TrimSuffix(access, access[len(access)-4:]) + "AAAA"
	setup := core.Secret(strings.Repeat("canary", 7))
	secrets := []string{password, "canary-wrong-password", api, access, bad, "canary-client-secret", "operator-token-canary", setup.Reveal(), "upstream-access"}
	var said []string
	note := func(err error) {
		if err != nil {
			said = append(said, fmt.Sprintf("%v %+v %#v", err, *core.AsError(err), core.AsError(err).Err), core.AsError(err).Public(), core.AsError(err).Challenge)
		}
	}
	for _, down := range []bool{false, true} {
		r.store.down = down
		r.idp.mu.Lock()
		r.idp.down = down
		r.idp.mu.Unlock()
		for _, credential := range []string{api, api + "x", access, bad, "operator-token-canary", "operator-token-canary-not"} {
			_, err := r.a.Authenticate(ctx, request(credential))
			note(err)
			_, err = r.a.Identify(core.Secret(credential), "")
			note(err)
		}
		g, err := r.login("ada", password)
		note(err)
		_, err = r.login("ada", "canary-wrong-password")
		note(err)
		_, err = r.login(password, "canary-wrong-password") // in the wrong field
		note(err)
		_, err = r.logins.Setup(ctx, setup, FirstUser{Name: "x", Password: password}, From{})
		note(err)
		note(CheckPassword("x", "short"))
		if g != nil {
			secrets = append(secrets, g.Cookie.Reveal(), g.CSRF.Reveal())
			note(r.logins.Prove(ctx, g.Login, "canary-wrong-password", From{}))
			note(r.logins.CheckCSRF(g.Login, "canary-wrong-password"))
			said = append(said, fmt.Sprintf("%v %+v", g, g))
		}
		to, flow, err := r.logins.Begin(ctx, "", "corp", "/", callback, nil)
		note(err)
		if err == nil {
			secrets = append(secrets, flow.Reveal())
			query := r.idp.authorize(t, to, "ada-at-corp", nil)
			secrets = append(secrets, query.Get("code"))
			r.idp.mu.Lock()
			r.idp.codes = map[string]*grantedCode{}
			r.idp.mu.Unlock()
			_, _, err = r.finish(flow, query, callback)
			note(err)
		}
		r.provisionAll()
		r.a.refreshKeys(ctx)
		r.a.flushUses(ctx)
	}
	for i := range r.store.trail {
		said = append(said, fmt.Sprintf("%+v", r.store.trail[i]))
	}
	for _, row := range r.store.rows {
		if p, ok := row.(*core.Provider); ok {
			row = &core.Provider{ID: p.ID} // sealed, by a sealer that does not seal
		}
		said = append(said, fmt.Sprintf("%+v", row))
	}
	said = append(said, r.log.String())
	if len(said) < 20 {
		t.Fatalf("only %d texts", len(said))
	}
	for _, secret := range secrets {
		for _, text := range said {
			if strings.Contains(text, secret) {
				t.Errorf("%q stands in %q", secret, text)
			}
		}
	}
}
