package accounts

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a core.Store in memory: as much of one as accounts use.
type shelf struct {
	core.Store // what is not there panics

	mu       sync.Mutex
	revision int64
	rows     map[core.Key]core.Row
	entries  []core.AuditEntry
	away     bool
}

var errAway = &core.Error{Code: core.CodeUnavailable, Message: "the database is away"}

func copyOf(r core.Row) core.Row {
	c := reflect.New(reflect.TypeOf(r).Elem())
	c.Elem().Set(reflect.ValueOf(r).Elem())
	return c.Interface().(core.Row)
}

func version(r core.Row) *int64 {
	return reflect.ValueOf(r).Elem().FieldByName("Version").Addr().Interface().(*int64)
}

func (s *shelf) get(r core.Row) error {
	have := s.rows[r.Key()]
	if have == nil {
		return &core.Error{Code: core.CodeNotFound, Message: "no such row"}
	}
	reflect.ValueOf(r).Elem().Set(reflect.ValueOf(have).Elem())
	return nil
}

func (s *shelf) Get(_ context.Context, r core.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	return s.get(r)
}

func (s *shelf) Change(ctx context.Context, entry *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	tx := &shelfTx{shelf: s, puts: map[core.Key]core.Row{}}
	if err := f(ctx, tx); err != nil {
		return err
	}
	for k, r := range tx.puts {
		if r == nil {
			delete(s.rows, k)
		} else {
			s.rows[k] = r
		}
	}
	s.revision++
	s.entries = append(s.entries, *entry)
	return nil
}

type shelfTx struct {
	*shelf
	puts map[core.Key]core.Row
}

func (x *shelfTx) Get(_ context.Context, r core.Row) error { return x.get(r) }

func (x *shelfTx) Put(_ context.Context, r core.Row) error {
	have := int64(0)
	if old := x.rows[r.Key()]; old != nil {
		have = *version(old)
	}
	switch {
	case have != *version(r) && *version(r) == 0:
		return &core.Error{Code: core.CodeConflict, Message: "there is one"}
	case have != *version(r):
		return &core.Error{Code: core.CodeChanged, Message: "changed"}
	}
	*version(r)++
	x.puts[r.Key()] = copyOf(r)
	return nil
}

func (x *shelfTx) Delete(_ context.Context, r core.Row) error {
	x.puts[r.Key()] = nil
	return nil
}

// put writes a row past all rules.
func (s *shelf) put(r core.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[r.Key()] = copyOf(r)
}

func (s *shelf) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// state reads what is there.
func (s *shelf) state(now time.Time) *core.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := &core.State{Revision: s.revision, Loaded: now}
	for _, r := range s.rows {
		switch r := r.(type) {
		case *core.Connector:
			state.Connectors = append(state.Connectors, *r)
		case *core.Credential:
			state.Credentials = append(state.Credentials, *r)
		case *core.User:
			state.Users = append(state.Users, *r)
		}
	}
	return state
}

// box is a core.Sealer with one key of the test.
type box struct{ aead cipher.AEAD }

func newBox() *box {
	var key [32]byte
	_, _ = rand.Read(key[:])
	block, _ := aes.NewCipher(key[:])
	aead, _ := cipher.NewGCM(block)
	return &box{aead}
}

func (b *box) Seal(purpose string, plain []byte, bind ...string) (string, error) {
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nonce, nonce, plain, fmt.Appendf(nil, "%q %q", purpose, bind))), nil
}

func (b *box) Open(purpose, token string, bind ...string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 12 {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "not found"}
	}
	plain, err := b.aead.Open(nil, raw[:12], raw[12:], fmt.Appendf(nil, "%q %q", purpose, bind))
	if err != nil {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "not found"}
	}
	return plain, nil
}

// server is an authorization server without a socket.
type server struct {
	issuer string
	secret string // of the one client, "gateway"; "" = a public one

	mu        sync.Mutex
	metadata  map[string]any // nil = none
	wellKnown string         // path of the metadata
	codes     map[string]url.Values
	lenient   bool // codes can be used twice
	refresh   string
	issued    int
	life      any // expires_in
	rotates   bool
	asked     []url.Values // of the token endpoint
	headers   []http.Header
	refuse    string // error of the token endpoint
	fail      error  // of the transport
	answer    func(w http.ResponseWriter) bool
	hold      chan struct{} // the token endpoint waits for it
}

func newServer(host string) *server {
	s := &server{
		issuer: "https://" + host + "/realm", secret: "canary-client", wellKnown: "/.well-known/oauth-authorization-server/realm",
		codes: map[string]url.Values{}, life: 3600, rotates: true,
	}
	s.metadata = map[string]any{
		"issuer": s.issuer, "authorization_endpoint": s.issuer + "/authorize?tenant=7", "token_endpoint": s.issuer + "/token",
		"code_challenge_methods_supported": []string{"plain", "S256"}, "authorization_response_iss_parameter_supported": true,
	}
	return s
}

func (s *server) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) tokenRequests() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// consent is the user who says yes: it returns the answer to an authorization request.
func (s *server) consent(t testing.TB, authorizeURL string) url.Values {
	t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	code := fmt.Sprint("canary-code-", len(s.codes))
	s.codes[code] = q
	return url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {s.issuer}}
}

