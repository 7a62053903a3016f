package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type anchorRow struct {
	bun.BaseModel `bun:"table:anchors"`

	Replica string `bun:",pk"`
	Seq     int64  `bun:",pk"`
	Hash    string
	At      moment
	MAC     string `bun:"mac"`
}

// anchors belong to no tenant. Query.Equal takes replica. Append adds one, and never
// replaces any.
var anchors = &shelf[core.Anchor, anchorRow]{
	kind: kind{
		name: "anchor", table: "anchors", time: "at", quiet: true, once: true,
		equal:  equal("replica", "replica"),
		append: appendKeep,
	},
	model: func(a *core.Anchor) anchorRow {
		return anchorRow{Replica: a.Replica, Seq: a.Seq, Hash: a.Hash, At: momentOf(a.Time), MAC: a.MAC}
	},
	noun: func(m *anchorRow) core.Anchor {
		return core.Anchor{Replica: m.Replica, Seq: m.Seq, Hash: m.Hash, Time: m.At.time(), MAC: m.MAC}
	},
}
