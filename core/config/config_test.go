package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func messages(problems []core.Problem) string { return strings.TrimSpace(Format(problems)) }

func TestReadDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	do(t, os.MkdirAll("gw/inner.yaml", 0o700))
	for name, server := range map[string]string{
		"gw/b.yaml": "b", "gw/a.json": "", "gw/c.yml": "c", "gw/.hidden.yaml": "x", "gw/settings.yaml": "x", "gw/sallyport.yml": "x", "gw/settings.json": "x",
		"gw/notes.txt": "x", "gw/d.yaml~": "x", "gw/inner.yaml/e.yaml": "x", "other.yaml": "other",
	} {
		content := "servers: [{name: " + server + "}]"
		if strings.HasSuffix(name, ".json") {
			content = `{"servers": [{"name": "a"}], "connections": [{"name": "shop", "baseUrl": "http://x"}]}`
		}
		write(t, name, content)
	}
	cfg, problems := Read([]string{"other.yaml", "gw", "gw/b.yaml", "./other.yaml"}, Options{})
	if len(problems) > 0 {
		t.Fatal(Format(problems))
	}
	var names []string
	for _, s := range cfg.Servers {
		names = append(names, s.Name)
	}
	if want := []string{"other", "a", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if len(cfg.Sources) != 4 || cfg.Sources[1].Name() != "gw/a.json" || cfg.Sources[1].Root() != filepath.Join(dir, "gw") {
		t.Errorf("sources: %v", cfg.Sources)
	}
	if at := cfg.Connections[0].At; at.Path != "/connections/0" || at.Source != cfg.Sources[1] {
		t.Errorf("at: %+v", at)
	}
}

func TestReadPaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	do(t, os.Mkdir("empty", 0o700))
	do(t, syscall.Mkfifo("pipe.yaml", 0o600))
	write(t, "large.yaml", strings.Repeat("#", maxFile+1))
	write(t, "secret.yaml", "{}")
	for _, row := range []struct {
		paths []string
		want  string
	}{
		{nil, "no gateway document is named; name a file or a directory with --config"},
		{[]string{"absent.yaml"}, "absent.yaml: cannot read the document: no such file; name a file that the gateway may read"},
		{[]string{"empty"}, "empty: the directory holds no gateway document; put a file into it whose name ends in .yaml, .yml or .json (settings.* and sallyport.* do not count)"},
		{[]string{"pipe.yaml"}, "pipe.yaml: cannot read the document: not a regular file; name a file that the gateway may read"},
		{[]string{"large.yaml"}, "large.yaml: cannot read the document: too large; a document holds at most 8 MiB: split it"},
	} {
		if _, problems := Read(row.paths, Options{}); messages(problems) != row.want {
			t.Errorf("%v: got %s\nwant %s", row.paths, messages(problems), row.want)
		}
	}
	if _, problems := ReadText("x.yaml", make([]byte, maxFile+1), Options{}); messages(problems) != "x.yaml: cannot read the document: too large; a document holds at most 8 MiB: split it" {
		t.Error(messages(problems))
	}
}

