package egress_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// What a hostile or broken upstream may do to a stream: before the end of its head, it
// is an error of Stream within the deadline; behind it, one of the body. In neither case
// is the connection used again, or the request repeated.
func TestEvilStream(t *testing.T) {
	const first = 150 * time.Millisecond
	lump := strings.Repeat("x", 64<<10)
	chunked := head("Transfer-Encoding: chunked")
	endless := func(c net.Conn, text string) {
		for {
			if _, err := c.Write([]byte(text)); err != nil {
				return
			}
		}
	}
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	write := func(text string) func(net.Conn) {
		return func(c net.Conn) { _, _ = c.Write([]byte(text)) }
	}
	tests := []struct {
		name string
		talk func(c net.Conn)
		body bool // the head is good
		code core.Code
		says string
	}{
		{"says nothing", hang, false, core.CodeTimeout, "no answer within"},
		{"resets at once", reset, false, core.CodeUnavailable, "closed the connection"},
		{"closes at once", func(net.Conn) {}, false, core.CodeUnavailable, "closed the connection"},
		{"a head that drips", func(c net.Conn) { trickle(c, head("Content-Length: 2"), 30*time.Millisecond) }, false, core.CodeTimeout, "no answer within"},
		{"a head without end", func(c net.Conn) { endless(c, "HTTP/1.1 200 OK\r\nX-A: "+lump+"\r\n") }, false, core.CodeTooLarge, "16 KiB"},
		{"fields without end", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n")); endless(c, "A: b\r\n") }, false, core.CodeTooLarge, "16 KiB"},
		{"too many fields", write("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 300) + "\r\n"), false, core.CodeTooLarge, "16 KiB"},
		{"interim without end", func(c net.Conn) { endless(c, "HTTP/1.1 103 Early Hints\r\n\r\n") }, false, core.CodeUnavailable, "interim"},
		{"interim that drips", func(c net.Conn) {
			for range 100 {
				if _, err := c.Write([]byte("HTTP/1.1 103 X\r\n\r\n")); err != nil {
					return
				}
				time.Sleep(60 * time.Millisecond)
			}
		}, false, core.CodeTimeout, "no answer within"},
		{"switches protocols", write("HTTP/1.1 101 Switching\r\n\r\n"), false, core.CodeUnavailable, "101"},
		{"ends inside the head", write("HTTP/1.1 200 OK\r\nConte"), false, core.CodeUnavailable, "before its answer was whole"},
		{"length and chunks", write(head("Content-Length: 2\r\nTransfer-Encoding: chunked") + "0\r\n\r\n"), false, core.CodeUnavailable, "both"},
		{"two lengths", write(head("Content-Length: 2\r\nContent-Length: 3") + "ok"), false, core.CodeUnavailable, "Content-Length twice"},
		{"two answers to choose from", write(head("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n"), false, core.CodeUnavailable, "Transfer-Encoding"},

		{"promises more than it sends", write(head("Content-Length: 10") + "short"), true, core.CodeUnavailable, "before its answer was whole"},
		{"promises much, and resets", func(c net.Conn) { _, _ = c.Write([]byte(head("Content-Length: 4000000") + "x")); reset(c) }, true, core.CodeUnavailable, "before its answer was whole"},
		{"ends inside a chunk", write(chunked + "5\r\nab"), true, core.CodeUnavailable, "before its answer was whole"},
		{"ends between chunks", write(chunked + "2\r\nab\r\n"), true, core.CodeUnavailable, "before its answer was whole"},
		{"ends inside the trailers", write(chunked + "2\r\nab\r\n0\r\nX-A: "), true, core.CodeUnavailable, "before its answer was whole"},
		{"resets inside a chunk", func(c net.Conn) {
			_, _ = c.Write([]byte(chunked + "5\r\nab"))
			time.Sleep(10 * time.Millisecond)
			reset(c)
		}, true, core.CodeUnavailable, "before its answer was whole"},
		{"framing only", func(c net.Conn) {
			_, _ = c.Write([]byte(chunked))
			endless(c, "1;"+strings.Repeat("e", 900)+"\r\nx\r\n")
		}, true, core.CodeUnavailable, "only framing"},
		{"a line of framing without end", func(c net.Conn) { _, _ = c.Write([]byte(chunked)); endless(c, "1;"+lump) }, true, core.CodeUnavailable, "too long"},
		{"a size that is none", write(chunked + "zz\r\n"), true, core.CodeUnavailable, "chunk size"},
		{"a size that is too large", write(chunked + "ffffffffffffffff\r\n"), true, core.CodeUnavailable, "too large"},
		{"a negative size", write(chunked + "-1\r\n"), true, core.CodeUnavailable, "chunk size"},
		{"a chunk longer than its size", write(chunked + "2\r\nokay\r\n0\r\n\r\n"), true, core.CodeUnavailable, "longer than its size"},
		{"a bare LF", write(chunked + "2\nok\r\n0\r\n\r\n"), true, core.CodeUnavailable, "CR LF"},
		{"a control character", write(chunked + "2;\x00\r\nok\r\n0\r\n\r\n"), true, core.CodeUnavailable, "chunk extension"},
		{"a trailer that frames", write(chunked + "0\r\nContent-Length: 1\r\n\r\n"), true, core.CodeUnavailable, "trailer"},
		{"trailers without end", func(c net.Conn) { _, _ = c.Write([]byte(chunked + "0\r\n")); endless(c, "A: b\r\n") }, true, core.CodeTooLarge, "16 KiB"},
		{"a stream without end", func(c net.Conn) { _, _ = c.Write([]byte(chunked)); endless(c, "10000\r\n"+lump+"\r\n") }, true, core.CodeTooLarge, "larger than"},
		{"bytes without end", func(c net.Conn) { endless(c, head("Server: x")+lump) }, true, core.CodeTooLarge, "larger than"},
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
				if s.readRequest(r) != nil {
					tt.talk(c)
				}
			})
			e := newEgress(t, egress.Options{})
			c := core.Connection{BaseURL: s.url, FirstByte: time.Minute}
			if tt.code == core.CodeTimeout {
				c.FirstByte = first
			}
			u := open(t, e, c)
			got, err := u.(core.Streamer).Stream(t.Context(), &core.Request{Method: "POST", Path: "/", MaxBytes: 4 << 20})
			if (got != nil) != tt.body {
				t.Fatalf("a stream: %v, %v", got != nil, err)
			}
			if got != nil {
				_, err = io.Copy(io.Discard, got.Body)
				_ = got.Body.Close()
			}
			if got := wants(t, err, tt.code); !strings.Contains(got.Message, tt.says) {
				t.Errorf("message %q does not say %q", got.Message, tt.says)
			}
			if n := s.requests.Load(); n != 1 {
				t.Errorf("the upstream saw %d requests", n)
			}
			if _, _, idle := egress.Shared(e); idle != 0 {
				t.Error("the connection went back to the pool")
			}
			if n := egress.Streams(e); n != 0 {
				t.Errorf("%d streams are counted", n)
			}
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// A cancel, a Close and a Close beside a Read all reach the upstream at once, also when
// nobody reads.
func TestStreamEndReachesUpstream(t *testing.T) {
	for _, kind := range []string{"http", "https", "h2c", "h2"} {
		for _, how := range []string{"cancel", "cancel unread", "cancel a call", "close", "close beside a read"} {
			t.Run(kind+" "+how, func(t *testing.T) {
				gone := make(chan struct{}, 1)
				up := record(t, func(w http.ResponseWriter, q *http.Request) {
					_, _ = io.WriteString(w, "x")
					_ = http.NewResponseController(w).Flush()
					<-q.Context().Done()
					gone <- struct{}{}
				})
				var c core.Connection
				start(up, kind, &c)
				c.BaseURL = parse(t, up.URL)
				e := newEgress(t, egress.Options{})
				u := open(t, e, c)
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					if how == "cancel a call" {
						life := core.NewLifetime(ctx, time.Now().Add(time.Minute))
						defer cancel()
						ctx, cancel = life, func() { life.Cancel(nil) }
					}
					s, err := u.(core.Streamer).Stream(ctx, get("/"))
					if err != nil {
						t.Fatal(err)
					}
					event(t, s.Body, "x")
					read := make(chan error, 1)
					if how != "cancel unread" && how != "close" {
						go func() {
							_, err := s.Body.Read(make([]byte, 10))
							read <- err
						}()
						for waiting() < 1 {
							time.Sleep(time.Millisecond)
						}
					}
					if strings.HasPrefix(how, "cancel") {
						cancel()
					} else {
						_ = s.Body.Close()
					}
					<-gone // nothing else ends it
					if how == "cancel unread" || how == "close" {
						_, err = s.Body.Read(make([]byte, 10))
						read <- err
					}
					wants(t, <-read, core.CodeCancelled)
					_ = s.Body.Close()
					cancel()
				}
				if _, _, idle := egress.Shared(e); idle != 0 {
					t.Errorf("%d connections idle", idle)
				}
				noStreams(t, e)
			})
		}
	}
}

// noStreams waits until no stream is counted: a cancel ends one beside its reader.
func noStreams(t *testing.T, e *egress.Egress) {
	t.Helper()
	for range 10_000 {
		if egress.Streams(e) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d streams are counted", egress.Streams(e))
}

// Ends, cancels and closes that meet give each connection to one owner: no exchange sees
// the bytes of another.
func TestStreamEndsMeet(t *testing.T) {
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for {
			q := s.readRequest(r)
			if q == nil {
				return
			}
			id := q.URL.Query().Get("id")
			_, _ = fmt.Fprintf(c, "%s%x\r\n%s\r\n", head("Transfer-Encoding: chunked"), len(id), id)
			if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	e := newEgress(t, egress.Options{})
	u := open(t, e, core.Connection{BaseURL: s.url})
	var all sync.WaitGroup
	var whole, cut atomic.Int64
	for worker := range 8 {
		all.Go(func() {
			for i := range 150 {
				ctx, cancel := context.WithCancel(t.Context())
				id := fmt.Sprintf("%d-%d", worker, i)
				s, err := u.(core.Streamer).Stream(ctx, &core.Request{Method: "GET", Path: "/", Query: "id=" + id})
				if err != nil {
					t.Errorf("%s: %v", id, err)
					cancel()
					return
				}
				var beside sync.WaitGroup
				switch i % 3 {
				case 1:
					beside.Go(cancel)
				case 2:
					beside.Go(func() { _ = s.Body.Close() })
				}
				got, err := io.ReadAll(s.Body)
				switch {
				case err == nil && string(got) == id:
					whole.Add(1)
				case err == nil || !strings.HasPrefix(id, string(got)):
					t.Errorf("%s read %q, %v", id, got, err)
				default:
					cut.Add(1)
					wants(t, err, core.CodeCancelled)
				}
				beside.Wait()
				cancel()
				_ = s.Body.Close()
			}
		})
	}
	all.Wait()
	if n := s.requests.Load(); n != 8*150 {
		t.Errorf("%d requests for %d streams", n, 8*150)
	}
	if whole.Load() < 8*50 {
		t.Errorf("%d whole, %d cut", whole.Load(), cut.Load())
	}
	noStreams(t, e)
}

// Open streams take no places of calls, and have a bound of their own; one too many is
// refused before anything is sent.
func TestStreamsAreBounded(t *testing.T) {
	for _, crowd := range []bool{false, true} {
		hold := make(chan struct{})
		s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
			for {
				q := s.readRequest(r)
				if q == nil {
					return
				}
				if q.URL.Path == "/call" {
					_, _ = c.Write([]byte(head("Content-Length: 2") + "ok"))
					continue
				}
				_, _ = c.Write([]byte(head("Content-Length: 3") + "x"))
				<-hold
			}
		})
		t.Cleanup(sync.OnceFunc(func() { close(hold) }))
		seen := &events{}
		e := newEgress(t, egress.Options{Observer: seen})
		u := open(t, e, core.Connection{BaseURL: s.url, InFlight: 1, Queue: 1})
		if crowd {
			egress.Crowd(u)
		}
		open := make([]*core.Stream, 16)
		for i := range open {
			open[i] = stream(t, u, get("/"))
		}
		if answer, err := u.Do(t.Context(), get("/call")); err != nil || string(answer.Body) != "ok" {
			t.Fatalf("a call beside 16 streams: %v", err)
		}
		before := s.requests.Load()
		one, err := u.(core.Streamer).Stream(t.Context(), get("/"))
		if crowd { // the test of the test
			if err != nil {
				t.Fatal(err)
			}
			_ = one.Body.Close()
			continue
		}
		if f := wants(t, err, core.CodeUnavailable); f.RetryAfter == 0 || !strings.Contains(f.Message, "streams") {
			t.Errorf("%+v", f)
		}
		if n := s.requests.Load() - before; n != 0 {
			t.Errorf("%d requests were sent", n)
		}
		if last := seen.outcomes(); last[len(last)-1] != "shed" {
			t.Errorf("outcomes %v", last)
		}
		_ = open[3].Body.Close()
		_ = stream(t, u, get("/"))
	}
}

// A place that waits for a head is a place of a call.
func TestStreamHeadsAreBounded(t *testing.T) {
	hold := make(chan struct{})
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			<-hold
			_, _ = c.Write([]byte(head("Content-Length: 0")))
		}
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url, InFlight: 1, Queue: 1})
	done := make(chan error, 2)
	ask := func() {
		_, err := u.(core.Streamer).Stream(t.Context(), get("/"))
		done <- err
	}
	go ask()
	for s.requests.Load() < 1 {
		time.Sleep(time.Millisecond)
	}
	go ask() // waits in the queue, a second at most
	wants(t, <-done, core.CodeUnavailable)
	if n := s.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// The breaker goes by heads, and by bodies that break soon after.
func TestStreamBreaker(t *testing.T) {
	broken := head("Content-Length: 10") + "x"
	tests := []struct {
		name, answer string
		late         time.Duration // between head and break
		opens        bool
	}{
		{"503", "HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 0, true},
		{"no head", "HTTP/1.1 20", 0, true},
		{"a body that breaks", broken, 0, true},
		{"a body that breaks within the window", broken, 5 * time.Second, true},
		{"a body that breaks after it", broken, 20 * time.Second, false},
		{"fine", head("Connection: close\r\nContent-Length: 1") + "x", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
				if s.readRequest(r) != nil {
					_, _ = c.Write([]byte(tt.answer))
				}
			})
			now := &clock{at: time.Now()}
			e := newEgress(t, egress.Options{Now: now.now})
			u := open(t, e, core.Connection{BaseURL: s.url, Breaker: core.Breaker{Requests: 4, Window: 10 * time.Second, Share: 0.9}})
			var bodies []io.Reader
			for range 4 {
				// The deadline of an exchange is by the clock of the system.
				if s, err := u.(core.Streamer).Stream(t.Context(), &core.Request{Method: "POST", Path: "/"}); err == nil {
					bodies = append(bodies, s.Body)
				}
			}
			now.add(tt.late)
			for _, b := range bodies {
				_, _ = io.Copy(io.Discard, b)
			}
			before := s.requests.Load()
			_, err := u.(core.Streamer).Stream(t.Context(), &core.Request{Method: "POST", Path: "/"})
			var f *core.Error
			open := errors.As(err, &f) && strings.Contains(f.Message, "rest")
			if open != tt.opens || (s.requests.Load() == before) != tt.opens {
				t.Fatalf("open: %v, %v; %d more requests", open, err, s.requests.Load()-before)
			}
		})
	}
}

