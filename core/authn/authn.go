package authn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Options are the options of New. Store and Sealer are needed; what else is zero has a
// default, or is off.
type Options struct {
	Store  core.Store
	Sealer core.Sealer // opens Provider.ClientSecret (core.ProviderBind), seals OpenID Connect flows
	// Transport is the way to identity providers: package egress has one. nil = they
	// cannot be asked, so neither OAuth tokens nor OpenID Connect logins work.
	Transport http.RoundTripper
	// Operator is the static token of the settings, which may do everything; "" = none.
	Operator core.Secret
	// ScopeSets returns the scopes that each server of a tenant asks for. A server that
	// does not exist is then described with one of these sets, so that asking for
	// scopes does not give away which servers there are.
	ScopeSets func(tenant string) [][]string
	Env       string        // stands in API tokens: live, test, …; up to 16 of a-z0-9; "" = live
	Flush     time.Duration // how often last uses of tokens are written; 0 = 1 min
	Now       func() time.Time
	Rand      io.Reader // nil = crypto/rand
	Log       *slog.Logger
}

// Authn says who calls MCP servers. It is safe for concurrent use. Until the first Use it
// lets nobody in.
type Authn struct {
	store     core.Store
	sealer    core.Sealer
	out       http.RoundTripper
	operator  [32]byte // SHA-256
	operated  bool     // there is an operator token
	scopeSets func(tenant string) [][]string
	env       string
	flush     time.Duration
	now       func() time.Time
	random    io.Reader
	log       *slog.Logger

	index       atomic.Pointer[index]
	provisions  chan *provision
	introspects *introspections

	mu      sync.Mutex
	issuers map[[2]string]*issuer // by URL and where the keys are
	uses    map[[2]string]int64   // tenant and id of a token → minute of its last use, not yet written

	// skip and verify are for tests: which checks to leave out, and how signatures are
	// looked at.
	skip   map[string]bool
	verify func(ctx context.Context, is *issuer, token string, t *signed) error
}

