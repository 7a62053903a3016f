package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/authn"
	"github.com/sallyport/sallyport/core/authz"
	"github.com/sallyport/sallyport/store"
)

const operatorToken = "0123456789abcdef0123456789abcdef"

// openSealer seals so that a test can see what was sealed, and nobody else would.
type openSealer struct{}

func (openSealer) Seal(purpose string, plain []byte, bind ...string) (string, error) {
	return "sealed." + base64.RawURLEncoding.EncodeToString([]byte(purpose+"\x00"+strings.Join(bind, "\x1f")+"\x00"+string(plain))), nil
}

func (openSealer) Open(purpose, token string, bind ...string) ([]byte, error) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "sealed."))
	plain, found := strings.CutPrefix(string(text), purpose+"\x00"+strings.Join(bind, "\x1f")+"\x00")
	if err != nil || !found {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "this was not sealed here"}
	}
	return []byte(plain), nil
}

// testLogins is package authn as core/app gives it to the API.
type testLogins struct{ *authn.Logins }

func madeOf(g *authn.Granted, err error) (*LoginMade, error) {
	if err != nil {
		return nil, err
	}
	return &LoginMade{LoginFound: LoginFound(g.Found), Cookie: g.Cookie, CSRF: g.CSRF}, nil
}

func (l testLogins) Setup(ctx context.Context, token core.Secret, first FirstUser, from Visitor) (*LoginMade, error) {
	return madeOf(l.Logins.Setup(ctx, token, authn.FirstUser(first), authn.From(from)))
}

func (l testLogins) Password(ctx context.Context, tenant, name string, password core.Secret, from Visitor) (*LoginMade, error) {
	return madeOf(l.Logins.Password(ctx, tenant, name, password, authn.From(from)))
}

func (l testLogins) Find(ctx context.Context, cookie core.Secret) (*LoginFound, error) {
	found, err := l.Logins.Find(ctx, cookie)
	if err != nil {
		return nil, err
	}
	out := LoginFound(*found)
	return &out, nil
}

func (testLogins) CSRF(cookie core.Secret) core.Secret { return authn.CSRF(cookie) }

func (l testLogins) Prove(ctx context.Context, login *core.Login, password core.Secret, from Visitor) error {
	return l.Logins.Prove(ctx, login, password, authn.From(from))
}

func (l testLogins) End(ctx context.Context, by core.Identity, login *core.Login, from Visitor) error {
	return l.Logins.End(ctx, by, login, authn.From(from))
}

func (l testLogins) EndAll(ctx context.Context, by core.Identity, tenant, user string, from Visitor) error {
	return l.Logins.EndAll(ctx, by, tenant, user, authn.From(from))
}

func (l testLogins) ChangePassword(ctx context.Context, login *core.Login, old, password core.Secret, from Visitor) (*LoginMade, error) {
	return madeOf(l.Logins.ChangePassword(ctx, login, old, password, authn.From(from)))
}

// Begin and Finish know a provider fake beside those of the store: it vouches for viewer.
func (l testLogins) Begin(ctx context.Context, tenant, provider, returnTo, redirectURI string, prove *core.Login) (string, core.Secret, error) {
	if provider == "fake" {
		return "https://idp.example/authorize?redirect_uri=" + url.QueryEscape(redirectURI), core.Secret(base64.RawURLEncoding.EncodeToString([]byte(redirectURI + " " + returnTo))), nil
	}
	return l.Logins.Begin(ctx, tenant, provider, returnTo, redirectURI, prove)
}

// Finish takes what the provider sent back.
func (l testLogins) Finish(ctx context.Context, flow core.Secret, query url.Values, redirectURI string, from Visitor) (*LoginMade, string, error) {
	text, _ := base64.RawURLEncoding.DecodeString(flow.Reveal())
	if uri, back, found := strings.Cut(string(text), " "); found && uri == redirectURI {
		if query.Get("code") != "good" {
			return nil, "", &core.Error{Code: core.CodeUnauthenticated, Message: "this login was not begun here", Fix: "begin again"}
		}
		made, err := l.Password(ctx, core.DefaultTenant, "viewer", password, from)
		return made, back, err
	}
	g, to, err := l.Logins.Finish(ctx, flow, query, redirectURI, authn.From(from))
	made, err := madeOf(g, err)
	return made, to, err
}

// testPolicies is package authz, likewise.
type testPolicies struct{ *authz.Authz }

func (p testPolicies) Rights(who core.Identity) Rights { return Rights(p.Authz.Rights(who)) }

