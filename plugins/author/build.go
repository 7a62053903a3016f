package author

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/selftest"
)

// BuildOptions say what to build.
type BuildOptions struct {
	Dir string // of plugin.yaml; "" = .
	Out string // the file to write; "" = NAME.wasm in Dir
	// Compile turns the folder into a module in the file out; nil = the toolchain that
	// the sources ask for.
	Compile func(ctx context.Context, dir, out string) error
}

// Built is a module that was written.
type Built struct {
	File         string
	Manifest     *manifest.Manifest
	Size, Gzip   int
	Digest       string
	Capabilities []string // that the module's imports need
	Unused       []string // that the manifest asks for and no import needs
	Embedded     int      // self-tests that the gateway will run
	Took         time.Duration
}

// Build compiles the plugin of a folder, puts its manifest and its self-tests into the
// module and checks that the gateway will take it.
func Build(ctx context.Context, o BuildOptions) (*Built, error) {
	if o.Dir == "" {
		o.Dir = "."
	}
	text, m, err := readManifest(o.Dir)
	if err != nil {
		return nil, err
	}
	suites, err := readFixtures(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Out == "" {
		o.Out = filepath.Join(o.Dir, ModuleName(m))
	}
	if o.Compile == nil {
		o.Compile = compile
	}
	dir, err := os.MkdirTemp("", "sallyport-build-")
	if err != nil {
		return nil, fmt.Errorf("make a directory to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	raw := filepath.Join(dir, "plugin.wasm")
	if err := o.Compile(ctx, o.Dir, raw); err != nil {
		return nil, err
	}
	wasm, err := readModule(raw)
	if err != nil {
		return nil, err
	}
	b, wasm, err := finish(wasm, text, m, suites)
	if err != nil {
		return nil, err
	}
	b.File = o.Out
	return b, write(o.Out, wasm, 0o644)
}

// finish embeds what belongs into a module, and checks it.
func finish(wasm, text []byte, m *manifest.Manifest, suites []*selftest.Suite) (*Built, []byte, error) {
	module, err := rewrite.Inspect(wasm, rewrite.Default)
	if err != nil {
		return nil, nil, err
	}
	b := &Built{Manifest: m, Capabilities: capabilitiesOf(module)}
	if err := agrees(module, m); err != nil {
		return nil, nil, err
	}
	for _, c := range requested(m.Capabilities) {
		if !slices.Contains(b.Capabilities, c) && !injects(m.Capabilities, c) {
			b.Unused = append(b.Unused, c)
		}
	}
	if wasm, err = manifest.Embed(wasm, text); err != nil {
		return nil, nil, err
	}
	var carried []*selftest.Suite
	for _, s := range suites {
		if s.SelfTest {
			one := *s
			one.File = fixtureDir + "/" + filepath.Base(s.File)
			carried = append(carried, &one)
			b.Embedded += len(s.Cases)
		}
	}
	if len(carried) > 0 {
		if wasm, err = selftest.Embed(wasm, carried); err != nil {
			return nil, nil, err
		}
	}
	a, err := pack(wasm)
	if err != nil {
		return nil, nil, err
	}
	b.Size, b.Gzip, b.Digest = len(wasm), compressed(wasm), a.Digest
	return b, wasm, nil
}

// agrees reports where a module and its manifest do not fit together.
func agrees(module *rewrite.Module, m *manifest.Manifest) error {
	var wrong []error
	for _, k := range m.Kinds {
		if _, found := module.Export(k.Export()); !found {
			wrong = append(wrong, &core.Error{
				Code: core.CodeInvalid, Message: "plugin.yaml lists the kind " + string(k) + ", and the module does not export " + k.Export(),
				Fix: "register a handler of that kind in the source, or remove it from kinds",
			})
		}
	}
	asked := requested(m.Capabilities)
	for _, c := range capabilitiesOf(module) {
		if !slices.Contains(asked, c) {
			wrong = append(wrong, &core.Error{
				Code: core.CodeDenied, Message: "the module imports host functions of the capability " + c + ", and plugin.yaml does not ask for it",
				Fix: "add it under capabilities, or do not call " + strings.Join(functionsOf(c), ", "),
			})
		}
	}
	for _, i := range module.Imports {
		if i.Module == abi.Module {
			if _, known := abi.FindImport(i.Name); !known {
				wrong = append(wrong, &core.Error{Code: core.CodeInvalid, Message: "the module imports " + i.Module + "." + i.Name + ", which no host has", Fix: "see sdk/ABI.md section 7"})
			}
		}
	}
	return errors.Join(wrong...)
}

// requested lists the capabilities that a manifest asks for and that link host
// functions.
func requested(c manifest.Capabilities) []string {
	var asked []string
	add := func(there bool, name string) {
		if there {
			asked = append(asked, name)
		}
	}
	add(len(c.CallTool) > 0, abi.CapCallTool)
	add(len(c.HTTP) > 0, abi.CapHTTP)
	add(c.KV != nil, abi.CapKV)
	add(c.Progress, abi.CapProgress)
	add(len(c.Secrets) > 0, abi.CapSecrets)
	return asked
}

// injects reports whether secrets are asked for only so that the gateway adds them to
// requests: then no import shows it.
func injects(c manifest.Capabilities, capability string) bool {
	if capability != abi.CapSecrets {
		return false
	}
	for _, h := range c.HTTP {
		if h.Inject != nil {
			return true
		}
	}
	return false
}

func functionsOf(capability string) []string {
	var names []string
	for _, i := range &abi.Imports {
		if i.Capability == capability {
			names = append(names, i.Name)
		}
	}
	return names
}

func compressed(b []byte) int {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // to memory: cannot fail
	_ = w.Close()
	return out.Len()
}

// write writes a file whole or not at all.
func write(file string, b []byte, mode os.FileMode) error {
	dir := filepath.Dir(file)
	if about, err := os.Stat(dir); err != nil || !about.IsDir() {
		return &core.Error{Code: core.CodeNotFound, Message: "there is no folder " + dir + " to write " + filepath.Base(file) + " into", Fix: "make it first, or name another file"}
	}
	if about, err := os.Stat(file); err == nil && about.IsDir() {
		return &core.Error{Code: core.CodeInvalid, Message: file + " is a folder", Fix: "name a file"}
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// Print says what was built.
func (b *Built) Print(w io.Writer) {
	fmt.Fprintf(w, "built %s\n", b.File)
	fmt.Fprintf(w, "  plugin        %s %s (%s)\n", b.Manifest.Name, b.Manifest.Version, kindsOf(b.Manifest))
	fmt.Fprintf(w, "  size          %s, %s with gzip\n", size(int64(b.Size)), size(int64(b.Gzip)))
	fmt.Fprintf(w, "  capabilities  %s\n", orNone(b.Capabilities))
	fmt.Fprintf(w, "  self-tests    %d, run by the gateway when it loads the plugin\n", b.Embedded)
	fmt.Fprintf(w, "  digest        %s\n", b.Digest)
	for _, c := range b.Unused {
		fmt.Fprintf(w, "warning: plugin.yaml asks for %s, and the module never uses it: remove it, operators will ask why\n", c)
	}
}

func kindsOf(m *manifest.Manifest) string {
	names := make([]string, 0, len(m.Kinds))
	for _, k := range m.Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
