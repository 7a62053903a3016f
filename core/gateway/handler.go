package gateway

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// handler answers for one server on one Catalog.
type handler struct {
	gateway  *Gateway
	catalog  *Catalog
	server   *server
	released atomic.Bool
}

var _ core.Handler = (*handler)(nil)

// Release gives the Catalog back. Only the first call counts.
func (h *handler) Release() {
	if !h.released.Swap(true) {
		h.catalog.release()
	}
}

// Server returns what clients learn of the server.
func (h *handler) Server() *core.Server { return h.server.wire }

// ListTools returns a page of the tools that who may see.
func (h *handler) ListTools(ctx context.Context, who core.Identity, cursor *string) (*core.Page[*core.Tool], error) {
	seen := h.server.tools.see(ctx, h.gateway.options.Authorizer, who)
	if h.server.facade != nil && len(seen.all) > 0 {
		return h.server.facade.list.full.page(cursor)
	}
	return seen.page(cursor)
}

// ListPrompts returns a page of the prompts that who may see.
func (h *handler) ListPrompts(ctx context.Context, who core.Identity, cursor *string) (*core.Page[*core.Prompt], error) {
	return h.server.prompts.see(ctx, h.gateway.options.Authorizer, who).page(cursor)
}

// ListResources returns a page of the resources that who may see.
func (h *handler) ListResources(ctx context.Context, who core.Identity, cursor *string) (*core.Page[*core.Resource], error) {
	return h.server.resources.see(ctx, h.gateway.options.Authorizer, who).page(cursor)
}

// ListTemplates returns a page of the resource templates that who may see.
func (h *handler) ListTemplates(ctx context.Context, who core.Identity, cursor *string) (*core.Page[*core.Resource], error) {
	return h.server.templates.see(ctx, h.gateway.options.Authorizer, who).page(cursor)
}

// Tool returns a tool that who may see, or nil.
func (h *handler) Tool(ctx context.Context, who core.Identity, name string) *core.Tool {
	t := h.server.toolOf[name]
	if t == nil && h.fronts(ctx, who, name) {
		return h.server.facade.toolOf[name]
	}
	if t == nil || !h.may(ctx, who, core.ActionList, "tool", name) {
		return nil
	}
	return t.wire
}

// Changes calls f for each change of this server that who may know of, until stop is
// called. It does not need the Handler: release it and the subscription lives on,
// across reloads.
func (h *handler) Changes(who core.Identity, f func(core.Change)) (stop func()) {
	return h.gateway.listeners.add(h.server.wire.Name, who, f)
}

// Visible tells whether who may know of the server. What a token is narrowed to is held
// against each tool: one for a single tool must still be able to say initialize.
func (h *handler) Visible(ctx context.Context, who core.Identity) bool {
	who.Scopes = nil
	return h.may(ctx, who, core.ActionList, "server", "")
}

// may asks the Authorizer.
func (h *handler) may(ctx context.Context, who core.Identity, do core.Action, kind, name string) bool {
	if _, all := h.gateway.options.Authorizer.(core.AllowAll); all {
		return true
	}
	return h.gateway.options.Authorizer.Authorize(ctx, who, do, core.Object{
		Kind: kind, Tenant: h.server.wire.Tenant, Server: h.server.wire.Name, Name: name, Open: h.server.wire.Access.Anonymous,
	}) == nil
}

// prepare fills in what the rest of the way relies on.
func (h *handler) prepare(call *core.Call, kind, name string) {
	call.Server = h.server.wire.Name
	call.For = core.Object{Kind: kind, Tenant: h.server.wire.Tenant, Server: call.Server, Name: name, Open: h.server.wire.Access.Anonymous}
	call.Inside = h
	if call.Notify == nil {
		call.Notify = func(core.Notification) {}
	}
	if call.Detach == nil {
		call.Detach = func(time.Duration) bool { return false }
	}
	if len(call.Arguments) == 0 {
		call.Arguments = []byte("{}")
	}
}

// decode fills in the values, when they are not there yet: the only time that the
// arguments are decoded.
func decode(call *core.Call) error {
	if call.Values != nil {
		return nil
	}
	values, err := wire.DecodeObject(call.Arguments)
	if err != nil {
		return &core.Error{Code: core.CodeInvalid, Message: "arguments: " + err.Error(), Fix: "send a JSON object"}
	}
	call.Values, call.Checked = values, true
	return nil
}

// fits tells whether the arguments surely fit the input schema as they are written,
// where nobody needs their values. It checks them as decode would.
func (t *tool) fits(call *core.Call) bool {
	if call.Values != nil || t.chain.values || !wire.IsObject(call.Arguments) {
		return false
	}
	if !call.Checked {
		if wire.Check(call.Arguments, wire.Default) != nil {
			return false
		}
		call.Checked = true
	}
	return t.input == nil || t.input.fits(call.Arguments)
}

