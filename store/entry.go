package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type entryRow struct {
	bun.BaseModel `bun:"table:kv"`

	Tenant    string `bun:",pk"`
	Namespace string `bun:",pk"`
	Name      string `bun:",pk"`
	Value     []byte
	Expires   *moment
	stamp
}

// entries: Query.Equal takes namespace and name. Append adds or replaces; Prune goes by
// expires.
var entries = &shelf[core.Entry, entryRow]{
	kind: kind{
		name: "kv", table: "kv", tenant: "tenant", quiet: true,
		equal:  equal("namespace", "namespace", "name", "name"),
		append: appendReplace, expires: "expires",
	},
	model: func(e *core.Entry) entryRow {
		return entryRow{
			Tenant: e.Tenant, Namespace: e.Namespace, Name: e.Name, Value: bytesOf(e.Value), Expires: maybeMoment(e.Expires), stamp: stampOf(e.Stamp),
		}
	},
	noun: func(m *entryRow) core.Entry {
		return core.Entry{
			Tenant: m.Tenant, Namespace: m.Namespace, Name: m.Name, Value: m.Value, Expires: m.Expires.maybe(), Stamp: m.stamp.of(),
		}
	},
	stamp: func(e *core.Entry) *core.Stamp { return &e.Stamp },
}
