package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

func TestCallTool(t *testing.T) {
	var got core.Call
	o := testOptions()
	o.Kinds.Invokers = append(o.Kinds.Invokers, kindOf("keep", func(_ context.Context, call *core.Call) (*core.Result, error) {
		got = *call
		call.Notify(core.Notification{})
		if call.Detach(time.Second) {
			t.Error("detached where nothing can be")
		}
		return core.TextResult("kept"), nil
	}))
	h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "keep"}})), "shop")
	if r := callTool(t, h, "t", `{"n":9007199254740993}`); textOf(r) != "kept" {
		t.Errorf("result %+v", r)
	}
	if got.Server != "shop" || got.For != (core.Object{Kind: "tool", Server: "shop", Name: "t"}) || got.Values["n"] != json.Number("9007199254740993") {
		t.Errorf("call %+v", got)
	}
	callTool(t, h, "t", "")
	if string(got.Arguments) != "{}" || got.Values == nil {
		t.Errorf("absent arguments: %s %v", got.Arguments, got.Values)
	}
	for _, bad := range []string{`[]`, `{"a":1,"a":2}`, `null`, `{`} {
		if _, err := h.CallTool(context.Background(), &core.Call{Tool: "t", Arguments: raw(bad)}); core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	_, err := h.CallTool(context.Background(), &core.Call{Tool: "nope"})
	if core.AsError(err).Code != core.CodeNotFound {
		t.Errorf("unknown tool: %v", err)
	}
}

const mismatchSchema = `{"type":"object","properties":{
	"id":{"type":"integer","minimum":1,"maximum":100},
	"title":{"type":"string","minLength":2,"maxLength":5,"pattern":"^[a-z]+$"},
	"kind":{"enum":["paper","audio",3]},
	"fixed":{"const":"x"},
	"tags":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":2,"uniqueItems":true},
	"either":{"anyOf":[{"type":"string"},{"type":"integer"}]},
	"shape":{"oneOf":[{"type":"object","properties":{"circle":{"type":"number"}},"required":["circle"],"additionalProperties":false},
		{"type":"object","properties":{"square":{"type":"number"}},"required":["square"],"additionalProperties":false}]},
	"one":{"oneOf":[{"minimum":1},{"maximum":5}]},
	"deep":{"type":"object","properties":{"a/b":{"type":"object","properties":{"c":{"type":"boolean"}}}}},
	"step":{"multipleOf":5},"above":{"exclusiveMinimum":0},
	"not":{"not":{"type":"string"}},"never":false,
	"names":{"propertyNames":{"maxLength":3}},
	"card":{"dependentRequired":{"number":["code"]}},
	"few":{"minProperties":1,"maxProperties":1},"has":{"contains":{"const":1}}
	},"required":["id"],"additionalProperties":false}`

