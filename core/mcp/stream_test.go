package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

const slowCall = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"held","_meta":{"progressToken":1}}}`

// hold replaces the tools by one that waits: it notifies when told to, and ends
// when released or cancelled. cancelled gets the cause.
func hold(h *fakeHandler) (notify chan int, release chan string, cancelled chan error) {
	notify, release, cancelled = make(chan int), make(chan string), make(chan error, 8)
	h.call = func(ctx context.Context, call *core.Call) (*core.Result, error) {
		for {
			select {
			case n := <-notify:
				call.Notify(progress(n, 100, "at"))
			case text := <-release:
				return core.TextResult(text), nil
			case <-ctx.Done():
				cancelled <- core.Cause(ctx)
				return nil, ctx.Err()
			}
		}
	}
	return notify, release, cancelled
}

func eventID(t *testing.T, frame string) string {
	t.Helper()
	e, err := NewDecoder(strings.NewReader(frame), 1<<20).Next()
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// TestResumeGoesOnLive: the client loses the stream of a POST, the call runs on, and
// a GET with the last event id gets what was missed and what is still to come.
func TestResumeGoesOnLive(t *testing.T) {
	rig := newRig(t, Limits{})
	notify, release, _ := hold(rig.h)
	session := rig.open("2025-11-25", "{}")
	first := rig.send(inSession(session, slowCall))
	notify <- 1
	rig.next(first) // priming
	last := eventID(t, rig.next(first))
	first.leave()
	first.sink.stream.leave()
	notify <- 2

	second := rig.send(get(session).with(headerSession, session, headerLastEvent, last))
	rig.wait(second)
	if !second.sink.parked {
		t.Error("the stream of a call that still runs must outlive the GET")
	}
	if data := rig.nextData(second); !strings.Contains(data, `"progress":2`) {
		t.Errorf("missed event: %s", data)
	}
	notify <- 3
	if data := rig.nextData(second); !strings.Contains(data, `"progress":3`) {
		t.Errorf("live event: %s", data)
	}

	// A second client with the same event id takes the stream over.
	third := rig.send(get(session).with(headerSession, session, headerLastEvent, last))
	for _, want := range []string{`"progress":2`, `"progress":3`} {
		if data := rig.nextData(third); !strings.Contains(data, want) {
			t.Errorf("taken over: %s, want %s", data, want)
		}
	}
	if _, closed := second.sink.stream.read(); !closed {
		t.Error("the stream that was taken over is still open")
	}
	release <- "end"
	if data := rig.nextData(third); !strings.Contains(data, `"text":"end"`) {
		t.Errorf("answer: %s", data)
	}
	rig.wait(first)
	rig.wait(third)
	eventually(t, "the stream ends after the answer", func() bool { _, closed := third.sink.stream.read(); return closed })

	// The answer stays for who comes too late.
	late := rig.do(get(session).with(headerSession, session, headerLastEvent, last))
	if late.parked || len(late.stream.frames) != 3 || !late.stream.closed {
		t.Errorf("parked %t, %d frames, closed %t", late.parked, len(late.stream.frames), late.stream.closed)
	}
}

// TestLeaving: whose leaving ends the call, and whose does not.
func TestLeaving(t *testing.T) {
	for _, row := range []struct {
		revision string
		streams  bool // an event was sent before
		ends     bool
	}{
		{"2026-07-28", false, true},
		{"2026-07-28", true, true},
		{"2025-11-25", false, true},
		{"2025-11-25", true, false},
		{"2025-06-18", true, false},
		{"2025-03-26", true, false},
		{"2024-11-05", false, true},
		{"2024-11-05", true, true}, // no event id: the client cannot come back
	} {
		t.Run(fmt.Sprint(row.revision, row.streams), func(t *testing.T) {
			rig := newRig(t, Limits{})
			notify, release, cancelled := hold(rig.h)
			request := modern("2", "tools/call", "held", `"name":"held"`)
			if row.revision == "2026-07-28" {
				request.Body = []byte(strings.Replace(string(request.Body), `"_meta":{`, `"_meta":{"progressToken":1,`, 1))
			} else {
				request = inSession(rig.open(row.revision, "{}"), slowCall)
			}
			if !row.streams {
				request.Body = []byte(strings.Replace(string(request.Body), "progressToken", "otherToken", 1))
			}
			s := rig.send(request)
			notify <- 1 // the call runs; without a token nothing goes out
			if row.streams {
				rig.next(s)
			}
			s.leave()
			if row.ends {
				select {
				case <-cancelled:
				case <-time.After(5 * time.Second):
					t.Fatal("the call goes on")
				}
			} else {
				select {
				case err := <-cancelled:
					t.Fatalf("the call was cancelled: %v", err)
				case <-time.After(50 * time.Millisecond):
					release <- "end"
				}
			}
			rig.wait(s)
		})
	}
}

// TestCancelWhole: a cancelled request that is no stream still gets an HTTP answer.
func TestCancelWhole(t *testing.T) {
	rig := newRig(t, Limits{})
	_, _, cancelled := hold(rig.h)
	session := rig.open("2025-06-18", "{}")
	s := rig.send(inSession(session, `{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{"name":"held"}}`))
	eventually(t, "the call runs", func() bool {
		one := rig.sessions.live[session]
		one.mu.Lock()
		defer one.mu.Unlock()
		return len(one.running) == 1
	})
	other := rig.do(inSession(session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}`))
	if other.status != 202 {
		t.Errorf("cancelling what does not run: %d", other.status)
	}
	rig.do(inSession(session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`))
	if err := <-cancelled; !errors.Is(err, errCancelled) {
		t.Errorf("cause %v", err)
	}
	rig.wait(s)
	if s.sink.status != 200 || !strings.Contains(s.sink.body, `"id":"a","error"`) {
		t.Errorf("%d %s", s.sink.status, s.sink.body)
	}
}

// TestCallsOfASessionEnd: DELETE cancels what runs, and what waits for the client.
func TestCallsOfASessionEnd(t *testing.T) {
	rig := newRig(t, Limits{})
	session := rig.open("2025-11-25", `{"elicitation":{}}`)
	asking := rig.send(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask"}}`))
	rig.next(asking)
	rig.next(asking)
	quiet := rig.send(inSession(session, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"quiet"}}`))
	one := rig.sessions.live[session]
	eventually(t, "both run", func() bool { one.mu.Lock(); defer one.mu.Unlock(); return len(one.running) == 2 })
	end := get(session).with(headerSession, session)
	end.Method = "DELETE"
	if sink := rig.do(end); sink.status != 204 {
		t.Errorf("DELETE: %d", sink.status)
	}
	rig.wait(asking)
	rig.wait(quiet)
}

// TestReplayIsBounded: neither events nor bytes grow without end, and a trail whose
// events are gone is forgotten.
func TestReplayIsBounded(t *testing.T) {
	rig := newRig(t, Limits{Replay: 4, ReplayBytes: 600})
	session := rig.open("2025-06-18", "{}")
	call := func() {
		rig.do(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":1}}}`))
	}
	call()
	one := rig.sessions.live[session]
	late := rig.do(get(session).with(headerSession, session, headerLastEvent, "plfls-1_0"))
	if n := len(late.stream.frames); n == 0 || n > 4 || !strings.Contains(late.stream.frames[n-1], `"text":"done"`) {
		t.Errorf("replayed %q", late.stream.frames)
	}
	for range 100 {
		call()
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if len(one.ring.events) > 4 || one.ring.bytes > 600 || len(one.trails) > 4 {
		t.Errorf("%d events, %d bytes, %d trails", len(one.ring.events), one.ring.bytes, len(one.trails))
	}
	if cap(one.ring.events) > 64 {
		t.Errorf("the ring holds room for %d events", cap(one.ring.events))
	}
}

