package main

import (
	"context"
	"time"
)

// reloadResult is what many reloads under load did.
type reloadResult struct {
	Written, Applied       int
	Elapsed                time.Duration
	Calls, Lists           int64
	Failed, Mixed          int64
	Why                    string
	P99                    time.Duration
	RSSBefore, RSSAfter    int64
	Goroutines, GoroutineB int64
}

// reloadEvery makes a thousand reloads a minute.
const reloadEvery = 60 * time.Millisecond

// measureReload rewrites the document again and again while clients call tools and
// read lists: nothing may fail, and no list may mix two revisions.
func measureReload(ctx context.Context, g *gateway, total time.Duration) (reloadResult, error) {
	var r reloadResult
	p, err := g.start(ctx)
	if err != nil {
		return r, err
	}
	defer p.end()
	settle := func() (rss, goroutines int64, err error) {
		time.Sleep(1500 * time.Millisecond)
		n, err := metric(ctx, p, "go_goroutines", "")
		return p.rss(), int64(n), err
	}
	if err := r.load(ctx, p, 500*time.Millisecond, func() error { return nil }); err != nil { // warm
		return r, err
	}
	r = reloadResult{}
	if r.RSSBefore, r.GoroutineB, err = settle(); err != nil {
		return r, err
	}
	applied, err := metric(ctx, p, "sallyport_reloads_total", `ok="true"`)
	if err != nil {
		applied = 0 // none was counted yet
	}
	start := time.Now()
	err = r.load(ctx, p, total+time.Second, func() error {
		tick := time.NewTicker(reloadEvery)
		defer tick.Stop()
		for time.Since(start) < total {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
			if err := g.write(); err != nil {
				return err
			}
			r.Written++
		}
		r.Elapsed = time.Since(start)
		return nil
	})
	if err != nil {
		return r, err
	}
	after, err := metric(ctx, p, "sallyport_reloads_total", `ok="true"`)
	if err != nil {
		return r, err
	}
	r.Applied = int(after - applied)
	r.RSSAfter, r.Goroutines, err = settle()
	return r, err
}

// load runs the two loads beside work and adds up what they saw.
func (r *reloadResult) load(ctx context.Context, p *process, each time.Duration, work func() error) error {
	calls, lists := make(chan error, 1), make(chan error, 1)
	var called, listed loadReport
	go func() {
		calls <- ask(ctx, &called, "load", "-target", p.address, "-kind", "call", "-clients", "4", "-duration", each.String(), "-rate", "400")
	}()
	go func() {
		lists <- ask(ctx, &listed, "load", "-target", p.address, "-kind", "twins", "-clients", "2", "-duration", each.String(), "-rate", "100")
	}()
	err := work()
	for _, done := range []chan error{calls, lists} {
		if e := <-done; err == nil {
			err = e
		}
	}
	r.Calls, r.Lists, r.P99 = called.Calls, listed.Calls, called.P99
	r.Failed, r.Mixed = called.Failed+listed.Failed, listed.Mixed
	r.Why = called.Why + listed.Why
	return err
}
