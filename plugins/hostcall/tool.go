package hostcall

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/result"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Limits of `call_tool`.
const (
	maxDepth     = 3       // calls within each other
	maxTools     = 64      // calls of one call
	maxTree      = 512     // calls that one call of a client leads to, however deep
	maxArguments = 4 << 20 // bytes
	maxAnswer    = 5 << 20 // bytes
	maxToolName  = 1 << 10 // bytes
)

// CallTool calls another tool of the same server with the rights of the caller.
func (h *Host) CallTool(ctx context.Context, s *sandbox.Scope, frame []byte) ([]byte, int64) {
	if s.Count.Tools++; s.Count.Tools > maxTools {
		return nil, abi.ErrQuota
	}
	if s.Call == nil || s.Call.Inside == nil {
		return nil, abi.ErrDenied
	}
	if len(frame) > maxArguments+maxToolName {
		return nil, abi.ErrTooLarge
	}
	pairs, arguments, err := abi.ParseIn(frame)
	if err != nil {
		return nil, abi.ErrInvalid
	}
	tool, _ := abi.Get(pairs, abi.CallToolTool)
	switch {
	case tool == "" || len(tool) > maxToolName:
		return nil, abi.ErrInvalid
	case s.Call.Depth+1 > maxDepth && !h.off.depth:
		h.uncalled(ctx, s, tool, "calls are nested too deep")
		return nil, abi.ErrDenied
	case !h.callable(tool):
		h.uncalled(ctx, s, tool, "not granted")
		return nil, abi.ErrDenied
	}
	arguments = bytes.Clone(arguments) // they alias the guest's memory
	if len(bytes.TrimSpace(arguments)) == 0 {
		arguments = []byte("{}")
	}
	if !wire.IsObject(arguments) || wire.Check(arguments, wire.Default) != nil {
		return nil, abi.ErrInvalid
	}
	ctx = Tree(ctx)
	if ctx.Value(treeKey{}).(*atomic.Int64).Add(1) > maxTree {
		h.uncalled(ctx, s, tool, "too many calls within each other")
		return nil, abi.ErrQuota
	}
	answer, err := s.Call.Inside.CallTool(ctx, nested(s.Call, tool, arguments))
	if err != nil {
		return refusal(core.AsError(err)), 0
	}
	return h.answer(ctx, s, tool, answer)
}

// Tree returns a context in which all calls of tools that a call leads to are counted
// together: 64 calls of 64 calls of 64 calls would be a quarter of a million, each with
// requests of its own. Whoever calls a plugin that may call tools does so with it; a call
// within a call goes on with the count that is there.
func Tree(ctx context.Context) context.Context {
	if _, counted := ctx.Value(treeKey{}).(*atomic.Int64); counted {
		return ctx
	}
	return context.WithValue(ctx, treeKey{}, new(atomic.Int64))
}

type treeKey struct{}

// nested is the call of a tool within another: the same caller, and none of the ways
// back to the client.
func nested(outer *core.Call, tool string, arguments json.RawMessage) *core.Call {
	return &core.Call{
		Server: outer.Server, Tool: tool, For: core.Object{Kind: "tool", Server: outer.Server, Name: tool},
		Arguments: arguments, Checked: true,
		Who: outer.Who, Client: outer.Client, Inside: outer.Inside, Depth: outer.Depth + 1,
		Notify: func(core.Notification) {}, Detach: func(time.Duration) bool { return false },
	}
}

// callable tells whether a tool is granted: by its name, or by a glob whose * stands
// for any end.
func (h *Host) callable(tool string) bool {
	return h.off.callees || slices.ContainsFunc(h.granted.CallTool, func(granted string) bool {
		prefix, wild := strings.CutSuffix(granted, "*")
		return granted == tool || wild && strings.HasPrefix(tool, prefix)
	})
}

func (h *Host) uncalled(ctx context.Context, s *sandbox.Scope, tool, why string) {
	s.Log.LogAttrs(ctx, slog.LevelWarn, "plugin tool call refused", slog.String("why", why), slog.String("wants", plain(clip(tool, 128))), slog.String("call", s.CallID.String()))
}

// answer writes the frame of a result. One that says isError is an answer too.
func (h *Host) answer(ctx context.Context, s *sandbox.Scope, tool string, r *core.Result) ([]byte, int64) {
	if r != nil && len(r.InputRequests) > 0 {
		r.GiveUp()
		return abi.AppendOut(nil, abi.ToolError, nil, []byte("the tool "+tool+" wants to ask its user, which is not possible from a plugin")), 0
	}
	frame, err := result.Append(abi.AppendOut(nil, abi.OK, nil, nil), r)
	if err != nil {
		s.Log.LogAttrs(ctx, slog.LevelError, "plugin tool call has no answer", slog.String("error", err.Error()), slog.String("call", s.CallID.String()))
		return abi.AppendOut(nil, abi.Internal, nil, nil), 0
	}
	if len(frame) > maxAnswer {
		return nil, abi.ErrTooLarge
	}
	return frame, 0
}

// refusal writes the frame of an error. What is our own mistake stays without words.
func refusal(e *core.Error) []byte {
	status := statusOf(e.Code)
	if status == abi.Internal {
		return abi.AppendOut(nil, status, nil, nil)
	}
	var pairs []abi.Pair
	if status == abi.Unavailable && e.RetryAfter > 0 {
		pairs = []abi.Pair{{Key: abi.MetaRetryAfterMS, Value: strconv.FormatInt(int64(e.RetryAfter)*1000, 10)}}
	}
	return abi.AppendOut(nil, status, pairs, []byte(e.Public()))
}

// statusOf is the table from our codes to the statuses of sdk/ABI.md section 6.
func statusOf(code core.Code) abi.Status {
	switch code {
	case core.CodeNotFound:
		return abi.UnknownTool
	case core.CodeInvalid:
		return abi.InvalidArgs
	case core.CodeDenied:
		return abi.Denied
	case core.CodeUnavailable, core.CodeTimeout, core.CodeLimited:
		return abi.Unavailable
	}
	return abi.Internal
}