// faults are the reasons why the arguments do not fit.
func (t *tool) faults(call *core.Call) []fault {
	if t.input == nil {
		return nil
	}
	faults := t.input.check(call.Values, true)
	if faults != nil && t.mount != nil {
		if rest := withoutNulls(call.Values); rest != nil && t.input.check(rest, true) == nil {
			return nil
		}
	}
	return faults
}

// withoutNulls returns the arguments that say something; nil = all do. Many clients write
// null for what they leave out, and an upstream may take that: it says so itself.
func withoutNulls(values map[string]any) map[string]any {
	var rest map[string]any
	for name, value := range values {
		if value == nil {
			if rest == nil {
				rest = maps.Clone(values)
			}
			delete(rest, name)
		}
	}
	return rest
}

// invoke runs a chain within its time, which counts from began. What ran out of time is an *core.Error with
// CodeTimeout, what the client gave up one with CodeCancelled.
func (h *handler) invoke(parent context.Context, call *core.Call, c *chain, timeout time.Duration, began time.Time) (*core.Result, error) {
	ctx := core.NewLifetime(parent, began.Add(timeout))
	defer ctx.Cancel(nil)
	var result *core.Result
	var err error
	if len(c.authorizers) > 0 {
		if err = h.authorize(ctx, call, c); err != nil && parent.Err() != context.Canceled {
			return nil, err // also when its time ran out: refused is refused
		}
	}
	if err == nil && len(c.requests) > 0 {
		rewritten, wrong := h.rewrite(ctx, call, c)
		if err = wrong; err == nil {
			call = rewritten
		}
	}
	if err == nil {
		began := h.stepBegins(call)
		result, err = h.run(ctx, call, c.invoker)
		h.stepEnds(call, "invoker", c.runs, began, result, err)
	}
	if err == nil && len(result.InputRequests) == 0 {
		for i, t := range c.transformers {
			began := h.stepBegins(call)
			result, err = h.transform(ctx, call, t, result)
			h.stepEnds(call, "transformer", c.rewrites[i], began, result, err)
			if err != nil {
				break
			}
		}
	}
	switch {
	case err == nil:
		return result, nil
	case parent.Err() == context.Canceled:
		return nil, &core.Error{Code: core.CodeCancelled, Message: "the call was cancelled", Err: err}
	case ctx.Err() != nil:
		message := fmt.Sprintf("no answer within %s", timeout)
		if parent.Err() != nil {
			message = "no answer within the time that the request had"
		}
		return nil, &core.Error{Code: core.CodeTimeout, Message: message, Fix: "ask for less at once, or raise the timeout in the document", Err: err}
	}
	e := core.AsError(err)
	if e.Code == core.CodeInternal {
		h.gateway.options.Log.Error("call", "server", call.Server, "kind", call.For.Kind, "name", call.For.Name, "error", err)
	}
	return nil, e
}

// run calls an invoker. A panic in it ends its call, not the process.
func (h *handler) run(ctx context.Context, call *core.Call, invoker core.Invoker) (result *core.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			result, err = nil, h.panicked(call, "invoker", r)
		}
	}()
	result, err = invoker.Invoke(ctx, call)
	if err == nil && result == nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "internal error", Err: fmt.Errorf("%T returned neither a result nor an error", invoker)}
	}
	return result, err
}

func (h *handler) transform(ctx context.Context, call *core.Call, t core.Transformer, in *core.Result) (result *core.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			result, err = nil, h.panicked(call, "transformer", r)
		}
	}()
	result, err = t.Transform(ctx, call, in)
	if err == nil && result == nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "internal error", Err: fmt.Errorf("%T returned neither a result nor an error", t)}
	}
	return result, err
}

// panicked logs a panic with its stack. The client learns nothing of it: a panic
// may hold anything. Neither does the log learn the value when it is not an error
// of the runtime, because it may hold arguments.
func (h *handler) panicked(call *core.Call, part string, r any) error {
	h.gateway.options.Log.Error("panic in a call", "part", part, "server", call.Server, "kind", call.For.Kind,
		"name", call.For.Name, "panic", panicText(r), "stack", string(debug.Stack()))
	return &core.Error{Code: core.CodeInternal, Message: "internal error", Err: errPanic}
}

// outcome names how a call ended, for the record.
func outcome(result *core.Result, err error) string {
	switch {
	case err != nil:
		return string(core.AsError(err).Code)
	case result != nil && result.IsError:
		return outcomeToolError
	default:
		return "ok"
	}
}

const outcomeToolError = "tool_error"
