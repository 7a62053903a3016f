package rewrite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// author writes valid programs by chance: they use everything that the rewriter
// touches, and end, since each turn and each call takes from a budget.
type author struct {
	*rand.Rand
	code    []byte
	types   []Signature
	of      []int // type of each function
	self    int
	locals  []Type
	labels  [][]Type // what a branch to each open block needs, innermost last
	counter int      // first of the locals that count turns
	depth   int
}

const budgetGlobal, stateGlobal, longGlobal = 0, 1, 2

// write returns a program. Function 0 is the host's, the others have the budget of
// calls as their first parameter; "f" is the first of them.
func write(seed uint64) []byte {
	a := &author{Rand: rand.New(rand.NewPCG(seed, 7))}
	a.types = []Signature{{[]Type{I32}, []Type{I32}}, {nil, nil}}
	for range 3 {
		s := Signature{Params: []Type{I32}}
		for range a.IntN(3) {
			s.Params = append(s.Params, a.pick())
		}
		for range a.IntN(4) {
			s.Results = append(s.Results, a.pick())
		}
		a.types = append(a.types, s)
	}
	a.of = []int{0, 0}
	for range 1 + a.IntN(6) {
		a.of = append(a.of, []int{0, 2, 3, 4}[a.IntN(4)])
	}
	var types, functions, code, entries [][]byte
	for i := 1; i < len(a.of); i++ {
		functions = append(functions, []byte{byte(a.of[i])})
		a.self = i
		code = append(code, a.function())
		entries = append(entries, []byte{byte(i)})
	}
	for _, s := range a.types {
		types = append(types, encodeType(s))
	}
	n := byte(len(entries))
	return module(sec(secType, types...), sec(secImport, imp(yieldModule, "host", Function, 0)), sec(secFunction, functions...),
		sec(secTable, []byte{0x70, 0, n + 2}), sec(secMemory, []byte{1, 1, 3}),
		sec(secGlobal, []byte{0x7f, 1, 0x41, 0x80, 0x20, 0x0b}, []byte{0x7f, 1, 0x41, 5, 0x0b}, []byte{0x7e, 1, 0x42, 9, 0x0b}, []byte{0x70, 0, 0xd2, 1, 0x0b}),
		sec(secExport, exp("f", Function, 1), exp("memory", Memory, 0), exp("budget", Global, budgetGlobal), exp("state", Global, stateGlobal), exp("long", Global, longGlobal)),
		sec(secElement, append([]byte{0, 0x41, 1, 0x0b, n}, bytes.Join(entries, nil)...)),
		sec(secCode, code...), sec(secData, append([]byte{0, 0x41, 8, 0x0b, 5}, "hello"...)))
}

func (a *author) pick() Type { return []Type{I32, I32, I64, F64, V128}[a.IntN(5)] }

func (a *author) emit(b ...byte) { a.code = append(a.code, b...) }

func (a *author) function() []byte {
	s := a.types[a.of[a.self]]
	a.locals = append([]Type(nil), s.Params...)
	var declared []byte
	n := a.IntN(4)
	for range n {
		t := a.pick()
		a.locals = append(a.locals, t)
		declared = append(declared, 1, byte(t))
	}
	a.counter = len(a.locals)
	declared = append(append([]byte{byte(n + 1)}, declared...), 8, byte(I32))
	a.code, a.labels, a.depth = nil, [][]Type{s.Results}, 0
	// Out of calls: give zeros back.
	a.emit(0x20, 0, 0x41, 0, 0x4c, 0x04, 0x40)
	for _, t := range s.Results {
		a.zero(t)
	}
	a.emit(0x0f, 0x0b)
	a.spend()
	a.statements(2 + a.IntN(5))
	for _, t := range s.Results {
		a.value(t)
	}
	body := append(append(declared, a.code...), opEnd)
	return append(appendU32(nil, uint32(len(body))), body...)
}

