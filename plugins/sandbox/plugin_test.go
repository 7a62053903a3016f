package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

func TestEcho(t *testing.T) {
	for _, plain := range []bool{false, true} {
		p := load(t, guests.Echo(), func(o *Options) { o.Plain = plain })
		for _, meta := range [][]abi.Pair{nil, {{Key: "tool", Value: "x"}, {Key: "call_id", Value: strings.Repeat("y", 100)}}} {
			for _, size := range []int{0, 1, 1024, 64 << 10, 1 << 20} {
				in := strings.Repeat("a", size)
				a, err := p.Call(t.Context(), abi.ToolCall, meta, []byte(in), InvokerBudget)
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if a.Status != abi.OK || string(a.Payload) != in {
					t.Errorf("%d bytes: status %s and %d bytes", size, a.Status, len(a.Payload))
				}
			}
		}
		if s := p.Stats(); s.Calls != 10 || s.Instances != 1 || s.Free != 1 || s.Discards != 0 || s.Memory < 2<<20 || (s.Fuel > 0) == plain {
			t.Errorf("%+v", s)
		}
	}
}

// A call must not depend on what earlier calls left: sizes go up and down.
func TestInputIsBounded(t *testing.T) {
	p := load(t, guests.Echo(), func(o *Options) { o.Limits.Input = 1 << 20; o.Limits.Memory = 2 << 20 })
	_, err := p.Call(t.Context(), abi.ToolCall, nil, make([]byte, 1<<20), InvokerBudget)
	wantCode(t, err, core.CodeTooLarge, "limits.max_input is 1 MiB")
	_, err = p.Call(t.Context(), abi.ToolCall, nil, make([]byte, 1<<20-4), InvokerBudget)
	wantCode(t, err, core.CodeTooLarge, "raise limits.memory")
	if s := p.Stats(); s.Discards != 1 {
		t.Errorf("%d discards, want 1: only the second reached the guest", s.Discards)
	}
	if a, err := p.Call(t.Context(), abi.ToolCall, nil, []byte("x"), InvokerBudget); err != nil || string(a.Payload) != "x" {
		t.Errorf("afterwards: %q %v", a.Payload, err)
	}
}

func wantCode(t *testing.T, err error, code core.Code, part string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) {
		t.Errorf("got %v, want a *core.Error %s", err, code)
		return
	}
	if e.Code != code || !strings.Contains(e.Public(), part) {
		t.Errorf("got %s %q, want %s with %q", e.Code, e.Public(), code, part)
	}
}

func TestStatuses(t *testing.T) {
	tests := []struct {
		status abi.Status
		export string
		code   core.Code
		part   string
	}{
		{abi.OK, abi.ToolCall, "", ""},
		{abi.ToolError, abi.ToolCall, "", ""},
		{abi.Unchanged, abi.ResponseTransform, "", ""},
		{abi.Unchanged, abi.RequestTransform, "", ""},
		{abi.Unchanged, abi.ToolCall, core.CodeInternal, "only a transformer"},
		{abi.Unchanged, abi.Authorize, core.CodeInternal, "only a transformer"},
		{abi.InvalidArgs, abi.ToolCall, core.CodeInvalid, "said  so"},
		{abi.UnknownTool, abi.ToolCall, core.CodeNotFound, "said  so"},
		{abi.Denied, abi.Authorize, core.CodeDenied, "said  so"},
		{abi.Unavailable, abi.ToolCall, core.CodeUnavailable, "said  so"},
		{abi.Internal, abi.ToolCall, core.CodeInternal, "internal error"},
		{99, abi.ToolCall, core.CodeInternal, "internal error"},
	}
	for _, tt := range tests {
		p := load(t, guests.Says(tt.status, "said\x00 so\n", tt.export), nil)
		a, err := p.Call(t.Context(), tt.export, nil, nil, InvokerBudget)
		if tt.code == "" {
			if err != nil || a.Status != tt.status || string(a.Payload) != "said\x00 so\n" {
				t.Errorf("%s: %+v %v", tt.status, a, err)
			}
		} else {
			wantCode(t, err, tt.code, tt.part)
			if tt.status >= abi.Internal && strings.Contains(core.AsError(err).Public(), "said") {
				t.Errorf("%s: the payload is for the log only: %v", tt.status, err)
			}
		}
		if s := p.Stats(); s.Discards != 0 {
			t.Errorf("%s: a refusal is no reason to throw the instance away", tt.status)
		}
	}
	p := load(t, guests.Echo(), nil)
	_, err := p.Call(t.Context(), "sallyport_nothing", nil, nil, InvokerBudget)
	wantCode(t, err, core.CodeNotSupported, "does not export")
}

