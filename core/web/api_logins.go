package web

import (
	"context"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Logins knows the people of the admin plane. core/authn has it. Errors: wrong name or
// password alike, and a cookie that is not good, are CodeUnauthenticated; too many tries
// CodeLimited with RetryAfter; a password that will not do CodeInvalid with Problems.
type Logins interface {
	// Setup tells whether the first administrator is still to be made.
	Setup(ctx context.Context) (wanted bool, err error)
	// MakeFirst makes it, with the one-time token that was printed at first start, and logs
	// it in.
	MakeFirst(ctx context.Context, first FirstUser, from Visitor) (*LoginMade, error)

	// Password logs in a local user.
	Password(ctx context.Context, tenant, name string, password core.Secret, from Visitor) (*LoginMade, error)
	// Find returns the login of a cookie.
	Find(ctx context.Context, cookie core.Secret, from Visitor) (*LoginFound, error)
	// CSRF returns the token that changes by this login must carry; CheckCSRF compares one
	// in constant time.
	CSRF(found *LoginFound) (core.Secret, error)
	CheckCSRF(found *LoginFound, token string) bool
	// Prove asks the password again, and notes that in the login.
	Prove(ctx context.Context, found *LoginFound, password core.Secret, from Visitor) (proved time.Time, err error)
	// End ends a login.
	End(ctx context.Context, found *LoginFound, from Visitor) error
	// ChangePassword sets a new one for whoever knows the old, and ends the user's other
	// logins. The login itself goes on under a new cookie.
	ChangePassword(ctx context.Context, found *LoginFound, old, new core.Secret, from Visitor) (*LoginMade, error)
	// ResetPassword puts a temporary password that must be changed into a user, which the
	// caller stores, and returns it.
	ResetPassword(user *core.User) (core.Secret, error)

	// Providers are those that people of a tenant log in with.
	Providers(ctx context.Context, tenant string) ([]LoginProvider, error)
	// Begin returns where to send the browser, and what its flow cookie must hold when it
	// comes back. A found login that is not nil is to be proved and not made.
	Begin(ctx context.Context, tenant, provider, callback string, found *LoginFound, from Visitor) (to string, flow core.Secret, err error)
	// Finish takes what the provider sent back.
	Finish(ctx context.Context, tenant, provider, callback string, flow core.Secret, answer url.Values, from Visitor) (*LoginMade, error)
}

// Visitor is where a request came from.
type Visitor struct {
	Address string
	Agent   string // User-Agent
	Request string // id, for the audit trail
}

// FirstUser is who sets the gateway up.
type FirstUser struct {
	Token    core.Secret // from the first start
	Name     string
	Title    string
	Email    string
	Password core.Secret
}

// LoginMade is a login that was made now. Cookie is known only here.
type LoginMade struct {
	Cookie core.Secret
	CSRF   core.Secret
	Found  LoginFound
}

// LoginFound is a login that is good.
type LoginFound struct {
	Who        core.Identity
	Login      core.Login
	Cookie     core.Secret
	MustChange bool // the password, before anything else
}

// LoginProvider is offered where people log in.
type LoginProvider struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Tokens knows API tokens. core/authn has it.
type Tokens interface {
	// Identify returns whose token it is, or CodeUnauthenticated.
	Identify(ctx context.Context, token core.Secret, from Visitor) (core.Identity, error)
	// Mint fills ID, Hint and Sum of a new token, which the caller stores, and returns its
	// text, which is shown once.
	Mint(token *core.Token) (core.Secret, error)
}

// AccountFlow connects accounts at upstreams' authorization servers. core/accounts has it.
type AccountFlow interface {
	// Begin returns where to send the browser, and what its flow cookie must hold when it
	// comes back.
	Begin(ctx context.Context, who core.Identity, connector, callback string) (to string, flow core.Secret, err error)
	// Finish takes what the authorization server sent back, stores the account and says of
	// which connector it is.
	Finish(ctx context.Context, connector, callback string, flow core.Secret, answer url.Values, from Visitor) (title string, err error)
}
