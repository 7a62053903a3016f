package audit

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testKey = []byte("0123456789abcdef0123456789abcdef")

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// memory is a core.Store in memory that links entries as a store must.
type memory struct {
	core.Store // panics for what no test needs

	mu       sync.Mutex
	replica  string
	now      func() time.Time
	entries  []core.AuditEntry
	calls    []core.CallRecord
	anchors  []core.Anchor
	settings map[core.Key]core.Setting
	page     int // most rows of a page; 0 = as asked

	fail     error // of everything that writes
	hang     chan struct{}
	onAudit  func(*core.AuditEntry) error
	onList   func(into any)
	onAppend func(rows []core.Row)
	pruned   []string
}

func newMemory(replica string, now func() time.Time) *memory {
	return &memory{replica: replica, now: now, settings: map[core.Key]core.Setting{}}
}

func (m *memory) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// link adds an entry; it is called with m.mu.
func (m *memory) link(e *core.AuditEntry) {
	if e.Time.IsZero() {
		e.Time = m.now()
	}
	Normalize(e)
	e.Replica, e.Seq, e.Prev = m.replica, 1, ""
	for i := len(m.entries) - 1; i >= 0; i-- {
		if before := &m.entries[i]; before.Replica == m.replica {
			e.Seq, e.Prev = before.Seq+1, before.Hash
			break
		}
	}
	e.Hash = Hash(testKey, e)
	m.entries = append(m.entries, *e)
}

func (m *memory) Audit(_ context.Context, entries ...*core.AuditEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for _, e := range entries {
		if m.onAudit != nil {
			if err := m.onAudit(e); err != nil {
				return err
			}
		}
		m.link(e)
	}
	return nil
}

func (m *memory) Append(ctx context.Context, rows ...core.Row) error {
	m.mu.Lock()
	hang, fail, onAppend := m.hang, m.fail, m.onAppend
	m.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return &core.Error{Code: core.CodeUnavailable, Err: ctx.Err()}
		}
	}
	if fail != nil {
		return fail
	}
	if onAppend != nil {
		onAppend(rows)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range rows {
		if e, ok := row.(*core.AuditEntry); ok && m.onAudit != nil {
			if err := m.onAudit(e); err != nil {
				return err
			}
		}
	}
	for _, row := range rows {
		switch r := row.(type) {
		case *core.AuditEntry:
			m.link(r)
		case *core.CallRecord:
			m.calls = append(m.calls, *r)
		case *core.Anchor:
			m.anchors = append(m.anchors, *r)
		default:
			return fmt.Errorf("row %T", row)
		}
	}
	return nil
}

// Change is for settings.
func (m *memory) Change(ctx context.Context, entry *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if err := f(ctx, memoryTx{m}); err != nil {
		return err
	}
	m.link(entry)
	return nil
}

type memoryTx struct{ *memory }

func (t memoryTx) Get(_ context.Context, row core.Row) error {
	s := row.(*core.Setting)
	found, ok := t.settings[s.Key()]
	if !ok {
		return &core.Error{Code: core.CodeNotFound}
	}
	*s = found
	return nil
}

func (t memoryTx) Put(_ context.Context, row core.Row) error {
	s := row.(*core.Setting)
	if t.settings[s.Key()].Version != s.Version {
		return &core.Error{Code: core.CodeChanged}
	}
	s.Version++
	t.settings[s.Key()] = *s
	return nil
}

func (memoryTx) Delete(context.Context, core.Row) error { panic("not needed") }

func (m *memory) Prune(_ context.Context, kind string, before time.Time) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pruned = append(m.pruned, kind+" "+before.Format(time.DateOnly))
	old := len(m.calls) + len(m.entries)
	switch kind {
	case "call":
		m.calls = slices.DeleteFunc(m.calls, func(c core.CallRecord) bool { return c.Time.Before(before) })
	case "audit":
		upTo := map[string]int64{}
		for _, a := range m.anchors {
			if a.Time.Before(before) {
				upTo[a.Replica] = max(upTo[a.Replica], a.Seq)
			}
		}
		m.entries = slices.DeleteFunc(m.entries, func(e core.AuditEntry) bool { return e.Seq <= upTo[e.Replica] })
	}
	return int64(old - len(m.calls) - len(m.entries)), nil
}

