package app

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	for text, want := range map[string]int64{
		"268435456\n": 268435456, "max\n": 0, "9223372036854771712\n": 0, "": 0, "-1": 0, "many": 0,
	} {
		file := filepath.Join(t.TempDir(), "memory.max")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := memoryLimit([]string{filepath.Join(t.TempDir(), "none"), file}); got != want {
			t.Errorf("%q: got %d; want %d", text, got, want)
		}
	}
}

func TestTuneMemory(t *testing.T) {
	ballast = nil // gateways of other tests may have made one
	limit := debug.SetMemoryLimit(-1)
	defer func() { debug.SetMemoryLimit(limit); ballast = nil }()
	file := filepath.Join(t.TempDir(), "memory.max")
	if err := os.WriteFile(file, []byte("1000000000"), 0o600); err != nil {
		t.Fatal(err)
	}
	given := func(name string) (string, bool) { return "given", name == "GOGC" || name == "GOMEMLIMIT" }
	tuneMemory(given, []string{file})
	if ballast != nil {
		t.Error("GOGC was given, and there is a ballast")
	}
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("GOMEMLIMIT was given and the limit is %d", got)
	}
	tuneMemory(func(string) (string, bool) { return "", false }, []string{file})
	if len(ballast) != ballastSize {
		t.Errorf("the ballast is %d bytes; want %d", len(ballast), ballastSize)
	}
	if got := debug.SetMemoryLimit(-1); got != 900000000 {
		t.Errorf("the limit is %d; want 900000000", got)
	}
}
