package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// upstreamDoors are the ports of the MCP upstream: one for each way to it.
var upstreamDoors = []string{"direct", "reverse", "sallyport"}

// The sorts of an MCP upstream.
const (
	withoutSessions = "stateless" // speaks 2026-07-28
	withSessions    = "stateful"  // speaks 2025-11-25
)

// runUpstream is an MCP server of the official SDK. Its tool get_book answers with 1 KB of
// text that holds the id. What it counts as requests are those with a message: POST.
func runUpstream(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 || args[0] != withSessions && args[0] != withoutSessions {
		return errors.New("stateless or stateful?")
	}
	server := bookServer()
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: args[0] == withoutSessions})
	var running servers
	defer func() {
		running.end()
		for one := range server.Sessions() {
			_ = one.Close()
		}
	}()
	addresses := backendAddresses{Doors: map[string]string{}}
	open := map[string]*door{}
	for _, name := range upstreamDoors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		d := &door{Listener: l}
		open[name], addresses.Doors[name] = d, l.Addr().String()
		running.serve(d, counting(handler, &d.requests))
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addresses.Control = control.Addr().String()
	running.serve(control, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		report := backendReport{Doors: map[string]tally{}}
		for name, d := range open {
			report.Doors[name] = tally{d.connections.Load(), d.requests.Load()}
		}
		_ = json.NewEncoder(w).Encode(report)
	}))
	line, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s\n", line)
	<-ctx.Done()
	return nil
}

// servers are those of one process.
type servers struct {
	all     []*http.Server
	running sync.WaitGroup
}

func (s *servers) serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.all = append(s.all, server)
	s.running.Go(func() { _ = server.Serve(l) })
}

func (s *servers) end() {
	for _, server := range s.all {
		_ = server.Close()
	}
	s.running.Wait()
}

func counting(h http.Handler, n *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n.Add(1)
		}
		h.ServeHTTP(w, r)
	})
}

func bookServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "books", Version: "1"}, nil)
	schema := json.RawMessage(`{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}`)
	server.AddTool(&mcp.Tool{Name: "get_book", Description: "Returns one book.", InputSchema: schema}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		var book struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(r.Params.Arguments, &book); err != nil {
			return nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: book.ID + ": " + filler}}}, nil
	})
	return server
}
