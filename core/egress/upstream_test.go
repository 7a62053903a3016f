package egress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// recorder is an HTTP upstream that keeps what it saw.
type recorder struct {
	*httptest.Server
	mu          sync.Mutex
	seen        []*http.Request
	bodies      []string
	connections atomic.Int64
}

func record(t testing.TB, answer http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.seen = append(r.seen, q)
		r.bodies = append(r.bodies, string(body))
		r.mu.Unlock()
		answer(w, q)
	}))
	r.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			r.connections.Add(1)
		}
	}
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// Both transports carry the same message.
func TestExchange(t *testing.T) {
	answer := func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("X-Answer", "yes")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "made")
	}
	for _, kind := range []string{"http", "https", "h2c", "h2"} {
		t.Run(kind, func(t *testing.T) {
			up := record(t, answer)
			c := core.Connection{
				Header: []core.Field{{Name: "X-Ours", Value: "1"}, {Name: "Accept", Value: "text/plain"}},
				Secret: map[string]core.Secret{"Authorization": "Bearer s3cret"},
				Query:  map[string]core.Secret{"key": "s3cret&"},
			}
			start(up, kind, &c)
			c.BaseURL = parse(t, up.URL+"/api/?v=1")
			u := open(t, newEgress(t, egress.Options{Agent: "Test"}), c)
			got, err := u.Do(t.Context(), &core.Request{
				Method: "POST", Path: "/books/a%2Fb", Query: "q=x+y&z=", Body: []byte("body"),
				Header: []core.Field{{Name: "accept", Value: "application/json"}, {Name: "Content-Type", Value: "text/plain"}, {Name: "X-Twice", Value: "1"}, {Name: "X-Twice", Value: "2"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != 201 || string(got.Body) != "made" || got.Get("x-answer") != "yes" {
				t.Errorf("answer %d %q %v", got.Status, got.Body, got.Header)
			}
			cookies := 0
			for _, f := range got.Header {
				if f.Name == "Set-Cookie" {
					cookies++
				}
			}
			if cookies != 2 {
				t.Errorf("%d cookies", cookies)
			}
			q := up.requests()[0]
			if q.Method != http.MethodPost || q.RequestURI != "/api/books/a%2Fb?v=1&q=x+y&z=&key=s3cret%26" || up.bodies[0] != "body" || q.ContentLength != 4 {
				t.Errorf("request %s %s %q", q.Method, q.RequestURI, up.bodies[0])
			}
			want := http.Header{
				"Accept": {"application/json"}, "Content-Type": {"text/plain"}, "X-Twice": {"1", "2"}, "X-Ours": {"1"},
				"Authorization": {"Bearer s3cret"}, "User-Agent": {"Test"}, "Accept-Encoding": {"gzip, br, zstd, deflate"}, "Content-Length": {"4"},
			}
			if fmt.Sprint(q.Header) != fmt.Sprint(want) {
				t.Errorf("headers\n%v, want\n%v", q.Header, want)
			}
			if major := map[string]int{"h2c": 2, "h2": 2}[kind]; major != 0 && q.ProtoMajor != major {
				t.Errorf("protocol %s", q.Proto)
			}
		})
	}
}

// start starts an upstream in one of four ways, and fits the connection to it.
func start(up *recorder, kind string, c *core.Connection) {
	switch kind {
	case "http":
		up.Start()
	case "h2c":
		up.Config.Protocols = new(http.Protocols)
		up.Config.Protocols.SetUnencryptedHTTP2(true)
		up.Start()
	case "https", "h2":
		up.EnableHTTP2 = kind == "h2"
		up.StartTLS()
		c.TLS.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw}))
		c.TLS.ServerName = "example.com" // what the certificate of httptest names
	}
	c.HTTP2 = strings.HasPrefix(kind, "h2")
}

