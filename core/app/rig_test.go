package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/store/storetest"
)

// operatorToken is the static token of the gateways of these tests.
const operatorToken = "operator-token-of-tests-0123456789"

// house is a whole gateway in this process, reached as clients reach it.
type house struct {
	t      *testing.T
	origin string
	data   string
	out    *lines
	log    *lines
	stop   func() int
	client *http.Client
}

// lines is what a gateway prints.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve starts a gateway with a document, and flags beside the usual ones. It ends with
// the test.
func serve(t *testing.T, document string, flags ...string) *house {
	t.Helper()
	return serveIn(t, t.TempDir(), document, flags...)
}

func serveIn(t *testing.T, data, document string, flags ...string) *house {
	t.Helper()
	args := usual(data)
	if os.Getenv("SALLYPORT_TEST_STORE") == "postgres" && !slices.Contains(flags, "--store-url") {
		args = append(args, "--store-url", storetest.Postgres(t, os.Getenv, "t"+strings.ToLower(rand.Text())))
	}
	if document != "" {
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	r := &house{t: t, data: data, out: &lines{}, log: &lines{}, client: newClient()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- Main(ctx, append(args, flags...), r.out, r.log) }()
	var once sync.Once
	code := 0
	r.stop = func() int {
		once.Do(func() {
			cancel()
			select {
			case code = <-ended:
			case <-time.After(30 * time.Second):
				t.Error("the gateway does not end")
			}
			r.client.CloseIdleConnections()
		})
		return code
	}
	t.Cleanup(func() { r.stop() })
	for range 400 {
		if _, after, found := strings.Cut(r.out.String(), "listening on "); found && strings.Contains(after, "\n") {
			r.origin, _, _ = strings.Cut(after, "\n")
			return r
		}
		select {
		case code = <-ended:
			ended <- code
			t.Fatalf("the gateway ended with %d:\n%s%s", code, r.out, r.log)
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatalf("the gateway does not listen:\n%s%s", r.out, r.log)
	return nil
}

// usual are the arguments of every gateway of these tests.
func usual(data string) []string {
	return []string{
		"serve", "--data", data, "--listen", "127.0.0.1:0", "--drain-lag", "0s", "--drain-hard-stop", "5s",
		"--admin-token", operatorToken, "--egress-allow", "127.0.0.1/32", "--store-poll", "200ms", "--access-calls-per-second", "0",
	}
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
}

// reply is what a gateway answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request.
func (r *house) send(method, path, token string, body any, header ...string) reply {
	r.t.Helper()
	var reader io.Reader
	if text, ok := body.(string); ok {
		reader = strings.NewReader(text)
	} else if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, r.origin+path, reader)
	if err != nil {
		r.t.Fatal(err)
	}
	if reader != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		return reply{body: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{body: err.Error()}
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

// rpc sends one message of 2026-07-28.
func (r *house) rpc(path, token, method, name string, params map[string]any) reply {
	r.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{}}
	header := []string{"Accept", "application/json, text/event-stream", "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method}
	if name != "" {
		header = append(header, "Mcp-Name", name)
	}
	return r.send("POST", path, token, map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, header...)
}

// tool calls a tool.
func (r *house) tool(path, token, name string, arguments map[string]any) reply {
	r.t.Helper()
	if arguments == nil {
		arguments = map[string]any{}
	}
	return r.rpc(path, token, "tools/call", name, map[string]any{"name": name, "arguments": arguments})
}

// admin sends a request to the admin API as the operator, and fails the test when that
// refuses it.
func (r *house) admin(method, path string, body any, header ...string) map[string]any {
	r.t.Helper()
	got := r.send(method, "/api/v1"+path, operatorToken, body, header...)
	if got.status >= 300 {
		r.t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	into := map[string]any{}
	if got.body != "" {
		if err := json.Unmarshal([]byte(got.body), &into); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, got.body)
		}
	}
	return into
}

// program makes a service user with roles, and returns its token.
func (r *house) program(tenant, name string, roles []string, scopes ...string) string {
	r.t.Helper()
	query := "?tenant=" + tenant
	user := r.admin("POST", "/users"+query, map[string]any{"name": name, "service": true, "roles": append([]string{}, roles...)})
	minted := r.admin("POST", "/tokens"+query, map[string]any{"user": user["id"], "name": "test", "scopes": append([]string{}, scopes...)})
	return fmt.Sprint(minted["token"])
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 400 {
		if f() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("it does not come to be: %s", what)
}
