package mcp

import "time"

// What a client sends and we keep beyond the request is bounded, beside Limits, by:
const (
	maxSubscriptions     = 1000      // resources that one session or listen stream follows
	maxSubscriptionBytes = 256 << 10 // of their URIs together
	maxID                = 1024      // bytes of an id or a progress token, which come back in every message
	maxAbout             = 8 << 10   // bytes of clientInfo, and of capabilities, that a session remembers as sent
)

// orDefault fills what is zero.
func (l Limits) orDefault() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Batch, 100)
	set(&l.Rounds, 8)
	set(&l.Replay, 256)
	set(&l.ReplayBytes, 1<<20)
	set(&l.ReplayTotal, 64<<20)
	set(&l.InFlight, 64)
	if l.AskTimeout <= 0 {
		l.AskTimeout = 5 * time.Minute
	}
	if l.FollowTimeout <= 0 {
		l.FollowTimeout = 20 * time.Second
	}
	if l.StateTTL <= 0 {
		l.StateTTL = 15 * time.Minute
	}
	return l
}