// Whatever ends a call badly, the next one gets a new instance.
func TestDiscard(t *testing.T) {
	hits := 0
	p := load(t, guests.KVThenTrap(), func(o *Options) {
		o.Grant.KV = true
		o.Host = &fakeHost{kvGet: func(context.Context) {
			if hits++; hits == 2 {
				panic("the host itself is broken")
			}
		}}
	})
	for n := range 3 {
		_, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
		wantCode(t, err, core.CodeInternal, "failed in "+abi.ToolCall)
		if s := p.Stats(); s.Discards != uint64(n+1) || s.Instances != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestCancelledBeforeItBegins(t *testing.T) {
	p := load(t, guests.Echo(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Call(ctx, abi.ToolCall, nil, nil, InvokerBudget)
	wantCode(t, err, core.CodeCancelled, "cancelled")
}

func TestRecycle(t *testing.T) {
	p := load(t, guests.Counter(false), func(o *Options) { o.Limits.Calls = 3 })
	seen := ""
	for range 6 {
		a, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
		if err != nil {
			t.Fatal(err)
		}
		seen += string(a.Payload)
		waitFor(t, func() bool { s := p.Stats(); return s.Free == 1 && s.Instances == 1 })
	}
	if seen != "123123" || p.Stats().Recycled != 2 {
		t.Errorf("%q, %d recycled: an instance lives for three calls", seen, p.Stats().Recycled)
	}
	// Memory past three quarters of the limit.
	p = load(t, guests.Grower(), func(o *Options) { o.Limits.Memory = 16 << 16 })
	for range 40 {
		if _, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return p.Stats().Free == 1 })
	}
	if s := p.Stats(); s.Recycled < 3 || s.Memory > 13<<16 {
		t.Errorf("%+v", s)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !done(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to rest")
		}
	}
}

// Idle instances go, the one used last stays.
func TestIdle(t *testing.T) {
	block := make(chan bool)
	p := load(t, guests.KVOnce(), func(o *Options) {
		o.Limits.Idle, o.Limits.Instances = 20*time.Millisecond, 4
		o.Grant.KV = true
		o.Host = &fakeHost{kvGet: func(context.Context) { <-block }}
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _, _ = p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget) })
	}
	waitFor(t, func() bool { return p.Stats().Instances == 4 })
	close(block)
	wg.Wait()
	waitFor(t, func() bool { return p.Stats().Instances == 1 })
	if s := p.Stats(); s.Recycled != 3 || s.Free != 1 {
		t.Errorf("%+v", s)
	}

	// Only those that were idle for so long.
	p = load(t, guests.Echo(), nil)
	for range 3 {
		i, err := p.newInstance(t.Context(), time.Now().Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		p.pool.total++
		p.pool.put(i)
	}
	p.pool.free[0].idle = time.Now().Add(-p.limits.Idle)
	p.pool.sweep()
	if s := p.Stats(); s.Recycled != 1 || s.Free != 3 {
		t.Errorf("%+v", s)
	}
}

// What a call leaves in memory or in a global the next one must not find.
func TestIsolation(t *testing.T) {
	for _, global := range []bool{false, true} {
		for _, mode := range []string{Shared, PerCall} {
			p := load(t, guests.Counter(global), func(o *Options) { o.Isolation = mode })
			seen := ""
			for range 4 {
				a, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
				if err != nil {
					t.Fatal(err)
				}
				seen += string(a.Payload)
				waitFor(t, func() bool { return p.Stats().Free == 1 })
			}
			want := map[string]string{Shared: "1234", PerCall: "1111"}[mode]
			if seen != want {
				t.Errorf("global %v, isolation %s: %q, want %q", global, mode, seen, want)
			}
			if s := p.Stats(); s.Recycled != 0 || s.Discards != 0 {
				t.Errorf("the instance was replaced, not restored: %+v", s)
			}
		}
	}
	// A guest that grows cannot be restored: it is replaced.
	p := load(t, guests.Grower(), func(o *Options) { o.Isolation = PerCall })
	for range 5 {
		if _, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return p.Stats().Free == 1 })
	}
	if s := p.Stats(); s.Memory > 8<<16 || s.Recycled != 5 {
		t.Errorf("%+v", s)
	}
	// A larger input buffer is forgotten by the guest and so by the host.
	p = load(t, guests.Roomy(), func(o *Options) { o.Isolation = PerCall })
	for _, size := range []int{10, 100 << 10, 10, 100 << 10} {
		in := strings.Repeat("x", size)
		if a, err := p.Call(t.Context(), abi.ToolCall, nil, []byte(in), InvokerBudget); err != nil || string(a.Payload) != in {
			t.Fatal(len(a.Payload), err)
		}
		waitFor(t, func() bool { return p.Stats().Free == 1 })
		i := p.pool.quick()
		if i.inputCap != abi.InputBuffer {
			t.Errorf("the host kept a buffer of %d bytes", i.inputCap)
		}
		p.pool.put(i)
	}
	if s := p.Stats(); s.Recycled != 0 {
		t.Errorf("%+v", s)
	}
	_, err := Load(t.Context(), guests.TableBomb(), Options{Name: "t", InProcess: true, Isolation: PerCall})
	wantCode(t, err, core.CodeInvalid, "cannot restore its tables")
}

