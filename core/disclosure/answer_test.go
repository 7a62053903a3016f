package disclosure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// definition is a tool as it stands in testdata.
type definition struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"inputSchema"`
	Annotations json.RawMessage `json:"annotations"`
}

func (d *definition) tool() *core.Tool {
	return &core.Tool{Name: d.Name, Title: d.Title, Description: d.Description, InputSchema: d.InputSchema, Annotations: d.Annotations}
}

// desk is a caller that sees some tools and notes its calls.
type desk struct {
	tools map[string]*core.Tool
	calls []string
	fails error
}

func (d *desk) caller() Caller {
	return Caller{
		Tool: func(name string) *core.Tool { return d.tools[name] },
		Call: func(_ context.Context, name string, arguments json.RawMessage) (*core.Result, error) {
			d.calls = append(d.calls, name+string(arguments))
			if d.fails != nil {
				return nil, d.fails
			}
			return core.TextResult("done"), nil
		},
	}
}

func deskOf(tools []*core.Tool, hidden ...string) *desk {
	d := &desk{tools: map[string]*core.Tool{}}
	for _, t := range tools {
		d.tools[t.Name] = t
	}
	for _, name := range hidden {
		delete(d.tools, name)
	}
	return d
}

func answer(t testing.TB, x *Index, d *desk, tool, arguments string) *core.Result {
	t.Helper()
	r, err := x.Answer(t.Context(), tool, json.RawMessage(arguments), d.caller())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Content) != 1 {
		t.Fatalf("%d blocks", len(r.Content))
	}
	return r
}

func TestFindToolsAnswersInAPage(t *testing.T) {
	tools := fixture(t)
	x, d := Build(tools), deskOf(tools)
	r := answer(t, x, d, FindTools, `{"query":"create an issue"}`)
	text := r.Content[0].Text
	lines := strings.Split(text, "\n")
	if r.IsError || len(lines) != 12 || !strings.HasPrefix(lines[2], "github_create_issue: Create a new issue in a GitHub repository.") {
		t.Errorf("got\n%s", text)
	}
	if !strings.Contains(lines[0], "here are 1 to 10, best first, page 2 has more") {
		t.Error(lines[0])
	}
	second := answer(t, x, d, FindTools, `{"query":"create an issue","page":2,"limit":10}`).Content[0].Text
	if !strings.Contains(second, "here are 11 to") || strings.Contains(second, "github_create_issue") {
		t.Errorf("page 2:\n%s", second)
	}

	// Every page of every tool, each tool once.
	seen := map[string]int{}
	for page := 1; ; page++ {
		text := answer(t, x, d, FindTools, fmt.Sprintf(`{"query":"","page":%d}`, page)).Content[0].Text
		if len(text) > maxPage {
			t.Errorf("page %d has %d bytes", page, len(text))
		}
		_, list, some := strings.Cut(text, "\n\n")
		if !some {
			break
		}
		for line := range strings.SplitSeq(list, "\n") {
			name, _, _ := strings.Cut(line, ":")
			name, _, _ = strings.Cut(name, " (")
			seen[name]++
		}
	}
	for _, tool := range tools {
		if seen[tool.Name] != 1 {
			t.Errorf("%s came %d times", tool.Name, seen[tool.Name])
		}
	}

	tests := []struct{ arguments, want string }{
		{`{"query":"xyzzy"}`, fmt.Sprintf("No tool fits, of %d.", len(tools))},
		{`{"query":"xyzzy","page":3}`, "No tool fits"},
		{`{"query":"sql","page":900}`, "There is no page 900: "},
		{`{"query":"generateImage","limit":1.0}`, "here are 1 to 1"},
	}
	for _, tt := range tests {
		if r := answer(t, x, d, FindTools, tt.arguments); r.IsError || !strings.Contains(r.Content[0].Text, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.arguments, r.Content[0].Text, tt.want)
		}
	}
}

func TestPagesStaySmall(t *testing.T) {
	for _, size := range []int{1, 20, 64, 128, 300, 3000} {
		var tools []*core.Tool
		for i := range 20 {
			name := fmt.Sprintf("n%02d%s", i, strings.Repeat("x", size))
			tools = append(tools, define(name, strings.Repeat("Title ", 50), strings.Repeat("描述 ", 500), ""))
		}
		x, d := Build(tools), deskOf(tools)
		text := answer(t, x, d, FindTools, `{"query":"title"}`).Content[0].Text
		if len(text) > maxPage && strings.Count(text, "\n") > 2 {
			t.Errorf("names of %d bytes: %d bytes", size, len(text))
		}
		hits := strings.Count(text, "\n") - 1
		if size <= 128 && hits != 10 || hits < 1 {
			t.Errorf("names of %d bytes: %d hits in %d bytes", size, hits, len(text))
		}
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(line, "n") && !strings.Contains(line, strings.Repeat("x", size)) {
				t.Errorf("a name was cut: %s", line)
			}
		}
		if hits < 10 && !strings.Contains(text, fmt.Sprintf("ask with limit %d", hits)) {
			t.Errorf("hits are left out in silence: %.200s", text)
		}
	}
}

func TestDescribeTool(t *testing.T) {
	odd := define("odd", "Odd", `Says "so".`, `{"type":"object", "properties":{"z":{"maximum":9007199254740993},"a":{}}}`)
	odd.OutputSchema, odd.Annotations = []byte(`{"type":"object"}`), []byte(`{"readOnlyHint":true}`)
	x, d := Build([]*core.Tool{odd}), deskOf([]*core.Tool{odd})
	text := answer(t, x, d, DescribeTool, `{"name":"odd"}`).Content[0].Text
	want := `{"name":"odd","title":"Odd","description":"Says \"so\".","inputSchema":{"type":"object", "properties":{"z":{"maximum":9007199254740993},"a":{}}},` +
		`"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}`
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	bare := define("bare", "", "", "")
	if text := answer(t, Build([]*core.Tool{bare}), deskOf([]*core.Tool{bare}), DescribeTool, `{"name":"bare"}`).Content[0].Text; text != `{"name":"bare","inputSchema":{"type":"object"}}` {
		t.Error(text)
	}
}

