package hostcall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// table is a core.Store with kv rows only.
type table struct {
	core.Store // what is not there panics

	mu      sync.Mutex
	now     func() time.Time
	rows    map[core.Key]core.Entry
	lists   int
	pruned  int
	audited bool
	away    error
}

func newTable(now func() time.Time) *table { return &table{now: now, rows: map[core.Key]core.Entry{}} }

func (t *table) get(r core.Row) error {
	e := r.(*core.Entry)
	have, ok := t.rows[e.Key()]
	if !ok {
		return &core.Error{Code: core.CodeNotFound, Message: "no such row"}
	}
	*e = have
	return nil
}

func (t *table) Get(_ context.Context, r core.Row) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.away != nil {
		return t.away
	}
	return t.get(r)
}

func (t *table) List(_ context.Context, into any, q core.Query) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lists++
	var all []core.Entry
	for _, e := range t.rows {
		if e.Tenant == q.Tenant && e.Namespace == q.Equal["namespace"] {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b core.Entry) int { return cmp.Compare(a.Name, b.Name) })
	from, _ := strconv.Atoi(q.After)
	next := ""
	if all = all[min(from, len(all)):]; len(all) > q.Limit {
		all, next = all[:q.Limit], strconv.Itoa(from+q.Limit)
	}
	*into.(*[]core.Entry) = all
	return next, t.away
}

func (t *table) Change(ctx context.Context, entry *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.away != nil {
		return t.away
	}
	t.audited = t.audited || entry != nil
	return f(ctx, tableTx{t})
}

func (t *table) Prune(_ context.Context, kind string, before time.Time) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pruned++
	n := int64(0)
	for k, e := range t.rows {
		if kind == "kv" && e.Expires != nil && !before.Before(*e.Expires) {
			delete(t.rows, k)
			n++
		}
	}
	return n, nil
}

type tableTx struct{ *table }

func (x tableTx) Get(_ context.Context, r core.Row) error { return x.get(r) }

func (x tableTx) Put(_ context.Context, r core.Row) error {
	e := r.(*core.Entry)
	old, ok := x.rows[e.Key()]
	switch {
	case e.Version != old.Version:
		return &core.Error{Code: core.CodeChanged, Message: "changed"}
	case !ok:
		e.Created = x.now()
	}
	e.Version++
	e.Updated = x.now()
	x.rows[e.Key()] = *e
	return nil
}

func (x tableTx) Delete(_ context.Context, r core.Row) error {
	delete(x.rows, r.Key())
	return nil
}

func TestRows(t *testing.T) {
	c := newClock()
	shared := newTable(c.now)
	r := NewRows(shared, "acme", c.now)
	ctx := t.Context()
	set := func(key, value string, ttl time.Duration, version int64) (uint64, error) {
		c.pass(time.Millisecond)
		return r.Set(ctx, "n", key, []byte(value), ttl, version, 100)
	}
	fails := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	first, err := set("k", "one", 0, 0)
	fails(err, nil)
	_, err = set("k", "x", 0, 0)
	fails(err, ErrConflict)
	second, err := set("k", "two", 0, int64(first))
	fails(err, nil)
	if second <= first {
		t.Errorf("version %d after %d", second, first)
	}
	_, err = set("k", "x", 0, int64(first))
	fails(err, ErrConflict)
	_, err = set("new", "x", 0, 7)
	fails(err, ErrConflict)
	value, version, err := r.Get(ctx, "n", "k")
	if err != nil || string(value) != "two" || version != second {
		t.Errorf("%q, %d, %v", value, version, err)
	}
	fails(r.Delete(ctx, "n", "k", int64(first)), ErrConflict)
	fails(r.Delete(ctx, "n", "k", int64(second)), nil)
	fails(r.Delete(ctx, "n", "k", -1), ErrNotFound)
	_, _, err = r.Get(ctx, "n", "k")
	fails(err, ErrNotFound)
	third, err := set("k", "three", time.Second, -1)
	fails(err, nil)
	if third <= second {
		t.Errorf("version %d after %d, though the key was deleted", third, second)
	}
	// It runs out of time.
	if all, err := r.List(ctx, "n", "", "", 10); err != nil || len(all) != 1 || all[0].Version != third {
		t.Errorf("%v, %v", all, err)
	}
	c.pass(time.Second)
	_, _, err = r.Get(ctx, "n", "k")
	fails(err, ErrNotFound)
	if all, err := r.List(ctx, "n", "", "", 10); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	fails(r.Delete(ctx, "n", "k", -1), ErrNotFound)
	fourth, err := set("k", "four", 0, 0)
	fails(err, nil)
	if fourth <= third {
		t.Errorf("version %d after %d, though the key ran out of time", fourth, third)
	}
	// The quota, and its end.
	_, err = set("big", strings.Repeat("v", 100), 0, -1)
	fails(err, ErrQuota)
	_, err = set("big", strings.Repeat("v", 90), time.Minute, -1)
	fails(err, nil)
	_, err = set("b", "vv", 0, -1)
	fails(err, ErrQuota)
	c.pass(time.Minute)
	_, err = set("b", "vv", 0, -1)
	fails(err, nil)
	if shared.pruned == 0 || len(shared.rows) != 2 {
		t.Errorf("pruned %d times, %d rows are left", shared.pruned, len(shared.rows))
	}
	if shared.audited {
		t.Error("the trail was written")
	}
	// Another tenant, another namespace.
	other := NewRows(shared, "", c.now)
	_, _, err = other.Get(ctx, "n", "k")
	fails(err, ErrNotFound)
	_, _, err = r.Get(ctx, "m", "k")
	fails(err, ErrNotFound)
	if all, _ := other.List(ctx, "n", "", "", 10); len(all) != 0 {
		t.Errorf("another tenant's: %v", all)
	}
	down := errors.New("down")
	shared.away = down
	_, err = set("k", "x", 0, -1)
	fails(err, down)
	_, _, err = r.Get(ctx, "n", "k")
	fails(err, down)
	fails(r.Delete(ctx, "n", "k", -1), down)
	c.pass(indexLife)
	_, err = r.List(ctx, "n", "", "", 10)
	fails(err, down)
}

