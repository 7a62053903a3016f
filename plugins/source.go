package plugins

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/trust"
)

// Names of the files beside a module.
const (
	manifestFile    = "plugin.yaml"
	SignatureSuffix = ".sig"         // statements of ours, one after the other
	CosignSuffix    = ".cosign.json" // {"payload": base64, "signature": base64}
)

// Bounds of those files, in bytes.
const (
	maxStatements = 64 << 10
	MaxCosign     = 4 * trust.MaxSignature
)

const statementHead = "sallyport-signature/"

// folder reads files: below one directory, or wherever the operator says.
type folder struct {
	root string // "" = absolute paths only
	read []string
}

// ReadFiles returns the artifact of a module on disk, with the signatures beside it, as
// the gateway reads it: so what is signed or pushed has the digest that is loaded.
//
// The manifest is the one in the module; without one it is plugin.yaml beside it, or the
// file that is named. A file that is named, or of the same plugin and version, must say
// the same as the module.
func ReadFiles(module, named string) (*registry.Artifact, error) {
	module, err := filepath.Abs(module)
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w", err)
	}
	if named != "" {
		if named, err = filepath.Abs(named); err != nil {
			return nil, fmt.Errorf("read plugin: %w", err)
		}
	}
	return (&folder{}).artifact(module, named)
}

func (f *folder) artifact(module, named string) (*registry.Artifact, error) {
	wasm, err := f.file(module, registry.MaxModule)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(wasm, []byte("\x00asm")) {
		return nil, &core.Error{Code: core.CodeInvalid, Message: module + " is no WebAssembly module", Fix: "name the .wasm file that `sallyport plugin build` wrote"}
	}
	text, err := f.manifest(module, named, wasm)
	if err != nil {
		return nil, err
	}
	a, err := registry.Pack(wasm, text)
	if err != nil {
		return nil, err
	}
	a.Signatures, err = f.signatures(module)
	return a, err
}

// manifest returns the plugin.yaml that goes into the artifact: none when the module
// carries its manifest, so that the digest is the same whether or not a file came along.
func (f *folder) manifest(module, named string, wasm []byte) ([]byte, error) {
	inner, carried := rewrite.CustomSection(wasm, manifest.Section)
	at := named
	if at == "" {
		at = filepath.Join(filepath.Dir(module), manifestFile)
	}
	text, err := f.file(at, manifest.MaxBytes)
	switch {
	case err == nil && !carried:
		_, err = manifest.Parse(at, text) // with the file's name in its mistakes
		return text, err
	case err == nil && (named != "" || sameVersion(text, inner)):
		_, err = manifest.Load(at, text, wasm)
		return nil, err
	case err != nil && (named != "" || !errors.Is(err, fs.ErrNotExist)):
		return nil, err
	}
	_, err = manifest.FromModule(module, wasm)
	return nil, err
}

// sameVersion reports whether two manifests are of the same version of the same plugin.
func sameVersion(a, b []byte) bool {
	x, err := manifest.Parse("", a)
	if err != nil {
		return false
	}
	y, err := manifest.Parse("", b)
	return err == nil && x.Name == y.Name && x.Version == y.Version
}

// signatures reads those that stand beside a module. Nothing about them is believed.
func (f *folder) signatures(module string) ([]trust.Signature, error) {
	own, err := f.file(module+SignatureSuffix, maxStatements)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	cosign, err := f.file(module+CosignSuffix, MaxCosign)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return readSignatures(own, cosign, module+CosignSuffix)
}

// readSignatures reads statements of ours, one after the other, and a signature of cosign,
// which is called name in a mistake; nil = there are none.
func readSignatures(own, cosign []byte, name string) ([]trust.Signature, error) {
	var found []trust.Signature
	for _, one := range statements(own) {
		found = append(found, trust.Signature{Form: trust.FormSallyport, Body: one})
	}
	if len(cosign) == 0 {
		return found, nil
	}
	var one struct {
		Payload   []byte `json:"payload"`
		Signature string `json:"signature"`
	}
	if err := wire.Unmarshal(cosign, &one); err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: name + " cannot be read: " + err.Error(), Fix: `write {"payload": base64 of the payload, "signature": base64 of its signature}`}
	}
	return append(found, trust.Signature{Form: trust.FormCosign, Body: one.Payload, Cosign: one.Signature}), nil
}

// statements splits a file of statements at their first lines.
func statements(b []byte) [][]byte {
	var all [][]byte
	for len(b) > 0 {
		end := len(b)
		if next := bytes.Index(b[1:], []byte("\n"+statementHead)); next >= 0 {
			end = next + 2
		}
		all = append(all, b[:end])
		b = b[end:]
	}
	return all
}

// file reads a regular file of at most limit bytes, and notes that it was asked for.
func (f *folder) file(name string, limit int64) ([]byte, error) {
	if filepath.IsAbs(name) {
		f.read = append(f.read, filepath.Clean(name))
		return readRegular(name, limit, os.Stat, func(n string) (fs.File, error) { return os.Open(n) })
	}
	if f.root == "" {
		return nil, &core.Error{Code: core.CodeInvalid, Message: quote(name) + " is below no directory: the document did not come from a file", Fix: "write an absolute path, or oci://…"}
	}
	f.read = append(f.read, filepath.Join(f.root, name))
	root, err := os.OpenRoot(f.root)
	if err != nil {
		return nil, fmt.Errorf("open the directory of the document: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written
	return readRegular(name, limit, root.Stat, func(n string) (fs.File, error) { return root.Open(n) })
}

func readRegular(name string, limit int64, stat func(string) (fs.FileInfo, error), open func(string) (fs.File, error)) ([]byte, error) {
	about, err := stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no file " + name, Fix: "relative paths begin at the directory of the document", Err: err}
	case err != nil && strings.Contains(err.Error(), "escapes"):
		return nil, &core.Error{Code: core.CodeDenied, Message: name + " leads out of the directory of the document", Fix: "move the file below it, or write an absolute path", Err: err}
	case err != nil:
		return nil, fmt.Errorf("read plugin: %w", err)
	case !about.Mode().IsRegular():
		return nil, &core.Error{Code: core.CodeInvalid, Message: name + " is no file", Fix: "name the .wasm file"}
	case about.Size() > limit:
		return nil, tooLarge(name, limit)
	}
	f, err := open(name)
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, tooLarge(name, limit)
	}
	return b, nil
}

func tooLarge(name string, limit int64) error {
	return &core.Error{Code: core.CodeTooLarge, Message: name + " is larger than " + manifest.Size(limit).String(), Fix: "make it smaller"}
}
