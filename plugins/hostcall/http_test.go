package hostcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// dial is an egress that writes down what would go out.
type dial struct {
	answer func(sent string) (*core.Response, error) // nil = 200
	fails  error                                     // of Open

	mu     sync.Mutex
	opened []*core.Connection
	closed int
	sent   []string
	broken []string // parts that would end a line
}

func (d *dial) Open(c *core.Connection) (core.Upstream, error) {
	if d.fails != nil {
		return nil, d.fails
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = append(d.opened, c)
	return &line{dial: d, connection: c}, nil
}

// line is one upstream of a dial.
type line struct {
	dial       *dial
	connection *core.Connection
	once       sync.Once
}

func (l *line) Do(ctx context.Context, r *core.Request) (*core.Response, error) {
	fields := []string{}
	for _, f := range r.Header {
		fields = append(fields, f.Name+"="+f.Value)
	}
	for name, value := range l.connection.Secret {
		fields = append(fields, "secret "+name+"="+value.Reveal())
	}
	slices.Sort(fields)
	sent := r.Method + " " + l.connection.BaseURL.String() + r.Path
	if r.Query != "" {
		sent += "?" + r.Query
	}
	if len(fields) > 0 {
		sent += " " + strings.Join(fields, ",")
	}
	if len(r.Body) > 0 {
		sent += " " + string(r.Body)
	}
	parts := append([]string{r.Method, r.Path, r.Query, l.connection.BaseURL.String()}, fields...)
	l.dial.mu.Lock()
	for _, part := range parts {
		if strings.ContainsAny(part, "\r\n\x00") {
			l.dial.broken = append(l.dial.broken, part)
		}
	}
	l.dial.sent = append(l.dial.sent, sent)
	l.dial.mu.Unlock()
	if end, has := ctx.Deadline(); !has || time.Until(end) > httpTime || l.connection.Timeout != httpTime || r.MaxBytes != maxBody || l.connection.Redirects != 0 || l.connection.Retries != 0 || r.Idempotent {
		return nil, errors.New("a request without its limits")
	}
	if l.dial.answer == nil {
		return &core.Response{Status: 200}, nil
	}
	return l.dial.answer(sent)
}

func (l *line) Close() error {
	l.once.Do(func() {
		l.dial.mu.Lock()
		l.dial.closed++
		l.dial.mu.Unlock()
	})
	return nil
}

func (d *dial) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sent) == 0 {
		return ""
	}
	return d.sent[len(d.sent)-1]
}

// ask makes the frame of a request; header is name, value, name, value, ….
func ask(method, url, body string, header ...string) []byte {
	pairs := []abi.Pair{{Key: abi.HTTPMethod, Value: method}, {Key: abi.HTTPURL, Value: url}}
	for n := 0; n < len(header); n += 2 {
		pairs = append(pairs, abi.Pair{Key: header[n], Value: header[n+1]})
	}
	return abi.AppendIn(nil, pairs, []byte(body))
}

// rules is a grant of all sorts.
func rules() Options {
	return Options{
		Granted: manifest.Capabilities{HTTP: []manifest.HTTP{
			{Host: "*.wild.example", Inject: &manifest.Inject{Header: "X-Wild", Secret: "wild"}},
			{Host: "api.example", Methods: []string{"GET", "POST"}, Ports: []int{443}, Inject: &manifest.Inject{Header: "X-Api-Key", Secret: "api"}},
			{Host: "both.wild.example", Inject: &manifest.Inject{Header: "x-wild", Secret: "both"}},
			{Host: "auth.example", Inject: &manifest.Inject{Header: "Authorization", Secret: "auth"}},
			{Host: "open.example"},
			{Host: "old.example", Scheme: "http", Ports: []int{80, 8080}},
			{Host: "2001:db8::1"},
		}},
		Secrets: map[string]core.Secret{"wild": "W", "api": "A", "both": "B", "auth": "Bearer T", "unused": "U"},
	}
}

