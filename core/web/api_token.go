package web

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Tokens knows API tokens. core/authn has it.
type Tokens interface {
	// Identify returns whose token it is, or CodeUnauthenticated. It does not wait.
	Identify(token core.Secret, address string) (core.Identity, error)
	// Mint fills ID, Hint and Sum of a new token, which the caller stores, and returns its
	// text, which is shown once.
	Mint(token *core.Token) (core.Secret, error)
}

// ownTokenForm mints a token for oneself.
type ownTokenForm struct {
	reasoned

	Name    string     `json:"name"`
	Scopes  []string   `json:"scopes,omitempty"` // permissions that narrow it; none = whatever its user may
	Expires *time.Time `json:"expires,omitempty"`
}

// tokenForm mints a token for somebody.
type tokenForm struct {
	reasoned

	User    string     `json:"user"` // id
	Name    string     `json:"name"`
	Scopes  []string   `json:"scopes,omitempty"` // permissions that narrow it; none = whatever its user may
	Expires *time.Time `json:"expires,omitempty"`
}

// tokenMinted is shown once.
type tokenMinted struct {
	core.Token

	Secret string `json:"token"` // the token itself: nobody can read it again
}

func mints(o *APIOptions) bool { return o.Tokens != nil }

func tokenRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/tokens", Summary: "List the API tokens of a tenant", On: "token", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{{Name: "user", About: "Only those of this user, by its id."}}, Answer: pageOf[core.Token]{},
			Handle: func(c *apiCall) error { return listTokens(c, c.asked("user")) },
		},
		{
			Method: "POST", Pattern: "/tokens", Summary: "Mint an API token for a user; it is shown once", On: "token", Do: core.ActionWrite, Stored: true,
			Needs: mints, Body: tokenForm{}, Status: 201, Answer: tokenMinted{}, Handle: func(c *apiCall) error { return mintToken(c, c.body.(*tokenForm)) },
		},
		{
			Method: "GET", Pattern: "/tokens/{id}", Summary: "Read what is known of an API token", On: "token", Do: core.ActionRead, Name: "id", Stored: true,
			Answer: core.Token{}, Handle: func(c *apiCall) error {
				row := &core.Token{Tenant: c.tenant, ID: c.path("id")}
				if err := c.fetch(c.ctx, c.api.o.Store, row); err != nil {
					return err
				}
				return c.replyRow(row, row)
			},
		},
		{
			Method: "DELETE", Pattern: "/tokens/{id}", Summary: "Revoke an API token", On: "token", Do: core.ActionRevoke, Name: "id", Stored: true, Status: 204,
			Handle: func(c *apiCall) error { return revokeToken(c, "") },
		},
	}
}

func listTokens(c *apiCall, user string) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	if user != "" {
		q.Equal = map[string]string{"user": user}
	}
	var rows []core.Token
	page := pageOf[core.Token]{Items: []core.Token{}}
	if page.Next, err = c.api.o.Store.List(c.ctx, &rows, q); err != nil {
		return err
	}
	for i := range rows {
		if c.route.Self != "" || c.reads("token", rows[i].ID) {
			page.Items = append(page.Items, rows[i])
		}
	}
	return c.reply(page)
}

func mintToken(c *apiCall, form *tokenForm) error {
	if c.who.Via == core.ViaToken && len(c.who.Scopes) > 0 {
		return &core.Error{Code: core.CodeDenied, Message: "a token that is narrowed mints no tokens", Fix: "log in, or use a token without scopes"}
	}
	problems := needShort(nil, "/name", form.Name, 200)
	if form.Name == "" {
		problems = append(problems, wrong("/name", "the name is empty", "say what the token is for"))
	}
	if form.Expires != nil && !form.Expires.After(c.api.o.Now()) {
		problems = append(problems, wrong("/expires", "this is over already", "write a time to come"))
	}
	if c.api.o.Policies != nil {
		problems = append(problems, grave(c.api.o.Policies.CheckScopes(form.Scopes))...)
	}
	if problems != nil {
		return invalid(problems...)
	}
	token := core.Token{Tenant: c.tenant, User: form.User, Name: form.Name, Scopes: sorted(form.Scopes), Expires: form.Expires}
	secret, err := c.api.o.Tokens.Mint(&token)
	if err != nil {
		return err
	}
	minted := token
	err = c.change("token.write", "token", token.ID, func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
		token = minted // f may run twice
		user := &core.User{Tenant: c.tenant, ID: form.User}
		if err := tx.Get(ctx, user); err != nil {
			if code := core.AsError(err).Code; code == core.CodeNotFound || code == core.CodeInvalid {
				return invalid(wrong("/user", "there is no such user in this tenant", "write its id"))
			}
			return err
		}
		if err := c.mayRule(ctx, tx, user); err != nil {
			return err
		}
		c.stamp(&token)
		if err := tx.Put(ctx, &token); err != nil {
			return err
		}
		return details(entry, "user", "name", "scopes", "expires")
	})
	if err != nil {
		return err
	}
	c.set("Location", apiRoot+"/tokens/"+token.ID)
	return c.replyRow(&token, tokenMinted{Token: token, Secret: secret.Reveal()})
}

// revokeToken revokes a token; owner is who must have it, "" = anybody. It asks for no
// If-Match: what is revoked must be so at once.
func revokeToken(c *apiCall, owner string) error {
	return c.change("token.revoke", "token", c.path("id"), func(ctx context.Context, tx core.Tx, _ *core.AuditEntry) error {
		row := &core.Token{Tenant: c.tenant, ID: c.path("id")}
		if err := c.fetch(ctx, tx, row); err != nil {
			return err
		}
		if owner != "" && row.User != owner {
			return missing("token")
		}
		if row.Revoked == nil {
			now := c.api.o.Now().UTC()
			row.Revoked = &now
		}
		c.stamp(row)
		return tx.Put(ctx, row)
	})
}
