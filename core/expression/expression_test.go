package expression

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func decode(t *testing.T, text string) any {
	t.Helper()
	v, err := wire.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExprRuns(t *testing.T) {
	for _, row := range []struct{ name, source, arguments, want string }{
		{"number", "limit * 2", `{"limit":21}`, "42"},
		{"float", "price * 2", `{"price":1.25}`, "2.5"},
		{"default", "limit ?? 10", `{}`, "10"},
		{"text", `"q:" + query`, `{"query":"a\"b"}`, `"q:a\"b"`},
		{"big integer passes", "id", `{"id":9007199254740993123456789}`, "9007199254740993123456789"},
		{"64 bit integer is exact", "id + 1", `{"id":9007199254740993}`, "9007199254740994"},
		{"object", `{"a": limit, "b": [query, nil]}`, `{"limit":1,"query":"x"}`, `{"a":1,"b":["x",null]}`},
		{"predicate", `map(filter(tags, # != "x"), upper(#))`, `{"tags":["a","x","b"]}`, `["A","B"]`},
		{"all arguments", `args["odd name"]`, `{"odd name":7}`, "7"},
		{"let", `let a = limit; a + a`, `{"limit":2}`, "4"},
		{"split", `split(query, ",")`, `{"query":"a,b"}`, `["a","b"]`},
		{"range", `map(1..3, # * limit)`, `{"limit":2}`, "[2,4,6]"},
		{"uniq", `uniq(tags)`, `{"tags":["a","b","a"]}`, `["a","b"]`},
		{"repeat", `repeat("ab", 2)`, `{}`, `"abab"`},
		{"replace", `replace(query, "a", "b")`, `{"query":"aXa"}`, `"bXb"`},
		{"replace some", `replace(query, "a", "b", 1)`, `{"query":"aXa"}`, `"bXa"`},
		{"any", `any(tags, # == "b") ? 1 : 0`, `{"tags":["a","b"]}`, "1"},
		{"reduce", `reduce(tags, #acc + len(#), 0)`, `{"tags":["a","bb"]}`, "3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e, err := Compile(row.source, []string{"limit", "price", "query", "id", "tags"})
			if err != nil {
				t.Fatal(err)
			}
			arguments := decode(t, row.arguments).(map[string]any)
			for range 2 { // machines are used again
				value, err := e.Run(arguments)
				if err != nil {
					t.Fatal(err)
				}
				got, err := AppendJSON(nil, value, MaxOutput)
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != row.want {
					t.Errorf("%s gives %s, want %s", row.source, got, row.want)
				}
			}
		})
	}
}

func TestExprMistakesHaveAPlace(t *testing.T) {
	for _, row := range []struct {
		source string
		line   int
		column int
	}{
		{"limt * 2", 1, 1},
		{"limit +", 1, 8},
		{"limit\n+ nope", 2, 3},
		{`env("HOME")`, 1, 1},
		{"$env.limit", 1, 1},
	} {
		_, err := Compile(row.source, []string{"limit"})
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q compiled, or failed without a place: %v", row.source, err)
			continue
		}
		if syntax.Line != row.line || syntax.Column < row.column-1 || syntax.Column > row.column+1 {
			t.Errorf("%q: mistake at %d:%d, want %d:%d (%s)", row.source, syntax.Line, syntax.Column, row.line, row.column, syntax.Message)
		}
	}
}

// Every row would run for very long, or take gigabytes, without its bound.
func TestExprIsStopped(t *testing.T) {
	list := make([]any, 20_000)
	for i := range list {
		list[i] = "x"
	}
	long := strings.Repeat("a", 1<<20)
	for _, row := range []struct {
		source string
		want   error
	}{
		{`count(tags, count(tags, all(tags, # == "x")) > 0)`, ErrSteps},
		{`map(1..10000000, #)`, ErrMemory},
		{`1..900000 == 1..900000`, ErrMemory},
		{`repeat(query, 1000)`, ErrMemory},
		{`replace(query, "a", query)`, ErrMemory},
		{`replace(query, "", query)`, ErrMemory},
	} {
		e, err := Compile(row.source, nil)
		if err != nil {
			t.Fatalf("%s: %v", row.source, err)
		}
		start := time.Now()
		_, err = e.Run(map[string]any{"tags": list, "query": long})
		if !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.source, err, row.want)
		}
		if spent := time.Since(start); spent > 5*time.Second {
			t.Errorf("%s: stopped only after %s", row.source, spent)
		}
	}
}

