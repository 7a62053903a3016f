package limits

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

// Whatever the calls and the clock: in no span of time do more pass than the burst and what
// the rate gives in that span.
func TestNeverMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if wrong := window(drawn(t), false); wrong != "" {
			t.Fatal(wrong)
		}
	})
}

// The property sees a bucket that gives back a fifth of what was taken.
func TestNeverMoreThanTheRateBites(t *testing.T) {
	plays := rapid.Custom(drawn)
	for i := range 200 {
		if window(plays.Example(i), true) != "" {
			return
		}
	}
	t.Error("no example shows the leak")
}

// play is a limit and the times between calls.
type play struct {
	limit core.Limit
	waits []time.Duration
}

func drawn(t *rapid.T) play {
	p := play{limit: core.Limit{Rate: rapid.Float64Range(0.1, 500).Draw(t, "rate"), Burst: rapid.IntRange(0, 20).Draw(t, "burst")}}
	for range rapid.IntRange(1, 200).Draw(t, "calls") {
		p.waits = append(p.waits, time.Duration(rapid.OneOf(
			rapid.Just(int64(0)), rapid.Int64Range(0, int64(time.Second/100)), rapid.Int64Range(0, int64(3*time.Second)), rapid.Int64Range(-int64(time.Second), 0),
		).Draw(t, "wait")))
	}
	return p
}

// window plays and tells in which span too many passed. The span is of the latest time
// that was ever seen: a clock that steps back gives nothing.
func window(p play, leak bool) string {
	c := newClock()
	l := newLimits(c, p.limit)
	burst := float64(p.limit.Burst)
	if burst == 0 {
		burst = max(1, float64(int(p.limit.Rate+0.999999999)))
	}
	var passed []float64 // seconds
	begin, latest := c.now(), c.now()
	for _, wait := range p.waits {
		c.pass(wait)
		if c.now().After(latest) {
			latest = c.now()
		}
		if !passes(l, ann, echo) {
			continue
		}
		if leak {
			r := l.rules.Load().in("acme")[0]
			b := l.buckets.find(r.key("ann", "", "acme", "", ""))
			b.tat -= r.interval / 5
		}
		passed = append(passed, latest.Sub(begin).Seconds())
		for i := range passed {
			if n, span := float64(len(passed)-i), passed[len(passed)-1]-passed[i]; n > burst+p.limit.Rate*span+1e-6 {
				return fmt.Sprintf("%v calls in %v s, rate %v, burst %v", n, span, p.limit.Rate, burst)
			}
		}
	}
	return ""
}
