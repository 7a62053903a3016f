package interop

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// everythingGo is the server for conformance suites of the Go SDK.
const everythingGo = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"

// serve starts a gateway with a document, which may be JSON, and returns its address as a
// URL. It ends with the test.
func serve(t *testing.T, document string, flags ...string) string {
	t.Helper()
	conformanceServer.url(t) // that builds it, once for all tests
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return launch(t, &program{name: "sallyport serve", binary: conformanceServer.binary, args: func(address string) []string {
		return append([]string{
			"serve", "--config", path, "--listen", address, "--data", "", "--egress-allow", "127.0.0.1/32", "--access-callers", "open",
			"--access-calls-per-second", "0", "--log-level", "warn", "--drain-lag", "0s", "--drain-hard-stop", "5s",
		}, flags...)
	}})
}

// launch starts a program for one test.
func launch(t *testing.T, p *program) string {
	t.Helper()
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, ending(p.output.String()))
		}
	})
	return p.url(t)
}

// upstreams writes a document that has nothing but upstreams.
func upstreams(t *testing.T, list ...map[string]any) string {
	t.Helper()
	return encode(t, map[string]any{"upstreams": list})
}

// everythingInGo starts the server of the Go SDK: with sessions, or of 2026-07-28.
func everythingInGo(t *testing.T, sessions bool) string {
	t.Helper()
	return launch(t, &program{name: "everything server in Go", pack: everythingGo, foreign: true, plain: true, args: func(address string) []string {
		return []string{"-http", address, "-stateless=" + string(must(json.Marshal(!sessions)))}
	}})
}

// everythingInTypeScript starts node/server.mjs, which speaks all of it.
func everythingInTypeScript(t *testing.T) string {
	t.Helper()
	binary, folder := node(t)
	return launch(t, &program{name: "everything server in TypeScript", binary: binary, foreign: true, args: func(address string) []string {
		return []string{filepath.Join(folder, "server.mjs"), address}
	}})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// reached waits until a server of the gateway offers something, which is when its
// upstreams were reached.
func reached(t *testing.T, origin string, names ...string) {
	t.Helper()
	for deadline := time.Now().Add(startTime); len(names) > 0; time.Sleep(20 * time.Millisecond) {
		names = slices.DeleteFunc(names, func(name string) bool {
			s := &speaker{http: http.DefaultClient, url: origin + "/" + name + "/mcp"}
			a, err := s.call(t.Context(), 1, "tools/list", nil)
			return err == nil && hasTools(a.Result)
		})
		if time.Now().After(deadline) {
			t.Fatalf("upstreams %q were not reached within %v", names, startTime)
		}
	}
}

func hasTools(result json.RawMessage) bool {
	var list struct{ Tools []json.RawMessage }
	return json.Unmarshal(result, &list) == nil && len(list.Tools) > 0
}