// Two replicas share rows: of one version only one of them gets through, and each sees
// the keys of the other after a while.
func TestRowsOfTwoReplicas(t *testing.T) {
	c := newClock()
	shared := newTable(c.now)
	a, b := NewRows(shared, "acme", c.now), NewRows(shared, "acme", c.now)
	ctx := t.Context()
	if all, err := b.List(ctx, "n", "", "", 10); err != nil || len(all) != 0 {
		t.Fatal(all, err)
	}
	version, err := a.Set(ctx, "n", "k", []byte("a"), 0, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Set(ctx, "n", "k", []byte("b"), 0, 0, 1000); !errors.Is(err, ErrConflict) {
		t.Errorf("both made it: %v", err)
	}
	var all sync.WaitGroup
	won := make(chan string, 20)
	for i := range 20 {
		all.Go(func() {
			if _, err := []*Rows{a, b}[i%2].Set(ctx, "n", "k", []byte(fmt.Sprint(i)), 0, int64(version), 1000); err == nil {
				won <- fmt.Sprint(i)
			}
		})
	}
	all.Wait()
	close(won)
	if len(won) != 1 {
		t.Errorf("%d of 20 got through", len(won))
	}
	if value, _, err := b.Get(ctx, "n", "k"); err != nil || string(value) != <-won {
		t.Errorf("%q, %v", value, err)
	}
	c.pass(indexLife)
	if all, err := b.List(ctx, "n", "", "", 10); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

// Pages of keys in the order of their bytes, as Memory has them; and reading them again
// and again asks the store rarely.
func TestRowsList(t *testing.T) {
	c := newClock()
	shared := newTable(c.now)
	r, m := NewRows(shared, "acme", c.now), NewMemory(c.now)
	ctx := t.Context()
	for i := range 1200 {
		key := fmt.Sprint("k", i*7919%1200)
		ttl := time.Duration(0)
		if i%5 == 0 {
			ttl = time.Second
		}
		for _, s := range []Store{r, m} {
			if _, err := s.Set(ctx, "n", key, []byte("v"), ttl, -1, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.pass(time.Second)
	names := func(all []Entry) (keys []string) {
		for _, e := range all {
			keys = append(keys, e.Key)
		}
		return keys
	}
	before := shared.lists
	for _, prefix := range []string{"", "k", "k1", "k11", "x"} {
		for _, after := range []string{"", "k1", "k118", "k9", "z"} {
			for _, limit := range []int{0, 1, 7, 5000} {
				got, err := r.List(ctx, "n", prefix, after, limit)
				want, _ := m.List(ctx, "n", prefix, after, limit)
				if err != nil || !slices.Equal(names(got), names(want)) {
					t.Errorf("%q after %q, %d: %d keys, want %d (%v)", prefix, after, limit, len(got), len(want), err)
				}
			}
		}
	}
	if n := shared.lists - before; n > 10 {
		t.Errorf("the store was listed %d times", n)
	}
	c.pass(indexLife)
	fresh, err := NewRows(shared, "acme", c.now).List(ctx, "n", "", "", 5000)
	if want, _ := m.List(ctx, "n", "", "", 5000); err != nil || !slices.Equal(names(fresh), names(want)) {
		t.Errorf("%d keys, want %d (%v)", len(fresh), len(want), err)
	}
}

// What a plugin does goes through.
func TestKVInRows(t *testing.T) {
	c := newClock()
	h := newHost(t, kept("n", 200_000, NewRows(newTable(c.now), "acme", c.now)))
	s := scope(nil, nil)
	version := h.KVSet(t.Context(), s, []byte("k"), []byte("v"), 0, 0)
	value, got, code := h.KVGet(t.Context(), s, []byte("k"))
	if version <= 0 || code < 0 || string(value) != "v" || int64(got) != version {
		t.Fatalf("%d: %q %d %q", version, value, got, named(code))
	}
	if code := h.KVSet(t.Context(), s, []byte("k"), []byte("w"), 0, 0); named(code) != "conflict" {
		t.Error(named(code))
	}
	if code := h.KVDelete(t.Context(), s, []byte("k"), version); code < 0 {
		t.Error(named(code))
	}
}
