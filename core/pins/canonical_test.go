package pins

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func canonical(t testing.TB, raw string) string {
	t.Helper()
	b, err := Canonical(json.RawMessage(raw))
	if err != nil {
		t.Fatalf("Canonical(%.200s): %v", raw, err)
	}
	return string(b)
}

// The examples of RFC 8785: sections 3.2.2 to 3.2.4.
func TestCanonicalOfTheRFC(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{
			"section 3.2.2",
			`{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		{
			"section 3.2.3, order of UTF-16 code units",
			`{
  "\u20ac": "Euro Sign",
  "\r": "Carriage Return",
  "\ufb33": "Hebrew Letter Dalet With Dagesh",
  "1": "One",
  "\ud83d\ude00": "Emoji: Grinning Face",
  "\u0080": "Control",
  "\u00f6": "Latin Small Letter O With Diaeresis"
}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\"," +
				"\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		{"escapes", `"\u0000\u0001\b\t\n\u000b\f\r\u001f\u007f\u2028\/"`, "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\u007f\u2028/\""},
		{"nothing inside", ` [ { } , [ ] , "" ] `, `[{},[],""]`},
		{"names within each other", `{"b":{"z":1,"a":2},"a":[{"d":1,"c":2}]}`, `{"a":[{"c":2,"d":1}],"b":{"a":2,"z":1}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := canonical(t, tt.in); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	t.Run("the order of bytes would be seen", func(t *testing.T) {
		names := []string{"\ufb33", "\U0001f600"}
		byUnits, byBytes := slices.Clone(names), slices.Clone(names)
		slices.SortFunc(byUnits, compareUTF16)
		slices.Sort(byBytes)
		if slices.Equal(byUnits, byBytes) {
			t.Error("the example of section 3.2.3 cannot tell the two orders apart")
		}
	})
}

// RFC 8785, appendix B: doubles by their bits.
func TestNumbersOfTheRFC(t *testing.T) {
	tests := []struct {
		bits uint64
		want string
	}{
		{0x0000000000000000, "0"},
		{0x8000000000000000, "0"},
		{0x0000000000000001, "5e-324"},
		{0x8000000000000001, "-5e-324"},
		{0x7fefffffffffffff, "1.7976931348623157e+308"},
		{0xffefffffffffffff, "-1.7976931348623157e+308"},
		{0x4340000000000000, "9007199254740992"},
		{0xc340000000000000, "-9007199254740992"},
		{0x4430000000000000, "295147905179352830000"},
		{0x44b52d02c7e14af5, "9.999999999999997e+22"},
		{0x44b52d02c7e14af6, "1e+23"},
		{0x44b52d02c7e14af7, "1.0000000000000001e+23"},
		{0x444b1ae4d6e2ef4e, "999999999999999700000"},
		{0x444b1ae4d6e2ef4f, "999999999999999900000"},
		{0x444b1ae4d6e2ef50, "1e+21"},
		{0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
		{0x3eb0c6f7a0b5ed8d, "0.000001"},
		{0x41b3de4355555553, "333333333.3333332"},
		{0x41b3de4355555554, "333333333.33333325"},
		{0x41b3de4355555555, "333333333.3333333"},
		{0x41b3de4355555556, "333333333.3333334"},
		{0x41b3de4355555557, "333333333.33333343"},
		{0xbecbf647612f3696, "-0.0000033333333333333333"},
		{0x43143ff3c1cb0959, "1424953923781206.2"},
	}
	for _, tt := range tests {
		f := math.Float64frombits(tt.bits)
		for _, text := range []string{strconv.FormatFloat(f, 'e', -1, 64), strconv.FormatFloat(f, 'g', -1, 64)} {
			if got := canonical(t, text); got != tt.want {
				t.Errorf("%x as %s: got %s, want %s", tt.bits, text, got, tt.want)
			}
		}
	}
}

func TestNumbersThatNoDoubleHolds(t *testing.T) {
	tests := []struct{ in, want string }{
		{"9007199254740993", "9007199254740993"},
		{"-9007199254740993", "-9007199254740993"},
		{"9007199254740993.0", "9007199254740993"},
		{"9007199254740993000e-3", "9007199254740993"},
		{"18446744073709551615", "18446744073709551615"},
		{"123456789012345678901234567890", "1.2345678901234567890123456789e+29"},
		{"295147905179352830000", "295147905179352830000"},
		{"295147905179352825856", "295147905179352825856"}, // the same double, another integer
		{"1e400", "1e+400"},
		{"-12e399", "-1.2e+400"},
		{"1e-400", "1e-400"},
		{"0e999999999999", "0"},
		{"-0.0", "0"},
		{"0.1000000000000000055511151231257827", "0.1"}, // a fraction is the double that it is
		{"1.0", "1"},
		{"100E-2", "1"},
		{"0.00001", "0.00001"},
		{"0.0000001", "1e-7"},
	}
	for _, tt := range tests {
		if got := canonical(t, tt.in); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got, tt.want)
		}
	}
	if a, b := canonical(t, `{"maximum":9007199254740992}`), canonical(t, `{"maximum":9007199254740993}`); Sum([]byte(a)) == Sum([]byte(b)) {
		t.Error("two integers past 2^53 have one sum")
	}
	t.Run("doubles would give one sum", func(t *testing.T) {
		x, _ := strconv.ParseFloat("9007199254740992", 64)
		y, _ := strconv.ParseFloat("9007199254740993", 64)
		if x != y {
			t.Error("the test above tests nothing")
		}
	})
}

func TestCanonicalRefuses(t *testing.T) {
	tests := []struct {
		name, in string
		code     core.Code
	}{
		{"nothing", ``, core.CodeInvalid},
		{"a name twice", `{"name":"a","name":"b"}`, core.CodeInvalid},
		{"a name twice by an escape", `{"name":"a","n\u0061me":"b"}`, core.CodeInvalid},
		{"a name twice, deep", `{"a":[{"b":1,"b":1}]}`, core.CodeInvalid},
		{"half a surrogate", `"\ud800"`, core.CodeInvalid},
		{"not UTF-8", "\"\xff\"", core.CodeInvalid},
		{"two values", `1 2`, core.CodeInvalid},
		{"too deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), core.CodeTooLarge},
		{"too many members", `{` + members(10_001) + `}`, core.CodeTooLarge},
		{"too large", `"` + strings.Repeat("x", MaxSize) + `"`, core.CodeTooLarge},
		{"an exponent past all bounds", `1e10000000000`, core.CodeInvalid},
		{"a point past all bounds", `1e1000000000`, core.CodeInvalid},
		{"too many digits", strings.Repeat("7", 61), core.CodeInvalid},
		{"a very long number", strings.Repeat("7", 200), core.CodeTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Canonical(json.RawMessage(tt.in))
			var e *core.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Fix == "" {
				t.Errorf("got %v, want an error with %s", err, tt.code)
			}
		})
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strconv.Itoa(i) + `":0`)
	}
	return b.String()
}

