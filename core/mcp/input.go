package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// asks tells whether a result is a question to the client instead of an answer.
func asks(r *core.Result) bool { return len(r.InputRequests) > 0 || r.RequestState != nil }

// invoke runs a call. Where the revision has sessions, what the call needs of the
// client is asked for here, and the call repeated with the answers; else the
// question is the result.
func (x *exchange) invoke(ctx context.Context, call *core.Call,
	do func(context.Context, *core.Call) (*core.Result, error),
) (*core.Result, error) {
	if x.rev.Envelope {
		if err := x.readInput(call); err != nil {
			return nil, err
		}
	}
	for round := 0; ; round++ {
		result, err := do(ctx, call)
		switch {
		case err != nil:
			return nil, err
		case result == nil:
			return nil, &core.Error{Code: core.CodeInternal, Message: "internal error", Err: errors.New("a handler returned neither result nor error")}
		case x.rev.Envelope || !asks(result):
			return result, nil
		case round == x.e.limits.Rounds:
			result.GiveUp()
			return nil, &core.Error{
				Code:    core.CodeLimited,
				Message: "the call asked for more input " + strconv.Itoa(round) + " times and still has no result",
			}
		}
		answers, refusals, err := x.askAll(ctx, result)
		if err != nil {
			result.GiveUp()
			return nil, err
		}
		if len(refusals) > 0 && !result.TakesRefusals {
			result.GiveUp()
			return core.ErrorResult(refusedFirst(result.InputRequests, refusals)), nil
		}
		call.InputResponses, call.InputRefusals, call.RequestState = answers, refusals, result.RequestState
	}
}

// askAll sends what a result asks for to the client, on the stream of the call, and waits
// for all answers. refusals are those that are errors: where the call does not take them,
// the first one ends the waiting.
func (x *exchange) askAll(ctx context.Context, result *core.Result) (answers, refusals map[string]json.RawMessage, err error) {
	requests := result.InputRequests
	if err := x.allowed(requests); err != nil {
		return nil, nil, err
	}
	type open struct {
		id    string
		reply chan answer
	}
	waiting := make([]open, len(requests))
	defer func() {
		for _, w := range waiting {
			x.session.forgetAsk(w.id)
		}
	}()
	for i := range requests {
		id, reply := x.session.ask(x.e.now())
		waiting[i] = open{id, reply}
		message := append(append([]byte(`{"jsonrpc":"2.0","id":`), id...), `,"method":"`...)
		message = append(append(message, requests[i].Method...), `","params":`...)
		message = append(append(message, x.askParams(&requests[i], id)...), '}')
		x.out.push(message)
	}
	timer := time.NewTimer(x.e.limits.AskTimeout)
	defer timer.Stop()
	answers = make(map[string]json.RawMessage, len(requests))
	for i, w := range waiting {
		select {
		case a := <-w.reply:
			if a.fail == nil {
				answers[requests[i].Key] = a.result
				continue
			}
			if refusals == nil {
				refusals = map[string]json.RawMessage{}
			}
			refusals[requests[i].Key] = a.fail
			if !result.TakesRefusals {
				return nil, refusals, nil
			}
			continue
		case <-timer.C:
			err = &core.Error{
				Code:    core.CodeTimeout,
				Message: fmt.Sprintf("the client did not answer %s within %s", requests[i].Method, x.e.limits.AskTimeout),
			}
		case <-x.session.ended:
			err = &core.Error{Code: core.CodeCancelled, Message: "the session ended"}
		case <-ctx.Done():
			err = ctx.Err()
		}
		for _, late := range waiting[i:] { // nobody waits for these any more
			x.out.push(appendNotification(nil, "notifications/cancelled", []byte(`{"requestId":`+late.id+`}`)))
		}
		return nil, nil, err
	}
	return answers, refusals, nil
}

// refusedFirst tells the model what the client said to the first request that it refused.
func refusedFirst(requests []core.InputRequest, refusals map[string]json.RawMessage) string {
	for i := range requests {
		if fail := refusals[requests[i].Key]; fail != nil {
			return refused(requests[i].Method, fail)
		}
	}
	return "the client refused what the call needs"
}

// askParams returns the params as the revision has them. id names the question to
// the session that is asked, "" where there is none.
func (x *exchange) askParams(r *core.InputRequest, id string) json.RawMessage {
	if !wire.IsObject(r.Params) {
		return noArguments
	}
	if r.Method != "elicitation/create" || x.rev.ElicitationModes && !x.rev.ElicitationID {
		return r.Params
	}
	dst := []byte{'{'}
	byURL, named := false, false
	err := wire.Fields(r.Params, func(name string, v json.RawMessage) error {
		switch name {
		case "mode":
			byURL = string(v) == `"url"`
			if !x.rev.ElicitationModes {
				return nil // there was only the form, and no word for it
			}
		case "elicitationId":
			named = true
		}
		dst = append(member(dst, name), v...)
		return nil
	})
	if err != nil {
		return r.Params
	}
	if byURL && !named {
		// Unique among all sessions, and telling nothing of this one.
		digest := sha256.Sum256([]byte(x.session.ID() + " " + id))
		dst = optional(dst, "elicitationId", hex.EncodeToString(digest[:12]))
	}
	return append(dst, '}')
}

