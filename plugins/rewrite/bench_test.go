package rewrite

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func BenchmarkInspectGo(b *testing.B) {
	wasm := buildGo(b)
	b.SetBytes(int64(len(wasm)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Inspect(wasm, Default); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInstrumentGo(b *testing.B) {
	wasm := buildGo(b)
	b.SetBytes(int64(len(wasm)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Instrument(wasm, all); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCost compares a Go guest as it is with what fuel and depth make of it.
func BenchmarkCost(b *testing.B) {
	wasm := buildGo(b)
	input := fmt.Sprintf(`{"tool":"weather","id":12,"text":%q,"headers":{"a":"b","c":"d","e":"f"},"n":1.5,"flag":true}`, strings.Repeat("word and ", 80))
	for _, variant := range []struct {
		name string
		o    Options
	}{
		{"plain", Options{}},
		{"fuel", Options{Fuel: true}},
		{"depth", Options{Depth: true}},
		{"both", Options{Fuel: true, Depth: true}},
	} {
		r := start(b, instrument(b, wasm, variant.o), 0)
		ptr, err := r.call("alloc", uint64(len(input)))
		if err != nil {
			b.Fatal(err)
		}
		r.Memory().Write(uint32(ptr[0]), []byte(input))
		for _, work := range []struct {
			name, export string
			arg          uint64
		}{
			{"loop of 100000", "sum", 100_000},
			{"fib of 20", "fib", 20},
			{"json of 1 KB", "tool", uint64(len(input))},
		} {
			f := r.ExportedFunction(work.export)
			stack := make([]uint64, 1)
			b.Run(work.name+"/"+variant.name, func(b *testing.B) {
				for b.Loop() {
					stack[0] = work.arg
					if err := f.CallWithStack(context.Background(), stack); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkCostTight does the same with code as LLVM writes it.
func BenchmarkCostTight(b *testing.B) {
	programs := map[string][]byte{
		"loop of 100000": function("i", "i", 1, 0x03, 0x40, 0x20, 1, 0x41, 31, 0x6c, 0x20, 0, 0x6a, 0x21, 1, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x20, 1),
		"fib of 20":      function("i", "i", 0, 0x20, 0, 0x41, 2, 0x48, 0x04, 0x7f, 0x20, 0, 0x05, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x20, 0, 0x41, 2, 0x6b, 0x10, 0, 0x6a, 0x0b),
	}
	for name, arg := range map[string]uint64{"loop of 100000": 100_000, "fib of 20": 20} {
		for _, variant := range []struct {
			name string
			o    Options
		}{{"plain", Options{}}, {"fuel", Options{Fuel: true}}, {"depth", Options{Depth: true}}, {"both", all}} {
			f := start(b, instrument(b, programs[name], variant.o), 0).ExportedFunction("f")
			stack := make([]uint64, 1)
			b.Run(name+"/"+variant.name, func(b *testing.B) {
				for b.Loop() {
					stack[0] = arg
					if err := f.CallWithStack(context.Background(), stack); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