// Many callers, few instances: every call gets its own answer.
func TestConcurrentCalls(t *testing.T) {
	p := load(t, guests.Echo(), func(o *Options) { o.Limits.Instances = 3; o.Limits.Queue = 4096 })
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for g := range 16 {
		wg.Go(func() {
			for n := range 200 {
				in := fmt.Sprintf("%d/%d %s", g, n, strings.Repeat("z", n))
				a, err := p.Call(t.Context(), abi.ToolCall, nil, []byte(in), InvokerBudget)
				if err != nil || string(a.Payload) != in {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); wrong.Load() != 0 || s.Instances > 3 || s.Free != s.Instances || s.Calls != 3200 {
		t.Errorf("%d wrong answers, %+v", wrong.Load(), s)
	}
}

// The queue is bounded, first come first served, and a caller that leaves it leaves
// nothing behind.
func TestQueue(t *testing.T) {
	block := make(chan bool)
	p := load(t, guests.KVOnce(), func(o *Options) {
		o.Limits.Instances, o.Limits.Queue = 1, 2
		o.Grant.KV = true
		o.Host = &fakeHost{kvGet: func(context.Context) { <-block }}
	})
	var wg sync.WaitGroup
	call := func(ctx context.Context, wall time.Duration, got *error) {
		wg.Go(func() { _, *got = p.Call(ctx, abi.ToolCall, nil, nil, Budget{Wall: wall}) })
	}
	var first, second, third error
	call(t.Context(), 5*time.Second, &first)
	waitFor(t, func() bool { s := p.Stats(); return s.Instances == 1 && s.Free == 0 })
	ctx, cancel := context.WithCancel(t.Context())
	call(ctx, 5*time.Second, &second)
	waitFor(t, func() bool { return p.Stats().Waiting == 1 })
	call(t.Context(), 50*time.Millisecond, &third)
	waitFor(t, func() bool { return p.Stats().Waiting == 2 })
	_, fourth := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
	wantCode(t, fourth, core.CodeLimited, "queue is full")
	cancel()
	waitFor(t, func() bool { return p.Stats().Waiting == 0 })
	// The call around this one may be the one that holds the instance.
	begin := time.Now()
	_, within := p.Call(t.Context(), abi.ToolCall, nil, nil, Budget{Wall: 30 * time.Second, Call: &core.Call{Depth: 1}})
	wantCode(t, within, core.CodeLimited, "a call within a call")
	if took := time.Since(begin); took < nestedWait || took > 10*time.Second {
		t.Errorf("a call within a call waited %v", took)
	}
	close(block)
	wg.Wait()
	if first != nil {
		t.Error(first)
	}
	wantCode(t, second, core.CodeCancelled, "cancelled")
	wantCode(t, third, core.CodeTimeout, "no instance")
	if s := p.Stats(); s.Discards != 0 || s.Free != 1 {
		t.Errorf("%+v", s)
	}
}

// Close waits for the calls that run, refuses new ones and those that wait.
func TestClose(t *testing.T) {
	block := make(chan bool)
	p := load(t, guests.KVOnce(), func(o *Options) {
		o.Limits.Instances = 1
		o.Grant.KV = true
		o.Host = &fakeHost{kvGet: func(context.Context) { <-block }}
	})
	var wg sync.WaitGroup
	var runs, waits error
	wg.Go(func() { _, runs = p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget) })
	waitFor(t, func() bool { return p.Stats().Free == 0 })
	wg.Go(func() { _, waits = p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget) })
	waitFor(t, func() bool { return p.Stats().Waiting == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close ended while a call ran: %v", err)
	}
	_, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
	wantCode(t, err, core.CodeUnavailable, "being closed")
	close(block)
	wg.Wait()
	if runs != nil {
		t.Error("a running call must end well: ", runs)
	}
	wantCode(t, waits, core.CodeUnavailable, "being closed")
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s := p.Stats(); s.Instances != 0 {
		t.Errorf("%+v", s)
	}
}

func TestBreakerInPlugin(t *testing.T) {
	var clock atomic.Int64
	base := time.Now()
	p := load(t, guests.Trap(), func(o *Options) {
		o.Now = func() time.Time { return base.Add(time.Duration(clock.Load())) }
	})
	for range breakAfter {
		_, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
		wantCode(t, err, core.CodeInternal, "failed")
	}
	_, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
	wantCode(t, err, core.CodeUnavailable, "degraded")
	if core.AsError(err).RetryAfter != 1 || p.Stats().Degraded.IsZero() {
		t.Errorf("retry after %d, %+v", core.AsError(err).RetryAfter, p.Stats())
	}
	clock.Add(int64(1001 * time.Millisecond))
	_, err = p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
	wantCode(t, err, core.CodeInternal, "failed") // the try
	_, err = p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
	wantCode(t, err, core.CodeUnavailable, "degraded")
	if core.AsError(err).RetryAfter != 2 {
		t.Errorf("retry after %d, want 2: it rests twice as long", core.AsError(err).RetryAfter)
	}
}

func TestConfigure(t *testing.T) {
	_, err := Load(t.Context(), guests.Configured(), Options{Name: "t", InProcess: true, Config: []byte("bad")})
	wantCode(t, err, core.CodeInvalid, "refuses its configuration: bad")
	_, err = Load(t.Context(), guests.ConfiguredWith(abi.Unchanged), Options{Name: "t", InProcess: true})
	wantCode(t, err, core.CodeInvalid, "refuses its configuration: it answers unchanged")
	p := load(t, guests.Configured(), nil)
	if a, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil || string(a.Payload) != "" {
		t.Errorf("%q %v", a.Payload, err)
	}
}

func TestEvents(t *testing.T) {
	var events []Event
	p := load(t, guests.Echo(), func(o *Options) { o.Observe = func(e Event) { events = append(events, e) } })
	if _, err := p.Call(t.Context(), abi.ToolCall, nil, []byte("x"), InvokerBudget); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Call(t.Context(), "nothing", nil, nil, InvokerBudget)
	if len(events) != 2 || events[0].Outcome != "ok" || events[0].Memory == 0 || events[0].Fuel == 0 || events[0].Duration < events[0].CPU || events[1].Outcome != "unsupported" {
		t.Errorf("%+v", events)
	}
}

// A pooled call costs at most two allocations: the answer, and one to spare.
func TestAllocations(t *testing.T) {
	p := load(t, guests.Echo(), nil)
	in := make([]byte, 1024)
	n := testing.AllocsPerRun(1000, func() {
		if _, err := p.Call(t.Context(), abi.ToolCall, nil, in, InvokerBudget); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations a call", n)
	}
}
