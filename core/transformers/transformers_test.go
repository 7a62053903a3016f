package transformers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func kind(t *testing.T, name string) core.Kind[core.Transformer] {
	t.Helper()
	for _, k := range All() {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no kind %s", name)
	return core.Kind[core.Transformer]{}
}

// valid validates a config against the schema of its kind.
func valid(t *testing.T, k core.Kind[core.Transformer], config string) {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(k.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("kind.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("kind.json")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(instance); err != nil {
		t.Errorf("the schema of %s refuses %s:\n%v", k.Name, config, err)
	}
}

func build(t *testing.T, name, config string) core.Transformer {
	t.Helper()
	k := kind(t, name)
	valid(t, k, config)
	transformer, err := k.New(context.Background(), json.RawMessage(config), core.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return transformer
}

// show writes a result as text: blocks divided by |, then the structured content.
func show(r *core.Result) string {
	var parts []string
	for _, block := range r.Content {
		switch {
		case block.Raw != nil:
			parts = append(parts, "raw:"+string(block.Raw))
		case block.Type != "text":
			text := block.Type + ":" + string(block.Data)
			if block.Resource != nil {
				text += block.Resource.Text
			}
			parts = append(parts, text)
		default:
			parts = append(parts, block.Text)
		}
	}
	text := strings.Join(parts, "|")
	if r.Structured != nil {
		text += " = " + string(r.Structured)
	}
	if r.IsError {
		text = "failed: " + text
	}
	return text
}

func of(structured string, texts ...string) *core.Result {
	r := &core.Result{}
	if structured != "" {
		r.Structured = json.RawMessage(structured)
	}
	for _, text := range texts {
		r.Content = append(r.Content, core.Text(text))
	}
	return r
}

func TestTransformers(t *testing.T) {
	failed := of(`{"a":1}`, "sorry ann@example.org")
	failed.IsError = true
	image := of("", "one")
	image.Content = append([]core.Content{core.Image([]byte("png"), "image/png")}, image.Content...)
	onlyImage := of(`{"a":1}`)
	onlyImage.Content = []core.Content{core.Image([]byte("png"), "image/png")}
	raw := &core.Result{Content: []core.Content{{Raw: json.RawMessage(`{"type":"text","text":"{\"token\":\"abc\"}","x":{"token":1,"mail":"ann@example.org"}}`)}, core.Embedded(core.ResourceContents{Text: "ann@example.org"})}}
	for _, row := range []struct {
		name, kind, config string
		in                 *core.Result
		want               string
	}{
		{"pick", "jq", `{"select":".a"}`, of(`{"a":9007199254740993,"b":1}`, "old", "second"), "9007199254740993|second = 9007199254740993"},
		{"text of a string", "jq", `{"select":".a"}`, of(`{"a":"<é>"}`, "old"), `<é> = "<é>"`},
		{"pretty", "jq", `{"select":"{a}","text":"pretty"}`, of(`{"a":1,"b":2}`, "old"), "{\n  \"a\": 1\n} = {\"a\":1}"},
		{"text kept", "jq", `{"select":".a","text":"keep"}`, of(`{"a":1}`, "old"), "old = 1"},
		{"several outputs", "jq", `{"select":".[]"}`, of(`[1,2]`, "old"), "[1,2] = [1,2]"},
		{"no output", "jq", `{"select":"empty"}`, of(`[1]`, "old"), "The result holds nothing that was asked for."},
		{"from the text", "jq", `{"select":".a"}`, of("", `{"a":1}`), "1 = 1"},
		{"from plain text", "jq", `{"select":"ascii_upcase"}`, of("", `hello`), `HELLO = "HELLO"`},
		{"arguments", "jq", `{"select":"[.a, $arguments.limit]"}`, of(`{"a":1}`, "old"), "[1,7] = [1,7]"},
		{"image kept", "jq", `{"select":"length"}`, image, `image:png|3 = 3`},
		{"only an image", "jq", `{"select":".a"}`, onlyImage, `1|image:png = 1`},
		{"failed results pass", "jq", `{"select":".a"}`, failed, `failed: sorry ann@example.org = {"a":1}`},
		{"jq fails", "jq", `{"select":".a.b"}`, of(`{"a":1}`, "old"), "failed: The result could not be reshaped: expected an object but got: number (1)."},
		{"jq says so", "jq", `{"select":"error(\"no \\(.a)\")"}`, of(`{"a":1}`, "old"), "failed: The result could not be reshaped: error: no 1."},
		{"jq runs away", "jq", `{"select":"def f: f; f"}`, of(`{"a":1}`, "old"), "failed: The result could not be reshaped: the expression ran longer than 50ms."},
		{"jq sees no environment", "jq", `{"select":"env"}`, of(`1`, "old"), "{} = {}"},

		{"text cut", "truncate", `{"text":3}`, of("", "hélloé", "ab"), "hél|ab|Shortened: 3 of 6 characters are shown."},
		{"text short", "truncate", `{"text":6}`, of("", "hélloé"), "hélloé"},
		{"no notice", "truncate", `{"text":3,"notice":false}`, of("", "hello"), "hel"},
		{"items", "truncate", `{"items":2}`, of(`[1,2,3.10]`, "[1,2,3.10]"), "[1,2]|Shortened: 2 of 3 items are shown. = [1,2]"},
		{"items at", "truncate", `{"items":1,"at":"/a~1b/0/c"}`, of(`{"z":1,"a/b":[{"c":[1,2]}]}`, "old"), `{"a/b":[{"c":[1]}],"z":1}|Shortened: 1 of 2 items are shown. = {"a/b":[{"c":[1]}],"z":1}`},
		{"items at nothing", "truncate", `{"items":1,"at":"/x/y"}`, of(`{"a":[1,2]}`, "old"), `old = {"a":[1,2]}`},
		{"items at a bad index", "truncate", `{"items":1,"at":"/a/9"}`, of(`{"a":[1,2]}`, "old"), `old = {"a":[1,2]}`},
		{"items of no array", "truncate", `{"items":1}`, of(`{"a":[1,2]}`, "old"), `old = {"a":[1,2]}`},
		{"few items", "truncate", `{"items":9}`, of(`[1, 2]`, "old"), `old = [1, 2]`},
		{"items then text", "truncate", `{"items":2,"text":3}`, of(`[1,2,3]`, "old"), "[1,|Shortened: 2 of 3 items are shown.|Shortened: 3 of 5 characters are shown. = [1,2]"},

		{"template", "template", `{"template":"{{range .b}}- {{.t}} {{.n}}\n{{end}}"}`, of(`{"b":[{"t":"A","n":9007199254740993},{"t":"B"}]}`, "old", "rest"), "- A 9007199254740993\n- B \n|rest = " + `{"b":[{"t":"A","n":9007199254740993},{"t":"B"}]}`},
		{"template drops", "template", `{"template":"{{.a}}","structured":"drop"}`, of(`{"a":1}`, "old"), "1"},
		{"template of text", "template", `{"template":"<{{.}}>"}`, of("", "hi"), "<hi>"},
		{"template syntax in values is literal", "template", `{"template":"{{.a}}"}`, of(`{"a":"{{.b}} {{printf \"%d\" 1}}","b":"x"}`, ""), `{{.b}} {{printf "%d" 1}} = {"a":"{{.b}} {{printf \"%d\" 1}}","b":"x"}`},
		{"template functions", "template", `{"template":"{{.a | upper}} {{lower \"X\"}} {{.none | default \"-\"}} {{join \", \" .l}} {{json .l}} {{clip 2 .a}} {{trim \" y \"}} {{slice .a 1 2}} {{slice .l 1}} {{printf \"%5s|%-3s\" .a \"z\"}} {{len .l}}"}`, of(`{"a":"abc","l":[1,"b"]}`, ""), `ABC x - 1, b [1,"b"] ab… y b [b]   abc|z   2 = {"a":"abc","l":[1,"b"]}`},
		{"template fails", "template", `{"template":"{{index .a 5}}"}`, of(`{"a":[1]}`, "old"), "failed: The result could not be rendered: template: template:1:2: executing \"template\" at <index .a 5>: error calling index: index out of range: 5."},
		{"template failed results pass", "template", `{"template":"x"}`, failed, `failed: sorry ann@example.org = {"a":1}`},
		{"template of much", "template", `{"template":"{{range .}}{{index $ 0}}{{end}}"}`, of(`["`+strings.Repeat("x", 40_000)+`","b"]`, "old"), "failed: The result could not be rendered: the template makes more than 65536 bytes."},
		{"template without end", "template", `{"template":"{{range 1000000000}}{{end}}"}`, of(`1`, "old"), "failed: The result could not be rendered: the template goes more than 100000 rounds."},
		{"template without end in if", "template", `{"template":"{{if .}}{{range 1000000000}}{{with .}}{{end}}{{end}}{{end}}"}`, of(`1`, "old"), "failed: The result could not be rendered: the template goes more than 100000 rounds."},
		{"template of templates", "template", `{"template":"{{define \"a\"}}{{range 1000}}{{template \"b\"}}{{end}}{{end}}{{define \"b\"}}{{range 1000}}{{end}}{{end}}{{template \"a\"}}"}`, of(`1`, "old"), "failed: The result could not be rendered: the template goes more than 100000 rounds."},
		{"template wide", "template", `{"template":"{{printf \"%1000000d\" 1}}"}`, of(`1`, "old"), "failed: The result could not be rendered: template: template:1:2: executing \"template\" at <printf \"%1000000d\" 1>: error calling printf: printf takes widths below 1000 and no *."},
		{"template call", "template", `{"template":"{{call .a}}"}`, of(`{"a":1}`, "old"), "failed: The result could not be rendered: template: template:1:2: executing \"template\" at <call .a>: error calling call: call is not available."},

		{"pattern", "redact", `{"patterns":["[a-z]+@example\\.org"]}`, of(`{"m":["ann@example.org",1]}`, "write to ann@example.org"), `write to ***|` + "" /* completed below */},
		{"group", "redact", `{"patterns":[{"pattern":"(\\d{4})\\d{8}","replace":"$1…"}]}`, of(`{"card":123456781234}`, "card 123456781234"), `card 1234… = {"card":"1234…"}`},
		{"names", "redact", `{"names":["password"],"replacement":"hidden"}`, of(`{"u":[{"Password":{"a":1},"n":1.10}]}`, `{"u":[{"Password":{"a":1},"n":1.10}]}`), `{"u":[{"Password":"hidden","n":1.10}]} = {"u":[{"Password":"hidden","n":1.10}]}`},
		{"names in pretty text", "redact", `{"names":["token"]}`, of("", "{\n \"token\": 1\n}"), "{\n  \"token\": \"***\"\n}"},
		{"nothing found", "redact", `{"names":["token"],"patterns":["xyz"]}`, of(`{"b":1,"a":2}`, "{ \"b\": 1 }"), `{ "b": 1 } = {"b":1,"a":2}`},
		{"failed results too", "redact", `{"patterns":["ann@example.org"]}`, failed, `failed: sorry *** = {"a":1}`},
		{"raw and embedded", "redact", `{"patterns":["ann@example.org"],"names":["token"]}`, raw, `raw:{"text":"{\"token\":\"***\"}","type":"text","x":{"mail":"***","token":"***"}}|resource:***`},
		{"dollar in replacement", "redact", `{"patterns":["a+"],"replacement":"$0"}`, of("", "baab"), "b$0b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.name == "pattern" {
				row.want = `write to *** = {"m":["***",1]}`
			}
			in, before := *row.in, bytes.Clone(row.in.Structured)
			in.Content = append([]core.Content(nil), row.in.Content...)
			start := time.Now()
			out, err := build(t, row.kind, row.config).Transform(context.Background(), &core.Call{Values: map[string]any{"limit": json.Number("7")}}, &in)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(out); got != row.want {
				t.Errorf("got\n%s, want\n%s", got, row.want)
			}
			if spent := time.Since(start); spent > 5*time.Second {
				t.Errorf("took %s", spent)
			}
			// Texts share memory with it (core.Result): no byte of it may change.
			if !bytes.Equal(row.in.Structured, before) {
				t.Errorf("the structured content became %s in place", row.in.Structured)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, row := range []struct{ kind, config, path, want string }{
		{"jq", `{}`, "", "select is missing"},
		{"jq", `{"select":".a |"}`, "/select", "does not compile"},
		{"jq", `{"select":"input"}`, "/select", "does not compile"},
		{"jq", `{"select":5}`, "/select", "not a text"},
		{"jq", `{"select":".","text":"html"}`, "/text", "known are compact"},
		{"jq", `{"select":".","odd/x":1}`, "/odd~1x", "known are select"},
		{"jq", `[]`, "", "not an object"},
		{"truncate", `{}`, "", "nothing is bounded"},
		{"truncate", `{"text":0}`, "/text", "from 1 to"},
		{"truncate", `{"items":-1}`, "/items", "from 0 to"},
		{"truncate", `{"items":1,"at":"a"}`, "/at", "begin it with /"},
		{"truncate", `{"text":1,"at":"/a"}`, "/at", "means nothing without items"},
		{"truncate", `{"text":1,"notice":1}`, "/notice", "neither true nor false"},
		{"template", `{}`, "", "template is missing"},
		{"template", `{"template":"{{.a"}`, "/template", "does not parse"},
		{"template", `{"template":"{{env \"HOME\"}}"}`, "/template", `function "env" not defined`},
		{"template", `{"template":"{{define \"a\"}}{{template \"b\"}}{{end}}{{define \"b\"}}{{if .}}{{template \"a\"}}{{end}}{{end}}{{template \"a\"}}"}`, "/template", "calls itself"},
		{"redact", `{}`, "", "nothing is redacted"},
		{"redact", `{"patterns":["("]}`, "/patterns/0", "does not compile"},
		{"redact", `{"patterns":["a","(?=b)"]}`, "/patterns/1", "no lookahead"},
		{"redact", `{"patterns":["a*"]}`, "/patterns/0", "matches the empty text"},
		{"redact", `{"patterns":[{"replace":"x"}]}`, "/patterns/0", "not a pattern"},
		{"redact", `{"patterns":[]}`, "/patterns", "1 to 50"},
		{"redact", `{"names":[""]}`, "/names", "not a list of names"},
	} {
		_, err := kind(t, row.kind).New(context.Background(), json.RawMessage(row.config), core.Env{})
		var problems core.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Path != row.path || !strings.Contains(problems[0].Message+"; "+problems[0].Fix, row.want) {
			t.Errorf("%s %s: %v, want %q at %q", row.kind, row.config, err, row.want, row.path)
		}
	}
}

func TestKindsDescribeThemselves(t *testing.T) {
	for _, k := range All() {
		if k.Name == "" || k.Summary == "" {
			t.Errorf("%s says nothing of itself", k.Name)
		}
		var example any
		if err := yaml.Unmarshal([]byte(k.Example), &example); err != nil {
			t.Errorf("example of %s: %v", k.Name, err)
		}
		config, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		build(t, k.Name, string(config))
	}
}

// Whatever stands in a result, the named member and the pattern are gone, and the
// rest keeps its shape.
func TestRedactLeavesNothing(t *testing.T) {
	transformer := build(t, "redact", `{"names":["secret"],"patterns":["canary[0-9]+"]}`)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ToValidUTF8(rapid.String().Draw(t, "text"), "")
		b, err := wire.Marshal(map[string]any{"list": []any{text + "canary77", map[string]any{"Secret": "hush-hush"}}, "keep": text})
		if err != nil {
			t.Fatal(err)
		}
		out, err := transformer.Transform(context.Background(), &core.Call{}, of(string(b), string(b), text+"canary12"))
		if err != nil {
			t.Fatal(err)
		}
		shown := show(out)
		if strings.Contains(shown, "canary7") || strings.Contains(shown, "canary1") || strings.Contains(shown, "hush") {
			t.Fatal(shown)
		}
		object, err := wire.DecodeObject(out.Structured)
		if err != nil || object["keep"] != text || len(object["list"].([]any)) != 2 {
			t.Fatal(shown, err)
		}
	})
}

// The test of the test: without the defence the loop goes on far beyond its bound.
func TestRoundsAreWhatStopsTemplates(t *testing.T) {
	transformer := build(t, "template", `{"template":"{{range 300000}}{{end}}done"}`).(*rendered)
	out, err := transformer.Transform(context.Background(), &core.Call{}, of("1"))
	if err != nil || !out.IsError {
		t.Fatal("a loop of 300,000 rounds was not stopped", err)
	}
	for _, each := range transformer.template.Templates() {
		each.Root.Nodes = each.Root.Nodes[1:]
	}
	loop := transformer.template.Root.Nodes[0].(interface{ String() string })
	transformer = build(t, "template", `{"template":"x"}`).(*rendered)
	if transformer.template, err = transformer.template.New("plain").Parse(strings.ReplaceAll(loop.String(), string(round), "") + "done"); err != nil {
		t.Fatal(err)
	}
	out, err = transformer.Transform(context.Background(), &core.Call{}, of("1"))
	if err != nil || out.IsError || out.Content[0].Text != "done" {
		t.Error("without the count something else stopped it:", show(out), err)
	}
}

func TestCancelledCallsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, config := range map[string]string{"jq": `{"select":"[range(1e6)]"}`, "template": `{"template":"{{range 90000}}{{end}}"}`} {
		if _, err := build(t, name, config).Transform(ctx, &core.Call{}, of("1")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
