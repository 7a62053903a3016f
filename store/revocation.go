package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type revocationRow struct {
	bun.BaseModel `bun:"table:revocations"`

	Tenant  string `bun:",pk"`
	Kind    string `bun:",pk"`
	ID      string `bun:",pk"`
	Since   moment
	Until   moment
	Reason  string
	Revoker string
}

// revocations: Query.Equal takes of and id. Append adds or replaces; Prune goes by until.
var revocations = &shelf[core.Revocation, revocationRow]{
	kind: kind{
		name: "revocation", table: "revocations", tenant: "tenant", time: "since", shown: true,
		equal:  equal("of", "kind", "id", "id"),
		append: appendReplace, expires: "until",
	},
	model: func(r *core.Revocation) revocationRow {
		return revocationRow{
			Tenant: r.Tenant, Kind: r.Of, ID: r.ID, Since: momentOf(r.At), Until: momentOf(r.Until), Reason: r.Reason, Revoker: r.Revoker,
		}
	},
	noun: func(m *revocationRow) core.Revocation {
		return core.Revocation{
			Tenant: m.Tenant, Of: m.Kind, ID: m.ID, At: m.Since.time(), Until: m.Until.time(), Reason: m.Reason, Revoker: m.Revoker,
		}
	},
}
