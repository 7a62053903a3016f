package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/audit"
)

// wholeChange: rows and audit entry are both there or neither, and rows in memory say so.
func wholeChange(t *testing.T, open Open) {
	s := open(t)
	role := &core.Role{Tenant: "acme", Name: "first"}
	first := entry("role.write")
	first.Details = []byte(`{"a": 1}`)
	want(t, "change", s.Change(t.Context(), first, func(ctx context.Context, tx core.Tx) error {
		first.Reason = "what f leaves in it"
		return tx.Put(ctx, role)
	}), "")
	cancelled, cancel := context.WithCancel(t.Context())
	for what, change := range map[string]func(row *core.Role, e *core.AuditEntry) error{
		"f fails": func(row *core.Role, e *core.AuditEntry) error {
			return s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error {
				if err := tx.Put(ctx, row); err != nil {
					return err
				}
				if err := tx.Delete(ctx, &core.Role{Tenant: "acme", Name: "first"}); err != nil {
					return err
				}
				return errOwn
			})
		},
		"the entry cannot be kept": func(row *core.Role, e *core.AuditEntry) error {
			e.Reason = strings.Repeat("x", 64<<20+1)
			return s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, row) })
		},
		"the entry has no action": func(row *core.Role, e *core.AuditEntry) error {
			e.Action = ""
			return s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, row) })
		},
		"whoever asked has left": func(row *core.Role, e *core.AuditEntry) error {
			return s.Change(cancelled, e, func(ctx context.Context, tx core.Tx) error {
				err := tx.Put(ctx, row)
				cancel()
				return err
			})
		},
	} {
		t.Run(what, func(t *testing.T) {
			row, e := &core.Role{Tenant: "acme", Name: "second"}, entry("role.write")
			before, revision := *e, rev(t, s)
			err := change(row, e)
			if err == nil {
				t.Fatal("no error")
			}
			if what == "f fails" && !errors.Is(err, errOwn) {
				t.Errorf("another error than that of f: %v", err)
			}
			if !reflect.DeepEqual(row, &core.Role{Tenant: "acme", Name: "second"}) {
				t.Errorf("the row says %+v", row)
			}
			before.Reason, before.Action = e.Reason, e.Action
			if !reflect.DeepEqual(*e, before) {
				t.Error("the entry says that it is kept")
			}
			want(t, "get", s.Get(t.Context(), row), core.CodeNotFound)
			same1(t, s, role)
			if got := rev(t, s); got != revision {
				t.Errorf("revision %d, was %d", got, revision)
			}
			if n := len(trail(t, s)); n != 1 {
				t.Errorf("%d audit entries, want 1", n)
			}
		})
	}
	put(t, s, &core.Role{Tenant: "acme", Name: "third"})
	got := trail(t, s)
	if len(got) != 2 || got[0].Reason != "what f leaves in it" || string(got[0].Details) != `{"a":1}` || got[0].Outcome != "ok" {
		t.Errorf("trail: %+v", got)
	}
	if !reflect.DeepEqual(*first, got[0]) {
		t.Errorf("the entry that was handed in is %+v, in the store is %+v", *first, got[0])
	}
}

