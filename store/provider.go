package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type providerRow struct {
	bun.BaseModel `bun:"table:providers"`

	Tenant        string `bun:",pk"`
	ID            string `bun:",pk"`
	Title         string
	Issuer        string
	Disabled      bool
	Login         bool
	ClientID      string
	ClientSecret  string
	Scopes        words
	Resource      bool
	Audiences     words
	JWKS          string `bun:"jwks"`
	Introspection string
	NameClaim     string
	GroupClaim    string
	Provision     bool
	RoleNames     words
	stamp
}

// providers: Query.Equal takes issuer, disabled, login and resource.
var providers = &shelf[core.Provider, providerRow]{
	kind: kind{
		name: "provider", table: "providers", tenant: "tenant", shown: true,
		equal: equal("issuer", "issuer", "disabled", "disabled", "login", "login", "resource", "resource"),
	},
	model: func(p *core.Provider) providerRow {
		return providerRow{
			Tenant: p.Tenant, ID: p.ID, Title: p.Title, Issuer: p.Issuer, Disabled: p.Disabled,
			Login: p.Login, ClientID: p.ClientID, ClientSecret: p.ClientSecret, Scopes: wordsOf(p.Scopes),
			Resource: p.Resource, Audiences: wordsOf(p.Audiences), JWKS: p.JWKS, Introspection: p.Introspection,
			NameClaim: p.NameClaim, GroupClaim: p.GroupClaim, Provision: p.Provision, RoleNames: wordsOf(p.Roles), stamp: stampOf(p.Stamp),
		}
	},
	noun: func(m *providerRow) core.Provider {
		return core.Provider{
			Tenant: m.Tenant, ID: m.ID, Title: m.Title, Issuer: m.Issuer, Disabled: m.Disabled,
			Login: m.Login, ClientID: m.ClientID, ClientSecret: m.ClientSecret, Scopes: m.Scopes.list(),
			Resource: m.Resource, Audiences: m.Audiences.list(), JWKS: m.JWKS, Introspection: m.Introspection,
			NameClaim: m.NameClaim, GroupClaim: m.GroupClaim, Provision: m.Provision, Roles: m.RoleNames.list(), Stamp: m.stamp.of(),
		}
	},
	stamp: func(p *core.Provider) *core.Stamp { return &p.Stamp },
	id:    func(p *core.Provider) *string { return &p.ID },
}
