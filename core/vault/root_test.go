package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func TestCheck(t *testing.T) {
	dir, store := t.TempDir(), newShelf()
	v := openVault(t, Options{Dir: dir})
	if _, err := v.Derive("audit"); err == nil {
		t.Error("derived without a root")
	}
	for range 2 {
		if err := v.Check(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.entries) != 1 || store.entries[0].Action != "key.write" {
		t.Errorf("audit %+v", store.entries)
	}
	before, err := v.Derive("audit")
	if err != nil || len(before) != 32 {
		t.Fatal(before, err)
	}
	if other, _ := v.Derive("session"); bytes.Equal(other, before) {
		t.Error("two purposes have one key")
	}
	// Rotation, a restart, and a start without the store: the same.
	if _, err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.RotateStore(t.Context(), store, &core.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	if err := v.Check(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	again := openVault(t, Options{Dir: dir})
	if after, err := again.Derive("audit"); err != nil || !bytes.Equal(after, before) {
		t.Errorf("after a restart without the store: %v", err)
	}
	if err := again.Check(t.Context(), store); err != nil {
		t.Error(err)
	}
}

func TestWrongKeysRefuseToStart(t *testing.T) {
	store := newShelf()
	one := randomKey(t, "one")
	if err := openVault(t, Options{Keys: core.Secret(one)}).Check(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	err := openVault(t, Options{Keys: core.Secret(randomKey(t, "two"))}).Check(t.Context(), store)
	wants(t, err, core.CodeDenied)
	if err == nil || !strings.Contains(err.Error(), "key one") || !strings.Contains(err.Error(), "vault-keys.json") {
		t.Errorf("%v does not say what is missing", err)
	}
	err = openVault(t, Options{Keys: core.Secret(randomKey(t, "one"))}).Check(t.Context(), store)
	wants(t, err, core.CodeDenied)
	if len(store.entries) != 1 {
		t.Error("a wrong key changed the store")
	}
	// A check that somebody else put there is none.
	for name, value := range map[string]string{"no text": "{}", "no seal": `"x"`, "another text": ""} {
		v := openVault(t, Options{Keys: core.Secret(one)})
		row := &core.Setting{Tenant: core.DefaultTenant, Name: checkSetting, Value: value}
		if value == "" {
			row.Value = quoted(seal(t, v, checkPurpose, "something", core.SettingBind(row)...))
		}
		other := newShelf()
		other.put(row)
		if err := v.Check(t.Context(), other); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	store.fail = &core.Error{Code: core.CodeUnavailable, Message: "down"}
	wants(t, openVault(t, Options{Keys: core.Secret(one)}).Check(t.Context(), store), core.CodeUnavailable)
}

// Replicas that start at once agree on one root.
func TestRootIsMadeOnce(t *testing.T) {
	store := newShelf()
	keys := core.Secret(randomKey(t, "one"))
	var all sync.WaitGroup
	derived := make([][]byte, 8)
	start := make(chan struct{})
	for i := range derived {
		v := openVault(t, Options{Keys: keys})
		all.Go(func() {
			<-start
			if err := v.Check(t.Context(), store); err != nil {
				t.Error(err)
			}
			derived[i], _ = v.Derive("audit")
		})
	}
	close(start)
	all.Wait()
	for _, d := range derived {
		if len(d) == 0 || !bytes.Equal(d, derived[0]) {
			t.Fatalf("roots differ: %x", derived)
		}
	}
	if len(store.entries) != 1 {
		t.Errorf("%d made one", len(store.entries))
	}
}

// A root that does not open is no reason not to start: the store has it.
func TestDamagedRootFile(t *testing.T) {
	dir, store := t.TempDir(), newShelf()
	v := openVault(t, Options{Dir: dir})
	if err := v.Check(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	want, _ := v.Derive("x")
	path := filepath.Join(dir, rootFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", string(whole[:40]), strings.Replace(string(whole), "sv1", "sv2", 1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		log, out := written()
		again := openVault(t, Options{Dir: dir, Log: log})
		if _, err := again.Derive("x"); err == nil || !strings.Contains(out.String(), "does not open") {
			t.Errorf("%q: %v, logged %s", text, err, out)
		}
		if err := again.Check(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if got, err := again.Derive("x"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %v", text, err)
		}
		if mended, err := os.ReadFile(path); err != nil || !bytes.Equal(mended, whole) {
			t.Errorf("%q: not mended: %v", text, err)
		}
	}
}
