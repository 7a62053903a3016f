package accounts

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Options of New. Store, Sealer and Client are needed.
type Options struct {
	Store  core.Store
	Sealer core.Sealer
	Client http.RoundTripper // to authorization servers; egress.RoundTripper
	// Base is where people find the gateway, without a slash at the end
	// (https://mcp.example.com): callers are sent to Base/api/v1/connect/{connector}, and
	// callbacks must be below it. "" = callers get a path only.
	Base string
	Now  func() time.Time
	Rand io.Reader    // crypto/rand
	Log  *slog.Logger // nil = none
}

// Accounts implements core.Accounts. It is safe for concurrent use.
type Accounts struct {
	o        Options
	metadata *catalogue
	held     atomic.Pointer[held]

	end     context.Context //nolint:containedctx // ends renewals and what waits for the store, at Close
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	opened   map[account]*open
	renewals map[string]*renewal
	flows    map[string]time.Time // that were finished here, until they end

	off defences // switched off by the test of the test, never elsewhere
}

// defences are what tests can switch off, one at a time, to see that an attack works
// where nothing stops it.
type defences struct {
	once, user, state, iss, s256, verifier, callback, issuer, local bool
}

// held is what a State says of accounts.
type held struct {
	loaded     time.Time
	connectors map[[2]string]*core.Connector // tenant, name
	rows       map[account]*core.Credential
	users      map[[2]string]*core.User // tenant, id
}

// account names one account.
type account struct{ tenant, user, connector string }

// key writes an account so that no two look alike.
func (a account) key() string {
	var b []byte
	for _, part := range []string{a.tenant, a.user, a.connector} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	return string(b)
}

// open is an account whose token was opened, or was renewed here.
type open struct {
	token   *token
	sealed  string    // the row that it was opened from, or that was written
	version int64     // of that row; a row with a later one wins
	at      time.Time // when; a State read later that lacks the row says that it is gone
}

// New returns Accounts without connectors: Use brings them. Close it.
func New(o Options) *Accounts {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Base = strings.TrimRight(o.Base, "/")
	a := &Accounts{o: o, opened: map[account]*open{}, renewals: map[string]*renewal{}, flows: map[string]time.Time{}}
	a.metadata = &catalogue{client: &client{o.Client}, now: o.Now, known: map[string]*metadata{}}
	a.end, a.stop = context.WithCancel(context.Background())
	a.held.Store(&held{})
	return a
}

// Close ends renewals and gives up what could not be stored.
func (a *Accounts) Close() error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.stop()
	a.running.Wait()
	return nil
}

// Use takes connectors and accounts of a State.
func (a *Accounts) Use(state *core.State) {
	h := &held{loaded: state.Loaded, connectors: map[[2]string]*core.Connector{}, rows: map[account]*core.Credential{}, users: map[[2]string]*core.User{}}
	for i := range state.Connectors {
		k := &state.Connectors[i]
		h.connectors[[2]string{k.Tenant, k.Name}] = k
	}
	for i := range state.Credentials {
		if c := &state.Credentials[i]; c.Owner != "" && c.Connector != "" {
			h.rows[account{c.Tenant, c.Owner, c.Connector}] = c
		}
	}
	for i := range state.Users {
		u := &state.Users[i]
		h.users[[2]string{u.Tenant, u.ID}] = u
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for of, one := range a.opened {
		switch row := h.rows[of]; {
		case row == nil && one.at.Before(h.loaded), row != nil && row.Version > one.version:
			delete(a.opened, of)
		}
	}
	a.held.Store(h)
}

// connector returns one that can be used.
func (a *Accounts) connector(tenant, name string) (*core.Connector, error) {
	k := a.held.Load().connectors[[2]string{tenant, name}]
	switch {
	case k == nil:
		return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no connector " + strconv.Quote(name), Fix: "make it in the admin plane"}
	case k.Disabled:
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "the connector " + strconv.Quote(name) + " is disabled", Fix: "an administrator can enable it"}
	}
	return k, nil
}

