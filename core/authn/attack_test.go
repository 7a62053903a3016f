package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/core"
)

// attack is one way to get in, or further in, that must not work. run returns whether it
// did. weaken switches off the one defence: the same attack then works, which shows that
// it was this defence that stopped it.
type attack struct {
	name   string
	weaken func(r *rig)
	run    func(r *rig) bool
}

func without(name string) func(*rig) { return func(r *rig) { r.leave(name) } }

// unsigned believes signatures without looking: a resource server that was built wrong.
func unsigned(r *rig) {
	r.a.verify = func(context.Context, *issuer, string, *signed) error { return nil }
}

// opens tells whether a token opens the server.
func (r *rig) opens(token string) bool { return r.code(request(token)) == "" }

func (r *rig) publicPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		r.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// begin begins a login at a provider.
func (r *rig) begin(tenant, provider, returnTo string) (string, core.Secret) {
	r.t.Helper()
	to, flow, err := r.logins.Begin(context.Background(), tenant, provider, returnTo, callback, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return to, flow
}

func (r *rig) finish(flow core.Secret, query url.Values, redirect string) (*Granted, string, error) {
	return r.logins.Finish(context.Background(), flow, query, redirect, From{Address: "192.0.2.7"})
}

// queryHeader is a server that also takes ?access_token=.
type queryHeader struct {
	http.Header
	query url.Values
}

func (h queryHeader) Get(name string) string {
	if v := h.query.Get("access_token"); name == "Authorization" && v != "" {
		return "Bearer " + v
	}
	return h.Header.Get(name)
}

var attacks = []attack{
	{"wrong audience", without("audience"), func(r *rig) bool {
		return r.opens(r.token(jwt.MapClaims{"aud": "https://elsewhere.example.com/mcp"}))
	}},
	{"the audience of another server here", without("audience"), func(r *rig) bool {
		return r.opens(r.token(jwt.MapClaims{"aud": []string{"https://mcp.example.com/billing/mcp", "https://mcp.example.com"}}))
	}},
	{"no audience", without("audience"), func(r *rig) bool { return r.opens(r.token(jwt.MapClaims{"aud": nil})) }},
	{"wrong issuer", without("issuer"), func(r *rig) bool {
		return r.opens(r.token(jwt.MapClaims{"iss": r.idp.URL + "/"}))
	}},
	{"alg none", unsigned, func(r *rig) bool {
		token := jwt.NewWithClaims(jwt.SigningMethodNone, r.claimsFor(nil))
		token.Header["typ"] = "at+jwt"
		text, err := token.SignedString(jwt.UnsafeAllowNoneSignatureType)
		if err != nil {
			r.t.Fatal(err)
		}
		return r.opens(text) || r.opens(text+"AA")
	}},
	{"HS256 with the public key", func(r *rig) {
		key := r.publicPEM()
		r.a.verify = func(_ context.Context, _ *issuer, token string, _ *signed) error {
			_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithTimeFunc(r.clock.now)) // as many did in 2015
			return err
		}
	}, func(r *rig) bool {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, r.claimsFor(nil))
		token.Header["kid"] = "rsa"
		text, err := token.SignedString(r.publicPEM())
		if err != nil {
			r.t.Fatal(err)
		}
		return r.opens(text)
	}},
	{"a key of the attacker, its id unknown", unsigned, func(r *rig) bool {
		return r.opens(signWith(newEC(elliptic.P256()), "mine", "at+jwt", r.claimsFor(nil)))
	}},
	{"a key of the attacker in the header", func(r *rig) {
		r.a.verify = func(_ context.Context, _ *issuer, token string, t *signed) error {
			x, _ := t.header["jwk"].(map[string]any)
			raw, _ := json.Marshal(x)
			k, _ := parseKey(raw)
			_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return k.public, nil }, jwt.WithTimeFunc(r.clock.now))
			return err
		}
	}, func(r *rig) bool {
		k := newEC(elliptic.P256())
		token := jwt.NewWithClaims(jwt.SigningMethodES256, r.claimsFor(nil))
		token.Header["jwk"], token.Header["kid"] = publicJWK("ec", k.Public()), "ec"
		text, err := token.SignedString(k)
		if err != nil {
			r.t.Fatal(err)
		}
		return r.opens(text)
	}},
	{"tampered payload", unsigned, func(r *rig) bool {
		parts := strings.Split(r.token(nil), ".")
		body, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			r.t.Fatal(err)
		}
		parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), "ada-at-corp", "eve-at-corp", 1)))
		return r.opens(strings.Join(parts, "."))
	}},
	{"expired", without("expired"), func(r *rig) bool {
		return r.opens(r.token(jwt.MapClaims{"exp": r.clock.now().Add(-61 * time.Second).Unix()}))
	}},
	{"good for ever", without("expired"), func(r *rig) bool { return r.opens(r.token(jwt.MapClaims{"exp": nil})) }},
	{"not yet valid", without("not yet"), func(r *rig) bool {
		return r.opens(r.token(jwt.MapClaims{"nbf": r.clock.now().Add(62 * time.Second).Unix()}))
	}},
	{"issued in the future", without("issued"), func(r *rig) bool {
		return r.opens(r.token(jwt.MapClaims{"iat": r.clock.now().Add(time.Hour).Unix(), "exp": r.clock.now().Add(2 * time.Hour).Unix()}))
	}},
	{"ID token as access token", without("id token"), func(r *rig) bool {
		c := r.claimsFor(jwt.MapClaims{"aud": []string{"sallyport", resource}, "nonce": "n", "azp": "sallyport"})
		return r.opens(r.idp.sign("ec", "JWT", c))
	}},
	{"a token of another sort", without("type"), func(r *rig) bool { return r.opens(r.idp.sign("ec", "logout+jwt", r.claimsFor(nil))) }},
	{"a critical header that we do not know", without("critical"), func(r *rig) bool {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, r.claimsFor(nil))
		token.Header["kid"], token.Header["crit"], token.Header["exp"] = "ec", []string{"exp"}, 0
		text, err := token.SignedString(ecKey())
		if err != nil {
			r.t.Fatal(err)
		}
		return r.opens(text)
	}},
	{"a token of another tenant's provider", without("tenant"), func(r *rig) bool {
		return r.opens(r.other.sign("ec", "at+jwt", r.claimsFor(jwt.MapClaims{"iss": r.other.URL})))
	}},
	{"a token that was revoked by its jti", without("revoked"), func(r *rig) bool {
		r.store.set(&core.Revocation{Tenant: core.DefaultTenant, Of: "jwt", ID: RevokedJTI(r.idp.URL, "jti-1"), At: r.clock.now()})
		r.use()
		return r.opens(r.token(nil))
	}},
	{"a token that was revoked by its hash", without("revoked"), func(r *rig) bool {
		token := r.token(jwt.MapClaims{"jti": nil})
		if !r.opens(token) {
			r.t.Fatal("the token was not good before")
		}
		r.store.set(&core.Revocation{Tenant: core.DefaultTenant, Of: "jwt", ID: RevokedToken(token), At: r.clock.now()})
		r.use()
		return r.opens(token)
	}},
	{"a token from before its subject was revoked", without("revoked"), func(r *rig) bool {
		token := r.token(nil)
		r.clock.add(time.Minute)
		r.store.set(&core.Revocation{Tenant: core.DefaultTenant, Of: "subject", ID: Subject(core.DefaultTenant, "corp", "ada-at-corp"), At: r.clock.now()})
		r.use()
		return r.opens(token)
	}},
	{"more than was granted", without("scope"), func(r *rig) bool {
		req := request(r.token(nil))
		who, err := r.who(req)
		if err != nil {
			r.t.Fatal(err)
		}
		return r.a.Scopes(who, []string{"tools:write"}, req) == nil
	}},
	{"token in the query", nil, func(r *rig) bool {
		req := request("")
		req.Header = http.Header{}
		to, _ := url.Parse(resource + "?access_token=" + r.token(nil))
		if r.a.skip["query"] {
			req.Header = queryHeader{http.Header{}, to.Query()}
		}
		return r.code(req) == ""
	}},
	{"two credentials at once", nil, func(r *rig) bool {
		h := header(r.token(nil))
		h.Add("Authorization", "Bearer "+r.token(jwt.MapClaims{"sub": "eve"}))
		req := request("")
		req.Header = h
		if r.a.skip["query"] {
			req.Header = queryHeader{http.Header{"Authorization": h["Authorization"][:1]}, nil} // a server that sees the first
		}
		return r.code(req) == ""
	}},

	{"a state that comes back twice", without("replay"), func(r *rig) bool {
		r.idp.spent = true // and a provider that takes codes twice
		to, flow := r.begin("", "corp", "/")
		query := r.idp.authorize(r.t, to, "ada-at-corp", nil)
		if _, _, err := r.finish(flow, query, callback); err != nil {
			r.t.Fatal(err)
		}
		_, _, err := r.finish(flow, query, callback)
		return err == nil
	}},
	{"a state that comes back to another replica", without("replay"), func(r *rig) bool {
		r.idp.spent = true
		to, flow := r.begin("", "corp", "/")
		query := r.idp.authorize(r.t, to, "ada-at-corp", nil)
		if _, _, err := r.finish(flow, query, callback); err != nil {
			r.t.Fatal(err)
		}
		here := r.logins
		r.logins = NewLogins(r.a, LoginOptions{Passwords: r.passwords}) // it remembers nothing itself
		r.logins.skip = here.skip
		defer func() { r.logins = here }()
		_, _, err := r.finish(flow, query, callback)
		return err == nil
	}},
	{"a login that somebody else began", without("state"), func(r *rig) bool { // login CSRF
		to, _ := r.begin("", "corp", "/")
		eve := r.idp.authorize(r.t, to, "eve-at-corp", nil)
		toVictim, flow := r.begin("", "corp", "/")
		if r.logins.skip["state"] { // the rest would stop it too
			eve = r.idp.authorize(r.t, toVictim, "eve-at-corp", nil)
			eve.Set("state", "of another")
		}
		_, _, err := r.finish(flow, eve, callback)
		return err == nil
	}},
	{"a code without its PKCE verifier", func(r *rig) { r.leave("pkce"); r.logins.skip["nonce"] = true }, func(r *rig) bool {
		// Eve saw the code of a victim, whose browser never brought it back, and puts it into
		// a flow of her own: code injection.
		toVictim, _ := r.begin("", "corp", "/")
		stolen := r.idp.authorize(r.t, toVictim, "victim-at-corp", nil).Get("code")
		toEve, flow := r.begin("", "corp", "/")
		mine := r.idp.authorize(r.t, toEve, "eve-at-corp", nil)
		mine.Set("code", stolen)
		g, _, err := r.finish(flow, mine, callback)
		return err == nil && g.Who.Subject == Subject(core.DefaultTenant, "corp", "victim-at-corp")
	}},
	{"an ID token made for another login", without("nonce"), func(r *rig) bool {
		r.idp.dress = func(c jwt.MapClaims) { c["nonce"] = "of another" }
		to, flow := r.begin("", "corp", "/")
		_, _, err := r.finish(flow, r.idp.authorize(r.t, to, "ada-at-corp", nil), callback)
		return err == nil
	}},
	{"mix-up of providers", without("iss"), func(r *rig) bool {
		// The victim begins at eve's provider (rival), which sends the browser on to corp.
		// corp's code comes back in a flow of rival and would be sent to eve.
		r.store.set(&core.Provider{Tenant: core.DefaultTenant, ID: "eve", Issuer: r.other.URL, Login: true, ClientID: "x", Stamp: core.Stamp{Version: 1}})
		r.idp.iss = true
		to, flow := r.begin("", "eve", "/")
		query := r.idp.authorize(r.t, to, "victim-at-corp", nil)
		_, _, _ = r.finish(flow, query, callback)
		return len(r.other.codesArrived) > 0
	}},
	{"no iss where the provider always says it", without("iss"), func(r *rig) bool {
		r.idp.iss = true
		to, flow := r.begin("", "corp", "/")
		query := r.idp.authorize(r.t, to, "ada-at-corp", nil)
		query.Del("iss")
		_, _, err := r.finish(flow, query, callback)
		return err == nil
	}},
	{"open redirect", without("return"), func(r *rig) bool {
		for _, to := range []string{"//evil.example.com/", "https://evil.example.com", `/\evil.example.com`, "/%5c/../\\evil", "/\tevil", "javascript:alert(1)", "", "/a\nb", "/%2f/evil\\"} {
			if _, _, err := r.logins.Begin(context.Background(), "", "corp", to, callback, nil); err == nil {
				return true
			}
		}
		return false
	}},
	{"another redirect URI", without("redirect"), func(r *rig) bool {
		to, flow := r.begin("", "corp", "/")
		_, _, err := r.finish(flow, r.idp.authorize(r.t, to, "ada-at-corp", nil), callback+"/")
		return err == nil
	}},
	{"a change from a page of others", without("csrf"), func(r *rig) bool {
		g, _ := r.login("ada", "correct horse 1")
		other, _ := r.login("ada", "correct horse 1")
		return r.logins.CheckCSRF(g.Login, "") == nil || r.logins.CheckCSRF(g.Login, other.CSRF) == nil
	}},
}

