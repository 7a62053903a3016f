package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// stock fills a store with sealed rows and returns them.
func stock(t testing.TB, v *Vault, store *shelf, n int) {
	t.Helper()
	for i := range n {
		tenant := []string{"default", "acme"}[i%2]
		c := &core.Credential{Tenant: tenant, ID: fmt.Sprint("c", i), Name: fmt.Sprint("n", i)}
		if i%3 == 0 {
			c.Owner, c.Connector = "ann", "github"
		}
		c.Sealed = seal(t, v, core.SealedRow, "canary-"+c.ID, core.CredentialBind(c)...)
		store.put(c)
	}
	p := &core.Provider{Tenant: "acme", ID: "idp"}
	p.ClientSecret = seal(t, v, core.SealedRow, "canary-idp", core.ProviderBind(p)...)
	k := &core.Connector{Tenant: "acme", Name: "github"}
	k.ClientSecret = seal(t, v, core.SealedRow, "canary-github", core.ConnectorBind(k)...)
	store.put(p)
	store.put(k)
	store.put(&core.Provider{Tenant: "acme", ID: "public"})
	if err := v.Check(t.Context(), store); err != nil {
		t.Fatal(err)
	}
}

// inStore opens everything, and counts it by key.
func inStore(t testing.TB, v *Vault, store *shelf) map[string]int {
	t.Helper()
	byKid := map[string]int{}
	for _, one := range columns {
		for after := ""; ; {
			cells, next, err := one.list(t.Context(), store, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cells {
				s, _ := parse(c.token())
				byKid[s.kid]++
				if _, err := v.openText(c.purpose(), c.token(), c.bind()); err != nil {
					t.Errorf("%s: %v", c.name(), err)
				}
			}
			if after = next; after == "" {
				break
			}
		}
	}
	return byKid
}

func TestRotateStore(t *testing.T) {
	v, store := openVault(t, Options{Dir: t.TempDir()}), newShelf()
	stock(t, v, store, 120)
	first := v.Kid()
	if _, err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	if unused, err := v.Unused(t.Context(), store); err != nil || len(unused) != 0 {
		t.Errorf("unused %v, %v", unused, err)
	}
	wants(t, v.Forget(t.Context(), store, first), core.CodeConflict)
	// It is stopped in the middle, and goes on from there.
	ctx, cancel := context.WithCancel(t.Context())
	changes := 0
	store.before = func() {
		if changes++; changes == 2 {
			cancel()
		}
	}
	stopping := &stopper{shelf: store}
	before := len(store.entries)
	if _, err := v.RotateStore(ctx, stopping, &core.AuditEntry{Tenant: "default", Actor: "root"}); err == nil {
		t.Error("not stopped")
	}
	store.before = nil
	half := inStore(t, v, store)
	if half[first] == 0 || half[v.Kid()] == 0 {
		t.Fatalf("not in the middle: %v", half)
	}
	r, err := v.RotateStore(t.Context(), store, &core.AuditEntry{Tenant: "default", Actor: "root"})
	if err != nil || r.Changed != half[first] || r.Looked != 124 {
		t.Errorf("%+v, %v", r, err)
	}
	if all := inStore(t, v, store); all[first] != 0 || all[v.Kid()] != 124 {
		t.Errorf("after: %v", all)
	}
	sum := 0
	for _, e := range store.entries[before:] {
		var details struct{ Rewrapped int }
		if err := json.Unmarshal(e.Details, &details); err != nil || e.Action != "key.rewrap" || e.Actor != "root" {
			t.Errorf("audit %+v", e)
		}
		sum += details.Rewrapped
	}
	if sum != 124 {
		t.Errorf("the trail tells of %d", sum)
	}
	n := len(store.entries)
	if r, err := v.RotateStore(t.Context(), store, &core.AuditEntry{}); err != nil || r.Changed != 0 || len(store.entries) != n {
		t.Errorf("again: %+v, %v", r, err)
	}
	unused, err := v.Unused(t.Context(), store)
	if err != nil || !slices.Equal(unused, []string{first}) {
		t.Errorf("unused %v, %v", unused, err)
	}
	wants(t, v.Forget(t.Context(), store, v.Kid()), core.CodeConflict)
	wants(t, v.Forget(t.Context(), store, "nobody"), core.CodeConflict)
	if err := v.Forget(t.Context(), store, first); err != nil || slices.Contains(v.Kids(), first) {
		t.Errorf("%v, kept %v", err, v.Kids())
	}
	inStore(t, openVault(t, Options{Dir: v.o.Dir}), store)
}

// stopper refuses changes once its context has ended, as a database does.
type stopper struct{ *shelf }

func (s *stopper) Change(ctx context.Context, e *core.AuditEntry, f func(context.Context, core.Tx) error) error {
	return s.shelf.Change(ctx, e, func(ctx context.Context, tx core.Tx) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f(ctx, tx)
	})
}

