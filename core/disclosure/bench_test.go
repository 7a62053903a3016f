package disclosure

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// thousand is the fixture, over and over, under other names.
func thousand(b *testing.B) []*core.Tool {
	b.Helper()
	some := fixture(b)
	tools := make([]*core.Tool, 0, 1000)
	for i := range 1000 {
		t := some[i%len(some)]
		tools = append(tools, &core.Tool{
			Name: fmt.Sprintf("up%d_%s", i/len(some), t.Name), Title: t.Title, Description: t.Description, InputSchema: t.InputSchema,
		})
	}
	return tools
}

func BenchmarkBuild1000(b *testing.B) {
	tools := thousand(b)
	b.ReportAllocs()
	var x *Index
	for b.Loop() {
		x = Build(tools)
	}
	size := 8*len(x.postings) + 20*len(x.terms)
	for _, term := range x.terms {
		size += len(term)
	}
	for _, e := range x.tools {
		size += 48 + len(e.name) + len(e.title) + len(e.summary)
	}
	b.ReportMetric(float64(size)/1024, "KiB-kept")
}

func BenchmarkFind1000(b *testing.B) {
	index := Build(thousand(b))
	for _, query := range []string{"create an issue", "why is my postgres statement slow", "查询订单", "xyzzy"} {
		b.Run(query, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				index.Find(query, 10, func(string) bool { return true })
			}
		})
	}
}

func BenchmarkFindTools1000(b *testing.B) {
	tools := thousand(b)
	index, d := Build(tools), deskOf(tools)
	by := d.caller()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := index.Answer(b.Context(), FindTools, []byte(`{"query":"create an issue"}`), by); err != nil {
			b.Fatal(err)
		}
	}
}
