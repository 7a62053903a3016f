package rewrite

import "bytes"

// Ids of sections, in the order of the file but for dataCount, which stands
// before code.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count", "tag"}

// order of a section in the file; 0 = anywhere.
var sectionOrder = [...]int{secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secGlobal: 7, secExport: 8, secStart: 9, secElement: 10, secDataCount: 11, secCode: 12, secData: 13}

// span is a range of bytes of the file.
type span struct{ from, to int }

type table struct {
	typ       Type
	low, high uint32
	hasHigh   bool
}

type global struct {
	typ     Type
	mutable bool
}

// parsed is a module as far as Inspect and Instrument need it.
type parsed struct {
	wasm     []byte
	limits   Limits
	err      *Refusal
	sections [secTag]span // contents by id; to = 0: there is none
	custom   []Section
	names    span // content of the name section, after its name

	types             []Signature
	imports           []Import
	importedFunctions int
	importedTables    int
	importedMemories  int
	importedGlobals   int
	functions         []uint32 // type of each function, imports first
	tables            []table  // imports first
	growsTables       bool
	tableEntries      int
	hasMemory         bool
	minPages          uint32
	maxPages          uint32
	hasMax            bool
	globals           []global // imports first
	exports           []Export
	hasStart          bool
	start             uint32
	referenced        []bool // by function: its reference may be in a table
	dataCount         int    // -1 = no such section
	bodies            []body
	largest           Largest
	changesTables     bool
	dropsSegments     bool
}

// parse reads all of a module. With p.err set, the rest of p is not to be used.
func parse(wasm []byte, l Limits) *parsed {
	p := &parsed{wasm: wasm, limits: l, dataCount: -1}
	c := &cursor{b: wasm, end: len(wasm), where: "header"}
	p.header(c)
	last := 0
	for c.more() {
		c.where = "section header"
		id := int(c.byte())
		size := int(c.u32())
		if size > c.left() {
			c.refuse("", "section %d says %d bytes, %d are left", id, size, c.left())
			break
		}
		if id == secTag {
			c.refuse(fixExceptions, "it has a tag section: WASM exceptions")
			break
		}
		if id > secTag {
			c.refuse("", "section %d is unknown", id)
			break
		}
		if order := sectionOrder[id%len(sectionOrder)]; id != secCustom {
			if order <= last {
				c.refuse("", "the %s section stands twice or in the wrong place", sectionNames[id])
				break
			}
			last = order
			p.sections[id] = span{c.at, c.at + size}
		}
		s := &cursor{b: wasm, at: c.at, end: c.at + size, where: sectionNames[id] + " section"}
		p.section(id, s)
		if s.err == nil && s.left() > 0 {
			s.refuse("", "%d bytes are left over at its end", s.left())
		}
		if s.err != nil {
			p.err = s.err
			return p
		}
		c.bytes(size)
	}
	if c.err == nil && len(p.bodies) != len(p.functions)-p.importedFunctions {
		c.where = "code section"
		c.refuse("", "%d functions are declared, %d have code", len(p.functions)-p.importedFunctions, len(p.bodies))
	}
	if c.err == nil && p.dataCount > 0 && p.sections[secData].to == 0 {
		c.where = "data count section"
		c.refuse("", "%d data segments are announced, there is no data section", p.dataCount)
	}
	if c.err == nil {
		c.err = p.reserved()
	}
	p.err = c.err
	return p
}

func (p *parsed) header(c *cursor) {
	if len(p.wasm) > p.limits.Module {
		c.refuse(fixLimit, "%d bytes, the limit is %d", len(p.wasm), p.limits.Module)
		return
	}
	head := c.bytes(8)
	switch {
	case head == nil, !bytes.Equal(head[:4], []byte("\x00asm")):
		if c.err = nil; bytes.HasPrefix(bytes.TrimSpace(p.wasm), []byte("(module")) {
			c.at = 0
			c.refuse("convert it: wat2wasm", "it is WASM text, not binary")
			return
		}
		c.at = 0
		c.refuse("", "it is no WASM file: it does not begin with \\0asm")
	case head[6] != 0 || head[7] != 0:
		c.at = 4
		c.refuse(fixComponent, "it is a WASM component, not a core module")
	case head[4] != 1 || head[5] != 0:
		c.at = 4
		c.refuse("", "version %d of the binary format is unknown", uint(head[4])|uint(head[5])<<8)
	}
}

