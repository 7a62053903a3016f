package interop

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/guests"
)

const pluginToken = "only-for-this-test-0123456789"

// pluginFolder writes a gateway document whose one tool is a plugin, and the plugin.
func pluginFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	files := map[string]string{
		"gateway.yaml": `plugins:
  - name: echo
    source: echo.wasm
servers:
  - name: demo
    tools:
      - name: echo
        invoker: {kind: wasm, config: {plugin: echo}}
`,
		"plugin.yaml": `apiVersion: sallyport/v1
name: test/echo
version: 1.0.0
abi: sallyport/1
kinds: [invoker]
tools: [{name: echo}]
`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	swapPlugin(t, folder, 0)
	return folder
}

// swapPlugin puts another version of the plugin in the place of the one that is there,
// as a deployment does: whole or not at all.
func swapPlugin(t *testing.T, folder string, version int) {
	t.Helper()
	// A custom section makes it another file that does the same.
	body := append([]byte{byte(len("v"))}, "v"+strconv.Itoa(version)...)
	module := append(guests.Echo(), 0)
	module = append(binary.AppendUvarint(module, uint64(len(body))), body...)
	next := filepath.Join(folder, "next")
	if err := os.WriteFile(next, module, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(folder, "echo.wasm")); err != nil {
		t.Fatal(err)
	}
}

// A plugin is replaced 200 times while clients call it: every call is answered, each
// version runs, and the memory of the process stays.
func TestPluginReloads(t *testing.T) {
	const reloads = 200
	folder := pluginFolder(t)
	admin, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	gateway := &program{name: "sallyport serve", pack: ".", plain: true, args: func(address string) []string {
		return []string{
			"serve", "--config", filepath.Join(folder, "gateway.yaml"), "--listen", address, "--plugins-trust", "off",
			"--admin-listen", admin, "--admin-token", pluginToken, "--log-level", "error",
			"--access-callers", "open", "--data", filepath.Join(folder, "data"),
		}
	}}
	t.Cleanup(func() {
		if err := gateway.stop(); err != nil {
			t.Error(err)
		}
	})
	endpoint := gateway.url(t) + "/demo/mcp"

	stop := make(chan struct{})
	var calls, failed atomic.Int64
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprintf("%d-%d", i, n)
				if answer, err := callEcho(client, endpoint, text); err != nil || !strings.Contains(answer, `"text":"`+text+`"`) || strings.Contains(answer, `"isError":true`) {
					failed.Add(1)
					t.Errorf("call %s: %v %s", text, err, answer)
					return
				}
				calls.Add(1)
			}
		})
	}
	// So many calls fill the caches of the store, which keeps their records: they have their
	// size before anything is measured.
	const warm = 40_000
	for begin := time.Now(); calls.Load() < warm && failed.Load() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 5*time.Minute {
			t.Fatalf("only %d calls in five minutes", calls.Load())
		}
	}
	digests, revisions := map[string]bool{}, map[string]bool{}
	var before, after int64
	for n := 1; n <= reloads; n++ {
		swapPlugin(t, folder, n)
		var done struct{ Revision string }
		if err := json.Unmarshal(askAdmin(t, http.MethodPost, admin, "/api/v1/reload"), &done); err != nil {
			t.Fatal(err)
		}
		revisions[done.Revision] = true
		var state struct{ Digest string }
		if err := json.Unmarshal(askAdmin(t, http.MethodGet, admin, "/api/v1/plugins/echo"), &state); err != nil {
			t.Fatal(err)
		}
		digests[state.Digest] = true
		if n == reloads/4 { // pools, caches and the heap have their size by now
			before = settled(t, gateway.command.Process.Pid)
		}
	}
	after = settled(t, gateway.command.Process.Pid)
	close(stop)
	work.Wait()
	t.Logf("%d reloads, %d calls, %d failed; %d KiB after a quarter, %d KiB at the end", reloads, calls.Load(), failed.Load(), before>>10, after>>10)
	if len(digests) != reloads || len(revisions) != reloads {
		t.Errorf("%d versions ran, in %d revisions, want %d", len(digests), len(revisions), reloads)
	}
	if beside := calls.Load() - warm; beside < reloads {
		t.Errorf("only %d calls were made beside %d reloads", beside, reloads)
	}
	if after > before+before/10 {
		t.Errorf("%d KiB after a quarter, %d KiB at the end: more than a tenth", before>>10, after>>10)
	}

	// A version that is no plugin is refused, and the one before it goes on.
	if err := os.WriteFile(filepath.Join(folder, "echo.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, body := sendAdmin(t, http.MethodPost, admin, "/api/v1/reload")
	if status != http.StatusUnprocessableEntity || !strings.Contains(string(body), "/plugins/0/source") {
		t.Errorf("%d %s", status, body)
	}
	if answer, err := callEcho(http.DefaultClient, endpoint, "still"); err != nil || !strings.Contains(answer, `"text":"still"`) {
		t.Errorf("after a refused reload: %v %s", err, answer)
	}
}

// callEcho calls the tool as a client of 2026-07-28.
func callEcho(client *http.Client, endpoint, text string) (string, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"content":[{"type":"text","text":%q}]},`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`, text)
	request, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "echo",
	} {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return string(answer), err
}

func askAdmin(t *testing.T, method, address, path string) []byte {
	t.Helper()
	status, body := sendAdmin(t, method, address, path)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, status, body)
	}
	return body
}

func sendAdmin(t *testing.T, method, address, path string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+pluginToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// settled returns the least memory that a process has over a second, in bytes: a garbage
// collector's saw-tooth is no leak.
func settled(t *testing.T, pid int) int64 {
	t.Helper()
	least := int64(0)
	for range 20 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
		line, _, _ := bytes.Cut(rest, []byte("kB"))
		kib, err := strconv.ParseInt(strings.TrimSpace(string(line)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if least == 0 || kib<<10 < least {
			least = kib << 10
		}
		time.Sleep(50 * time.Millisecond)
	}
	return least
}
