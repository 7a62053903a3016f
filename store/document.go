package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type documentRow struct {
	bun.BaseModel `bun:"table:documents"`

	Tenant  string `bun:",pk"`
	Name    string `bun:",pk"`
	Number  int64
	Content string
	Gone    bool
	stamp
}

// documents: Query.Equal takes gone.
var documents = &shelf[core.Document, documentRow]{
	kind: kind{
		name: "document", table: "documents", tenant: "tenant", shown: true,
		equal: equal("gone", "gone"),
	},
	model: func(d *core.Document) documentRow {
		return documentRow{Tenant: d.Tenant, Name: d.Name, Number: d.Number, Content: d.Text, Gone: d.Gone, stamp: stampOf(d.Stamp)}
	},
	noun: func(m *documentRow) core.Document {
		return core.Document{Tenant: m.Tenant, Name: m.Name, Number: m.Number, Text: m.Content, Gone: m.Gone, Stamp: m.stamp.of()}
	},
	stamp: func(d *core.Document) *core.Stamp { return &d.Stamp },
}
