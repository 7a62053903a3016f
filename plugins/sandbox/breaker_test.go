package sandbox

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	var b breaker
	fail := func(want bool) {
		t.Helper()
		if got := b.discarded(at); got != want {
			t.Fatalf("after a discard: degraded %v, want %v", got, want)
		}
	}
	allowed := func(want bool) {
		t.Helper()
		if _, got := b.allow(at); got != want {
			t.Fatalf("allowed %v, want %v", got, want)
		}
	}
	// Five in more than 30 s are fine, for ever.
	for range 20 {
		fail(false)
		at = at.Add(8 * time.Second)
		allowed(true)
	}
	at = at.Add(time.Minute)
	for range breakAfter - 1 {
		fail(false)
	}
	fail(true)
	fail(false) // a call that began before
	allowed(false)
	// The rest doubles while the tries fail, up to a minute.
	for _, rest := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := b.degraded(at).Sub(at); got != time.Duration(rest)*time.Second {
			t.Fatalf("rests %v, want %d s", got, rest)
		}
		at = at.Add(time.Duration(rest)*time.Second - 1)
		allowed(false)
		at = at.Add(1)
		allowed(true)
		allowed(false) // one try at a time
		b.undecided()
		allowed(true)
		fail(true)
	}
	at = at.Add(time.Minute)
	allowed(true)
	b.worked()
	allowed(true)
	allowed(true)
	if !b.degraded(at).IsZero() {
		t.Error("still degraded")
	}
	// Soon again: it remembers how long it rested.
	for range breakAfter {
		b.discarded(at)
	}
	if got := b.degraded(at).Sub(at); got != time.Minute {
		t.Errorf("rests %v", got)
	}
	at = at.Add(time.Minute)
	allowed(true)
	b.worked()
	at = at.Add(time.Hour)
	for range breakAfter {
		b.discarded(at)
	}
	if got := b.degraded(at).Sub(at); got != time.Second {
		t.Errorf("after an hour it rests %v", got)
	}
}
