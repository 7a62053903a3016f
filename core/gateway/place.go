package gateway

import (
	"slices"
	"strings"
)

// placed is a text with {{name}} places, cut at build. Rendering it is one pass:
// what an argument holds is never looked at again, so "{{x}}" in it stays as it is
// (security.md T4).
type placed struct {
	pieces []piece
	size   int // bytes of the fixed text
}

// piece is fixed text, or the name of an argument.
type piece struct{ text, name string }

// cutPlaces parses a text. `\{{` is a literal {{.
func cutPlaces(text string) (*placed, *fault) {
	p := &placed{}
	var fixed strings.Builder
	flush := func() {
		if fixed.Len() > 0 {
			p.pieces = append(p.pieces, piece{text: fixed.String()})
			p.size += fixed.Len()
			fixed.Reset()
		}
	}
	for text != "" {
		open := strings.Index(text, "{{")
		if open < 0 {
			fixed.WriteString(text)
			break
		}
		if open > 0 && text[open-1] == '\\' {
			fixed.WriteString(text[:open-1])
			fixed.WriteString("{{")
			text = text[open+2:]
			continue
		}
		end := strings.Index(text[open:], "}}")
		if end < 0 {
			return nil, &fault{message: "has a {{ without its }}", fix: `write a place as {{name}}, and a literal {{ as \{{`}
		}
		name := strings.TrimSpace(text[open+2 : open+end])
		if !isName(name, 128) {
			return nil, &fault{message: "has the place " + quoted(text[open:open+end+2]) + ", which is not the name of an argument", fix: `write a place as {{name}}, and a literal {{ as \{{`}
		}
		fixed.WriteString(text[:open])
		flush()
		p.pieces = append(p.pieces, piece{name: name})
		text = text[open+end+2:]
	}
	flush()
	return p, nil
}

// names lists the arguments that the text has places for, in order, once each.
func (p *placed) names() []string {
	var names []string
	for _, one := range p.pieces {
		if one.name != "" && !slices.Contains(names, one.name) {
			names = append(names, one.name)
		}
	}
	return names
}

// plain tells whether the text has no place.
func (p *placed) plain() bool {
	return len(p.pieces) == 0 || len(p.pieces) == 1 && p.pieces[0].name == ""
}

// render puts the values in; a missing one is empty.
func (p *placed) render(values map[string]any) string {
	if p == nil || len(p.pieces) == 0 {
		return ""
	}
	if p.plain() {
		return p.pieces[0].text
	}
	var b strings.Builder
	b.Grow(p.size + 32)
	for _, one := range p.pieces {
		if one.name == "" {
			b.WriteString(one.text)
			continue
		}
		text, _ := values[one.name].(string)
		b.WriteString(text)
	}
	return b.String()
}

// isName tells whether s has 1 to limit characters of [A-Za-z0-9_.-], the grammar
// of tool names since 2025-11-25.
func isName(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '.' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
