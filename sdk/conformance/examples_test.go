package conformance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/selftest"
	"github.com/sallyport/sallyport/plugins/toolchain"
)

// need skips a test whose compiler is not there, but not in CI.
func need(t *testing.T, err error) {
	t.Helper()
	var missing *toolchain.Missing
	if (errors.As(err, &missing) || errors.Is(err, exec.ErrNotFound)) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The example plugins of the SDKs whose folders have fixtures do what these say, and
// import only what they use.
func TestExamples(t *testing.T) {
	imports := map[string][]string{
		"../c/examples/slug":        nil,
		"../rust/examples/echo":     {abi.Log},
		"../rust/examples/currency": {abi.HTTP, abi.KVGet, abi.KVSet, abi.Log, abi.Metric, abi.Read},
	}
	for dir, want := range imports {
		t.Run(dir[3:], func(t *testing.T) {
			wasm, err := build(t, dir)
			need(t, err)
			module, err := rewrite.Inspect(wasm, rewrite.Default)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, i := range module.Imports {
				got = append(got, i.Name)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("it imports %v, want %v", got, want)
			}
			text, err := os.ReadFile(filepath.Join(dir, "plugin.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			m, err := manifest.Parse("plugin.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "fixtures", "*.yaml"))
			if err != nil || len(files) == 0 {
				t.Fatal("no fixtures", err)
			}
			var suites []*selftest.Suite
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				s, err := selftest.Parse(file, text)
				if err != nil {
					t.Fatal(err)
				}
				suites = append(suites, s)
			}
			report, err := selftest.Run(t.Context(), wasm, m, suites, selftest.Options{CacheDir: cache})
			if err != nil {
				t.Fatal(err)
			}
			if !report.OK() {
				t.Error(report)
			}
		})
	}
}

// The header of the C SDK, natively and under the sanitizers.
func TestHeader(t *testing.T) {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		compiler, err = exec.LookPath("cc")
	}
	need(t, err)
	program := filepath.Join(t.TempDir(), "header_test")
	for _, flags := range [][]string{{"-O2"}, {"-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}} {
		args := slices.Concat([]string{"-std=c11", "-Wall", "-Wextra", "-Werror"}, flags, []string{"-o", program, "../c/tests/header_test.c"})
		if out, err := exec.CommandContext(t.Context(), compiler, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", flags, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), program).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "ok" {
			t.Errorf("%v: %v\n%s", flags, err, out)
		}
	}
}

// The tests of the Rust SDK and of its examples, natively: with the compiler of the
// lowest version that it promises, where that is installed.
func TestCrates(t *testing.T) {
	rust, err := toolchain.FindRust(t.Context())
	need(t, err)
	target := os.Getenv("CARGO_TARGET_DIR")
	if target == "" {
		root, err := os.UserCacheDir()
		if err != nil {
			root = t.TempDir()
		}
		target = filepath.Join(root, "sallyport", "build", "crates")
	}
	for _, dir := range []string{".", "examples/echo", "examples/currency"} {
		c := exec.CommandContext(t.Context(), rust.Cargo, "test", "--offline", "--locked", "--quiet", "--lib", "--tests", "--target-dir", target)
		c.Dir = filepath.Join("../rust", dir)
		c.Env = append(os.Environ(), "RUSTC="+rust.Rustc, "CARGO_TERM_COLOR=never")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "test result: ok.") {
			t.Errorf("%s: %v\n%s", dir, err, out)
		}
	}
}
