package authn

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/core"
)

func TestAlgorithms(t *testing.T) {
	r := newRig(t)
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.idp.keys = map[string]crypto.Signer{
		"ec": ecKey(), "p384": newEC(elliptic.P384()), "p521": newEC(elliptic.P521()), "rsa": rsaKey(), "ed": ed,
	}
	for kid := range r.idp.keys {
		for _, typ := range []string{"at+jwt", "application/at+JWT", "JWT", "jwt"} {
			if code := r.code(request(r.idp.sign(kid, typ, r.claimsFor(jwt.MapClaims{"sub": kid})))); code != "" {
				t.Errorf("%s %s: %s", kid, typ, code)
			}
		}
	}
	ps := signWith(rsaKey(), "ps", "JWT", r.claimsFor(nil))
	if code := r.code(request(ps)); code != core.CodeUnauthenticated {
		t.Errorf("an unknown key id: %q", code)
	}
	// Without a key id it is the only key of that sort, or none.
	if code := r.code(request(signWith(ed, "", "JWT", r.claimsFor(nil)))); code != "" {
		t.Errorf("the only Ed25519 key: %s", code)
	}
	r.idp.keys["ed2"] = func() crypto.Signer { _, k, _ := ed25519.GenerateKey(nil); return k }()
	r.clock.add(time.Minute)
	r.a.refreshKeys(context.Background())
	if code := r.code(request(signWith(ed, "", "JWT", r.claimsFor(jwt.MapClaims{"jti": "x"})))); code != core.CodeUnauthenticated {
		t.Errorf("one of two Ed25519 keys: %q", code)
	}
}

func TestBadTokens(t *testing.T) {
	r := newRig(t)
	good := r.token(nil)
	parts := strings.Split(good, ".")
	twice := encode64([]byte(`{"alg":"ES256","kid":"ec","alg":"none"}`))
	for name, token := range map[string]string{
		"two parts": parts[0] + "." + parts[1], "four parts": good + ".x", "no signature": parts[0] + "." + parts[1] + ".",
		"too long":                    good + strings.Repeat("A", maxCredential),
		"padding":                     good + "==",
		"a name twice in the header":  twice + "." + parts[1] + "." + parts[2],
		"a name twice in the payload": parts[0] + "." + encode64([]byte(`{"iss":"`+r.idp.URL+`","iss":"x"}`)) + "." + parts[2],
		"not JSON":                    parts[0] + "." + encode64([]byte("hello")) + "." + parts[2],
		"exp is a text":               r.token(jwt.MapClaims{"exp": "2099"}),
		"no subject":                  r.token(jwt.MapClaims{"sub": nil}),
		"endless subject":             r.token(jwt.MapClaims{"sub": strings.Repeat("a", 256)}),
		"ID token by its hash":        r.idp.sign("ec", "JWT", r.claimsFor(jwt.MapClaims{"at_hash": "x"})),
		"Keycloak's ID token":         r.idp.sign("ec", "JWT", r.claimsFor(jwt.MapClaims{"typ": "ID"})),
		"refresh token":               r.idp.sign("ec", "JWT", r.claimsFor(jwt.MapClaims{"typ": "Refresh"})),
	} {
		if code := r.code(request(token)); code != core.CodeUnauthenticated {
			t.Errorf("%s: %q", name, code)
		}
	}
	for name, claims := range map[string]jwt.MapClaims{
		"one of several audiences":        {"aud": []string{"x", resource}},
		"written otherwise":               {"aud": "HTTPS://MCP.example.com/github/mcp/"},
		"within the leeway":               {"exp": r.clock.now().Add(-59 * time.Second).Unix(), "nbf": r.clock.now().Add(59 * time.Second).Unix()},
		"scp":                             {"scope": nil, "scp": []string{"a", "b"}},
		"a nonce, but for us as resource": {"nonce": "n"},
	} {
		if code := r.code(request(r.token(claims))); code != "" {
			t.Errorf("%s: %s", name, code)
		}
	}
	// An audience of the settings opens every server of the tenant.
	p := *r.store.rows[core.Key{Kind: "provider", Tenant: core.DefaultTenant, ID: "corp"}].(*core.Provider)
	p.Audiences = []string{"api://gateway"}
	r.store.set(&p)
	r.use()
	if code := r.code(request(r.token(jwt.MapClaims{"aud": "api://gateway"}))); code != "" {
		t.Error(code)
	}
	// The cache does not make a token for one server good for another.
	one := r.token(jwt.MapClaims{"jti": "one"})
	if r.code(request(one)) != "" {
		t.Fatal("not good")
	}
	other := request(one)
	other.Resource = "https://mcp.example.com/billing/mcp"
	if r.code(other) != core.CodeUnauthenticated {
		t.Error("a cached token opens another server")
	}
}