func TestSum(t *testing.T) {
	// sha256sum of {}
	if got := Sum([]byte(`{}`)); got != "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" {
		t.Errorf("got %s", got)
	}
}

// written is a value with one of its spellings.
type written struct {
	value any    // as decode gives it, numbers as *big.Rat
	text  string // JSON
}

func value(depth int) *rapid.Generator[written] {
	return rapid.Custom(func(t *rapid.T) written {
		kinds := 5
		if depth > 0 {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return written{nil, "null"}
		case 1:
			return written{true, "true"}
		case 2:
			n := rapid.Int64().Draw(t, "integer")
			return written{big.NewRat(n, 1), strconv.FormatInt(n, 10)}
		case 3:
			n := rapid.Int64Range(-1e6, 1e6).Draw(t, "eighths")
			return written{big.NewRat(n, 8), strconv.FormatFloat(float64(n)/8, 'f', -1, 64)}
		case 4:
			s := rapid.String().Draw(t, "text")
			return written{s, string(wire.AppendString(nil, s))}
		case 5:
			list := rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "list")
			w := written{value: []any{}, text: "["}
			for i, e := range list {
				if i > 0 {
					w.text += ","
				}
				w.value, w.text = append(w.value.([]any), e.value), w.text+e.text
			}
			w.text += "]"
			return w
		}
		members := rapid.MapOfN(rapid.String(), value(depth-1), 0, 4).Draw(t, "object")
		w := written{value: map[string]any{}, text: "{"}
		for name, e := range members {
			if len(w.text) > 1 {
				w.text += ","
			}
			w.value.(map[string]any)[name] = e.value
			w.text += string(wire.AppendString(nil, name)) + ":" + e.text
		}
		w.text += "}"
		return w
	})
}