// A half-open breaker takes a stream for its probe, and decides by its head.
func TestStreamProbesBreaker(t *testing.T) {
	var well atomic.Bool
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			if !well.Load() {
				return
			}
			_, _ = c.Write([]byte(head("Content-Length: 100") + "x"))
		}
	})
	now := &clock{at: time.Now()}
	u := open(t, newEgress(t, egress.Options{Now: now.now}), core.Connection{BaseURL: s.url, Breaker: core.Breaker{Requests: 2}})
	for range 2 {
		refuses(t, u, &core.Request{Method: "POST", Path: "/"}, core.CodeUnavailable)
	}
	well.Store(true)
	before := s.requests.Load()
	refuses(t, u, get("/"), core.CodeUnavailable)
	if s.requests.Load() != before {
		t.Fatal("the breaker is not open")
	}
	now.add(10 * time.Second)
	_ = stream(t, u, get("/")) // goes on
	_ = stream(t, u, get("/"))
}

// Who repeats a request: nobody, once a byte may have reached the upstream, unless the
// request says that it may.
func TestStreamRepeats(t *testing.T) {
	tests := []struct {
		name    string
		answers []string // one a request, the last for ever; "" closes
		request core.Request
		status  int // 0 = an error
		sent    int64
	}{
		{"closes", []string{"", "200"}, core.Request{}, 0, 1},
		{"closes, idempotent", []string{"", "200"}, core.Request{Idempotent: true}, 200, 2},
		{"503", []string{"503", "200"}, core.Request{}, 503, 1},
		{"503, idempotent", []string{"503", "200"}, core.Request{Idempotent: true}, 200, 2},
		{"closes when it was idle", []string{"200", ""}, core.Request{}, 0, 2},
		{"closes when it was idle, idempotent", []string{"200", "", "200"}, core.Request{Idempotent: true}, 200, 3},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
					for s.readRequest(r) != nil {
						answer := tt.answers[min(int(s.requests.Load()), len(tt.answers))-1]
						if answer == "" {
							return
						}
						_, _ = fmt.Fprintf(c, "HTTP/1.1 %s X\r\nContent-Length: 2\r\n\r\nok", answer)
					}
				})
				e := newEgress(t, egress.Options{Rand: never})
				u := open(t, e, core.Connection{BaseURL: s.url, Retries: 1})
				if strings.Contains(tt.name, "idle") {
					over(t, stream(t, u, get("/")).Body, "ok")
				}
				r := tt.request
				r.Method, r.Path, r.Body = method, "/", []byte("{}")
				if tt.status == 0 {
					refuses(t, u, &r, core.CodeUnavailable)
				} else {
					got := stream(t, u, &r)
					if got.Status != tt.status {
						t.Errorf("status %d", got.Status)
					}
					over(t, got.Body, "ok")
				}
				if n := s.requests.Load(); n != tt.sent {
					t.Errorf("%d requests, want %d", n, tt.sent)
				}
				if n := egress.Streams(e); n != 0 {
					t.Errorf("%d streams are counted", n)
				}
			})
		}
	}
}
