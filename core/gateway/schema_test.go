package gateway

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core/wire"
)

// The quick rules are right or say that they do not know: for any schema and any
// value, their yes and no are those of the exact check.
func TestQuickAgreesWithExact(t *testing.T) {
	sure, all := 0, 0
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
			steps := checkSteps
			quick := s.quick.test(value, &steps)
			exact := s.exact.Validate(value) == nil
			all++
			if quick != unknown {
				sure++
				if (quick == yes) != exact {
					shown, _ := wire.Marshal(value)
					t.Fatalf("schema %s\nvalue %s\nquick %v, exact %v", text, shown, quick == yes, exact)
				}
			}
		}
	})
	t.Logf("%d of %d answers were sure", sure, all)
	if sure*2 < all {
		t.Errorf("the quick rules knew only %d of %d answers", sure, all)
	}
}

var numbers = []string{"0", "1", "-1", "5", "10", "1.0", "1.5", "0.1", "1e2", "9007199254740993", "9007199254740992", "-0", "1e-7", "100000000000000000000"}

func numberOf(t *rapid.T) json.Number {
	return json.Number(rapid.SampledFrom(numbers).Draw(t, "number"))
}

var words = []string{"", "a", "b", "ab", "abc", "é", "日本", "1"}

func valueOf(t *rapid.T, depth int) any {
	most := 6
	if depth == 0 {
		most = 4
	}
	switch rapid.IntRange(0, most).Draw(t, "value") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2, 3:
		return numberOf(t)
	case 4:
		return rapid.SampledFrom(words).Draw(t, "word")
	case 5:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			list = append(list, valueOf(t, depth-1))
		}
		return list
	default:
		object := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			object[rapid.SampledFrom(words).Draw(t, "name")] = valueOf(t, depth-1)
		}
		return object
	}
}

func schemaOf(t *rapid.T, depth int) any {
	if depth == 0 || rapid.IntRange(0, 9).Draw(t, "plain") == 0 {
		if rapid.IntRange(0, 2).Draw(t, "bool schema") == 0 {
			return rapid.Bool().Draw(t, "schema")
		}
		return map[string]any{"type": rapid.SampledFrom([]string{"string", "integer", "number", "object", "array", "null", "boolean"}).Draw(t, "type")}
	}
	sub := func() any { return schemaOf(t, depth-1) }
	subs := func() any {
		list := []any{sub()}
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			list = append(list, sub())
		}
		return list
	}
	small := func() any { return json.Number(strconv.Itoa(rapid.IntRange(0, 3).Draw(t, "small"))) }
	object := map[string]any{}
	for range rapid.IntRange(1, 4).Draw(t, "keywords") {
		switch keyword := rapid.SampledFrom([]string{
			"type", "properties", "required", "additionalProperties", "patternProperties", "items", "prefixItems", "minItems", "maxItems",
			"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "enum", "const",
			"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "minProperties", "maxProperties", "propertyNames", "uniqueItems", "contains",
			"dependentRequired", "unevaluatedProperties", "$ref",
		}).Draw(t, "keyword"); keyword {
		case "type":
			object[keyword] = []any{
				rapid.SampledFrom([]string{"string", "integer", "number", "object"}).Draw(t, "type"),
				rapid.SampledFrom([]string{"array", "null", "boolean"}).Draw(t, "type"),
			}
		case "properties":
			object[keyword] = map[string]any{rapid.SampledFrom(words).Draw(t, "p"): sub(), rapid.SampledFrom(words).Draw(t, "q"): sub()}
		case "patternProperties":
			object[keyword] = map[string]any{"^a": sub()}
		case "required":
			object[keyword] = []any{rapid.SampledFrom(words).Draw(t, "r")}
		case "dependentRequired":
			object[keyword] = map[string]any{"a": []any{"b"}}
		case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties":
			object[keyword] = small()
		case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
			object[keyword] = numberOf(t)
		case "multipleOf":
			object[keyword] = json.Number(rapid.SampledFrom([]string{"1", "2", "5", "0.1", "3"}).Draw(t, "multiple"))
		case "pattern":
			object[keyword] = rapid.SampledFrom([]string{"^a", "b$", "[0-9]", ""}).Draw(t, "pattern")
		case "enum":
			object[keyword] = []any{valueOf(t, 1), json.Number("1"), "a"}
		case "const":
			object[keyword] = valueOf(t, 1)
		case "allOf", "anyOf", "oneOf", "prefixItems":
			object[keyword] = subs()
		case "uniqueItems":
			object[keyword] = true
		case "$ref":
			if depth < 3 {
				object[keyword] = "#"
				object = map[string]any{"items": object} // goes into an item, so that it ends
			}
		default:
			object[keyword] = sub()
		}
	}
	return object
}

func TestQuickStopsAtItsBudget(t *testing.T) {
	s, faults := compileSchema([]byte(`{"items":{"type":"string"}}`))
	if faults != nil {
		t.Fatal(faults)
	}
	list := make([]any, 100)
	for i := range list {
		list[i] = "x"
	}
	steps := 50
	if v := s.quick.test(list, &steps); v != unknown {
		t.Errorf("verdict %d", v)
	}
	steps = 200
	if v := s.quick.test(list, &steps); v != yes {
		t.Errorf("verdict %d", v)
	}
}

