package egress_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// stream makes one exchange; its body is closed at the end of the test.
func stream(t testing.TB, u core.Upstream, r *core.Request) *core.Stream {
	t.Helper()
	s, err := u.(core.Streamer).Stream(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Body.Close() })
	return s
}

// refuses makes an exchange that has no stream.
func refuses(t testing.TB, u core.Upstream, r *core.Request, code core.Code) *core.Error {
	t.Helper()
	s, err := u.(core.Streamer).Stream(t.Context(), r)
	if s != nil {
		t.Fatalf("a stream with status %d", s.Status)
	}
	return wants(t, err, code)
}

// event reads as many bytes as want has, and compares.
func event(t testing.TB, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

// over reads the rest, which must be want, and the end.
func over(t testing.TB, from io.Reader, want string) {
	t.Helper()
	got, err := io.ReadAll(from)
	if err != nil || string(got) != want {
		t.Fatalf("rest %q, %v, want %q", got, err, want)
	}
	if n, err := from.Read(make([]byte, 9)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("behind the end: %d, %v", n, err)
	}
}

// flushed is a writer of some coding.
type flushed interface {
	io.WriteCloser
	Flush() error
}

func coder(encoding string, to io.Writer) flushed {
	switch encoding {
	case "gzip":
		return gzip.NewWriter(to)
	case "br":
		return brotli.NewWriter(to)
	case "zstd":
		w, _ := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1))
		return w
	case "deflate":
		return zlib.NewWriter(to)
	case "bare deflate":
		w, _ := flate.NewWriter(to, 5)
		return w
	}
	return nil
}

// Every byte is handed out when it arrives: the upstream says the second word only when
// the first was read.
func TestStreamArrives(t *testing.T) {
	const words = 5
	word := func(i int) string { return fmt.Sprintf("data: %d%s\n\n", i, strings.Repeat(".", i*700)) }
	for _, kind := range []string{"http", "https", "h2c", "h2"} {
		for _, encoding := range []string{"", "identity", "gzip", "br", "zstd", "deflate", "bare deflate"} {
			t.Run(kind+" "+encoding, func(t *testing.T) {
				read := make(chan struct{})
				up := record(t, func(w http.ResponseWriter, q *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					var to io.Writer = w
					if encoding != "" {
						w.Header().Set("Content-Encoding", strings.TrimPrefix(encoding, "bare "))
					}
					c := coder(encoding, w)
					if c != nil {
						to = c
					}
					_ = http.NewResponseController(w).Flush()
					for i := range words {
						<-read
						_, _ = io.WriteString(to, word(i))
						if c != nil {
							_ = c.Flush()
						}
						_ = http.NewResponseController(w).Flush()
					}
					<-read
					if c != nil {
						_ = c.Close()
					}
				})
				c := core.Connection{Secret: map[string]core.Secret{"Authorization": "Bearer s3cret"}}
				start(up, kind, &c)
				c.BaseURL = parse(t, up.URL)
				u := open(t, newEgress(t, egress.Options{}), c)
				for range 2 {
					s := stream(t, u, &core.Request{Method: "POST", Path: "/mcp", Body: []byte(`{"a":1}`)})
					if s.Status != 200 || s.Get("content-type") != "text/event-stream" || s.Get("Content-Encoding") != "" {
						t.Fatalf("%d %v", s.Status, s.Header)
					}
					for i := range words {
						read <- struct{}{}
						event(t, s.Body, word(i))
					}
					read <- struct{}{}
					over(t, s.Body, "")
				}
				// net/http may see our end of an exchange before that of its upstream, and
				// then dials anew.
				if n := up.connections.Load(); n != 1 && (n != 2 || !c.HTTP2) {
					t.Errorf("%d connections: a body that was read to its end does not give its own back", n)
				}
				q := up.requests()[0]
				if q.Header.Get("Accept-Encoding") != "identity" || q.Header.Get("Authorization") != "Bearer s3cret" || up.bodies[0] != `{"a":1}` {
					t.Errorf("request %v %q", q.Header, up.bodies[0])
				}
			})
		}
	}
}