// spend takes from the budget and traps when it is gone.
func (a *author) spend() {
	a.emit(0x23, budgetGlobal, 0x41, 1, 0x6b, 0x24, budgetGlobal, 0x23, budgetGlobal, 0x45, 0x04, 0x40, 0x00, 0x0b)
}

func (a *author) zero(t Type) {
	switch t {
	case I32:
		a.emit(0x41, 0)
	case I64:
		a.emit(0x42, 0)
	case F64:
		a.emit(append([]byte{0x44}, make([]byte, 8)...)...)
	default:
		a.emit(append([]byte{0xfd, 12}, make([]byte, 16)...)...)
	}
}

// local returns a local of that type, if there is one.
func (a *author) local(t Type) (byte, bool) {
	first := a.IntN(len(a.locals))
	for i := range a.locals {
		if at := (first + i) % len(a.locals); a.locals[at] == t && at > 0 {
			return byte(at), true
		}
	}
	return 0, false
}

func (a *author) statements(n int) {
	for range n {
		a.statement()
	}
}

func (a *author) statement() {
	a.depth++
	defer func() { a.depth-- }()
	if a.depth > 5 || len(a.code) > 3000 {
		a.emit(0x01)
		return
	}
	switch a.IntN(16) {
	case 0, 1:
		t := a.pick()
		if l, ok := a.local(t); ok {
			a.value(t)
			a.emit(0x21, l)
		}
	case 2:
		a.value(I32)
		a.emit(0x24, stateGlobal)
	case 3:
		a.value(I64)
		a.emit(0x24, longGlobal)
	case 4: // a store, mostly within memory
		a.address()
		a.value(I32)
		a.emit(0x36, 2, 4)
	case 5:
		a.value(I32)
		a.emit(0x04, 0x40)
		a.inside(nil, func() { a.statements(1 + a.IntN(2)) })
		if a.IntN(2) == 0 {
			a.emit(0x05)
			a.inside(nil, func() { a.statements(1) })
		}
		a.emit(0x0b)
	case 6:
		a.emit(0x02, 0x40)
		a.inside(nil, func() { a.statements(1 + a.IntN(3)) })
		a.emit(0x0b)
	case 7, 8:
		a.loop()
	case 9:
		a.branch()
	case 10, 11:
		a.call()
	case 12: // bulk memory
		a.address()
		if a.IntN(2) == 0 {
			a.value(I32)
			a.small(500)
			a.emit(0xfc, subMemoryFill, 0)
		} else {
			a.address()
			a.small(500)
			a.emit(0xfc, subMemoryCopy, 0, 0)
		}
	case 13: // tables
		a.small(len(a.of))
		a.emit(0xd2, byte(1+a.IntN(len(a.of)-1)), 0x26, 0)
	case 14:
		a.emit(0x41, byte(a.IntN(2)), 0x40, 0, 0x1a)
	default:
		if a.IntN(8) == 0 {
			a.value(I32)
			a.emit(0x41, 0, 0x46, 0x04, 0x40, 0x00, 0x0b)
		}
	}
}

// inside writes what stands in a block whose label takes those types.
func (a *author) inside(label []Type, f func()) {
	a.labels = append(a.labels, label)
	f()
	a.labels = a.labels[:len(a.labels)-1]
}

func (a *author) loop() {
	c := byte(a.counter + a.IntN(8))
	turns := byte(1 + a.IntN(60))
	a.emit(0x41, turns, 0x21, c, 0x02, 0x40, 0x03, 0x40)
	a.labels = append(a.labels, nil, nil)
	a.spend()
	a.emit(0x20, c, 0x41, 1, 0x6b, 0x22, c, 0x45, 0x0d, 1)
	a.statements(1 + a.IntN(3))
	a.emit(0x0c, 0)
	a.labels = a.labels[:len(a.labels)-2]
	a.emit(0x0b, 0x0b)
}