func TestKeysAreKept(t *testing.T) {
	r := newRig(t)
	r.idp.down = true
	if _, err := r.who(request(r.token(nil))); err.Code != core.CodeUnavailable || err.RetryAfter == 0 {
		t.Errorf("issuer away: %v", err)
	}
	for range 20 { // nor is it asked again for each
		r.code(request(r.token(nil)))
	}
	if n := r.idp.asked("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("asked %d times while away", n)
	}
	r.idp.down = false
	r.clock.add(firstAgain)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { r.code(request(r.token(nil))) })
	}
	all.Wait()
	if n := r.idp.asked("/jwks"); n != 1 {
		t.Errorf("keys asked for %d times by ten callers", n)
	}
	// Strangers' key ids make us ask every 30 s at most.
	mine := newEC(elliptic.P256())
	for range 20 {
		r.code(request(signWith(mine, "mine", "JWT", r.claimsFor(nil))))
	}
	if n := r.idp.asked("/jwks"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// A new key is found then.
	r.idp.mu.Lock()
	r.idp.keys["new"] = mine
	r.idp.mu.Unlock()
	fresh := func(jti string) string { return signWith(mine, "new", "JWT", r.claimsFor(jwt.MapClaims{"jti": jti})) }
	if r.code(request(fresh("1"))) != core.CodeUnauthenticated {
		t.Error("asked too early")
	}
	r.clock.add(keysAgain)
	if code := r.code(request(fresh("2"))); code != "" {
		t.Errorf("the new key: %s", code)
	}
	// While the issuer is away its keys stay, for a day.
	r.idp.down = true
	r.clock.add(23 * time.Hour)
	r.a.refreshKeys(context.Background())
	if code := r.code(request(fresh("3"))); code != "" {
		t.Errorf("issuer away: %s", code)
	}
	r.clock.add(2 * time.Hour)
	if code := r.code(request(fresh("4"))); code != core.CodeUnavailable {
		t.Errorf("issuer away for ever: %q", code)
	}
	// A key that its issuer took back goes with the next refresh.
	r.idp.mu.Lock()
	r.idp.down = false
	delete(r.idp.keys, "new")
	r.idp.mu.Unlock()
	r.a.refreshKeys(context.Background())
	if code := r.code(request(fresh("5"))); code != core.CodeUnauthenticated {
		t.Errorf("a key taken back: %q", code)
	}
	if !strings.Contains(r.log.String(), "keys of an issuer not refreshed") {
		t.Error("nobody was told")
	}
}

func TestMetadataOfAnotherIssuer(t *testing.T) {
	r := newRig(t)
	r.idp.issuer = "https://evil.example.com"
	if _, err := r.who(request(r.token(nil))); err.Code != core.CodeUnavailable {
		t.Errorf("%v", err)
	}
}

func TestWellKnown(t *testing.T) {
	for from, want := range map[string]string{
		"https://a.example":      "https://a.example/.well-known/openid-configuration https://a.example/.well-known/oauth-authorization-server",
		"https://a.example/":     "https://a.example/.well-known/openid-configuration https://a.example/.well-known/oauth-authorization-server",
		"https://a.example/t/1":  "https://a.example/t/1/.well-known/openid-configuration https://a.example/.well-known/oauth-authorization-server/t/1 https://a.example/.well-known/openid-configuration/t/1",
		"https://a.example/t/1/": "https://a.example/t/1/.well-known/openid-configuration https://a.example/.well-known/oauth-authorization-server/t/1 https://a.example/.well-known/openid-configuration/t/1",
	} {
		if got := strings.Join(wellKnown(from), " "); got != want {
			t.Errorf("%s: %s", from, got)
		}
	}
	for url, want := range map[string]bool{
		"https://a.example/x": true, "http://a.example/x": false, "http://127.0.0.1:8080/x": true, "http://localhost/x": true, "http://[::1]/": true,
		"http://10.0.0.1/": false, "ftp://a/": false, "https://u:p@a/": false, "https://a/#f": false, "/x": false, "": false, "https://a/\nb": false,
	} {
		if got := endpoint(url); got != want {
			t.Errorf("endpoint(%q) = %v", url, got)
		}
	}
}