func TestMethods(t *testing.T) {
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Length", "2")
		if q.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		ok(w, q)
	})
	up.Start()
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL)})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} {
		answer, err := u.Do(t.Context(), &core.Request{Method: method, Path: "/"})
		if err != nil {
			t.Fatal(method, err)
		}
		want := "ok"
		if method == "HEAD" || method == "DELETE" {
			want = ""
		}
		if string(answer.Body) != want {
			t.Errorf("%s: body %q", method, answer.Body)
		}
		if method == "HEAD" && answer.Get("Content-Length") != "2" {
			t.Errorf("HEAD: %v", answer.Header)
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections for 8 requests", n)
	}
	for _, q := range up.requests() {
		if want := q.Method == http.MethodPost || q.Method == http.MethodPut || q.Method == http.MethodPatch; (q.Header.Get("Content-Length") == "0") != want {
			t.Errorf("%s: Content-Length %q", q.Method, q.Header.Get("Content-Length"))
		}
	}
}

func TestBodies(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/chunks":
			for part := range slices.Chunk(large, 1000) {
				_, _ = w.Write(part)
				w.(http.Flusher).Flush()
			}
		case "/close":
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = w.Write(large)
		default:
			_, _ = w.Write(large)
		}
	})
	up.Start()
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL)})
	for _, path := range []string{"/", "/chunks", "/close", "/"} {
		told := int64(0)
		request := &core.Request{Method: "PUT", Path: path, Body: large, Progress: func(received, total int64) {
			if received <= told || total != -1 && total != int64(len(large)) {
				t.Errorf("progress %d of %d after %d", received, total, told)
			}
			told = received
		}}
		answer, err := u.Do(t.Context(), request)
		if err != nil || !bytes.Equal(answer.Body, large) {
			t.Fatalf("%s: %v", path, err)
		}
		if told == 0 {
			t.Errorf("%s: no progress", path)
		}
		request = get(path)
		request.MaxBytes = int64(len(large)) - 1
		_, err = u.Do(t.Context(), request)
		wants(t, err, core.CodeTooLarge)
	}
	for _, body := range up.bodies {
		if body != "" && body != string(large) {
			t.Error("a body arrived changed")
		}
	}
	raw := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		s.readRequest(r)
		_, _ = c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + string(large)))
	})
	answer, err := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: raw.url}).Do(t.Context(), get("/"))
	if err != nil || !bytes.Equal(answer.Body, large) {
		t.Fatalf("until the end: %v", err)
	}
}

// An upstream that answers and closes before it read the request is heard.
func TestEarlyAnswer(t *testing.T) {
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		_, _ = r.ReadString('\n')
		_, _ = c.Write([]byte("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"))
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, r)
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
	answer, err := u.Do(t.Context(), &core.Request{Method: "POST", Path: "/", Body: make([]byte, 4<<20)})
	if err != nil || answer.Status != 413 || string(answer.Body) != "big" {
		t.Fatal(answer, err)
	}
}

func TestDecoding(t *testing.T) {
	plain := []byte(strings.Repeat(`{"name":"Sallyport"},`, 500))
	encode := func(f func(w io.Writer) io.WriteCloser) []byte {
		var b bytes.Buffer
		w := f(&b)
		_, _ = w.Write(plain)
		_ = w.Close()
		return b.Bytes()
	}
	bodies := map[string][]byte{
		"identity": plain,
		"gzip":     encode(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"X-Gzip":   encode(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"br":       encode(func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }),
		"zstd":     encode(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }),
		"deflate":  encode(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }),
		"Deflate":  encode(func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 5); return f }), // bare
	}
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		name := q.URL.Path[1:]
		w.Header().Set("Content-Encoding", name)
		if q.URL.RawQuery == "empty" {
			return
		}
		if q.URL.RawQuery == "more" {
			_, _ = w.Write(append(bytes.Clone(bodies[name]), "more"...))
			return
		}
		_, _ = w.Write(bodies[name])
	})
	up.Start()
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL)})
	for name := range bodies {
		for range 3 { // decoders are used again
			answer, err := u.Do(t.Context(), get("/"+name))
			if err != nil || !bytes.Equal(answer.Body, plain) || answer.Get("Content-Encoding") != "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		request := get("/" + name)
		request.MaxBytes = int64(len(plain)) - 1
		_, err := u.Do(t.Context(), request)
		wants(t, err, core.CodeTooLarge)
		request = get("/" + name)
		request.Query = "empty"
		if answer, err := u.Do(t.Context(), request); err != nil || len(answer.Body) != 0 {
			t.Errorf("%s, empty: %v", name, err)
		}
		if name == "gzip" || name == "deflate" || name == "zstd" {
			request.Query = "more"
			_, err = u.Do(t.Context(), request)
			wants(t, err, core.CodeUnavailable)
		}
	}
}

