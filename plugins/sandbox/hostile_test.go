package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

// The hostile suite. Each case runs in a process of its own, because what it proves
// is that the process lives on: a guest that freezes it is killed by the timer here,
// and the test fails instead of hanging.

const (
	hostileVariable = "SALLYPORT_HOSTILE"
	goGuestVariable = "SALLYPORT_GOGUEST" // directory of guest.wasm and its cache
)

// Limits that every case has, if it names no others.
var hostileBudget = Budget{Wall: 2 * time.Second, CPU: 200 * time.Millisecond}

type hostile struct {
	name    string
	wasm    func() []byte
	change  func(*Options)
	payload string
	budget  Budget
	cancel  time.Duration // ctx is cancelled after so long
	atLoad  bool          // Load is what must fail
	calls   int           // at once; 0 = 1
	within  time.Duration // its limit: it must be over 50 ms after that
	want    core.Code     // "" = it answers
	alsoOK  core.Code     // for calls at once: what some may get instead
	says    string        // part of the message
}

var hostiles = []hostile{
	{name: "spin", wasm: guests.Spin, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "CPU"},
	{name: "spin past the wall clock", wasm: guests.Spin, budget: Budget{Wall: 200 * time.Millisecond, CPU: 10 * time.Second}, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "its time is over"},
	{name: "spin, caller leaves", wasm: guests.Spin, budget: Budget{Wall: 5 * time.Second, CPU: 5 * time.Second}, cancel: 100 * time.Millisecond, within: 100 * time.Millisecond, want: core.CodeCancelled},
	{name: "tree of calls without a loop", wasm: func() []byte { return guests.Tree(60) }, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "CPU"},
	{name: "fib without a loop", wasm: func() []byte { return guests.Fib(60) }, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "CPU"},
	{name: "recursion without end", wasm: guests.Deep, within: 200 * time.Millisecond, want: core.CodeInternal, says: "too deep"},
	{name: "memory bomb", wasm: guests.MemoryBomb, within: 200 * time.Millisecond, want: core.CodeInternal},
	{name: "fill storm", wasm: guests.FillStorm, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "CPU"},
	{name: "table bomb", wasm: guests.TableBomb, within: 200 * time.Millisecond, want: core.CodeInternal},
	{name: "trap", wasm: guests.Trap, within: 0, want: core.CodeInternal, says: "failed in"},
	{name: "exit", wasm: func() []byte { return guests.Exit(3) }, within: 0, want: core.CodeInternal, says: "exit code 3"},
	{name: "pointer at the end of the world", wasm: func() []byte { return guests.Returns(0xffff_ffff_0000_1000) }, want: core.CodeInternal, says: "outside its memory"},
	{name: "answer of 4 GiB", wasm: func() []byte { return guests.Returns(0x10_ffff_ffff) }, want: core.CodeTooLarge},
	{name: "answer past the end", wasm: func() []byte { return guests.Returns(0x7fff_0000_0001_0000) }, want: core.CodeInternal, says: "outside its memory"},
	{name: "answer too short", wasm: func() []byte { return guests.Returns(1<<32 | 3) }, want: core.CodeInternal, says: "frame"},
	{name: "no answer", wasm: func() []byte { return guests.Returns(0) }, want: core.CodeInternal, says: "returned 0"},
	{name: "sleep", wasm: func() []byte { return guests.Sleep(int64(time.Hour)) }, budget: Budget{Wall: 200 * time.Millisecond}, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "its time is over"},
	{name: "output flood", wasm: func() []byte { return guests.Stdout(strings.Repeat("x", 1000)+"\n", 0) }, within: 200 * time.Millisecond, want: core.CodeTimeout},
	{name: "log storm", wasm: guests.LogStorm, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "CPU"},
	{
		name: "host call storm", wasm: guests.KVStorm, change: func(o *Options) { o.Grant.KV = true },
		within: 200 * time.Millisecond, want: core.CodeTimeout, says: "CPU",
	},
	{
		name: "host call that waits", wasm: guests.KVStorm,
		change: func(o *Options) {
			o.Grant.KV = true
			o.Host = &fakeHost{kvGet: func(ctx context.Context) { <-ctx.Done() }}
		},
		budget: Budget{Wall: 200 * time.Millisecond, CPU: time.Second}, within: 200 * time.Millisecond, want: core.CodeTimeout, says: "its time is over",
	},
	{name: "spin in the start function", wasm: func() []byte { return guests.Start(guests.Loop(guests.Branch(0))) }, change: func(o *Options) { o.Limits.Start = 200 * time.Millisecond }, atLoad: true, within: 250 * time.Millisecond, want: core.CodeTimeout},
	{name: "trap in the start function", wasm: func() []byte { return guests.Start(guests.Op(guests.Unreachable)) }, atLoad: true, within: 0, want: core.CodeInternal, says: "instantiate"},
	{name: "compile bomb", wasm: func() []byte { return guests.CompileBomb(50_000) }, atLoad: true, within: 50 * time.Millisecond, want: core.CodeInvalid, says: "limit"},
	{name: "compile bomb of joins", wasm: func() []byte { return guests.Wide(100, 600) }, atLoad: true, within: 50 * time.Millisecond, want: core.CodeInvalid, says: "compiler"},
	{name: "a hundred at once", wasm: guests.Spin, calls: 100, budget: Budget{Wall: 500 * time.Millisecond, CPU: 200 * time.Millisecond}, within: 500 * time.Millisecond, want: core.CodeTimeout, alsoOK: core.CodeLimited},
	{
		name: "re-entrancy", wasm: func() []byte { return guests.Tool("\x00\x00\x00\x00") },
		change: func(o *Options) { o.Grant.CallTool = true; o.Limits.Instances = 1; o.Host = &fakeHost{reenter: true} },
		budget: Budget{Wall: 200 * time.Millisecond, CPU: time.Second}, within: 200 * time.Millisecond, want: core.CodeTimeout,
	},
}

// hostileGo are cases of the guest in standard Go, by payload.
var hostileGo = []hostile{
	{
		name: "Go: compiling past its time", change: func(o *Options) { o.CacheDir = ""; o.Limits.Compile = 300 * time.Millisecond },
		atLoad: true, within: 500 * time.Millisecond, want: core.CodeTooLarge, says: "compiling it takes longer",
	},
	{name: "Go: spin", payload: "spin", within: 200 * time.Millisecond, want: core.CodeTimeout, says: "CPU"},
	{name: "Go: recursion", payload: "recurse", within: 200 * time.Millisecond, want: core.CodeInternal},
	{name: "Go: memory", payload: "eat", within: 200 * time.Millisecond, want: core.CodeInternal},
	{name: "Go: panic", payload: "panic", within: 20 * time.Millisecond, want: core.CodeInternal},
	{name: "Go: sleep", payload: "sleep", budget: Budget{Wall: 200 * time.Millisecond}, within: 200 * time.Millisecond, want: core.CodeTimeout},
}

// verdict is what the child says.
type verdict struct {
	Elapsed time.Duration // of the call
	Code    core.Code
	Message string
	Also    int           // calls that got alsoOK
	Stall   time.Duration // longest that another goroutine was held up beyond its sleep
	Calm    time.Duration // the same before the call: what the machine does by itself
	Collect int           // garbage collections while the call ran
	After   string        // whether the plugin still answers refusals properly, "" = yes
}

// hostileCommand runs one case with a kill timer: first the signal that makes Go
// print where every goroutine stands, then, when even that is not heard, the other.
func hostileCommand(t *testing.T, name string, most time.Duration) (out []byte, said string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), hostileVariable+"="+name, "GOTRACEBACK=all")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Run()
	return []byte(stdout.String()), stderr.String(), err
}

