package guests

import (
	"bytes"
	"strings"

	"github.com/sallyport/sallyport/plugins/abi"
)

// New returns a module with two pages of memory, the marker and a bump allocator
// that grows memory as needed. The first kilobyte is free for the guest's own use.
// Imports have to be added before, so they are given here.
func New(imports ...func(*Module)) *Module {
	m := Bare(2)
	for _, i := range imports {
		i(m)
	}
	m.Export(abi.Marker, m.Func("", "", ""))
	// Globals 0 and 1: where free memory begins; where the output of an echo goes.
	heap, out := m.Global(1024), m.Global(0)
	m.Export(abi.Alloc, m.Func("i", "i", "ii", // size; at, end
		GlobalGet(heap), Set(1),
		// end = at + 2*size + 64, rounded up to 16: room for input and output
		Get(1), Get(0), Const(2), Op(Mul), Op(Add), Const(79), Op(Add), Const(-16), Op(And), Set(2),
		Get(2), MemorySize(), Const(65536), Op(Mul), Op(GtU),
		If(
			Get(2), MemorySize(), Const(65536), Op(Mul), Op(Sub), Const(65535), Op(Add), Const(16), Op(ShrU),
			MemoryGrow(), Const(-1), Op(Eq),
			If(Const(0), Op(Return)),
		),
		Get(2), GlobalSet(heap),
		Get(1), Get(0), Op(Add), Const(15), Op(Add), Const(-16), Op(And), GlobalSet(out),
		Get(1),
	))
	return m
}

// Out is the global of New where an answer may be written.
const Out = 1

// Answer is the end of a kind's export: it returns length bytes at global Out, the
// length being on the stack.
func Answer(scratch uint32) []byte {
	return cat(Set(scratch), GlobalGet(Out), Op(Extend), Const64(32), Op(Shl64), Get(scratch), Op(Extend), Op(Or64))
}

// Said is the code that answers status and text; the text has to stand in memory at
// `at` (see Module.Data).
func Said(status abi.Status, at, size int32) []byte {
	return cat(
		GlobalGet(Out), Const(int32(status)), Store(0),
		GlobalGet(Out), Const(0), Store(4),
		GlobalGet(Out), Const(8), Op(Add), Const(at), Const(size), MemoryCopy(),
	)
}

// Echo answers every kind with the payload it got, as a C guest would: it skips the
// pairs and copies the rest.
func Echo() []byte { return echo(New()) }

// Roomy is Echo with 32 pages of memory from the start: it need not grow.
func Roomy() []byte {
	m := New()
	m.pages = 32
	return echo(m)
}

func echo(m *Module) []byte {
	f := m.Func("ii", "l", "iii", // ptr, len; at, n, size
		Get(0), Const(4), Op(Add), Set(2),
		Get(0), Load(0), Const(2), Op(Mul), Set(3),
		Block(Loop(
			Get(3), Op(EqZ), BranchIf(1),
			Get(2), Load(0), Const(4), Op(Add), Get(2), Op(Add), Set(2),
			Get(3), Const(1), Op(Sub), Set(3),
			Branch(0),
		)),
		Get(0), Get(1), Op(Add), Get(2), Op(Sub), Set(4),
		GlobalGet(Out), Const64(0), Store64(0),
		GlobalGet(Out), Const(8), Op(Add), Get(2), Get(4), MemoryCopy(),
		Get(4), Const(8), Op(Add), Answer(4),
	)
	for _, kind := range abi.Kinds {
		m.Export(kind, f)
	}
	return m.Bytes()
}

// With returns a guest whose tool call runs the code; locals are ptr, len, then those
// named by letters. The code leaves the i64 answer.
func With(locals string, code ...[]byte) []byte {
	m := New()
	return m.Export(abi.ToolCall, m.Func("ii", "l", locals, code...)).Bytes()
}

// Fine is an answer OK without payload.
func Fine() []byte {
	return cat(Said(abi.OK, 0, 0), GlobalGet(Out), Op(Extend), Const64(32), Op(Shl64), Const64(8), Op(Or64))
}

// Spin never ends.
func Spin() []byte { return With("", Loop(Branch(0)), Const64(0)) }

// Tree calls functions that each call the next one twice: 2^depth calls and no loop.
func Tree(depth int) []byte {
	m := New()
	last := m.Func("", "", "")
	for range depth {
		last = m.Func("", "", "", Call(last), Call(last))
	}
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Call(last), Const64(0))).Bytes()
}

// Deep calls itself without end.
func Deep() []byte {
	m := New()
	self := m.Next()
	m.Func("i", "i", "", Get(0), Const(1), Op(Add), Call(self), Const(1), Op(Add))
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Const(0), Call(self), Op(Extend))).Bytes()
}

