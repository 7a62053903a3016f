package store

import (
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/store/storetest"
)

// openFile opens the SQLite database of a test.
func openFile(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), "sqlite:"+path, Options{AuditKey: storetest.Key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openSQLite(t *testing.T) core.Store { return openFile(t, filepath.Join(t.TempDir(), "a b?c.db")) }

func openMemory(t *testing.T) core.Store {
	s, err := Open(t.Context(), "memory:", Options{AuditKey: storetest.Key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSQLite(t *testing.T) { storetest.Run(t, openSQLite) }

func TestMemory(t *testing.T) { storetest.Run(t, openMemory) }

func TestSQLiteCopies(t *testing.T) {
	t.Run("file to memory", func(t *testing.T) { storetest.Copy(t, openSQLite, openMemory) })
	t.Run("memory to file", func(t *testing.T) { storetest.Copy(t, openMemory, openSQLite) })
}
