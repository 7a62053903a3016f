package egress_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

func never() float64 { return 1 } // no jitter kept: the shortest back-off

func TestRetries(t *testing.T) {
	tests := []struct {
		name    string
		answers []string // one a request, the last for ever; "reset" resets
		request core.Request
		retries int
		status  int // 0 = an error
		sent    int64
	}{
		{"reset, then fine", []string{"reset", "200"}, core.Request{Idempotent: true}, 1, 200, 2},
		{"503, then fine", []string{"503", "200"}, core.Request{Idempotent: true}, 1, 200, 2},
		{"502 for ever", []string{"502"}, core.Request{Idempotent: true}, 1, 502, 2},
		{"not idempotent", []string{"503"}, core.Request{}, 3, 503, 1},
		{"reset, not idempotent", []string{"reset"}, core.Request{}, 3, 0, 1},
		{"no retries", []string{"503"}, core.Request{Idempotent: true}, 0, 503, 1},
		{"500 is an answer", []string{"500", "200"}, core.Request{Idempotent: true}, 1, 500, 1},
		{"429 without a time", []string{"429", "200"}, core.Request{Idempotent: true}, 1, 429, 1},
		{"429 at once", []string{"429 0", "200"}, core.Request{Idempotent: true}, 1, 200, 2},
		{"503 for longer than a call should hang", []string{"503 3", "200"}, core.Request{Idempotent: true}, 1, 503, 1},
		{"503 after the deadline", []string{"503 60", "200"}, core.Request{Idempotent: true}, 1, 503, 1},
		{"the budget of one", []string{"503"}, core.Request{Idempotent: true}, 5, 503, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
				for s.readRequest(r) != nil {
					answer := tt.answers[min(int(s.requests.Load()), len(tt.answers))-1]
					if answer == "reset" {
						reset(c)
						return
					}
					status, after, found := strings.Cut(answer, " ")
					if found {
						after = "Retry-After: " + after + "\r\n"
					}
					_, _ = fmt.Fprintf(c, "HTTP/1.1 %s X\r\n%sContent-Length: 0\r\n\r\n", status, after)
				}
			})
			seen := &events{}
			u := open(t, newEgress(t, egress.Options{Rand: never, Observer: seen}), core.Connection{BaseURL: s.url, Retries: tt.retries, Timeout: 5 * time.Second})
			request := tt.request
			request.Method, request.Path = "GET", "/"
			answer, err := u.Do(t.Context(), &request)
			if tt.status == 0 {
				wants(t, err, core.CodeUnavailable)
			} else if err != nil || answer.Status != tt.status {
				t.Fatalf("%v, %v, want %d", answer, err, tt.status)
			}
			if n := s.requests.Load(); n != tt.sent {
				t.Errorf("%d requests, want %d", n, tt.sent)
			}
			if last := seen.sent[len(seen.sent)-1]; last.Attempt != int(tt.sent) {
				t.Errorf("the last attempt was %d, want %d", last.Attempt, tt.sent)
			}
		})
	}
}

// An upstream in trouble gets at most a tenth more (security.md R7).
func TestRetryBudget(t *testing.T) {
	s := serveRaw(t, say("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"))
	now := &clock{at: time.Now()}
	u := open(t, newEgress(t, egress.Options{Rand: never, Now: now.now}), core.Connection{BaseURL: s.url, Retries: 1, Breaker: core.Breaker{Off: true}})
	const calls = 200
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range calls / 8 {
				if _, err := u.Do(t.Context(), get("/")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := s.requests.Load(); n < calls+10 || n > calls+calls/10+1 {
		t.Errorf("%d requests for %d calls", n, calls)
	}
}

func TestRetryWaitsAsAsked(t *testing.T) {
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		s.readRequest(r)
		_, _ = c.Write([]byte("HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"))
		s.readRequest(r)
		_, _ = c.Write([]byte(head("Content-Length: 0")))
	})
	u := open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: s.url, Retries: 1})
	start := time.Now()
	if answer, err := u.Do(t.Context(), get("/")); err != nil || answer.Status != 200 {
		t.Fatal(answer, err)
	}
	if took := time.Since(start); took < time.Second || took > 4*time.Second {
		t.Errorf("took %v, asked for 1 s", took)
	}
	again := serveRaw(t, say("HTTP/1.1 503 X\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"))
	u = open(t, newEgress(t, egress.Options{}), core.Connection{BaseURL: again.url, Retries: 1})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := u.Do(ctx, get("/"))
	wants(t, err, core.CodeCancelled)
}