func TestAttacksFail(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			r := newRig(t)
			r.user(core.User{ID: "u1", Name: "ada"}, "correct horse 1")
			if a.run(r) {
				t.Error("the attack works")
			}
			if !r.opens(r.token(jwt.MapClaims{"jti": "another", "iat": r.clock.now().Unix(), "sub": "honest"})) {
				t.Error("an honest token is refused: the attack proves nothing")
			}
		})
		t.Run(a.name+", undefended", func(t *testing.T) {
			r := newRig(t)
			r.user(core.User{ID: "u1", Name: "ada"}, "correct horse 1")
			if a.weaken == nil {
				a.weaken = without("query")
			}
			a.weaken(r)
			if !a.run(r) {
				t.Error("without its defence the attack fails too: this test tests nothing")
			}
		})
	}
	if len(attacks) < 15 {
		t.Error("security.md, T9, wants 15")
	}
}

// Wrong curves and algorithms that a key was not made for.
func TestKeysFitTheirAlgorithms(t *testing.T) {
	p256, p384 := newEC(elliptic.P256()), newEC(elliptic.P384())
	tests := []struct {
		k    key
		alg  string
		want bool
	}{
		{key{public: rsaKey().Public()}, "RS256", true},
		{key{public: rsaKey().Public()}, "PS512", true},
		{key{public: rsaKey().Public()}, "ES256", false},
		{key{public: rsaKey().Public()}, "HS256", false},
		{key{public: rsaKey().Public(), alg: "RS256"}, "PS256", false},
		{key{public: p256.Public()}, "ES256", true},
		{key{public: p256.Public()}, "ES384", false},
		{key{public: p384.Public()}, "ES384", true},
		{key{public: p256.Public()}, "EdDSA", false},
		{key{public: (*ecdsa.PublicKey)(nil)}, "none", false},
	}
	for _, tt := range tests[:len(tests)-1] {
		if got := tt.k.fits(tt.alg); got != tt.want {
			t.Errorf("%T fits %s: %v", tt.k.public, tt.alg, got)
		}
	}
}
