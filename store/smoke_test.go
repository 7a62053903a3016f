package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func TestSmoke(t *testing.T) {
	for _, dsn := range []string{"memory:", "sqlite:" + filepath.Join(t.TempDir(), "a.db"), os.Getenv("SALLYPORT_TEST_POSTGRES")} {
		if dsn == "" {
			continue
		}
		s, err := Open(t.Context(), dsn, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		u := &core.User{Tenant: "acme", Name: "ann", Roles: []string{"a"}}
		e := &core.AuditEntry{Tenant: "acme", Action: "user.write"}
		err = s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, u) })
		if err != nil {
			t.Fatal(err)
		}
		t.Log(u, e)
		got := &core.User{Tenant: "acme", ID: u.ID}
		if err := s.Get(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		t.Log(got)
		err = s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error {
			if err := tx.Put(ctx, got); err != nil {
				return err
			}
			if got.Version != 2 {
				t.Error(got)
			}
			return errors.New("no")
		})
		t.Log(err, got.Version)
		err = s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, got) })
		t.Log(err, got.Version)
		u.Version = 1
		err = s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error { return tx.Put(ctx, u) })
		t.Log(err, core.AsError(err).Code)
		err = s.Change(t.Context(), e, func(ctx context.Context, tx core.Tx) error {
			return tx.Put(ctx, &core.User{Tenant: "acme", Name: "ann", Roles: []string{"a"}})
		})
		t.Log(err, core.AsError(err).Code)
		st, err := s.State(t.Context())
		t.Log(st, err)
		var us []core.User
		next, err := s.List(t.Context(), &us, core.Query{Tenant: "*", Equal: map[string]string{"name": "ann"}})
		t.Log(us, next, err)
		t.Log(s.Append(t.Context(), &core.Usage{Tenant: "a", Day: "2026-01-01", Calls: 2}, &core.Usage{Tenant: "a", Day: "2026-01-01", Calls: 2}, &core.Replica{ID: "a"}, &core.CallRecord{Tenant: "a"}))
		t.Log(s.Append(t.Context(), &core.Usage{Tenant: "a", Day: "2026-01-01", Calls: 2}))
		var us2 []core.Usage
		_, err = s.List(t.Context(), &us2, core.Query{Tenant: "a"})
		t.Log(us2, err)
		t.Log(s.Prune(t.Context(), "usage", st.Loaded))
		t.Log(s.Prune(t.Context(), "audit", st.Loaded))
		if s.writer != s.readers {
			_, err = Open(t.Context(), dsn, Options{})
			t.Log(err)
		}
	}
}
