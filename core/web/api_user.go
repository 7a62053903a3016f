package web

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// userForm is what people write of a user. What is left out becomes empty.
type userForm struct {
	reasoned

	Name       string   `json:"name"` // what is typed to log in; lower case
	Title      string   `json:"title,omitempty"`
	Email      string   `json:"email,omitempty"`
	Service    bool     `json:"service,omitempty"` // a program: it cannot log in, and has tokens only
	Disabled   bool     `json:"disabled,omitempty"`
	Provider   string   `json:"provider,omitempty"` // id of the provider that knows this user …
	External   string   `json:"external,omitempty"` // … and as whom
	Roles      []string `json:"roles,omitempty"`
	Everywhere []string `json:"everywhere,omitempty"` // roles in every tenant; of users of the default tenant
}

// passwordMade is shown once.
type passwordMade struct {
	Password string `json:"password"` // temporary: it must be changed at the next login
}

func userRoutes() []apiRoute {
	users := noun[core.User, *core.User, userForm, core.User]{
		kind: "user", path: "/users", param: "id", one: "a user", many: "users", proof: true,
		filter: []apiParam{
			{Name: "name", About: "Only the user of this name."},
			{Name: "email", About: "Only users of this address."},
			{Name: "service", About: "Only programs, or only people.", Enum: yesNo},
			{Name: "disabled", About: "Only those that are, or are not.", Enum: yesNo},
			{Name: "provider", About: "Only those that this provider knows, by its id."},
		},
		key:     func(tenant, id string) *core.User { return &core.User{Tenant: tenant, ID: id} },
		write:   writeUser,
		deleted: forgetUser,
		after: func(c *apiCall, u *core.User) {
			if c.ends {
				c.endLogins(u.ID)
			}
		},
		show: shown[core.User],
		name: func(u *core.User) string { return u.ID },
	}.routes()
	return append(users, apiRoute{
		Method: "POST", Pattern: "/users/{id}/password", Summary: "Give a user a temporary password, and end its logins",
		On: "user", Do: core.ActionWrite, Name: "id", Stored: true, Proof: true, Body: reasoned{}, Match: true, Answer: passwordMade{}, Also: []int{409},
		Needs: func(o *APIOptions) bool { return o.Logins != nil }, Handle: resetPassword,
	})
}

func writeUser(ctx context.Context, c *apiCall, tx core.Tx, u *core.User, form *userForm, fresh bool) ([]string, error) {
	if !fresh {
		if err := c.mayRule(ctx, tx, u); err != nil {
			return nil, err
		}
	}
	var problems []core.Problem
	if !userName(form.Name) {
		problems = append(problems, wrong("/name", "this is no name", "write 1 to 64 of a to z, 0 to 9 and . _ @ + -"))
	}
	problems = needShort(problems, "/title", form.Title, 200)
	problems = needShort(problems, "/email", form.Email, 254)
	if (form.Provider == "") != (form.External == "") {
		problems = append(problems, wrong("/external", "provider and external belong together", "write both, or neither"))
	}
	if len(form.Everywhere) > 0 && u.Tenant != core.DefaultTenant {
		problems = append(problems, wrong("/everywhere", "users of this tenant have roles in it alone", "write roles, or make the user in the tenant "+core.DefaultTenant))
	}
	roles, everywhere := sorted(form.Roles), sorted(form.Everywhere)
	if c.who.Subject == u.ID && !fresh && (form.Disabled || !slices.Equal(roles, sorted(u.Roles)) || !slices.Equal(everywhere, sorted(u.Everywhere))) {
		return nil, &core.Error{Code: core.CodeConflict, Message: "nobody disables oneself, or changes one's own roles", Fix: "ask another administrator, so that one is left"}
	}
	found, err := c.checkRoles(ctx, tx, u.Tenant, "/roles", added(roles, u.Roles))
	if err != nil {
		return nil, err
	}
	problems = append(problems, found...)
	if u.Tenant == core.DefaultTenant { // users of others have none, which was said above
		if found, err = c.checkRoles(ctx, tx, core.DefaultTenant, "/everywhere", added(everywhere, u.Everywhere)); err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	if len(problems) > 0 {
		return nil, invalid(problems...)
	}
	if err := c.mayGrant(added(roles, u.Roles)...); err != nil {
		return nil, err
	}
	if !slices.Equal(everywhere, sorted(u.Everywhere)) {
		if err := c.mayEverywhere(); err != nil {
			return nil, err
		}
		if err := c.proved(); err != nil {
			return nil, err
		}
	}
	if form.Disabled && !u.Disabled || form.Service && !u.Service {
		c.ends = true
		u.Valid = c.api.o.Now().UTC() // logins and tokens made before end
	}
	u.Name, u.Title, u.Email, u.Service, u.Disabled = form.Name, form.Title, form.Email, form.Service, form.Disabled
	u.Provider, u.External, u.Roles, u.Everywhere = form.Provider, form.External, roles, everywhere
	if u.Groups == nil {
		u.Groups = []string{}
	}
	return nil, nil
}

// added returns what is in after and not in before.
func added(after, before []string) []string {
	var list []string
	for _, one := range after {
		if !slices.Contains(before, one) {
			list = append(list, one)
		}
	}
	return list
}

// userName tells whether a text can be what somebody types to log in.
func userName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '@', c == '+', c == '-':
		default:
			return false
		}
	}
	return true
}

