package mcp

import "time"

// maxSubscriptions bounds the resources that one session or listen stream follows.
const maxSubscriptions = 1000

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
	set(&l.InFlight, 64)
	if l.AskTimeout <= 0 {
		l.AskTimeout = 5 * time.Minute
	}
	if l.StateTTL <= 0 {
		l.StateTTL = 15 * time.Minute
	}
	return l
}
