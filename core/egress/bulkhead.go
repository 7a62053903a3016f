package egress

import (
	"context"
	"errors"
	"sync"
	"time"
)

// bulkhead bounds how much of the gateway one upstream can hold: so many exchanges
// at once, so many waiting, none of them longer than a second. First come, first
// served.
type bulkhead struct {
	flights, queue int

	mu      sync.Mutex
	busy    int
	waiting []chan struct{} // FIFO; a closed channel is a granted place
}

const queueTime = time.Second

var errShed = errors.New("too many exchanges with this upstream are in flight")

// enter takes a place, waiting for one at most until queueTime is over, deadline
// comes or ctx ends.
func (b *bulkhead) enter(ctx context.Context, now, deadline time.Time) error {
	b.mu.Lock()
	if b.busy < b.flights {
		b.busy++
		b.mu.Unlock()
		return nil
	}
	if len(b.waiting) >= b.queue {
		b.mu.Unlock()
		return errShed
	}
	turn := make(chan struct{})
	b.waiting = append(b.waiting, turn)
	b.mu.Unlock()

	patience := time.NewTimer(min(queueTime, deadline.Sub(now)))
	defer patience.Stop()
	select {
	case <-turn:
		return nil
	case <-patience.C:
		return b.giveUp(turn, errShed)
	case <-ctx.Done():
		return b.giveUp(turn, ctx.Err())
	}
}

// giveUp leaves the queue with err, or returns nil when the place was granted in
// the same moment: it must be used or left then, and using it is right for both.
func (b *bulkhead) giveUp(turn chan struct{}, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == turn {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return err
		}
	}
	return nil
}

// leave hands the place to the first who waits, or frees it.
func (b *bulkhead) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.busy--
		return
	}
	close(b.waiting[0])
	copy(b.waiting, b.waiting[1:])
	b.waiting[len(b.waiting)-1] = nil
	b.waiting = b.waiting[:len(b.waiting)-1]
}

// inFlight is the number of exchanges now, for the gauge.
func (b *bulkhead) inFlight() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy
}
