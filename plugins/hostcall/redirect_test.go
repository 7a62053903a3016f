package hostcall

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// guide answers paths like /302?https://elsewhere.example/ with redirects.
func guide(sent string) (*core.Response, error) {
	_, rest, _ := strings.Cut(sent, ".example")
	path, _, _ := strings.Cut(rest, " ")
	status, to, found := strings.Cut(strings.TrimPrefix(path, "/"), "?")
	n, _ := strconv.Atoi(status)
	if n == 0 || !found {
		return &core.Response{Status: 200}, nil
	}
	return &core.Response{Status: n, Header: []core.Field{{Name: "Location", Value: to}}}, nil
}

func TestRedirects(t *testing.T) {
	own := []string{"Authorization", "mine", "Cookie", "c", "Accept", "a/b", "Content-Type", "t/p"}
	tests := []struct {
		name  string
		frame []byte
		sent  []string
		code  string
	}{
		{"to the same origin", ask("GET", "https://api.example/302?/next", "", "Authorization", "mine"), []string{
			"GET https://api.example/302?/next secret Authorization=mine,secret X-Api-Key=A",
			"GET https://api.example/next secret Authorization=mine,secret X-Api-Key=A",
		}, ""},
		{"to another granted origin: nothing private goes along", ask("GET", "https://api.example/302?https://open.example/next", "", own...), []string{
			"GET https://api.example/302?https://open.example/next Accept=a/b,Content-Type=t/p,Cookie=c,secret Authorization=mine,secret X-Api-Key=A",
			"GET https://open.example/next Accept=a/b",
		}, ""},
		{"each origin gets its own secret", ask("GET", "https://api.example/307?https://x.wild.example/next", ""), []string{
			"GET https://api.example/307?https://x.wild.example/next secret X-Api-Key=A",
			"GET https://x.wild.example/next secret X-Wild=W",
		}, ""},
		{"another port is another origin", ask("GET", "https://open.example/302?https://open.example:8443/", "", "Cookie", "c"), []string{
			"GET https://open.example/302?https://open.example:8443/ Cookie=c",
			"GET https://open.example:8443/",
		}, ""},
		{"302 makes GET of POST", ask("POST", "https://api.example/302?/next", "body", "Content-Type", "t/p", "X-A", "b"), []string{
			"POST https://api.example/302?/next Content-Type=t/p,X-A=b,secret X-Api-Key=A body",
			"GET https://api.example/next X-A=b,secret X-Api-Key=A",
		}, ""},
		{"303 makes GET of PUT", ask("PUT", "https://open.example/303?/next", "body"), []string{
			"PUT https://open.example/303?/next body",
			"GET https://open.example/next",
		}, ""},
		{"307 keeps method and body", ask("POST", "https://api.example/307?/next", "body"), []string{
			"POST https://api.example/307?/next secret X-Api-Key=A body",
			"POST https://api.example/next secret X-Api-Key=A body",
		}, ""},
		{"three hops", ask("GET", "https://open.example/301?/302?/307?/end", ""), []string{
			"GET https://open.example/301?/302?/307?/end",
			"GET https://open.example/302?/307?/end",
			"GET https://open.example/307?/end",
			"GET https://open.example/end",
		}, ""},
		{"304 is an answer", ask("GET", "https://open.example/304?/next", ""), []string{"GET https://open.example/304?/next"}, ""},

		{"four hops", ask("GET", "https://open.example/301?/301?/302?/307?/end", ""), []string{
			"GET https://open.example/301?/301?/302?/307?/end",
			"GET https://open.example/301?/302?/307?/end",
			"GET https://open.example/302?/307?/end",
			"GET https://open.example/307?/end",
		}, "unavailable"},
		{"off the list", ask("GET", "https://api.example/302?https://evil.example/", ""), []string{"GET https://api.example/302?https://evil.example/ secret X-Api-Key=A"}, "denied"},
		{"off the list, by a relative URL", ask("GET", "https://api.example/302?//evil.example/", ""), []string{"GET https://api.example/302?//evil.example/ secret X-Api-Key=A"}, "denied"},
		{"off the list, in the second hop", ask("GET", "https://open.example/302?/302?https://evil.example/", ""), []string{
			"GET https://open.example/302?/302?https://evil.example/",
			"GET https://open.example/302?https://evil.example/",
		}, "denied"},
		{"to a method that is not granted", ask("PUT", "https://open.example/307?https://api.example/", ""), []string{"PUT https://open.example/307?https://api.example/"}, "denied"},
		{"to a port that is not granted", ask("GET", "https://api.example/302?https://api.example:8443/", ""), []string{"GET https://api.example/302?https://api.example:8443/ secret X-Api-Key=A"}, "denied"},
		{"from https to http", ask("GET", "https://open.example/302?http://old.example/", ""), []string{"GET https://open.example/302?http://old.example/"}, "denied"},
		{"from http to https", ask("GET", "http://old.example/302?https://open.example/", ""), []string{"GET http://old.example/302?https://open.example/", "GET https://open.example/"}, ""},
		{"a body to another origin", ask("POST", "https://api.example/307?https://open.example/", "body"), []string{"POST https://api.example/307?https://open.example/ secret X-Api-Key=A body"}, "denied"},
		{"to a file", ask("GET", "https://open.example/302?file:///etc/passwd", ""), []string{"GET https://open.example/302?file:///etc/passwd"}, "denied"},
		{"to a user name", ask("GET", "https://open.example/302?https://a:b@open.example/", ""), []string{"GET https://open.example/302?https://a:b@open.example/"}, "denied"},
		{"to nonsense", ask("GET", "https://open.example/302?https://%zz/", ""), nil, "unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &dial{answer: guide}
			o := rules()
			o.Dial = d
			_, code := newHost(t, o).HTTP(t.Context(), scope(nil, nil), tt.frame)
			if named(code) != tt.code || tt.sent != nil && !slices.Equal(d.sent, tt.sent) {
				t.Errorf("%q, sent\n%s\nwant %q\n%s", named(code), strings.Join(d.sent, "\n"), tt.code, strings.Join(tt.sent, "\n"))
			}
		})
	}
}

