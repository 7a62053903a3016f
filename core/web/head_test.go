package web

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/sallyport/sallyport/core/mcp"
)

// Whatever two parsers could read in two ways must be refused, and the connection
// closed so that nothing behind it is read as a request.
func TestHeads(t *testing.T) {
	const ok = `{"ok":1}`
	long := strings.Repeat("x", 20<<10)
	many := strings.Repeat("A: b\r\n", 101)
	const smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	rows := []struct {
		name, raw string
		status    int
		closed    bool
	}{
		{"plain", post("/shop/mcp", ok), 200, false},
		{"root", post("/mcp", ok), 200, false},
		{"chunked", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\n\r\n", 200, false},
		{"chunked, any case", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: Chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\n\r\n", 200, false},
		{"chunk extension", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n8;a=b\r\n{\"ok\":1}\r\n0\r\n\r\n", 200, false},
		{"chunk size with LF inside", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n8;\n{\"ok\":1}\r\n0\r\n\r\n", 400, true},
		{"chunk size not hex", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n{\"ok\":1}\r\n0\r\n\r\n", 400, true},
		{"chunk size negative", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n-8\r\n{\"ok\":1}\r\n0\r\n\r\n", 400, true},
		{"chunk size 0x", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n0x8\r\n{\"ok\":1}\r\n0\r\n\r\n", 400, true},
		{"chunk without CRLF", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"ok\":1}0\r\n\r\n", 400, true},
		{"chunk size too big", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n", 400, true},
		{"CL and TE", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400, true},
		{"TE and CL", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + smuggled, 400, true},
		{"two CL, different", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400, true},
		{"two CL, same", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, true},
		{"CL list", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 5, 5\r\n\r\nhello", 400, true},
		{"CL with sign", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: +5\r\n\r\nhello", 400, true},
		{"CL negative", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: -5\r\n\r\nhello", 400, true},
		{"CL hex", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 0x5\r\n\r\nhello", 400, true},
		{"CL empty", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length:\r\n\r\nhello", 400, true},
		{"CL overflow", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 99999999999999999999\r\n\r\nhello", 400, true},
		{"CL space before colon", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length : 5\r\n\r\nhello", 400, true},
		{"TE space before colon", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"TE tab before colon", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"TE identity", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: identity\r\n\r\n" + smuggled, 400, true},
		{"TE xchunked", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, true},
		{"TE list", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"TE twice", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"TE quoted", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, true},
		{"TE with vertical tab", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, true},
		{"TE on HTTP/1.0", "POST /shop/mcp HTTP/1.0\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"TE in an inner-space name", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer Encoding: chunked\r\n\r\n", 400, true},
		{"folded line", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"folded TE", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"first line folded", "POST /shop/mcp HTTP/1.1\r\n Host: $HOST\r\n\r\n", 400, true},
		{"bare LF after a header", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"bare CR in a value", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nX-A: b\rc\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"NUL in a value", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nX-A: b\x00c\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"DEL in a value", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nX-A: b\x7fc\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"no colon", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nhello\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"empty name", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\n: x\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"bracket in a name", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nX[a]: x\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"8-bit name", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nX-\xe9: x\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"no Host", "POST /shop/mcp HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"two Hosts", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"two equal Hosts", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nhost: $HOST\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"no Host on HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n", 403, true},
		{"absolute form, same host", post("http://$HOST/shop/mcp", ok), 200, false},
		{"absolute form, foreign host", post("http://evil.example/shop/mcp", ok), 400, true},
		{"absolute form, user in host", post("http://$HOST@evil.example/shop/mcp", ok), 400, true},
		{"absolute form, other scheme", post("ftp://$HOST/shop/mcp", ok), 400, true},
		{"authority form", "CONNECT $HOST HTTP/1.1\r\nHost: $HOST\r\n\r\n", 400, true},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: $HOST\r\n\r\n", 400, true},
		{"space in target", "POST /shop /mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"control in target", "POST /shop/mcp\x01 HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"8-bit target", "POST /sh\xc3\xb6p/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"fragment in target", post("/shop/mcp#x", ok), 400, true},
		{"HTTP/2.0", "POST /shop/mcp HTTP/2.0\r\nHost: $HOST\r\nContent-Length: 2\r\n\r\n{}", 505, true},
		{"HTTP/1.2", "POST /shop/mcp HTTP/1.2\r\nHost: $HOST\r\nContent-Length: 2\r\n\r\n{}", 505, true},
		{"http/1.1", "POST /shop/mcp http/1.1\r\nHost: $HOST\r\nContent-Length: 2\r\n\r\n{}", 400, true},
		{"no version", "GET /healthz\r\nHost: $HOST\r\n\r\n", 400, true},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, true},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, true},
		{"method with a colon", "PO:ST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\n\r\n", 400, true},
		{"header too long", "GET /healthz HTTP/1.1\r\nHost: $HOST\r\nX: " + long + "\r\n\r\n", 431, true},
		{"target too long", "GET /" + long + " HTTP/1.1\r\nHost: $HOST\r\n\r\n", 431, true},
		{"too many headers", "GET /healthz HTTP/1.1\r\nHost: $HOST\r\n" + many + "\r\n", 431, true},
		{"body too large", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nContent-Length: 4194305\r\n\r\n{}", 413, true},
		{"expects, too large", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nExpect: 100-continue\r\nContent-Length: 4194305\r\n\r\n", 413, true},
		{"encoded body", post("/shop/mcp", ok, "Content-Encoding: gzip"), 415, false},
		{"identity body", post("/shop/mcp", ok, "Content-Encoding: identity"), 200, false},
		{"two Authorization", post("/shop/mcp", ok, "Authorization: a", "Authorization: b"), 400, true},
		{"two Content-Type", post("/shop/mcp", ok, "Content-Type: a", "content-type: b"), 400, true},
		{"two Origin", post("/shop/mcp", ok, "Origin: http://localhost", "Origin: https://evil.example"), 400, true},
		{"body on GET of health", request("GET", "/healthz", "hello"), 200, false},
		{"trailer that is a header", "POST /shop/mcp HTTP/1.1\r\nHost: $HOST\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\nX-T: v\r\n\r\n", 200, false},
	}
	r := run(t, func(o *Options, _ *fakeEndpoint) { o.Limits.lingerOnError = 1 })
	if len(rows) < 60 {
		t.Fatalf("%d rows: security.md asks for 60", len(rows))
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			before := r.observer.count()
			got := r.rawClosed(row.raw)
			eventually(t, "the report of a request that was turned away", func() bool { return r.observer.reported(before, row.status) })
			if got.StatusCode != row.status || got.closed != row.closed {
				t.Errorf("status %d closed %v, want %d %v; body %s", got.StatusCode, got.closed, row.status, row.closed, got.body)
			}
			if strings.Contains(got.body, "evil") || got.StatusCode >= 400 && !strings.Contains(got.body, `"fix"`) {
				t.Errorf("body %q: want error and fix, and nothing of the request", got.body)
			}
			if server := got.Header.Get("Server"); server != "" {
				t.Errorf("Server: %s tells what runs here", server)
			}
		})
	}
}

// The test of the test: without our checks these requests are answered, some with
// a second request behind them in the connection.
func TestHeadsThatFasthttpTakes(t *testing.T) {
	app := idleFiber()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(ln) }()
	defer func() {
		_ = app.Shutdown()
		<-ended
	}()
	bare := &rig{t: t, addr: ln.Addr().String()}
	for _, block := range []string{
		"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"Host: a\r\nTransfer-Encoding: identity\r\n\r\n",
		"Host: a\r\nTransfer Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
		"Host: a\nContent-Length: 0\r\n\r\n",
		"Host: a\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"Host: a\r\nAuthorization: a\r\nAuthorization: b\r\nContent-Length: 0\r\n\r\n",
	} {
		var h head
		if r := h.read([]byte("/mcp"), []byte(block), 100, false); r == nil || !r.close {
			t.Errorf("%q: %+v, want a refusal that closes", block, r)
		}
		body := ""
		if strings.Contains(block, "chunked") && !strings.Contains(block, "Encoding: chunked\r\nContent") {
			body = "0\r\n\r\n"
		}
		if got := bare.raw("POST /shop/mcp HTTP/1.1\r\n" + block + body); got.StatusCode != 200 {
			t.Errorf("%q: a bare Fiber says %d: is the check still needed?", block, got.StatusCode)
		}
	}
}

// And without copying, what one request said becomes what another one says.
func TestFiberReusesStrings(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	var kept []string
	app.Post("/", func(c *fiber.Ctx) error {
		kept = append(kept, c.Get("Authorization"))
		return nil
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(ln) }()
	bare := &rig{t: t, addr: ln.Addr().String()}
	c := bare.dial()
	in := bufio.NewReader(c)
	for i := range 10 {
		bare.send(c, post("/", "{}", fmt.Sprintf("Authorization: secret-%d", i)))
		readReply(t, in, "POST")
	}
	_ = c.Close()
	_ = app.Shutdown()
	<-ended
	if kept[0] == "secret-0" {
		t.Error("Fiber keeps its strings now: is copying still needed?")
	}
}

func TestHeadFields(t *testing.T) {
	var seen []*mcp.Request
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
			seen = append(seen, r)
			sink.Reply(202, "", nil, nil)
		}
	})
	headers := []string{
		"Accept: application/json", "accept:  text/event-stream\t", "Mcp_Session_Id: stolen", "X-Empty:",
		"X-Forwarded-For: 10.0.0.1", "x_forwarded_host: evil", "Forwarded: for=1", "X-Real-IP: 1.1.1.1",
		"Connection: keep-alive, X-Hop", "X-Hop: mine",
	}
	for i := range 40 { // more than fit in place
		headers = append(headers, fmt.Sprintf("X-%d: v%d", i, i))
	}
	if got := r.raw(post("/shop/mcp", "{}", headers...)); got.StatusCode != 202 {
		t.Fatalf("status %d: %s", got.StatusCode, got.body)
	}
	h := seen[0].Header
	for name, want := range map[string]string{
		"ACCEPT": "application/json", "X-Empty": "", "x-39": "v39", "X-23": "v23", "X-40": "", "Mcp-Session-Id": "", "Mcp_Session_Id": "",
		"X-Forwarded-For": "", "X_Forwarded_Host": "", "Forwarded": "", "X-Real-IP": "", "X-Hop": "", "Host": r.addr,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("Get(%q) = %q, want %q", name, got, want)
		}
	}
	if got := h.Values("accept"); len(got) != 2 || got[1] != "text/event-stream" {
		t.Errorf("Values(accept) = %q", got)
	}
	if got := h.Values("X-None"); got != nil {
		t.Errorf("Values of an absent header = %q, want nil", got)
	}
}

// Fiber's strings are reused memory: what a request holds must not change under it.
func TestNothingOfFiberIsKept(t *testing.T) {
	type kept struct {
		r    *mcp.Request
		want int
	}
	var all []kept
	r := run(t, func(_ *Options, e *fakeEndpoint) {
		e.handle = func(_ context.Context, r *mcp.Request, sink mcp.Sink) {
			all = append(all, kept{r, len(all)})
			sink.Reply(200, "application/json", nil, r.Body)
		}
	})
	c := r.dial()
	in := newReader(c)
	for i := range 1000 {
		text := post(fmt.Sprintf("/shop/message?sessionId=session-%d", i), fmt.Sprintf(`{"n":%d}`, i), fmt.Sprintf("Authorization: secret-%d", i), fmt.Sprintf("X-Pad: %s", strings.Repeat("p", i%50)))
		if _, err := c.Write([]byte(strings.ReplaceAll(text, "$HOST", r.addr))); err != nil {
			t.Fatal(err)
		}
		if got := readReply(t, in, "POST"); got.body != fmt.Sprintf(`{"n":%d}`, i) {
			t.Fatalf("request %d: answer %q", i, got.body)
		}
	}
	ids := map[string]bool{}
	for _, k := range all {
		want := map[string]string{
			"session": fmt.Sprintf("session-%d", k.want), "body": fmt.Sprintf(`{"n":%d}`, k.want), "header": fmt.Sprintf("secret-%d", k.want),
			"pad": strings.Repeat("p", k.want%50), "method": "POST", "host": r.addr,
		}
		got := map[string]string{
			"session": k.r.SessionID, "body": string(k.r.Body), "header": k.r.Header.Get("Authorization"),
			"pad": k.r.Header.Get("X-Pad"), "method": k.r.Method, "host": k.r.Header.Get("Host"),
		}
		for name, w := range want {
			if got[name] != w {
				t.Fatalf("request %d: %s is %q, was %q", k.want, name, got[name], w)
			}
		}
		if ids[k.r.ID] {
			t.Fatalf("request id %s was given twice", k.r.ID)
		}
		ids[k.r.ID] = true
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("/mcp"), []byte("Host: a\r\nAccept: b\r\n\r\n"))
	f.Add([]byte("http://a/mcp"), []byte("Host: a\r\nConnection: x\r\nX: y\r\n\r\n"))
	f.Add([]byte("/"), []byte("A:\r\n\r\n"))
	f.Fuzz(func(t *testing.T, uri, block []byte) {
		var h head
		if h.read(uri, block, 100, false) != nil {
			return
		}
		if h.count > 100 {
			t.Fatalf("%d fields", h.count)
		}
		for i := range h.count {
			s := h.at(i)
			name, value := h.text[s.name:s.nameEnd], h.text[s.value:s.valueEnd]
			if !token(name) || strings.ContainsAny(value, "\r\n\x00") || strings.Trim(value, " \t") != value {
				t.Fatalf("field %q: %q", name, value)
			}
			if !h.has(name) {
				t.Fatalf("%q is not found again", name)
			}
		}
		if path, _, r := target(h.target, h.host); r == nil {
			if got := find(path); got.name != "" && got.prefix != "" && !strings.HasSuffix(path, got.prefix+"/"+got.name) {
				t.Fatalf("%q leads to %+v", path, got)
			}
		}
	})
}
