package plugins

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

// kvGuest imports kv_get.
func kvGuest(t testing.TB, more ...string) []byte {
	return carrying(t, guests.KVOnce(), yaml("invoker", append(more, oneTool)...))
}

const wantsKV = "capabilities: {kv: {namespace: notes}}"

func TestOpenMistakes(t *testing.T) {
	const everything = `capabilities:
  http: [{host: api.example.com, inject: {header: X-Key, secret: api_key}}]
  kv: {namespace: notes}
  secrets: [token]
  progress: true
  call_tool: ["shop.*"]`
	const schema = `config_schema: {type: object, required: [units], additionalProperties: false, properties: {units: {enum: [metric]}, deep: {type: object, properties: {"a/b": {type: integer}}}, key: {type: string, pattern: "^x"}}}`
	tests := []struct {
		name   string
		wasm   []byte
		change func(*core.PluginConfig)
		files  map[string]string
		want   []string // beginnings of lines "error /path: …"; each must be there, and no others
	}{
		{"no mistake", echo(t), nil, nil, nil},
		{"no name", echo(t), func(c *core.PluginConfig) { c.Name = "" }, nil, []string{"error /plugins/0/name: name is required"}},
		{"no source", echo(t), func(c *core.PluginConfig) { c.Source = "" }, nil, []string{"error /plugins/0/source: source is no file"}},
		{"another scheme", echo(t), func(c *core.PluginConfig) { c.Source = "https://x/p.wasm" }, nil, []string{"error /plugins/0/source: source is no file"}},
		{"no file", echo(t), func(c *core.PluginConfig) { c.Source = "q.wasm" }, nil, []string{"error /plugins/0/source: there is no file q.wasm; relative paths"}},
		{"out of the directory", echo(t), func(c *core.PluginConfig) { c.Source = "../p.wasm" }, nil, []string{"error /plugins/0/source: ../p.wasm leads out"}},
		{"a directory", echo(t), func(c *core.PluginConfig) { c.Source = "." }, nil, []string{"error /plugins/0/source: . is no file"}},
		{"no document file", echo(t), func(c *core.PluginConfig) { c.At = core.At{Path: "/plugins/0"} }, nil, []string{"error /plugins/0/source: \"p.wasm\" is below no directory"}},
		{"no module", []byte("hello"), nil, nil, []string{"error /plugins/0/source: p.wasm is no WebAssembly module"}},
		{"a broken module", carrying(t, []byte("\x00asm\x01\x00\x00\x00"), yaml("invoker")), nil, nil, []string{"error /plugins/0/source: the manifest lists the kind invoker, and the module does not export sallyport_tool_call"}},
		{"no manifest", guests.Echo(), nil, nil, []string{"error /plugins/0/source: p.wasm: the module has no manifest"}},
		{"a bad manifest beside it", guests.Echo(), nil, map[string]string{"plugin.yaml": "apiVersion: sallyport/v1\n"}, []string{
			"error /plugins/0/source: plugin.yaml:1:1: name is missing", "error /plugins/0/source: plugin.yaml:1:1: version is missing",
			"error /plugins/0/source: plugin.yaml:1:1: abi is missing", "error /plugins/0/source: plugin.yaml:1:1: kinds is missing",
		}},
		{"a manifest beside it", guests.Echo(), nil, map[string]string{"plugin.yaml": yaml("invoker", oneTool)}, nil},
		{"a manifest beside it that differs", echo(t), nil, map[string]string{"plugin.yaml": yaml("invoker", oneTool, "description: another")}, []string{"error /plugins/0/source: plugin.yaml: plugin.yaml and the manifest inside the module differ"}},
		{"a manifest of another plugin", echo(t), nil, map[string]string{"plugin.yaml": strings.Replace(yaml("authorizer"), "acme/test", "acme/other", 1)}, nil},
		{"a manifest that is named", guests.Echo(), func(c *core.PluginConfig) { c.Manifest = "m.yaml" }, map[string]string{"m.yaml": yaml("invoker", oneTool)}, nil},
		{"a manifest that is named and not there", guests.Echo(), func(c *core.PluginConfig) { c.Manifest = "m.yaml" }, nil, []string{"error /plugins/0/manifest: there is no file m.yaml"}},
		{"a manifest that is named and of another", echo(t), func(c *core.PluginConfig) { c.Manifest = "m.yaml" }, map[string]string{"m.yaml": yaml("authorizer")}, []string{"error /plugins/0/manifest: m.yaml: plugin.yaml and the manifest inside the module differ"}},
		{"a kind that is not exported", carrying(t, guests.Trap(), yaml("invoker, authorizer", oneTool)), nil, nil, []string{"error /plugins/0/source: the manifest lists the kind authorizer, and the module does not export sallyport_authorize"}},
		{"a wrong digest", echo(t), func(c *core.PluginConfig) { c.Digest = trust.Digest([]byte("x")) }, nil, []string{"error /plugins/0/digest: plugin p has digest sha256:"}},
		{"no digest", echo(t), func(c *core.PluginConfig) { c.Digest = "1.0.0" }, nil, []string{"error /plugins/0/digest: \"1.0.0\" is no digest"}},
		{"no level", echo(t), func(c *core.PluginConfig) { c.Trust = "maybe" }, nil, []string{"error /plugins/0/trust: trust level \"maybe\"; write required, warn or off"}},
		{"a stricter level", echo(t), func(c *core.PluginConfig) { c.Trust = "required" }, nil, []string{"error /plugins/0/source: plugin acme/test 1.0.0"}},
		{"warn", echo(t), func(c *core.PluginConfig) { c.Trust = "warn" }, nil, []string{"warning /plugins/0/source: plugin acme/test 1.0.0"}},
		{"no isolation", echo(t), func(c *core.PluginConfig) { c.Isolation = "shared" }, nil, nil},
		{"isolation per call", echo(t), func(c *core.PluginConfig) { c.Isolation = "call" }, nil, nil},
		{"isolation made weaker", carrying(t, guests.Echo(), yaml("invoker", oneTool, "isolation: call")), func(c *core.PluginConfig) { c.Isolation = "shared" }, nil, []string{"error /plugins/0/isolation: isolation can only be made stricter"}},
		{"no refresh", echo(t), func(c *core.PluginConfig) { c.Refresh = "1ms" }, nil, []string{"error /plugins/0/refresh: is no duration, or out of range"}},
		{"an import that is not granted", kvGuest(t, wantsKV), nil, nil, []string{"error /plugins/0/grants: the module imports functions of the capability kv, which is not granted: kv: keep up to 1MiB in namespace notes; if it should have it, write under grants: kv: {namespace: notes}"}},
		{"an import that the manifest does not ask for", kvGuest(t), func(c *core.PluginConfig) { c.Grants = &core.GrantsConfig{KV: &core.KVGrantConfig{}} }, nil, []string{"error /plugins/0/source: the module imports functions of the capability kv, which its manifest does not ask for"}},
		{"an import that is granted", kvGuest(t, wantsKV), func(c *core.PluginConfig) { c.Grants = &core.GrantsConfig{KV: &core.KVGrantConfig{}} }, nil, nil},
		{"a grant of another namespace", kvGuest(t, wantsKV), func(c *core.PluginConfig) {
			c.Grants = &core.GrantsConfig{KV: &core.KVGrantConfig{Namespace: "other"}}
		}, nil, []string{"error /plugins/0/grants: the module imports functions of the capability kv"}},
		{"more asked for than granted", carrying(t, guests.Echo(), yaml("invoker", everything)), nil, nil, []string{"warning /plugins/0/grants: the plugin asks for more than it is granted: http: GET to api.example.com over https, port 443, with secret api_key as header X-Key; kv: keep up to 1MiB in namespace notes; secret: read the value of token; progress: tell the client how far a call is; call_tool: call shop.* with the caller's rights"}},
		{"grants that make no sense", echo(t), func(c *core.PluginConfig) {
			c.Grants = &core.GrantsConfig{
				HTTP: []core.HTTPGrantConfig{{Host: "https://x"}, {Host: "x.example", Methods: []string{"get"}, Ports: []int{0}, Inject: &core.InjectGrantConfig{Secret: "A B"}}},
				KV:   &core.KVGrantConfig{Namespace: "a b"}, Secrets: []string{""}, CallTool: []string{"a b"},
			}
		}, nil, []string{
			"error /plugins/0/grants/http/0/host:", "error /plugins/0/grants/http/1/methods/0:", "error /plugins/0/grants/http/1/ports/0:", "error /plugins/0/grants/http/1/inject/secret:",
			"error /plugins/0/grants/kv/namespace:", "error /plugins/0/grants/secrets/0:", "error /plugins/0/grants/call_tool/0:",
		}},
		{"a grant of too much", echo(t), func(c *core.PluginConfig) {
			c.Grants = &core.GrantsConfig{KV: &core.KVGrantConfig{MaxBytes: 1 << 40}}
		}, nil, []string{"error /plugins/0/grants/kv/max_bytes: is out of range"}},
		{"secrets without values", carrying(t, guests.Echo(), yaml("invoker", everything)), func(c *core.PluginConfig) {
			c.Grants = &core.GrantsConfig{
				HTTP: []core.HTTPGrantConfig{{Host: "*", Inject: &core.InjectGrantConfig{Secret: "api_key"}}}, KV: &core.KVGrantConfig{},
				Secrets: []string{"*"}, Progress: true, CallTool: []string{"*"},
			}
			c.Secrets = map[string]core.Secret{"token": "", "typo": "x"}
		}, nil, []string{
			"error /plugins/0/secrets/api_key: the secret api_key is granted and has no value", "error /plugins/0/secrets/token: the secret token is granted and has no value",
			"warning /plugins/0/secrets/typo: the plugin does not use a secret of this name; its manifest asks for api_key, token",
		}},
		{"no object as config", echo(t), func(c *core.PluginConfig) { c.Config = []byte(`[1]`) }, nil, []string{"error /plugins/0/config: config is no JSON object"}},
		{"config without a schema", echo(t), func(c *core.PluginConfig) { c.Config = []byte(`{"a":1}`) }, nil, nil},
		{"config that is missing", carrying(t, guests.Echo(), yaml("invoker", schema)), nil, nil, []string{"error /plugins/0/config/units: is required"}},
		{"config that does not fit", carrying(t, guests.Echo(), yaml("invoker", schema)), func(c *core.PluginConfig) {
			c.Config = []byte(`{"units":"secret-value","more":1,"deep":{"a/b":"secret-value"},"key":"secret-value"}`)
		}, nil, []string{
			"error /plugins/0/config/units: is none of the values", "error /plugins/0/config/more: is not known to the plugin",
			"error /plugins/0/config/deep/a~1b: must be integer, not string", "error /plugins/0/config/key: does not fit pattern",
		}},
		{"config that fits", carrying(t, guests.Echo(), yaml("invoker", schema)), func(c *core.PluginConfig) { c.Config = []byte(`{"units":"metric"}`) }, nil, nil},
		{"a schema that does not compile", carrying(t, guests.Echo(), yaml("invoker", `config_schema: {type: 7}`)), nil, nil, []string{"error /plugins/0/source: the config_schema of the plugin's manifest does not compile"}},
		{"a schema that reads files", carrying(t, guests.Echo(), yaml("invoker", `config_schema: {$ref: "file:///etc/passwd"}`)), nil, nil, []string{"error /plugins/0/source: the config_schema of the plugin's manifest does not compile"}},
		{"a schema that goes round", carrying(t, guests.Echo(), yaml("invoker", `config_schema: {$ref: "#"}`)), nil, nil, []string{"error /plugins/0/source: the config_schema of the plugin's manifest does not compile: the schema refers back"}},
		{"config that the guest refuses", carrying(t, guests.Configured(), yaml("invoker", oneTool)), func(c *core.PluginConfig) { c.Config = []byte(`{"a":1}`) }, nil, []string{"error /plugins/0/config: plugin p refuses its configuration"}},
		{"limits out of range", echo(t), func(c *core.PluginConfig) {
			c.Limits = &core.PluginLimitsConfig{Memory: 1, Timeout: "2m", CPU: "soon", MaxInput: -1, MaxOutput: 1 << 40, Instances: 65, Queue: 5000}
		}, nil, []string{
			"error /plugins/0/limits/memory:", "error /plugins/0/limits/timeout: is no duration, or out of range; write a duration from 1ms to 1m", "error /plugins/0/limits/cpu:",
			"error /plugins/0/limits/max_input:", "error /plugins/0/limits/max_output:", "error /plugins/0/limits/instances:", "error /plugins/0/limits/queue:",
		}},
		{"limits of a kind on the way of every call", says(t, core.PluginAuthorizer, abi.OK, ""), func(c *core.PluginConfig) {
			c.Limits = &core.PluginLimitsConfig{Timeout: "3s"}
		}, nil, []string{"error /plugins/0/limits/timeout: is no duration, or out of range; write a duration from 1ms to 2s"}},
		{"memory that does not hold the module", carrying(t, guests.Roomy(), yaml("invoker", oneTool)), func(c *core.PluginConfig) {
			c.Limits = &core.PluginLimitsConfig{Memory: 1 << 20}
		}, nil, []string{"error /plugins/0/limits/memory: plugin p: it starts with 2 MiB of memory"}},
		{"an import that nobody knows", carrying(t, stranger(), yaml("invoker", oneTool)), nil, nil, []string{"error /plugins/0/source: plugin p: "}},
		{"a trap at the start", carrying(t, guests.Start(guests.Op(guests.Unreachable)), yaml("invoker", oneTool)), nil, nil, []string{"error /plugins/0/source: plugin p: its code failed"}},
		{"a disabled plugin is not looked at", []byte("hello"), func(c *core.PluginConfig) { c.Disabled = true }, nil, nil},
		{"no registries", echo(t), func(c *core.PluginConfig) { c.Source = "oci://registry.example.com/acme/test:1" }, nil, []string{"error /plugins/0/source: plugins are not fetched from registries here"}},
		{"no reference", echo(t), func(c *core.PluginConfig) { c.Source = "oci://x" }, nil, []string{"error /plugins/0/source: \"oci://x\" is no plugin reference"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, func(o *Options) { o.Dial = noEgress{} })
			dir := t.TempDir()
			write(t, filepath.Join(dir, "p.wasm"), test.wasm)
			for name, text := range test.files {
				write(t, filepath.Join(dir, name), []byte(text))
			}
			c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
			if test.change != nil {
				test.change(&c)
			}
			s, problems := h.Open(t.Context(), []core.PluginConfig{c})
			defer s.Close()
			got := words(problems)
			failed := false
			for _, p := range problems {
				failed = failed || !p.Warning
				if strings.Contains(p.Message+p.Fix, "secret-value") {
					t.Errorf("a value is repeated: %s", p.Message)
				}
				if c.At.Source != nil && (p.File == "" || p.Line == 0) {
					t.Errorf("a problem without a position: %+v", p)
				}
			}
			for _, want := range test.want {
				if i := slices.IndexFunc(got, func(line string) bool { return strings.HasPrefix(line, want) }); i >= 0 {
					got = slices.Delete(got, i, i+1)
				} else {
					t.Errorf("nothing says %q", want)
				}
			}
			for _, line := range got {
				t.Errorf("said beyond that: %s", line)
			}
			if c.Name == "" {
				return
			}
			p, err := s.Plugin(c.Name)
			switch {
			case failed && (!errors.Is(err, core.ErrReported) || p != nil):
				t.Errorf("a plugin with mistakes: %v, %v", p, err)
			case !failed && err != nil:
				t.Errorf("a plugin without mistakes: %v", err)
			}
		})
	}
}

