// Package plugintest runs the handlers of a plugin natively, under go test: no
// WebAssembly, no gateway, a debugger and the race detector if you like. Calls go
// through the frames of the ABI, and the host functions are fakes of this package.
//
//	test ──► Host.Call ──► frame ──► the handler ──► ctx.KVGet … ──► Host's fakes
//	test ◄── Answer ◄───── frame ◄────────┘
//
//	func TestGreet(t *testing.T) {
//		host := plugintest.New(t)
//		answer := host.Tool("greet", `{"name":"Ada"}`)
//		if answer.Text() != "Hello, Ada!" {
//			t.Errorf("%s", answer)
//		}
//	}
//
// A capability that the test does not give is denied, as in the gateway. Whole
// cases can stand in files: see Run.
package plugintest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
	"github.com/sallyport/sallyport/sdk/go/internal/host"
	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Host is a fake of the gateway for one test. Fields are set before a call and read
// after it.
type Host struct {
	// Meta is sent with every call, beside the tool's name.
	Meta map[string]string
	// Settings is the configuration: what Configure gets and Context.Config reads.
	Settings json.RawMessage
	// HTTP answers requests; nil denies them. A returned plugin.Code is what the
	// plugin gets, any other error is ErrUnavailable.
	HTTP func(plugin.Request) (*plugin.Response, error)
	// Secrets by name; nil denies, a name that is not there is not found.
	Secrets map[string]string
	// KV is the plugin's store; nil denies. New sets it.
	KV *Store
	// CallTool answers nested calls; nil denies them.
	CallTool func(name string, args json.RawMessage) (*plugin.Result, error)

	// What the plugin did.
	Logs     []Line
	Progress []Progress
	Metrics  map[string]float64 // counters added up, gauges and histograms as last seen
	Requests []plugin.Request   // HTTP, the denied ones too

	t testing.TB
}

// Line is one line of the log.
type Line struct {
	Level plugin.Level
	Text  string
}

// Progress is one progress notification.
type Progress struct{ Done, Total, Message string }

// New returns a host that gives the plugin a store and denies the rest.
func New(t testing.TB) *Host {
	t.Helper()
	return &Host{t: t, Meta: map[string]string{}, KV: NewStore(), Metrics: map[string]float64{}}
}

// A plugin runs one call at a time in an instance, and there is one instance here.
var turn sync.Mutex

// Call runs an export (tool_call, tools_list, response_transform, request_transform,
// authorize or configure) on a payload.
func (h *Host) Call(export string, meta map[string]string, payload []byte) *Answer {
	h.t.Helper()
	pairs := make([]frame.Pair, 0, len(h.Meta)+len(meta))
	for k, v := range meta {
		pairs = append(pairs, frame.Pair{Key: k, Value: v})
	}
	for k, v := range h.Meta {
		if _, ok := meta[k]; !ok {
			pairs = append(pairs, frame.Pair{Key: k, Value: v})
		}
	}
	in := frame.AppendIn(nil, pairs, payload)
	turn.Lock()
	defer turn.Unlock()
	host.Fake = fake{h}
	defer func() { host.Fake = refuser }()
	host.Forget()
	out := host.Call("sallyport_"+export, in)
	status, m, body, ok := frame.SplitOut(out)
	if !ok {
		h.t.Fatalf("%s answered with a broken frame: %x", export, out)
	}
	a := &Answer{t: h.t, Status: plugin.Status(status), Meta: map[string]string{}, Payload: append([]byte{}, body...)}
	for _, p := range m.Pairs() {
		a.Meta[p.Key] = p.Value
	}
	// The gateway overwrites its buffer with the next call: whoever kept a piece of
	// this one sees it here.
	for i := range in {
		in[i] = 0xdb
	}
	return a
}

var refuser = host.Fake

// Tool calls a tool with arguments in JSON.
func (h *Host) Tool(name, arguments string) *Answer {
	h.t.Helper()
	return h.Call("tool_call", map[string]string{"tool": name}, []byte(arguments))
}

// Configure hands the settings to the plugin, as the gateway does once for each
// instance.
func (h *Host) Configure(settings string) *Answer {
	h.t.Helper()
	h.Settings = json.RawMessage(settings)
	return h.Call("configure", nil, h.Settings)
}

