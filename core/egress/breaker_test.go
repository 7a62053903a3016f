package egress

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// The half-open breaker, as a script of what begins and how it ends. A probe that hangs,
// such as a call of minutes, keeps nobody out for longer than the breaker is open.
func TestBreakerProbes(t *testing.T) {
	const open = 5 * time.Second
	type step struct {
		after time.Duration // of the breaker's half-opening
		ends  int           // which probe ends here, counted from 1; 0 = an exchange begins
		how   verdict
		wants bool // the exchange that begins may start
	}
	tests := []struct {
		name  string
		steps []step
		open  bool // in the end
	}{
		{"one probes", []step{{0, 0, 0, true}, {time.Second, 0, 0, false}}, true},
		{"good", []step{{0, 0, 0, true}, {1, 1, good, false}, {2, 0, 0, true}, {2, 0, 0, true}}, false},
		{"bad", []step{{0, 0, 0, true}, {1, 1, bad, false}, {time.Second, 0, 0, false}, {2 * open, 0, 0, true}}, true},
		{"given up", []step{{0, 0, 0, true}, {1, 1, unknown, false}, {2, 0, 0, true}}, true},
		{"one that hangs", []step{{0, 0, 0, true}, {open - 1, 0, 0, false}, {open, 0, 0, true}, {open + 1, 0, 0, false}}, true},
		{"a second one is good", []step{{0, 0, 0, true}, {open, 0, 0, true}, {open + 1, 2, good, false}, {open + 2, 0, 0, true}}, false},
		{"the first is good after all", []step{{0, 0, 0, true}, {open, 0, 0, true}, {open + 1, 1, good, false}, {open + 2, 0, 0, true}}, false},
		{"the first is bad after all", []step{{0, 0, 0, true}, {open, 0, 0, true}, {open + 1, 1, bad, false}, {2 * open, 0, 0, true}, {2*open + 1, 2, good, false}}, false},
		{"it breaks when all is well again", []step{{0, 0, 0, true}, {open, 0, 0, true}, {open + 1, 2, good, false}, {open + 2, 1, bad, false}, {open + 3, 0, 0, true}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBreaker(core.Breaker{Requests: 2, Open: open}, func() float64 { return 0 })
			now := time.Unix(1000, 0)
			for range 2 {
				b.leave(now, b.enter(now), bad)
			}
			if b.enter(now).ok {
				t.Fatal("it is not open")
			}
			half := now.Add(open)
			var probes []ticket
			for i, s := range tt.steps {
				at := half.Add(s.after)
				if s.ends > 0 {
					b.leave(at, probes[s.ends-1], s.how)
					continue
				}
				got := b.enter(at)
				if got.ok != s.wants {
					t.Errorf("step %d: may start %v, want %v", i, got.ok, s.wants)
				}
				if got.ok {
					probes = append(probes, got)
				}
			}
			if b.isOpen() != tt.open {
				t.Errorf("open %v in the end", b.isOpen())
			}
		})
	}
}