// Rotation under load: writers change, make and delete rows all the while. Nothing that
// a writer wrote is lost, and everything opens.
func TestRotationUnderLoad(t *testing.T) {
	v, store := openVault(t, Options{Dir: t.TempDir()}), newShelf()
	stock(t, v, store, 60)
	var stop atomic.Bool
	var load sync.WaitGroup
	latest := make([]string, 6)
	for w := range latest {
		load.Go(func() {
			for i := 0; !stop.Load(); i++ {
				c := &core.Credential{Tenant: "default", ID: fmt.Sprint("w", w), Name: fmt.Sprint("w", w)}
				value := fmt.Sprint("value ", i)
				c.Sealed = seal(t, v, core.SealedRow, value, core.CredentialBind(c)...)
				store.put(c)
				latest[w] = value
				if plain, err := v.Open(core.SealedRow, c.Sealed, core.CredentialBind(c)...); err != nil || string(plain) != value {
					t.Error(err)
				}
				gone := &core.Credential{Tenant: "default", ID: fmt.Sprint("gone", w), Sealed: c.Sealed}
				gone.Sealed = seal(t, v, core.SealedRow, value, core.CredentialBind(gone)...)
				store.put(gone)
				store.delete(gone)
			}
		})
	}
	for range 5 {
		if _, err := v.Rotate(); err != nil {
			t.Fatal(err)
		}
		if _, err := v.RotateStore(t.Context(), store, &core.AuditEntry{}); err != nil && core.AsError(err).Code != core.CodeChanged {
			t.Error(err)
		}
	}
	stop.Store(true)
	load.Wait()
	if _, err := v.RotateStore(t.Context(), store, &core.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	if all := inStore(t, v, store); len(all) != 1 {
		t.Errorf("keys in use: %v", all)
	}
	for w, want := range latest {
		c := &core.Credential{Tenant: "default", ID: fmt.Sprint("w", w)}
		if err := store.Get(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if plain, err := v.Open(core.SealedRow, c.Sealed, core.CredentialBind(c)...); err != nil || string(plain) != want {
			t.Errorf("writer %d: %q, wrote %q last (%v)", w, plain, want, err)
		}
	}
}

// A row that does not open is told of and left, and does not stop the others.
func TestRotationLeavesWhatDoesNotOpen(t *testing.T) {
	v, store := openVault(t, Options{Dir: t.TempDir()}), newShelf()
	stock(t, v, store, 4)
	moved := &core.Credential{Tenant: "acme", ID: "c1"}
	if err := store.Get(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	moved.ID = "moved"
	store.put(moved)
	store.put(&core.Credential{Tenant: "acme", ID: "text", Sealed: "not sealed"})
	if _, err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	r, err := v.RotateStore(t.Context(), store, &core.AuditEntry{})
	wants(t, err, core.CodeDenied)
	if slices.Sort(r.Failed); !slices.Equal(r.Failed, []string{"credential/acme/moved", "credential/acme/text"}) || r.Changed != 8 {
		t.Errorf("%+v", r)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
}

// Rewrap does not make the sealed text readable to whoever says the wrong things, and
// leaves nonce and sealed text as they are.
func TestRewrap(t *testing.T) {
	v := openVault(t, Options{Dir: t.TempDir()})
	token := seal(t, v, "row", "canary", "a")
	if same, changed, err := v.Rewrap(token, "row", "a"); err != nil || changed || same != token {
		t.Error(same, changed, err)
	}
	if _, err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	for _, bind := range [][]string{nil, {"b"}} {
		_, _, err := v.Rewrap(token, "row", bind...)
		wants(t, err, core.CodeNotFound)
	}
	_, _, err := v.Rewrap("nothing", "row", "a")
	wants(t, err, core.CodeNotFound)
	fresh, changed, err := v.Rewrap(token, "row", "a")
	if err != nil || !changed {
		t.Fatal(err)
	}
	before, _ := parse(token)
	after, _ := parse(fresh)
	if string(before.box) != string(after.box) || string(before.wrapped) == string(after.wrapped) || after.kid != v.Kid() {
		t.Error("not only the key was wrapped anew")
	}
	if plain, err := v.Open("row", fresh, "a"); err != nil || string(plain) != "canary" {
		t.Errorf("%q, %v", plain, err)
	}
}
