package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// TestReplayTotal: all sessions together keep what is allowed and no more, and it
// is the oldest that loses. With a bound out of reach the same steps keep all,
// which shows that it is the bound that drops.
func TestReplayTotal(t *testing.T) {
	for _, total := range []int{5_000, 1 << 30} {
		rig := newRig(t, Limits{ReplayTotal: total})
		var sessions []*Session
		for range 20 {
			id := rig.open("2025-11-25", "{}")
			rig.do(inSession(id, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":1}}}`))
			sessions = append(sessions, rig.sessions.live[id])
		}
		sum := 0
		for _, s := range sessions {
			sum += s.ring.bytes
		}
		if sum != rig.e.replays.bytes {
			t.Errorf("%d bytes are kept, %d are counted", sum, rig.e.replays.bytes)
		}
		bounded := sum <= total && len(sessions[0].ring.events) == 0 && len(sessions[0].trails) == 0 && len(sessions[19].ring.events) > 0
		if total < 1<<20 && !bounded {
			t.Errorf("%d bytes are kept, %d allowed; oldest %d events, youngest %d", sum, total, len(sessions[0].ring.events), len(sessions[19].ring.events))
		}
		if total > 1<<20 && len(sessions[0].ring.events) == 0 {
			t.Error("the oldest lost its events without need")
		}
		for _, s := range sessions {
			s.Close()
		}
		if rig.e.replays.bytes != 0 || len(rig.e.replays.held) != 0 || rig.e.replays.order.Len() != 0 {
			t.Errorf("after the sessions: %d bytes, %d held", rig.e.replays.bytes, len(rig.e.replays.held))
		}
	}
}

// TestRemembered: what a client says of itself cannot fill the memory.
func TestRemembered(t *testing.T) {
	rig := newRig(t, Limits{})
	big := strings.Repeat("é", 5000)
	sink := rig.do(post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
		`"capabilities":{"roots":{},"experimental":{"` + big + `":{}}},"clientInfo":{"name":"` + big + `","version":"` + big + `"}}}`))
	s := rig.sessions.live[sink.get(headerSession)]
	c := s.client
	if len(c.Info) > maxAbout || len(c.Capabilities) > maxAbout || len(c.Name) > 256 || len(c.Version) > 256 || !utf8.ValidString(c.Name) {
		t.Errorf("%d bytes of info, %d of capabilities, name of %d", len(c.Info), len(c.Capabilities), len(c.Name))
	}
	if string(c.Capabilities) != `{"roots":{}}` {
		t.Errorf("capabilities %s", c.Capabilities)
	}
	text, _ := json.Marshal(s.claims)
	if len(text) > 700 {
		t.Errorf("claims of %d bytes", len(text))
	}
	for _, row := range []struct{ in, out string }{{"abc", "abc"}, {"abcdef", "abcd"}, {"abcé", "abc"}, {"日本", "日"}} {
		if got := cut(row.in, 4); got != row.out {
			t.Errorf("cut %q: %q, want %q", row.in, got, row.out)
		}
	}
}

// TestLongIDs: an id comes back in every message, so it has a bound.
func TestLongIDs(t *testing.T) {
	rig := newRig(t, Limits{})
	id := func(n int) string { return `"` + strings.Repeat("i", n-2) + `"` }
	if sink := rig.do(modern(id(maxID), "tools/list", "", "")); sink.status != 200 {
		t.Errorf("an id at the bound: %d", sink.status)
	}
	if sink := rig.do(modern(id(maxID+1), "tools/list", "", "")); sink.status != 400 || !strings.Contains(sink.body, "-32600") {
		t.Errorf("an id past it: %d %s", sink.status, sink.body)
	}
	r := modern("1", "tools/list", "", "")
	r.Body = []byte(strings.Replace(string(r.Body), `"_meta":{`, `"_meta":{"progressToken":`+id(maxID+1)+`,`, 1))
	if sink := rig.do(r); sink.status != 400 || !strings.Contains(sink.body, "-32602") {
		t.Errorf("a token past it: %d %s", sink.status, sink.body)
	}
}

// TestSubscriptionBytes: long URIs count.
func TestSubscriptionBytes(t *testing.T) {
	s := NewSession("s", Claims{}, Limits{})
	subscribe := func(uri string) bool {
		_, ok := s.subscribe(uri)
		return ok
	}
	n := 0
	for ; n < maxSubscriptions && subscribe(fmt.Sprint(n, strings.Repeat("x", 10_000))); n++ {
	}
	if n == 0 || n > maxSubscriptionBytes/10_000 {
		t.Errorf("%d URIs of 10 kB", n)
	}
	s.unsubscribe("unknown", nil)
	s.unsubscribe(fmt.Sprint(0, strings.Repeat("x", 10_000)), nil)
	if !subscribe(strings.Repeat("y", 9_000)) {
		t.Error("no room after unsubscribing")
	}
}

// TestSeen: the log and the metrics get names of ours, never what a client made up.
func TestSeen(t *testing.T) {
	rig := newRig(t, Limits{})
	session := rig.open("2025-11-25", "{}")
	for _, row := range []struct {
		request       *Request
		rpc, revision string
	}{
		{modern("1", "tools/list", "", ""), "tools/list", "2026-07-28"},
		{modern("1", "made/up", "", ""), "unknown", "2026-07-28"},
		{inSession(session, `{"jsonrpc":"2.0","id":1,"method":"made/up"}`), "unknown", "2025-11-25"},
		{inSession(session, `{"jsonrpc":"2.0","method":"notifications/made_up"}`), "notification", "2025-11-25"},
		{inSession(session, `{"jsonrpc":"2.0","id":1,"result":{}}`), "response", "2025-11-25"},
		{inSession("nobody", `{"jsonrpc":"2.0","id":1,"method":"ping"}`), "ping", ""},
		{post(`{`), "", ""},
		{post(`{`).with(headerRevision, "2026-07-28"), "", "2026-07-28"},
	} {
		rig.do(row.request)
		if seen := row.request.Seen; seen.RPC != row.rpc || seen.Revision != row.revision {
			t.Errorf("%s: %+v, want %s %s", row.request.Body, seen, row.rpc, row.revision)
		}
	}
}

// TestElicitationByURL: 2025-11-25 wants an id beside the URL, which the model does
// not have; it tells nothing of the session.
func TestElicitationByURL(t *testing.T) {
	rig := newRig(t, Limits{})
	rig.h.call = func(_ context.Context, call *core.Call) (*core.Result, error) {
		return ask(call, []core.InputRequest{{
			Key: "k", Method: "elicitation/create",
			Params: json.RawMessage(`{"mode":"url","message":"m","url":"https://example.com"}`),
		}}, "s")
	}
	const can = `{"elicitation":{"url":{}}}`
	if sink := rig.do(modern("1", "tools/call", "x", `"name":"x"`, can)); !strings.Contains(sink.body, `"inputRequests"`) || strings.Contains(sink.body, "elicitationId") {
		t.Errorf("%s", sink.body)
	}
	ids := map[string]bool{}
	for range 2 {
		session := rig.open("2025-11-25", can)
		s := rig.send(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`))
		rig.next(s)
		var asked struct {
			ID     json.Number
			Params struct{ Mode, URL, ElicitationID string }
		}
		if err := json.Unmarshal([]byte(rig.nextData(s)), &asked); err != nil {
			t.Fatal(err)
		}
		id := asked.Params.ElicitationID
		if asked.Params.Mode != "url" || len(id) < 16 || ids[id] || strings.Contains(id, session) {
			t.Errorf("asked %+v", asked)
		}
		ids[id] = true
		rig.do(inSession(session, `{"jsonrpc":"2.0","id":`+asked.ID.String()+`,"result":{"action":"accept"}}`))
		rig.wait(s)
	}
}
