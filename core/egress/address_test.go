package egress_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// Hosts that must never be dialled by default, as they may be written in a URL or
// come out of a resolver (security.md T1, finding 9).
var forbidden = []string{
	// loopback and this host
	"127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.1.2.3", "[::1]", "[::]", "localhost",
	// loopback written so that only some parsers see it
	"127.1", "0", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "017700000001", "127.0.0.1.", "0x7f.0.0.0x1", "00.0.0.0",
	"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::127.0.0.1]",
	// private, shared and link-local
	"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1", "100.127.255.254",
	"169.254.169.254", "169.254.0.1", "[::ffff:169.254.169.254]", "[::ffff:10.0.0.1]", "[fe80::1]", "[fe80::1%25lo]",
	"[fe80::1%25eth0]", "[::1%25lo]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]",
	// IPv6 that carries IPv4, or is translated to it
	"[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]",
	"[2001::1]", "[2001:0:7f00:1::]", "[::a00:1]", "[::ffff:0:127.0.0.1]",
	// test nets, benchmarks, documentation, multicast, reserved
	"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.254", "198.51.100.7", "203.0.113.9",
	"224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "[ff02::1]", "[ff0e::1]", "[2001:db8::1]", "[3fff::1]",
	"[2001:20::1]", "[100::1]", "[5f00::1]", "[4000::1]",
}

// canary is an upstream on every address of this host that must see nothing.
func canary(t *testing.T) (*rawServer, string) {
	t.Helper()
	s := serveRawOn(t, "0.0.0.0:0", func(s *rawServer, c net.Conn, r *bufio.Reader) {
		s.requests.Add(1)
		_, _ = io.Copy(io.Discard, r)
	})
	return s, s.url.Port()
}

func TestForbiddenAddresses(t *testing.T) {
	watch, port := canary(t)
	if len(forbidden) < 60 {
		t.Fatalf("only %d address forms", len(forbidden))
	}
	e := newEgress(t, egress.Options{Allow: []netip.Prefix{}})
	for _, host := range forbidden {
		t.Run(host, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			to, err := url.Parse("http://" + host + ":" + port)
			if err != nil {
				return // not a URL at all: nothing can be dialled
			}
			u, err := e.Open(&core.Connection{Name: "shop", BaseURL: to})
			if err != nil {
				wants(t, err, core.CodeInvalid)
				return
			}
			defer func() { _ = u.Close() }()
			_, err = u.Do(ctx, get("/"))
			refused := wants(t, err, core.CodeDenied)
			if strings.Contains(refused.Public(), "127.0.0.1") {
				t.Errorf("the public text %q shows an address", refused.Public())
			}
		})
	}
	if n, b := watch.accepted.Load(), watch.bytes.Load(); n != 0 || b != 0 {
		t.Errorf("the canary saw %d connections and %d bytes", n, b)
	}
}

