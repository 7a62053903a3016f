package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type usageRow struct {
	bun.BaseModel `bun:"table:usage"`

	Tenant   string `bun:",pk"`
	Day      string `bun:",pk"`
	Subject  string `bun:",pk"`
	Server   string `bun:",pk"`
	Name     string `bun:",pk"`
	Calls    int64
	Errors   int64
	Refused  int64
	BytesIn  int64
	BytesOut int64
	Millis   int64
}

// usages: Query.Equal takes day, subject, server and name. Append adds the numbers to those
// that stand there; Prune goes by day.
var usages = &shelf[core.Usage, usageRow]{
	kind: kind{
		name: "usage", table: "usage", tenant: "tenant", quiet: true, blank: []string{"subject", "server", "name"},
		equal:  equal("day", "day", "subject", "subject", "server", "server", "name", "name"),
		append: appendSum, expires: "day",
	},
	model: func(u *core.Usage) usageRow {
		return usageRow{
			Tenant: u.Tenant, Day: u.Day, Subject: u.Subject, Server: u.Server, Name: u.Name,
			Calls: u.Calls, Errors: u.Errors, Refused: u.Refused, BytesIn: u.In, BytesOut: u.Out, Millis: u.Millis,
		}
	},
	noun: func(m *usageRow) core.Usage {
		return core.Usage{
			Tenant: m.Tenant, Day: m.Day, Subject: m.Subject, Server: m.Server, Name: m.Name,
			Calls: m.Calls, Errors: m.Errors, Refused: m.Refused, In: m.BytesIn, Out: m.BytesOut, Millis: m.Millis,
		}
	},
}
