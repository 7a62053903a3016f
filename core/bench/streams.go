package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// runIdle opens many streams and holds them until it is ended.
func runIdle(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("idle", flag.ContinueOnError)
	target := flags.String("target", "", "address")
	kind := flags.String("kind", "listen", "listen (2026-07-28) or sse (2024-11-05)")
	count := flags.Int("count", 10_000, "streams")
	if err := flags.Parse(args); err != nil {
		return err
	}
	request := fmt.Appendf(nil, "GET /bench/sse HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", *target)
	if *kind == "listen" {
		request = post(*target, "/bench/mcp", "subscriptions/listen", "", "",
			`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{`+envelope+`,"notifications":{"toolsListChanged":true}}}`)
	}
	start := time.Now()
	var opening, reading sync.WaitGroup
	var why atomic.Pointer[string]
	next := make(chan struct{}, *count)
	for range *count {
		next <- struct{}{}
	}
	close(next)
	for range 64 {
		opening.Go(func() {
			for range next {
				c, err := openStream(ctx, *target, request)
				if err != nil {
					text := err.Error()
					why.CompareAndSwap(nil, &text)
					return
				}
				context.AfterFunc(ctx, func() { _ = c.Close() })
				reading.Go(func() { // kept read, as a client does
					b := make([]byte, 256)
					for {
						if _, err := c.Read(b); err != nil {
							return
						}
					}
				})
			}
		})
	}
	opening.Wait()
	if text := why.Load(); text != nil {
		return errors.New(*text)
	}
	fmt.Fprintf(out, "listening on %d\n", time.Since(start).Milliseconds())
	<-ctx.Done()
	reading.Wait()
	return nil
}

// openStream opens one stream and reads to the end of its first event.
func openStream(ctx context.Context, target string, request []byte) (net.Conn, error) {
	c, err := dial(ctx, target)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(c, 1024)
	events := 0
	for data := false; events < 1; {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("a stream ended before its first event: %w", err)
		}
		if len(line) > 5 && line[:5] == "data:" {
			data = true
		}
		if data && (line == "\n" || line == "\r\n") {
			events++
		}
		if len(line) > 12 && line[:9] == "HTTP/1.1 " && line[9:12] != "200" {
			return nil, fmt.Errorf("a stream was refused: %s", line)
		}
	}
	_ = c.SetDeadline(time.Time{})
	return c, nil
}

// streamResult is what so many idle streams cost.
type streamResult struct {
	Kind        string
	Count       int
	Opened      time.Duration // all of them
	Base, Held  int64         // resident memory, bytes
	Goroutines  int64
	Closed      time.Duration // until the gateway has noticed that all clients left
	GoroutinesB int64         // before
}

// measureStreams holds idle streams on a fresh gateway.
func measureStreams(ctx context.Context, g *gateway, self, kind string, count int) (streamResult, error) {
	r := streamResult{Kind: kind, Count: count}
	p, err := g.start(ctx)
	if err != nil {
		return r, err
	}
	defer p.end()
	// One call first: what the first use makes belongs to the base.
	var warm loadReport
	if err := ask(ctx, &warm, "load", "-target", p.address, "-kind", "call", "-clients", "16", "-duration", "300ms"); err != nil {
		return r, err
	}
	r.Base = p.rss()
	before, err := metric(ctx, p, "go_goroutines", "")
	if err != nil {
		return r, err
	}
	holder, err := spawn(ctx, "idle", false, self, "idle", "-target", p.address, "-kind", kind, "-count", strconv.Itoa(count))
	if err != nil {
		return r, err
	}
	defer holder.end()
	var millis int64
	if err := json.Unmarshal([]byte(holder.address), &millis); err != nil {
		return r, err
	}
	r.Opened, r.GoroutinesB = time.Duration(millis)*time.Millisecond, int64(before)
	for range 6 { // the most of three seconds
		time.Sleep(500 * time.Millisecond)
		r.Held = max(r.Held, p.rss())
		n, err := metric(ctx, p, "go_goroutines", "")
		if err != nil {
			return r, err
		}
		r.Goroutines = max(r.Goroutines, int64(n))
	}
	open, err := metric(ctx, p, "sallyport_streams", "")
	if err != nil {
		return r, err
	}
	if int(open) != count {
		return r, fmt.Errorf("%d %s streams are open, want %d", int(open), kind, count)
	}
	start := time.Now()
	holder.end()
	for open > 0 && time.Since(start) < 30*time.Second {
		time.Sleep(50 * time.Millisecond)
		if open, err = metric(ctx, p, "sallyport_streams", ""); err != nil {
			return r, err
		}
	}
	r.Closed = time.Since(start)
	if open > 0 {
		return r, fmt.Errorf("%d streams stay open after their clients left", int(open))
	}
	return r, nil
}
