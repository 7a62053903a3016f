package plugins

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/result"
)

// transformer rewrites results.
type transformer struct{ plugin *Plugin }

// NeedsValues returns false: a guest does not see the arguments here.
func (*transformer) NeedsValues() bool { return false }

// buffers are what results are written to on their way to a guest, which gets a copy.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the largest buffer that is kept for the next call.
const maxBuffer = 1 << 20

// Transform calls the guest. When the guest leaves the result as it is, in is returned
// itself. An error lets in through where the manifest says on_error: skip, unless the
// guest refuses (DENIED) or the call is over.
func (t *transformer) Transform(ctx context.Context, call *core.Call, in *core.Result) (*core.Result, error) {
	out, err := t.transform(ctx, call, in)
	v := t.plugin.version
	if err == nil || v == nil || v.about.OnError != manifest.OnErrorSkip {
		return out, err
	}
	if over(ctx, v.host.o.Now()) || core.AsError(err).Code == core.CodeDenied {
		return nil, err
	}
	if missed, say := v.skips.count(v.host.o.Now()); say {
		v.log.Warn("plugin skipped: the result goes on as it was", "plugin", t.plugin.name, "server", call.Server, "tool", call.Tool, "skipped", missed, "error", err)
	}
	return in, nil
}

// over reports whether a call has ended; the deadline counts although its timer may not
// have gone off yet.
func over(ctx context.Context, now time.Time) bool {
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && !now.Before(deadline)
}

func (t *transformer) transform(ctx context.Context, call *core.Call, in *core.Result) (*core.Result, error) {
	if t.plugin.version == nil {
		return nil, t.plugin.disabled()
	}
	buffer := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= maxBuffer {
			buffers.Put(buffer)
		}
	}()
	payload, err := result.Append((*buffer)[:0], in)
	if err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "plugin " + t.plugin.name + ": " + err.Error(), Err: err}
	}
	*buffer = payload
	a, err := t.plugin.call(ctx, transforms, call, call.Tool, payload)
	switch {
	case err != nil:
		return nil, err
	case a.Status == abi.Unchanged:
		return in, nil
	case a.Status != abi.OK:
		return nil, t.plugin.unexpected(transforms, "answered "+a.Status.String())
	}
	out, err := t.plugin.parsed(transforms, &a)
	if err != nil {
		return nil, err
	}
	out.Mismatch = in.Mismatch && out.IsError // CallToolResult has no place for it
	return out, nil
}

// skips counts results that went on untouched, and says when to log it: at most once a
// second.
type skips struct {
	missed atomic.Uint64
	said   atomic.Int64 // Unix nanoseconds
}

func (s *skips) count(now time.Time) (missed uint64, say bool) {
	s.missed.Add(1)
	last := s.said.Load()
	if now.UnixNano()-last < int64(time.Second) || !s.said.CompareAndSwap(last, now.UnixNano()) {
		return 0, false
	}
	return s.missed.Swap(0), true
}

// requestTransformer rewrites arguments.
type requestTransformer struct{ plugin *Plugin }

// NeedsValues returns false: a guest gets the arguments as bytes.
func (*requestTransformer) NeedsValues() bool { return false }

// TransformRequest calls the guest and puts what it answers in the place of the
// arguments, checked like those of a client. Every error fails the call.
func (t *requestTransformer) TransformRequest(ctx context.Context, call *core.Call) error {
	a, err := t.plugin.call(ctx, requests, call, call.Tool, call.Arguments)
	switch {
	case err != nil:
		return err
	case a.Status == abi.Unchanged:
		return nil
	case a.Status != abi.OK:
		return t.plugin.unexpected(requests, "answered "+a.Status.String())
	case !wire.IsObject(a.Payload):
		return t.plugin.unexpected(requests, "answered with arguments that are no JSON object")
	}
	arguments, err := wire.Compact(a.Payload)
	if err != nil {
		e := t.plugin.unexpected(requests, "answered with arguments that are not strict JSON")
		e.Err = err
		return e
	}
	call.Arguments, call.Values, call.Checked = arguments, nil, true
	return nil
}

var (
	_ core.Transformer        = (*transformer)(nil)
	_ core.Frugal             = (*transformer)(nil)
	_ core.RequestTransformer = (*requestTransformer)(nil)
	_ core.Frugal             = (*requestTransformer)(nil)
)
