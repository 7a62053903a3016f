package web

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

// groupForm is what people write of a rule for a group.
type groupForm struct {
	reasoned

	Provider string `json:"provider"` // id; * = any
	Group    string `json:"group"`
	Role     string `json:"role"`
}

func groupRoutes() []apiRoute {
	return noun[core.GroupRole, *core.GroupRole, groupForm, core.GroupRole]{
		kind: "policy", path: "/group-roles", param: "id", one: "a rule that gives a group a role", many: "the rules that give groups roles",
		filter: []apiParam{
			{Name: "provider", About: "Only those for groups of this provider."},
			{Name: "group", About: "Only those for this group."},
			{Name: "role", About: "Only those that give this role."},
		},
		key: func(tenant, id string) *core.GroupRole { return &core.GroupRole{Tenant: tenant, ID: id} },
		write: func(ctx context.Context, c *apiCall, tx core.Tx, g *core.GroupRole, form *groupForm, _ bool) ([]string, error) {
			problems, err := c.checkRoles(ctx, tx, g.Tenant, "/role", []string{form.Role})
			if err != nil {
				return nil, err
			}
			if form.Group == "" {
				problems = append(problems, wrong("/group", "the group is empty", "write its name as the provider sends it"))
			}
			problems = needShort(problems, "/group", form.Group, 500)
			if form.Provider != "*" {
				if err := tx.Get(ctx, &core.Provider{Tenant: g.Tenant, ID: form.Provider}); err != nil {
					if code := core.AsError(err).Code; code != core.CodeNotFound && code != core.CodeInvalid {
						return nil, err
					}
					problems = append(problems, wrong("/provider", "there is no such provider", "write its id, or * for any"))
				}
			}
			if problems != nil {
				return nil, invalid(problems...)
			}
			if err := c.mayGrant(form.Role); err != nil {
				return nil, err
			}
			g.Provider, g.Group, g.Role = form.Provider, form.Group, form.Role
			return nil, nil
		},
		show: shown[core.GroupRole],
		name: func(g *core.GroupRole) string { return g.ID },
	}.routes()
}
