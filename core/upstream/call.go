package upstream

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// work is what is wanted of the upstream, in whatever revision it speaks.
type work struct {
	method   string
	call     *core.Call
	complete *core.CompleteRequest // of completion/complete
	relisted bool                  // the tools were listed again for it
}

// attempts is how often a call that surely did not run is sent.
const attempts = 3

// CallTool calls the tool call.Tool, which is the upstream's own name for it. The result
// may be a question (InputRequests): then the call is to be repeated with the answers and
// with Result.RequestState.
func (c *Client) CallTool(ctx context.Context, call *core.Call) (*core.Result, error) {
	return c.result(ctx, &work{method: "tools/call", call: call})
}

// GetPrompt is CallTool for the prompt call.Tool.
func (c *Client) GetPrompt(ctx context.Context, call *core.Call) (*core.Result, error) {
	return c.result(ctx, &work{method: "prompts/get", call: call})
}

// ReadResource is CallTool for the resource whose URI is call.Tool.
func (c *Client) ReadResource(ctx context.Context, call *core.Call) (*core.Result, error) {
	return c.result(ctx, &work{method: "resources/read", call: call})
}

// Complete asks for values of an argument. call says who asks.
func (c *Client) Complete(ctx context.Context, call *core.Call, request *core.CompleteRequest) (*core.Completion, error) {
	w := &work{method: "completion/complete", call: call, complete: request}
	var out *core.Completion
	err := c.tries(ctx, func(p *peer) (bool, error) {
		a := c.plainly(ctx, p, w)
		if again, err := c.judge(ctx, p, w, &a); again || err != nil {
			return again, err
		}
		var err error
		if out, err = readCompletion(a.result); err != nil {
			return false, c.lying("its result cannot be read", err)
		}
		return false, nil
	})
	return out, err
}

