package core

import "context"

// DefaultTenant owns whatever names no tenant: gateway documents from files, and the
// first administrator.
const DefaultTenant = "default"

// EveryTenant stands in a Binding or a Query for all tenants. It is no tenant itself.
const EveryTenant = "*"

// Via says how a caller proved who it is.
type Via string

// The ways to prove it.
const (
	ViaNothing  Via = ""         // anonymous
	ViaLogin    Via = "login"    // the cookie of a login to the admin plane
	ViaToken    Via = "token"    // an API token of ours
	ViaOAuth    Via = "oauth"    // an access token of an authorization server
	ViaOperator Via = "operator" // the static token of the settings, or the command line on the store itself
)

// Identity is who calls. The zero value is the anonymous caller in the default tenant.
// It is passed by value; nobody writes into its slices.
type Identity struct {
	Subject string   // id of the user; empty = anonymous
	Tenant  string   // empty = DefaultTenant
	Roles   []string // hats in Tenant, sorted
	// Everywhere are the roles that it has in every tenant: those of operators.
	Everywhere []string
	// Scopes narrow what Roles allow. Via token they are permissions (Permission);
	// via OAuth they are what the authorization server granted, in its own words, and
	// are held against the scopes that servers and tools ask for. nil = not narrowed.
	Scopes []string

	Via        Via
	Credential string // id of the token or login, or a hash of the access token: for audit and revocation
	Name       string // for people
	Address    string // of the client, as far as it is known; for audit
}

// In returns the tenant, never empty.
func (i Identity) In() string {
	if i.Tenant == "" {
		return DefaultTenant
	}
	return i.Tenant
}

// Anonymous tells whether nobody knows who calls.
func (i Identity) Anonymous() bool { return i.Subject == "" }

// Action is a verb that a policy allows or denies.
type Action string

// The actions on what a server offers.
const (
	ActionList Action = "list" // see it in lists; subscribe to its changes
	ActionCall Action = "call" // tools and prompts; complete their arguments
	ActionRead Action = "read" // resources, and everything of the admin plane
)

// The actions on the admin plane, beside ActionRead.
const (
	ActionWrite   Action = "write"   // make, change, delete
	ActionPublish Action = "publish" // make a draft what is served, roll back
	ActionTest    Action = "test"    // run a draft
	ActionApprove Action = "approve" // pins, grants of plugins
	ActionRevoke  Action = "revoke"  // tokens, logins, sessions of others
	ActionExport  Action = "export"
	ActionVerify  Action = "verify"
)

// Object is what an action is done on.
type Object struct {
	Kind   string // one of ObjectKinds
	Tenant string // empty = DefaultTenant
	Server string // of a tool, prompt or resource
	Name   string // of the tool, document, user, …; a server's own name stands in Server and Name is empty
	// Open says that the document of the server lets anonymous callers in: it allows
	// list, call and read to everybody whom no policy denies them.
	Open bool
}

// In returns the tenant, never empty.
func (o Object) In() string {
	if o.Tenant == "" {
		return DefaultTenant
	}
	return o.Tenant
}

// Path is how policies name the object: server/name for what a server offers, the name
// alone otherwise.
func (o Object) Path() string {
	switch {
	case o.Server == "":
		return o.Name
	case o.Name == "":
		return o.Server
	}
	return o.Server + "/" + o.Name
}

// ObjectKinds are the kinds of objects that permissions are about: what clients reach,
// then what the admin plane shows.
var ObjectKinds = []string{
	"server", "tool", "prompt", "resource",
	"document", "plugin", "pin", "kv", "credential", "connector",
	"tenant", "user", "role", "policy", "token", "provider", "limit", "setting",
	"session", "login", "call", "usage", "audit", "key", "health",
}

// Actions are all actions, in the order of the docs.
var Actions = []Action{
	ActionList, ActionCall, ActionRead, ActionWrite, ActionPublish, ActionTest, ActionApprove, ActionRevoke, ActionExport, ActionVerify,
}

// Authorizer decides. A nil error allows; the error of a refusal has CodeDenied.
type Authorizer interface {
	Authorize(ctx context.Context, who Identity, do Action, on Object) error
}

// Explainer is the optional second interface of an Authorizer that can say why.
type Explainer interface {
	Explain(ctx context.Context, who Identity, do Action, on Object) (Explanation, error)
}

// Explanation says why somebody may, or may not.
type Explanation struct {
	Allowed bool     `json:"allowed"`
	Reason  string   `json:"reason"` // a sentence
	Roles   []string `json:"roles"`  // that the identity has there
	// Matched are the policies that speak of it, those that decided first.
	Matched []Policy `json:"matched"`
	// Fix says what would allow it; empty when it is allowed.
	Fix string `json:"fix,omitempty"`
}

// AllowAll allows everything: it stands where access is open, which is safe only
// because serve then refuses to listen beyond loopback.
type AllowAll struct{}

// Authorize returns nil.
func (AllowAll) Authorize(context.Context, Identity, Action, Object) error { return nil }
