package web

import (
	"time"

	"github.com/sallyport/sallyport/core"
)

// meState is who calls, and what it may.
type meState struct {
	Subject    string      `json:"subject"`
	Name       string      `json:"name"`
	Tenant     string      `json:"tenant"`
	Via        core.Via    `json:"via"`
	Roles      []string    `json:"roles"`
	Everywhere []string    `json:"everywhere"` // roles in every tenant
	Allow      []string    `json:"allow"`      // permissions in the own tenant: kind:action or kind:action:match
	Deny       []string    `json:"deny"`       // permissions that are taken away
	Scopes     []string    `json:"scopes"`     // of the token, that narrow all of it; empty = not narrowed
	MustChange bool        `json:"mustChangePassword"`
	CSRF       string      `json:"csrf,omitempty"`  // for X-CSRF-Token
	Login      *core.Login `json:"login,omitempty"` // that this request came with
	Proof      *time.Time  `json:"provedUntil,omitempty"`
}

// passwordForm changes one's own password.
type passwordForm struct {
	Old core.Secret `json:"old"`
	New core.Secret `json:"new"`
}

func meRoutes() []apiRoute {
	const own = "it is one's own"
	return []apiRoute{
		{Method: "GET", Pattern: "/me", Summary: "Tell who calls, what it may, and the token against forged requests", Self: own, Early: true, Answer: meState{}, Handle: showMe},
		{
			Method: "POST", Pattern: "/me/password", Summary: "Change one's own password; other logins end", Self: own, Early: true,
			Stored: true, Needs: logsIn, Body: passwordForm{}, Answer: loginState{}, Also: []int{422, 429}, Handle: func(c *apiCall) error {
				if c.login == nil {
					return errNoLogin
				}
				form := c.body.(*passwordForm)
				made, err := c.api.o.Logins.ChangePassword(c.ctx, c.login.Login, form.Old, form.New, c.from())
				if err != nil {
					return wrongOld(err)
				}
				return c.logIn(made)
			},
		},
		{
			Method: "GET", Pattern: "/me/usage", Summary: "Tell what one used today, and what the limits leave", Self: own, Stored: true, Needs: counts,
			Answer: Use{}, Handle: func(c *apiCall) error { return c.tellUse(c.who.Subject) },
		},
		{
			Method: "GET", Pattern: "/me/tokens", Summary: "List one's own API tokens", Self: own, Stored: true, Paged: true,
			Answer: pageOf[core.Token]{}, Handle: func(c *apiCall) error { return listTokens(c, c.who.Subject) },
		},
		{
			Method: "POST", Pattern: "/me/tokens", Summary: "Mint an API token for oneself; it is shown once", Self: own, Stored: true,
			Needs: mints, Body: ownTokenForm{}, Status: 201, Answer: tokenMinted{}, Handle: func(c *apiCall) error {
				if c.login == nil {
					return &core.Error{Code: core.CodeDenied, Message: "a token mints no tokens", Fix: "log in"}
				}
				form := c.body.(*ownTokenForm)
				return mintToken(c, &tokenForm{User: c.who.Subject, Name: form.Name, Scopes: form.Scopes, Expires: form.Expires})
			},
		},
		{
			Method: "DELETE", Pattern: "/me/tokens/{id}", Summary: "Revoke one of one's own API tokens", Self: own, Stored: true, Status: 204, Also: []int{404},
			Handle: func(c *apiCall) error { return revokeToken(c, c.who.Subject) },
		},
		{
			Method: "GET", Pattern: "/me/logins", Summary: "List one's own logins", Self: own, Stored: true, Paged: true,
			Answer: pageOf[core.Login]{}, Handle: func(c *apiCall) error { return listLogins(c, c.who.Subject) },
		},
		{
			Method: "DELETE", Pattern: "/me/logins/{id}", Summary: "End one of one's own logins", Self: own, Stored: true, Needs: logsIn, Status: 204, Also: []int{404},
			Handle: func(c *apiCall) error { return endLogin(c, c.who.Subject) },
		},
		{
			Method: "GET", Pattern: "/me/accounts", Summary: "List the accounts that one has connected at upstreams", Self: own, Stored: true, Paged: true,
			Answer: pageOf[core.Credential]{}, Handle: listAccounts,
		},
		{
			Method: "DELETE", Pattern: "/me/accounts/{connector}", Summary: "Forget the account that one has connected", Self: own, Stored: true,
			Needs: func(o *APIOptions) bool { return o.Accounts != nil }, Status: 204, Also: []int{404},
			Handle: func(c *apiCall) error { return c.api.o.Accounts.Disconnect(c.ctx, c.who, c.path("connector")) },
		},
	}
}

// wrongOld makes a wrong old password an answer that does not look like a login that has
// ended.
func wrongOld(err error) error {
	e := core.AsError(err)
	if e.Code == core.CodeUnauthenticated {
		return &core.Error{Code: core.CodeDenied, Message: "the old password is wrong", Fix: "check it; after several tries you must wait"}
	}
	if e.Code == core.CodeInvalid { // in the body of this route the password is called new
		return invalid(wrong("/new", e.Message, e.Fix))
	}
	return err
}

func showMe(c *apiCall) error {
	me := meState{
		Subject: c.who.Subject, Name: c.who.Name, Tenant: c.who.In(), Via: c.who.Via,
		Roles: c.who.Roles, Everywhere: c.who.Everywhere, Scopes: c.who.Scopes,
	}
	if c.api.o.Policies != nil {
		rights := c.api.o.Policies.Rights(c.who)
		me.Allow, me.Deny = rights.Allow, rights.Deny
	} else if c.who.Via == core.ViaOperator {
		me.Allow = []string{"*:*"}
	}
	if c.login != nil {
		me.MustChange, me.Login = c.login.MustChange, c.login.Login
		me.CSRF = c.api.o.Logins.CSRF(c.cookie).Reveal()
		until := c.login.Login.Proved.Add(c.api.o.Proof).UTC()
		me.Proof = &until
	}
	return c.reply(me)
}

func listAccounts(c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	q.Equal = map[string]string{"owner": c.who.Subject}
	page := pageOf[core.Credential]{}
	if page.Next, err = c.api.o.Store.List(c.ctx, &page.Items, q); err != nil {
		return err
	}
	return c.reply(page)
}
