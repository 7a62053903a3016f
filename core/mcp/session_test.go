package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// TestNegotiation: initialize gets what it asks for where that has sessions, else
// the latest that has.
func TestNegotiation(t *testing.T) {
	rig := newRig(t, Limits{})
	for asked, want := range map[string]string{
		"2024-11-05": "2024-11-05", "2025-03-26": "2025-03-26", "2025-06-18": "2025-06-18", "2025-11-25": "2025-11-25",
		"2026-07-28": "2025-11-25", "2027-01-01": "2025-11-25", "1.0": "2025-11-25", "": "2025-11-25",
	} {
		for _, header := range []string{"", "2025-06-18", "2027-01-01"} {
			r := post(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"n","version":"v"}}}`, asked))
			if header != "" {
				r.with(headerRevision, header)
			}
			sink := rig.do(r)
			if sink.status != 200 || !strings.Contains(sink.body, `"result":{"protocolVersion":"`+want+`"`) || r.Seen.Revision != want {
				t.Errorf("%q with header %q: %d %s", asked, header, sink.status, sink.body)
			}
		}
	}
	r := post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`).with(headerRevision, "2026-07-28")
	if sink := rig.do(r); sink.status != 400 || !strings.Contains(sink.body, "-32602") {
		t.Errorf("header of an envelope: %d %s", sink.status, sink.body)
	}
	rig.sessions.err = &core.Error{Code: core.CodeLimited, Message: "too many sessions", Err: errors.New("secret cause")}
	sink := rig.do(post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`))
	if sink.status != 503 || !strings.Contains(sink.body, "too many sessions") || strings.Contains(sink.body, "secret") {
		t.Errorf("no session: %d %s", sink.status, sink.body)
	}
}

// TestForeignSession: a session is of one principal and one server.
func TestForeignSession(t *testing.T) {
	rig := newRig(t, Limits{})
	rig.who = core.Identity{Subject: "ada"}
	session := rig.open("2025-11-25", "{}")
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	rig.who = core.Identity{Subject: "eve"}
	if sink := rig.do(inSession(session, ping)); sink.status != 404 {
		t.Errorf("another principal: %d", sink.status)
	}
	rig.who = core.Identity{Subject: "ada"}
	if sink := rig.do(inSession(session, ping)); sink.status != 200 {
		t.Errorf("its own: %d", sink.status)
	}
	rig.h.server.Name = "other"
	if sink := rig.do(inSession(session, ping)); sink.status != 404 {
		t.Errorf("another server: %d", sink.status)
	}
	rig.h.server.Name = "shop"
	double := inSession(session, ping)
	double.Header.(fields).add(headerSession, session)
	if sink := rig.do(double); sink.status != 400 {
		t.Errorf("session header twice: %d", sink.status)
	}
}

// TestSessionMadeAgain: from id and claims a session works on, as after a restart:
// it may ask the client, and the standalone stream begins anew.
func TestSessionMadeAgain(t *testing.T) {
	rig := newRig(t, Limits{})
	session := rig.open("2025-11-25", `{"elicitation":{},"experimental":{"big":{"x":"`+strings.Repeat("y", 3000)+`"}}}`)
	alone := rig.send(get(session).with(headerSession, session))
	last := eventID(t, rig.next(alone))
	old := rig.sessions.live[session]
	text, err := json.Marshal(old.claims)
	if err != nil || len(text) > 600 {
		t.Fatalf("claims of %d bytes do not fit an id: %v", len(text), err)
	}
	var claims Claims
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	old.Close()
	rig.now.Add(60_000)
	rig.sessions.live[session] = NewSession(session, claims, Limits{})

	again := rig.send(get(session).with(headerSession, session, headerLastEvent, last))
	if id := eventID(t, rig.next(again)); id == last {
		t.Error("the new stream took the old one's name")
	}
	rig.h.change(core.Change{Kind: core.PromptsChanged})
	if data := rig.nextData(again); !strings.Contains(data, "prompts/list_changed") {
		t.Errorf("%s", data)
	}
	s := rig.send(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask"}}`))
	rig.next(s)
	if data := rig.nextData(s); !strings.Contains(data, `"id":1060000,"method":"elicitation/create"`) {
		t.Errorf("asked: %s", data)
	}
	rig.do(inSession(session, `{"jsonrpc":"2.0","id":1060000,"result":{"action":"cancel"}}`))
	rig.wait(s)
}

