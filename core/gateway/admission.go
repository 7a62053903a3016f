package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// chain is what a call passes, in this order.
type chain struct {
	authorizers  []asker
	requests     []rewriter
	invoker      core.Invoker
	transformers []core.Transformer
	runs         string   // kind of the invoker, for steps
	rewrites     []string // kinds or plugins of the transformers, likewise

	values bool // Call.Values is needed from the beginning
	after  bool // Call.Values is needed behind the request transformers
}

// asker is an authorizer, and its name for the log.
type asker struct {
	core.CallAuthorizer
	name string
}

// rewriter is a request transformer, and its name for the log.
type rewriter struct {
	core.RequestTransformer
	name   string
	values bool // it needs Call.Values
}

// settle says from where on Call.Values is needed, when everything is in the chain.
func (c *chain) settle() {
	c.values = c.values || c.after && len(c.requests) == 0
}

// authorize asks every authorizer of a chain. Whatever is wrong with one refuses the
// call: an authorizer that cannot answer must not open what it guards.
func (h *handler) authorize(ctx context.Context, call *core.Call, c *chain) error {
	for i := range c.authorizers {
		one := &c.authorizers[i]
		began := h.stepBegins(call)
		err := h.ask(ctx, call, one)
		h.stepEnds(call, "authorizer", one.name, began, nil, err)
		if err == nil {
			continue
		}
		var e *core.Error
		if errors.As(err, &e) && e.Code == core.CodeDenied {
			return e
		}
		h.gateway.options.Log.Error("authorize", "authorizer", one.name, "server", call.Server, "kind", call.For.Kind, "name", call.For.Name, "error", err)
		return &core.Error{Code: core.CodeDenied, Message: "the call was refused", Fix: "try again later, or ask whoever runs the gateway", Err: err}
	}
	return nil
}

func (h *handler) ask(ctx context.Context, call *core.Call, one *asker) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = h.panicked(call, "authorizer "+one.name, r)
		}
	}()
	return one.AuthorizeCall(ctx, call)
}

// rewrite lets the request transformers change the arguments. The call that it returns
// is a copy: what the caller asked for stays as it was.
func (h *handler) rewrite(ctx context.Context, asked *core.Call, c *chain) (*core.Call, error) {
	call := new(core.Call)
	*call = *asked
	for i := range c.requests {
		one := &c.requests[i]
		if one.values {
			if err := decode(call); err != nil {
				return nil, err
			}
		}
		before := call.Arguments
		began := h.stepBegins(call)
		err := h.rewriteOne(ctx, call, one)
		h.stepEnds(call, "request_transformer", one.name, began, nil, err)
		if err != nil {
			return nil, err
		}
		if same(before, call.Arguments) {
			continue
		}
		err = wire.Check(call.Arguments, wire.Default)
		if err == nil && !wire.IsObject(call.Arguments) {
			err = errors.New("not an object")
		}
		if err != nil {
			return nil, &core.Error{Code: core.CodeInternal, Message: "internal error", Err: fmt.Errorf("the arguments that request transformer %s wrote: %w", one.name, err)}
		}
		call.Values, call.Checked = nil, true
	}
	if c.after {
		if err := decode(call); err != nil {
			return nil, err
		}
	}
	return call, nil
}

func (h *handler) rewriteOne(ctx context.Context, call *core.Call, one *rewriter) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = h.panicked(call, "request transformer "+one.name, r)
		}
	}()
	return one.TransformRequest(ctx, call)
}

// same tells whether two texts are the same bytes in memory: nobody writes into
// arguments, so then they say the same.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