func TestArgumentsMismatch(t *testing.T) {
	h := find(t, publish(t, testOptions(), oneTool(core.ToolConfig{Name: "t", InputSchema: raw(mismatchSchema), Invoker: echoes(`{"text":"ran"}`)})), "shop")
	long := strings.Repeat("z", 65)
	cases := []struct{ arguments, want string }{
		{`{}`, "/id is required"},
		{`{"id":"x"}`, `/id must be an integer, not a string ("x")`},
		{`{"id":1.5}`, "/id must be an integer, not a number (1.5)"},
		{`{"id":0}`, "/id 0 is too small; at least 1"},
		{`{"id":101}`, "/id 101 is too large; at most 100"},
		{`{"id":1,"idd":2}`, `/idd is not known here; did you mean "id"?`},
		{`{"id":1,"title":"a"}`, "/title has 1 character; at least 2"},
		{`{"id":1,"title":"aaaaaa"}`, "/title has 6 characters; at most 5"},
		{`{"id":1,"title":"AAA"}`, `/title "AAA" does not match the pattern ^[a-z]+$`},
		{`{"id":1,"kind":"papr"}`, `/kind "papr" is not one of the allowed values; did you mean "paper"? Use one of "paper", "audio", 3`},
		{`{"id":1,"fixed":"y"}`, `/fixed "y" is not the only allowed value; use "x"`},
		{`{"id":1,"tags":[]}`, "/tags has 0 items; at least 1"},
		{`{"id":1,"tags":["a",1]}`, "/tags/1 must be a string, not a number (1)"},
		{`{"id":1,"tags":["a","a"]}`, "/tags has equal items at 0 and 1"},
		{`{"id":1,"tags":["a","b","c"]}`, "/tags has 3 items; at most 2"},
		{`{"id":1,"either":true}`, "/either must be an integer or a string, not a boolean (true)"},
		{`{"id":1,"shape":{"circle":"r"}}`, `/shape/circle must be a number, not a string ("r")`},
		{`{"id":1,"one":3}`, "/one fits alternatives 1 and 2 of oneOf; make it fit exactly one"},
		{`{"id":1,"deep":{"a/b":{"c":1}}}`, "/deep/a~1b/c must be a boolean, not a number (1)"},
		{`{"id":1,"step":7}`, "/step 7 is not a multiple of 5"},
		{`{"id":1,"above":0}`, "/above 0 is too small; more than 0"},
		{`{"id":1,"not":"s"}`, "/not has a form that is not allowed here"},
		{`{"id":1,"never":1}`, "/never is not allowed here; remove it"},
		{`{"id":1,"names":{"abcd":1}}`, "/names/abcd has a name that is not allowed: it has 4 characters"},
		{`{"id":1,"card":{"number":1}}`, `/card/code is required beside "number"`},
		{`{"id":1,"few":{}}`, "/few has 0 members; at least 1"},
		{`{"id":1,"few":{"a":1,"b":2}}`, "/few has 2 members; at most 1"},
		{`{"id":1,"has":[2]}`, "/has has no item of the form"},
		{`{"id":1,"fixed":"` + long + `"}`, `/fixed is not the only allowed value`},
		{`{"id":1,"title":"` + long + `"}`, "/title has 65 characters"},
		{`{"id":1e999}`, "/id is a number out of range; exponents go up to 400"},
		{`{"id":1e999999999}`, "/id is a number out of range"},
	}
	for _, one := range cases {
		r := callTool(t, h, "t", one.arguments)
		text := textOf(r)
		if !r.IsError || !r.Mismatch || !strings.Contains(text, "\n- "+one.want) {
			t.Errorf("%s:\nwant %s\ngot  %s", one.arguments, one.want, text)
		}
		if strings.Contains(text, long) {
			t.Errorf("a long value is repeated: %s", text)
		}
	}
	for _, fits := range []string{`{"id":1}`, `{"id":1.0}`, `{"id":10e0}`, `{"id":1,"kind":3.0}`, `{"id":1,"shape":{"square":2}}`, `{"id":1,"one":0}`, `{"id":1,"either":5}`, `{"id":1,"step":10.0}`} {
		if r := callTool(t, h, "t", fits); textOf(r) != "ran" {
			t.Errorf("%s: %s", fits, textOf(r))
		}
	}
	var many strings.Builder
	for i := range 50 {
		fmt.Fprintf(&many, `,"x%d":1`, i)
	}
	text := textOf(callTool(t, h, "t", `{"id":1`+many.String()+`}`))
	if strings.Count(text, "\n") != faultLimit+1 || !strings.Contains(text, "and 30 more") {
		t.Errorf("many faults: %s", text)
	}
}

// A schema of a few lines can take for ever to check: the check gives up instead.
func TestCheckIsBounded(t *testing.T) {
	schema := `{"type":"object","properties":{"a":{"$ref":"#/$defs/r"}},"$defs":{"r":{"allOf":[
		{"properties":{"a":{"$ref":"#/$defs/r"}}},{"properties":{"a":{"$ref":"#/$defs/r"}}},{"not":{"const":{"zz":1}}}]}}}`
	h := find(t, publish(t, testOptions(), oneTool(core.ToolConfig{Name: "t", InputSchema: raw(schema), Invoker: echoes(`{"text":"ran"}`)})), "shop")
	if r := callTool(t, h, "t", `{"a":{"a":{"a":1}}}`); textOf(r) != "ran" {
		t.Errorf("small value: %s", textOf(r))
	}
	began := time.Now()
	r := callTool(t, h, "t", strings.Repeat(`{"a":`, 50)+"1"+strings.Repeat("}", 50))
	if !r.IsError || !strings.Contains(textOf(r), "too many steps") {
		t.Errorf("deep value: %s", textOf(r))
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("took %s", d)
	}
}

