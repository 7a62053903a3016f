package authn

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func TestAPIToken(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada", Title: "Ada", Roles: []string{"viewer", "editor"}, Everywhere: []string{"auditor", "admin"}, Groups: []string{"ops", "devs"}}, "")
	r.user(core.User{ID: "u2", Name: "bob", Tenant: "acme", Everywhere: []string{"admin"}}, "")
	r.user(core.User{ID: "u3", Name: "eve", Disabled: true}, "")
	r.user(core.User{ID: "u4", Name: "old", Valid: r.clock.now().Add(time.Second)}, "")
	r.user(core.User{ID: "u5", Name: "lost", Tenant: "gone"}, "")
	soon, now := r.clock.now().Add(time.Minute), r.clock.now()
	good := r.mint(core.Token{ID: "t1", User: "u1"})
	narrow := r.mint(core.Token{ID: "t2", User: "u1", Scopes: []string{"tool:call:github/*"}})
	short := r.mint(core.Token{ID: "t3", User: "u1", Expires: &soon})
	acme := r.mint(core.Token{ID: "t4", Tenant: "acme", User: "u2"})
	tests := []struct {
		name, token, tenant string
		good                bool
	}{
		{"good", good, "", true},
		{"named tenant", good, core.DefaultTenant, true},
		{"in another tenant", good, "acme", false},
		{"of another tenant", acme, "", false},
		{"at home there", acme, "acme", true},
		{"narrow", narrow, "", true},
		{"short", short, "", true},
		{"revoked", r.mint(core.Token{ID: "t5", User: "u1", Revoked: &now}), "", false},
		{"of a disabled user", r.mint(core.Token{ID: "t6", User: "u3"}), "", false},
		{"of nobody", r.mint(core.Token{ID: "t7", User: "u9"}), "", false},
		{"from before Valid", r.mint(core.Token{ID: "t8", User: "u4"}), "", false},
		{"in a disabled tenant", r.mint(core.Token{ID: "t9", Tenant: "gone", User: "u5"}), "gone", false},
		{"with other characters", good + ",x", "", false},
		{"unknown", strings.Replace(good, "spt_live", "spt_test", 1), "", false},
		{"expired already", r.mint(core.Token{ID: "ta", User: "u1", Expires: &now}), "", false},
	}
	var refusals []string
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time from the cache
				req := request(tt.token)
				req.Tenant = tt.tenant
				_, err := r.who(req)
				if tt.good != (err == nil) {
					t.Fatalf("%v", err)
				}
				if err != nil && tt.tenant == "" {
					refusals = append(refusals, err.Error()+err.Challenge)
				}
			}
		})
	}
	slices.Sort(refusals)
	if len(slices.Compact(refusals)) != 1 {
		t.Errorf("refusals differ: %q", refusals)
	}

	who, _ := r.who(request(good))
	if who.Subject != "u1" || who.In() != core.DefaultTenant || !slices.Equal(who.Roles, []string{"editor", "publisher", "viewer"}) ||
		!slices.Equal(who.Everywhere, []string{"admin", "auditor"}) || who.Scopes != nil || who.Via != core.ViaToken || who.Credential != "t1" || who.Address != "192.0.2.7" || who.Name != "Ada" {
		t.Errorf("%+v", who)
	}
	if who, _ := r.who(request(narrow)); !slices.Equal(who.Scopes, []string{"tool:call:github/*"}) {
		t.Errorf("narrow: %+v", who)
	}
	req := request(acme)
	req.Tenant = "acme"
	if who, _ := r.who(req); who.Everywhere != nil {
		t.Errorf("a user of acme has roles everywhere: %v", who.Everywhere)
	}
	r.clock.add(time.Minute)
	if r.code(request(short)) != core.CodeUnauthenticated {
		t.Error("the cache outlives the token")
	}
	if who, err := r.a.Identify(core.Secret(acme), "192.0.2.8"); err != nil || who.In() != "acme" || who.Address != "192.0.2.8" {
		t.Errorf("Identify: %+v %v", who, err)
	}
	if _, err := r.a.Identify("nonsense", ""); codeOf(err) != core.CodeUnauthenticated {
		t.Errorf("Identify: %v", err)
	}
	// What a new State takes back is gone at once, whatever the cache says.
	token := *r.store.rows[core.Key{Kind: "token", Tenant: core.DefaultTenant, ID: "t1"}].(*core.Token)
	token.Revoked = &now
	r.store.set(&token)
	r.use()
	if r.code(request(good)) != core.CodeUnauthenticated {
		t.Error("a revoked token is good")
	}
}

