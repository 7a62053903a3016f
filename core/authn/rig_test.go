package authn

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is held by the test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// plainSealer seals nothing, but keeps purposes and binds apart.
type plainSealer struct{}

func (plainSealer) Seal(purpose string, plain []byte, bind ...string) (string, error) {
	return base64.RawURLEncoding.EncodeToString([]byte(purpose + "|" + strings.Join(bind, "|") + "|" + string(plain))), nil
}

func (plainSealer) Open(purpose, token string, bind ...string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	plain, found := strings.CutPrefix(string(b), purpose+"|"+strings.Join(bind, "|")+"|")
	if err != nil || !found {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "no such token"}
	}
	return []byte(plain), nil
}

const (
	resource = "https://mcp.example.com/github/mcp"
	callback = "https://admin.example.com/api/v1/login/finish/corp"
)

// cheap is what a hash costs in tests that are not about its cost.
var cheap = Cost{Memory: 64, Time: 1, Threads: 1}

// rig is an Authn and its Logins over a store with two tenants and a provider each.
type rig struct {
	t         *testing.T
	clock     *clock
	store     *fakeStore
	idp       *idp // of the default tenant, as corp
	other     *idp // of tenant acme, as rival
	a         *Authn
	logins    *Logins
	passwords *Passwords
	log       *bytes.Buffer
	hashes    int
}

func newRig(t *testing.T, rows ...core.Row) *rig {
	t.Helper()
	r := &rig{t: t, clock: newClock(), log: &bytes.Buffer{}}
	r.idp, r.other = newIDP(t, r.clock.now), newIDP(t, r.clock.now)
	sealed, _ := plainSealer{}.Seal(core.SealedRow, []byte("canary-client-secret"), core.ProviderBind(&core.Provider{Tenant: core.DefaultTenant, ID: "corp"})...)
	r.store = newFakeStore(r.clock.now, append([]core.Row{
		&core.Tenant{ID: "acme"}, &core.Tenant{ID: "gone", Disabled: true},
		&core.Provider{
			Tenant: core.DefaultTenant, ID: "corp", Issuer: r.idp.URL, Login: true, Resource: true, ClientID: "sallyport", ClientSecret: sealed,
			Scopes: []string{"openid", "profile"}, Provision: true, Roles: []string{"member"},
		},
		&core.Provider{Tenant: "acme", ID: "rival", Issuer: r.other.URL, Login: true, Resource: true, ClientID: "sallyport", Provision: true},
		&core.GroupRole{Tenant: core.DefaultTenant, ID: "g1", Provider: "corp", Group: "devs", Role: "editor"},
		&core.GroupRole{Tenant: core.DefaultTenant, ID: "g2", Provider: "*", Group: "ops", Role: "publisher"},
		&core.GroupRole{Tenant: core.DefaultTenant, ID: "g3", Provider: "rival", Group: "devs", Role: "admin"},
	}, rows...)...)
	transport := r.idp.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	r.a = New(Options{
		Store: r.store, Sealer: plainSealer{}, Transport: transport, Operator: "operator-token-canary", Now: r.clock.now,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	r.passwords = NewPasswords(PasswordOptions{Cost: cheap})
	hash := r.passwords.hash
	var mu sync.Mutex
	r.passwords.hash = func(p, s []byte, c Cost, n uint32) []byte {
		mu.Lock()
		r.hashes++
		mu.Unlock()
		return hash(p, s, c, n)
	}
	r.logins = NewLogins(r.a, LoginOptions{Passwords: r.passwords})
	r.use()
	return r
}

func (r *rig) use() { r.a.Use(r.store.state()) }

// leave leaves a check out.
func (r *rig) leave(name string) {
	r.a.skip = map[string]bool{name: true}
	r.logins.skip = map[string]bool{name: true}
}

func header(credential string) http.Header {
	h := http.Header{}
	if credential != "" {
		h.Set("Authorization", "Bearer "+credential)
	}
	return h
}

func request(credential string) *core.AuthRequest {
	return &core.AuthRequest{
		Server: &core.Server{Name: "github", Prefix: "github"}, Resource: resource,
		Metadata: "https://mcp.example.com/.well-known/oauth-protected-resource/github/mcp", Header: header(credential), Address: "192.0.2.7",
	}
}

// claimsFor are those of a good access token, changed.
func (r *rig) claimsFor(more jwt.MapClaims) jwt.MapClaims {
	now := r.clock.now()
	c := jwt.MapClaims{
		"iss": r.idp.URL, "sub": "ada-at-corp", "aud": resource, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"jti": "jti-1", "client_id": "agent", "scope": "tools:read files:*", "preferred_username": "Ada", "name": "Ada Lovelace",
	}
	maps.Copy(c, more)
	for k, v := range c {
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

func (r *rig) token(more jwt.MapClaims) string { return r.idp.sign("ec", "at+jwt", r.claimsFor(more)) }

func (r *rig) who(req *core.AuthRequest) (core.Identity, *core.Error) {
	who, err := r.a.Authenticate(context.Background(), req)
	if err != nil {
		return who, core.AsError(err)
	}
	return who, nil
}

func (r *rig) code(req *core.AuthRequest) core.Code {
	_, err := r.who(req)
	if err == nil {
		return ""
	}
	return err.Code
}

// user is a row with a password.
func (r *rig) user(u core.User, password string) *core.User {
	r.t.Helper()
	if password != "" {
		hash, err := r.passwords.Hash(context.Background(), core.Secret(password))
		if err != nil {
			r.t.Fatal(err)
		}
		u.Password = hash
	}
	if u.Tenant == "" {
		u.Tenant = core.DefaultTenant
	}
	u.Stamp = core.Stamp{Version: 1, Created: r.clock.now(), Updated: r.clock.now()}
	r.store.set(&u)
	r.use()
	return &u
}

// mint is a stored API token.
func (r *rig) mint(t core.Token) string {
	r.t.Helper()
	if t.Tenant == "" {
		t.Tenant = core.DefaultTenant
	}
	text, err := r.a.Mint(&t)
	if err != nil {
		r.t.Fatal(err)
	}
	t.Stamp = core.Stamp{Version: 1, Created: r.clock.now()}
	r.store.set(&t)
	r.use()
	return text.Reveal()
}

func codeOf(err error) core.Code {
	if err == nil {
		return ""
	}
	return core.AsError(err).Code
}
