package app

import (
	"context"
	"io"
	"net/url"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/accounts"
	"github.com/sallyport/sallyport/core/audit"
	"github.com/sallyport/sallyport/core/authn"
	"github.com/sallyport/sallyport/core/authz"
	"github.com/sallyport/sallyport/core/vault"
	"github.com/sallyport/sallyport/core/web"
)

// people gives the admin API what package authn knows of logins.
type people struct{ *authn.Logins }

func made(g *authn.Granted, err error) (*web.LoginMade, error) {
	if err != nil {
		return nil, err
	}
	return &web.LoginMade{LoginFound: web.LoginFound(g.Found), Cookie: g.Cookie, CSRF: g.CSRF}, nil
}

// Setup makes the first administrator.
func (p people) Setup(ctx context.Context, token core.Secret, first web.FirstUser, from web.Visitor) (*web.LoginMade, error) {
	return made(p.Logins.Setup(ctx, token, authn.FirstUser(first), authn.From(from)))
}

// Password logs in a local user.
func (p people) Password(ctx context.Context, tenant, name string, password core.Secret, from web.Visitor) (*web.LoginMade, error) {
	return made(p.Logins.Password(ctx, tenant, name, password, authn.From(from)))
}

// Find returns the login of a cookie.
func (p people) Find(ctx context.Context, cookie core.Secret) (*web.LoginFound, error) {
	found, err := p.Logins.Find(ctx, cookie)
	if err != nil {
		return nil, err
	}
	out := web.LoginFound(*found)
	return &out, nil
}

// CSRF returns the token that changes with this cookie must carry.
func (people) CSRF(cookie core.Secret) core.Secret { return authn.CSRF(cookie) }

// Prove asks the password again.
func (p people) Prove(ctx context.Context, login *core.Login, password core.Secret, from web.Visitor) error {
	return p.Logins.Prove(ctx, login, password, authn.From(from))
}

// End ends a login.
func (p people) End(ctx context.Context, by core.Identity, login *core.Login, from web.Visitor) error {
	return p.Logins.End(ctx, by, login, authn.From(from))
}

// EndAll ends the logins of a user.
func (p people) EndAll(ctx context.Context, by core.Identity, tenant, user string, from web.Visitor) error {
	return p.Logins.EndAll(ctx, by, tenant, user, authn.From(from))
}

// ChangePassword sets a new password.
func (p people) ChangePassword(ctx context.Context, login *core.Login, old, password core.Secret, from web.Visitor) (*web.LoginMade, error) {
	return made(p.Logins.ChangePassword(ctx, login, old, password, authn.From(from)))
}

// Finish takes what a provider sent back.
func (p people) Finish(ctx context.Context, flow core.Secret, query url.Values, redirectURI string, from web.Visitor) (*web.LoginMade, string, error) {
	granted, returnTo, err := p.Logins.Finish(ctx, flow, query, redirectURI, authn.From(from))
	out, err := made(granted, err)
	return out, returnTo, err
}

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
	*vault.Vault

	store core.Store
}

// Rotate makes a new key, and seals with it what is stored.
func (k keys) Rotate(ctx context.Context, entry *core.AuditEntry) (*web.KeyRotation, error) {
	id, err := k.Vault.Rotate()
	if err != nil {
		return nil, err
	}
	done, err := k.RotateStore(ctx, k.store, entry)
	if err != nil {
		return nil, err
	}
	return &web.KeyRotation{Key: id, Looked: done.Looked, Changed: done.Changed, Failed: append([]string{}, done.Failed...)}, nil
}

// trail gives the admin API the audit trail.
type trail struct {
	store core.Reader
	key   func() ([]byte, error)
}

// Verify checks all of it.
func (t trail) Verify(ctx context.Context) (*web.TrailReport, error) {
	key, err := t.key()
	if err != nil {
		return nil, err
	}
	found, err := audit.Verify(ctx, t.store, audit.VerifyOptions{Key: key})
	if err != nil {
		return nil, err
	}
	report := &web.TrailReport{
		Whole: found.OK(), Time: found.Time, Entries: found.Entries, Anchors: found.Anchors, Calls: found.Calls, More: found.More,
		Trails: []web.TrailHead{}, Faults: faults(found.Faults), Warnings: faults(found.Warnings),
	}
	for _, one := range found.Trails {
		report.Trails = append(report.Trails, web.TrailHead{Replica: one.Replica, Entries: one.Entries, Seq: one.Head.Seq, Hash: one.Head.Hash, Time: one.Head.Time})
	}
	return report, nil
}

func faults(list []audit.Fault) []web.TrailFault {
	out := make([]web.TrailFault, len(list))
	for i, one := range list {
		out[i] = web.TrailFault{Kind: one.Kind, Replica: one.Replica, Seq: one.Seq, Time: one.Time, Message: one.Message}
	}
	return out
}

// Export writes entries out, with a summary to verify them by.
func (t trail) Export(ctx context.Context, w io.Writer, q core.Query, format string) error {
	key, err := t.key()
	if err != nil {
		return err
	}
	_, err = audit.Export(ctx, t.store, w, q, audit.ExportOptions{Key: key, Format: audit.Format(format)})
	return err
}

// connecting gives the admin API what package accounts knows.
type connecting struct{ *accounts.Accounts }

// Finish takes what an authorization server sent back.
func (c connecting) Finish(ctx context.Context, who core.Identity, flow core.Secret, query url.Values, redirectURI string) (web.AccountConnected, error) {
	done, err := c.Accounts.Finish(ctx, who, flow, query, redirectURI)
	return web.AccountConnected(done), err
}

// used tells what a user used today, and what its limits leave.
func (d *door) used(ctx context.Context, tenant, subject string) (*web.Use, error) {
	today, err := d.bounds.Usage(ctx, tenant, subject)
	if err != nil {
		return nil, err
	}
	use := &web.Use{
		Calls: today.Calls, Errors: today.Errors, Refused: today.Refused, In: today.In, Out: today.Out, Resets: today.Resets,
		Limits: make([]web.LimitState, len(today.Limits)),
	}
	for i, one := range today.Limits {
		use.Limits[i] = web.LimitState(one)
	}
	return use, nil
}

var (
	_ web.Logins      = people{}
	_ web.Tokens      = (*authn.Authn)(nil)
	_ web.Policies    = policies{}
	_ web.Keys        = keys{}
	_ web.Trail       = trail{}
	_ web.AccountFlow = connecting{}
)