func (c *Client) result(ctx context.Context, w *work) (out *core.Result, err error) {
	if handle, ok := handleOf(w.call.RequestState); ok {
		return c.resume(ctx, w, handle)
	}
	err = c.tries(ctx, func(p *peer) (again bool, err error) {
		if p.rev.Envelope {
			a := c.plainly(ctx, p, w)
			out, again, err = c.outcome(ctx, p, w, &a)
			return again, err
		}
		switch {
		case w.call.RequestState != nil:
			return false, staleState()
		case declined(w.call):
			out = core.ErrorResult("the user did not agree to visit the address that the call needs")
			return false, nil
		}
		can := p.rev.knows(abilitiesOf(w.call.Client.Capabilities))
		// A client that asks for no log level gets what comes on the stream of its call: for
		// less than a question or a level of its own no session is set apart.
		if can == 0 && (w.call.LogUsual || severity(w.call.LogLevel) < 0 || !p.offers("logging")) {
			a := c.plainly(ctx, p, w)
			out, again, err = c.outcome(ctx, p, w, &a)
			return again, err
		}
		out, again, err = c.leased(ctx, p, w, can)
		return again, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// tries runs do on what is known of the upstream, again where do says that the request
// surely did not run.
func (c *Client) tries(ctx context.Context, do func(*peer) (again bool, err error)) error {
	for n := 1; ; n++ {
		p, err := c.peer(ctx)
		if err != nil {
			return err
		}
		again, err := do(p)
		if again && n < attempts && ctx.Err() == nil {
			continue
		}
		if again && err == nil {
			err = c.unavailable("it contradicts itself", errContradiction)
		}
		if err != nil {
			c.noted(err)
		}
		return err
	}
}

// plainly sends a request on the session of everybody, and waits for the answer.
func (c *Client) plainly(ctx context.Context, p *peer, w *work) reply {
	k, err := p.open(ctx)
	if err != nil {
		return reply{err: err}
	}
	r, err := k.begin(ctx, w.method)
	if err != nil {
		if k.isDead() {
			err = &core.Error{Code: core.CodeUnavailable, Message: core.AsError(err).Message, Err: errSession}
		}
		return reply{err: err}
	}
	if err := w.address(ctx, p, r); err != nil {
		r.finish(reply{err: errAbandoned})
		r.cancel()
		return reply{err: err}
	}
	r.listen(w.call)
	return k.run(ctx, r, w.params(r, p.rev))
}

// judge tells what to make of a reply: nothing wrong, once more, or an error.
func (c *Client) judge(ctx context.Context, p *peer, w *work, a *reply) (again bool, err error) {
	switch {
	case a.err != nil && errors.Is(a.err, errSession):
		return true, a.err
	case a.err != nil && errors.Is(a.err, errContradiction):
		return true, a.err
	case a.strange():
		c.contradicted(p, "a request was refused for its form")
		return true, c.asPublic(a, w)
	case a.err != nil:
		return false, a.err
	case a.fail == nil:
		return false, nil
	}
	if a.fail.code == codeHeaderMismatch && w.method == "tools/call" && !w.relisted {
		w.relisted = true
		if err := c.relist(ctx, p); err != nil {
			return false, err
		}
		return true, c.asPublic(a, w)
	}
	return false, c.asPublic(a, w)
}

func (c *Client) asPublic(a *reply, w *work) error {
	if a.err != nil {
		return a.err
	}
	return c.errorOf(a.fail, w.method, w.call.Tool)
}

// outcome makes a Result of a reply.
func (c *Client) outcome(ctx context.Context, p *peer, w *work, a *reply) (*core.Result, bool, error) {
	if a.fail != nil && a.fail.code == codeURLElicitation && !p.rev.Envelope {
		if out, ok := urlRequests(a.fail.data); ok {
			return out, false, nil
		}
	}
	if again, err := c.judge(ctx, p, w, a); again || err != nil {
		return nil, again, err
	}
	out, err := readResult(a.result, w.method)
	if err != nil {
		c.counts.malformed.Add(1)
		return nil, false, c.lying("its result cannot be read", err)
	}
	if len(out.InputRequests) > 0 && !p.rev.Envelope {
		return nil, false, c.lying("it asks for input in a way that its revision does not have", nil)
	}
	return out, false, nil
}

// params returns the params of the request in the words of rev.
func (w *work) params(r *request, rev *revision) []byte {
	call := w.call
	dst := append(make([]byte, 0, 256+len(call.Arguments)+len(call.Meta)), '{')
	switch w.method {
	case "resources/read":
		dst = putString(dst, "uri", call.Tool)
	case "completion/complete":
		dst = w.appendComplete(dst)
	default:
		dst = putString(dst, "name", call.Tool)
		if wire.IsObject(call.Arguments) {
			dst = putRaw(dst, "arguments", call.Arguments)
		}
	}
	if rev.Envelope && w.complete == nil {
		if call.InputResponses != nil {
			dst = append(put(dst, "inputResponses"), '{')
			for key, v := range call.InputResponses {
				dst = putRaw(dst, key, v)
			}
			dst = append(dst, '}')
		}
		dst = putRaw(dst, "requestState", call.RequestState)
	}
	return append(r.appendMeta(dst, rev, call), '}')
}

func (w *work) appendComplete(dst []byte) []byte {
	q := w.complete
	dst = putString(append(put(dst, "ref"), '{'), "type", q.RefType)
	if q.RefType == "ref/resource" {
		dst = putString(dst, "uri", q.Ref)
	} else {
		dst = putString(dst, "name", q.Ref)
	}
	dst = append(put(append(dst, '}'), "argument"), '{')
	dst = append(putString(putString(dst, "name", q.Argument), "value", q.Value), '}')
	if len(q.Context) > 0 {
		dst = append(put(dst, "context"), `{"arguments":{`...)
		for name, value := range q.Context {
			dst = putString(dst, name, value)
		}
		dst = append(dst, "}}"...)
	}
	return dst
}

// address sets the headers that say what the request is about.
func (w *work) address(ctx context.Context, p *peer, r *request) error {
	name := w.call.Tool
	if w.complete != nil {
		name = ""
	}
	r.standard(p.rev, name)
	if r.header == nil || w.method != "tools/call" {
		return nil
	}
	declared, err := p.headersFor(ctx, name)
	if err != nil || len(declared) == 0 {
		return err
	}
	values := w.call.Values
	if values == nil {
		if values, err = wire.DecodeObject(w.call.Arguments); err != nil {
			return &core.Error{Code: core.CodeInvalid, Message: "the arguments are no object", Err: err}
		}
	}
	r.header = paramHeaders(r.header, declared, values)
	return nil
}

// declined tells that the user did not want to visit an address (see urlRequests).
func declined(call *core.Call) bool {
	for _, answer := range call.InputResponses {
		if stringOf(answer, "action") != "accept" {
			return true
		}
	}
	return false
}

func staleState() error {
	return &core.Error{
		Code: core.CodeInvalid, Message: "the call that this goes on with is not known any more",
		Fix: "send the request without requestState",
	}
}
