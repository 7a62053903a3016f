package hostcall

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// names resolves every name to loopback.
type names struct{}

func (names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// world is a server on loopback, and what it was asked.
type world struct {
	*httptest.Server
	port int
	seen chan string
}

func newWorld(t *testing.T, serve http.HandlerFunc) *world {
	t.Helper()
	w := &world{seen: make(chan string, 64)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.seen <- fmt.Sprintf("%s %s %s key=%q auth=%q injected=%q", r.Method, r.Host, r.URL, r.Header.Get("X-Key"), r.Header.Get("Authorization"), r.Header.Get("X-Injected"))
		serve(rw, r)
	}))
	t.Cleanup(w.Close)
	u, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	if w.port, err = strconv.Atoi(u.Port()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) asked() string {
	select {
	case s := <-w.seen:
		return s
	default:
		return "nothing"
	}
}

// through returns a Host over the real egress; open are the ranges that it may dial.
func through(t *testing.T, port int, open ...netip.Prefix) *Host {
	t.Helper()
	e := egress.New(egress.Options{Allow: open, Resolver: names{}})
	t.Cleanup(func() { _ = e.Close() })
	return newHost(t, Options{
		Granted: manifest.Capabilities{HTTP: []manifest.HTTP{
			{Host: "api.example", Scheme: "http", Ports: []int{port}, Methods: []string{"GET", "POST"}, Inject: &manifest.Inject{Header: "X-Key", Secret: "k"}},
			{Host: "other.example", Scheme: "http"},
			{Host: "127.0.0.1", Scheme: "http"},
		}},
		Secrets: map[string]core.Secret{"k": "abcdef"},
		Dial:    e,
	})
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

func TestThroughEgress(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			http.Error(rw, "gone", http.StatusGone)
		case "/off":
			http.Redirect(rw, r, "http://evil.example:"+strconv.Itoa(portOf(r))+"/", http.StatusFound)
		case "/other":
			http.Redirect(rw, r, "http://other.example:"+strconv.Itoa(portOf(r))+"/end", http.StatusFound)
		case "/chain":
			http.Redirect(rw, r, "/chain", http.StatusFound)
		case "/broken":
			conn, _, err := rw.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 302 Found\r\nLocation: http://api.example/\x01\r\n\r\n")
			_ = conn.Close()
		default:
			rw.Header().Set("X-Answer", "Yes")
			fmt.Fprint(rw, "body of ", r.URL.Path)
		}
	})
	h := through(t, w.port, loopback)
	base := "http://api.example:" + strconv.Itoa(w.port)
	host := "api.example:" + strconv.Itoa(w.port)
	tests := []struct {
		name   string
		frame  []byte
		status abi.Status
		body   string
		code   string
		asked  []string
	}{
		{"an answer", ask("GET", base+"/a%2Fb?q=1", "", "X-A", "b"), 200, "body of /a/b", "", []string{`GET ` + host + ` /a%2Fb?q=1 key="abcdef" auth="" injected=""`}},
		{"an answer of 410", ask("GET", base+"/gone", ""), 410, "gone\n", "", []string{`GET ` + host + ` /gone key="abcdef" auth="" injected=""`}},
		{"own authorization", ask("GET", base+"/", "", "Authorization", "Signed s"), 200, "body of /", "", []string{`GET ` + host + ` / key="abcdef" auth="Signed s" injected=""`}},
		{"Host override", ask("GET", base+"/", "", "Host", "evil.example"), 200, "body of /", "", []string{`GET ` + host + ` / key="abcdef" auth="" injected=""`}},
		{"framing of the guest", ask("POST", base+"/", "body", "Content-Length", "2", "Transfer-Encoding", "chunked"), 200, "body of /", "", []string{`POST ` + host + ` / key="abcdef" auth="" injected=""`}},
		{"line end", ask("GET", base+"/", "", "X-A", "a\r\nX-Injected: b"), 0, "", "invalid", []string{"nothing"}},
		{"redirect off the list", ask("GET", base+"/off", ""), 0, "", "denied", []string{`GET ` + host + ` /off key="abcdef" auth="" injected=""`, "nothing"}},
		{"redirect to a host without the secret", ask("GET", base+"/other", "", "Authorization", "s"), 200, "body of /end", "", []string{
			`GET ` + host + ` /other key="abcdef" auth="s" injected=""`,
			`GET other.example:` + strconv.Itoa(w.port) + ` /end key="" auth="" injected=""`,
		}},
		{"redirect chain", ask("GET", base+"/chain", ""), 0, "", "unavailable", []string{
			`GET ` + host + ` /chain key="abcdef" auth="" injected=""`, `GET ` + host + ` /chain key="abcdef" auth="" injected=""`,
			`GET ` + host + ` /chain key="abcdef" auth="" injected=""`, `GET ` + host + ` /chain key="abcdef" auth="" injected=""`, "nothing",
		}},
		{"broken head", ask("GET", base+"/broken", ""), 0, "", "unavailable", nil},
		{"dots in the path", ask("GET", base+"/a/../b", ""), 0, "", "invalid", nil},
		{"character that is not escaped", ask("GET", base+"/?q=<", ""), 0, "", "invalid", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for w.asked() != "nothing" {
			}
			frame, code := h.HTTP(t.Context(), scope(nil, nil), tt.frame)
			for _, want := range tt.asked {
				if got := w.asked(); got != want {
					t.Errorf("asked %s, want %s", got, want)
				}
			}
			if named(code) != tt.code {
				t.Fatalf("%q, want %q", named(code), tt.code)
			}
			if code < 0 {
				return
			}
			status, pairs, body, err := abi.ParseOut(frame)
			if err != nil || status != tt.status || string(body) != tt.body {
				t.Errorf("%d %q %v", status, body, err)
			}
			if answer, _ := abi.Get(pairs, "x-answer"); status == 200 && answer != "Yes" {
				t.Errorf("headers %q", pairs)
			}
		})
	}
}

