package rewrite

import (
	"fmt"
	"strings"
)

// Kind is what an import or export is.
type Kind byte

// The kinds, with the numbers of the binary format.
const (
	Function Kind = iota
	Table
	Memory
	Global
)

// String returns the word of the text format.
func (k Kind) String() string {
	if k > Global {
		return "unknown"
	}
	return [...]string{"function", "table", "memory", "global"}[k]
}

// Type is a value type, with the number of the binary format.
type Type byte

// The value types.
const (
	I32       Type = 0x7f
	I64       Type = 0x7e
	F32       Type = 0x7d
	F64       Type = 0x7c
	V128      Type = 0x7b
	FuncRef   Type = 0x70
	ExternRef Type = 0x6f
)

// String returns the word of the text format.
func (t Type) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return fmt.Sprintf("0x%02x", byte(t))
}

// Signature is the type of a function.
type Signature struct{ Params, Results []Type }

// String returns the type as in "(i32, i32) -> (i64)".
func (s Signature) String() string { return words(s.Params) + " -> " + words(s.Results) }

func words(types []Type) string {
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = t.String()
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// Import is one thing that a module asks its host for. Signature is set for
// functions only.
type Import struct {
	Module, Name string
	Kind         Kind
	Signature    Signature
}

// Export is one thing that a module shows. Index counts within its kind, imports
// first. Signature is set for functions only.
type Export struct {
	Name      string
	Kind      Kind
	Index     uint32
	Signature Signature
}

// Section is a custom section.
type Section struct {
	Name string
	Size int // bytes of its content
}

// Mutable is a global that the program may change: part of its state.
type Mutable struct {
	Index uint32
	Type  Type
	Name  string // under which Instrument exports it
}

// Module is what Inspect found.
type Module struct {
	Size      int // bytes
	Imports   []Import
	Exports   []Export
	Custom    []Section
	Start     bool      // a function runs at instantiation
	Mutables  []Mutable // mutable globals of the module's own
	HasMemory bool
	MinPages  uint32 // of 64 KiB
	MaxPages  uint32 // 0 without HasMax = the module names no maximum
	HasMax    bool
	Functions int // defined ones
	Largest   Largest

	// Beyond is the state beside memory and globals that the program may change:
	// "tables", "segments". A snapshot of memory and globals does not hold it.
	Beyond []string
}

// Largest tells how close a module comes to its Limits.
type Largest struct {
	Body, Locals, Nesting, Loops, Merges, Joins, AllJoins, Targets, Params, Table int
	Stack                                                                         int // upper bound of the largest frame, in bytes
}

// Export returns the export of that name.
func (m *Module) Export(name string) (Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name {
			return e, true
		}
	}
	return Export{}, false
}

// Inspect reads a module and refuses what passes the limits or what the gateway
// does not run. It does not prove that the code is well typed: the compiler does.
// The error is a *Refusal.
func Inspect(wasm []byte, l Limits) (*Module, error) {
	p := parse(wasm, l.orDefault())
	if p.err != nil {
		return nil, p.err
	}
	if r := p.refuseOutside(); r != nil {
		return nil, r
	}
	m := &Module{
		Size:      len(wasm),
		Imports:   p.imports,
		Exports:   p.exports,
		Custom:    p.custom,
		Start:     p.hasStart,
		HasMemory: p.hasMemory,
		MinPages:  p.minPages,
		MaxPages:  p.maxPages,
		HasMax:    p.hasMax,
		Functions: len(p.bodies),
		Largest:   p.largest,
	}
	for i, g := range p.globals {
		if g.mutable && i >= p.importedGlobals {
			m.Mutables = append(m.Mutables, Mutable{Index: uint32(i), Type: g.typ, Name: fmt.Sprintf("%s%d", GlobalPrefix, i)})
		}
	}
	if p.changesTables {
		m.Beyond = append(m.Beyond, "tables")
	}
	if p.dropsSegments {
		m.Beyond = append(m.Beyond, "segments")
	}
	return m, nil
}

// refuseOutside refuses imports and exports that make no plugin.
func (p *parsed) refuseOutside() *Refusal {
	for _, i := range p.imports {
		switch {
		case i.Kind == Memory:
			return &Refusal{Offset: -1, Where: "import section", Message: fmt.Sprintf("it imports the memory %q.%q", i.Module, i.Name), Fix: "a plugin brings its own memory: build without --import-memory"}
		case i.Kind != Function:
			return &Refusal{Offset: -1, Where: "import section", Message: fmt.Sprintf("it imports the %s %q.%q", i.Kind, i.Module, i.Name), Fix: "a plugin imports functions only: link it statically"}
		}
	}
	return nil
}

// reserved refuses the names that Instrument adds.
func (p *parsed) reserved() *Refusal {
	for _, i := range p.imports {
		if i.Module == yieldModule && i.Name == yieldName {
			return &Refusal{Offset: -1, Where: "import section", Message: fmt.Sprintf("it imports %q.%q", i.Module, i.Name), Fix: fixReserved}
		}
	}
	for _, e := range p.exports {
		if e.Name == FuelExport || e.Name == StackExport || strings.HasPrefix(e.Name, GlobalPrefix) {
			return &Refusal{Offset: -1, Where: "export section", Message: fmt.Sprintf("it exports %q", e.Name), Fix: fixReserved}
		}
	}
	return nil
}