func (s *server) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil && strings.HasSuffix(q.URL.Path, "/token") {
		select {
		case <-hold:
		case <-q.Context().Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case q.URL.Path == s.wellKnown && s.metadata != nil:
		reply(http.StatusOK, s.metadata)
	case q.URL.Path == "/realm/token" && q.Method == http.MethodPost:
		_ = q.ParseForm()
		s.asked = append(s.asked, q.PostForm)
		s.headers = append(s.headers, q.Header)
		if s.answer != nil && s.answer(w) {
			return
		}
		if wrong := s.judge(q); wrong != "" {
			reply(http.StatusBadRequest, map[string]string{"error": wrong, "error_description": "canary-description"})
			return
		}
		s.issued++
		answer := map[string]any{"access_token": fmt.Sprint("canary-access-", s.issued), "token_type": "bearer", "expires_in": s.life, "scope": "a"}
		if s.rotates || s.refresh == "" {
			s.refresh = fmt.Sprint("canary-refresh-", s.issued)
			answer["refresh_token"] = s.refresh
		}
		reply(http.StatusOK, answer)
	default:
		http.NotFound(w, q)
	}
}

// judge returns the error code of a token request.
func (s *server) judge(q *http.Request) string {
	id, secret, basic := q.BasicAuth()
	if !basic {
		id, secret = q.PostForm.Get("client_id"), q.PostForm.Get("client_secret")
	}
	switch {
	case s.refuse != "":
		return s.refuse
	case id != "gateway" || secret != s.secret:
		return "invalid_client"
	case q.PostForm.Get("grant_type") == "refresh_token":
		if q.PostForm.Get("refresh_token") != s.refresh {
			return "invalid_grant"
		}
		return ""
	}
	code := q.PostForm.Get("code")
	asked, known := s.codes[code]
	challenge := sha256.Sum256([]byte(q.PostForm.Get("code_verifier")))
	switch {
	case !known, asked.Get("redirect_uri") != q.PostForm.Get("redirect_uri"):
		return "invalid_grant"
	case asked.Has("code_challenge") && asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]):
		return "invalid_grant"
	case asked.Get("resource") != q.PostForm.Get("resource"):
		return "invalid_target"
	}
	if !s.lenient {
		delete(s.codes, code)
	}
	return ""
}

const (
	base     = "https://gw.example"
	callback = base + "/api/v1/connect/hub/callback"
)

var (
	ann = core.Identity{Tenant: "acme", Subject: "ann", Name: "Ann", Via: core.ViaLogin, Credential: "login-1", Address: "192.0.2.1"}
	bob = core.Identity{Tenant: "acme", Subject: "bob"}
)

// rig is Accounts with their world.
type rig struct {
	*Accounts
	shelf  *shelf
	hub    *server // of the connectors hub and other
	evil   *server // of the connector evil
	logged bytes.Buffer
	mu     sync.Mutex
	now    time.Time
}

func (r *rig) RoundTrip(q *http.Request) (*http.Response, error) {
	for _, s := range []*server{r.hub, r.evil} {
		if "https://"+q.URL.Host == strings.TrimSuffix(s.issuer, "/realm") {
			s.mu.Lock()
			fail := s.fail
			s.mu.Unlock()
			if fail != nil {
				return nil, fail
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, q)
			if err := q.Context().Err(); err != nil {
				return nil, err
			}
			return w.Result(), nil
		}
	}
	return nil, errors.New("no such host")
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{shelf: &shelf{rows: map[core.Key]core.Row{}}, hub: newServer("hub.example"), evil: newServer("evil.example"), now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)}
	r.fresh(t, newBox())
	hub := &core.Connector{
		Tenant: "acme", Name: "hub", Title: "The Hub", Issuer: r.hub.issuer, ClientID: "gateway", Scopes: []string{"a", "b"}, Resource: "https://api.hub.example/",
		Extra: map[string]string{"prompt": "consent", "redirect_uri": "https://evil.example/", "request_uri": "https://evil.example/"},
	}
	r.add(t, hub)
	evil := &core.Connector{Tenant: "acme", Name: "evil", Issuer: r.evil.issuer, ClientID: "gateway"}
	r.evil.secret = ""
	r.add(t, evil)
	r.reload()
	return r
}

// fresh begins anew, as another process on the same store.
func (r *rig) fresh(t testing.TB, sealer core.Sealer) {
	t.Helper()
	r.Accounts = New(Options{
		Store: r.shelf, Sealer: sealer, Client: r, Base: base + "/", Log: slog.New(slog.NewJSONHandler(writer{r}, nil)),
		Now: func() time.Time {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.now
		},
	})
	a := r.Accounts
	t.Cleanup(func() { a.Close() })
}

type writer struct{ r *rig }

func (w writer) Write(b []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.logged.Write(b)
}

var _ io.Writer = writer{}

// add stores a connector with its secret.
func (r *rig) add(t testing.TB, k *core.Connector) {
	t.Helper()
	if k.ClientSecret == "" && k.Name != "evil" {
		sealed, err := r.o.Sealer.Seal(core.SealedRow, []byte(r.hub.secret), core.ConnectorBind(k)...)
		if err != nil {
			t.Fatal(err)
		}
		k.ClientSecret = sealed
	}
	k.Version = 1
	r.shelf.put(k)
}

func (r *rig) reload() { r.Use(r.shelf.state(r.o.Now())) }

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// begin begins a flow of ann's, and lets her consent.
func (r *rig) begin(t testing.TB) (core.Secret, url.Values) {
	t.Helper()
	to, flow, err := r.Begin(t.Context(), ann, "hub", callback, "/admin/accounts?a=b")
	if err != nil {
		t.Fatal(err)
	}
	return flow, r.hub.consent(t, to)
}

// connected has ann connected.
func (r *rig) connected(t testing.TB) {
	t.Helper()
	flow, answer := r.begin(t)
	if _, err := r.Finish(t.Context(), ann, flow, answer, callback); err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, code core.Code) {
	t.Helper()
	if err == nil || core.AsError(err).Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "canary") {
		t.Errorf("shown: %+v", err)
	}
}
