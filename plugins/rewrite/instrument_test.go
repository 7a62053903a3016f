package rewrite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// same runs one export of a module with and without the rewriter, for each of the
// arguments.
func same(t *testing.T, wasm []byte, export string, args ...uint64) {
	t.Helper()
	plain, ours := start(t, wasm, 0), start(t, instrument(t, wasm, all), 0)
	for _, arg := range args {
		want, err := plain.call(export, arg)
		got, err2 := ours.call(export, arg)
		if (err == nil) != (err2 == nil) || !slices.Equal(want, got) {
			t.Errorf("%s(%d): %v %v, instrumented %v %v", export, arg, want, err, got, err2)
		}
		if err2 == nil && int32(ours.stack.Get()) != DefaultStack {
			t.Errorf("%s(%d): %d bytes of stack were not given back", export, arg, DefaultStack-int32(ours.stack.Get()))
		}
	}
}

// Each index of a function that a module can hold has to move with the function.
func TestIndicesMove(t *testing.T) {
	host := imp("sallyport_v1", "host", Function, 0)
	five, six := fn(0, 0x41, 5), fn(0, 0x41, 6)
	tests := map[string][]byte{
		"call of a function and an import": module(sec(1, sig("i", "i")), sec(2, host), sec(3, []byte{0}, []byte{0}), sec(7, exp("f", Function, 2)),
			sec(10, fn(0, 0x20, 0, 0x10, 0), fn(0, 0x20, 0, 0x10, 1, 0x10, 0))),
		"export of an import": module(sec(1, sig("i", "i")), sec(2, host), sec(3, []byte{0}), sec(7, exp("f", Function, 0)), sec(10, fn(0, 0x20, 0))),
		"start": module(sec(1, sig("", ""), sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{1}), sec(6, []byte{0x7f, 1, 0x41, 0, 0x0b}), sec(7, exp("f", Function, 2)), raw(8, []byte{1}),
			sec(10, fn(0, 0x41, 1, 0x24, 0), fn(0, 0x41, 2, 0x24, 0), fn(0, 0x23, 0))),
		"call_indirect, segment 0": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{0, 0x41, 0, 0x0b, 2, 0, 1}), sec(10, five, six, fn(0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"segment 1, table.init, elem.drop": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{1, 0, 2, 0, 1}), sec(10, five, six, fn(0, 0x41, 0, 0x41, 0, 0x41, 2, 0xfc, 12, 0, 0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"segment 2": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{2, 0, 0x41, 0, 0x0b, 0, 2, 0, 1}), sec(10, five, six, fn(0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"segment 3, ref.func, table.set": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{3, 0, 2, 0, 1}), sec(10, five, six, fn(0, 0x41, 1, 0xd2, 0, 0x26, 0, 0x41, 0, 0xd2, 1, 0x26, 0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"segment 4": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{4, 0x41, 0, 0x0b, 2, 0xd2, 0, 0x0b, 0xd2, 1, 0x0b}), sec(10, five, six, fn(0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"segment 5": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{5, 0x70, 2, 0xd2, 0, 0x0b, 0xd0, 0x70, 0x0b}), sec(10, five, six, fn(0, 0x41, 0, 0x41, 0, 0x41, 2, 0xfc, 12, 0, 0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"segment 6": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{6, 0, 0x41, 0, 0x0b, 0x70, 2, 0xd2, 1, 0x0b, 0xd2, 0, 0x0b}), sec(10, five, six, fn(0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"segment 7, global of a reference": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}, []byte{0}), sec(4, []byte{0x70, 0, 2}), sec(6, []byte{0x70, 0, 0xd2, 1, 0x0b}, []byte{0x7f, 0, 0x41, 3, 0x0b}), sec(7, exp("f", Function, 2)),
			sec(9, []byte{7, 0x70, 1, 0xd2, 1, 0x0b}), sec(10, five, six, fn(0, 0x41, 1, 0x23, 0, 0x26, 0, 0x20, 0, 0x20, 0, 0x11, 0, 0))),
		"padded indices": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}), sec(7, exp("f", Function, 1)),
			sec(10, five, fn(0, 0x20, 0, 0x10, 0x80, 0x80, 0x80, 0x80, 0))),
	}
	for name, wasm := range tests {
		t.Run(name, func(t *testing.T) { same(t, wasm, "f", 0, 1, 2) })
	}
}

// A function that is counted must give its stack back on every way out.
func TestEveryWayOut(t *testing.T) {
	// Each body calls itself while its argument is not 0, which makes it counted.
	again := []byte{0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x1a, 0x0b}
	tests := map[string][]byte{
		"end":                        {0x41, 7},
		"return":                     {0x41, 7, 0x0f},
		"return with more below":     {0x41, 1, 0x41, 2, 0x41, 7, 0x0f},
		"return in blocks":           {0x02, 0x40, 0x03, 0x40, 0x20, 0, 0x04, 0x40, 0x41, 8, 0x0f, 0x0b, 0x0b, 0x0b, 0x41, 9},
		"return, then dead code":     {0x41, 7, 0x0f, 0x1a, 0x00, 0x02, 0x7f, 0x41, 1, 0x0f, 0x0b},
		"br out of the function":     {0x41, 7, 0x0c, 0},
		"br out of blocks":           {0x02, 0x40, 0x41, 7, 0x0c, 1, 0x0b, 0x41, 8},
		"br_if out of the function":  {0x41, 7, 0x20, 0, 0x0d, 0, 0x1a, 0x41, 9},
		"br_table out of everything": {0x02, 0x7f, 0x02, 0x7f, 0x41, 7, 0x20, 0, 0x0e, 2, 0, 1, 2, 0x0b, 0x41, 1, 0x6a, 0x0b, 0x41, 2, 0x6a},
		"trap":                       {0x20, 0, 0x41, 3, 0x46, 0x04, 0x40, 0x00, 0x0b, 0x41, 1},
	}
	for name, code := range tests {
		t.Run(name, func(t *testing.T) {
			same(t, function("i", "i", 0, cat(again, code)...), "f", 0, 1, 2, 3, 40)
		})
	}
	t.Run("no result", func(t *testing.T) {
		same(t, function("i", "", 0, 0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x0b, 0x20, 0, 0x0d, 0, 0x0f), "f", 0, 1, 2)
	})
	t.Run("many results", func(t *testing.T) {
		many := module(sec(1, sig("i", "ild")), sec(3, []byte{0}), sec(7, exp("f", Function, 0)), sec(10, fn(0,
			0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x1a, 0x1a, 0x1a, 0x41, 1, 0x42, 2, 0x44, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x0f, 0x0b,
			0x20, 0, 0x42, 5, 0x44, 0, 0, 0, 0, 0, 0, 0, 0x41)))
		same(t, many, "f", 0, 1, 2)
	})
	t.Run("blocks with parameters", func(t *testing.T) {
		same(t, module(sec(1, sig("i", "i"), sig("ii", "i")), sec(3, []byte{0}), sec(7, exp("f", Function, 0)),
			sec(10, fn(0, cat(again, []byte{0x20, 0, 0x41, 3, 0x03, 1, 0x6a, 0x0b, 0x41, 4, 0x02, 1, 0x6c, 0x0b, 0x41, 5, 0x20, 0, 0x04, 1, 0x6a, 0x05, 0x6b, 0x0b})...))), "f", 0, 1, 2)
	})
	t.Run("through a table", func(t *testing.T) {
		same(t, module(sec(1, sig("i", "i")), sec(3, []byte{0}), sec(4, []byte{0x70, 0, 1}), sec(7, exp("f", Function, 0)), sec(9, []byte{0, 0x41, 0, 0x0b, 1, 0}),
			sec(10, fn(0, 0x20, 0, 0x04, 0x7f, 0x20, 0, 0x41, 1, 0x6b, 0x41, 0, 0x11, 0, 0, 0x41, 2, 0x6a, 0x05, 0x41, 1, 0x0b))), "f", 0, 1, 1000)
	})
}

// Past the end of a module's own indices stand those of the rewriter: a guest
// that names them would hold its own leash.
func TestTheLeashIsOutOfReach(t *testing.T) {
	with := func(code ...byte) []byte {
		return module(sec(1, sig("i", "i")), sec(3, []byte{0}), sec(5, []byte{0, 1}), sec(6, []byte{0x7f, 1, 0x41, 0, 0x0b}), sec(7, exp("f", Function, 0)), sec(10, fn(1, code...)))
	}
	tests := map[string]struct {
		wasm []byte
		want string
	}{
		"set fuel":             {with(0x41, 0xff, 0, 0x24, 1, 0x20, 0), "global 1 is not there"},
		"get stack":            {with(0x23, 2), "global 2 is not there"},
		"set stack":            {with(0x41, 0, 0x24, 2, 0x20, 0), "global 2 is not there"},
		"call past the end":    {with(0x20, 0, 0x10, 1), "function 1 is not there"},
		"refer past the end":   {with(0xd2, 1, 0x1a, 0x20, 0), "function 1 is not there"},
		"set a local of ours":  {with(0x41, 0, 0x21, 2, 0x20, 0), "local 2 is not there"},
		"tee a local of ours":  {with(0x41, 0, 0x22, 3), "local 3 is not there"},
		"get a local of ours":  {with(0x20, 2), "local 2 is not there"},
		"branch past the end":  {with(0x20, 0, 0x0c, 1), "label 1 is not there"},
		"type of a block":      {with(0x02, 1, 0x0b), "block type 1 is not there"},
		"type of a call":       {with(0x41, 0, 0x11, 1, 0), "type 1 is not there"},
		"export of fuel":       {module(sec(6, []byte{0x7f, 1, 0x41, 0, 0x0b}), sec(7, exp("g", Global, 1))), "global 1 is not there"},
		"name of fuel":         {module(sec(6, []byte{0x7f, 1, 0x41, 0, 0x0b}), sec(7, exp(FuelExport, Global, 0))), `exports "sallyport_fuel"`},
		"name of the stack":    {module(sec(6, []byte{0x7f, 1, 0x41, 0, 0x0b}), sec(7, exp(StackExport, Global, 0))), `exports "sallyport_stack"`},
		"name of a global":     {module(sec(6, []byte{0x7f, 1, 0x41, 0, 0x0b}), sec(7, exp(GlobalPrefix+"0", Global, 0))), `exports "sallyport_global_0"`},
		"yield":                {module(sec(1, sig("", "")), sec(2, imp(yieldModule, yieldName, Function, 0))), `imports "sallyport_v1"."yield"`},
		"initial value":        {module(sec(6, []byte{0x7f, 1, 0x23, 0, 0x0b})), "global 0 is not there"},
		"start past the end":   {module(sec(1, sig("", "")), sec(3, []byte{0}), raw(8, []byte{1}), sec(10, fn(0))), "function 1 is not there"},
		"segment past the end": {module(sec(1, sig("", "")), sec(3, []byte{0}), sec(4, []byte{0x70, 0, 1}), sec(9, []byte{0, 0x41, 0, 0x0b, 1, 1}), sec(10, fn(0))), "function 1 is not there"},
		// wazero takes the number of a vector instruction from one byte: 0x8c is
		// i16x8.shr_u for it, and the 16 bytes are code. For LEB128, it is v128.const.
		"hidden code":            {with(cat([]byte{0xfd, 0x8c, 0x00}, rep(7, 0x03, 0x40), []byte{0x0c, 0x00}, []byte{0x1a, 0x20, 0})...), "spelled longer than it is"},
		"done twice":             {instrument(t, with(0x20, 0), all), `imports "sallyport_v1"."yield"`},
		"done twice, depth only": {instrument(t, with(0x20, 0), Options{Depth: true}), `exports "sallyport_stack"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Inspect(tt.wasm, Default)
			_, err2 := Instrument(tt.wasm, all)
			for _, err := range []error{err, err2} {
				var r *Refusal
				if !errors.As(err, &r) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			}
		})
	}
}

// The test of the test: the same programs without fuel do not yield.
func TestWithoutFuelTheyRunOn(t *testing.T) {
	wasm := instrument(t, function("i", "i", 0, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x20, 0), Options{Depth: true, Globals: true})
	r := start(t, wasm, 1)
	if _, err := r.call("f", 10_000_000); err != nil || r.yields != 0 {
		t.Errorf("%d yields, %v", r.yields, err)
	}
}

// Recursion ends before it takes much memory of the host, whatever its frames
// look like.
func TestRecursionIsBounded(t *testing.T) {
	recursion := func(n int, before, after []byte) []byte {
		leaf := fn(0, 0x20, 0, 0x41, 1, 0x6a)
		return module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}), sec(7, exp("f", Function, 1)),
			sec(10, leaf, fn(n, cat(before, []byte{0x20, 0, 0x41, 1, 0x6a, 0x10, 1}, after)...)))
	}
	var sets, uses []byte
	for i := range byte(100) {
		sets = append(sets, 0x20, i+1, 0x20, 0, 0x6a, 0x21, i+1)
		uses = append(uses, 0x20, i+1, 0x6a)
	}
	tests := map[string][]byte{
		"small frame":            recursion(0, nil, nil),
		"values live across":     recursion(0, rep(900, 0x20, 0, 0x10, 0), rep(900, 0x6a)),
		"values one by one":      recursion(0, nil, rep(900, 0x20, 0, 0x10, 0, 0x20, 0, 0x10, 0, 0x6a, 0x6a)),
		"locals joined by loops": recursion(100, cat(rep(60, 0x03, 0x40), sets), cat([]byte{0x1a}, rep(60, 0x20, 0, 0x45, 0x0d, 0, 0x0b), []byte{0x20, 0}, uses)),
		"through a table": module(sec(1, sig("i", "i")), sec(3, []byte{0}), sec(4, []byte{0x70, 0, 1}), sec(7, exp("f", Function, 0)), sec(9, []byte{0, 0x41, 0, 0x0b, 1, 0}),
			sec(10, fn(0, 0x20, 0, 0x41, 0, 0x11, 0, 0, 0x41, 1, 0x6a))),
		"two in turn": module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}), sec(7, exp("f", Function, 0)),
			sec(10, fn(0, 0x20, 0, 0x10, 1, 0x41, 1, 0x6a), fn(0, 0x20, 0, 0x10, 0, 0x41, 1, 0x6a))),
	}
	for name, wasm := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, instrument(t, wasm, all), 0)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, err := r.call("f", 1)
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), "unreachable") {
				t.Fatalf("it ended with %v", err)
			}
			if left := int32(r.stack.Get()); left >= 0 {
				t.Errorf("%d bytes of stack are left: the counter does not tell why", left)
			}
			// wazero doubles the stack and copies it: all of that is counted here.
			if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 64 {
				t.Errorf("%d MiB were allocated", grown)
			}
			if took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// No cycle, but the frames of all functions of a chain together are too much.
func TestChainIsBounded(t *testing.T) {
	chain := func(n int) []byte {
		functions, code := [][]byte{{0}}, [][]byte{fn(0, 0x20, 0)}
		for i := range n {
			functions = append(functions, []byte{0})
			code = append(code, fn(0, cat(rep(900, 0x20, 0, 0x10, 0), []byte{0x20, 0, 0x10}, appendU32(nil, uint32(i)), rep(900, 0x6a))...))
		}
		last := exp("f", Function, 0)
		return module(sec(1, sig("i", "i")), sec(3, functions...), sec(7, append(last[:len(last)-1], appendU32(nil, uint32(n))...)), sec(10, code...))
	}
	o := all
	o.MaxStack = 1 << 20
	for n, want := range map[int]bool{30: true, 150: false} {
		r := start(t, instrument(t, chain(n), o), 0)
		if _, err := r.call("f", 1); (err == nil) != want {
			t.Errorf("chain of %d: %v", n, err)
		}
	}
}

func TestRecursionOfOrdinaryDepthRuns(t *testing.T) {
	r := start(t, instrument(t, buildGo(t), all), 0)
	if got, err := r.call("deep", 5_000); err != nil || got[0] != 5_000 {
		t.Errorf("%v %v", got, err)
	}
	nested := strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)
	if got := r.text(t, "tool", nested); got != nested {
		t.Errorf("nested JSON became %.80s", got)
	}
	if left := int32(r.stack.Get()); left != DefaultStack {
		t.Errorf("%d bytes of stack were not given back", DefaultStack-left)
	}
}

func TestGlobalsAreExported(t *testing.T) {
	wasm := module(sec(6, []byte{0x7f, 1, 0x41, 1, 0x0b}, []byte{0x7f, 0, 0x41, 2, 0x0b}, []byte{0x7e, 1, 0x42, 3, 0x0b}), sec(7, exp("mine", Global, 2)))
	m, err := Inspect(wasm, Default)
	if err != nil {
		t.Fatal(err)
	}
	want := []Mutable{{0, I32, "sallyport_global_0"}, {2, I64, "sallyport_global_2"}}
	if !slices.Equal(m.Mutables, want) {
		t.Errorf("mutables %v, want %v", m.Mutables, want)
	}
	r := start(t, instrument(t, wasm, all), 0)
	for _, g := range want {
		if e := r.ExportedGlobal(g.Name); e == nil || e.Get() != map[uint32]uint64{0: 1, 2: 3}[g.Index] {
			t.Errorf("%s: %v", g.Name, e)
		}
	}
	if r.ExportedGlobal("sallyport_global_1") != nil {
		t.Error("a constant was exported")
	}
	if r.ExportedGlobal("mine") == nil {
		t.Error("its own export is gone")
	}
}

// A module without any section becomes one with the counters only.
func TestEmptyModule(t *testing.T) {
	for _, o := range []Options{{}, {Fuel: true}, {Depth: true}, {Globals: true}, all} {
		r := start(t, instrument(t, module(), o), 0)
		if (r.fuel != nil) != o.Fuel || (r.stack != nil) != o.Depth {
			t.Errorf("%+v: fuel %v, stack %v", o, r.fuel, r.stack)
		}
	}
}

func TestNamesMove(t *testing.T) {
	names := cat([]byte{0, 4}, appendName(nil, "mod"), []byte{1, 15, 3, 0}, appendName(nil, "imp"), []byte{1}, appendName(nil, "one"), []byte{2}, appendName(nil, "tw\u00f6"), []byte{2, 1, 0})
	names[7] = byte(len(names) - 8 - 3)
	with := func(section []byte) []byte {
		return module(sec(1, sig("i", "i")), sec(2, imp(yieldModule, "host", Function, 0)), sec(3, []byte{0}, []byte{0}), sec(7, exp("f", Function, 2)), sec(10, fn(0, 0x00), fn(0, 0x20, 0, 0x10, 1)), section)
	}
	r := start(t, instrument(t, with(custom("name", string(names))), all), 0)
	_, err := r.call("f", 1)
	if err == nil || !strings.Contains(err.Error(), "mod.one(") || !strings.Contains(err.Error(), "mod.tw\u00f6(") {
		t.Errorf("stack trace: %v", err)
	}
	for name, section := range map[string][]byte{
		"count past the functions": custom("name", "\x01\x05\xff\xff\xff\xff\x0f"),
		"not ascending":            custom("name", "\x01\x07\x02\x01\x01a\x00\x01b"),
		"runs out":                 custom("name", "\x01\x7f\x02"),
		"not UTF-8":                custom("name", "\x01\x04\x01\x00\x01\xff"),
		"after itself":             custom("name", "\x01\x04\x01\x00\x01a\x01\x04\x01\x00\x01a"),
	} {
		out := instrument(t, with(section), all)
		if _, ok := CustomSection(out, "name"); ok {
			t.Errorf("%s: it was carried over", name)
		}
		start(t, out, 0)
	}
}

func TestGoGuestIsTheSame(t *testing.T) {
	wasm := buildGo(t)
	plain := start(t, wasm, 0)
	variants := map[string]*running{}
	for name, o := range map[string]Options{"nothing": {}, "fuel": {Fuel: true}, "depth": {Depth: true}, "all": all} {
		variants[name] = start(t, instrument(t, wasm, o), 0)
	}
	for _, tt := range []struct{ export, input string }{
		{"tool", `{"text":"hello","n":[1,2.5,{"a":null}],"deep":{"x":{"y":"z"}}}`},
		{"tool", `{"text":`},
		{"tool", fmt.Sprintf(`{"text":%q}`, strings.Repeat("word ", 5000))},
		{"words", "the quick brown fox jumps over the lazy dog the end"},
		{"words", strings.Repeat("a b c d e f g h ", 500)},
		{"words", " "},
	} {
		want := plain.text(t, tt.export, tt.input)
		for name, r := range variants {
			if got := r.text(t, tt.export, tt.input); got != want {
				t.Errorf("%s, %s(%.40s): %.80s, want %.80s", name, tt.export, tt.input, got, want)
			}
		}
	}
	for _, tt := range []struct {
		export string
		arg    uint64
	}{{"sum", 100_000}, {"fib", 20}, {"deep", 3000}} {
		want, err := plain.call(tt.export, tt.arg)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range variants {
			if got, err := r.call(tt.export, tt.arg); err != nil || got[0] != want[0] {
				t.Errorf("%s, %s(%d): %v %v, want %v", name, tt.export, tt.arg, got, err, want)
			}
		}
	}
	if variants["all"].used < 100_000 {
		t.Errorf("only %d units of fuel were used", variants["all"].used)
	}
	limited := start(t, instrument(t, wasm, all), 100_000)
	limited.yields = 100_000 - 50
	if _, err := limited.call("spin"); !errors.Is(err, errStop) {
		t.Errorf("spin ended with %v", err)
	}
}

// What wazero would allocate for a count is decided here, before it sees the file.
func TestOutputIsReadByWazeroOnly(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	// A name section that says 2^32-1 functions: 64 GiB for a reader that believes it.
	wasm := module(custom("name", "\x01\x05\xff\xff\xff\xff\x0f"))
	if _, err := r.CompileModule(ctx, instrument(t, wasm, Options{})); err != nil {
		t.Error(err)
	}
}
