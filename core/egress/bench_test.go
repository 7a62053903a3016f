package egress_test

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
)

// The figure that counts is "ours" beside "fasthttp": both pay for the same backend
// in the same process. Ours has a context that can be cancelled, deadlines for the
// first byte and the whole, breaker, bulkhead and a look at the idle socket.
func BenchmarkExchange(b *testing.B) {
	address := backend(b)
	b.Run("ours", func(b *testing.B) {
		up := openBench(b, address)
		ctx := core.NewLifetime(context.Background(), time.Now().Add(time.Minute)) // as the gateway's calls have
		defer ctx.Cancel(nil)
		request := &core.Request{Method: "GET", Path: "/books/7", Idempotent: true, Header: []core.Field{{Name: "Accept", Value: "application/json"}}}
		b.ReportAllocs()
		for b.Loop() {
			if answer, err := up.Do(ctx, request); err != nil || answer.Status != 200 {
				b.Fatal(answer, err)
			}
		}
	})
	b.Run("fasthttp", func(b *testing.B) {
		client := &fasthttp.HostClient{Addr: address, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			request, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			request.SetRequestURI("http://" + address + "/books/7")
			request.Header.Set("Accept", "application/json")
			if err := client.Do(request, answer); err != nil || answer.StatusCode() != 200 {
				b.Fatal(err)
			}
			_ = append([]byte(nil), answer.Body()...) // ours returns a body that may be kept
			fasthttp.ReleaseRequest(request)
			fasthttp.ReleaseResponse(answer)
		}
	})
}

// backend answers each request with 1 KB of JSON.
func backend(b *testing.B) string {
	b.Helper()
	body := []byte(`{"filler":"` + string(make1K()) + `"}`)
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		ctx.SetBody(body)
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	b.Cleanup(func() { _ = server.Shutdown() })
	return l.Addr().String()
}

func make1K() []byte {
	b := make([]byte, 1000)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

func openBench(b *testing.B, address string) core.Upstream {
	b.Helper()
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	up, err := out.Open(&core.Connection{Name: "bench", BaseURL: &url.URL{Scheme: "http", Host: address}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = up.Close(); _ = out.Close() })
	return up
}
