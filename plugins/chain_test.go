package plugins

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// guest exports one kind that runs the code.
func guest(t testing.TB, kind core.PluginKind, locals string, code []byte, more ...string) []byte {
	t.Helper()
	m := guests.New()
	m.Export(manifest.Kind(kind).Export(), m.Func("ii", "l", locals, code))
	if kind == core.PluginInvoker {
		more = append(more, oneTool)
	}
	return carrying(t, m.Bytes(), yaml(string(kind), more...))
}

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

var (
	trap = guests.Op(guests.Unreachable)
	spin = cat(guests.Loop(guests.Branch(0)), guests.Const64(0))
	// frame answers with the whole frame that it got.
	frame = cat(
		guests.GlobalGet(guests.Out), guests.Const64(0), guests.Store64(0),
		guests.GlobalGet(guests.Out), guests.Const(8), guests.Op(guests.Add), guests.Get(0), guests.Get(1), guests.MemoryCopy(),
		guests.Get(1), guests.Const(8), guests.Op(guests.Add), guests.Answer(2))
)

func TestPairs(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	full := &core.Call{
		Server: "shop", Tool: "shop.echo", Arguments: []byte(`{"a":1}`),
		Who:  core.Identity{Subject: "ada", Tenant: "north", Roles: []string{"admin", "a,b", "reader"}},
		Meta: []byte(`{"x":{"traceparent":"no"},"traceparent":"` + trace + `"}`),
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour)) // far behind our own clock
	defer cancel()
	all := "context: [tool, server, call_id, session, tenant, principal.sub, principal.roles, traceparent, deadline_ms]"
	tests := []struct {
		name, context string
		call          *core.Call
		want          []abi.Pair
	}{
		{"nothing is listed", "", full, nil},
		{"one is listed", "context: [tenant]", full, []abi.Pair{{Key: "tenant", Value: "north"}}},
		{"all are listed", all, full, []abi.Pair{
			{Key: "call_id", Value: "*"},
			{Key: "deadline_ms", Value: "10000"},
			{Key: "principal.roles", Value: "admin,reader"},
			{Key: "principal.sub", Value: "ada"},
			{Key: "server", Value: "shop"},
			{Key: "tenant", Value: "north"},
			{Key: "tool", Value: "inner"},
			{Key: "traceparent", Value: trace},
		}},
		{"nothing is known", all, &core.Call{Arguments: []byte(`{"a":1}`), Meta: []byte(`{"traceparent":"00-made-up"}`)}, []abi.Pair{
			{Key: "call_id", Value: "*"}, {Key: "deadline_ms", Value: "10000"}, {Key: "tool", Value: "inner"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, func(o *Options) { o.Now = func() time.Time { return now } })
			p := single(t, h, guest(t, core.PluginInvoker, "i", frame, test.context), nil).(*Plugin)
			var ids []string
			for range 2 {
				a, err := p.call(ctx, invokes, test.call, "inner", test.call.Arguments)
				if err != nil {
					t.Fatal(err)
				}
				meta, payload, err := abi.ParseIn(a.Payload)
				if err != nil || string(payload) != `{"a":1}` {
					t.Fatalf("payload %q, %v", payload, err)
				}
				for i := range meta {
					if meta[i].Key == "call_id" {
						ids = append(ids, meta[i].Value)
						meta[i].Value = "*"
					}
				}
				if !slices.Equal(meta, test.want) {
					t.Errorf("got %v, want %v", meta, test.want)
				}
			}
			if len(ids) == 2 && (ids[0] == ids[1] || ids[0] == "") {
				t.Errorf("ids of calls: %q", ids)
			}
		})
	}
}

