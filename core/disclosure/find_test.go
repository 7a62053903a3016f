package disclosure

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// fixture reads the definitions of testdata.
func fixture(t testing.TB) []*core.Tool {
	t.Helper()
	raw, err := os.ReadFile("testdata/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []definition
	if err := wire.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	var tools []*core.Tool
	for i := range list {
		tools = append(tools, list[i].tool())
	}
	return tools
}

// places returns the rank of each expected tool, from 1; 0 = not found.
func places(t testing.TB, find func(query string) []Match) map[string]int {
	t.Helper()
	raw, err := os.ReadFile("testdata/queries.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		query, want := strings.TrimSpace(line[:at]), line[at+1:]
		found[query+" → "+want] = 0
		for i, m := range find(query) {
			if m.Name == want {
				found[query+" → "+want] = i + 1
			}
		}
	}
	return found
}

func TestFindsWhatPeopleMean(t *testing.T) {
	tools := fixture(t)
	index := Build(tools)
	ranks := places(t, func(q string) []Match { return index.Find(q, 3, nil) })
	first := 0
	for q, rank := range ranks {
		if rank == 0 {
			t.Errorf("%s is not among the first three: %s", q, names(index.Find(q[:strings.Index(q, " → ")], 5, nil)))
		}
		if rank == 1 {
			first++
		}
	}
	t.Logf("%d tools, %d queries, %d first", len(tools), len(ranks), first)
	if len(tools) < 60 || len(ranks) < 25 {
		t.Errorf("only %d tools and %d queries", len(tools), len(ranks))
	}
	if first*4 < len(ranks)*3 {
		t.Errorf("only %d of %d come first", first, len(ranks))
	}
	t.Run("of the test", func(t *testing.T) {
		byName := func(string) []Match { return index.Find("", 3, nil) }
		missed := 0
		for _, rank := range places(t, byName) {
			if rank == 0 {
				missed++
			}
		}
		if missed < len(ranks)*9/10 {
			t.Errorf("an index that always says the same misses only %d", missed)
		}
	})
}

func names(list []Match) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%s (%.2f) ", m.Name, m.Score)
	}
	return b.String()
}

func define(name, title, description, schema string) *core.Tool {
	if schema == "" {
		schema = `{"type":"object"}`
	}
	return &core.Tool{Name: name, Title: title, Description: description, InputSchema: []byte(schema)}
}

func TestFind(t *testing.T) {
	index := Build([]*core.Tool{
		define("b", "", "same words", ""),
		define("a", "", "same words", ""),
		define("c", "", "Same  WORDS.\nMore", ""),
		define("createIssue", "", "", ""),
		define("HTTPServerStart", "", "", ""),
		define("café", "", "Größe naïve", ""),
		define("args", "", "", `{"type":"object","properties":{"colour":{"description":"hue"},"n":{"type":"object","properties":{"inner":{"type":"array","items":{"properties":{"deepest":{"enum":["violet"]}}}}}},"x":{"$ref":"#/$defs/d"}},"$defs":{"d":{"anyOf":[{"description":"alternative"}]}}}`),
		define("find_tools", "", "same words", ""),
		define("broken", "", "", `{"a":`),
		nil2(),
	})
	tests := []struct{ query, want string }{
		{"same words", "a b c"}, // ties by name
		{"WORDS", "a b c"},
		{"create issue", "createIssue"},
		{"createissue", "createIssue"},
		{"creating issues", "createIssue"},
		{"http server", "HTTPServerStart"},
		{"CAFE", "café"},
		{"cafe\u0301", "café"},
		{"grosse NAIVE", "café"},
		{"colour", "args"},
		{"hue", "args"},
		{"inner", "args"},
		{"deepest violet", "args"},
		{"alternative", "args"},
		{"coloured", "args"},
		{"viol", "args"}, // the beginning of a word
		{"vi", ""},
		{"!!!", ""},
		{"nothing like it", ""},
		{"the", ""},
		{"broken", "broken"},
	}
	for _, tt := range tests {
		var got []string
		for _, m := range index.Find(tt.query, 10, nil) {
			got = append(got, m.Name)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: got %q, want %q", tt.query, got, tt.want)
		}
	}
	if got := index.Find("", 100, nil); len(got) != index.Len() || got[0].Name != "HTTPServerStart" || got[len(got)-1].Name != "createIssue" && got[len(got)-1].Name != "second" {
		t.Errorf("an empty query gives %v", got)
	}
	for _, limit := range []int{-1, 0, 2} {
		if got := index.Find("same", limit, nil); len(got) != max(0, limit) {
			t.Errorf("limit %d gives %d", limit, len(got))
		}
	}
	if got := index.Find("same", 10, func(name string) bool { return name != "a" }); len(got) != 2 || got[0].Name != "b" {
		t.Errorf("the filter is not asked: %v", got)
	}
	if Build(nil).Find("x", 10, nil) != nil {
		t.Error("an empty index finds something")
	}
}