func TestHTTPGrant(t *testing.T) {
	tests := []struct {
		name  string
		frame []byte
		sent  string
		code  string
	}{
		{"exact host", ask("GET", "https://api.example/v1?q=Oslo", ""), "GET https://api.example/v1?q=Oslo secret X-Api-Key=A", ""},
		{"body", ask("POST", "https://api.example/v1", "body"), "POST https://api.example/v1 secret X-Api-Key=A body", ""},
		{"method in lower case", ask("get", "https://api.example", ""), "GET https://api.example/ secret X-Api-Key=A", ""},
		{"host in upper case", ask("GET", "HTTPS://API.Example/", ""), "GET https://api.example/ secret X-Api-Key=A", ""},
		{"port of the scheme", ask("GET", "https://api.example:443/", ""), "GET https://api.example/ secret X-Api-Key=A", ""},
		{"fragment", ask("GET", "https://open.example/a#b", ""), "GET https://open.example/a", ""},
		{"empty path and a query", ask("GET", "https://open.example?a=1", ""), "GET https://open.example/?a=1", ""},
		{"escapes stay", ask("GET", "https://open.example/a%2Fb%20c?d=%26", ""), "GET https://open.example/a%2Fb%20c?d=%26", ""},
		{"wildcard", ask("GET", "https://a.b.wild.example/", ""), "GET https://a.b.wild.example/ secret X-Wild=W", ""},
		{"the exact rule wins over the wildcard", ask("GET", "https://both.wild.example/", ""), "GET https://both.wild.example/ secret x-wild=B", ""},
		{"no secret", ask("DELETE", "https://open.example:8443/", ""), "DELETE https://open.example:8443/", ""},
		{"http", ask("GET", "http://old.example:8080/", ""), "GET http://old.example:8080/", ""},
		{"IPv6", ask("GET", "https://[2001:DB8:0::1]:8443/", ""), "GET https://[2001:db8::1]:8443/", ""},
		{"guest's own authorization", ask("GET", "https://open.example/", "", "authorization", "Signed x"), "GET https://open.example/ secret Authorization=Signed x", ""},
		{"the host's authorization wins", ask("GET", "https://auth.example/", "", "AUTHORIZATION", "Bearer mine"), "GET https://auth.example/ secret Authorization=Bearer T", ""},
		{"the host's header wins", ask("GET", "https://api.example/", "", "x-api-key", "mine", "Accept", "a/b"), "GET https://api.example/ Accept=a/b,secret X-Api-Key=A", ""},
		{"own authorization beside a secret", ask("GET", "https://api.example/", "", "Authorization", "mine"), "GET https://api.example/ secret Authorization=mine,secret X-Api-Key=A", ""},

		{"host that no rule names", ask("GET", "https://evil.example/", ""), "", "denied"},
		{"wildcard does not cover its own top", ask("GET", "https://wild.example/", ""), "", "denied"},
		{"wildcard is a suffix of labels", ask("GET", "https://evilwild.example/", ""), "", "denied"},
		{"host as a user name", ask("GET", "https://api.example@evil.example/", ""), "", "invalid"},
		{"host as a path", ask("GET", "https://evil.example/api.example", ""), "", "denied"},
		{"host with a dot at its end", ask("GET", "https://api.example./", ""), "", "denied"},
		{"backslash", ask("GET", `https://api.example\.evil.example/`, ""), "", "invalid"},
		{"method", ask("DELETE", "https://api.example/", ""), "", "denied"},
		{"port", ask("GET", "https://api.example:8443/", ""), "", "denied"},
		{"scheme down", ask("GET", "http://api.example/", ""), "", "denied"},
		{"scheme up", ask("GET", "https://old.example/", ""), "", "denied"},
		{"scheme of files", ask("GET", "file:///etc/passwd", ""), "", "denied"},
		{"scheme of sockets", ask("GET", "unix://api.example/", ""), "", "denied"},
		{"CONNECT", ask("CONNECT", "https://open.example/", ""), "", "denied"},
		{"TRACE", ask("trace", "https://open.example/", ""), "", "denied"},
		{"relative", ask("GET", "/v1", ""), "", "invalid"},
		{"without scheme", ask("GET", "//api.example/", ""), "", "invalid"},
		{"opaque", ask("GET", "https:api.example", ""), "", "invalid"},
		{"no host", ask("GET", "https:///v1", ""), "", "invalid"},
		{"port 0", ask("GET", "https://open.example:0/", ""), "", "invalid"},
		{"port too large", ask("GET", "https://open.example:65536/", ""), "", "invalid"},
		{"port as a word", ask("GET", "https://open.example:https/", ""), "", "invalid"},
		{"zone", ask("GET", "https://[fe80::1%25eth0]/", ""), "", "invalid"},
		{"line end in the URL", ask("GET", "https://open.example/\r\nHost: evil", ""), "", "invalid"},
		{"method with a line end", ask("GET / HTTP/1.1\r\nHost: evil\r\n\r\nGET", "https://open.example/", ""), "", "invalid"},
		{"no method", ask("", "https://open.example/", ""), "", "invalid"},
		{"two methods", ask("GET", "https://open.example/", "", abi.HTTPMethod, "POST"), "", "invalid"},
		{"two URLs", ask("GET", "https://open.example/", "", abi.HTTPURL, "https://api.example/"), "", "invalid"},
		{"another pseudo header", ask("GET", "https://open.example/", "", ":authority", "evil.example"), "", "invalid"},
		{"no pairs", abi.AppendIn(nil, nil, []byte("x")), "", "invalid"},
		{"no frame", []byte("x"), "", "invalid"},
		{"body too large", ask("POST", "https://open.example/", strings.Repeat("x", maxBody+1)), "", "too_large"},
		{"frame too large", ask("POST", "https://open.example/", strings.Repeat("x", maxBody+maxURL+maxFields)), "", "too_large"},
		{"URL too large", ask("GET", "https://open.example/"+strings.Repeat("x", maxURL), ""), "", "too_large"},
		{"headers too large", ask("GET", "https://open.example/", "", "X-A", strings.Repeat("x", maxFields)), "", "too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &dial{}
			o := rules()
			o.Dial = d
			frame, code := newHost(t, o).HTTP(t.Context(), scope(nil, nil), tt.frame)
			if named(code) != tt.code || d.last() != tt.sent {
				t.Errorf("sent %q, %q; want %q, %q", d.last(), named(code), tt.sent, tt.code)
			}
			if (frame == nil) != (code < 0) {
				t.Errorf("a frame %v beside %q", frame, named(code))
			}
			for _, c := range d.opened {
				if strings.Contains(c.Name, "a.b.wild") {
					t.Errorf("connection %q is named after what the guest asked for", c.Name)
				}
			}
		})
	}
	if got := newHost(t, Options{}); true {
		if _, code := got.HTTP(t.Context(), scope(nil, nil), ask("GET", "https://api.example/", "")); code != abi.ErrDenied {
			t.Errorf("without a grant: %d", code)
		}
	}
}

