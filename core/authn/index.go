package authn

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// index is a core.State, sorted by what is looked up. It is never changed, but for its
// cache, which goes with it: what a new State takes back is gone at once.
type index struct {
	tenants   map[string]bool // those that are not disabled
	tokens    map[[32]byte]*core.Token
	users     map[[2]string]*core.User    // tenant, id
	external  map[[3]string]*core.User    // tenant, provider, subject there
	groups    map[string][]groupRole      // by tenant
	providers map[string][]*core.Provider // by tenant: those whose access tokens open servers
	revoked   map[[3]string]time.Time     // tenant, of, id → when
	cache     *cache
}

// groupRole is what a core.GroupRole says.
type groupRole struct{ provider, group, role string }

// everyProvider in a GroupRole stands for any.
const everyProvider = "*"

func newIndex(state *core.State) *index {
	ix := &index{
		tenants:   map[string]bool{core.DefaultTenant: true},
		tokens:    make(map[[32]byte]*core.Token, len(state.Tokens)),
		users:     make(map[[2]string]*core.User, len(state.Users)),
		external:  map[[3]string]*core.User{},
		groups:    map[string][]groupRole{},
		providers: map[string][]*core.Provider{},
		revoked:   make(map[[3]string]time.Time, len(state.Revocations)),
		cache:     newCache(),
	}
	for i := range state.Tenants {
		ix.tenants[state.Tenants[i].ID] = !state.Tenants[i].Disabled
	}
	for i := range state.Tokens {
		t := &state.Tokens[i]
		var sum [32]byte
		if n, err := hex.Decode(sum[:], []byte(t.Sum[:min(len(t.Sum), 64)])); err == nil && n == len(sum) && len(t.Sum) == 64 {
			ix.tokens[sum] = t
		}
	}
	for i := range state.Users {
		u := &state.Users[i]
		ix.users[[2]string{u.Tenant, u.ID}] = u
		if u.Provider != "" && u.External != "" {
			ix.external[[3]string{u.Tenant, u.Provider, u.External}] = u
		}
	}
	for i := range state.Groups {
		g := &state.Groups[i]
		ix.groups[g.Tenant] = append(ix.groups[g.Tenant], groupRole{g.Provider, g.Group, g.Role})
	}
	for i := range state.Providers {
		if p := &state.Providers[i]; p.Resource && !p.Disabled && p.Issuer != "" {
			ix.providers[p.Tenant] = append(ix.providers[p.Tenant], p)
		}
	}
	for i := range state.Revocations {
		r := &state.Revocations[i]
		key := [3]string{r.Tenant, r.Of, r.ID}
		if at := ix.revoked[key]; r.At.After(at) {
			ix.revoked[key] = r.At
		}
	}
	return ix
}

// providersFor returns the providers whose access tokens open servers of a tenant. all is
// for the test of that.
func (ix *index) providersFor(tenant string, all bool) []*core.Provider {
	if !all {
		return ix.providers[tenant]
	}
	var out []*core.Provider
	for _, some := range ix.providers {
		out = append(out, some...)
	}
	return out
}

func (ix *index) isRevoked(tenant, of, id string) (time.Time, bool) {
	if at, found := ix.revoked[[3]string{tenant, of, id}]; found {
		return at, true
	}
	at, found := ix.revoked[[3]string{core.EveryTenant, of, id}]
	return at, found
}

// revokedToken tells whether an access token was taken back, by its hash or by the name
// that its issuer gave it.
func (ix *index) revokedToken(tenant, sum, issuer, jti string) bool {
	if _, found := ix.isRevoked(tenant, "jwt", sum); found {
		return true
	}
	if jti == "" {
		return false
	}
	_, found := ix.isRevoked(tenant, "jwt", RevokedJTI(issuer, jti))
	return found
}

// since tells whether something made at a moment is still good for a user: not made
// before User.Valid, nor before the user's access was revoked. A moment that nobody knows
// is before any other.
func (ix *index) since(tenant, subject string, valid, made time.Time) bool {
	if at, found := ix.isRevoked(tenant, "subject", subject); found && made.Before(at) {
		return false
	}
	return valid.IsZero() || !made.Before(valid)
}

// roles returns what a user may wear: the roles given by hand and those of the groups,
// sorted, each once.
func roles(byHand []string, provider string, groups []string, rules []groupRole) []string {
	out := slices.Clone(byHand)
	for _, rule := range rules {
		if (rule.provider == everyProvider || rule.provider == provider) && slices.Contains(groups, rule.group) {
			out = append(out, rule.role)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// everywhere returns the roles that a user has in every tenant: only users of
// DefaultTenant have any, whatever a row says.
func everywhere(u *core.User) []string {
	if u.Tenant != core.DefaultTenant {
		return nil
	}
	out := slices.Clone(u.Everywhere)
	slices.Sort(out)
	return slices.Compact(out)
}

// identityOf returns who a user is, wearing the roles of these groups.
func identityOf(u *core.User, groups []string, rules []groupRole) core.Identity {
	name := u.Title
	if name == "" {
		name = u.Name
	}
	return core.Identity{
		Subject: u.ID, Tenant: u.Tenant, Name: name,
		Roles: roles(u.Roles, u.Provider, groups, rules), Everywhere: everywhere(u),
	}
}
