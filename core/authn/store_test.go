package authn

import (
	"context"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// fakeStore is a core.Store in a map: versions, conflicts and transactions as the real one
// has them.
type fakeStore struct {
	now func() time.Time

	mu       sync.Mutex
	rows     map[core.Key]core.Row
	trail    []core.AuditEntry
	changes  int
	appended int
	down     bool
	reads    int
}

func newFakeStore(now func() time.Time, rows ...core.Row) *fakeStore {
	s := &fakeStore{now: now, rows: map[core.Key]core.Row{}}
	for _, row := range rows {
		if stamp := stampOf(row); stamp != nil && stamp.Version == 0 {
			stamp.Version, stamp.Created, stamp.Updated = 1, now(), now()
		}
		s.rows[row.Key()] = clone(row)
	}
	return s
}

func clone(row core.Row) core.Row {
	v := reflect.New(reflect.TypeOf(row).Elem())
	v.Elem().Set(reflect.ValueOf(row).Elem())
	return v.Interface().(core.Row)
}

func stampOf(row core.Row) *core.Stamp {
	f := reflect.ValueOf(row).Elem().FieldByName("Stamp")
	if !f.IsValid() {
		return nil
	}
	return f.Addr().Interface().(*core.Stamp)
}

var errDown = &core.Error{Code: core.CodeUnavailable, Message: "the store cannot be reached"}

// fakeTx reads and writes rows; the caller holds the lock.
type fakeTx struct {
	s    *fakeStore
	rows map[core.Key]core.Row
}

func (t *fakeTx) Get(_ context.Context, row core.Row) error {
	t.s.reads++
	is := t.rows[row.Key()]
	if is == nil {
		return &core.Error{Code: core.CodeNotFound, Message: "no such row"}
	}
	reflect.ValueOf(row).Elem().Set(reflect.ValueOf(is).Elem())
	return nil
}

func (t *fakeTx) List(_ context.Context, into any, q core.Query) (string, error) {
	t.s.reads++
	out := reflect.ValueOf(into).Elem()
	out.SetZero()
	keys := slices.SortedFunc(maps.Keys(t.rows), func(a, b core.Key) int {
		return strings.Compare(a.Tenant+"\x00"+a.ID, b.Tenant+"\x00"+b.ID)
	})
	for _, key := range keys {
		row := reflect.ValueOf(t.rows[key]).Elem()
		if row.Type() != out.Type().Elem() || q.Tenant != core.EveryTenant && key.Tenant != q.Tenant {
			continue
		}
		fits := true
		for name, want := range q.Equal {
			found := false
			for i := range row.NumField() {
				if tag, _, _ := strings.Cut(row.Type().Field(i).Tag.Get("json"), ","); tag == name {
					found = true
					fits = fits && row.Field(i).String() == want
				}
			}
			if !found {
				return "", &core.Error{Code: core.CodeInvalid, Message: "no such field"}
			}
		}
		if fits && (q.Limit == 0 || out.Len() < q.Limit) {
			out.Set(reflect.Append(out, row))
		}
	}
	return "", nil
}

func (t *fakeTx) Put(_ context.Context, row core.Row) error {
	was := t.rows[row.Key()]
	if stamp := stampOf(row); stamp != nil {
		switch {
		case was == nil && stamp.Version != 0, was != nil && stamp.Version != 0 && stampOf(was).Version != stamp.Version:
			return &core.Error{Code: core.CodeChanged, Message: "changed"}
		case was != nil && stamp.Version == 0:
			return &core.Error{Code: core.CodeConflict, Message: "there already"}
		case stamp.Version == 0:
			stamp.Created = t.s.now()
		}
		stamp.Version++
		stamp.Updated = t.s.now()
	}
	if u, ok := row.(*core.User); ok {
		for _, other := range t.rows {
			if o, ok := other.(*core.User); ok && o.Tenant == u.Tenant && o.Name == u.Name && o.ID != u.ID {
				return &core.Error{Code: core.CodeConflict, Message: "that name is taken"}
			}
		}
	}
	t.rows[row.Key()] = clone(row)
	return nil
}

func (t *fakeTx) Delete(_ context.Context, row core.Row) error {
	if t.rows[row.Key()] == nil {
		return &core.Error{Code: core.CodeNotFound, Message: "no such row"}
	}
	delete(t.rows, row.Key())
	return nil
}

func (s *fakeStore) read(f func(*fakeTx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	return f(&fakeTx{s, s.rows})
}

func (s *fakeStore) Get(ctx context.Context, row core.Row) error {
	return s.read(func(t *fakeTx) error { return t.Get(ctx, row) })
}

func (s *fakeStore) List(ctx context.Context, into any, q core.Query) (next string, err error) {
	err = s.read(func(t *fakeTx) error { next, err = t.List(ctx, into, q); return err })
	return next, err
}

func (s *fakeStore) Change(ctx context.Context, entry *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	if entry != nil && entry.Action == "" {
		return &core.Error{Code: core.CodeInvalid, Message: "the audit entry names no action"}
	}
	t := &fakeTx{s, maps.Clone(s.rows)}
	if err := f(ctx, t); err != nil {
		return err
	}
	if entry == nil {
		for key, row := range t.rows {
			if s.rows[key] != row && key.Kind != "kv" {
				return &core.Error{Code: core.CodeInternal, Message: "a " + key.Kind + " was changed without an audit entry"}
			}
		}
		s.rows = t.rows
		return nil
	}
	s.rows = t.rows
	s.changes++
	s.trail = append(s.trail, *entry)
	return nil
}

func (s *fakeStore) Audit(_ context.Context, entries ...*core.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	for _, e := range entries {
		s.trail = append(s.trail, *e)
	}
	return nil
}

// Append sets the last use of rows that are there, and nothing else.
func (s *fakeStore) Append(_ context.Context, rows ...core.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	for _, row := range rows {
		is := s.rows[row.Key()]
		if is == nil {
			continue
		}
		s.appended++
		is = clone(is)
		switch is := is.(type) {
		case *core.Token:
			is.LastUsed = row.(*core.Token).LastUsed
		case *core.Login:
			is.Seen = row.(*core.Login).Seen
		case *core.User:
			is.LastLogin = row.(*core.User).LastLogin
		}
		s.rows[row.Key()] = is
	}
	return nil
}

// state is what State of the real one would be.
func (s *fakeStore) state() *core.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &core.State{}
	for _, row := range s.rows {
		switch row := row.(type) {
		case *core.Tenant:
			out.Tenants = append(out.Tenants, *row)
		case *core.User:
			u := *row
			u.Password = ""
			out.Users = append(out.Users, u)
		case *core.Token:
			out.Tokens = append(out.Tokens, *row)
		case *core.Provider:
			out.Providers = append(out.Providers, *row)
		case *core.GroupRole:
			out.Groups = append(out.Groups, *row)
		case *core.Revocation:
			out.Revocations = append(out.Revocations, *row)
		}
	}
	return out
}

func (s *fakeStore) actions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for i := range s.trail {
		out = append(out, s.trail[i].Action)
	}
	return out
}

func (s *fakeStore) set(row core.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[row.Key()] = clone(row)
}

func (s *fakeStore) State(context.Context) (*core.State, error)              { return s.state(), nil }
func (s *fakeStore) Prune(context.Context, string, time.Time) (int64, error) { return 0, nil }
func (s *fakeStore) Revision(context.Context) (int64, error)                 { return 0, nil }
func (s *fakeStore) Hints(context.Context, func())                           {}
func (s *fakeStore) Ping(context.Context) error                              { return nil }
func (s *fakeStore) Backup(context.Context, io.Writer) error                 { return nil }
func (s *fakeStore) Restore(context.Context, io.Reader) error                { return nil }
func (s *fakeStore) Close() error                                            { return nil }

var _ core.Store = (*fakeStore)(nil)
