package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// call runs one export for a call. tool is the name that the guest is told.
func (p *Plugin) call(ctx context.Context, at int, call *core.Call, tool string, payload []byte) (sandbox.Answer, error) {
	v := p.version
	if v == nil {
		return sandbox.Answer{}, p.disabled()
	}
	budget := v.budgets[at]
	budget.Call, budget.CallID = call, p.host.callID()
	if len(v.granted.CallTool) > 0 {
		ctx = hostcall.Tree(ctx)
	}
	if len(v.context) == 0 {
		return v.code.Call(ctx, abi.Kinds[at], nil, payload, budget)
	}
	var pairs [maxContext]abi.Pair
	return v.code.Call(ctx, abi.Kinds[at], v.pairs(ctx, pairs[:0], call, tool, &budget), payload, budget)
}

// callID returns a name for one call, unique in all processes for as long as logs live.
func (h *Host) callID() sandbox.CallID {
	return sandbox.CallID{Prefix: h.callIDs, Counter: &h.calls}
}

// maxContext is how many keys a manifest can ask for.
const maxContext = 9

// pairs appends what the manifest asks to see of a call, and nothing else. What is not
// known is left out; the session is not.
func (v *version) pairs(ctx context.Context, dst []abi.Pair, call *core.Call, tool string, budget *sandbox.Budget) []abi.Pair {
	for _, name := range v.context {
		value := ""
		switch name {
		case abi.MetaTool:
			value = tool
		case abi.MetaServer:
			value = call.Server
		case abi.MetaCallID:
			value = budget.CallID.String()
		case abi.MetaTenant:
			value = call.Who.Tenant
		case abi.MetaPrincipalSub:
			value = call.Who.Subject
		case abi.MetaPrincipalRoles:
			if len(call.Who.Roles) > 0 {
				value = abi.Roles(call.Who.Roles)
			}
		case abi.MetaTraceparent:
			value = traceparent(call.Meta)
		case abi.MetaDeadlineMS:
			value = strconv.FormatInt(v.left(ctx, budget.Wall).Milliseconds(), 10)
		}
		if value != "" && len(dst) < cap(dst) {
			dst = append(dst, abi.Pair{Key: name, Value: value})
		}
	}
	return dst
}

// left is how long the call has.
func (v *version) left(ctx context.Context, wall time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		wall = min(wall, deadline.Sub(v.host.o.Now()))
	}
	return max(wall, 0)
}

var errFound = errors.New("found")

// traceparent returns that of params._meta, where a client of 2026-07-28 puts it.
func traceparent(meta json.RawMessage) string {
	if len(meta) == 0 {
		return ""
	}
	value := ""
	_ = wire.Walk(meta, func(name string, raw json.RawMessage) error {
		if name == abi.MetaTraceparent {
			// What is valid needs no escapes.
			if len(raw) == 57 && traced(raw[1:56]) {
				value = string(raw[1:56])
			}
			return errFound
		}
		return nil
	})
	return value
}

// traced reports whether a text has the form of version 00 (W3C Trace Context,
// section 3.2.2.1), so that no guest is handed what a client made up.
func traced(s []byte) bool {
	if len(s) != 55 || string(s[:3]) != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	for i := range s {
		c := s[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') || c == '-' && i != 2 && i != 35 && i != 52 {
			return false
		}
	}
	return true
}

// unexpected is the error for an answer that this kind has no use for.
func (p *Plugin) unexpected(at int, what string) *core.Error {
	return &core.Error{Code: core.CodeInternal, Message: "plugin " + p.name + ": " + abi.Kinds[at] + " " + what, Fix: "see sdk/ABI.md section 5"}
}
