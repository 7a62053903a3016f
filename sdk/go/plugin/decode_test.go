package plugin

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	A string            `json:"a"`
	B []int             `json:"b"`
	M map[string]string `json:"m"`
}

type tree struct {
	Name string  `json:"name"`
	Kids []*tree `json:"kids"`
}

type word string

type everything struct {
	String  string           `json:"string"`
	Word    word             `json:"word"`
	Bool    bool             `json:"bool"`
	Int     int              `json:"int"`
	Int8    int8             `json:"int8"`
	Uint16  uint16           `json:"uint16"`
	Uint64  uint64           `json:"uint64"`
	Float   float64          `json:"float"`
	Float32 float32          `json:"float32"`
	Number  json.Number      `json:"number"`
	Raw     json.RawMessage  `json:"raw"`
	Any     any              `json:"any"`
	Bytes   []byte           `json:"bytes"`
	Time    time.Time        `json:"time"`
	Inner   inner            `json:"inner"`
	Pointer *inner           `json:"pointer"`
	List    []inner          `json:"list"`
	Array   [2]int           `json:"array"`
	Map     map[word]float64 `json:"map"`
	IntKeys map[int]string   `json:"int_keys"`
	Tree    *tree            `json:"tree"`
	Skipped string           `json:"-"`
	NoTag   string
	hidden  string //nolint:unused // it must stay empty
}

var good = []string{
	`{}`, ` { } `, `null`,
	`{"string":"a\"\\\/\b\f\n\r\té\u00e9\ud83d\ude00\ud83d x\udc00","word":"w","bool":true,"NoTag":"n"}`,
	`{"int":-9223372036854775808,"int8":127,"uint16":65535,"uint64":18446744073709551615}`,
	`{"float":-0.5e-3,"float32":1.25,"number":12345678901234567890.5,"int":0,"float":1E+2}`,
	`{"raw": {"x" : [ 1 , 2 ] } ,"any":{"a":[1,"b",null,true,false,{}],"c":{"d":[]}}}`,
	`{"bytes":"aGk=","time":"2026-11-22T10:00:00Z","inner":{"a":"x","b":[1,2,3],"m":{"k":"v","":""}}}`,
	`{"pointer":{"a":"p"},"list":[{"a":"1"},{"b":[]},{}],"array":[1,2],"map":{"a":1.5,"b":2},"int_keys":{"1":"x"}}`,
	`{"pointer":null,"list":null,"map":null,"any":null,"bytes":null,"string":null,"int":null,"inner":null,"bool":null,"raw":null,"float":null,"uint16":null}`,
	`{"tree":{"name":"root","kids":[{"name":"a","kids":[]},null,{"kids":[{"name":"b"}]}]}}`,
	`{"unknown":{"deep":[{"x":"\u0041"}]},"string":"after","Skipped":"no","hidden":"no","-":"no"}`,
	`{"tring":"no","string":"12345678\u003012345678 past eight bytes"}`,
}

