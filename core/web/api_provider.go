package web

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// secretState is all that is shown of a secret.
type secretState struct {
	Set bool `json:"set"`
}

// providerForm is what people write of an identity provider.
type providerForm struct {
	reasoned

	ID       string `json:"id,omitempty"` // a slug; only of a new one
	Title    string `json:"title,omitempty"`
	Issuer   string `json:"issuer"` // https URL
	Disabled bool   `json:"disabled,omitempty"`

	Login    bool   `json:"login,omitempty"` // offered where people log in
	ClientID string `json:"clientId,omitempty"`
	// ClientSecret is written and never shown. Left out it stays; "" takes it away.
	ClientSecret *string  `json:"clientSecret,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`

	Resource      bool     `json:"resource,omitempty"`         // its access tokens open MCP servers
	Audiences     []string `json:"audiences,omitempty"`        // accepted beside the canonical URI of the server
	JWKS          string   `json:"jwksUri,omitempty"`          // "" = as its metadata says
	Introspection string   `json:"introspectionUri,omitempty"` // asked where tokens are not JWTs

	NameClaim  string   `json:"nameClaim,omitempty"`
	GroupClaim string   `json:"groupClaim,omitempty"`
	Provision  bool     `json:"provision,omitempty"` // makes a user at the first login or token
	Roles      []string `json:"roles,omitempty"`     // of users that are made so
}

// providerState is a provider as it is shown.
type providerState struct {
	core.Provider

	ClientSecret secretState `json:"clientSecret"`
}

// reservedProviders cannot be ids: they are other parts of the routes of logins.
var reservedProviders = []string{"providers", "prove"}

func providerRoutes() []apiRoute {
	return noun[core.Provider, *core.Provider, providerForm, providerState]{
		kind: "provider", path: "/providers", param: "id", one: "an identity provider", many: "identity providers",
		filter: []apiParam{
			{Name: "login", About: "Only those that people log in with, or not.", Enum: yesNo},
			{Name: "resource", About: "Only those whose access tokens open servers, or not.", Enum: yesNo},
			{Name: "disabled", About: "Only those that are, or are not.", Enum: yesNo},
		},
		key: func(tenant, id string) *core.Provider { return &core.Provider{Tenant: tenant, ID: id} },
		made: func(p *core.Provider, form *providerForm) error {
			problems := needSlug(nil, "/id", form.ID)
			if slices.Contains(reservedProviders, form.ID) {
				problems = append(problems, wrong("/id", "this word has another meaning in paths", "choose another"))
			}
			if problems != nil {
				return invalid(problems...)
			}
			p.ID = form.ID
			return nil
		},
		write: writeProvider,
		show: func(p *core.Provider) providerState {
			return providerState{Provider: *p, ClientSecret: secretState{p.ClientSecret != ""}}
		},
		name: func(p *core.Provider) string { return p.ID },
	}.routes()
}

func writeProvider(ctx context.Context, c *apiCall, tx core.Tx, p *core.Provider, form *providerForm, fresh bool) ([]string, error) {
	problems := needSame(nil, "/id", form.ID, p.ID, fresh)
	problems = needShort(problems, "/title", form.Title, 200)
	problems = needURL(problems, "/issuer", form.Issuer, true)
	problems = needURL(problems, "/jwksUri", form.JWKS, false)
	problems = needURL(problems, "/introspectionUri", form.Introspection, false)
	for _, text := range []struct{ path, value string }{{"/clientId", form.ClientID}, {"/nameClaim", form.NameClaim}, {"/groupClaim", form.GroupClaim}} {
		problems = needShort(problems, text.path, text.value, 500)
	}
	if form.Login && form.ClientID == "" {
		problems = append(problems, wrong("/clientId", "a login needs a client id", "write the one that the provider gave this gateway"))
	}
	roles := sorted(form.Roles)
	missing, err := c.checkRoles(ctx, tx, p.Tenant, "/roles", added(roles, p.Roles))
	if err != nil {
		return nil, err
	}
	if problems = append(problems, missing...); problems != nil {
		return nil, invalid(problems...)
	}
	if err := c.mayGrant(added(roles, p.Roles)...); err != nil {
		return nil, err
	}
	var hidden []string
	// A secret goes to the issuer that it was made for and to no other.
	moved := !fresh && p.ClientSecret != "" && p.Issuer != form.Issuer && form.ClientSecret == nil
	if moved {
		return nil, invalid(wrong("/clientSecret", "the issuer changes, and the secret is that of the one before", `write the new secret, or "" for none`))
	}
	if form.ClientSecret != nil {
		if p.ClientSecret, err = c.seal(*form.ClientSecret, core.ProviderBind(p)); err != nil {
			return nil, err
		}
		hidden = append(hidden, "clientSecret")
	}
	p.Title, p.Issuer, p.Disabled, p.Login, p.ClientID = form.Title, form.Issuer, form.Disabled, form.Login, form.ClientID
	p.Scopes, p.Resource, p.Audiences = sorted(form.Scopes), form.Resource, sorted(form.Audiences)
	p.JWKS, p.Introspection, p.NameClaim, p.GroupClaim = form.JWKS, form.Introspection, form.NameClaim, form.GroupClaim
	p.Provision, p.Roles = form.Provision, roles
	return hidden, nil
}

// seal seals what is write-only; "" stays "".
func (c *apiCall) seal(plain string, bind []string) (string, error) {
	if plain == "" {
		return "", nil
	}
	if c.api.o.Sealer == nil {
		return "", &core.Error{Code: core.CodeUnavailable, Message: "this gateway has no key to seal secrets with", Fix: "set one in the settings"}
	}
	return c.api.o.Sealer.Seal(core.SealedRow, []byte(plain), bind...)
}

// needURL refuses what is no URL of a provider: https, or http to this machine, without
// user, query and fragment.
func needURL(problems []core.Problem, path, text string, needed bool) []core.Problem {
	if text == "" && !needed {
		return problems
	}
	u, err := url.Parse(text)
	if err == nil && len(text) <= 2000 && u.Host != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery && !strings.Contains(text, "#") &&
		(u.Scheme == "https" || u.Scheme == "http" && nearHost(u.Hostname())) {
		return problems
	}
	return append(problems, wrong(path, "this is no URL of a provider", "write https://…, without user, query and fragment"))
}

func nearHost(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }
