package rewrite

import "fmt"

// Refusal says why a module is not taken. It is the only type of error of this
// package.
type Refusal struct { //nolint:errname // RefusalError would say it twice
	Offset  int    // bytes before the place in the file; -1 = the file as a whole
	Where   string // "code section, function 12", may be empty
	Message string // what is wrong
	Fix     string // what to do instead; may be empty
}

// Error returns the message with its place and the fix.
func (r *Refusal) Error() string {
	s := "wasm: "
	if r.Where != "" {
		s += r.Where + ": "
	}
	s += r.Message
	if r.Offset >= 0 {
		s += fmt.Sprintf(" (byte %d)", r.Offset)
	}
	if r.Fix != "" {
		s += "; " + r.Fix
	}
	return s
}

// What to do about features that the gateway does not run.
const (
	fixComponent  = "build a core module: Rust: --target wasm32-wasip1 and no cargo-component; JavaScript and Python component tools cannot make one"
	fixMemory64   = "build for 32-bit memory (wasm32)"
	fixThreads    = "build without threads: no -pthread, -C target-feature=-atomics, no --shared-memory"
	fixMemories   = "build with one memory (no multi-memory)"
	fixExceptions = "build without WASM exceptions: Rust -C panic=abort, C++ -fno-exceptions, no -fwasm-exceptions"
	fixTailCalls  = "build without tail calls: -mno-tail-call, -C target-feature=-tail-call"
	fixGC         = "build without garbage-collected and typed function references"
	fixRelaxed    = "build without relaxed SIMD: -mno-relaxed-simd, -C target-feature=-relaxed-simd"
	fixConst      = "build without extended constant expressions: -mno-extended-const, -C target-feature=-extended-const"
	fixLimit      = "make it smaller; the limits stand in the plugin documentation"
	fixReserved   = "these names belong to the gateway: rename it"
)
