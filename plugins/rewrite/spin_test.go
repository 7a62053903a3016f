package rewrite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// spinVariable names the spinner that a process of its own is to run: native code
// that does not yield freezes its process, the test's own timeout included.
const spinVariable = "REWRITE_TEST_SPIN"

func TestMain(m *testing.M) {
	if name := os.Getenv(spinVariable); name != "" {
		if err := spin(spinners()[name]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// spinners never end by themselves.
func spinners() map[string][]byte {
	tree := func(n int) []byte { // function i calls i+1 twice: 2^n calls, no loop, no cycle
		var functions, code [][]byte
		for i := range n {
			functions = append(functions, []byte{0})
			code = append(code, fn(0, cat([]byte{0x10}, appendU32(nil, uint32(i+1)), []byte{0x10}, appendU32(nil, uint32(i+1)))...))
		}
		functions, code = append(functions, []byte{0}), append(code, fn(0))
		return module(sec(1, sig("", "")), sec(3, functions...), sec(7, exp("f", Function, 0)), sec(10, code...))
	}
	return map[string][]byte{
		"loop":                     function("", "", 0, 0x03, 0x40, 0x0c, 0, 0x0b),
		"loop by br_if":            function("", "", 0, 0x03, 0x40, 0x41, 1, 0x0d, 0, 0x0b),
		"loop by br_table":         function("", "", 0, 0x03, 0x40, 0x41, 7, 0x0e, 1, 0, 0, 0x0b, 0x00),
		"loop with a parameter":    module(sec(1, sig("", ""), sig("i", "")), sec(3, []byte{0}), sec(7, exp("f", Function, 0)), sec(10, fn(0, 0x41, 1, 0x03, 1, 0x0c, 0, 0x0b))),
		"loops of one turn":        function("", "", 0, 0x03, 0x40, 0x03, 0x40, 0x03, 0x40, 0x0b, 0x0b, 0x0c, 0, 0x0b),
		"tree of calls":            tree(60),
		"tree of calls, wide":      module(sec(1, sig("", "")), sec(3, []byte{0}, []byte{0}, []byte{0}, []byte{0}, []byte{0}), sec(7, exp("f", Function, 0)), sec(10, fn(0, rep(30_000, 0x10, 1)...), fn(0, rep(30_000, 0x10, 2)...), fn(0, rep(30_000, 0x10, 3)...), fn(0, rep(30_000, 0x10, 4)...), fn(0))),
		"fibonacci of 90":          module(sec(1, sig("i", "i"), sig("", "")), sec(3, []byte{0}, []byte{1}), sec(7, exp("f", Function, 1)), sec(10, fn(0, 0x20, 0, 0x41, 2, 0x48, 0x04, 0x7f, 0x20, 0, 0x05, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x20, 0, 0x41, 2, 0x6b, 0x10, 0, 0x6a, 0x0b), fn(0, 0x41, 0xda, 0, 0x10, 0, 0x1a))),
		"tree through a table":     module(sec(1, sig("i", ""), sig("", "")), sec(3, []byte{0}, []byte{1}), sec(4, []byte{0x70, 0, 1}), sec(7, exp("f", Function, 1)), sec(9, []byte{0, 0x41, 0, 0x0b, 1, 0}), sec(10, fn(0, 0x20, 0, 0x45, 0x04, 0x40, 0x0f, 0x0b, 0x20, 0, 0x41, 1, 0x6b, 0x41, 0, 0x11, 0, 0, 0x20, 0, 0x41, 1, 0x6b, 0x41, 0, 0x11, 0, 0), fn(0, 0x41, 0xda, 0, 0x10, 0))),
		"loop around a heavy leaf": module(sec(1, sig("", "")), sec(3, []byte{0}, []byte{0}), sec(7, exp("f", Function, 0)), sec(10, fn(0, 0x03, 0x40, 0x10, 1, 0x0c, 0, 0x0b), fn(0, rep(10_000, 0x42, 9, 0x42, 7, 0x81, 0x1a)...))),
		"loop around large fills":  module(sec(1, sig("", "")), sec(3, []byte{0}), sec(5, []byte{0, 0x80, 4}), sec(7, exp("f", Function, 0)), sec(10, fn(0, 0x03, 0x40, 0x41, 0, 0x41, 0, 0x41, 0x80, 0x80, 0x80, 0x10, 0xfc, 11, 0, 0x0c, 0, 0x0b))),
		"loop around large copies": module(sec(1, sig("", "")), sec(3, []byte{0}), sec(5, []byte{0, 0x80, 4}), sec(7, exp("f", Function, 0)), sec(10, fn(0, 0x03, 0x40, 0x41, 0, 0x41, 1, 0x41, 0xff, 0xff, 0xff, 0x0f, 0xfc, 10, 0, 0, 0x0c, 0, 0x0b))),
		"straight fills":           module(sec(1, sig("", "")), sec(3, []byte{0}), sec(5, []byte{0, 0x80, 4}), sec(7, exp("f", Function, 0)), sec(10, fn(0, rep(2000, 0x41, 0, 0x41, 0, 0x41, 0x80, 0x80, 0x80, 0x10, 0xfc, 11, 0)...))),
		"at start":                 module(sec(1, sig("", "")), sec(3, []byte{0}), sec(7, exp("f", Function, 0)), raw(8, []byte{0}), sec(10, fn(0, 0x03, 0x40, 0x0c, 0, 0x0b))),
	}
}

// spin runs a spinner until its host has had enough, and tells what was wrong on
// the way.
func spin(wasm []byte) error {
	if _, err := Inspect(wasm, Default); err != nil {
		return err
	}
	out, err := Instrument(wasm, all)
	if err != nil {
		return err
	}
	const yields = 300
	stop, stall := make(chan bool), make(chan time.Duration)
	go func() {
		// Another goroutine that wants to run, and wants garbage collected.
		longest, last := time.Duration(0), time.Now()
		for {
			select {
			case <-stop:
				stall <- longest
				return
			case <-time.After(time.Millisecond):
			}
			runtime.GC()
			now := time.Now()
			longest, last = max(longest, now.Sub(last)), now
		}
	}()
	begin := time.Now()
	r, err := tryStart(out, yields)
	if err == nil {
		defer r.runtime.Close(context.Background())
		begin = time.Now()
		_, err = r.call("f")
	}
	took := time.Since(begin)
	close(stop)
	longest := <-stall
	if !errors.Is(err, errStop) {
		return fmt.Errorf("it ended with %w after %v", err, took)
	}
	if each := took / yields; each > 20*time.Millisecond {
		return fmt.Errorf("%v between two yields", each)
	}
	if longest > time.Second {
		return fmt.Errorf("another goroutine stood still for %v", longest)
	}
	return nil
}

// Whatever a guest does, the time between two yields is short, so that a host
// which asks for the end at a yield gets it, and Go's collector runs.
func TestNothingRunsOn(t *testing.T) {
	for name := range spinners() {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			run := exec.CommandContext(ctx, os.Args[0])
			run.Env = append(os.Environ(), spinVariable+"="+name)
			if text, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v %s", err, text)
			}
		})
	}
}
