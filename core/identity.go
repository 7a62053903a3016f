package core

import "context"

// Identity is who calls. The zero value is the anonymous caller.
type Identity struct {
	Subject string   // empty = anonymous
	Tenant  string   // empty = the default tenant
	Roles   []string // hats, sorted
}

// Action is a verb that a policy allows or denies.
type Action string

// The actions on what a server offers.
const (
	ActionList Action = "list"
	ActionCall Action = "call"
	ActionRead Action = "read"
)

// Object is what an action is done on.
type Object struct {
	Kind   string // server, tool, prompt, resource
	Server string
	Name   string
}

// Authorizer decides. A nil error allows; the error of a refusal has CodeDenied.
type Authorizer interface {
	Authorize(ctx context.Context, who Identity, do Action, on Object) error
}

// AllowAll allows everything: it stands where no policy is configured, which is
// safe only because serve then refuses to listen beyond loopback.
type AllowAll struct{}

// Authorize returns nil.
func (AllowAll) Authorize(context.Context, Identity, Action, Object) error { return nil }
