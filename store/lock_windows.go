package store

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// flock takes the lock of an open file, which ends with the process. The byte that is
// locked lies beyond those that are read.
func flock(f *os.File) (taken bool, err error) {
	beyond := &windows.Overlapped{OffsetHigh: 1}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, beyond)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}