func (m *memory) Get(context.Context, core.Row) error { panic("not needed") }

func (m *memory) List(_ context.Context, into any, q core.Query) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.onList != nil {
		m.onList(into)
	}
	if m.page > 0 {
		q.Limit = min(q.Limit, m.page)
	}
	switch rows := into.(type) {
	case *[]core.AuditEntry:
		return list(rows, m.entries, q, func(e *core.AuditEntry) (string, time.Time, map[string]string) {
			return fmt.Sprintf("%020d %s", e.Time.UnixMicro(), e.Key().ID), e.Time, map[string]string{"replica": e.Replica, "action": e.Action, "tenant": e.Tenant}
		})
	case *[]core.CallRecord:
		return list(rows, m.calls, q, func(c *core.CallRecord) (string, time.Time, map[string]string) {
			return fmt.Sprintf("%020d %s", c.Time.UnixMicro(), c.ID), c.Time, map[string]string{"replica": c.Replica, "tenant": c.Tenant}
		})
	case *[]core.Anchor:
		return list(rows, m.anchors, q, func(a *core.Anchor) (string, time.Time, map[string]string) {
			return a.Key().ID, a.Time, map[string]string{"replica": a.Replica}
		})
	}
	return "", fmt.Errorf("list of %T", into)
}

func list[R any](into *[]R, all []R, q core.Query, about func(*R) (string, time.Time, map[string]string)) (string, error) {
	type placed struct {
		key string
		row R
	}
	var rows []placed
	for i := range all {
		key, at, equal := about(&all[i])
		key += fmt.Sprintf(" %06d", i) // also where a test copied a row
		fits := (q.Since.IsZero() || !at.Before(q.Since)) && (q.Until.IsZero() || at.Before(q.Until))
		if q.Tenant != core.EveryTenant {
			fits = fits && equal["tenant"] == q.Tenant
		}
		for name, value := range q.Equal {
			have, known := equal[name]
			if !known {
				return "", &core.Error{Code: core.CodeInvalid}
			}
			fits = fits && have == value
		}
		if fits && (q.After == "" || !q.Newest && key > q.After || q.Newest && key < q.After) {
			rows = append(rows, placed{key, all[i]})
		}
	}
	slices.SortStableFunc(rows, func(a, b placed) int {
		if q.Newest {
			a, b = b, a
		}
		return cmp.Compare(a.key, b.key)
	})
	next := ""
	if limit := cmp.Or(q.Limit, 100); len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].key
	}
	*into = nil
	for _, r := range rows {
		*into = append(*into, r.row)
	}
	return next, nil
}

func (m *memory) Close() error { return nil }

func (m *memory) Backup(context.Context, io.Writer) error { panic("not needed") }

// actions returns the actions of the trail, in order.
func (m *memory) actions() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.entries {
		all = append(all, m.entries[i].Action)
	}
	return all
}

func (m *memory) counts() (calls, entries int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.calls), len(m.entries)
}

// fill adds n entries, a second apart.
func fill(t *testing.T, m *memory, c *clock, n int) {
	t.Helper()
	for i := range n {
		c.add(time.Second)
		e := sample()
		e.Time, e.Name = c.now(), "user"+strconv.Itoa(i)
		if err := m.Audit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func mustVerify(t *testing.T, reader core.Reader, o VerifyOptions) *Report {
	t.Helper()
	if o.Key == nil {
		o.Key = testKey
	}
	r, err := Verify(t.Context(), reader, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kinds returns what was found, as kind@seq.
func kinds(faults []Fault) (all []string) {
	for i := range faults {
		all = append(all, faults[i].Kind+"@"+strconv.FormatInt(faults[i].Seq, 10))
	}
	return all
}
