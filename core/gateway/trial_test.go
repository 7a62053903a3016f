package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// parroting is an Egress whose upstream sends back what it was sent.
type parroting struct {
	answer func(*core.Request) (*core.Response, error)
}

func (o parroting) Open(*core.Connection) (core.Upstream, error) { return o, nil }
func (parroting) Close() error                                   { return nil }
func (o parroting) Do(_ context.Context, r *core.Request) (*core.Response, error) {
	return o.answer(r)
}

const canary = `s3cr"et/value`

// dialKind calls its connection with a secret in every place.
var dialKind = core.Kind[core.Invoker]{Name: "dial", New: func(_ context.Context, _ json.RawMessage, env core.Env) (core.Invoker, error) {
	upstream, err := env.Dial.Open(env.Connections["up"])
	if err != nil {
		return nil, err
	}
	return core.Func(func(ctx context.Context, call *core.Call) (*core.Result, error) {
		body, err := json.Marshal(map[string]string{"key": canary})
		if err != nil {
			return nil, err
		}
		response, err := upstream.Do(ctx, &core.Request{
			Method: "POST", Path: "/a/s3cr%22et%2Fvalue", Query: "key=s3cr%22et%2Fvalue&page=1", Body: body,
			Header: []core.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Own", Value: "anything"}},
		})
		if err != nil {
			return nil, err
		}
		result := core.TextResult("said " + canary)
		result.Structured = response.Body
		return result, nil
	}), nil
}}

func trialOptions(answer func(*core.Request) (*core.Response, error)) Options {
	o := testOptions()
	o.Kinds.Invokers = append(o.Kinds.Invokers, dialKind)
	o.Kinds.Transformers = transformers()
	o.Dial = parroting{answer}
	o.Authorizer = authorizer(func(core.Identity, core.Action, core.Object) bool { return false })
	o.Recorder = nil
	return o
}

func parrot(r *core.Request) (*core.Response, error) {
	return &core.Response{Status: 200, Header: []core.Field{{Name: "Set-Cookie", Value: "session=anything"}, {Name: "Content-Type", Value: "application/json"}}, Body: r.Body}, nil
}

func parts(list []core.Step) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Part+" "+s.Name+" "+s.Outcome)
	}
	return strings.Join(all, ", ")
}

func trialConfig() core.Config {
	c := oneTool(core.ToolConfig{
		Name: "t", Description: "d", InputSchema: raw(`{"type":"object","properties":{"n":{"type":"integer"}}}`), Invoker: core.KindConfig{Kind: "dial"},
		OutputSchema: raw(`{"type":"object"}`),
	})
	c.Connections = []core.ConnectionConfig{{Name: "up", BaseURL: "https://up.example"}}
	return c
}

func TestTry(t *testing.T) {
	call := core.Call{Server: "shop", Tool: "t", Arguments: raw(`{"n":1}`)}
	tried, problems := Try(t.Context(), trialOptions(parrot), Trial{Config: trialConfig(), Call: call, Hide: []string{canary, "x"}})
	if problems != nil || tried.Err != nil {
		t.Fatal(problems, tried)
	}
	if got := parts(tried.Steps); got != "arguments  ok, upstream up ok, invoker dial ok, output  ok" {
		t.Error(got)
	}
	x := tried.Steps[1].Exchange
	if x.Request.Path != "/a/***" || x.Request.Query != "key=***&page=1" || string(x.Request.Body) != `{"key":"***"}` || x.Response.Status != 200 {
		t.Errorf("%+v", x)
	}
	if !slices.Equal(x.Request.Header, []core.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Own", Value: "***"}}) || x.Response.Header[0].Value != "***" {
		t.Errorf("%+v", x.Request.Header)
	}
	if textOf(tried.Result) != "said ***" || string(tried.Result.Structured) != `{"key":"***"}` {
		t.Errorf("%+v", tried.Result)
	}
	t.Run("without a mask the canary is seen", func(t *testing.T) {
		tried, _ := Try(t.Context(), trialOptions(parrot), Trial{Config: trialConfig(), Call: call})
		if !strings.Contains(string(tried.Steps[1].Exchange.Request.Body), "s3cr") {
			t.Error("the test sees nothing")
		}
	})
}

func TestTryWhatGoesWrong(t *testing.T) {
	refusing := func(*core.Request) (*core.Response, error) {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "away", Err: errors.New("x")}
	}
	tests := []struct {
		name, tool, arguments string
		answer                func(*core.Request) (*core.Response, error)
		steps                 string
		code                  core.Code
	}{
		{"arguments", "t", `{"n":"x"}`, parrot, "arguments  refused", ""},
		{"upstream", "t", `{}`, refusing, "arguments  ok, upstream up unavailable, invoker dial unavailable", core.CodeUnavailable},
		{"output", "t", `{}`, func(*core.Request) (*core.Response, error) {
			return &core.Response{Status: 200, Body: []byte("[1]")}, nil
		}, "arguments  ok, upstream up ok, invoker dial ok, output  refused", ""},
		{"another tool", "u", `{}`, parrot, "", core.CodeNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tried, problems := Try(t.Context(), trialOptions(tt.answer), Trial{Config: trialConfig(), Call: core.Call{Server: "shop", Tool: tt.tool, Arguments: raw(tt.arguments)}})
			if problems != nil || parts(tried.Steps) != tt.steps {
				t.Fatal(problems, parts(tried.Steps))
			}
			if (tried.Err == nil) != (tt.code == "") || tried.Err != nil && core.AsError(tried.Err).Code != tt.code {
				t.Error(tried.Err)
			}
		})
	}
	tried, problems := Try(t.Context(), trialOptions(parrot), Trial{Config: trialConfig(), Call: core.Call{Server: "other", Tool: "t"}})
	if problems != nil || core.AsError(tried.Err).Code != core.CodeNotFound {
		t.Error(tried, problems)
	}
	if _, problems = Try(t.Context(), trialOptions(parrot), Trial{Config: oneTool(core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "none"}}), Call: core.Call{Server: "shop", Tool: "t"}}); len(problems) == 0 {
		t.Error("no problems")
	}
}

// Long values are cut, and what is cut is JSON still.
func TestStepsAreBounded(t *testing.T) {
	call := core.Call{Server: "shop", Tool: "t", Arguments: raw(`{"s":"` + strings.Repeat("é", maxStepBytes) + `"}`)}
	tried, problems := Try(t.Context(), trialOptions(parrot), Trial{Config: trialConfig(), Call: call})
	if problems != nil || len(tried.Steps[0].Value) > 2*maxStepBytes || !json.Valid(tried.Steps[0].Value) {
		t.Fatalf("%v %d", problems, len(tried.Steps[0].Value))
	}
}

// Nobody pays for steps who did not ask for them.
func TestNoStepsWithoutAsking(t *testing.T) {
	config := oneTool(core.ToolConfig{Name: "t", Description: "d", Invoker: echoes(`{"text":"x"}`)})
	h := find(t, publish(t, testOptions(), config), "shop")
	call := &core.Call{Tool: "t", Arguments: raw(`{}`)}
	without := testing.AllocsPerRun(200, func() {
		one := *call
		if _, err := h.CallTool(t.Context(), &one); err != nil {
			t.Fatal(err)
		}
	})
	with := testing.AllocsPerRun(200, func() {
		one := *call
		one.Steps = func(core.Step) {}
		if _, err := h.CallTool(t.Context(), &one); err != nil {
			t.Fatal(err)
		}
	})
	if without >= with {
		t.Errorf("%v allocations without, %v with", without, with)
	}
}
