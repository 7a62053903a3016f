package web

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/sallyport/sallyport/core"
)

const benchBody = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_book","arguments":{"id":"42"}}}`

func benchRequest(addr string) []byte {
	return []byte(strings.ReplaceAll(post("/shop/mcp", benchBody, "Content-Type: application/json", "Accept: application/json, text/event-stream",
		"Mcp-Protocol-Version: 2025-11-25", "Mcp-Session-Id: 0123456789abcdef0123456789abcdef", "User-Agent: bench"), "$HOST", addr))
}

func idleFiber() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/shop/mcp", func(c *fiber.Ctx) error {
		c.Set("Content-Type", "application/json")
		return c.Send(c.Body())
	})
	return app
}

// BenchmarkHandle is what the edge adds to a Fiber that does nothing, without
// sockets: the difference of the two.
func BenchmarkHandle(b *testing.B) {
	each := func(b *testing.B, handle fasthttp.RequestHandler, c net.Conn) {
		var rc fasthttp.RequestCtx
		rc.Init2(c, nil, false)
		if err := rc.Request.Read(bufio.NewReader(bytes.NewReader(benchRequest("127.0.0.1:8080")))); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			rc.Response.Reset()
			handle(&rc)
		}
		if rc.Response.StatusCode() != 200 || string(rc.Response.Body()) != benchBody {
			b.Fatalf("%s", &rc.Response)
		}
	}
	b.Run("edge", func(b *testing.B) {
		r := run(b, func(o *Options, _ *fakeEndpoint) { o.Observer = core.NoObserver{} })
		c := &conn{edge: r.edge, local: netip.MustParseAddr("127.0.0.1")}
		c.watched.Store(true)
		each(b, r.edge.app.Server().Handler, c)
	})
	b.Run("fiber", func(b *testing.B) { each(b, idleFiber().Handler(), &conn{}) })
}

// BenchmarkCall is the same over a socket.
func BenchmarkCall(b *testing.B) {
	b.Run("edge", func(b *testing.B) {
		exchange(b, run(b, func(o *Options, _ *fakeEndpoint) { o.Observer = core.NoObserver{} }).addr)
	})
	b.Run("fiber", func(b *testing.B) {
		app := idleFiber()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = app.Listener(ln) }()
		exchange(b, ln.Addr().String())
		_ = app.Shutdown()
	})
}

func exchange(b *testing.B, addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := benchRequest(addr)
	if _, err := c.Write(request); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 4096) // every answer is as long as the first
	n, err := c.Read(answer)
	if err != nil {
		b.Fatal(err)
	}
	answer = answer[:n]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
	}
}
