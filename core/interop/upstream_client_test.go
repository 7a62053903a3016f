package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// asDriver is the first argument that makes the program of the tests a client for the
// suites: the gateway, and a client of the Go SDK in front of it. The program of the gateway
// and the URL of the suite's server follow.
const asDriver = "be-a-client"

// scenario is a part of the client suites, and what the client in front of the gateway does
// in it. What the gateway sends to the suite's server meanwhile is judged.
type scenario struct {
	name, revision string
	act            func(ctx context.Context, s *mcp.ClientSession, given gift) error
}

// gift is what the suite gives to clients.
type gift struct {
	ToolCalls []struct {
		Name      string
		Arguments map[string]any
	} `json:"toolCalls"`
}

var scenarios = []scenario{
	{"initialize", "2025-11-25", listing},
	{"tools_call", "2025-11-25", calling("add_numbers", map[string]any{"a": 5, "b": 3})},
	{"elicitation-sep1034-client-defaults", "2025-11-25", calling("test_client_elicitation_defaults", nil)},
	{"sse-retry", "2025-11-25", calling("test_reconnection", nil)},
	{"tools_call", "2026-07-28", calling("add_numbers", map[string]any{"a": 5, "b": 3})},
	{"request-metadata", "2026-07-28", listing},
	{"json-schema-ref-no-deref", "2026-07-28", listing},
	{"json-schema-2020-12-preservation", "2026-07-28", preserving},
	{"sep-2322-client-request-state", "2026-07-28", answering},
	{"http-standard-headers", "2026-07-28", everyVerb},
	{"http-custom-headers", "2026-07-28", given},
	{"http-invalid-tool-headers", "2026-07-28", callAll},
}

// TestUpstreamClientConformance lets the client suite judge what the gateway sends to its
// upstreams. Of the scenarios for authorization it has none: those stand with what they need.
func TestUpstreamClientConformance(t *testing.T) {
	node(t)
	conformanceServer.url(t)
	exe := must(os.Executable())
	for _, s := range scenarios {
		t.Run(s.revision+" "+s.name, func(t *testing.T) {
			results := t.TempDir()
			stdout, stderr, err := run(t, 2*time.Minute, conformance02, "client", "--command", strings.Join([]string{exe, asDriver, conformanceServer.binary}, " "),
				"--scenario", s.name, "--spec-version", s.revision, "--timeout", "60000", "-o", results)
			counts := regexp.MustCompile(`Passed: (\d+)/(\d+), (\d+) failed, (\d+) warnings`).FindStringSubmatch(stdout + stderr)
			if err != nil || counts == nil || counts[1] == "0" || counts[3] != "0" || counts[4] != "0" {
				t.Errorf("%v: %v\n%s\n%s\n%s", counts, err, ending(stdout), ending(stderr), checks(t, results))
			}
		})
	}
}

// checks reads the checks that a suite wrote down.
func checks(t *testing.T, folder string) string {
	t.Helper()
	var all []string
	_ = filepath.WalkDir(folder, func(path string, _ os.DirEntry, _ error) error {
		if filepath.Base(path) == "checks.json" {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			all = append(all, ending(string(text)))
		}
		return nil
	})
	return strings.Join(all, "\n")
}

// drive plays the scenario that the environment names.
func drive(binary, url string) int {
	if err := driven(binary, url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func driven(binary, url string) (wrong error) {
	name, revision := os.Getenv("MCP_CONFORMANCE_SCENARIO"), os.Getenv("MCP_CONFORMANCE_PROTOCOL_VERSION")
	var act func(context.Context, *mcp.ClientSession, gift) error
	for _, s := range scenarios {
		if s.name == name && (act == nil || s.revision == revision) {
			act = s.act
			if revision == "" {
				revision = s.revision
			}
		}
	}
	if act == nil {
		return fmt.Errorf("there is no scenario %q", name)
	}
	var g gift
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &g); err != nil {
			return fmt.Errorf("read context: %w", err)
		}
	}
	folder, err := os.MkdirTemp("", "sallyport-driver-*")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(folder)
	document := filepath.Join(folder, "gateway.json")
	if err := os.WriteFile(document, must(json.Marshal(map[string]any{"upstreams": []any{map[string]any{"name": "suite", "url": url}}})), 0o600); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	p := &program{name: "sallyport serve", binary: binary, args: func(address string) []string {
		return []string{
			"serve", "--config", document, "--listen", address, "--data", "", "--egress-allow", "127.0.0.1/32", "--egress-allow", "::1/128",
			"--access-callers", "open", "--log-level", "info", "--drain-lag", "0s",
		}
	}}
	if err := p.start(); err != nil {
		return fmt.Errorf("%w\n%s", err, p.output.String())
	}
	defer func() {
		wrong = errors.Join(wrong, p.stop())
		if os.Getenv("SALLYPORT_DRIVER_LOG") != "" {
			fmt.Fprintln(os.Stderr, p.output.String())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	able := strings.Contains(name, "elicitation") || strings.Contains(name, "sep-2322")
	return session(ctx, "http://"+p.address+"/suite/mcp", revision, able, func(s *mcp.ClientSession) error { return act(ctx, s, g) })
}

// session is a client of the Go SDK that accepts every form as it is.
func session(ctx context.Context, url, revision string, able bool, act func(*mcp.ClientSession) error) error {
	o := &mcp.ClientOptions{
		Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{}},
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			content := map[string]any{}
			if strings.Contains(string(must(json.Marshal(r.Params.RequestedSchema))), "confirmed") {
				content["confirmed"] = true
			}
			return &mcp.ElicitResult{Action: "accept", Content: content}, nil
		},
	}
	if !able {
		o = &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "driver", Version: "1"}, o)
	s, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: &http.Transport{}}}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer s.Close()
	return act(s)
}