// The test above must be able to fail: with the guard off the canary hears us.
func TestForbiddenAddressesBite(t *testing.T) {
	watch, port := canary(t)
	e := newEgress(t, egress.Options{Allow: []netip.Prefix{}})
	egress.Unguard(e)
	for _, host := range []string{"127.0.0.1", "127.1.2.3", "0.0.0.0", "[::ffff:127.0.0.1]", "localhost"} {
		u := open(t, e, core.Connection{BaseURL: parse(t, "http://"+host+":"+port), FirstByte: 20 * time.Millisecond})
		_, err := u.Do(t.Context(), get("/"))
		wants(t, err, core.CodeTimeout)
	}
	if n := watch.accepted.Load(); n != 5 {
		t.Errorf("the canary saw %d connections of 5", n)
	}
	if watch.bytes.Load() == 0 {
		t.Error("the canary saw no bytes")
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, text := range []string{
		"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1",
		"223.255.255.254", "::ffff:8.8.8.8", "2606:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2a00::1",
	} {
		if !egress.Allowed(netip.MustParseAddr(text)) {
			t.Errorf("%s is refused", text)
		}
	}
}

// A name that is public at first and loopback later (DNS rebinding): the address
// that is dialled is judged, each time.
func TestRebinding(t *testing.T) {
	watch, port := canary(t)
	resolver := &names{answers: map[string][][]string{
		"rebind.example": {{"127.9.9.9"}, {"127.0.0.1"}},
		"mixed.example":  {{"127.0.0.1", "::1", "169.254.169.254"}},
	}}
	// The first answer stands for a public one: it is opened, and nobody listens there
	// but our first upstream, which closes after each answer.
	public := serveRawOn(t, "127.9.9.9:0", say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"))
	e := newEgress(t, egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.9.9.9/32")}, Resolver: resolver})
	u := open(t, e, core.Connection{BaseURL: parse(t, "http://rebind.example:"+public.url.Port())})
	if answer, err := u.Do(t.Context(), get("/")); err != nil || string(answer.Body) != "ok" {
		t.Fatalf("first: %v, %v", answer, err)
	}
	for range 3 {
		_, err := u.Do(t.Context(), get("/"))
		wants(t, err, core.CodeDenied)
	}
	mixed := open(t, e, core.Connection{Name: "mixed", BaseURL: parse(t, "http://mixed.example:"+port)})
	_, err := mixed.Do(t.Context(), get("/"))
	wants(t, err, core.CodeDenied)
	if watch.accepted.Load() != 0 {
		t.Error("the canary was dialled")
	}
	if resolver.asked < 4 {
		t.Errorf("the resolver was asked %d times", resolver.asked)
	}
}

func TestOpenedRanges(t *testing.T) {
	s := serveRaw(t, say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	tests := []struct {
		name       string
		settings   []string
		connection []string
		ok         bool
	}{
		{"none", nil, nil, false},
		{"settings", []string{"127.0.0.1/32"}, nil, true},
		{"host bits set", []string{"127.9.9.9/8"}, nil, true},
		{"mapped", []string{"::ffff:127.0.0.0/104"}, nil, true},
		{"another", []string{"127.0.0.2/32", "::1/128"}, nil, false},
		{"connection", nil, []string{"127.0.0.1/32"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allow := []netip.Prefix{}
			for _, p := range tt.settings {
				allow = append(allow, netip.MustParsePrefix(p))
			}
			e := newEgress(t, egress.Options{Allow: allow})
			u := open(t, e, core.Connection{BaseURL: s.url, AllowCIDRs: tt.connection})
			_, err := u.Do(t.Context(), get("/"))
			if tt.ok && err != nil {
				t.Fatal(err)
			}
			if !tt.ok {
				wants(t, err, core.CodeDenied)
			}
		})
	}
	e := newEgress(t, egress.Options{})
	_, err := e.Open(&core.Connection{Name: "shop", BaseURL: s.url, AllowCIDRs: []string{"10.0.0.0"}})
	wants(t, err, core.CodeInvalid)
}

func TestBadConnections(t *testing.T) {
	e := newEgress(t, egress.Options{})
	good := parse(t, "http://shop.example/api")
	tests := []struct {
		name string
		c    core.Connection
		want string
	}{
		{"no URL", core.Connection{}, "no base URL"},
		{"scheme", core.Connection{BaseURL: parse(t, "ftp://shop.example")}, "http://"},
		{"file", core.Connection{BaseURL: parse(t, "file:///etc/passwd")}, "http://"},
		{"no host", core.Connection{BaseURL: parse(t, "http:///x")}, "no host"},
		{"opaque", core.Connection{BaseURL: parse(t, "http:shop.example")}, "no host"},
		{"userinfo", core.Connection{BaseURL: parse(t, "http://user:canary-secret@shop.example")}, "credential"},
		{"unicode host", core.Connection{BaseURL: parse(t, "http://büch.example")}, "xn--"},
		{"number", core.Connection{BaseURL: parse(t, "http://2130706433")}, "number"},
		{"dots", core.Connection{BaseURL: parse(t, "http://shop.example/a/../b")}, ".. segment"},
		{"authorization", core.Connection{BaseURL: good, Header: []core.Field{{Name: "Authorization", Value: "canary-secret"}}}, "Authorization"},
		{"host header", core.Connection{BaseURL: good, Header: []core.Field{{Name: "Host", Value: "other"}}}, "Host"},
		{"header value", core.Connection{BaseURL: good, Header: []core.Field{{Name: "X-A", Value: "canary-secret\r\nX-B: 1"}}}, "control character"},
		{"header name", core.Connection{BaseURL: good, Header: []core.Field{{Name: "X A", Value: "1"}}}, "token"},
		{"secret value", core.Connection{BaseURL: good, Secret: map[string]core.Secret{"X-Key": "canary-secret\n"}}, "control character"},
		{"secret name", core.Connection{BaseURL: good, Secret: map[string]core.Secret{"X Key": "canary-secret"}}, "credential header"},
		{"both", core.Connection{BaseURL: good, Header: []core.Field{{Name: "x-key", Value: "1"}}, Secret: map[string]core.Secret{"X-Key": "canary-secret"}}, "credential too"},
		{"CA", core.Connection{BaseURL: parse(t, "https://shop.example"), TLS: core.TLS{CA: "nonsense"}}, "PEM"},
		{"key", core.Connection{BaseURL: parse(t, "https://shop.example"), TLS: core.TLS{Certificate: "x", Key: "canary-secret"}}, "tls.key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Name = "shop"
			_, err := e.Open(&tt.c)
			got := wants(t, err, core.CodeInvalid)
			if !strings.Contains(got.Error(), tt.want) {
				t.Errorf("%q does not hold %q", got, tt.want)
			}
			if strings.Contains(got.Error(), "canary-secret") {
				t.Errorf("%q shows a secret", got)
			}
		})
	}
	if pools, lanes, _ := egress.Shared(e); pools != 0 || lanes != 0 {
		t.Errorf("%d pools and %d lanes stay of connections that were refused", pools, lanes)
	}
}
