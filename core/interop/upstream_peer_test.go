package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// answer is what came for a request.
type answer struct {
	ID     json.RawMessage
	Method string
	Result json.RawMessage
	Error  *fault
}

// fault is an error of JSON-RPC.
type fault struct {
	Code    int
	Message string
	Data    json.RawMessage
}

func (f *fault) Error() string { return fmt.Sprintf("error %d: %s", f.Code, f.Message) }

// speaker is a client as plain as one can be: it sends what it is told to and understands
// nothing. Without a session it speaks 2026-07-28, as a client that can do nothing.
type speaker struct {
	http         *http.Client
	url, session string
}

// open begins a session of 2025-11-25.
func (s *speaker) open(ctx context.Context) error {
	response, err := s.post(ctx, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"plain","version":"1"}}}`, http.Header{})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if s.session = response.Header.Get("Mcp-Session-Id"); s.session == "" {
		return fmt.Errorf("status %d and no session", response.StatusCode)
	}
	told, err := s.post(ctx, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, s.legacy())
	if err != nil {
		return err
	}
	return told.Body.Close()
}

func (s *speaker) legacy() http.Header {
	return http.Header{"Mcp-Session-Id": {s.session}, "Mcp-Protocol-Version": {"2025-11-25"}}
}

// call makes a request and reads its answer. Its params are changed.
func (s *speaker) call(ctx context.Context, id int, method string, params map[string]any) (*answer, error) {
	header := s.legacy()
	if params == nil {
		params = map[string]any{}
	}
	if s.session == "" {
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{}}
		header = http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method}}
		if name, ok := params["name"].(string); ok {
			header.Set("Mcp-Name", name)
		}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	response, err := s.post(ctx, string(body), header)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return inStream(string(text))
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	return &a, nil
}

// tool calls a tool with a nonce and returns the texts of its result.
func (s *speaker) tool(ctx context.Context, id int, name, n string) (string, error) {
	a, err := s.call(ctx, id, "tools/call", map[string]any{"name": name, "arguments": nonce{n}})
	if err != nil {
		return "", err
	}
	if a.Error != nil {
		return "", a.Error
	}
	if string(a.ID) != fmt.Sprint(id) {
		return "", fmt.Errorf("the answer is for %s", a.ID)
	}
	var result struct {
		Content []struct{ Text string }
		IsError bool
	}
	if err := json.Unmarshal(a.Result, &result); err != nil {
		return "", fmt.Errorf("read result: %w", err)
	}
	var texts []string
	for _, block := range result.Content {
		texts = append(texts, block.Text)
	}
	got := strings.Join(texts, "\n")
	if result.IsError {
		return "", fmt.Errorf("isError: %s", got)
	}
	return got, nil
}

func (s *speaker) post(ctx context.Context, body string, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	response, err := s.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	return response, nil
}

// inStream finds the answer in a stream of events.
func inStream(stream string) (*answer, error) {
	for line := range strings.SplitSeq(stream, "\n") {
		var a answer
		if data, found := strings.CutPrefix(line, "data:"); found && json.Unmarshal([]byte(data), &a) == nil && a.Method == "" && len(a.ID) > 0 {
			return &a, nil
		}
	}
	return nil, fmt.Errorf("the stream has no answer: %s", ending(stream))
}
