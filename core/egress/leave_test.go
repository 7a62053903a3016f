package egress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// leave leaves a stream before its end.
func leave(t *testing.T, s *core.Stream) bool {
	t.Helper()
	l, ok := s.Body.(core.Leaver)
	return ok && l.Leave()
}

// A stream is left behind its last event. The connection is used again when its end
// comes, and nothing but its end: whatever else comes is nobody's answer.
func TestStreamIsLeft(t *testing.T) {
	tests := []struct {
		name, now, then string // what comes with the event, and what once it was left
		ends            bool   // the upstream closes behind it
		connections     int64  // for two streams
	}{
		{"its end comes", "", "\r\n0\r\n\r\n", false, 1},
		{"half of its end was there", "\r\n0\r", "\n\r\n", false, 1},
		{"trailers", "\r\n", "0\r\nX-A: b\r\n\r\n", false, 2},
		{"another event", "\r\n", "3\r\nbad\r\n0\r\n\r\n", false, 2},
		{"more than its end", "\r\n", "0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", false, 2},
		{"no chunk", "\r\n", "nonsense", false, 2},
		{"the end of the connection", "\r\n", "", true, 2},
		{"its end and that of the connection", "\r\n", "0\r\n\r\n", true, 2},
		{"as many other bytes", "\r\n", "3\r\nba", false, 2},
		{"nothing", "\r\n", "", false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			left, said := make(chan struct{}), make(chan struct{})
			s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
				for s.readRequest(r) != nil {
					if s.requests.Load() > 1 {
						_, _ = io.WriteString(c, head("Content-Length: 2")+"ok")
						continue
					}
					_, _ = io.WriteString(c, head("Transfer-Encoding: chunked")+"5\r\nevent"+tt.now)
					<-left
					_, _ = io.WriteString(c, tt.then)
					if tt.ends {
						_ = c.Close()
					}
					close(said)
				}
			})
			e := newEgress(t, egress.Options{})
			u := open(t, e, core.Connection{BaseURL: s.url})
			one := stream(t, u, &core.Request{Method: "POST", Path: "/"})
			event(t, one.Body, "event")
			if !leave(t, one) {
				t.Fatal("it cannot be left")
			}
			if n, err := one.Body.Read(make([]byte, 9)); n != 0 || core.AsError(err).Code != core.CodeCancelled {
				t.Errorf("behind it: %d, %v", n, err)
			}
			if n := egress.Streams(e); n != 0 {
				t.Errorf("%d streams are counted", n)
			}
			close(left)
			<-said
			for tt.connections == 1 && egress.Late(e) > 0 {
				time.Sleep(time.Millisecond)
			}
			two := stream(t, u, &core.Request{Method: "POST", Path: "/"})
			over(t, two.Body, "ok")
			_ = one.Body.Close() // changes nothing
			if n := s.accepted.Load(); n != tt.connections {
				t.Errorf("%d connections, want %d", n, tt.connections)
			}
			if n := s.requests.Load(); n != 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// A stream is not left in the middle of something, nor where the connection cannot wait
// for its end: then reading goes on as if nothing had been asked.
func TestStreamIsNotLeft(t *testing.T) {
	for _, tt := range []struct{ name, answer, first, rest string }{
		{"in a chunk", head("Transfer-Encoding: chunked") + "5\r\nevent\r\n0\r\n\r\n", "ev", "ent"},
		{"another chunk is there", head("Transfer-Encoding: chunked") + "5\r\nevent\r\n2\r\nxy\r\n0\r\n\r\n", "event", "xy"},
		{"a length", head("Content-Length: 7") + "eventxy", "event", "xy"},
		{"to be closed", head("Connection: close\r\nTransfer-Encoding: chunked") + "5\r\nevent\r\n", "event", ""},
		{"encoded", head("Content-Encoding: gzip\r\nTransfer-Encoding: chunked") + chunk(zipped([]byte("event"))) + chunk(zipped([]byte("xy"))) + "0\r\n\r\n", "event", "xy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, say(tt.answer))
			e := newEgress(t, egress.Options{})
			one := stream(t, open(t, e, core.Connection{BaseURL: s.url}), get("/"))
			event(t, one.Body, tt.first)
			if leave(t, one) {
				t.Fatal("it was left")
			}
			if tt.rest != "" {
				over(t, one.Body, tt.rest)
			}
		})
	}
	for _, kind := range []string{"https", "h2c", "h2"} {
		t.Run(kind, func(t *testing.T) {
			going := make(chan struct{})
			up := record(t, func(w http.ResponseWriter, q *http.Request) {
				_, _ = io.WriteString(w, "event")
				_ = http.NewResponseController(w).Flush()
				<-going
				_, _ = io.WriteString(w, "xy")
			})
			var c core.Connection
			start(up, kind, &c)
			c.BaseURL = parse(t, up.URL)
			one := stream(t, open(t, newEgress(t, egress.Options{}), c), get("/"))
			event(t, one.Body, "event")
			if leave(t, one) {
				t.Error("it was left")
			}
			close(going)
			over(t, one.Body, "xy")
		})
	}
}

