package store

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type callRow struct {
	bun.BaseModel `bun:"table:calls"`

	Tenant     string `bun:",pk"`
	ID         string `bun:",pk"`
	At         moment
	Replica    string
	Subject    string
	Who        string
	Via        string
	Credential string
	Server     string
	Kind       string
	Name       string
	Revision   string
	Client     string
	Outcome    string
	Duration   int64 // nanoseconds
	BytesIn    int64
	BytesOut   int64
	Request    string
	Trace      string
	Arguments  string
	Result     string
}

// calls are listed in the order of time. Query.Equal takes id, replica, subject, via,
// credential, server, kind, name, outcome, request and trace. Append adds or replaces;
// Prune goes by time.
var calls = &shelf[core.CallRecord, callRow]{
	kind: kind{
		name: "call", table: "calls", tenant: "tenant", time: "at", order: []string{"at", "tenant", "id"}, quiet: true,
		equal: equal("id", "id", "replica", "replica", "subject", "subject", "via", "via", "credential", "credential", "server", "server",
			"kind", "kind", "name", "name", "outcome", "outcome", "request", "request", "trace", "trace"),
		append: appendReplace, expires: "at",
	},
	model: func(c *core.CallRecord) callRow {
		return callRow{
			Tenant: c.Tenant, ID: c.ID, At: momentOf(c.Time), Replica: c.Replica, Subject: c.Subject, Who: c.Who, Via: string(c.Via),
			Credential: c.Credential, Server: c.Server, Kind: c.Kind, Name: c.Name, Revision: c.Revision, Client: c.Client, Outcome: c.Outcome,
			Duration: int64(c.Duration), BytesIn: int64(c.In), BytesOut: int64(c.Out), Request: c.Request, Trace: c.Trace,
			Arguments: c.Arguments, Result: c.Result,
		}
	},
	noun: func(m *callRow) core.CallRecord {
		return core.CallRecord{
			Tenant: m.Tenant, ID: m.ID, Time: m.At.time(), Replica: m.Replica, Subject: m.Subject, Who: m.Who, Via: core.Via(m.Via),
			Credential: m.Credential, Server: m.Server, Kind: m.Kind, Name: m.Name, Revision: m.Revision, Client: m.Client, Outcome: m.Outcome,
			Duration: time.Duration(m.Duration), In: int(m.BytesIn), Out: int(m.BytesOut), Request: m.Request, Trace: m.Trace,
			Arguments: m.Arguments, Result: m.Result,
		}
	},
	id: func(c *core.CallRecord) *string { return &c.ID },
}