// Tools returns the plugin's list of tools.
func (h *Host) Tools() []plugin.ToolInfo {
	h.t.Helper()
	a := h.Call("tools_list", nil, nil)
	var list struct {
		Tools []plugin.ToolInfo `json:"tools"`
	}
	if err := json.Unmarshal(a.Payload, &list); a.Status != plugin.StatusOK || err != nil {
		h.t.Fatalf("tools_list: %s", a)
	}
	return list.Tools
}

// Response runs the response transformer on a CallToolResult in JSON.
func (h *Host) Response(result string) *Answer {
	h.t.Helper()
	return h.Call("response_transform", nil, []byte(result))
}

// Request runs the request transformer on arguments in JSON.
func (h *Host) Request(arguments string) *Answer {
	h.t.Helper()
	return h.Call("request_transform", nil, []byte(arguments))
}

// Authorize runs the authorizer on arguments in JSON.
func (h *Host) Authorize(arguments string) *Answer {
	h.t.Helper()
	return h.Call("authorize", nil, []byte(arguments))
}

// Logged says whether a line of the log contains text.
func (h *Host) Logged(text string) bool {
	for _, l := range h.Logs {
		if strings.Contains(l.Text, text) {
			return true
		}
	}
	return false
}

// Answer is what a call was answered with.
type Answer struct {
	Status  plugin.Status
	Meta    map[string]string
	Payload []byte

	t testing.TB
}

// Result returns the CallToolResult as the gateway makes it of the answer: of plain
// text too, and of a tool error.
func (a *Answer) Result() *plugin.Result {
	a.t.Helper()
	r := new(plugin.Result)
	switch {
	case a.Status == plugin.StatusToolError:
		*r = plugin.Text(string(a.Payload))
		r.IsError = true
	case a.Status != plugin.StatusOK:
		a.t.Fatalf("the call was not answered with a result: %s", a)
	case strings.HasPrefix(a.Meta["mime"], "text/"):
		*r = plugin.Text(string(a.Payload))
	default:
		if err := r.UnmarshalJSON(a.Payload); err != nil {
			a.t.Fatalf("the answer is no CallToolResult: %v: %s", err, a)
		}
	}
	return r
}

// Text returns the text blocks of the result, one a line.
func (a *Answer) Text() string {
	a.t.Helper()
	var texts []string
	for _, c := range a.Result().Content {
		if c.Type == "text" {
			texts = append(texts, c.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// Structured decodes the structured content into v.
func (a *Answer) Structured(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Result().Structured, v); err != nil {
		a.t.Fatalf("structured content: %v: %s", err, a)
	}
}

// String returns status, meta and payload for messages of tests.
func (a *Answer) String() string {
	return fmt.Sprintf("%s %v %s", a.Status, a.Meta, a.Payload)
}

// Store is a key-value store in memory, with versions and expiry.
type Store struct {
	// Now tells the time; nil = time.Now. Tests of expiry set it.
	Now func() time.Time

	entries map[string]entry
	version uint64
}

type entry struct {
	value   []byte
	version uint64
	until   time.Time // zero = for ever
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{entries: map[string]entry{}} }

// Set puts a value in, without expiry.
func (s *Store) Set(key, value string) { s.set(key, []byte(value), 0, -1) }

// Get returns a value and whether it is there.
func (s *Store) Get(key string) (string, bool) {
	e, ok := s.get(key)
	return string(e.value), ok
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Store) get(key string) (entry, bool) {
	e, ok := s.entries[key]
	if ok && !e.until.IsZero() && !s.now().Before(e.until) {
		delete(s.entries, key)
		return entry{}, false
	}
	return e, ok
}

func (s *Store) set(key string, value []byte, ttl, version int64) int64 {
	if ttl < 0 || version < -1 {
		return host.Invalid
	}
	e, _ := s.get(key) // version 0 = there is none
	if version >= 0 && e.version != uint64(version) {
		return host.Conflict
	}
	s.version++
	e = entry{value: append([]byte(nil), value...), version: s.version}
	if ttl > 0 {
		e.until = s.now().Add(time.Duration(ttl) * time.Millisecond)
	}
	s.entries[key] = e
	return int64(s.version)
}

func (s *Store) remove(key string, version int64) int64 {
	e, ok := s.get(key)
	switch {
	case !ok:
		return host.NotFound
	case version != -1 && e.version != uint64(version):
		return host.Conflict
	}
	delete(s.entries, key)
	return 0
}