// New returns an Authn.
func New(o Options) *Authn {
	a := &Authn{
		store: o.Store, sealer: o.Sealer, out: bounded{o.Transport}, scopeSets: o.ScopeSets,
		env: o.Env, flush: o.Flush, now: o.Now, random: o.Rand, log: o.Log,
		provisions: make(chan *provision, maxProvisions), introspects: newIntrospections(),
		issuers: map[[2]string]*issuer{}, uses: map[[2]string]int64{}, verify: verifyJWT,
	}
	if o.Operator != "" {
		a.operator, a.operated = sha256.Sum256([]byte(o.Operator.Reveal())), true
	}
	if a.env == "" {
		a.env = "live"
	}
	if a.flush <= 0 {
		a.flush = time.Minute
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.random == nil {
		a.random = rand.Reader
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a
}

// Use makes a state the one that callers are looked up in, and forgets whom the one before
// let in.
func (a *Authn) Use(state *core.State) {
	a.index.Store(newIndex(state))
	wanted := map[[2]string]bool{}
	for i := range state.Providers {
		wanted[[2]string{state.Providers[i].Issuer, state.Providers[i].JWKS}] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.issuers {
		if !wanted[key] {
			delete(a.issuers, key)
		}
	}
}

// Authenticate says who calls an MCP server.
func (a *Authn) Authenticate(ctx context.Context, request *core.AuthRequest) (core.Identity, error) {
	ix := a.index.Load()
	if ix == nil {
		return core.Identity{}, &core.Error{Code: core.CodeUnavailable, Message: "nobody can be let in yet: who may come is not known", Fix: "try again in a moment", RetryAfter: 1}
	}
	tenant := request.Tenant
	if tenant == "" {
		tenant = core.DefaultTenant
	}
	credential, is := credentialOf(request.Header)
	switch {
	case is == nothing && request.Server != nil && request.Server.Access.Anonymous && ix.tenants[tenant]:
		return core.Identity{Tenant: tenant, Address: request.Address}, nil
	case is != bearer || !ix.tenants[tenant]:
		return core.Identity{}, a.unauthenticated(ix, request, is != nothing)
	}
	who, err := a.whoIs(ctx, ix, credential, tenant, request.Resource)
	if err != nil {
		if core.AsError(err).Code == core.CodeUnavailable {
			return core.Identity{}, err
		}
		return core.Identity{}, a.unauthenticated(ix, request, true)
	}
	who.Address = request.Address
	if request.Server != nil && len(request.Server.Access.Scopes) > 0 {
		if err := a.Scopes(who, nil, request); err != nil {
			return core.Identity{}, err
		}
	}
	return who, nil
}

// whoIs says whose a credential is, at a tenant.
func (a *Authn) whoIs(ctx context.Context, ix *index, credential, tenant, resource string) (core.Identity, error) {
	now := a.now()
	key := cacheKey{sumOf(credential), tenant}
	if b := ix.cache.get(key); b != nil && b.fits(resource, now) {
		a.use(b.used, now)
		return b.who, nil
	}
	if !wellFormed(credential) {
		return core.Identity{}, errRefused
	}
	if a.operated && subtle.ConstantTimeCompare(key.sum[:], a.operator[:]) == 1 {
		return operator(tenant), nil
	}
	if t := ix.tokens[key.sum]; t != nil {
		b := ix.openToken(t, tenant, now)
		if b == nil {
			return core.Identity{}, errRefused
		}
		ix.cache.put(key, b)
		a.use(b.used, now)
		return b.who, nil
	}
	b, err := a.openAccess(ctx, ix, credential, aim{tenant: tenant, resource: resource, now: now})
	if err != nil {
		return core.Identity{}, err
	}
	ix.cache.put(key, b)
	return b.who, nil
}

// Operator is the subject of whoever has the static token of the settings.
const Operator = "operator"

func operator(tenant string) core.Identity {
	return core.Identity{Subject: Operator, Name: Operator, Tenant: tenant, Everywhere: []string{"admin"}, Via: core.ViaOperator}
}

// openToken says whose an API token is; nil when it is not good in this tenant.
func (ix *index) openToken(t *core.Token, tenant string, now time.Time) *believed {
	u := ix.users[[2]string{t.Tenant, t.User}]
	switch {
	case t.Tenant != tenant || !ix.tenants[t.Tenant] || t.Revoked != nil, u == nil || u.Disabled,
		t.Expires != nil && !now.Before(*t.Expires), !u.Valid.IsZero() && t.Created.Before(u.Valid):
		return nil
	}
	who := identityOf(u, u.Groups, ix.groups[u.Tenant])
	who.Via, who.Credential = core.ViaToken, t.ID
	if len(t.Scopes) > 0 {
		who.Scopes = t.Scopes
	}
	b := &believed{who: who, until: now.Add(24 * time.Hour), used: &used{key: [2]string{t.Tenant, t.ID}}}
	if t.Expires != nil && t.Expires.Before(b.until) {
		b.until = *t.Expires
	}
	return b
}

// Identify says who calls the admin plane with an API token, or the operator's: the
// identity stands in the tenant of its user. The error has CodeUnauthenticated. It does
// not wait for the store.
func (a *Authn) Identify(token core.Secret, address string) (core.Identity, error) {
	wrong := &core.Error{
		Code: core.CodeUnauthenticated, Message: "the credential is not valid", Fix: "send one API token as Authorization: Bearer",
		Challenge: `Bearer error="invalid_token"`,
	}
	now, sum := a.now(), sumOf(token.Reveal())
	if a.operated && subtle.ConstantTimeCompare(sum[:], a.operator[:]) == 1 {
		who := operator(core.DefaultTenant)
		who.Address = address
		return who, nil
	}
	ix := a.index.Load()
	if ix == nil {
		return core.Identity{}, wrong
	}
	t := ix.tokens[sum]
	if t == nil {
		return core.Identity{}, wrong
	}
	b := ix.openToken(t, t.Tenant, now)
	if b == nil {
		return core.Identity{}, wrong
	}
	a.use(b.used, now)
	b.who.Address = address
	return b.who, nil
}

var _ core.Authenticator = (*Authn)(nil)