func TestGuardWantsABoolean(t *testing.T) {
	e, err := Compile("limit", []string{"limit"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Test(map[string]any{"limit": json.Number("1")}); err == nil {
		t.Error("a number passed as a guard")
	}
	if ok, err := e.Test(map[string]any{"limit": true}); !ok || err != nil {
		t.Error(ok, err)
	}
}

func TestJQRuns(t *testing.T) {
	for _, row := range []struct{ name, source, input, want string }{
		{"pick", ".a", `{"a":1}`, "[1]"},
		{"several", ".[]", `[1,2]`, "[1,2]"},
		{"none", "empty", `1`, "null"},
		{"big integer", ".id", `{"id":9007199254740993123456789}`, "[9007199254740993123456789]"},
		{"big arithmetic", ".id + 1", `{"id":9007199254740993}`, "[9007199254740994]"},
		{"number text kept", ".", `{"p":1.10}`, `[{"p":1.10}]`},
		{"variable", "$status", `1`, "[200]"},
		{"environment is empty", "env", `1`, "[{}]"},
		{"ENV is empty", "$ENV.PATH", `1`, "[null]"},
		{"nan", "nan", `1`, "[null]"},
		{"halt", "1, halt, 2", `1`, "[1]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			q, err := CompileJQ(row.source, "$status")
			if err != nil {
				t.Fatal(err)
			}
			values, err := q.Run(context.Background(), decode(t, row.input), 200)
			if err != nil {
				t.Fatal(err)
			}
			if values == nil {
				if row.want != "null" {
					t.Errorf("no output, want %s", row.want)
				}
				return
			}
			got, err := AppendJSON(nil, values, MaxOutput)
			if err != nil || string(got) != row.want {
				t.Errorf("%s gives %s (%v), want %s", row.source, got, err, row.want)
			}
		})
	}
}

func TestJQReachesNothing(t *testing.T) {
	t.Setenv("SALLYPORT_CANARY", "canary-73a1")
	for _, source := range []string{"input", "inputs", `import "a" as a; .`, `include "a"; .`, "nope(1)", ".a |", "$nope", `get_search_list | error`} {
		q, err := CompileJQ(source)
		if err != nil {
			continue
		}
		if values, err := q.Run(context.Background(), nil); err == nil {
			t.Errorf("%s compiled and gave %v", source, values)
		}
	}
	for _, source := range []string{"env|tostring", "$ENV|tostring", "[env,$ENV]|tostring"} {
		q, err := CompileJQ(source)
		if err != nil {
			t.Fatal(err)
		}
		values, err := q.Run(context.Background(), nil)
		if err != nil || strings.Contains(values[0].(string), "canary") {
			t.Errorf("%s: %v %v", source, values, err)
		}
	}
}

func TestJQMistakesHaveAPlace(t *testing.T) {
	for source, column := range map[string]int{".a | | .b": 6, ".a[": 4, "{a:": 4} {
		_, err := CompileJQ(source)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Column < column-1 || syntax.Column > column+1 {
			t.Errorf("%q: %v, want a mistake near column %d", source, err, column)
		}
	}
}

func TestJQIsStopped(t *testing.T) {
	for _, source := range []string{
		"def f: f; f", "[repeat(1)]", "last(range(1e12))", "until(false; .)", "[recurse(.+1)] | length", "reduce range(1e12) as $i (0; .+$i)",
	} {
		q, err := CompileJQ(source)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err = q.Run(context.Background(), 0); !errors.Is(err, ErrTime) {
			t.Errorf("%s: %v, want ErrTime", source, err)
		}
		if spent := time.Since(start); spent > 3*time.Second {
			t.Errorf("%s ran for %s", source, spent)
		}
	}
	q, err := CompileJQ("range(1e12)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = q.Run(context.Background(), 0); !errors.Is(err, ErrTime) && !errors.Is(err, ErrOutput) {
		t.Errorf("endless output: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = q.Run(ended, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
}

func TestAppendJSONIsBounded(t *testing.T) {
	if _, err := AppendJSON(nil, strings.Repeat("x", 101), 100); !errors.Is(err, ErrOutput) {
		t.Error("a long string passed:", err)
	}
	list := []any{}
	for range 100 {
		list = append(list, "xx")
	}
	if _, err := AppendJSON(nil, list, 100); !errors.Is(err, ErrOutput) {
		t.Error("a long array passed:", err)
	}
	var deep any = 1
	for range 100 {
		deep = []any{deep}
	}
	if _, err := AppendJSON(nil, deep, 1<<20); !errors.Is(err, ErrDepth) {
		t.Error("a deep value passed:", err)
	}
}

func BenchmarkExpr(b *testing.B) {
	e, err := Compile("limit * 2", []string{"limit"})
	if err != nil {
		b.Fatal(err)
	}
	arguments := map[string]any{"limit": json.Number("4")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Run(arguments); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJQ(b *testing.B) {
	q, err := CompileJQ(".items | map(.title)")
	if err != nil {
		b.Fatal(err)
	}
	input, _ := wire.Decode([]byte(`{"items":[{"title":"a","id":1},{"title":"b","id":2}]}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Run(context.Background(), input); err != nil {
			b.Fatal(err)
		}
	}
}
