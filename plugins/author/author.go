// Package author is what `sallyport plugin …` does for people who write plugins.
//
//	New ─► a folder that compiles ─► Build ─► NAME.wasm ─► Test, Bench, Run
//	                                            │
//	                                            ├─► Inspect: what it is and what it asks for
//	                                            └─► Sign ─► NAME.wasm.sig ─► Push ─► oci://… ─► Pull, Verify
//
//	files, err := author.New(author.NewOptions{Dir: "weather", Name: "acme/weather", Lang: "go", Kind: manifest.Invoker})
//	built, err := author.Build(ctx, author.BuildOptions{Dir: "weather"})
//	p, err := author.Open("weather")
//	tested, err := author.Test(ctx, p, author.TestOptions{})
//	built.Print(os.Stdout)
//
// It prints nothing by itself and reads no environment; errors are *core.Error with the
// way to mend them, or *manifest.InvalidError with places in files. What it is given to
// reach registries with (an http.RoundTripper) is the caller's.
package author

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/selftest"
)

// Names in the folder of a plugin.
const (
	manifestFile = "plugin.yaml"
	fixtureDir   = "fixtures"
)

// Plugin is a plugin that was read from files.
type Plugin struct {
	Dir          string // of plugin.yaml, or of the file
	File         string // the module
	Wasm         []byte
	ManifestText []byte // plugin.yaml; nil = the module's own
	Manifest     *manifest.Manifest
	Suites       []*selftest.Suite // of fixtures/, or of the module when there are none
	Stale        string            // a source that is newer than the module; "" = none
	Digest       string            // that it has in a registry
}

// Open reads a built plugin: FILE.wasm, or the folder in which plugin.yaml stands.
func Open(name string) (*Plugin, error) {
	if name == "" {
		name = "."
	}
	about, err := os.Stat(name)
	if err != nil {
		return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no " + name, Fix: "name the folder of a plugin, or its .wasm file"}
	}
	if about.IsDir() {
		return openDir(name)
	}
	return openFile(name)
}

func openDir(dir string) (*Plugin, error) {
	text, m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, ModuleName(m))
	if _, err := os.Stat(file); err != nil {
		return nil, &core.Error{Code: core.CodeNotFound, Message: file + " is not there: the plugin is not built yet", Fix: "sallyport plugin build " + dir}
	}
	return open(&Plugin{Dir: dir, File: file, ManifestText: text})
}

func openFile(file string) (*Plugin, error) {
	dir := filepath.Dir(file)
	p := &Plugin{Dir: dir, File: file}
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err == nil {
		// Another plugin's plugin.yaml may lie in the same folder.
		if m, err := manifest.Parse(filepath.Join(dir, manifestFile), text); err == nil && ModuleName(m) == filepath.Base(file) {
			p.ManifestText = text
		}
	}
	return open(p)
}

func open(p *Plugin) (*Plugin, error) {
	var err error
	if p.Wasm, err = readModule(p.File); err != nil {
		return nil, err
	}
	named := p.File
	if p.ManifestText != nil {
		named = filepath.Join(p.Dir, manifestFile)
	}
	if p.Manifest, err = manifest.Load(named, p.ManifestText, p.Wasm); err != nil {
		return nil, err
	}
	if p.ManifestText != nil {
		if p.Suites, err = readFixtures(p.Dir); err != nil {
			return nil, err
		}
		p.Stale = newer(p.Dir, p.File)
	}
	if len(p.Suites) == 0 {
		if p.Suites, err = selftest.FromModule(p.Wasm); err != nil {
			return nil, err
		}
	}
	p.Digest = digestOf(p)
	return p, nil
}

// ModuleName is the file that a plugin is built into: the last part of its name.
func ModuleName(m *manifest.Manifest) string { return path.Base(m.Name) + ".wasm" }

func readModule(file string) ([]byte, error) {
	about, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read the module: %w", err)
	}
	if about.Size() > registry.MaxModule {
		return nil, &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("%s has %s", file, size(about.Size())), Fix: "a module has at most " + size(registry.MaxModule)}
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the module: %w", err)
	}
	if len(wasm) < 4 || string(wasm[:4]) != "\x00asm" {
		return nil, &core.Error{Code: core.CodeInvalid, Message: file + " is no WebAssembly module", Fix: "name a .wasm file, or the folder in which plugin.yaml stands"}
	}
	return wasm, nil
}

