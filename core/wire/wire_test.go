package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	v2 "github.com/go-json-experiment/json"
)

// ways are all ways into the package: what one refuses, every one refuses.
var ways = map[string]func([]byte) error{
	"Check":  func(b []byte) error { return Check(b, Default) },
	"Decode": func(b []byte) error { _, err := Decode(b); return err },
	"Unmarshal": func(b []byte) error {
		var v any
		return Unmarshal(b, &v)
	},
	"Unmarshal typed": func(b []byte) error {
		var v json.RawMessage
		return Unmarshal(b, &v)
	},
	"Compact": func(b []byte) error { _, err := Compact(b); return err },
	"Fields":  func(b []byte) error { return Fields(wrap(`{"x":`, b, `}`), ignoreField) },
	"Elements": func(b []byte) error {
		return Elements(wrap(`[`, b, `]`), func(json.RawMessage) error { return nil })
	},
}

func wrap(before string, b []byte, after string) []byte {
	return append(append([]byte(before), b...), after...)
}

func ignoreField(string, json.RawMessage) error { return nil }

func refused(t testing.TB) map[string]string {
	t.Helper()
	file, err := os.Open("testdata/refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	texts := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		literal, why, found := strings.Cut(line, "\" # ")
		if !found {
			t.Fatalf("testdata/refused.txt: no reason in %q", line)
		}
		text, err := strconv.Unquote(literal + `"`)
		if err != nil {
			t.Fatalf("testdata/refused.txt: %q: %v", line, err)
		}
		texts[text] = why
	}
	if len(texts) < 50 {
		t.Fatalf("testdata/refused.txt: only %d texts were read", len(texts))
	}
	return texts
}

func TestRefused(t *testing.T) {
	for text, why := range refused(t) {
		for way, read := range ways {
			if (way == "Fields" || way == "Elements") && wrapped[why] {
				continue // wrapped in brackets, these are other texts
			}
			err := read([]byte(text))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("%s(%q): %v, want a *SyntaxError: %s", way, text, err, why)
				continue
			}
			if syntax.Limit {
				t.Errorf("%s(%q): %v calls itself a limit", way, text, err)
			}
			if syntax.Offset < 0 || syntax.Offset > len(text)+6 {
				t.Errorf("%s(%q): offset %d is outside", way, text, syntax.Offset)
			}
		}
	}
}

// wrapped are the reasons that go away when the text stands between brackets.
var wrapped = map[string]bool{
	"two literals":     true,
	"nothing":          true,
	"only white space": true,
	"closing bracket":  true,
	"closing brace":    true,
}

