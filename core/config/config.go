// Package config reads what people write: gateway documents and start-up settings.
//
//	*.yaml, *.json ─► node (line, column) ─► shapes ─► core.Config, with At on every part
//	                                          │ └────► core.Problem: file:line:column, path, what, fix
//	                                          ├──────► Schema    (JSON Schema 2020-12, for editors)
//	                                          └──────► Reference (docs/configuration.md)
//	settings.yaml, SALLYPORT_*, flags ─► shapes ─► Settings
//	Watcher ─► tells when a file that was read has other content
//
// The shapes (document.go, settings.go) are the one description of every key; the
// reader, the JSON Schema and the pages are made from them.
//
//	cfg, problems := config.Read([]string{"gateway/"}, config.Options{Invokers: kinds})
//	catalog, more := gateway.Build(ctx, cfg, …)
//	if problems = config.Merge(problems, more); config.Refused(problems) {
//		fmt.Fprint(os.Stderr, config.Format(problems))
//	}
//
// A document is YAML 1.2 (core schema) or JSON, in UTF-8, one document a file. Merge
// keys are refused; aliases are allowed and bounded. References (${secret:NAME},
// ${env:NAME}, ${env:NAME:-default}, ${file:path}) stand only where a value may be secret or
// differ between deployments; documents that the store keeps (Options.Stored) name secrets
// only.
package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/core"
)

// Options says what documents may hold. The zero value knows no kinds, and reads
// references to variables from the environment of the process.
type Options struct {
	Invokers     []core.Kind[core.Invoker]
	Transformers []core.Kind[core.Transformer]
	Requests     []core.Kind[core.RequestTransformer]
	Authorizers  []core.Kind[core.CallAuthorizer]
	Catalogues   []core.Kind[core.Catalogue]
	// Env finds an environment variable; nil is os.LookupEnv.
	Env func(name string) (value string, set bool)
	// Secret finds a secret of the tenant (core.Vault); nil = there are none. What its
	// error says must hold nothing of the value.
	Secret func(name string) (core.Secret, error)
	// Stored says that the documents are kept by the store, where whoever may edit
	// documents writes them: they name secrets of their tenant, and neither the environment
	// nor files of the gateway.
	Stored bool

	parsed map[string]*node
}

func (o *Options) lookup(name string) (string, bool) {
	if o.Env == nil {
		return os.LookupEnv(name)
	}
	return o.Env(name)
}

// Read reads gateway documents from files and directories and merges them, in the
// order of paths. Of a directory it takes every *.yaml, *.yml and *.json directly in
// it, in the order of their names, except hidden files and the settings file
// (settings.* and sallyport.*).
//
// The Config holds whatever could be read, also when there are problems: it is then
// good for finding more of them, and for nothing else.
func Read(paths []string, o Options) (core.Config, []core.Problem) {
	cfg, problems, _ := read(paths, o)
	return cfg, problems
}

// read also returns the fingerprint of everything it looked at.
func read(paths []string, o Options) (core.Config, []core.Problem, fingerprint) {
	var cfg core.Config
	var total int64
	o.parsed = nil
	files, seen, problems := collect(paths)
	for _, name := range files {
		b, err := readFile(name, maxFile)
		seen.files = append(seen.files, File{Path: name, Sum: sumOf(b, err), limit: maxFile})
		if err != nil {
			fix := "name a file that the gateway may read"
			if errors.Is(err, errTooLarge) {
				fix = tooLargeFix
			}
			problems = append(problems, core.Problem{File: name, Message: "cannot read the document: " + reason(err), Fix: fix})
			continue
		}
		if total += int64(len(b)); total > maxTotal {
			problems = append(problems, core.Problem{
				File: name, Message: fmt.Sprintf("the documents together hold more than %d MiB", maxTotal>>20), Fix: "serve fewer of them with one gateway",
			})
			break
		}
		part, found, used := readDocument(name, b, &o)
		problems = append(problems, found...)
		seen.files = append(seen.files, used.used...)
		cfg.Connections = append(cfg.Connections, part.Connections...)
		cfg.Plugins = append(cfg.Plugins, part.Plugins...)
		cfg.Upstreams = append(cfg.Upstreams, part.Upstreams...)
		cfg.Servers = append(cfg.Servers, part.Servers...)
		cfg.Sources = append(cfg.Sources, used)
	}
	return cfg, problems, seen
}

// ReadText reads one document that is at hand, such as an embedded one. name says how
// to read it (.json is JSON) and stands in problems; relative files are taken from its
// directory.
func ReadText(name string, document []byte, o Options) (core.Config, []core.Problem) {
	o.parsed = nil
	if len(document) > maxFile {
		return core.Config{}, []core.Problem{{File: name, Message: "cannot read the document: " + reason(errTooLarge), Fix: tooLargeFix}}
	}
	cfg, problems, used := readDocument(name, document, &o)
	cfg.Sources = []core.Source{used}
	return cfg, problems
}

var tooLargeFix = fmt.Sprintf("a document holds at most %d MiB: split it", maxFile>>20)