func rev(t *testing.T, s core.Store) int64 {
	t.Helper()
	n, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// trail reads the trail, and checks that it is a chain.
func trail(t *testing.T, s core.Reader) []core.AuditEntry {
	t.Helper()
	all, err := listAll(t.Context(), s, &core.AuditEntry{}, core.Query{Tenant: core.EveryTenant, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	entries := make([]core.AuditEntry, len(all))
	for i, row := range all {
		entries[i] = *row.(*core.AuditEntry)
	}
	if err := Verify(entries); err != nil {
		t.Error(err)
	}
	return entries
}

// Verify tells what is wrong with the chains that entries are of; each must be whole.
func Verify(entries []core.AuditEntry) error {
	type place struct {
		replica string
		seq     int64
	}
	at := map[place]core.AuditEntry{}
	for _, e := range entries {
		p := place{e.Replica, e.Seq}
		if _, double := at[p]; double {
			return fmt.Errorf("replica %s has two entries %d", e.Replica, e.Seq)
		}
		at[p] = e
	}
	for p, e := range at {
		if e.Hash != audit.Hash(Key, &e) {
			return fmt.Errorf("entry %d of replica %s: its hash is another", p.seq, p.replica)
		}
		before, found := at[place{p.replica, p.seq - 1}]
		switch {
		case p.seq == 1 && e.Prev != "":
			return fmt.Errorf("the first entry of replica %s follows something", p.replica)
		case p.seq > 1 && !found:
			return fmt.Errorf("entry %d of replica %s is missing", p.seq-1, p.replica)
		case p.seq > 1 && e.Prev != before.Hash:
			return fmt.Errorf("entry %d of replica %s does not follow the one before", p.seq, p.replica)
		}
	}
	return nil
}

// within: reading in a change sees what it has changed, and nobody waits for himself.
func within(t *testing.T, open Open) {
	s := open(t)
	err := s.Change(t.Context(), entry("role.write"), func(ctx context.Context, tx core.Tx) error {
		if err := tx.Put(ctx, &core.Role{Tenant: "acme", Name: "r"}); err != nil {
			return err
		}
		for what, reader := range map[string]core.Reader{"tx": tx, "store": s} {
			want(t, what+" get", reader.Get(ctx, &core.Role{Tenant: "acme", Name: "r"}), "")
			if n := len(list[core.Role](t, withContext{reader, ctx}, core.Query{Tenant: "acme"})); n != 1 {
				t.Errorf("%s lists %d rows", what, n)
			}
		}
		want(t, "put an audit entry", tx.Put(ctx, &core.AuditEntry{Tenant: "acme", Replica: "r", Seq: 1}), core.CodeInvalid)
		want(t, "a change within", s.Change(ctx, entry("x.y"), func(context.Context, core.Tx) error { return nil }), core.CodeInternal)
		want(t, "an append within", s.Append(ctx, &core.Replica{ID: "r"}), core.CodeInternal)
		return nil
	})
	want(t, "change", err, "")
}

// withContext reads with a context of its own.
type withContext struct {
	core.Reader
	ctx context.Context //nolint:containedctx // list hands in that of the test
}

func (w withContext) List(_ context.Context, into any, q core.Query) (string, error) {
	return w.Reader.List(w.ctx, into, q)
}

// auditNeeded: only what people do not do goes without an entry.
func auditNeeded(t *testing.T, open Open) {
	s := open(t)
	for _, kind := range kinds {
		row := sample(kind, "acme", 1, 0)
		err := s.Change(t.Context(), nil, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, row) })
		switch kind.(type) {
		case *core.Login, *core.Entry, *core.LiveSession, *core.Usage, *core.Replica, *core.Anchor, *core.CallRecord:
			want(t, kind.Key().Kind, err, "")
		default:
			want(t, kind.Key().Kind, err, core.CodeInternal)
		}
	}
}

// revision rises with what State shows, and only with that.
func revision(t *testing.T, open Open) {
	s := open(t)
	for _, kind := range kinds {
		shown := true
		switch kind.(type) {
		case *core.Login, *core.Entry, *core.LiveSession, *core.Usage, *core.Replica, *core.Anchor, *core.CallRecord, *core.Draft, *core.DocumentVersion:
			shown = false
		}
		before := rev(t, s)
		put(t, s, sample(kind, "acme", 1, 0))
		if after := rev(t, s); shown != (after > before) {
			t.Errorf("%s: revision %d, was %d", kind.Key().Kind, after, before)
		}
	}
	before := rev(t, s)
	now := begin.Add(100 * time.Hour)
	token := sample(&core.Token{}, "acme", 1, 0).(*core.Token)
	token.LastUsed = &now
	want(t, "last use", s.Append(t.Context(), token), "")
	want(t, "audit", s.Audit(t.Context(), entry("login.failed")), "")
	if after := rev(t, s); after != before {
		t.Errorf("the last use of a token raised the revision")
	}
	want(t, "revocation", s.Append(t.Context(), &core.Revocation{Tenant: "acme", Of: "jwt", ID: "x", Until: now}), "")
	if after := rev(t, s); after <= before {
		t.Errorf("a revocation did not raise the revision")
	}
}

// chain: many at once make one chain, of changes and of entries alone.
func chain(t *testing.T, open Open) {
	s := open(t)
	const workers, each = 8, 10
	done := make(chan error, workers)
	for w := range workers {
		go func() {
			for i := range each {
				var err error
				switch i % 3 {
				case 0:
					err = s.Audit(t.Context(), entry("calls"), entry("calls"))
				case 1:
					err = tryPut(t.Context(), s, &core.Role{Tenant: "acme", Name: fmt.Sprintf("%d %d", w, i)})
				default:
					if err = tryPut(t.Context(), s, &core.Role{Tenant: "", Name: "x"}); core.AsError(err).Code == core.CodeInvalid {
						err = nil
					}
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := len(trail(t, s)); n != workers*(4*2+3) {
		t.Errorf("%d entries, want %d", n, workers*(4*2+3))
	}
}
