package web

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

// Policies knows what roles may, and what a policy can say. core/authz has it.
type Policies interface {
	// Rights is what a caller may in its own tenant.
	Rights(who core.Identity) Rights
	// Roles are those of a tenant, the built-in ones first.
	Roles(tenant string) []RoleLines
	// CheckPolicy, CheckRole and CheckScopes tell what is wrong before something is stored;
	// warnings forbid nothing. roles are the tenant's own.
	CheckPolicy(p *core.Policy, roles []string) []core.Problem
	CheckRole(r *core.Role) []core.Problem
	CheckScopes(scopes []string) []core.Problem
}

// Rights is what a caller may in its own tenant.
type Rights struct {
	Roles      []string `json:"roles"`      // in its tenant
	Everywhere []string `json:"everywhere"` // in every tenant
	Allow      []string `json:"allow"`      // permissions
	Deny       []string `json:"deny"`       // permissions; they win
	Scopes     []string `json:"scopes"`     // narrow all of it; empty = not narrowed
}

// RoleLines is a role and what it may.
type RoleLines struct {
	Name    string   `json:"name"`
	Title   string   `json:"title,omitempty"`
	Summary string   `json:"summary,omitempty"` // of built-in ones
	BuiltIn bool     `json:"builtIn"`
	Allow   []string `json:"allow"` // permissions
	Deny    []string `json:"deny"`  // permissions; they win
}

// roleForm is what people write of a role.
type roleForm struct {
	reasoned

	Name  string `json:"name,omitempty"` // a slug; only of a new one
	Title string `json:"title,omitempty"`
}

func roleRoutes() []apiRoute {
	roles := noun[core.Role, *core.Role, roleForm, core.Role]{
		kind: "role", path: "/roles", param: "name", one: "a role", many: "the roles of a tenant's own",
		key: func(tenant, name string) *core.Role { return &core.Role{Tenant: tenant, Name: name} },
		made: func(r *core.Role, form *roleForm) error {
			r.Name = form.Name
			if problems := needSlug(nil, "/name", form.Name); problems != nil {
				return invalid(problems...)
			}
			return nil
		},
		write: func(_ context.Context, c *apiCall, _ core.Tx, r *core.Role, form *roleForm, fresh bool) ([]string, error) {
			r.Title = form.Title
			problems := needSame(nil, "/name", form.Name, r.Name, fresh)
			problems = needShort(problems, "/title", form.Title, 200)
			if c.api.o.Policies != nil {
				problems = append(problems, grave(c.api.o.Policies.CheckRole(r))...)
			}
			if problems != nil {
				return nil, invalid(problems...)
			}
			return nil, nil
		},
		deleted: func(ctx context.Context, _ *apiCall, tx core.Tx, r *core.Role) error {
			equal := map[string]string{"role": r.Name}
			for _, left := range []func() (bool, error){some[core.Policy](ctx, tx, r.Tenant, equal), some[core.GroupRole](ctx, tx, r.Tenant, equal)} {
				found, err := left()
				if err != nil {
					return err
				}
				if found {
					return &core.Error{Code: core.CodeConflict, Message: "policies or rules for groups name this role", Fix: "delete them first"}
				}
			}
			return nil
		},
		show: shown[core.Role],
		name: func(r *core.Role) string { return r.Name },
	}.routes()
	return append(roles, apiRoute{
		Method: "GET", Pattern: "/permissions", Summary: "List all roles, the built-in ones too, with what they may", Noun: "roles",
		On: "role", Do: core.ActionRead, Needs: func(o *APIOptions) bool { return o.Policies != nil }, Answer: roleList{},
		Handle: func(c *apiCall) error {
			list := roleList{Roles: []RoleLines{}, Actions: core.Actions, Kinds: core.ObjectKinds}
			for _, r := range c.api.o.Policies.Roles(c.tenant) {
				if c.reads("role", r.Name) {
					list.Roles = append(list.Roles, r)
				}
			}
			return c.reply(list)
		},
	})
}

// roleList is all roles, and the words of permissions.
type roleList struct {
	Roles   []RoleLines   `json:"roles"`
	Kinds   []string      `json:"kinds"` // of objects
	Actions []core.Action `json:"actions"`
}

// grave leaves warnings out.
func grave(problems []core.Problem) []core.Problem {
	var list []core.Problem
	for _, p := range problems {
		if !p.Warning {
			list = append(list, p)
		}
	}
	return list
}
