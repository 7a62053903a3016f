package sandbox

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Limits of one plugin. A zero field takes its default, and what is past the hard
// cap is lowered to it: a manifest may only ask for less.
type Limits struct {
	Memory    int64 // bytes of linear memory of one instance: 32 MiB, at most 256 MiB
	Module    int64 // bytes of the .wasm: 32 MiB, which is also the most
	Input     int64 // bytes of the frame of one call: 4 MiB, at most 64 MiB
	Output    int64 // bytes of the frame of one answer: 4 MiB, at most 64 MiB
	Stdio     int64 // bytes of standard output and error that one call may write to the log: 16 KiB, at most 1 MiB
	Instances int   // that exist at once: 2 × GOMAXPROCS, at most 64
	Queue     int   // calls that wait for an instance: 64, at most 4,096
	Stack     int   // bytes of native stack that recursive functions may take: 16 MiB, at most 64 MiB

	Start time.Duration // wall and CPU of making one instance, configure included: 2 s, at most 10 s

	Calls int           // after this many an instance is replaced: 10,000
	Idle  time.Duration // an instance that was not used for so long is closed, the last one excepted: 5 min

	Compile       time.Duration // of the child process that compiles: 60 s, at most 10 min
	CompileMemory int64         // address space that the child may add to what it starts with: 2 GiB
}

const (
	mib = 1 << 20

	// What counts is an upper bound of each frame; the stack itself is on the Go heap
	// and is copied when it grows, so one call costs up to three times this.
	defaultStack = 16 * mib
	maxStack     = 64 * mib
)

// orDefault returns l with every field set and within its cap.
func (l Limits) orDefault() Limits {
	between(&l.Memory, 32*mib, 256*mib)
	between(&l.Module, 32*mib, 32*mib)
	between(&l.Input, 4*mib, 64*mib)
	between(&l.Output, 4*mib, 64*mib)
	between(&l.Stdio, 16<<10, mib)
	between(&l.Instances, min(2*runtime.GOMAXPROCS(0), 64), 64)
	between(&l.Queue, 64, 4096)
	between(&l.Stack, defaultStack, maxStack)
	between(&l.Start, 2*time.Second, 10*time.Second)
	between(&l.Calls, 10_000, 1<<30)
	between(&l.Idle, 5*time.Minute, 24*time.Hour)
	between(&l.Compile, time.Minute, 10*time.Minute)
	between(&l.CompileMemory, 2<<30, 16<<30)
	return l
}

func between[T int | int64 | time.Duration](v *T, or, most T) {
	if *v <= 0 {
		*v = or
	}
	*v = min(*v, most)
}

// Budget is what one call may use. A zero time takes the default of a transformer;
// Load's caller chooses by kind with InvokerBudget and TransformerBudget.
type Budget struct {
	Wall time.Duration // until the answer, waiting for an instance included
	CPU  time.Duration // of guest code: time between yields, less the waiting in host calls

	// Raw returns every status of the guest as an Answer instead of an error: for tools
	// that test a plugin.
	Raw bool

	// What the host functions may know of the call; see Scope.
	CallID CallID
	Call   *core.Call
}

// InvokerBudget is 10 s and 2 s of CPU, TransformerBudget 250 ms and 100 ms: the
// defaults of wasm.md section 8. Invokers may have at most 60 s and 10 s,
// transformers and authorizers 2 s and 1 s.
var (
	InvokerBudget     = Budget{Wall: 10 * time.Second, CPU: 2 * time.Second}
	TransformerBudget = Budget{Wall: 250 * time.Millisecond, CPU: 100 * time.Millisecond}
)

// times returns the two times, set and within the most that any kind may have.
func (b *Budget) times() (wall, cpu time.Duration) {
	wall, cpu = b.Wall, b.CPU
	between(&wall, TransformerBudget.Wall, time.Minute)
	between(&cpu, TransformerBudget.CPU, 10*time.Second)
	return wall, cpu
}

// CallID names a call in logs and for the guest. It is made only when somebody reads it,
// which for most calls nobody does. One call has one: it is not copied once it was read.
type CallID struct {
	Prefix  string         // begins all ids of one process
	Counter *atomic.Uint64 // numbers them; nil = Prefix is the whole id

	text string
}

// String returns the id.
func (c *CallID) String() string {
	switch {
	case c.Counter == nil:
		return c.Prefix
	case c.text == "":
		var b [40]byte
		c.text = string(strconv.AppendUint(append(b[:0], c.Prefix...), c.Counter.Add(1), 36))
	}
	return c.text
}
