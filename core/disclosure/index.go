package disclosure

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// field is a part of a definition that words come from.
type field int

const (
	inName field = iota
	inTitle
	inDescription
	inArgument
	inArgumentText
	fields
)

// weights is how much a word counts in a field; usual is how many words the field has in
// most definitions, and slope how much being longer than that takes off (b of BM25). usual
// is fixed, because an average would tell of tools that a caller may not see.
var (
	weights = [fields]float64{inName: 3, inTitle: 2, inDescription: 1, inArgument: 0.8, inArgumentText: 0.4}
	usual   = [fields]float64{inName: 3, inTitle: 3, inDescription: 25, inArgument: 6, inArgumentText: 30}
	slope   = [fields]float64{inName: 0.3, inTitle: 0.3, inDescription: 0.75, inArgument: 0.75, inArgumentText: 0.75}
)

// saturation is k1 of BM25: how soon saying a word again counts no more.
const saturation = 1.2

// What of one definition is read, so that no tool takes more than some 50 KiB of an Index.
const (
	maxText   = 8 << 10 // bytes of one text
	maxWords  = 2000    // of all of it
	maxLevels = 6       // of its schema
)

// Index finds tools. It is immutable and safe for concurrent use.
type Index struct {
	tools    []entry  // by name
	terms    []string // sorted
	from     []uint32 // of each term, into postings; one more for the end
	postings []posting
	exact    map[string][]uint32 // by the letters and digits of their names
}

// entry is what is kept of a tool.
type entry struct{ name, title, summary string }

// posting says how much a term says of a tool.
type posting struct {
	tool   uint32
	weight float32
}

// Build makes an Index of tools. It keeps nothing of them but their names, titles and first
// sentences. Tools of the facade are left out.
func Build(tools []*core.Tool) *Index {
	sorted := make([]*core.Tool, 0, len(tools))
	for _, t := range tools {
		if !Facade(t.Name) {
			sorted = append(sorted, t)
		}
	}
	slices.SortStableFunc(sorted, func(a, b *core.Tool) int { return strings.Compare(a.Name, b.Name) })
	sorted = slices.CompactFunc(sorted, func(a, b *core.Tool) bool { return a.Name == b.Name })

	x := &Index{exact: map[string][]uint32{}}
	byTerm := map[string][]posting{}
	for _, t := range sorted {
		id := uint32(len(x.tools))
		x.tools = append(x.tools, entry{strings.Clone(t.Name), clip(oneLine(t.Title), maxTitle), summary(t)})
		if key := exactKey(t.Name); key != "" {
			x.exact[key] = append(x.exact[key], id)
		}
		for term, weight := range weigh(t) {
			byTerm[term] = append(byTerm[term], posting{id, float32(weight * (saturation + 1) / (weight + saturation))})
		}
	}
	x.terms = make([]string, 0, len(byTerm))
	for term := range byTerm {
		x.terms = append(x.terms, term)
	}
	slices.Sort(x.terms)
	for _, term := range x.terms {
		x.from = append(x.from, uint32(len(x.postings)))
		x.postings = append(x.postings, byTerm[term]...)
	}
	x.from = append(x.from, uint32(len(x.postings)))
	x.postings = slices.Clip(x.postings)
	return x
}

// Len is how many tools there are.
func (x *Index) Len() int { return len(x.tools) }

// of returns what a term says of tools; nil when it says nothing.
func (x *Index) of(term string) []posting {
	i, found := slices.BinarySearch(x.terms, term)
	if !found {
		return nil
	}
	return x.postings[x.from[i]:x.from[i+1]]
}

// bag counts the words of one definition.
type bag struct {
	counts map[string]*[fields]int
	length [fields]int
	left   int
}

// weigh returns the terms of a tool with their weights, before saturation.
func weigh(t *core.Tool) map[string]float64 {
	b := bag{counts: map[string]*[fields]int{}, left: maxWords}
	b.add(inName, t.Name)
	b.add(inTitle, t.Title)
	b.add(inDescription, t.Description)
	if wire.Check(t.InputSchema, wire.Default) == nil {
		b.schema(t.InputSchema, maxLevels)
	}
	terms := make(map[string]float64, len(b.counts))
	for term, counts := range b.counts {
		sum := 0.0
		for f, n := range counts {
			if n > 0 {
				sum += weights[f] * float64(n) / (1 - slope[f] + slope[f]*float64(b.length[f])/usual[f])
			}
		}
		terms[term] = sum
	}
	return terms
}

func (b *bag) add(f field, text string) {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	split(text, true, func(w word) bool {
		if b.left == 0 {
			return false
		}
		b.left--
		counts := b.counts[w.text]
		if counts == nil {
			counts = new([fields]int)
			b.counts[w.text] = counts
		}
		counts[f]++
		if !w.part {
			b.length[f]++
		}
		return true
	})
}

// schema adds the arguments of a schema that package wire accepted.
func (b *bag) schema(raw json.RawMessage, levels int) {
	if levels == 0 || b.left == 0 {
		return
	}
	if wire.IsArray(raw) { // anyOf, enum
		_ = wire.WalkElements(raw, func(value json.RawMessage) error {
			b.schema(value, levels)
			return nil
		})
		return
	}
	if wire.IsString(raw) {
		b.text(raw)
		return
	}
	if !wire.IsObject(raw) {
		return
	}
	_ = wire.Walk(raw, func(name string, value json.RawMessage) error {
		switch name {
		case "title", "description":
			if wire.IsString(value) {
				b.text(value)
			}
		case "properties":
			b.properties(value, levels)
		case "$defs", "definitions":
			b.named(value, levels)
		case "items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "enum":
			b.schema(value, levels-1)
		}
		return nil
	})
}

func (b *bag) text(quoted json.RawMessage) {
	b.add(inArgumentText, string(wire.AppendUnquoted(nil, quoted)))
}

func (b *bag) properties(raw json.RawMessage, levels int) {
	if !wire.IsObject(raw) {
		return
	}
	_ = wire.Walk(raw, func(name string, value json.RawMessage) error {
		b.add(inArgument, name)
		b.schema(value, levels-1)
		return nil
	})
}

func (b *bag) named(raw json.RawMessage, levels int) {
	if !wire.IsObject(raw) {
		return
	}
	_ = wire.Walk(raw, func(_ string, value json.RawMessage) error {
		b.schema(value, levels-1)
		return nil
	})
}

// exactKey is a name without anything but its letters and digits, in lower case.
func exactKey(name string) string {
	return strings.Map(func(r rune) rune {
		if sortOf(r) == gap {
			return -1
		}
		return r
	}, strings.ToLower(fold(name)))
}
