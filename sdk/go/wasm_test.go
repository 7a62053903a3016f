// Package sdk_test builds the examples to WebAssembly with the plain Go toolchain
// and reads off the files what the gateway will see: the exports of ABI v1, and no
// import that the plugin does not use.
package sdk_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExamplesAsWebAssembly(t *testing.T) {
	exports := []string{
		"_initialize", "memory", "sallyport_abi_v1", "sallyport_alloc", "sallyport_authorize", "sallyport_configure",
		"sallyport_request_transform", "sallyport_response_transform", "sallyport_tool_call", "sallyport_tools_list",
	}
	for example, imports := range map[string][]string{
		"echo":              {"log"},
		"weather-transform": {"log", "metric"},
	} {
		file := filepath.Join(t.TempDir(), "plugin.wasm")
		build := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "./examples/"+example)
		build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", example, err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		gotImports, gotExports := surface(t, b)
		if !slices.Equal(gotExports, exports) {
			t.Errorf("%s exports %v\nwant %v", example, gotExports, exports)
		}
		var ours []string
		for _, i := range gotImports {
			switch module, name, _ := strings.Cut(i, "."); module {
			case "sallyport_v1":
				ours = append(ours, name)
			case "wasi_snapshot_preview1":
			default:
				t.Errorf("%s imports %s", example, i)
			}
		}
		if !slices.Equal(ours, imports) {
			t.Errorf("%s imports %v, want %v: the linker drops host functions that nobody calls, unless something makes them reachable", example, ours, imports)
		}
	}
}

// surface returns the names of all imports and exports, sorted.
func surface(t *testing.T, b []byte) (imports, exports []string) {
	t.Helper()
	if len(b) < 8 || string(b[:8]) != "\x00asm\x01\x00\x00\x00" {
		t.Fatal("no core module")
	}
	number := func(b []byte) (uint64, []byte) {
		v, n := binary.Uvarint(b) // LEB128
		if n <= 0 {
			t.Fatal("a number is cut")
		}
		return v, b[n:]
	}
	name := func(b []byte) (string, []byte) {
		n, b := number(b)
		return string(b[:n]), b[n:]
	}
	for b = b[8:]; len(b) > 0; {
		id := b[0]
		size, rest := number(b[1:])
		body := rest[:size]
		b = rest[size:]
		if id != 2 && id != 7 {
			continue
		}
		count, body := number(body)
		for range count {
			var first, second string
			first, body = name(body)
			if id == 7 {
				exports = append(exports, first)
				_, body = number(body[1:])
				continue
			}
			second, body = name(body)
			if body[0] != 0 {
				t.Fatalf("%s.%s is no function", first, second)
			}
			_, body = number(body[1:])
			imports = append(imports, first+"."+second)
		}
	}
	slices.Sort(imports)
	slices.Sort(exports)
	return slices.Compact(imports), exports
}