func inChild(t *testing.T, name string, most time.Duration) verdict {
	t.Helper()
	out, said, err := hostileCommand(t, name, most)
	if err != nil {
		t.Fatalf("the process of %q did not live: %v\n%s\n%s", name, err, out, said)
	}
	var v verdict
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// hostileChild runs one case and prints the verdict.
func hostileChild(name string) int {
	if name == "plain spin" {
		p, err := Load(context.Background(), guests.Spin(), Options{Name: name, InProcess: true, Plain: true})
		if err != nil {
			return 3
		}
		go func() {
			_, _ = p.Call(context.Background(), abi.ToolCall, nil, nil, Budget{Wall: 100 * time.Millisecond})
			os.Exit(0)
		}()
		time.Sleep(50 * time.Millisecond)
		runtime.GC()
		os.Exit(0) // never: the collector waits for the guest
	}
	if name == "neighbour" {
		return neighbour()
	}
	for _, c := range append(hostiles, hostileGo...) {
		if c.name == name {
			if c.wasm == nil {
				dir, change := os.Getenv(goGuestVariable), c.change
				c.change = func(o *Options) {
					o.InProcess, o.CacheDir = false, dir+"/cache"
					if change != nil {
						change(o)
					}
				}
				c.wasm = func() []byte {
					b, err := os.ReadFile(dir + "/guest.wasm")
					if err != nil {
						panic(err)
					}
					return b
				}
			}
			if err := json.NewEncoder(os.Stdout).Encode(c.run()); err != nil {
				return 2
			}
			return 0
		}
	}
	return 4
}

func (c hostile) run() verdict {
	o := Options{Name: "hostile", InProcess: true}
	if c.change != nil {
		c.change(&o)
	}
	if c.budget == (Budget{}) {
		c.budget = hostileBudget
	}
	var v verdict
	var collections atomic.Int64
	stop := make(chan struct{})
	var watch watcher
	go watch.run(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
				collections.Add(1)
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	v.Calm = watch.reset()

	if c.atLoad {
		wasm := c.wasm()
		collections.Store(0)
		watch.reset()
		begin := time.Now()
		_, err := Load(context.Background(), wasm, o)
		v.Elapsed = time.Since(begin)
		v.Stall, v.Collect = watch.reset(), int(collections.Load())
		v.take(err)
		close(stop)
		return v
	}
	p, err := Load(context.Background(), c.wasm(), o)
	if err != nil {
		v.take(err)
		return v
	}
	if h, ok := o.Host.(*fakeHost); ok {
		h.plugin = p
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	collections.Store(0)
	watch.reset()
	begin := time.Now()
	if c.cancel > 0 {
		time.AfterFunc(c.cancel, cancel)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range max(c.calls, 1) {
		wg.Go(func() {
			_, err := p.Call(ctx, abi.ToolCall, nil, []byte(c.payload), c.budget)
			mu.Lock()
			defer mu.Unlock()
			if c.alsoOK != "" && err != nil && core.AsError(err).Code == c.alsoOK {
				v.Also++
				return
			}
			if v.Code == "" || v.Code == c.want {
				v.take(err)
			}
		})
	}
	wg.Wait()
	v.Elapsed = time.Since(begin)
	v.Stall, v.Collect = watch.reset(), int(collections.Load())
	close(stop)
	if s := p.Stats(); c.want != core.CodeLimited && s.Free != 0 {
		v.After = fmt.Sprintf("%d instances went back to the pool", s.Free)
	}
	ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	if err := p.Close(ctx); err != nil {
		v.After = "close: " + err.Error()
	}
	return v
}

func (v *verdict) take(err error) {
	if err == nil {
		v.Code, v.Message = "", ""
		return
	}
	e := core.AsError(err)
	v.Code, v.Message = e.Code, e.Public()
}

// watcher is another goroutine of the gateway: it sleeps a millisecond at a time and
// notes how late it wakes at most.
type watcher struct{ worst atomic.Int64 }

func (w *watcher) run(stop chan struct{}) {
	for {
		begin := time.Now()
		time.Sleep(time.Millisecond)
		late := int64(time.Since(begin) - time.Millisecond)
		for {
			have := w.worst.Load()
			if late <= have || w.worst.CompareAndSwap(have, late) {
				break
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

func (w *watcher) reset() time.Duration { return time.Duration(w.worst.Swap(0)) }

// fakeHost is a Host for tests.
type fakeHost struct {
	NoHost
	kvGet   func(ctx context.Context)
	reenter bool
	plugin  *Plugin
	log     func(level int, text string)
}

func (h *fakeHost) Log(_ context.Context, _ *Scope, level int, text []byte) {
	if h.log != nil {
		h.log(level, string(text))
	}
}

func (h *fakeHost) KVGet(ctx context.Context, _ *Scope, _ []byte) ([]byte, uint64, int64) {
	if h.kvGet != nil {
		h.kvGet(ctx)
	}
	return []byte("value"), 7, 0
}

// CallTool calls the plugin that asks.
func (h *fakeHost) CallTool(ctx context.Context, s *Scope, _ []byte) ([]byte, int64) {
	if !h.reenter {
		return []byte("answer"), 0
	}
	a, err := h.plugin.Call(ctx, abi.ToolCall, nil, nil, Budget{Wall: s.Left()})
	if err != nil {
		return nil, abi.ErrUnavailable
	}
	return a.Payload, 0
}

func neighbour() int {
	ctx := context.Background()
	echo, err := Load(ctx, guests.Echo(), Options{Name: "echo", InProcess: true})
	if err != nil {
		return 2
	}
	spin, err := Load(ctx, guests.Spin(), Options{Name: "spin", InProcess: true})
	if err != nil {
		return 2
	}
	p99 := func() time.Duration {
		var took []time.Duration
		for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
			begin := time.Now()
			if _, err := echo.Call(ctx, abi.ToolCall, nil, make([]byte, 1024), TransformerBudget); err != nil {
				return time.Hour
			}
			took = append(took, time.Since(begin))
			time.Sleep(100 * time.Microsecond)
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	beside := func(n int) time.Duration {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				_, _ = spin.Call(ctx, abi.ToolCall, nil, nil, Budget{Wall: 800 * time.Millisecond, CPU: 5 * time.Second})
			})
		}
		got := p99()
		wg.Wait()
		return got
	}
	v := [3]time.Duration{p99(), beside(1), beside(2 * runtime.GOMAXPROCS(0))}
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		return 3
	}
	return 0
}
