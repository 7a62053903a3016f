package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// doors are the ports of the backend: one for each candidate, so that it can tell
// who opened how many connections.
var doors = []string{"direct", "fiber", "reverse", "sallyport"}

// tally is what came through one door.
type tally struct {
	Connections int64 `json:"connections"`
	Requests    int64 `json:"requests"`
}

// backendReport is the answer of the control port.
type backendReport struct {
	Doors map[string]tally `json:"doors"`
}

// backendAddresses is the line that the backend prints.
type backendAddresses struct {
	Control string            `json:"control"`
	Slow    string            `json:"slow"`
	Watch   string            `json:"watch"` // what slow tells
	Doors   map[string]string `json:"doors"`
}

// door counts what comes through it.
type door struct {
	net.Listener
	connections, requests atomic.Int64
}

func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err == nil {
		d.connections.Add(1)
	}
	return c, err
}

// filler makes a book 1 KB of JSON.
var filler = strings.Repeat("a gate is a gate is a gate; ", 34)

// runBackend answers GET /books/{id} with 1 KB of JSON that holds the id.
func runBackend(ctx context.Context, _ []string, out io.Writer) error {
	addresses := backendAddresses{Doors: map[string]string{}}
	open := map[string]*door{}
	for _, name := range doors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		d := &door{Listener: l}
		open[name], addresses.Doors[name] = d, l.Addr().String()
		server := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(c *fasthttp.RequestCtx) {
			d.requests.Add(1)
			id := strings.TrimPrefix(string(c.Path()), "/books/")
			c.SetContentType("application/json")
			b := append(c.Response.Body(), `{"id":"`...)
			b = append(b, id...)
			b = append(b, `","title":"The Gate","stock":7,"note":"`...)
			b = append(b, filler...)
			c.Response.SetBodyRaw(append(b, `"}`...))
		}}
		go func() { _ = server.Serve(d) }()
	}
	slow, err := newSlow()
	if err != nil {
		return err
	}
	addresses.Slow, addresses.Watch = slow.listener.Addr().String(), slow.watch.Addr().String()
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addresses.Control = control.Addr().String()
	go func() {
		_ = fasthttp.Serve(control, func(c *fasthttp.RequestCtx) {
			report := backendReport{Doors: map[string]tally{}}
			for name, d := range open {
				report.Doors[name] = tally{d.connections.Load(), d.requests.Load()}
			}
			b, _ := json.Marshal(report)
			c.SetBody(b)
		})
	}()
	line, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s\n", line)
	<-ctx.Done()
	return nil
}

// slow is an upstream that never answers. It tells whoever listens on its second port
// of each request that came ("in ID") and was given up ("out ID UNIX-NANOSECONDS").
type slow struct {
	listener, watch net.Listener
	mu              sync.Mutex
	told            []net.Conn
}

func newSlow() (*slow, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &slow{listener: l, watch: w}
	go accept(l, func(c net.Conn) { go s.wait(c) })
	go accept(w, func(c net.Conn) {
		s.mu.Lock()
		s.told = append(s.told, c)
		s.mu.Unlock()
	})
	return s, nil
}

func accept(l net.Listener, take func(c net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		take(c)
	}
}

// wait reads the request line "GET /slow/{id} …" and then to the end.
func (s *slow) wait(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	_, path, _ := strings.Cut(line, " ")
	path, _, _ = strings.Cut(path, " ")
	id := strings.TrimPrefix(path, "/slow/")
	s.tell("in %s\n", id)
	_, _ = io.Copy(io.Discard, r)
	s.tell("out %s %d\n", id, time.Now().UnixNano())
}

func (s *slow) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.told {
		_, _ = fmt.Fprintf(c, format, args...)
	}
}
