package egress

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// budget keeps retries to a tenth of the requests of one upstream, so that an
// upstream in trouble is not sent more of it. One more is earned every ten
// seconds, for upstreams that are seldom called.
type budget struct {
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

const (
	budgetShare = 0.1
	budgetTime  = 10 * time.Second
	budgetMost  = 10
)

// earn counts one request.
func (b *budget) earn(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() {
		b.tokens = 1
	} else if since := now.Sub(b.last); since > 0 {
		b.tokens += float64(since) / float64(budgetTime)
	}
	b.last = now
	b.tokens = min(b.tokens+budgetShare, budgetMost)
}

// spend takes one retry, or returns false.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// backoff is how long to wait before try number n (1 = first retry): 50 ms
// doubled each time, at most 2 s, of which a random half is taken off.
func backoff(n int, random float64) time.Duration {
	d := min(50*time.Millisecond<<min(n-1, 6), 2*time.Second)
	return d - time.Duration(float64(d)/2*random)
}

// again tells whether a status says that the same request may do better later.
func again(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter reads the header of that name (RFC 9110 10.2.3): seconds or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if value == "" {
		return 0, false
	}
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(at.Sub(now), 0), true
}

// pause waits d, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
