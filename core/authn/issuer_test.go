package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return k
	})
	ecKey = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P256()) })
)

func newEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// idp is an authorization server and OpenID provider with keys of its own.
type idp struct {
	*httptest.Server
	now func() time.Time

	mu           sync.Mutex
	keys         map[string]crypto.Signer // by kid; the kid names the algorithm
	requests     map[string]int           // by path
	down         bool
	issuer       string                     // in its metadata; "" = its own
	iss          bool                       // says iss in answers, and that it does
	codes        map[string]*grantedCode    // codes that it gave out
	spent        bool                       // codes may be used again
	opaque       map[string]map[string]any  // what introspection says
	dress        func(claims jwt.MapClaims) // changes ID tokens
	lastAuth     string                     // Authorization of the last introspection
	codesArrived []string                   // at the token endpoint
}

type grantedCode struct {
	challenge, redirect, nonce, client, sub string
	claims                                  map[string]any
}

func newIDP(t *testing.T, now func() time.Time) *idp {
	p := &idp{
		now: now, keys: map[string]crypto.Signer{"ec": ecKey(), "rsa": rsaKey()}, requests: map[string]int{},
		codes: map[string]*grantedCode{}, opaque: map[string]map[string]any{},
	}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Server.Close)
	return p
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[r.URL.Path]++
	if p.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		issuer := p.issuer
		if issuer == "" {
			issuer = p.URL
		}
		reply(w, map[string]any{
			"issuer": issuer, "jwks_uri": p.URL + "/jwks", "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"authorization_response_iss_parameter_supported": p.iss,
		})
	case "/jwks":
		keys := []any{map[string]any{"kty": "oct", "k": "c2VjcmV0"}, map[string]any{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"}}
		for kid, k := range p.keys {
			keys = append(keys, publicJWK(kid, k.Public()))
		}
		reply(w, map[string]any{"keys": keys})
	case "/token":
		p.token(w, r)
	case "/introspect":
		p.lastAuth = r.Header.Get("Authorization")
		_ = r.ParseForm()
		if says := p.opaque[r.PostForm.Get("token")]; says != nil {
			reply(w, says)
			return
		}
		reply(w, map[string]any{"active": false})
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	code := r.PostForm.Get("code")
	p.codesArrived = append(p.codesArrived, code)
	g := p.codes[code]
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if r.PostForm.Get("code_verifier") == "" {
		challenge = ""
	}
	if g == nil || g.challenge != challenge || g.redirect != r.PostForm.Get("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]any{"error": "invalid_grant"})
		return
	}
	if !p.spent {
		delete(p.codes, code)
	}
	claims := jwt.MapClaims{
		"iss": p.URL, "sub": g.sub, "aud": g.client, "nonce": g.nonce, "iat": p.now().Unix(), "exp": p.now().Add(time.Hour).Unix(),
		"auth_time": p.now().Unix(),
	}
	for k, v := range g.claims {
		claims[k] = v
	}
	if p.dress != nil {
		p.dress(claims)
	}
	reply(w, map[string]any{"access_token": "upstream-access", "token_type": "Bearer", "id_token": p.sign("ec", "JWT", claims)})
}

// authorize plays the browser and the person: it follows an authorization URL and returns
// the query that the callback gets.
func (p *idp) authorize(t *testing.T, authorizeURL, sub string, more map[string]any) url.Values {
	t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || !slices.Contains(strings.Fields(q.Get("scope")), "openid") {
		t.Fatalf("authorization request %v", q)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := fmt.Sprintf("code-%d", len(p.codes)+len(p.codesArrived))
	p.codes[code] = &grantedCode{
		challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri"), nonce: q.Get("nonce"), client: q.Get("client_id"), sub: sub, claims: more,
	}
	out := url.Values{"code": {code}, "state": {q.Get("state")}}
	if p.iss {
		out.Set("iss", p.URL)
	}
	return out
}

// sign makes a JWT with one of the keys; the kid names the algorithm.
func (p *idp) sign(kid, typ string, claims jwt.MapClaims) string {
	return signWith(p.keys[kid], kid, typ, claims)
}

func signWith(k crypto.Signer, kid, typ string, claims jwt.MapClaims) string {
	var method jwt.SigningMethod
	switch k := k.(type) {
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
		if kid == "ps" {
			method = jwt.SigningMethodPS384
		}
	case *ecdsa.PrivateKey:
		method = map[elliptic.Curve]jwt.SigningMethod{elliptic.P256(): jwt.SigningMethodES256, elliptic.P384(): jwt.SigningMethodES384, elliptic.P521(): jwt.SigningMethodES512}[k.Curve]
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	if kid == "" {
		delete(token.Header, "kid")
	}
	token.Header["typ"] = typ
	text, err := token.SignedString(k)
	if err != nil {
		panic(err)
	}
	return text
}

func publicJWK(kid string, public crypto.PublicKey) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := public.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": kid, "use": "sig", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		half := (len(point) - 1) / 2
		return map[string]any{"kty": "EC", "kid": kid, "crv": k.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(k)}
	}
	panic("no such key")
}

func (p *idp) asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}
