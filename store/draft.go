package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type draftRow struct {
	bun.BaseModel `bun:"table:drafts"`

	Tenant  string `bun:",pk"`
	Name    string `bun:",pk"`
	Content string
	Base    int64
	Deletes bool
	stamp
}

// drafts: Query.Equal takes delete.
var drafts = &shelf[core.Draft, draftRow]{
	kind: kind{
		name: "draft", table: "drafts", tenant: "tenant",
		equal: equal("delete", "deletes"),
	},
	model: func(d *core.Draft) draftRow {
		return draftRow{Tenant: d.Tenant, Name: d.Name, Content: d.Text, Base: d.Base, Deletes: d.Delete, stamp: stampOf(d.Stamp)}
	},
	noun: func(m *draftRow) core.Draft {
		return core.Draft{Tenant: m.Tenant, Name: m.Name, Text: m.Content, Base: m.Base, Delete: m.Deletes, Stamp: m.stamp.of()}
	},
	stamp: func(d *core.Draft) *core.Stamp { return &d.Stamp },
}
