package egress

import (
	"net/netip"

	"github.com/sallyport/sallyport/core"
)

// Unguard switches the SSRF guard off: the test of the test needs to see red.
func Unguard(e *Egress) { e.unguarded = true }

// Shared counts what upstreams share now.
func Shared(e *Egress) (pools, lanes, idle int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.pools {
		idle += s.idle()
	}
	return len(e.pools), len(e.lanes), idle
}

// Allowed asks the guard that opens nothing.
func Allowed(a netip.Addr) bool { return (&guard{}).allows(a) }

// Streams counts the open streams of all upstreams.
func Streams(e *Egress) int64 { return e.countStreams() }

// Sweep closes what was idle too long, as the timer does.
func Sweep(e *Egress) { e.sweep() }

// Late counts the idle connections whose last answer has not ended, as far as a sweep sees.
func Late(e *Egress) (n int) {
	e.sweep()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.pools {
		p := s.transport.(*pool)
		p.mu.Lock()
		n += len(p.late)
		p.mu.Unlock()
	}
	return n
}

// Crowd lets an upstream have any number of streams: the test of the test of their bound.
func Crowd(u core.Upstream) { u.(*upstream).lane.streams.most = 1 << 40 }