// TestRing: what is put in comes out in order, and an event past the bound is not
// kept at the cost of all others.
func TestRing(t *testing.T) {
	var r ring
	small := func(seq int) event { return event{seq: seq, frame: make([]byte, 10)} }
	for seq := range 5 {
		r.add(small(seq), 3, 100)
	}
	if len(r.events) != 3 || r.events[0].seq != 2 || r.bytes != 30 {
		t.Errorf("%d events from %d, %d bytes", len(r.events), r.events[0].seq, r.bytes)
	}
	r.add(event{seq: 9, frame: make([]byte, 101)}, 3, 100)
	if len(r.events) != 3 {
		t.Error("an event past the bound was kept, or pushed others out")
	}
	if out := r.add(event{seq: 10, frame: make([]byte, 95)}, 3, 100); len(out) != 3 || r.bytes != 95 {
		t.Errorf("%d evicted, %d bytes left", len(out), r.bytes)
	}
}

// TestInFlight: a session has a bound, and an id is used once at a time.
func TestInFlight(t *testing.T) {
	rig := newRig(t, Limits{InFlight: 2})
	_, release, _ := hold(rig.h)
	session := rig.open("2025-11-25", "{}")
	var running []*sent
	for _, id := range []string{"1", `"1"`} {
		running = append(running, rig.send(inSession(session, `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"held"}}`)))
	}
	one := rig.sessions.live[session]
	eventually(t, "two run", func() bool { one.mu.Lock(); defer one.mu.Unlock(); return len(one.running) == 2 })
	if sink := rig.do(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)); !strings.Contains(sink.body, "still running") {
		t.Errorf("same id: %s", sink.body)
	}
	if sink := rig.do(inSession(session, `{"jsonrpc":"2.0","id":3,"method":"ping"}`)); !strings.Contains(sink.body, "too many requests") {
		t.Errorf("third request: %s", sink.body)
	}
	release <- "a"
	release <- "b"
	for _, s := range running {
		rig.wait(s)
	}
	if sink := rig.do(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)); !strings.Contains(sink.body, `"result":{}`) {
		t.Errorf("afterwards: %s", sink.body)
	}
}

