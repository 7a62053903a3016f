package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type groupRow struct {
	bun.BaseModel `bun:"table:group_roles"`

	Tenant    string `bun:",pk"`
	ID        string `bun:",pk"`
	Provider  string
	GroupName string
	Role      string
	stamp
}

// groupRoles: Query.Equal takes provider, group and role.
var groupRoles = &shelf[core.GroupRole, groupRow]{
	kind: kind{
		name: "group_role", table: "group_roles", tenant: "tenant", shown: true,
		equal: equal("provider", "provider", "group", "group_name", "role", "role"),
	},
	model: func(g *core.GroupRole) groupRow {
		return groupRow{Tenant: g.Tenant, ID: g.ID, Provider: g.Provider, GroupName: g.Group, Role: g.Role, stamp: stampOf(g.Stamp)}
	},
	noun: func(m *groupRow) core.GroupRole {
		return core.GroupRole{Tenant: m.Tenant, ID: m.ID, Provider: m.Provider, Group: m.GroupName, Role: m.Role, Stamp: m.stamp.of()}
	},
	stamp: func(g *core.GroupRole) *core.Stamp { return &g.Stamp },
	id:    func(g *core.GroupRole) *string { return &g.ID },
}
