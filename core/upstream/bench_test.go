package upstream_test

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/upstream"
)

// BenchmarkCall is a call through core/egress of an upstream that costs next to nothing
// here: with JSON, with events that end at once, and with events whose end comes apart.
func BenchmarkCall(b *testing.B) {
	for _, how := range []string{"json", "events", "events apart"} {
		for _, revision := range []string{"2025-11-25", "2026-07-28"} {
			b.Run(how+" "+revision, func(b *testing.B) {
				c := openCanned(b, how, revision)
				if _, err := c.CallTool(b.Context(), request("tool", "get_book", `{"id":"b1000"}`)); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				b.SetParallelism(8)
				b.ResetTimer()
				b.RunParallel(func(each *testing.PB) {
					for each.Next() {
						call := request("tool", "get_book", `{"id":"b1000"}`)
						life := core.NewLifetime(b.Context(), time.Now().Add(time.Minute))
						r, err := c.CallTool(life, call)
						life.Cancel(nil)
						if err != nil || len(r.Content) != 1 {
							b.Error(r, err)
							return
						}
					}
				})
			})
		}
	}
}

// openCanned opens a client of an upstream that answers without looking.
func openCanned(b *testing.B, how, revision string) *upstream.Client {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serveCanned(conn, how, revision) })
		}
	})
	b.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	u := &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/mcp"}
	c, err := upstream.Open(upstream.Options{Name: "books", URL: u, HTTP: way(b, u, core.Connection{InFlight: 256}), Revision: revision})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func serveCanned(conn net.Conn, how, revision string) {
	defer conn.Close()
	in, out := make([]byte, 0, 8192), make([]byte, 0, 8192)
	for {
		head := -1
		for head < 0 {
			n, err := conn.Read(in[len(in):cap(in)])
			if err != nil {
				return
			}
			in = in[:len(in)+n]
			head = bytes.Index(in, []byte("\r\n\r\n"))
		}
		id := []byte("null")
		if _, rest, found := bytes.Cut(in[head:], []byte(`"id":`)); found { // requests come in one piece
			id, _, _ = bytes.Cut(rest, []byte(","))
		}
		result := `{"content":[{"type":"text","text":"b1000: ` + filling + `"}]}`
		switch {
		case bytes.Contains(in, []byte(`"initialize"`)):
			result = `{"protocolVersion":"` + revision + `","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}`
		case bytes.Contains(in, []byte(`server/discover`)):
			result = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}`
		case bytes.Contains(in, []byte(`tools/list`)):
			result = `{"tools":[{"name":"get_book","inputSchema":{"type":"object"}}]}`
		}
		in = in[:0]
		if string(id) == "null" {
			_, _ = conn.Write([]byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"))
			continue
		}
		body := `{"jsonrpc":"2.0","id":` + string(id) + `,"result":` + result + `}`
		if how == "json" {
			out = fmt.Appendf(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		} else {
			body = "event: message\ndata: " + body + "\n\n"
			out = fmt.Appendf(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(body), body)
		}
		if how == "events" {
			out = append(out, "0\r\n\r\n"...)
		}
		_, _ = conn.Write(out)
		if how == "events apart" {
			_, _ = conn.Write([]byte("0\r\n\r\n"))
		}
	}
}

var filling = strings.Repeat("a gate is a gate is a gate; ", 34)
