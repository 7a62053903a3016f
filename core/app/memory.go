package app

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// ballastSize is counted as alive by the collector, but never touched, so the system
// gives no memory for it. What is really alive is a few MiB: without the ballast the
// heap would be collected each time it has grown by as much, and a busy gateway would
// spend a tenth of its time on that. A higher GOGC would do the same, and would let
// the garbage of ten thousand streams grow to a multiple of them, too.
const ballastSize = 32 << 20

var ballast []byte

// limitFiles say how much memory the cgroup (version 2, then 1) may use.
var limitFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// tuneMemory sets the collector's pace, and its limit to 90 % of what the cgroup
// allows, so that a full container collects more instead of being killed. GOGC and
// GOMEMLIMIT win.
func tuneMemory(lookup func(string) (string, bool), files []string) {
	if _, set := lookup("GOGC"); !set {
		ballast = make([]byte, ballastSize)
	}
	if _, set := lookup("GOMEMLIMIT"); set {
		return
	}
	if limit := memoryLimit(files); limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}

// memoryLimit returns the limit in bytes; 0 = none.
func memoryLimit(files []string) int64 {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || limit <= 0 || limit >= math.MaxInt64/2 { // "max", or version 1's word for none
			return 0
		}
		return limit
	}
	return 0
}
