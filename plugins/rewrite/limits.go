package rewrite

// Limits bounds what is read, before anything is compiled. The compiler's time
// grows faster than its input: 50,000 blocks in each other, 146 KB, take 54 s.
// Each limit stands far above what the compilers of Go, Rust, C, Zig and
// AssemblyScript write. A field that is zero takes the value of Default.
type Limits struct {
	Module    int // bytes of the file
	Sections  int // custom sections
	Types     int // entries of the type section
	Params    int // parameters of one function type, and results of one
	Imports   int
	Exports   int
	Functions int // defined functions
	Globals   int
	Tables    int
	Table     int // entries of all tables together, at the start
	Segments  int // element segments, and data segments
	Name      int // bytes of one name of an import, export or custom section
	Body      int // bytes of one function
	Locals    int // locals of one function, parameters included
	Nesting   int // blocks in each other in one function
	Loops     int // loops in each other in one function
	Merges    int // sum over the blocks of one function of the locals that each changes
	Joins     int // sum over the basic blocks of one function of the values that live across each
	AllJoins  int // joins of all functions
	Targets   int // targets of all br_table in one function
	Pages     int // initial memory, in pages of 64 KiB
}

// Default are the limits for plugins.
var Default = Limits{
	Module:    32 << 20,
	Sections:  256,
	Types:     10_000,
	Params:    128,
	Imports:   1_000,
	Exports:   10_000,
	Functions: 20_000,
	Globals:   10_000,
	Tables:    16,
	Table:     200_000,
	Segments:  200_000,
	Name:      1_024,
	Body:      256 << 10,
	Locals:    1_000,
	Nesting:   2_500,
	Loops:     64,
	Merges:    20_000,
	Joins:     500_000,
	AllJoins:  20_000_000,
	Targets:   20_000,
	Pages:     4_096,
}

// orDefault fills what is zero.
func (l Limits) orDefault() Limits {
	d := Default
	for _, f := range []struct{ have, want *int }{
		{&l.Module, &d.Module},
		{&l.Sections, &d.Sections},
		{&l.Types, &d.Types},
		{&l.Params, &d.Params},
		{&l.Imports, &d.Imports},
		{&l.Exports, &d.Exports},
		{&l.Functions, &d.Functions},
		{&l.Globals, &d.Globals},
		{&l.Tables, &d.Tables},
		{&l.Table, &d.Table},
		{&l.Segments, &d.Segments},
		{&l.Name, &d.Name},
		{&l.Body, &d.Body},
		{&l.Locals, &d.Locals},
		{&l.Nesting, &d.Nesting},
		{&l.Loops, &d.Loops},
		{&l.Merges, &d.Merges},
		{&l.Joins, &d.Joins},
		{&l.AllJoins, &d.AllJoins},
		{&l.Targets, &d.Targets},
		{&l.Pages, &d.Pages},
	} {
		if *f.have == 0 {
			*f.have = *f.want
		}
	}
	return l
}
