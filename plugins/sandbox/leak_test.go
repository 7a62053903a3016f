package sandbox

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

// resident returns the bytes of this process in memory, after everything that can
// go went.
func resident(t *testing.T) int64 {
	t.Helper()
	for range 3 { // finalizers free native code; they need a second round
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

// 2,000 instances come and go; memory does not.
func TestInstancesDoNotLeak(t *testing.T) {
	p := load(t, guests.Echo(), nil)
	churn := func(n int) {
		for range n {
			i, err := p.newInstance(t.Context(), time.Now().Add(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			i.memory.Write(0, make([]byte, 128<<10)) // touch it
			i.close()
		}
	}
	churn(200)
	before := resident(t)
	churn(2000)
	after := resident(t)
	t.Logf("%d KiB before, %d KiB after 2,000 instances", before>>10, after>>10)
	if after > before+before/10+mib {
		t.Errorf("%d KiB before, %d KiB after", before>>10, after>>10)
	}
}

// 200 versions come and go under traffic: no call fails, memory stays.
func TestReloads(t *testing.T) {
	load := func() *Plugin {
		p, err := Load(t.Context(), guests.Echo(), Options{Name: "echo", InProcess: true})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var now atomic.Pointer[Plugin]
	now.Store(load())
	stop := make(chan struct{})
	var calls, failed atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := now.Load().Call(context.Background(), abi.ToolCall, nil, []byte("hello"), InvokerBudget)
				// Whoever swaps hands calls that came too late to the next version.
				if err != nil && core.AsError(err).Code == core.CodeUnavailable {
					continue
				}
				calls.Add(1)
				if err != nil || string(a.Payload) != "hello" {
					failed.Add(1)
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	var before int64
	for n := range 200 {
		if n == 50 {
			before = resident(t)
		}
		old := now.Swap(load())
		if err := old.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after := resident(t)
	close(stop)
	wg.Wait()
	if err := now.Load().Close(context.Background()); err != nil {
		t.Error(err)
	}
	t.Logf("%d calls; %d KiB after 50 reloads, %d KiB after 200", calls.Load(), before>>10, after>>10)
	if failed.Load() != 0 || calls.Load() == 0 {
		t.Errorf("%d of %d calls failed", failed.Load(), calls.Load())
	}
	if after > before+before/10 {
		t.Errorf("%d KiB after 50 reloads, %d KiB after 200", before>>10, after>>10)
	}
}
