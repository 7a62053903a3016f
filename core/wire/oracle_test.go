package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// endless are limits that nothing in these tests passes.
var endless = Limits{Depth: deepest, Keys: 1 << 30, String: 1 << 30, Number: 1 << 30}

// agree compares the scanner with github.com/go-json-experiment/json/jsontext, which
// has the same rules and other code.
func agree(t *testing.T, b []byte) {
	t.Helper()
	err := Check(b, endless)
	if want := jsontext.Value(b).IsValid(); want != (err == nil) {
		t.Fatalf("%q: Check says %v, jsontext %v", b, err, want)
	}
	if _, decodeErr := DecodeWithin(b, endless); fmt.Sprint(err) != fmt.Sprint(decodeErr) {
		t.Fatalf("%q: Check says %v, Decode %v", b, err, decodeErr)
	}
	text := string(b)
	want, wantErr := jsontext.AppendQuote([]byte("x"), text)
	if wantErr != nil {
		want, _ = jsontext.AppendQuote([]byte("x"), strings.ToValidUTF8(text, "\uFFFD"))
	}
	if got := AppendString([]byte("x"), text); !bytes.Equal(got, want) {
		t.Fatalf("AppendString(%q) is %s, by jsontext %s", text, got, want)
	}
	if err != nil {
		return
	}
	small := jsontext.Value(bytes.Clone(b))
	if err := small.Compact(); err != nil {
		t.Fatal(err)
	}
	if len(b) <= Default.String && Check(b, Default) == nil {
		if got, err := Compact(b); err != nil || !bytes.Equal(got, small) {
			t.Fatalf("Compact(%q) is %q, %v; by jsontext %q", b, got, err, small)
		}
	}
	if IsString(b) {
		want, err := jsontext.AppendUnquote(nil, bytes.TrimSpace(b))
		if got, _ := DecodeWithin(b, endless); err != nil || got != string(want) {
			t.Fatalf("%s means %q, by jsontext %q", b, got, want)
		}
	}
}

// Every cut of these texts, and every byte of them exchanged: words end everywhere.
func TestAgreesWithTheOracle(t *testing.T) {
	texts := []string{
		`{"a":[1,-0.5e+7,true,false,null,"x"],"longer name":{"":{}},"\u0061b":" \ud83d\ude00\n"} `,
		`["plain text of more than thirty-two characters, so that four words are one step","naïve 書籍 😀"]`,
		`{"12345678":1,"1234567":2,"123456":3,"12345678X":4,"12345678Y":5}`,
	}
	for text := range refused(t) {
		texts = append(texts, text, `{"x":[`+text+`]}`)
	}
	for _, text := range texts {
		for i := range len(text) {
			agree(t, []byte(text[:i]))
			for _, c := range []byte("\"\\{}[],:\x00\x1f 0x\x7f\x80\xbf\xc2\xe0\xed\xf0\xff") {
				changed := []byte(text)
				changed[i] = c
				agree(t, changed)
			}
		}
		agree(t, []byte(text))
	}
}

// Every byte and every second byte, at every place of a word.
func TestBytesInStrings(t *testing.T) {
	for pad := range 10 {
		before := strings.Repeat("p", pad)
		for c := range 256 {
			agree(t, []byte(`"`+before+string([]byte{byte(c)})+`after and more"`))
		}
	}
	for lead := 0x80; lead < 256; lead++ {
		for second := range 256 {
			for _, tail := range []string{"", "\x80", "\x80\x80"} {
				text := string([]byte{byte(lead), byte(second)}) + tail
				agree(t, []byte(`"`+text+`"`))
				want := 0
				if r, size := utf8.DecodeRuneInString(text); r != utf8.RuneError {
					want = size
				}
				if size := runeSize(text); size != want {
					t.Fatalf("%q: size %d, want %d", text, size, want)
				}
			}
		}
	}
}

