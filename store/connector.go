package store

import (
	"github.com/uptrace/bun"

	"github.com/sallyport/sallyport/core"
)

type connectorRow struct {
	bun.BaseModel `bun:"table:connectors"`

	Tenant       string `bun:",pk"`
	Name         string `bun:",pk"`
	Title        string
	Issuer       string
	AuthorizeURL string `bun:"authorize_url"`
	TokenURL     string `bun:"token_url"`
	ClientID     string
	ClientSecret string
	Scopes       words
	Resource     string
	Extra        pairs
	Disabled     bool
	stamp
}

// connectors: Query.Equal takes issuer and disabled.
var connectors = &shelf[core.Connector, connectorRow]{
	kind: kind{
		name: "connector", table: "connectors", tenant: "tenant", shown: true,
		equal: equal("issuer", "issuer", "disabled", "disabled"),
	},
	model: func(c *core.Connector) connectorRow {
		return connectorRow{
			Tenant: c.Tenant, Name: c.Name, Title: c.Title, Issuer: c.Issuer, AuthorizeURL: c.Authorize, TokenURL: c.Token,
			ClientID: c.ClientID, ClientSecret: c.ClientSecret, Scopes: wordsOf(c.Scopes), Resource: c.Resource, Extra: pairsOf(c.Extra),
			Disabled: c.Disabled, stamp: stampOf(c.Stamp),
		}
	},
	noun: func(m *connectorRow) core.Connector {
		return core.Connector{
			Tenant: m.Tenant, Name: m.Name, Title: m.Title, Issuer: m.Issuer, Authorize: m.AuthorizeURL, Token: m.TokenURL,
			ClientID: m.ClientID, ClientSecret: m.ClientSecret, Scopes: m.Scopes.list(), Resource: m.Resource, Extra: m.Extra.of(),
			Disabled: m.Disabled, Stamp: m.stamp.of(),
		}
	},
	stamp: func(c *core.Connector) *core.Stamp { return &c.Stamp },
}