func TestReadTotal(t *testing.T) {
	t.Chdir(t.TempDir())
	var paths []string
	for i := range 9 {
		name := string(rune('a'+i)) + ".yaml"
		write(t, name, "{}\n"+strings.Repeat("#", maxFile-10))
		paths = append(paths, name)
	}
	_, problems := Read(paths, Options{})
	if got, want := messages(problems), "i.yaml: the documents together hold more than 64 MiB; serve fewer of them with one gateway"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A document with mistakes still gives what could be read, so that the rest can be
// judged.
func TestReadInPart(t *testing.T) {
	cfg, problems := ReadText("x.yaml", []byte("servers:\n  - name: a\n    pageSize: x\n    tools:\n      - {name: t, tilte: x, invoker: {kind: rest, config: {path: /x}}}\n"), options)
	if len(problems) != 2 || len(cfg.Servers) != 1 || cfg.Servers[0].Tools[0].Name != "t" || string(cfg.Servers[0].Tools[0].Invoker.Config) != `{"path":"/x"}` {
		t.Errorf("%v\n%s", cfg, Format(problems))
	}
}

func TestManyMistakes(t *testing.T) {
	_, problems := ReadText("x.yaml", []byte("servers: ["+strings.Repeat("1,", 100_000)+"]"), Options{})
	if len(problems) != maxProblems+1 || problems[maxProblems].Message != "more than 200 mistakes" {
		t.Errorf("%d problems, the last: %v", len(problems), problems[len(problems)-1])
	}
}

func TestPosition(t *testing.T) {
	for name, document := range map[string]string{
		"a.yaml": "servers:\n  - name: a\n    tools:\n      - name: t\n        inputSchema: {\"a/b~c\": [1, 2],\n          x: &x {y: 1}, z: *x}\n        invoker: {kind: rest}\n",
		"a.json": "{\"servers\":\n  [{\"name\": \"a\",\n    \"tools\":\n      [{\"name\": \"t\",\n        \"inputSchema\": {\"a/b~c\": [1, 2],\n          \"x\": {\"y\": 1}},\n        \"invoker\": {}}]}]}",
	} {
		cfg, _ := ReadText(name, []byte(document), Options{})
		source := cfg.Sources[0]
		tool := cfg.Servers[0].Tools[0]
		if tool.Path != "/servers/0/tools/0" {
			t.Errorf("%s: path %s", name, tool.Path)
		}
		rows := map[string][3]int{ // path → YAML line, JSON line, found
			"": {1, 1, 1}, "/servers": {2, 2, 1}, "/servers/0": {2, 2, 1}, "/servers/0/tools/0/name": {4, 4, 1},
			"/servers/0/tools/0/inputSchema/a~1b~0c/1": {5, 5, 1}, "/servers/0/tools/0/inputSchema/x/y": {6, 6, 1},
			"/servers/1": {0, 0, 0}, "/servers/00": {0, 0, 0}, "/servers/-1": {0, 0, 0}, "/servers/x": {0, 0, 0}, "/servers/0/name/x": {0, 0, 0}, "servers": {0, 0, 0},
		}
		for path, want := range rows {
			line, column, found := source.Position(path)
			want := map[string]int{"a.yaml": want[0], "a.json": want[1]}[name]
			if found != (want > 0) || line != want || found != (column > 0) {
				t.Errorf("%s %s: got %d:%d %v, want line %d", name, path, line, column, found, want)
			}
		}
		p := tool.Problem("/inputSchema/x/absent/deeper", "m", "f")
		if p.Line != 6 || p.File != name {
			t.Errorf("%s: the nearest part that exists: %+v", name, p)
		}
	}
}

func TestPositionConcurrently(t *testing.T) {
	cfg, _ := ReadText("a.yaml", []byte("servers: [{name: a}]"), Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if line, column, found := cfg.Sources[0].Position("/servers/0/name"); line != 1 || column != 18 || !found {
				t.Error(line, column, found)
			}
		})
	}
	all.Wait()
}

