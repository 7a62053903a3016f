package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/plugins/toolchain"
)

// workshop builds guests.
type workshop struct {
	root string // of the repository
	work string // a folder of our own
	into string // where the modules go
	from string // where modules lie that are built already; "" = nowhere
}

var errNotFound = errors.New("run it inside of the repository")

// repository looks for the root from the working directory up.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "plugins", "bench", "guests")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errNotFound
		}
		dir = up
	}
}

// build returns the module of a folder of guests. A missing compiler is a
// *toolchain.Missing.
func (w *workshop) build(ctx context.Context, name string) ([]byte, error) {
	if w.from != "" {
		return os.ReadFile(filepath.Join(w.from, name+".wasm"))
	}
	dir := filepath.Join(w.root, "plugins", "bench", "guests", name)
	if name == "assemblyscript" {
		var err error
		if dir, err = w.assemblyscript(dir); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(w.into, name+".wasm")
	make := toolchain.Build
	if name == "go" || name == "extism-go" { // no go.mod of their own
		make = toolchain.Go
	}
	if err := make(ctx, dir, file); err != nil {
		return nil, fmt.Errorf("build guest %s: %w", name, err)
	}
	return os.ReadFile(file)
}

// assemblyscript lays a guest out as `sallyport plugin new` does: the SDK beside its
// source, the compiler in node_modules.
func (w *workshop) assemblyscript(from string) (string, error) {
	sdk := filepath.Join(w.root, "sdk", "assemblyscript")
	modules := filepath.Join(sdk, "node_modules")
	if _, err := os.Stat(modules); err != nil {
		return "", &toolchain.Missing{What: "the compiler of AssemblyScript (npm ci in sdk/assemblyscript)"}
	}
	dir := filepath.Join(w.work, "assemblyscript")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(dir, "assembly", "sallyport"), os.DirFS(filepath.Join(sdk, "sallyport"))); err != nil {
		return "", err
	}
	return dir, os.Symlink(modules, filepath.Join(dir, "node_modules"))
}

// missing tells whether an error says that a compiler is not there.
func missing(err error) bool {
	var m *toolchain.Missing
	return errors.As(err, &m)
}