// readDocument reads one document.
func readDocument(name string, b []byte, o *Options) (core.Config, []core.Problem, *source) {
	root, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		root = filepath.Dir(name)
	}
	if o.Stored {
		root = "" // there is no directory that anything could be read under
	}
	s := &source{name: name, root: root, data: b}
	found := &mistakes{file: name}
	var cfg core.Config
	if top := parse(name, b, found); top != nil {
		r := &reader{found: found, source: s, options: *o, allowed: allowedInDocuments}
		r.read(top, document, reflect.ValueOf(&cfg).Elem())
		o.parsed = r.options.parsed
		if o.Stored { // from where the API would show it
			(&hiding{found: found, options: o}).shape(top, document)
		}
	}
	return cfg, found.list, s
}

// parse reads a document as JSON or YAML, by its name.
func parse(name string, b []byte, found *mistakes) *node {
	if !checkCharacters(b, found) {
		return nil
	}
	if strings.EqualFold(filepath.Ext(name), ".json") {
		return parseJSON(b, found)
	}
	return parseYAML(b, found)
}

var suffixes = []string{".yaml", ".yml", ".json"}

// isDocument tells whether a file in a directory is a gateway document.
func isDocument(base string) bool {
	suffix := filepath.Ext(base)
	stem := strings.TrimSuffix(base, suffix)
	return slices.Contains(suffixes, suffix) && !strings.HasPrefix(base, ".") && stem != "settings" && stem != "sallyport"
}

// collect lists the documents that paths name, and what must be looked at again to
// see whether the list has changed.
func collect(paths []string) (files []string, seen fingerprint, problems []core.Problem) {
	twice := map[string]bool{}
	add := func(name string) {
		id, err := filepath.Abs(name)
		if err != nil {
			id = name
		}
		if !twice[id] {
			twice[id] = true
			files = append(files, name)
		}
	}
	if len(paths) == 0 {
		problems = append(problems, core.Problem{Message: "no gateway document is named", Fix: "name a file or a directory with --config"})
	}
	for _, path := range paths {
		stat, err := os.Stat(path)
		if err != nil || !stat.IsDir() {
			add(path) // reading it says what is wrong
			continue
		}
		names, err := listing(path)
		seen.directories = append(seen.directories, File{Path: path, Sum: sumOf([]byte(strings.Join(names, "\x00")), err)})
		switch {
		case err != nil:
			problems = append(problems, core.Problem{File: path, Message: "cannot read the directory: " + reason(err), Fix: "name a directory that the gateway may read"})
		case len(names) == 0:
			problems = append(problems, core.Problem{
				File: path, Message: "the directory holds no gateway document",
				Fix: "put a file into it whose name ends in .yaml, .yml or .json (settings.* and sallyport.* do not count)",
			})
		}
		for _, name := range names {
			add(filepath.Join(path, name))
		}
	}
	if len(files) > maxFiles {
		problems = append(problems, core.Problem{Message: fmt.Sprintf("%d documents are named, more than %d", len(files), maxFiles), Fix: "put several servers into one document"})
		files = files[:maxFiles]
	}
	return files, seen, problems
}

// listing returns the names of the documents in a directory, sorted.
func listing(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if !isDocument(entry.Name()) {
			continue
		}
		if stat, err := os.Stat(filepath.Join(path, entry.Name())); err == nil && stat.IsDir() {
			continue
		}
		names = append(names, entry.Name())
	}
	return names, nil
}

// File is one file that was read.
type File struct {
	Path string
	Sum  [sha256.Size]byte // of the content; of the reason when it could not be read

	limit int64 // it is read no further
}

// fingerprint is what reading looked at: the same fingerprint means that reading again would
// give the same.
type fingerprint struct {
	files       []File // documents, and the files of references
	directories []File // Sum is that of the names in it
}

// Files lists every file that was read for cfg: the documents, and what their
// references pulled in.
func Files(cfg core.Config) []File {
	var all []File
	for _, one := range cfg.Sources {
		if s, ours := one.(*source); ours {
			all = append(all, File{Path: s.name, Sum: sha256.Sum256(s.data)})
			all = append(all, s.used...)
		}
	}
	return all
}

// source finds positions in one document. It keeps the text and parses it again
// when the first position is asked for: that happens only when there is a problem
// to report, and a tree of nodes costs ten times the text.
type source struct {
	name string
	root string
	data []byte
	used []File // files of references

	once sync.Once
	top  *node
}

// Name returns the file name as the user named it.
func (s *source) Name() string { return s.name }

// Root returns the directory of the document, absolute.
func (s *source) Root() string { return s.root }

// Position returns where the value of a JSON Pointer stands.
func (s *source) Position(path string) (line, column int, found bool) {
	s.once.Do(func() { s.top = parse(s.name, s.data, &mistakes{}) })
	if s.top == nil {
		return 0, 0, false
	}
	n := s.top.find(path)
	if n == nil {
		return 0, 0, false
	}
	return n.line, n.column, true
}

var _ core.Source = (*source)(nil)
