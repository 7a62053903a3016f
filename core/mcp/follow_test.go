package mcp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func subscribing(session, method, uri string) *Request {
	return inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"resources/%s","params":{"uri":%q}}`, method+uri, method, uri))
}

// follows checks how many follows of a:b there are, and how many there ever were of any.
func (r *rig) follows(what string, open, ever int) {
	r.t.Helper()
	if o, e := r.h.following("a:b"); o != open || e != ever {
		r.t.Errorf("%s: %d follows of a:b, %d ever; want %d and %d", what, o, e, open, ever)
	}
}

// TestSubscribeFollows: what a session subscribes to is followed once, until it is
// unsubscribed or the session ends.
func TestSubscribeFollows(t *testing.T) {
	rig := newRig(t, Limits{})
	session := rig.open("2025-11-25", "{}")
	ok := func(r *Request) {
		t.Helper()
		if sink := rig.do(r); !strings.Contains(sink.body, `"result":{}`) {
			t.Errorf("%s: %s", r.Body, sink.body)
		}
	}
	ok(subscribing(session, "subscribe", "a:b"))
	ok(subscribing(session, "subscribe", "a:b"))
	rig.follows("subscribed twice", 1, 1)
	ok(subscribing(session, "unsubscribe", "a:b"))
	ok(subscribing(session, "unsubscribe", "a:b"))
	ok(subscribing(session, "unsubscribe", "a:never"))
	rig.follows("unsubscribed twice", 0, 1)
	ok(subscribing(session, "subscribe", "a:b"))
	ok(subscribing(session, "subscribe", "a:c"))
	rig.follows("subscribed again", 1, 3)
	end := inSession(session, "")
	end.Method = "DELETE"
	rig.do(end)
	rig.follows("the session ended", 0, 3)
}

// TestUnfollowable: why a resource cannot be followed is the answer, and nothing of it is
// left.
func TestUnfollowable(t *testing.T) {
	for _, row := range []struct {
		name   string
		follow func(context.Context, string) error
		answer string
	}{
		{
			"no such resource",
			func(_ context.Context, uri string) error { return noSuch(uri) },
			`"error":{"code":-32002,"message":"resource not found","data":{"uri":"a:b"}}`,
		},
		{
			"an error of the upstream",
			func(context.Context, string) error {
				return &core.Error{Code: core.CodeInternal, Message: "full", RPC: 4711}
			},
			`"error":{"code":4711,"message":"full"}`,
		},
		{
			"a panic",
			func(context.Context, string) error { panic("boom") },
			`"error":{"code":-32603,"message":"internal error"}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			rig := newRig(t, Limits{})
			session := rig.open("2025-11-25", "{}")
			rig.h.follow = row.follow
			for range 2 { // nothing of the first is left
				if sink := rig.do(subscribing(session, "subscribe", "a:b")); !strings.Contains(sink.body, row.answer) {
					t.Errorf("%s", sink.body)
				}
			}
			one := rig.sessions.live[session]
			if len(one.subscribed) != 0 || one.subscribedBytes != 0 {
				t.Errorf("%d subscriptions of %d bytes are left", len(one.subscribed), one.subscribedBytes)
			}
			rig.h.follow = nil
			rig.do(subscribing(session, "subscribe", "a:b"))
			rig.follows("afterwards", 1, 1)
		})
	}
}

func noSuch(uri string) error {
	return &core.Error{Code: core.CodeResource, Message: "resource not found", Details: []byte(fmt.Sprintf(`{"uri":%q}`, uri))}
}