// TestStandaloneAgain: when the client has left, a new GET is no second one.
func TestStandaloneAgain(t *testing.T) {
	rig := newRig(t, Limits{})
	session := rig.open("2025-06-18", "{}")
	first := rig.send(get(session).with(headerSession, session))
	rig.wait(first)
	if sink := rig.do(get(session).with(headerSession, session)); sink.status != 409 {
		t.Errorf("second: %d", sink.status)
	}
	first.sink.stream.leave()
	second := rig.send(get(session).with(headerSession, session))
	rig.wait(second)
	rig.h.change(core.Change{Kind: core.ToolsChanged})
	if data := rig.nextData(second); !strings.Contains(data, "tools/list_changed") {
		t.Errorf("%s", data)
	}
	// A callback that arrives late does not close the new stream.
	first.sink.stream.gone()
	rig.h.change(core.Change{Kind: core.ResourcesChanged})
	if data := rig.nextData(second); !strings.Contains(data, "resources/list_changed") {
		t.Errorf("%s", data)
	}
}

// TestBusy: a session with a running request or an open stream is in use.
func TestBusy(t *testing.T) {
	rig := newRig(t, Limits{})
	_, release, _ := hold(rig.h)
	id := rig.open("2025-11-25", "{}")
	one := rig.sessions.live[id]
	if one.Busy() {
		t.Error("busy from the beginning")
	}
	call := rig.send(inSession(id, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"held"}}`))
	eventually(t, "a running request makes it busy", one.Busy)
	release <- "x"
	rig.wait(call)
	if one.Busy() {
		t.Error("busy after the request")
	}
	stream := rig.send(get(id).with(headerSession, id))
	rig.wait(stream)
	if !one.Busy() {
		t.Error("not busy with a stream open")
	}
	stream.sink.stream.leave()
	if one.Busy() {
		t.Error("busy after the client has left")
	}
	open := get("")
	open.Transport, open.MessagePath = SSEStream, "/m"
	sse := rig.send(open)
	other := rig.sessions.live[strings.TrimPrefix(rig.nextData(sse), "/m?sessionId=")]
	if !other.Busy() {
		t.Error("not busy with the stream of its life")
	}
	sse.sink.stream.leave()
	if other.Busy() {
		t.Error("busy after its end")
	}
}

// TestListenEnds: a client that leaves is forgotten, even when the hub says so
// before the stream was ever used.
func TestListenEnds(t *testing.T) {
	rig := newRig(t, Limits{})
	s := rig.send(modern("1", "subscriptions/listen", "", `"notifications":{"promptsListChanged":true}`))
	rig.next(s)
	rig.wait(s)
	if rig.e.streams() != 1 || rig.h.watching() != 1 {
		t.Errorf("%d streams, %d watches", rig.e.streams(), rig.h.watching())
	}
	s.sink.stream.leave()
	if rig.e.streams() != 0 || rig.h.watching() != 0 {
		t.Errorf("after leaving: %d streams, %d watches", rig.e.streams(), rig.h.watching())
	}
	s.sink.stream.gone() // never twice, but harmless
}

// TestListenFilter: what the server has not is not acknowledged, and not sent.
func TestListenFilter(t *testing.T) {
	rig := newRig(t, Limits{})
	rig.h.server.Offers = core.Offers{Prompts: true}
	s := rig.send(modern("7", "subscriptions/listen", "", `"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a:b"],"future":7}`))
	if data := rig.nextData(s); !strings.HasSuffix(data, `"notifications":{"promptsListChanged":true}}}`) {
		t.Errorf("acknowledged %s", data)
	}
	rig.h.change(core.Change{Kind: core.ToolsChanged})
	rig.h.change(core.Change{Kind: core.ResourceUpdated, URI: "a:b"})
	rig.h.change(core.Change{Kind: core.ChangeKind(99)})
	rig.h.change(core.Change{Kind: core.PromptsChanged})
	if data := rig.nextData(s); !strings.Contains(data, `prompts/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}`) {
		t.Errorf("%s", data)
	}
}

// TestSubscriptionsAreBounded, on both kinds of stream.
func TestSubscriptionsAreBounded(t *testing.T) {
	rig := newRig(t, Limits{})
	session := rig.open("2025-11-25", "{}")
	subscribe := func(uri string) bool {
		one, fresh := rig.sessions.live[session].subscribe(uri)
		if fresh {
			rig.sessions.live[session].settle(uri, one, func() {}, nil)
		}
		return one != nil
	}
	for n := range maxSubscriptions {
		if !subscribe(fmt.Sprint(n)) {
			t.Fatalf("subscription %d was refused", n)
		}
	}
	if !subscribe("0") {
		t.Error("one that stands already was refused")
	}
	sink := rig.do(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a:b"}}`))
	if !strings.Contains(sink.body, "may follow 1000 resources") {
		t.Errorf("one more: %s", sink.body)
	}
	uris := strings.TrimSuffix(strings.Repeat(`"a:b",`, maxSubscriptions+1), ",")
	listen := rig.send(modern("1", "subscriptions/listen", "", `"notifications":{"resourceSubscriptions":[`+uris+`]}`))
	rig.next(listen) // one URI a thousand times is one
	var many []string
	for n := range maxSubscriptions + 1 {
		many = append(many, fmt.Sprintf("%q", fmt.Sprint("a:", n)))
	}
	if sink := rig.do(modern("1", "subscriptions/listen", "", `"notifications":{"resourceSubscriptions":[`+strings.Join(many, ",")+`]}`)); sink.status != 400 {
		t.Errorf("one more on a listen stream: %d", sink.status)
	}
}