func TestHTTPHeaders(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		sent   string // after the URL
		code   string
	}{
		{"plain", []string{"Accept", "a/b", "X-Two", "1", "X-Two", "2"}, " Accept=a/b,X-Two=1,X-Two=2", ""},
		{"blanks around", []string{"X-A", "\t b "}, " X-A=b", ""},
		{"not UTF-8", []string{"X-A", "\xff"}, " X-A=\xff", ""},
		{"cookie", []string{"Cookie", "a=b"}, " Cookie=a=b", ""},
		{"host", []string{"Host", "evil.example"}, "", ""},
		{"host in lower case", []string{"host", "evil.example"}, "", ""},
		{"content length", []string{"Content-Length", "7"}, "", ""},
		{"transfer encoding", []string{"transfer-encoding", "chunked"}, "", ""},
		{"connection", []string{"Connection", "X-Api-Key", "keep-alive", "1", "Upgrade", "h2c", "TE", "trailers", "Trailer", "x", "Proxy-Authorization", "b", "Proxy-Connection", "c", "Expect", "100-continue", "HTTP2-Settings", "x"}, "", ""},
		{"line end in a value", []string{"X-A", "a\r\nX-Injected: b"}, "", "invalid"},
		{"bare LF in a value", []string{"X-A", "a\nX-Injected: b"}, "", "invalid"},
		{"bare CR in a value", []string{"X-A", "a\rb"}, "", "invalid"},
		{"NUL in a value", []string{"X-A", "a\x00b"}, "", "invalid"},
		{"line end in a name", []string{"X-A: b\r\nX-Injected", "c"}, "", "invalid"},
		{"colon in a name", []string{"X-A:", "c"}, "", "invalid"},
		{"blank in a name", []string{"Host ", "c"}, "", "invalid"},
		{"empty name", []string{"", "c"}, "", "invalid"},
		{"line end in the host", []string{"Host", "a\r\nX: b"}, "", "invalid"},
		{"line end in authorization", []string{"Authorization", "a\r\nX: b"}, "", "invalid"},
		{"authorization twice", []string{"Authorization", "a", "authorization", "b"}, "", "invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &dial{}
			o := rules()
			o.Dial = d
			_, code := newHost(t, o).HTTP(t.Context(), scope(nil, nil), ask("GET", "https://open.example/", "", tt.header...))
			want := "GET https://open.example/" + tt.sent
			if tt.code != "" {
				want = ""
			}
			if named(code) != tt.code || d.last() != want {
				t.Errorf("sent %q, %q; want %q, %q", d.last(), named(code), want, tt.code)
			}
		})
	}
}