// readManifest reads plugin.yaml of a folder.
func readManifest(dir string) ([]byte, *manifest.Manifest, error) {
	file := filepath.Join(dir, manifestFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, noManifest(dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the manifest: %w", err)
	}
	m, err := manifest.Parse(file, text)
	return text, m, err
}

func noManifest(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return &core.Error{Code: core.CodeNotFound, Message: "there is no folder " + dir, Fix: "name the folder of a plugin, or make one with `sallyport plugin new --name acme/example " + dir + "`"}
	}
	e := &core.Error{
		Code: core.CodeNotFound, Message: "no " + manifestFile + " in " + dir + ": this is not the folder of a plugin",
		Fix: "go to the folder of the plugin or name it, or make one with `sallyport plugin new --name acme/example DIR`",
	}
	if abs, err := filepath.Abs(dir); err == nil {
		for up := filepath.Dir(abs); up != filepath.Dir(up); up = filepath.Dir(up) {
			if _, err := os.Stat(filepath.Join(up, manifestFile)); err == nil {
				if back, err := filepath.Rel(abs, up); err == nil {
					e.Fix = "the nearest one is in " + filepath.Join(dir, back) + ": name that folder"
				}
				break
			}
		}
	}
	return e
}

// readFixtures reads fixtures/*.yaml and *.yml of a folder, sorted; none when there is
// no such folder. Every mistake of all files is reported at once.
func readFixtures(dir string) ([]*selftest.Suite, error) {
	entries, err := os.ReadDir(filepath.Join(dir, fixtureDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the fixtures: %w", err)
	}
	var suites []*selftest.Suite
	var wrong manifest.InvalidError
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		file := filepath.Join(dir, fixtureDir, e.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the fixtures: %w", err)
		}
		s, err := selftest.Parse(filepath.ToSlash(file), text)
		var invalid *manifest.InvalidError
		switch {
		case errors.As(err, &invalid):
			wrong.Problems = append(wrong.Problems, invalid.Problems...)
		case err != nil:
			return nil, err
		default:
			suites = append(suites, s)
		}
	}
	if len(wrong.Problems) > 0 {
		return nil, &wrong
	}
	return suites, nil
}

// sourceEndings are the files whose change makes a module stale.
var sourceEndings = []string{".go", ".rs", ".ts", ".c", ".h", ".toml", ".mod", ".yaml"}

// newer returns a source in the folder that is newer than the file.
func newer(dir, file string) string {
	about, err := os.Stat(file)
	if err != nil {
		return ""
	}
	built, found := about.ModTime(), ""
	seen := 0
	_ = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if seen++; err != nil || seen > 5000 {
			return fs.SkipAll
		}
		if e.IsDir() {
			if slices.Contains([]string{"vendor", "target", "node_modules", "sdk", fixtureDir, ".git"}, e.Name()) && name != dir {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(sourceEndings, filepath.Ext(name)) || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		if a, err := e.Info(); err == nil && a.ModTime().After(built.Add(time.Second)) {
			found = name
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// digestOf is the digest that a plugin has in a registry and in signatures. A module
// that carries no manifest has the one beside it.
func digestOf(p *Plugin) string {
	var beside []byte
	if _, carried := rewrite.CustomSection(p.Wasm, manifest.Section); !carried {
		beside = p.ManifestText
	}
	a, err := registry.Pack(p.Wasm, beside)
	if err != nil {
		return ""
	}
	return a.Digest
}

// size spells a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// capabilitiesOf lists the capabilities that the imports of a module need, sorted.
func capabilitiesOf(module *rewrite.Module) []string {
	var found []string
	for _, i := range module.Imports {
		if c := capabilityOf(i); c != "" && !slices.Contains(found, c) {
			found = append(found, c)
		}
	}
	slices.Sort(found)
	return found
}

func capabilityOf(i rewrite.Import) string {
	if i.Module != abi.Module {
		return ""
	}
	known, _ := abi.FindImport(i.Name)
	return known.Capability
}
