package hostcall

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// inside answers the calls of tools within another.
type inside struct {
	core.Handler
	calls []*core.Call
	run   func(*core.Call) (*core.Result, error)
}

func (i *inside) CallTool(_ context.Context, call *core.Call) (*core.Result, error) {
	i.calls = append(i.calls, call)
	return i.run(call)
}

func toolFrame(tool, arguments string) []byte {
	return abi.AppendIn(nil, []abi.Pair{{Key: abi.CallToolTool, Value: tool}}, []byte(arguments))
}

func callable() Options {
	return Options{Granted: manifest.Capabilities{CallTool: []string{"books.*", "exact"}}}
}

func TestCallTool(t *testing.T) {
	calm := &core.Result{Content: []core.Content{core.Text("found")}}
	given := 0
	tests := []struct {
		name   string
		frame  []byte
		run    func(*core.Call) (*core.Result, error)
		status abi.Status
		body   string
		meta   string // of retry_after_ms
	}{
		{"a result", toolFrame("books.find", `{"id":9007199254740993}`), func(c *core.Call) (*core.Result, error) {
			if string(c.Arguments) != `{"id":9007199254740993}` || c.Tool != "books.find" {
				t.Errorf("%s %s", c.Tool, c.Arguments)
			}
			return calm, nil
		}, abi.OK, `{"content":[{"type":"text","text":"found"}]}`, ""},
		{"no arguments", toolFrame("exact", ""), func(c *core.Call) (*core.Result, error) {
			if string(c.Arguments) != "{}" {
				t.Errorf("%s", c.Arguments)
			}
			return calm, nil
		}, abi.OK, `{"content":[{"type":"text","text":"found"}]}`, ""},
		{"a tool that failed", toolFrame("exact", "{}"), func(*core.Call) (*core.Result, error) { return core.ErrorResult("no"), nil }, abi.OK, `{"content":[{"type":"text","text":"no"}],"isError":true}`, ""},
		{"unknown tool", toolFrame("exact", "{}"), fails(core.CodeNotFound), abi.UnknownTool, "message; fix", ""},
		{"wrong arguments", toolFrame("exact", "{}"), fails(core.CodeInvalid), abi.InvalidArgs, "message; fix", ""},
		{"denied", toolFrame("exact", "{}"), fails(core.CodeDenied), abi.Denied, "message; fix", ""},
		{"unavailable", toolFrame("exact", "{}"), fails(core.CodeUnavailable), abi.Unavailable, "message; fix", "7000"},
		{"timeout", toolFrame("exact", "{}"), fails(core.CodeTimeout), abi.Unavailable, "message; fix", "7000"},
		{"limited", toolFrame("exact", "{}"), fails(core.CodeLimited), abi.Unavailable, "message; fix", "7000"},
		{"too large", toolFrame("exact", "{}"), fails(core.CodeTooLarge), abi.Internal, "", ""},
		{"internal", toolFrame("exact", "{}"), fails(core.CodeInternal), abi.Internal, "", ""},
		{"any error", toolFrame("exact", "{}"), func(*core.Call) (*core.Result, error) { return nil, errors.New("password is x") }, abi.Internal, "", ""},
		{"no result", toolFrame("exact", "{}"), func(*core.Call) (*core.Result, error) { return nil, nil }, abi.Internal, "", ""},
		{"asks its user", toolFrame("exact", "{}"), func(*core.Call) (*core.Result, error) {
			return &core.Result{InputRequests: []core.InputRequest{{Key: "k"}}, Forget: func() { given++ }}, nil
		}, abi.ToolError, "the tool exact wants to ask its user, which is not possible from a plugin", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &inside{run: tt.run}
			notified := 0
			outer := &core.Call{
				Server: "shop", Tool: "outer", Who: core.Identity{Subject: "ada", Tenant: "t", Roles: []string{"r"}},
				Client: core.Client{Name: "c", Revision: "2026-07-28"}, Header: header{}, Meta: []byte(`{"progressToken":1}`),
				Inside: in, Depth: 2, Progress: true, LogLevel: "debug", RequestState: []byte("s"),
				Notify: func(core.Notification) { notified++ }, Detach: func(time.Duration) bool { notified++; return true },
			}
			frame, code := newHost(t, callable()).CallTool(t.Context(), scope(outer, nil), tt.frame)
			if code < 0 {
				t.Fatal(named(code))
			}
			status, pairs, body, err := abi.ParseOut(frame)
			retry, _ := abi.Get(pairs, abi.MetaRetryAfterMS)
			if err != nil || status != tt.status || string(body) != tt.body || retry != tt.meta {
				t.Errorf("%v %q %q %v, want %v %q %q", status, body, retry, err, tt.status, tt.body, tt.meta)
			}
			c := in.calls[0]
			if c.Server != "shop" || c.For != (core.Object{Kind: "tool", Server: "shop", Name: c.Tool}) || c.Who.Subject != "ada" || c.Who.Tenant != "t" ||
				c.Client.Revision != "2026-07-28" || c.Depth != 3 || c.Inside != core.Handler(in) || !c.Checked {
				t.Errorf("%+v", c)
			}
			if c.Header != nil || c.Meta != nil || c.Progress || c.LogLevel != "" || c.RequestState != nil || c.Values != nil {
				t.Errorf("what belongs to the outer call came along: %+v", c)
			}
			if c.Notify(core.Notification{}); c.Detach(0) || notified != 0 {
				t.Error("a tool within another reaches the client")
			}
		})
	}
	if given != 1 {
		t.Errorf("what asks its user was given up %d times, want once", given)
	}
}

