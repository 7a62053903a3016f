package sandbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// Grant says which capabilities a plugin has: only the host functions of these are
// linked, and a module that imports another one is refused by Load. What they reach
// (hosts, namespaces, names of secrets) is the Host's affair.
type Grant struct {
	HTTP, KV, Secrets, Progress, CallTool bool
}

// Allows reports whether the capability (abi.CapHTTP, …) is granted; "" always is.
func (g Grant) Allows(capability string) bool {
	switch capability {
	case "":
		return true
	case abi.CapHTTP:
		return g.HTTP
	case abi.CapKV:
		return g.KV
	case abi.CapSecrets:
		return g.Secrets
	case abi.CapProgress:
		return g.Progress
	case abi.CapCallTool:
		return g.CallTool
	}
	return false
}

// Host answers the host functions of one plugin. One Host serves all instances of
// the plugin at once, so it is safe for concurrent use; one Scope belongs to one
// call and is used by one goroutine.
//
// The sandbox does everything that touches guest memory: bounds, copying, the
// pending slot of `read`. A byte slice that comes in aliases guest memory and is
// valid until the method returns: copy what stays. A byte slice that is returned is
// copied before the guest runs on, and never changed, so it may be shared.
//
// A method never panics because of its surroundings and never calls the guest. A
// code below 0 is one of the abi.Err… numbers and goes to the guest as it is; the
// bytes beside it are then ignored. ctx ends with the call; a method that waits
// ends with it. Time spent in HTTP, KV…, CallTool and Secret does not burn the
// call's CPU budget; time in the others does.
type Host interface {
	// Log writes one line; level is abi.LogDebug to abi.LogError. Standard output and
	// error of the guest come here too.
	Log(ctx context.Context, s *Scope, level int, text []byte)
	// Config returns one value of the configuration as JSON; an empty key means all.
	Config(ctx context.Context, s *Scope, key []byte) (value []byte, code int64)
	// HTTP performs the request frame (abi.ParseIn) and returns the answer's frame
	// (abi.AppendOut, the status being that of HTTP).
	HTTP(ctx context.Context, s *Scope, request []byte) (frame []byte, code int64)
	KVGet(ctx context.Context, s *Scope, key []byte) (value []byte, version uint64, code int64)
	// KVSet stores value for ttl (0 = for ever). version 0 = the key must not exist,
	// -1 = whatever it was. It returns the new version, or a negative code.
	KVSet(ctx context.Context, s *Scope, key, value []byte, ttl time.Duration, version int64) int64
	// KVDelete removes a key of that version (-1 = any) and returns 0, or a negative code.
	KVDelete(ctx context.Context, s *Scope, key []byte, version int64) int64
	// KVList returns a frame in of pairs key → version, sorted.
	KVList(ctx context.Context, s *Scope, prefix, after []byte) (frame []byte, code int64)
	Secret(ctx context.Context, s *Scope, name []byte) (value []byte, code int64)
	// Metric takes kind abi.MetricCounter, MetricGauge or MetricHistogram.
	Metric(ctx context.Context, s *Scope, name []byte, kind int, value float64)
	// Progress takes a frame in: pairs "progress" and "total", payload = message.
	Progress(ctx context.Context, s *Scope, frame []byte)
	// CallTool takes a frame in (pair "tool", payload = arguments) and returns a frame
	// out (a Status and the CallToolResult).
	CallTool(ctx context.Context, s *Scope, frame []byte) (answer []byte, code int64)
}

// Scope is what the host functions know of the call they serve. It lives as long as
// the call: a Host that keeps it afterwards reads another call's.
type Scope struct {
	Plugin string     // Options.Name
	Export string     // abi.ToolCall, …; abi.Configure while an instance is made
	CallID CallID     // Budget.CallID
	Call   *core.Call // Budget.Call; nil while an instance is made
	Grant  Grant
	Log    *slog.Logger // never nil, carries the plugin's name

	// Count is the Host's own tally of this call; it is zero when the call begins.
	Count Count

	now      func() time.Time
	deadline time.Time
}

// Count is how much of the limited things a call has used.
type Count struct {
	HTTP, KV, Secrets, Metrics, Progress, Tools int // calls of these
	LogLines, LogBytes                          int
}

// Deadline returns when the call ends at the latest.
func (s *Scope) Deadline() time.Time { return s.deadline }

// Left returns how much wall-clock time the call still has; it may be negative.
func (s *Scope) Left() time.Duration {
	if s.now == nil {
		return 0
	}
	return s.deadline.Sub(s.now())
}

// NewScope returns a Scope for tests of a Host without a guest.
func NewScope(plugin string, call *core.Call, grant Grant, log *slog.Logger, now func() time.Time, deadline time.Time) *Scope {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Scope{Plugin: plugin, Export: abi.ToolCall, Call: call, Grant: grant, Log: log, now: now, deadline: deadline}
}

// NoHost answers every host function with "not found" or nothing. Embed it in a
// fake that answers some.
type NoHost struct{}

// Log drops the line.
func (NoHost) Log(context.Context, *Scope, int, []byte) {}

// Config finds nothing.
func (NoHost) Config(context.Context, *Scope, []byte) ([]byte, int64) { return nil, abi.ErrNotFound }

// HTTP is refused.
func (NoHost) HTTP(context.Context, *Scope, []byte) ([]byte, int64) { return nil, abi.ErrDenied }

// KVGet finds nothing.
func (NoHost) KVGet(context.Context, *Scope, []byte) ([]byte, uint64, int64) {
	return nil, 0, abi.ErrNotFound
}

// KVSet is refused.
func (NoHost) KVSet(context.Context, *Scope, []byte, []byte, time.Duration, int64) int64 {
	return abi.ErrDenied
}

// KVDelete finds nothing.
func (NoHost) KVDelete(context.Context, *Scope, []byte, int64) int64 { return abi.ErrNotFound }

// KVList finds nothing.
func (NoHost) KVList(context.Context, *Scope, []byte, []byte) ([]byte, int64) {
	return nil, abi.ErrNotFound
}

// Secret finds nothing.
func (NoHost) Secret(context.Context, *Scope, []byte) ([]byte, int64) { return nil, abi.ErrNotFound }

// Metric drops the value.
func (NoHost) Metric(context.Context, *Scope, []byte, int, float64) {}

// Progress drops the message.
func (NoHost) Progress(context.Context, *Scope, []byte) {}

// CallTool is refused.
func (NoHost) CallTool(context.Context, *Scope, []byte) ([]byte, int64) { return nil, abi.ErrDenied }

var _ Host = NoHost{}
