package authn

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Run writes last uses of tokens, makes users of those whom providers vouch for and keeps
// keys of issuers fresh, until ctx ends. It returns when the last of it has ended.
func (a *Authn) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case p := <-a.provisions:
				a.provision(ctx, p)
			}
		}
	})
	work.Go(func() { every(ctx, keysRefresh, a.refreshKeys) })
	work.Go(func() { every(ctx, a.flush, a.flushUses) })
	work.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	a.flushUses(last)
}

func every(ctx context.Context, pause time.Duration, f func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f(ctx)
		}
	}
}

// refreshKeys asks every issuer that is in use for its keys.
func (a *Authn) refreshKeys(ctx context.Context) {
	a.mu.Lock()
	issuers := make([]*issuer, 0, len(a.issuers))
	for _, is := range a.issuers {
		issuers = append(issuers, is)
	}
	a.mu.Unlock()
	for _, is := range issuers {
		if ctx.Err() != nil {
			return
		}
		is.mu.Lock()
		idle := is.tried.IsZero() // nobody needed its keys yet
		is.mu.Unlock()
		if idle {
			continue
		}
		_ = is.refresh(ctx) // what went wrong stands in failed
		is.mu.Lock()
		failed := is.failed
		is.mu.Unlock()
		if failed != nil {
			a.log.WarnContext(ctx, "keys of an issuer not refreshed", slog.String("issuer", is.url))
		}
	}
}

// maxUses bounds what waits to be written, should the store be away for long.
const maxUses = 100_000

// use notes that a token is used now.
func (a *Authn) use(u *used, now time.Time) {
	if u == nil {
		return
	}
	minute := now.Unix() / 60
	if u.minute.Load() == minute || u.minute.Swap(minute) == minute {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.uses) < maxUses {
		a.uses[u.key] = max(a.uses[u.key], minute)
	}
}

// flushUses writes when tokens were last used.
func (a *Authn) flushUses(ctx context.Context) {
	ix := a.index.Load()
	a.mu.Lock()
	uses := a.uses
	a.uses = map[[2]string]int64{}
	a.mu.Unlock()
	if ix == nil || len(uses) == 0 {
		return
	}
	var rows []core.Row
	for _, t := range ix.tokens {
		minute, found := uses[[2]string{t.Tenant, t.ID}]
		at := time.Unix(minute*60, 0).UTC()
		if !found || t.LastUsed != nil && !t.LastUsed.Before(at) {
			continue
		}
		row := *t
		row.LastUsed = &at
		rows = append(rows, &row)
	}
	const batch = 500
	for len(rows) > 0 {
		n := min(batch, len(rows))
		if err := a.store.Append(ctx, rows[:n]...); err != nil {
			a.log.WarnContext(ctx, "last uses of tokens not written", slog.Int("tokens", len(rows)), slog.Any("error", err))
			a.mu.Lock()
			for _, row := range rows {
				key := row.Key()
				at := [2]string{key.Tenant, key.ID}
				a.uses[at] = max(a.uses[at], uses[at])
			}
			a.mu.Unlock()
			return
		}
		rows = rows[n:]
	}
}