// Each attack works where its defence is off: the tests above can fail.
func TestHTTPUndefended(t *testing.T) {
	tests := []struct {
		name  string
		off   func(*defences)
		frame []byte
		want  string
	}{
		{"grant", func(d *defences) { d.grant = true }, ask("GET", "https://evil.example/", ""), "GET https://evil.example/"},
		{"hop", func(d *defences) { d.hop = true }, ask("GET", "https://open.example/302?https://evil.example/", ""), "GET https://evil.example/"},
		{"line end", func(d *defences) { d.fields = true }, ask("GET", "https://open.example/", "", "X-A", "a\r\nX-Injected: b"), "GET https://open.example/ X-A=a\r\nX-Injected: b"},
		{"host", func(d *defences) { d.fields = true }, ask("GET", "https://open.example/", "", "Host", "evil.example"), "GET https://open.example/ Host=evil.example"},
		{"scope of a secret", func(d *defences) { d.scope = true }, ask("GET", "https://open.example/", ""), "GET https://open.example/ secret Authorization=Bearer T,secret X-Api-Key=A,secret x-wild=B"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &dial{answer: guide}
			o := rules()
			o.Dial = d
			h := newHost(t, o)
			tt.off(&h.off)
			_, code := h.HTTP(t.Context(), scope(nil, nil), tt.frame)
			if d.last() != tt.want {
				t.Errorf("%q %q: the attack does not work where nothing stops it", d.last(), named(code))
			}
		})
	}
}

// Whatever a guest writes, nothing leaves but by a rule, in one line, to its host.
func FuzzRequest(f *testing.F) {
	f.Add(ask("GET", "https://api.example/v1?q=Oslo", "body", "Accept", "a/b"))
	f.Add(ask("GET", "https://open.example/302?https://evil.example/", ""))
	f.Add(ask("POST", "http://old.example:8080/\r\n", "x", "Host", "evil", "X-A", "b\r\n"))
	f.Add(ask("GET", "https://user@[::1%25lo]:443/", ""))
	f.Add([]byte("\x02\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		d := &dial{answer: guide}
		o := rules()
		o.Dial = d
		h := newHost(t, o)
		answer, code := h.HTTP(t.Context(), scope(nil, nil), frame)
		if (answer == nil) != (code < 0) || code < 0 && abi.ErrorName(code) == "error" {
			t.Fatalf("%v beside %d", answer, code)
		}
		for _, c := range d.opened {
			host, port := c.BaseURL.Hostname(), c.BaseURL.Port()
			granted := host == "api.example" && port == "" || host == "open.example" || host == "old.example" && c.BaseURL.Scheme == "http" ||
				host == "auth.example" || host == "2001:db8::1" || strings.HasSuffix(host, ".wild.example")
			if !granted || c.BaseURL.User != nil || c.BaseURL.Path != "" || strings.ContainsAny(c.BaseURL.Host, "\r\n @/\\") {
				t.Errorf("%q was opened", c.BaseURL)
			}
			for name := range c.Secret {
				if name == "X-Api-Key" && host != "api.example" || strings.EqualFold(name, "X-Wild") && !strings.HasSuffix(host, ".wild.example") {
					t.Errorf("the secret %s went to %s", name, host)
				}
			}
		}
		if len(d.broken) > 0 {
			t.Errorf("%q was sent", d.broken)
		}
	})
}
