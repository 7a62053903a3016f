package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`

	Tenant   string `bun:",pk"`
	ID       string `bun:",pk"`
	Replica  string
	Server   string
	Subject  string
	Revision string
	Client   string
	Made     moment
	Seen     moment
	Expires  moment
}

// sessions: Query.Equal takes replica, server, subject and revision. Append adds or
// replaces; Prune goes by expires.
var sessions = &shelf[core.LiveSession, sessionRow]{
	kind: kind{
		name: "session", table: "sessions", tenant: "tenant", time: "made", quiet: true,
		equal:  equal("replica", "replica", "server", "server", "subject", "subject", "revision", "revision"),
		append: appendReplace, expires: "expires",
	},
	model: func(s *core.LiveSession) sessionRow {
		return sessionRow{
			Tenant: s.Tenant, ID: s.ID, Replica: s.Replica, Server: s.Server, Subject: s.Subject, Revision: s.Revision, Client: s.Client,
			Made: momentOf(s.Made), Seen: momentOf(s.Seen), Expires: momentOf(s.Expires),
		}
	},
	noun: func(m *sessionRow) core.LiveSession {
		return core.LiveSession{
			Tenant: m.Tenant, ID: m.ID, Replica: m.Replica, Server: m.Server, Subject: m.Subject, Revision: m.Revision, Client: m.Client,
			Made: m.Made.time(), Seen: m.Seen.time(), Expires: m.Expires.time(),
		}
	},
}