// listing asks for tools, which some servers of the suite do not have.
func listing(ctx context.Context, s *mcp.ClientSession, _ gift) error {
	if _, err := s.ListTools(ctx, nil); code(err) != 0 && code(err) != jsonrpc.CodeMethodNotFound {
		return err
	}
	return nil
}

func calling(tool string, args map[string]any) func(context.Context, *mcp.ClientSession, gift) error {
	return func(ctx context.Context, s *mcp.ClientSession, _ gift) error {
		if args == nil {
			args = map[string]any{}
		}
		result, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
		if err != nil {
			return fmt.Errorf("call %s: %w", tool, err)
		}
		if result.IsError {
			return fmt.Errorf("call %s: %s", tool, show(result))
		}
		return nil
	}
}

// preserving sends a schema back as it came.
func preserving(ctx context.Context, s *mcp.ClientSession, _ gift) error {
	for tool, err := range s.Tools(ctx, nil) {
		if err != nil {
			return err
		}
		if tool.Name == "json_schema_2020_12_tool" {
			return calling("json_schema_echo", map[string]any{"schema": tool.InputSchema})(ctx, s, gift{})
		}
	}
	return errors.New("the tool is not listed")
}

// answering calls tools that ask; one of them lies about its result, and must fail.
func answering(ctx context.Context, s *mcp.ClientSession, _ gift) error {
	for _, name := range []string{"test_mrtr_echo_state", "test_mrtr_no_state", "test_mrtr_unrelated", "test_mrtr_no_result_type"} {
		if err := calling(name, nil)(ctx, s, gift{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return nil
}

func everyVerb(ctx context.Context, s *mcp.ClientSession, _ gift) error {
	tools, err := s.ListTools(ctx, nil)
	if err != nil || len(tools.Tools) == 0 {
		return fmt.Errorf("list tools: %w", err)
	}
	_, err = s.CallTool(ctx, &mcp.CallToolParams{Name: tools.Tools[0].Name, Arguments: map[string]any{}})
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	resources, err := s.ListResources(ctx, nil)
	if err != nil || len(resources.Resources) == 0 {
		return fmt.Errorf("list resources: %w", err)
	}
	if _, err := s.ReadResource(ctx, &mcp.ReadResourceParams{URI: resources.Resources[0].URI}); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	prompts, err := s.ListPrompts(ctx, nil)
	if err != nil || len(prompts.Prompts) == 0 {
		return fmt.Errorf("list prompts: %w", err)
	}
	_, err = s.GetPrompt(ctx, &mcp.GetPromptParams{Name: prompts.Prompts[0].Name})
	return err
}

// given makes the calls that the suite wants.
func given(ctx context.Context, s *mcp.ClientSession, g gift) error {
	if _, err := s.ListTools(ctx, nil); err != nil {
		return err
	}
	var wrong error
	for _, call := range g.ToolCalls {
		wrong = errors.Join(wrong, calling(call.Name, call.Arguments)(ctx, s, g))
	}
	return wrong
}

func callAll(ctx context.Context, s *mcp.ClientSession, _ gift) error {
	for tool, err := range s.Tools(ctx, nil) {
		if err != nil {
			return err
		}
		if err := calling(tool.Name, map[string]any{"region": "us-west1"})(ctx, s, gift{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return nil
}
