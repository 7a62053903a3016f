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

// Tokens knows API tokens. core/authn has it.
type Tokens interface {
	// Identify returns whose token it is, or CodeUnauthenticated. It does not wait.
	Identify(token core.Secret, address string) (core.Identity, error)
	// Mint fills ID, Hint and Sum of a new token, which the caller stores, and returns its
	// text, which is shown once.
	Mint(token *core.Token) (core.Secret, error)
}

// AccountFlow connects accounts at upstreams' authorization servers. core/accounts has it.
type AccountFlow interface {
	// Begin returns where to send the browser, and what its flow cookie must hold when it
	// comes back.
	Begin(ctx context.Context, who core.Identity, connector, redirectURI, returnTo string) (to string, flow core.Secret, err error)
	// Finish takes what the authorization server sent back, and stores the account.
	Finish(ctx context.Context, who core.Identity, flow core.Secret, query url.Values, redirectURI string) (AccountConnected, error)
	// Disconnect forgets an account.
	Disconnect(ctx context.Context, who core.Identity, connector string) error
}

// AccountConnected tells which account a flow connected.
type AccountConnected struct {
	Connector string // name
	Title     string // for people
	Return    string // local path where the browser goes now
}
