package app

import (
	"context"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/audit"
	"github.com/sallyport/sallyport/core/authn"
	"github.com/sallyport/sallyport/core/authz"
	"github.com/sallyport/sallyport/core/vault"
	"github.com/sallyport/sallyport/core/web"
)

// people gives the admin API what package authn knows of logins.
type people struct{ logins *authn.Logins }

func cameFrom(v web.Visitor) authn.From {
	return authn.From{Address: v.Address, Agent: v.Agent, Request: v.Request}
}

func made(g *authn.Granted) *web.LoginMade {
	return &web.LoginMade{Cookie: g.Cookie, CSRF: g.CSRF, Found: web.LoginFound{Who: g.Who, Login: *g.Login, Cookie: g.Cookie, MustChange: g.MustChange}}
}

func madeOr(g *authn.Granted, err error) (*web.LoginMade, error) {
	if err != nil {
		return nil, err
	}
	return made(g), nil
}

// Setup tells whether the first administrator is still to be made.
func (p people) Setup(ctx context.Context) (bool, error) {
	return p.logins.SetupWanted(ctx)
}

// MakeFirst makes the first administrator.
func (p people) MakeFirst(ctx context.Context, first web.FirstUser, from web.Visitor) (*web.LoginMade, error) {
	return madeOr(p.logins.Setup(ctx, first.Token, authn.FirstUser{Name: first.Name, Title: first.Title, Email: first.Email, Password: first.Password}, cameFrom(from)))
}

// Password logs in a local user.
func (p people) Password(ctx context.Context, tenant, name string, password core.Secret, from web.Visitor) (*web.LoginMade, error) {
	return madeOr(p.logins.Password(ctx, tenant, name, password, cameFrom(from)))
}

// Find returns the login of a cookie.
func (p people) Find(ctx context.Context, cookie core.Secret, from web.Visitor) (*web.LoginFound, error) {
	found, err := p.logins.Find(ctx, cookie)
	if err != nil {
		return nil, err
	}
	found.Who.Address = from.Address
	return &web.LoginFound{Who: found.Who, Login: *found.Login, Cookie: cookie, MustChange: found.MustChange}, nil
}

// CSRF returns the token that changes by a login must carry.
func (p people) CSRF(found *web.LoginFound) (core.Secret, error) {
	return authn.CSRF(found.Cookie), nil
}

// CheckCSRF compares one.
func (p people) CheckCSRF(found *web.LoginFound, token string) bool {
	return p.logins.CheckCSRF(&found.Login, core.Secret(token)) == nil
}

// Prove asks the password again.
func (p people) Prove(ctx context.Context, found *web.LoginFound, password core.Secret, from web.Visitor) (time.Time, error) {
	if err := p.logins.Prove(ctx, &found.Login, password, cameFrom(from)); err != nil {
		return time.Time{}, err
	}
	return found.Login.Proved, nil
}

// End ends a login.
func (p people) End(ctx context.Context, found *web.LoginFound, from web.Visitor) error {
	return p.logins.End(ctx, found.Who, &found.Login, cameFrom(from))
}

// ChangePassword sets a new password.
func (p people) ChangePassword(ctx context.Context, found *web.LoginFound, old, password core.Secret, from web.Visitor) (*web.LoginMade, error) {
	return madeOr(p.logins.ChangePassword(ctx, &found.Login, old, password, cameFrom(from)))
}

// ResetPassword puts a temporary password into a user.
func (p people) ResetPassword(user *core.User) (core.Secret, error) {
	return p.logins.Reset(context.Background(), user)
}

// Providers are those that people of a tenant log in with.
func (p people) Providers(ctx context.Context, tenant string) ([]web.LoginProvider, error) {
	all, err := p.logins.Providers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	list := make([]web.LoginProvider, len(all))
	for i := range all {
		list[i] = web.LoginProvider{ID: all[i].ID, Title: all[i].Title}
		if list[i].Title == "" {
			list[i].Title = all[i].ID
		}
	}
	return list, nil
}