// respell writes a value in another way: other order, blanks, escapes and spelling of
// numbers.
func respell(t *rapid.T, v any) string {
	blank := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "blank")
	switch v := v.(type) {
	case *big.Rat:
		if v.IsInt() && rapid.Bool().Draw(t, "point") {
			return blank + v.FloatString(2) + "0e0"
		}
		return blank + strings.TrimSuffix(v.FloatString(3), ".000")
	case string:
		b, _ := json.Marshal(v) // writes < > & and U+2028 as escapes
		return blank + string(b)
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, respell(t, e))
		}
		return "[" + strings.Join(parts, ",") + blank + "]"
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		if len(names) > 1 {
			names = rapid.Permutation(names).Draw(t, "order")
		}
		var parts []string
		for _, name := range names {
			parts = append(parts, respell(t, name)+":"+respell(t, v[name]))
		}
		return "{" + strings.Join(parts, ",") + blank + "}"
	}
	b, _ := json.Marshal(v)
	return blank + string(b)
}

func equal(a, b any) bool {
	switch x := a.(type) {
	case *big.Rat:
		y, ok := b.(*big.Rat)
		return ok && x.Cmp(y) == 0
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for name := range x {
			if other, there := y[name]; !there || !equal(x[name], other) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case *big.Rat, []any, map[string]any:
		return false
	}
	return a == b
}

func TestCanonicalIsOneTextForOneValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := value(3).Draw(t, "a")
		x, err := Canonical(json.RawMessage(a.text))
		if err != nil {
			t.Fatalf("%s: %v", a.text, err)
		}
		again := respell(t, a.value)
		y, err := Canonical(json.RawMessage(again))
		if err != nil || !bytes.Equal(x, y) {
			t.Fatalf("%s\n→ %s\n%s\n→ %s (%v)", a.text, x, again, y, err)
		}
		if z, err := Canonical(x); err != nil || !bytes.Equal(x, z) {
			t.Fatalf("not idempotent: %s → %s (%v)", x, z, err)
		}
	})
}

func TestEqualSumsOnlyOfEqualValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := value(2).Draw(t, "a"), value(2).Draw(t, "b")
		x, _ := Canonical(json.RawMessage(a.text))
		y, _ := Canonical(json.RawMessage(b.text))
		if (Sum(x) == Sum(y)) != equal(a.value, b.value) {
			t.Fatalf("%s and %s: %s, %s", a.text, b.text, x, y)
		}
	})
}

func TestIntegersKeepTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,40})(\.0{1,3})?([eE][+]?[0-9]{1,2})?`).Draw(t, "number")
		got, err := Canonical(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		x, _ := new(big.Rat).SetString(text)
		y, ok := new(big.Rat).SetString(string(got))
		if !ok || x.Cmp(y) != 0 {
			t.Fatalf("%s became %s", text, got)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		`{"b":1,"a":[1.0,9007199254740993,1e400,-0]}`, `"\ud83d\ude00"`, `{"\ufb33":1,"\ud83d\ude00":2}`, `1e-7`, `[]`, `{"a":{"a":{}}}`, `5e-324`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		one, err := Canonical(raw)
		if err != nil {
			return
		}
		two, err := Canonical(one)
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%q → %q → %q (%v)", raw, one, two, err)
		}
		if diff, err := Compare(raw, one); err != nil || len(diff.Changes) > 0 {
			t.Fatalf("%q and %q differ: %v (%v)", raw, one, diff, err)
		}
		if bytes.ContainsAny(one, "\n\t") {
			t.Fatalf("white space in %q", one)
		}
	})
}