// checkRoles says which of these roles there are not.
func (c *apiCall) checkRoles(ctx context.Context, from core.Reader, tenant, path string, roles []string) ([]core.Problem, error) {
	var problems []core.Problem
	known := c.builtIn(tenant)
	for _, role := range roles {
		if slices.Contains(known, role) {
			continue
		}
		err := from.Get(ctx, &core.Role{Tenant: tenant, Name: role})
		switch {
		case err == nil:
		case core.AsError(err).Code == core.CodeNotFound || core.AsError(err).Code == core.CodeInvalid:
			fix := "GET /api/v1/roles lists them"
			if near := closest(role, known); near != "" {
				fix = "write " + near
			}
			problems = append(problems, wrong(path, "there is no such role", fix))
		default:
			return nil, err
		}
	}
	return problems, nil
}

// builtIn returns the names of the built-in roles.
func (c *apiCall) builtIn(tenant string) []string {
	var names []string
	if c.api.o.Policies != nil {
		for _, r := range c.api.o.Policies.Roles(tenant) {
			if r.BuiltIn {
				names = append(names, r.Name)
			}
		}
	}
	return names
}

// mayGrant tells whether the caller may give these roles: whoever gives a role can make
// somebody who has it, so it takes the right to write that role.
func (c *apiCall) mayGrant(roles ...string) error {
	for _, role := range roles {
		if err := c.may(core.ActionWrite, core.Object{Kind: "role", Tenant: c.tenant, Name: role}); err != nil {
			return err
		}
	}
	return nil
}

// mayEverywhere tells whether the caller may touch those who have roles in every tenant.
func (c *apiCall) mayEverywhere() error {
	return c.may(core.ActionWrite, core.Object{Kind: "tenant", Tenant: core.EveryTenant})
}

// mayRule tells whether the caller may take a user over, by a password, a token or
// otherwise: nobody gets so what a role of the user may and one's own may not.
func (c *apiCall) mayRule(ctx context.Context, from core.Reader, u *core.User) error {
	if u.ID == c.who.Subject {
		return nil
	}
	roles, err := rolesOf(ctx, from, u)
	if err != nil {
		return err
	}
	if err := c.mayGrant(roles...); err != nil {
		return err
	}
	if len(u.Everywhere) > 0 {
		return c.mayEverywhere()
	}
	return nil
}

