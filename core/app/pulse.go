package app

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/sallyport/sallyport/core"
)

// pulse tells the other replicas that this one is alive and which sessions it has, and
// learns how many they are.
type pulse struct {
	store    core.Store
	about    func() core.Replica
	sessions func() []core.LiveSession
	replicas func(int) // told how many are alive; may be nil
	log      *slog.Logger
}

const (
	pulseEvery = 15 * time.Second
	// aliveFor is how long ago a replica may have been seen.
	aliveFor = 4 * pulseEvery
	mostLive = 5000 // sessions that are told in one go
)

// run beats until ctx ends.
func (p *pulse) run(ctx context.Context) {
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for {
		if err := p.beat(ctx); err != nil && ctx.Err() == nil {
			p.log.Debug("tell the other replicas", "error", err) // that the store is away is said elsewhere
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *pulse) beat(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, pulseEvery)
	defer stop()
	now := time.Now()
	one := p.about()
	one.Seen = now
	rows := []core.Row{&one}
	live := p.sessions()
	for i := range live[:min(len(live), mostLive)] {
		live[i].Expires = now.Add(aliveFor) // of the row: the next beat brings it again
		rows = append(rows, &live[i])
	}
	if err := p.store.Append(ctx, rows...); err != nil {
		return err
	}
	if _, err := p.store.Prune(ctx, "session", now); err != nil {
		return err
	}
	var all []core.Replica
	if _, err := p.store.List(ctx, &all, core.Query{Tenant: core.EveryTenant, Limit: 1000}); err != nil {
		return err
	}
	alive := 0
	for i := range all {
		if now.Sub(all[i].Seen) < aliveFor {
			alive++
		}
	}
	if p.replicas != nil {
		p.replicas(max(1, alive))
	}
	return nil
}

// aboutReplica is how this process is told to others.
func (h *gatehouse) aboutReplica() core.Replica {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	one := core.Replica{ID: h.replica, Name: name, Version: version, Started: h.started}
	if state := h.door.keeper.state(); state != nil {
		one.Revision = state.Revision
	}
	return one
}
