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
