package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type credentialRow struct {
	bun.BaseModel `bun:"table:credentials"`

	Tenant    string `bun:",pk"`
	ID        string `bun:",pk"`
	Name      string
	Owner     string
	Connector string
	Sealed    string
	Note      string
	SetAt     moment
	Expires   *moment
	stamp
}

// credentials: Query.Equal takes name, owner and connector. The name is one of its owner.
var credentials = &shelf[core.Credential, credentialRow]{
	kind: kind{
		name: "credential", table: "credentials", tenant: "tenant", shown: true, named: true,
		equal: equal("id", "id", "name", "name", "owner", "owner", "connector", "connector"),
	},
	model: func(c *core.Credential) credentialRow {
		return credentialRow{
			Tenant: c.Tenant, ID: c.ID, Name: c.Name, Owner: c.Owner, Connector: c.Connector, Sealed: c.Sealed, Note: c.Note,
			SetAt: momentOf(c.Set), Expires: maybeMoment(c.Expires), stamp: stampOf(c.Stamp),
		}
	},
	noun: func(m *credentialRow) core.Credential {
		return core.Credential{
			Tenant: m.Tenant, ID: m.ID, Name: m.Name, Owner: m.Owner, Connector: m.Connector, Sealed: m.Sealed, Note: m.Note,
			Set: m.SetAt.time(), Expires: m.Expires.maybe(), Stamp: m.stamp.of(),
		}
	},
	stamp: func(c *core.Credential) *core.Stamp { return &c.Stamp },
	id:    func(c *core.Credential) *string { return &c.ID },
}
