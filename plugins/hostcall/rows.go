package hostcall

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Rows is a Store on a core.Store: keys and values of one tenant, which all replicas
// share and which outlive the process. A key of a version is set and deleted in one
// transaction, so that of two replicas only one gets through; keys and values are not
// audited.
//
// Versions are the microsecond in which a key came to be, and one more for each change:
// they grow also when a key is deleted and made again, as long as the clock does not
// step back.
//
// What a namespace holds (for KVList and the quota) is remembered for some seconds:
// keys of other replicas show that late, and together they may pass a quota by what they
// write meanwhile.
type Rows struct {
	store  core.Store
	tenant string
	now    func() time.Time

	mu     sync.Mutex
	spaces map[string]*index
	pruned time.Time
}

const (
	indexLife  = 10 * time.Second
	pruneEvery = time.Minute
	maxSpaces  = 1000
	rowsPage   = 500
)

// index is what a namespace holds, without values.
type index struct {
	mu    sync.Mutex // held while the namespace is changed here
	read  time.Time  // zero = not yet
	items map[string]indexed
	keys  keys
	size  int64
}

type indexed struct {
	version uint64
	size    int64
	expires time.Time
}

// NewRows keeps keys and values in store; "" is core.DefaultTenant. nil is the system's
// clock.
func NewRows(store core.Store, tenant string, now func() time.Time) *Rows {
	if tenant == "" {
		tenant = core.DefaultTenant
	}
	if now == nil {
		now = time.Now
	}
	return &Rows{store: store, tenant: tenant, now: now, spaces: map[string]*index{}}
}

func (r *Rows) row(namespace, key string) *core.Entry {
	return &core.Entry{Tenant: r.tenant, Namespace: namespace, Name: key}
}

func versionOf(e *core.Entry) uint64 {
	return uint64(max(e.Created.UnixMicro(), 0)) + uint64(max(e.Version, 0))
}

func (r *Rows) expired(e *core.Entry) bool { return e.Expires != nil && !r.now().Before(*e.Expires) }

