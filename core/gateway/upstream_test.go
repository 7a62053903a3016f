package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// remotes is a fake of what keeps upstreams: each offers what it is told to, and notes what
// it is asked.
type remotes struct {
	mu       sync.Mutex
	offers   map[string]*core.Offer
	opened   []core.UpstreamConfig
	asked    []string // "name method what arguments"
	follows  map[string]int
	open     int // sets
	env      core.RemoteEnv
	revision string
	answer   func(method string, call *core.Call) (*core.Result, error)
	problems []core.Problem
}

func (r *remotes) Open(_ context.Context, configs []core.UpstreamConfig, env core.RemoteEnv) (core.RemoteSet, []core.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened, r.env = configs, env
	r.open++
	s := &remoteSet{r: r, of: map[string]core.Remote{}}
	for _, c := range configs {
		if !c.Disabled {
			s.of[c.Name] = &fakeRemote{r: r, name: c.Name, offer: r.offers[c.Name]}
		}
	}
	return s, r.problems
}

func (r *remotes) log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.asked
	r.asked = nil
	return all
}

type remoteSet struct {
	r  *remotes
	of map[string]core.Remote
}

func (s *remoteSet) Remote(name string) core.Remote { return s.of[name] }
func (s *remoteSet) Revision() string               { return s.r.revision }
func (s *remoteSet) Close() error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.open--
	return nil
}

type fakeRemote struct {
	r     *remotes
	name  string
	offer *core.Offer
}

func (f *fakeRemote) Name() string       { return f.name }
func (f *fakeRemote) Offer() *core.Offer { return f.offer }

func (f *fakeRemote) did(method string, call *core.Call) (*core.Result, error) {
	f.r.mu.Lock()
	f.r.asked = append(f.r.asked, fmt.Sprintf("%s %s %s %s", f.name, method, call.Tool, call.Arguments))
	answer := f.r.answer
	f.r.mu.Unlock()
	if answer != nil {
		return answer(method, call)
	}
	return core.TextResult(f.name + " " + call.Tool), nil
}

func (f *fakeRemote) CallTool(_ context.Context, call *core.Call) (*core.Result, error) {
	return f.did("call", call)
}

func (f *fakeRemote) GetPrompt(_ context.Context, call *core.Call) (*core.Result, error) {
	return f.did("get", call)
}

func (f *fakeRemote) ReadResource(_ context.Context, call *core.Call) (*core.Result, error) {
	return f.did("read", call)
}

func (f *fakeRemote) Complete(_ context.Context, call *core.Call, ask *core.CompleteRequest) (*core.Completion, error) {
	_, err := f.did("complete "+ask.RefType+" "+ask.Ref+" "+ask.Argument, call)
	return &core.Completion{Values: []string{ask.Value + "x"}, Total: 1}, err
}

func (f *fakeRemote) Follow(_ context.Context, uri string) (func(), error) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if f.r.follows == nil {
		f.r.follows = map[string]int{}
	}
	key := f.name + " " + uri
	f.r.follows[key]++
	return func() {
		f.r.mu.Lock()
		defer f.r.mu.Unlock()
		f.r.follows[key]--
	}, nil
}

