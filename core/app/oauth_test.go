package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// issuer is an authorization server that somebody else runs: metadata, keys, and
// whatever tokens a test wants.
type issuer struct {
	*httptest.Server

	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	write := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			write(w, map[string]any{
				"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
				"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
				"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
			})
		})
	}
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		point, err := key.PublicKey.Bytes() // 4, x, y
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		write(w, map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": url64(point[1:33]), "y": url64(point[33:]),
		}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func url64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token signs an access token (RFC 9068), with claims beside the usual ones.
func (i *issuer) token(t *testing.T, audience string, more map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": i.URL, "sub": "u-1", "aud": audience, "client_id": "app", "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for name, value := range more {
		claims[name] = value
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := url64([]byte(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`)) + "." + url64(body)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return text + "." + url64(signature)
}

// Access tokens of an authorization server open the endpoint that they were made for,
// with what they were granted, and no other.
func TestOAuthTokens(t *testing.T) {
	i := newIssuer(t)
	r := serve(t, `
servers:
  - name: shop
    access: {scopes: [shop]}
    tools:
      - {name: get, invoker: {kind: echo}}
      - {name: order, scopes: [shop.order], invoker: {kind: echo}}
  - name: other
    tools:
      - {name: get, invoker: {kind: echo}}
`)
	r.admin("POST", "/providers", map[string]any{"id": "idp", "issuer": i.URL, "resource": true, "provision": true, "roles": []string{}})
	r.admin("POST", "/group-roles", map[string]any{"provider": "idp", "group": "buyers", "role": "member"})
	endpoint := r.origin + "/shop/mcp"
	buyer := map[string]any{"groups": []string{"buyers"}, "scope": "shop"}

	anonymous := r.rpc("/shop/mcp", "", "tools/list", "", nil)
	challenge := anonymous.header.Get("WWW-Authenticate")
	_, after, _ := strings.Cut(challenge, `resource_metadata="`)
	address, _, _ := strings.Cut(after, `"`)
	if anonymous.status != 401 || !strings.HasPrefix(address, r.origin+"/.well-known/oauth-protected-resource/shop/mcp") || !strings.Contains(challenge, `scope="shop"`) {
		t.Fatalf("%d %s", anonymous.status, challenge)
	}
	metadata := r.send("GET", strings.TrimPrefix(address, r.origin), "", nil)
	for _, part := range []string{`"resource":"` + endpoint + `"`, `"` + i.URL + `"`, `"shop"`} {
		if !strings.Contains(metadata.body, part) {
			t.Errorf("the metadata lacks %s: %s", part, metadata.body)
		}
	}

	good := i.token(t, endpoint, buyer)
	if got := r.tool("/shop/mcp", good, "get", map[string]any{"a": 1}); got.status != 200 || !strings.Contains(got.body, `"content"`) {
		t.Fatalf("%d %s %s\n%s", got.status, got.body, got.header.Get("WWW-Authenticate"), r.log)
	}
	for _, row := range []struct {
		name, path, token string
		tool              string
		status            int
		challenge         string
	}{
		{"another endpoint's token", "/other/mcp", good, "get", 401, `error="invalid_token"`},
		{"a token for nobody in particular", "/shop/mcp", i.token(t, "https://elsewhere.example/mcp", buyer), "get", 401, `error="invalid_token"`},
		{"an expired token", "/shop/mcp", i.token(t, endpoint, map[string]any{"exp": time.Now().Add(-time.Hour).Unix(), "scope": "shop"}), "get", 401, `error="invalid_token"`},
		{"a changed token", "/shop/mcp", good[:len(good)-6] + "AAAAAA", "get", 401, `error="invalid_token"`},
		{"another issuer's", "/shop/mcp", newIssuer(t).token(t, endpoint, buyer), "get", 401, `error="invalid_token"`},
		{"without the scope of the server", "/shop/mcp", i.token(t, endpoint, map[string]any{"groups": []string{"buyers"}}), "get", 403, `error="insufficient_scope"`},
		{"without the scope of the tool", "/shop/mcp", good, "order", 403, `scope="shop shop.order"`},
		{"stepped up", "/shop/mcp", i.token(t, endpoint, map[string]any{"groups": []string{"buyers"}, "scope": "shop shop.order"}), "order", 200, ""},
		{"of nobody's group", "/shop/mcp", i.token(t, endpoint, map[string]any{"sub": "u-2", "scope": "shop"}), "get", 404, ""},
	} {
		got := r.tool(row.path, row.token, row.tool, map[string]any{"a": 1})
		if got.status != row.status || !strings.Contains(got.header.Get("WWW-Authenticate"), row.challenge) {
			t.Errorf("%s: %d %q %s", row.name, got.status, got.header.Get("WWW-Authenticate"), got.body)
		}
		if row.status != 200 && row.challenge != "" && !strings.Contains(got.header.Get("WWW-Authenticate"), "resource_metadata=") {
			t.Errorf("%s: no metadata in %s", row.name, got.header.Get("WWW-Authenticate"))
		}
	}
	eventually(t, "the user is provisioned", func() bool {
		return strings.Contains(r.send("GET", "/api/v1/users", operatorToken, nil).body, `"provider":"idp"`)
	})
	if strings.Contains(r.log.String(), good[20:60]) {
		t.Error("the log holds a token")
	}
}
