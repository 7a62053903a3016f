package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/selftest"
	"github.com/sallyport/sallyport/plugins/toolchain"
)

// guest is the conformance guest of one language.
type guest struct {
	language, dir string
	thrown        string // folder of the fixtures that say what becomes of an exception

	once sync.Once
	wasm []byte
	err  error
}

var guests = []*guest{
	{language: "go", dir: "../go/examples/conformance", thrown: "caught"},
	{language: "rust", dir: "../rust/examples/conformance", thrown: "trapped"},
	{language: "c", dir: "../c/examples/conformance", thrown: "trapped"},
	{language: "assemblyscript", dir: "../assemblyscript/examples/conformance", thrown: "trapped"},
}

// each runs a test for every guest, each built once.
func each(t *testing.T, f func(t *testing.T, g *guest)) {
	for _, g := range guests {
		t.Run(g.language, func(t *testing.T) {
			g.once.Do(func() { g.wasm, g.err = build(t, g.dir) })
			var missing *toolchain.Missing
			if errors.As(g.err, &missing) && os.Getenv("CI") != "true" {
				t.Skip(g.err)
			}
			if g.err != nil {
				t.Fatal(g.err)
			}
			f(t, g)
		})
	}
}

func build(t *testing.T, dir string) ([]byte, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	if err := toolchain.Build(t.Context(), dir, out); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func theManifest(t *testing.T) *manifest.Manifest {
	t.Helper()
	text, err := os.ReadFile("plugin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse("plugin.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// suites are the fixtures of a guest.
func (g *guest) suites(t *testing.T) []*selftest.Suite {
	t.Helper()
	var suites []*selftest.Suite
	for _, pattern := range []string{"fixtures/*.yaml", "fixtures/" + g.thrown + "/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no fixtures %s: %v", pattern, err)
		}
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
	}
	return suites
}

// Every guest answers every fixture as it says.
func TestFixtures(t *testing.T) {
	m := theManifest(t)
	each(t, func(t *testing.T, g *guest) {
		report, err := selftest.Run(t.Context(), g.wasm, m, g.suites(t), selftest.Options{CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() || len(report.Cases) < 100 {
			t.Error(report)
		}
	})
}
