package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// shelf is a server of the Go SDK with a tool for each thing that a client and a server
// can do together. What it saw it tells by marks, files in a folder, so that it may run in
// this process or be a process of its own.
type shelf struct {
	marks string
	*mcp.Server
}

// nonce is what every tool is given; what comes back must have it.
type nonce struct {
	Nonce string `json:"nonce"`
}

const bookURI = "book://one"

// newShelf makes one that speaks one revision, or all of them.
func newShelf(marks string, revisions ...string) *shelf {
	nothing := func(context.Context, *mcp.SubscribeRequest) error { return nil }
	s := &shelf{marks: marks, Server: mcp.NewServer(&mcp.Implementation{Name: "shelf", Version: "1"}, &mcp.ServerOptions{
		SupportedProtocolVersions: revisions,
		SubscribeHandler:          nothing,
		UnsubscribeHandler:        func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})}
	s.tool("echo", func(_ context.Context, _ *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{
			Content:           []mcp.Content{&mcp.TextContent{Text: n}},
			StructuredContent: map[string]any{"nonce": n},
		}, nil
	})
	s.tool("fail", func(_ context.Context, _ *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
		return nil, errors.New("lost is " + n)
	})
	s.tool("step", stepping)
	s.tool("hang", s.hang)
	s.tool("log", func(ctx context.Context, r *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
		for _, level := range []mcp.LoggingLevel{"debug", "warning"} { //nolint:staticcheck // clients and servers have it for years
			_ = r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: level, Logger: "shelf", Data: n}) //nolint:staticcheck // the same
		}
		return text(n), nil
	})
	s.tool("grow", func(_ context.Context, _ *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
		s.AddTool(&mcp.Tool{Name: "grown-" + n, InputSchema: map[string]any{"type": "object"}}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return text("grown"), nil
		})
		return text(n), nil
	})
	s.tool("touch", func(ctx context.Context, _ *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
		return text(n), s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: bookURI})
	})
	s.tool("elicit", asking(func(n string) mcp.InputRequest {
		return &mcp.ElicitParams{Message: n, RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{"said": map[string]any{"type": "string"}}}}
	}))
	s.tool("sample", asking(func(n string) mcp.InputRequest {
		return &mcp.CreateMessageParams{MaxTokens: 5, Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: n}}}} //nolint:staticcheck // the same
	}))
	s.tool("roots", asking(func(string) mcp.InputRequest { return &mcp.ListRootsParams{} })) //nolint:staticcheck // the same
	s.AddResource(&mcp.Resource{Name: "one", URI: bookURI}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "once"}}}, nil
	})
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "any", URITemplate: "book://any/{id}"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return nil, mcp.ResourceNotFoundError(r.Params.URI)
	})
	return s
}

// tool adds a tool, which leaves a mark for each call of it.
func (s *shelf) tool(name string, run func(ctx context.Context, r *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error)) {
	mcp.AddTool(s.Server, &mcp.Tool{Name: name, Description: "The tool " + name + " of the shelf."},
		func(ctx context.Context, r *mcp.CallToolRequest, in nonce) (*mcp.CallToolResult, any, error) {
			if r.Params.InputResponses == nil {
				s.mark(name, in.Nonce)
			}
			result, err := run(ctx, r, in.Nonce)
			return result, nil, err
		})
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}

func (s *shelf) mark(what, n string) {
	if s.marks == "" {
		return
	}
	f, err := os.OpenFile(markOf(s.marks, what, n), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // the folder is gone, and so is the test
	}
	_, _ = f.WriteString(".")
	_ = f.Close()
}

func markOf(folder, what, n string) string { return filepath.Join(folder, what+"-"+n) }

// marked counts the marks.
func marked(folder, what, n string) int {
	info, err := os.Stat(markOf(folder, what, n))
	if err != nil {
		return 0
	}
	return int(info.Size())
}

func (s *shelf) hang(ctx context.Context, _ *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
	<-ctx.Done()
	s.mark("cancelled", n)
	return nil, ctx.Err()
}

// stepping reports three steps to who wants to know.
func stepping(ctx context.Context, r *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
	if token := r.Params.GetProgressToken(); token != nil {
		for i := range 3 {
			_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(i + 1), Total: 3, Message: n})
		}
	}
	return text(n), nil
}

// asking returns a question, and with the answer to it that. The SDK asks clients of older
// revisions by itself.
func asking(question func(n string) mcp.InputRequest) func(context.Context, *mcp.CallToolRequest, string) (*mcp.CallToolResult, error) {
	return func(_ context.Context, r *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
		switch answer := r.Params.InputResponses["q"].(type) {
		case *mcp.ElicitResult:
			return text(fmt.Sprint(answer.Action, " ", answer.Content["said"], " to ", n)), nil
		case *mcp.CreateMessageResult: //nolint:staticcheck // clients and servers have it for years
			b, err := json.Marshal(answer.Content)
			return text(string(b) + " to " + n), err
		case *mcp.CreateMessageWithToolsResult: //nolint:staticcheck // the same
			b, err := json.Marshal(answer.Content)
			return text(string(b) + " to " + n), err
		case *mcp.ListRootsResult: //nolint:staticcheck // the same
			if len(answer.Roots) == 0 {
				return text("no roots"), nil
			}
			return text(answer.Roots[0].URI + " to " + n), nil
		}
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"q": question(n)}, RequestState: "state of " + n}, nil
	}
}

// asShelf is the first argument that makes the program of the tests a shelf on standard
// input and output; a revision, or "" for all, and a folder for marks follow.
const asShelf = "be-a-shelf"

func serveShelf(args []string) int {
	var revisions []string
	if args[0] != "" {
		revisions = args[:1]
	}
	s := newShelf(args[1], revisions...)
	s.tool("pid", func(context.Context, *mcp.CallToolRequest, string) (*mcp.CallToolResult, error) {
		return text(strconv.Itoa(os.Getpid())), nil
	})
	s.tool("wait", func(_ context.Context, _ *mcp.CallToolRequest, n string) (*mcp.CallToolResult, error) {
		time.Sleep(200 * time.Millisecond)
		return text(n), nil
	})
	if err := s.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		return 1
	}
	return 0
}
