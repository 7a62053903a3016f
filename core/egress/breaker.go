package egress

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// breaker is a circuit breaker over a sliding window of time (core.Breaker). It is
// closed, open, or half-open: then one exchange probes, and its outcome decides.
type breaker struct {
	set  core.Breaker
	rand func() float64

	mu        sync.Mutex
	ring      [breakerSlices]slice
	openUntil time.Time
	open      bool
	probing   bool
	probed    time.Time // when the last probe began
}

// slice counts the exchanges of one tenth of the window.
type slice struct {
	turn          int64 // which slice of time this is, since 1970
	total, faulty int
}

const breakerSlices = 10

func newBreaker(set core.Breaker, rand func() float64) *breaker {
	if set.Share <= 0 || set.Share > 1 {
		set.Share = 0.5
	}
	if set.Requests <= 0 {
		set.Requests = 20
	}
	if set.Window <= 0 {
		set.Window = 10 * time.Second
	}
	if set.Open <= 0 {
		set.Open = 5 * time.Second
	}
	return &breaker{set: set, rand: rand}
}

// verdict of one exchange, for the breaker.
type verdict int

const (
	unknown verdict = iota // the caller left, or the exchange was never tried
	good
	bad
)

// ticket is the answer of enter; it goes back to leave.
type ticket struct {
	ok    bool
	probe bool
	at    time.Time     // when the probe began
	wait  time.Duration // how long the breaker stays open when not ok
}

// enter tells whether an exchange may start. Every ticket that is ok goes back
// through leave.
func (b *breaker) enter(now time.Time) ticket {
	if b.set.Off {
		return ticket{ok: true}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return ticket{ok: true}
	}
	if wait := b.openUntil.Sub(now); wait > 0 {
		return ticket{wait: wait}
	}
	// A probe may take as long as a call does, and a stream without a head even longer:
	// it keeps nobody out for more than the time that the breaker is open.
	if b.probing && now.Sub(b.probed) < b.set.Open {
		return ticket{wait: time.Second}
	}
	b.probing, b.probed = true, now
	return ticket{ok: true, probe: true, at: now}
}

// leave reports how an exchange went.
func (b *breaker) leave(now time.Time, t ticket, v verdict) {
	if b.set.Off {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.probe && b.open {
		b.decide(now, t, v)
		return
	}
	// What began before the breaker opened says nothing new.
	if b.open || v == unknown {
		return
	}
	turn := b.turn(now)
	s := &b.ring[turn%breakerSlices]
	if s.turn != turn {
		*s = slice{turn: turn}
	}
	s.total++
	if v == bad {
		s.faulty++
		b.judge(now)
	}
}

// decide takes the outcome of a probe. The caller holds mu.
func (b *breaker) decide(now time.Time, t ticket, v verdict) {
	if v == good {
		b.open, b.probing, b.ring = false, false, [breakerSlices]slice{}
		return
	}
	if !t.at.Equal(b.probed) {
		return // another probe began since, and decides
	}
	b.probing = false // the next exchange probes
	if v == bad {
		b.trip(now)
	}
}

// recant takes back what leave was told at that time: good, of a stream whose head was
// good, but whose body broke. What has left the window by then stays as it was: a stream
// that was cut after an hour says little about the next exchange.
func (b *breaker) recant(now, at time.Time) {
	if b.set.Off {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	turn := b.turn(at)
	s := &b.ring[turn%breakerSlices]
	if b.open || s.turn != turn || s.faulty >= s.total {
		return
	}
	s.faulty++
	b.judge(now)
}

// turn tells which slice of time t is in, since 1970.
func (b *breaker) turn(t time.Time) int64 {
	return t.UnixNano() / (int64(b.set.Window) / breakerSlices)
}

// judge trips when too much failed within the window. The caller holds mu.
func (b *breaker) judge(now time.Time) {
	turn := b.turn(now)
	total, faulty := 0, 0
	for i := range b.ring {
		if b.ring[i].turn > turn-breakerSlices {
			total += b.ring[i].total
			faulty += b.ring[i].faulty
		}
	}
	if total >= b.set.Requests && float64(faulty) >= b.set.Share*float64(total) {
		b.trip(now)
	}
}

// trip opens the breaker, for up to a fifth longer than asked so that replicas do
// not probe in step. The caller holds mu.
func (b *breaker) trip(now time.Time) {
	b.open = true
	b.openUntil = now.Add(b.set.Open + time.Duration(float64(b.set.Open)*0.2*b.rand()))
}

// isOpen tells the state, for the gauge.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}
