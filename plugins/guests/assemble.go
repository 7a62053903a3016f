// Package guests makes small WASM modules by hand, for tests: honest ones of a few
// hundred bytes, and hostile ones that no compiler would write. It needs no tool
// chain, and what runs is what the test says.
//
//	m := guests.New()                                   // memory, marker, alloc
//	log := m.Import("sallyport_v1", "log", "iii", "")    // imports come first
//	call := m.Func("ii", "l", "", guests.Const(1), guests.Const(64), guests.Const(5), guests.Call(log), guests.Const64(0))
//	m.Export("sallyport_tool_call", call)
//	wasm := m.Bytes()
//
// Types are letters, as in abi.Import: i = i32, l = i64, f = f32, d = f64.
package guests

import (
	"encoding/binary"

	"github.com/sallyport/sallyport/plugins/abi"
)

// Module is a module in the making.
type Module struct {
	types   []string // "params:results"
	imports [][]byte
	funcs   [][]byte // type index, LEB
	globals [][]byte
	exports [][]byte
	bodies  [][]byte
	data    [][]byte
	tables  []byte
	pages   uint32
	most    uint32 // pages; 0 = no maximum
	start   int    // -1 = none
	count   uint32 // functions, imports included
}

// Bare returns a module with a memory of that many pages (exported), and nothing else.
func Bare(pages uint32) *Module {
	m := &Module{pages: pages, start: -1}
	m.exports = append(m.exports, export(abi.Memory, 2, 0))
	return m
}

// Most sets the maximum of the memory, in pages.
func (m *Module) Most(pages uint32) *Module { m.most = pages; return m }

// Import adds an imported function and returns its index. All imports come before
// the first Func.
func (m *Module) Import(module, name, params, results string) uint32 {
	if len(m.funcs) > 0 {
		panic("guests: import after a function")
	}
	m.imports = append(m.imports, cat(name8(module), name8(name), []byte{0}, u32(m.typeOf(params, results))))
	m.count++
	return m.count - 1
}

// Func adds a function and returns its index; locals are letters, too.
func (m *Module) Func(params, results, locals string, code ...[]byte) uint32 {
	m.funcs = append(m.funcs, u32(m.typeOf(params, results)))
	body := u32(uint32(len(locals)))
	for _, l := range []byte(locals) {
		body = append(body, 1, letter(l))
	}
	body = append(cat(body, cat(code...)), 0x0b)
	m.bodies = append(m.bodies, cat(u32(uint32(len(body))), body))
	m.count++
	return m.count - 1
}

// Next returns the index that the next Func gets, for functions that call themselves.
func (m *Module) Next() uint32 { return m.count }

// Export exports a function.
func (m *Module) Export(name string, function uint32) *Module {
	m.exports = append(m.exports, export(name, 0, function))
	return m
}

// Global adds a mutable i32 and returns its index.
func (m *Module) Global(value int32) uint32 {
	m.globals = append(m.globals, cat([]byte{0x7f, 1}, Const(value), []byte{0x0b}))
	return uint32(len(m.globals) - 1)
}

// Data puts bytes into memory at the start.
func (m *Module) Data(at int32, b string) *Module {
	m.data = append(m.data, cat([]byte{0}, Const(at), []byte{0x0b}, name8(b)))
	return m
}

// Table adds a table of functions: at least low entries, at most high (0 = no bound).
func (m *Module) Table(low, high uint32) *Module {
	m.tables = cat([]byte{0x70}, limits(low, high))
	return m
}

// Start makes a function of type () -> () run at instantiation.
func (m *Module) Start(function uint32) *Module { m.start = int(function); return m }

// Bytes returns the binary.
func (m *Module) Bytes() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	types := make([][]byte, 0, len(m.types))
	for _, t := range m.types {
		one := []byte{0x60}
		for n, side := 0, 0; side < 2; side++ {
			end := n
			for end < len(t) && t[end] != ':' {
				end++
			}
			one = append(one, u32(uint32(end-n))...)
			for _, l := range []byte(t[n:end]) {
				one = append(one, letter(l))
			}
			n = end + 1
		}
		types = append(types, one)
	}
	b = section(b, 1, types)
	b = section(b, 2, m.imports)
	b = section(b, 3, m.funcs)
	if m.tables != nil {
		b = section(b, 4, [][]byte{m.tables})
	}
	b = section(b, 5, [][]byte{limits(m.pages, m.most)})
	b = section(b, 6, m.globals)
	b = section(b, 7, m.exports)
	if m.start >= 0 {
		b = append(b, 8)
		body := u32(uint32(m.start))
		b = append(append(b, u32(uint32(len(body)))...), body...)
	}
	b = section(b, 10, m.bodies)
	return section(b, 11, m.data)
}

