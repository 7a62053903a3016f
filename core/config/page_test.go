package config

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// The pages in docs are what the shapes say. After a change: go test ./core/config
// -run TestPages -update.
func TestPages(t *testing.T) {
	for name, want := range map[string][]byte{"configuration.md": Reference(), "settings.md": SettingsPage()} {
		path := "../../docs/" + name
		if *update {
			if err := os.MkdirAll("../../docs", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what the shapes say: go test ./core/config -run TestPages -update", name)
		}
	}
}

// Every YAML block of the reference can be read.
func TestPagesExamples(t *testing.T) {
	page := string(Reference())
	_, rest, _ := strings.Cut(page, "A whole document:")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	if cfg, problems := ReadText("example.yaml", []byte(example), options); len(problems) > 0 || len(cfg.Servers) != 1 || len(cfg.Connections) != 1 {
		t.Errorf("%s\n%s", Format(problems), example)
	}
	if strings.Contains(page, "%!") {
		t.Error("a directive of fmt is left in the page")
	}
	for _, s := range within(document) {
		if !strings.Contains(page, "\n## "+s.name+"\n") {
			t.Errorf("%s is missing", s.name)
		}
	}
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(line, "| ") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 4 && !strings.HasPrefix(line, "| `${") && !strings.HasPrefix(line, "| `$${") && line != "| | |" {
			t.Errorf("not three cells: %s", line)
		}
	}
}

func TestKindsPage(t *testing.T) {
	got := string(KindsPage(options, "app", "TestKindsPage"))
	for _, want := range []string{
		"### rest\n\nCalls a REST API.\n\n```yaml\nkind: rest\nconfig:\n  path: /books\n```\n",
		"| **`path`** | text | Where. |\n", "| `method` | `GET`, `POST` | Default: `\"GET\"`. |\n", "| `host` ↗ | text |  |\n",
		"| `headers.*` ↗ | text |  |\n", "## Request transformers\n\n### wasm\n\nRewrites arguments.\n", "## Authorizers\n\n### wasm\n", "## Catalogues\n\n### wasm\n\nLists tools.\n\n```yaml\nkind: wasm\nconfig:\n  plugin: weather\n```\n",
		"| `key` ↗ | text |  |\n", "| `body` | list of object or null |", "### jq\n", "| **`expression`** | text |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s\n%s", want, got)
		}
	}
	empty := string(KindsPage(Options{Invokers: []core.Kind[core.Invoker]{{Name: "plain", Summary: "Plain."}}}, "app", "T"))
	if !strings.Contains(empty, "It takes no config.") || strings.Contains(empty, "## Authorizers") {
		t.Error(empty)
	}
}

func TestSchemaIsTheSameTwice(t *testing.T) {
	a, b := Schema(options), Schema(options)
	if !bytes.Equal(a, b) || !json.Valid(a) {
		t.Error("the schema differs, or is no JSON")
	}
}

var ofKind = regexp.MustCompile(`/(invoker|transformer|requestTransformer|authorizer|catalogue)-`)

// In the JSON Schema every property says what it is for, and every $ref leads
// somewhere.
func TestSchemaSays(t *testing.T) {
	for name, schema := range map[string]json.RawMessage{"document": Schema(options), "settings": SettingsSchema(), "bare": Schema(Options{})} {
		root := parseKind(name, schema)
		refs, properties := 0, 0
		var walk func(n *node, path string)
		walk = func(n *node, path string) {
			if r := n.get("$ref"); r != nil && r.sort == text {
				refs++
				if root.find(strings.TrimPrefix(r.text, "#")) == nil {
					t.Errorf("%s: %s leads nowhere: %s", name, path, r.text)
				}
			}
			if all := n.get("properties"); all != nil && n.get("additionalProperties") != nil && !ofKind.MatchString(path) {
				for i, k := range all.keys {
					properties++
					if all.items[i].get("description") == nil {
						t.Errorf("%s: %s/%s says nothing", name, path, k.text)
					}
				}
			}
			for i, item := range n.items {
				if n.sort == object {
					if k := n.keys[i].text; k != "examples" && k != "default" {
						walk(item, path+"/"+k)
					}
					continue
				}
				walk(item, path)
			}
		}
		walk(root, "")
		if refs < 5 || properties < 20 {
			t.Errorf("%s: %d refs, %d properties", name, refs, properties)
		}
	}
}

