package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	byhand "github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

func TestMain(m *testing.M) {
	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func TestRequest(t *testing.T) {
	in := request()
	if len(in) != 1024 || !json.Valid(in) {
		t.Errorf("%d bytes: %s", len(in), in)
	}
	out, err := answer(in)
	if err != nil || !bytes.Contains(out, []byte(`"text":"LOREM IPSUM `)) || !bytes.Contains(out, []byte(`"request":"7d0e4c31-9f22"`)) {
		t.Errorf("%s %v", out, err)
	}
}

func TestSame(t *testing.T) {
	for _, tt := range []struct {
		tool, got, want string
		same            bool
	}{
		{"echo", `{"a":1}`, `{"a":1}`, true},
		{"echo", `{"a": 1}`, `{"a":1}`, false},
		{"json", `{"a":1,"b":2}`, `{"b":2, "a":1}`, true},
		{"json", `{"a":1}`, `{"a":2}`, false},
		{"json", `{"a":1`, `{"a":1}`, false},
	} {
		if err := same(tt.tool, []byte(tt.got), []byte(tt.want)); (err == nil) != tt.same {
			t.Errorf("%s of %s: %v", tt.got, tt.want, err)
		} else if err != nil && !errors.Is(err, errOther) {
			t.Error(err)
		}
	}
}

func TestSpan(t *testing.T) {
	got := span([]time.Duration{4 * time.Microsecond, time.Microsecond, 3 * time.Microsecond, 2 * time.Microsecond})
	if want := (Span{Min: 1, Median: 2.5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The stopwatch counts work and not sleep.
func TestStopwatch(t *testing.T) {
	for range 20 {
		var s stopwatch
		s.start()
		time.Sleep(30 * time.Millisecond)
		took, ok := s.stop()
		if !ok {
			continue // it came back on another thread
		}
		if took > 15*time.Millisecond {
			t.Errorf("30 ms of sleep are %v of CPU", took)
		}
		return
	}
	t.Error("the goroutine never stayed on its thread")
}

// What a missing compiler leaves out is said.
func TestLeftOut(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	f, err := (&plan{}).measure(t.Context(), &workshop{root: root, work: dir, into: dir}, wanted("c,assemblyscript"))
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]string{}
	for _, l := range f.LeftOut {
		left[l.What] = l.Why
	}
	if len(f.Guests) != 0 || len(left) != len(guests) {
		t.Fatalf("%d guests, left out: %v", len(f.Guests), left)
	}
	for what, why := range map[string]string{"c": "clang", "assemblyscript": "not installed", "go": "-only", "rust": "-only"} {
		if !strings.Contains(left[what], why) {
			t.Errorf("%s was left out because of %q, not %q", what, left[what], why)
		}
	}
}

// A guest written by hand is measured in all ways that need no compiler.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	p := plan{rounds: 5, batch: time.Millisecond, each: 50 * time.Millisecond, warm: 10, pool: 20 * time.Millisecond, makes: 5, warms: 1}
	g := &Guest{Calls: map[string]map[string]Call{}, Throughput: map[string]Throughput{}}
	err := p.guest(t.Context(), &workshop{work: dir, into: dir}, about{name: "asm", tools: []string{"echo"}}, g, byhand.Echo(), request(), nil)
	if err != nil {
		t.Fatal(err)
	}
	echo := g.Calls["echo"]
	for _, name := range []string{fuel, plain, bare, closing} {
		if c := echo[name]; c.Thread.Median <= 0 || c.Thread.Min > c.Thread.Median {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if len(echo) != 4 || g.LoadCold <= 0 || g.MemoryStart <= 0 || g.Restore.Median <= 0 || g.Throughput["echo"].CPU <= 0 {
		t.Errorf("%+v", g)
	}
	// A guest that answers something else is not measured.
	err = p.guest(t.Context(), &workshop{work: dir, into: dir}, about{name: "asm", tools: []string{"json"}}, g, byhand.Echo(), request(), []byte(`{}`))
	if !errors.Is(err, errOther) {
		t.Error(err)
	}
}