// Token returns the access token of a caller's account (core.Accounts).
func (a *Accounts) Token(ctx context.Context, who core.Identity, name string) (core.Secret, error) {
	if who.Anonymous() {
		return "", errAnonymous()
	}
	k, err := a.connector(who.In(), name)
	if err != nil {
		return "", err
	}
	of := account{who.In(), who.Subject, name}
	one, err := a.current(of, k)
	if err != nil {
		return "", err
	}
	now := a.o.Now()
	switch {
	case one == nil:
		return "", a.connect(k)
	case one.token.fresh(now):
		return one.token.access, nil
	case one.token.refresh == "" && one.token.good(now):
		return one.token.access, nil
	case one.token.refresh == "":
		return "", a.connect(k)
	}
	renewed, err := a.renew(ctx, who, k, of)
	if err == nil {
		return renewed.token.access, nil
	}
	if ctx.Err() == nil && one.token.good(a.o.Now()) {
		a.o.Log.Warn("a token was not renewed and is used as long as it is good", "connector", name, "tenant", of.tenant, "error", err)
		return one.token.access, nil
	}
	return "", err
}

// current returns an account from memory: what was renewed here, or the row of the State.
// nil means that there is none for this issuer.
func (a *Accounts) current(of account, k *core.Connector) (*open, error) {
	row := a.held.Load().rows[of]
	a.mu.Lock()
	one := a.opened[of]
	a.mu.Unlock()
	if one == nil || row != nil && row.Version > one.version {
		if row == nil {
			return nil, nil
		}
		var err error
		if one, err = a.openRow(of, row); err != nil {
			return nil, err
		}
	}
	if one.token.issuer != k.Issuer {
		return nil, nil
	}
	return one, nil
}

// openRow opens the token of a row and remembers it, unless something later is
// remembered.
func (a *Accounts) openRow(of account, row *core.Credential) (*open, error) {
	plain, err := a.o.Sealer.Open(core.SealedRow, row.Sealed, core.CredentialBind(row)...)
	if err != nil {
		var e *core.Error
		if errors.As(err, &e) && e.Code == core.CodeUnavailable {
			return nil, err
		}
		return nil, &core.Error{
			Code: core.CodeUnavailable, Message: "the account of the caller at " + strconv.Quote(of.connector) + " cannot be opened",
			Fix: "see to the keys of the vault, or connect the account again", Err: err,
		}
	}
	defer clear(plain)
	one := &open{sealed: row.Sealed, version: row.Version, at: a.o.Now()}
	if one.token, err = parseToken(plain); err != nil {
		return nil, err
	}
	return a.remember(of, one), nil
}

// remember keeps an account, and returns the one that is kept.
func (a *Accounts) remember(of account, one *open) *open {
	a.mu.Lock()
	defer a.mu.Unlock()
	if before := a.opened[of]; before != nil && before.version > one.version {
		return before
	}
	a.opened[of] = one
	return one
}

func (a *Accounts) forget(of account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.opened, of)
}

// connect is the error of a caller that must connect an account first.
func (a *Accounts) connect(k *core.Connector) error {
	title, to := k.Title, a.o.Base+"/api/v1/connect/"+url.PathEscape(k.Name)
	if title == "" {
		title = k.Name
	}
	details := wire.AppendString([]byte(`{"url":`), to)
	details = append(wire.AppendString(append(details, `,"connector":`...), title), '}')
	return &core.Error{
		Code: core.CodeConnect, Message: "the caller has no connected account at " + strconv.Quote(title), Fix: "connect it at " + to,
		Details: json.RawMessage(details),
	}
}

func errAnonymous() error {
	return &core.Error{Code: core.CodeUnauthenticated, Message: "this takes an account of the caller's own, and nobody knows who calls", Fix: "call with a credential"}
}

// String says nothing of the tokens.
func (a *Accounts) String() string { return "accounts" }

// GoString says nothing of the tokens.
func (a *Accounts) GoString() string { return "accounts" }

// MarshalJSON says nothing of the tokens.
func (a *Accounts) MarshalJSON() ([]byte, error) { return []byte(`"accounts"`), nil }

// LogValue says nothing of the tokens.
func (a *Accounts) LogValue() slog.Value { return slog.StringValue("accounts") }

var _ core.Accounts = (*Accounts)(nil)
