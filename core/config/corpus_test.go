package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"

	"github.com/sallyport/sallyport/core"
)

var update = flag.Bool("update", false, "write the expected files of the tests, and the pages in docs")

// kinds for tests: rest marks places for references by $ref, in items and in
// additionalProperties; jq marks none.
var options = Options{
	Invokers: []core.Kind[core.Invoker]{{Name: "rest", Summary: "Calls a REST API.", Example: "path: /books", Schema: json.RawMessage(`{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"type": "object",
		"required": ["path"],
		"properties": {
			"path": {"type": "string", "pattern": "^/", "description": "Where."},
			"zeta": {}, "alpha": {},
			"connection": {"type": "string"},
			"method": {"enum": ["GET", "POST"], "default": "GET"},
			"host": {"type": "string", "format": "hostname", "pattern": "^[a-z.]+$", "x-sallyport-reference": true},
			"headers": {"type": "object", "additionalProperties": {"$ref": "#/$defs/value"}},
			"body": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}
		},
		"additionalProperties": false,
		"$defs": {
			"value": {"type": "string", "x-sallyport-reference": true},
			"tree": {"type": "array", "items": {"type": "object", "properties": {
				"secret": {"$ref": "#/$defs/value"}, "plain": {"type": "string"}, "inner": {"$ref": "#/$defs/tree"}
			}}}
		}
	}`)}},
	Transformers: []core.Kind[core.Transformer]{{Name: "jq", Summary: "Reshapes.", Schema: json.RawMessage(`{
		"type": "object", "required": ["expression"], "properties": {"expression": {"type": "string"}}, "additionalProperties": false
	}`)}},
	Requests:    []core.Kind[core.RequestTransformer]{{Name: "wasm", Summary: "Rewrites arguments.", Schema: plugged}},
	Authorizers: []core.Kind[core.CallAuthorizer]{{Name: "wasm", Summary: "Asks a plugin.", Schema: plugged}},
	Catalogues:  []core.Kind[core.Catalogue]{{Name: "wasm", Summary: "Lists tools.", Schema: plugged, Example: "plugin: weather"}},
	Secret:      secrets,
	Env: func(name string) (string, bool) {
		value, set := map[string]string{
			"TOKEN": "canary-of-env", "EMPTY": "", "BAD_ORIGIN": "canary/origin", "URL": "http://shop.example/v1", "REF": "${env:TOKEN}", "HOST": "shop.example",
		}[name]
		return value, set
	},
}

var plugged = json.RawMessage(`{
	"type": "object", "required": ["plugin"], "additionalProperties": false,
	"properties": {"plugin": {"type": "string", "description": "Which."}, "key": {"type": "string", "x-sallyport-reference": true}}
}`)

// workplace makes a directory with the files that documents refer to, and goes there.
func workplace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"token": "canary-of-file\n", "windows": "canary-of-file\r\n", "two-lines": "canary\nof file\n", "binary": "a\x00b", "large": strings.Repeat("x", maxReference+1), "ref": "${env:TOKEN}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

// onlyReader lists the mistakes that JSON Schema cannot say; all others the Schema
// must refuse too.
var onlyReader = map[string]string{
	"duration-long.yaml": "bounds of durations", "duration-zero.yaml": "bounds of durations", "tool-timeout.yaml": "bounds of durations",
	"unset.yaml": "the environment", "no-file.yaml": "files", "directory.yaml": "files", "second-bad.yaml": "the environment",
	"bad-value.yaml": "the environment", "bad-value-file.yaml": "files", "binary-file.yaml": "files", "large-file.yaml": "files",
	"star-by-reference.yaml": "the environment", "secret-unknown.yaml": "secrets", "secret-unreadable.yaml": "secrets", "secret-in-config.yaml": "secrets",
	"in-config.yaml": "references in the config of a kind", "in-config-unset.yaml": "the environment", "in-config-deep.yaml": "references in the config of a kind",
	"in-transformer.yaml": "references in the config of a kind",
	"plugin-refresh.yaml": "bounds of durations", "plugin-timeout.yaml": "bounds of durations", "plugin-cpu.yaml": "bounds of durations", "plugin-memory.yaml": "bounds of sizes",
	"plugin-kv.yaml": "bounds of sizes", "plugin-secret-unset.yaml": "the environment", "catalogue-timeout.yaml": "bounds of durations", "authorizer-reference-unset.yaml": "the environment",
	"authorizer-reference.yaml": "references in the config of a kind",
}

