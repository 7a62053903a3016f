package limits

import (
	"sync"
	"sync/atomic"
	"time"
)

// bucket is what was used of one limit by those who are counted together.
type bucket struct {
	pins  atomic.Int32 // callers of get that have not let go: it must not be dropped
	mu    sync.Mutex
	tat   int64 // theoretical arrival time of the next call (GCRA), nanoseconds of our clock
	inUse int32
	day   int64 // of UTC, since 1970
	count int64 // in day
}

// moment is now, in the two ways that limits count it.
type moment struct {
	tick     int64 // nanoseconds since Limits was made; it does not jump when the wall clock is set
	day      int64 // of UTC, since 1970
	midnight time.Duration
}

const dayLong = 24 * time.Hour

// check tells how long to wait before the rule allows one more call; 0 = it does. What of
// the rule refuses is why. The bucket is locked.
func (b *bucket) check(r *rule, now moment) (wait time.Duration, why reason) {
	if r.limit.PerDay > 0 {
		// A clock that was set back does not begin a new day.
		if now.day > b.day {
			b.day, b.count = now.day, 0
		}
		if b.count >= r.limit.PerDay {
			wait, why = now.midnight+time.Duration(b.day-now.day)*dayLong, dayQuota
		}
	}
	if r.atOnce > 0 && b.inUse >= r.atOnce && wait == 0 {
		wait, why = time.Second, concurrency
	}
	if r.interval > 0 && wait == 0 {
		if over := max(b.tat, now.tick) + r.interval - now.tick - r.ahead; over > 0 {
			wait, why = time.Duration(over), rate
		}
	}
	return wait, why
}

// take counts one call that check has allowed. The bucket is locked.
func (b *bucket) take(r *rule, now moment) {
	if r.limit.PerDay > 0 {
		b.count++
	}
	if r.atOnce > 0 {
		b.inUse++
	}
	if r.interval > 0 {
		b.tat = max(b.tat, now.tick) + r.interval
	}
}

// idle tells whether a new bucket would do as well. The bucket is locked.
func (b *bucket) idle(now moment) bool {
	return b.inUse == 0 && b.tat <= now.tick && (b.count == 0 || b.day < now.day)
}

// reason says what of a rule refused.
type reason uint8

const (
	rate reason = iota
	concurrency
	dayQuota
)
