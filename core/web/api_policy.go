package web

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// policyForm is what people write of a policy.
type policyForm struct {
	reasoned

	Role   string `json:"role"`
	Kind   string `json:"kind"`   // of the object; * = every kind
	Match  string `json:"match"`  // a glob over what it is called: github/list_*
	Action string `json:"action"` // * = every action
	Deny   bool   `json:"deny,omitempty"`
	Note   string `json:"note,omitempty"`
}

func policyRoutes() []apiRoute {
	return noun[core.Policy, *core.Policy, policyForm, core.Policy]{
		kind: "policy", path: "/policies", param: "id", one: "a policy", many: "policies",
		filter: []apiParam{
			{Name: "role", About: "Only those of this role."},
			{Name: "kind", About: "Only those about this kind."},
			{Name: "action", About: "Only those about this action."},
			{Name: "deny", About: "Only those that deny, or allow.", Enum: yesNo},
		},
		key: func(tenant, id string) *core.Policy { return &core.Policy{Tenant: tenant, ID: id} },
		write: func(ctx context.Context, c *apiCall, tx core.Tx, p *core.Policy, form *policyForm, _ bool) ([]string, error) {
			p.Role, p.Kind, p.Match, p.Action, p.Deny, p.Note = form.Role, form.Kind, form.Match, form.Action, form.Deny, form.Note
			problems := needShort(nil, "/note", form.Note, 500)
			if c.api.o.Policies != nil {
				var own []string
				err := all(ctx, tx, core.Query{Tenant: p.Tenant}, func(r *core.Role) error {
					own = append(own, r.Name)
					return nil
				})
				if err != nil {
					return nil, err
				}
				problems = append(problems, grave(c.api.o.Policies.CheckPolicy(p, own))...)
			}
			if problems != nil {
				return nil, invalid(problems...)
			}
			// Roles of the default tenant hold in every tenant for those who have them
			// everywhere: their lines are those people's affair.
			if p.Tenant == core.DefaultTenant {
				return nil, c.ruleEverywhere(ctx, tx, p.Role)
			}
			return nil, nil
		},
		deleted: func(ctx context.Context, c *apiCall, tx core.Tx, p *core.Policy) error {
			if p.Tenant == core.DefaultTenant {
				return c.ruleEverywhere(ctx, tx, p.Role)
			}
			return nil
		},
		show: shown[core.Policy],
		name: func(p *core.Policy) string { return p.ID },
	}.routes()
}

// ruleEverywhere tells whether the caller may say what a role of the default tenant may:
// when somebody has it everywhere, that takes the right to manage tenants.
func (c *apiCall) ruleEverywhere(ctx context.Context, from core.Reader, role string) error {
	held := false
	err := all(ctx, from, core.Query{Tenant: core.DefaultTenant}, func(u *core.User) error {
		held = held || slices.Contains(u.Everywhere, role)
		return nil
	})
	if err != nil || !held {
		return err
	}
	return c.mayEverywhere()
}