func TestOperator(t *testing.T) {
	r := newRig(t)
	req := request("operator-token-canary")
	req.Tenant = "acme"
	who, err := r.who(req)
	if err != nil || who.Via != core.ViaOperator || who.In() != "acme" || !slices.Equal(who.Everywhere, []string{"admin"}) {
		t.Errorf("%+v %v", who, err)
	}
	if r.code(request("operator-token-canarz")) != core.CodeUnauthenticated {
		t.Error("nearly the operator's token is good")
	}
	none := New(Options{Now: r.clock.now})
	none.Use(&core.State{})
	if _, err := none.Authenticate(context.Background(), request("x")); codeOf(err) != core.CodeUnauthenticated {
		t.Error(err)
	}
	if _, err := New(Options{}).Authenticate(context.Background(), request("x")); codeOf(err) != core.CodeUnavailable {
		t.Error("somebody is let in before there is a State")
	}
}

func TestAnonymous(t *testing.T) {
	r := newRig(t)
	open := request("")
	open.Server.Access.Anonymous = true
	if who, err := r.who(open); err != nil || !who.Anonymous() || who.Address != "192.0.2.7" {
		t.Errorf("%+v %v", who, err)
	}
	wrong := request("nonsense")
	wrong.Server.Access.Anonymous = true
	if r.code(wrong) != core.CodeUnauthenticated {
		t.Error("a wrong credential is let in as nobody")
	}
	wrong.Header = header("")
	wrong.Header.(interface{ Set(string, string) }).Set("Authorization", "Basic YTpi")
	if r.code(wrong) != core.CodeUnauthenticated {
		t.Error("another scheme is let in as nobody")
	}
	open.Tenant = "gone"
	if r.code(open) != core.CodeUnauthenticated {
		t.Error("a disabled tenant is open")
	}
	// An operation that wants scopes asks somebody who came without a credential for one.
	open.Tenant = ""
	err := core.AsError(r.a.Scopes(core.Identity{}, []string{"tools:write"}, open))
	if err.Code != core.CodeUnauthenticated || !strings.Contains(err.Challenge, `scope="tools:write"`) {
		t.Errorf("%v %s", err, err.Challenge)
	}
}