// Plugins of all documents are one list; each knows its document, which its files are
// read beside.
func TestPluginsOfSeveralDocuments(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	do(t, os.Mkdir("gw", 0o700))
	write(t, "gw/a.yaml", "plugins: [{name: a, source: a.wasm}]\n")
	write(t, "gw/b.json", `{"plugins": [{"name": "b", "source": "oci://h.example/b:1"}, {"name": "c", "source": "c.wasm"}]}`)
	cfg, problems := Read([]string{"gw"}, options)
	if len(problems) > 0 || len(cfg.Plugins) != 3 {
		t.Fatalf("%+v %s", cfg.Plugins, Format(problems))
	}
	for i, want := range []string{"gw/a.yaml:1:11: /plugins/0: m", "gw/b.json:1:14: /plugins/0: m", "gw/b.json:1:62: /plugins/1: m"} {
		p := &cfg.Plugins[i]
		if got := Format([]core.Problem{p.Problem("", "m", "")}); got != want+"\n" || p.At.Source.Root() != filepath.Join(dir, "gw") {
			t.Errorf("got %s in %s, want %s", got, p.At.Source.Root(), want)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	cfg, _ := ReadText("a.yaml", []byte("plugins: [{name: p, source: a.wasm, secrets: {key: canary}}]\nconnections: [{name: a, baseUrl: 'http://x', credential: {type: bearer, token: canary}, tls: {key: canary}}]"), Options{})
	b, err := json.Marshal(cfg)
	if err != nil || bytes.Contains(b, []byte("canary")) || cfg.Connections[0].Credential.Token.Reveal() != "canary" || cfg.Plugins[0].Secrets["key"].Reveal() != "canary" {
		t.Errorf("%s %v", b, err)
	}
}

func TestEnvironmentOfTheProcess(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_URL", "http://from-env")
	cfg, problems := ReadText("a.yaml", []byte("connections: [{name: a, baseUrl: '${env:SALLYPORT_TEST_URL}'}]"), Options{})
	if len(problems) > 0 || cfg.Connections[0].BaseURL != "http://from-env" {
		t.Errorf("%v %s", cfg, Format(problems))
	}
}

func TestMerge(t *testing.T) {
	structural := []core.Problem{
		{File: "a", Path: "/servers/0/tools/1", Message: "s1", Line: 5, Column: 1},
		{File: "a", Path: "", Message: "s2", Line: 1, Column: 1},
		{File: "a", Path: "/servers/2", Message: "s3", Warning: true, Line: 9, Column: 1},
	}
	semantic := []core.Problem{
		{File: "a", Path: "/servers/0/tools/1", Message: "same place"},
		{File: "a", Path: "/servers/0/tools/1/name", Message: "below"},
		{File: "a", Path: "/servers/0/tools/10", Message: "beside"},
		{File: "a", Path: "/servers/0", Message: "above"},
		{File: "b", Path: "/servers/0/tools/1", Message: "another file"},
		{File: "a", Path: "", Message: "the whole"},
		{File: "a", Path: "/servers/2/x", Message: "below a warning"},
		{Path: "/servers/0/tools/1", Message: "no file"},
	}
	var got []string
	for _, p := range Merge(structural, semantic) {
		got = append(got, p.Message)
	}
	want := []string{"no file", "the whole", "above", "beside", "below a warning", "s2", "s1", "s3", "another file"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestFormat(t *testing.T) {
	got := Format([]core.Problem{
		{File: "b.yaml", Line: 2, Column: 1, Path: "/x", Message: "m", Fix: "f"},
		{File: "a.yaml", Line: 10, Column: 1, Path: "/y", Message: "m"},
		{File: "a.yaml", Line: 2, Column: 7, Path: "/z", Message: "m", Fix: "f"},
		{File: "a.yaml", Line: 2, Column: 7, Path: "/z", Message: "m", Fix: "f"},
		{File: "a.yaml", Line: 2, Column: 3, Message: "m", Warning: true},
		{File: "c.yaml", Message: "m"},
		{Path: "SALLYPORT_LISTEN", Message: "m"},
		{File: "e\x1b[31m.yaml", Line: 1, Column: 1, Path: "/\n", Message: "é \u202e", Fix: "\r"},
	})
	want := `SALLYPORT_LISTEN: m
a.yaml:2:3: warning: m
a.yaml:2:7: /z: m; f
a.yaml:10:1: /y: m
b.yaml:2:1: /x: m; f
c.yaml: m
e\x1b[31m.yaml:1:1: /\n: é \u202e; \r
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if Refused(nil) || Refused([]core.Problem{{Warning: true}}) || !Refused([]core.Problem{{Warning: true}, {}}) {
		t.Error("Refused")
	}
}

func TestNearest(t *testing.T) {
	known := []string{"name", "baseUrl", "headers", "maxInFlight"}
	for word, want := range map[string]string{
		"nmae": "name", "names": "name", "base_url": "baseUrl", "BASE-URL": "baseUrl", "header": "headers", "max_in_flight": "maxInFlight", "zzz": "", "": "", "tls": "",
		strings.Repeat("name", 100): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

// What the shapes promise of themselves: examples and standard values are right, and
// every pattern says what it means.
func TestShapes(t *testing.T) {
	for _, top := range []*shape{document, settings} {
		for _, s := range within(top) {
			if s.example != "" && sample(s.example, s) == nil {
				n := &mistakes{file: s.name}
				(&reader{found: n, source: &source{}, options: options}).read(parseYAML([]byte(s.example), n), s, noValue)
				t.Errorf("the example of %s is wrong:\n%s", s.name, Format(n.list))
			}
			for _, f := range s.fields {
				if f.about == "" || !strings.HasSuffix(f.about, ".") {
					t.Errorf("%s.%s: says nothing, or not in sentences", s.name, f.key)
				}
				if f.standard != "" && sample(f.standard, f.shape) == nil {
					t.Errorf("%s.%s: the standard value %s is wrong", s.name, f.key, f.standard)
				}
				for _, example := range f.examples {
					if sample(example, f.shape) == nil {
						t.Errorf("%s.%s: the example %s is wrong", s.name, f.key, example)
					}
				}
				if f.shape.pattern != nil && f.shape.says == "" {
					t.Errorf("%s.%s: the pattern does not say what it means", s.name, f.key)
				}
			}
		}
	}
}

// A struct and its shape cannot differ: describe refuses to start.
func TestDescribe(t *testing.T) {
	type pair struct {
		A string `json:"a"`
		B string `json:"b"`
	}
	for name, start := range map[string]func(){
		"a field too few": func() { describe[pair]("pair", "", nil, may("a", prose(), "")) },
		"a field too many": func() {
			describe[pair]("pair", "", nil, may("a", prose(), ""), may("b", prose(), ""), may("c", prose(), ""))
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			start()
		}()
	}
	describe[pair]("pair", "", map[string]string{"b": "elsewhere"}, may("a", prose(), ""))
}

// Our JSON reader and core/wire agree on what is JSON.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2.5e-3,"\u00e9\ud83d\ude00",true,null]}`, `[`, `{"a":1,}`, "{\"a\"\t:\r\n1}", `"\ud800"`, `-0.0`, `01`, "\ufeff1", `{"a":1,"a":2}`, "\"\x00\""} {
		f.Add([]byte(seed))
	}
	limits := wire.Limits{Depth: maxDepth, Keys: 1 << 30, String: 1 << 30, Number: maxNumber}
	f.Fuzz(func(t *testing.T, b []byte) {
		found := &mistakes{}
		root := parse("x.json", b, found)
		ours := root != nil && len(found.list) == 0
		if root == nil && len(found.list) == 0 {
			t.Fatal("refused without a reason")
		}
		theirs := wire.Check(b, limits)
		if ours && theirs != nil && !bytes.HasPrefix(b, []byte("\ufeff")) {
			t.Fatalf("accepted %q, which wire refuses: %v", b, theirs)
		}
		if !ours && theirs == nil && checkCharacters(b, &mistakes{}) {
			t.Fatalf("refused %q, which wire accepts: %v", b, found.list)
		}
		if !ours {
			return
		}
		want, err := wire.Compact(bytes.TrimPrefix(b, []byte("\ufeff")))
		if err != nil {
			t.Fatal(err)
		}
		again, err := wire.Compact(root.appendJSON(nil, nil))
		if err != nil || !sameJSON(t, want, again) {
			t.Fatalf("%q became %q (%v)", want, again, err)
		}
	})
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	x, err := wire.DecodeWithin(a, wire.Answer)
	if err != nil {
		t.Fatal(err)
	}
	y, err := wire.DecodeWithin(b, wire.Answer)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := wire.Marshal(x)
	q, _ := wire.Marshal(y)
	return bytes.Equal(p, q)
}

// No document stops the process, takes long, or is refused without a place; what is
// accepted is JSON that core/wire reads.
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		"servers: [{name: a}]", "a: &a [*a]", "? ? ? a", "a: |\n b\n c", "- - - a", "!!str 5: x", "%YAML 1.2\n---\na", "a: 1\n---\nb", "<<: {a: b}", "{a, b: c}", "\"\\u00e9\\x00\"", "a: *b",
		"connections: [{name: a, baseUrl: '${env:TOKEN}', headers: {A: '$${'}}]", "0x1F: 0o17", "a: 1e999999999", "&a a: *a",
		"plugins: [{name: a, source: 'oci://h/r:1', secrets: {k: '${env:TOKEN}'}, config: {a: [1.0]}, grants: {http: [{host: '*', ports: [1]}], kv: {max_bytes: 1MiB}}, limits: {cpu: 1s, memory: 1MiB}, match: {}}]",
		"servers: [{name: a, catalogues: [{kind: wasm, config: {plugin: p, key: '${env:TOKEN}'}, prefix: p.}], tools: [{authorizers: [{kind: wasm, config: &c {plugin: a}}], requestTransformers: [{kind: wasm, config: *c}]}]}]",
		"? &x [a]\n: *x", "a:\n\t- b", "\ufeffa: b", "a: &x {b: &y [c, *x]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		// A reader that never ends cannot be failed, only stopped.
		watchdog := time.AfterFunc(20*time.Second, func() { panic("takes more than 20 s") })
		cfg, problems := ReadText("x.yaml", b, options)
		watchdog.Stop()
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Fatalf("a problem without a place: %+v", p)
			}
		}
		if strings.Contains(Format(problems), "canary") {
			t.Fatal("a message shows a secret")
		}
		var all []json.RawMessage
		for _, p := range cfg.Plugins {
			all = append(all, p.Config)
		}
		for _, s := range cfg.Servers {
			for _, c := range s.Catalogues {
				all = append(all, c.Config)
			}
			for _, tool := range s.Tools {
				all = append(all, tool.InputSchema, tool.Meta, tool.Invoker.Config)
				for _, kind := range slices.Concat(tool.Authorizers, tool.Requests, tool.Transformers) {
					all = append(all, kind.Config)
				}
			}
		}
		for _, raw := range all {
			if err := wire.Check(raw, wire.Limits{Keys: 1 << 20}); raw != nil && err != nil {
				t.Fatalf("not JSON: %s: %v", raw, err)
			}
		}
		if _, _, found := cfg.Sources[0].Position(""); !found && len(problems) == 0 {
			t.Fatal("no position")
		}
	})
}

