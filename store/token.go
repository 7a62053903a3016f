package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type tokenRow struct {
	bun.BaseModel `bun:"table:tokens"`

	Tenant   string `bun:",pk"`
	ID       string `bun:",pk"`
	UserID   string
	Name     string
	Hint     string
	Sum      string
	Scopes   words
	Expires  *moment
	LastUsed *moment
	Revoked  *moment
	stamp
}

// tokens: Query.Equal takes user, name and sum. Append sets lastUsed only.
var tokens = &shelf[core.Token, tokenRow]{
	kind: kind{
		name: "token", table: "tokens", tenant: "tenant", shown: true, named: true,
		equal:  equal("id", "id", "user", "user_id", "name", "name", "sum", "sum"),
		append: appendTouch, touch: "last_used",
	},
	model: func(t *core.Token) tokenRow {
		return tokenRow{
			Tenant: t.Tenant, ID: t.ID, UserID: t.User, Name: t.Name, Hint: t.Hint, Sum: t.Sum, Scopes: wordsOf(t.Scopes),
			Expires: maybeMoment(t.Expires), LastUsed: maybeMoment(t.LastUsed), Revoked: maybeMoment(t.Revoked), stamp: stampOf(t.Stamp),
		}
	},
	noun: func(m *tokenRow) core.Token {
		return core.Token{
			Tenant: m.Tenant, ID: m.ID, User: m.UserID, Name: m.Name, Hint: m.Hint, Sum: m.Sum, Scopes: m.Scopes.list(),
			Expires: m.Expires.maybe(), LastUsed: m.LastUsed.maybe(), Revoked: m.Revoked.maybe(), Stamp: m.stamp.of(),
		}
	},
	stamp: func(t *core.Token) *core.Stamp { return &t.Stamp },
	id:    func(t *core.Token) *string { return &t.ID },
}
