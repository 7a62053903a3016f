package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type roleRow struct {
	bun.BaseModel `bun:"table:roles"`

	Tenant string `bun:",pk"`
	Name   string `bun:",pk"`
	Title  string
	stamp
}

// roles: Query.Equal takes name.
var roles = &shelf[core.Role, roleRow]{
	kind: kind{
		name: "role", table: "roles", tenant: "tenant", shown: true,
		equal: equal("name", "name"),
	},
	model: func(r *core.Role) roleRow {
		return roleRow{Tenant: r.Tenant, Name: r.Name, Title: r.Title, stamp: stampOf(r.Stamp)}
	},
	noun: func(m *roleRow) core.Role {
		return core.Role{Tenant: m.Tenant, Name: m.Name, Title: m.Title, Stamp: m.stamp.of()}
	},
	stamp: func(r *core.Role) *core.Stamp { return &r.Stamp },
}
