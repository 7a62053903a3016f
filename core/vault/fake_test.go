package vault

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a core.Store in memory: as much of one as the vault uses.
type shelf struct {
	core.Store // what is not there panics

	mu      sync.Mutex
	rows    map[core.Key]core.Row
	entries []core.AuditEntry
	// before is called at the start of each Change, without the lock.
	before func()
	fail   error
}

func newShelf() *shelf { return &shelf{rows: map[core.Key]core.Row{}} }

func copyOf(r core.Row) core.Row {
	c := reflect.New(reflect.TypeOf(r).Elem())
	c.Elem().Set(reflect.ValueOf(r).Elem())
	return c.Interface().(core.Row)
}

func version(r core.Row) *int64 {
	return reflect.ValueOf(r).Elem().FieldByName("Version").Addr().Interface().(*int64)
}

func (s *shelf) get(r core.Row) error {
	have := s.rows[r.Key()]
	if have == nil {
		return &core.Error{Code: core.CodeNotFound, Message: "no such row"}
	}
	reflect.ValueOf(r).Elem().Set(reflect.ValueOf(have).Elem())
	return nil
}

func (s *shelf) Get(_ context.Context, r core.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	return s.get(r)
}

func (s *shelf) List(_ context.Context, into any, q core.Query) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return "", s.fail
	}
	list := reflect.ValueOf(into).Elem()
	var keys []core.Key
	for k, r := range s.rows {
		if reflect.TypeOf(r).Elem() == list.Type().Elem() && (q.Tenant == core.EveryTenant || q.Tenant == k.Tenant) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b core.Key) int { return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID)) })
	from, _ := strconv.Atoi(q.After)
	keys = keys[min(from, len(keys)):]
	next := ""
	if limit := cmp.Or(q.Limit, 100); len(keys) > limit {
		keys, next = keys[:limit], strconv.Itoa(from+limit)
	}
	for _, k := range keys {
		list.Set(reflect.Append(list, reflect.ValueOf(s.rows[k]).Elem()))
	}
	return next, nil
}

// Change holds the lock only when it commits, so that rows can change meanwhile, as in
// a database.
func (s *shelf) Change(ctx context.Context, entry *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	if s.before != nil {
		s.before()
	}
	tx := &shelfTx{shelf: s, puts: map[core.Key]core.Row{}}
	if err := f(ctx, tx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for k, r := range tx.puts {
		have := int64(0)
		if old := s.rows[k]; old != nil {
			have = *version(old)
		}
		switch {
		case have != *version(r) && *version(r) == 0:
			return &core.Error{Code: core.CodeConflict, Message: "there is one"}
		case have != *version(r):
			return &core.Error{Code: core.CodeChanged, Message: "changed"}
		}
	}
	for k, r := range tx.puts {
		*version(r)++
		s.rows[k] = r
	}
	s.entries = append(s.entries, *entry)
	return nil
}

type shelfTx struct {
	*shelf
	puts map[core.Key]core.Row
}

func (x *shelfTx) Put(_ context.Context, r core.Row) error {
	x.puts[r.Key()] = copyOf(r)
	return nil
}

func (x *shelfTx) Delete(context.Context, core.Row) error { panic("nobody deletes") }

// put writes a row past all rules.
func (s *shelf) put(r core.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := copyOf(r)
	if old := s.rows[r.Key()]; old != nil {
		*version(c) = *version(old)
	}
	*version(c)++
	s.rows[r.Key()] = c
}

func (s *shelf) delete(r core.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, r.Key())
}

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func openVault(t testing.TB, o Options) *Vault {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	v, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func seal(t testing.TB, v *Vault, purpose, plain string, bind ...string) string {
	t.Helper()
	token, err := v.Seal(purpose, []byte(plain), bind...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func wants(t testing.TB, err error, code core.Code) {
	t.Helper()
	if err == nil || core.AsError(err).Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// written collects what is logged.
func written() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewJSONHandler(io.Writer(&b), &slog.HandlerOptions{Level: slog.LevelDebug})), &b
}

// verbs prints a value in every way.
func verbs(v any) string { return fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, v, v, v) }
