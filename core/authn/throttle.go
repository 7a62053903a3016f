package authn

import (
	"net/netip"
	"sync"
	"time"
)

// Limits on tries of passwords. An account at an address has the fewest; an account from
// everywhere, and an address at all accounts, have more, so that neither a stranger locks
// somebody out easily nor colleagues behind one address do each other.
const (
	pairTries    = 5
	accountTries = 25
	addressTries = 50
	tryWindow    = 15 * time.Minute
	longestWait  = 4 * time.Hour
	forgetAfter  = 24 * time.Hour // how long a wait makes the next one longer
	maxTried     = 50_000
)

// throttle counts tries that failed. It is safe for concurrent use.
type throttle struct {
	mu    sync.Mutex
	tried map[tried]*tries
}

// tried is what tries are counted for.
type tried struct {
	scope                    int // index of tryLimits
	tenant, account, address string
}

// tryLimits are those of an account at an address, of an account, and of an address.
var tryLimits = [...]int{pairTries, accountTries, addressTries}

type tries struct {
	limit   int
	begun   time.Time // when the first of count was
	count   int
	until   time.Time // nobody may try before
	waits   int       // how often it came to that
	noticed bool      // the first try that was turned away has been told of
}

func newThrottle() *throttle { return &throttle{tried: map[tried]*tries{}} }

// attempt is one try. It counts as failed until it is forgiven.
type attempt struct {
	t    *throttle
	keys []tried
}

// begin counts a try. wait is how long there may be none; then it is not counted, and
// first tells that this is the first one turned away.
func (t *throttle) begin(tenant, account, address string, now time.Time) (a *attempt, wait time.Duration, first bool) {
	address = network(address)
	a = &attempt{t: t, keys: []tried{{0, tenant, account, address}, {1, tenant, account, ""}, {2, "", "", address}}}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range a.keys {
		if one := t.tried[key]; one != nil && now.Before(one.until) {
			wait = max(wait, one.until.Sub(now))
			first = first || !one.noticed
			one.noticed = true
		}
	}
	if wait > 0 {
		return nil, wait, first
	}
	for _, key := range a.keys {
		t.of(key, now).add(now)
	}
	return a, 0, false
}

// of returns the tries of a key.
func (t *throttle) of(key tried, now time.Time) *tries {
	if one := t.tried[key]; one != nil {
		return one
	}
	if len(t.tried) >= maxTried {
		t.sweep(now)
	}
	one := &tries{limit: tryLimits[key.scope]}
	t.tried[key] = one
	return one
}

// sweep makes room: first what is over, then whatever does not make anybody wait, then
// anything.
func (t *throttle) sweep(now time.Time) {
	over := []func(*tries) bool{
		func(one *tries) bool { return now.Sub(one.begun) > forgetAfter && now.After(one.until) },
		func(one *tries) bool { return !now.Before(one.until) },
		func(*tries) bool { return true },
	}
	for _, gone := range over {
		for key, one := range t.tried {
			if gone(one) {
				delete(t.tried, key)
			}
			if len(t.tried) < maxTried*9/10 {
				return
			}
		}
	}
}

func (one *tries) add(now time.Time) {
	if now.Sub(one.begun) >= tryWindow {
		if now.Sub(one.begun) > forgetAfter {
			one.waits = 0
		}
		one.begun, one.count = now, 0
	}
	if one.count++; one.count >= one.limit {
		// The last try that is allowed runs; the next must wait, each time twice as long.
		one.until = now.Add(min(tryWindow<<min(one.waits, 10), longestWait))
		one.waits++
		one.count, one.noticed = 0, false
		one.begun = one.until.Add(-tryWindow)
	}
}

// forgive takes the try back: it was right. The pair begins again; the account and the
// address only get this one back, or who knows one password could try others for ever.
func (a *attempt) forgive() {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	for i, key := range a.keys {
		one := a.t.tried[key]
		switch {
		case one == nil:
		case i == 0:
			delete(a.t.tried, key)
		case one.count > 0:
			one.count--
		default: // this one made the others wait
			one.until, one.count = time.Time{}, one.limit-1
			one.waits--
		}
	}
}

// network returns what stands for an address: the whole of it, or of IPv6 the /64, of
// which one customer has all.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
