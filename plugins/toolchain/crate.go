package toolchain

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// crate is what cargo is asked to build.
//
// Cargo hashes the place of a crate into the names of its functions, by which the
// linker puts them in order: the same sources in another folder would make another
// module. Only places inside of the workspace are taken relative to its root. So the
// crate is built in a workspace of our own, in which a symbolic link stands for the
// folder that holds it and the crates that it uses.
//
//	keep/workspace/Cargo.toml     members = ["tree/plugins/greet"]
//	keep/workspace/tree ────────► /home/ada/work
type crate struct {
	manifest string            // as cargo shall see it
	places   map[string]string // folder, as the compiler may see it → name of the crate
}

// metadata is what we read of cargo's.
type metadata struct {
	Root string `json:"workspace_root"`
}

func (r *Installed) crate(ctx context.Context, dir, keep string) (*crate, error) {
	c := &crate{manifest: filepath.Join(dir, "Cargo.toml"), places: map[string]string{}}
	workspace := filepath.Join(keep, "workspace")
	if err := os.MkdirAll(workspace, 0o700); err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "cannot make a folder for the build", Err: err}
	}
	text, err := os.ReadFile(c.manifest)
	if err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Message: dir + " has no Cargo.toml", Err: err}
	}
	// Cargo finds the crates that this one uses. Asked in our workspace it writes no
	// Cargo.lock beside the sources.
	said, err := (&job{
		language: "Rust", dir: dir, program: r.Cargo, env: r.env(),
		args: []string{"metadata", "--offline", "--format-version=1", "--no-deps"},
	}).run(ctx)
	if err != nil {
		return nil, err
	}
	var first metadata
	if err := json.Unmarshal(said, &first); err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "cargo metadata answers with what is not JSON", Err: err}
	}
	if first.Root != dir || ownWorkspace.Match(text) {
		c.places[dir] = filepath.Base(dir)
		return c, nil // it has a workspace already, which keeps its crates together
	}
	folders := used(dir)
	tree := folders[0]
	for _, folder := range folders[1:] {
		tree = common(tree, folder)
	}
	link := filepath.Join(workspace, "tree")
	if at, err := os.Readlink(link); err != nil || at != tree {
		_ = os.Remove(link)
		if err := os.Symlink(tree, link); err != nil {
			c.places[dir] = filepath.Base(dir)
			return c, nil //nolint:nilerr // a system without such links: it works, in this folder
		}
	}
	member, err := filepath.Rel(tree, dir)
	if err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "cannot place " + dir, Err: err}
	}
	member = filepath.ToSlash(filepath.Join("tree", member))
	root := "[workspace]\nmembers = [" + strconv.Quote(member) + "]\n"
	if err := write(filepath.Join(workspace, "Cargo.toml"), []byte(root)); err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "cannot write the workspace of the build", Err: err}
	}
	lock, err := os.ReadFile(filepath.Join(dir, "Cargo.lock"))
	if err == nil {
		err = write(filepath.Join(workspace, "Cargo.lock"), lock)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		return nil, &core.Error{Code: core.CodeInternal, Message: "cannot copy Cargo.lock", Err: err}
	}
	c.manifest = filepath.Join(workspace, filepath.FromSlash(member), "Cargo.toml")
	for _, folder := range folders {
		rel, err := filepath.Rel(tree, folder)
		if err != nil {
			continue
		}
		name := filepath.Base(folder)
		c.places[filepath.Join("tree", rel)] = name
		c.places[filepath.Join(link, rel)] = name
		c.places[folder] = name
	}
	return c, nil
}

var (
	ownWorkspace = regexp.MustCompile(`(?m)^\s*\[workspace[\].]|^\s*workspace\s*=`)
	pathUsed     = regexp.MustCompile(`(?m)\bpath\s*=\s*(?:"([^"]+)"|'([^']+)')`)
)

// write leaves a file alone that says so already: cargo looks at its time, and another
// build of the same crate may read it.
func write(file string, text []byte) error {
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return os.WriteFile(file, text, 0o600)
}

// used returns the folder of a crate and those of all crates that it uses by path,
// which is read off their Cargo.toml: what is not the folder of a crate is left out.
func used(dir string) []string {
	folders := []string{dir}
	for n := 0; n < len(folders) && n < 1000; n++ {
		text, err := os.ReadFile(filepath.Join(folders[n], "Cargo.toml"))
		if err != nil {
			continue
		}
		for _, m := range pathUsed.FindAllSubmatch(text, -1) {
			folder := filepath.FromSlash(string(m[1]) + string(m[2]))
			if !filepath.IsAbs(folder) {
				folder = filepath.Join(folders[n], folder)
			}
			if _, err := os.Stat(filepath.Join(folder, "Cargo.toml")); err == nil && !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
	}
	return folders
}

// common returns the lowest folder that holds both.
func common(a, b string) string {
	for !within(a, b) {
		up := filepath.Dir(a)
		if up == a {
			return a
		}
		a = up
	}
	return a
}

func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (r *Installed) flags(c *crate) []string {
	// Without bulk memory, copying is a loop over bytes before Rust 1.82.
	flags := []string{"-Clink-arg=-zstack-size=" + rustStack, "-Ctarget-feature=+bulk-memory"}
	if r.linker != "" {
		flags = append(flags, "-Clinker="+r.linker)
	}
	folders := make([]string, 0, len(c.places))
	for folder := range c.places {
		folders = append(folders, folder)
	}
	slices.Sort(folders) // the last that fits counts, so a folder in a folder wins
	for _, folder := range folders {
		flags = append(flags, "--remap-path-prefix="+folder+"="+c.places[folder])
	}
	return flags
}

// artifact returns the module that cargo's messages name for a crate.
func artifact(messages []byte, manifest string) (module string) {
	for line := range bytes.Lines(messages) {
		var message struct {
			Reason   string   `json:"reason"`
			Manifest string   `json:"manifest_path"`
			Files    []string `json:"filenames"`
		}
		if json.Unmarshal(line, &message) != nil || message.Reason != "compiler-artifact" || message.Manifest != manifest {
			continue
		}
		for _, file := range message.Files {
			if filepath.Ext(file) == ".wasm" {
				module = file
			}
		}
	}
	return module
}