// Some send a whole member of gzip for each event: its last bytes do not wait for the
// next one.
func TestStreamOfGzipMembers(t *testing.T) {
	read := make(chan struct{})
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for range 3 {
			_, _ = w.Write(zipped([]byte("data: x\n\n")))
			_ = http.NewResponseController(w).Flush()
			<-read
		}
	})
	up.Start()
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL)})
	s := stream(t, u, get("/"))
	for range 3 {
		event(t, s.Body, "data: x\n\n")
		read <- struct{}{}
	}
	over(t, s.Body, "")
}

// A connection or a request that asks for an encoding by itself has its way.
func TestStreamEncodingAsked(t *testing.T) {
	up := record(t, ok)
	up.Start()
	e := newEgress(t, egress.Options{})
	u := open(t, e, core.Connection{BaseURL: parse(t, up.URL), Header: []core.Field{{Name: "Accept-Encoding", Value: "br"}}})
	_ = stream(t, u, get("/"))
	r := get("/")
	r.Header = []core.Field{{Name: "accept-encoding", Value: "zstd"}}
	_ = stream(t, u, r)
	if _, err := u.Do(t.Context(), get("/")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range up.requests() {
		got = append(got, q.Header.Values("Accept-Encoding")...)
	}
	if fmt.Sprint(got) != "[br zstd br]" {
		t.Errorf("asked for %v", got)
	}
}

// The ways in which an answer may end, and what becomes of the connection.
func TestStreamEnds(t *testing.T) {
	many := strings.Repeat("1\r\nx\r\n", 3000)
	tests := []struct {
		name, method, answer string
		closes               bool // the upstream closes behind it
		status               int
		body                 string
		kept                 bool
	}{
		{"length", "GET", head("Content-Length: 5") + "hello", false, 200, "hello", true},
		{"no bytes", "GET", head("Content-Length: 0"), false, 200, "", true},
		{"chunks", "GET", head("Transfer-Encoding: chunked") + "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", false, 200, "hello", true},
		{"no chunks", "GET", head("Transfer-Encoding: chunked") + "0\r\n\r\n", false, 200, "", true},
		{"many chunks", "GET", head("Transfer-Encoding: chunked") + many + "0\r\n\r\n", false, 200, strings.Repeat("x", 3000), true},
		{"a large chunk", "GET", head("Transfer-Encoding: chunked") + "10000\r\n" + strings.Repeat("y", 65536) + "\r\n0\r\n\r\n", false, 200, strings.Repeat("y", 65536), true},
		{"chunk extensions", "GET", head("Transfer-Encoding: chunked") + "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", false, 200, "hello", true},
		{"trailers", "GET", head("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n", false, 200, "hello", true},
		{"until the end", "GET", head("Content-Type: text/plain") + "hello", true, 200, "hello", false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", true, 200, "hello", false},
		{"close", "GET", head("Connection: close\r\nContent-Length: 5") + "hello", false, 200, "hello", false},
		{"interim", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" + head("Content-Length: 5") + "hello", false, 200, "hello", true},
		{"202", "POST", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", false, 202, "", true},
		{"204", "POST", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, "", true},
		{"HEAD", "HEAD", head("Content-Length: 5"), false, 200, "", true},
		{"HEAD of chunks", "HEAD", head("Transfer-Encoding: chunked"), false, 200, "", true},
		{"405", "GET", "HTTP/1.1 405 X\r\nContent-Length: 2\r\n\r\nno", false, 405, "no", true},
		{"a byte too many", "GET", head("Content-Length: 5") + "hellox", false, 200, "hello", false},
		{"another answer behind it", "GET", head("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n" + head("Content-Length: 2") + "no", false, 200, "hello", false},
		{"a body behind 204", "GET", "HTTP/1.1 204 No Content\r\n\r\nhello", false, 204, "", false},
	}
	for _, tt := range tests {
		for _, step := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprintf("%s in steps of %d", tt.name, step), func(t *testing.T) {
				up := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
					for s.readRequest(r) != nil {
						if _, _ = c.Write([]byte(tt.answer)); tt.closes {
							return
						}
					}
				})
				e := newEgress(t, egress.Options{})
				u := open(t, e, core.Connection{BaseURL: up.url})
				for i := range 2 {
					s := stream(t, u, &core.Request{Method: tt.method, Path: "/"})
					if s.Status != tt.status {
						t.Fatalf("status %d", s.Status)
					}
					over(t, &steps{s.Body, step}, tt.body)
					if err := s.Body.Close(); err != nil {
						t.Fatal(err)
					}
					if _, _, idle := egress.Shared(e); (idle == 1) != tt.kept {
						t.Fatalf("%d idle connections after %d", idle, i+1)
					}
				}
				if n := up.accepted.Load(); (n == 1) != tt.kept {
					t.Errorf("%d connections", n)
				}
				if n := up.requests.Load(); n != 2 {
					t.Errorf("%d requests for 2 streams", n)
				}
				if n := egress.Streams(e); n != 0 {
					t.Errorf("%d streams are counted", n)
				}
			})
		}
	}
}

// steps reads at most n bytes at once.
type steps struct {
	io.Reader
	n int
}

func (s *steps) Read(b []byte) (int, error) { return s.Reader.Read(b[:min(len(b), s.n)]) }

// The length is told where it is that of what is read.
func TestStreamLength(t *testing.T) {
	for _, kind := range []string{"http", "h2"} {
		up := record(t, func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/zip" {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(zipped([]byte("plain")))
				return
			}
			w.Header().Set("Content-Length", "2")
			ok(w, q)
		})
		var c core.Connection
		start(up, kind, &c)
		c.BaseURL = parse(t, up.URL)
		u := open(t, newEgress(t, egress.Options{}), c)
		s := stream(t, u, get("/"))
		if s.Get("Content-Length") != "2" {
			t.Errorf("%s: %v", kind, s.Header)
		}
		over(t, s.Body, "ok")
		s = stream(t, u, get("/zip"))
		if s.Get("Content-Length") != "" {
			t.Errorf("%s: the length of the encoded body is told of the decoded one: %v", kind, s.Header)
		}
		over(t, s.Body, "plain")
	}
}