// nil2 is a tool of which the name was there before: the first one counts.
func nil2() *core.Tool { return define("b", "", "second", "") }

func TestTheNameItselfComesFirst(t *testing.T) {
	index := Build([]*core.Tool{define("get_user", "", "", ""), define("user_get", "User get", "Get user, get user", "")})
	for _, query := range []string{"get_user", " Get User", "getUser!"} {
		if got := index.Find(query, 1, nil); got[0].Name != "get_user" {
			t.Errorf("%q: %s", query, names(got))
		}
	}
	if got := index.Find("user get please", 1, nil); got[0].Name != "user_get" {
		t.Errorf("the test above tests nothing: %s", names(got))
	}
}

// Hidden tools with words of the same beginning take no place of those that are seen.
func TestHiddenPrefixesTakeNoPlace(t *testing.T) {
	tools := []*core.Tool{define("seen", "", "configzz", "")}
	for i := range 3 * maxPrefixes {
		tools = append(tools, define(fmt.Sprintf("hidden%d", i), "", fmt.Sprintf("configa%c%cq", 'a'+i/26, 'a'+i%26), ""))
	}
	if got := Build(tools).Find("config", 10, func(name string) bool { return name == "seen" }); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if got := Build(tools).Find("config", 100, nil); len(got) != maxPrefixes {
		t.Errorf("%d words were tried", len(got))
	}
}

func TestSummaries(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Lists files. Fast.", "Lists files."},
		{"Lists files (e.g. of a folder). Fast.", "Lists files (e.g. of a folder)."},
		{"Version 2.5 of it\nin two lines", "Version 2.5 of it in two lines"},
		{"First\n\nsecond", "First"},
		{"查询订单。然后", "查询订单。"},
		{"a\x1b[0m\u2028b\r\n- other_tool: c", "a[0m b - other_tool: c"},
		{strings.Repeat("word ", 100), strings.TrimSpace(strings.Repeat("word ", 23)) + "…"},
		{strings.Repeat("字", 200), strings.Repeat("字", 119) + "…"},
		{strings.Repeat("字", 120), strings.Repeat("字", 120)},
		{"", ""},
	}
	for _, tt := range tests {
		if got := summary(define("x", "", tt.in, "")); got != tt.want {
			t.Errorf("%.60q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestStem(t *testing.T) {
	groups := []string{
		"create creates created creating", "issue issues", "repository repositories", "query queries queried querying", "search searches searching searched",
		"file files filing", "run runs running", "list lists listed listing", "delete deletes deleting", "image images", "process processes processing", "agree agreed",
		"status", "dns", "this", "bus", "analysis", "s3", "go", "ties tie",
	}
	seen := map[string]string{}
	for _, group := range groups {
		words := strings.Fields(group)
		for _, w := range words {
			if stem(w) != stem(words[0]) {
				t.Errorf("%s is cut to %s, %s to %s", words[0], stem(words[0]), w, stem(w))
			}
		}
		if other := seen[stem(words[0])]; other != "" {
			t.Errorf("%s and %s are one", other, words[0])
		}
		seen[stem(words[0])] = words[0]
	}
}

func TestSplit(t *testing.T) {
	tests := []struct{ in, want string }{
		{"github_create-issue", "github creat issu"},
		{"GitHubAPI", "githubapi +git +hub +api"},
		{"s3PutObject2", "s3putobject2 +s +3 +put +object +2"},
		{"don't", "don t"},
		{"查询订单", "查 询 查询 订 询订 单 订单"},
		{"创建issue单", "创 建 创建 issu 单"},
		{"データベース", "デ ー デー タ ータ ベ タベ ー ベー ス ース"},
		{"한국어 검색", "한 국 한국 어 국어 검 색 검색"},
		{"ﬁle ＡＢＣ x²", "fil abc x2 +x +2"},
		{"Straße ÉCOLE", "strass ecol"},
		{"हिन्दी", "हिन्दी"},
		{"", ""},
	}
	for _, tt := range tests {
		var got []string
		split(tt.in, true, func(w word) bool {
			text := w.text
			if w.part {
				text = "+" + text
			}
			got = append(got, text)
			return true
		})
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSynonymsStandInOneLineOnly(t *testing.T) {
	seen := map[string]int{}
	n := 0
	for line := range strings.Lines(alike) {
		n++
		here := map[string]bool{}
		for w := range strings.FieldsSeq(line) {
			here[stem(w)] = true
		}
		for w := range here {
			if seen[w] > 0 {
				t.Errorf("%s stands in lines %d and %d", w, seen[w], n)
			}
			seen[w] = n
		}
	}
}

// drawn makes tools of few words, so that they share many.
func drawn(t *rapid.T) []*core.Tool {
	vocabulary := []string{"create", "delete", "issue", "issues", "file", "Git", "hub", "GitHub", "查询", "订单", "s3", "list", "remove", "the"}
	words := func(label string, most int) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, most).Draw(t, label), " ")
	}
	var tools []*core.Tool
	for i := range rapid.IntRange(1, 12).Draw(t, "tools") {
		name := fmt.Sprintf("%s_%d", strings.ReplaceAll(words("name", 2), " ", "_"), i)
		tools = append(tools, define(name, words("title", 2), words("description", 8), `{"properties":{"`+words("argument", 2)+`":{}}}`))
	}
	return tools
}

// What a caller finds does not depend on what it may not see: neither hits, nor their
// order, nor a digit of their scores.
func TestHiddenToolsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tools := drawn(t)
		shown := map[string]bool{}
		var visible []*core.Tool
		for _, tool := range tools {
			if rapid.Bool().Draw(t, "visible") {
				shown[tool.Name], visible = true, append(visible, tool)
			}
		}
		query := rapid.SampledFrom([]string{"", "create issue", "git", "GitHub files", "查询", "订单", "delet", "dele", "rem", "the", "s3 list remove"}).Draw(t, "query")
		some, n := Build(tools).find(query, func(name string) bool { return shown[name] })
		only, m := Build(visible).find(query, nil)
		if !reflect.DeepEqual(some, only) || n != m {
			t.Fatalf("%q: %v (of %d), and with the others gone %v (of %d)", query, some, n, only, m)
		}
	})
}