// rolesOf returns the roles of a user in its tenant, those of its groups included.
func rolesOf(ctx context.Context, from core.Reader, u *core.User) ([]string, error) {
	roles := slices.Clone(u.Roles)
	if len(u.Groups) > 0 {
		err := all(ctx, from, core.Query{Tenant: u.Tenant}, func(g *core.GroupRole) error {
			if (g.Provider == "*" || g.Provider == u.Provider) && slices.Contains(u.Groups, g.Group) {
				roles = append(roles, g.Role)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sorted(roles), nil
}

// all calls f for every row.
func all[R any](ctx context.Context, from core.Reader, q core.Query, f func(*R) error) error {
	q.Limit = pageMost
	for {
		var rows []R
		next, err := from.List(ctx, &rows, q)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := f(&rows[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		q.After = next
	}
}

// forgetUser deletes what only the user could use, and ends what runs in its name.
func forgetUser(ctx context.Context, c *apiCall, tx core.Tx, u *core.User) error {
	if u.ID == c.who.Subject {
		return &core.Error{Code: core.CodeConflict, Message: "nobody deletes oneself", Fix: "ask another administrator, so that one is left"}
	}
	if err := c.mayRule(ctx, tx, u); err != nil {
		return err
	}
	var rows []core.Row
	err := all(ctx, tx, core.Query{Tenant: u.Tenant, Equal: map[string]string{"user": u.ID}}, func(t *core.Token) error {
		rows = append(rows, t)
		return nil
	})
	if err != nil {
		return err
	}
	err = all(ctx, tx, core.Query{Tenant: u.Tenant, Equal: map[string]string{"user": u.ID}}, func(l *core.Login) error {
		rows = append(rows, l)
		return nil
	})
	if err != nil {
		return err
	}
	err = all(ctx, tx, core.Query{Tenant: u.Tenant, Equal: map[string]string{"owner": u.ID}}, func(k *core.Credential) error {
		rows = append(rows, k)
		return nil
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := tx.Delete(ctx, row); err != nil {
			return err
		}
	}
	c.ends = true
	now := c.api.o.Now().UTC()
	return tx.Put(ctx, &core.Revocation{
		Tenant: u.Tenant, Of: "subject", ID: u.ID, At: now, Until: now.Add(longestSession), Reason: "the user was deleted", Revoker: c.who.Subject,
	})
}

// longestSession is how long a session or an access token may still be good after what it
// rests on is gone: revocations are kept for as long.
const longestSession = 31 * 24 * time.Hour

func resetPassword(c *apiCall) error {
	var password core.Secret
	u := &core.User{}
	err := c.change("user.password", "user", c.path("id"), func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
		*u = core.User{Tenant: c.tenant, ID: c.path("id")}
		if err := c.fetch(ctx, tx, u); err != nil {
			return err
		}
		if u.Service {
			return &core.Error{Code: core.CodeConflict, Message: "a program has no password", Fix: "mint a token for it: POST /api/v1/tokens"}
		}
		if err := c.mayRule(ctx, tx, u); err != nil {
			return err
		}
		var err error
		if password, err = c.api.o.Logins.Reset(ctx, u); err != nil {
			return err
		}
		u.MustChange, u.Valid = true, c.api.o.Now().UTC()
		c.stamp(u)
		if err := tx.Put(ctx, u); err != nil {
			return err
		}
		return details(entry, "password")
	})
	if err != nil {
		return err
	}
	c.endLogins(u.ID)
	return c.replyRow(u, passwordMade{password.Reveal()})
}

// endLogins ends the logins of a user at once. They are good no more already; this process
// may have remembered them for a few seconds.
func (c *apiCall) endLogins(user string) {
	if c.api.o.Logins == nil {
		return
	}
	if err := c.api.o.Logins.EndAll(c.ctx, c.who, c.tenant, user, c.from()); err != nil {
		c.api.log.Warn("end the logins of a user", "request", c.request.id, "error", err)
	}
}
