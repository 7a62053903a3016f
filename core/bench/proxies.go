package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

var errNoTarget = errors.New("which backend? give its address")

// runReverse is the proxy of the standard library, with room for idle connections
// (its default of two would measure dialling).
func runReverse(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errNoTarget
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: args[0]})
	proxy.Transport = &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	fmt.Fprintf(out, "listening on %s\n", l.Addr())
	<-ctx.Done()
	return server.Close()
}

// runFiber is what Fiber and the fasthttp client cost when they do nothing else.
func runFiber(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errNoTarget
	}
	client := &fasthttp.HostClient{Addr: args[0], MaxConns: 512, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: 60 * time.Second})
	app.All("/*", func(c *fiber.Ctx) error {
		request, response := c.Request(), c.Response()
		request.Header.Del(fiber.HeaderConnection)
		if err := client.Do(request, response); err != nil {
			return err
		}
		response.Header.Del(fiber.HeaderConnection)
		return nil
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = app.Listener(l) }()
	fmt.Fprintf(out, "listening on %s\n", l.Addr())
	<-ctx.Done()
	return nil
}