// TestSinkFails: when no stream can be opened the call does not go on for nobody,
// and Handle returns.
func TestSinkFails(t *testing.T) {
	for _, revision := range []string{"2024-11-05", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			rig := newRig(t, Limits{})
			request := modern("2", "tools/call", "progress", `"name":"progress"`)
			request.Body = []byte(strings.Replace(string(request.Body), `"_meta":{`, `"_meta":{"progressToken":1,`, 1))
			if revision != "2026-07-28" {
				request = inSession(rig.open(revision, "{}"), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":1}}}`)
			}
			s := &fakeSink{opened: make(chan struct{}), broken: true}
			request.Handler = rig.h
			rig.h.taken.Add(1)
			rig.e.Handle(t.Context(), request, s)
			if s.calls != 1 || s.body != "" {
				t.Errorf("the sink was used %d times: %q", s.calls, s.body)
			}
		})
	}
	for name, request := range map[string]func(*rig) *Request{
		"listen": func(*rig) *Request { return modern("1", "subscriptions/listen", "", `"notifications":{}`) },
		"GET": func(r *rig) *Request {
			session := r.open("2025-11-25", "{}")
			return get(session).with(headerSession, session)
		},
		"sse": func(*rig) *Request { r := get(""); r.Transport = SSEStream; return r },
	} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t, Limits{})
			r := request(rig)
			s := &fakeSink{opened: make(chan struct{}), broken: true}
			r.Handler = rig.h
			rig.h.taken.Add(1)
			rig.e.Handle(t.Context(), r, s)
			if s.calls != 1 {
				t.Errorf("the sink was used %d times", s.calls)
			}
			if name != "GET" && rig.e.streams() != 0 {
				t.Errorf("%d streams are still remembered", rig.e.streams())
			}
		})
	}
}

// TestDrain: streams that wait are ended, sessions are not, and calls of the
// 2024-11-05 transport may finish first.
func TestDrain(t *testing.T) {
	rig := newRig(t, Limits{})
	_, release, _ := hold(rig.h)
	session := rig.open("2025-11-25", "{}")
	alone := rig.send(get(session).with(headerSession, session))
	rig.next(alone)
	sse := get("")
	sse.Transport, sse.MessagePath = SSEStream, "/m"
	stream := rig.send(sse)
	id := strings.TrimPrefix(rig.nextData(stream), "/m?sessionId=")
	message := post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"held"}}`)
	message.Transport, message.SessionID = SSEMessage, id
	rig.do(message)

	drained := make(chan struct{})
	go func() { rig.e.Drain(t.Context()); close(drained) }()
	select {
	case <-drained:
		t.Fatal("Drain did not wait for the call")
	case <-time.After(30 * time.Millisecond):
	}
	release <- "in time"
	<-drained
	if data := rig.nextData(stream); !strings.Contains(data, "in time") {
		t.Errorf("on the stream: %s", data)
	}
	for name, s := range map[string]*sent{"GET": alone, "sse": stream} {
		if _, closed := s.sink.stream.read(); !closed {
			t.Errorf("the stream of %s is open", name)
		}
	}
	if sink := rig.do(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)); sink.status != 200 {
		t.Errorf("the session is gone: %d", sink.status)
	}
	again := sse
	again.Header = fields{"Accept": {"text/event-stream"}}
	for name, r := range map[string]*Request{"GET": get(session).with(headerSession, session), "sse": again} {
		if sink := rig.do(r); sink.status != 503 {
			t.Errorf("%s while draining: %d", name, sink.status)
		}
	}
}

// TestDrainHard: a call that does not end is cancelled when the time for draining
// is over.
func TestDrainHard(t *testing.T) {
	rig := newRig(t, Limits{})
	_, _, cancelled := hold(rig.h)
	sse := get("")
	sse.Transport, sse.MessagePath = SSEStream, "/m"
	stream := rig.send(sse)
	message := post(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"held"}}`)
	message.Transport, message.SessionID = SSEMessage, strings.TrimPrefix(rig.nextData(stream), "/m?sessionId=")
	rig.do(message)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	rig.e.Drain(ctx)
	if err := <-cancelled; !errors.Is(err, errEnded) {
		t.Errorf("cause %v", err)
	}
}

