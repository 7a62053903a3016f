package store

import (
	"encoding/json"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type auditRow struct {
	bun.BaseModel `bun:"table:audit"`

	Tenant     string `bun:",pk"`
	Replica    string `bun:",pk"`
	Seq        int64  `bun:",pk"`
	At         moment
	Actor      string
	ActorName  string
	Via        string
	Credential string
	Address    string
	Action     string
	Kind       string
	Name       string
	Outcome    string
	Reason     string
	Request    string
	Trace      string
	Details    string
	Prev       string
	Hash       string
}

// audits are listed in the order of time. Query.Equal takes actor, via, credential,
// address, action, kind, name, outcome, request, trace and replica. Rows come by Change and
// Audit only; Prune deletes up to an anchor.
var audits = &shelf[core.AuditEntry, auditRow]{
	kind: kind{
		name: "audit", table: "audit", tenant: "tenant", time: "at", order: []string{"at", "replica", "seq"}, once: true,
		equal: equal("actor", "actor", "via", "via", "credential", "credential", "address", "address", "action", "action", "kind", "kind",
			"name", "name", "outcome", "outcome", "request", "request", "trace", "trace", "replica", "replica"),
		expires: "at",
	},
	model: func(a *core.AuditEntry) auditRow {
		return auditRow{
			Tenant: a.Tenant, Replica: a.Replica, Seq: a.Seq, At: momentOf(a.Time), Actor: a.Actor, ActorName: a.ActorName, Via: string(a.Via),
			Credential: a.Credential, Address: a.Address, Action: a.Action, Kind: a.Kind, Name: a.Name, Outcome: a.Outcome, Reason: a.Reason,
			Request: a.Request, Trace: a.Trace, Details: string(a.Details), Prev: a.Prev, Hash: a.Hash,
		}
	},
	noun: func(m *auditRow) core.AuditEntry {
		var details json.RawMessage
		if m.Details != "" {
			details = json.RawMessage(m.Details)
		}
		return core.AuditEntry{
			Tenant: m.Tenant, Replica: m.Replica, Seq: m.Seq, Time: m.At.time(), Actor: m.Actor, ActorName: m.ActorName, Via: core.Via(m.Via),
			Credential: m.Credential, Address: m.Address, Action: m.Action, Kind: m.Kind, Name: m.Name, Outcome: m.Outcome, Reason: m.Reason,
			Request: m.Request, Trace: m.Trace, Details: details, Prev: m.Prev, Hash: m.Hash,
		}
	},
}