// After the head no deadline of the connection counts. That it would is seen by Do.
func TestStreamOutlivesDeadlines(t *testing.T) {
	for _, kind := range []string{"http", "https", "h2c"} {
		t.Run(kind, func(t *testing.T) {
			for d := 50 * time.Millisecond; !outlives(t, kind, d); d *= 3 {
				t.Logf("this machine is too busy for %v", d)
			}
		})
	}
}

// outlives has a stream of four times the deadlines of its connection; false when the
// machine was so busy that not even its head came within them.
func outlives(t *testing.T, kind string, deadline time.Duration) bool {
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.WriteString(w, "one")
		_ = http.NewResponseController(w).Flush()
		late := time.After(4 * deadline)
		if q.URL.Path == "/never" {
			late = nil
		}
		select {
		case <-late:
			_, _ = io.WriteString(w, "two")
		case <-q.Context().Done():
		}
	})
	c := core.Connection{}
	start(up, kind, &c)
	c.BaseURL = parse(t, up.URL)
	e := newEgress(t, egress.Options{})
	c.FirstByte, c.Timeout = deadline, deadline
	u := open(t, e, c)
	for range 2 {
		s, err := u.(core.Streamer).Stream(t.Context(), get("/"))
		if core.AsError(err).Code == core.CodeTimeout && deadline < time.Minute {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		over(t, s.Body, "onetwo")
		// The connection that went back has the deadlines of calls again.
		_, err = u.Do(t.Context(), &core.Request{Method: "GET", Path: "/never"})
		wants(t, err, core.CodeTimeout)
	}
	return true
}

