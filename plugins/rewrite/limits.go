package rewrite

// Limits bounds what is read, before anything is compiled. A field that is zero
// takes the value of Default.
//
// The compiler (wazero 1.12) takes time that grows faster than its input: with
// the square of the blocks of a function, worst of loops in each other (8,000 of
// them, 56 KB, take 11 s), and with the values that live across blocks (900 locals
// and 2,000 loops, 35 KB, take 6 s). Merges and Joins count just that, so that one
// function takes less than a second at the limits, whatever it looks like.
//
// Ordinary guests stay far below. The largest that were measured: Go 1.26 with
// net/http, go/parser, html/template and image/png (16.6 MB, 9,915 functions) has
// bodies of 50 KB, 549 blocks in each other (Go opens one for each place to resume
// at), 8,900 merges, 34,000 joins in a function and 4.2 million in all; C by zig
// has 813 locals and 109,000 joins; nobody has more than 3 loops in each other.
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
