package author

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/selftest"
)

const about = `apiVersion: sallyport/v1
name: acme/echo
version: 1.0.0
abi: sallyport/1
kinds: [invoker]
`

// made writes the folder of a plugin, and returns how it is built: as the bytes given.
func made(t *testing.T, text string, wasm []byte) BuildOptions {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"plugin.yaml":        text,
		"fixtures/self.yaml": "selftest: true\ncases: [{name: a, call: tool_call, text: x, expect: {text: x}}]\n",
		"fixtures/more.yml":  "cases: [{name: b, call: tool_call}, {name: c, call: tool_call}]\n",
		"fixtures/notes.txt": "no fixture",
	}
	if err := os.Mkdir(filepath.Join(dir, "fixtures"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return BuildOptions{Dir: dir, Compile: func(_ context.Context, _, out string) error { return os.WriteFile(out, wasm, 0o600) }}
}

func TestBuild(t *testing.T) {
	o := made(t, about+"capabilities: {progress: true}\n", guests.Echo())
	b, err := Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if b.Embedded != 1 || strings.Join(b.Unused, " ") != "progress" || len(b.Capabilities) != 0 || b.Gzip >= b.Size || !strings.HasPrefix(b.Digest, "sha256:") {
		t.Errorf("%+v", b)
	}
	p, err := Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest != b.Digest || len(p.Suites) != 2 {
		t.Errorf("digest %s, want %s; %d suites", p.Digest, b.Digest, len(p.Suites))
	}
	carried, err := selftest.FromModule(p.Wasm)
	if err != nil || len(carried) != 1 || carried[0].File != "fixtures/self.yaml" {
		t.Errorf("the module carries %v %v", carried, err)
	}
	m, err := manifest.FromModule("x", p.Wasm)
	if err != nil || m.Name != "acme/echo" {
		t.Errorf("%v %v", m, err)
	}
	// The same sources make the same module.
	if again, err := Build(t.Context(), o); err != nil || again.Digest != b.Digest {
		t.Errorf("built again: %v %v", again, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	tests := map[string]struct {
		text string
		wasm []byte
		want []string
	}{
		"a kind that is not exported": {strings.Replace(about, "[invoker]", "[invoker, authorizer]", 1), guests.KVOnce(), []string{"sallyport_authorize", "capability kv", "kv_get"}},
		"an import that no host has": {about, func() []byte {
			m := guests.New(func(m *guests.Module) { m.Import("sallyport_v1", "teleport", "", "") })
			return m.Export("sallyport_tool_call", m.Func("ii", "l", "", guests.Fine())).Bytes()
		}(), []string{"sallyport_v1.teleport"}},
		"no module":  {about, []byte("ELF"), []string{"no WebAssembly module"}},
		"a bomb":     {about, guests.CompileBomb(50_000), []string{"limit"}},
		"a manifest": {about + "tool: x\n", guests.Echo(), []string{"did you mean tools?"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := made(t, tt.text, tt.wasm)
			out := filepath.Join(o.Dir, "echo.wasm")
			if err := os.WriteFile(out, []byte("former"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Build(t.Context(), o)
			if err == nil {
				t.Fatal("it is built")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
			if left, err := os.ReadFile(out); err != nil || string(left) != "former" {
				t.Errorf("the former module became %q (%v)", left, err)
			}
		})
	}
	o := made(t, about, guests.Echo())
	o.Out = filepath.Join(o.Dir, "nowhere", "x.wasm")
	if _, err := Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "there is no folder") {
		t.Errorf("got %v", err)
	}
	o.Compile, o.Out = func(context.Context, string, string) error { return errors.New("no compiler") }, ""
	if _, err := Build(t.Context(), o); err == nil || err.Error() != "no compiler" {
		t.Errorf("got %v", err)
	}
}

func TestStale(t *testing.T) {
	o := made(t, about, guests.Echo())
	if _, err := Build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for _, step := range []struct{ write, want string }{{"", ""}, {"fixtures/later.yaml", ""}, {"main_test.go", ""}, {"vendor/x.go", ""}, {"lib.rs", "lib.rs"}} {
		for _, name := range []string{"echo.wasm", "plugin.yaml"} {
			if err := os.Chtimes(filepath.Join(o.Dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
		if step.write != "" {
			file := filepath.Join(o.Dir, step.write)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("cases: [{name: z, call: configure}]"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p, err := Open(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if p.Stale != "" {
			p.Stale = filepath.Base(p.Stale)
		}
		if p.Stale != step.want {
			t.Errorf("after %q: %q, want %q", step.write, p.Stale, step.want)
		}
	}
}

func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if _, err := Keygen(file, "two\nlines", time.Time{}, strings.NewReader(strings.Repeat("x", 64))); err == nil {
		t.Error("an owner of two lines is taken")
	}
	if _, err := Keygen(file, "", time.Time{}, strings.NewReader("short")); err == nil {
		t.Error("a key is made without enough chance")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a key that was not made is there")
	}
	k, err := Keygen(file, "acme", time.Time{}, strings.NewReader(strings.Repeat("x", 64)))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if k.Ed25519 == nil || k.Owner != "acme" {
		t.Errorf("%+v", k)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Keygen(file, "", time.Time{}, strings.NewReader(strings.Repeat("y", 64))); err == nil || !strings.Contains(err.Error(), ".pub is there already") {
		t.Errorf("got %v", err)
	}
}

func TestDocument(t *testing.T) {
	for _, tt := range []struct{ kinds, want string }{
		{"[invoker]", `"catalogues":[{"config":{"plugin":"echo"},"kind":"wasm"}]`},
		{"[authorizer]", `"match":{}`},
	} {
		o := made(t, strings.Replace(about, "[invoker]", tt.kinds, 1)+"capabilities: {kv: {namespace: a}, secrets: [word]}\nlimits: {memory: 64MiB}\n", guests.Echo())
		if _, err := Build(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		p, err := Open(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Document(p, RunOptions{Config: []byte(`{"a":1}`)})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{tt.want, `"config":{"a":1}`, `"secrets":["word"]`, `"memory":"64MiB"`, `"source":"echo.wasm"`, p.Digest} {
			if !strings.Contains(string(s.Document), want) {
				t.Errorf("%s: no %s in %s", tt.kinds, want, s.Document)
			}
		}
		if s.Echo != (tt.kinds == "[authorizer]") || len(s.Granted) != 2 || len(s.Secrets) != 1 || filepath.Dir(s.File) != o.Dir {
			t.Errorf("%+v", s)
		}
	}
}
