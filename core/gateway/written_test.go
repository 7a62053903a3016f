package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// What fits as it is written fits decoded, for any schema, any value and any spelling
// of it; and most of what fits is known without decoding.
func TestWrittenAgreesWithExact(t *testing.T) {
	known, fitting := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text, err := wire.Marshal(schemaOf(t, 3))
		if err != nil {
			t.Fatal(err)
		}
		s, faults := compileSchema(text)
		if faults != nil {
			t.Skip("not a schema")
		}
		for range 8 {
			value := valueOf(t, 3)
			spelled, err := wire.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "spaced") {
				var b bytes.Buffer
				if err := json.Indent(&b, spelled, " ", "\t"); err != nil {
					t.Fatal(err)
				}
				spelled = b.Bytes()
			}
			exact := s.exact.Validate(value) == nil
			if exact {
				fitting++
			}
			if s.fits(spelled) {
				known++
				if !exact {
					t.Fatalf("schema %s\nvalue %s fits as written, and does not", text, spelled)
				}
			}
		}
	})
	t.Logf("%d of %d values that fit were known", known, fitting)
	if known*2 < fitting {
		t.Errorf("only %d of %d values that fit were known", known, fitting)
	}
}

func TestWritten(t *testing.T) {
	const flat = `{"type":"object","properties":{"id":{"type":"integer","minimum":1,"maximum":9},"title":{"type":"string","minLength":2,"maxLength":4},
		"kind":{"enum":["a","b",3,null,true]},"tags":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":2},
		"is":{"const":"x"},"code":{"type":"string","pattern":"^[0-9]+$"},"any":{},"price":{"type":"number"},
		"either":{"anyOf":[{"type":"string"},{"type":"null"}]},"inner":{"$ref":"#/$defs/inner"}},
		"required":["id"],"additionalProperties":false,"maxProperties":3,"$defs":{"inner":{"type":"object","required":["a"],"additionalProperties":{"type":"boolean"}}}}`
	s, faults := compileSchema([]byte(flat))
	if faults != nil {
		t.Fatal(faults)
	}
	for _, row := range []struct {
		value string
		fits  bool
	}{
		{`{"id":1}`, true},
		{` { "id" : 1 } `, true},
		{`{}`, false},
		{`[]`, false},
		{`{"id":0}`, false},
		{`{"id":10}`, false},
		{`{"id":"1"}`, false},
		{`{"id":1.0}`, false}, // it does fit: the exact schema says so
		{`{"id":1,"title":"ab"}`, true},
		{`{"id":1,"title":"a"}`, false},
		{`{"id":1,"title":"é"}`, false},
		{`{"id":1,"title":"éééé"}`, true},
		{`{"id":1,"title":"ééééé"}`, false},
		{`{"id":1,"title":"\u0061"}`, false},
		{`{"id":1,"title":"\u0061\u0061"}`, false}, // it does fit
		{`{"id":1,"kind":"a"}`, true},
		{`{"id":1,"kind":3}`, true},
		{`{"id":1,"kind":null}`, true},
		{`{"id":1,"kind":true}`, true},
		{`{"id":1,"kind":false}`, false},
		{`{"id":1,"kind":"c"}`, false},
		{`{"id":1,"kind":{}}`, false},
		{`{"id":1,"tags":["a"]}`, true},
		{`{"id":1,"tags":[]}`, false},
		{`{"id":1,"tags":["a","b","c"]}`, false},
		{`{"id":1,"tags":[1]}`, false},
		{`{"id":1,"is":"x"}`, true},
		{`{"id":1,"is":"y"}`, false},
		{`{"id":1,"code":"42"}`, true},
		{`{"id":1,"code":"4x"}`, false},
		{`{"id":1,"any":{"a":["}",{"b":"]\""}]}}`, true},
		{`{"id":1,"price":-1.5e3}`, true},
		{`{"id":1,"price":true}`, false},
		{`{"id":1,"either":null}`, true},
		{`{"id":1,"either":1}`, false},
		{`{"id":1,"inner":{"a":true}}`, true},
		{`{"id":1,"inner":{"b":true}}`, false},
		{`{"id":1,"inner":{"a":1}}`, false},
		{`{"id":1,"more":1}`, false},
		{`{"\u0069d":1}`, false}, // it does fit
		{`{"id":1,"any":1,"price":1,"is":"x"}`, false},
	} {
		if err := wire.Check([]byte(row.value), wire.Default); err != nil {
			t.Fatal(err)
		}
		if got := s.fits([]byte(row.value)); got != row.fits {
			t.Errorf("%s: fits is %v, want %v", row.value, got, row.fits)
		}
	}
}

// A schema that branches at each level reads the same text again and again: the steps
// bound that too.
func TestWrittenIsBounded(t *testing.T) {
	nested := `{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/b"}]},"b":{"additionalProperties":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a","type":"object"}`
	s, faults := compileSchema([]byte(nested))
	if faults != nil {
		t.Fatal(faults)
	}
	deep := strings.Repeat(`{"a":`, 40) + `"` + strings.Repeat("x", 1<<16) + `"` + strings.Repeat(`}`, 40)
	steps := checkSteps
	if s.quick.written([]byte(deep), 0, &steps) > 0 || steps >= 0 {
		t.Fatalf("a value of 2^40 checks was judged; %d steps were left", steps)
	}
	all := `{"type":"object","allOf":[` + strings.Repeat(`true,`, 900) + `true]}`
	if s, faults = compileSchema([]byte(all)); faults != nil {
		t.Fatal(faults)
	}
	long := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
	steps = checkSteps
	if s.quick.written([]byte(long), 0, &steps) > 0 || steps >= 0 {
		t.Fatalf("900 parts read a megabyte each; %d steps were left", steps)
	}
}

