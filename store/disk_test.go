package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/store/storetest"
)

// disk is a way to take the disk away from a store, and to give it back.
type disk struct {
	code core.Code
	take func()
	give func()
}

// withoutDisk: while nothing can be written reading goes on, writing is refused and says
// why, nothing is damaged, and afterwards everything goes on.
func withoutDisk(t *testing.T, s *Store, d disk) {
	t.Helper()
	write := func(name, text string) error {
		entry := &core.AuditEntry{Tenant: "acme", Action: "document.write", Name: name}
		return s.Change(t.Context(), entry, func(ctx context.Context, tx core.Tx) error {
			return tx.Put(ctx, &core.Document{Tenant: "acme", Name: name, Number: 1, Text: text})
		})
	}
	kept := map[string]bool{}
	for i := range 5 {
		name := fmt.Sprint("before ", i)
		if err := write(name, strings.Repeat("x", 1000)); err != nil {
			t.Fatal(err)
		}
		kept[name] = true
	}
	d.take()
	refused := 0
	for i := range 200 {
		name := fmt.Sprint("meanwhile ", i)
		err := write(name, strings.Repeat("y", 100_000))
		if err == nil {
			kept[name] = true
			continue
		}
		if code := core.AsError(err).Code; code != d.code {
			t.Fatalf("code %q, want %q: %v", code, d.code, err)
		}
		if refused++; refused == 10 {
			break
		}
	}
	if refused < 10 {
		t.Fatalf("only %d writes were refused", refused)
	}
	err := s.Append(t.Context(), &core.CallRecord{Tenant: "acme", Arguments: strings.Repeat("z", 200_000)})
	if code := core.AsError(err).Code; err == nil || code != d.code {
		t.Errorf("append: code %q, want %q: %v", code, d.code, err)
	}
	check := func(when string) {
		t.Helper()
		state, err := s.State(t.Context())
		if err != nil {
			t.Fatalf("%s: read: %v", when, err)
		}
		for _, doc := range state.Documents {
			if !kept[doc.Name] {
				t.Errorf("%s: %s is there, and was refused", when, doc.Name)
			}
		}
		if len(state.Documents) != len(kept) {
			t.Errorf("%s: %d documents, want %d", when, len(state.Documents), len(kept))
		}
		var entries []core.AuditEntry
		pages(t, s, func(e *core.AuditEntry) { entries = append(entries, *e) })
		if len(entries) != len(kept) {
			t.Errorf("%s: %d audit entries, want %d", when, len(entries), len(kept))
		}
		if err := storetest.Verify(entries); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		var verdict string
		if err := s.readers.NewRaw("PRAGMA integrity_check").Scan(t.Context(), &verdict); err != nil || verdict != "ok" {
			t.Errorf("%s: integrity: %s, %v", when, verdict, err)
		}
	}
	check("meanwhile")
	d.give()
	if err := write("after", strings.Repeat("x", 50_000)); err != nil {
		t.Fatalf("after: %v", err)
	}
	kept["after"] = true
	check("after")
	t.Logf("%d writes were kept, %d refused", len(kept), refused)
}

// Faults that SQLite itself is told to have: they work everywhere.
func TestSQLiteInjectedFaults(t *testing.T) {
	pragma := func(s *Store, text string) {
		t.Helper()
		var got int64
		if err := s.writer.NewRaw("PRAGMA "+text).Scan(t.Context(), &got); err != nil && !strings.Contains(err.Error(), "no rows") {
			t.Fatal(err)
		}
	}
	t.Run("full", func(t *testing.T) {
		s := openFile(t, filepath.Join(t.TempDir(), "a.db"))
		withoutDisk(t, s, disk{core.CodeFull, func() { pragma(s, "max_page_count = 300") }, func() { pragma(s, "max_page_count = 4294967294") }})
	})
	t.Run("read-only", func(t *testing.T) {
		s := openFile(t, filepath.Join(t.TempDir(), "a.db"))
		withoutDisk(t, s, disk{core.CodeReadOnly, func() { pragma(s, "query_only = 1") }, func() { pragma(s, "query_only = 0") }})
	})
}

// Real ones need root, and Linux.
func TestSQLiteRealFaults(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		dir, mounted := mountSmall(t)
		if !mounted {
			t.Log("no file system could be mounted: TestSQLiteInjectedFaults has to do")
			return
		}
		s := openFile(t, filepath.Join(dir, "a.db"))
		ballast := filepath.Join(dir, "ballast")
		withoutDisk(t, s, disk{core.CodeFull, func() {
			f, err := os.Create(ballast)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			f.Close()
		}, func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		}})
	})
	t.Run("read-only", func(t *testing.T) {
		dir, mounted := mountSmall(t)
		if !mounted {
			return
		}
		s := openFile(t, filepath.Join(dir, "a.db"))
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		freeze(t, dir, s)
	})
}

// A store that lies where nothing can be written says so.
func TestSQLiteRefusesToOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("this is no database, though it is long enough to be looked at as one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		dsn  string
		code core.Code
	}{
		"nothing":               {"", core.CodeInvalid},
		"an unknown database":   {"mysql://localhost/x", core.CodeInvalid},
		"no path":               {"sqlite:", core.CodeInvalid},
		"no address":            {"postgres://%zz", core.CodeInvalid},
		"a folder below a file": {"sqlite:" + filepath.Join(file, "a.db"), core.CodeReadOnly},
		"a folder":              {"sqlite:" + dir, core.CodeReadOnly},
	} {
		s, err := Open(t.Context(), tt.dsn, Options{})
		if err == nil {
			_ = s.Close()
		}
		if code := core.AsError(err).Code; err == nil || code != tt.code {
			t.Errorf("%s: code %q, want %q: %v", what, code, tt.code, err)
		}
	}
	if _, err := Open(t.Context(), "sqlite:"+file, Options{}); err == nil {
		t.Error("a file that is no database was opened")
	}
	_, err := Open(t.Context(), "postgres://user:canary-password@127.0.0.1:1/%zz?sslmode=nonsense", Options{})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("the error of a wrong address: %v", err)
	}
	_, err = Open(t.Context(), "postgres://user:canary-password@127.0.0.1:1/db?sslmode=disable", Options{})
	if err == nil || strings.Contains(err.Error(), "canary") || core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("the error of a Postgres that is not there: %v", err)
	}
}

// Two processes never have one SQLite database, and a dead one holds nothing.
func TestSQLiteIsOfOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	p := start(t, "write")
	p.tell("sqlite:" + path)
	p.wait(t, "ready")
	_, err := Open(t.Context(), "sqlite:"+path, Options{})
	e := core.AsError(err)
	if err == nil || e.Code != core.CodeConflict || !strings.Contains(e.Message, fmt.Sprintf("process %d)", p.Process.Pid)) ||
		!strings.Contains(e.Message, "SQLite with more than one replica refuses to start") {
		t.Errorf("opened a second time: %v", err)
	}
	p.kill()
	s := openFile(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the database: %v, %v", info.Mode(), err)
	}
	_ = s.Close()
	_ = openFile(t, path).Close()
}
