package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
	"github.com/sallyport/sallyport/plugins/trust"
)

func TestMain(m *testing.M) {
	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// origin is a document in a directory.
type origin string

func (o origin) Name() string                        { return filepath.Join(string(o), "doc.yaml") }
func (o origin) Root() string                        { return string(o) }
func (origin) Position(path string) (int, int, bool) { return 1 + strings.Count(path, "/"), 1, true }

func at(dir string) core.At { return core.At{Source: origin(dir), Path: "/plugins/0"} }
func off() trust.Policy     { return trust.Policy{Level: trust.Off} }
func words(problems []core.Problem) (lines []string) {
	for _, p := range problems {
		sort := "error"
		if p.Warning {
			sort = "warning"
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s; %s", sort, p.Path, p.Message, p.Fix))
	}
	return lines
}

// yaml is a manifest; more are lines behind the ones that every manifest has.
func yaml(kinds string, more ...string) string {
	return "apiVersion: sallyport/v1\nname: acme/test\nversion: 1.0.0\nabi: sallyport/1\nkinds: [" + kinds + "]\n" + strings.Join(more, "\n") + "\n"
}

const oneTool = "tools: [{name: echo, description: Says it again.}]"

// carrying returns the module with its manifest inside.
func carrying(t testing.TB, wasm []byte, text string) []byte {
	t.Helper()
	b, err := manifest.Embed(wasm, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// record keeps log lines.
type record struct {
	mu sync.Mutex
	b  strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// newHost returns a Host that trusts everything, unless changed, and closes with the
// test.
func newHost(t testing.TB, change func(*Options)) *Host {
	t.Helper()
	o := Options{Dir: filepath.Join(t.TempDir(), "plugins"), Trust: off(), InProcess: true, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, h) })
	return h
}

func shut(t testing.TB, h *Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.versions) != 0 || len(h.sets) != 0 {
		t.Errorf("%d versions and %d sets are left", len(h.versions), len(h.sets))
	}
}

// open opens configs that have no mistakes.
func open(t testing.TB, h *Host, configs ...core.PluginConfig) core.PluginSet {
	t.Helper()
	s, problems := h.Open(t.Context(), configs)
	for _, p := range problems {
		if !p.Warning {
			t.Fatalf("%s", strings.Join(words(problems), "\n"))
		}
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// single opens one plugin whose module is wasm.
func single(t testing.TB, h *Host, wasm []byte, change func(*core.PluginConfig)) core.Plugin {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), wasm)
	c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
	if change != nil {
		change(&c)
	}
	p, err := open(t, h, c).Plugin("p")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func echo(t testing.TB) []byte { return carrying(t, guests.Echo(), yaml("invoker", oneTool)) }

func call(arguments string) *core.Call {
	return &core.Call{Server: "shop", Tool: "echo", Arguments: []byte(arguments), Checked: true, Notify: func(core.Notification) {}}
}

func invokerOf(t testing.TB, p core.Plugin, tool string) core.Invoker {
	t.Helper()
	i, err := p.Invoker(tool)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// says is a guest of one kind that answers with status and text.
func says(t testing.TB, kind core.PluginKind, status abi.Status, text string, more ...string) []byte {
	t.Helper()
	k := string(kind)
	if kind == core.PluginInvoker {
		more = append(more, oneTool)
	}
	return carrying(t, guests.Says(status, text, manifest.Kind(kind).Export()), yaml(k, more...))
}
