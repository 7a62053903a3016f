package egress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// trickle writes text byte by byte.
func trickle(c net.Conn, text string, pause time.Duration) {
	for i := range len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// reset ends a connection by RST.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func head(fields string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n\r\n" }

// What a hostile or broken upstream may do, and the error that each gets, always
// within the deadline and 100 ms (security.md R7).
func TestEvilUpstream(t *testing.T) {
	const first, whole = 150 * time.Millisecond, time.Second
	bomb := zipped(make([]byte, 20<<20))
	lump := strings.Repeat("x", 64<<10)
	endless := func(c net.Conn, text string) {
		for {
			if _, err := c.Write([]byte(text)); err != nil {
				return
			}
		}
	}
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	tests := []struct {
		name string
		talk func(c net.Conn)
		code core.Code
		says string
	}{
		{"says nothing", hang, core.CodeTimeout, "no answer within"},
		{"resets at once", reset, core.CodeUnavailable, "closed the connection"},
		{"closes at once", func(c net.Conn) {}, core.CodeUnavailable, "closed the connection"},
		{"1 B/s head", func(c net.Conn) { trickle(c, head("Content-Length: 2"), 30*time.Millisecond) }, core.CodeTimeout, "no answer within"},
		{"slow body", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Content-Length: 100000")))
			trickle(c, lump, 10*time.Millisecond)
		}, core.CodeTimeout, "no whole answer"},
		{"slow chunks", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Transfer-Encoding: chunked")))
			trickle(c, strings.Repeat("1\r\nx\r\n", 10000), 10*time.Millisecond)
		}, core.CodeTimeout, "no whole answer"},
		{"slow end of chunks", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Transfer-Encoding: chunked") + "1\r\nx\r\n0\r\n"))
			hang(c)
		}, core.CodeTimeout, "no whole answer"},
		{"body without end", func(c net.Conn) { endless(c, head("Server: x")+lump) }, core.CodeTooLarge, "larger than"},
		{"chunks without end", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Transfer-Encoding: chunked")))
			endless(c, "10000\r\n"+lump+"\r\n")
		}, core.CodeTooLarge, "larger than"},
		{"chunks of framing only", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Transfer-Encoding: chunked")))
			endless(c, "1;"+strings.Repeat("e", 900)+"\r\nx\r\n")
		}, core.CodeUnavailable, "only framing"},
		{"head without end", func(c net.Conn) { endless(c, "HTTP/1.1 200 OK\r\nX-A: "+lump+"\r\n") }, core.CodeTooLarge, "16 KiB"},
		{"fields without end", func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n"))
			endless(c, "A: b\r\n")
		}, core.CodeTooLarge, "16 KiB"},
		{"too many fields", func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 300) + "\r\n"))
		}, core.CodeTooLarge, "16 KiB"},
		{"interim without end", func(c net.Conn) { endless(c, "HTTP/1.1 103 Early Hints\r\n\r\n") }, core.CodeUnavailable, "interim"},
		{"switches protocols", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 101 Switching\r\n\r\n")) }, core.CodeUnavailable, "101"},
		{"promises 200 MB", func(c net.Conn) { _, _ = c.Write([]byte(head("Content-Length: 200000000"))) }, core.CodeTooLarge, "larger than"},
		{"promises more than it sends", func(c net.Conn) { _, _ = c.Write([]byte(head("Content-Length: 10") + "short")) }, core.CodeUnavailable, "before its answer was whole"},
		{"ends inside a chunk", func(c net.Conn) { _, _ = c.Write([]byte(head("Transfer-Encoding: chunked") + "5\r\nab")) }, core.CodeUnavailable, "before its answer was whole"},
		{"ends inside the head", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nConte")) }, core.CodeUnavailable, "before its answer was whole"},
		{"gzip bomb", func(c net.Conn) {
			_, _ = fmt.Fprintf(c, "%s%s", head(fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d", len(bomb))), bomb)
		}, core.CodeTooLarge, "hundredfold"},
		{"gzip that is none", func(c net.Conn) { _, _ = c.Write([]byte(head("Content-Encoding: gzip\r\nContent-Length: 4") + "nope")) }, core.CodeUnavailable, "not valid gzip"},
		{"br that is none", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Content-Encoding: br\r\nContent-Length: 4") + "\xff\xff\xff\xff"))
		}, core.CodeUnavailable, "not valid br"},
		{"zstd that is none", func(c net.Conn) { _, _ = c.Write([]byte(head("Content-Encoding: zstd\r\nContent-Length: 4") + "nope")) }, core.CodeUnavailable, "not valid zstd"},
		{"deflate that is none", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Content-Encoding: deflate\r\nContent-Length: 4") + "\xff\xff\xff\xff"))
		}, core.CodeUnavailable, "not valid deflate"},
		{"unknown coding", func(c net.Conn) { _, _ = c.Write([]byte(head("Content-Encoding: lzma\r\nContent-Length: 1") + "x")) }, core.CodeUnavailable, "not asked for"},
		{"codings in a row", func(c net.Conn) {
			_, _ = c.Write([]byte(head("Content-Encoding: gzip, gzip\r\nContent-Length: 1") + "x"))
		}, core.CodeUnavailable, "not asked for"},
	}
	for text, says := range malformedHeads {
		tests = append(tests, struct {
			name string
			talk func(c net.Conn)
			code core.Code
			says string
		}{"malformed: " + says + ": " + text, func(c net.Conn) { _, _ = c.Write([]byte(text)); hang(c) }, core.CodeUnavailable, says})
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
			seen := &events{}
			e := newEgress(t, egress.Options{Observer: seen})
			c := core.Connection{BaseURL: s.url, FirstByte: 5 * time.Second, Timeout: 5 * time.Second, MaxBytes: 4 << 20}
			limit := c.Timeout
			if tt.code == core.CodeTimeout {
				c.FirstByte, c.Timeout, limit = first, whole, whole
			}
			if tt.says == "no answer within" {
				limit = first
			}
			u := open(t, e, c)
			// A machine that is busy elsewhere may be late once or twice, not three times.
			var took time.Duration
			tries := 0
			for tries = 1; tries <= 3; tries++ {
				start := time.Now()
				_, err := u.Do(t.Context(), &core.Request{Method: "POST", Path: "/"})
				took = time.Since(start)
				got := wants(t, err, tt.code)
				if !strings.Contains(got.Message, tt.says) {
					t.Errorf("message %q does not say %q", got.Message, tt.says)
				}
				if n := s.requests.Load(); n != int64(tries) {
					t.Errorf("the upstream saw %d requests of %d that are not idempotent", n, tries)
				}
				if took <= limit+100*time.Millisecond {
					break
				}
			}
			if tries > 3 {
				t.Errorf("took %v, the deadline is %v", took, limit)
			}
			if _, _, idle := egress.Shared(e); idle != 0 {
				t.Error("the connection went back to the pool")
			}
			for _, o := range seen.outcomes() {
				if o == "ok" {
					t.Errorf("outcomes %v", seen.outcomes())
				}
			}
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// Heads with no meaning, or two.
var malformedHeads = map[string]string{
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "both",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n": "both",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok":                 "Content-Length twice",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 3\r\n\r\nok":                 "Content-Length twice",
	"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok":                                   "not a number",
	"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok":                                     "not a number",
	"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok":                                     "not a number",
	"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok":                                    "not a number",
	"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok":                                        "not a number",
	"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok":                   "not a number",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n":                "Transfer-Encoding",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n":                              "Transfer-Encoding",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n": "Transfer-Encoding",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                      "Transfer-Encoding",
	"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok":                                     "not a token",
	"HTTP/1.1 200 OK\r\n Content-Length: 2\r\n\r\nok":                                     "not a token",
	"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n":                                          "not a token",
	"HTTP/1.1 200 OK\r\n: b\r\n\r\n":                                                      "not a token",
	"HTTP/1.1 200 OK\r\nno colon\r\n\r\n":                                                 "not a token",
	"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n":                                                "control character",
	"HTTP/1.1 200 OK\r\nA: b\rB: c\r\n\r\n":                                               "control character",
	"HTTP/1.1 200 OK\r\nA: b\nB: c\r\n\r\n":                                               "control character",
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\n\r\n":           "twice",
	"HTTP/2.0 200 OK\r\n\r\n":                                                             "HTTP/1.x",
	"HTTP/1.2 200 OK\r\n\r\n":                                                             "HTTP/1.x",
	"HTTP/1.1  200 OK\r\n\r\n":                                                            "HTTP/1.x",
	"HTTP/1.1 20 OK\r\n\r\n":                                                              "HTTP/1.x",
	"HTTP/1.1 2000 OK\r\n\r\n":                                                            "HTTP/1.x",
	"HTTP/1.1 099 OK\r\n\r\n":                                                             "below 100",
	"HTTP/1.1 2x0 OK\r\n\r\n":                                                             "three digits",
	"HTTP/1.1 200 O\x07K\r\n\r\n":                                                         "control character",
	"SSH-2.0-OpenSSH_9.2p1\r\n\r\n":                                                       "HTTP/1.x",
	"<html>\r\n\r\n":                                                                      "HTTP/1.x",
	"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n":                                                     "HTTP/1.x",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                         "chunk size",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n":          "chunk size",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n":                         "chunk size",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n":                           "chunk size",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 2\r\nok\r\n0\r\n\r\n":         "chunk size",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n":           "too large",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n":         "longer than its size",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n":             "CR LF",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\x00\r\nok\r\n0\r\n\r\n":      "chunk extension",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n": "trailer",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n":       "token",
}

// An answer with something behind it is an answer, but the connection is not used
// again: the rest would be taken for the answer to another request.
func TestPoolIsNotPoisoned(t *testing.T) {
	ok := head("Content-Length: 5") + "first"
	tests := []struct{ name, answer string }{
		{"two answers at once", ok + head("Content-Length: 6") + "second"},
		{"one byte too many", ok + "x"},
		{"body behind 204", "HTTP/1.1 204 No Content\r\n\r\n" + ok},
		{"body behind 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nfirst"},
		{"chunks and more", head("Transfer-Encoding: chunked") + "5\r\nfirst\r\n0\r\n\r\n" + ok},
		{"close", head("Connection: close\r\nContent-Length: 5") + "first"},
		{"close in a list", head("Connection: foo , Close\r\nContent-Length: 5") + "first"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfirst"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, say(tt.answer))
			u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
			for range 3 {
				answer, err := u.Do(t.Context(), get("/"))
				if err != nil {
					t.Fatal(err)
				}
				if body := string(answer.Body); body != "first" && body != "" {
					t.Fatalf("body %q", body)
				}
			}
			if n := s.accepted.Load(); n != 3 {
				t.Errorf("%d connections for 3 requests", n)
			}
		})
	}
	for name, request := range map[string]*core.Request{
		"GET": get("/"), "POST": {Method: "POST", Path: "/", Body: []byte("{}")},
		"POST that is written apart from its head": {Method: "POST", Path: "/", Body: make([]byte, 100<<10)},
	} {
		t.Run("a second answer that comes later: "+name, func(t *testing.T) {
			late := make(chan struct{})
			s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
				for s.readRequest(r) != nil {
					_, _ = c.Write([]byte(ok))
					time.Sleep(20 * time.Millisecond)
					_, _ = c.Write([]byte(head("Content-Length: 6") + "second"))
					late <- struct{}{}
				}
			})
			u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
			for range 3 {
				answer, err := u.Do(t.Context(), request)
				if err != nil || string(answer.Body) != "first" {
					t.Fatal(answer, err)
				}
				<-late
				time.Sleep(5 * time.Millisecond) // for loopback to carry it
			}
			if n := s.accepted.Load(); n != 3 {
				t.Errorf("%d connections for 3 requests", n)
			}
		})
	}
}

