package authz

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

// Options are what an Authz may be given. The zero value works.
type Options struct {
	Log *slog.Logger // nil = nowhere
}

// Authz decides who may do what, from the roles and policies of a core.State. It is safe
// for concurrent use.
type Authz struct {
	log     *slog.Logger
	current atomic.Pointer[snapshot] // nil = nothing was read yet, and nothing is allowed
}

// New returns an Authz that allows nothing until Use has given it a state.
func New(o Options) *Authz {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Authz{log: o.Log}
}

// Use makes a state what is decided by. One that does not compile is an error, and the
// state before it stays.
func (a *Authz) Use(state *core.State) error {
	if state == nil {
		return &core.Error{Code: core.CodeInvalid, Message: "no roles and policies were given", Fix: "read them from the store"}
	}
	s, err := compile(state, a.log)
	if err != nil {
		return err
	}
	a.current.Store(s)
	return nil
}

// Authorize returns nil when who may do that. A refusal is an *Error with CodeDenied;
// before a state was read everything is CodeUnavailable.
func (a *Authz) Authorize(_ context.Context, who core.Identity, do core.Action, on core.Object) error {
	s := a.current.Load()
	if s == nil {
		return unready()
	}
	v := s.ask(&who, do, &on)
	if v == allowed {
		return nil
	}
	return refusal(v, do, on.Kind)
}

// refusal says what was missing, in words that hold no name: whoever is refused learns
// nothing of what there is. Lists refuse often, so the words are made before.
func refusal(v verdict, do core.Action, kind string) error {
	ready := refusals[v][kind+":"+string(do)] // the compiler looks it up without making the text
	if ready == nil {
		ready = refuse(silent, "for that")
	}
	e := *ready // a copy: whoever passes it on may add to it
	return &e
}

// refusals are what callers are told, by verdict and kind:action.
var refusals = func() (out [narrowed + 1]map[string]*core.Error) {
	for v := range out {
		out[v] = map[string]*core.Error{}
		for _, kind := range core.ObjectKinds {
			for _, do := range core.Actions {
				asked := kind + ":" + string(do)
				out[v][asked] = refuse(verdict(v), asked)
			}
		}
	}
	return out
}()

func refuse(v verdict, asked string) *core.Error {
	e := &core.Error{
		Code:    core.CodeDenied,
		Message: "you lack the permission " + asked,
		Fix:     "ask an administrator for a role that has it",
	}
	switch v {
	case denied:
		e.Message, e.Fix = "a policy denies you "+asked+" here", "ask an administrator whether it should"
	case narrowed:
		e.Message, e.Fix = "the API token is narrowed, and its scopes do not allow "+asked+" here", "use a token with a scope for it"
	case silent, allowed:
	}
	return e
}

// unready is the answer while no state was read.
func unready() error {
	return &core.Error{
		Code:    core.CodeUnavailable,
		Message: "roles and policies have not been read yet, and until then nothing is allowed",
		Fix:     "try again in a moment",
	}
}

var (
	_ core.Authorizer = (*Authz)(nil)
	_ core.Explainer  = (*Authz)(nil)
)
