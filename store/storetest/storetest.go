// Package storetest is the suite that every store passes, whatever database it is on.
//
//	func TestSQLite(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) core.Store { … an empty store … })
//	}
package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// Key is the key of the audit trail that stores under test are opened with.
var Key = []byte("a key of the tests of the store, 32 bytes")

// Open returns an empty store, which is closed when t ends.
type Open func(t *testing.T) core.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"rows", rows},
		{"names", names},
		{"tenants", tenants},
		{"bound to a tenant", bound},
		{"pages", pages},
		{"filters", filters},
		{"refused queries", refusedQueries},
		{"odd values", oddValues},
		{"refused values", refusedValues},
		{"a change is whole", wholeChange},
		{"a change within", within},
		{"audit is needed", auditNeeded},
		{"revision", revision},
		{"chain", chain},
		{"append", appends},
		{"prune", prunes},
		{"prune audit", prunesAudit},
		{"state", state},
		{"copies", func(t *testing.T, open Open) { Copy(t, open, open) }},
		{"damaged copies", damagedCopies},
		{"at once", atOnce},
		{"appending at once", appendAtOnce},
		{"like a map", likeMap},
		{"codes", codes},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// entry is an audit entry for a change that is about something else.
func entry(action string) *core.AuditEntry {
	return &core.AuditEntry{Tenant: "acme", Actor: "u1", ActorName: "Ann", Via: core.ViaLogin, Action: action, Kind: "test", Name: "it"}
}

// put puts rows in one change.
func put(t *testing.T, s core.Store, list ...core.Row) {
	t.Helper()
	if err := tryPut(t.Context(), s, list...); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func tryPut(ctx context.Context, s core.Store, list ...core.Row) error {
	return s.Change(ctx, entry("test.put"), func(ctx context.Context, tx core.Tx) error {
		for _, row := range list {
			if err := tx.Put(ctx, row); err != nil {
				return err
			}
		}
		return nil
	})
}

func tryDelete(ctx context.Context, s core.Store, row core.Row) error {
	return s.Change(ctx, entry("test.delete"), func(ctx context.Context, tx core.Tx) error { return tx.Delete(ctx, row) })
}

// want fails unless err has a code; "" = there is none.
func want(t *testing.T, what string, err error, code core.Code) {
	t.Helper()
	got := core.Code("")
	if e := (*core.Error)(nil); errors.As(err, &e) {
		got = e.Code
	} else if err != nil {
		got = "no *core.Error"
	}
	if got != code {
		t.Errorf("%s: code %q, want %q (%v)", what, got, code, err)
	}
}

// list reads all rows of a tenant, in one page.
func list[R any](t *testing.T, s core.Reader, q core.Query) []R {
	t.Helper()
	var into []R
	if q.Limit == 0 {
		q.Limit = 1000
	}
	next, err := s.List(t.Context(), &into, q)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	if next != "" && q.Limit == 1000 {
		t.Fatal("list: more than one page")
	}
	return into
}
