package selftest

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/hostcall"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/result"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// scene is the outside of one case: everything that the plugin can reach, made up. It
// notes what is asked of it.
type scene struct {
	one   *Case
	host  *hostcall.Host
	store *store

	mu       sync.Mutex
	http     int // exchanges that were used
	tools    int
	progress int
	logs     []string
	wrong    differences // what was asked for and not expected
}

// newScene builds the outside of a case. All that the manifest asks for is granted.
func newScene(ctx context.Context, m *manifest.Manifest, s *Suite, c *Case, config json.RawMessage, now func() time.Time) (*scene, error) {
	o := &scene{one: c, store: &store{memory: hostcall.NewMemory(now)}}
	for key, value := range c.KV {
		if _, err := o.store.memory.Set(ctx, "", key, value, 0, -1, int64(manifest.MaxKV)); err != nil {
			return nil, &core.Error{Code: core.CodeInvalid, Message: s.File + ": " + c.Name + ": seed the key " + quoted(key), Err: err, Fix: "keep to the limits of the store (sdk/ABI.md section 9)"}
		}
	}
	secrets := make(map[string]core.Secret, len(s.Secrets))
	for _, name := range m.Capabilities.SecretNames() {
		secrets[name] = core.Secret("secret-" + name) // what the fixture does not give has a value all the same
	}
	maps.Copy(secrets, s.Secrets)
	var err error
	o.host, err = hostcall.New(hostcall.Options{
		Plugin: m.Name, Granted: m.Capabilities, Config: config, Secrets: secrets,
		Dial: fakeEgress{o}, KV: o.store, Observer: core.NoObserver{}, Log: slog.New(slog.DiscardHandler), Now: now,
	})
	return o, err
}

// call is what the host functions may know of the case's call.
func (o *scene) call() *core.Call {
	meta := func(key string) string { v, _ := abi.Get(o.one.Meta, key); return v }
	c := &core.Call{
		Server: meta(abi.MetaServer), Tool: meta(abi.MetaTool), Arguments: json.RawMessage("{}"), Progress: true,
		Inside: fakeHandler{scene: o},
		Notify: func(n core.Notification) {
			if n.Method == "notifications/progress" {
				o.mu.Lock()
				o.progress++
				o.mu.Unlock()
			}
		},
	}
	if o.one.Call == abi.ToolCall && len(o.one.Payload) > 0 {
		c.Arguments = o.one.Payload
	}
	return c
}

// log notes a line.
func (o *scene) log(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.logs) < 1000 {
		o.logs = append(o.logs, string(text))
	}
}

// unused tells what was expected and not asked for.
func (o *scene) unused(d *differences) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d.lines = append(d.lines, o.wrong.lines...)
	for n := o.http; n < len(o.one.HTTP); n++ {
		e := &o.one.HTTP[n]
		d.add("/http/%d: expected a request (%s), got none", n, strings.TrimSpace(e.Method+" "+e.URL))
	}
	for n := o.tools; n < len(o.one.Tools); n++ {
		d.add("/tools/%d: expected a call of %s, got none", n, o.one.Tools[n].Tool)
	}
}

// busy reports whether anything but the log was asked for.
func (o *scene) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.http > 0 || o.tools > 0 || len(o.wrong.lines) > 0 || o.store.used()
}

// store is a memory store that is one namespace, whatever the plugin's is called.
type store struct {
	memory *hostcall.Memory
	mu     sync.Mutex
	asked  bool
}

func (s *store) note() {
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
}

func (s *store) used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Get reads a key.
func (s *store) Get(ctx context.Context, _, key string) ([]byte, uint64, error) {
	s.note()
	return s.memory.Get(ctx, "", key)
}

// Set writes a key.
func (s *store) Set(ctx context.Context, _, key string, value []byte, ttl time.Duration, version, quota int64) (uint64, error) {
	s.note()
	return s.memory.Set(ctx, "", key, value, ttl, version, quota)
}

// Delete removes a key.
func (s *store) Delete(ctx context.Context, _, key string, version int64) error {
	s.note()
	return s.memory.Delete(ctx, "", key, version)
}

// List lists keys.
func (s *store) List(ctx context.Context, _, prefix, after string, limit int) ([]hostcall.Entry, error) {
	s.note()
	return s.memory.List(ctx, "", prefix, after, limit)
}

// all returns what is in the store.
func (s *store) all(ctx context.Context) (map[string][]byte, error) {
	found := map[string][]byte{}
	for after := ""; ; {
		entries, err := s.memory.List(ctx, "", "", after, 64)
		if err != nil || len(entries) == 0 {
			return found, err
		}
		for _, e := range entries {
			value, _, err := s.memory.Get(ctx, "", e.Key)
			if err != nil {
				return found, err
			}
			found[e.Key], after = value, e.Key
		}
	}
}