func TestTransformer(t *testing.T) {
	const better = `{"content":[{"type":"text","text":"better"}]}`
	answers := func(status abi.Status, said string) func(string) []byte {
		return func(mode string) []byte { return says(t, core.PluginResponseTransformer, status, said, mode) }
	}
	runs := func(code []byte, more ...string) func(string) []byte {
		return func(mode string) []byte {
			return guest(t, core.PluginResponseTransformer, "", code, append(more, mode)...)
		}
	}
	tests := []struct {
		name   string
		wasm   func(mode string) []byte
		closed core.Code // with on_error: closed; "" = no error
		skip   core.Code // with on_error: skip
		text   string    // of what comes out where there is no error; "" = the very same result
	}{
		{"rewrites", answers(abi.OK, better), "", "", "better"},
		{"leaves it", answers(abi.Unchanged, ""), "", "", ""},
		{"traps", runs(trap), core.CodeInternal, "", ""},
		{"spins", runs(spin, "limits: {timeout: 30ms}"), core.CodeTimeout, "", ""},
		{"answers nonsense", answers(abi.OK, "nonsense"), core.CodeInternal, "", ""},
		{"answers nothing", answers(abi.OK, ""), core.CodeInternal, "", ""},
		{"answers with a tool error", answers(abi.ToolError, "x"), core.CodeInternal, "", ""},
		{"is not there", answers(abi.Unavailable, ""), core.CodeUnavailable, "", ""},
		{"refuses", answers(abi.Denied, "no"), core.CodeDenied, core.CodeDenied, ""},
	}
	for _, mode := range []string{"closed", "skip"} {
		for _, test := range tests {
			t.Run(mode+" "+test.name, func(t *testing.T) {
				var log record
				h := newHost(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				p := single(t, h, test.wasm("on_error: "+mode), nil)
				tr, err := p.Transformer()
				if err != nil {
					t.Fatal(err)
				}
				in := core.TextResult("plain")
				in.Structured = []byte(`{"a":1}`)
				out, err := tr.Transform(t.Context(), call("{}"), in)
				want := test.closed
				if mode == "skip" {
					want = test.skip
				}
				if want != "" {
					if err == nil || core.AsError(err).Code != want || out != nil {
						t.Fatalf("got %+v, %v, want %s", out, err, want)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if test.text == "" && out != in || test.text != "" && out.Content[0].Text != test.text {
					t.Errorf("got %+v", out)
				}
				if test.closed != "" && !strings.Contains(log.String(), "plugin skipped") {
					t.Errorf("a skip is not logged: %s", log.String())
				}
			})
		}
	}
}

// A skip does not hide that the caller's own time is over.
func TestSkipEndsWithTheCall(t *testing.T) {
	h := newHost(t, nil)
	p := single(t, h, guest(t, core.PluginResponseTransformer, "", spin, "on_error: skip"), nil)
	tr, err := p.Transformer()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if out, err := tr.Transform(ctx, call("{}"), core.TextResult("a")); err == nil || core.AsError(err).Code != core.CodeTimeout {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestRequestTransformer(t *testing.T) {
	tests := []struct {
		name   string
		status abi.Status
		said   string
		want   string
		code   core.Code
		words  string
	}{
		{"rewrites", abi.OK, `{"b": 2}`, `{"b":2}`, "", ""},
		{"leaves them", abi.Unchanged, "", `{"a":1}`, "", ""},
		{"refuses", abi.Denied, "not that", "", core.CodeDenied, "not that"},
		{"finds them wrong", abi.InvalidArgs, "a must be even", "", core.CodeInvalid, "a must be even"},
		{"answers with no object", abi.OK, `[1]`, "", core.CodeInternal, "no JSON object"},
		{"answers with nothing", abi.OK, ``, "", core.CodeInternal, "no JSON object"},
		{"names something twice", abi.OK, `{"a":1,"a":2}`, "", core.CodeInternal, "not strict JSON"},
		{"nests too deep", abi.OK, `{"a":` + strings.Repeat("[", 80) + strings.Repeat("]", 80) + `}`, "", core.CodeInternal, "not strict JSON"},
		{"fails", abi.ToolError, "x", "", core.CodeInternal, "tool_error"},
		{"has a fault", abi.Internal, "x", "", core.CodeInternal, "internal error"},
	}
	h := newHost(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := single(t, h, says(t, core.PluginRequestTransformer, test.status, test.said), nil)
			tr, err := p.RequestTransformer()
			if err != nil {
				t.Fatal(err)
			}
			c := call(`{"a":1}`)
			c.Values = map[string]any{"a": 1}
			before := c.Arguments
			err = tr.TransformRequest(t.Context(), c)
			if string(before) != `{"a":1}` {
				t.Errorf("the caller's bytes were written to: %s", before)
			}
			if test.code != "" {
				if err == nil || core.AsError(err).Code != test.code || !strings.Contains(err.Error(), test.words) {
					t.Errorf("got %v, want %s with %q", err, test.code, test.words)
				}
				return
			}
			if err != nil || string(c.Arguments) != test.want || !c.Checked {
				t.Errorf("got %s, checked %v, %v", c.Arguments, c.Checked, err)
			}
			if (c.Values == nil) != (test.status == abi.OK) {
				t.Errorf("values %v beside %s", c.Values, c.Arguments)
			}
		})
	}
}

// failing are the ways in which a guest of one kind can go wrong.
func failing(t testing.TB, kind core.PluginKind) map[string][]byte {
	t.Helper()
	c := guests.Const64
	ways := map[string][]byte{
		"trap":                     guest(t, kind, "", trap),
		"endless loop":             guest(t, kind, "", spin, "limits: {timeout: 30ms}"),
		"gives up":                 guest(t, kind, "", c(0)),
		"answer outside memory":    guest(t, kind, "", c(int64(abi.Pack(0x7fff0000, 16)))),
		"answer too short":         guest(t, kind, "", c(int64(abi.Pack(64, 3)))),
		"answer with a bad length": guest(t, kind, "", cat(guests.Const(64), guests.Const(0), guests.Store(0), guests.Const(64), guests.Const(60), guests.Store(4), c(int64(abi.Pack(64, 8))))),
		"a status unheard of":      says(t, kind, 4242, ""),
		"OK with words behind it":  says(t, kind, abi.OK, "denied"),
		"exit":                     exit(t, kind),
	}
	for s := abi.Unchanged; s <= abi.Internal; s++ {
		ways["answers "+s.String()] = says(t, kind, s, "said "+s.String())
	}
	return ways
}

func exit(t testing.TB, kind core.PluginKind) []byte {
	t.Helper()
	var leave uint32
	m := guests.New(func(m *guests.Module) { leave = m.Import("wasi_snapshot_preview1", "proc_exit", "i", "") })
	m.Export(manifest.Kind(kind).Export(), m.Func("ii", "l", "", guests.Const(0), guests.Call(leave), guests.Const64(0)))
	return carrying(t, m.Bytes(), yaml(string(kind)))
}

func authorizerOf(t testing.TB, p core.Plugin) core.CallAuthorizer {
	t.Helper()
	z, err := p.CallAuthorizer()
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestAuthorizerFailsClosed(t *testing.T) {
	for name, wasm := range failing(t, core.PluginAuthorizer) {
		t.Run(name, func(t *testing.T) {
			var log record
			h := newHost(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			z := authorizerOf(t, single(t, h, wasm, nil))
			err := z.AuthorizeCall(t.Context(), call("{}"))
			if err == nil || core.AsError(err).Code != core.CodeDenied {
				t.Fatalf("got %v", err)
			}
			public := core.AsError(err).Public()
			if name == "answers denied" {
				if public != "said denied" {
					t.Errorf("the guest's words are lost: %s", public)
				}
			} else {
				if strings.Contains(public, "said") {
					t.Errorf("the caller reads what is for the log: %s", public)
				}
				if !strings.Contains(log.String(), "could not decide") && !strings.Contains(log.String(), "did not decide") {
					t.Errorf("the cause is not logged: %s", log.String())
				}
			}
			// The test of the test: without the defence the call passes.
			h.failOpen = true
			if err := z.AuthorizeCall(t.Context(), call("{}")); err != nil {
				t.Errorf("the hook does nothing: %v", err)
			}
		})
	}
}

func TestAuthorizer(t *testing.T) {
	h := newHost(t, nil)
	wasm := says(t, core.PluginAuthorizer, abi.OK, "", "limits: {max_input: 1KiB}")
	p := single(t, h, wasm, nil)
	z := authorizerOf(t, p)
	if err := z.AuthorizeCall(t.Context(), call("{}")); err != nil {
		t.Errorf("an honest guest lets nothing pass: %v", err)
	}
	denied := func(what string, err error) {
		t.Helper()
		if err == nil || core.AsError(err).Code != core.CodeDenied {
			t.Errorf("%s: got %v", what, err)
		}
	}
	denied("arguments that the guest cannot be shown", z.AuthorizeCall(t.Context(), call(`{"a":"`+strings.Repeat("x", 2000)+`"}`)))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	denied("a call that is over", z.AuthorizeCall(over, call("{}")))
	asleep := single(t, h, wasm, func(c *core.PluginConfig) { c.Disabled = true })
	denied("a disabled plugin", authorizerOf(t, asleep).AuthorizeCall(t.Context(), call("{}")))

	broken := authorizerOf(t, single(t, h, guest(t, core.PluginAuthorizer, "", trap), nil))
	for range 20 { // the breaker opens on the way
		denied("a degraded plugin", broken.AuthorizeCall(t.Context(), call("{}")))
	}

	other := newHost(t, nil)
	gone := authorizerOf(t, single(t, other, wasm, nil))
	shut(t, other)
	denied("a plugin that was closed", gone.AuthorizeCall(t.Context(), call("{}")))
}

func TestCodesOfInvokers(t *testing.T) {
	tests := []struct {
		name string
		code []byte
		more string
		want core.Code
	}{
		{"trap", trap, "", core.CodeInternal},
		{"endless loop", spin, "limits: {timeout: 30ms}", core.CodeTimeout},
		{"CPU", spin, "limits: {cpu: 20ms}", core.CodeTimeout},
		{"gives up", guests.Const64(0), "", core.CodeInternal},
	}
	h := newHost(t, nil)
	for _, test := range tests {
		p := single(t, h, guest(t, core.PluginInvoker, "", test.code, test.more), nil)
		_, err := invokerOf(t, p, "echo").Invoke(t.Context(), call("{}"))
		if err == nil || core.AsError(err).Code != test.want {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
	p := single(t, h, guest(t, core.PluginInvoker, "", spin), nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("left")) })
	if _, err := invokerOf(t, p, "echo").Invoke(ctx, call("{}")); err == nil || core.AsError(err).Code != core.CodeCancelled {
		t.Errorf("a caller that left: got %v", err)
	}
}