// Cancelling reaches the upstream in less than 100 ms, wherever the exchange is.
func TestCancelReachesUpstream(t *testing.T) {
	tests := []struct {
		name   string
		before string // what the upstream says before it hangs
	}{
		{"before the head", ""},
		{"in the head", "HTTP/1.1 200 OK\r\nA: "},
		{"in the body", head("Content-Length: 100") + "x"},
		{"in a chunk", head("Transfer-Encoding: chunked") + "5\r\nx"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			waiting, gone := make(chan struct{}, 1), make(chan time.Time, 1)
			s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
				s.readRequest(r)
				_, _ = c.Write([]byte(tt.before))
				waiting <- struct{}{}
				_, _ = io.Copy(io.Discard, r)
				gone <- time.Now()
			})
			seen := &events{}
			u := open(t, newEgress(t, egress.Options{Observer: seen}), core.Connection{BaseURL: s.url, Retries: 1})
			slow := 0 // a machine that is busy elsewhere may be late, but not most times
			for i := range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				if i%2 == 1 { // the context of calls
					life := core.NewLifetime(ctx, time.Now().Add(20*time.Second))
					defer cancel()
					ctx, cancel = life, func() { life.Cancel(nil) }
				}
				done := make(chan error, 1)
				go func() {
					_, err := u.Do(ctx, get("/"))
					done <- err
				}()
				<-waiting
				time.Sleep(5 * time.Millisecond) // let what was said arrive
				start := time.Now()
				cancel()
				wants(t, <-done, core.CodeCancelled)
				returned, noticed := time.Since(start), (<-gone).Sub(start)
				if returned > 100*time.Millisecond || noticed > 100*time.Millisecond {
					t.Logf("Do returned after %v, the upstream noticed after %v", returned, noticed)
					slow++
				}
			}
			if slow > 2 {
				t.Errorf("%d of 5 cancels took more than 100 ms", slow)
			}
			for _, o := range seen.outcomes() {
				if o != "cancelled" {
					t.Errorf("outcome %s", o)
				}
			}
			if n := s.requests.Load(); n != 5 {
				t.Errorf("%d requests of 5: a cancelled one was repeated", n)
			}
		})
	}
}