func (p testPolicies) Roles(tenant string) []RoleLines {
	var list []RoleLines
	for _, one := range p.Authz.Roles(tenant) {
		list = append(list, RoleLines(one))
	}
	return list
}

func (testPolicies) CheckPolicy(p *core.Policy, roles []string) []core.Problem {
	return authz.CheckPolicy(p, roles)
}
func (testPolicies) CheckRole(r *core.Role) []core.Problem      { return authz.CheckRole(r) }
func (testPolicies) CheckScopes(scopes []string) []core.Problem { return authz.CheckScopes(scopes) }

// fakeKeys, fakeTrail and fakeFlow stand where another room is not the affair of a test.
type fakeKeys struct{ rotated int }

func (f *fakeKeys) Kid() string    { return "k2" }
func (f *fakeKeys) Kids() []string { return []string{"k2", "k1"} }
func (f *fakeKeys) Rotate(context.Context, *core.AuditEntry) (*KeyRotation, error) {
	f.rotated++
	return &KeyRotation{Key: "k3", Looked: 2, Changed: 1, Failed: []string{}}, nil
}

type fakeTrail struct{}

func (fakeTrail) Verify(context.Context) (*TrailReport, error) {
	fault := TrailFault{Kind: "edited", Replica: "r", Seq: 3, Time: time.Unix(1, 0).UTC(), Message: "does not fit its hash"}
	return &TrailReport{Time: time.Unix(2, 0).UTC(), Entries: 5, Trails: []TrailHead{{Replica: "r", Entries: 5, Seq: 5, Hash: "00", Time: time.Unix(1, 0).UTC()}}, Faults: []TrailFault{fault}}, nil
}

func (fakeTrail) Export(_ context.Context, w io.Writer, q core.Query, format string) error {
	_, err := io.WriteString(w, format+" of "+q.Tenant+"\n")
	return err
}

type fakeFlow struct{}

func (fakeFlow) Begin(_ context.Context, who core.Identity, connector, redirectURI, returnTo string) (string, core.Secret, error) {
	if connector != "github" {
		return "", "", missing("connector")
	}
	return "https://as.example/authorize?redirect_uri=" + url.QueryEscape(redirectURI), core.Secret(base64.RawURLEncoding.EncodeToString([]byte(who.Subject + " " + returnTo))), nil
}

func (fakeFlow) Finish(_ context.Context, who core.Identity, flow core.Secret, query url.Values, _ string) (AccountConnected, error) {
	text, _ := base64.RawURLEncoding.DecodeString(flow.Reveal())
	subject, back, _ := strings.Cut(string(text), " ")
	if subject != who.Subject || query.Get("code") != "good" || query.Has("again") {
		return AccountConnected{}, &core.Error{Code: core.CodeDenied, Message: "the account was not connected", Fix: "begin again"}
	}
	return AccountConnected{Connector: "github", Title: "GitHub", Return: back}, nil
}

func (fakeFlow) Disconnect(_ context.Context, _ core.Identity, connector string) error {
	if connector != "github" {
		return missing("account")
	}
	return nil
}

type fakeLive struct{ ended []string }

func (f *fakeLive) EndLive(id string) bool { f.ended = append(f.ended, id); return true }

// apiRig is the admin plane as it runs, on a store in memory, with real logins and
// policies.
type apiRig struct {
	t      testing.TB
	api    *API
	edge   *Edge
	addr   string
	store  core.Store
	authn  *authn.Authn
	logins *authn.Logins
	authz  *authz.Authz
	keys   *fakeKeys
	live   *fakeLive
	log    *safeBuffer
	tokens map[string]string // by the name of the user
	users  map[string]string // ids by name
	mu     sync.Mutex
	ahead  time.Duration // of the clock
	away   error
	spec   *described
	strict bool // answers are held against openapi.yaml
}

func (r *apiRig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.ahead)
}

func (r *apiRig) wait(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ahead += d
}

// password is that of every user of the rig.
const password = "correct horse battery staple"

// builtInRoles are the roles of which the rig has a user each, in its tenants.
var builtInRoles = []string{"viewer", "editor", "publisher", "admin", "auditor", "member"}

func startAPI(t testing.TB, change func(*APIOptions, *Options)) *apiRig {
	t.Helper()
	return startAPIWith(t, true, change)
}

