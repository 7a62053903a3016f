package plugintest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Fixture is one case in a file: the world around a call, the call, and what it must
// be answered with. Files are JSON, which is YAML too.
//
//	{
//	  "name": "tells the weather",
//	  "kind": "tool_call",
//	  "config": {"units": "metric"},
//	  "meta": {"tool": "weather"},
//	  "payload": {"city": "Oslo"},
//	  "http": [{"request": {"method": "GET", "url": "https://api.weather.example/v1?q=Oslo"},
//	            "response": {"status": 200, "body": {"temperature_c": 4}}}],
//	  "expect": {"status": "ok", "result": {"content": [{"type": "text", "text": "4 °C"}]}}
//	}
type Fixture struct {
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`             // tool_call, tools_list, response_transform, request_transform, authorize, configure
	Config  json.RawMessage   `json:"config,omitempty"` // configures the plugin first
	Meta    map[string]string `json:"meta,omitempty"`
	Payload json.RawMessage   `json:"payload,omitempty"`
	HTTP    []Exchange        `json:"http,omitempty"`    // requests in order; absent = denied
	KV      map[string]string `json:"kv,omitempty"`      // the store before
	Secrets map[string]string `json:"secrets,omitempty"` // absent = denied
	Expect  Expect            `json:"expect"`
}

// Exchange is one HTTP request that is expected, and its answer.
type Exchange struct {
	Request struct {
		Method  string            `json:"method"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers,omitempty"` // these at least
		Body    json.RawMessage   `json:"body,omitempty"`    // a string is text, anything else JSON; absent = not looked at
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers,omitempty"`
		Body    json.RawMessage   `json:"body,omitempty"` // a string is text, anything else JSON
	} `json:"response"`
}

// Expect is what must come out. What is absent is not looked at.
type Expect struct {
	Status  string            `json:"status"`            // ok, unchanged, tool_error, …
	Payload json.RawMessage   `json:"payload,omitempty"` // equal as JSON
	Result  json.RawMessage   `json:"result,omitempty"`  // the CallToolResult, equal as JSON, also when the answer is plain text
	Text    *string           `json:"text,omitempty"`    // a part of the payload
	Meta    map[string]string `json:"meta,omitempty"`    // these at least
	KV      map[string]string `json:"kv,omitempty"`      // in the store afterwards, these at least
	Logs    []string          `json:"logs,omitempty"`    // parts of lines
}

// Run runs every fixture that the pattern matches, each as a test of its own. A
// file holds one fixture or an array of them. It fails when there is none.
func Run(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixture matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list []Fixture
		if b = bytes.TrimSpace(b); !bytes.HasPrefix(b, []byte("[")) {
			b = append(append([]byte("["), b...), ']')
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, f := range list {
			t.Run(f.Name, f.Run)
		}
	}
}

// Run runs one fixture.
func (f Fixture) Run(t *testing.T) {
	h := New(t)
	for key, value := range f.KV {
		h.KV.Set(key, value)
	}
	h.Secrets = f.Secrets
	rest := f.HTTP
	if f.HTTP != nil {
		h.HTTP = func(r plugin.Request) (*plugin.Response, error) {
			if len(rest) == 0 {
				t.Errorf("a request too many: %s %s", r.Method, r.URL)
				return nil, plugin.ErrDenied
			}
			next := rest[0]
			rest = rest[1:]
			next.check(t, r)
			response := &plugin.Response{Status: next.Response.Status, Body: raw(next.Response.Body)}
			for name, value := range next.Response.Headers {
				response.Header = append(response.Header, plugin.Field{Name: name, Value: value})
			}
			return response, nil
		}
	}
	if f.Config != nil && f.Kind != "configure" {
		if a := h.Configure(string(f.Config)); a.Status != plugin.StatusOK {
			t.Fatalf("configure: %s", a)
		}
	}
	payload := f.Payload
	if f.Kind == "configure" && payload == nil {
		payload = f.Config
	}
	f.Expect.check(t, h, h.Call(f.Kind, f.Meta, payload))
	if len(rest) > 0 {
		t.Errorf("%d expected requests were not made; the next is %s %s", len(rest), rest[0].Request.Method, rest[0].Request.URL)
	}
}

func (x Exchange) check(t *testing.T, r plugin.Request) {
	t.Helper()
	if r.Method != x.Request.Method || r.URL != x.Request.URL {
		t.Errorf("request %s %s, want %s %s", r.Method, r.URL, x.Request.Method, x.Request.URL)
	}
	for name, value := range x.Request.Headers {
		if got := r.Header.Get(name); got != value {
			t.Errorf("request header %s is %q, want %q", name, got, value)
		}
	}
	if want := x.Request.Body; want != nil && !bytes.Equal(r.Body, raw(want)) && !sameJSON(r.Body, want) {
		t.Errorf("request body %s, want %s", r.Body, want)
	}
}

func (e Expect) check(t *testing.T, h *Host, a *Answer) {
	t.Helper()
	if a.Status.String() != e.Status {
		t.Errorf("status %s, want %s", a, e.Status)
		return
	}
	if e.Payload != nil && !sameJSON(a.Payload, e.Payload) {
		t.Errorf("payload %s\nwant %s", a.Payload, e.Payload)
	}
	if e.Result != nil {
		got, err := a.Result().MarshalJSON()
		if err != nil || !sameJSON(got, e.Result) {
			t.Errorf("result %s %v\nwant %s", got, err, e.Result)
		}
	}
	if e.Text != nil && !strings.Contains(string(a.Payload), *e.Text) {
		t.Errorf("payload %s\nwithout %q", a.Payload, *e.Text)
	}
	for key, value := range e.Meta {
		if a.Meta[key] != value {
			t.Errorf("meta %s is %q, want %q", key, a.Meta[key], value)
		}
	}
	for key, value := range e.KV {
		if got, ok := h.KV.Get(key); !ok || got != value {
			t.Errorf("kv %s is %q (there: %v), want %q", key, got, ok, value)
		}
	}
	for _, line := range e.Logs {
		if !h.Logged(line) {
			t.Errorf("no line of the log contains %q: %v", line, h.Logs)
		}
	}
}

// raw returns a string's text, and anything else as its JSON.
func raw(b json.RawMessage) []byte {
	var s string
	if json.Unmarshal(b, &s) == nil {
		return []byte(s)
	}
	return b
}

func sameJSON(a, b []byte) bool {
	decode := func(b []byte) (any, bool) {
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		err := d.Decode(&v)
		return v, err == nil
	}
	x, ok := decode(a)
	y, fine := decode(b)
	return ok && fine && reflect.DeepEqual(x, y)
}
