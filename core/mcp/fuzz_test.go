package mcp

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// FuzzMessage: any body is refused or understood in one way: what parse takes is
// JSON that the standard library reads, with the same method and id.
func FuzzMessage(f *testing.F) {
	for _, m := range malformed {
		if len(m.body) < 1000 {
			f.Add([]byte(m.body))
		}
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{"name":"x","arguments":{"a":[1,2]},"_meta":{"progressToken":1}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, fault := parse(body)
		if fault != nil {
			return
		}
		var plain struct {
			Version string          `json:"jsonrpc"`
			ID      any             `json:"id"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(body, &plain); err != nil {
			t.Fatalf("taken, but the standard library says %v", err)
		}
		if plain.Version != "2.0" || plain.Method != m.method || (plain.ID == nil) != (m.id == nil) {
			t.Fatalf("read as %q %q %v, by the standard library as %+v", m.method, m.id, m.params, plain)
		}
	})
}

// FuzzHandle: any body, on any transport, gets exactly one valid answer.
func FuzzHandle(f *testing.F) {
	for _, m := range malformed {
		if len(m.body) < 1000 {
			f.Add([]byte(m.body), uint8(0))
		}
	}
	const says = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	for i, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet",` + says + `}}`,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + says + `}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"progress"}}]`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"a","value":"b"},` + says + `}}`,
	} {
		for kind := range uint8(4) {
			f.Add([]byte(seed), kind+uint8(i)*4)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		sessions := &fakeSessions{}
		e := New(Options{Sessions: sessions, Sealer: fakeSealer{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		h := newShop()
		h.call = func(_ context.Context, call *core.Call) (*core.Result, error) {
			call.Notify(progress(1, 2, "x"))
			return core.TextResult("x"), nil
		}
		r := post(string(body))
		r.Handler = h
		s, _ := sessions.Create(t.Context(), Claims{Server: "shop", Revision: revisions[1+int(kind>>2)%4].Name})
		switch kind % 4 {
		case 0:
			r.with(headerSession, s.ID())
		case 1:
			r.with(headerRevision, "2026-07-28", headerMethod, "tools/call", headerName, "greet")
		case 2:
			r.Transport, r.SessionID = SSEMessage, s.ID()
			s.claims.SSE = true
			s.attach(newFakeStream(nil))
		}
		sink := newFakeSink()
		e.Handle(t.Context(), r, sink)
		e.Drain(t.Context())
		s.Close()
		if sink.calls != 1 {
			t.Fatalf("answered %d times", sink.calls)
		}
		if sink.body != "" && !json.Valid([]byte(sink.body)) {
			t.Fatalf("answer %q", sink.body)
		}
		if n := h.released.Load(); n != 1 {
			t.Fatalf("the handler was released %d times", n)
		}
	})
}