func TestHTTPAnswer(t *testing.T) {
	many := make([]core.Field, 100)
	for n := range many {
		many[n] = core.Field{Name: fmt.Sprint("X-", n), Value: "v"}
	}
	d := &dial{answer: func(sent string) (*core.Response, error) {
		if strings.Contains(sent, "/many") {
			return &core.Response{Status: 503, Header: many}, nil
		}
		return &core.Response{Status: 404, Header: []core.Field{{Name: "Content-Type", Value: "a/b"}, {Name: "Set-Cookie", Value: "1"}, {Name: "set-cookie", Value: "\xff"}}, Body: []byte("no")}, nil
	}}
	o := rules()
	o.Dial = d
	h := newHost(t, o)
	frame, code := h.HTTP(t.Context(), scope(nil, nil), ask("GET", "https://open.example/", ""))
	if code < 0 {
		t.Fatal(named(code))
	}
	status, pairs, body, err := abi.ParseOut(frame)
	want := []abi.Pair{{Key: "content-type", Value: "a/b"}, {Key: "set-cookie", Value: "1"}, {Key: "set-cookie", Value: "\xff"}}
	if err != nil || status != 404 || string(body) != "no" || !slices.Equal(pairs, want) {
		t.Errorf("%d %q %q %v", status, pairs, body, err)
	}
	frame, _ = h.HTTP(t.Context(), scope(nil, nil), ask("GET", "https://open.example/many", ""))
	if status, pairs, _, err := abi.ParseOut(frame); err != nil || status != 503 || len(pairs) != abi.MaxPairs || pairs[63].Key != "x-63" {
		t.Errorf("%d %d pairs %v", status, len(pairs), err)
	}
}

func TestHTTPErrors(t *testing.T) {
	tests := map[core.Code]string{
		core.CodeDenied: "denied", core.CodeTimeout: "timeout", core.CodeCancelled: "timeout", core.CodeUnavailable: "unavailable",
		core.CodeTooLarge: "too_large", core.CodeLimited: "quota", core.CodeInvalid: "invalid", core.CodeNotFound: "not_found", core.CodeInternal: "unavailable",
	}
	for code, want := range tests {
		d := &dial{answer: func(string) (*core.Response, error) { return nil, &core.Error{Code: code, Message: "m"} }}
		o := rules()
		o.Dial = d
		diary := &diary{}
		_, got := newHost(t, o).HTTP(t.Context(), scope(nil, slog.New(diary)), ask("GET", "https://open.example/secret-path?q=secret", ""))
		if named(got) != want {
			t.Errorf("%s is %q, want %q", code, named(got), want)
		}
		if text := diary.text(); !strings.Contains(text, "https://open.example") || strings.Contains(text, "secret") {
			t.Errorf("log: %s", text)
		}
	}
	o := rules()
	o.Dial = &dial{fails: &core.Error{Code: core.CodeInvalid}}
	if _, code := newHost(t, o).HTTP(t.Context(), scope(nil, nil), ask("GET", "https://open.example/", "")); code != abi.ErrInvalid {
		t.Errorf("an origin that cannot be opened: %d", code)
	}
}

func TestHTTPQuota(t *testing.T) {
	d := &dial{}
	o := rules()
	o.Dial = d
	h := newHost(t, o)
	s := scope(nil, nil)
	for n := range maxRequests {
		if _, code := h.HTTP(t.Context(), s, ask("GET", "https://open.example/", "")); code < 0 {
			t.Fatalf("request %d: %s", n, named(code))
		}
	}
	if _, code := h.HTTP(t.Context(), s, ask("GET", "https://open.example/", "")); code != abi.ErrQuota || len(d.sent) != maxRequests {
		t.Errorf("%s after %d requests", named(code), len(d.sent))
	}
	if _, code := h.HTTP(t.Context(), scope(nil, nil), ask("GET", "https://open.example/", "")); code < 0 {
		t.Errorf("the next call: %s", named(code))
	}
	if len(d.opened) != 1 {
		t.Errorf("%d upstreams for one origin", len(d.opened))
	}
	// Hops are requests too.
	d.answer = func(string) (*core.Response, error) {
		return &core.Response{Status: 302, Header: []core.Field{{Name: "Location", Value: "/"}}}, nil
	}
	d.sent = nil
	s = scope(nil, nil)
	for range maxRequests {
		_, _ = h.HTTP(t.Context(), s, ask("GET", "https://open.example/", ""))
	}
	if len(d.sent) != maxRequests {
		t.Errorf("%d requests went out", len(d.sent))
	}
}