func TestCallToolOutcomes(t *testing.T) {
	cases := []struct {
		name    string
		config  string
		text    string // of an IsError result
		code    core.Code
		outcome string
	}{
		{"tool error", `{"fail":"tool"}`, "it said no", "", "tool_error"},
		{"Go error", `{"fail":"go"}`, "", core.CodeInternal, "internal"},
		{"panic", `{"fail":"panic"}`, "", core.CodeInternal, "internal"},
		{"nothing", `{"fail":"nil"}`, "", core.CodeInternal, "internal"},
		{"timeout", `{"fail":"wait"}`, "no answer within 20ms", "", "timeout"},
	}
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			var log bytes.Buffer
			var events []core.CallEvent
			o := testOptions()
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			o.Observer = observer{called: func(e core.CallEvent) { events = append(events, e) }}
			h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", Timeout: "20ms", Invoker: echoes(one.config)})), "shop")
			r, err := h.CallTool(context.Background(), &core.Call{Tool: "t", Client: core.Client{Revision: "2026-07-28"}})
			if one.code != "" {
				e := core.AsError(err)
				if e.Code != one.code || strings.Contains(e.Public(), "secret") || strings.Contains(e.Public(), "broken inside") {
					t.Errorf("error %v", err)
				}
				if log.Len() == 0 {
					t.Error("nothing was logged")
				}
			} else if err != nil || !r.IsError || !strings.Contains(textOf(r), one.text) {
				t.Errorf("result %+v, error %v", r, err)
			}
			if strings.Contains(log.String(), "secret") {
				t.Errorf("the log holds what panicked: %s", log.String())
			}
			if one.name == "panic" && !strings.Contains(log.String(), "fixture_test.go") {
				t.Errorf("no stack in the log: %s", log.String())
			}
			want := core.CallEvent{Server: "shop", Kind: "tool", Name: "t", Revision: "2026-07-28", Outcome: one.outcome}
			if len(events) != 1 || events[0].Duration < 0 {
				t.Fatalf("events %v", events)
			}
			events[0].Duration = 0
			if events[0] != want {
				t.Errorf("event %+v, want %+v", events[0], want)
			}
		})
	}
}

func TestUnknownNamesAreNotRecorded(t *testing.T) {
	var events []core.CallEvent
	o := testOptions()
	o.Observer = observer{called: func(e core.CallEvent) { events = append(events, e) }}
	h := find(t, publish(t, o, good(t)), "bookshop")
	ctx := context.Background()
	_, _ = h.CallTool(ctx, &core.Call{Tool: "made up"})
	_, _ = h.GetPrompt(ctx, &core.Call{Tool: "made up"})
	_, _ = h.ReadResource(ctx, &core.Call{Tool: "made:up"})
	if len(events) != 3 {
		t.Fatalf("events %v", events)
	}
	for _, e := range events {
		if e.Name != "" {
			t.Errorf("event %+v", e)
		}
	}
	if events[0].Outcome != "not_found" || events[2].Outcome != "no_resource" {
		t.Errorf("outcomes %v", events)
	}
}