// Whatever a tool puts into a header, the path or the query: the upstream sees
// exactly what was configured, or nothing at all (security.md T3).
func TestInjection(t *testing.T) {
	up := record(t, ok)
	up.Start()
	u := open(t, newEgress(t, egress.Options{}), core.Connection{
		BaseURL: parse(t, up.URL), Secret: map[string]core.Secret{"Authorization": "Bearer s3cret"}, Header: []core.Field{{Name: "X-Ours", Value: "1"}},
	})
	hostile := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("ab \t\r\n\x00\x7f:;=%/?#.&é")), 0, 12, -1))
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.Just("X-Arg"), rapid.Just("Cookie"), hostile).Draw(t, "name")
		value := hostile.Draw(t, "start") + "cAnArY" + hostile.Draw(t, "end")
		path, query := "/"+hostile.Draw(t, "path"), hostile.Draw(t, "query")
		if rapid.Bool().Draw(t, "plain") {
			path, query = "/a", "b=c"
		}
		before := len(up.requests())
		_, err := u.Do(context.Background(), &core.Request{Method: "GET", Path: path, Query: query, Header: []core.Field{{Name: name, Value: value}}})
		all := up.requests()
		if err != nil {
			var e *core.Error
			if !errors.As(err, &e) || e.Code != core.CodeInvalid {
				t.Fatalf("error %v", err)
			}
			if len(all) != before {
				t.Fatal("a refused request was sent")
			}
			if strings.Contains(e.Error(), "cAnArY") {
				t.Fatalf("the error %q repeats the value", e)
			}
			return
		}
		if len(all) != before+1 {
			t.Fatalf("%d requests", len(all)-before)
		}
		q := all[before]
		want := path
		if query != "" {
			want += "?" + query
		}
		if q.RequestURI != want {
			t.Fatalf("target %q, want %q", q.RequestURI, want)
		}
		if got := q.Header.Values(name); len(got) != 1 || got[0] != value {
			t.Fatalf("header %q: %q, want %q", name, got, value)
		}
		q.Header.Del(name)
		for _, own := range []string{"Authorization", "X-Ours", "User-Agent", "Accept-Encoding"} {
			q.Header.Del(own)
		}
		if len(q.Header) != 0 || q.Host != up.Listener.Addr().String() || q.ContentLength != 0 {
			t.Fatalf("more arrived: %v", q.Header)
		}
	})
}