func TestDrafts(t *testing.T) {
	cases := []struct {
		schema, value string
		fits          bool
	}{
		{`{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","properties":{"a":{"maximum":5,"exclusiveMaximum":true}}}`, `{"a":5}`, false},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"string","format":"ipv4"}}}`, `{"a":"1.2.3"}`, false},
		{`{"type":"object","properties":{"a":{"type":"string","format":"ipv4"}}}`, `{"a":"1.2.3"}`, true},
		{`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"p":{"type":"integer"}},"properties":{"a":{"$ref":"#/$defs/p"}}}`, `{"a":"x"}`, false},
		{`{"type":"object","$defs":{"p":{"$anchor":"here","type":"integer"}},"properties":{"a":{"$ref":"#here"}}}`, `{"a":1}`, true},
		{`{"$id":"https://example.com/s","type":"object","$defs":{"p":{"$id":"p","type":"integer"}},"properties":{"a":{"$ref":"p"}}}`, `{"a":1}`, true},
		{`{"type":"object","properties":{"a":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}}`, `{"a":{"type":5}}`, false},
		{`{"type":"object","properties":{"a":{"$ref":"#"}},"additionalProperties":false}`, `{"a":{"a":{"b":1}}}`, false},
		{`{"type":"object","allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}`, `{"a":1,"b":2}`, false},
		{`{"type":"object","properties":{"a":{"maximum":9007199254740992}}}`, `{"a":9007199254740993}`, false},
	}
	for _, one := range cases {
		s, faults := compileSchema([]byte(one.schema))
		if faults != nil {
			t.Errorf("%s: %v", one.schema, faults)
			continue
		}
		value, err := wire.Decode([]byte(one.value))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.check(value, true); (got == nil) != one.fits {
			t.Errorf("%s with %s: %v", one.schema, one.value, got)
		}
	}
}

// The loader is what keeps $ref from reading files: the library alone opens them,
// which the second half shows (dependencies.md section 3).
func TestLoaderRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(file, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	doc := map[string]any{"$ref": "file://" + file}
	compile := func(defend bool) error {
		c := jsonschema.NewCompiler()
		if defend {
			c.UseLoader(nothing{})
		}
		if err := c.AddResource(schemaURL, doc); err != nil {
			t.Fatal(err)
		}
		_, err := c.Compile(schemaURL)
		return err
	}
	if compile(true) == nil {
		t.Error("a file was read")
	}
	if err := compile(false); err != nil {
		t.Errorf("without the loader nothing is read either, so this test proves nothing: %v", err)
	}
	for _, url := range []string{"file:///etc/hostname", "https://example.com/x", "sallyport:///other"} {
		if _, err := (nothing{}).Load(url); err == nil {
			t.Errorf("%s was loaded", url)
		}
	}
}

func TestSchemasAreKept(t *testing.T) {
	c := NewSchemas()
	a, _ := c.compile([]byte(`{"type":"object"}`))
	b, _ := c.compile([]byte(`{"type":"object"}`))
	if a == nil || a != b {
		t.Error("compiled twice")
	}
	c.kept = map[[32]byte]*schema{}
	for i := range schemasKept {
		c.kept[[32]byte{byte(i), byte(i >> 8), 1}] = a
	}
	if _, faults := c.compile([]byte(`{"type":"string"}`)); faults != nil || len(c.kept) != 1 {
		t.Errorf("%d kept, faults %v", len(c.kept), faults)
	}
}

func TestNearest(t *testing.T) {
	cases := []struct{ name, want string }{
		{"conection", "connection"}, {"Connection", "connection"}, {"tpye", "type"}, {"xyz", ""}, {"connection", ""}, {"", ""},
	}
	for _, one := range cases {
		if got := nearest(one.name, []string{"connection", "type", "a"}); got != one.want {
			t.Errorf("%q: %q, want %q", one.name, got, one.want)
		}
	}
}

func TestExponent(t *testing.T) {
	for text, want := range map[string]int{"1": 0, "1e5": 5, "1E-0005": 5, "1e400": 400, "1e+401": 401, "1e99999": maxExponent + 1, "1e0": 0} {
		if got := exponent(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// A few characters of a pattern can compile to megabytes, and a reference can lead to a
// pattern that stands where no keyword leads.
func TestLargePatterns(t *testing.T) {
	large := strings.Repeat(`\\w{1000}`, 250)
	tests := map[string]struct{ schema, path string }{
		"a pattern":           {`{"type":"object","properties":{"a":{"pattern":"` + large + `"}}}`, "/properties/a/pattern"},
		"many":                {`{"type":"object","properties":{` + manyPatterns(400) + `}}`, "/properties/p298/pattern"},
		"pattern properties":  {`{"type":"object","patternProperties":{"` + large + `":{}}}`, ""},
		"behind a reference":  {`{"type":"object","$ref":"#/x/y","x":{"y":{"pattern":"` + large + `"}}}`, "/x/y/pattern"},
		"in each other":       {`{"type":"object","properties":{"a":{"pattern":"((\\w{10}){10}){10}` + strings.Repeat(`((\\w{10}){10}){10}`, 250) + `"}}}`, "/properties/a/pattern"},
		"long, but no number": {`{"type":"object","properties":{"a":{"pattern":"` + strings.Repeat("a", 300_000) + `"}}}`, "/properties/a/pattern"},
	}
	for name, test := range tests {
		s, faults := compileSchema([]byte(test.schema))
		if s != nil || len(faults) != 1 || !strings.Contains(faults[0].message, "more than 200000 steps") || test.path != "" && faults[0].path != test.path {
			t.Errorf("%s: %v", name, faults)
		}
	}
	for _, fine := range []string{
		`{"type":"object","properties":{"a":{"pattern":"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},"pattern":{"type":"string"}}}`,
		`{"type":"object","properties":{` + manyPatterns(200) + `}}`,
	} {
		if _, faults := compileSchema([]byte(fine)); faults != nil {
			t.Errorf("%s: %v", fine[:40], faults)
		}
	}
}

func manyPatterns(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"p%03d":{"pattern":"[a-z]{660,670}"},`, i)
	}
	return b.String() + `"z":{}`
}
