package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type tenantRow struct {
	bun.BaseModel `bun:"table:tenants"`

	ID       string `bun:",pk"`
	Title    string
	Disabled bool
	stamp
}

// tenants: Query.Equal takes disabled.
var tenants = &shelf[core.Tenant, tenantRow]{
	kind: kind{
		name: "tenant", table: "tenants", tenant: "id", shown: true,
		equal: equal("disabled", "disabled"),
	},
	model: func(t *core.Tenant) tenantRow {
		return tenantRow{ID: t.ID, Title: t.Title, Disabled: t.Disabled, stamp: stampOf(t.Stamp)}
	},
	noun: func(m *tenantRow) core.Tenant {
		return core.Tenant{ID: m.ID, Title: m.Title, Disabled: m.Disabled, Stamp: m.stamp.of()}
	},
	stamp: func(t *core.Tenant) *core.Stamp { return &t.Stamp },
}