// branch leaves by br_if, br_table or return: only if a value says so, since dead
// code teaches little.
func (a *author) branch() {
	l := a.IntN(len(a.labels))
	types := a.labels[len(a.labels)-1-l]
	switch a.IntN(4) {
	case 0:
		a.value(I32)
		a.emit(0x04, 0x40)
		a.inside(nil, func() { a.values(a.labels[0]) })
		a.emit(0x0f)
		if a.IntN(3) == 0 {
			a.emit(0x1a, 0x02, 0x40, 0x0b, 0x0f)
		}
		a.emit(0x0b)
	case 1:
		a.value(I32)
		a.emit(0x04, 0x40)
		a.inside(nil, func() { a.values(types) })
		a.emit(0x0c, byte(l+1), 0x0b)
	case 2:
		a.values(types)
		a.value(I32)
		a.emit(0x0d, byte(l))
		for range types {
			a.emit(0x1a)
		}
	default:
		var same []byte
		for i := range a.labels {
			if slices.Equal(a.labels[len(a.labels)-1-i], types) {
				same = append(same, byte(i+1))
			}
		}
		a.emit(0x02, 0x40)
		a.inside(nil, func() {
			a.values(types)
			a.value(I32)
		})
		if len(types) == 0 {
			same = append(same, 0)
		}
		a.emit(0x0e, byte(len(same)-1))
		a.emit(same...)
		a.emit(0x0b)
	}
}

// call calls a function and drops what it returns.
func (a *author) call() {
	f := 1 + a.IntN(len(a.of)-1)
	s := a.types[a.of[f]]
	a.emit(0x20, 0, 0x41, 1, 0x6b)
	for _, t := range s.Params[1:] {
		a.value(t)
	}
	switch a.IntN(4) {
	case 0: // the entry may be another function's, or none: a trap, for both
		a.small(len(a.of) + 1)
		a.emit(0x11, byte(a.of[f]), 0)
	default:
		a.emit(0x10, byte(f))
	}
	for range s.Results {
		a.emit(0x1a)
	}
}

func (a *author) small(n int) {
	a.value(I32)
	a.emit(0x41)
	a.code = appendSigned(a.code, int64(n))
	a.emit(0x70)
}

func (a *author) address() {
	a.value(I32)
	a.emit(0x41)
	mask := int64(0xffff)
	if a.IntN(30) == 0 {
		mask = 0x1ffff
	}
	a.code = appendSigned(a.code, mask)
	a.emit(0x71)
}

func (a *author) value(t Type) {
	a.depth++
	defer func() { a.depth-- }()
	if a.depth > 6 || len(a.code) > 3000 {
		a.zero(t)
		return
	}
	switch a.IntN(9) {
	case 0:
		a.emit(0x02, byte(t))
		a.inside([]Type{t}, func() {
			a.statements(a.IntN(2))
			a.value(t)
		})
		a.emit(0x0b)
		return
	case 1:
		a.value(I32)
		a.emit(0x04, byte(t))
		a.inside([]Type{t}, func() { a.value(t) })
		a.emit(0x05)
		a.inside([]Type{t}, func() { a.statements(a.IntN(2)); a.value(t) })
		a.emit(0x0b)
		return
	case 2:
		a.value(t)
		a.value(t)
		a.value(I32)
		a.emit(0x1c, 1, byte(t))
		return
	case 3, 4:
		if l, ok := a.local(t); ok {
			if a.IntN(3) == 0 {
				a.value(t)
				a.emit(0x22, l)
			} else {
				a.emit(0x20, l)
			}
			return
		}
	}
	switch t {
	case I32:
		a.word()
	case I64:
		switch a.IntN(4) {
		case 0:
			a.emit(0x42)
			a.code = appendSigned(a.code, a.Int64()>>a.IntN(64))
		case 1:
			a.emit(0x23, longGlobal)
		case 2:
			a.value(I32)
			a.emit(0xad)
		default:
			a.value(I64)
			a.value(I64)
			a.emit([]byte{0x7c, 0x7d, 0x7e, 0x85, 0x89}[a.IntN(5)])
		}
	case F64:
		if a.IntN(2) == 0 {
			a.value(I32)
			a.emit(0xb7)
		} else {
			a.value(F64)
			a.value(F64)
			a.emit([]byte{0xa0, 0xa1, 0xa2, 0xa4}[a.IntN(4)])
		}
	default:
		switch a.IntN(3) {
		case 0:
			a.value(I32)
			a.emit(0xfd, 17)
		case 1:
			a.emit(0xfd, 12)
			for range 16 {
				a.emit(byte(a.IntN(256)))
			}
		default:
			a.value(V128)
			a.value(V128)
			a.emit(0xfd, 0xae, 1)
		}
	}
}