func FuzzWritten(f *testing.F) {
	f.Add(bookSchema, `{"id":12,"title":"hello","tags":["a","b"],"kind":"b"}`)
	f.Add(`{"type":"object"}`, `{"a":`)
	f.Add(`{"items":{"type":"string"}}`, `["a","\`)
	f.Fuzz(func(t *testing.T, schema, value string) {
		s, faults := compileSchema([]byte(schema))
		if faults != nil {
			return
		}
		fits := s.fits([]byte(value)) // no bytes make it panic
		decoded, err := wire.Decode([]byte(value))
		if err == nil && fits && s.check(decoded, true) != nil {
			t.Fatalf("schema %s\nvalue %s fits as written, and does not", schema, value)
		}
	})
}

// frugal needs values when it says so, and keeps the call that it saw.
type frugal struct {
	needs bool
	seen  *core.Call
}

func (f *frugal) Invoke(_ context.Context, call *core.Call) (*core.Result, error) {
	f.seen = call
	return core.TextResult("ok"), nil
}

func (f *frugal) NeedsValues() bool { return f.needs }

// Values are decoded only for those who need them, and arguments that nobody has
// checked are checked either way.
func TestFrugal(t *testing.T) {
	for _, row := range []struct {
		name            string
		needs           bool
		schema, sent    string
		checked, values bool
		fault           string // of the error, or of the result
	}{
		{name: "none needed", schema: bookSchema, sent: `{"id":1,"title":"x"}`},
		{name: "none needed, any object", sent: `{"id":1}`},
		{name: "checked before", schema: bookSchema, sent: `{"id":1,"title":"x"}`, checked: true},
		{name: "no arguments", sent: ""},
		{name: "needed", needs: true, schema: bookSchema, sent: `{"id":1,"title":"x"}`, values: true},
		{name: "not sure", schema: bookSchema, sent: `{"id":1.0,"title":"x"}`, values: true},
		{name: "mismatch", schema: bookSchema, sent: `{"id":0,"title":"x"}`, fault: "/id"},
		{name: "mismatch, checked before", schema: bookSchema, sent: `{"title":"x"}`, checked: true, fault: "id"},
		{name: "a name twice", sent: `{"id":1,"id":2}`, fault: "twice"},
		{name: "a name twice within", sent: `{"a":{"id":1,"id":2}}`, fault: "twice"},
		{name: "cut", sent: `{"id":1`, fault: "arguments"},
		{name: "more behind", sent: `{"id":1} {}`, fault: "something follows"},
		{name: "no object", sent: `[1]`, fault: "want an object"},
		{name: "not UTF-8", sent: "{\"a\":\"\xff\"}", fault: "UTF-8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			invoker := &frugal{needs: row.needs}
			o := testOptions()
			o.Kinds.Invokers = append(o.Kinds.Invokers, core.Kind[core.Invoker]{Name: "frugal", New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
				return invoker, nil
			}})
			h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", InputSchema: raw(row.schema), Invoker: core.KindConfig{Kind: "frugal"}})), "shop")
			result, err := h.CallTool(t.Context(), &core.Call{Tool: "t", Arguments: raw(row.sent), Checked: row.checked})
			if row.fault != "" {
				text := ""
				if err != nil {
					text = err.Error()
				} else if result.IsError {
					text = result.Content[0].Text
				}
				if !strings.Contains(text, row.fault) || invoker.seen != nil {
					t.Fatalf("%q, want %q; the invoker saw %v", text, row.fault, invoker.seen)
				}
				return
			}
			if err != nil || result.IsError {
				t.Fatal(result, err)
			}
			if seen := invoker.seen; (seen.Values != nil) != row.values || !seen.Checked {
				t.Fatalf("values %v, checked %v", seen.Values, seen.Checked)
			}
		})
	}
}

// An output that is judged as it is written is still JSON, whoever wrote it.
func TestOutputIsChecked(t *testing.T) {
	schema := `{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}`
	for answer, want := range map[string]string{
		`{"a":1}`:       "ok",
		`{"a":1.0}`:     "ok",
		`{"a":1,"a":2}`: "is not JSON",
		`{"a":1`:        "is not JSON",
		`{"a":1}}`:      "is not JSON",
		`{"a":"x"}`:     "/a",
		`{}`:            "a",
	} {
		o := testOptions()
		o.Kinds.Invokers = append(o.Kinds.Invokers, kindOf("answers", func(context.Context, *core.Call) (*core.Result, error) {
			return &core.Result{Content: []core.Content{core.Text("ok")}, Structured: raw(answer)}, nil
		}))
		h := find(t, publish(t, o, oneTool(core.ToolConfig{Name: "t", OutputSchema: raw(schema), Invoker: core.KindConfig{Kind: "answers"}})), "shop")
		result, err := h.CallTool(t.Context(), &core.Call{Tool: "t"})
		if err != nil || !strings.Contains(result.Content[0].Text, want) || result.IsError != (want != "ok") {
			t.Errorf("%s: %v %v, want %q", answer, result, err, want)
		}
	}
}
