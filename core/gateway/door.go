package gateway

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/core"
)

// enter is what a call passes after it was found and allowed, and before it runs: the
// scopes of its access token, the limits, and that records can be kept. leave is called
// when it has ended.
func (h *handler) enter(ctx context.Context, call *core.Call, kind, name string, scopes []string) (leave func(), err error) {
	o := &h.gateway.options
	if len(scopes) > 0 && o.Scopes != nil {
		asked := call.Auth
		if asked == nil {
			asked = &core.AuthRequest{Server: h.server.wire, Tenant: h.server.wire.Tenant}
		}
		if err := o.Scopes(call.Who, scopes, asked); err != nil {
			return nil, atDoor(err)
		}
	}
	if o.Recorder != nil {
		if err := o.Recorder.Admit(ctx); err != nil {
			return nil, atDoor(err)
		}
	}
	if o.Limiter == nil {
		return unlimited, nil
	}
	leave, err = o.Limiter.Admit(call.Who, core.Object{Kind: kind, Tenant: h.server.wire.Tenant, Server: h.server.wire.Name, Name: name}, len(call.Arguments))
	if err != nil {
		return nil, atDoor(err)
	}
	return leave, nil
}

func unlimited() {}

// atDoor marks an error as the gateway's own refusal.
func atDoor(err error) error {
	known := *core.AsError(err)
	known.Door = true
	return &known
}

// record tells the Observer, and the Recorder: its error is that of a record that must
// be kept and could not, so that the answer must not go out. name is "" where the caller
// named nothing that it may use, so that callers cannot fill the metrics with names.
func (h *handler) record(ctx context.Context, call *core.Call, kind, name, outcome string, began time.Time, result *core.Result) error {
	o := &h.gateway.options
	took := o.Now().Sub(began)
	o.Observer.Called(core.CallEvent{
		Server: h.server.wire.Key(), Kind: kind, Name: name, Revision: call.Client.Revision,
		Outcome: outcome, Duration: took,
	})
	if o.Recorder == nil {
		return nil
	}
	who := &call.Who
	one := &core.CallRecord{
		Time: began, Replica: o.Replica, Tenant: h.server.wire.Tenant, Subject: who.Subject, Who: who.Name, Via: who.Via, Credential: who.Credential,
		Server: h.server.wire.Name, Kind: kind, Name: name, Revision: call.Client.Revision, Client: call.Client.Name,
		Outcome: outcome, Duration: took, In: len(call.Arguments), Out: result.Size(), Request: call.ID, Trace: traceOf(call),
	}
	if one.Tenant == "" {
		one.Tenant = core.DefaultTenant
	}
	arguments := call.Arguments
	if !o.Recorder.Payload() {
		arguments, result = nil, nil
	}
	if err := o.Recorder.Record(ctx, one, arguments, result); err != nil {
		return atDoor(err)
	}
	return nil
}

// settle records how a call ended and returns what its caller gets: nothing of the
// result when the record had to be kept and was not.
func (h *handler) settle(ctx context.Context, call *core.Call, kind, name string, began time.Time, result *core.Result, err error) (*core.Result, error) {
	if kept := h.record(ctx, call, kind, name, outcome(result, err), began, result); kept != nil {
		return nil, errors.Join(kept, err)
	}
	return result, err
}

// traceOf returns the trace id of what the client sent in _meta (W3C Trace Context), or "".
func traceOf(call *core.Call) string {
	const member, size = `"traceparent":"00-`, 32
	if len(call.Meta) < len(member)+size {
		return ""
	}
	_, rest, found := bytes.Cut(call.Meta, []byte(member))
	if !found || len(rest) < size {
		return ""
	}
	id := string(rest[:size])
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return id
}