func TestChallenge(t *testing.T) {
	r := newRig(t)
	const metadata = `resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/github/mcp"`
	scoped := func(credential string) *core.AuthRequest {
		req := request(credential)
		req.Server.Access.Scopes = []string{"tools:read", "offline_access", `a"b`}
		return req
	}
	tests := []struct {
		name string
		req  *core.AuthRequest
		code core.Code
		want string
	}{
		{"nothing", request(""), core.CodeUnauthenticated, "Bearer " + metadata},
		{"wrong", request("x"), core.CodeUnauthenticated, `Bearer error="invalid_token", ` + metadata},
		{"scopes", scoped(""), core.CodeUnauthenticated, "Bearer " + metadata + `, scope="tools:read"`},
		{"too little", func() *core.AuthRequest {
			req := request(r.token(nil))
			req.Server.Access.Scopes = []string{"admin"}
			return req
		}(), core.CodeScope, `Bearer error="insufficient_scope", ` + metadata + `, scope="admin"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.who(tt.req)
			if err == nil || err.Code != tt.code || err.Challenge != tt.want {
				t.Errorf("%v\n got %s\nwant %s", err, err.Challenge, tt.want)
			}
		})
	}
	// Step up: all scopes of the operation in one challenge.
	req := request(r.token(nil))
	req.Server.Access.Scopes = []string{"tools:read"}
	who, err := r.who(req)
	if err != nil {
		t.Fatal(err)
	}
	up := core.AsError(r.a.Scopes(who, []string{"tools:write", "files:write"}, req))
	if up.Code != core.CodeScope || !strings.Contains(up.Challenge, `scope="tools:read tools:write files:write"`) {
		t.Errorf("%s", up.Challenge)
	}
	if err := r.a.Scopes(who, []string{"files:write"}, req); err != nil { // granted files:*
		t.Error(err)
	}
	// A tenant without an authorization server names none.
	plain := request("")
	plain.Tenant = "gone"
	if _, err := r.who(plain); err.Challenge != "Bearer" {
		t.Errorf("%s", err.Challenge)
	}
	// A URL that would end the quotes does not.
	evil := request("")
	evil.Metadata = "https://x/\", scope=\"all\r\nSet-Cookie: a"
	if _, err := r.who(evil); strings.ContainsAny(err.Challenge, "\r\n") || strings.Count(err.Challenge, `"`) != 2 {
		t.Errorf("%q", err.Challenge)
	}
}

func TestGranted(t *testing.T) {
	tests := []struct {
		has, need string
		want      bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a:*", "a:b", true},
		{"a:*", "a:b:c", true},
		{"a:*", "ab", false},
		{"*", "a", false},
		{":*", ":a", false},
		{"a*", "ab", false},
		{"a.*", "a.b", true},
		{"a/*", "a/", false},
		{"A", "a", false},
	}
	for _, tt := range tests {
		if got := granted([]string{"x", tt.has}, tt.need); got != tt.want {
			t.Errorf("%s covers %s: %v", tt.has, tt.need, got)
		}
	}
}

// Who has no credential cannot tell which servers there are.
func TestMissingServersLookLikeOthers(t *testing.T) {
	r := newRig(t)
	r.a.scopeSets = func(string) [][]string { return [][]string{{"mcp"}} }
	there, missing := request(""), request("")
	there.Server.Access.Scopes = []string{"mcp"}
	missing.Server = nil
	_, one := r.who(there)
	_, two := r.who(missing)
	if one.Error() != two.Error() || one.Challenge != two.Challenge || one.Code != two.Code {
		t.Errorf("%v %s\n%v %s", one, one.Challenge, two, two.Challenge)
	}
	a, okA := r.a.Metadata(there)
	b, okB := r.a.Metadata(missing)
	if string(a) != string(b) || !okA || !okB {
		t.Errorf("%s\n%s", a, b)
	}
	r.a.scopeSets = nil // without the sets, the scopes would tell
	if _, two := r.who(missing); two.Challenge == one.Challenge {
		t.Error("this test tests nothing")
	}
	if who, err := r.who(&core.AuthRequest{Resource: resource, Header: header(r.token(nil))}); err != nil || who.Anonymous() {
		t.Errorf("a good token at no server: %v; the caller says 404", err)
	}
}

func TestMetadata(t *testing.T) {
	r := newRig(t)
	req := request("")
	req.Server.Access.Scopes = []string{"tools:read", "offline_access"}
	body, ok := r.a.Metadata(req)
	var m struct {
		Resource string   `json:"resource"`
		Issuers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Methods  []string `json:"bearer_methods_supported"`
	}
	if err := wire.Unmarshal(body, &m); err != nil || !ok {
		t.Fatal(err, ok)
	}
	if m.Resource != resource || !slices.Equal(m.Issuers, []string{r.idp.URL}) || !slices.Equal(m.Scopes, []string{"tools:read"}) || !slices.Equal(m.Methods, []string{"header"}) {
		t.Errorf("%s", body)
	}
	for _, tenant := range []string{"gone", "nobody"} {
		req.Tenant = tenant
		if _, ok := r.a.Metadata(req); ok {
			t.Errorf("tenant %s has metadata", tenant)
		}
	}
}

func TestLastUse(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, "")
	token := r.mint(core.Token{ID: "t1", User: "u1"})
	reads := r.store.reads
	for range 5 {
		if err := r.code(request(token)); err != "" {
			t.Fatal(err)
		}
		r.clock.add(10 * time.Second)
	}
	if r.store.reads != reads || r.store.appended != 0 {
		t.Error("a call touched the store")
	}
	r.store.down = true
	r.a.flushUses(context.Background())
	r.store.down = false
	r.a.flushUses(context.Background())
	at := r.store.rows[core.Key{Kind: "token", Tenant: core.DefaultTenant, ID: "t1"}].(*core.Token).LastUsed
	if r.store.appended != 1 || at == nil || !at.Equal(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("written %d times, %v", r.store.appended, at)
	}
	r.a.flushUses(context.Background())
	if r.store.appended != 1 {
		t.Error("written again")
	}
}