// TestNoCrossTalk: many clients with the same ids, each gets its own answers.
func TestNoCrossTalk(t *testing.T) {
	rig := newRig(t, Limits{})
	rig.h.call = func(_ context.Context, call *core.Call) (*core.Result, error) {
		call.Notify(core.Notification{Method: "notifications/progress", Params: json.RawMessage(`{"progress":1,"nonce":` + string(call.Arguments) + `}`)})
		if call.InputResponses == nil && call.Client.Revision != "2026-07-28" {
			return &core.Result{InputRequests: []core.InputRequest{{Key: "k", Method: "roots/list"}}}, nil
		}
		return core.TextResult(fmt.Sprint(call.Values["nonce"], string(call.InputResponses["k"]))), nil
	}
	const clients, calls = 20, 25
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			session := ""
			if c%2 == 0 {
				session = rig.open("2025-11-25", `{"roots":{}}`)
			}
			for n := range calls {
				nonce := fmt.Sprintf("%d-%d", c, n)
				if session == "" {
					sink := rig.do(modern("1", "tools/call", "x", `"name":"x","arguments":{"nonce":"`+nonce+`"}`))
					if !strings.Contains(sink.body, `"text":"`+nonce+`"`) {
						t.Errorf("client %d: %s", c, sink.body)
					}
					continue
				}
				s := rig.send(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"nonce":"`+nonce+`"},"_meta":{"progressToken":1}}}`))
				rig.next(s)
				if data := rig.nextData(s); !strings.Contains(data, nonce) {
					t.Errorf("client %d: %s", c, data)
				}
				var ask struct{ ID json.Number }
				if err := json.Unmarshal([]byte(rig.nextData(s)), &ask); err != nil {
					t.Error(err)
				}
				rig.do(inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"n":%q}}`, ask.ID, nonce)))
				rig.wait(s)
				frames, _ := s.sink.stream.read()
				if last := frames[len(frames)-1]; !strings.Contains(last, nonce+`{\"n\":\"`+nonce) {
					t.Errorf("client %d: %s", c, last)
				}
			}
		})
	}
	all.Wait()
}

// TestLateNotifications: after the answer nothing more goes out.
func TestLateNotifications(t *testing.T) {
	rig := newRig(t, Limits{})
	var late func(core.Notification)
	var detach func(time.Duration) bool
	rig.h.call = func(_ context.Context, call *core.Call) (*core.Result, error) {
		late, detach = call.Notify, call.Detach
		call.Notify(progress(1, 2, "in time"))
		return core.TextResult("done"), nil
	}
	session := rig.open("2025-11-25", "{}")
	sink := rig.do(inSession(session, slowCall))
	before := len(sink.stream.frames)
	late(progress(2, 2, "too late"))
	late(core.Notification{Method: "notifications/made_up", Params: json.RawMessage(`{}`)})
	if detach(time.Second) {
		t.Error("detached after the end")
	}
	if len(sink.stream.frames) != before {
		t.Errorf("frames after the answer: %q", sink.stream.frames[before:])
	}
}

// TestBatchTogether: the requests of a batch run beside each other, and a panic in
// one is an error of that one.
func TestBatchTogether(t *testing.T) {
	rig := newRig(t, Limits{})
	var both sync.WaitGroup
	both.Add(2)
	rig.h.call = func(_ context.Context, call *core.Call) (*core.Result, error) {
		if call.Tool == "panic" {
			panic("boom")
		}
		both.Done()
		both.Wait()
		return core.TextResult(call.Tool), nil
	}
	session := rig.open("2025-03-26", "{}")
	call := `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%s"}}`
	sink := rig.do(inSession(session, "["+fmt.Sprintf(call, 1, "a")+","+fmt.Sprintf(call, 2, "panic")+","+fmt.Sprintf(call, 3, "b")+"]"))
	for _, want := range []string{`[{"jsonrpc":"2.0","id":1,"result"`, `"id":2,"error"`, `"id":3,"result"`} {
		if !strings.Contains(sink.body, want) {
			t.Errorf("%s is not in %s", want, sink.body)
		}
	}
}