func TestCancel(t *testing.T) {
	h := find(t, publish(t, testOptions(), oneTool(core.ToolConfig{Name: "t", Invoker: echoes(`{"fail":"wait"}`)})), "shop")
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := h.CallTool(ctx, &core.Call{Tool: "t"})
	if core.AsError(err).Code != core.CodeCancelled {
		t.Errorf("error %v", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	r, err := h.CallTool(ctx, &core.Call{Tool: "t"})
	if err != nil || !strings.Contains(textOf(r), "within the time that the request had") {
		t.Errorf("result %+v, error %v", r, err)
	}
}

// The default is 30 s, and it is the deadline that invokers see.
func TestDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		g := New(o)
		republish(t, g, oneTool(core.ToolConfig{Name: "t", Invoker: echoes(`{"fail":"wait"}`)}))
		h := g.Find("shop")
		began := time.Now()
		r, err := h.CallTool(context.Background(), &core.Call{Tool: "t"})
		if err != nil || !strings.Contains(textOf(r), "no answer within 30s") || time.Since(began) != 30*time.Second {
			t.Errorf("result %q after %s, error %v", textOf(r), time.Since(began), err)
		}
		h.Release()
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func transformers() []core.Kind[core.Transformer] {
	kind := func(name string, f transformer) core.Kind[core.Transformer] {
		return core.Kind[core.Transformer]{Name: name, New: func(context.Context, json.RawMessage, core.Env) (core.Transformer, error) { return f, nil }}
	}
	add := func(suffix string) transformer {
		return func(_ context.Context, _ *core.Call, in *core.Result) (*core.Result, error) {
			return core.TextResult(in.Content[0].Text + suffix), nil
		}
	}
	return []core.Kind[core.Transformer]{
		kind("a", add("a")), kind("b", add("b")),
		kind("panics", func(context.Context, *core.Call, *core.Result) (*core.Result, error) { panic("secret") }),
		kind("fails", func(context.Context, *core.Call, *core.Result) (*core.Result, error) { return nil, errors.New("x") }),
		kind("nil", func(context.Context, *core.Call, *core.Result) (*core.Result, error) { return nil, nil }),
	}
}

func TestTransformers(t *testing.T) {
	o := testOptions()
	o.Kinds.Transformers = transformers()
	asks := kindOf("asks", func(context.Context, *core.Call) (*core.Result, error) {
		return &core.Result{InputRequests: []core.InputRequest{{Key: "k"}}}, nil
	})
	o.Kinds.Invokers = append(o.Kinds.Invokers, asks)
	call := func(invoker core.KindConfig, names ...string) (*core.Result, error) {
		c := core.ToolConfig{Name: "t", Invoker: invoker, OutputSchema: nil}
		for _, name := range names {
			c.Transformers = append(c.Transformers, core.KindConfig{Kind: name})
		}
		h := find(t, publish(t, o, oneTool(c)), "shop")
		return h.CallTool(context.Background(), &core.Call{Tool: "t"})
	}
	if r, err := call(echoes(`{"text":"x"}`), "a", "b", "a"); err != nil || textOf(r) != "xaba" {
		t.Errorf("in order: %v %v", r, err)
	}
	for _, name := range []string{"panics", "fails", "nil"} {
		if _, err := call(echoes(`{"text":"x"}`), name, "a"); core.AsError(err).Code != core.CodeInternal || strings.Contains(core.AsError(err).Public(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := call(core.KindConfig{Kind: "asks"}, "panics"); err != nil || len(r.InputRequests) != 1 {
		t.Errorf("a request for input was transformed: %v %v", r, err)
	}
}

func TestOutputSchema(t *testing.T) {
	schema := raw(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`)
	cases := []struct{ config, want string }{
		{`{"text":"ok","structured":{"n":1}}`, ""},
		{`{"text":"ok"}`, "structuredContent is missing"},
		{`{"text":"ok","structured":{"n":"canary"}}`, "/n must be an integer, not a string"},
		{`{"text":"ok","structured":[]}`, "must be an object, not an array"},
		{`{"fail":"tool"}`, "it said no"},
	}
	for _, one := range cases {
		var log bytes.Buffer
		o := testOptions()
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", OutputSchema: schema, Invoker: echoes(one.config)})), "shop")
		r := callTool(t, h, "t", "{}")
		if r.IsError != (one.want != "") || !strings.Contains(textOf(r), one.want) {
			t.Errorf("%s: %+v", one.config, r)
		}
		if strings.Contains(textOf(r)+log.String(), "canary") {
			t.Errorf("the value of an upstream is repeated: %s %s", textOf(r), log.String())
		}
		any := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", OutputSchema: raw(`{"type":"object","title":"any"}`), Invoker: echoes(one.config)})), "shop")
		if r := callTool(t, any, "t", "{}"); r.IsError != (strings.Contains(one.want, "missing") || strings.Contains(one.want, "array") || one.want == "it said no") {
			t.Errorf("any object, %s: %+v", one.config, r)
		}
		if one.want != "" && one.want != "it said no" && !strings.Contains(log.String(), "does not fit the output schema") {
			t.Errorf("%s: not logged", one.config)
		}
	}
}
