package sandbox

import (
	"testing"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

// A spare is no instance of the pool, and is restored only where calls are apart.
func TestSpare(t *testing.T) {
	for isolation, restored := range map[string]bool{Shared: false, PerCall: true} {
		p := load(t, guests.Echo(), func(o *Options) { o.Isolation, o.Limits.Instances = isolation, 1 })
		s, err := p.Spare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Memory() != p.Stats().Memory || s.Memory() == 0 {
			t.Errorf("%d bytes, those of the pool have %d", s.Memory(), p.Stats().Memory)
		}
		if got := s.Restore(); got != restored {
			t.Errorf("isolation %s: restored %v", isolation, got)
		}
		if _, err := p.Call(t.Context(), abi.ToolCall, nil, []byte("x"), InvokerBudget); err != nil {
			t.Error(err) // it takes no place of the pool
		}
		s.Close()
		if p.Stats().Instances != 1 {
			t.Errorf("%d instances", p.Stats().Instances)
		}
	}
}

// What is observed of a call ends with the guest's code, by the same clock.
func TestObservedDuration(t *testing.T) {
	var seen []Event
	p := load(t, guests.Echo(), func(o *Options) { o.Observe = func(e Event) { seen = append(seen, e) } })
	if _, err := p.Call(t.Context(), abi.ToolCall, nil, []byte("x"), InvokerBudget); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Call(t.Context(), "sallyport_nothing", nil, nil, InvokerBudget); err == nil {
		t.Fatal("the echo has an export of any name")
	}
	for n, e := range seen {
		if e.Duration <= 0 || e.Duration < e.CPU {
			t.Errorf("event %d: %v, of which %v of CPU", n, e.Duration, e.CPU)
		}
	}
	if len(seen) != 2 || seen[0].CPU <= 0 {
		t.Errorf("%+v", seen)
	}
}
