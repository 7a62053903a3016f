package sandbox

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

// The child fills a private cache; the parent then only reads it.
func TestCompileInChild(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	p := load(t, guests.Echo(), func(o *Options) { o.InProcess, o.CacheDir = false, dir })
	if a, err := p.Call(t.Context(), abi.ToolCall, nil, []byte("x"), InvokerBudget); err != nil || string(a.Payload) != "x" {
		t.Errorf("%q %v", a.Payload, err)
	}
	entries, err := filepath.Glob(filepath.Join(dir, "*", "wazero-*", "*"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("the child left %v %v", entries, err)
	}
	before := modified(t, entries[0])
	for at := entries[0]; at != filepath.Dir(dir); at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", at, info.Mode())
		}
	}
	_ = load(t, guests.Echo(), func(o *Options) { o.InProcess, o.CacheDir = false, dir })
	if after := modified(t, entries[0]); !after.Equal(before) {
		t.Error("the second load compiled again")
	}
}

func modified(t *testing.T, file string) time.Time {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// The child dies of its limits, not the gateway.
func TestCompileLimits(t *testing.T) {
	bomb := goWasm(t) // 2 s of work
	_, err := Load(t.Context(), bomb, Options{Name: "bomb", Limits: Limits{Compile: 200 * time.Millisecond}})
	wantCode(t, err, core.CodeTooLarge, "compiling it takes longer than 200ms")
	_, err = Load(t.Context(), bomb, Options{Name: "bomb", Limits: Limits{CompileMemory: 16 << 20}})
	wantCode(t, err, core.CodeTooLarge, "takes more memory than 16 MiB")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Load(ctx, bomb, Options{Name: "bomb"}); err == nil {
		t.Error("the caller's context does not end the child")
	}
}

// What passes the reader but not the compiler's validation is refused by the child,
// in words.
func TestCompileRefuses(t *testing.T) {
	wasm := guests.With("", guests.Op(guests.Drop), guests.Const64(0)) // nothing on the stack to drop
	for _, here := range []bool{false, true} {
		_, err := Load(t.Context(), wasm, Options{Name: "wrong", InProcess: here})
		wantCode(t, err, core.CodeInvalid, "plugin wrong")
	}
}

// The environment of the gateway does not reach the child.
func TestCompileOrder(t *testing.T) {
	for order, part := range map[string]string{"1|2": "three parts", "x|2|d": "memory limit", "1|x|d": "time limit"} {
		var out strings.Builder
		code, ran := CompileChild(func(string) string { return order }, strings.NewReader(""), &out)
		if !ran || code != 1 || !strings.Contains(out.String(), part) {
			t.Errorf("%q: %d %v %q", order, code, ran, out.String())
		}
	}
}

// A program that does not listen for the order must not be started with it: it would
// do what it always does. It compiles itself, and says so.
func TestCompileWithoutChild(t *testing.T) {
	listening.Store(false)
	defer listening.Store(true)
	var said strings.Builder
	p := load(t, guests.Echo(), func(o *Options) {
		o.InProcess = false
		o.Log = slog.New(slog.NewTextHandler(&said, nil))
	})
	if _, err := p.Call(t.Context(), abi.ToolCall, nil, nil, InvokerBudget); err != nil {
		t.Error(err)
	}
	if !strings.Contains(said.String(), "compiled in this process") {
		t.Errorf("nothing was said: %q", said.String())
	}
}

// A relative cache is the same directory for this process and for the one that
// compiles: what the latter writes is what the former loads.
func TestCacheIsRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	load(t, guests.Echo(), func(o *Options) { o.InProcess, o.CacheDir = false, "plugin-cache" })
	var names []string
	if err := filepath.WalkDir("plugin-cache", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(names) != 1 || !filled(filepath.Dir(filepath.Dir(names[0]))) || strings.Count(names[0], "plugin-cache") != 1 {
		t.Errorf("native code is in %q", names)
	}
}

func TestCacheIsPrivate(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, file, link} {
		if _, err := Load(t.Context(), guests.Echo(), Options{Name: "t", CacheDir: dir}); err == nil {
			t.Errorf("%s was taken", dir)
		}
	}
	_, err := Load(t.Context(), guests.Echo(), Options{Name: "t", CacheDir: open})
	wantCode(t, err, core.CodeDenied, "0700")
}

func TestBoundTables(t *testing.T) {
	for _, tt := range []struct{ low, high, want uint32 }{
		{1, 0, tableEntries}, {1, 10, 10}, {1, 4_000_000_000, tableEntries}, {5, 5, 5},
	} {
		m := guests.New()
		m.Table(tt.low, tt.high)
		wasm := m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine())).Bytes()
		m2 := guests.New()
		m2.Table(tt.low, tt.want)
		want := m2.Export(abi.ToolCall, m2.Func("ii", "l", "", guests.Fine())).Bytes()
		if got := boundTables(wasm); string(got) != string(want) {
			t.Errorf("%d %d: %x, want %x", tt.low, tt.high, got, want)
		}
	}
	if wasm := guests.Echo(); string(boundTables(wasm)) != string(wasm) {
		t.Error("a module without tables was changed")
	}
}

func TestPrune(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	_ = load(t, guests.Echo(), func(o *Options) { o.CacheDir = dir })
	_ = load(t, guests.KVOnce(), func(o *Options) {
		o.CacheDir, o.Grant.KV = dir, true
		o.Now = func() time.Time { return time.Now().Add(cacheAge + time.Hour) }
	})
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d modules in the cache, want 1: the other was not loaded for a month; %v", len(left), err)
	}
}