// noEgress reaches nothing.
type noEgress struct{}

func (noEgress) Open(*core.Connection) (core.Upstream, error) { return nil, errors.New("no network") }

func stranger() []byte {
	m := guests.New(func(m *guests.Module) { m.Import("env", "system", "i", "i") })
	return m.Export(abi.ToolCall, m.Func("ii", "l", "", guests.Fine())).Bytes()
}

func TestOpenTwiceTheSameName(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), echo(t))
	one := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
	s, problems := h.Open(t.Context(), []core.PluginConfig{one, one})
	defer s.Close()
	if len(problems) != 1 || problems[0].Path != "/plugins/0/name" {
		t.Errorf("got %v", words(problems))
	}
	if p, err := s.Plugin("p"); err != nil || p == nil {
		t.Errorf("the first of them is lost: %v", err)
	}
}

func TestUnknownPlugin(t *testing.T) {
	h := newHost(t, nil)
	if _, err := open(t, h).Plugin("x"); err == nil || err.Error() != `there is no plugin "x"; declare it under plugins` {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), echo(t))
	s := open(t, h, core.PluginConfig{At: at(dir), Name: "b", Source: "p.wasm"}, core.PluginConfig{At: at(dir), Name: "a", Source: "p.wasm"})
	if _, err := s.Plugin("x"); err == nil || !strings.Contains(err.Error(), "known plugins: a, b") || core.AsError(err).Code != core.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

