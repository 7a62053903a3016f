package store

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// lockFile keeps other processes from a SQLite database: each of them would hold a state of
// its own in memory, and think that nobody else changes it. The file stays; its lock ends
// with the process, however that ends.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &core.Error{Code: core.CodeReadOnly, Message: "lock the store", Fix: "a folder that this program may write", Err: err}
	}
	taken, err := flock(f)
	if err != nil {
		_ = f.Close()
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "lock the store", Fix: "a folder of a file system that knows locks", Err: err}
	}
	if !taken {
		defer f.Close()
		return nil, &core.Error{
			Code:    core.CodeConflict,
			Message: "another process has this SQLite database" + holder(f) + ": SQLite with more than one replica refuses to start",
			Fix:     "stop that process, or keep the store in Postgres, which many replicas may share",
		}
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // for whoever comes second; a full disk is no reason to stop
	}
	return f, nil
}

// holder reads who has the lock.
func holder(f io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}
