package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport/sallyport/core"
)

// Compiling is where a stranger's file costs most: its time grows faster than its
// size and the compiler does not look at its context. So a child process does it,
// under limits of time and memory that the kernel holds, and leaves native code in
// the cache; this process then only reads it. The child is this very program,
// started with childVariable set.

// childVariable makes a child of this program compile and exit: its value is
// "memory in bytes|seconds of CPU|cache directory".
const childVariable = "SALLYPORT_COMPILE_CHILD"

// listening tells that this program calls CompileChild first, so that starting it
// again with childVariable compiles and does nothing else.
var listening atomic.Bool

// CompileChild must be called at the very start of a program that loads plugins, and
// in TestMain: when the process was started to compile a plugin, it does so and
// returns ran = true with the exit code. Otherwise it notes that this program can be
// started so, and returns ran = false.
//
//	if code, ran := sandbox.CompileChild(os.Getenv, os.Stdin, os.Stdout); ran {
//		os.Exit(code)
//	}
func CompileChild(env func(string) string, in io.Reader, out io.Writer) (code int, ran bool) {
	order := env(childVariable)
	if order == "" {
		listening.Store(true)
		return 0, false
	}
	if err := compileOrdered(order, in); err != nil {
		_, _ = io.WriteString(out, err.Error())
		return 1, true
	}
	_, _ = io.WriteString(out, compiledWell)
	return 0, true
}

const compiledWell = "compiled"

func compileOrdered(order string, in io.Reader) error {
	parts := strings.SplitN(order, "|", 3)
	if len(parts) != 3 {
		return errors.New("compile child: the order has not three parts")
	}
	memory, err := strconv.ParseUint(parts[0], 10, 63)
	if err != nil {
		return errors.New("compile child: the memory limit is no number")
	}
	cpu, err := strconv.ParseUint(parts[1], 10, 31)
	if err != nil {
		return errors.New("compile child: the time limit is no number")
	}
	if err := confine(memory, cpu); err != nil {
		return fmt.Errorf("compile child: %w", err)
	}
	wasm, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("compile child: read the module: %w", err)
	}
	ctx := context.Background()
	cache, err := wazero.NewCompilationCacheWithDir(parts[2])
	if err != nil {
		return fmt.Errorf("compile child: %w", err)
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(cache, maxPages))
	if _, err := runtime.CompileModule(ctx, wasm); err != nil {
		return err
	}
	return nil // the process ends: nothing to close
}

const maxPages = 256 * mib / 65536

// runtimeConfig must be the same in child and parent: both must find the same entry
// of the cache.
func runtimeConfig(cache wazero.CompilationCache, pages uint32) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2).
		WithCloseOnContextDone(false). // costs 4 to 12 times the speed and does not stop everything
		WithDebugInfoEnabled(false).
		WithCustomSections(false).
		WithMemoryLimitPages(pages).
		WithCompilationCache(cache)
}

// compiling lets one child run at a time: a Go guest takes 65 MiB and seconds.
var compiling = make(chan struct{}, 1)

// proven are the cache directories that a child of this process filled.
var proven sync.Map

// compile makes sure that the cache holds the module's native code, in a directory
// of its own under root.
func compile(ctx context.Context, wasm []byte, root string, o *Options) (dir string, err error) {
	if err := private(root); err != nil {
		return "", err
	}
	sum := sha256.Sum256(wasm)
	dir = filepath.Join(root, hex.EncodeToString(sum[:16]))
	if err := private(dir); err != nil {
		return "", err
	}
	now := o.Now()
	_ = os.Chtimes(dir, now, now) // marks the use, for prune
	prune(root, now.Add(-cacheAge))
	if _, ok := proven.Load(dir); ok && filled(dir) {
		return dir, nil
	}
	program, err := os.Executable()
	switch {
	case o.InProcess:
		return dir, nil
	case err != nil || !listening.Load():
		o.Log.Warn("plugin is compiled in this process, without limits of time and memory: the program cannot start itself again (it does not call sandbox.CompileChild first)", "plugin", o.Name)
		return dir, nil
	}
	select {
	case compiling <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-compiling }()
	if err := runChild(ctx, program, wasm, dir, o); err != nil {
		return "", err
	}
	if !filled(dir) { // what follows would compile here, without limits
		return "", &core.Error{Code: core.CodeInternal, Message: "plugin " + o.Name + ": the process that compiles it left no native code in " + dir}
	}
	proven.Store(dir, true)
	return dir, nil
}

// cacheAge is how long native code stays that nobody loads.
const cacheAge = 30 * 24 * time.Hour

// prune removes the native code of modules that were not loaded since before.
func prune(root string, before time.Time) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || len(e.Name()) != 32 || info.ModTime().After(before) {
			continue // not ours, or in use
		}
		_ = os.RemoveAll(filepath.Join(root, e.Name()))
	}
}

// filled reports that a cache directory holds an entry that was written to its end.
func filled(dir string) bool {
	entries, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if !strings.HasSuffix(e, ".tmp") {
			return true
		}
	}
	return false
}

func runChild(ctx context.Context, program string, wasm []byte, dir string, o *Options) error {
	ctx, cancel := context.WithTimeout(ctx, o.Limits.Compile)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = dir
	// Nothing of our environment goes along: secrets may stand there.
	cmd.Env = []string{fmt.Sprintf("%s=%d|%d|%s", childVariable, o.Limits.CompileMemory, seconds(o.Limits.Compile)+1, dir), "GOMAXPROCS=2", "GOTRACEBACK=none"}
	cmd.Stdin = strings.NewReader(string(wasm))
	var out, said tail
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	name := "plugin " + o.Name
	switch {
	case err == nil && out.String() == compiledWell:
		return nil
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded), strings.Contains(said.String(), "SIGXCPU"):
		return &core.Error{Code: core.CodeTooLarge, Message: name + ": compiling it takes longer than " + o.Limits.Compile.String(), Fix: "split its largest functions, or build with less inlining", Err: err}
	case ctx.Err() != nil:
		return ctx.Err()
	case strings.Contains(said.String(), "out of memory"), strings.Contains(said.String(), "cannot allocate memory"), strings.Contains(said.String(), "failed to reserve"):
		return &core.Error{Code: core.CodeTooLarge, Message: name + ": compiling it takes more memory than " + bytes(o.Limits.CompileMemory), Fix: "split its largest functions, or build with less inlining", Err: err}
	case out.String() != "":
		return &core.Error{Code: core.CodeInvalid, Message: name + ": it does not compile: " + sayable([]byte(out.String()))}
	}
	return &core.Error{Code: core.CodeInternal, Message: name + ": the process that compiles it failed", Err: fmt.Errorf("%w: %s", err, sayable([]byte(said.String())))}
}

// tail keeps the first bytes of what a child writes.
type tail struct{ b []byte }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[:min(len(p), max(4096-len(t.b), 0))]...)
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

// private makes a directory that only this user can read and write, or refuses one
// that others can: it holds native code that runs in this process.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the plugin cache: %w", err)
	}
	at, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the plugin cache: %w", err)
	}
	if !at.IsDir() {
		return &core.Error{Code: core.CodeInvalid, Message: "the plugin cache " + dir + " is no directory", Fix: "name another one, or remove it"}
	}
	if at.Mode().Perm()&0o077 != 0 || !ours(at) {
		return &core.Error{Code: core.CodeDenied, Message: "the plugin cache " + dir + " can be changed or read by others: it holds native code that runs in the gateway", Fix: "make it mode 0700 and owned by the user of the gateway, or name another one"}
	}
	return nil
}