// Request.MaxBytes bounds a stream; the bound of the connection is for whole answers.
func TestStreamLimit(t *testing.T) {
	text := strings.Repeat("z", 5000)
	for _, kind := range []string{"http", "h2"} {
		up := record(t, func(w http.ResponseWriter, q *http.Request) {
			switch q.URL.Path {
			case "/length":
				w.Header().Set("Content-Length", "5000")
			case "/zip":
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(zipped([]byte(text)))
				return
			}
			_, _ = io.WriteString(w, text[:1000])
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, text[1000:])
		})
		c := core.Connection{MaxBytes: 100}
		start(up, kind, &c)
		c.BaseURL = parse(t, up.URL)
		e := newEgress(t, egress.Options{})
		u := open(t, e, c)
		for _, path := range []string{"/", "/length", "/zip"} {
			for _, limit := range []int64{0, 5000, 6000} {
				r := get(path)
				r.MaxBytes = limit
				over(t, stream(t, u, r).Body, text)
			}
			r := get(path)
			r.MaxBytes = 4999
			if path == "/length" {
				refuses(t, u, r, core.CodeTooLarge)
				continue
			}
			s := stream(t, u, r)
			got, err := io.ReadAll(s.Body)
			if e := wants(t, err, core.CodeTooLarge); len(got) > 4999 || !strings.Contains(e.Message, "4999 bytes") {
				t.Errorf("%s%s: %d bytes, %v", kind, path, len(got), err)
			}
			if _, again := s.Body.Read(make([]byte, 1)); !errors.Is(again, err) {
				t.Errorf("the error changes to %v", again)
			}
		}
		if _, err := u.Do(t.Context(), get("/")); err == nil {
			t.Error("the bound of the connection does not bite")
		}
	}
}

// The guard stands before streams too, and behind their redirects; that it is the guard
// is seen with it off.
func TestStreamGuard(t *testing.T) {
	watch, port := canary(t)
	for _, off := range []bool{false, true} {
		e := newEgress(t, egress.Options{Allow: []netip.Prefix{}})
		if off {
			egress.Unguard(e)
		}
		for _, http2 := range []bool{false, true} {
			u := open(t, e, core.Connection{BaseURL: parse(t, "http://127.0.0.1:"+port), HTTP2: http2, FirstByte: 20 * time.Millisecond})
			if off {
				refuses(t, u, get("/"), core.CodeTimeout)
			} else {
				refuses(t, u, get("/"), core.CodeDenied)
			}
		}
		if heard := watch.accepted.Load() > 0; heard != off {
			t.Errorf("guard off %v: the canary heard %v", off, heard)
		}
	}
	heard := watch.accepted.Load()
	e := newEgress(t, egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.5/32")}, Resolver: &names{answers: map[string][][]string{"up.example": {{"127.0.0.5"}}}}})
	near := serveRawOn(t, "127.0.0.5:0", say("HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:"+port+"/x\r\nContent-Length: 0\r\n\r\n"))
	refuses(t, open(t, e, core.Connection{BaseURL: parse(t, "http://up.example:"+near.url.Port()), Redirects: 3}), get("/"), core.CodeDenied)
	if watch.accepted.Load() != heard {
		t.Error("a redirect reached the canary")
	}
}

func TestStreamRedirects(t *testing.T) {
	other := record(t, func(w http.ResponseWriter, q *http.Request) { _, _ = io.WriteString(w, "other") })
	other.Start()
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/here":
			http.Redirect(w, q, "/there", http.StatusTemporaryRedirect)
		case "/away":
			http.Redirect(w, q, other.URL+"/x", http.StatusFound)
		case "/round":
			http.Redirect(w, q, "/round", http.StatusFound)
		case "/nowhere":
			w.WriteHeader(http.StatusFound)
			_, _ = io.WriteString(w, "body")
		default:
			_, _ = io.WriteString(w, q.Method)
		}
	})
	up.Start()
	e := newEgress(t, egress.Options{})
	c := core.Connection{BaseURL: parse(t, up.URL), Redirects: 2, Secret: map[string]core.Secret{"X-Key": "s3cret"}}
	u := open(t, e, c)
	over(t, stream(t, u, &core.Request{Method: "POST", Path: "/here", Body: []byte("{}"), Credential: "Bearer own"}).Body, "POST")
	if q := up.requests()[1]; q.Header.Get("X-Key") != "s3cret" || q.Header.Get("Authorization") != "Bearer own" || q.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("at home: %v", q.Header)
	}
	over(t, stream(t, u, &core.Request{Method: "GET", Path: "/away", Credential: "Bearer own"}).Body, "other")
	if q := other.requests()[0]; q.Header.Get("X-Key") != "" || q.Header.Get("Authorization") != "" || q.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("away: %v", q.Header)
	}
	over(t, stream(t, u, get("/nowhere")).Body, "body")
	refuses(t, u, get("/round"), core.CodeUnavailable)
	c.Redirects = 0
	if s := stream(t, open(t, e, c), get("/here")); s.Status != 307 || s.Get("Location") == "" {
		t.Errorf("status %d", s.Status)
	}
	if n := egress.Streams(e); n != 1 {
		t.Errorf("%d streams are counted, 1 is open", n)
	}
}