func (p *parsed) section(id int, c *cursor) {
	switch id {
	case secCustom:
		p.customSection(c)
	case secType:
		p.typeSection(c)
	case secImport:
		p.importSection(c)
	case secFunction:
		for n := c.count("functions", 1, p.limits.Functions); n > 0 && c.err == nil; n-- {
			p.functions = append(p.functions, p.typeIndex(c))
		}
	case secTable:
		for n := c.count("tables", 3, p.limits.Tables); n > 0 && c.err == nil; n-- {
			p.table(c)
		}
	case secMemory:
		n := c.u32()
		if n > 1 {
			c.refuse(fixMemories, "it has %d memories", n)
		}
		if n == 1 {
			p.memory(c)
		}
	case secGlobal:
		for n := c.count("globals", 4, p.limits.Globals); n > 0 && c.err == nil; n-- {
			g := globalType(c)
			p.constant(c, nil) // may name those before it
			p.globals = append(p.globals, g)
		}
	case secExport:
		p.exportSection(c)
	case secStart:
		p.hasStart, p.start = true, p.function(c)
	case secElement:
		p.elementSection(c, nil)
	case secDataCount:
		p.dataCount = int(c.u32())
	case secCode:
		p.codeSection(c)
	case secData:
		p.dataSection(c)
	}
}

func (p *parsed) customSection(c *cursor) {
	s := Section{Name: c.name(p.limits.Name)}
	s.Size = c.left()
	if len(p.custom) >= p.limits.Sections {
		c.refuse(fixLimit, "more than %d custom sections", p.limits.Sections)
		return
	}
	p.custom = append(p.custom, s)
	if s.Name == "name" {
		p.names = span{c.at, c.end}
	}
	c.bytes(c.left())
}

func (p *parsed) typeSection(c *cursor) {
	for n := c.count("types", 3, p.limits.Types); n > 0 && c.err == nil; n-- {
		switch form := c.byte(); form {
		case 0x60:
			p.types = append(p.types, Signature{p.valueTypes(c), p.valueTypes(c)})
		case 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
			c.refuse(fixGC, "it defines types of the GC proposal")
		default:
			c.refuse("", "type form 0x%02x is unknown", form)
		}
	}
}

func (p *parsed) valueTypes(c *cursor) []Type {
	n := c.count("parameters or results", 1, p.limits.Params)
	if n == 0 {
		return nil
	}
	types := make([]Type, n)
	for i := range types {
		types[i] = valueType(c)
	}
	p.largest.Params = max(p.largest.Params, n)
	return types
}

func valueType(c *cursor) Type {
	t := Type(c.byte())
	switch t {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef:
	case 0x69, 0x74:
		c.refuse(fixExceptions, "it uses exception references")
	case 0x63, 0x64, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73:
		c.refuse(fixGC, "it uses references of the GC proposal")
	default:
		c.refuse("", "value type %s is unknown", t)
	}
	return t
}

func (p *parsed) typeIndex(c *cursor) uint32 {
	t := c.u32()
	if uint64(t) >= uint64(len(p.types)) {
		c.refuse("", "type %d is not there", t)
	}
	return t
}

func (p *parsed) function(c *cursor) uint32 {
	f := c.u32()
	if uint64(f) >= uint64(len(p.functions)) {
		c.refuse("", "function %d is not there", f)
	}
	return f
}

func (p *parsed) importSection(c *cursor) {
	for n := c.count("imports", 4, p.limits.Imports); n > 0 && c.err == nil; n-- {
		i := Import{Module: c.name(p.limits.Name), Name: c.name(p.limits.Name), Kind: Kind(c.byte())}
		switch i.Kind {
		case Function:
			if t := p.typeIndex(c); c.err == nil {
				i.Signature = p.types[t]
				p.functions = append(p.functions, t)
				p.importedFunctions++
			}
		case Table:
			p.table(c)
			p.importedTables++
		case Memory:
			p.memory(c)
			p.importedMemories++
		case Global:
			p.globals = append(p.globals, globalType(c))
			p.importedGlobals++
		case 4:
			c.refuse(fixExceptions, "it imports a tag: WASM exceptions")
		default:
			c.refuse("", "import kind %d is unknown", i.Kind)
		}
		p.imports = append(p.imports, i)
	}
}

