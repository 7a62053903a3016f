package rest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func BenchmarkInvoke(b *testing.B) {
	answer := `{"id":42,"title":"The Left Hand of Darkness","tags":["` + strings.Repeat("science fiction\",\"", 30) + `x"],"price":9.50}`
	for _, row := range []struct{ name, config, arguments string }{
		{"get", `"path":"/books/{id}"`, `{"id":42}`},
		{"query", `"path":"/books","query":{"q":"q","limit":"limit","lang":{"value":"en"}}`, `{"q":"left hand","limit":5}`},
		{"post whole", `"path":"/books","method":"POST","body":{"json":"whole"}`, `{"title":"x","price":9.50}`},
		{"post tree", `"path":"/books","method":"POST","body":{"json":{"book":{"title":"title","price":"price"},"by":{"value":"mcp"}}}`, `{"title":"x","price":9.50}`},
		{"select", `"path":"/books/{id}","response":{"select":"{id, title, price}"}`, `{"id":42}`},
	} {
		b.Run(row.name, func(b *testing.B) {
			response := &core.Response{Status: 200, Header: []core.Field{{Name: "content-type", Value: jsonType}}, Body: []byte(answer)}
			v := build(b, canned(func(*core.Request) (*core.Response, error) { return response, nil }), `{"connection":"shop",`+row.config+`}`)
			call := request(b, row.arguments)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Invoke(context.Background(), call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	config := json.RawMessage(`{"connection":"shop","path":"/books/{id}","query":{"q":"q"},"guards":[{"expr":"len(q) > 1"}],"response":{"select":"{id, title}"}}`)
	env := canned(nil)
	for b.Loop() {
		if _, err := New(context.Background(), config, env); err != nil {
			b.Fatal(err)
		}
	}
}