func TestCallTool(t *testing.T) {
	tools := fixture(t)
	x, d := Build(tools), deskOf(tools)
	r := answer(t, x, d, CallTool, `{"arguments":{"sql" : "select 1","n":9007199254740993},"name":"query"}`)
	if r.IsError || r.Content[0].Text != "done" {
		t.Errorf("%+v", r)
	}
	answer(t, x, d, CallTool, `{"name":"query"}`)
	if got := strings.Join(d.calls, "; "); got != `query{"sql" : "select 1","n":9007199254740993}; query{}` {
		t.Error(got)
	}
	d.fails = &core.Error{Code: core.CodeDenied, Message: "no"}
	if _, err := x.Answer(t.Context(), CallTool, json.RawMessage(`{"name":"query"}`), d.caller()); !errors.Is(err, d.fails) {
		t.Errorf("got %v", err)
	}
	if _, err := x.Answer(t.Context(), "query", json.RawMessage(`{}`), d.caller()); core.AsError(err).Code != core.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

// A tool that the caller may not see is answered for as one that is not there.
func TestHiddenLooksMissing(t *testing.T) {
	tools := fixture(t)
	const secret = "vault_read_secret"
	hidden, without := deskOf(tools, secret), deskOf(tools, secret)
	with := Build(tools)
	var others []*core.Tool
	for _, tool := range tools {
		if tool.Name != secret {
			others = append(others, tool)
		}
	}
	gone := Build(others)
	same := func(hidden, without *desk) (differ int) {
		for _, q := range [][2]string{
			{FindTools, `{"query":"read a secret from vault"}`},
			{FindTools, `{"query":"vault_read_secret"}`},
			{FindTools, `{"query":"password certificate key"}`},
			{FindTools, `{"query":""}`},
			{FindTools, `{"query":"xyzzy"}`},
			{DescribeTool, `{"name":"vault_read_secret"}`},
			{DescribeTool, `{"name":"vault_read_secrets"}`},
			{CallTool, `{"name":"vault_read_secret","arguments":{"path":"x"}}`},
		} {
			a, b := answer(t, with, hidden, q[0], q[1]), answer(t, gone, without, q[0], q[1])
			if a.Content[0].Text != b.Content[0].Text || a.IsError != b.IsError || a.Mismatch != b.Mismatch {
				differ++
			}
		}
		return differ
	}
	if n := same(hidden, without); n > 0 || len(hidden.calls) > 0 {
		t.Errorf("%d answers tell, and %d calls were made", n, len(hidden.calls))
	}
	r := answer(t, with, hidden, CallTool, `{"name":"vault_read_secret"}`)
	if !r.IsError || !strings.HasPrefix(r.Content[0].Text, `There is no tool "vault_read_secret". Near to it: `) {
		t.Errorf("%+v", r)
	}
	t.Run("of the test", func(t *testing.T) {
		if n := same(deskOf(tools), without); n < 4 {
			t.Errorf("a caller that sees the tool gets the same answers, but for %d", n)
		}
	})
	t.Run("hidden between look and call", func(t *testing.T) {
		d := deskOf(tools)
		d.fails = &core.Error{Code: core.CodeNotFound, Message: "hidden"}
		late, never := answer(t, with, d, CallTool, `{"name":"vault_read_secret"}`), answer(t, gone, without, CallTool, `{"name":"vault_read_secret"}`)
		if late.Content[0].Text != never.Content[0].Text {
			t.Errorf("%q, %q", late.Content[0].Text, never.Content[0].Text)
		}
	})
	t.Run("the facade does not call itself", func(t *testing.T) {
		d := deskOf(append(Tools(), tools...))
		x := Build(append(Tools(), tools...))
		for _, name := range []string{FindTools, DescribeTool, CallTool} {
			if r := answer(t, x, d, CallTool, `{"name":"`+name+`"}`); !r.IsError || len(d.calls) > 0 {
				t.Errorf("%s was called", name)
			}
		}
	})
}

func TestArgumentsThatDoNotFit(t *testing.T) {
	x, d := Build(nil), deskOf(nil)
	for _, q := range [][2]string{
		{FindTools, `[]`},
		{FindTools, `{"query":1}`},
		{FindTools, `{"query":"a","query":"b"}`},
		{FindTools, `{"query":"a","limit":11}`},
		{FindTools, `{"query":"a","limit":0}`},
		{FindTools, `{"query":"a","limit":1.5}`},
		{FindTools, `{"query":"a","limit":"1"}`},
		{FindTools, `{"query":"a","page":0}`},
		{FindTools, `{"query":"a","page":1e99}`},
		{FindTools, `{"quarry":"a"}`},
		{DescribeTool, `{}`},
		{DescribeTool, `{"name":""}`},
		{CallTool, `{"name":"a","arguments":[]}`},
		{CallTool, `{"name":"a","arguments":null}`},
	} {
		if r := answer(t, x, d, q[0], q[1]); !r.IsError || !r.Mismatch {
			t.Errorf("%s %s: %+v", q[0], q[1], r)
		}
	}
}

// The facade is what a client reads instead of all definitions.
func TestFacadeIsSmall(t *testing.T) {
	size := 0
	for _, tool := range Tools() {
		if !Facade(tool.Name) || tool.Title == "" || tool.Description == "" {
			t.Errorf("%+v", tool)
		}
		for _, raw := range []json.RawMessage{tool.InputSchema, tool.Annotations} {
			if err := wire.Check(raw, wire.Default); err != nil {
				t.Errorf("%s: %v", tool.Name, err)
			}
		}
		size += len(tool.Name) + len(tool.Title) + len(tool.Description) + len(tool.InputSchema) + len(tool.Annotations)
	}
	if size > 2500 {
		t.Errorf("%d bytes", size)
	}
	if a, b := Tools(), Tools(); a[0] == b[0] || !bytes.Equal(a[0].InputSchema, b[0].InputSchema) {
		t.Error("two servers share a definition")
	}
}