func TestBadRequests(t *testing.T) {
	up := record(t, ok)
	up.Start()
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: parse(t, up.URL), Secret: map[string]core.Secret{"X-Api-Key": "s3cret"}})
	var tests []*core.Request
	for _, name := range []string{
		"Authorization", "authorization", "HOST", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer",
		"Upgrade", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Expect", "HTTP2-Settings", "X-Api-Key", "x-api-key",
		"", "X A", "X:A", "X\r\nA", "Ä",
	} {
		tests = append(tests, &core.Request{Method: "GET", Path: "/", Header: []core.Field{{Name: name, Value: "1"}}})
	}
	for _, value := range []string{"a\r\nB: c", "a\nb", "a\rb", "a\x00b", " a", "a ", "\ta", "a\x7f", "\x1b[0m"} {
		tests = append(tests, &core.Request{Method: "GET", Path: "/", Header: []core.Field{{Name: "X-A", Value: value}}})
	}
	for _, path := range []string{"", "x", "http://evil.example/", "/a b", "/a?b", "/a#b", "/\r\n", "/é", "/%", "/%2", "/%zz", "/..", "/a/../b", "/%2e%2E/b", "/.%2e", "/./a", "/%2e"} {
		tests = append(tests, &core.Request{Method: "GET", Path: path})
	}
	for _, query := range []string{"a b", "a#b", "a\r\nb", "é", "%", "%g0"} {
		tests = append(tests, &core.Request{Method: "GET", Path: "/", Query: query})
	}
	for _, method := range []string{"", "GET /", "CONNECT", "TRACE", "GE\r\nT"} {
		tests = append(tests, &core.Request{Method: method, Path: "/"})
	}
	for _, request := range tests {
		_, err := u.Do(t.Context(), request)
		wants(t, err, core.CodeInvalid)
	}
	for _, path := range []string{"/", "/a/...", "/.well-known/x", "/%2ehidden", "/a..b", "/%2f", "//x"} {
		if _, err := u.Do(t.Context(), &core.Request{Method: "GET", Path: path}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := len(up.requests()); n != 7 {
		t.Errorf("%d requests arrived, 7 were good", n)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	up := record(t, ok)
	up.Start()
	seen := &events{}
	e := newEgress(t, egress.Options{Observer: seen})
	first := open(t, e, core.Connection{BaseURL: parse(t, up.URL)})
	second := open(t, e, core.Connection{Name: "other", BaseURL: parse(t, up.URL+"/api")}) // the same profile
	for range 50 {
		for _, u := range []core.Upstream{first, second} {
			if _, err := u.Do(t.Context(), get("/")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections for 100 requests in a row", n)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				if _, err := first.Do(t.Context(), get("/")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := up.connections.Load(); n > 16 {
		t.Errorf("%d connections for 16 callers", n)
	}
	reused := 0
	for _, s := range seen.sent {
		if s.Reused {
			reused++
		}
	}
	if want := len(seen.sent) - int(up.connections.Load()); reused != want {
		t.Errorf("%d reused, want %d", reused, want)
	}
}

// A reload opens the connections of the new Catalog before it closes the old ones.
func TestPoolsOutliveReloads(t *testing.T) {
	up := record(t, ok)
	up.Start()
	e := newEgress(t, egress.Options{})
	c := core.Connection{Name: "shop", BaseURL: parse(t, up.URL)}
	old, err := e.Open(&c)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := old.Do(t.Context(), get("/")); err != nil {
			t.Fatal(err)
		}
		next, err := e.Open(&c)
		if err != nil {
			t.Fatal(err)
		}
		_ = old.Close()
		_ = old.Close() // closing twice is closing once
		old = next
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections over 20 reloads", n)
	}
	if pools, lanes, idle := egress.Shared(e); pools != 1 || lanes != 1 || idle != 1 {
		t.Errorf("%d pools, %d lanes, %d idle", pools, lanes, idle)
	}
	_ = old.Close()
	if pools, lanes, _ := egress.Shared(e); pools != 0 || lanes != 0 {
		t.Errorf("%d pools and %d lanes stay", pools, lanes)
	}
	_, err = old.Do(t.Context(), get("/"))
	wants(t, err, core.CodeInvalid)
	_ = e.Close()
	_, err = e.Open(&c)
	wants(t, err, core.CodeUnavailable)
}

// Profiles that differ in what makes a connection trusted never share one.
func TestPoolsAreApart(t *testing.T) {
	e := newEgress(t, egress.Options{})
	base := parse(t, "https://shop.example")
	for _, c := range []core.Connection{
		{},
		{TLS: core.TLS{ServerName: "a"}},
		{TLS: core.TLS{Insecure: true}},
		{HTTP2: true},
		{Connect: time.Second},
		{AllowCIDRs: []string{"10.0.0.0/8"}},
	} {
		c.BaseURL = base
		open(t, e, c)
	}
	if pools, _, _ := egress.Shared(e); pools != 6 {
		t.Errorf("%d pools for 6 profiles", pools)
	}
}

func TestIdleConnectionsAreSwept(t *testing.T) {
	closed := make(chan struct{}, 1)
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		say(head("Content-Length: 0"))(s, c, r)
		closed <- struct{}{}
	})
	e := newEgress(t, egress.Options{Idle: 80 * time.Millisecond})
	u := open(t, e, core.Connection{BaseURL: s.url})
	if _, err := u.Do(t.Context(), get("/")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(2 * time.Second):
		t.Fatal("the idle connection stays")
	}
}

// An idle connection that the upstream closes is replaced without anybody seeing
// it; a request that may have arrived is not sent twice.
func TestStaleConnections(t *testing.T) {
	t.Run("closed while idle", func(t *testing.T) {
		s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
			s.readRequest(r)
			_, _ = c.Write([]byte(head("Content-Length: 0")))
		})
		u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
		for range 5 {
			if _, err := u.Do(t.Context(), &core.Request{Method: "POST", Path: "/"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.requests.Load(); n != 5 {
			t.Errorf("%d requests of 5", n)
		}
	})
	second := func(s *rawServer, c net.Conn, r *bufio.Reader) {
		s.readRequest(r)
		_, _ = c.Write([]byte(head("Content-Length: 0")))
		if s.readRequest(r) != nil { // the second on a connection gets a reset
			reset(c)
		}
	}
	t.Run("reset under an idempotent request", func(t *testing.T) {
		s := serveRaw(t, second)
		u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
		for range 2 {
			if _, err := u.Do(t.Context(), get("/")); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.requests.Load(); n != 3 {
			t.Errorf("%d requests, want 3: two and one replay", n)
		}
	})
	t.Run("reset under one that is not", func(t *testing.T) {
		s := serveRaw(t, second)
		u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url, Retries: 3})
		post := &core.Request{Method: "POST", Path: "/"}
		if _, err := u.Do(t.Context(), post); err != nil {
			t.Fatal(err)
		}
		_, err := u.Do(t.Context(), post)
		wants(t, err, core.CodeUnavailable)
		if n := s.requests.Load(); n != 2 {
			t.Errorf("%d requests of 2", n)
		}
	})
}

func TestTLS(t *testing.T) {
	up := record(t, ok)
	up.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	up.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	var right core.Connection
	start(up, "https", &right)
	right.BaseURL = parse(t, up.URL)
	e := newEgress(t, egress.Options{})
	u := open(t, e, right)
	for range 3 {
		if _, err := u.Do(t.Context(), get("/")); err != nil {
			t.Fatal(err)
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	for _, http2 := range []bool{false, true} {
		_, err := open(t, e, core.Connection{BaseURL: right.BaseURL, HTTP2: http2}).Do(t.Context(), get("/"))
		if got := wants(t, err, core.CodeUnavailable); !strings.Contains(got.Message, "not trusted") {
			t.Errorf("HTTP/2 %v: %v", http2, got)
		}
	}
	wrong := right
	wrong.TLS.ServerName = "other.example"
	_, err := open(t, e, wrong).Do(t.Context(), get("/"))
	wants(t, err, core.CodeUnavailable)

	var said bytes.Buffer
	loud := newEgress(t, egress.Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
	if _, err := open(t, loud, core.Connection{BaseURL: right.BaseURL, TLS: core.TLS{Insecure: true}}).Do(t.Context(), get("/")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "insecureSkipVerify") || !strings.Contains(said.String(), "connection=shop") {
		t.Errorf("log %q does not warn", said.String())
	}
}

func TestHTTP2(t *testing.T) {
	gone := make(chan time.Time, 1)
	bomb := zipped(make([]byte, 20<<20))
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/hang":
			<-q.Context().Done()
			gone <- time.Now()
		case "/zip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped([]byte("plain")))
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		case "/large":
			_, _ = w.Write(make([]byte, 1<<20))
		default:
			ok(w, q)
		}
	})
	c := core.Connection{FirstByte: 500 * time.Millisecond, MaxBytes: 4 << 20}
	start(up, "h2", &c)
	c.BaseURL = parse(t, up.URL)
	seen := &events{}
	e := newEgress(t, egress.Options{Observer: seen})
	u := open(t, e, c)
	if answer, err := u.Do(t.Context(), get("/zip")); err != nil || string(answer.Body) != "plain" {
		t.Fatal(answer, err)
	}
	_, err := u.Do(t.Context(), get("/bomb"))
	wants(t, err, core.CodeTooLarge)
	small := get("/large")
	small.MaxBytes = 1000
	_, err = u.Do(t.Context(), small)
	wants(t, err, core.CodeTooLarge)
	_, err = u.Do(t.Context(), get("/hang"))
	wants(t, err, core.CodeTimeout)
	<-gone

	patient := c
	patient.FirstByte = time.Minute
	p := open(t, e, patient)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err = p.Do(ctx, get("/hang"))
	wants(t, err, core.CodeCancelled)
	if took := (<-gone).Sub(start); took > time.Second { // not the minute of the deadline
		t.Errorf("the upstream saw the cancel %v after it", took-50*time.Millisecond)
	}
	if n := up.connections.Load(); n != 2 {
		t.Errorf("%d connections for two profiles", n)
	}
	if !seen.sent[1].Reused {
		t.Error("the second exchange does not say that its connection was reused")
	}
}

func TestTransportsRefuseAlike(t *testing.T) {
	watch, port := canary(t)
	e := egress.New(egress.Options{}) // opens nothing
	defer func() { _ = e.Close() }()
	for _, scheme := range []string{"http", "https"} {
		for _, http2 := range []bool{false, true} {
			u := open(t, e, core.Connection{BaseURL: parse(t, scheme+"://127.0.0.1:"+port), HTTP2: http2})
			_, err := u.Do(t.Context(), get("/"))
			wants(t, err, core.CodeDenied)
		}
	}
	if watch.accepted.Load() != 0 {
		t.Error("the canary was dialled")
	}
}

// No proxy is taken from the environment: the canary is one, and hears nothing. The
// host is a name, because net/http never uses a proxy for loopback addresses.
func TestNoProxy(t *testing.T) {
	watch, port := canary(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+port)
	}
	for _, kind := range []string{"http", "h2c"} {
		up := record(t, ok)
		var c core.Connection
		start(up, kind, &c)
		c.BaseURL = parse(t, "http://shop.example:"+parse(t, up.URL).Port())
		e := newEgress(t, egress.Options{Resolver: &names{answers: map[string][][]string{"shop.example": {{"127.0.0.1"}}}}})
		if _, err := open(t, e, c).Do(t.Context(), get("/x")); err != nil {
			t.Fatal(kind, err)
		}
		if q := up.requests()[0]; q.RequestURI != "/x" || q.Host != c.BaseURL.Host {
			t.Errorf("%s: target %q of host %q is that of a proxy", kind, q.RequestURI, q.Host)
		}
	}
	if watch.accepted.Load() != 0 {
		t.Error("the proxy was used")
	}
}

// An ordinary exchange runs in the caller's goroutine: a thousand calls that wait
// cost a thousand stacks less.
func TestExchangeStartsNoGoroutine(t *testing.T) {
	release := make(chan struct{})
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			<-release
			_, _ = c.Write([]byte(head("Content-Length: 0")))
		}
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if _, err := u.Do(ctx, get("/")); err != nil {
				t.Error(err)
			}
		})
	}
	for s.requests.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	close(release)
	calls.Wait()
	if n := bytes.Count(stacks, []byte("core/egress.(*upstream).Do")); n != 20 {
		t.Errorf("%d exchanges wait, want 20", n)
	}
	if n := bytes.Count(stacks, []byte("created by github.com/sallyport/sallyport/core/egress.")) + bytes.Count(stacks, []byte("created by context.")); n != 0 {
		t.Errorf("%d goroutines beside the callers'", n)
	}
}
