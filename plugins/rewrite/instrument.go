package rewrite

import (
	"fmt"
	"math"
	"slices"
)

// Options says what Instrument adds.
type Options struct {
	Fuel     bool   // count work and call sallyport_v1.yield
	Depth    bool   // bound the native stack of recursion
	Globals  bool   // export every mutable global
	MaxStack int    // bytes of native stack, by upper bounds of frames; 0 = DefaultStack
	Limits   Limits // as for Inspect
}

// DefaultStack is the bound on native stack when Options names none.
const DefaultStack = 16 << 20

const (
	// stretch is the cost of straight code after which fuel is taken again.
	stretch      = 256
	stretchUnits = 8
	// batch is how many turns of its loops a function counts by itself before it
	// takes them from the fuel, and loopEntry what it takes at entry for turns that
	// it may never report. Taking fuel is a load and a store that wait for each
	// other; counting is one instruction.
	batch     = 32
	loopEntry = 9
)

// Instrument returns the same program with what o asks for. Of custom sections
// only names of functions are kept. The input must have passed Inspect with the
// same limits; if it has not, the error is the *Refusal. The output is valid if
// and only if the input is.
func Instrument(wasm []byte, o Options) ([]byte, error) {
	p := parse(wasm, o.Limits.orDefault())
	if p.err != nil {
		return nil, p.err
	}
	if o.MaxStack <= 0 {
		o.MaxStack = DefaultStack
	}
	w := &writer{p: p, o: o, out: make([]byte, 0, len(wasm)+len(wasm)/4+1024)}
	w.module()
	return w.out, nil
}

// writer writes the module anew, section by section.
type writer struct {
	p      *parsed
	o      Options
	out    []byte
	plans  []plan
	types  [][]byte       // types that are added, encoded
	added  map[string]int // encoded type → index
	fuel   uint32         // global
	stack  uint32         // global
	yield  uint32         // function
	labels []label
	one    []byte
	in     instruction
}

// module writes all sections. Code comes first, since it asks for types.
func (w *writer) module() {
	p := w.p
	if w.o.Fuel || w.o.Depth {
		w.plans = p.plans(w.o)
	} else {
		w.plans = make([]plan, len(p.bodies))
	}
	w.added = map[string]int{}
	for i, t := range slices.Backward(p.types) {
		w.added[string(encodeType(t))] = i
	}
	w.fuel = uint32(len(p.globals))
	w.stack = w.fuel
	if w.o.Fuel {
		w.stack++
	}
	w.yield = uint32(p.importedFunctions)
	code := w.code()

	w.out = append(w.out, "\x00asm\x01\x00\x00\x00"...)
	w.typeSection()
	w.importSection()
	w.copy(secFunction)
	w.tableSection()
	w.copy(secMemory)
	w.globalSection()
	w.exportSection()
	if p.hasStart {
		w.emit(secStart, appendU32(nil, w.shift(p.start)))
	}
	w.rewritten(secElement, p.elementSection)
	w.copy(secDataCount)
	if p.sections[secCode].to > 0 {
		w.emit(secCode, code)
	}
	w.copy(secData)
	w.nameSection()
}

// shift returns the new index of a function.
func (w *writer) shift(f uint32) uint32 {
	if w.o.Fuel && f >= w.yield {
		return f + 1
	}
	return f
}

func (w *writer) emit(id byte, content []byte) {
	w.out = append(w.out, id)
	w.out = appendU32(w.out, uint32(len(content)))
	w.out = append(w.out, content...)
}

// copy writes a section that does not change.
func (w *writer) copy(id byte) {
	if s := w.p.sections[id]; s.to > 0 {
		w.emit(id, w.p.wasm[s.from:s.to])
	}
}

// rewritten writes a section with its indices of functions shifted. walk reads
// it and tells where they stand.
func (w *writer) rewritten(id byte, walk func(*cursor, func(from, to int, f uint32))) {
	s := w.p.sections[id]
	if s.to == 0 {
		return
	}
	var content []byte
	done := s.from
	walk(&cursor{b: w.p.wasm, at: s.from, end: s.to}, func(from, to int, f uint32) {
		content = append(content, w.p.wasm[done:from]...)
		content = appendU32(content, w.shift(f))
		done = to
	})
	w.emit(id, append(content, w.p.wasm[done:s.to]...))
}

// vector returns the content of a section with its count raised by len(entries)
// and the entries appended.
func (w *writer) vector(id byte, entries ...[]byte) []byte {
	s := w.p.sections[id]
	c := &cursor{b: w.p.wasm, at: s.from, end: s.to}
	n := uint32(0)
	if s.to > 0 {
		n = c.u32()
	}
	content := appendU32(nil, n+uint32(len(entries)))
	content = append(content, w.p.wasm[c.at:c.end]...)
	for _, e := range entries {
		content = append(content, e...)
	}
	return content
}

func encodeType(t Signature) []byte {
	b := []byte{0x60}
	for _, types := range [][]Type{t.Params, t.Results} {
		b = appendU32(b, uint32(len(types)))
		for _, v := range types {
			b = append(b, byte(v))
		}
	}
	return b
}

