package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

// trail keeps the parts that a call passes.
type trail struct{ steps []string }

func (r *trail) plugin(name string, match *core.MatchConfig) *plugin {
	return &plugin{
		name: name, match: match,
		ask:    func(context.Context, *core.Call) error { r.steps = append(r.steps, "ask "+name); return nil },
		before: func(context.Context, *core.Call) error { r.steps = append(r.steps, "before "+name); return nil },
		after: func(_ context.Context, _ *core.Call, in *core.Result) (*core.Result, error) {
			r.steps = append(r.steps, "after "+name)
			return in, nil
		},
		invoke: func(context.Context, *core.Call) (*core.Result, error) {
			r.steps = append(r.steps, "invoke "+name)
			return core.TextResult(name), nil
		},
	}
}

// Authorizers come first, then request transformers, each from the outside in; then
// the invoker; then transformers from the inside out. What the tool names itself is
// nearest to it.
func TestOrderOfParts(t *testing.T) {
	var r trail
	all := &core.MatchConfig{}
	o := testOptions()
	o.Plugins = setOf(
		r.plugin("outer", all), r.plugin("inner", &core.MatchConfig{Servers: []string{"shop"}, Tools: []string{"t*"}}),
		r.plugin("elsewhere", &core.MatchConfig{Servers: []string{"other"}}), r.plugin("another", &core.MatchConfig{Tools: []string{"x"}}),
		r.plugin("own", nil), r.plugin("last", nil),
	)
	own, last := plugs(`{"plugin":"own"}`), plugs(`{"plugin":"last"}`)
	h := find(t, publish(t, o, oneTool(core.ToolConfig{
		Name: "t1", Invoker: own, Authorizers: []core.KindConfig{own, last}, Requests: []core.KindConfig{own, last}, Transformers: []core.KindConfig{own, last},
	})), "shop")
	if got := textOf(callTool(t, h, "t1", `{}`)); got != "own" {
		t.Errorf("got %q", got)
	}
	want := "ask outer, ask inner, ask own, ask last, before outer, before inner, before own, before last, invoke own, after own, after last, after inner, after outer"
	if got := strings.Join(r.steps, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A plugin stands only where it can: one that is no authorizer asks nothing.
func TestMatchingPluginsStandWhereTheyCan(t *testing.T) {
	var r trail
	only := r.plugin("only", &core.MatchConfig{})
	only.ask, only.before, only.invoke = nil, nil, nil
	o := testOptions()
	o.Plugins = setOf(only)
	h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", Invoker: echoes(`{"text":"x"}`)})), "shop")
	callTool(t, h, "t", `{}`)
	if !slices.Equal(r.steps, []string{"after only"}) {
		t.Errorf("passed %v", r.steps)
	}
}

// Whatever is wrong with an authorizer refuses the call, and only a refusal that is one
// says why.
func TestAuthorizersRefuse(t *testing.T) {
	const quiet = "the call was refused; try again later, or ask whoever runs the gateway"
	for _, row := range []struct {
		name string
		ask  callAuthorizer
		says string
		logs string
	}{
		{"denied", func(context.Context, *core.Call) error {
			return &core.Error{Code: core.CodeDenied, Message: "not on Sundays", Fix: "come back"}
		}, "not on Sundays; come back", ""},
		{"wrapped", func(context.Context, *core.Call) error {
			return errors.Join(errors.New("aside"), &core.Error{Code: core.CodeDenied, Message: "no"})
		}, "no", ""},
		{"broken", func(context.Context, *core.Call) error { return errors.New("canary of a cause") }, quiet, "canary of a cause"},
		{"unavailable", func(context.Context, *core.Call) error {
			return &core.Error{Code: core.CodeUnavailable, Message: "canary of a cause"}
		}, quiet, "canary of a cause"},
		{"timeout of its own", func(context.Context, *core.Call) error { return context.DeadlineExceeded }, quiet, "deadline"},
		{"panic", func(context.Context, *core.Call) error { panic("a secret in a panic") }, quiet, "panic in a call"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log bytes.Buffer
			var events []core.CallEvent
			ran := false
			o := testOptions()
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			o.Observer = observer{called: func(e core.CallEvent) { events = append(events, e) }}
			o.Plugins = setOf(&plugin{name: "guard", match: &core.MatchConfig{}, ask: row.ask, before: func(context.Context, *core.Call) error { ran = true; return nil }})
			o.Kinds.Invokers = append(o.Kinds.Invokers, kindOf("run", func(context.Context, *core.Call) (*core.Result, error) {
				ran = true
				return core.TextResult("ran"), nil
			}))
			h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "run"}})), "shop")
			r, err := h.CallTool(context.Background(), &core.Call{Tool: "t"})
			if e := core.AsError(err); r != nil || e.Code != core.CodeDenied || e.Public() != row.says {
				t.Errorf("result %v, error %v", r, err)
			}
			if ran {
				t.Error("something ran behind the authorizer")
			}
			if len(events) != 1 || events[0].Outcome != "denied" || events[0].Name != "t" {
				t.Errorf("recorded %+v", events)
			}
			if got := log.String(); (row.logs == "") != (got == "") || !strings.Contains(got, row.logs) || strings.Contains(got, "a secret in a panic") {
				t.Errorf("log %s", got)
			}
		})
	}
}

