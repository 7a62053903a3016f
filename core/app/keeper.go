package app

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// keeper keeps the State that calls run on: it asks the store whether its revision has
// risen, reads the State whole, and hands it to everybody who answers calls. While the
// store is away, everybody goes on with what they have.
//
//	store ─revision─► keeper ─State─► vault, authn, authz, limits, accounts, audit ─► documents of each tenant
//	                    └─► sealed on disk, for a start while the store is away
type keeper struct {
	store core.Store
	poll  time.Duration
	log   *slog.Logger
	// use hands a State on. Its error keeps the State before.
	use func(ctx context.Context, before, state *core.State) error
	// heard is told whenever the store answers, also where nothing changed; nil = nobody
	// asks.
	heard func()
	// save writes a State to disk; nil = nowhere.
	save func(*core.State) error

	mu      sync.Mutex // one refresh at a time
	current atomic.Pointer[core.State]
	read    atomic.Int64 // when the store last answered, in Unix seconds; 0 = never
	down    atomic.Bool
	saving  chan *core.State
}

// state is what calls run on; nil before the first.
func (k *keeper) state() *core.State { return k.current.Load() }

// up tells whether the store answered the last time that it was asked.
func (k *keeper) up() bool { return !k.down.Load() }

// age is how many seconds ago the store last confirmed what is served.
func (k *keeper) age() int64 {
	at := k.read.Load()
	if at == 0 {
		return -1
	}
	return max(0, time.Now().Unix()-at)
}

// refresh reads the State when it has changed, and hands it on before it returns: who
// changed something sees it in effect.
func (k *keeper) refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.current.Load()
	revision, err := k.store.Revision(ctx)
	if err == nil && before != nil && revision == before.Revision {
		k.answered()
		return nil
	}
	var state *core.State
	if err == nil {
		state, err = k.store.State(ctx)
	}
	if err != nil {
		k.silent(err)
		return err
	}
	k.answered()
	return k.apply(ctx, before, state)
}

// apply hands a State on; k.mu is held.
func (k *keeper) apply(ctx context.Context, before, state *core.State) error {
	if err := k.use(ctx, before, state); err != nil {
		k.log.Error("what the store holds cannot be used; what was served before still is", "revision", state.Revision, "error", err)
		return err
	}
	k.current.Store(state)
	if k.save != nil {
		select {
		case <-k.saving: // an older one that is not written yet
		default:
		}
		k.saving <- state // has room: one refresh runs at a time
	}
	return nil
}

// restore begins with a State from disk.
func (k *keeper) restore(ctx context.Context, state *core.State) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.use(ctx, nil, state); err != nil {
		return err
	}
	k.current.Store(state)
	return nil
}

func (k *keeper) answered() {
	k.read.Store(time.Now().Unix())
	if k.down.Swap(false) {
		k.log.Info("the store answers again")
	}
	if k.heard != nil {
		k.heard()
	}
}

func (k *keeper) silent(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if !k.down.Swap(true) {
		k.log.Error("the store does not answer; calls go on with what was read last", "error", err)
	}
}

// refreshTime bounds one look at the store.
const refreshTime = 10 * time.Second

// run looks for changes until ctx ends.
func (k *keeper) run(ctx context.Context) {
	hint := make(chan struct{}, 1)
	var work sync.WaitGroup
	work.Go(func() {
		k.store.Hints(ctx, func() {
			select {
			case hint <- struct{}{}:
			default:
			}
		})
	})
	if k.save != nil {
		work.Go(func() { k.write(ctx) })
	}
	defer work.Wait()
	for {
		pause := k.poll * time.Duration(80+rand.N(41)) / 100 // replicas do not look in step
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-hint:
			timer.Stop()
		case <-timer.C:
		}
		within, stop := context.WithTimeout(ctx, refreshTime)
		_ = k.refresh(within) // said already
		stop()
	}
}

// write puts the newest State on disk, off the way of whoever waits for a refresh.
func (k *keeper) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case state := <-k.saving:
			if err := k.save(state); err != nil {
				k.log.Error("what is served could not be written to disk: a start while the store is away would not have it", "error", err)
			}
		}
	}
}

// prompt is a store whose changes are in effect here when they are acknowledged.
type prompt struct {
	core.Store
	changed func(ctx context.Context)
}

// Change changes the store, then what is served from it.
func (p prompt) Change(ctx context.Context, entry *core.AuditEntry, f func(ctx context.Context, tx core.Tx) error) error {
	if err := p.Store.Change(ctx, entry, f); err != nil {
		return err
	}
	p.changed(context.WithoutCancel(ctx))
	return nil
}