func TestEscapes(t *testing.T) {
	for c := range 256 {
		agree(t, []byte(`"\`+string([]byte{byte(c)})+`"`))
		agree(t, []byte(`"\u00`+string([]byte{byte(c)})+`0"`))
	}
	for _, unit := range []string{"0000", "001f", "d7ff", "d800", "DBFF", "dc00", "dfff", "e000", "ffff"} {
		for _, second := range []string{"", "x", `\`, `\n`, `\u`, `\udc0`, `\u0041`, `\ud800`, `\udbff`, `\udc00`, `\uDFFF`, `\ue000`} {
			agree(t, []byte(`"\u`+unit+second+`"`))
			agree(t, []byte(`{"\u`+unit+second+`":1}`))
		}
	}
}

// A name twice is found among few and among many, near and far, escaped and not,
// and in objects on both sides of a wide one.
func TestNameTwice(t *testing.T) {
	for _, count := range []int{1, 2, few - 1, few, few + 1, few + 2, 8*few/2 - 1, 8*few/2 + 1, 700} {
		for _, style := range []string{"%d", "member %d", "the same beginning of all names %d the same end", "%d is at the beginning", `\u006d\n%d`} {
			var names []string
			for i := range count {
				names = append(names, fmt.Sprintf(style, i))
			}
			inner := `"` + strings.Join(names, `":{"a":0,"b":[{}]},"`) + `":0`
			wrapped := `{"0":{` + inner + `},"1":[{` + inner + `}],"2":0`
			if err := Check([]byte(wrapped+`}`), Default); err != nil {
				t.Fatalf("%d names like %q: %v", count, style, err)
			}
			if err := Check([]byte(wrapped+`,"1":0}`), Default); err == nil {
				t.Fatalf("%d names like %q hid the one around them", count, style)
			}
			for _, i := range []int{0, count / 2, count - 1} {
				for _, again := range []string{names[i], escapeAll(t, names[i])} {
					text := `[{` + inner + `,"` + again + `":1}]`
					var syntax *SyntaxError
					if err := Check([]byte(text), Default); !errors.As(err, &syntax) || syntax.Limit || syntax.Offset != len(text)-len(again)-6 {
						t.Fatalf("%d names like %q, number %d again as %q: %v", count, style, i, again, err)
					}
				}
			}
		}
	}
}

// escapeAll writes each character of a name as an escape.
func escapeAll(t *testing.T, written string) string {
	t.Helper()
	var name string
	if err := json.Unmarshal([]byte(`"`+written+`"`), &name); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range name {
		fmt.Fprintf(&b, `\u%04X`, c)
	}
	return b.String()
}

// Names that share a hash are still different names.
func TestSharedHash(t *testing.T) {
	// longHash is head ^ rotate(tail): both words of these differ, the hash does not.
	a, b := "PPPPPPPPQQQQQQQQ", ""
	const flip = 1 << 5
	for _, w := range []uint64{word(a, 0) ^ flip<<27, word(a, 8) ^ flip} {
		b += string(binary.LittleEndian.AppendUint64(nil, w))
	}
	if a == b || nameHash([]byte(a), 0, 16) != nameHash([]byte(b), 0, 16) {
		t.Fatalf("%q and %q do not share a hash: choose others", a, b)
	}
	agree(t, []byte(`{"`+a+`":1,"`+b+`":2}`))
	agree(t, []byte(`{"`+a+`":1,"`+b+`":2,"`+a+`":3}`))
}

// The error says where, in the words of RFC 6901.
func TestPlaces(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{``, `JSON: ends too early (byte 0)`},
		{`{"a":[1,{"b":tru}]}`, `JSON: invalid character '}' in literal true (expecting 'e') at /a/1/b (byte 16)`},
		{`{"a/b~c":{"d":1,"d":2}}`, `JSON: the same name twice in one object at /a~1b~0c/d (byte 16)`},
		{`{"\u0061":{"b":01}}`, `JSON: invalid character '1' after object value (expecting ',' or '}') at /a (byte 16)`},
		{`[0,[1 2]]`, `JSON: invalid character '2' after array element (expecting ',' or ']') at /1 (byte 6)`},
		{`{"a" 1}`, `JSON: invalid character '1' after object name (expecting ':') at /a (byte 5)`},
		{`{"a":-}`, `JSON: invalid character '}' in number (expecting digit) at /a (byte 6)`},
		{`["\x"]`, `JSON: invalid escape sequence "\\x" in string at /0 (byte 2)`},
		{"[\"\xff\"]", `JSON: invalid UTF-8 at /0 (byte 2)`},
		{"[\"\n\"]", `JSON: invalid character '\n' in string (expecting non-control character) at /0 (byte 2)`},
		{`{} {}`, `JSON: something follows the value (byte 3)`},
		{`[[[[0]]]]`, `JSON: nested deeper than 3 at /0/0/0 (byte 3)`},
		{`{"a":1,"b":{"c":1,"d":2}}`, `JSON: more than 3 members at /b (byte 18)`},
		{`["12345678901"]`, `JSON: a string longer than 10 bytes at /0 (byte 1)`},
		{`{"12345678901":0}`, `JSON: a string longer than 10 bytes (byte 1)`},
		{`[12345]`, `JSON: a number longer than 4 characters at /0 (byte 1)`},
	} {
		limits := Limits{Depth: 3, Keys: 3, String: 10, Number: 4}
		err := Check([]byte(row.text), limits)
		if err == nil || err.Error() != row.want {
			t.Errorf("%s:\n got %v\nwant %s", row.text, err, row.want)
		}
		if _, decodeErr := DecodeWithin([]byte(row.text), limits); fmt.Sprint(decodeErr) != fmt.Sprint(err) {
			t.Errorf("%s: Decode says %v", row.text, decodeErr)
		}
	}
	if err := Check([]byte(`{"1234":0}`), Limits{String: 3}); err == nil {
		t.Error("a short name passed a limit that is shorter")
	}
	if err := Check([]byte(strings.Repeat(`[`, deepest+1)), Limits{Depth: 1 << 30}); err == nil || !strings.Contains(err.Error(), "nested deeper than 10000") {
		t.Errorf("past the depth that no limits lift: %v", err)
	}
}

// What f of Fields does with this package meets another scanner, and what a failed
// read leaves behind does not show in the next.
func TestScannersAreApart(t *testing.T) {
	err := Fields([]byte(`{"a":{"b":[1]},"c":2}`), func(name string, value json.RawMessage) error {
		_, _ = Decode([]byte(`{"a":1,"c":{"a":[{"x":1`))
		if err := Check([]byte(`{"a":1,"c":1,"b":1}`), Default); err != nil {
			t.Error(name, err)
		}
		return Fields([]byte(`{"a":1,"c":1}`), ignoreField)
	})
	if err != nil {
		t.Error(err)
	}
	if v, err := Decode([]byte(`[{"k":[7,42,123]},[],{}]`)); err != nil || fmt.Sprint(v) != "[map[k:[7 42 123]] [] map[]]" {
		t.Errorf("%v, %v", v, err)
	}
}

// Decoded strings stay as they are when the caller writes over what was decoded.
func TestDecodedStringsAreCopies(t *testing.T) {
	b := []byte(`{"name":"value","n":12345,"e\n":"\tx"}`)
	v, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = '!'
	}
	if want := map[string]any{"name": "value", "n": json.Number("12345"), "e\n": "\tx"}; !reflect.DeepEqual(v, want) {
		t.Errorf("got %#v", v)
	}
}

// Reading costs no memory. With the race detector a pool drops some of what it is
// given, hence not quite none.
func TestAllocations(t *testing.T) {
	wide := []byte(`{"0":0`)
	for i := range 100 {
		wide = append(wide, `,"member `+strconv.Itoa(i)+`":{"a":1}`...)
	}
	wide = append(wide, '}')
	body, known, text := []byte(benchBody), []byte(`{"jsonrpc":"2.0","id":7,"method":"ping","params":{}}`), []byte(benchText)
	for _, row := range []struct {
		name string
		most float64
		run  func()
	}{
		{"Check", 3, func() { _ = Check(body, Default) }},
		{"Check of a wide object", 9, func() { _ = Check(wide, Default) }},
		{"Fields with known names", 3, func() { _ = Fields(known, ignoreField) }},
		{"Decode", 8, func() { _, _ = Decode(text) }},
	} {
		if got := testing.AllocsPerRun(200, row.run); got > row.most {
			t.Errorf("%s: %v allocations, want at most %v", row.name, got, row.most)
		}
	}
}

func FuzzOracle(f *testing.F) {
	for text := range refused(f) {
		f.Add([]byte(text))
	}
	f.Add([]byte(benchBody))
	f.Fuzz(agree)
}
