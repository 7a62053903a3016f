//go:build !race

package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/abi"
)

// 2,000,000 calls of one instance of a guest that was built with the SDK, as authors do
// it: its memory stays. Standard Go collects only when its scheduler runs, which the
// SDK has to see to (wasm.md finding 5: without that, 1.7 GB).
func TestGoGuestStaysFlat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "echo.wasm")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", file, "./examples/echo")
	build.Dir = filepath.Join("..", "..", "sdk", "go")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, wasm, func(o *Options) {
		o.InProcess, o.CacheDir = false, t.TempDir()+"/cache"
		o.Limits.Instances, o.Limits.Calls = 1, 1<<30 // one instance, and none takes its place
	})
	meta := []abi.Pair{{Key: abi.MetaTool, Value: "echo"}}
	text := strings.Repeat("x", 900)
	arguments := []byte(`{"text":"` + text + `"}`)
	call := func(n int) {
		for range n {
			a, err := p.Call(t.Context(), abi.ToolCall, meta, arguments, InvokerBudget)
			if err != nil || string(a.Payload) != text {
				t.Fatalf("%q %v", a.Payload, err)
			}
		}
	}
	begin := time.Now()
	call(200_000)
	early := p.Stats().Memory
	for range 9 {
		call(200_000)
		t.Logf("%d KiB after %d calls", p.Stats().Memory>>10, p.Stats().Calls)
	}
	late := p.Stats()
	t.Logf("2,000,000 calls in %v", time.Since(begin).Round(time.Millisecond))
	// The collector paces itself by what lives, which sways by a page or so.
	if late.Memory > early+early/20 {
		t.Errorf("%d KiB after 200,000 calls, %d KiB after 2,000,000", early>>10, late.Memory>>10)
	}
	if late.Calls != 2_000_000 || late.Recycled+late.Discards != 0 {
		t.Errorf("%+v", late)
	}
}