func (a *author) values(types []Type) {
	for _, t := range types {
		a.value(t)
	}
}

func (a *author) word() {
	switch a.IntN(8) {
	case 0, 1:
		a.emit(0x41)
		a.code = appendSigned(a.code, int64(int32(a.Uint32())>>a.IntN(32)))
	case 2:
		a.emit(0x23, stateGlobal)
	case 3:
		a.address()
		a.emit(0x28, 2, 0)
	case 4:
		a.value(I32)
		a.emit(0x10, 0)
	case 5:
		a.value(V128)
		a.emit(0xfd, 27, byte(a.IntN(4)))
	case 6:
		a.emit(0x3f, 0)
	default:
		a.value(I32)
		a.value(I32)
		a.emit([]byte{0x6a, 0x6b, 0x6c, 0x71, 0x73, 0x46, 0x48, 0x4b, 0x6d}[a.IntN(9)])
	}
}

// compare runs a program with and without the rewriter and tells what differs.
func compare(wasm []byte, o Options, args ...uint64) (ran bool, difference error) {
	out, err := Instrument(wasm, o)
	if err != nil {
		return false, fmt.Errorf("instrument: %w", err)
	}
	plain, err := tryStart(wasm, 0)
	if err != nil {
		return false, fmt.Errorf("plain: %w", err)
	}
	defer plain.runtime.Close(context.Background())
	ours, err := tryStart(out, 0)
	if err != nil {
		return false, fmt.Errorf("instrumented: %w", err)
	}
	defer ours.runtime.Close(context.Background())
	for _, arg := range args {
		want, err := plain.call("f", arg)
		got, err2 := ours.call("f", arg)
		switch {
		case (err == nil) != (err2 == nil) || err != nil && firstLine(err) != firstLine(err2):
			return ran, fmt.Errorf("f(%d): plain %w, instrumented %w", arg, err, err2)
		case !slices.Equal(want, got):
			return ran, fmt.Errorf("f(%d): plain %x, instrumented %x", arg, want, got)
		}
		ran = ran || err == nil
		for _, g := range []string{"budget", "state", "long"} {
			if a, b := plain.ExportedGlobal(g).Get(), ours.ExportedGlobal(g).Get(); a != b {
				return ran, fmt.Errorf("f(%d): global %s: plain %x, instrumented %x", arg, g, a, b)
			}
		}
		a, _ := plain.Memory().Read(0, plain.Memory().Size())
		b, _ := ours.Memory().Read(0, ours.Memory().Size())
		if !bytes.Equal(a, b) {
			return ran, fmt.Errorf("f(%d): memories differ", arg)
		}
		if err == nil && o.Depth && int32(ours.stack.Get()) != DefaultStack {
			return ran, fmt.Errorf("f(%d): %d bytes of stack are left", arg, ours.stack.Get())
		}
		if err != nil {
			break // after a trap nobody uses an instance
		}
	}
	return ran, nil
}

func TestProgramsByChance(t *testing.T) {
	whole := 0
	const programs = 400
	for seed := range uint64(programs) {
		wasm := write(seed)
		if _, err := Inspect(wasm, Default); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		o := []Options{all, all, {Fuel: true}, {Depth: true}}[seed%4]
		ran, err := compare(wasm, o, 1, 2, 3, 5, 0)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if ran {
			whole++
		}
	}
	t.Logf("%d of %d programs ran to an end", whole, programs)
	if whole < programs/3 {
		t.Errorf("only %d of %d programs ran to an end: the author writes too many traps", whole, programs)
	}
}