// The test of the test: scores do depend on tools that are seen.
func TestScoresDependOnWhatIsSeen(t *testing.T) {
	a, b := define("a", "", "create issue", ""), define("b", "", "create file", "")
	alone := Build([]*core.Tool{a}).Find("create", 1, nil)
	both := Build([]*core.Tool{a, b}).Find("create", 1, nil)
	if alone[0].Score == both[0].Score {
		t.Error("how rare a word is counts nothing, so the test of hidden tools tests nothing")
	}
}

func TestOrderOfToolsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tools := drawn(t)
		mixed := rapid.Permutation(tools).Draw(t, "order")
		for _, query := range []string{"", "create issue", "GitHub 查询", "remove the files"} {
			x, y := Build(tools).Find(query, 100, nil), Build(mixed).Find(query, 100, nil)
			if !reflect.DeepEqual(x, y) {
				t.Fatalf("%q: %v, then %v", query, x, y)
			}
			for i := 1; i < len(x); i++ {
				if x[i-1].Score < x[i].Score || x[i-1].Score == x[i].Score && x[i-1].Name >= x[i].Name {
					t.Fatalf("%q: %v", query, x)
				}
			}
		}
	})
}

func TestIndexIsBounded(t *testing.T) {
	var words, properties strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&words, "word%d ", i)
		if i < 9_000 {
			fmt.Fprintf(&properties, `%s"p%d":{"description":"about q%d"}`, map[bool]string{true: ",", false: ""}[i > 0], i, i)
		}
	}
	schema := `{"properties":{` + properties.String() + `}}`
	deep := strings.Repeat(`{"properties":{"x":`, 30) + `{"description":"bottom"}` + strings.Repeat(`}}`, 30)
	index := Build([]*core.Tool{
		define("long", words.String(), words.String(), ""),
		define("wide", "", "", schema),
		define("deep", "", "", deep),
		define("letters", "", strings.Repeat("x", 1<<20), ""),
	})
	perTool := map[uint32]int{}
	for _, p := range index.postings {
		perTool[p.tool]++
	}
	for id, n := range perTool {
		if n > maxWords {
			t.Errorf("%d words of %s", n, index.tools[id].name)
		}
	}
	if got := Build([]*core.Tool{define("late", "", strings.Repeat(".", maxText)+" needle", "")}).Find("needle", 1, nil); got != nil {
		t.Error("a text was read past its bound")
	}
	for _, term := range index.terms {
		if len(term) > maxWord {
			t.Errorf("a term of %d bytes", len(term))
		}
	}
	if got := index.Find("bottom", 1, nil); got != nil {
		t.Errorf("a schema was read to its ground: %v", got)
	}
	if got := index.Find(strings.Repeat("word1 ", 100_000)+"p1", 10, nil); len(got) == 0 {
		t.Error("a long query finds nothing")
	}
	if n := len(concepts(words.String()[:5000])); n != maxConcepts {
		t.Errorf("%d words of a query count", n)
	}
}

func FuzzFind(f *testing.F) {
	index := Build(fixture(f))
	for _, q := range []string{"create issue", "查询订单", "s3", "\x00\xff", "ﷺ", "é", strings.Repeat("a b", 300)} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got := index.Find(query, 5, nil)
		if len(got) > 5 {
			t.Fatal(got)
		}
		if again := index.Find(query, 5, nil); !reflect.DeepEqual(got, again) {
			t.Fatal(got, again)
		}
		text := index.missing(query, Caller{Tool: func(string) *core.Tool { return nil }}).Content[0].Text
		if strings.ContainsAny(text, "\n\x00\x1b") || len(text) > 1000 {
			t.Fatalf("%q", text)
		}
	})
}