// A file below the document's directory may not lead out of it; an absolute path may.
func TestPathsOfSources(t *testing.T) {
	h := newHost(t, nil)
	dir, elsewhere := t.TempDir(), t.TempDir()
	outside := filepath.Join(elsewhere, "p.wasm")
	write(t, outside, echo(t))
	if err := os.Symlink(outside, filepath.Join(dir, "p.wasm")); err != nil {
		t.Fatal(err)
	}
	s, problems := h.Open(t.Context(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "p.wasm"}})
	defer s.Close()
	if len(problems) != 1 || problems[0].Path != "/plugins/0/source" || !strings.Contains(problems[0].Message, "leads out") {
		t.Errorf("a link that leads out: %v", words(problems))
	}
	for _, source := range []string{outside, "file://" + outside} {
		s := open(t, h, core.PluginConfig{At: at(dir), Name: "p", Source: source})
		if _, err := s.Plugin("p"); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestFiles(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sub", "p.wasm"), echo(t))
	s := open(t, h, core.PluginConfig{At: at(dir), Name: "p", Source: "sub/p.wasm"})
	var want []string
	for _, name := range []string{"p.wasm", "p.wasm.cosign.json", "p.wasm.sig", "plugin.yaml"} {
		want = append(want, filepath.Join(dir, "sub", name))
	}
	if got := s.Files(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	missing, _ := h.Open(t.Context(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "q.wasm"}})
	defer missing.Close()
	if got := missing.Files(); !slices.Contains(got, filepath.Join(dir, "q.wasm")) {
		t.Errorf("a file that is missing is not watched: %v", got)
	}
}

// The digest of files is that of the artifact that would be pushed, with or without
// plugin.yaml beside a module that carries its manifest.
func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.wasm")
	wasm := echo(t)
	write(t, file, wasm)
	want, err := registry.Pack(wasm, nil)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := ReadFiles(file, "")
	if err != nil || alone.Digest != want.Digest {
		t.Errorf("got %v, %v", alone, err)
	}
	write(t, filepath.Join(dir, "plugin.yaml"), []byte("# with a comment\n"+yaml("invoker", oneTool)))
	beside, err := ReadFiles(file, "")
	if err != nil || beside.Digest != want.Digest {
		t.Errorf("got %v, %v", beside, err)
	}
	write(t, file, guests.Echo())
	bare, err := ReadFiles(file, "")
	if err != nil || bare.Digest == want.Digest || bare.PluginYAML == nil {
		t.Errorf("got %v, %v", bare, err)
	}
	if err := bare.Check(); err != nil {
		t.Error(err)
	}
}

func TestHostRefusesAnOpenDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Dir: dir}); err == nil || core.AsError(err).Code != core.CodeDenied {
		t.Errorf("got %v", err)
	}
	private := filepath.Join(t.TempDir(), "plugins")
	write(t, filepath.Join(private, "running.json"), []byte(`{"plugins":{"p":{"digest":"sha256:1","manifest":{}}}}`))
	if _, err := New(Options{Dir: private}); err == nil || !strings.Contains(err.Error(), "running.json is damaged") {
		t.Errorf("got %v", err)
	}
	if _, err := New(Options{Rand: strings.NewReader("")}); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestTemporaryDirectory(t *testing.T) {
	h, err := New(Options{Trust: off(), InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	single(t, h, echo(t), nil)
	if _, err := os.Stat(h.dir); err != nil {
		t.Fatal(err)
	}
	shut(t, h)
	if _, err := os.Stat(h.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	s, problems := h.Open(t.Context(), nil)
	if len(problems) != 1 || s.Close() != nil {
		t.Errorf("a closed Host opens: %v", words(problems))
	}
}

// Two plugins keep their keys in one namespace only where the grants of both say so: it is
// the author who names it.
func TestSharedNamespace(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), kvGuest(t, wantsKV))
	for _, test := range []struct {
		first, second string
		shared        bool
	}{{"", "", false}, {"notes", "", false}, {"", "notes", false}, {"n*", "*", false}, {"notes", "notes", true}} {
		var configs []core.PluginConfig
		for name, namespace := range map[string]string{"p": test.first, "q": test.second} {
			configs = append(configs, core.PluginConfig{At: at(dir), Name: name, Source: "p.wasm", Grants: &core.GrantsConfig{KV: &core.KVGrantConfig{Namespace: namespace}}})
		}
		s, problems := h.Open(t.Context(), configs)
		got := words(problems)
		if test.shared != (len(got) == 0) || !test.shared && (len(got) != 1 || !strings.HasPrefix(got[0], "error /plugins/0/grants/kv: the namespace \"notes\" is also that of plugin")) {
			t.Errorf("%q and %q: %v", test.first, test.second, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A schema that branches without end is refused before it is tried.
func TestSchemaThatBranches(t *testing.T) {
	var b strings.Builder
	b.WriteString(`config_schema: {$ref: "#/$defs/a0", $defs: {`)
	for i := range 40 {
		fmt.Fprintf(&b, `a%d: {properties: {x: {allOf: [{$ref: "#/$defs/a%d"}, {$ref: "#/$defs/a%d"}]}}}, `, i, i+1, i+1)
	}
	b.WriteString(`a40: {type: object}}}`)
	h := newHost(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), carrying(t, guests.Echo(), yaml("invoker", b.String())))
	config := []byte(strings.Repeat(`{"x":`, 40) + "{}" + strings.Repeat("}", 40))
	s, problems := h.Open(t.Context(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "p.wasm", Config: config}})
	defer s.Close()
	if len(problems) != 1 || problems[0].Path != "/plugins/0/config" || !strings.Contains(problems[0].Message, "too many steps") {
		t.Errorf("got %v", words(problems))
	}
}
