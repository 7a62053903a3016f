package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/core"
)

var noop = core.Kind[core.Invoker]{Name: "noop", New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
	return nothingNeeded{}, nil
}}

// nothingNeeded is an invoker that reads no values.
type nothingNeeded struct{}

func (nothingNeeded) Invoke(context.Context, *core.Call) (*core.Result, error) {
	return fixedResult, nil
}

func (nothingNeeded) NeedsValues() bool { return false }

var fixedResult = core.TextResult("ok")

func benchGateway(b *testing.B, tool core.ToolConfig) core.Handler {
	o := testOptions()
	o.Kinds.Invokers = append(o.Kinds.Invokers, noop)
	g := publish(b, o, oneTool(tool))
	return find(b, g, "shop")
}

const bookSchema = `{"type":"object","properties":{"id":{"type":"integer","minimum":1},"title":{"type":"string","minLength":1,"maxLength":200},
	"tags":{"type":"array","items":{"type":"string"},"maxItems":10},"kind":{"enum":["a","b"]}},"required":["id","title"],"additionalProperties":false}`

func BenchmarkCallTool(b *testing.B) {
	h := benchGateway(b, core.ToolConfig{Name: "t", Invoker: core.KindConfig{Kind: "noop"}})
	arguments := raw(`{"id":12,"title":"hello"}`)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.CallTool(ctx, &core.Call{Tool: "t", Arguments: arguments}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCallToolWithSchema(b *testing.B) {
	h := benchGateway(b, core.ToolConfig{Name: "t", InputSchema: raw(bookSchema), Invoker: core.KindConfig{Kind: "noop"}})
	arguments := raw(`{"id":12,"title":"hello","tags":["a","b"],"kind":"b"}`)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if r, err := h.CallTool(ctx, &core.Call{Tool: "t", Arguments: arguments}); err != nil || r.IsError {
			b.Fatal(err, r)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	g := publish(b, testOptions(), oneTool(core.ToolConfig{Name: "t", Invoker: echoes("{}")}))
	b.ReportAllocs()
	for b.Loop() {
		g.Find("shop").Release()
	}
}

func BenchmarkListTools(b *testing.B) {
	var s core.ServerConfig
	s.Name = "shop"
	for i := range 200 {
		s.Tools = append(s.Tools, core.ToolConfig{Name: fmt.Sprintf("t%d", i), Invoker: echoes("{}")})
	}
	g := publish(b, testOptions(), core.Config{Servers: []core.ServerConfig{s}})
	h := find(b, g, "shop")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.ListTools(ctx, core.Identity{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// manyTools is a Config of n tools with a schema each, all different.
func manyTools(n int) core.Config {
	var config core.Config
	for i := range n {
		if i%1000 == 0 {
			config.Servers = append(config.Servers, core.ServerConfig{Name: fmt.Sprintf("s%d", i/1000)})
		}
		s := &config.Servers[len(config.Servers)-1]
		s.Tools = append(s.Tools, core.ToolConfig{
			Name: fmt.Sprintf("t%d", i), Description: "a tool",
			InputSchema: raw(fmt.Sprintf(`{"type":"object","properties":{"id%d":{"type":"integer","minimum":1},"title":{"type":"string","maxLength":200}},"required":["title"]}`, i)),
			Invoker:     echoes(`{"text":"x"}`),
		})
	}
	return config
}

func BenchmarkBuild5000Tools(b *testing.B) {
	config := manyTools(5000)
	b.ReportAllocs()
	for b.Loop() {
		c, problems := Build(context.Background(), config, testOptions())
		if c == nil {
			b.Fatal(problems)
		}
		c.Close()
	}
}

func BenchmarkRebuild5000Tools(b *testing.B) {
	config, g := manyTools(5000), New(testOptions())
	b.ReportAllocs()
	for b.Loop() {
		c, problems := g.Build(context.Background(), config)
		if c == nil {
			b.Fatal(problems)
		}
		c.Close()
	}
}