func TestBreaker(t *testing.T) {
	var well atomic.Bool
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			status := "503"
			if well.Load() {
				status = "200"
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n", status)
		}
	})
	now := &clock{at: time.Now()} // deadlines of sockets come from it, so it may only run ahead
	seen := &events{}
	e := newEgress(t, egress.Options{Now: now.now, Rand: func() float64 { return 0.5 }, Observer: seen})
	c := core.Connection{BaseURL: s.url}
	u := open(t, e, c)
	post := &core.Request{Method: "POST", Path: "/"}
	for range 19 {
		if _, err := u.Do(t.Context(), post); err != nil {
			t.Fatal(err)
		}
	}
	now.add(11 * time.Second) // those are out of the window now
	for i := range 20 {
		if _, err := u.Do(t.Context(), post); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		now.add(100 * time.Millisecond)
	}
	refused := func(seconds int) {
		t.Helper()
		_, err := open(t, e, c).Do(t.Context(), post) // also through an upstream opened later
		got := wants(t, err, core.CodeUnavailable)
		if got.RetryAfter != seconds || !strings.Contains(got.Message, "rest") {
			t.Errorf("%v, retry after %d s, want %d", got, got.RetryAfter, seconds)
		}
	}
	refused(6)
	if n := s.requests.Load(); n != 39 {
		t.Errorf("%d requests while the breaker was closed, want 39", n)
	}
	now.add(5600 * time.Millisecond)
	if _, err := u.Do(t.Context(), post); err != nil { // the probe, which fails
		t.Fatal(err)
	}
	refused(6)
	well.Store(true)
	now.add(6 * time.Second)
	for range 30 {
		if answer, err := u.Do(t.Context(), post); err != nil || answer.Status != 200 {
			t.Fatal(answer, err)
		}
	}
	if !slices.Contains(seen.outcomes(), "breaker") {
		t.Error("the observer heard of no breaker")
	}
}

// While half-open one exchange probes and the others are refused; one that the
// caller gave up decides nothing.
func TestBreakerProbe(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			if s.requests.Load() <= 4 {
				reset(c)
				return
			}
			<-release
			_, _ = c.Write([]byte(head("Content-Length: 0")))
		}
	})
	t.Cleanup(free)
	now := &clock{at: time.Now()}
	e := newEgress(t, egress.Options{Now: now.now})
	u := open(t, e, core.Connection{BaseURL: s.url, Breaker: core.Breaker{Share: 1, Requests: 4, Open: time.Second}})
	post := &core.Request{Method: "POST", Path: "/"}
	for range 4 {
		_, err := u.Do(t.Context(), post)
		wants(t, err, core.CodeUnavailable)
	}
	now.add(2 * time.Second)
	left, leave := context.WithCancel(t.Context())
	go func() {
		for s.requests.Load() < 5 {
			time.Sleep(time.Millisecond)
		}
		leave()
	}()
	_, err := u.Do(left, post)
	wants(t, err, core.CodeCancelled)
	done := make(chan error, 1)
	go func() {
		_, err := u.Do(t.Context(), post)
		done <- err
	}()
	for s.requests.Load() < 6 {
		time.Sleep(time.Millisecond)
	}
	_, err = u.Do(t.Context(), post)
	wants(t, err, core.CodeUnavailable)
	free()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := u.Do(t.Context(), post); err != nil {
		t.Fatal(err)
	}
}