// The arguments are checked before anybody is asked, and the policy before that.
func TestAuthorizersAreAskedLast(t *testing.T) {
	asked := 0
	o := testOptions()
	o.Plugins = setOf(&plugin{name: "guard", match: &core.MatchConfig{}, ask: func(context.Context, *core.Call) error { asked++; return nil }})
	o.Authorizer = authorizer(func(who core.Identity, _ core.Action, _ core.Object) bool { return who.Subject == "ada" })
	h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", InputSchema: raw(bookSchema), Invoker: echoes(`{"text":"x"}`)})), "shop")
	call := func(who, arguments string) {
		_, _ = h.CallTool(context.Background(), &core.Call{Tool: "t", Who: core.Identity{Subject: who}, Arguments: raw(arguments)})
	}
	call("bob", `{"id":1,"title":"a"}`)
	call("ada", `{"id":0}`)
	if asked != 0 {
		t.Errorf("asked %d times about calls that were refused before", asked)
	}
	call("ada", `{"id":1,"title":"a"}`)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// The time of the tool covers what stands before it. An authorizer whose time ran out
// refuses; for a request transformer it is a timeout as any other.
func TestTimeOfPartsBefore(t *testing.T) {
	wait := func(ctx context.Context, _ *core.Call) error { <-ctx.Done(); return ctx.Err() }
	for _, row := range []struct {
		name, outcome string
		plugin        *plugin
	}{
		{"authorizer", "denied", &plugin{ask: wait}},
		{"request transformer", "timeout", &plugin{before: wait}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				row.plugin.name, row.plugin.match = "slow", &core.MatchConfig{}
				var events []core.CallEvent
				o := testOptions()
				o.Plugins = setOf(row.plugin)
				o.Observer = observer{called: func(e core.CallEvent) { events = append(events, e) }}
				h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", Timeout: "2s", Invoker: echoes(`{}`)})), "shop")
				began := time.Now()
				_, _ = h.CallTool(context.Background(), &core.Call{Tool: "t"})
				if took := time.Since(began); took != 2*time.Second {
					t.Errorf("took %s", took)
				}
				if len(events) != 1 || events[0].Outcome != row.outcome {
					t.Errorf("recorded %+v", events)
				}
				ctx, leave := context.WithCancel(context.Background())
				leave()
				if _, err := h.CallTool(ctx, &core.Call{Tool: "t"}); core.AsError(err).Code != core.CodeCancelled {
					t.Errorf("a client that left: %v", err)
				}
			})
		})
	}
}

