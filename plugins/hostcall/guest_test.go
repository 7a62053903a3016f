package hostcall

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/egress"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// build makes the guest of testdata with the SDK, as an author does.
func build(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = filepath.Join("testdata", "guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0", "GOWORK=off")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, said)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// A plugin written with the SDK reaches everything that was granted, through the
// sandbox, this package and the real egress.
func TestGoGuest(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			rw.Header().Set("X-Answer", "large")
			fmt.Fprint(rw, strings.Repeat("x", 1<<20))
			return
		}
		b, _ := io.ReadAll(r.Body)
		rw.Header().Set("X-Answer", r.Header.Get("X-Key"))
		fmt.Fprint(rw, r.Host, " got ", string(b), " and ", r.Header.Get("X-A"))
	})
	e := egress.New(egress.Options{Allow: []netip.Prefix{loopback}, Resolver: names{}})
	defer e.Close()
	d, g := &diary{}, &gauges{got: map[string]float64{}}
	h := newHost(t, Options{
		Granted: manifest.Capabilities{
			HTTP: []manifest.HTTP{{Host: "api.example", Scheme: "http", Inject: &manifest.Inject{Header: "X-Key", Secret: "hidden"}}},
			KV:   &manifest.KV{Namespace: "n"}, Secrets: []string{"mine"}, Progress: true, CallTool: []string{"books.*"},
		},
		Config: json.RawMessage(`{"units":"metric"}`), Secrets: map[string]core.Secret{"mine": "own-secret", "hidden": "injected-secret"},
		Dial: e, Observer: g,
	})
	p, err := sandbox.Load(t.Context(), build(t), sandbox.Options{
		Name: "test", Grant: h.Grant(), Host: h, Log: slog.New(d), CacheDir: filepath.Join(t.TempDir(), "cache"), Config: []byte(`{"units":"metric"}`),
		Limits: sandbox.Limits{Compile: 5 * time.Minute, Start: 10 * time.Second}, // a busy machine, with the race detector
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	in := &inside{run: func(c *core.Call) (*core.Result, error) { return core.TextResult("found " + string(c.Arguments)), nil }}
	var told []string
	call := &core.Call{
		Server: "shop", Tool: "try", Inside: in, Progress: true,
		Notify: func(n core.Notification) { told = append(told, string(n.Params)) },
	}
	base := "http://api.example:" + strconv.Itoa(w.port)
	said := fmt.Sprintf("api.example:%d got from the guest and b", w.port)
	tests := []struct{ do, url, want string }{
		{"http", base + "/a", fmt.Sprintf("200 injected-secret %d %s", len(said), said)},
		{"http", base + "/large", "200 large 1048576 " + strings.Repeat("x", 80)},
		{"kv", "", "true true 2000 true 1a<nil> true"},
		{"secret", "", "own-secret <nil> true"},
		{"rest", "", "metric <nil>"},
		{"call", "", `found {"id":7}`},
		{"denied", "", "true"},
	}
	for _, tt := range tests {
		arguments := fmt.Appendf(nil, `{"do":%q,"url":%q}`, tt.do, tt.url)
		a, err := p.Call(t.Context(), abi.ToolCall, []abi.Pair{{Key: abi.MetaTool, Value: "try"}}, arguments, sandbox.Budget{
			Wall: time.Minute, CPU: 10 * time.Second, CallID: sandbox.CallID{Prefix: "c-7"}, Call: call,
		})
		if err != nil || a.Status != abi.OK || string(a.Payload) != tt.want {
			t.Errorf("%s: %v %q %v, want %q", tt.do, a.Status, a.Payload, err, tt.want)
		}
	}
	for w.asked() != "nothing" {
	}
	evil := fmt.Appendf(nil, `{"do":"http","url":"http://evil.example:%d/"}`, w.port)
	a, err := p.Call(t.Context(), abi.ToolCall, []abi.Pair{{Key: abi.MetaTool, Value: "try"}}, evil, sandbox.InvokerBudget)
	if err == nil && a.Status == abi.OK {
		t.Errorf("a host that was not granted answers %q", a.Payload)
	}
	if got := w.asked(); got != "nothing" {
		t.Errorf("a host that was not granted was asked %s", got)
	}
	if text := d.text(); !strings.Contains(text, "said by the guest in two lines") || !strings.Contains(text, "origin=http://evil.example") || strings.Contains(text, "-secret") {
		t.Errorf("log:\n%s", text)
	}
	if g.got["test calls 0"] != 2 {
		t.Errorf("metrics: %v", g.got)
	}
	if len(told) != 1 || told[0] != `{"progress":1,"total":2,"message":"half way"}` {
		t.Errorf("progress: %q", told)
	}
}

// A guest that was granted nothing does not load when it wants something.
func TestUngranted(t *testing.T) {
	h := newHost(t, Options{})
	_, err := sandbox.Load(t.Context(), guests.KVOnce(), sandbox.Options{Name: "test", Grant: h.Grant(), Host: h, InProcess: true})
	if err == nil || !strings.Contains(err.Error(), `"kv" is not granted`) {
		t.Errorf("%v", err)
	}
	granted := newHost(t, kept("n", 0, nil))
	p, err := sandbox.Load(t.Context(), guests.KVOnce(), sandbox.Options{Name: "test", Grant: granted.Grant(), Host: granted, InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