type header struct{}

func (header) Get(string) string { return "secret" }

func fails(code core.Code) func(*core.Call) (*core.Result, error) {
	return func(*core.Call) (*core.Result, error) {
		return nil, &core.Error{Code: code, Message: "message", Fix: "fix", RetryAfter: 7, Err: errors.New("cause")}
	}
}

func TestCallToolRefuses(t *testing.T) {
	fine := func(*core.Call) (*core.Result, error) { return core.TextResult("x"), nil }
	tests := []struct {
		name  string
		call  *core.Call
		frame []byte
		code  string
		off   func(*defences) // with which it passes
	}{
		{"no caller", nil, toolFrame("exact", "{}"), "denied", nil},
		{"no gateway inside", &core.Call{}, toolFrame("exact", "{}"), "denied", nil},
		{"too deep", &core.Call{Depth: 3}, toolFrame("exact", "{}"), "denied", func(d *defences) { d.depth = true }},
		{"not granted", &core.Call{}, toolFrame("other", "{}"), "denied", func(d *defences) { d.callees = true }},
		{"glob is a prefix", &core.Call{}, toolFrame("my.books.find", "{}"), "denied", func(d *defences) { d.callees = true }},
		{"exact is exact", &core.Call{}, toolFrame("exactly", "{}"), "denied", func(d *defences) { d.callees = true }},
		{"no tool", &core.Call{}, abi.AppendIn(nil, nil, []byte("{}")), "invalid", nil},
		{"no frame", &core.Call{}, []byte("x"), "invalid", nil},
		{"long name", &core.Call{}, toolFrame("books."+strings.Repeat("x", maxToolName), "{}"), "invalid", nil},
		{"arguments are a list", &core.Call{}, toolFrame("exact", "[]"), "invalid", nil},
		{"arguments twice", &core.Call{}, toolFrame("exact", `{"a":1,"a":2}`), "invalid", nil},
		{"arguments and more", &core.Call{}, toolFrame("exact", `{} {}`), "invalid", nil},
		{"arguments too deep", &core.Call{}, toolFrame("exact", `{"a":`+strings.Repeat("[", 64)+strings.Repeat("]", 64)+`}`), "invalid", nil},
		{"arguments not UTF-8", &core.Call{}, toolFrame("exact", "{\"a\":\"\xff\"}"), "invalid", nil},
		{"arguments too large", &core.Call{}, toolFrame("exact", strings.Repeat(" ", maxArguments+maxToolName)), "too_large", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &inside{run: fine}
			if tt.call != nil && tt.name != "no gateway inside" {
				tt.call.Inside = in
			}
			h := newHost(t, callable())
			diary := &diary{}
			frame, code := h.CallTool(t.Context(), scope(tt.call, slog.New(diary)), tt.frame)
			if frame != nil || named(code) != tt.code || len(in.calls) != 0 {
				t.Errorf("%q after %d calls", named(code), len(in.calls))
			}
			if tt.off == nil {
				return
			}
			if !strings.Contains(diary.text(), "refused") {
				t.Error("nobody is told")
			}
			tt.off(&h.off)
			if _, code := h.CallTool(t.Context(), scope(tt.call, nil), tt.frame); code < 0 || len(in.calls) != 1 {
				t.Errorf("%q: it does not pass where nothing stops it", named(code))
			}
		})
	}
	in := &inside{run: func(*core.Call) (*core.Result, error) { return core.TextResult(strings.Repeat("x", maxAnswer)), nil }}
	h := newHost(t, callable())
	if _, code := h.CallTool(t.Context(), scope(&core.Call{Inside: in}, nil), toolFrame("exact", "{}")); code != abi.ErrTooLarge {
		t.Errorf("a large answer: %q", named(code))
	}
	in.run = fine
	s := scope(&core.Call{Inside: in}, nil)
	in.calls = nil
	for range 2 * maxTools {
		_, _ = h.CallTool(t.Context(), s, toolFrame("exact", "{}"))
	}
	if _, code := h.CallTool(t.Context(), s, toolFrame("exact", "{}")); code != abi.ErrQuota || len(in.calls) != maxTools {
		t.Errorf("%q after %d calls", named(code), len(in.calls))
	}
}