func chunk(b []byte) string { return fmt.Sprintf("%x\r\n%s\r\n", len(b), b) }

// An end that never comes is not waited for, and one that is late neither keeps others
// waiting nor loses its connection.
func TestStreamEndsLate(t *testing.T) {
	ends := make(chan struct{})
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			_, _ = io.WriteString(c, head("Transfer-Encoding: chunked")+"5\r\nevent\r\n")
			<-ends
			_, _ = io.WriteString(c, "0\r\n\r\n")
		}
	})
	now := &clock{at: time.Now()}
	e := newEgress(t, egress.Options{Now: now.now, Idle: time.Hour})
	u := open(t, e, core.Connection{BaseURL: s.url, FirstByte: time.Hour})
	const many = 6
	for range many {
		one := stream(t, u, get("/"))
		event(t, one.Body, "event")
		if !leave(t, one) {
			t.Fatal("it cannot be left")
		}
	}
	if _, _, idle := egress.Shared(e); idle != many || s.accepted.Load() != many {
		t.Fatalf("%d idle of %d connections, want %d", idle, s.accepted.Load(), many)
	}
	now.add(9 * time.Second)
	if egress.Sweep(e); idleOf(e) != many {
		t.Errorf("%d are left after 9 s", idleOf(e))
	}
	now.add(2 * time.Second)
	if egress.Sweep(e); idleOf(e) != 0 {
		t.Errorf("%d are left after 11 s", idleOf(e))
	}
	close(ends)
	one := stream(t, u, get("/"))
	event(t, one.Body, "event")
	over(t, one.Body, "")
	if n := s.accepted.Load(); n != many+1 {
		t.Errorf("%d connections", n)
	}
}

func idleOf(e *egress.Egress) int {
	_, _, idle := egress.Shared(e)
	return idle
}

// Streams that are left one after the other share one connection, however the end of
// each comes; and no exchange sees the bytes of another.
func TestStreamsAreLeftInTurn(t *testing.T) {
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for {
			q := s.readRequest(r)
			if q == nil {
				return
			}
			_, _ = io.WriteString(c, head("Transfer-Encoding: chunked")+chunk([]byte(q.URL.RawQuery)))
			_, _ = io.WriteString(c, "0\r\n\r\n")
		}
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
	for i := range 500 {
		id := fmt.Sprintf("id-%d%s", i, strings.Repeat("x", i%50))
		one := stream(t, u, &core.Request{Method: "POST", Path: "/", Query: id})
		event(t, one.Body, id)
		if !leave(t, one) { // its end was there at once
			over(t, one.Body, "")
		}
	}
	if n := s.requests.Load(); n != 500 {
		t.Errorf("%d requests", n)
	}
}