// TestSlowFollow: following takes time, and meanwhile the session goes on: others of its
// requests are answered, the resource is subscribed to again, unsubscribed, the session
// ends. However that falls, no follow is left.
func TestSlowFollow(t *testing.T) {
	type turn struct {
		*rig
		session string
		first   *sent
		release chan error // ends a Follow
	}
	for _, row := range []struct {
		name       string
		meanwhile  func(turn)
		open, ever int
	}{
		{"another request", func(s turn) {
			if sink := s.do(inSession(s.session, `{"jsonrpc":"2.0","id":2,"method":"ping"}`)); sink.status != 200 {
				s.t.Errorf("%d %s", sink.status, sink.body)
			}
			s.release <- nil
		}, 1, 1},
		{"unsubscribed", func(s turn) {
			s.do(subscribing(s.session, "unsubscribe", "a:b"))
			s.release <- nil
		}, 0, 1},
		{"unsubscribed and subscribed again", func(s turn) {
			s.do(subscribing(s.session, "unsubscribe", "a:b"))
			again := s.send(inSession(s.session, `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a:b"}}`))
			s.release <- nil
			s.release <- nil
			s.wait(again)
		}, 1, 2},
		{"ended", func(s turn) {
			s.sessions.End(context.Background(), s.session)
			s.release <- nil
		}, 0, 1},
		{"a second that waits", func(s turn) {
			again := s.send(inSession(s.session, `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a:b"}}`))
			s.release <- nil
			s.wait(again)
			if !strings.Contains(again.sink.body, `"result":{}`) {
				s.t.Errorf("second: %s", again.sink.body)
			}
		}, 1, 1},
		{"a second that takes over", func(s turn) {
			again := s.send(inSession(s.session, `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a:b"}}`))
			s.release <- errors.New("the upstream broke")
			s.release <- nil
			s.wait(again)
			if !strings.Contains(again.sink.body, `"result":{}`) {
				s.t.Errorf("second: %s", again.sink.body)
			}
		}, 1, 1},
		{"a second that is cancelled", func(s turn) {
			again := s.send(inSession(s.session, `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a:b"}}`))
			eventually(s.t, "it runs", func() bool {
				one := s.sessions.live[s.session]
				one.mu.Lock()
				defer one.mu.Unlock()
				return len(one.running) == 2
			})
			s.do(inSession(s.session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`))
			s.wait(again)
			s.release <- nil
		}, 1, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := turn{rig: newRig(t, Limits{}), release: make(chan error)}
			begun := make(chan struct{}, 9)
			s.h.follow = func(context.Context, string) error {
				begun <- struct{}{}
				return <-s.release
			}
			s.session = s.open("2025-06-18", "{}")
			s.first = s.send(subscribing(s.session, "subscribe", "a:b"))
			<-begun
			row.meanwhile(s)
			s.wait(s.first)
			s.follows(row.name, row.open, row.ever)
		})
	}
}

// TestListenFollows: the resources of a listen stream are followed from before its
// acknowledgement, which leaves out what cannot be followed, to its end.
func TestListenFollows(t *testing.T) {
	const uris = `"notifications":{"resourceSubscriptions":["a:b","a:never","a:b","a:bad","a:slow","a:c"]}`
	refuse := func(ctx context.Context, uri string) error {
		switch uri {
		case "a:never":
			return noSuch(uri)
		case "a:bad":
			panic("boom")
		case "a:slow":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	for _, row := range []struct {
		name string
		end  func(*rig, *sent)
	}{
		{"the client leaves", func(_ *rig, s *sent) { s.sink.stream.leave() }},
		{"the server stops", func(r *rig, _ *sent) { r.e.Drain(context.Background()) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			rig := newRig(t, Limits{FollowTimeout: 20 * time.Millisecond})
			rig.h.follow = refuse
			s := rig.send(modern("1", "subscriptions/listen", "", uris))
			if data := rig.nextData(s); !strings.Contains(data, `"notifications":{"resourceSubscriptions":["a:b","a:c"]}`) {
				t.Errorf("acknowledged: %s", data)
			}
			rig.follows("open", 1, 2)
			rig.h.change(core.Change{Kind: core.ResourceUpdated, URI: "a:never"})
			rig.h.change(core.Change{Kind: core.ResourceUpdated, URI: "a:c"})
			if data := rig.nextData(s); !strings.Contains(data, `"uri":"a:c"`) {
				t.Errorf("told: %s", data)
			}
			row.end(rig, s)
			rig.follows("ended", 0, 2)
		})
	}

	t.Run("the stream does not open", func(t *testing.T) {
		rig := newRig(t, Limits{})
		s := &sent{sink: newFakeSink(), seen: modern("1", "subscriptions/listen", "", `"notifications":{"resourceSubscriptions":["a:b"]}`)}
		s.sink.broken, s.seen.Handler = true, rig.h
		rig.h.taken.Add(1)
		rig.e.Handle(t.Context(), s.seen, s.sink)
		rig.follows("gone", 0, 1)
		rig.e.Drain(t.Context())
		rig.do(modern("1", "subscriptions/listen", "", `"notifications":{"resourceSubscriptions":["a:b"]}`))
		rig.follows("stopping", 0, 2)
	})

	t.Run("a change while the stream opens", func(t *testing.T) {
		rig := newRig(t, Limits{})
		rig.h.follow = func(context.Context, string) error {
			rig.h.change(core.Change{Kind: core.ResourceUpdated, URI: "a:b"}) // nobody knows of it yet
			return nil
		}
		s := rig.send(modern("1", "subscriptions/listen", "", `"notifications":{"resourceSubscriptions":["a:b"]}`))
		if data := rig.nextData(s); !strings.Contains(data, "acknowledged") {
			t.Errorf("first: %s", data)
		}
		s.sink.stream.leave()
	})
}

// TestManyFollows: requests of a session that cross each other, and its end in the middle
// of them, leave no follow behind; the rig looks.
func TestManyFollows(t *testing.T) {
	rig := newRig(t, Limits{})
	session := rig.open("2025-11-25", "{}")
	var turns atomic.Int64
	rig.h.follow = func(context.Context, string) error {
		if turns.Add(1)%5 == 0 {
			return errors.New("not now")
		}
		return nil
	}
	var work sync.WaitGroup
	for worker := range 4 {
		work.Go(func() {
			for n := range 100 {
				method := "subscribe"
				if (n+worker)%3 == 0 {
					method = "unsubscribe"
				}
				request := inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":"%d-%d","method":"resources/%s","params":{"uri":"a:%d"}}`, worker, n, method, n%2))
				request.Handler = rig.h
				rig.h.taken.Add(1)
				rig.e.Handle(context.Background(), request, newFakeSink())
				if worker == 0 && n == 80 {
					rig.sessions.End(context.Background(), session)
				}
			}
		})
	}
	work.Wait()
	if _, ever := rig.h.following("a:0"); ever < 10 {
		t.Errorf("%d follows: too few to cross each other", ever)
	}
}
