package core

import (
	"bytes"
	"strings"
)

// Glob is a pattern in which * stands for any text: none, and one with / in it, too.
// Policies and limits name objects by it. Everything else stands for itself, case counts,
// and the whole text must match. Matching takes time linear in the text.
type Glob struct {
	pattern string
	exact   bool
	head    []byte   // before the first *; the whole pattern when exact
	middle  [][]byte // between stars, none empty
	tail    []byte   // after the last *
}

// NewGlob compiles a pattern. Every text is one.
func NewGlob(pattern string) Glob {
	parts := strings.Split(pattern, "*")
	g := Glob{pattern: pattern, exact: len(parts) == 1, head: []byte(parts[0])}
	if g.exact {
		return g
	}
	g.tail = []byte(parts[len(parts)-1])
	for _, part := range parts[1 : len(parts)-1] {
		if part != "" {
			g.middle = append(g.middle, []byte(part))
		}
	}
	return g
}

// Match tells whether the whole text is what the pattern describes. It does not keep text.
func (g *Glob) Match(text []byte) bool {
	if g.exact {
		return bytes.Equal(text, g.head)
	}
	if len(text) < len(g.head)+len(g.tail) || !bytes.HasPrefix(text, g.head) || !bytes.HasSuffix(text, g.tail) {
		return false
	}
	text = text[len(g.head) : len(text)-len(g.tail)]
	for _, part := range g.middle {
		// The first place is as good as any later one: a star may be longer.
		at := bytes.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// All tells whether it matches every text.
func (g *Glob) All() bool {
	return !g.exact && len(g.head) == 0 && len(g.tail) == 0 && len(g.middle) == 0
}

// Exact tells whether it matches its own pattern only.
func (g *Glob) Exact() bool { return g.exact }

// Ends returns what every text that matches begins and ends with.
func (g *Glob) Ends() (head, tail string) {
	if g.exact {
		return g.pattern, g.pattern
	}
	return string(g.head), string(g.tail)
}

// Core returns the longest text between two stars that every text that matches holds
// between its ends; "" = there is none.
func (g *Glob) Core() string {
	var longest []byte
	for _, part := range g.middle {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return string(longest)
}

// String returns the pattern.
func (g *Glob) String() string { return g.pattern }
