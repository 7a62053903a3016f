package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type limitRow struct {
	bun.BaseModel `bun:"table:limits"`

	Tenant   string `bun:",pk"`
	ID       string `bun:",pk"`
	Per      string
	Subjects string
	Objects  string
	Rate     float64
	Burst    int64
	AtOnce   int64
	PerDay   int64
	Bytes    int64
	Note     string
	stamp
}

// limits: Query.Equal takes per.
var limits = &shelf[core.Limit, limitRow]{
	kind: kind{
		name: "limit", table: "limits", tenant: "tenant", shown: true,
		equal: equal("per", "per"),
	},
	model: func(l *core.Limit) limitRow {
		return limitRow{
			Tenant: l.Tenant, ID: l.ID, Per: l.Per, Subjects: l.Subjects, Objects: l.Objects, Rate: l.Rate, Burst: int64(l.Burst),
			AtOnce: int64(l.AtOnce), PerDay: l.PerDay, Bytes: l.Bytes, Note: l.Note, stamp: stampOf(l.Stamp),
		}
	},
	noun: func(m *limitRow) core.Limit {
		return core.Limit{
			Tenant: m.Tenant, ID: m.ID, Per: m.Per, Subjects: m.Subjects, Objects: m.Objects, Rate: m.Rate, Burst: int(m.Burst),
			AtOnce: int(m.AtOnce), PerDay: m.PerDay, Bytes: m.Bytes, Note: m.Note, Stamp: m.stamp.of(),
		}
	},
	stamp: func(l *core.Limit) *core.Stamp { return &l.Stamp },
	id:    func(l *core.Limit) *string { return &l.ID },
}