// Begin begins a login by a provider, or with a login that is there already, its proof.
func (p people) Begin(ctx context.Context, tenant, provider, callback string, found *web.LoginFound, _ web.Visitor) (string, core.Secret, error) {
	var prove *core.Login
	if found != nil {
		prove = &found.Login
	}
	return p.logins.Begin(ctx, tenant, provider, "/", callback, prove)
}

// Finish ends it.
func (p people) Finish(ctx context.Context, _, _, callback string, flow core.Secret, answer url.Values, from web.Visitor) (*web.LoginMade, error) {
	granted, _, err := p.logins.Finish(ctx, flow, answer, callback, cameFrom(from))
	return madeOr(granted, err)
}

// programs gives the admin API what package authn knows of API tokens.
type programs struct{ authn *authn.Authn }

// Identify returns whose token it is.
func (p programs) Identify(_ context.Context, token core.Secret, from web.Visitor) (core.Identity, error) {
	return p.authn.Identify(token, from.Address)
}

// Mint makes the text of a new token.
func (p programs) Mint(token *core.Token) (core.Secret, error) { return p.authn.Mint(token) }

// policies gives the admin API what package authz knows of roles.
type policies struct{ *authz.Authz }

// Rights is what a caller may.
func (p policies) Rights(who core.Identity) web.Rights { return web.Rights(p.Authz.Rights(who)) }

// Roles are those of a tenant.
func (p policies) Roles(tenant string) []web.RoleLines {
	var list []web.RoleLines
	for _, one := range p.Authz.Roles(tenant) {
		list = append(list, web.RoleLines(one))
	}
	return list
}

// CheckPolicy tells what is wrong with a policy.
func (policies) CheckPolicy(p *core.Policy, roles []string) []core.Problem {
	return authz.CheckPolicy(p, roles)
}

// CheckRole tells what is wrong with a role.
func (policies) CheckRole(r *core.Role) []core.Problem { return authz.CheckRole(r) }

// CheckScopes tells what is wrong with the scopes of a token.
func (policies) CheckScopes(scopes []string) []core.Problem { return authz.CheckScopes(scopes) }

// keys gives the admin API the keys of the vault.
type keys struct {
	vault *vault.Vault
	store core.Store
}

// List tells the keys, the one that seals first.
func (k keys) List() []web.KeyState {
	list := []web.KeyState{{ID: k.vault.Kid(), Active: true}}
	for _, id := range k.vault.Kids() {
		if id != k.vault.Kid() {
			list = append(list, web.KeyState{ID: id})
		}
	}
	return list
}

// Rotate makes a new key, and seals with it what is stored.
func (k keys) Rotate(ctx context.Context, entry *core.AuditEntry) (int, error) {
	if _, err := k.vault.Rotate(); err != nil {
		return 0, err
	}
	done, err := k.vault.RotateStore(ctx, k.store, entry)
	if err == nil && len(done.Failed) > 0 {
		err = &core.Error{
			Code: core.CodeConflict, Message: "some secrets do not open and are sealed with the old key still: " + done.Failed[0],
			Fix: "write their values again, then rotate once more",
		}
	}
	return done.Changed, err
}

// trail gives the admin API the checks of the audit trail.
type trail struct {
	store core.Reader
	key   func() ([]byte, error)
}

// Verify checks all of it.
func (t trail) Verify(ctx context.Context) (web.TrailReport, error) {
	key, err := t.key()
	if err != nil {
		return web.TrailReport{}, err
	}
	found, err := audit.Verify(ctx, t.store, audit.VerifyOptions{Key: key})
	if err != nil {
		return web.TrailReport{}, err
	}
	report := web.TrailReport{Whole: found.OK(), Entries: found.Entries, Replicas: len(found.Trails), Problems: []web.TrailProblem{}}
	for _, one := range found.Faults {
		report.Problems = append(report.Problems, web.TrailProblem{Replica: one.Replica, Seq: one.Seq, Message: one.Kind + ": " + one.Message})
	}
	return report, nil
}

var (
	_ web.Logins   = people{}
	_ web.Tokens   = programs{}
	_ web.Policies = policies{}
	_ web.Keys     = keys{}
	_ web.Trail    = trail{}
)
