package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type pinRow struct {
	bun.BaseModel `bun:"table:pins"`

	Tenant     string `bun:",pk"`
	Server     string `bun:",pk"`
	Kind       string `bun:",pk"`
	Name       string `bun:",pk"`
	Sum        string
	Content    string
	State      string
	ApprovedBy string
	stamp
}

// pins: Query.Equal takes server, kind, name and state.
var pins = &shelf[core.Pin, pinRow]{
	kind: kind{
		name: "pin", table: "pins", tenant: "tenant", shown: true,
		equal: equal("server", "server", "kind", "kind", "name", "name", "state", "state"),
	},
	model: func(p *core.Pin) pinRow {
		return pinRow{
			Tenant: p.Tenant, Server: p.Server, Kind: p.Of, Name: p.Name, Sum: p.Sum, Content: p.Text, State: p.State,
			ApprovedBy: p.Approved, stamp: stampOf(p.Stamp),
		}
	},
	noun: func(m *pinRow) core.Pin {
		return core.Pin{
			Tenant: m.Tenant, Server: m.Server, Of: m.Kind, Name: m.Name, Sum: m.Sum, Text: m.Content, State: m.State,
			Approved: m.ApprovedBy, Stamp: m.stamp.of(),
		}
	},
	stamp: func(p *core.Pin) *core.Stamp { return &p.Stamp },
}