// Fib is the loop-free recursion of fib(n), n being at most 40 deep and 2^n long.
func Fib(n int32) []byte {
	m := New()
	self := m.Next()
	m.Func("i", "i", "",
		Get(0), Const(2), Op(GeU),
		If(Get(0), Const(1), Op(Sub), Call(self), Get(0), Const(2), Op(Sub), Call(self), Op(Add), Op(Return)),
		Get(0),
	)
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Const(n), Call(self), Op(Drop), Const64(0))).Bytes()
}

// MemoryBomb grows memory and fills it until it gets no more, then for ever.
func MemoryBomb() []byte {
	return With("i", Loop(
		Const(16), MemoryGrow(), Tee(2), Const(-1), Op(Eq),
		If(Op(Unreachable)),
		Get(2), Const(65536), Op(Mul), Const(0x55), Const(16*65536), MemoryFill(),
		Branch(0),
	), Const64(0))
}

// FillStorm fills a megabyte over and over: much work behind few instructions.
func FillStorm() []byte {
	return With("",
		Const(255), MemoryGrow(), Op(Drop),
		Loop(Const(0), Const(1), Const(16<<20), MemoryFill(), Branch(0)), Const64(0))
}

// TableBomb grows a table that names no maximum.
func TableBomb() []byte {
	m := New()
	m.Table(1, 0)
	return m.Export(abi.ToolCall, m.Func("ii", "l", "",
		Loop(RefNull(), Const(1<<20), TableGrow(), Const(-1), Op(Eq), If(Op(Unreachable)), Branch(0)),
		Const64(0))).Bytes()
}

// Trap reaches an unreachable instruction.
func Trap() []byte { return With("", Op(Unreachable)) }

// Returns answers with that number: a pointer and a length of the test's choice.
func Returns(packed uint64) []byte { return With("", Const64(int64(packed))) }

// Exit calls proc_exit.
func Exit(code int32) []byte {
	var exit uint32
	m := New(func(m *Module) { exit = m.Import("wasi_snapshot_preview1", "proc_exit", "i", "") })
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Const(code), Call(exit), Const64(0))).Bytes()
}

// Sleep sleeps for that many nanoseconds with poll_oneoff, and answers.
func Sleep(nanoseconds int64) []byte {
	var poll uint32
	m := New(func(m *Module) { poll = m.Import("wasi_snapshot_preview1", "poll_oneoff", "iiii", "i") })
	return m.Export(abi.ToolCall, m.Func("ii", "l", "",
		Const(16), Const(1), Store(0), // monotonic clock; the rest of the subscription is zero
		Const(0), Const64(nanoseconds), Store64(24),
		Const(0), Const(128), Const(1), Const(512), Call(poll), Op(Drop),
		Fine())).Bytes()
}

// Stdout writes the text to standard output for ever (times = 0) or so often.
func Stdout(text string, times int32) []byte {
	var write uint32
	m := New(func(m *Module) { write = m.Import("wasi_snapshot_preview1", "fd_write", "iiii", "i") })
	m.Data(64, text)
	size := int32(len(text))
	return m.Export(abi.ToolCall, m.Func("ii", "l", "i",
		Const(0), Const(64), Store(0), Const(4), Const(size), Store(0),
		Loop(
			Const(1), Const(0), Const(1), Const(16), Call(write), Op(Drop),
			Get(2), Const(1), Op(Add), Tee(2), Const(times), Op(Sub), BranchIf(0),
		),
		Fine())).Bytes()
}

// LogStorm logs for ever, ConfigStorm asks for its configuration for ever.
func LogStorm() []byte {
	var log uint32
	m := New(func(m *Module) { log = m.Import(abi.Module, abi.Log, "iii", "") })
	m.Data(64, "hello")
	return m.Export(abi.ToolCall, m.Func("ii", "l", "",
		Loop(Const(1), Const(64), Const(5), Call(log), Branch(0)), Const64(0))).Bytes()
}

// KVStorm asks for a key for ever; the host function may wait.
func KVStorm() []byte {
	var get uint32
	m := New(func(m *Module) { get = m.Import(abi.Module, abi.KVGet, "iiii", "l") })
	m.Data(64, "hello")
	return m.Export(abi.ToolCall, m.Func("ii", "l", "",
		Loop(Const(64), Const(5), Const(128), Const(64), Call(get), Op(Drop), Branch(0)), Const64(0))).Bytes()
}

