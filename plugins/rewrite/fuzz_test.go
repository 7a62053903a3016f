package rewrite

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
)

// compiles reports whether wazero takes a module.
func compiles(wasm []byte) error {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(16))
	defer r.Close(ctx)
	_, err := r.CompileModule(ctx, wasm)
	return err
}

// stripped returns a module without custom sections: Instrument does not carry
// over what may be wrong in them.
func stripped(wasm []byte) []byte {
	var out []byte
	done := 0
	for s := range customSections(wasm) {
		out = append(out, wasm[done:s.whole.from]...)
		done = s.whole.to
	}
	return append(out, wasm[done:]...)
}

// Nothing panics, and what comes out is valid exactly if what went in was.
func FuzzInstrument(f *testing.F) {
	for seed := range uint64(60) {
		if wasm := write(seed); len(wasm) < 1500 {
			f.Add(wasm)
		}
	}
	for _, wasm := range spinners() {
		if len(wasm) < 2000 {
			f.Add(wasm)
		}
	}
	f.Add(module(sec(1, sig("i", "i")), sec(3, []byte{0}, []byte{0}), sec(4, []byte{0x70, 1, 2, 9}), sec(6, []byte{0x70, 0, 0xd2, 1, 0x0b}),
		sec(9, []byte{6, 0, 0x41, 0, 0x0b, 0x70, 2, 0xd2, 1, 0x0b, 0xd2, 0, 0x0b}), sec(10, fn(1, 0x20, 0), fn(0, 0x20, 0, 0xfd, 17, 0xfd, 0x8f, 1, 0x1a, 0x20, 0)), custom("name", "\x01\x04\x01\x00\x01a")))
	l := Default
	l.Module, l.Body, l.Joins, l.Merges, l.Pages, l.Table, l.Params = 16<<10, 8<<10, 20_000, 2_000, 16, 1_000, 16
	f.Fuzz(func(t *testing.T, wasm []byte) {
		before := bytes.Clone(wasm)
		m, err := Inspect(wasm, l)
		if err != nil {
			var r *Refusal
			if m != nil || !errors.As(err, &r) {
				t.Fatalf("%+v %v", m, err)
			}
		}
		for _, o := range []Options{all, {Fuel: true}, {Depth: true}, {}} {
			o.Limits = l
			out, err2 := Instrument(wasm, o)
			if err == nil && err2 != nil {
				t.Fatalf("Inspect takes it, Instrument says %v", err2)
			}
			if err != nil {
				continue
			}
			plain, ours := compiles(stripped(wasm)), compiles(out)
			if (plain == nil) != (ours == nil) {
				t.Fatalf("%+v: plain: %v, instrumented: %v", o, plain, ours)
			}
			if o.Fuel || o.Depth {
				if _, err := Instrument(out, o); err == nil {
					t.Fatal("it was done twice")
				}
			}
		}
		if got := WithCustomSection(wasm, "x", []byte("y")); err == nil {
			if body, ok := CustomSection(got, "x"); !ok || string(body) != "y" {
				t.Fatalf("custom section: %q %v", body, ok)
			}
		}
		if !bytes.Equal(before, wasm) {
			t.Fatal("the input was changed")
		}
	})
}

// A program does the same with and without the rewriter.
func FuzzProgram(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed, uint32(3))
	}
	f.Fuzz(func(t *testing.T, seed uint64, arg uint32) {
		if _, err := compare(write(seed), all, uint64(arg%8)); err != nil {
			t.Fatal(err)
		}
	})
}
