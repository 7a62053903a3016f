package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

// estate is all tenants. Those of the default tenant stand at /{prefix}/mcp, those of
// another at /{tenant}/{prefix}/mcp.
type estate struct {
	tenants atomic.Pointer[map[string]*tenant] // never changed, only replaced

	mu   sync.Mutex
	ctx  context.Context //nolint:containedctx // of run, for tenants that come later
	work sync.WaitGroup
}

func newEstate() *estate {
	e := &estate{}
	e.tenants.Store(&map[string]*tenant{})
	return e
}

// get returns a tenant, or nil.
func (e *estate) get(id string) *tenant { return (*e.tenants.Load())[id] }

// first is the default tenant, which is always there once the gatehouse is.
func (e *estate) first() *tenant { return e.get(core.DefaultTenant) }

// all returns the tenants in the order of their ids.
func (e *estate) all() []*tenant {
	m := *e.tenants.Load()
	list := make([]*tenant, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[id])
	}
	return list
}

// split finds whose server a prefix would be, and its prefix there.
func (e *estate) split(prefix string) (*tenant, string) {
	m := *e.tenants.Load()
	if len(m) > 1 {
		id, rest, _ := strings.Cut(prefix, "/")
		if t := m[id]; t != nil && id != core.DefaultTenant {
			return t, rest
		}
	}
	return m[core.DefaultTenant], prefix
}

// Find finds the server behind a prefix, nil when there is none.
func (e *estate) Find(prefix string) core.Handler {
	t, rest := e.split(prefix)
	return t.gateway.Find(rest)
}

// Tenant says whose server a prefix would be.
func (e *estate) Tenant(prefix string) string {
	t, _ := e.split(prefix)
	return t.id
}

// add puts a tenant on the air.
func (e *estate) add(t *tenant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := maps.Clone(*e.tenants.Load())
	next[t.id] = t
	e.tenants.Store(&next)
	if e.ctx != nil {
		e.start(t)
	}
}

// start lets a tenant run; e.mu is held.
func (e *estate) start(t *tenant) {
	ctx := e.ctx
	e.work.Go(func() { t.plugins.Run(ctx) })
	e.work.Go(func() { t.look(ctx) })
}

// remove takes a tenant off the air. Its calls end before it is closed.
func (e *estate) remove(id string) *tenant {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.get(id)
	if t == nil {
		return nil
	}
	next := maps.Clone(*e.tenants.Load())
	delete(next, id)
	e.tenants.Store(&next)
	return t
}

// run looks after all tenants until ctx ends.
func (e *estate) run(ctx context.Context) {
	e.mu.Lock()
	e.ctx = ctx
	for _, t := range e.all() {
		e.start(t)
	}
	e.mu.Unlock()
	<-ctx.Done()
	e.work.Wait()
}

func (e *estate) close(ctx context.Context) error {
	var errs []error
	for _, t := range e.all() {
		errs = append(errs, t.close(ctx))
	}
	return errors.Join(errs...)
}

// plugins lists the plugins of all tenants; those of another than the default one are
// named tenant/plugin.
func (e *estate) plugins() []core.PluginStatus {
	var list []core.PluginStatus
	for _, t := range e.all() {
		for _, one := range t.plugins.Status() {
			if t.id != core.DefaultTenant {
				one.Name = t.id + "/" + one.Name
			}
			list = append(list, one)
		}
	}
	return list
}

// scopeSets lists the scopes that servers of a tenant ask for.
func (e *estate) scopeSets(tenant string) [][]string {
	if t := e.get(tenant); t != nil {
		return t.gateway.Scopes()
	}
	return nil
}