func TestCancelWhileConnecting(t *testing.T) {
	blocked := resolverFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	e := newEgress(t, egress.Options{Resolver: blocked})
	u := open(t, e, core.Connection{BaseURL: parse(t, "http://slow.example")})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	_, err := u.Do(ctx, get("/"))
	wants(t, err, core.CodeCancelled)
	if took := time.Since(start); took > time.Second { // not the 3 s of connecting
		t.Errorf("took %v", took)
	}
	short := open(t, e, core.Connection{BaseURL: parse(t, "http://slow.example"), Connect: 50 * time.Millisecond})
	_, err = short.Do(t.Context(), get("/"))
	if got := wants(t, err, core.CodeTimeout); !strings.Contains(got.Message, "no connection within 50ms") {
		t.Error(got.Message)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	e := newEgress(t, egress.Options{Resolver: &names{}})
	tests := []struct{ url, says string }{
		{"http://" + l.Addr().String(), "refuses connections"},
		{"http://nowhere.example/?q=1", "does not resolve"},
	}
	for _, tt := range tests {
		u := open(t, e, core.Connection{BaseURL: parse(t, tt.url)})
		_, err := u.Do(t.Context(), &core.Request{Method: "POST", Path: "/"})
		if got := wants(t, err, core.CodeUnavailable); !strings.Contains(got.Message, tt.says) {
			t.Errorf("%q does not say %q", got.Message, tt.says)
		}
	}
}
