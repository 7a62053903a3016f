package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/selftest"
)

func TestMatching(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), says(t, core.PluginAuthorizer, abi.OK, ""))
	one := func(name string, priority int, match *core.MatchConfig) core.PluginConfig {
		return core.PluginConfig{At: at(dir), Name: name, Source: "p.wasm", Priority: priority, Match: match}
	}
	off := one("off", 99, &core.MatchConfig{})
	off.Disabled = true
	s := open(t, h,
		one("all", 0, &core.MatchConfig{}),
		one("outer", 10, &core.MatchConfig{Servers: []string{"shop"}}),
		one("second", 0, &core.MatchConfig{Tools: []string{"*.write", "admin.*"}}),
		one("none", 50, nil),
		one("inner", -1, &core.MatchConfig{Servers: []string{"sh*", "bank"}, Tools: []string{"a*b*c"}}),
		off,
	)
	tests := []struct{ server, tool, want string }{
		{"shop", "read", "outer all"},
		{"shop", "books.write", "outer all second"},
		{"bank", "admin.x", "all second"},
		{"ship", "a-b-c", "all inner"},
		{"other", "abc", "all"},
		{"", "", "all"},
	}
	for _, test := range tests {
		var got []string
		for _, p := range s.Matching(test.server, test.tool) {
			got = append(got, p.Name())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s %s: got %v, want %s", test.server, test.tool, got, test.want)
		}
	}
}

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "a.b", true},
		{"a*", "a", true},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "axbxc", true},
		{"a*b*c", "acb", false},
		{"**", "x", true},
		{"*x*", "axb", true},
		{"*ab*ab*", "abab", true},
		{"*ab*ab*", "abb", false},
		{"[a]", "a", false},
	}
	for _, test := range tests {
		if glob(test.pattern, test.name) != test.want {
			t.Errorf("%q covers %q: got %v", test.pattern, test.name, !test.want)
		}
	}
}

// What names a disabled plugin is built, and refuses.
func TestDisabled(t *testing.T) {
	h := newHost(t, nil)
	p := single(t, h, []byte("not even a module"), func(c *core.PluginConfig) { c.Disabled = true })
	i := invokerOf(t, p, "any")
	if _, err := i.Invoke(t.Context(), call("{}")); err == nil || core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("invoker: %v", err)
	}
	tr, err := p.Transformer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Transform(t.Context(), call("{}"), core.TextResult("a")); err == nil || core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("transformer: %v", err)
	}
	rt, err := p.RequestTransformer()
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.TransformRequest(t.Context(), call("{}")); err == nil || core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("request transformer: %v", err)
	}
	c, err := p.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	if tools, err := c.Tools(t.Context()); err != nil || len(tools) != 0 {
		t.Errorf("catalogue: %v, %v", tools, err)
	}
	if _, err := p.(*Plugin).Raw(t.Context(), core.PluginInvoker, nil, nil); err == nil {
		t.Error("raw: it answers")
	}
	if st := h.Status(); len(st) != 1 || st[0].Name != "p" || st[0].Plugin != "" {
		t.Errorf("status %+v", st)
	}
	if p.(*Plugin).Digest() != "" || p.(*Plugin).Manifest() != nil || p.Tools() != nil {
		t.Error("it says what it cannot know")
	}
}

