package author

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/plugins/sandbox"
	"github.com/sallyport/sallyport/plugins/toolchain"
)

func TestMain(m *testing.M) {
	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// absent skips where a compiler is not installed, but never in CI.
func absent(t *testing.T, err error) {
	t.Helper()
	var missing *toolchain.Missing
	if errors.As(err, &missing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
}

// Each new plugin builds outside of the project and passes its own tests, unchanged and
// without a network.
func TestNewPluginsWork(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOFLAGS", "")
	for _, lang := range Langs {
		for _, kind := range NewKinds {
			t.Run(lang+" "+kind, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "made")
				if _, _, err := New(NewOptions{Dir: dir, Name: "acme/weather-2", Lang: lang, Kind: kind}); err != nil {
					t.Fatal(err)
				}
				if lang == "as" { // what npm ci would put there
					modules, err := filepath.Abs("../../sdk/assemblyscript/node_modules")
					if err != nil {
						t.Fatal(err)
					}
					if _, err := os.Stat(modules); err == nil {
						if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
							t.Fatal(err)
						}
					}
				}
				built, err := Build(t.Context(), BuildOptions{Dir: dir})
				absent(t, err)
				if err != nil {
					t.Fatal(err)
				}
				if len(built.Capabilities) > 0 || len(built.Unused) > 0 || built.Embedded < 3 || filepath.Base(built.File) != "weather-2.wasm" {
					t.Errorf("%+v", built)
				}
				p, err := Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				if p.Stale != "" || p.Digest != built.Digest {
					t.Errorf("stale: %q, digest %s, built %s", p.Stale, p.Digest, built.Digest)
				}
				tested, err := Test(t.Context(), p, TestOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if !tested.OK() {
					t.Errorf("%s", tested.Report)
				}
				if lang != "go" {
					return
				}
				for _, command := range [][]string{{"go", "vet", "./..."}, {"go", "test", "./..."}, {"gofmt", "-l", "main.go", "main_test.go"}} {
					c := exec.CommandContext(t.Context(), command[0], command[1:]...)
					c.Dir = dir
					said, err := c.CombinedOutput()
					if err != nil || command[0] == "gofmt" && len(said) > 0 {
						t.Errorf("%v: %v\n%s", command, err, said)
					}
				}
			})
		}
	}
}

// The unit tests of a new plugin in Rust pass: cargo runs them natively. (No doc tests:
// rustdoc may be that of another toolchain here.)
func TestNewRustTests(t *testing.T) {
	rust, err := toolchain.FindRust(t.Context())
	absent(t, err)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range NewKinds {
		dir := filepath.Join(t.TempDir(), kind)
		if _, _, err := New(NewOptions{Dir: dir, Name: "acme/weather", Lang: "rust", Kind: kind}); err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), rust.Cargo, "test", "--lib", "--offline", "--quiet", "--target-dir", filepath.Join(dir, "target"))
		c.Dir = dir
		c.Env = append(os.Environ(), "RUSTC="+rust.Rustc)
		if said, err := c.CombinedOutput(); err != nil || !strings.Contains(string(said), "test result: ok.") {
			t.Errorf("%s: %v\n%s", kind, err, said)
		}
	}
}

func TestNewIsCareful(t *testing.T) {
	dir := t.TempDir()
	good := NewOptions{Dir: dir, Name: "acme/weather", Lang: "c", Kind: "invoker"}
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := New(good); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("got %v", err)
	}
	for _, change := range []func(*NewOptions){
		func(o *NewOptions) { o.Name = "weather" },
		func(o *NewOptions) { o.Name = "Acme/Weather" },
		func(o *NewOptions) { o.Name = "../weather" },
		func(o *NewOptions) { o.Name = "acme/weather-" },
		func(o *NewOptions) { o.Lang = "java" },
		func(o *NewOptions) { o.Kind = "tool" },
	} {
		o := good
		o.Dir = filepath.Join(dir, "new")
		change(&o)
		if _, _, err := New(o); err == nil {
			t.Errorf("%+v is made", o)
		}
		if _, err := os.Stat(o.Dir); err == nil {
			t.Errorf("%+v leaves a folder", o)
		}
	}
}

// Nothing of the project's own leaks into a new plugin: no tests of the SDK, and no word
// that was not filled in.
func TestNewIsClean(t *testing.T) {
	for _, lang := range Langs {
		dir := filepath.Join(t.TempDir(), "made")
		_, own, err := New(NewOptions{Dir: dir, Name: "acme/weather", Lang: lang, Kind: "invoker"})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"plugin.yaml", "README.md", ".gitignore", "fixtures/count.yaml"} {
			if !slices.Contains(own, name) {
				t.Errorf("%s: no %s in %v", lang, name, own)
			}
		}
		err = filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if strings.Contains(name, "vendor") && strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".txt") && filepath.Base(name) != "modules.txt" {
				t.Errorf("%s: %s", lang, name)
			}
			text, err := os.ReadFile(name)
			for _, word := range []string{"@NAME@", "@BASE@", "@MODULE@", "@LANG@"} {
				if strings.Contains(string(text), word) {
					t.Errorf("%s: %s holds %s", lang, name, word)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