// typeIndex returns the index of a type, which it adds when there is none.
func (w *writer) typeIndex(t Signature) int {
	key := encodeType(t)
	i, ok := w.added[string(key)]
	if !ok {
		i = len(w.p.types) + len(w.types)
		w.added[string(key)] = i
		w.types = append(w.types, key)
	}
	return i
}

func (w *writer) typeSection() {
	if w.o.Fuel {
		w.typeIndex(Signature{})
	}
	if len(w.types) > 0 || w.p.sections[secType].to > 0 {
		w.emit(secType, w.vector(secType, w.types...))
	}
}

func (w *writer) importSection() {
	if !w.o.Fuel {
		w.copy(secImport)
		return
	}
	entry := appendName(nil, yieldModule)
	entry = appendName(entry, yieldName)
	entry = append(entry, byte(Function))
	entry = appendU32(entry, uint32(w.typeIndex(Signature{})))
	w.emit(secImport, w.vector(secImport, entry))
}

// tableSection bounds what table.grow may reach: tables are memory of the host
// that no limit of pages counts. A table.grow past it fails, as it always may.
func (w *writer) tableSection() {
	p := w.p
	if !p.growsTables || p.sections[secTable].to == 0 {
		w.copy(secTable)
		return
	}
	own := p.tables[p.importedTables:]
	content := appendU32(nil, uint32(len(own)))
	for _, t := range own {
		high := max(t.low, uint32(min(p.limits.Table, math.MaxUint32)))
		if t.hasHigh {
			high = min(high, t.high)
		}
		content = append(content, byte(t.typ), 1)
		content = appendU32(appendU32(content, t.low), high)
	}
	w.emit(secTable, content)
}

func (w *writer) globalSection() {
	var entries [][]byte
	if w.o.Fuel {
		entries = append(entries, []byte{byte(I32), 1, opI32Const, 0, opEnd})
	}
	if w.o.Depth {
		entry := appendSigned([]byte{byte(I32), 1, opI32Const}, int64(w.o.MaxStack))
		entries = append(entries, append(entry, opEnd))
	}
	if s := w.p.sections[secGlobal]; s.to == 0 && len(entries) == 0 {
		return
	}
	// The initial values may name functions.
	content := w.vector(secGlobal, entries...)
	if w.p.referenced != nil && w.o.Fuel && w.p.sections[secGlobal].to > 0 {
		content = w.shiftGlobals(entries)
	}
	w.emit(secGlobal, content)
}

func (w *writer) shiftGlobals(entries [][]byte) []byte {
	s := w.p.sections[secGlobal]
	c := &cursor{b: w.p.wasm, at: s.from, end: s.to}
	n := c.u32()
	content := appendU32(nil, n+uint32(len(entries)))
	done := c.at
	for range n {
		globalType(c)
		w.p.constant(c, func(from, to int, f uint32) {
			content = append(content, w.p.wasm[done:from]...)
			content = appendU32(content, w.shift(f))
			done = to
		})
	}
	content = append(content, w.p.wasm[done:s.to]...)
	for _, e := range entries {
		content = append(content, e...)
	}
	return content
}

func (w *writer) exportSection() {
	var content []byte
	n := 0
	add := func(name string, kind Kind, index uint32) {
		content = appendName(content, name)
		content = append(content, byte(kind))
		content = appendU32(content, index)
		n++
	}
	for _, e := range w.p.exports {
		if e.Kind == Function {
			e.Index = w.shift(e.Index)
		}
		add(e.Name, e.Kind, e.Index)
	}
	if w.o.Fuel {
		add(FuelExport, Global, w.fuel)
	}
	if w.o.Depth {
		add(StackExport, Global, w.stack)
	}
	if w.o.Globals {
		for i, g := range w.p.globals {
			if g.mutable && i >= w.p.importedGlobals {
				add(fmt.Sprintf("%s%d", GlobalPrefix, i), Global, uint32(i))
			}
		}
	}
	if n > 0 {
		w.emit(secExport, append(appendU32(nil, uint32(n)), content...))
	}
}

// code returns the content of the code section.
func (w *writer) code() []byte {
	p := w.p
	s := p.sections[secCode]
	out := make([]byte, 0, (s.to-s.from)+(s.to-s.from)/4)
	out = appendU32(out, uint32(len(p.bodies)))
	for i := range p.bodies {
		w.one = w.function(w.one[:0], i)
		out = appendU32(out, uint32(len(w.one)))
		out = append(out, w.one...)
	}
	return out
}

// locals appends the declaration of locals with n more i32.
func (w *writer) declare(dst []byte, b *body, n uint32) []byte {
	c := &cursor{b: w.p.wasm, at: b.from, end: b.code}
	groups := c.u32()
	if n == 0 {
		return append(dst, w.p.wasm[b.from:b.code]...)
	}
	dst = appendU32(dst, groups+1)
	dst = append(dst, w.p.wasm[c.at:b.code]...)
	dst = appendU32(dst, n)
	return append(dst, byte(I32))
}
