package web

import (
	"context"
	"net/url"

	"github.com/sallyport/sallyport/core"
)

// Logins knows the people of the admin plane. core/authn has it. Errors: wrong name or
// password alike, and a cookie that is not good, are CodeUnauthenticated; too many tries
// CodeLimited with RetryAfter; a password that will not do CodeInvalid with Problems.
type Logins interface {
	// SetupWanted tells whether the first administrator is still to be made.
	SetupWanted(ctx context.Context) (bool, error)
	// Setup makes it, with the one-time token that was printed at first start, and logs it in.
	Setup(ctx context.Context, token core.Secret, first FirstUser, from Visitor) (*LoginMade, error)

	// Password logs in a local user.
	Password(ctx context.Context, tenant, name string, password core.Secret, from Visitor) (*LoginMade, error)
	// Find returns the login of a cookie.
	Find(ctx context.Context, cookie core.Secret) (*LoginFound, error)
	// CSRF returns the token that changes with this cookie must carry; CheckCSRF compares
	// one in constant time.
	CSRF(cookie core.Secret) core.Secret
	CheckCSRF(login *core.Login, token core.Secret) error
	// Prove asks the password again, and notes that in the login.
	Prove(ctx context.Context, login *core.Login, password core.Secret, from Visitor) error
	// End ends a login that may be gone already, EndAll those of a user.
	End(ctx context.Context, by core.Identity, login *core.Login, from Visitor) error
	EndAll(ctx context.Context, by core.Identity, tenant, user string, from Visitor) error
	// ChangePassword sets a new one for whoever knows the old, and ends the user's logins;
	// the one that is returned takes the place of this one.
	ChangePassword(ctx context.Context, login *core.Login, old, password core.Secret, from Visitor) (*LoginMade, error)
	// Reset puts a temporary password that must be changed into a user, which the caller
	// stores, and returns it.
	Reset(ctx context.Context, user *core.User) (core.Secret, error)

	LoginFlow
}

// LoginFlow logs people in by identity providers.
type LoginFlow interface {
	// Providers are those that people of a tenant log in with.
	Providers(ctx context.Context, tenant string) ([]core.Provider, error)
	// Begin returns where to send the browser, and what its flow cookie must hold when it
	// comes back. A prove that is not nil is a login to be proved again.
	Begin(ctx context.Context, tenant, provider, returnTo, redirectURI string, prove *core.Login) (to string, flow core.Secret, err error)
	// Finish takes what the provider sent back, and says where the browser goes.
	Finish(ctx context.Context, flow core.Secret, query url.Values, redirectURI string, from Visitor) (made *LoginMade, returnTo string, err error)
}

// Visitor is where a request came from.
type Visitor struct {
	Address string // without a port
	Agent   string // User-Agent
	Request string // id, for the audit trail
}

// FirstUser is who sets the gateway up.
type FirstUser struct {
	Name, Title, Email string
	Password           core.Secret
}

// LoginFound is a login that is good.
type LoginFound struct {
	Who        core.Identity
	Login      *core.Login
	MustChange bool // the password, before anything else
}

// LoginMade is a login that was made now. Cookie is known only here.
type LoginMade struct {
	LoginFound

	Cookie core.Secret
	CSRF   core.Secret
}

// peopleRoutes are the logins of people, which are no MCP sessions.
func peopleRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/logins", Summary: "List who is logged in to the admin plane", On: "login", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{{Name: "user", About: "Only those of this user, by its id."}}, Answer: pageOf[core.Login]{},
			Handle: func(c *apiCall) error { return listLogins(c, c.asked("user")) },
		},
		{
			Method: "DELETE", Pattern: "/logins/{id}", Summary: "End a login", On: "login", Do: core.ActionRevoke, Name: "id", Stored: true, Needs: logsIn, Status: 204,
			Handle: func(c *apiCall) error { return endLogin(c, "") },
		},
	}
}

func listLogins(c *apiCall, user string) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	if user != "" {
		q.Equal = map[string]string{"user": user}
	}
	page := pageOf[core.Login]{}
	if page.Next, err = c.api.o.Store.List(c.ctx, &page.Items, q); err != nil {
		return err
	}
	return c.reply(page)
}

// endLogin ends a login; owner is whose it must be, "" = anybody's.
func endLogin(c *apiCall, owner string) error {
	row := &core.Login{Tenant: c.tenant, ID: c.path("id")}
	err := c.change("login.revoke", "login", c.path("id"), func(ctx context.Context, tx core.Tx, _ *core.AuditEntry) error {
		*row = core.Login{Tenant: c.tenant, ID: c.path("id")}
		if err := c.fetch(ctx, tx, row); err != nil {
			return err
		}
		if owner != "" && row.User != owner {
			return missing("login")
		}
		return tx.Delete(ctx, row)
	})
	if err != nil {
		return err
	}
	// This process may have remembered it for some seconds.
	return c.api.o.Logins.End(c.ctx, c.who, row, c.from())
}