// refused tells the model what a client said to a request of ours.
func refused(method string, fail json.RawMessage) string {
	var code, message string
	_ = wire.Walk(fail, func(name string, v json.RawMessage) error { // accepted with its body
		switch name {
		case "code":
			code = string(v)
		case "message":
			message, _ = text(v)
		}
		return nil
	})
	return "the client answered " + method + " with error " + cut(code, 16) + ": " + cut(message, 500)
}

// allowed checks that the client can be asked all of that.
func (x *exchange) allowed(requests []core.InputRequest) error {
	has := abilitiesOf(x.invocation.Client.Capabilities)
	var lacks abilities
	keys := make(map[string]bool, len(requests))
	for i := range requests {
		r := &requests[i]
		need, known := needOf(r)
		if !known || r.Key == "" || keys[r.Key] {
			return &core.Error{
				Code: core.CodeInternal, Message: "internal error",
				Err: fmt.Errorf("input request %q: method %q is unknown, or the key is empty or stands twice", r.Key, r.Method),
			}
		}
		keys[r.Key] = true
		if x.rev.has(has)&need != need {
			lacks |= need &^ x.rev.has(has)
		}
	}
	if lacks == 0 {
		return nil
	}
	return &core.Error{
		Code:    core.CodeCapability,
		Message: "the client lacks a capability that this request needs: " + lacks.words(),
		Details: lacks.object(),
	}
}

// appendInputRequired returns the response with InputRequiredResult (2026-07-28, MRTR).
func (x *exchange) appendInputRequired(call *core.Call, r *core.Result) ([]byte, error) {
	if err := x.allowed(r.InputRequests); err != nil {
		r.GiveUp()
		return nil, err
	}
	dst := append(x.open(512), `{"resultType":"input_required"`...)
	if len(r.InputRequests) > 0 {
		dst = append(dst, `,"inputRequests":{`...)
		for i := range r.InputRequests {
			q := &r.InputRequests[i]
			dst = append(member(dst, q.Key), `{"method":"`...)
			dst = append(append(dst, q.Method...), `","params":`...)
			dst = append(append(dst, x.askParams(q, "")...), '}')
		}
		dst = append(dst, '}')
	}
	if r.RequestState != nil {
		plain := binary.BigEndian.AppendUint64(nil, uint64(x.e.now().Add(x.e.limits.StateTTL).UnixMilli()))
		bind, err := x.bind(call)
		if err != nil {
			return nil, err
		}
		token, err := x.e.sealer.Seal(statePurpose, append(plain, r.RequestState...), bind...)
		if err != nil {
			return nil, fmt.Errorf("seal the request state: %w", err)
		}
		dst = optional(dst, "requestState", token)
	}
	return append(x.appendMeta(dst, r.Meta), '}'), nil
}

const statePurpose = "mcp request state"

// bind is what a request state is tied to: who, where, and the request that it
// belongs to, arguments included.
func (x *exchange) bind(call *core.Call) ([]string, error) {
	if err := decode(call); err != nil {
		return nil, err
	}
	canonical, err := wire.Marshal(call.Values)
	if err != nil {
		return nil, fmt.Errorf("digest the arguments: %w", err)
	}
	digest := sha256.Sum256(canonical)
	return []string{x.r.Handler.Server().Key(), call.Who.Tenant, call.Who.Subject, x.m.method, call.Tool, hex.EncodeToString(digest[:])}, nil
}

// readInput reads what the client brought back. Everything in it is the client's
// word; only the state is ours, once opened.
func (x *exchange) readInput(call *core.Call) error {
	if responses := x.m.p.inputResponses; responses != nil {
		if !wire.IsObject(responses) {
			return invalidParams("params.inputResponses must be an object")
		}
		call.InputResponses = map[string]json.RawMessage{}
		var f *fault
		_ = wire.Walk(responses, func(key string, v json.RawMessage) error { // accepted with the body
			if !wire.IsObject(v) {
				f = invalidParams("params.inputResponses must hold objects: " + strconv.Quote(cut(key, 100)) + " is none")
			}
			call.InputResponses[key] = v
			return nil
		})
		if f != nil {
			return f
		}
	}
	if x.m.p.requestState == nil {
		return nil
	}
	token, ok := text(x.m.p.requestState)
	if !ok {
		return invalidParams("params.requestState must be a string")
	}
	bind, err := x.bind(call)
	if err != nil {
		return err
	}
	refused := invalidParams("params.requestState is not from this request, or too old; send the request without it")
	plain, err := x.e.sealer.Open(statePurpose, token, bind...)
	if err != nil || len(plain) < 8 {
		return refused
	}
	if until := binary.BigEndian.Uint64(plain); uint64(max(x.e.now().UnixMilli(), 0)) > until {
		return refused
	}
	call.RequestState = plain[8:]
	return nil
}
