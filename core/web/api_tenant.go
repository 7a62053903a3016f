package web

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

// tenantForm is what people write of a tenant.
type tenantForm struct {
	reasoned

	ID       string `json:"id,omitempty"` // a slug; only of a new one
	Title    string `json:"title,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
}

func tenantRoutes() []apiRoute {
	return noun[core.Tenant, *core.Tenant, tenantForm, core.Tenant]{
		kind: "tenant", path: "/tenants", param: "id", one: "a tenant", many: "tenants", whole: true, proof: true,
		filter: []apiParam{{Name: "disabled", About: "Only those that are, or are not.", Enum: yesNo}},
		key:    func(_, id string) *core.Tenant { return &core.Tenant{ID: id} },
		made: func(t *core.Tenant, form *tenantForm) error {
			if problems := needSlug(nil, "/id", form.ID); problems != nil {
				return invalid(problems...)
			}
			if reserved(form.ID) || form.ID == "mcp" || form.ID == "sse" || form.ID == "message" {
				return invalid(wrong("/id", "this is the first part of paths of the gateway", "choose another"))
			}
			t.ID = form.ID
			return nil
		},
		write: func(_ context.Context, _ *apiCall, _ core.Tx, t *core.Tenant, form *tenantForm, fresh bool) ([]string, error) {
			problems := needShort(nil, "/title", form.Title, 200)
			problems = needSame(problems, "/id", form.ID, t.ID, fresh)
			if t.ID == core.DefaultTenant && form.Disabled {
				problems = append(problems, wrong("/disabled", "this tenant cannot be disabled", "disable its users or servers"))
			}
			if problems != nil {
				return nil, invalid(problems...)
			}
			t.Title, t.Disabled = form.Title, form.Disabled
			return nil, nil
		},
		deleted: emptyTenant,
		show:    shown[core.Tenant],
		name:    func(t *core.Tenant) string { return t.ID },
	}.routes()
}

var yesNo = []string{"true", "false"}

// emptyTenant lets a tenant go when nothing of it is left: so nobody deletes a company by
// one request, and nothing stays behind for the next tenant of that name.
func emptyTenant(ctx context.Context, c *apiCall, tx core.Tx, t *core.Tenant) error {
	if t.ID == core.DefaultTenant {
		return &core.Error{Code: core.CodeConflict, Message: "the default tenant stays", Fix: "delete what is in it"}
	}
	for _, part := range []struct {
		what string
		some func() (bool, error)
	}{
		{"users", some[core.User](ctx, tx, t.ID, nil)},
		{"documents", some[core.Document](ctx, tx, t.ID, map[string]string{"gone": "false"})},
		{"drafts", some[core.Draft](ctx, tx, t.ID, nil)},
		{"plugin modules", some[core.Module](ctx, tx, t.ID, nil)},
		{"credentials", some[core.Credential](ctx, tx, t.ID, nil)},
		{"roles", some[core.Role](ctx, tx, t.ID, nil)},
		{"policies", some[core.Policy](ctx, tx, t.ID, nil)},
		{"rules for groups", some[core.GroupRole](ctx, tx, t.ID, nil)},
		{"providers", some[core.Provider](ctx, tx, t.ID, nil)},
		{"connectors", some[core.Connector](ctx, tx, t.ID, nil)},
		{"limits", some[core.Limit](ctx, tx, t.ID, nil)},
	} {
		found, err := part.some()
		if err != nil {
			return err
		}
		if found {
			return &core.Error{Code: core.CodeConflict, Message: "the tenant still has " + part.what, Fix: "delete them first"}
		}
	}
	return nil
}

// some tells whether there is a row.
func some[R any](ctx context.Context, from core.Reader, tenant string, equal map[string]string) func() (bool, error) {
	return func() (bool, error) {
		var rows []R
		_, err := from.List(ctx, &rows, core.Query{Tenant: tenant, Equal: equal, Limit: 1})
		return len(rows) > 0, err
	}
}

// needSame refuses another name for what has one.
func needSame(problems []core.Problem, path, written, kept string, fresh bool) []core.Problem {
	if fresh || written == "" || written == kept {
		return problems
	}
	return append(problems, wrong(path, "this cannot be changed", "leave it out, or make a new one"))
}