func (m *Module) typeOf(params, results string) uint32 {
	t := params + ":" + results
	for n, have := range m.types {
		if have == t {
			return uint32(n)
		}
	}
	m.types = append(m.types, t)
	return uint32(len(m.types) - 1)
}

func limits(low, high uint32) []byte {
	if high == 0 {
		return cat([]byte{0}, u32(low))
	}
	return cat([]byte{1}, u32(low), u32(high))
}

func section(b []byte, id byte, entries [][]byte) []byte {
	if len(entries) == 0 {
		return b
	}
	body := cat(u32(uint32(len(entries))), cat(entries...))
	return cat(b, []byte{id}, u32(uint32(len(body))), body)
}

func export(name string, kind byte, index uint32) []byte {
	return cat(name8(name), []byte{kind}, u32(index))
}

func name8(s string) []byte { return cat(u32(uint32(len(s))), []byte(s)) }

func letter(l byte) byte {
	switch l {
	case 'i':
		return 0x7f
	case 'l':
		return 0x7e
	case 'f':
		return 0x7d
	case 'd':
		return 0x7c
	}
	panic("guests: no type has the letter " + string(l))
}

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func u32(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }

func signed(v int64) []byte {
	var b []byte
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

// Instructions. Each returns its bytes; operands are on the stack, as in the text
// format.

// Const pushes an i32.
func Const(v int32) []byte { return append([]byte{0x41}, signed(int64(v))...) }

// Const64 pushes an i64.
func Const64(v int64) []byte { return append([]byte{0x42}, signed(v)...) }

// Get pushes a local.
func Get(n uint32) []byte { return append([]byte{0x20}, u32(n)...) }

// Set stores into a local.
func Set(n uint32) []byte { return append([]byte{0x21}, u32(n)...) }

// Tee stores into a local and leaves the value.
func Tee(n uint32) []byte { return append([]byte{0x22}, u32(n)...) }

// GlobalGet pushes a global.
func GlobalGet(n uint32) []byte { return append([]byte{0x23}, u32(n)...) }

// GlobalSet stores into a global.
func GlobalSet(n uint32) []byte { return append([]byte{0x24}, u32(n)...) }

// Call calls a function.
func Call(f uint32) []byte { return append([]byte{0x10}, u32(f)...) }

// Loop is a loop without results; Branch(0) in it goes round.
func Loop(code ...[]byte) []byte { return cat([]byte{0x03, 0x40}, cat(code...), []byte{0x0b}) }

// Block is a block without results; Branch(0) in it leaves.
func Block(code ...[]byte) []byte { return cat([]byte{0x02, 0x40}, cat(code...), []byte{0x0b}) }

// If runs code when the i32 on the stack is not 0.
func If(code ...[]byte) []byte { return cat([]byte{0x04, 0x40}, cat(code...), []byte{0x0b}) }

// Branch is br.
func Branch(depth uint32) []byte { return append([]byte{0x0c}, u32(depth)...) }

// BranchIf is br_if.
func BranchIf(depth uint32) []byte { return append([]byte{0x0d}, u32(depth)...) }

// Op is an instruction without immediates, by its number in the binary format.
func Op(numbers ...byte) []byte { return numbers }

// Load is i32.load with an offset.
func Load(offset uint32) []byte { return cat([]byte{0x28, 2}, u32(offset)) }

// Store is i32.store.
func Store(offset uint32) []byte { return cat([]byte{0x36, 2}, u32(offset)) }

// Store64 is i64.store.
func Store64(offset uint32) []byte { return cat([]byte{0x37, 3}, u32(offset)) }

// Numbers of instructions without immediates that guests use.
const (
	Unreachable = 0x00
	Return      = 0x0f
	Drop        = 0x1a
	EqZ         = 0x45
	Eq          = 0x46
	GtU         = 0x4b
	GeU         = 0x4f
	Add         = 0x6a
	Sub         = 0x6b
	Mul         = 0x6c
	And         = 0x71
	ShrU        = 0x76
	Or64        = 0x84
	Shl64       = 0x86
	Extend      = 0xad // i64.extend_i32_u
	Wrap        = 0xa7
)

// MemorySize pushes the number of pages.
func MemorySize() []byte { return []byte{0x3f, 0} }

// MemoryGrow grows by the pages on the stack.
func MemoryGrow() []byte { return []byte{0x40, 0} }

// MemoryCopy copies: destination, source, length.
func MemoryCopy() []byte { return []byte{0xfc, 0x0a, 0, 0} }

// MemoryFill fills: destination, byte, length.
func MemoryFill() []byte { return []byte{0xfc, 0x0b, 0} }

// TableGrow grows table 0: value, delta.
func TableGrow() []byte { return []byte{0xfc, 0x0f, 0} }

// RefNull pushes a null function.
func RefNull() []byte { return []byte{0xd0, 0x70} }
