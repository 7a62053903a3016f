package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type settingRow struct {
	bun.BaseModel `bun:"table:settings"`

	Tenant string `bun:",pk"`
	Name   string `bun:",pk"`
	Value  string
	stamp
}

// settings: Query.Equal takes name.
var settings = &shelf[core.Setting, settingRow]{
	kind: kind{
		name: "setting", table: "settings", tenant: "tenant", shown: true,
		equal: equal("name", "name"),
	},
	model: func(s *core.Setting) settingRow {
		return settingRow{Tenant: s.Tenant, Name: s.Name, Value: s.Value, stamp: stampOf(s.Stamp)}
	},
	noun: func(m *settingRow) core.Setting {
		return core.Setting{Tenant: m.Tenant, Name: m.Name, Value: m.Value, Stamp: m.stamp.of()}
	},
	stamp: func(s *core.Setting) *core.Stamp { return &s.Stamp },
}
