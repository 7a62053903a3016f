//go:build !linux

package sandbox

import (
	"io/fs"
	"runtime/debug"
)

// confine has only the garbage collector's soft limit here; the parent's timer ends
// the process.
func confine(memory, _ uint64) error {
	debug.SetMemoryLimit(int64(memory)) //nolint:gosec // parsed with 63 bits
	return nil
}

func ours(fs.FileInfo) bool { return true }
