package author

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/sdk"
	sdkgo "github.com/sallyport/sallyport/sdk/go"
)

// templates are the files of new plugins: shared/KIND are those of any language,
// LANG/KIND the sources. Files end in .txt where their own ending would have a compiler
// of this project look at them.
//
//go:embed templates
var templates embed.FS

// Langs are the languages of New.
var Langs = []string{"go", "rust", "as", "c"}

// NewKinds are the kinds of New.
var NewKinds = []string{
	string(manifest.Invoker), string(manifest.ResponseTransformer), string(manifest.RequestTransformer),
	string(manifest.Authorizer), string(manifest.ToolCatalogue),
}

// NewOptions say what to write.
type NewOptions struct {
	Dir  string // "" = the last part of Name; it must be empty or not there
	Name string // acme/weather
	Lang string // one of Langs
	Kind string // one of NewKinds
}

var pluginName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Check reports what was typed wrong.
func (o NewOptions) Check() error {
	switch {
	case !pluginName.MatchString(o.Name):
		return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("%q is no name of a plugin", o.Name), Fix: "write who makes it and what it is, in small letters, digits and -: --name acme/weather"}
	case !slices.Contains(Langs, o.Lang):
		return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("there is no SDK for %q", o.Lang), Fix: "--lang is one of " + strings.Join(Langs, ", ") + "; any other language can follow sdk/ABI.md"}
	case !slices.Contains(NewKinds, o.Kind):
		return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("there is no kind %q", o.Kind), Fix: "--kind is one of " + strings.Join(NewKinds, ", ")}
	}
	return nil
}

// New writes the folder of a plugin that builds and passes its tests as it is. It
// returns the folder, and the files in it that people will want to change.
func New(o NewOptions) (dir string, files []string, err error) {
	if err := o.Check(); err != nil {
		return "", nil, err
	}
	base := path.Base(o.Name)
	if o.Dir == "" {
		o.Dir = base
	}
	if err := vacant(o.Dir); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil { //nolint:gosec // the author's own sources
		return "", nil, fmt.Errorf("make the folder: %w", err)
	}
	w := &folder{dir: o.Dir, words: strings.NewReplacer("@NAME@", o.Name, "@BASE@", base, "@MODULE@", "example.com/"+o.Name, "@LANG@", names[o.Lang])}
	w.tree(templates, "templates/shared/"+o.Kind, ".", true)
	w.tree(templates, "templates/"+o.Lang+"/"+o.Kind, ".", true)
	w.tree(templates, "templates/"+o.Lang+"/all", ".", true)
	own := slices.Clone(w.files)
	w.sources(o.Lang)
	if w.err != nil {
		return "", nil, w.err
	}
	slices.Sort(own)
	return o.Dir, own, nil
}

var names = map[string]string{"go": "Go", "rust": "Rust", "as": "AssemblyScript", "c": "C"}

// vacant refuses a folder in which something is.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &core.Error{Code: core.CodeInvalid, Message: dir + " is no folder that can be read", Err: err, Fix: "name another one"}
	case len(entries) > 0:
		return &core.Error{Code: core.CodeInvalid, Message: dir + " is not empty", Fix: "name a new folder: nothing is overwritten"}
	}
	return nil
}

// folder writes files; after an error it writes nothing more.
type folder struct {
	dir   string
	words *strings.Replacer
	files []string // that were written, below dir
	err   error
}

// tree writes all files below a folder of a file system to another place. Those of
// templates lose the ending .txt, and have their words filled in.
func (f *folder) tree(from fs.FS, root, to string, template bool) {
	if f.err != nil {
		return
	}
	f.err = fs.WalkDir(from, root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, root), "/")
		if rel == "" {
			rel = path.Base(name)
		}
		if template {
			rel, text = f.words.Replace(strings.TrimSuffix(rel, ".txt")), []byte(f.words.Replace(string(text)))
			if path.Base(rel) == "gitignore" {
				rel = path.Join(path.Dir(rel), ".gitignore")
			}
		}
		return f.write(path.Join(to, rel), text)
	})
}

func (f *folder) write(name string, text []byte) error {
	file := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // the author's own sources
		return fmt.Errorf("make the folder: %w", err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // the author's own sources
		return fmt.Errorf("write the plugin: %w", err)
	}
	f.files = append(f.files, name)
	return nil
}

// Where the SDK of Go is found.
const (
	goModule  = "github.com/sallyport/sallyport/sdk/go"
	goVersion = "v0.1.0"
)

// sources puts the SDK beside the plugin, so that nothing need be fetched.
func (f *folder) sources(lang string) {
	switch lang {
	case "go":
		f.vendor()
	case "rust":
		f.tree(sdk.Source, "rust", "sdk", false)
	case "c":
		f.tree(sdk.Source, "c/sallyport.h", ".", false)
	case "as":
		f.tree(sdk.Source, "assemblyscript/sallyport", "assembly/sallyport", false)
		f.tree(sdk.Source, "assemblyscript/package.json", ".", false)
		f.tree(sdk.Source, "assemblyscript/package-lock.json", ".", false)
	}
}

// vendor writes vendor/ as `go mod vendor` does.
func (f *folder) vendor() {
	if f.err != nil {
		return
	}
	var packages []string
	f.err = fs.WalkDir(sdkgo.Source, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == "testdata":
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(sdkgo.Source, name)
		if err != nil {
			return err
		}
		if p := goModule + "/" + path.Dir(name); !slices.Contains(packages, p) {
			packages = append(packages, p)
		}
		return f.write("vendor/"+goModule+"/"+name, text)
	})
	if f.err == nil {
		slices.Sort(packages)
		f.err = f.write("vendor/modules.txt", []byte("# "+goModule+" "+goVersion+"\n## explicit; go 1.24.0\n"+strings.Join(packages, "\n")+"\n"))
	}
}