func TestBulkhead(t *testing.T) {
	release := make(chan struct{})
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for s.readRequest(r) != nil {
			<-release
			_, _ = c.Write([]byte(head("Content-Length: 0")))
		}
	})
	seen := &events{}
	u := open(t, newEgress(t, egress.Options{Observer: seen}), core.Connection{BaseURL: s.url, InFlight: 4, Queue: 3})
	var running sync.WaitGroup
	var fine atomic.Int64
	call := func() {
		if _, err := u.Do(context.Background(), get("/")); err == nil {
			fine.Add(1)
		} else {
			wants(t, err, core.CodeUnavailable)
		}
	}
	for range 4 {
		running.Go(call)
	}
	for s.requests.Load() < 4 {
		time.Sleep(time.Millisecond)
	}
	// Three wait; the fourth is shed at once.
	var waiting sync.WaitGroup
	start := time.Now()
	for range 3 {
		waiting.Go(call)
	}
	time.Sleep(20 * time.Millisecond)
	shed := time.Now()
	_, err := u.Do(t.Context(), get("/"))
	got := wants(t, err, core.CodeUnavailable)
	if took := time.Since(shed); took > 500*time.Millisecond || got.RetryAfter != 1 { // not the second of the queue
		t.Errorf("shed after %v, retry after %d s", took, got.RetryAfter)
	}
	waiting.Wait() // they give up after a second
	if took := time.Since(start); took < 900*time.Millisecond || took > 4*time.Second {
		t.Errorf("waited %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = u.Do(ctx, get("/"))
	wants(t, err, core.CodeCancelled)
	// Who waits gets the place that becomes free.
	waiting.Go(call)
	time.Sleep(20 * time.Millisecond)
	if n := s.requests.Load(); n != 4 {
		t.Errorf("%d requests with 4 places", n)
	}
	close(release)
	running.Wait()
	waiting.Wait()
	if n := fine.Load(); n != 5 {
		t.Errorf("%d calls went well, want 5", n)
	}
	for range 20 {
		if _, err := u.Do(t.Context(), get("/")); err != nil {
			t.Fatal("a place was lost:", err)
		}
	}
}

// A callback that panics costs its own call only.
func TestPanicLosesNothing(t *testing.T) {
	up := record(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	up.Start()
	e := newEgress(t, egress.Options{})
	u := open(t, e, core.Connection{BaseURL: parse(t, up.URL), InFlight: 1, Queue: 1})
	for range 3 {
		func() {
			defer func() { _ = recover() }()
			request := get("/")
			request.Progress = func(int64, int64) { panic("progress") }
			_, _ = u.Do(t.Context(), request)
			t.Error("no panic")
		}()
	}
	if _, err := u.Do(t.Context(), get("/")); err != nil {
		t.Fatal(err)
	}
	if n := up.connections.Load(); n != 4 {
		t.Errorf("%d connections: one that a panic broke was used again", n)
	}
}

func TestRedirects(t *testing.T) {
	up := record(t, func(w http.ResponseWriter, q *http.Request) {
		to, status, found := strings.Cut(q.URL.Query().Get("to"), " ")
		code := 302
		if found {
			_, _ = fmt.Sscan(status, &code)
		}
		if to == "" {
			ok(w, q)
			return
		}
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	})
	up.Start()
	c := core.Connection{
		BaseURL: parse(t, up.URL+"/api"), Redirects: 3,
		Secret: map[string]core.Secret{"Authorization": "Bearer s3cret"}, Query: map[string]core.Secret{"key": "s3cret"},
		Header: []core.Field{{Name: "X-Ours", Value: "1"}},
	}
	e := newEgress(t, egress.Options{})
	u := open(t, e, c)
	tests := []struct {
		name, method, query, body string
		want                      string // "METHOD target body" of the last request, or what the error says
	}{
		{"not one", "GET", "", "", "GET /api/a?key=s3cret "},
		{"relative", "GET", "to=b", "", "GET /api/b?key=s3cret "},
		{"absolute path", "GET", "to=/c?d=e", "", "GET /c?d=e&key=s3cret "},
		{"POST 302", "POST", "to=/c", "x", "GET /c?key=s3cret "},
		{"PUT 302", "PUT", "to=/c", "x", "PUT /c?key=s3cret x"},
		{"PUT 303", "PUT", "to=/c+303", "x", "GET /c?key=s3cret "},
		{"POST 307", "POST", "to=/c+307", "x", "POST /c?key=s3cret x"},
		{"POST 308", "POST", "to=/c+308", "x", "POST /c?key=s3cret x"},
		{"three", "GET", "to=/?to=/?to=/end", "", "GET /end?key=s3cret "},
		{"a round", "GET", "to=/round?to=/round", "", "GET /round?key=s3cret "},
		{"not escaped", "GET", "to=/%C3%A9", "", "GET /%C3%A9?key=s3cret "},
		{"other scheme", "GET", "to=file:///etc/passwd", "", "may not be visited"},
		{"no host", "GET", "to=http:///x", "", "may not be visited"},
		{"userinfo", "GET", "to=http://a:b@127.0.0.1/", "", "may not be visited"},
		{"nonsense", "GET", "to=http://[::1/", "", "not a URL"},
		{"304", "GET", "to=/x+304", "", "GET /api/a?to=/x+304&key=s3cret "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := u.Do(t.Context(), &core.Request{Method: tt.method, Path: "/a", Query: tt.query, Body: []byte(tt.body), Header: []core.Field{{Name: "Content-Type", Value: "text/plain"}}})
			if err != nil {
				if got := wants(t, err, core.CodeUnavailable); !strings.Contains(got.Message, tt.want) {
					t.Errorf("%q does not say %q", got.Message, tt.want)
				}
				return
			}
			all := up.requests()
			last := all[len(all)-1]
			if got := last.Method + " " + last.RequestURI + " " + up.bodies[len(all)-1]; got != tt.want {
				t.Errorf("the last request was %q, want %q", got, tt.want)
			}
			if last.Header.Get("Authorization") == "" || last.Header.Get("X-Ours") == "" || (last.Method == http.MethodGet && tt.method != http.MethodGet) != (last.Header.Get("Content-Type") == "") {
				t.Errorf("headers %v", last.Header)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		off := c
		off.Redirects = 0
		answer, err := open(t, e, off).Do(t.Context(), &core.Request{Method: "GET", Path: "/a", Query: "to=/b"})
		if err != nil || answer.Status != 302 || answer.Get("location") != "/b" {
			t.Error(answer, err)
		}
	})
	t.Run("too many", func(t *testing.T) {
		for _, allowed := range []int{1, 3, 100} {
			few := c
			few.Redirects = allowed
			before := len(up.requests())
			loop := serveRaw(t, say("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"))
			few.BaseURL = loop.url
			_, err := open(t, e, few).Do(t.Context(), get("/"))
			wants(t, err, core.CodeUnavailable)
			if n := loop.requests.Load(); n != int64(min(allowed, 3))+1 || len(up.requests()) != before {
				t.Errorf("%d requests with %d hops", n, allowed)
			}
		}
	})
}

// What identifies us stays with our origin: another one sees none of it.
func TestRedirectToAnotherOrigin(t *testing.T) {
	other := record(t, ok)
	other.Start()
	to := other.URL + "/landing"
	up := record(t, func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, to, http.StatusTemporaryRedirect) })
	up.Start()
	e := newEgress(t, egress.Options{})
	c := core.Connection{
		BaseURL: parse(t, up.URL), Redirects: 1,
		Secret: map[string]core.Secret{"Authorization": "Bearer s3cret"}, Query: map[string]core.Secret{"key": "s3cret"},
		Header: []core.Field{{Name: "X-Tenant", Value: "s3cret"}},
	}
	u := open(t, e, c)
	request := get("/")
	request.Header = []core.Field{{Name: "Accept", Value: "text/plain"}, {Name: "Cookie", Value: "s3cret"}, {Name: "X-Arg", Value: "s3cret"}}
	if _, err := u.Do(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	landed := other.requests()[0]
	if all := fmt.Sprint(landed.RequestURI, landed.Header); strings.Contains(all, "s3cret") {
		t.Errorf("the other origin saw %s", all)
	}
	if landed.Header.Get("Accept") != "text/plain" || landed.Host != other.Listener.Addr().String() {
		t.Errorf("host %s, headers %v", landed.Host, landed.Header)
	}
	if pools, _, _ := egress.Shared(e); pools != 1 {
		t.Errorf("%d pools: that of the other origin stays", pools)
	}
	_, err := u.Do(t.Context(), &core.Request{Method: "POST", Path: "/", Body: []byte("s3cret")})
	wants(t, err, core.CodeUnavailable)
	if n := len(other.requests()); n != 1 {
		t.Errorf("%d requests at the other origin", n)
	}
}

// A public upstream that redirects to loopback, directly or over another hop, gets
// nowhere: every hop passes the guard (security.md T1).
func TestRedirectToLoopback(t *testing.T) {
	watch, port := canary(t)
	var target atomic.Value
	// 127.7.7.7 stands for a public address: it alone is opened.
	s := serveRawOn(t, "127.7.7.7:0", func(s *rawServer, c net.Conn, r *bufio.Reader) {
		for {
			q := s.readRequest(r)
			if q == nil {
				return
			}
			to := target.Load().(string)
			if q.URL.Path == "/" && strings.HasPrefix(to, "via ") {
				_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: /second\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", strings.TrimPrefix(to, "via "))
		}
	})
	resolver := &names{answers: map[string][][]string{"inside.example": {{"127.0.0.1"}}}}
	only := []netip.Prefix{netip.MustParsePrefix("127.7.7.7/32")}
	connection := core.Connection{BaseURL: s.url, Redirects: 3}
	targets := []string{
		"http://127.0.0.1:", "via http://127.0.0.1:", "//127.0.0.1:", "http://[::ffff:7f00:1]:", "http://[::1]:", "http://0.0.0.0:",
		"http://inside.example:", "via http://inside.example:", "http://2130706433:", "http://0x7f.1:", "http://127.1:", "http://[::1%25lo]:",
	}
	for _, to := range targets {
		target.Store(to + port + "/")
		e := newEgress(t, egress.Options{Allow: only, Resolver: resolver})
		_, err := open(t, e, connection).Do(t.Context(), get("/"))
		if err == nil {
			t.Errorf("%s was followed", to)
		}
	}
	if n := watch.accepted.Load(); n != 0 {
		t.Errorf("the canary saw %d connections", n)
	}
	// And the test of the test.
	target.Store("via http://inside.example:" + port + "/")
	e := newEgress(t, egress.Options{Allow: only, Resolver: resolver})
	egress.Unguard(e)
	connection.Timeout = 50 * time.Millisecond
	_, _ = open(t, e, connection).Do(t.Context(), get("/"))
	if watch.accepted.Load() != 1 || watch.bytes.Load() == 0 {
		t.Error("with the guard off the canary saw nothing: the test cannot fail")
	}
}

// Secrets, queries and arguments stay out of errors and logs, whatever goes wrong.
func TestErrorsKeepSecrets(t *testing.T) {
	s := serveRaw(t, func(s *rawServer, c net.Conn, r *bufio.Reader) {
		q := s.readRequest(r)
		switch q.URL.Path {
		case "/garbled":
			_, _ = c.Write([]byte("HTTP/1.1 200 s3cret\r\ns3cret s3cret: s3cret\r\n\r\n"))
		case "/redirect":
			_, _ = c.Write([]byte("HTTP/1.1 302 Found\r\nLocation: gopher://s3cret\r\nContent-Length: 0\r\n\r\n"))
		case "/hang":
			_, _ = io.Copy(io.Discard, c)
		}
	})
	var log strings.Builder
	for _, http2 := range []bool{false, true} {
		e := newEgress(t, egress.Options{})
		u := open(t, e, core.Connection{
			BaseURL: parse(t, s.url.String()+"/?base=s3cret"), Redirects: 1, HTTP2: http2, FirstByte: 50 * time.Millisecond, Timeout: 200 * time.Millisecond,
			Secret: map[string]core.Secret{"Authorization": "Bearer s3cret"}, Query: map[string]core.Secret{"key": "s3cret"},
		})
		for _, path := range []string{"/garbled", "/redirect", "/hang", "/closed", "/s3cret bad", "/%s3cret"} {
			_, err := u.Do(t.Context(), &core.Request{Method: "GET", Path: path, Query: "q=s3cret", Header: []core.Field{{Name: "X-Arg", Value: "s3cret"}}})
			if err == nil {
				t.Errorf("%s: no error", path)
				continue
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v", path, err)
			}
			fmt.Fprintf(&log, "%+v %#v", err, err)
		}
	}
	if strings.Contains(log.String(), "s3cret") {
		t.Error("a secret can be printed from an error")
	}
}
