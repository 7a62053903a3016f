package toolchain

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// folder makes a folder of files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, files)
	return dir
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// have skips a test of a toolchain that is not there, but not in CI.
func have(t *testing.T, err error) {
	t.Helper()
	var m *Missing
	if errors.As(err, &m) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDetect(t *testing.T) {
	for want, files := range map[string]map[string]string{
		LanguageGo:             {"go.mod": "module x\n", "main.go": "package main\n", "native.c": ""},
		LanguageRust:           {"Cargo.toml": "", "src/lib.rs": "", "native.c": ""},
		LanguageAssemblyScript: {"package.json": "{}", "assembly/index.ts": ""},
		LanguageC:              {"plugin.c": ""},
	} {
		if got, err := Detect(folder(t, files)); got != want || err != nil {
			t.Errorf("%q %v, want %s", got, err, want)
		}
	}
	for dir, code := range map[string]core.Code{folder(t, map[string]string{"plugin.py": ""}): core.CodeInvalid, filepath.Join(t.TempDir(), "none"): core.CodeNotFound} {
		if _, err := Detect(dir); core.AsError(err).Code != code {
			t.Errorf("%s: %v, want %s", dir, err, code)
		}
	}
	odd := filepath.Join(t.TempDir(), "a[b]*")
	put(t, odd, map[string]string{"plugin.c": ""})
	if got, err := Detect(odd); got != LanguageC {
		t.Errorf("%s: %q %v", odd, got, err)
	}
}

const (
	cSource    = "__attribute__((export_name(\"answer\"))) int answer(void) { return 42; }\n"
	cargo      = "[package]\nname = \"greet\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nused = { path = \"../used\" }\n"
	cargoUsed  = "[package]\nname = \"used\"\nversion = \"1.0.0\"\nedition = \"2021\"\n"
	rustSource = "#[no_mangle]\npub extern \"C\" fn answer(n: usize) -> usize { used::at(&[1, 2], n) + used::at(&[4], n) }\n"
	rustUsed   = "#[inline(never)] pub fn at(v: &[usize], n: usize) -> usize { v[n] }\npub mod a { pub fn b() -> String { format!(\"{:?}\", std::env::args()) } }\n"
)

// sources are the same little plugin in each language, as it lies in a folder of
// folders.
var sources = map[string]map[string]string{
	LanguageGo:   {"greet/go.mod": "module example.com/greet\n\ngo 1.24\n", "greet/main.go": "package main\n\n//go:wasmexport answer\nfunc answer() int32 { return 42 }\n\nfunc main() {}\n"},
	LanguageRust: {"greet/Cargo.toml": cargo, "greet/src/lib.rs": rustSource, "used/Cargo.toml": cargoUsed, "used/src/lib.rs": rustUsed},
	LanguageC:    {"greet/greet.c": cSource, "greet/more.c": "static int unused;\nint more(void) { return unused; }\n"},
}

// The same sources in two folders make the same bytes, which name no path of this
// machine; and nothing is left beside the sources.
func TestReproducible(t *testing.T) {
	for language, files := range sources {
		t.Run(language, func(t *testing.T) {
			var modules [2][]byte
			for n, place := range []string{"one", "another/place"} {
				root := filepath.Join(t.TempDir(), filepath.FromSlash(place))
				put(t, root, files)
				out := filepath.Join(t.TempDir(), "greet.wasm")
				have(t, Build(t.Context(), filepath.Join(root, "greet"), out))
				wasm, err := os.ReadFile(out)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) || !bytes.Contains(wasm, []byte("\x06answer")) {
					t.Errorf("%d bytes, no module that exports answer", len(wasm))
				}
				if bytes.Contains(wasm, []byte(root)) {
					t.Errorf("the module names %s", root)
				}
				modules[n] = wasm
				var left []string
				if err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
					if rel, _ := filepath.Rel(root, path); err == nil && !d.IsDir() && files[filepath.ToSlash(rel)] == "" {
						left = append(left, rel)
					}
					return err
				}); err != nil || len(left) > 0 {
					t.Errorf("the build left %v: %v", left, err)
				}
			}
			if !bytes.Equal(modules[0], modules[1]) {
				t.Errorf("%d and %d bytes differ", len(modules[0]), len(modules[1]))
			}
		})
	}
}

