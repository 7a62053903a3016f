package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type versionRow struct {
	bun.BaseModel `bun:"table:versions"`

	Tenant        string `bun:",pk"`
	Document      string `bun:",pk"`
	Number        int64  `bun:",pk"`
	Content       string
	Sum           string
	Deletes       bool
	PublishedBy   string
	PublishedName string
	Reason        string
	FromNumber    int64
	Published     moment
}

// versions: Query.Equal takes document, number, sum, by and delete; Since and Until go by
// published. A version is never replaced: putting one that is there is a conflict.
var versions = &shelf[core.DocumentVersion, versionRow]{
	kind: kind{
		name: "version", table: "versions", tenant: "tenant", time: "published", once: true,
		equal: equal("document", "document", "number", "number", "sum", "sum", "by", "published_by", "delete", "deletes"),
	},
	model: func(v *core.DocumentVersion) versionRow {
		return versionRow{
			Tenant: v.Tenant, Document: v.Document, Number: v.Number, Content: v.Text, Sum: v.Sum, Deletes: v.Delete,
			PublishedBy: v.By, PublishedName: v.ByName, Reason: v.Reason, FromNumber: v.From, Published: momentOf(v.Published),
		}
	},
	noun: func(m *versionRow) core.DocumentVersion {
		return core.DocumentVersion{
			Tenant: m.Tenant, Document: m.Document, Number: m.Number, Text: m.Content, Sum: m.Sum, Delete: m.Deletes,
			By: m.PublishedBy, ByName: m.PublishedName, Reason: m.Reason, From: m.FromNumber, Published: m.Published.time(),
		}
	},
}
