package vault

import (
	"bytes"
	"compress/gzip"
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

func someState(revision int64) *core.State {
	until := noon.Add(time.Hour)
	return &core.State{
		Revision: revision, Loaded: noon.Add(time.Duration(revision) * time.Second),
		Tenants:     []core.Tenant{{ID: "default", Stamp: core.Stamp{Version: 1, Created: noon}}},
		Users:       []core.User{{Tenant: "default", ID: "1", Name: "ann", Groups: []string{"a"}, Valid: noon}},
		Tokens:      []core.Token{{Tenant: "default", ID: "1", Sum: "sum", Expires: &until}},
		Credentials: []core.Credential{{Tenant: "default", ID: "1", Name: "shop", Sealed: "sealed"}},
		Providers:   []core.Provider{{Tenant: "default", ID: "idp", ClientSecret: "sealed too"}},
		Documents:   []core.Document{{Tenant: "default", Name: "shop", Text: "servers: []\n"}},
	}
}

func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, Options{Dir: dir})
	o := SnapshotOptions{Vault: v, Path: filepath.Join(dir, "state.sealed"), Now: v.o.Now}
	s := NewSnapshot(o)
	_, _, err := s.Load()
	wants(t, err, core.CodeNotFound)
	want := someState(7)
	if err := s.Save(want); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wants(t, s.Save(want), core.CodeUnavailable)
	got, at, err := NewSnapshot(SnapshotOptions{Vault: openVault(t, Options{Dir: dir}), Path: o.Path}).Load()
	if err != nil || !at.Equal(want.Loaded) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v at %s, %v", got, at, err)
	}
	b, err := os.ReadFile(o.Path)
	if err != nil || bytes.Contains(b, []byte("ann")) {
		t.Errorf("%v, or something is readable", err)
	}
	if about, _ := os.Stat(o.Path); about.Mode().Perm() != 0o600 {
		t.Error(about.Mode())
	}
	// Rotation does not take it away.
	if _, err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewSnapshot(o).Load(); err != nil {
		t.Error(err)
	}
}

// Any flipped bit, any shorter or longer file, another key and another format are
// refused. The test of the test reads a damaged one when nothing is sealed.
func TestDamagedSnapshot(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, Options{Dir: dir})
	o := SnapshotOptions{Vault: v, Path: filepath.Join(dir, "state.sealed")}
	if err := NewSnapshot(o).Save(someState(1)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	load := func(b []byte) error {
		if err := os.WriteFile(o.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := NewSnapshot(o).Load()
		return err
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		if err := load(b); err == nil {
			t.Fatalf("byte %d: read", i)
		}
	}
	for i := 0; i < len(whole); i += 7 {
		if err := load(whole[:i]); err == nil {
			t.Fatalf("cut off at %d: read", i)
		}
	}
	if err := load(append(bytes.Clone(whole), 'x')); err == nil {
		t.Error("a longer one is read")
	}
	for name, r := range map[string]struct {
		text []byte
		say  string
	}{
		"another format": {bytes.Replace(whole, []byte("snapshot 1"), []byte("snapshot 2"), 1), "another format"},
		"another thing":  {[]byte("SQLite format 3"), "is not a snapshot"},
		"another key":    {bytes.Replace(whole, []byte(v.Kid()), []byte("k2"), 1), "the key k2"},
	} {
		if err := load(r.text); err == nil || !strings.Contains(err.Error(), r.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := load(whole); err != nil {
		t.Fatal(err)
	}
	o.Vault = openVault(t, Options{Keys: core.Secret(randomKey(t, v.Kid()))})
	if err := load(whole); err == nil || !strings.Contains(err.Error(), "another value") {
		t.Errorf("a key of the same id: %v", err)
	}
	t.Run("the test bites", func(t *testing.T) {
		var packed bytes.Buffer
		if err := gob.NewEncoder(&packed).Encode(someState(1)); err != nil {
			t.Fatal(err)
		}
		read := 0
		for i := range packed.Len() {
			b := bytes.Clone(packed.Bytes())
			b[i] ^= 1 << (i % 8)
			if gob.NewDecoder(bytes.NewReader(b)).Decode(&core.State{}) == nil {
				read++
			}
		}
		if read == 0 {
			t.Error("gob alone finds every flipped bit")
		}
	})
}

// A snapshot that would unpack to more than there is memory for was not written here;
// one that was sealed here and holds rubbish is an error.
func TestSnapshotOfRubbish(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, Options{Dir: dir})
	var zip bytes.Buffer
	w := gzip.NewWriter(&zip)
	_, _ = w.Write([]byte("rubbish"))
	_ = w.Close()
	for _, plain := range [][]byte{nil, []byte("rubbish"), zip.Bytes()} {
		s, err := v.seal(snapshotPurpose, plain, []string{snapshotFormat})
		if err != nil {
			t.Fatal(err)
		}
		o := SnapshotOptions{Vault: v, Path: filepath.Join(dir, "state")}
		if err := os.WriteFile(o.Path, append([]byte(snapshotMark+snapshotFormat+"\n"+s.kid+"\n"), s.raw()...), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := NewSnapshot(o).Load(); err == nil {
			t.Errorf("%q was read", plain)
		}
	}
}

// Many changes make few writes, and the newest one is there in the end.
func TestSnapshotIsNotWrittenAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		v := openVault(t, Options{Dir: dir})
		s := NewSnapshot(SnapshotOptions{Vault: v, Path: filepath.Join(dir, "state")})
		on := func() int64 {
			got, _, err := s.Load()
			if err != nil {
				t.Fatal(err)
			}
			return got.Revision
		}
		for i := range int64(20) {
			if err := s.Save(someState(i + 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Save(someState(3)); err != nil { // an old one, late
			t.Fatal(err)
		}
		if n := on(); n != 1 {
			t.Errorf("%d is on disk at once", n)
		}
		time.Sleep(saveEvery)
		synctest.Wait()
		if n := on(); n != 20 {
			t.Errorf("%d is on disk after a while", n)
		}
		if err := s.Save(someState(21)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := on(); n != 21 {
			t.Errorf("%d is on disk after Close", n)
		}
	})
}

// A place that cannot be written is an error now, and in the log later; what was there
// stays.
func TestSnapshotWithoutAPlace(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, Options{Dir: dir})
	s := NewSnapshot(SnapshotOptions{Vault: v, Path: filepath.Join(dir, "missing", "state")})
	if err := s.Save(someState(1)); err == nil {
		t.Error("saved nowhere")
	}
	if err := s.Close(); err == nil {
		t.Error("closed without a word")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".vault-*")); len(left) > 0 {
		t.Error(fmt.Sprint(left))
	}
}
