package mcp

import (
	"context"
	"encoding/json"
	"fmt"
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
	h.tools = h.tools[:1]
	answer := core.TextResult(`{"id":1,"title":"Emma","price":12.5,"stock":3}`)
	h.call = func(context.Context, *core.Call) (*core.Result, error) { return answer, nil }
	return e, h, sessions
}

func benchmark(b *testing.B, e *Endpoint, h *fakeHandler, r *Request) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sink := &dropSink{}
	r.Handler = h
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
