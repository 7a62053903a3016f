package egress

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// scripted is a connection whose other side says a fixed text.
type scripted struct {
	net.Conn
	from io.Reader
}

func (s *scripted) Read(b []byte) (int, error)  { return s.from.Read(b) }
func (s *scripted) Write(b []byte) (int, error) { return len(b), nil }
func (s *scripted) SetDeadline(time.Time) error { return nil }
func (s *scripted) Close() error                { return nil }

// FuzzAnswer compares our reading of an answer with that of net/http: what we
// accept, it must accept too, with the same status, body and end. We may refuse more.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\nrest",
		"HTTP/1.1 204 No Content\r\nX: y\r\n\r\nrest",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
		"HTTP/1.0 200\r\n\r\nuntil the end",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA \r\n0123456789\r\n00\r\n\r\n",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, whole bool) {
		var from io.Reader = bytes.NewReader(text)
		if !whole {
			from = &oneByOne{from}
		}
		c := newConn(&scripted{from: from}, nil, time.Now)
		m := &message{method: "GET", limit: 1 << 20, deadline: time.Now().Add(time.Hour), first: time.Hour, authority: "x", path: "/"}
		answer, again, err := c.converse(m, []byte("x"), nil)
		if err != nil {
			if answer != nil || again {
				t.Fatal("an error with an answer")
			}
			return
		}
		r := bufio.NewReader(bytes.NewReader(text))
		theirs, err := readFinal(r)
		if err != nil {
			t.Fatalf("net/http refuses what we accept: %v", err)
		}
		if theirs.StatusCode != answer.Status {
			t.Fatalf("status %d, net/http has %d", answer.Status, theirs.StatusCode)
		}
		if theirs.Header.Get("Content-Encoding") != "" {
			return
		}
		body, err := io.ReadAll(theirs.Body)
		if err != nil || !bytes.Equal(body, answer.Body) {
			t.Fatalf("body %q, net/http has %q, %v", answer.Body, body, err)
		}
		if again && theirs.Close {
			t.Fatal("kept where net/http closes")
		}
		rest, _ := io.ReadAll(r)
		left, _ := io.ReadAll(c.wire)
		if ours := append(c.buf[c.r:c.w:c.w], left...); again && !bytes.Equal(ours, rest) {
			t.Fatalf("the answer ends before %q, by net/http before %q", ours, rest)
		}
	})
}

type oneByOne struct{ r io.Reader }

func (o *oneByOne) Read(b []byte) (int, error) { return o.r.Read(b[:min(len(b), 1)]) }

// readFinal reads past interim answers as net/http's client does.
func readFinal(r *bufio.Reader) (*http.Response, error) {
	for {
		answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
		if err != nil || answer.StatusCode >= 200 {
			return answer, err
		}
	}
}

// FuzzDecode: any bytes in any coding give a body within the limit, or an error.
func FuzzDecode(f *testing.F) {
	codings := []string{"gzip", "br", "zstd", "deflate", "x-gzip"}
	for i := range codings {
		f.Add(uint8(i), []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x4b\x04\x00\x43\xbe\xb7\xe8\x01\x00\x00\x00"))
		f.Add(uint8(i), []byte("\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00\x61\x3b\x53\x0e\x38"))
		f.Add(uint8(i), []byte("\x78\x9c\x4b\x04\x00\x00\x62\x00\x62"))
		f.Add(uint8(i), []byte("\x0b\x00\x80\x61\x03"))
	}
	f.Fuzz(func(t *testing.T, which uint8, in []byte) {
		out, err := decode(codings[int(which)%len(codings)], in, 1<<16)
		if err == nil && len(out) > 1<<16 || err != nil && out != nil {
			t.Fatalf("%d bytes, error %v", len(out), err)
		}
		if err != nil && strings.Contains(err.Error(), "panic") {
			t.Fatal(err)
		}
	})
}

// FuzzRequest: whatever passes the checks is one request with exactly its fields,
// as net/http reads it.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a", "b=c", "X-A", "d")
	f.Add("POST", "/%2f", "", "Cookie", "a=b; c=d")
	f.Add("GET", "/\r\nX: y", "a b", "X\r\nY", "a\r\nB: c")
	f.Fuzz(func(t *testing.T, method, path, query, name, value string) {
		r := &core.Request{Method: method, Path: path, Query: query, Header: []core.Field{{Name: name, Value: value}}}
		if (&upstream{}).check(r) != "" {
			return
		}
		m := &message{method: method, authority: "shop.example", path: path, query: [3]string{"", query, "key=k"}, fields: r.Header}
		reader := bufio.NewReader(bytes.NewReader(m.appendHead(nil)))
		got, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("%q: %v", m.appendHead(nil), err)
		}
		values := got.Header.Values(name)
		if got.Method != method || got.RequestURI != string(m.appendTarget(nil)) || got.Host != "shop.example" || len(values) != 1 || values[0] != value {
			t.Fatalf("%q arrives as %s %s %v", m.appendHead(nil), got.Method, got.RequestURI, got.Header)
		}
		if len(got.Header) > 2 || reader.Buffered() != 0 {
			t.Fatalf("%q says more than it should", m.appendHead(nil))
		}
	})
}
