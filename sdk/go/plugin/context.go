package plugin

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
	"github.com/sallyport/sallyport/sdk/go/internal/host"
)

// Context is one call: what the host tells about it, and the host functions. It
// ends with the call; a goroutine that keeps it longer finds it empty, and every
// host function answers ErrInvalid.
//
// It is a context.Context for libraries that want one. Done never closes: a guest
// is stopped from outside when its time is over.
type Context struct {
	meta     frame.Meta // aliases the input buffer
	deadline time.Time
	over     bool
}

// Meta returns one entry of what the host tells about the call, "" when it does
// not: only what the manifest lists under `context` is sent.
func (c *Context) Meta(key string) string {
	v, _ := c.meta.Get(key)
	return string(v)
}

// Tool returns the name of the tool that is called.
func (c *Context) Tool() string { return c.Meta("tool") }

// Server returns the name of the server that the client called.
func (c *Context) Server() string { return c.Meta("server") }

// CallID returns the id of the call, as the gateway logs it.
func (c *Context) CallID() string { return c.Meta("call_id") }

// Session returns the session of the client, "" when its revision has none.
func (c *Context) Session() string { return c.Meta("session") }

// Tenant returns whose call it is.
func (c *Context) Tenant() string { return c.Meta("tenant") }

// Subject returns who calls.
func (c *Context) Subject() string { return c.Meta("principal.sub") }

// Roles returns the roles of who calls.
func (c *Context) Roles() []string {
	v := c.Meta("principal.roles")
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// Traceparent returns the W3C trace context of the call.
func (c *Context) Traceparent() string { return c.Meta("traceparent") }

// Deadline returns when the call is stopped; false when the manifest does not list
// deadline_ms.
func (c *Context) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done returns nil: see Context.
func (c *Context) Done() <-chan struct{} { return nil }

// Err returns nil while the call runs.
func (c *Context) Err() error {
	if c.over {
		return ErrInvalid
	}
	return nil
}

// Value returns nil.
func (c *Context) Value(any) any { return nil }

// Level is how much a line of the log matters.
type Level int

// The levels.
const (
	LevelDebug Level = 0
	LevelInfo  Level = 1
	LevelWarn  Level = 2
	LevelError Level = 3
)

// Log writes one line to the plugin's log. It may be read by operators of the
// gateway: leave out what callers would not show them. The host drops lines past
// 100 a call.
func (c *Context) Log(level Level, line string) {
	if !c.over {
		host.Log(int(level), line)
	}
}

// Logf is Log with the format of fmt.Sprintf.
func (c *Context) Logf(level Level, format string, args ...any) {
	c.Log(level, fmt.Sprintf(format, args...))
}

// Config decodes one value of the plugin's configuration into v, all of it when
// key is "". It returns ErrNotFound when there is none. Most plugins take their
// configuration once, with Configure.
func (c *Context) Config(key string, v any) error {
	if c.over {
		return failed("config", key, host.Invalid)
	}
	b, code := result(make([]byte, 0, 512), func(dst []byte) int64 { return host.Config(key, dst) })
	if code < 0 {
		return failed("config", key, code)
	}
	if err := unmarshal(b, v); err != nil {
		return fmt.Errorf("config %s: %w", key, err)
	}
	return nil
}

// Secret returns a secret that the manifest names and the operator granted. Prefer
// to have the host put it into a header of the request: what a plugin has not, it
// cannot leak.
func (c *Context) Secret(name string) (string, error) {
	if c.over {
		return "", failed("secret", name, host.Invalid)
	}
	b, code := result(make([]byte, 0, 128), func(dst []byte) int64 { return host.Secret(name, dst) })
	if code < 0 {
		return "", failed("secret", name, code)
	}
	return string(b), nil
}

// Count adds to a counter of the plugin. A plugin has at most 16 metrics.
func (c *Context) Count(name string, add float64) { c.metric(name, 0, add) }

// Gauge sets a gauge of the plugin.
func (c *Context) Gauge(name string, value float64) { c.metric(name, 1, value) }

// Observe adds a value to a histogram of the plugin.
func (c *Context) Observe(name string, value float64) { c.metric(name, 2, value) }

func (c *Context) metric(name string, kind int, value float64) {
	if !c.over {
		host.Metric(name, kind, value)
	}
}

// Progress tells the client how far the call is; total 0 = not known. It goes out
// only if the client asked for progress.
func (c *Context) Progress(done, total float64, message string) {
	if c.over {
		return
	}
	pairs := make([]frame.Pair, 1, 2)
	pairs[0] = frame.Pair{Key: "progress", Value: strconv.FormatFloat(done, 'f', -1, 64)}
	if total > 0 {
		pairs = append(pairs, frame.Pair{Key: "total", Value: strconv.FormatFloat(total, 'f', -1, 64)})
	}
	host.Progress(frame.AppendIn(nil, pairs, []byte(message)))
}

// CallTool calls another tool with the rights of the caller, as name stands in the
// server's list. Args is encoded as JSON, json.RawMessage as it is. A tool that
// failed is a Result with IsError; a call that did not reach it is an error.
func (c *Context) CallTool(name string, args any) (*Result, error) {
	if c.over {
		return nil, failed("call tool", name, host.Invalid)
	}
	payload, err := marshal(args)
	if err != nil {
		return nil, fmt.Errorf("call tool %s: %w", name, err)
	}
	answer, code := pending(host.CallTool(frame.AppendIn(nil, []frame.Pair{{Key: "tool", Value: name}}, payload)))
	if code < 0 {
		return nil, failed("call tool", name, code)
	}
	number, meta, body, ok := frame.SplitOut(answer)
	if !ok {
		return nil, failed("call tool", name, host.Invalid)
	}
	r := new(Result)
	switch status := Status(number); {
	case status == StatusOK || status == StatusToolError && len(body) > 0 && body[0] == '{':
		if err := r.UnmarshalJSON(body); err != nil {
			return nil, fmt.Errorf("call tool %s: %w", name, err)
		}
		r.IsError = r.IsError || status == StatusToolError
		return r, nil
	case status == StatusToolError:
		*r = Text(string(body))
		r.IsError = true
		return r, nil
	default:
		e := &Error{Status: status, Message: "call tool " + name + ": " + status.String()}
		if len(body) > 0 {
			e.Message = "call tool " + name + ": " + string(body)
		}
		if ms, ok := meta.Get("retry_after_ms"); ok {
			if n, err := strconv.ParseInt(string(ms), 10, 32); err == nil {
				e.RetryAfter = time.Duration(n) * time.Millisecond
			}
		}
		return nil, e
	}
}

// result asks a host function of the buf/limit kind: what fits in dst is copied at
// once, the rest is read from the slot.
func result(dst []byte, ask func(dst []byte) int64) ([]byte, int64) {
	n := ask(dst)
	if n < 0 {
		return nil, n
	}
	if n <= int64(cap(dst)) {
		return dst[:n], 0
	}
	return pending(n)
}

// pending reads n bytes from the slot; a negative n is handed on.
func pending(n int64) ([]byte, int64) {
	if n < 0 {
		return nil, n
	}
	if n > maxFrame {
		return nil, host.TooLarge
	}
	b := make([]byte, n)
	for off := 0; off < len(b); {
		got := host.Read(b[off:], off)
		if got <= 0 {
			return nil, host.Invalid
		}
		off += got
	}
	return b, 0
}
