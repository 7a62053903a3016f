package gateway

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

// listeners are the subscriptions to changes, by server name. They outlive
// Catalogs: a client that waits for changes survives a reload.
type listeners struct {
	mu sync.Mutex
	of map[string]map[*listener]struct{}
}

type listener struct {
	who     core.Identity
	f       func(core.Change)
	stopped atomic.Bool
}

// add calls f for each change of server until stop is called. A call that began
// before stop may still run when stop returns.
func (l *listeners) add(server string, who core.Identity, f func(core.Change)) (stop func()) {
	one := &listener{who: who, f: f}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]map[*listener]struct{}{}
	}
	if l.of[server] == nil {
		l.of[server] = map[*listener]struct{}{}
	}
	l.of[server][one] = struct{}{}
	return func() {
		if one.stopped.Swap(true) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.of[server], one)
		if len(l.of[server]) == 0 {
			delete(l.of, server)
		}
	}
}

func (l *listeners) servers() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sortedKeys(l.of)
}

// tell calls every listener of server who may know, outside the lock: f may subscribe
// or stop.
func (l *listeners) tell(server string, change core.Change, may func(who core.Identity) bool) {
	l.mu.Lock()
	these := slices.Collect(maps.Keys(l.of[server]))
	l.mu.Unlock()
	for _, one := range these {
		if !one.stopped.Load() && may(one.who) {
			one.f(change)
		}
	}
}
