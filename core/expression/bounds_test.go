package expression

import (
	"context"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/sallyport/sallyport/core/wire"
)

// The test of the test: without the count the same expression runs to its end.
func TestStepsAreWhatStopsLoops(t *testing.T) {
	e, err := Compile(`len(map(tags, map(tags, map(tags, 1))))`, []string{"tags"})
	if err != nil {
		t.Fatal(err)
	}
	tags := make([]any, 60) // 216,000 rounds
	for i := range tags {
		tags[i] = "x"
	}
	if _, err := e.Run(map[string]any{"tags": tags}); !errors.Is(err, ErrSteps) {
		t.Errorf("216,000 rounds: %v, want ErrSteps", err)
	}
	value, err := vm.Run(e.program, map[string]any{"tags": tags, stepper: func() bool { return true }})
	if err != nil || value != 60 {
		t.Errorf("something else stops it: %v %v", value, err)
	}
}

func TestAppendJSONTypes(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 1<<17)
	for _, row := range []struct {
		value any
		want  string
	}{
		{nil, "null"},
		{true, "true"},
		{int64(-5), "-5"},
		{uint8(7), "7"},
		{float32(0.5), "0.5"},
		{1.0, "1"},
		{1e21, "1e+21"},
		{1e-7, "1e-07"},
		{math.Inf(1), "1.7976931348623157e+308"},
		{math.Inf(-1), "-1.7976931348623157e+308"},
		{big.NewInt(12), "12"},
		{[]string{"a", "<"}, `["a","<"]`},
		{[]int{1, 2}, "[1,2]"},
		{map[string]int{"b": 1, "a": 2}, `{"a":2,"b":1}`},
		{map[any][]any{"k": {1}}, `{"k":[1]}`},
		{time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC), `"2026-11-22T01:02:03Z"`},
		{90 * time.Second, `"1m30s"`},
	} {
		got, err := AppendJSON(nil, row.value, 1000)
		if err != nil || string(got) != row.want || wire.Check(got, wire.Default) != nil {
			t.Errorf("%v becomes %s (%v), want %s", row.value, got, err, row.want)
		}
	}
	for _, value := range []any{huge, func() {}, []any{make(chan int)}} {
		if _, err := AppendJSON(nil, value, 1<<20); err == nil {
			t.Errorf("%T was written", value)
		}
	}
}

func FuzzExpr(f *testing.F) {
	for _, source := range []string{"a + b", `map(a, # * 2)`, `let x = a; x ?? b`, `filter(args.a, .x > 1)`, `replace(b, "", b)`, `uniq(a)`, `repeat(b, 9)`, "a[1:2]", "{b: a}", `fromJSON(b)`} {
		f.Add(source, `{"a":[1,2],"b":"x"}`)
	}
	f.Fuzz(func(t *testing.T, source, arguments string) {
		object, err := wire.DecodeObject([]byte(arguments))
		if err != nil || len(source) > 500 {
			return
		}
		e, err := Compile(source, []string{"a", "b"})
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%q: %v is no SyntaxError", source, err)
			}
			return
		}
		start := time.Now()
		value, err := e.Run(object)
		if spent := time.Since(start); spent > 5*time.Second {
			t.Fatalf("%q ran for %s", source, spent)
		}
		if err != nil {
			return
		}
		b, err := AppendJSON(nil, value, 1<<20)
		if err == nil && wire.Check(b, wire.Limits{Keys: 1 << 20, String: 1 << 21, Number: 1 << 20}) != nil {
			t.Fatalf("%q gives %s, which is not JSON", source, b)
		}
	})
}

func FuzzJQ(f *testing.F) {
	for _, source := range []string{".a", ".[]", "map(.x)", "reduce .[] as $i (0; . + $i)", "env", "input", `"\(.)"`, "limit(3; repeat(1))", "try error catch .", "[paths]", "@base64", "tojson", "ltrimstr(\"a\")"} {
		f.Add(source, `{"a":[1,2],"b":"x"}`)
	}
	f.Fuzz(func(t *testing.T, source, input string) {
		value, err := wire.Decode([]byte(input))
		if err != nil || len(source) > 200 || strings.ContainsAny(source, "*=") {
			// "x" * 1e9 and .[1e8] = 1 are one step each to gojq, and cost what they say:
			// the clock stops them only afterwards.
			return
		}
		q, err := CompileJQ(source, "$status")
		if err != nil {
			return
		}
		start := time.Now()
		outputs, err := q.Run(context.Background(), value, 200)
		if spent := time.Since(start); spent > 5*time.Second {
			t.Fatalf("%q ran for %s", source, spent)
		}
		if err != nil {
			return
		}
		b, err := AppendJSON(nil, outputs, 1<<20)
		if err == nil && wire.Check(b, wire.Limits{Keys: 1 << 20, String: 1 << 21, Number: 1 << 20}) != nil {
			t.Fatalf("%q gives %s, which is not JSON", source, b)
		}
	})
}
