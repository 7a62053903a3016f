package sandbox

import (
	"sync"
	"sync/atomic"
	"time"
)

// breaker makes a plugin rest that breaks its instances: after breakAfter discards
// within breakWithin it is degraded, for 1 s at first and twice as long each time it
// breaks again, at most for breakMost. The first call after that time tries it; if it
// goes well, the rest is over.
type breaker struct {
	tripped atomic.Bool // false = nothing below matters to a call

	mu    sync.Mutex
	times [breakAfter]time.Time // of the last discards, a ring
	at    int
	until time.Time     // degraded until then; zero = not
	broke time.Time     // when it last began to rest
	rest  time.Duration // how long it rested last
	probe bool          // a call tries it now
}

const (
	breakAfter  = 5
	breakWithin = 30 * time.Second
	breakFirst  = time.Second
	breakMost   = time.Minute
	breakForget = 5 * time.Minute // after so long without, the next rest is short again
)

// allow reports whether a call may run, else how long to wait. A call that may run
// ends with worked, discarded or undecided.
func (b *breaker) allow(now time.Time) (wait time.Duration, ok bool) {
	if !b.tripped.Load() {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch left := b.until.Sub(now); {
	case b.until.IsZero():
		return 0, true
	case left > 0:
		return left, false
	case b.probe:
		return time.Second, false
	}
	b.probe = true
	return 0, true
}

// discarded counts one instance that broke, and reports whether that begins a rest.
func (b *breaker) discarded(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.times[b.at] = now
	b.at = (b.at + 1) % breakAfter
	oldest := b.times[b.at]
	switch {
	case b.probe: // the try failed
	case !b.until.IsZero(): // it rests; this call began before
		return false
	case oldest.IsZero() || now.Sub(oldest) > breakWithin:
		return false
	}
	if now.Sub(b.broke) > breakForget {
		b.rest = 0
	}
	b.rest = min(max(2*b.rest, breakFirst), breakMost)
	b.until, b.broke = now.Add(b.rest), now
	b.probe = false
	b.tripped.Store(true)
	return true
}

// worked ends a rest: the try went well.
func (b *breaker) worked() {
	if !b.tripped.Load() {
		return
	}
	b.mu.Lock()
	if b.probe {
		b.times, b.until, b.probe = [breakAfter]time.Time{}, time.Time{}, false
		b.tripped.Store(false)
	}
	b.mu.Unlock()
}

// undecided leaves the try to the next call: this one ended without telling.
func (b *breaker) undecided() {
	if !b.tripped.Load() {
		return
	}
	b.mu.Lock()
	b.probe = false
	b.mu.Unlock()
}

// degraded returns until when the plugin rests; zero = it does not.
func (b *breaker) degraded(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.After(now) {
		return b.until
	}
	return time.Time{}
}
