package rewrite

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestInspect(t *testing.T) {
	wasm := module(
		sec(1, sig("i", "il"), sig("", "")),
		sec(2, imp("sallyport_v1", "kv_get", Function, 0), imp("env", "abort", Function, 1)),
		custom("producers", "xyz"),
		sec(3, []byte{1}, []byte{0}), sec(4, []byte{0x70, 1, 3, 9}), sec(5, []byte{1, 2, 16}),
		sec(6, []byte{0x7f, 1, 0x41, 1, 0x0b}, []byte{0x7b, 1, 0xfd, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b}, []byte{0x7c, 0, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b}),
		sec(7, exp("memory", Memory, 0), exp("run", Function, 3), exp("abort", Function, 1), exp("g", Global, 0), exp("t", Table, 0)),
		raw(8, []byte{2}), sec(9, []byte{0, 0x41, 0, 0x0b, 1, 3}), raw(12, []byte{1}),
		sec(10, fn(2, 0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a, 0xfc, 9, 0), fn(0, 0x03, 0x40, 0x03, 0x40, 0x0b, 0x0b, 0x20, 0, 0x42, 7)),
		sec(11, []byte{1, 2, 'h', 'i'}),
		custom("sallyport.manifest", "name: x"))
	m, err := Inspect(wasm, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Largest.Stack < 64 || m.Largest.Joins == 0 || m.Largest.AllJoins <= m.Largest.Joins {
		t.Errorf("largest %+v", m.Largest)
	}
	m.Largest.Stack, m.Largest.Joins, m.Largest.AllJoins = 0, 0, 0
	first, second := Signature{[]Type{I32}, []Type{I32, I64}}, Signature{}
	want := &Module{
		Size:    len(wasm),
		Imports: []Import{{"sallyport_v1", "kv_get", Function, first}, {"env", "abort", Function, second}},
		Exports: []Export{{"memory", Memory, 0, Signature{}}, {"run", Function, 3, first}, {"abort", Function, 1, second}, {"g", Global, 0, Signature{}}, {"t", Table, 0, Signature{}}},
		Custom:  []Section{{"producers", 3}, {"sallyport.manifest", 7}},
		Start:   true, Mutables: []Mutable{{0, I32, "sallyport_global_0"}, {1, V128, "sallyport_global_1"}},
		HasMemory: true, MinPages: 2, MaxPages: 16, HasMax: true, Functions: 2,
		Largest: Largest{Body: 15, Locals: 2, Nesting: 2, Loops: 2, Params: 2, Table: 3},
		Beyond:  []string{"tables", "segments"},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got\n%+v, want\n%+v", *m, *want)
	}
	if e, ok := m.Export("run"); !ok || e.Signature.String() != "(i32) -> (i32, i64)" {
		t.Errorf("Export(run) = %v %v", e, ok)
	}
	if _, ok := m.Export("nothing"); ok {
		t.Error("an export that is not there was found")
	}
}

// What the gateway does not run is refused with a word on how to build it.
func TestRefusals(t *testing.T) {
	code := func(b ...byte) []byte { return function("i", "i", 0, b...) }
	tests := map[string]struct {
		wasm []byte
		want string // parts, separated by |
	}{
		"nothing":               {nil, "no WASM file"},
		"text":                  {[]byte("\n(module (func))"), "text|wat2wasm"},
		"elf":                   {[]byte("\x7fELF....."), "no WASM file"},
		"half a header":         {[]byte("\x00asm\x01"), "no WASM file"},
		"version":               {[]byte("\x00asm\x02\x00\x00\x00"), "version 2"},
		"component":             {[]byte("\x00asm\x0d\x00\x01\x00"), "component|wasm32-wasip1"},
		"unknown section":       {module(raw(14, nil)), "section 14 is unknown"},
		"section twice":         {module(sec(1), sec(1)), "twice"},
		"section out of order":  {module(sec(3), sec(1)), "wrong place"},
		"section runs out":      {module([]byte{1, 5, 0}), "1 are left"},
		"bytes left over":       {module(raw(1, []byte{0, 0})), "left over"},
		"tag section":           {module(sec(13)), "exceptions|panic=abort"},
		"imported tag":          {module(sec(1, sig("", "")), sec(2, imp("a", "b", 4, 0, 0))), "exceptions"},
		"exported tag":          {module(sec(7, exp("a", 4, 0))), "exceptions"},
		"try":                   {code(0x06, 0x40, 0x0b), "exceptions"},
		"throw":                 {code(0x08, 0), "exceptions"},
		"try_table":             {code(0x1f, 0x40, 0, 0x0b), "exceptions"},
		"exnref":                {module(sec(1, []byte{0x60, 1, 0x69, 0})), "exception"},
		"tail call":             {code(0x20, 0, 0x12, 0), "tail call"},
		"tail call_indirect":    {code(0x20, 0, 0x13, 0, 0), "tail call"},
		"call_ref":              {code(0x14, 0), "GC"},
		"ref.as_non_null":       {code(0xd4), "GC"},
		"struct.new":            {code(0xfb, 0, 0), "GC"},
		"struct type":           {module(sec(1, []byte{0x5f, 0, 0})), "GC"},
		"typed reference":       {module(sec(1, []byte{0x60, 1, 0x64, 0x70})), "GC"},
		"shared memory":         {module(sec(5, []byte{3, 1, 1})), "shared|atomics"},
		"atomic":                {code(0xfe, 0x10, 2, 0), "atomic|threads"},
		"memory64":              {module(sec(5, []byte{4, 1})), "64-bit"},
		"table64":               {module(sec(4, []byte{0x70, 4, 1})), "64-bit"},
		"two memories":          {module(sec(5, []byte{0, 1}, []byte{0, 1})), "2 memories"},
		"imported and own":      {module(sec(2, imp("a", "b", Memory, 0, 1)), sec(5, []byte{0, 1})), "two memories"},
		"load of memory 1":      {code(0x20, 0, 0x28, 0x42, 1, 0), "another memory"},
		"memory.size of 1":      {code(0x3f, 1), "memory 1"},
		"memory.fill of 1":      {code(0xfc, 11, 1), "memory 1"},
		"memory.copy of 1":      {code(0xfc, 10, 0, 1), "memory 1"},
		"data for memory 1":     {module(sec(5, []byte{0, 1}), sec(11, []byte{2, 1, 0x41, 0, 0x0b, 0})), "memory 1"},
		"relaxed SIMD":          {code(0xfd, 0x80, 2), "relaxed"},
		"padded vector":         {code(0xfd, 0x8c, 0x00), "longer"},
		"padded vector, more":   {code(0xfd, 0x8c, 0x80, 0x00), "longer"},
		"extended constant":     {module(sec(6, []byte{0x7f, 0, 0x41, 1, 0x41, 2, 0x6a, 0x0b})), "more than one instruction|extended-const"},
		"computed constant":     {module(sec(6, []byte{0x7f, 0, 0x6a, 0x0b})), "extended-const"},
		"imported memory":       {module(sec(2, imp("env", "memory", Memory, 0, 1))), `memory "env"."memory"|--import-memory`},
		"imported table":        {module(sec(2, imp("env", "t", Table, 0x70, 0, 1))), `table "env"."t"`},
		"imported global":       {module(sec(2, imp("env", "g", Global, 0x7f, 0))), `global "env"."g"`},
		"unknown instruction":   {code(0x27), "0x27 is unknown"},
		"unknown 0xfc":          {code(0xfc, 18), "0xfc 0x12 is unknown"},
		"unknown type":          {module(sec(1, []byte{0x60, 1, 0x01, 0})), "0x01 is unknown"},
		"else alone":            {code(0x05), "else without if"},
		"else twice":            {code(0x20, 0, 0x04, 0x40, 0x05, 0x05, 0x0b), "else without if"},
		"no end":                {module(sec(1, sig("", "")), sec(3, []byte{0}), sec(10, []byte{3, 0, 0x02, 0x40})), "ends before"},
		"code after the end":    {code(0x20, 0, 0x0b, 0x41, 1), "after its last end"},
		"code without function": {module(sec(1, sig("", "")), sec(10, fn(0))), "0 functions are declared, 1 have code"},
		"function without code": {module(sec(1, sig("", "")), sec(3, []byte{0})), "1 functions are declared, 0 have code"},
		"code runs out":         {module(sec(1, sig("", "")), sec(3, []byte{0}), sec(10, []byte{9, 0, 0x0b})), "2 are left"},
		"data count":            {module(sec(5, []byte{0, 1}), raw(12, []byte{2}), sec(11, []byte{1, 0})), "data count section says 2"},
		"data count alone":      {module(raw(12, []byte{2})), "no data section"},
		"export twice":          {module(sec(5, []byte{0, 1}), sec(7, exp("m", Memory, 0), exp("m", Memory, 0))), "stands twice"},
		"export of nothing":     {module(sec(7, exp("m", Memory, 0))), "memory 0 is not there"},
		"export kind":           {module(sec(7, exp("m", 9, 0))), "export kind 9"},
		"import kind":           {module(sec(2, imp("a", "b", 9, 0))), "import kind 9"},
		"max below min":         {module(sec(5, []byte{1, 2, 1})), "below the minimum"},
		"limits form":           {module(sec(5, []byte{9, 1})), "0x09"},
		"name not UTF-8":        {module(sec(7, exp("\xff", Memory, 0))), "UTF-8"},
		"mutability":            {module(sec(6, []byte{0x7f, 2, 0x41, 0, 0x0b})), "mutability 2"},
		"element form":          {module(sec(9, []byte{8, 0, 0})), "form 8"},
		"element kind":          {module(sec(9, []byte{1, 1, 0})), "kind 1"},
		"element without table": {module(sec(9, []byte{0, 0x41, 0, 0x0b, 0})), "table 0 is not there"},
		"data form":             {module(sec(11, []byte{3, 0, 0})), "form 3"},
		"data without memory":   {module(sec(11, []byte{0, 0x41, 0, 0x0b, 0})), "no memory"},
		"select of two":         {code(0x1c, 2, 0x7f, 0x7f), "select with 2"},
		"ref.null of i32":       {code(0xd0, 0x7f), "ref.null of i32"},
		"table of i32":          {module(sec(4, []byte{0x7f, 0, 1})), "holds i32"},
		"u32 too long":          {code(0x0c, 0xff, 0xff, 0xff, 0xff, 0x1f), "32 bits"},
		"u32 endless":           {code(0x0c, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), "32 bits"},
		"s32 too long":          {code(0x41, 0xff, 0xff, 0xff, 0xff, 0x4f), "32 bits"},
		"s64 too long":          {code(0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02), "64 bits"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := Inspect(tt.wasm, Default)
			var r *Refusal
			if m != nil || !errors.As(err, &r) {
				t.Fatalf("got %+v, %v", m, err)
			}
			for part := range strings.SplitSeq(tt.want, "|") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestLimits(t *testing.T) {
	u := func(v uint32) []byte { return appendU32(nil, v) }
	many := func(n int, item ...byte) [][]byte {
		items := make([][]byte, n)
		for i := range items {
			items[i] = item
		}
		return items
	}
	tests := map[string]struct {
		limits Limits
		fits   []byte
		past   []byte
	}{
		"module":    {Limits{Module: 100}, module(custom("x", strings.Repeat("y", 88))), module(custom("x", strings.Repeat("y", 89)))},
		"sections":  {Limits{Sections: 2}, module(custom("a", ""), custom("b", "")), module(custom("a", ""), custom("b", ""), custom("c", ""))},
		"types":     {Limits{Types: 2}, module(sec(1, many(2, 0x60, 0, 0)...)), module(sec(1, many(3, 0x60, 0, 0)...))},
		"params":    {Limits{Params: 2}, module(sec(1, sig("ii", "ii"))), module(sec(1, sig("", "iii")))},
		"imports":   {Limits{Imports: 1}, module(sec(1, sig("", "")), sec(2, imp("a", "b", Function, 0))), module(sec(1, sig("", "")), sec(2, imp("a", "b", Function, 0), imp("a", "b", Function, 0)))},
		"exports":   {Limits{Exports: 1}, module(sec(5, []byte{0, 1}), sec(7, exp("a", Memory, 0))), module(sec(5, []byte{0, 1}), sec(7, exp("a", Memory, 0), exp("b", Memory, 0)))},
		"functions": {Limits{Functions: 2}, module(sec(1, sig("", "")), sec(3, many(2, 0)...), sec(10, many(2, 2, 0, 0x0b)...)), module(sec(1, sig("", "")), sec(3, many(3, 0)...), sec(10, many(3, 2, 0, 0x0b)...))},
		"globals":   {Limits{Globals: 1}, module(sec(6, many(1, 0x7f, 0, 0x41, 0, 0x0b)...)), module(sec(6, many(2, 0x7f, 0, 0x41, 0, 0x0b)...))},
		"tables":    {Limits{Tables: 1}, module(sec(4, many(1, 0x70, 0, 1)...)), module(sec(4, many(2, 0x70, 0, 1)...))},
		"table":     {Limits{Table: 10}, module(sec(4, many(2, 0x70, 0, 5)...)), module(sec(4, many(2, 0x70, 0, 6)...))},
		"segments":  {Limits{Segments: 2}, module(sec(11, many(2, 1, 0)...)), module(sec(11, many(3, 1, 0)...))},
		"elements":  {Limits{Segments: 2}, module(sec(9, many(2, 1, 0, 0)...)), module(sec(9, many(3, 1, 0, 0)...))},
		"name":      {Limits{Name: 5}, module(sec(5, []byte{0, 1}), sec(7, exp("12345", Memory, 0))), module(sec(5, []byte{0, 1}), sec(7, exp("123456", Memory, 0)))},
		"body":      {Limits{Body: 20}, function("", "", 0, rep(18, 0x01)...), function("", "", 0, rep(19, 0x01)...)},
		"locals":    {Limits{Locals: 5}, function("ii", "", 3), function("ii", "", 4)},
		"nesting":   {Limits{Nesting: 9}, function("", "", 0, cat(rep(9, 0x02, 0x40), rep(9, 0x0b))...), function("", "", 0, cat(rep(10, 0x02, 0x40), rep(10, 0x0b))...)},
		"loops":     {Limits{Loops: 9}, function("", "", 0, cat(rep(9, 0x02, 0x40, 0x03, 0x40), rep(18, 0x0b))...), function("", "", 0, cat(rep(10, 0x03, 0x40), rep(10, 0x0b))...)},
		"merges":    {Limits{Merges: 6}, function("i", "", 1, 0x02, 0x40, 0x02, 0x40, 0x41, 1, 0x22, 0, 0x22, 1, 0x22, 1, 0x1a, 0x0b, 0x0b), function("i", "", 2, 0x02, 0x40, 0x02, 0x40, 0x41, 1, 0x22, 0, 0x22, 1, 0x21, 2, 0x0b, 0x0b)},
		"targets":   {Limits{Targets: 4}, function("i", "", 0, 0x20, 0, 0x0e, 3, 0, 0, 0, 0), function("i", "", 0, 0x20, 0, 0x0e, 4, 0, 0, 0, 0, 0)},
		"pages":     {Limits{Pages: 3}, module(sec(5, []byte{0, 3})), module(sec(5, []byte{0, 4}))},
		"joins": {
			Limits{Joins: 1000},
			function("i", "i", 0, cat(rep(100, 0x20, 0), rep(5, 0x02, 0x40, 0x0b), rep(99, 0x6a))...), function("i", "i", 0, cat(rep(100, 0x20, 0), rep(20, 0x02, 0x40, 0x0b), rep(99, 0x6a))...),
		},
		"all joins": {
			Limits{AllJoins: 15}, // each function without a local or a block has none but for its parameter
			module(sec(1, sig("i", "")), sec(3, many(5, 0)...), sec(10, many(5, 2, 0, 0x0b)...)), module(sec(1, sig("i", "")), sec(3, many(6, 0)...), sec(10, many(6, 2, 0, 0x0b)...)),
		},
		"default: 50,000 blocks in each other":  {Default, function("", "", 0, cat(rep(1000, 0x02, 0x40), rep(1000, 0x0b))...), function("", "", 0, cat(rep(50_000, 0x02, 0x40), rep(50_000, 0x0b))...)},
		"default: loops in each other":          {Default, function("", "", 0, cat(rep(64, 0x03, 0x40), rep(64, 0x0b))...), function("", "", 0, cat(rep(65, 0x03, 0x40), rep(65, 0x0b))...)},
		"default: blocks one after the other":   {Default, function("", "", 0, rep(5000, 0x02, 0x40, 0x0b)...), function("", "", 0, rep(12_000, 0x02, 0x40, 0x0b)...)},
		"default: 2^32-1 locals":                {Default, function("", "", 1000), module(sec(1, sig("", "")), sec(3, []byte{0}), sec(10, []byte{8, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b}))},
		"default: locals whose sum wraps":       {Default, function("", "", 999), module(sec(1, sig("", "")), sec(3, []byte{0}), sec(10, append([]byte{16, 2}, cat(u(0xffffffff), []byte{0x7f}, u(1001), []byte{0x7f, 0x0b, 0, 0, 0, 0, 0})...)))},
		"default: 2^32-1 functions":             {Default, module(sec(3)), module(raw(3, u(0xffffffff)))},
		"default: 2^32-1 types":                 {Default, module(sec(1)), module(raw(1, u(0xffffffff)))},
		"default: 2^32-1 entries of an element": {Default, module(sec(9, []byte{1, 0, 0})), module(sec(9, append([]byte{1, 0}, u(0xffffffff)...)))},
		"default: 2^32-1 targets":               {Default, function("i", "", 0, 0x20, 0, 0x0e, 0, 0), function("i", "", 0, append([]byte{0x20, 0, 0x0e}, u(0xffffffff)...)...)},
		"default: a table of 2^27":              {Default, module(sec(4, []byte{0x70, 0, 1})), module(sec(4, append([]byte{0x70, 0}, u(1<<27)...)))},
		"default: memory of 4 GiB at the start": {Default, module(sec(5, []byte{0, 1})), module(sec(5, append([]byte{0}, u(1<<16)...)))},
		"default: many fills where values live": {Default, function("", "", 0, rep(100, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0)...), function("i", "i", 0, cat(rep(2000, 0x20, 0), rep(200, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0), rep(1999, 0x6a))...)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Inspect(tt.fits, tt.limits); err != nil {
				t.Errorf("what fits: %v", err)
			}
			_, err := Inspect(tt.past, tt.limits)
			var r *Refusal
			if !errors.As(err, &r) {
				t.Errorf("what does not fit: %v", err)
			}
		})
	}
}

// Ordinary guests stay far from the limits, so that a plugin of five times the
// size passes as well.
func TestGoGuestIsFarFromLimits(t *testing.T) {
	m, err := Inspect(buildGo(t), Default)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d functions, %+v", m.Functions, m.Largest)
	for _, f := range []struct {
		name        string
		have, limit int
	}{
		{"body", m.Largest.Body, Default.Body},
		{"locals", m.Largest.Locals, Default.Locals},
		{"nesting", m.Largest.Nesting, Default.Nesting},
		{"loops", m.Largest.Loops, Default.Loops},
		{"merges", m.Largest.Merges, Default.Merges},
		{"joins", m.Largest.Joins, Default.Joins},
		{"all joins", m.Largest.AllJoins, Default.AllJoins},
		{"targets", m.Largest.Targets, Default.Targets},
		{"table", m.Largest.Table, Default.Table},
		{"functions", m.Functions, Default.Functions},
		{"module", m.Size, Default.Module},
	} {
		if f.have*4 > f.limit {
			t.Errorf("%s: %d is more than a fourth of %d", f.name, f.have, f.limit)
		}
	}
}

// A table cannot grow past the limit, whatever maximum it names.
func TestTablesStayBounded(t *testing.T) {
	for name, limits := range map[string][]byte{"no maximum": {0x70, 0, 1}, "a large one": {0x70, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}} {
		wasm := module(sec(1, sig("i", "i")), sec(3, []byte{0}), sec(4, limits), sec(7, exp("f", Function, 0)), sec(10, fn(0, 0xd0, 0x70, 0x20, 0, 0xfc, 15, 0)))
		r := start(t, instrument(t, wasm, all), 0)
		for _, tt := range [][2]uint64{{10, 1}, {100_000_000, 0xffffffff}, {uint64(Default.Table) - 11, 11}, {1, 0xffffffff}} {
			if got, err := r.call("f", tt[0]); err != nil || got[0] != tt[1] {
				t.Errorf("%s: growing by %d gives %d %v, want %d", name, tt[0], got, err, tt[1])
			}
		}
	}
}

func TestCustomSections(t *testing.T) {
	plain := module(sec(1, sig("", "")), custom("a", "one"), sec(3, []byte{0}), custom("b", "two"), sec(10, fn(0)), custom("a", "three"))
	if got, ok := CustomSection(plain, "a"); !ok || string(got) != "one" {
		t.Errorf("a: %q %v", got, ok)
	}
	if _, ok := CustomSection(plain, "c"); ok {
		t.Error("c was found")
	}
	again := WithCustomSection(plain, "a", []byte("four"))
	if got, ok := CustomSection(again, "a"); !ok || string(got) != "four" {
		t.Errorf("a: %q %v", got, ok)
	}
	m, err := Inspect(again, Default)
	if err != nil || fmt.Sprint(m.Custom) != "[{b 3} {a 4}]" {
		t.Errorf("%v %v", m, err)
	}
	start(t, again, 0)
	if got, ok := CustomSection(WithCustomSection(plain, "m", nil), "m"); !ok || len(got) != 0 {
		t.Errorf("empty: %q %v", got, ok)
	}
	for _, junk := range [][]byte{nil, []byte("\x00asm"), []byte("not wasm at all"), plain[:len(plain)-3], append(plain[:len(plain):len(plain)], 0, 0xff)} {
		if got, ok := CustomSection(junk, "zz"); ok {
			t.Errorf("%q: %q", junk, got)
		}
		_ = WithCustomSection(junk, "zz", []byte("x"))
	}
}

func TestRefusalText(t *testing.T) {
	_, err := Inspect(function("i", "i", 0, 0x12, 0), Default)
	want := "wasm: code section, function 0: instruction 0x12: a tail call (byte 37); " + fixTailCalls
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
