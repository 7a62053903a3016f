package plugin

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
	"github.com/sallyport/sallyport/sdk/go/internal/host"
)

const (
	// breath is after how many calls the other goroutines get their turn. In a guest
	// only the called goroutine runs; without a pause the collector's own goroutines
	// wait for ever and memory grows.
	breath = 64

	maxFrame = 64 << 20 // bytes; the host's hard cap
	keepOut  = 1 << 20  // bytes of the answer's buffer that stay for the next call
	maxStack = 2 << 10  // bytes of a panic's stack that are logged
)

var (
	calls uint32
	out   []byte // the last answer: the host reads it until the next call

	contexts   []Context // of calls to come
	goroutines int       // that there were after the last call; 0 = none was yet
)

// answer runs one export on a frame in. The frame out is valid until the next call.
func answer(export string, in []byte) []byte {
	if calls++; calls%breath == 0 {
		runtime.Gosched()
	}
	if cap(out) > keepOut {
		out = nil
	}
	c := nextContext()
	answered, err := serve(c, export, in)
	c.meta, c.over = frame.Meta{}, true
	if err != nil {
		answered = appendError(out[:0], export, err)
	}
	out = answered
	return answered
}

// nextContext returns a Context that no call had before: a handler may have kept its
// own, and is told so. They are made many at a time, which is cheaper.
func nextContext() *Context {
	if len(contexts) == 0 {
		contexts = make([]Context, breath)
	}
	c := &contexts[0]
	contexts = contexts[1:]
	return c
}

// serve finds the handler and runs it; a panic becomes an error and lines of the log.
func serve(c *Context, export string, in []byte) (answered []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = recovered(export, p)
		}
	}()
	meta, payload, ok := frame.Split(in)
	if !ok {
		return nil, Internal("the host sent a frame that is none of ABI v1")
	}
	c.meta = meta
	if ms, ok := meta.Get("deadline_ms"); ok {
		if n, err := strconv.ParseInt(string(ms), 10, 64); err == nil {
			c.deadline = time.Now().Add(time.Duration(n) * time.Millisecond)
		}
	}
	h, err := handlerFor(export, c)
	if err != nil {
		return nil, err
	}
	if goroutines == 0 || runtime.GOARCH != "wasm" { // in a guest nothing runs between calls
		goroutines = runtime.NumGoroutine()
	}
	answered, err = h(c, payload, out[:0])
	before := goroutines
	goroutines = runtime.NumGoroutine()
	if n := goroutines - before; n > 0 {
		host.Log(int(LevelWarn), "a handler left "+strconv.Itoa(n)+" goroutines running: they stand still until the next call, and with isolation: call they are lost")
	}
	return answered, err
}

func handlerFor(export string, c *Context) (handler, error) {
	var h handler
	switch export {
	case host.ToolCall:
		return toolFor(c)
	case host.ToolsList:
		if h = registered.toolsList; h == nil {
			h = listTools
		}
	case host.Configure:
		if h = registered.configure; h == nil {
			h = func(_ *Context, _, dst []byte) ([]byte, error) { return append(dst, okHead...), nil }
		}
	case host.ResponseTransform:
		h = registered.response
	case host.RequestTransform:
		h = registered.request
	case host.Authorize:
		h = registered.authorize
	}
	if h == nil {
		return nil, Internal("the plugin has no handler for " + export + ": take the kind out of `kinds` in its manifest")
	}
	return h, nil
}

func recovered(export string, p any) error {
	stack := debug.Stack()
	host.Log(int(LevelError), fmt.Sprintf("panic in %s: %v\n%s", export, p, stack[:min(len(stack), maxStack)]))
	if export == host.ToolCall {
		return ToolError("the tool failed unexpectedly")
	}
	return Internal("panic: %v", p)
}

// appendError appends the frame that says what went wrong.
func appendError(dst []byte, export string, err error) []byte {
	or := StatusInternal
	if export == host.ToolCall {
		or = StatusToolError
	}
	status, after := statusOf(err, or)
	var pairs []frame.Pair
	if status == StatusUnavailable && after > 0 {
		pairs = []frame.Pair{{Key: "retry_after_ms", Value: strconv.FormatInt(max(after.Milliseconds(), 1), 10)}}
	}
	return frame.AppendOut(dst, uint16(status), pairs, []byte(err.Error()))
}