// spent is the time that processors gave to this process: a busy machine does not
// count.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// Documents that were built to take long.
func TestTime(t *testing.T) {
	for name, document := range map[string]string{
		"flow open":     strings.Repeat("[", 1<<20),
		"blocks":        strings.Repeat("- ", 1<<19),
		"keys open":     strings.Repeat("? ", 1<<19),
		"flow keys":     "{" + strings.Repeat("?,", 1<<18),
		"comments":      strings.Repeat("#\n", 1<<19) + "a: b",
		"one line":      "servers: [" + strings.Repeat("a, ", 1<<17) + "]",
		"anchors":       strings.Repeat("- &a x\n", 1<<16),
		"aliases":       "a: &a x\nb: [" + strings.Repeat("*a, ", 1<<17) + "]",
		"long key":      strings.Repeat("a", 1<<20) + ": b",
		"long text":     "a: \"" + strings.Repeat("\\n", 1<<19) + "\"",
		"digits":        "a: 0x" + strings.Repeat("F", 1<<20),
		"many keys":     strings.Repeat("a: b\n", 1<<16),
		"dollars":       "connections: [{name: a, baseUrl: '" + strings.Repeat("$", 1<<18) + "{'}]",
		"references":    "connections: [{name: a, baseUrl: '" + strings.Repeat("${env:TOKEN}", 1<<14) + "'}]",
		"base64":        "servers: [{name: a, resources: [{uri: u, name: n, base64: '" + strings.Repeat("aGk=", 1<<16) + "'}]}]",
		"duration":      "servers: [{name: a, cache: {ttl: '" + strings.Repeat("1", 1<<18) + "'}}]",
		"not a word":    "servers: [{name: a, cache: {scope: '" + strings.Repeat("public", 1<<16) + "'}}]",
		"unknown words": "servers: [{" + strings.Repeat("naem"+"x: 1, ", 1) + strings.Repeat("k", 1<<18) + ": 1}]",
	} {
		began := spent(t)
		if _, problems := ReadText("x.yaml", []byte(document), options); len(problems) == 0 {
			t.Errorf("%s: nothing is wrong", name)
		}
		if took := spent(t) - began; took > 10*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	var document bytes.Buffer
	document.WriteString("connections:\n" + item(connection.example) + "\nservers:\n  - name: a\n    tools:\n")
	for i := range 1000 {
		document.WriteString("      - " + strings.ReplaceAll(strings.TrimSpace(strings.Replace(tool.example, "get_book", "t"+string(rune('a'+i%26)), 1)), "\n", "\n        ") + "\n")
	}
	b.SetBytes(int64(document.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := ReadText("x.yaml", document.Bytes(), options); len(problems) > 0 {
			b.Fatal(Format(problems))
		}
	}
}

// The secrets of a tenant, with a canary that must be in no message.
func secrets(name string) (core.Secret, error) {
	switch name {
	case "shop":
		return "canary-of-store", nil
	case "lines":
		return "canary\nof store", nil
	case "bytes":
		return "canary\xff", nil
	case "evil":
		return "${env:TOKEN}${secret:shop}", nil
	case "broken":
		return "canary", errors.New("canary of an error")
	}
	return "", &core.Error{Code: core.CodeNotFound, Message: "there is no secret of that name", Fix: "set it"}
}

func TestSecretReferences(t *testing.T) {
	workplace(t)
	document := func(token string) []byte {
		return []byte("connections:\n  - name: a\n    baseUrl: http://x\n    credential: {type: bearer, token: \"" + token + "\"}\n")
	}
	o := options
	o.Secret = secrets
	for _, row := range []struct{ token, want, stored string }{ // stored "" = the same
		{"${secret:shop}", "canary-of-store", ""},
		{"a-${secret:shop}-b", "a-canary-of-store-b", ""},
		{"$${secret:shop}", "${secret:shop}", ""},
		{"${secret:evil}", "${env:TOKEN}${secret:shop}", ""},
		{"${secret:lines}", "canary\nof store", ""},
		{"${env:TOKEN}", "canary-of-env", "!a document that the store keeps cannot read the environment of the gateway"},
		{"${env:NONE:-x}", "x", "!a document that the store keeps cannot read the environment of the gateway"},
		{"${file:token}", "canary-of-file", "!a document that the store keeps cannot read files of the gateway"},
		{"${secret:none}", "!the secret \"none\" cannot be read: there is no secret of that name", ""},
		{"${secret:broken}", "!the secret \"broken\" cannot be read", ""},
		{"${secret:bytes}", "!the secret \"bytes\" is not UTF-8 text", ""},
		{"${secret:}", "!what stands after ${secret: cannot be the name of a secret", ""},
		{"${secret:1a}", "!what stands after ${secret: cannot be the name of a secret", ""},
		{"${secret:a:-b}", "!what stands after ${secret: cannot be the name of a secret", ""},
		{"${secret:a/b}", "!what stands after ${secret: cannot be the name of a secret", ""},
		{"${secret:${secret:a}}", "!a reference inside a reference", ""},
		{"${secret:a", "!a reference is not closed", ""},
	} {
		for _, stored := range []bool{false, true} {
			o.Stored = stored
			want := row.want
			if stored && row.stored != "" {
				want = row.stored
			}
			cfg, problems := ReadText("a.yaml", document(row.token), o)
			all := Format(problems)
			if message, bad := strings.CutPrefix(want, "!"); bad {
				if len(problems) != 1 || problems[0].Message != message || problems[0].Line != 4 || problems[0].Column != 39 || strings.Contains(all, "canary") {
					t.Errorf("%s (stored %v): %+v", row.token, stored, problems)
				}
				if stored && row.stored != "" && !strings.Contains(problems[0].Fix, "${secret:NAME}") {
					t.Errorf("%s: %s does not say what to write", row.token, all)
				}
				continue
			}
			if len(problems) > 0 || cfg.Connections[0].Credential.Token.Reveal() != want {
				t.Errorf("%s (stored %v): %v, %s", row.token, stored, cfg.Connections, all)
			}
		}
	}
	o.Secret, o.Stored = nil, false
	_, problems := ReadText("a.yaml", document("${secret:shop}"), o)
	if len(problems) != 1 || !strings.Contains(Format(problems), "${env:NAME}") {
		t.Errorf("without a store: %s", Format(problems))
	}
	// Where no reference may stand, none of a secret may either, and the config of a kind
	// takes them where its schema says so.
	o.Secret = secrets
	for text, want := range map[string]string{
		"servers: [{name: a, description: '${secret:shop}'}]":                                                         "a reference cannot stand here",
		"servers: [{name: a, tools: [{name: t, invoker: {kind: rest, config: {path: '${secret:shop}'}}}]}]":           "a reference cannot stand here",
		"servers: [{name: a, tools: [{name: t, invoker: {kind: rest, config: {path: /x, host: '${secret:none}'}}}]}]": "there is no secret of that name",
	} {
		if _, problems := ReadText("a.yaml", []byte(text), o); len(problems) != 1 || !strings.Contains(Format(problems), want) {
			t.Errorf("%s: %s", text, Format(problems))
		}
	}
	cfg, problems := ReadText("a.yaml", []byte("servers: [{name: a, tools: [{name: t, invoker: {kind: rest, config: {path: /x, host: '${secret:shop}'}}}]}]"), o)
	if len(problems) > 0 || !strings.Contains(string(cfg.Servers[0].Tools[0].Invoker.Config), "canary-of-store") {
		t.Errorf("%s", Format(problems))
	}
}

// A document that the store keeps names no file of the gateway. The test of the test
// reads the same document from a file.
func TestStoredDocumentsNameNoFiles(t *testing.T) {
	workplace(t)
	text := []byte(`plugins:
  - {name: a, source: a.wasm}
  - {name: b, source: /etc/b.wasm, manifest: b.yaml}
  - {name: c, source: "oci://registry.example.com/acme/c:1"}
  - {name: d, source: "store:acme-d"}
servers:
  - name: s
    resources:
      - {uri: "a:///1", name: r, file: token}
      - {uri: "a:///2", name: q, text: "x"}
    resourceTemplates:
      - {uriTemplate: "b:///{id}", name: u, file: "books/{id}"}
    prompts:
      - name: p
        messages:
          - {role: user, image: {file: x.png}}
          - {role: user, image: {base64: "AAAA", mimeType: image/png}}
`)
	if _, problems := ReadText("a.yaml", text, options); len(problems) > 0 {
		t.Fatal(Format(problems))
	}
	o := options
	o.Stored, o.Env, o.Secret = true, func(string) (string, bool) { t.Error("the environment was read"); return "", true }, secrets
	cfg, problems := ReadText("a.yaml", text, o)
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
		if p.Message != "a document that the store keeps cannot name a file of the gateway" || p.Fix == "" || p.Line == 0 {
			t.Errorf("%+v", p)
		}
	}
	want := []string{
		"/plugins/0/source", "/plugins/1/source", "/plugins/1/manifest", "/servers/0/resources/0/file",
		"/servers/0/resourceTemplates/0/file", "/servers/0/prompts/0/messages/0/image/file",
	}
	slices.Sort(paths)
	if slices.Sort(want); !slices.Equal(paths, want) {
		t.Errorf("problems at %v, want %v", paths, want)
	}
	if root := cfg.Sources[0].Root(); root != "" {
		t.Errorf("files are read under %q", root)
	}
	for _, p := range []string{"${env:TOKEN}", "${file:/etc/passwd}"} {
		if _, problems := ReadText("a.yaml", []byte("connections: [{name: a, baseUrl: '"+p+"'}]"), o); len(problems) != 1 {
			t.Errorf("%s: %s", p, Format(problems))
		}
	}
}