// Arguments stay what they were when the guest's memory changes.
func TestCallToolCopiesArguments(t *testing.T) {
	in := &inside{run: func(*core.Call) (*core.Result, error) { return core.TextResult("x"), nil }}
	frame := toolFrame("exact", `{"a":1}`)
	if _, code := newHost(t, callable()).CallTool(t.Context(), scope(&core.Call{Inside: in}, nil), frame); code < 0 {
		t.Fatal(named(code))
	}
	clear(frame)
	if got := string(in.calls[0].Arguments); got != `{"a":1}` {
		t.Errorf("arguments became %q", got)
	}
}

// FuzzFrames gives any bytes to the host functions that read frames.
func FuzzFrames(f *testing.F) {
	f.Add(toolFrame("exact", `{"a":1}`))
	f.Add(abi.AppendIn(nil, []abi.Pair{{Key: "progress", Value: "1"}, {Key: "total", Value: "2"}}, []byte("message")))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		in := &inside{run: func(c *core.Call) (*core.Result, error) {
			if c.Tool != "exact" && !strings.HasPrefix(c.Tool, "books.") {
				t.Errorf("%q was called", c.Tool)
			}
			return &core.Result{Structured: c.Arguments}, nil
		}}
		o := callable()
		o.Granted.Progress = true
		h := newHost(t, o)
		call := &core.Call{Inside: in, Progress: true, Notify: func(n core.Notification) {
			if !strings.HasPrefix(string(n.Params), `{"progress":`) {
				t.Errorf("%s", n.Params)
			}
		}}
		answer, code := h.CallTool(t.Context(), scope(call, nil), frame)
		if (answer == nil) != (code < 0) {
			t.Errorf("%q beside %d", answer, code)
		}
		h.Progress(t.Context(), scope(call, nil), frame)
	})
}

// Calls within calls are counted together: otherwise 64 of 64 of 64 would run for one
// call of a client.
func TestCallsWithinEachOther(t *testing.T) {
	h := newHost(t, callable())
	var all, refused int
	var run func(ctx context.Context, call *core.Call)
	in := &deep{}
	in.call = func(ctx context.Context, call *core.Call) (*core.Result, error) {
		all++
		call.Inside = in
		run(ctx, call)
		return core.TextResult(""), nil
	}
	run = func(ctx context.Context, call *core.Call) {
		s := scope(call, nil)
		for range maxTools {
			if _, code := h.CallTool(ctx, s, toolFrame("exact", "{}")); code == abi.ErrQuota {
				refused++
				return
			}
		}
	}
	outer := &core.Call{Server: "shop", Tool: "outer", Inside: in}
	run(Tree(t.Context()), outer)
	if all != maxTree || refused == 0 {
		t.Errorf("%d calls ran, %d were refused", all, refused)
	}
	all, refused = 0, 0
	run(Tree(t.Context()), outer) // another call has a count of its own
	if all != maxTree {
		t.Errorf("the next call: %d", all)
	}
}

type deep struct {
	core.Handler
	call func(context.Context, *core.Call) (*core.Result, error)
}

func (d *deep) CallTool(ctx context.Context, call *core.Call) (*core.Result, error) {
	return d.call(ctx, call)
}