// TestPages: a page is encoded once per revision, and the cursor of the next goes
// with it.
func TestPages(t *testing.T) {
	rig := newRig(t, Limits{})
	rig.h.pageSize = 2
	sink := rig.do(modern("1", "tools/list", "", ""))
	if !strings.Contains(sink.body, `"nextCursor":"after-2"`) {
		t.Errorf("first page: %s", sink.body)
	}
	sink = rig.do(modern("1", "tools/list", "", `"cursor":"after-2"`))
	if strings.Contains(sink.body, "nextCursor") || !strings.Contains(sink.body, `"name":"region"`) {
		t.Errorf("last page: %s", sink.body)
	}
	encoded := 0
	two := &core.Page[int]{Items: []int{1, 2}}
	x := &exchange{rev: latestEnvelope, r: &Request{Handler: rig.h}, m: &message{}}
	for range 3 {
		_, err := appendPage(t.Context(), x, "n", readPage(two), func(int, *revision) []byte { encoded++; return []byte("0") })
		if err != nil {
			t.Fatal(err)
		}
	}
	if encoded != 2 {
		t.Errorf("2 items were encoded %d times", encoded)
	}
}

// TestObserver: the number of streams that wait can be read.
func TestObserver(t *testing.T) {
	o := &gauges{}
	New(Options{Sessions: &fakeSessions{}, Sealer: fakeSealer{}, Now: time.Now, Observer: o})
	if o.name != "sallyport_mcp_streams" || o.read() != 0 {
		t.Errorf("gauge %q", o.name)
	}
}

// What is remembered of clients changes nothing: each is read as if it were the first.
func TestClientsRemembered(t *testing.T) {
	var c clients
	for range 2 {
		for i := range 200 { // more than are remembered
			about := fmt.Appendf(nil, `{"name":"client %d","version":"%d"}`, i, i/2)
			got, want := c.read(latestEnvelope, about, noArguments), clientOf(latestEnvelope, about, noArguments)
			if got.Name != want.Name || got.Version != want.Version || string(got.Info) != string(want.Info) ||
				got.Revision != want.Revision || string(got.Capabilities) != string(want.Capabilities) {
				t.Fatalf("%s: %+v, want %+v", about, got, want)
			}
			clear(about) // the memory of a request may be used again
		}
	}
	long := []byte(`{"name":"` + strings.Repeat("x", 600) + `"}`)
	c.read(latestEnvelope, long, nil)
	for i := range c.slots {
		if n := c.slots[i].Load(); n != nil && len(n.about) > 512 {
			t.Error("too much is remembered")
		}
	}
}
