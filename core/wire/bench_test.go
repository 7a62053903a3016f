package wire

import (
	"encoding/json"
	"strconv"
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

const benchText = `{"id":"b1","text":"` + benchWords + `"}`

const benchWords = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all going direct to Heaven, we were all going direct the other way - in short, the period was so far like the present period, that some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of comparison only. There were a king with a large jaw and a queen with a plain face, on the throne of England; there were a king with a large jaw and a queen with a fair face, on the throne of France. In both countries it was clearer than crystal to the lords of the State preserves of loaves and fishes, that things in general were settled for ever."

func BenchmarkDecodeText(b *testing.B) {
	body := []byte(benchText)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendString(b *testing.B) {
	b.SetBytes(int64(len(benchWords)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = AppendString(dst[:0], benchWords)
	}
}

func BenchmarkUnmarshalString(b *testing.B) {
	body := []byte(`"tools/call"`)
	b.ReportAllocs()
	var s string
	for b.Loop() {
		if err := Unmarshal(body, &s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckWide(b *testing.B) {
	var body []byte
	for i := range 500 {
		body = append(AppendString(append(body, ','), "member "+strconv.Itoa(i)), ":true"...)
	}
	body[0] = '{'
	body = append(body, '}')
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(body, Default); err != nil {
			b.Fatal(err)
		}
	}
}