// An answer that does not end is given up.
func TestAnswersAreBounded(t *testing.T) {
	endless := roundTrip(func(request *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: endlessBody{}, Request: request}, nil
	})
	a := New(Options{Transport: endless})
	_, err := a.get(context.Background(), "keys", "https://a.example/")
	if codeOf(err) != core.CodeUnavailable || codeOf(core.AsError(err).Err) != core.CodeTooLarge {
		t.Errorf("%v", err)
	}
	if _, err := a.get(context.Background(), "keys", "http://a.example/"); codeOf(err) != core.CodeUnavailable {
		t.Errorf("plain http: %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type endlessBody struct{}

func (endlessBody) Read(p []byte) (int, error) { return len(p), nil }
func (endlessBody) Close() error               { return nil }

func TestIntrospection(t *testing.T) {
	r := newRig(t)
	p := *r.store.rows[core.Key{Kind: "provider", Tenant: core.DefaultTenant, ID: "corp"}].(*core.Provider)
	p.Introspection = r.idp.URL + "/introspect"
	p.GroupClaim = "realm.groups"
	r.store.set(&p)
	r.use()
	now := r.clock.now()
	says := func(more map[string]any) map[string]any {
		out := map[string]any{"active": true, "sub": "ada-at-corp", "aud": resource, "scope": "a b", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "realm": map[string]any{"groups": []string{"devs"}}}
		for k, v := range more {
			if out[k] = v; v == nil {
				delete(out, k)
			}
		}
		return out
	}
	r.idp.opaque = map[string]map[string]any{
		"good": says(nil), "with-issuer": says(map[string]any{"iss": r.idp.URL}), "no-exp": says(map[string]any{"exp": nil}),
		"inactive": says(map[string]any{"active": false}), "text": says(map[string]any{"active": "true"}), "expired": says(map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}),
		"elsewhere": says(map[string]any{"aud": "https://x/"}), "no-audience": says(map[string]any{"aud": nil}), "other-issuer": says(map[string]any{"iss": "https://x"}),
		"nobody": says(map[string]any{"sub": nil}), "not-yet": says(map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"short": says(map[string]any{"exp": now.Add(-30 * time.Second).Unix()}),
	}
	for token, want := range map[string]core.Code{
		"good": "", "with-issuer": "", "no-exp": "", "inactive": core.CodeUnauthenticated, "text": core.CodeUnauthenticated, "expired": core.CodeUnauthenticated,
		"elsewhere": core.CodeUnauthenticated, "no-audience": core.CodeUnauthenticated, "other-issuer": core.CodeUnauthenticated,
		"nobody": core.CodeUnauthenticated, "not-yet": core.CodeUnauthenticated, "unknown": core.CodeUnauthenticated,
	} {
		if got := r.code(request(token)); got != want {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
	if r.idp.lastAuth != "Basic "+basic("sallyport", "canary-client-secret") {
		t.Error("our client did not prove itself")
	}
	who, _ := r.who(request("good"))
	if strings.Join(who.Roles, " ") != "editor member" || strings.Join(who.Scopes, " ") != "a b" {
		t.Errorf("%+v", who)
	}
	asked := r.idp.asked("/introspect")
	for range 5 {
		r.code(request("good"))
		r.code(request("unknown"))
	}
	r.use() // a new State does not make us ask again either
	r.code(request("good"))
	if n := r.idp.asked("/introspect"); n != asked {
		t.Errorf("asked again: %d", n-asked)
	}
	r.clock.add(inactiveKept)
	r.code(request("unknown"))
	if n := r.idp.asked("/introspect"); n != asked+1 {
		t.Errorf("an unknown token is remembered too long: %d", n-asked)
	}
	// Taken back at the issuer: gone within a minute.
	r.idp.mu.Lock()
	delete(r.idp.opaque, "good")
	r.idp.mu.Unlock()
	r.clock.add(activeKept)
	if r.code(request("good")) != core.CodeUnauthenticated {
		t.Error("still good")
	}
	r.idp.down = true
	if _, err := r.who(request("never-seen")); err.Code != core.CodeUnavailable {
		t.Errorf("issuer away: %v", err)
	}
	for i := range introspectNow {
		_ = i
		r.a.introspects.turn <- struct{}{}
	}
	if _, err := r.who(request("flood")); err.Code != core.CodeUnavailable {
		t.Errorf("flood: %v", err)
	}
}

func basic(name, password string) string {
	r, _ := http.NewRequest("GET", "https://x/", nil)
	r.SetBasicAuth(name, password)
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
}

func TestIntrospectionsAreBounded(t *testing.T) {
	in := newIntrospections()
	now := time.Unix(1000, 0)
	closed := make(chan struct{})
	close(closed)
	for i := range maxIntrospect {
		in.answers[introspection{version: int64(i)}] = &answer{done: closed, until: now.Add(time.Duration(i%2) * time.Minute)}
	}
	in.forget(now)
	if len(in.answers) != maxIntrospect/2 {
		t.Errorf("%d are kept", len(in.answers))
	}
	c := newCache()
	for i := range 3 * cacheShard {
		c.put(cacheKey{sum: [32]byte{0, byte(i), byte(i >> 8)}}, &believed{})
	}
	if n := len(c.shards[0].m); n > cacheShard {
		t.Errorf("a shard holds %d", n)
	}
}

func FuzzJWT(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJpc3MiOiJ4In0.AAAA")
	p := &core.Provider{Tenant: core.DefaultTenant, ID: "p", Issuer: "x", Resource: true, Provision: true}
	a := New(Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errRefused })})
	a.Use(&core.State{Providers: []core.Provider{*p}})
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := a.openJWT(context.Background(), a.index.Load(), token, aim{tenant: core.DefaultTenant, resource: resource, now: time.Unix(1, 0)}); err == nil {
			t.Errorf("%q is believed", token)
		}
		parsed, ok := takeApart(token)
		if ok && parsed.header == nil {
			t.Error("no header")
		}
	})
}