func TestKinds(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	two := `tools: [{name: a, description: First., annotations: {readOnlyHint: true}}, {name: b}]`
	write(t, filepath.Join(dir, "one.wasm"), echo(t))
	write(t, filepath.Join(dir, "two.wasm"), carrying(t, guests.Echo(), yaml("invoker, response_transformer, request_transformer, authorizer", two)))
	s, problems := h.Open(t.Context(), []core.PluginConfig{
		{At: at(dir), Name: "one", Source: "one.wasm"}, {At: at(dir), Name: "two", Source: "two.wasm"}, {At: at(dir), Name: "broken", Source: "none.wasm"},
	})
	defer s.Close()
	if len(problems) != 1 {
		t.Fatal(words(problems))
	}
	env := core.Env{Tool: "b", Plugins: s}
	build := map[string]func(string) error{
		"invoker":     func(c string) error { _, err := Invoker.New(t.Context(), json.RawMessage(c), env); return err },
		"transformer": func(c string) error { _, err := Transformer.New(t.Context(), json.RawMessage(c), env); return err },
		"request": func(c string) error {
			_, err := RequestTransformer.New(t.Context(), json.RawMessage(c), env)
			return err
		},
		"authorizer": func(c string) error { _, err := Authorizer.New(t.Context(), json.RawMessage(c), env); return err },
		"catalogue":  func(c string) error { _, err := Catalogue.New(t.Context(), json.RawMessage(c), env); return err },
	}
	tests := []struct{ kind, config, want string }{
		{"invoker", `{"plugin":"one"}`, ""},
		{"invoker", `{"plugin":"two"}`, ""}, // by the name in the document
		{"invoker", `{"plugin":"two","tool":"a"}`, ""},
		{"invoker", `{"plugin":"two","tool":"c"}`, `/tool: plugin two has no tool "c"; its tools: a, b`},
		{"invoker", `{"plugin":"three"}`, `/plugin: there is no plugin "three"; known plugins: broken, one, two`},
		{"invoker", `{"plugin":"broken"}`, core.ErrReported.Error()},
		{"invoker", `{"plugin":1}`, `config cannot be read`},
		{"transformer", `{"plugin":"two"}`, ""},
		{"transformer", `{"plugin":"one"}`, "/plugin: plugin one is no response_transformer; its kinds: invoker"},
		{"request", `{"plugin":"two"}`, ""},
		{"request", `{"plugin":"one"}`, "/plugin: plugin one is no request_transformer"},
		{"authorizer", `{"plugin":"two"}`, ""},
		{"authorizer", `{"plugin":"one"}`, "/plugin: plugin one is no authorizer"},
		{"authorizer", `{"plugin":"broken"}`, core.ErrReported.Error()},
		{"catalogue", `{"plugin":"two"}`, ""},
		{"catalogue", `{"plugin":"none"}`, "/plugin: there is no plugin"},
	}
	for _, test := range tests {
		err := build[test.kind](test.config)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s %s: got %v, want %q", test.kind, test.config, err, test.want)
		}
		if strings.Contains(test.config, "broken") && !errors.Is(err, core.ErrReported) {
			t.Errorf("%s %s: got %v", test.kind, test.config, err)
		}
	}
	env.Plugins = nil
	if err := build["authorizer"](`{"plugin":"two"}`); err == nil || !strings.HasPrefix(err.Error(), "/plugin: documents have no plugins here") {
		t.Errorf("got %v", err)
	}
	env.Plugins = s
	if tool := Invoker.Tool(json.RawMessage(`{"plugin":"two","tool":"a"}`), env); tool == nil || tool.Description != "First." || string(tool.Annotations) != `{"readOnlyHint":true}` {
		t.Errorf("got %+v", tool)
	}
	if tool := Invoker.Tool(json.RawMessage(`{"plugin":"none"}`), env); tool != nil {
		t.Errorf("got %+v", tool)
	}
	// The schemas compile, and refuse what is not known.
	for _, schema := range []json.RawMessage{Invoker.Schema, Transformer.Schema, RequestTransformer.Schema, Authorizer.Schema, Catalogue.Schema} {
		compiled, err := compileSchema(schema)
		if err != nil {
			t.Fatal(err)
		}
		if checkSetting(compiled, json.RawMessage(`{"plugin":"a"}`)) != nil || checkSetting(compiled, json.RawMessage(`{"plugin":"a","x":1}`)) == nil || checkSetting(compiled, json.RawMessage(`{}`)) == nil {
			t.Errorf("the schema is not what it should be: %s", schema)
		}
	}
	// None of the parts asks for decoded arguments.
	p, _ := s.Plugin("two")
	inv, _ := p.Invoker("a")
	tr, _ := p.Transformer()
	rt, _ := p.RequestTransformer()
	z, _ := p.CallAuthorizer()
	for _, part := range []any{inv, tr, rt, z} {
		if f, ok := part.(core.Frugal); !ok || f.NeedsValues() {
			t.Errorf("%T needs values", part)
		}
	}
}

