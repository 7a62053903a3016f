//go:build unix

package store

import (
	"errors"
	"os"
	"syscall"
)

// flock takes the lock of an open file, which ends with the process.
func flock(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
