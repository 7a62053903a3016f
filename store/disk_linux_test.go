package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// mountSmall mounts a file system of 3 MB; only root may.
func mountSmall(t *testing.T) (dir string, mounted bool) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m") != nil {
		return "", false
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, true
}

// freeze makes the files of a store unchangeable under it, as a disk that was remounted.
func freeze(t *testing.T, dir string, s *Store) {
	t.Helper()
	// A file system with files open for writing cannot be remounted; a bind mount over it
	// can, and is what a store that is opened now sees.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const bindReadOnly = syscall.MS_REMOUNT | syscall.MS_RDONLY
	if err := syscall.Mount("", dir, "", bindReadOnly, ""); err != nil {
		t.Logf("remount: %v", err)
		return
	}
	_, err := Open(t.Context(), "sqlite:"+filepath.Join(dir, "a.db"), Options{})
	if e := (*core.Error)(nil); !errors.As(err, &e) || e.Code != core.CodeReadOnly {
		t.Errorf("open on a read-only file system: %v", err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	_ = openFile(t, filepath.Join(dir, "a.db"))
}