// inside is a server with one tool.
type inside struct {
	core.Handler
	got *core.Call
}

func (i *inside) CallTool(_ context.Context, c *core.Call) (*core.Result, error) {
	i.got = c
	if c.Tool == "shop.secret" {
		return nil, &core.Error{Code: core.CodeDenied, Message: "not yours"}
	}
	return core.TextResult("from inside"), nil
}

func TestNestedCall(t *testing.T) {
	run := func(tool string, depth int) (*core.Result, *inside, error) {
		t.Helper()
		frame := abi.AppendIn(nil, []abi.Pair{{Key: abi.CallToolTool, Value: tool}}, []byte(`{"a":1}`))
		wasm := carrying(t, guests.Tool(string(frame)), yaml("invoker", oneTool, `capabilities: {call_tool: ["shop.*"]}`))
		p := single(t, newHost(t, nil), wasm, func(c *core.PluginConfig) { c.Grants = &core.GrantsConfig{CallTool: []string{"*"}} }).(*Plugin)
		in := &inside{}
		c := call("{}")
		c.Who, c.Inside, c.Depth = core.Identity{Subject: "ada"}, in, depth
		a, err := p.call(t.Context(), invokes, c, "echo", nil)
		if err != nil || len(a.Payload) == 0 {
			return nil, in, err
		}
		status, _, payload, err := abi.ParseOut(a.Payload) // the guest answers with what the tool answered
		if err != nil {
			t.Fatalf("%q: %v", a.Payload, err)
		}
		return &core.Result{IsError: status != abi.OK, Structured: payload}, in, nil
	}
	r, in, err := run("shop.read", 0)
	if err != nil || r == nil || r.IsError || !strings.Contains(string(r.Structured), "from inside") {
		t.Errorf("got %+v, %v", r, err)
	}
	if in.got == nil || in.got.Who.Subject != "ada" || in.got.Depth != 1 || string(in.got.Arguments) != `{"a":1}` || in.got.Server != "shop" {
		t.Errorf("the inner call: %+v", in.got)
	}
	if r, in, err := run("shop.secret", 0); err != nil || r == nil || !r.IsError || in.got == nil {
		t.Errorf("a tool that the caller may not call: %+v, %v", r, err)
	}
	if r, in, err := run("bank.read", 0); err == nil && r != nil || in.got != nil {
		t.Errorf("a tool that is not granted: %+v, %v", r, err)
	}
	if r, in, err := run("shop.read", 3); err == nil && r != nil || in.got != nil {
		t.Errorf("a call that is nested too deep: %+v, %v", r, err)
	}
}

// ear hears of calls.
type ear struct {
	core.NoObserver
	mu     sync.Mutex
	events []core.PluginEvent
	read   func() []core.PluginStatus
}

func (e *ear) PluginCalled(event core.PluginEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, event)
}
func (e *ear) Plugins(read func() []core.PluginStatus) { e.read = read }