func compiled(t testing.TB, schema []byte) *jsonschema.Schema {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("mem:///schema.json", value); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge validates a document against the Schema. readable is false when it is not
// even a value without duplicates, so that there is nothing to judge.
func judge(t *testing.T, s *jsonschema.Schema, name string, b []byte) (err error, readable bool) {
	t.Helper()
	found := &mistakes{}
	n := parse(name, b, found)
	if n == nil || len(found.list) > 0 {
		return nil, false
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(n.appendJSON(nil, nil)))
	if err != nil {
		t.Fatalf("our JSON does not parse: %v", err)
	}
	return s.Validate(value), true
}

func TestBad(t *testing.T) {
	schema := compiled(t, Schema(options))
	archives, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	count := 0
	unused := maps.Clone(onlyReader)
	for i, path := range archives {
		if archives[i], err = filepath.Abs(path); err != nil {
			t.Fatal(err)
		}
	}
	dir := workplace(t)
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		var inputs []txtar.File
		for _, f := range archive.Files {
			if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
				want[name] = string(f.Data)
				continue
			}
			inputs = append(inputs, f)
		}
		fresh := &txtar.Archive{Comment: archive.Comment}
		for _, f := range inputs {
			count++
			// The last line break is the archive's own: what ends in the middle of
			// something must end there.
			if filepath.Ext(f.Name) == ".json" {
				f.Data = bytes.TrimSuffix(f.Data, []byte("\n"))
			}
			if err := os.WriteFile(f.Name, f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, problems := Read([]string{f.Name}, options)
			got := strings.ReplaceAll(Format(problems), dir, "$DIR")
			if len(problems) == 0 {
				t.Errorf("%s: nothing is wrong", f.Name)
			}
			if strings.Contains(got, "canary") {
				t.Errorf("%s: a message shows a secret:\n%s", f.Name, got)
			}
			for _, p := range problems {
				if p.Line == 0 || p.Column == 0 {
					t.Errorf("%s: no position: %+v", f.Name, p)
				}
			}
			if !*update && got != want[f.Name] {
				t.Errorf("%s %s:\ngot\n%swant\n%s", filepath.Base(path), f.Name, got, want[f.Name])
			}
			verdict, readable := judge(t, schema, f.Name, f.Data)
			switch _, only := onlyReader[f.Name]; {
			case readable && verdict == nil && !only:
				t.Errorf("%s: the JSON Schema accepts it", f.Name)
			case only && (!readable || verdict != nil):
				t.Errorf("%s: the JSON Schema refuses it, so it is not only for the reader: %v", f.Name, verdict)
			}
			delete(unused, f.Name)
			fresh.Files = append(fresh.Files, f, txtar.File{Name: f.Name + ".want", Data: []byte(got)})
		}
		if *update {
			if err := os.WriteFile(path, txtar.Format(fresh), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if count < 150 {
		t.Errorf("%d bad documents", count)
	}
	if len(unused) > 0 {
		t.Errorf("no such documents: %v", slices.Collect(maps.Keys(unused)))
	}
}

// Characters that cannot stand in a text archive.
func TestBadCharacters(t *testing.T) {
	workplace(t)
	for _, row := range []struct{ name, document, want string }{
		{"nul.yaml", "servers:\n  - name: a\x00b\n", "2:12: the document holds a control character (U+0000)"},
		{"escape.yaml", "servers:\n  - name: ä\x1b[31mb\n", "2:12: the document holds a control character (U+001B)"},
		{"bell.json", "{\"servers\": [{\"name\": \"a\x07b\"}]}", "1:25: the document holds a control character (U+0007)"},
		{"delete.yaml", "servers: []\x7f\n", "1:12: the document holds a control character (U+007F)"},
		{"next-line.yaml", "servers: []\u0085\n", "1:12: the document holds an invisible character (U+0085)"},
		{"separator.yaml", "servers:\n  - name: a\u2028b\n", "2:12: the document holds an invisible character (U+2028)"},
		{"bom-inside.yaml", "servers:\n  - name: a\ufeffb\n", "2:12: the document holds an invisible character (U+FEFF)"},
		{"latin1.yaml", "servers:\n  - name: a\n    title: caf\xe9\n", "3:15: the document is not UTF-8 (byte 0xE9)"},
		{"overlong.json", "{\"servers\": \"\xc0\xaf\"}", "1:14: the document is not UTF-8 (byte 0xC0)"},
		{"utf16.yaml", "\xff\xfes\x00e\x00", "1:1: the document is UTF-16"},
		{"utf16be.json", "\xfe\xff\x00{\x00}", "1:1: the document is UTF-16"},
		{"return.yaml", "servers:\r  - name: 1\r", "2:11: /servers/0/name: expected one line of text, got the number 1"},
		{"windows.yaml", "servers:\r\n  - name: 1\r\n", "2:11: /servers/0/name: expected one line of text, got the number 1"},
		{"windows.json", "{\r\n\"servers\":\r\n  [{\"name\": 1}]}", "3:13: /servers/0/name: expected one line of text, got the number 1"},
		{"return.json", "{\r\"servers\":\r  [{\"name\": 1}]}", "3:13: /servers/0/name: expected one line of text, got the number 1"},
		{"bom.json", "\ufeff{\"servers\": 1}", "1:13: /servers: expected a list, got the number 1"},
		{"terminal.yaml", "\"\\u202e\": 1\n", `1:1: /\u202e: unknown key "\u202e"`},
	} {
		if err := os.WriteFile(row.name, []byte(row.document), 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := Read([]string{row.name}, options)
		got := Format(problems)
		if want := row.name + ":" + row.want + ";"; len(problems) != 1 || !strings.HasPrefix(got, want) {
			t.Errorf("got %swant %s", got, want)
		}
	}
}

// The good documents: what they mean, order of keys and digits of numbers kept.
func TestGood(t *testing.T) {
	path, err := filepath.Abs("testdata/good.txtar")
	if err != nil {
		t.Fatal(err)
	}
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	schema := compiled(t, Schema(options))
	workplace(t)
	fresh := &txtar.Archive{Comment: archive.Comment}
	want := map[string]string{}
	for _, f := range archive.Files {
		if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
			want[name] = string(f.Data)
		}
	}
	for _, f := range archive.Files {
		if strings.HasSuffix(f.Name, ".want") {
			continue
		}
		if err := os.WriteFile(f.Name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, problems := Read([]string{f.Name}, options)
		if len(problems) > 0 {
			t.Errorf("%s", Format(problems))
		}
		if err, _ := judge(t, schema, f.Name, f.Data); err != nil {
			t.Errorf("%s: the JSON Schema refuses it: %v", f.Name, err)
		}
		got := meaning(t, cfg)
		if !*update && got != want[f.Name] {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", f.Name, got, want[f.Name])
		}
		fresh.Files = append(fresh.Files, f, txtar.File{Name: f.Name + ".want", Data: []byte(got)})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(fresh), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// meaning writes a Config with its secrets, which only this test does.
func meaning(t *testing.T, cfg core.Config) string {
	t.Helper()
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	for _, c := range cfg.Connections {
		if c.Credential != nil {
			fmt.Fprintf(&out, "\n%s: %q %q %q", c.Name, c.Credential.Token.Reveal(), c.Credential.Password.Reveal(), c.Credential.Value.Reveal())
		}
	}
	for _, p := range cfg.Plugins {
		for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
			fmt.Fprintf(&out, "\n%s: %s %q", p.Name, name, p.Secrets[name].Reveal())
		}
	}
	return out.String() + "\n"
}

// Every document that the project ships is right, for the reader and for the JSON
// Schema. What it says in the config of its kinds is tested where the kinds are.
func TestShipped(t *testing.T) {
	schema, ofSettings := compiled(t, Schema(Options{})), compiled(t, SettingsSchema())
	var paths []string
	for _, pattern := range []string{"../../examples/*/*.yaml", "../../examples/*/*.yml", "../fixture/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Fatal("no documents are shipped")
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var problems []core.Problem
		by := schema
		if isDocument(filepath.Base(path)) {
			_, problems = Read([]string{path}, Options{Env: func(string) (string, bool) { return "", false }})
		} else {
			by = ofSettings
			_, problems = LoadSettings(path)
		}
		if len(problems) > 0 {
			t.Error(Format(problems))
		}
		if err, readable := judge(t, by, path, b); err != nil || !readable {
			t.Errorf("%s: the JSON Schema refuses it: %v", path, err)
		}
	}
}
