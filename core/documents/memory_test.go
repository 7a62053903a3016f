package documents

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// memory is a core.Store in memory, as strict about versions as the real ones.
type memory struct {
	mu       sync.Mutex
	rows     map[core.Key]reflect.Value // structs
	trail    []core.AuditEntry
	revision int64
	now      func() time.Time
	before   func() // called before each Change, outside the lock
	twice    bool   // run every f twice, as a store may
	broken   error  // what every Change answers
}

func newMemory(now func() time.Time) *memory {
	return &memory{rows: map[core.Key]reflect.Value{}, now: now}
}

func stampOf(v reflect.Value) *core.Stamp {
	f := v.FieldByName("Stamp")
	if !f.IsValid() {
		return nil
	}
	return f.Addr().Interface().(*core.Stamp)
}

func (m *memory) get(row core.Row) error {
	there, found := m.rows[row.Key()]
	if !found {
		return &core.Error{Code: core.CodeNotFound, Message: "no such row"}
	}
	reflect.ValueOf(row).Elem().Set(there)
	return nil
}

func (m *memory) list(into any, q core.Query) (string, error) {
	if q.Tenant == "" {
		return "", errors.New("a query without a tenant")
	}
	slice := reflect.ValueOf(into).Elem()
	var keys []core.Key
	for key, row := range m.rows {
		if row.Type() != slice.Type().Elem() || key.Tenant != q.Tenant && q.Tenant != core.EveryTenant {
			continue
		}
		text, err := json.Marshal(row.Interface())
		if err != nil {
			return "", err
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			return "", err
		}
		fits := true
		for name, want := range q.Equal {
			value, known := fields[name]
			if !known {
				return "", &core.Error{Code: core.CodeInvalid, Message: "no field " + name}
			}
			fits = fits && fmt.Sprint(value) == want
		}
		if fits {
			keys = append(keys, key)
		}
	}
	order := func(a, b core.Key) int { return cmp.Compare(a.ID, b.ID) }
	if slice.Type().Elem() == reflect.TypeFor[core.DocumentVersion]() {
		order = func(a, b core.Key) int {
			return cmp.Compare(m.rows[a].FieldByName("Number").Int(), m.rows[b].FieldByName("Number").Int())
		}
	}
	slices.SortFunc(keys, order)
	if q.Newest {
		slices.Reverse(keys)
	}
	from := 0
	if q.After != "" {
		from, _ = strconv.Atoi(q.After)
	}
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	slice.SetLen(0)
	for i := from; i < len(keys); i++ {
		if i-from == limit {
			return strconv.Itoa(i), nil
		}
		slice.Set(reflect.Append(slice, m.rows[keys[i]]))
	}
	return "", nil
}

func (m *memory) Get(_ context.Context, row core.Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(row)
}

func (m *memory) List(_ context.Context, into any, q core.Query) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list(into, q)
}

func (m *memory) Change(ctx context.Context, entry *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	if m.before != nil {
		m.before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	rows := maps.Clone(m.rows)
	err := f(ctx, memoryTx{m})
	if err == nil && m.twice {
		m.rows = maps.Clone(rows)
		err = f(ctx, memoryTx{m})
	}
	if err != nil {
		m.rows = rows
		return err
	}
	m.trail = append(m.trail, *entry)
	m.revision++
	return nil
}

func (m *memory) Audit(_ context.Context, entries ...*core.AuditEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, entry := range entries {
		m.trail = append(m.trail, *entry)
	}
	return m.broken
}

// memoryTx is a transaction: memory is locked while it runs.
type memoryTx struct{ m *memory }

func (t memoryTx) Get(_ context.Context, row core.Row) error { return t.m.get(row) }

func (t memoryTx) List(_ context.Context, into any, q core.Query) (string, error) {
	return t.m.list(into, q)
}

func (t memoryTx) Put(_ context.Context, row core.Row) error {
	value := reflect.ValueOf(row).Elem()
	there, found := t.m.rows[row.Key()]
	stamp := stampOf(value)
	if stamp == nil {
		if found {
			return &core.Error{Code: core.CodeConflict, Message: "there already"}
		}
		t.m.rows[row.Key()] = clone(value)
		return nil
	}
	switch {
	case stamp.Version == 0 && found:
		return &core.Error{Code: core.CodeConflict, Message: "there already"}
	case stamp.Version != 0 && (!found || stampOf(addressable(there)).Version != stamp.Version):
		return &core.Error{Code: core.CodeChanged, Message: "changed"}
	}
	stamp.Version++
	stamp.Updated = t.m.now()
	if !found {
		stamp.Created = stamp.Updated
	}
	t.m.rows[row.Key()] = clone(value)
	return nil
}

func (t memoryTx) Delete(_ context.Context, row core.Row) error {
	there, found := t.m.rows[row.Key()]
	if !found {
		return &core.Error{Code: core.CodeNotFound, Message: "no such row"}
	}
	if stamp := stampOf(reflect.ValueOf(row).Elem()); stamp != nil && stamp.Version != 0 && stampOf(addressable(there)).Version != stamp.Version {
		return &core.Error{Code: core.CodeChanged, Message: "changed"}
	}
	delete(t.m.rows, row.Key())
	return nil
}

func addressable(v reflect.Value) reflect.Value {
	p := reflect.New(v.Type()).Elem()
	p.Set(v)
	return p
}

func clone(v reflect.Value) reflect.Value { return addressable(v) }

// The rest of core.Store, which this room does not use.

func (m *memory) Append(context.Context, ...core.Row) error { return errUnused }

func (m *memory) Prune(context.Context, string, time.Time) (int64, error) { return 0, errUnused }

func (m *memory) Revision(context.Context) (int64, error) { return m.revision, nil }

func (m *memory) State(context.Context) (*core.State, error) { return nil, errUnused }

func (m *memory) Hints(context.Context, func()) {}

func (m *memory) Ping(context.Context) error { return nil }

func (m *memory) Backup(context.Context, io.Writer) error { return errUnused }

func (m *memory) Restore(context.Context, io.Reader) error { return errUnused }

func (m *memory) Close() error { return nil }

var errUnused = errors.New("this room does not use it")

var _ core.Store = (*memory)(nil)
