package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// rows: each kind is put, read, replaced and deleted, and every field comes back.
func rows(t *testing.T, open Open) {
	s := open(t)
	for _, kind := range kinds {
		t.Run(kind.Key().Kind, func(t *testing.T) {
			first := sample(kind, "acme", 1, 0)
			put(t, s, first)
			same1(t, s, first)
			if st := stamp(first); st != nil && (st.Version != 1 || st.Created.IsZero() || st.Updated != st.Created) {
				t.Errorf("stamp of a new row: %+v", st)
			}
			again := sample(kind, "acme", 1, 1)
			if stamp(kind) != nil || !replaced(kind) {
				want(t, "put what is there as new", tryPut(t.Context(), s, again), core.CodeConflict)
				same1(t, s, first)
			}
			if st := stamp(again); st != nil {
				st.Version = 1
			}
			if stamp(kind) == nil && !replaced(kind) {
				want(t, "delete", tryDelete(t.Context(), s, first), "")
				return
			}
			put(t, s, again)
			same1(t, s, again)
			if st := stamp(again); st != nil {
				if st.Version != 2 || !st.Created.Equal(stamp(first).Created) || st.By != "by 1" {
					t.Errorf("stamp of a changed row: %+v, of the one before %+v", st, stamp(first))
				}
				stale := sample(kind, "acme", 1, 2)
				stamp(stale).Version = 1
				want(t, "put an old version", tryPut(t.Context(), s, stale), core.CodeChanged)
				if stamp(stale).Version != 1 {
					t.Errorf("a row that was not put says version %d", stamp(stale).Version)
				}
				want(t, "delete an old version", tryDelete(t.Context(), s, stale), core.CodeChanged)
				same1(t, s, again)
			}
			want(t, "delete", tryDelete(t.Context(), s, again), "")
			want(t, "get what is deleted", s.Get(t.Context(), clone(again)), core.CodeNotFound)
			want(t, "delete what is deleted", tryDelete(t.Context(), s, sample(kind, "acme", 1, 0)), core.CodeNotFound)
			if stamp(again) != nil {
				want(t, "put what is deleted", tryPut(t.Context(), s, again), core.CodeChanged)
			}
		})
	}
}

// same1 reads a row by its key, and in a list, and compares.
func same1(t *testing.T, s core.Store, row core.Row) {
	t.Helper()
	got := keyOnly(row)
	if err := s.Get(t.Context(), got); err != nil {
		t.Fatalf("get: %v", err)
	}
	if !same(got, row) {
		t.Errorf("got  %+v\nwant %+v", got, row)
	}
	all, err := listAll(t.Context(), s, row, core.Query{Tenant: core.EveryTenant})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	row = clone(row)
	if m, ok := row.(*core.Module); ok {
		m.Bytes = nil // lists are without
	}
	if !slices.ContainsFunc(all, func(other core.Row) bool { return same(other, row) }) {
		t.Errorf("list has not %+v\nbut %+v", row, all)
	}
}

// keyOnly returns a row that has nothing but what its key is made of.
func keyOnly(row core.Row) core.Row {
	switch r := row.(type) {
	case *core.Tenant:
		return &core.Tenant{ID: r.ID}
	case *core.User:
		return &core.User{Tenant: r.Tenant, ID: r.ID}
	case *core.Pin:
		return &core.Pin{Tenant: r.Tenant, Server: r.Server, Of: r.Of, Name: r.Name}
	case *core.Usage:
		return &core.Usage{Tenant: r.Tenant, Day: r.Day, Subject: r.Subject, Server: r.Server, Name: r.Name}
	}
	return clone(row)
}

