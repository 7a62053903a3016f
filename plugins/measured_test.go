//go:build !race

package plugins

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/guests"
)

// Memory, allocations and Go's guest are looked at without the race detector, which would
// watch wazero compile for minutes; .ci/test.sh runs this package both ways.

func resident(t testing.TB) int64 {
	t.Helper()
	for range 3 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("this system does not tell: ", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// 200 reloads under traffic lose no call, no goroutine and no memory.
func TestReloads(t *testing.T) {
	h := newHost(t, nil)
	wasm := echo(t)
	reload(t, h, wasm, hi, "hi", 50) // warm
	goroutines, before := runtime.NumGoroutine(), resident(t)
	calls := reload(t, h, wasm, hi, "hi", 200)
	after := resident(t)
	t.Logf("%d calls, %d KiB before, %d KiB after", calls, before>>10, after>>10)
	if calls < 200 {
		t.Errorf("only %d calls: that was no traffic", calls)
	}
	if after > before+before/10+4<<20 {
		t.Errorf("%d KiB before, %d KiB after", before>>10, after>>10)
	}
	until(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+1 })
}

// The same with standard Go's guest, which is compiled in a child process.
func TestReloadsOfGo(t *testing.T) {
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./guests/goguest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, func(o *Options) { o.InProcess = false })
	calls := reload(t, h, carrying(t, wasm, yaml("invoker", oneTool)), `{"arguments":{"text":"hi"}}`, "HI", 10)
	if calls < 10 {
		t.Errorf("only %d calls: that was no traffic", calls)
	}
}

// A call makes no more than its id and what the sandbox copies out.
func TestAllocations(t *testing.T) {
	h := newHost(t, nil)
	context := "context: [tool, server, call_id, tenant, principal.sub]"
	p := single(t, h, carrying(t, guests.Echo(), yaml("invoker", oneTool, context)), nil).(*Plugin)
	c := call(hi)
	c.Who = core.Identity{Subject: "ada", Tenant: "north"}
	ctx := t.Context()
	if n := testing.AllocsPerRun(200, func() {
		if _, err := p.call(ctx, invokes, c, "echo", c.Arguments); err != nil {
			t.Error(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
