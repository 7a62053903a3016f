package web

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// connectorForm is what people write of a connector.
type connectorForm struct {
	reasoned

	Name      string `json:"name,omitempty"` // a slug; only of a new one
	Title     string `json:"title,omitempty"`
	Issuer    string `json:"issuer"`
	Authorize string `json:"authorizationEndpoint,omitempty"` // "" = as the issuer's metadata says
	Token     string `json:"tokenEndpoint,omitempty"`
	ClientID  string `json:"clientId"`
	// ClientSecret is written and never shown. Left out it stays; "" takes it away.
	ClientSecret *string           `json:"clientSecret,omitempty"`
	Scopes       []string          `json:"scopes,omitempty"`
	Resource     string            `json:"resource,omitempty"` // RFC 8707
	Extra        map[string]string `json:"extra,omitempty"`    // further parameters of the authorization request
	Disabled     bool              `json:"disabled,omitempty"`
}

// connectorState is a connector as it is shown.
type connectorState struct {
	core.Connector

	ClientSecret secretState `json:"clientSecret"`
}

// ownParameters of an authorization request are the gateway's to set: with others of these
// a flow could be led elsewhere (RFC 6749, section 4.1.1; RFC 7636; RFC 9101).
var ownParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"resource", "response_mode", "request", "request_uri", "client_secret",
}

func connectorRoutes() []apiRoute {
	return noun[core.Connector, *core.Connector, connectorForm, connectorState]{
		kind: "connector", path: "/connectors", param: "name", one: "a connector", many: "connectors",
		filter: []apiParam{{Name: "disabled", About: "Only those that are, or are not.", Enum: yesNo}, {Name: "issuer", About: "Only those of this issuer."}},
		key:    func(tenant, name string) *core.Connector { return &core.Connector{Tenant: tenant, Name: name} },
		made: func(k *core.Connector, form *connectorForm) error {
			k.Name = form.Name
			if problems := needSlug(nil, "/name", form.Name); problems != nil {
				return invalid(problems...)
			}
			return nil
		},
		write: writeConnector,
		deleted: func(ctx context.Context, _ *apiCall, tx core.Tx, k *core.Connector) error {
			var accounts []*core.Credential
			err := all(ctx, tx, core.Query{Tenant: k.Tenant, Equal: map[string]string{"connector": k.Name}}, func(one *core.Credential) error {
				accounts = append(accounts, one)
				return nil
			})
			if err != nil {
				return err
			}
			for _, one := range accounts {
				if err := tx.Delete(ctx, one); err != nil {
					return err
				}
			}
			return nil
		},
		show: func(k *core.Connector) connectorState {
			return connectorState{Connector: *k, ClientSecret: secretState{k.ClientSecret != ""}}
		},
		name: func(k *core.Connector) string { return k.Name },
	}.routes()
}

func writeConnector(_ context.Context, c *apiCall, _ core.Tx, k *core.Connector, form *connectorForm, fresh bool) ([]string, error) {
	problems := needSame(nil, "/name", form.Name, k.Name, fresh)
	problems = needShort(problems, "/title", form.Title, 200)
	problems = needURL(problems, "/issuer", form.Issuer, true)
	problems = needURL(problems, "/authorizationEndpoint", form.Authorize, false)
	problems = needURL(problems, "/tokenEndpoint", form.Token, false)
	problems = needURL(problems, "/resource", form.Resource, false)
	if form.ClientID == "" {
		problems = append(problems, wrong("/clientId", "the client id is empty", "write the one that the authorization server gave this gateway"))
	}
	problems = needShort(problems, "/clientId", form.ClientID, 500)
	for name := range form.Extra {
		if slices.Contains(ownParameters, name) {
			problems = append(problems, wrong("/extra/"+name, "the gateway sets this parameter", "leave it out"))
		}
		problems = needShort(problems, "/extra/"+pointerPart(name), form.Extra[name], 500)
	}
	if !fresh && k.ClientSecret != "" && (k.Issuer != form.Issuer || k.Token != form.Token) && form.ClientSecret == nil {
		problems = append(problems, wrong("/clientSecret", "the secret is that of the authorization server before", `write the new secret, or "" for none`))
	}
	if problems != nil {
		return nil, invalid(problems...)
	}
	var hidden []string
	if form.ClientSecret != nil {
		sealed, err := c.seal(*form.ClientSecret, core.ConnectorBind(k))
		if err != nil {
			return nil, err
		}
		k.ClientSecret = sealed
		hidden = append(hidden, "clientSecret")
	}
	k.Title, k.Issuer, k.Authorize, k.Token, k.ClientID = form.Title, form.Issuer, form.Authorize, form.Token, form.ClientID
	k.Scopes, k.Resource, k.Extra, k.Disabled = sorted(form.Scopes), form.Resource, form.Extra, form.Disabled
	return hidden, nil
}