// What a compiler refuses is an error with its words, and what was there stays.
func TestRefused(t *testing.T) {
	for language, files := range map[string]map[string]string{
		LanguageGo:   {"go.mod": "module example.com/greet\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { mistaken }\n"},
		LanguageRust: {"Cargo.toml": strings.Split(cargo, "[dependencies]")[0], "src/lib.rs": "pub fn a() { mistaken }\n"},
		LanguageC:    {"greet.c": "int answer(void) { return mistaken; }\n"},
	} {
		t.Run(language, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "greet.wasm")
			if err := os.WriteFile(out, []byte("former"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Build(t.Context(), folder(t, files), out)
			var m *Missing
			if errors.As(err, &m) {
				have(t, err)
			}
			if core.AsError(err).Code != core.CodeInvalid || !strings.Contains(core.AsError(err).Message, "mistaken") {
				t.Errorf("%v", err)
			}
			if b, err := os.ReadFile(out); err != nil || string(b) != "former" {
				t.Errorf("%q %v", b, err)
			}
			if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) != 1 {
				t.Errorf("%v %v", entries, err)
			}
		})
	}
}

func TestNoLibrary(t *testing.T) {
	err := Rust(t.Context(), folder(t, map[string]string{"Cargo.toml": cargoUsed, "src/lib.rs": ""}), filepath.Join(t.TempDir(), "a.wasm"))
	var m *Missing
	if errors.As(err, &m) {
		have(t, err)
	}
	if e := core.AsError(err); e.Code != core.CodeInvalid || !strings.Contains(e.Fix, "cdylib") {
		t.Errorf("%v", err)
	}
	for _, build := range []func(context.Context, string, string) error{C, AssemblyScript, Rust} {
		if err := build(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "a.wasm")); err == nil {
			t.Error("an empty folder was built")
		}
	}
}

// Without a compiler the error says what to install.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, v := range []string{"RUSTC", "CARGO"} {
		t.Setenv(v, "")
	}
	for _, tt := range []struct {
		build func(context.Context, string, string) error
		files map[string]string
		fix   string
	}{
		{C, map[string]string{"greet.c": cSource}, "clang-19"},
		{AssemblyScript, map[string]string{"package.json": "{}", "assembly/index.ts": ""}, "nodejs"},
	} {
		err := tt.build(t.Context(), folder(t, tt.files), filepath.Join(t.TempDir(), "a.wasm"))
		var m *Missing
		if e := core.AsError(err); !errors.As(err, &m) || e.Code != core.CodeUnavailable || !strings.Contains(e.Fix, tt.fix) {
			t.Errorf("%v, want a fix with %s", err, tt.fix)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Go(ctx, folder(t, map[string]string{"go.mod": "module x\n", "main.go": "package main\n"}), filepath.Join(t.TempDir(), "a.wasm"))
	var m *Missing
	if errors.As(err, &m) {
		have(t, err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestOld(t *testing.T) {
	for version, want := range map[string]bool{"go1.23.4": true, "go1.9": true, "go1.24": false, "go1.24rc1": false, "go1.26.8": false, "go2.0": false, "devel +abc": false, "go1.23rc2": true} {
		if old(version) != want {
			t.Errorf("%s: %v", version, !want)
		}
	}
}

func TestUsed(t *testing.T) {
	root := folder(t, map[string]string{
		"a/Cargo.toml":   "[dependencies]\nb = { version = \"1\", path = \"../b\" }\n[dependencies.c]\npath='../x/c'\n[lib]\npath = \"src/other.rs\"\n",
		"b/Cargo.toml":   "[dependencies]\na = {path=\"../a\"}\n",
		"x/c/Cargo.toml": "",
	})
	want := []string{filepath.Join(root, "a"), filepath.Join(root, "b"), filepath.Join(root, "x", "c")}
	if got := used(filepath.Join(root, "a")); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := common(common(want[0], want[1]), want[2]); got != root {
		t.Errorf("%s, want %s", got, root)
	}
	if within(root, root+"x") || !within(root, root) || !within("/", root) {
		t.Error("within")
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("TOOLCHAIN_TEST_A", "1")
	t.Setenv("TOOLCHAIN_TEST_AB", "1")
	env := environment([]string{"TOOLCHAIN_TEST_A", "TOOLCHAIN_TEST_AB=2"})
	if slices.Contains(env, "TOOLCHAIN_TEST_A=1") || slices.Contains(env, "TOOLCHAIN_TEST_AB=1") || !slices.Contains(env, "TOOLCHAIN_TEST_AB=2") {
		t.Error(env)
	}
}

func TestTail(t *testing.T) {
	w := &tail{most: 5}
	for _, s := range []string{"ab", "cdef", "", "0123456789"} {
		if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	if string(w.b) != "56789" {
		t.Errorf("%q", w.b)
	}
}
