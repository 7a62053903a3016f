//go:build !race

package result

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// The race detector makes pools forget, so what is counted here is counted without it.

func typical() *core.Result {
	text := `{"city":"Oslo","days":[` + strings.Repeat(`{"day":"Monday","low":-3,"high":4},`, 20) + "]}\n"
	return &core.Result{Content: []core.Content{core.Text(text)}, Structured: json.RawMessage(`{"city":"Oslo"}`)}
}

func TestAllocations(t *testing.T) {
	r := typical()
	encoded, err := Append(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 0, 2*len(encoded))
	tests := map[string]struct {
		most float64
		f    func()
	}{
		"Append to a buffer": {0, func() { buffer, _ = Append(buffer[:0], r) }},
		"Append to nothing":  {1, func() { _, _ = Append(nil, r) }},
		"Parse":              {5, func() { _, _ = Parse(encoded) }}, // the result, its block, the type, the text, one of the walk
	}
	for name, tt := range tests {
		if got := testing.AllocsPerRun(100, tt.f); got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tt.most)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	r := typical()
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer, _ = Append(buffer[:0], r)
	}
	b.SetBytes(int64(len(buffer)))
}

func BenchmarkParse(b *testing.B) {
	encoded, err := Append(nil, typical())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(encoded)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
