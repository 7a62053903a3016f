package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func TestGoSDKStreamable(t *testing.T) {
	for _, revision := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"} {
		t.Run(revision, func(t *testing.T) {
			base := quickstart.url(t) + readScript(t).Endpoint
			goSDK(t, &mcp.StreamableClientTransport{Endpoint: base + "/mcp", HTTPClient: ownHTTP(t)}, revision)
		})
	}
}

func TestGoSDKModern(t *testing.T) {
	base := quickstart.url(t) + readScript(t).Endpoint
	goSDK(t, &mcp.StreamableClientTransport{Endpoint: base + "/mcp", HTTPClient: ownHTTP(t)}, "2026-07-28")
}

func TestGoSDKSSE(t *testing.T) {
	base := quickstart.url(t) + readScript(t).Endpoint
	goSDK(t, &mcp.SSEClientTransport{Endpoint: base + "/sse", HTTPClient: ownHTTP(t)}, "2024-11-05")
}

// ownHTTP gives a client connections of its own, so that one test's do not serve
// another.
func ownHTTP(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// goSDK lists and calls everything with the official Go client.
func goSDK(t *testing.T, transport mcp.Transport, revision string) {
	t.Helper()
	s := readScript(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "interop", Version: "1"}, nil)
	session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Run("connect", func(t *testing.T) {
		got := session.InitializeResult()
		if got.ProtocolVersion != revision {
			t.Errorf("revision %q was agreed on, not %q", got.ProtocolVersion, revision)
		}
		if got.ServerInfo == nil || got.ServerInfo.Name != s.Server {
			t.Errorf("serverInfo %+v, want name %q", got.ServerInfo, s.Server)
		}
		if got.Instructions == "" {
			t.Error("no instructions")
		}
	})

	t.Run("tools/list", func(t *testing.T) {
		var listed, wanted []string
		for tool, err := range session.Tools(ctx, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if tool.Description == "" || tool.InputSchema == nil {
				t.Errorf("%s lacks a description or a schema", tool.Name)
			}
			listed = append(listed, tool.Name)
		}
		for _, c := range s.Tools {
			wanted = append(wanted, c.Name)
		}
		sameSet(t, listed, wanted)
	})
	order := ""
	for _, c := range s.Tools {
		args := c.filled(order)
		t.Run("tools/call "+c.Name+" "+encode(t, args), func(t *testing.T) {
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: c.Name, Arguments: args})
			if c.Invalid && revision < "2025-11-25" {
				var fault *jsonrpc.Error
				if !errors.As(err, &fault) || fault.Code != jsonrpc.CodeInvalidParams {
					t.Fatalf("got %v, want a JSON-RPC error with code %d", err, jsonrpc.CodeInvalidParams)
				}
				holds(t, fault.Message, c.Contains)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text := encode(t, result)
			if result.IsError != c.Error {
				t.Errorf("isError = %v: %s", result.IsError, ending(text))
			}
			if c.Content != nil {
				var blocks []struct{ Type string }
				decode(t, encode(t, result.Content), &blocks)
				var types []string
				for _, b := range blocks {
					types = append(types, b.Type)
				}
				if want := revisionTypes(c.Content, revision); !slices.Equal(types, want) {
					t.Errorf("content of types %q, want %q", types, want)
				}
			}
			if c.Structured && revision >= "2025-06-18" && result.StructuredContent == nil {
				t.Error("no structuredContent")
			}
			if !slices.Contains(c.Content, "audio") || revision >= "2025-03-26" {
				holds(t, text, c.Contains)
			}
			if c.Save {
				order = orderID.FindString(text)
			}
		})
	}

	t.Run("prompts/list", func(t *testing.T) {
		var listed, wanted []string
		for prompt, err := range session.Prompts(ctx, nil) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, prompt.Name)
		}
		for _, p := range s.Prompts {
			wanted = append(wanted, p.Name)
		}
		sameSet(t, listed, wanted)
	})
	for _, p := range s.Prompts {
		t.Run("prompts/get "+p.Name, func(t *testing.T) {
			result, err := session.GetPrompt(ctx, &mcp.GetPromptParams{Name: p.Name, Arguments: p.Arguments})
			if err != nil {
				t.Fatal(err)
			}
			holds(t, encode(t, result), p.Contains)
		})
	}

	t.Run("resources/list", func(t *testing.T) {
		var listed, wanted []string
		for resource, err := range session.Resources(ctx, nil) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, resource.URI)
		}
		for _, r := range s.Resources {
			wanted = append(wanted, r.URI)
		}
		sameSet(t, listed, wanted)
	})
	t.Run("resources/templates/list", func(t *testing.T) {
		var listed, wanted []string
		for template, err := range session.ResourceTemplates(ctx, nil) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, template.URITemplate)
		}
		for _, r := range s.Templates {
			wanted = append(wanted, r.URITemplate)
		}
		sameSet(t, listed, wanted)
	})
	for _, r := range slices.Concat(s.Resources, s.Templates) {
		t.Run("resources/read "+r.URI, func(t *testing.T) {
			result, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: r.URI})
			if err != nil {
				t.Fatal(err)
			}
			holds(t, encode(t, result), r.Contains)
		})
	}
	for _, c := range s.Completions {
		t.Run("completion/complete "+c.Prompt+c.Template, func(t *testing.T) {
			ref := &mcp.CompleteReference{Type: "ref/prompt", Name: c.Prompt}
			if c.Template != "" {
				ref = &mcp.CompleteReference{Type: "ref/resource", URI: c.Template}
			}
			result, err := session.Complete(ctx, &mcp.CompleteParams{
				Ref:      ref,
				Argument: mcp.CompleteParamsArgument{Name: c.Argument, Value: c.Value},
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(result.Completion.Values, c.Values) {
				t.Errorf("values %q, want %q", result.Completion.Values, c.Values)
			}
		})
	}
	t.Run("close", func(t *testing.T) {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
}

// revisionTypes is what a revision can say of blocks: audio came with 2025-03-26.
func revisionTypes(types []string, revision string) []string {
	if revision >= "2025-03-26" || !slices.Contains(types, "audio") {
		return types
	}
	return []string{"text"}
}

// sameSet fails unless what is listed and what the script calls are the same: a tool
// that nobody calls is a tool that nobody tried.
func sameSet(t *testing.T, listed, wanted []string) {
	t.Helper()
	slices.Sort(listed)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	if !slices.Equal(listed, wanted) {
		t.Errorf("listed %q, testdata/quickstart.json has %q", listed, wanted)
	}
}

func holds(t *testing.T, text string, parts []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the result lacks %q:\n%s", part, ending(text))
		}
	}
}

// encode writes JSON without escapes for HTML.
func encode(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}