// What request transformers write is what the invoker, and everything behind it, sees;
// the caller's own call stays as it was.
func TestRequestTransformers(t *testing.T) {
	type seen struct {
		arguments string
		title     any
	}
	var invoked, transformed seen
	set := func(text string) requestTransformer {
		return func(_ context.Context, call *core.Call) error {
			call.Arguments, call.Values = raw(text), nil
			return nil
		}
	}
	forgetful := requestTransformer(func(_ context.Context, call *core.Call) error {
		call.Arguments = raw(`{"title":"third"}`) // and leaves the old values
		return nil
	})
	reads := requestTransformer(func(_ context.Context, call *core.Call) error {
		if call.Values["title"] != "second" {
			return errors.New("the values are not those of the arguments")
		}
		return nil
	})
	none := requestTransformer(func(context.Context, *core.Call) error { return nil })
	for _, row := range []struct {
		name  string
		parts []requestTransformer
		want  string
		title string
	}{
		{"one", []requestTransformer{set(`{"title":"first"}`)}, `{"title":"first"}`, "first"},
		{"two", []requestTransformer{set(`{"title":"first"}`), set(`{"title":"second"}`), reads}, `{"title":"second"}`, "second"},
		{"old values", []requestTransformer{set(`{"title":"first"}`), forgetful}, `{"title":"third"}`, "third"},
		{"nothing to do", []requestTransformer{none, none}, `{"title":"sent"}`, "sent"},
		{"past the schema", []requestTransformer{set(`{"title":7,"more":true}`)}, `{"title":7,"more":true}`, "7"},
	} {
		for _, frugal := range []bool{false, true} {
			o := testOptions()
			all := make([]*plugin, len(row.parts))
			for i, part := range row.parts {
				all[i] = &plugin{name: "p" + string(rune('0'+i)), match: &core.MatchConfig{}, before: part}
			}
			all[0].ask = func(_ context.Context, call *core.Call) error {
				if string(call.Arguments) != `{"title":"sent"}` {
					t.Errorf("%s: the authorizer sees %s", row.name, call.Arguments)
				}
				return nil
			}
			o.Plugins = setOf(all...)
			look := func(call *core.Call) seen {
				s := seen{arguments: string(call.Arguments)}
				if call.Values != nil {
					s.title = call.Values["title"]
				}
				if !call.Checked {
					t.Errorf("%s: not checked", row.name)
				}
				return s
			}
			o.Kinds.Invokers = append(o.Kinds.Invokers, core.Kind[core.Invoker]{Name: "look", New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
				f := core.Func(func(_ context.Context, call *core.Call) (*core.Result, error) {
					invoked = look(call)
					return core.TextResult("ok"), nil
				})
				if frugal {
					return frugalInvoker{f}, nil
				}
				return f, nil
			}})
			o.Kinds.Transformers = append(o.Kinds.Transformers, core.Kind[core.Transformer]{Name: "look", New: func(context.Context, json.RawMessage, core.Env) (core.Transformer, error) {
				return transformer(func(_ context.Context, call *core.Call, in *core.Result) (*core.Result, error) {
					transformed = look(call)
					return in, nil
				}), nil
			}})
			tool := core.ToolConfig{
				Name: "t", Invoker: core.KindConfig{Kind: "look"},
				InputSchema: raw(`{"type":"object","properties":{"title":{"type":"string"}},"additionalProperties":false}`),
			}
			if !frugal {
				tool.Transformers = []core.KindConfig{{Kind: "look"}}
			}
			h := find(t, publish(t, o, oneTool(tool)), "shop")
			asked := &core.Call{Tool: "t", Arguments: raw(`{"title":"sent"}`)}
			if r, err := h.CallTool(context.Background(), asked); err != nil || textOf(r) != "ok" {
				t.Errorf("%s: %v %v", row.name, r, err)
				continue
			}
			if string(asked.Arguments) != `{"title":"sent"}` || asked.Values != nil && asked.Values["title"] != "sent" {
				t.Errorf("%s: the caller's call was changed: %s %v", row.name, asked.Arguments, asked.Values)
			}
			want := seen{arguments: row.want}
			if !frugal {
				want.title = row.title
				if row.title == "7" {
					want.title = json.Number("7")
				}
				if transformed != want {
					t.Errorf("%s: the transformer sees %+v, want %+v", row.name, transformed, want)
				}
			} else if invoked.title != nil && invoked.title != row.title {
				t.Errorf("%s: old values %v", row.name, invoked.title)
			}
			if invoked.arguments != want.arguments || !frugal && invoked != want {
				t.Errorf("%s: the invoker sees %+v, want %+v", row.name, invoked, want)
			}
		}
	}
}

type frugalInvoker struct{ core.Invoker }

func (frugalInvoker) NeedsValues() bool { return false }

// What is no good ends the call, and says nothing of itself to the client.
func TestBadRequestTransformers(t *testing.T) {
	writes := func(text string) requestTransformer {
		return func(_ context.Context, call *core.Call) error {
			call.Arguments, call.Values = raw(text), nil
			return nil
		}
	}
	for _, row := range []struct {
		name string
		part requestTransformer
		code core.Code
		says string
	}{
		{"no JSON", writes(`{"canary":`), core.CodeInternal, "internal error"},
		{"list", writes(`["canary"]`), core.CodeInternal, "internal error"},
		{"null", writes(`null`), core.CodeInternal, "internal error"},
		{"nothing", writes(``), core.CodeInternal, "internal error"},
		{"two values", writes(`{} {}`), core.CodeInternal, "internal error"},
		{"twice", writes(`{"canary":1,"canary":2}`), core.CodeInternal, "internal error"},
		{"not UTF-8", writes("{\"canary\":\"\xff\"}"), core.CodeInternal, "internal error"},
		{"too deep", writes(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), core.CodeInternal, "internal error"},
		{"error", func(context.Context, *core.Call) error { return errors.New("canary") }, core.CodeInternal, "internal error"},
		{"invalid", func(context.Context, *core.Call) error {
			return &core.Error{Code: core.CodeInvalid, Message: "the city is unknown"}
		}, core.CodeInvalid, "the city is unknown"},
		{"panic", func(context.Context, *core.Call) error { panic("canary") }, core.CodeInternal, "internal error"},
	} {
		var log bytes.Buffer
		o := testOptions()
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Plugins = setOf(&plugin{name: "rewriter", match: &core.MatchConfig{}, before: row.part})
		ran := false
		o.Kinds.Invokers = append(o.Kinds.Invokers, kindOf("run", func(context.Context, *core.Call) (*core.Result, error) {
			ran = true
			return core.TextResult("ran"), nil
		}))
		h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "run"}})), "shop")
		_, err := h.CallTool(context.Background(), &core.Call{Tool: "t", Arguments: raw(`{"a":1}`)})
		if e := core.AsError(err); e.Code != row.code || e.Public() != row.says || ran {
			t.Errorf("%s: %v, ran: %v", row.name, err, ran)
		}
		if row.code == core.CodeInternal && !strings.Contains(log.String(), "rewriter") && row.name != "error" {
			t.Errorf("%s: the log does not say who: %s", row.name, log.String())
		}
	}
}