func portOf(r *http.Request) int {
	_, port, _ := strings.Cut(r.Host, ":")
	n, _ := strconv.Atoi(port)
	return n
}

// A granted name that resolves to a private address is refused, and so is the address
// itself. The same requests pass where the operator opened the range: the guard, and
// nothing else, makes the difference.
func TestPrivateAddresses(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "inside") })
	for _, host := range []string{"api.example", "127.0.0.1"} {
		frame := ask("GET", "http://"+net.JoinHostPort(host, strconv.Itoa(w.port))+"/", "")
		if _, code := through(t, w.port).HTTP(t.Context(), scope(nil, nil), frame); code != abi.ErrDenied {
			t.Errorf("%s: %q, want denied", host, named(code))
		}
		if got := w.asked(); got != "nothing" {
			t.Errorf("%s: the server was asked %s", host, got)
		}
		if _, code := through(t, w.port, loopback).HTTP(t.Context(), scope(nil, nil), frame); code < 0 {
			t.Errorf("%s, opened: %q", host, named(code))
		}
		for w.asked() != "nothing" {
		}
	}
}

// A server that is slow costs the time of the call and no more; one that sends for
// ever costs 5 MiB.
func TestHostileServers(t *testing.T) {
	stop := make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		case "/drip":
			for {
				if _, err := rw.Write([]byte("x")); err != nil {
					return
				}
				rw.(http.Flusher).Flush()
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		case "/flood":
			piece := make([]byte, 64<<10)
			for {
				if _, err := rw.Write(piece); err != nil {
					return
				}
			}
		}
	})
	defer close(stop)
	h := through(t, w.port, loopback)
	tests := []struct{ path, code string }{{"/slow", "timeout"}, {"/drip", "timeout"}, {"/flood", "too_large"}}
	for _, tt := range tests {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if tt.path == "/flood" {
			ctx = t.Context()
		}
		begin := time.Now()
		_, code := h.HTTP(ctx, scope(nil, nil), ask("GET", fmt.Sprintf("http://api.example:%d%s", w.port, tt.path), ""))
		cancel()
		if took := time.Since(begin); named(code) != tt.code || took > 3*time.Second {
			t.Errorf("%s: %q after %v, want %q", tt.path, named(code), took, tt.code)
		}
	}
	// A call that ends while it waits.
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, code := h.HTTP(ctx, scope(nil, nil), ask("GET", fmt.Sprintf("http://api.example:%d/slow", w.port), "")); code != abi.ErrTimeout {
		t.Errorf("cancelled: %q", named(code))
	}
	// Nobody listens.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	if _, code := h.HTTP(t.Context(), scope(nil, nil), ask("GET", fmt.Sprintf("http://127.0.0.1:%d/", port), "")); code != abi.ErrUnavailable {
		t.Errorf("nobody listens: %q", named(code))
	}
}