func (r *remotes) following() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for key, n := range r.follows {
		if n != 0 {
			list = append(list, fmt.Sprint(key, " ", n))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// library is an upstream with one of everything.
func library() *core.Offer {
	return &core.Offer{
		Revision: "2025-11-25", Server: raw(`{"name":"lib","title":"The Library","version":"7"}`), Capabilities: raw(`{}`), Instructions: "Read before you ask.",
		Offers: core.Offers{Tools: true, Prompts: true, Resources: true, Completions: true, Subscribe: true},
		Tools: []json.RawMessage{
			raw(`{"name":"find","title":"Find","description":"finds","inputSchema":{"type":"object","properties":{"shelf":{"type":"string"},"n":{"type":"integer"},"key":{"type":"string"}},"required":["shelf","key"]},"x":[1],"_meta":{"ui":{"resourceUri":"ui://view/1","csp":{}},"ui/resourceUri":"ui://old"}}`),
			raw(`{"name":"Odd name!","inputSchema":{"type":"object","$ref":"#/nowhere"}}`),
		},
		Prompts: []json.RawMessage{raw(`{"name":"greet","arguments":[{"name":"who","required":true,"y":2}]}`)},
		Resources: []json.RawMessage{
			raw(`{"uri":"book://one","name":"one","size":5,"z":null}`), raw(`{"uri":"ui://view/1","name":"view"}`), raw(`{"uri":"notes/1","name":"note"}`),
		},
		Templates: []json.RawMessage{
			raw(`{"uriTemplate":"book://by/{author}","name":"by"}`), raw(`{"uriTemplate":"q://x{?a,b}","name":"query"}`), raw(`{"uriTemplate":"{+any}","name":"any"}`),
		},
	}
}

func up(name string) core.UpstreamConfig {
	return core.UpstreamConfig{Name: name, URL: "http://127.0.0.1:1/mcp"}
}

func mounted(mounts ...core.MountConfig) core.Config {
	config := core.Config{Servers: []core.ServerConfig{{Name: "shop", Upstreams: mounts}}}
	for _, m := range mounts {
		if !slices.ContainsFunc(config.Upstreams, func(u core.UpstreamConfig) bool { return u.Name == m.Upstream }) {
			config.Upstreams = append(config.Upstreams, up(m.Upstream))
		}
	}
	return config
}

func withRemotes(offers map[string]*core.Offer) (Options, *remotes) {
	o, r := testOptions(), &remotes{offers: offers}
	o.Remotes = r
	return o, r
}

// Everything of an upstream stands in a server under its prefix, and calls reach it under
// its own names.
func TestMount(t *testing.T) {
	o, r := withRemotes(map[string]*core.Offer{"lib": library()})
	g := publish(t, o, mounted(core.MountConfig{Upstream: "lib"}))
	h := find(t, g, "shop")
	ctx, who := context.Background(), core.Identity{}

	tools, err := h.ListTools(ctx, who, nil)
	if err != nil || len(tools.Items) != 2 {
		t.Fatalf("tools %v %v", tools, err)
	}
	find := tools.Items[0]
	if find.Name != "lib_find" || find.Title != "Find" || find.Description != "finds" || string(find.Extra) != `{"x":[1]}` ||
		string(find.Meta) != `{"ui":{"resourceUri":"ui://lib/view/1","csp":{}},"ui/resourceUri":"ui://lib/old"}` {
		t.Errorf("find is %+v", find)
	}
	if tools.Items[1].Name != "lib_Odd name!" {
		t.Errorf("the name of another is %q", tools.Items[1].Name)
	}
	result, err := h.CallTool(ctx, &core.Call{Tool: "lib_find", Arguments: raw(`{"shelf":"a","key":"k","big":12345678901234567890}`)})
	if err != nil || result.Content[0].Text != "lib find" {
		t.Errorf("call: %+v %v", result, err)
	}
	// Arguments that do not fit are refused here; where the schema is beyond us, the
	// upstream decides.
	if result, err := h.CallTool(ctx, &core.Call{Tool: "lib_find", Arguments: raw(`{"shelf":1,"key":"k"}`)}); err != nil || !result.Mismatch {
		t.Errorf("a wrong argument: %+v %v", result, err)
	}
	if _, err := h.CallTool(ctx, &core.Call{Tool: "lib_Odd name!", Arguments: raw(`{"a":1}`)}); err != nil {
		t.Error(err)
	}
	if _, err := h.GetPrompt(ctx, &core.Call{Tool: "lib_greet", Arguments: raw(`{"who":"me"}`)}); err != nil {
		t.Error(err)
	}
	for _, uri := range []string{"lib+book://one", "ui://lib/view/1", "lib:notes/1", "lib+book://by/me", "lib+q://x?a=1", "lib:anything", "lib+https://not.listed/x"} {
		if _, err := h.ReadResource(ctx, &core.Call{Tool: uri}); err != nil {
			t.Errorf("read %s: %v", uri, err)
		}
	}
	if _, err := h.Complete(ctx, who, &core.CompleteRequest{RefType: "ref/prompt", Ref: "lib_greet", Argument: "who", Value: "m"}); err != nil {
		t.Error(err)
	}
	if _, err := h.Complete(ctx, who, &core.CompleteRequest{RefType: "ref/resource", Ref: "lib+book://by/{author}", Argument: "author"}); err != nil {
		t.Error(err)
	}
	want := []string{
		`lib call find {"shelf":"a","key":"k","big":12345678901234567890}`, `lib call Odd name! {"a":1}`, `lib get greet {"who":"me"}`,
		`lib read book://one `, `lib read ui://view/1 `, `lib read notes/1 `, `lib read book://by/me `, `lib read q://x?a=1 `, `lib read anything `, `lib read https://not.listed/x `,
		`lib complete ref/prompt greet who greet {}`, `lib complete ref/resource book://by/{author} author book://by/{author} {}`,
	}
	got := r.log()
	for i := range got {
		if strings.Contains(got[i], " read ") { // the arguments are ours
			got[i] = got[i][:strings.LastIndexByte(got[i], ' ')+1]
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, uri := range []string{"book://one", "lib2+book://one", "lib", "other+x:y"} {
		if _, err := h.ReadResource(ctx, &core.Call{Tool: uri}); err == nil || core.AsError(err).Code != core.CodeResource {
			t.Errorf("read %s: %v", uri, err)
		}
	}
	resources, _ := h.ListResources(ctx, who, nil)
	if one := resources.Items[0]; one.URI != "lib+book://one" || *one.Size != 5 || string(one.Extra) != `{"z":null}` {
		t.Errorf("resource %+v", one)
	}
	prompts, _ := h.ListPrompts(ctx, who, nil)
	if a := prompts.Items[0].Arguments[0]; !a.Required || string(a.Extra) != `{"y":2}` {
		t.Errorf("argument %+v", a)
	}
	if h.Server().Instructions != "The tools and prompts whose names begin with lib_:\nRead before you ask." {
		t.Errorf("instructions %q", h.Server().Instructions)
	}
	if offers := h.Server().Offers; !offers.Completions || !offers.Subscribe || offers.Logging {
		t.Errorf("offers %+v", offers)
	}
}

// Where a server has no tools of its own, the route shows the upstream as it is.
func TestRoute(t *testing.T) {
	o, _ := withRemotes(map[string]*core.Offer{"lib": library()})
	config := mounted(core.MountConfig{Upstream: "lib"})
	g := publish(t, o, config)
	if g.Find("lib") != nil {
		t.Error("what a server leaves out stands open beside it")
	}
	yes := true
	config.Upstreams[0].Route = &yes
	republish(t, g, config)
	h := find(t, g, "lib")
	tools, _ := h.ListTools(context.Background(), core.Identity{}, nil)
	w := h.Server()
	if tools.Items[0].Name != "find" || string(tools.Items[0].Meta) != `{"ui":{"resourceUri":"ui://view/1","csp":{}},"ui/resourceUri":"ui://old"}` ||
		w.Title != "The Library" || w.Version != "7" || w.Instructions != "Read before you ask." {
		t.Errorf("%+v %+v", w, tools.Items[0])
	}
	if _, err := h.ReadResource(context.Background(), &core.Call{Tool: "book://one"}); err != nil {
		t.Error(err)
	}
	off, mounts := false, config.Servers[0].Upstreams
	config.Upstreams[0].Route, config.Servers[0].Upstreams = &off, nil
	republish(t, g, config)
	if g.Find("lib") != nil {
		t.Error("there is a route although route is false")
	}
	config.Upstreams[0].Route = nil
	republish(t, g, config)
	find(t, g, "lib").Release()
	config.Servers[0].Upstreams = mounts
	config.Upstreams[0].Route = nil
	config.Servers[0].Name = "lib"
	republish(t, g, config)
	if tools, _ := find(t, g, "lib").ListTools(context.Background(), core.Identity{}, nil); tools.Items[0].Name != "lib_find" {
		t.Error("a server of the name of an upstream gave way to its route")
	}
}

// What comes back names resources as clients know them.
func TestMountResults(t *testing.T) {
	o, r := withRemotes(map[string]*core.Offer{"lib": library()})
	r.answer = func(method string, _ *core.Call) (*core.Result, error) {
		switch method {
		case "read":
			return &core.Result{Contents: []core.ResourceContents{{URI: "book://one", Text: "once", Raw: raw(`{"uri":"book://one","text":"once","q":1}`)}}}, nil
		case "get":
			return &core.Result{Messages: []core.Message{{Role: "user", Content: core.Content{Type: "resource", Raw: raw(`{"type":"resource","resource":{"uri":"ui://view/1","text":"x"}}`)}}}}, nil
		}
		return &core.Result{Content: []core.Content{
			{Type: "resource_link", Raw: raw(`{"type":"resource_link","uri":"book://two","name":"two"}`)},
			{Type: "new", Raw: raw(`{"type":"new","uri":"book://stays"}`)},
		}}, nil
	}
	g := publish(t, o, mounted(core.MountConfig{Upstream: "lib"}))
	ctx := context.Background()
	h := find(t, g, "shop")
	call, err := h.CallTool(ctx, &core.Call{Tool: "lib_find", Arguments: raw(`{"shelf":"a","key":"k"}`)})
	if err != nil || string(call.Content[0].Raw) != `{"type":"resource_link","uri":"lib+book://two","name":"two"}` || string(call.Content[1].Raw) != `{"type":"new","uri":"book://stays"}` {
		t.Errorf("call %v %v", call, err)
	}
	read, err := h.ReadResource(ctx, &core.Call{Tool: "lib+book://one"})
	if err != nil || string(read.Contents[0].Raw) != `{"uri":"lib+book://one","text":"once","q":1}` || read.Contents[0].URI != "lib+book://one" {
		t.Errorf("read %v %v", read, err)
	}
	get, err := h.GetPrompt(ctx, &core.Call{Tool: "lib_greet", Arguments: raw(`{"who":"x"}`)})
	if err != nil || string(get.Messages[0].Content.Raw) != `{"type":"resource","resource":{"uri":"ui://lib/view/1","text":"x"}}` {
		t.Errorf("get %v %v", get, err)
	}
}

// What is held back or denied cannot be used under any name.
func TestMountBars(t *testing.T) {
	offer := library()
	offer.Held = []core.HeldDefinition{{Of: "resource", Name: "secret://1"}, {Of: "template", Name: "vault://{id}"}, {Of: "tool", Name: "steal"}}
	offer.Templates = offer.Templates[:1]
	for _, prefix := range []string{"", "lib"} {
		o, r := withRemotes(map[string]*core.Offer{"lib": offer})
		g := publish(t, o, mounted(core.MountConfig{
			Upstream: "lib", Prefix: &prefix,
			Tools: &core.SelectConfig{Allow: []string{"f*"}}, Prompts: &core.SelectConfig{Deny: []string{"greet"}},
			Resources: &core.SelectConfig{Deny: []string{"book://one", "*private*"}},
		}))
		h := find(t, g, "shop")
		name, outward := func(s string) string { return s }, func(s string) string { return s }
		if prefix != "" {
			name, outward = func(s string) string { return "lib_" + s }, func(s string) string { return "lib+" + s }
		}
		ctx := context.Background()
		for _, tool := range []string{"Odd name!", "steal", "unheard"} {
			if _, err := h.CallTool(ctx, &core.Call{Tool: name(tool), Arguments: raw(`{}`)}); err == nil || core.AsError(err).Code != core.CodeNotFound {
				t.Errorf("call %s: %v", tool, err)
			}
		}
		if _, err := h.GetPrompt(ctx, &core.Call{Tool: name("greet")}); err == nil {
			t.Error("a denied prompt was given")
		}
		for _, uri := range []string{"secret://1", "vault://7", "book://one", "book://by/private"} {
			if _, err := h.ReadResource(ctx, &core.Call{Tool: outward(uri)}); err == nil || core.AsError(err).Code != core.CodeResource {
				t.Errorf("read %s: %v", uri, err)
			}
			if _, err := h.Follow(ctx, core.Identity{}, outward(uri)); err == nil {
				t.Errorf("follow %s worked", uri)
			}
		}
		if asked := r.log(); len(asked) > 0 {
			t.Errorf("the upstream was asked %q", asked)
		}
		for _, uri := range []string{"book://by/me", "else://where"} {
			if _, err := h.ReadResource(ctx, &core.Call{Tool: outward(uri)}); err != nil {
				t.Errorf("read %s: %v", uri, err)
			}
		}
	}
}

// An URI without a prefix that no list has is told to nobody where two could have it.
func TestUnlistedIsNobodys(t *testing.T) {
	none := ""
	a, b := library(), &core.Offer{Offers: core.Offers{Resources: true}, Resources: []json.RawMessage{raw(`{"uri":"other://1","name":"o"}`)}}
	o, r := withRemotes(map[string]*core.Offer{"a": a, "b": b})
	a.Templates = nil
	h := find(t, publish(t, o, mounted(core.MountConfig{Upstream: "a", Prefix: &none}, core.MountConfig{Upstream: "b", Prefix: &none})), "shop")
	if _, err := h.ReadResource(context.Background(), &core.Call{Tool: "who://knows"}); err == nil || len(r.log()) > 0 {
		t.Errorf("an upstream was told of a resource of another: %v", err)
	}
	if _, err := h.ReadResource(context.Background(), &core.Call{Tool: "other://1"}); err != nil {
		t.Error(err)
	}
}

func TestOverrides(t *testing.T) {
	o, r := withRemotes(map[string]*core.Offer{"lib": library()})
	config := mounted(core.MountConfig{Upstream: "lib", Separator: ".", Overrides: map[string]core.OverrideConfig{"find": {
		Title: "Seek", Description: "seeks", Annotations: raw(`{"readOnlyHint": true}`),
		Arguments: map[string]core.ArgumentConfig{
			"key": {Fixed: raw(`"sesame"`)}, "shelf": {Default: raw(`"top"`), Description: "which"}, "n": {Hidden: true},
		},
	}}})
	h := find(t, publish(t, o, config), "shop")
	ctx := context.Background()
	tool := h.Tool(ctx, core.Identity{}, "lib.find")
	if tool == nil || tool.Title != "Seek" || tool.Description != "seeks" || string(tool.Annotations) != `{"readOnlyHint":true}` ||
		string(tool.InputSchema) != `{"type":"object","properties":{"shelf":{"type":"string","description":"which","default":"top"}}}` {
		t.Fatalf("tool %+v", tool)
	}
	for sent, want := range map[string]string{
		`{}`:                                 `{"key":"sesame","shelf":"top"}`,
		`{"shelf":"low","key":"mine","n":5}`: `{"shelf":"low","key":"sesame"}`,
	} {
		if _, err := h.CallTool(ctx, &core.Call{Tool: "lib.find", Arguments: raw(sent)}); err != nil {
			t.Fatal(err)
		}
		if got := r.log(); len(got) != 1 || got[0] != "lib call find "+want {
			t.Errorf("sent %s: %q", sent, got)
		}
	}
}

// Null for what is left out goes through to an upstream; what a schema requires does not.
func TestNullsOfUpstreams(t *testing.T) {
	o, r := withRemotes(map[string]*core.Offer{"lib": library()})
	h := find(t, publish(t, o, mounted(core.MountConfig{Upstream: "lib", Separator: "."})), "shop")
	for sent, wanted := range map[string]bool{
		`{"shelf":"low","key":"k","n":null}`:   true,
		`{"shelf":"low","key":"k","n":"five"}`: false,
		`{"shelf":"low","key":null}`:           false,
		`{"shelf":5,"key":"k","n":null}`:       false,
	} {
		result, err := h.CallTool(context.Background(), &core.Call{Tool: "lib.find", Arguments: raw(sent)})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.log(); (len(got) == 1) != wanted || result.IsError == wanted || wanted && got[0] != "lib call find "+sent {
			t.Errorf("sent %s: %q, isError = %v", sent, got, result.IsError)
		}
	}
}

// Names are told apart, whatever they are: what the prefix adds can be taken off again in
// one way only.
func TestMountNamesAreInjective(t *testing.T) {
	a, b := &mount{prefix: "a", names: "a_"}, &mount{prefix: "a-b", names: "a-b_"}
	uris := []string{"x:y", "ui://x", "ui://", "a+x:y", "a:x", "notes", "+x", ":x", "a-b+x:y", "b+x:y", "ui://a/x", "http://h/p?q#f", "{+x}", ""}
	seen := map[string]string{}
	for _, m := range []*mount{a, b} {
		for _, uri := range uris[:len(uris)-1] {
			out := m.outward(uri)
			if before, twice := seen[out]; twice {
				t.Errorf("%s and %s of %s are both %s", before, uri, m.prefix, out)
			}
			seen[out] = m.prefix + " " + uri
			if in, ok := m.inward(out); !ok || in != uri {
				t.Errorf("%s of %s is %s, and that is %q %t", uri, m.prefix, out, in, ok)
			}
		}
	}
	for out, of := range seen {
		for _, m := range []*mount{a, b} {
			if _, ok := m.inward(out); ok && !strings.HasPrefix(of, m.prefix+" ") {
				t.Errorf("%s is %s, and %s claims it", out, of, m.prefix)
			}
		}
	}
}

func TestMountMistakes(t *testing.T) {
	some := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		change func(*core.Config)
		path   string
		says   string
	}{
		"unknown upstream": {func(c *core.Config) { c.Servers[0].Upstreams[0].Upstream = "lob" }, "/servers/0/upstreams/0/upstream", `did you mean "lib"?`},
		"separator in it": {func(c *core.Config) {
			c.Servers[0].Upstreams[0].Separator = "-"
			c.Servers[0].Upstreams[0].Prefix = some("a-b")
		}, "/servers/0/upstreams/0/prefix", "holds the separator"},
		"prefix of a digit": {func(c *core.Config) { c.Servers[0].Upstreams[0].Prefix = some("1a") }, "/servers/0/upstreams/0/prefix", "beginning with a letter"},
		"separator":         {func(c *core.Config) { c.Servers[0].Upstreams[0].Separator = "/" }, "/servers/0/upstreams/0/separator", "cannot stand between"},
		"twice": {func(c *core.Config) {
			c.Servers[0].Upstreams = append(c.Servers[0].Upstreams, c.Servers[0].Upstreams[0])
		}, "/servers/0/upstreams/1/upstream", "twice with the same prefix"},
		"clash with another": {func(c *core.Config) {
			c.Servers[0].Upstreams = []core.MountConfig{{Upstream: "lib", Prefix: some("")}, {Upstream: "two", Prefix: some("")}}
		}, "/servers/0/upstreams/1", `tool "find" of upstream "two" has the name of one of upstream "lib"`},
		"clash with its own": {func(c *core.Config) {
			c.Servers[0].Tools = []core.ToolConfig{{Name: "lib_find", Invoker: echoes(`{}`)}}
		}, "/servers/0/upstreams/0", "has the name of one of the document itself"},
		"two of an argument": {func(c *core.Config) {
			c.Servers[0].Upstreams[0].Overrides = map[string]core.OverrideConfig{"find": {Arguments: map[string]core.ArgumentConfig{"n": {Hidden: true, Fixed: raw("1")}}}}
		}, "/servers/0/upstreams/0/overrides/find/arguments/n", "at most one of"},
		"timeout": {func(c *core.Config) { c.Servers[0].Upstreams[0].Timeout = "6m" }, "/servers/0/upstreams/0/timeout", "out of range"},

		"no name":          {func(c *core.Config) { c.Upstreams[0].Name = "" }, "/upstreams/0/name", "name is required"},
		"name":             {func(c *core.Config) { c.Upstreams[0].Name = "My Lib" }, "/upstreams/0/name", "for example my-lib"},
		"two of a name":    {func(c *core.Config) { c.Upstreams[1].Name = "lib" }, "/upstreams/1/name", "another upstream"},
		"nowhere":          {func(c *core.Config) { c.Upstreams[0].URL = "" }, "/upstreams/0", "give it a url, a connection or a command"},
		"url and command":  {func(c *core.Config) { c.Upstreams[0].Command = []string{"/bin/x"} }, "/upstreams/0/command", "url and command"},
		"stdio with a url": {func(c *core.Config) { c.Upstreams[0].Transport = "stdio" }, "/upstreams/0/transport", "for a process"},
		"transport":        {func(c *core.Config) { c.Upstreams[0].Transport = "websocket" }, "/upstreams/0/transport", "no transport"},
		"env with a url":   {func(c *core.Config) { c.Upstreams[0].Env = map[string]string{"A": "b"} }, "/upstreams/0/env", "goes with command"},
		"user in the url":  {func(c *core.Config) { c.Upstreams[0].URL = "http://u:p@h/" }, "/upstreams/0/url", "user name or a password"},
		"scheme":           {func(c *core.Config) { c.Upstreams[0].URL = "ftp://h/" }, "/upstreams/0/url", "scheme"},
		"header":           {func(c *core.Config) { c.Upstreams[0].Headers = map[string]string{"Mcp-Session-Id": "1"} }, "/upstreams/0/headers", "belongs to the protocol"},
		"credential": {func(c *core.Config) {
			c.Upstreams[0].Credential = &core.CredentialConfig{Type: "header", Name: "Accept", Value: "x"}
		}, "/upstreams/0/credential/name", "belongs to the protocol"},
		"accounts of callers": {func(c *core.Config) {
			c.Upstreams[0].Credential = &core.CredentialConfig{Type: "user", Connector: "crm"}
		}, "/upstreams/0/credential/type", "accounts of callers"},
		"accounts of callers by a connection": {func(c *core.Config) {
			c.Connections = []core.ConnectionConfig{{Name: "crm", BaseURL: "https://crm.example", Credential: &core.CredentialConfig{Type: "user", Connector: "crm"}}}
			c.Upstreams[0].URL, c.Upstreams[0].Connection = "", "crm"
		}, "/upstreams/0/connection", "accounts of callers"},
		"revision":           {func(c *core.Config) { c.Upstreams[0].Revision = "2025-01-01" }, "/upstreams/0/revision", "no revision"},
		"sse of a late one":  {func(c *core.Config) { c.Upstreams[0].Transport, c.Upstreams[0].Revision = "sse", "2026-07-28" }, "/upstreams/0/revision", "has no HTTP+SSE"},
		"definitions":        {func(c *core.Config) { c.Upstreams[0].Definitions = "trust" }, "/upstreams/0/definitions", "no policy"},
		"idle":               {func(c *core.Config) { c.Upstreams[0].Idle = "5m" }, "/upstreams/0/idle", "start: idle_stop"},
		"unknown connection": {func(c *core.Config) { c.Upstreams[0].URL, c.Upstreams[0].Connection = "", "crm" }, "/upstreams/0/connection", "no connection"},
		"route of a server":  {func(c *core.Config) { yes := true; c.Upstreams[0].Route = &yes; c.Servers[0].Name = "lib" }, "/upstreams/0/name", "another server"},
	} {
		o, _ := withRemotes(map[string]*core.Offer{"lib": library(), "two": library()})
		config := mounted(core.MountConfig{Upstream: "lib"})
		config.Upstreams = append(config.Upstreams, up("two"))
		c.change(&config)
		catalog, problems := Build(context.Background(), config, o)
		if catalog != nil {
			catalog.Close()
			t.Errorf("%s: it was built", name)
		}
		if !slices.ContainsFunc(problems, func(p core.Problem) bool {
			return !p.Warning && p.Path == c.path && strings.Contains(p.Message+"; "+p.Fix, c.says)
		}) {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

// What is wrong with what an upstream has now is told, and stops nothing.
func TestMountWarnings(t *testing.T) {
	offer := library()
	offer.Held = []core.HeldDefinition{{Of: "tool", Name: "new"}}
	o, r := withRemotes(map[string]*core.Offer{"lib": offer})
	config := mounted(core.MountConfig{
		Upstream: "lib", Tools: &core.SelectConfig{Allow: []string{"find", "fnid"}}, Resources: &core.SelectConfig{Deny: []string{"gone://*"}},
		Overrides: map[string]core.OverrideConfig{"found": {}, "find": {Arguments: map[string]core.ArgumentConfig{"key": {Hidden: true}, "none": {Fixed: raw("1")}}}},
	}, core.MountConfig{Upstream: "away"})
	config.Upstreams = append(config.Upstreams, core.UpstreamConfig{Name: "off", URL: "http://h/", Disabled: true})
	config.Servers[0].Upstreams = append(config.Servers[0].Upstreams, core.MountConfig{Upstream: "off"})
	catalog, problems := Build(context.Background(), config, o)
	if catalog == nil {
		t.Fatalf("%+v", problems)
	}
	for _, says := range []string{
		`upstream "lib" has 1 definitions that wait`, `upstream "away" was not reached yet`, `"fnid" matches nothing`, `"gone://*" matches nothing`,
		`has no tool "found" now`, `no argument "none" now`, `requires the argument "key"`,
	} {
		if !slices.ContainsFunc(problems, func(p core.Problem) bool { return p.Warning && strings.Contains(p.Message, says) }) {
			t.Errorf("nothing says %s in %+v", says, problems)
		}
	}
	catalog.Close()
	if r.open != 0 {
		t.Errorf("%d sets are open", r.open)
	}
	if len(r.opened) != 3 || r.env.Connection(&r.opened[0]).BaseURL.String() != "http://127.0.0.1:1/mcp" {
		t.Errorf("opened %+v", r.opened)
	}
}

// The revision of the documents moves when what upstreams offer does, and clients are told
// of what changed.
func TestUpstreamChangesAreTold(t *testing.T) {
	offers := map[string]*core.Offer{"lib": library()}
	o, r := withRemotes(offers)
	r.revision = "1"
	config := mounted(core.MountConfig{Upstream: "lib"})
	g := publish(t, o, config)
	before := g.Revision()
	h := find(t, g, "shop")
	changes := make(chan core.Change, 10)
	defer h.Changes(core.Identity{}, func(c core.Change) { changes <- c })()
	stop, err := h.Follow(context.Background(), core.Identity{}, "lib+book://one")
	if err != nil || r.following() != "lib book://one 1" {
		t.Fatalf("%v, following %s", err, r.following())
	}
	g.UpstreamChanged("lib", "book://one")
	if c := <-changes; c.Kind != core.ResourceUpdated || c.URI != "lib+book://one" {
		t.Errorf("told %+v", c)
	}
	next := library()
	next.Tools = next.Tools[:1]
	r.mu.Lock()
	r.revision, r.offers = "2", map[string]*core.Offer{"lib": next}
	r.mu.Unlock()
	republish(t, g, config)
	if c := <-changes; c.Kind != core.ToolsChanged || g.Revision() == before {
		t.Errorf("told %+v, revision %s", c, g.Revision())
	}
	// The subscription lives on, and is that of the new upstream alone.
	for r.following() != "lib book://one 1" {
		time.Sleep(time.Millisecond)
	}
	g.follows.work.Wait()
	stop()
	if r.following() != "" {
		t.Errorf("still following %s", r.following())
	}
	if _, err := h.Follow(context.Background(), core.Identity{}, "none://"); !errors.As(err, new(*core.Error)) {
		t.Errorf("following what is not there: %v", err)
	}
}

// Servers that have an upstream as it is pass on that it says that a list changed; the
// others tell when theirs did.
func TestUpstreamListed(t *testing.T) {
	o, _ := withRemotes(map[string]*core.Offer{"lib": library()})
	config := mounted(core.MountConfig{Upstream: "lib"})
	yes := true
	config.Upstreams[0].Route = &yes
	g := publish(t, o, config)
	told := make(chan string, 10)
	for _, name := range []string{"shop", "lib"} {
		h := find(t, g, name)
		defer h.Changes(core.Identity{}, func(c core.Change) { told <- fmt.Sprint(name, " ", c.Kind) })()
	}
	g.UpstreamListed("other", core.ToolsChanged)
	g.UpstreamListed("lib", core.PromptsChanged)
	if got := <-told; got != fmt.Sprint("lib ", core.PromptsChanged) || len(told) != 0 {
		t.Errorf("told %s, and %d more", got, len(told))
	}
}
