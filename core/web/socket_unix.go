//go:build unix

package web

import (
	"errors"

	"golang.org/x/sys/unix"
)

// tryWrite writes what the socket takes at once. It never waits: 0 and nil when
// the send buffer is full.
func (c *conn) tryWrite(b []byte) (n int, err error) {
	var failed error
	err = c.raw.Control(func(fd uintptr) {
		for {
			n, failed = unix.Write(int(fd), b)
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return 0, err
	}
	if errors.Is(failed, unix.EAGAIN) {
		return 0, nil
	}
	return max(n, 0), failed
}

// openFiles returns want, or less when the process may not open as many files.
func openFiles(want int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return want
	}
	files := uint64(limit.Cur)  //nolint:unconvert // it is signed on other systems
	spare := min(files/8, 1024) // for upstreams, files and logs
	return int(min(uint64(want), max(files-spare, 64)))
}