// fetch fills row. A key that ran out of time is not there, and yet its row is.
func (r *Rows) fetch(ctx context.Context, from core.Reader, row *core.Entry) (there bool, err error) {
	switch err := from.Get(ctx, row); {
	case absent(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return !r.expired(row), nil
}

func absent(err error) bool {
	var e *core.Error
	return errors.As(err, &e) && e.Code == core.CodeNotFound
}

// Get returns a value and its version.
func (r *Rows) Get(ctx context.Context, namespace, key string) ([]byte, uint64, error) {
	row := r.row(namespace, key)
	there, err := r.fetch(ctx, r.store, row)
	switch {
	case err != nil:
		return nil, 0, err
	case !there:
		return nil, 0, ErrNotFound
	}
	return row.Value, versionOf(row), nil
}

// Set stores a copy of value.
func (r *Rows) Set(ctx context.Context, namespace, key string, value []byte, ttl time.Duration, version, quota int64) (uint64, error) {
	x := r.space(namespace)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := r.fresh(ctx, namespace, x, indexLife); err != nil {
		return 0, err
	}
	size := int64(len(key) + len(value))
	if !x.fits(key, size, quota) {
		// Others may have made room.
		if err := r.fresh(ctx, namespace, x, 0); err != nil {
			return 0, err
		}
	}
	var now indexed
	err := r.change(ctx, func(ctx context.Context, tx core.Tx) error {
		row := r.row(namespace, key)
		there, err := r.fetch(ctx, tx, row)
		switch {
		case err != nil:
			return err
		case version >= 0 && (!there && version > 0 || there && versionOf(row) != uint64(version)):
			return ErrConflict
		case !x.fits(key, size, quota):
			return ErrQuota
		}
		row.Value, row.Expires = bytes.Clone(value), nil
		if ttl > 0 {
			until := r.now().Add(ttl)
			row.Expires = &until
		}
		if err := tx.Put(ctx, row); err != nil {
			return err
		}
		now = indexed{version: versionOf(row), size: size}
		if row.Expires != nil {
			now.expires = *row.Expires
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	x.put(key, now)
	return now.version, nil
}

// Delete removes a key.
func (r *Rows) Delete(ctx context.Context, namespace, key string, version int64) error {
	x := r.space(namespace)
	x.mu.Lock()
	defer x.mu.Unlock()
	err := r.change(ctx, func(ctx context.Context, tx core.Tx) error {
		row := r.row(namespace, key)
		there, err := r.fetch(ctx, tx, row)
		switch {
		case err != nil:
			return err
		case !there:
			return ErrNotFound
		case version >= 0 && versionOf(row) != uint64(version):
			return ErrConflict
		}
		return tx.Delete(ctx, row)
	})
	if err == nil || errors.Is(err, ErrNotFound) {
		x.remove(key)
	}
	return err
}

// change runs f in a transaction without an audit entry. A row that another replica
// changed meanwhile is a conflict.
func (r *Rows) change(ctx context.Context, f func(context.Context, core.Tx) error) error {
	err := r.store.Change(ctx, nil, f)
	var e *core.Error
	if errors.As(err, &e) && (e.Code == core.CodeChanged || e.Code == core.CodeConflict) {
		return ErrConflict
	}
	return err
}

// List returns keys in the order of their bytes.
func (r *Rows) List(ctx context.Context, namespace, prefix, after string, limit int) ([]Entry, error) {
	x := r.space(namespace)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := r.fresh(ctx, namespace, x, indexLife); err != nil {
		return nil, err
	}
	now := r.now()
	var entries []Entry
	for len(entries) < limit {
		page := x.keys.page(prefix, after, limit)
		for _, key := range page {
			if one := x.items[key]; (one.expires.IsZero() || now.Before(one.expires)) && len(entries) < limit {
				entries = append(entries, Entry{Key: key, Version: one.version})
			}
			after = key
		}
		if len(page) < limit {
			break
		}
	}
	return entries, nil
}

// space returns the index of a namespace.
func (r *Rows) space(namespace string) *index {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.spaces[namespace]
	if x == nil {
		if len(r.spaces) >= maxSpaces {
			clear(r.spaces) // they are read again
		}
		x = &index{}
		r.spaces[namespace] = x
	}
	return x
}

// fresh reads the index when it is older than life. The caller holds its mu.
func (r *Rows) fresh(ctx context.Context, namespace string, x *index, life time.Duration) error {
	now := r.now()
	if !x.read.IsZero() && now.Sub(x.read) < life && !now.Before(x.read) {
		return nil
	}
	next := &index{items: map[string]indexed{}}
	stale := false
	for after := ""; ; {
		var rows []core.Entry
		cursor, err := r.store.List(ctx, &rows, core.Query{Tenant: r.tenant, Equal: map[string]string{"namespace": namespace}, After: after, Limit: rowsPage})
		if err != nil {
			return err
		}
		for i := range rows {
			e := &rows[i]
			if r.expired(e) {
				stale = true
				continue
			}
			one := indexed{version: versionOf(e), size: int64(len(e.Name) + len(e.Value))}
			if e.Expires != nil {
				one.expires = *e.Expires
			}
			next.put(e.Name, one)
		}
		if after = cursor; after == "" {
			break
		}
	}
	x.items, x.keys, x.size, x.read = next.items, next.keys, next.size, now
	if stale {
		r.prune(ctx, now)
	}
	return nil
}

// prune has the store forget what ran out of time, now and then.
func (r *Rows) prune(ctx context.Context, now time.Time) {
	r.mu.Lock()
	due := now.Sub(r.pruned) >= pruneEvery
	if due {
		r.pruned = now
	}
	r.mu.Unlock()
	if due {
		_, _ = r.store.Prune(ctx, "kv", now) // the next one takes what is left
	}
}

// fits tells whether a key of that size may be kept. What makes a namespace smaller that
// became too large by a new grant is allowed.
func (x *index) fits(key string, size, quota int64) bool {
	old, there := x.items[key]
	if there {
		grown := size - old.size
		return grown <= 0 || x.size+grown <= quota
	}
	return x.size+size <= quota && len(x.items) < keyQuota(quota)
}

func (x *index) put(key string, one indexed) {
	if x.items == nil {
		x.items = map[string]indexed{}
	}
	old, there := x.items[key]
	if !there {
		x.keys.add(key)
	}
	x.items[key] = one
	x.size += one.size - old.size
}

func (x *index) remove(key string) {
	old, there := x.items[key]
	if !there {
		return
	}
	delete(x.items, key)
	x.keys.remove(key)
	x.size -= old.size
}

var _ Store = (*Rows)(nil)