// What was checked by Do is checked by Stream.
func TestStreamChecksRequests(t *testing.T) {
	s := serveRaw(t, say(head("Content-Length: 0")))
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url, Secret: map[string]core.Secret{"X-Key": "s3cret"}})
	for _, r := range []*core.Request{
		{Method: "CONNECT", Path: "/"},
		{Method: "GET", Path: "nowhere"},
		{Method: "GET", Path: "/a b"},
		{Method: "GET", Path: "/", Query: "a\r\nb"},
		{Method: "GET", Path: "/", Header: []core.Field{{Name: "X-A", Value: "a\r\nB: c"}}},
		{Method: "GET", Path: "/", Header: []core.Field{{Name: "Authorization", Value: "x"}}},
		{Method: "GET", Path: "/", Header: []core.Field{{Name: "x-key", Value: "x"}}},
		{Method: "GET", Path: "/", Credential: "a\nb"},
	} {
		refuses(t, u, r, core.CodeInvalid)
	}
	_ = u.Close()
	refuses(t, u, get("/"), core.CodeInvalid)
	if s.accepted.Load() != 0 {
		t.Error("something was sent")
	}
}

// A stream whose upstream was closed, as by a reload, goes on to its end.
func TestStreamOutlivesItsUpstream(t *testing.T) {
	for _, kind := range []string{"http", "h2"} {
		going := make(chan struct{})
		up := record(t, func(w http.ResponseWriter, q *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-going
			_, _ = io.WriteString(w, "late")
		})
		var c core.Connection
		start(up, kind, &c)
		c.BaseURL = parse(t, up.URL)
		e := newEgress(t, egress.Options{})
		u := open(t, e, c)
		s := stream(t, u, get("/"))
		_ = u.Close()
		_ = e.Close()
		close(going)
		over(t, s.Body, "late")
		if pools, _, _ := egress.Shared(e); pools != 0 {
			t.Errorf("%d pools are left", pools)
		}
	}
}

func TestStreamBodyIsClosed(t *testing.T) {
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		s.readRequest(r)
		_, _ = c.Write([]byte(head("Transfer-Encoding: chunked") + "1\r\nx\r\n"))
		_, _ = io.Copy(io.Discard, r)
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
	one := stream(t, u, get("/"))
	event(t, one.Body, "x")
	_ = one.Body.Close()
	_ = one.Body.Close()
	for range 2 {
		n, err := one.Body.Read(make([]byte, 10))
		if e := wants(t, err, core.CodeCancelled); n != 0 || !strings.Contains(e.Message, "closed") {
			t.Error(n, err)
		}
	}
}