// names: a user of one name, a token of one sum, a credential of one owner's name.
func names(t *testing.T, open Open) {
	s := open(t)
	ann, bob := &core.User{Tenant: "acme", Name: "ann"}, &core.User{Tenant: "acme", Name: "bob"}
	put(t, s, ann, bob)
	if ann.ID == "" || ann.ID >= bob.ID {
		t.Errorf("ids do not follow each other: %q, %q", ann.ID, bob.ID)
	}
	want(t, "a second user of that name", tryPut(t.Context(), s, &core.User{Tenant: "acme", Name: "ann"}), core.CodeConflict)
	want(t, "the same name elsewhere", tryPut(t.Context(), s, &core.User{Tenant: "other", Name: "ann"}), "")
	bob.Name = "ann"
	want(t, "a name that another has", tryPut(t.Context(), s, bob), core.CodeConflict)
	if bob.Version != 1 {
		t.Errorf("version %d after a conflict", bob.Version)
	}
	// A conflict does not spoil the rest of the change.
	bob.Title = "Bob"
	err := s.Change(t.Context(), entry("user.write"), func(ctx context.Context, tx core.Tx) error {
		if err := tx.Put(ctx, bob); core.AsError(err).Code != core.CodeConflict {
			return fmt.Errorf("want a conflict: %w", err)
		}
		if err := tx.Put(ctx, &core.User{Tenant: "acme", Name: "ann"}); core.AsError(err).Code != core.CodeConflict {
			return fmt.Errorf("want a conflict: %w", err)
		}
		bob.Name = "robert"
		return tx.Put(ctx, bob)
	})
	want(t, "another name in the same change", err, "")
	same1(t, s, bob)
	want(t, "a token", tryPut(t.Context(), s, &core.Token{Tenant: "acme", Sum: "s"}), "")
	want(t, "its sum in another tenant", tryPut(t.Context(), s, &core.Token{Tenant: "other", Sum: "s"}), core.CodeConflict)
	want(t, "a secret", tryPut(t.Context(), s, &core.Credential{Tenant: "acme", Name: "key"}), "")
	want(t, "a user's of that name", tryPut(t.Context(), s, &core.Credential{Tenant: "acme", Name: "key", Owner: ann.ID}), "")
	want(t, "a second secret", tryPut(t.Context(), s, &core.Credential{Tenant: "acme", Name: "key"}), core.CodeConflict)
	want(t, "a local user without a provider", tryPut(t.Context(), s, &core.User{Tenant: "acme", Name: "c"}), "")
	put(t, s, &core.User{Tenant: "acme", Name: "d", Provider: "p", External: "x"})
	want(t, "the same subject of a provider", tryPut(t.Context(), s, &core.User{Tenant: "acme", Name: "e", Provider: "p", External: "x"}), core.CodeConflict)
}

// tenants: rows of the same keys in two tenants never meet.
func tenants(t *testing.T, open Open) {
	s := open(t)
	for _, kind := range kinds {
		switch kind.(type) {
		case *core.Anchor, *core.Replica, *core.Tenant: // of no tenant, or one itself
			continue
		}
		t.Run(kind.Key().Kind, func(t *testing.T) {
			a, b := sample(kind, "acme", 1, 0), sample(kind, "acm", 1, 0)
			for _, row := range []core.Row{a, b} {
				switch r := row.(type) { // sums are one of all tenants
				case *core.Token:
					r.Sum += r.Tenant
				case *core.Login:
					r.Sum += r.Tenant
				}
			}
			put(t, s, a, b)
			for tenant, row := range map[string]core.Row{"acme": a, "acm": b} {
				all, err := listAll(t.Context(), s, kind, core.Query{Tenant: tenant})
				if err != nil || len(all) != 1 || all[0].Key() != row.Key() {
					t.Errorf("list of %s: %v, %v", tenant, all, err)
				}
			}
			want(t, "delete in one", tryDelete(t.Context(), s, a), "")
			same1(t, s, b)
			want(t, "get in the other", s.Get(t.Context(), a), core.CodeNotFound)
			all, err := listAll(t.Context(), s, kind, core.Query{Tenant: "acme"})
			if err != nil || len(all) != 0 {
				t.Errorf("list after delete: %v, %v", all, err)
			}
		})
	}
}

// errOwn is an error of a test's own.
var errOwn = errors.New("no, I will not")
