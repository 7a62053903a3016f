package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type loginRow struct {
	bun.BaseModel `bun:"table:logins"`

	Tenant   string `bun:",pk"`
	ID       string `bun:",pk"`
	UserID   string
	Sum      string
	CSRF     string `bun:"csrf"`
	Provider string
	Address  string
	Agent    string
	Made     moment
	Proved   moment
	Seen     moment
	Expires  moment
}

// logins: Query.Equal takes user, provider and sum. Append sets seen only, of a login that
// is still there; Prune goes by expires.
var logins = &shelf[core.Login, loginRow]{
	kind: kind{
		name: "login", table: "logins", tenant: "tenant", time: "made", quiet: true, named: true,
		equal:  equal("id", "id", "user", "user_id", "provider", "provider", "sum", "sum"),
		append: appendTouch, touch: "seen", expires: "expires",
	},
	model: func(l *core.Login) loginRow {
		return loginRow{
			Tenant: l.Tenant, ID: l.ID, UserID: l.User, Sum: l.Sum, CSRF: l.CSRF, Provider: l.Provider, Address: l.Address, Agent: l.Agent,
			Made: momentOf(l.Made), Proved: momentOf(l.Proved), Seen: momentOf(l.Seen), Expires: momentOf(l.Expires),
		}
	},
	noun: func(m *loginRow) core.Login {
		return core.Login{
			Tenant: m.Tenant, ID: m.ID, User: m.UserID, Sum: m.Sum, CSRF: m.CSRF, Provider: m.Provider, Address: m.Address, Agent: m.Agent,
			Made: m.Made.time(), Proved: m.Proved.time(), Seen: m.Seen.time(), Expires: m.Expires.time(),
		}
	},
	id: func(l *core.Login) *string { return &l.ID },
}