// bounds reads limits of a memory or table; max is 0 when there is none.
func bounds(c *cursor) (low, high uint32, hasHigh bool) {
	flags := c.byte()
	switch {
	case flags >= 8:
		c.refuse("", "limits of form 0x%02x are unknown", flags)
	case flags&4 != 0:
		c.refuse(fixMemory64, "it uses 64-bit memory")
	case flags&2 != 0:
		c.refuse(fixThreads, "it uses shared memory")
	}
	low = c.u32()
	if flags&1 != 0 {
		high, hasHigh = c.u32(), true
		if high < low {
			c.refuse("", "a maximum of %d is below the minimum of %d", high, low)
		}
	}
	return low, high, hasHigh
}

func (p *parsed) table(c *cursor) {
	t := valueType(c)
	if c.err == nil && t != FuncRef && t != ExternRef {
		c.refuse("", "a table holds %s", t)
	}
	low, high, hasHigh := bounds(c)
	if uint64(low)+uint64(p.tableEntries) > uint64(p.limits.Table) {
		c.refuse(fixLimit, "tables with %d entries, the limit is %d", low, p.limits.Table)
		return
	}
	p.tableEntries += int(low)
	p.largest.Table = max(p.largest.Table, p.tableEntries)
	p.tables = append(p.tables, table{t, low, high, hasHigh})
}

func (p *parsed) memory(c *cursor) {
	if p.hasMemory {
		c.refuse(fixMemories, "it has two memories")
		return
	}
	p.hasMemory = true
	p.minPages, p.maxPages, p.hasMax = bounds(c)
	if uint64(p.minPages) > uint64(p.limits.Pages) {
		c.refuse("", "it starts with %d pages of memory, the limit is %d", p.minPages, p.limits.Pages)
	}
}

func globalType(c *cursor) global {
	g := global{typ: valueType(c)}
	switch m := c.byte(); m {
	case 0:
	case 1:
		g.mutable = true
	default:
		c.refuse("", "mutability %d is unknown", m)
	}
	return g
}

func (p *parsed) exportSection(c *cursor) {
	n := c.count("exports", 3, p.limits.Exports)
	seen := make(map[string]bool, n)
	for ; n > 0 && c.err == nil; n-- {
		e := Export{Name: c.name(p.limits.Name), Kind: Kind(c.byte())}
		if seen[e.Name] {
			c.refuse("", "the export %q stands twice", e.Name)
		}
		seen[e.Name] = true
		there := 0
		switch e.Kind {
		case Function:
			e.Index = p.function(c)
			if c.err == nil {
				e.Signature = p.types[p.functions[e.Index]]
			}
		case Table:
			e.Index, there = c.u32(), len(p.tables)
		case Memory:
			e.Index = c.u32()
			if p.hasMemory {
				there = 1
			}
		case Global:
			e.Index, there = c.u32(), len(p.globals)
		case 4:
			c.refuse(fixExceptions, "it exports a tag: WASM exceptions")
		default:
			c.refuse("", "export kind %d is unknown", e.Kind)
		}
		if e.Kind != Function && c.err == nil && uint64(e.Index) >= uint64(there) {
			c.refuse("", "%s %d is not there", e.Kind, e.Index)
		}
		p.exports = append(p.exports, e)
	}
}

func (p *parsed) codeSection(c *cursor) {
	n := c.count("functions with code", 3, p.limits.Functions)
	if n != len(p.functions)-p.importedFunctions && c.err == nil {
		c.refuse("", "%d functions are declared, %d have code", len(p.functions)-p.importedFunctions, n)
	}
	if c.err != nil {
		return
	}
	p.bodies = make([]body, n)
	scan := newScan(p)
	for i := range p.bodies {
		c.index = p.importedFunctions + i + 1
		size := int(c.u32())
		if size > c.left() {
			c.refuse("", "its code says %d bytes, %d are left", size, c.left())
			return
		}
		if size > p.limits.Body {
			c.refuse(fixLimit, "its code has %d bytes, the limit is %d", size, p.limits.Body)
			return
		}
		f := &cursor{b: c.b, at: c.at, end: c.at + size, where: c.where, index: c.index}
		scan.body(f, &p.bodies[i], p.types[p.functions[p.importedFunctions+i]])
		if f.err != nil {
			c.err, c.at = f.err, c.end
			return
		}
		p.largest.Body = max(p.largest.Body, size)
		c.bytes(size)
	}
	c.index = 0
}