// Tool calls another tool with the given frame through the host and answers with
// what it got, at most 256 bytes.
func Tool(frame string) []byte {
	var tool, read uint32
	m := New(func(m *Module) {
		tool = m.Import(abi.Module, abi.CallTool, "ii", "l")
		read = m.Import(abi.Module, abi.Read, "iii", "i")
	})
	m.Data(64, frame)
	return m.Export(abi.ToolCall, m.Func("ii", "l", "i",
		GlobalGet(Out), Const64(0), Store64(0),
		Const(64), Const(int32(len(frame))), Call(tool), Op(Drop),
		GlobalGet(Out), Const(8), Op(Add), Const(0), Const(256), Call(read), Const(8), Op(Add), Answer(2))).Bytes()
}

// Counter answers with one byte that counts the calls, kept in memory or in a global:
// what isolation must undo.
func Counter(global bool) []byte {
	m := New()
	n := m.Global('0')
	m.Data(64, "0")
	count := cat(Const(64), Const(64), Load(0), Const(1), Op(Add), Store(0))
	if global {
		count = cat(GlobalGet(n), Const(1), Op(Add), GlobalSet(n), Const(64), GlobalGet(n), Store(0))
	}
	return m.Export(abi.ToolCall, m.Func("ii", "l", "i", count, Said(abi.OK, 64, 1), Const(9), Answer(2))).Bytes()
}

// Grower grows its memory by one page a call and answers.
func Grower() []byte { return With("", Const(1), MemoryGrow(), Op(Drop), Fine()) }

// Says answers the export with status and text.
func Says(status abi.Status, text, kind string) []byte {
	m := New()
	m.Data(64, text)
	size := int32(len(text))
	return m.Export(kind, m.Func("ii", "l", "i", Said(status, 64, size), Const(8+size), Answer(2))).Bytes()
}

// KVOnce asks for one key and answers, KVThenTrap traps afterwards.
func KVOnce() []byte { return kv(Fine()) }

// KVThenTrap asks for one key and traps.
func KVThenTrap() []byte { return kv(Op(Unreachable)) }

func kv(then []byte) []byte {
	var get uint32
	m := New(func(m *Module) { get = m.Import(abi.Module, abi.KVGet, "iiii", "l") })
	m.Data(64, "hello")
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Const(64), Const(5), Const(128), Const(64), Call(get), Op(Drop), then)).Bytes()
}

// Configured refuses every configuration that is not two bytes long, with its text.
func Configured() []byte { return ConfiguredWith(abi.OK) }

// ConfiguredWith is Configured that answers a good configuration with this status.
func ConfiguredWith(status abi.Status) []byte {
	m := New()
	m.Export(abi.Configure, m.Func("ii", "l", "i",
		GlobalGet(Out), Const64(int64(status)), Store64(0),
		Get(1), Const(6), Op(Eq), If(Const(8), Answer(2), Op(Return)),
		GlobalGet(Out), Const(int32(abi.InvalidArgs)), Store(0),
		GlobalGet(Out), Const(8), Op(Add), Get(0), Const(4), Op(Add), Get(1), Const(4), Op(Sub), MemoryCopy(),
		Get(1), Const(4), Op(Add), Answer(2)))
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Fine())).Bytes()
}

// Start runs code in the start function, before any export.
func Start(code ...[]byte) []byte {
	m := New()
	m.Start(m.Func("", "", "", code...))
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Fine())).Bytes()
}

// CompileBomb is a function of many blocks in each other, whose locals the compiler
// has to join at every end: small, and slow to compile.
func CompileBomb(blocks int) []byte {
	code := bytes.Repeat([]byte{0x02, 0x40}, blocks)
	for range blocks {
		code = append(code, cat(Get(0), BranchIf(0), Op(0x0b))...)
	}
	m := New()
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", code, Const64(0))).Bytes()
}

// Wide is many functions of the size that the static limits allow, each full of
// locals and branches: what is left to the child's time limit.
func Wide(functions, blocks int) []byte {
	m := New()
	locals := strings.Repeat("i", 900)
	code := make([]byte, 0, blocks*12)
	for n := range blocks {
		code = append(code, cat(Get(0), If(Get(uint32(n%900)), Const(int32(n)), Op(Add), Set(uint32((n*7)%900))))...)
	}
	for range functions {
		m.Func("i", "", locals, code)
	}
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", Const64(0))).Bytes()
}

// KVMany asks for a key so often, and answers.
func KVMany(times int32) []byte {
	var get uint32
	m := New(func(m *Module) { get = m.Import(abi.Module, abi.KVGet, "iiii", "l") })
	m.Data(64, "hello")
	return m.Export(abi.ToolCall, m.Func("ii", "l", "i",
		Loop(
			Const(64), Const(5), Const(128), Const(64), Call(get), Op(Drop),
			Get(2), Const(1), Op(Add), Tee(2), Const(times), Op(Sub), BranchIf(0),
		),
		Fine())).Bytes()
}
