package sandbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
)

// A guest of standard Go, as authors build it.
func TestGoGuest(t *testing.T) {
	var lines []string
	dir := t.TempDir() + "/cache"
	p := load(t, goWasm(t), func(o *Options) {
		o.InProcess, o.CacheDir = false, dir
		o.Host = &fakeHost{log: func(level int, text string) { lines = append(lines, fmt.Sprint(level, " ", text)) }}
	})
	year := time.Now().UTC().Year()
	tests := []struct{ in, want string }{
		{"hello", "hello"},
		{"", ""},
		{"goroutine x", "1"},
		{"world x", fmt.Sprintf("0 args 0 env open /etc/hostname: Bad file number year %d random true", year)},
		{"print x", "print x"},
	}
	for _, tt := range tests {
		a, err := p.Call(t.Context(), abi.ToolCall, []abi.Pair{{Key: "tool", Value: "go"}}, []byte(tt.in), InvokerBudget)
		if err != nil || string(a.Payload) != tt.want {
			t.Errorf("%q: %q %v, want %q", tt.in, a.Payload, err, tt.want)
		}
	}
	if got := strings.Join(lines, "|"); got != "1 to standard output|2 to standard error" && got != "2 to standard error|1 to standard output" {
		t.Errorf("log: %q", got)
	}
	faults := []struct {
		in   string
		code core.Code
	}{
		{"spin", core.CodeTimeout},
		{"recurse", core.CodeInternal},
		{"panic", core.CodeInternal},
		{"exit", core.CodeInternal},
		{"eat", core.CodeInternal},
		{"sleep", core.CodeTimeout},
	}
	for _, tt := range faults {
		begin := time.Now()
		_, err := p.Call(t.Context(), abi.ToolCall, nil, []byte(tt.in), Budget{Wall: time.Second, CPU: 500 * time.Millisecond})
		if err == nil || core.AsError(err).Code != tt.code {
			t.Errorf("%s: %v, want %s", tt.in, err, tt.code)
		}
		t.Logf("%s: %v after %v", tt.in, core.AsError(err).Public(), time.Since(begin).Round(time.Millisecond))
		p.breaker.mu.Lock() // this test breaks more than the breaker likes
		p.breaker.times, p.breaker.until = [breakAfter]time.Time{}, time.Time{}
		p.breaker.tripped.Store(false)
		p.breaker.mu.Unlock()
		if a, err := p.Call(t.Context(), abi.ToolCall, nil, []byte("again"), InvokerBudget); err != nil || string(a.Payload) != "again" {
			t.Errorf("after %s: %q %v", tt.in, a.Payload, err)
		}
	}
}

// Restoring a Go guest brings back its heap and its scheduler as they were.
func TestGoGuestIsolated(t *testing.T) {
	p := load(t, goWasm(t), func(o *Options) { o.Isolation, o.InProcess, o.CacheDir = PerCall, false, t.TempDir()+"/cache" })
	for n := range 20 {
		a, err := p.Call(t.Context(), abi.ToolCall, nil, []byte("count"), InvokerBudget)
		if err != nil || string(a.Payload) != "1" {
			t.Fatalf("call %d: %q %v: a call sees another's", n, a.Payload, err)
		}
		waitFor(t, func() bool { return p.Stats().Free == 1 })
	}
	t.Logf("%d of 20 were replaced, the others restored", p.Stats().Recycled)
	if p.Stats().Recycled > 5 {
		t.Errorf("%d of 20 were replaced", p.Stats().Recycled)
	}
}
