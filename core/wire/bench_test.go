package wire

import (
	"encoding/json"
	"testing"
)

const benchBody = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search_books","arguments":{"query":"the left hand of darkness","limit":25,"filters":{"language":"en","year":{"from":1969,"to":2024},"tags":["science fiction","classic","hugo","nebula"]},"note":"A longer piece of text, as models like to send: it explains what the user wants, in a sentence or two, and it holds a \"quoted\" word, a line\nbreak and some non-ASCII: naïve café Łódź 書籍.","page":{"size":50,"token":"eyJvZmZzZXQiOjEwMH0"},"flags":{"exact":false,"fuzzy":true,"explain":null}},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"sampling":{}},"progressToken":"p-17","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}`

func BenchmarkCheck(b *testing.B) {
	body := []byte(benchBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(body, Default); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFields(b *testing.B) {
	body := []byte(benchBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var params json.RawMessage
		if err := Fields(body, func(name string, value json.RawMessage) error {
			if name == "params" {
				params = value
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		if err := Fields(params, func(string, json.RawMessage) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(benchBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStandardUnmarshal(b *testing.B) {
	body := []byte(benchBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var v struct {
			JSONRPC, Method string
			ID, Params      json.RawMessage
		}
		if err := json.Unmarshal(body, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	body := []byte(benchBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Walk(body, func(string, json.RawMessage) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
