package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	Tenant     string `bun:",pk"`
	ID         string `bun:",pk"`
	Name       string
	Title      string
	Email      string
	Service    bool
	Disabled   bool
	Password   string
	MustChange bool
	Provider   string
	ExternalID string
	GroupNames words
	RoleNames  words
	Everywhere words
	ValidFrom  moment
	LastLogin  *moment
	stamp
}

// users: Query.Equal takes name, email, service, disabled, provider and external. The name
// is one of its tenant, and so is external of a provider. Append sets lastLogin only.
var users = &shelf[core.User, userRow]{
	kind: kind{
		name: "user", table: "users", tenant: "tenant", shown: true, named: true,
		equal:  equal("id", "id", "name", "name", "email", "email", "service", "service", "disabled", "disabled", "provider", "provider", "external", "external_id"),
		append: appendTouch, touch: "last_login",
	},
	model: func(u *core.User) userRow {
		return userRow{
			Tenant: u.Tenant, ID: u.ID, Name: u.Name, Title: u.Title, Email: u.Email, Service: u.Service, Disabled: u.Disabled,
			Password: u.Password, MustChange: u.MustChange, Provider: u.Provider, ExternalID: u.External,
			GroupNames: wordsOf(u.Groups), RoleNames: wordsOf(u.Roles), Everywhere: wordsOf(u.Everywhere),
			ValidFrom: momentOf(u.Valid), LastLogin: maybeMoment(u.LastLogin), stamp: stampOf(u.Stamp),
		}
	},
	noun: func(m *userRow) core.User {
		return core.User{
			Tenant: m.Tenant, ID: m.ID, Name: m.Name, Title: m.Title, Email: m.Email, Service: m.Service, Disabled: m.Disabled,
			Password: m.Password, MustChange: m.MustChange, Provider: m.Provider, External: m.ExternalID,
			Groups: m.GroupNames.list(), Roles: m.RoleNames.list(), Everywhere: m.Everywhere.list(),
			Valid: m.ValidFrom.time(), LastLogin: m.LastLogin.maybe(), Stamp: m.stamp.of(),
		}
	},
	stamp: func(u *core.User) *core.Stamp { return &u.Stamp },
	id:    func(u *core.User) *string { return &u.ID },
}
