package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type policyRow struct {
	bun.BaseModel `bun:"table:policies"`

	Tenant string `bun:",pk"`
	ID     string `bun:",pk"`
	Role   string
	Kind   string
	Match  string
	Action string
	Deny   bool
	Note   string
	stamp
}

// policies: Query.Equal takes role, kind, action and deny.
var policies = &shelf[core.Policy, policyRow]{
	kind: kind{
		name: "policy", table: "policies", tenant: "tenant", shown: true,
		equal: equal("role", "role", "kind", "kind", "action", "action", "deny", "deny"),
	},
	model: func(p *core.Policy) policyRow {
		return policyRow{
			Tenant: p.Tenant, ID: p.ID, Role: p.Role, Kind: p.Kind, Match: p.Match, Action: p.Action, Deny: p.Deny, Note: p.Note,
			stamp: stampOf(p.Stamp),
		}
	},
	noun: func(m *policyRow) core.Policy {
		return core.Policy{
			Tenant: m.Tenant, ID: m.ID, Role: m.Role, Kind: m.Kind, Match: m.Match, Action: m.Action, Deny: m.Deny, Note: m.Note,
			Stamp: m.stamp.of(),
		}
	},
	stamp: func(p *core.Policy) *core.Stamp { return &p.Stamp },
	id:    func(p *core.Policy) *string { return &p.ID },
}
