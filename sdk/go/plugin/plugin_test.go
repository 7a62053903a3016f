package plugin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
	"github.com/sallyport/sallyport/sdk/go/plugintest"
)

// handlers of the tests, by the name of the tool; script is what `script` runs.
var (
	script      func(ctx *plugin.Context, args json.RawMessage) (plugin.Result, error)
	onRequest   func(*plugin.Context, *map[string]json.RawMessage) (bool, error)
	onResponse  func(*plugin.Context, *plugin.Result) (bool, error)
	onAuthorize func(*plugin.Context, map[string]any) error
	configured  settings
	kept        *plugin.Context
)

type settings struct {
	Greeting string `json:"greeting"`
}

type nested struct {
	When *string           `json:"when,omitempty" description:"a \"date\""`
	Unit string            `json:"unit" enum:"c,f"`
	Tags []string          `json:"tags,omitempty"`
	Map  map[string]nested `json:"map,omitempty"`
	Blob []byte            `json:"blob,omitempty"`
	Rate float32           `json:"rate,omitzero"`
	Any  any               `json:"any,omitempty"`
}

func init() {
	plugin.Tool("script", func(ctx *plugin.Context, args json.RawMessage) (plugin.Result, error) { return script(ctx, args) })
	plugin.Tool("typed", func(_ *plugin.Context, n nested) (nested, error) { return n, nil },
		plugin.Title("Typed"), plugin.Annotations(`{"idempotentHint":true}`), plugin.OutputSchema(`{"type":"object"}`))
	plugin.Tool("pointer", func(_ *plugin.Context, _ struct{}) (*plugin.Result, error) { return nil, nil })
	plugin.Tool("list", func(_ *plugin.Context, _ any) ([]int, error) { return []int{1, 2}, nil })
	plugin.Tool("unencodable", func(_ *plugin.Context, _ struct{}) (func(), error) { return func() {}, nil })
	plugin.Configure(func(_ *plugin.Context, s settings) error {
		if s.Greeting == "" {
			return plugin.InvalidArgs("greeting is missing")
		}
		configured = s
		return nil
	})
	plugin.RequestTransform(func(ctx *plugin.Context, args *map[string]json.RawMessage) (bool, error) { return onRequest(ctx, args) })
	plugin.ResponseTransform(func(ctx *plugin.Context, r *plugin.Result) (bool, error) { return onResponse(ctx, r) })
	plugin.Authorize(func(ctx *plugin.Context, args map[string]any) error { return onAuthorize(ctx, args) })
}

// run runs f as a tool.
func run(h *plugintest.Host, f func(ctx *plugin.Context) (plugin.Result, error)) *plugintest.Answer {
	script = func(ctx *plugin.Context, _ json.RawMessage) (plugin.Result, error) { return f(ctx) }
	return h.Tool("script", `{}`)
}