// The schema of a kind keeps its meaning in our document: its local references, and
// what may hold ${env:…}.
func TestSchemaOfKinds(t *testing.T) {
	schema := compiled(t, Schema(options))
	for config, right := range map[string]bool{
		`{"path": "/x"}`:                            true,
		`{"path": "x"}`:                             false,
		`{}`:                                        false,
		`{"path": "/x", "method": "PUT"}`:           false,
		`{"path": "/x", "host": "shop.example"}`:    true,
		`{"path": "/x", "host": "${env:HOST}"}`:     true,
		`{"path": "/x", "host": "UPPER"}`:           false,
		`{"path": "/x", "headers": {"a": "b"}}`:     true,
		`{"path": "/x", "headers": {"a": 1}}`:       false,
		`{"path": "/x", "body": [{"inner": [1]}]}`:  false,
		`{"path": "/x", "body": [{"inner": [{}]}]}`: true,
	} {
		document := `{"servers": [{"name": "a", "tools": [{"name": "t", "invoker": {"kind": "rest", "config": ` + config + `}}]}]}`
		if err, readable := judge(t, schema, "x.json", []byte(document)); !readable || (err == nil) != right {
			t.Errorf("%s: %v", config, err)
		}
	}
	for part, right := range map[string]bool{
		`"authorizers": [{"kind": "wasm", "config": {"plugin": "a"}}]`:                       true,
		`"authorizers": [{"kind": "wasm", "config": {"plugin": "a", "key": "${env:HOST}"}}]`: true,
		`"authorizers": [{"kind": "wasm"}]`:                                                  false,
		`"authorizers": [{"kind": "jq", "config": {"expression": "."}}]`:                     false,
		`"authorizers": [{"kind": "wasm", "config": {"plug": "a"}}]`:                         false,
		`"requestTransformers": [{"kind": "wasm", "config": {"plugin": "a"}}]`:               true,
		`"requestTransformers": [{"kind": "wasm", "config": {"plugin": 1}}]`:                 false,
		`"requestTransformers": [{"config": {}}]`:                                            false,
		`"requestTransformers": {"kind": "wasm", "config": {"plugin": "a"}}`:                 false,
		`"transformers": [{"kind": "wasm", "config": {"plugin": "a"}}]`:                      false,
		`"invoker2": 1`: false,
	} {
		document := `{"servers": [{"name": "a", "tools": [{"name": "t", "invoker": {"kind": "rest", "config": {"path": "/"}}, ` + part + `}]}]}`
		if err, _ := judge(t, schema, "x.json", []byte(document)); (err == nil) != right {
			t.Errorf("%s: %v", part, err)
		}
	}
	for catalogue, right := range map[string]bool{
		`{"kind": "wasm", "config": {"plugin": "a"}, "prefix": "p.", "timeout": "3s"}`: true,
		`{"kind": "wasm", "config": {"plugin": "a"}, "prefix": "p/"}`:                  false,
		`{"kind": "wasm", "config": {"plugin": "a"}, "name": "p"}`:                     false,
		`{"kind": "rest", "config": {"path": "/"}}`:                                    false,
	} {
		document := `{"servers": [{"name": "a", "catalogues": [` + catalogue + `]}]}`
		if err, _ := judge(t, schema, "x.json", []byte(document)); (err == nil) != right {
			t.Errorf("%s: %v", catalogue, err)
		}
	}
	for kind, right := range map[string]bool{`{"kind": "rest"}`: false, `{"kind": "nobody"}`: false, `{"kind": "jq", "config": {"expression": "."}}`: false} {
		document := `{"servers": [{"name": "a", "tools": [{"name": "t", "invoker": ` + kind + `}]}]}`
		if err, _ := judge(t, schema, "x.json", []byte(document)); (err == nil) != right {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// The patterns of references in the JSON Schema say what the reader does.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{"a", "${env:A}", "$${env:A}", "$$${env:A}", "${env:A:-b}", "${file:x}", "${", "$", "$$", "${x}", "a${env:TOKEN}b$", "${env:A:-$}", "${env:A:-${env:B}}", "${env:A:-}}", "${file:$x}", "$$$${", "${env:}"} {
		f.Add(seed)
	}
	schema := compiled(f, Schema(Options{}))
	f.Fuzz(func(t *testing.T, s string) {
		if !checkCharacters([]byte(s), &mistakes{}) {
			return
		}
		b := tree("connections", array(tree("name", str("a"), "baseUrl", str("http://x"), "credential", tree("type", str("bearer"), "token", str(s))))).appendJSON(nil, nil)
		known := Options{Env: func(string) (string, bool) { return "x", true }}
		_, problems := ReadText("x.json", b, known)
		wrong := len(problems) > 0 && !strings.Contains(problems[0].Message, "cannot read the file")
		if err, _ := judge(t, schema, "x.json", b); (err != nil) != wrong {
			t.Fatalf("%q: the reader says %v, the JSON Schema %v", s, problems, err)
		}
		b = tree("servers", array(tree("name", str("a"), "description", str(s)))).appendJSON(nil, nil)
		_, problems = ReadText("x.json", b, known)
		if err, _ := judge(t, schema, "x.json", b); (err != nil) != (len(problems) > 0) {
			t.Fatalf("%q as a description: the reader says %v, the JSON Schema %v", s, problems, err)
		}
	})
}

// What has no place, such as how many problems were left out, stands last.
func TestPlacelessProblemsStandLast(t *testing.T) {
	got := Format([]core.Problem{{Message: "and 7 more warnings", Warning: true}, {File: "b.yaml", Line: 1, Message: "m"}, {Path: "/x", Message: "a setting"}})
	if want := "/x: a setting\nb.yaml:1:1: m\nwarning: and 7 more warnings\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
