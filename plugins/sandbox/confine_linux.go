package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// confine limits this process: address space beyond what it has now, seconds of CPU,
// and no core file.
func confine(memory, cpu uint64) error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("read the size of the process: %w", err)
	}
	first, _, _ := strings.Cut(string(statm), " ")
	pages, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return fmt.Errorf("read the size of the process: %w", err)
	}
	space := pages*uint64(os.Getpagesize()) + memory
	for _, l := range []struct {
		what  int
		limit uint64
	}{
		{syscall.RLIMIT_AS, space},
		{syscall.RLIMIT_CPU, cpu},
		{syscall.RLIMIT_CORE, 0},
	} {
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.limit, Max: l.limit}); err != nil {
			return fmt.Errorf("set limit %d: %w", l.what, err)
		}
	}
	return nil
}

// ours reports that the file belongs to the user of this process.
func ours(at fs.FileInfo) bool {
	st, ok := at.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
