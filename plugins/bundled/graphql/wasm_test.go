package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// An operator grants what a module imports, so it imports only what it uses.
func TestImports(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plugin.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, ".")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"http", "kv_get", "kv_set", "log", "metric", "read"}
	if got := imports(t, b); !slices.Equal(got, want) {
		t.Errorf("the module imports %v, want %v", got, want)
	}
}

// imports returns the names of the functions imported from sallyport_v1, sorted.
func imports(t *testing.T, b []byte) (names []string) {
	t.Helper()
	number := func() uint64 {
		v, n := binary.Uvarint(b) // LEB128
		if n <= 0 {
			t.Fatal("a number is cut")
		}
		b = b[n:]
		return v
	}
	text := func() string {
		n := number()
		s := string(b[:n])
		b = b[n:]
		return s
	}
	for b = b[8:]; len(b) > 0; { // after magic and version
		id := b[0]
		b = b[1:]
		if size := number(); id != 2 {
			b = b[size:]
			continue
		}
		for range number() {
			module, name := text(), text()
			if b = b[1:]; module == "sallyport_v1" {
				names = append(names, name)
			}
			number() // of the function's type
		}
		break
	}
	slices.Sort(names)
	return names
}