func TestOAuthIdentity(t *testing.T) {
	r := newRig(t)
	who, err := r.who(request(r.token(jwt.MapClaims{"groups": []string{"devs", "x"}})))
	if err != nil {
		t.Fatal(err)
	}
	subject := Subject(core.DefaultTenant, "corp", "ada-at-corp")
	if who.Subject != subject || !slices.Equal(who.Roles, []string{"editor", "member"}) || !slices.Equal(who.Scopes, []string{"tools:read", "files:*"}) || who.Via != core.ViaOAuth || who.Everywhere != nil {
		t.Errorf("%+v", who)
	}
	if none, _ := r.who(request(r.token(jwt.MapClaims{"scope": nil, "sub": "b"}))); none.Scopes == nil {
		t.Error("a token without scopes is not narrowed")
	}
	// Made meanwhile, with the same id.
	r.provisionAll()
	u := r.store.rows[core.Key{Kind: "user", Tenant: core.DefaultTenant, ID: subject}].(*core.User)
	if u.Name != "ada" || u.Provider != "corp" || u.External != "ada-at-corp" || !slices.Equal(u.Groups, []string{"devs", "x"}) || u.Password != "" {
		t.Errorf("%+v", u)
	}
	second := r.store.rows[core.Key{Kind: "user", Tenant: core.DefaultTenant, ID: Subject(core.DefaultTenant, "corp", "b")}].(*core.User)
	if second.Name == u.Name || !strings.HasPrefix(second.Name, "ada-") {
		t.Errorf("two users are called %q", second.Name)
	}
	if again, _ := r.who(request(r.token(jwt.MapClaims{"groups": []string{"devs", "x"}}))); again.Subject != subject {
		t.Errorf("another subject: %+v", again)
	}
	// New groups are kept once, by a token that is newer than the row, and do not flap.
	r.clock.add(time.Minute)
	old := r.token(jwt.MapClaims{"groups": []string{"devs"}, "iat": r.clock.now().Add(-30 * time.Second).Unix()})
	late := r.token(jwt.MapClaims{"groups": []string{"ops"}, "iat": r.clock.now().Add(-20 * time.Second).Unix()})
	changes := r.store.changes
	for range 4 {
		for _, token := range []string{late, old} {
			if code := r.code(request(token)); code != "" {
				t.Fatal(code)
			}
			r.provisionAll()
		}
	}
	if r.store.changes != changes+1 {
		t.Errorf("%d changes of groups", r.store.changes-changes)
	}
	// Disabled is out, whatever the issuer says.
	u = r.store.rows[core.Key{Kind: "user", Tenant: core.DefaultTenant, ID: subject}].(*core.User)
	off := *u
	off.Disabled = true
	r.store.set(&off)
	r.use()
	if r.code(request(r.token(nil))) != core.CodeUnauthenticated {
		t.Error("a disabled user is let in")
	}
}

// provisionAll does what Run does with who waits.
func (r *rig) provisionAll() {
	for len(r.a.provisions) > 0 {
		r.a.provision(context.Background(), <-r.a.provisions)
	}
	r.use()
}

func TestUnknownSubjects(t *testing.T) {
	r := newRig(t)
	p := *r.store.rows[core.Key{Kind: "provider", Tenant: core.DefaultTenant, ID: "corp"}].(*core.Provider)
	p.Provision = false
	r.store.set(&p)
	r.user(core.User{ID: "local", Name: "ada", Email: "ada@example.com"}, "")
	// The same name and address are not the same person.
	if r.code(request(r.token(jwt.MapClaims{"email": "ada@example.com", "email_verified": true}))) != core.CodeUnauthenticated {
		t.Error("somebody is found by e-mail address")
	}
	r.user(core.User{ID: "u7", Name: "ada2", Provider: "corp", External: "ada-at-corp", Roles: []string{"viewer"}, Groups: []string{"ops"}}, "")
	who, err := r.who(request(r.token(nil)))
	if err != nil || who.Subject != "u7" || !slices.Equal(who.Roles, []string{"publisher", "viewer"}) {
		t.Errorf("%+v %v", who, err)
	}
}

// The whole of Run: what is used is written, who is new is made, and it ends.
func TestRun(t *testing.T) {
	r := newRig(t)
	r.user(core.User{ID: "u1", Name: "ada"}, "")
	token := r.mint(core.Token{ID: "t1", User: "u1"})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { r.a.Run(ctx); close(ended) }()
	if r.code(request(token)) != "" || r.code(request(r.token(nil))) != "" {
		t.Fatal("not let in")
	}
	for len(r.store.actions()) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	if got := r.store.actions(); !slices.Equal(got, []string{"user.provision"}) || r.store.appended != 1 {
		t.Errorf("%v, %d uses written", got, r.store.appended)
	}
}
