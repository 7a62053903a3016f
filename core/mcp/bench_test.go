package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

type dropSink struct{ status, size int }

func (s *dropSink) Reply(status int, _ string, _ []core.Field, body []byte) {
	s.status, s.size = status, len(body)
}
func (s *dropSink) Stream([]core.Field) (Stream, error)       { return newFakeStream(nil), nil }
func (s *dropSink) Park([]core.Field, func()) (Stream, error) { return newFakeStream(nil), nil }

func benchEndpoint() (*Endpoint, *fakeHandler, *fakeSessions) {
	sessions := &fakeSessions{}
	e := New(Options{Sessions: sessions, Sealer: fakeSealer{}, Now: time.Now})
	h := newShop()
	h.tools, h.values = h.tools[:1], false
	answer := core.TextResult(`{"id":1,"title":"Emma","price":12.5,"stock":3}`)
	h.call = func(context.Context, *core.Call) (*core.Result, error) { return answer, nil }
	return e, h, sessions
}

func benchmark(b *testing.B, e *Endpoint, h *fakeHandler, r *Request) {
	b.Helper()
	ctx := core.NewLifetime(context.Background(), time.Time{}) // as the edge makes it
	defer ctx.Cancel(nil)
	sink := &dropSink{}
	r.Handler, r.Header = h, asLines(r.Header)
	b.ReportAllocs()
	for b.Loop() {
		e.Handle(ctx, r, sink)
	}
	if sink.status != 200 {
		b.Fatalf("status %d", sink.status)
	}
}

func BenchmarkCallEnvelope(b *testing.B) {
	e, h, _ := benchEndpoint()
	benchmark(b, e, h, modern("1", "tools/call", "greet", `"name":"greet","arguments":{"id":17,"currency":"EUR","lang":"en"}`))
}

func BenchmarkCallSession(b *testing.B) {
	e, h, sessions := benchEndpoint()
	s, _ := sessions.Create(context.Background(), Claims{Server: "shop", Revision: "2025-11-25"})
	benchmark(b, e, h, inSession(s.ID(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet","arguments":{"id":17,"currency":"EUR","lang":"en"}}}`))
}

// lines is a Header as the edge has it: found by comparing, and nothing allocated.
type lines struct {
	fields []core.Field
	one    [1]string
}

func (h *lines) Get(name string) string {
	for i := range h.fields {
		if f := &h.fields[i]; strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

func (h *lines) Values(name string) []string {
	if h.one[0] = h.Get(name); h.one[0] == "" {
		return nil
	}
	return h.one[:]
}

func asLines(h Header) Header {
	f, ok := h.(fields)
	if !ok {
		return h
	}
	out := &lines{}
	for name, values := range f {
		out.fields = append(out.fields, core.Field{Name: name, Value: values[0]})
	}
	return out
}

// wideCall is a call of about 1 KB as a client sends it, and wide an answer of about
// 1 KB of text and the same as structured content.
func wideCall(envelope bool) *Request {
	h := &lines{fields: []core.Field{
		{Name: "Host", Value: "127.0.0.1:8080"},
		{Name: "User-Agent", Value: "client/1"},
		{Name: "Content-Type", Value: "application/json"},
		{Name: "Accept", Value: "application/json, text/event-stream"},
	}}
	meta := ""
	if envelope {
		meta = `"_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
			`"io.modelcontextprotocol/clientInfo":{"name":"example-client","version":"1.2.3","title":"Example Client"},` +
			`"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}},`
		h.fields = append(h.fields, core.Field{Name: headerRevision, Value: "2026-07-28"},
			core.Field{Name: headerMethod, Value: "tools/call"}, core.Field{Name: headerName, Value: "greet"})
	}
	body := `{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{` + meta +
		`"name":"greet","arguments":{"id":17,"currency":"EUR","note":"` + strings.Repeat("a word or two, ", 40) + `"}}}`
	return &Request{Method: "POST", Body: []byte(body), ID: "test", Header: h}
}

func wide() *core.Result {
	object := `{"id":1,"title":"Emma","price":12.5,"stock":[` + strings.Repeat(`{"place":"Bath","copies":3,"shelf":"B"},`, 24) + `null]}`
	r := core.TextResult(object)
	r.Structured = json.RawMessage(object)
	return r
}

func benchWide(b *testing.B, revision string) {
	b.Helper()
	e, h, r := wideRig(b, revision)
	benchmark(b, e, h, r)
}

// wideRig is what a wide call needs; revision "" is the one with an envelope.
func wideRig(t testing.TB, revision string) (*Endpoint, *fakeHandler, *Request) {
	t.Helper()
	e, h, sessions := benchEndpoint()
	answer := wide()
	h.call = func(context.Context, *core.Call) (*core.Result, error) { return answer, nil }
	h.values = false
	r := wideCall(revision == "")
	if revision != "" {
		s, _ := sessions.Create(t.Context(), Claims{Server: "shop", Revision: revision})
		l := r.Header.(*lines)
		l.fields = append(l.fields, core.Field{Name: headerRevision, Value: revision}, core.Field{Name: headerSession, Value: s.ID()})
	}
	return e, h, r
}

func BenchmarkWideCallEnvelope(b *testing.B) { benchWide(b, "") }
func BenchmarkWideCallSession(b *testing.B)  { benchWide(b, "2025-11-25") }

// BenchmarkList300 must stay under 0.2 ms.
func BenchmarkList300(b *testing.B) {
	e, h, _ := benchEndpoint()
	h.tools = nil
	for i := range 300 {
		h.tools = append(h.tools, &core.Tool{
			Name: fmt.Sprintf("tool_%d", i), Title: "A tool", Description: "Does one thing and does it as well as it can be done by a tool.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{"id":{"type":"integer","description":"The number of the book"},"lang":{"type":"string","enum":["en","de","fr"]}},"required":["id"]}`),
			Annotations: json.RawMessage(`{"readOnlyHint":true,"openWorldHint":false}`),
		})
	}
	benchmark(b, e, h, modern("1", "tools/list", "", ""))
}

// The way to a handler and back stays short: this fails when something expensive gets
// onto it. (The race detector adds some: it empties pools.)
func TestCallAllocations(t *testing.T) {
	for revision, most := range map[string]float64{"": 6, "2025-11-25": 10} {
		e, h, r := wideRig(t, revision)
		r.Handler = h
		ctx, sink := core.NewLifetime(t.Context(), time.Time{}), &dropSink{}
		n := testing.AllocsPerRun(200, func() { e.Handle(ctx, r, sink) })
		ctx.Cancel(nil)
		if n > most || sink.status != 200 {
			t.Errorf("%q: %v allocations, want at most %v; status %d", revision, n, most, sink.status)
		}
	}
}