// The words of errors hold no address, query or secret, as those of Do.
func TestStreamErrorsKeepSecrets(t *testing.T) {
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		s.readRequest(r)
		_, _ = c.Write([]byte(head("Content-Length: 100") + "s3cret"))
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{
		BaseURL: s.url, Secret: map[string]core.Secret{"X-Key": "s3cret"}, Query: map[string]core.Secret{"key": "s3cret"},
	})
	_, err := io.ReadAll(stream(t, u, &core.Request{Method: "POST", Path: "/", Body: []byte("s3cret")}).Body)
	if e := wants(t, err, core.CodeUnavailable); strings.Contains(e.Public(), "s3cret") || strings.Contains(e.Public(), "127.0.0.1") {
		t.Error(e.Public())
	}
}

// A body that the decoder would blow up ends the stream, and so does one that is no such
// coding.
func TestStreamDecodingFails(t *testing.T) {
	bomb := zipped(make([]byte, 20<<20))
	tests := []struct {
		name, encoding string
		body           []byte
		code           core.Code
		says           string
	}{
		{"bomb", "gzip", bomb, core.CodeTooLarge, "hundredfold"},
		{"no gzip", "gzip", []byte("nope, not at all"), core.CodeUnavailable, "not valid gzip"},
		{"no br", "br", []byte("\xff\xff\xff\xff"), core.CodeUnavailable, "not valid br"},
		{"no zstd", "zstd", []byte("nope"), core.CodeUnavailable, "not valid zstd"},
		{"no deflate", "deflate", []byte("\xff\xff\xff\xff"), core.CodeUnavailable, "not valid deflate"},
		{"cut gzip", "gzip", zipped([]byte("hello"))[:20], core.CodeUnavailable, "not valid gzip"},
		{"more behind deflate", "deflate", append(deflated("hello"), 'x'), core.CodeUnavailable, "bytes after the end"},
		{"more behind gzip", "gzip", append(zipped([]byte("hello")), 'x'), core.CodeUnavailable, "not valid gzip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := serveRaw(t, say(head(fmt.Sprintf("Content-Encoding: %s\r\nContent-Length: %d", tt.encoding, len(tt.body)))+string(tt.body)))
			e := newEgress(t, egress.Options{})
			s := stream(t, open(t, e, core.Connection{BaseURL: up.url}), get("/"))
			n, err := io.Copy(io.Discard, s.Body)
			if got := wants(t, err, tt.code); !strings.Contains(got.Message, tt.says) {
				t.Errorf("%q does not say %q", got.Message, tt.says)
			}
			if n > 4<<20 {
				t.Errorf("%d bytes came out", n)
			}
		})
	}
	up := serveRaw(t, say(head("Content-Encoding: lzma\r\nContent-Length: 1")+"x"))
	refuses(t, open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: up.url}), get("/"), core.CodeUnavailable)
}

func deflated(text string) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

// The context of a stream may be one of calls, and its deadline ends the stream.
func TestStreamDeadlineOfContext(t *testing.T) {
	for _, kind := range []string{"http", "h2c"} {
		for _, life := range []bool{false, true} {
			for d := 50 * time.Millisecond; !endsWith(t, kind, life, d); d *= 3 {
				t.Logf("this machine is too busy for %v", d)
			}
		}
	}
}

// endsWith has a stream that its context ends; false when that ended before it began.
func endsWith(t *testing.T, kind string, life bool, after time.Duration) bool {
	gone := make(chan struct{}, 1)
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-q.Context().Done()
		gone <- struct{}{}
	})
	var c core.Connection
	start(up, kind, &c)
	c.BaseURL = parse(t, up.URL)
	u := open(t, newEgress(t, egress.Options{}), c)
	deadline := time.Now().Add(after)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	if life {
		cancel()
		l := core.NewLifetime(t.Context(), deadline)
		ctx, cancel = l, func() { l.Cancel(nil) }
	}
	defer cancel()
	s, err := u.(core.Streamer).Stream(ctx, get("/"))
	if core.AsError(err).Code == core.CodeTimeout && after < time.Minute {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Body.Read(make([]byte, 1))
	wants(t, err, core.CodeTimeout)
	<-gone
	return true
}