func TestDecodesAsEncodingJSON(t *testing.T) {
	for _, s := range good {
		var got, want everything
		if err := json.Unmarshal([]byte(s), &want); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if err := Unmarshal([]byte(s), &got); err != nil {
			t.Errorf("%s: %v", s, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", s, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for s, want := range map[string]string{
		``:                                   "must be an object, not the end",
		`[]`:                                 "must be an object, not an array",
		`{"string":1}`:                       "string must be a string, not a number",
		`{"int":"1"}`:                        "int must be a number, not a string",
		`{"int":1.5}`:                        "int must be an integer",
		`{"int8":128}`:                       "int8 must be an integer of 8 bits",
		`{"int8":1.28e2}`:                    "int8 must be an integer of 8 bits",
		`{"uint16":-1}`:                      "uint16 must be an integer of 16 bits, not negative",
		`{"uint16":65536.0}`:                 "uint16 must be an integer of 16 bits, not negative",
		`{"bool":0}`:                         "bool must be a boolean, not a number",
		`{"float":1e999}`:                    "float is too large a number",
		`{"list":[{},{"b":[1,{}]}]}`:         "list[1].b[1] must be a number, not an object",
		`{"map":{"x":[]}}`:                   "map.x must be a number, not an array",
		`{"bytes":"%"}`:                      "bytes must be base64",
		`{"string":"a`:                       "a string does not end",
		`{"string":"a\`:                      "a string does not end",
		`{"string":"\x"}`:                    "an escape that JSON does not have",
		`{"string":"\u12"}`:                  "an escape that JSON does not have",
		"{\"string\":\"a\nb\"}":              "a control character",
		`{"string":"a"`:                      "a comma or a closing brace is missing",
		`{"string":"a",}`:                    "the name of a member is missing",
		`{"string" "a"}`:                     "a colon is missing",
		`{"string":}`:                        "a value is missing",
		`{"list":[{},]}`:                     "list[1] is no JSON at byte 12: a value is missing",
		`{"list":[{} {}]}`:                   "a closing bracket is missing",
		`{"x":01}`:                           "a number that JSON does not have",
		`{"x":1.}`:                           "a number that JSON does not have",
		`{"x":1e}`:                           "a number that JSON does not have",
		`{"x":-}`:                            "a number that JSON does not have",
		`{"x":nul}`:                          "a word that JSON does not have",
		`{"any":tru}`:                        "a word that JSON does not have",
		`{} {}`:                              "something follows",
		`{"any":` + strings.Repeat("[", 999): "nested too deep",
	} {
		var v everything
		if err := unmarshal([]byte(s), &v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", s, err, want)
		}
	}
}

// The reason for a decoder of our own: what a schema allowed under one name must not
// be overridden by a name that the schema does not know.
func TestNamesAreExact(t *testing.T) {
	var v everything
	if err := unmarshal([]byte(`{"string":"checked","String":"smuggled","STRING":"smuggled","\u017ftring":"smuggled"}`), &v); err != nil || v.String != "checked" {
		t.Errorf("string is %q (%v)", v.String, err)
	}
	var folded everything
	if err := json.Unmarshal([]byte(`{"string":"checked","STRING":"smuggled"}`), &folded); err != nil || folded.String != "smuggled" {
		t.Errorf("encoding/json has changed (%q, %v): is the decoder still needed?", folded.String, err)
	}
}

// JSON Schema takes 3.0 for an integer.
func TestIntegersWithAPoint(t *testing.T) {
	var v everything
	if err := unmarshal([]byte(`{"int":3.0,"uint16":1e3,"int8":-1.0}`), &v); err != nil || v.Int != 3 || v.Uint16 != 1000 || v.Int8 != -1 {
		t.Errorf("%d %d %d, %v", v.Int, v.Uint16, v.Int8, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range good {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{"any":"\ud800\udc00\ud800"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{b: b}
		got, err := d.value()
		d.space()
		var want any
		wantErr := json.Unmarshal(b, &want)
		fine := err == nil && d.i == len(b)
		if fine != (wantErr == nil) && !strings.Contains(string(b), strings.Repeat("[", maxDepth/2)) && (err == nil || !strings.Contains(err.Error(), "too deep")) {
			t.Fatalf("%q: %v, encoding/json: %v", b, err, wantErr)
		}
		if fine && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, encoding/json: %#v", b, got, want)
		}
		var v everything
		_ = unmarshal(b, &v) // whatever it is, it does not panic
	})
}

func FuzzString(f *testing.F) {
	f.Add("plain text that is longer than eight")
	f.Add("a\"b\\c\nd\x00e\xfff\u2028<&>")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && got != toValid(s) {
			t.Errorf("%q became %s (%q, %v)", s, b, got, err)
		}
	})
}

// toValid replaces every wrong byte by itself, where strings.ToValidUTF8 replaces
// runs.
func toValid(s string) string { return string([]rune(s)) }
