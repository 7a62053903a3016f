package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type replicaRow struct {
	bun.BaseModel `bun:"table:replicas"`

	ID       string `bun:",pk"`
	Name     string
	Program  string
	Revision int64
	Started  moment
	Seen     moment
}

// replicas belong to no tenant. Query.Equal takes name and version. Append adds or
// replaces; Prune goes by seen.
var replicas = &shelf[core.Replica, replicaRow]{
	kind: kind{
		name: "replica", table: "replicas", quiet: true,
		equal:  equal("name", "name", "version", "program"),
		append: appendReplace, expires: "seen",
	},
	model: func(r *core.Replica) replicaRow {
		return replicaRow{ID: r.ID, Name: r.Name, Program: r.Version, Revision: r.Revision, Started: momentOf(r.Started), Seen: momentOf(r.Seen)}
	},
	noun: func(m *replicaRow) core.Replica {
		return core.Replica{ID: m.ID, Name: m.Name, Version: m.Program, Revision: m.Revision, Started: m.Started.time(), Seen: m.Seen.time()}
	},
}