// startAPIWith starts it with people, or with an empty store.
func startAPIWith(t testing.TB, people bool, change func(*APIOptions, *Options)) *apiRig {
	t.Helper()
	s, err := store.Open(t.Context(), "memory:", store.Options{AuditKey: []byte("key of the trail"), Replica: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r := &apiRig{t: t, store: s, keys: &fakeKeys{}, live: &fakeLive{}, log: &safeBuffer{}, tokens: map[string]string{}, users: map[string]string{}}
	r.authn = authn.New(authn.Options{Store: s, Sealer: openSealer{}, Now: r.now})
	r.logins = authn.NewLogins(r.authn, authn.LoginOptions{Passwords: authn.NewPasswords(authn.PasswordOptions{Cost: authn.Cost{Memory: 64, Time: 1, Threads: 1}})})
	r.authz = authz.New(authz.Options{})
	o := APIOptions{
		Store: s, Authorizer: r.authz, Policies: testPolicies{r.authz}, Logins: testLogins{r.logins}, Tokens: r.authn, Operator: operatorToken,
		Sealer: openSealer{}, Keys: r.keys, Accounts: fakeFlow{}, Trail: fakeTrail{}, Sessions: r.live, Changed: r.refresh,
		Away: func() error { return r.away },
		Used: func(context.Context, string, string) (*Use, error) {
			return &Use{Calls: 7, Resets: time.Unix(1_900_000_000, 0).UTC(), Limits: []LimitState{{ID: "l1", Per: "identity", Running: 1, Used: 7}}}, nil
		},
		Upstreams: func(tenant string) []core.RemoteStatus {
			if tenant != core.DefaultTenant {
				return nil
			}
			return []core.RemoteStatus{{Name: "wiki", Transport: "http", State: "down", Error: "it refuses connections", Held: 2}}
		},
		Plugins: func(tenant string) []core.PluginStatus {
			return []core.PluginStatus{{
				Name: "weather", Plugin: "acme/weather", Version: "1.2.3", Digest: "sha256:00", Kinds: []core.PluginKind{core.PluginInvoker},
				Granted: []string{"http: GET of " + tenant}, Calls: 3, CPU: 1500 * time.Millisecond, Degraded: time.Unix(5, 0), Loaded: time.Unix(1, 0),
			}}
		},
		Modules: fakeModules{},
		Reload: func(context.Context) Reloaded {
			return Reloaded{Applied: true, Revision: "abc", Problems: []core.Problem{{File: "gateway.yaml", Line: 2, Column: 3, Path: "/servers/0", Message: "odd", Fix: "even", Warning: true}}}
		},
		Health: func() Health {
			return Health{Readiness: Readiness{Ready: true}, Version: "dev", Started: time.Unix(1, 0).UTC()}
		},
		Poll: 5 * time.Millisecond, Now: r.now, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	eo := Options{Log: o.Log, Drain: DrainTimes{Stop: 5 * time.Second}}
	if change != nil {
		change(&o, &eo)
	}
	if r.api, err = NewAPI(o); err != nil {
		t.Fatal(err)
	}
	eo.API = r.api
	if r.edge, err = New(eo); err != nil {
		t.Fatal(err)
	}
	r.spec, r.strict = newDescribed(t), true
	if people {
		r.people()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.edge.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// people fills the store: in two tenants a user of each role with a token, a canary in
// whatever is text, and an administrator of everything.
func (r *apiRig) people() {
	r.t.Helper()
	ctx := context.Background()
	hash, err := authn.NewPasswords(authn.PasswordOptions{Cost: authn.Cost{Memory: 64, Time: 1, Threads: 1}}).Hash(ctx, password)
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.store.Change(ctx, &core.AuditEntry{Tenant: core.DefaultTenant, Action: "test.begin", Outcome: "ok"}, func(ctx context.Context, tx core.Tx) error {
		r.tokens, r.users = map[string]string{}, map[string]string{}
		for _, tenant := range []string{core.DefaultTenant, "acme"} {
			if err := tx.Put(ctx, &core.Tenant{ID: tenant, Title: "Tenant " + tenant}); err != nil {
				return err
			}
			for _, role := range append([]string{"super", "nobody"}, builtInRoles...) {
				name := role
				if tenant != core.DefaultTenant {
					name = tenant + "-" + role
				}
				u := &core.User{Tenant: tenant, Name: name, Title: "canary-" + tenant, Password: hash, Groups: []string{}, Roles: []string{role}}
				switch {
				case role == "super" && tenant == core.DefaultTenant:
					u.Roles, u.Everywhere = nil, []string{"admin"}
				case role == "super" || role == "nobody":
					u.Roles = nil
				}
				if err := tx.Put(ctx, u); err != nil {
					return err
				}
				token := &core.Token{Tenant: tenant, User: u.ID, Name: "canary-" + tenant}
				secret, err := r.authn.Mint(token)
				if err != nil {
					return err
				}
				if err := tx.Put(ctx, token); err != nil {
					return err
				}
				r.tokens[name], r.users[name] = secret.Reveal(), u.ID
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.refresh()
}

// refresh does what the poller of core/app does.
func (r *apiRig) refresh() {
	state, err := r.store.State(context.Background())
	if err == nil {
		r.authn.Use(state)
		err = r.authz.Use(state)
	}
	if err != nil {
		r.t.Error(err)
	}
}

// answer is what came back.
type apiAnswer struct {
	status int
	header http.Header
	body   string
}

// problem reads the body as one.
func (a apiAnswer) problem() problem {
	var p problem
	_ = json.Unmarshal([]byte(a.body), &p)
	return p
}

var apiClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// as returns the headers that make somebody known: a user of the rig, or operator.
func (r *apiRig) as(who string) map[string]string {
	switch who {
	case "", "anonymous":
		return map[string]string{}
	case "operator":
		return map[string]string{"Authorization": "Bearer " + operatorToken}
	}
	if r.tokens[who] == "" {
		r.t.Fatalf("there is no %s", who)
	}
	return map[string]string{"Authorization": "Bearer " + r.tokens[who]}
}

// ask sends one request. Headers are "Name: value"; a body is sent as JSON unless they say
// otherwise.
func (r *apiRig) ask(who, method, path, body string, headers ...string) apiAnswer {
	r.t.Helper()
	all := r.as(who)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		all[name] = value
	}
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
		if _, said := all["Content-Type"]; !said {
			all["Content-Type"] = "application/json"
		}
	}
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.addr, content)
	if err != nil {
		r.t.Fatal(err)
	}
	request.URL.Opaque = path // as it is
	for name, value := range all {
		if name == "Host" {
			request.Host = value
			continue
		}
		request.Header.Set(name, value)
	}
	response, err := apiClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	got := apiAnswer{response.StatusCode, response.Header, string(text)}
	r.checked(method, path, got)
	return got
}

// checked holds an answer against openapi.yaml, and against what every answer has.
func (r *apiRig) checked(method, path string, got apiAnswer) {
	r.t.Helper()
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		r.t.Errorf("%s %s: headers %v", method, path, got.header)
	}
	below, found := strings.CutPrefix(path, apiRoot)
	if !found {
		return
	}
	below, _, _ = strings.Cut(below, "?")
	route, _, _ := r.api.routes.find(method, below)
	if route == nil || method == "HEAD" || !r.strict {
		return
	}
	if err := r.spec.check(route, got); err != nil {
		r.t.Error(err)
	}
}

// login logs a user in and returns the headers of changes by that login.
func (r *apiRig) login(name string) (headers []string, state loginState) {
	r.t.Helper()
	tenant := core.DefaultTenant
	if strings.HasPrefix(name, "acme-") {
		tenant = "acme"
	}
	got := r.ask("", "POST", "/api/v1/login", `{"tenant":"`+tenant+`","name":"`+name+`","password":"`+password+`"}`)
	if got.status != 200 {
		r.t.Fatalf("log in %s: %d %s", name, got.status, got.body)
	}
	if err := json.Unmarshal([]byte(got.body), &state); err != nil {
		r.t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
	return []string{"Cookie: " + cookie, "X-CSRF-Token: " + state.CSRF, "Origin: http://" + r.addr}, state
}

// put puts rows into the store.
func (r *apiRig) put(rows ...core.Row) {
	r.t.Helper()
	err := r.store.Change(context.Background(), &core.AuditEntry{Tenant: core.DefaultTenant, Action: "test.put", Outcome: "ok"}, func(ctx context.Context, tx core.Tx) error {
		for _, row := range rows {
			if err := tx.Put(ctx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.refresh()
}

// mint gives a user that a scenario made a token, so that rows may call as it.
func (r *apiRig) mint(t *testing.T, name string) {
	t.Helper()
	var users []core.User
	if _, err := r.store.List(context.Background(), &users, core.Query{Tenant: core.DefaultTenant, Equal: map[string]string{"name": name}}); err != nil || len(users) != 1 {
		t.Fatal(err, users)
	}
	token := &core.Token{Tenant: core.DefaultTenant, User: users[0].ID, Name: "test"}
	secret, err := r.authn.Mint(token)
	if err != nil {
		t.Fatal(err)
	}
	r.put(token)
	r.tokens[name], r.users[name] = secret.Reveal(), users[0].ID
}
