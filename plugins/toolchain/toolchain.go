package toolchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Languages that Detect tells apart.
const (
	LanguageGo             = "go"
	LanguageRust           = "rust"
	LanguageC              = "c"
	LanguageAssemblyScript = "assemblyscript"
)

const (
	maxOutput = 16 << 10        // bytes of a compiler's words that an error keeps: the end
	lastWords = 2 * time.Second // a compiler's children have, after it was stopped
)

// Missing says that a compiler, or a part of one, is not installed.
type Missing struct { //nolint:errname // toolchain.Missing says it all
	What string // "rustc with the target wasm32-unknown-unknown"
}

// Error returns "… is not installed".
func (m *Missing) Error() string { return m.What + " is not installed" }

func missing(what, fix string) error {
	m := &Missing{What: what}
	return &core.Error{Code: core.CodeUnavailable, Message: m.Error(), Fix: fix, Err: m}
}

// Detect returns the language of a plugin's folder.
func Detect(dir string) (string, error) {
	for _, mark := range []struct{ pattern, language string }{
		{"Cargo.toml", LanguageRust},
		{"package.json", LanguageAssemblyScript},
		{"asconfig.json", LanguageAssemblyScript},
		{"go.mod", LanguageGo},
		{"*.go", LanguageGo},
		{"*.c", LanguageC},
	} {
		if found, err := filepath.Glob(filepath.Join(escape(dir), mark.pattern)); err == nil && len(found) > 0 {
			return mark.language, nil
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return "", &core.Error{Code: core.CodeNotFound, Message: "no folder " + dir, Err: err}
	}
	return "", &core.Error{
		Code:    core.CodeInvalid,
		Message: dir + " holds no plugin that can be built",
		Fix:     "it needs a go.mod or *.go (Go), Cargo.toml (Rust), package.json (AssemblyScript) or *.c (C)",
	}
}

// escape makes a path mean itself in a pattern of filepath.Glob.
func escape(dir string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// Build finds out the language of the folder and builds it to the file out, which it
// replaces only when all went well.
func Build(ctx context.Context, dir, out string) error {
	language, err := Detect(dir)
	if err != nil {
		return err
	}
	switch language {
	case LanguageGo:
		return Go(ctx, dir, out)
	case LanguageRust:
		return Rust(ctx, dir, out)
	case LanguageAssemblyScript:
		return AssemblyScript(ctx, dir, out)
	default:
		return C(ctx, dir, out)
	}
}

// job is one run of a compiler.
type job struct {
	language string
	dir      string
	program  string
	args     []string
	env      []string // on top of the process's own; NAME alone takes a variable out
}

// run returns what the compiler wrote to standard output.
func (j *job) run(ctx context.Context) ([]byte, error) {
	c := exec.CommandContext(ctx, j.program, j.args...) //nolint:gosec // a compiler that was looked for by name
	c.Dir = j.dir
	c.Env = environment(j.env)
	c.WaitDelay = lastWords
	stdout, said := &tail{most: 8 << 20}, &tail{most: maxOutput}
	c.Stdout, c.Stderr = stdout, said
	err := c.Run()
	switch {
	case err == nil:
		return stdout.b, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("build %s: %w", j.dir, context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return nil, missing(j.program, "install it")
	}
	words := strings.TrimSpace(string(said.b))
	if words == "" {
		words = strings.TrimSpace(string(stdout.b[max(0, len(stdout.b)-maxOutput):]))
	}
	return nil, &core.Error{
		Code:    core.CodeInvalid,
		Message: fmt.Sprintf("the %s compiler refuses %s:\n%s", j.language, j.dir, words),
		Err:     err,
	}
}

// environment is that of the process with changes.
func environment(changes []string) []string {
	env := slices.Clone(os.Environ())
	for _, change := range changes {
		name, _, set := strings.Cut(change, "=")
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		if set {
			env = append(env, change)
		}
	}
	return env
}

// tail keeps the last bytes that were written to it.
type tail struct {
	most int
	b    []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - t.most; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// find returns the first of the programs that is there.
func find(names ...string) (string, bool) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// absolute returns the folder of the sources, with symbolic links resolved, and the
// file to write.
func absolute(dir, out string) (string, string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", "", &core.Error{Code: core.CodeNotFound, Message: "no folder " + dir, Err: err}
	}
	if out, err = filepath.Abs(out); err != nil {
		return "", "", fmt.Errorf("find the folder of %s: %w", out, err)
	}
	return dir, out, nil
}

// into runs build with the name of a file beside out, and renames it to out when all
// went well.
func into(out string, build func(file string) error) error {
	f, err := os.CreateTemp(filepath.Dir(out), ".build-*.wasm")
	if err != nil {
		return &core.Error{Code: core.CodeInvalid, Message: "cannot write " + out, Err: err}
	}
	name := f.Name()
	defer os.Remove(name) //nolint:errcheck // it was renamed, or is of no use
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	if err := build(name); err != nil {
		return err
	}
	if info, err := os.Stat(name); err != nil || info.Size() == 0 {
		return &core.Error{Code: core.CodeInternal, Message: "the compiler said nothing and wrote nothing to " + out, Err: err}
	}
	if err := os.Chmod(name, 0o644); err != nil { //nolint:gosec // a plugin is no secret
		return fmt.Errorf("write %s: %w", out, err)
	}
	if err := os.Rename(name, out); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	return nil
}

// scratch returns a folder for what a compiler wants to keep between builds of dir.
func scratch(dir string) (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		root = filepath.Join(os.TempDir(), "cache")
	}
	sum := sha256.Sum256([]byte(dir))
	path := filepath.Join(root, "sallyport", "build", hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for the build: %w", err)
	}
	return path, nil
}