// A part behind a tool can call another with the rights of the caller: it is checked,
// authorized and recorded like any call.
func TestNestedCalls(t *testing.T) {
	var events []core.CallEvent
	var asked []string
	o := testOptions()
	o.Observer = observer{called: func(e core.CallEvent) { events = append(events, e) }}
	o.Authorizer = authorizer(func(who core.Identity, _ core.Action, on core.Object) bool {
		return who.Subject == "ada" && on.Name != "secret"
	})
	o.Plugins = setOf(&plugin{name: "guard", match: &core.MatchConfig{}, ask: func(_ context.Context, call *core.Call) error {
		asked = append(asked, call.Tool)
		return nil
	}})
	o.Kinds.Invokers = append(o.Kinds.Invokers, kindOf("nest", func(ctx context.Context, call *core.Call) (*core.Result, error) {
		next := &core.Call{Tool: call.Values["tool"].(string), Arguments: raw(`{"tool":"` + call.Values["tool"].(string) + `"}`), Who: call.Who, Depth: call.Depth + 1}
		return call.Inside.CallTool(ctx, next)
	}))
	nest := core.KindConfig{Kind: "nest"}
	config := core.Config{Servers: []core.ServerConfig{{Name: "shop", Tools: []core.ToolConfig{
		{Name: "outer", Invoker: nest},
		{Name: "endless", Invoker: nest},
		{Name: "secret", Invoker: echoes(`{}`)},
		{Name: "leaf", Invoker: echoes(`{"text":"leaf"}`)},
		{Name: "strict", InputSchema: raw(bookSchema), Invoker: echoes(`{}`)},
	}}}}
	h := find(t, publish(t, o, config), "shop")
	call := func(tool string) (*core.Result, error) {
		events, asked = nil, nil
		return h.CallTool(context.Background(), &core.Call{Tool: "outer", Arguments: raw(`{"tool":"` + tool + `"}`), Who: core.Identity{Subject: "ada"}})
	}
	if r, err := call("leaf"); err != nil || textOf(r) != "leaf" || !slices.Equal(asked, []string{"outer", "leaf"}) {
		t.Errorf("leaf: %v %v, asked about %v", r, err, asked)
	}
	if len(events) != 2 || events[0].Name != "leaf" || events[1].Name != "outer" {
		t.Errorf("recorded %+v", events)
	}
	if r, err := call("strict"); err != nil || !r.IsError || !r.Mismatch {
		t.Errorf("the arguments of a nested call are not checked: %+v %v", r, err)
	}
	if _, err := call("secret"); core.AsError(err).Code != core.CodeNotFound {
		t.Errorf("a nested call has more rights than its caller: %v", err)
	}
	if _, err := call("endless"); core.AsError(err).Code != core.CodeLimited || len(events) != deepest+2 {
		t.Errorf("endless: %v after %d calls", err, len(events))
	}
}

// A tool without plugins costs what it did: nothing more is allocated.
func TestPlainCallsAllocateNothingMore(t *testing.T) {
	o := testOptions()
	o.Plugins = setOf(&plugin{name: "elsewhere", match: &core.MatchConfig{Servers: []string{"other"}}, ask: func(context.Context, *core.Call) error { return nil }})
	o.Kinds.Invokers = append(o.Kinds.Invokers, noop)
	h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "noop"}})), "shop")
	arguments, ctx := raw(`{"id":12}`), context.Background()
	got := testing.AllocsPerRun(200, func() {
		if _, err := h.CallTool(ctx, &core.Call{Tool: "t", Arguments: arguments}); err != nil {
			t.Fatal(err)
		}
	})
	if got > 2 { // the Call, and the lifetime
		t.Errorf("%v allocations", got)
	}
}
