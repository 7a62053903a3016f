package sandbox

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

// Output of the guest goes to the log by lines, and no more than its share.
func TestStdout(t *testing.T) {
	var lines []string
	host := &fakeHost{log: func(_ int, text string) { lines = append(lines, text) }}
	p := load(t, guests.Stdout("hello\nworld", 2), func(o *Options) { o.Host = host })
	if _, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines, "|"); got != "hello|worldhello|world" {
		t.Errorf("%q", got)
	}
	lines = nil
	p = load(t, guests.Stdout(strings.Repeat("x", 999)+"\n", 100), func(o *Options) { o.Host = host })
	for range 2 { // each call has its own share
		lines = nil
		if _, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, l := range lines {
			size += len(l)
		}
		if size < 15<<10 || size > 17<<10 || !strings.Contains(strings.Join(lines, ""), "past the limit of 16 KiB") {
			t.Errorf("%d bytes in %d lines", size, len(lines))
		}
	}
	// A line without an end is cut.
	lines = nil
	p = load(t, guests.Stdout(strings.Repeat("y", 5000), 1), func(o *Options) { o.Host = host })
	if _, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil || len(lines) != 2 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

func TestSleep(t *testing.T) {
	p := load(t, guests.Sleep(int64(20*time.Millisecond)), nil)
	begin := time.Now()
	a, err := p.Call(t.Context(), abi.ToolCall, nil, nil, Budget{Wall: 5 * time.Second, CPU: 10 * time.Millisecond})
	if err != nil || time.Since(begin) < 20*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if a.CPU > 10*time.Millisecond {
		t.Errorf("sleeping burnt %v of CPU", a.CPU)
	}
}

// The caller leaves while the guest sleeps; that is no fault of the plugin.
func TestSleepIsCancelled(t *testing.T) {
	p := load(t, guests.Sleep(int64(time.Hour)), nil)
	for range breakAfter + 1 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := p.Call(ctx, abi.ToolCall, nil, nil, InvokerBudget)
		cancel()
		wantCode(t, err, core.CodeTimeout, "its time is over")
	}
	if s := p.Stats(); !s.Degraded.IsZero() {
		t.Error("a caller that leaves degrades the plugin")
	}
}

func TestAbort(t *testing.T) {
	var lines []string
	var abort uint32
	m := guests.New(func(m *guests.Module) { abort = m.Import("env", "abort", "iiii", "") })
	m.Data(60, "\x04\x00\x00\x00n\x00o\x00")
	wasm := m.Export(abi.ToolCall, m.Func("ii", "l", "",
		guests.Const(64), guests.Const(0), guests.Const(3), guests.Const(4), guests.Call(abort), guests.Const64(0))).Bytes()
	p := load(t, wasm, func(o *Options) { o.Host = &fakeHost{log: func(_ int, s string) { lines = append(lines, s) }} })
	_, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
	wantCode(t, err, core.CodeInternal, "aborted")
	if len(lines) != 1 || lines[0] != "abort: no at :3:4" {
		t.Errorf("%q", lines)
	}
}

// The pending slot: what does not fit is read in pieces; it is gone with the call.
func TestSlot(t *testing.T) {
	p := load(t, guests.Tool("\x00\x00\x00\x00"), func(o *Options) {
		o.Grant.CallTool = true
		o.Host = &fakeHost{}
	})
	a, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget)
	if err != nil || string(a.Payload) != "answer" {
		t.Errorf("%q %v", a.Payload, err)
	}
}