func TestAccepted(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `-0.5e-7`, `1E400`, `""`, `[]`, `{}`, ` {"a" : [ 1 , 2 ] } `,
		`"\u0000\ud83d\ude00\/\b\f\n\r\t\\\""`, `"naïve 書籍 😀"`, `{"a":1,"A":2}`, `{"params":1,"paramſ":2}`,
		`[[[[[[[[[[]]]]]]]]]]`, `[{"a":1},{"a":1}]`, `{"":0}`, "\t\r\n1\n",
	} {
		for way, read := range ways {
			if err := read([]byte(text)); err != nil {
				t.Errorf("%s(%s): %v", way, text, err)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	repeat := strings.Repeat
	keys := func(n int) string {
		var b strings.Builder
		b.WriteString(`[{`)
		for i := range n {
			if i == n/2 {
				b.WriteString(`},{`)
			} else if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"k` + strconv.Itoa(i) + `":0`)
		}
		return b.String() + `}]`
	}
	for _, row := range []struct{ name, fits, past string }{
		{"arrays", repeat(`[`, 64) + repeat(`]`, 64), repeat(`[`, 65) + repeat(`]`, 65)},
		{"objects", repeat(`{"a":`, 64) + `0` + repeat(`}`, 64), repeat(`{"a":`, 65) + `0` + repeat(`}`, 65)},
		{"depth bomb", `[]`, repeat(`[`, 200_000)},
		{"keys", keys(10_000), keys(10_001)},
		{"string", `"` + repeat("x", 1<<20) + `"`, `"` + repeat("x", 1<<20+1) + `"`},
		{"name", `{"` + repeat("x", 1<<20) + `":0}`, `{"` + repeat("x", 1<<20+1) + `":0}`},
		{"number", repeat("9", 64), repeat("9", 65)},
	} {
		t.Run(row.name, func(t *testing.T) {
			for way, read := range ways {
				if way == "Fields" || way == "Elements" {
					continue // they add one level; TestFieldsLimits has them
				}
				if err := read([]byte(row.fits)); err != nil {
					t.Errorf("%s at the limit: %v", way, err)
				}
				var syntax *SyntaxError
				if err := read([]byte(row.past)); !errors.As(err, &syntax) || !syntax.Limit {
					t.Errorf("%s past the limit: %v, want a limit", way, err)
				}
			}
		})
	}
	if _, err := DecodeWithin([]byte(keys(10_001)), Answer); err != nil {
		t.Errorf("DecodeWithin(Answer): %v", err)
	}
	if err := Check([]byte(`{"a":1,"b":2}`), Limits{Keys: 1}); err == nil {
		t.Error("Check with Keys 1 let two pass")
	}
	if err := Check([]byte(`{"a":1}`), Limits{Keys: 1}); err != nil {
		t.Errorf("Check takes the other limits from Default: %v", err)
	}
}

func TestFieldsLimits(t *testing.T) {
	deep := strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64)
	var syntax *SyntaxError
	if err := Fields([]byte(`{"a":`+deep+`}`), ignoreField); !errors.As(err, &syntax) || !syntax.Limit {
		t.Errorf("Fields at depth 65: %v", err)
	}
	if err := Elements([]byte(`[`+deep+`]`), func(json.RawMessage) error { return nil }); !errors.As(err, &syntax) || !syntax.Limit {
		t.Errorf("Elements at depth 65: %v", err)
	}
}

func TestFields(t *testing.T) {
	source := []byte(` { "method" : "ping" ,"\u0070arams":{ "a" : [1,2] }, "odd \"name\"":-1.50 ,"e":[],"t":true,"n":null } `)
	for name, walk := range map[string]func([]byte, func(string, json.RawMessage) error) error{"Fields": Fields, "Walk": Walk} {
		var got []string
		err := walk(source, func(name string, value json.RawMessage) error {
			got = append(got, name, string(value))
			at := bytes.Index(source, value)
			if at < 0 || &source[at] != &value[0] && !bytes.Equal(source[at:at+len(value)], value) {
				t.Errorf("%s: %s does not alias the source", name, value)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := []string{
			"method", `"ping"`, "params", `{ "a" : [1,2] }`, `odd "name"`, `-1.50`, "e", `[]`, "t", `true`, "n", `null`,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
		stop := errors.New("stop")
		calls := 0
		if err := walk(source, func(string, json.RawMessage) error { calls++; return stop }); err != stop || calls != 1 {
			t.Errorf("%s: error of f: %v after %d calls", name, err, calls)
		}
		for _, other := range []string{`[]`, `1`, `"x"`, ``, `null`} {
			if err := walk([]byte(other), ignoreField); err == nil {
				t.Errorf("%s(%s) took it for an object", name, other)
			}
		}
	}
}

func TestElements(t *testing.T) {
	var got []string
	if err := Elements([]byte(` [ 1 ,"a,]", {"b":[2]},[ ] , null] `), func(value json.RawMessage) error {
		got = append(got, string(value))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{`1`, `"a,]"`, `{"b":[2]}`, `[ ]`, `null`}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := Elements([]byte(`{}`), func(json.RawMessage) error { return nil }); err == nil {
		t.Error("Elements took an object")
	}
}

// The value handed out stays right after the decoder is used again.
func TestPartsOutliveTheReader(t *testing.T) {
	var parts []json.RawMessage
	keep := func(_ string, value json.RawMessage) error { parts = append(parts, value); return nil }
	for i := range 50 {
		if err := Fields([]byte(`{"a":{"n":`+strconv.Itoa(i)+`}}`), keep); err != nil {
			t.Fatal(err)
		}
	}
	for i, part := range parts {
		if want := `{"n":` + strconv.Itoa(i) + `}`; string(part) != want {
			t.Errorf("part %d became %s", i, part)
		}
	}
}

func TestDecodeKeepsNumbers(t *testing.T) {
	v, err := Decode([]byte(`{"n":9007199254740993,"f":1.10,"list":[1e2,"x",true,false,null,{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"n": json.Number("9007199254740993"), "f": json.Number("1.10"),
		"list": []any{json.Number("1e2"), "x", true, false, nil, map[string]any{}},
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %#v", v)
	}
	again, err := Marshal(v)
	if err != nil || string(again) != `{"f":1.10,"list":[1e2,"x",true,false,null,{}],"n":9007199254740993}` {
		t.Errorf("Marshal: %s, %v", again, err)
	}
	if _, err := DecodeObject([]byte(`[1]`)); err == nil {
		t.Error("DecodeObject took an array")
	}
}

func TestUnmarshalTyped(t *testing.T) {
	type inner struct {
		Value any               `json:"value"`
		Exact json.Number       `json:"exact"`
		Raw   json.RawMessage   `json:"raw"`
		Bytes []byte            `json:"bytes"`
		Map   map[string]string `json:"map,omitempty"`
		Count int               `json:"count,omitempty"`
		Flag  bool              `json:"flag,omitempty"`
	}
	var v inner
	text := `{"value":{"big":9007199254740993},"exact":1.10,"raw":{"b":1,"a":2},"bytes":"AQI=","VALUE":1,"unknown":[1]}`
	if err := Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	want := inner{
		Value: map[string]any{"big": json.Number("9007199254740993")}, Exact: "1.10",
		Raw: json.RawMessage(`{"b":1,"a":2}`), Bytes: []byte{1, 2},
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %#v", v)
	}
	out, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"value":{"big":9007199254740993},"exact":1.10,"raw":{"b":1,"a":2},"bytes":"AQI="}`; string(out) != want {
		t.Errorf("Marshal:\n got %s\nwant %s", out, want)
	}

	var n struct{ Count int }
	var syntax *SyntaxError
	err = Unmarshal([]byte(`{"Count":"secret"}`), &n)
	if !errors.As(err, &syntax) || syntax.Path != "/Count" || strings.Contains(err.Error(), "secret") {
		t.Errorf("a string for a number: %v", err)
	}
	var s string
	if err := Unmarshal([]byte(`"a\nb"`), &s); err != nil || s != "a\nb" {
		t.Errorf("string: %q, %v", s, err)
	}
	if err := Unmarshal([]byte(`1`), &s); err == nil {
		t.Error("a number became a string")
	}
}

func TestMarshal(t *testing.T) {
	for _, row := range []struct {
		in   any
		want string
	}{
		{nil, `null`},
		{map[string]any{"b": 1, "a": []any{json.RawMessage(`{"z":1,"y":2}`), json.Number("1.0")}}, `{"a":[{"z":1,"y":2},1.0],"b":1}`},
		{map[string]any{"h": "<a href=\"x\">&</a>"}, `{"h":"<a href=\"x\">&</a>"}`},
		{struct {
			L []string          `json:"l"`
			M map[string]string `json:"m"`
			P *int              `json:"p,omitempty"`
		}{}, `{"l":[],"m":{}}`},
		{json.Number(""), `0`},
	} {
		got, err := Marshal(row.in)
		if err != nil || string(got) != row.want {
			t.Errorf("Marshal(%#v): %s, %v; want %s", row.in, got, err, row.want)
		}
	}
	for _, bad := range []any{json.Number("1x"), json.Number("[]"), json.Number(" 1"), "\xff", map[string]any{"\xff": 1}, map[string]any{"f": func() {}}} {
		if got, err := Marshal(bad); err == nil {
			t.Errorf("Marshal(%#v) wrote %s", bad, got)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", "a\nb\r\x00\x1f\"\\/<>&", "naïve 書籍 😀 \u2028\u2029", "bad \xff\xed\xa0\x80 bytes"} {
		b := AppendString([]byte("x"), s)
		if bytes.ContainsAny(b, "\r\n") {
			t.Errorf("%q holds a line break: %q", s, b)
		}
		var back string
		if err := json.Unmarshal(b[1:], &back); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") && back != s {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	}
}

func TestCompact(t *testing.T) {
	got, err := Compact([]byte(" {\"a b\" : [ 1.0 ,\t\"x \\\" y\\\\\" ,\r\n{ } ] } "))
	if want := `{"a b":[1.0,"x \" y\\",{}]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	same := []byte(`{"a":"b c"}`)
	if got, _ := Compact(same); &got[0] != &same[0] {
		t.Error("Compact copied what was compact already")
	}
}

func TestFirstByte(t *testing.T) {
	if !IsObject([]byte(" \n{}")) || IsObject([]byte("[]")) || !IsArray([]byte("\t[")) || !IsString([]byte(` "x"`)) ||
		!IsNumber([]byte("-1")) || !IsNumber([]byte("7")) || IsNumber([]byte("n")) || !IsNull(nil) || !IsNull([]byte("null")) || IsNull([]byte("0")) {
		t.Error("the first byte was misread")
	}
}

func TestErrorHasNoValues(t *testing.T) {
	err := Check([]byte(`{"password":"hunter2","password":"hunter3"}`), Default)
	if err == nil || strings.Contains(err.Error(), "hunter") || !strings.Contains(err.Error(), "/password") {
		t.Errorf("got %v", err)
	}
}

// What is accepted means the same to encoding/json and to json/v2, also after
// it was written again.
func FuzzOneMeaning(f *testing.F) {
	f.Add([]byte(benchBody))
	for _, text := range []string{`{"a":[1,-0.0,1e9,"\u00e9\ud83d\ude00",null,true],"b":{"":{}}}`, `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", `[1,]`, ` {"x" :1} `} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Check(b, Default)
		value, decodeErr := Decode(b)
		if (err == nil) != (decodeErr == nil) {
			t.Fatalf("Check says %v, Decode %v", err, decodeErr)
		}
		if err != nil {
			return
		}
		if got := standard(t, b); !reflect.DeepEqual(got, value) {
			t.Fatalf("encoding/json reads %#v, wire %#v", got, value)
		}
		var second any
		if err := v2.Unmarshal(b, &second); err != nil && !strings.Contains(err.Error(), "out of range") {
			t.Fatalf("json/v2 refuses: %v", err)
		}
		again, err := Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if got := standard(t, again); !reflect.DeepEqual(got, value) {
			t.Fatalf("written again it means %#v, before %#v", got, value)
		}
		small, err := Compact(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := standard(t, small); !reflect.DeepEqual(got, value) {
			t.Fatalf("compact it means %#v, before %#v", got, value)
		}
		if object, ok := value.(map[string]any); ok {
			for name, walk := range map[string]func([]byte, func(string, json.RawMessage) error) error{"Fields": Fields, "Walk": Walk} {
				parts := map[string]any{}
				if err := walk(b, func(name string, raw json.RawMessage) error {
					parts[name] = standard(t, raw)
					return nil
				}); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if !reflect.DeepEqual(parts, object) {
					t.Fatalf("%s found %#v in %#v", name, parts, object)
				}
			}
		}
	})
}

// FuzzWalk feeds Walk what nobody checked: it must only not fall over.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[`))
	f.Add([]byte(`{"a\`))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = Walk(b, ignoreField) })
}

func standard(t *testing.T, b []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", b, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Fatalf("encoding/json sees more after %q", b)
	}
	return v
}

// Without the defence, a name twice passes: the tests above see this package's
// rules, not the library's habits.
func TestStandardLibraryWouldAccept(t *testing.T) {
	for _, text := range []string{`{"a":1,"a":2}`, `"\ud800"`, "\"\xff\""} {
		if !json.Valid([]byte(text)) {
			t.Errorf("%q is refused by encoding/json too: choose another", text)
		}
		if Check([]byte(text), Default) == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