func TestResults(t *testing.T) {
	structured, err := plugin.JSON(map[string]int{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		result  plugin.Result
		mime    string
		payload string
	}{
		"text":        {plugin.Text("a \"b\""), "text/plain", `a "b"`},
		"empty text":  {plugin.Text(""), "text/plain", ``},
		"no UTF-8":    {plugin.Text("a\xffb"), "", `{"content":[{"type":"text","text":"a` + "\ufffd" + `b"}]}`},
		"plain":       {plugin.Plain([]byte("p")), "text/plain", "p"},
		"plain nil":   {plugin.Plain(nil), "text/plain", ""},
		"raw":         {plugin.Raw([]byte(`{"content":[]}`)), "", `{"content":[]}`},
		"nothing":     {plugin.Result{}, "", `{"content":[]}`},
		"image":       {plugin.Image("image/png", []byte("img")), "", `{"content":[{"type":"image","data":"aW1n","mimeType":"image/png"}]}`},
		"structured":  {structured, "", `{"content":[{"type":"text","text":"{\"n\":1}"}],"structuredContent":{"n":1}}`},
		"own error":   {plugin.Result{Content: plugin.Text("no").Content, IsError: true}, "", `{"content":[{"type":"text","text":"no"}],"isError":true}`},
		"other parts": {plugin.Result{Content: []plugin.Content{{Type: "resource", Rest: map[string]json.RawMessage{"resource": json.RawMessage(`{"uri":"a:b"}`), "_meta": nil}}}, Rest: map[string]json.RawMessage{"_meta": json.RawMessage(`{}`)}}, "", `{"content":[{"type":"resource","_meta":null,"resource":{"uri":"a:b"}}],"_meta":{}}`},
	} {
		a := run(plugintest.New(t), func(*plugin.Context) (plugin.Result, error) { return tt.result, nil })
		if a.Status != plugin.StatusOK || a.Meta["mime"] != tt.mime || string(a.Payload) != tt.payload {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status plugin.Status
		text   string
		retry  string
	}{
		"any":             {errors.New("disk full"), plugin.StatusToolError, "disk full", ""},
		"tool error":      {plugin.ToolError("no %s", "luck"), plugin.StatusToolError, "no luck", ""},
		"invalid":         {plugin.InvalidArgs("100%"), plugin.StatusInvalidArgs, "100%", ""},
		"wrapped":         {fmt.Errorf("look: %w", plugin.Denied("not you")), plugin.StatusDenied, "look: not you", ""},
		"unavailable":     {plugin.Unavailable(1500*time.Millisecond, "busy"), plugin.StatusUnavailable, "busy", "1500"},
		"some time":       {plugin.Unavailable(0, "busy"), plugin.StatusUnavailable, "busy", ""},
		"a moment":        {plugin.Unavailable(time.Microsecond, "busy"), plugin.StatusUnavailable, "busy", "1"},
		"internal":        {plugin.Internal("secret path"), plugin.StatusInternal, "secret path", ""},
		"unknown":         {plugin.UnknownTool("x"), plugin.StatusUnknownTool, `there is no tool "x"`, ""},
		"host function":   {fmt.Errorf("fetch: %w", plugin.ErrTimeout), plugin.StatusToolError, "fetch: timed out", ""},
		"status of none":  {&plugin.Error{Status: plugin.StatusOK, Message: "odd"}, plugin.StatusToolError, "odd", ""},
		"status too high": {&plugin.Error{Status: 99, Message: "odd"}, plugin.StatusInternal, "odd", ""},
	} {
		a := run(plugintest.New(t), func(*plugin.Context) (plugin.Result, error) { return plugin.Result{}, tt.err })
		if a.Status != tt.status || string(a.Payload) != tt.text || a.Meta["retry_after_ms"] != tt.retry {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func TestPanics(t *testing.T) {
	h := plugintest.New(t)
	a := run(h, func(*plugin.Context) (plugin.Result, error) { panic("private detail") })
	if a.Status != plugin.StatusToolError || strings.Contains(a.String(), "private") {
		t.Errorf("tool: %s", a)
	}
	if !h.Logged("private detail") || !h.Logged("goroutine") {
		t.Errorf("the log has no panic: %v", h.Logs)
	}
	onResponse = func(*plugin.Context, *plugin.Result) (bool, error) { panic("x") }
	if a := h.Response(`{}`); a.Status != plugin.StatusInternal {
		t.Errorf("transformer: %s", a)
	}
	onAuthorize = func(*plugin.Context, map[string]any) error { var m map[string]int; m["a"] = 1; return nil } //nolint:govet,staticcheck // it shall panic
	if a := h.Authorize(`{}`); a.Status != plugin.StatusInternal {
		t.Errorf("authorizer: %s", a)
	}
	if a := run(h, func(*plugin.Context) (plugin.Result, error) { return plugin.Text("fine"), nil }); a.Text() != "fine" {
		t.Errorf("the next call: %s", a)
	}
}

func TestTypedTools(t *testing.T) {
	h := plugintest.New(t)
	a := h.Tool("typed", `{"unit":"c","tags":["a"],"map":{"x":{"unit":"f"}},"blob":"aGk=","rate":0.5}`)
	var n nested
	if a.Structured(&n); n.Map["x"].Unit != "f" || string(n.Blob) != "hi" {
		t.Errorf("typed: %s", a)
	}
	for _, tt := range []struct {
		tool, args string
		status     plugin.Status
		text       string
	}{
		{"typed", ``, plugin.StatusOK, `{"content":[{"type":"text","text":"{\"unit\":\"\"}"}],"structuredContent":{"unit":""}}`},
		{"typed", `{"tags":[1]}`, plugin.StatusInvalidArgs, "tags[0] must be a string, not a number"},
		{"typed", `[]`, plugin.StatusInvalidArgs, "must be an object, not an array"},
		{"list", `{}`, plugin.StatusOK, "[1,2]"},
		{"pointer", `{}`, plugin.StatusInternal, "no result"},
		{"unencodable", `{}`, plugin.StatusInternal, "encode the result"},
	} {
		if a := h.Tool(tt.tool, tt.args); a.Status != tt.status || !strings.Contains(string(a.Payload), tt.text) {
			t.Errorf("%s %s: %s", tt.tool, tt.args, a)
		}
	}
	if a := h.Call("tool_call", nil, nil); a.Status != plugin.StatusInternal || !strings.Contains(string(a.Payload), "`context`") {
		t.Errorf("no name: %s", a)
	}
}

func TestToolsList(t *testing.T) {
	tools := plugintest.New(t).Tools()
	want := `{"type":"object","properties":{"when":{"type":"string","description":"a \"date\""},"unit":{"type":"string","enum":["c","f"]},` +
		`"tags":{"type":"array","items":{"type":"string"}},"map":{"type":"object","additionalProperties":{}},` +
		`"blob":{"type":"string","contentEncoding":"base64"},"rate":{"type":"number"},"any":{}},"required":["unit"]}`
	if string(tools[1].InputSchema) != want {
		t.Errorf("schema is %s\nwant %s", tools[1].InputSchema, want)
	}
	if tools[0].Name != "script" || string(tools[0].InputSchema) != `{"type":"object"}` || tools[1].Title != "Typed" || string(tools[1].Annotations) != `{"idempotentHint":true}` {
		t.Errorf("%+v", tools)
	}
}

func TestConfigure(t *testing.T) {
	h := plugintest.New(t)
	if a := h.Configure(`{"greeting":"Hi"}`); a.Status != plugin.StatusOK || configured.Greeting != "Hi" {
		t.Errorf("%s, %+v", a, configured)
	}
	for _, s := range []string{`{}`, ``, `{"greeting":1}`} {
		if a := h.Configure(s); a.Status != plugin.StatusInvalidArgs {
			t.Errorf("%q: %s", s, a)
		}
	}
	h.Settings = json.RawMessage(`{"greeting":"Hi","limit":3,"long":"` + strings.Repeat("x", 5000) + `"}`)
	run(h, func(ctx *plugin.Context) (plugin.Result, error) {
		var n int
		var long string
		var all settings
		if err := ctx.Config("limit", &n); err != nil || n != 3 {
			t.Errorf("limit: %d %v", n, err)
		}
		if err := ctx.Config("long", &long); err != nil || len(long) != 5000 {
			t.Errorf("long: %d %v", len(long), err)
		}
		if err := ctx.Config("", &all); err != nil || all.Greeting != "Hi" {
			t.Errorf("all: %+v %v", all, err)
		}
		if err := ctx.Config("no", &n); !errors.Is(err, plugin.ErrNotFound) || err.Error() != "config no: not found" {
			t.Errorf("no: %v", err)
		}
		if err := ctx.Config("long", &n); err == nil || !strings.Contains(err.Error(), "must be a number") {
			t.Errorf("wrong type: %v", err)
		}
		if err := ctx.Config("limit", n); err == nil {
			t.Error("no pointer: no error")
		}
		return plugin.Text(""), nil
	})
}

func TestTransforms(t *testing.T) {
	h := plugintest.New(t)
	const in = `{"content":[{"type":"text","text":"a","annotations":{"priority":1}},{"type":"resource","resource":{"uri":"x:y"}}],"structuredContent":{"n":1.50},"isError":true,"_meta":{"k":[1]}}`
	onResponse = func(_ *plugin.Context, r *plugin.Result) (bool, error) { return r.Content[0].Text == "b", nil }
	if a := h.Response(in); a.Status != plugin.StatusUnchanged || len(a.Payload) != 0 {
		t.Errorf("unchanged: %s", a)
	}
	onResponse = func(_ *plugin.Context, r *plugin.Result) (bool, error) { return true, nil }
	if a := h.Response(in); string(a.Payload) != in {
		t.Errorf("something was lost:\n%s\n%s", a.Payload, in)
	}
	onResponse = func(_ *plugin.Context, r *plugin.Result) (bool, error) { return false, errors.New("bug") }
	if a := h.Response(in); a.Status != plugin.StatusInternal {
		t.Errorf("error: %s", a)
	}
	for _, bad := range []string{``, `[]`, `{"content":{}}`, `{"content":[{"type":1}]}`, `{"isError":1}`, `{"isError":txt}`} {
		if a := h.Response(bad); a.Status != plugin.StatusInvalidArgs {
			t.Errorf("%s: %s", bad, a)
		}
	}

	onRequest = func(_ *plugin.Context, args *map[string]json.RawMessage) (bool, error) {
		(*args)["limit"] = json.RawMessage("10")
		return true, nil
	}
	if a := h.Request(`{"big":12345678901234567890}`); string(a.Payload) != `{"big":12345678901234567890,"limit":10}` {
		t.Errorf("request: %s", a)
	}
	onRequest = func(*plugin.Context, *map[string]json.RawMessage) (bool, error) {
		return false, plugin.Denied("not at night")
	}
	if a := h.Request(`{}`); a.Status != plugin.StatusDenied || string(a.Payload) != "not at night" {
		t.Errorf("denied: %s", a)
	}
}

func TestAuthorize(t *testing.T) {
	h := plugintest.New(t)
	h.Meta = map[string]string{"principal.sub": "ada", "principal.roles": "admin,reader", "tool": "drop"}
	var seen string
	onAuthorize = func(ctx *plugin.Context, args map[string]any) error {
		seen = fmt.Sprint(ctx.Subject(), ctx.Roles(), ctx.Tool(), ctx.Tenant() == "", args["n"])
		return nil
	}
	if a := h.Authorize(`{"n":1}`); a.Status != plugin.StatusOK || len(a.Payload) != 0 || seen != "ada[admin reader]droptrue 1" {
		t.Errorf("%s, %s", a, seen)
	}
	onAuthorize = func(*plugin.Context, map[string]any) error { return plugin.Denied("no") }
	if a := h.Authorize(`{}`); a.Status != plugin.StatusDenied {
		t.Errorf("denied: %s", a)
	}
	onAuthorize = func(*plugin.Context, map[string]any) error { return errors.New("bug") }
	if a := h.Authorize(`{}`); a.Status != plugin.StatusInternal {
		t.Errorf("an error must not let the call pass: %s", a)
	}
}

// What belongs to one call is not there in the next, even for code that kept it.
func TestContextEndsWithItsCall(t *testing.T) {
	h := plugintest.New(t)
	h.Secrets = map[string]string{"s": "v"}
	h.Meta["tenant"] = "acme"
	script = func(ctx *plugin.Context, args json.RawMessage) (plugin.Result, error) {
		kept = ctx
		return plugin.Plain(args), nil
	}
	if a := h.Tool("script", `{"a":1}`); string(a.Payload) != `{"a":1}` {
		t.Errorf("%s", a)
	}
	if kept.Tenant() != "" || kept.Err() == nil {
		t.Error("the context outlived its call")
	}
	if _, err := kept.Secret("s"); !errors.Is(err, plugin.ErrInvalid) {
		t.Errorf("secret after the call: %v", err)
	}
	if _, err := kept.KVSet("a", nil, 0); !errors.Is(err, plugin.ErrInvalid) {
		t.Errorf("kv after the call: %v", err)
	}
	kept.Log(plugin.LevelInfo, "late")
	if h.Logged("late") {
		t.Error("logged after the call")
	}
}

func TestDeadline(t *testing.T) {
	h := plugintest.New(t)
	run(h, func(ctx *plugin.Context) (plugin.Result, error) {
		if _, ok := ctx.Deadline(); ok {
			t.Error("a deadline from nowhere")
		}
		return plugin.Text(""), nil
	})
	h.Meta["deadline_ms"] = "60000"
	run(h, func(ctx *plugin.Context) (plugin.Result, error) {
		if at, ok := ctx.Deadline(); !ok || time.Until(at) < 50*time.Second || time.Until(at) > time.Minute {
			t.Errorf("deadline %v %v", at, ok)
		}
		return plugin.Text(""), nil
	})
}

func TestGoroutinesThatStayAreLogged(t *testing.T) {
	h := plugintest.New(t)
	stop := make(chan struct{})
	run(h, func(*plugin.Context) (plugin.Result, error) {
		go func() { <-stop }()
		return plugin.Text(""), nil
	})
	close(stop)
	if !h.Logged("1 goroutines running") {
		t.Errorf("not logged: %v", h.Logs)
	}
}

func TestLargeAnswers(t *testing.T) {
	h := plugintest.New(t)
	big := bytes.Repeat([]byte("x"), 3<<20)
	for _, size := range []int{len(big), 10, len(big), 0} {
		a := run(h, func(*plugin.Context) (plugin.Result, error) { return plugin.Plain(big[:size]), nil })
		if len(a.Payload) != size {
			t.Errorf("%d bytes, want %d", len(a.Payload), size)
		}
	}
}