func TestObserverAndStatus(t *testing.T) {
	var e ear
	h := newHost(t, func(o *Options) { o.Observer = &e })
	wasm := carrying(t, guests.Echo(), yaml("invoker, authorizer, response_transformer, request_transformer", oneTool, "capabilities: {progress: true, secrets: [token]}"))
	p := single(t, h, wasm, func(c *core.PluginConfig) {
		c.Grants, c.Isolation = &core.GrantsConfig{Progress: true}, "call"
	})
	_, _ = invokerOf(t, p, "echo").Invoke(t.Context(), call(hi))
	_ = authorizerOf(t, p).AuthorizeCall(t.Context(), call(""))
	tr, _ := p.Transformer()
	_, _ = tr.Transform(t.Context(), call(""), core.TextResult("a"))
	rt, _ := p.RequestTransformer()
	_ = rt.TransformRequest(t.Context(), call("{}"))
	var got []string
	for _, one := range e.events {
		got = append(got, one.Plugin+" "+string(one.Kind)+" "+one.Outcome)
		if one.Duration <= 0 {
			t.Errorf("no duration: %+v", one)
		}
	}
	if want := []string{"p invoker ok", "p authorizer ok", "p response_transformer ok", "p request_transformer ok"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	st := e.read()
	if len(st) != 1 {
		t.Fatalf("got %+v", st)
	}
	one := st[0]
	if one.Name != "p" || one.Plugin != "acme/test" || one.Version != "1.0.0" || one.Digest != pack(t, wasm).Digest || one.Signer != "" || len(one.Kinds) != 4 ||
		one.Calls != 4 || one.Errors != 0 || one.Instances < 1 || one.Memory <= 0 || one.Isolation != manifest.IsolationCall || one.Loaded.IsZero() || !one.Degraded.IsZero() {
		t.Errorf("got %+v", one)
	}
	if !slices.Equal(one.Granted, []string{"progress: tell the client how far a call is"}) || !slices.Equal(one.Refused, []string{"secret: read the value of token"}) {
		t.Errorf("granted %q, refused %q", one.Granted, one.Refused)
	}
}

// Status tells of the newest set that is open, so that no plugin is counted twice.
func TestStatusOfTheNewestSet(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), echo(t))
	c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
	open(t, h, c)
	d := c
	d.Name = "q"
	refused, _ := h.Open(t.Context(), []core.PluginConfig{c, d})
	if n := len(h.Status()); n != 2 {
		t.Errorf("%d plugins", n)
	}
	_ = refused.Close()
	if st := h.Status(); len(st) != 1 || st[0].Name != "p" {
		t.Errorf("got %+v", st)
	}
}

func TestRaw(t *testing.T) {
	h := newHost(t, nil)
	p := single(t, h, says(t, core.PluginAuthorizer, abi.Denied, "no"), nil).(*Plugin)
	a, err := p.Raw(t.Context(), core.PluginAuthorizer, []abi.Pair{{Key: "tool", Value: "x"}}, []byte("{}"))
	if err != nil || a.Status != abi.Denied || string(a.Payload) != "no" {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := p.Raw(t.Context(), core.PluginInvoker, nil, nil); err == nil || core.AsError(err).Code != core.CodeInvalid {
		t.Errorf("got %v", err)
	}
}

// A module whose own tests fail is refused.
func TestSelfTests(t *testing.T) {
	with := func(text string) []byte {
		t.Helper()
		s, err := selftest.Parse("fixtures/a.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		b, err := selftest.Embed(echo(t), []*selftest.Suite{s})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	suite := "selftest: true\ncases:\n  - name: says it again\n    call: tool_call\n    payload: {a: 1}\n    expect: {payload: {a: "
	single(t, newHost(t, nil), with(suite+"1}}\n"), nil)

	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), with(suite+"2}}\n"))
	h := newHost(t, nil)
	s, problems := h.Open(t.Context(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "p.wasm"}})
	defer s.Close()
	if len(problems) != 1 || problems[0].Path != "/plugins/0/source" || !strings.Contains(problems[0].Message, "fails its own tests") || !strings.Contains(problems[0].Message, "says it again") {
		t.Errorf("got %v", words(problems))
	}
	if len(h.versions) != 0 {
		t.Error("what failed is kept")
	}
}