// fakeEgress answers requests as the case says.
type fakeEgress struct{ scene *scene }

// Open returns the upstream of a base URL.
func (f fakeEgress) Open(c *core.Connection) (core.Upstream, error) {
	return fakeUpstream{scene: f.scene, connection: c}, nil
}

type fakeUpstream struct {
	scene      *scene
	connection *core.Connection
}

// Close does nothing.
func (fakeUpstream) Close() error { return nil }

// Do compares a request with the next that is expected, and gives its answer.
func (f fakeUpstream) Do(_ context.Context, request *core.Request) (*core.Response, error) {
	got := *f.connection.BaseURL
	target := strings.TrimSuffix(got.EscapedPath(), "/") + "/" + strings.TrimPrefix(request.Path, "/")
	if path, err := url.PathUnescape(target); err == nil {
		got.Path, got.RawPath = path, target
	}
	got.RawQuery, got.Fragment = request.Query, ""
	headers := make([]abi.Pair, 0, len(request.Header))
	for _, h := range slices.Concat(f.connection.Header, request.Header) {
		headers = append(headers, abi.Pair{Key: h.Name, Value: h.Value})
	}
	for name, value := range f.connection.Secret {
		headers = append(headers, abi.Pair{Key: name, Value: value.Reveal()})
	}

	o := f.scene
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.http >= len(o.one.HTTP) {
		o.wrong.add("/http/%d: expected no further request, got %s %s", o.http, request.Method, got.String())
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "the fixture expects no such request"}
	}
	e := &o.one.HTTP[o.http]
	where := "/http/" + itoa(o.http) + "/request"
	o.http++
	if e.Method != "" && e.Method != request.Method {
		o.wrong.add("%s/method: expected %s, got %s", where, e.Method, request.Method)
	}
	if e.URL != "" && !sameURL(e.URL, &got) {
		o.wrong.add("%s/url: expected %s, got %s", where, e.URL, got.String())
	}
	o.wrong.pairs(where+"/headers", e.Headers, headers, strings.EqualFold)
	o.wrong.content(where+"/body", e.Body, request.Body)
	return e.answer()
}

func (e *Exchange) answer() (*core.Response, error) {
	if e.Fails != "" {
		return nil, &core.Error{Code: core.Code(e.Fails), Message: "the fixture says so"}
	}
	r := &core.Response{Status: e.Status, Body: e.Response}
	for _, h := range e.Answer {
		r.Header = append(r.Header, core.Field{Name: h.Key, Value: h.Value})
	}
	return r, nil
}

// sameURL compares what goes on the wire; the order of query parameters does not count.
func sameURL(want string, got *url.URL) bool {
	w, err := url.Parse(want)
	if err != nil || !strings.EqualFold(w.Scheme, got.Scheme) || !strings.EqualFold(hostOf(w), hostOf(got)) {
		return false
	}
	path := func(u *url.URL) string { return "/" + strings.TrimPrefix(u.EscapedPath(), "/") }
	if path(w) != path(got) {
		return false
	}
	return w.RawQuery == got.RawQuery || w.Query().Encode() == got.Query().Encode()
}

func hostOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return u.Hostname() + ":" + port
}

// fakeHandler answers call_tool as the case says. Nothing else of a server is there.
type fakeHandler struct {
	core.Handler
	scene *scene
}

// CallTool compares a call with the next that is expected, and gives its answer.
func (f fakeHandler) CallTool(_ context.Context, call *core.Call) (*core.Result, error) {
	o := f.scene
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tools >= len(o.one.Tools) {
		o.wrong.add("/tools/%d: expected no further call, got one of %s", o.tools, call.Tool)
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "the fixture expects no such call"}
	}
	t := &o.one.Tools[o.tools]
	where := "/tools/" + itoa(o.tools)
	o.tools++
	if t.Tool != call.Tool {
		o.wrong.add("%s/tool: expected %s, got %s", where, t.Tool, call.Tool)
	}
	if t.Arguments != nil {
		o.wrong.content(where+"/arguments", &Content{JSON: t.Arguments}, call.Arguments)
	}
	switch t.Status {
	case abi.OK:
		return result.Parse(t.Result)
	case abi.ToolError:
		return core.ErrorResult(t.Text), nil
	}
	return nil, &core.Error{Code: codes[t.Status], Message: t.Text}
}

// codes are the errors of the gateway behind the statuses of a tool that failed.
var codes = map[abi.Status]core.Code{
	abi.InvalidArgs: core.CodeInvalid, abi.UnknownTool: core.CodeNotFound, abi.Denied: core.CodeDenied,
	abi.Unavailable: core.CodeUnavailable, abi.Internal: core.CodeInternal,
}

var (
	_ hostcall.Store = (*store)(nil)
	_ core.Egress    = fakeEgress{}
	_ core.Handler   = fakeHandler{}
	_ sandbox.Host   = (*stage)(nil)
)
