package config

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The bounds of what is read. A document is untrusted input: it must not be able
// to take the process down.
const (
	maxFile      = 8 << 20  // bytes of one document
	maxTotal     = 64 << 20 // bytes of all documents together
	maxFiles     = 1000
	maxReference = 1 << 20 // bytes of one ${file:…}
	maxDepth     = 64      // values within each other; core/wire reads no deeper either
	maxAliased   = 8 << 20 // weight that aliases may add to a document (see node.weight)
	maxProblems  = 200     // per document; more would not be read
)

// sort is what a value in a document is.
type sort uint8

const (
	null sort = iota
	boolean
	number
	text
	list
	object
)

func (s sort) String() string {
	return [...]string{"nothing", "a boolean", "a number", "text", "a list", "an object"}[s]
}

// node is one value of a document, whichever syntax it was written in. Aliases
// are resolved: one node may stand in several places.
type node struct {
	sort    sort
	text    string // text: the value; number: a valid JSON number, digits as written; boolean: true or false
	line    int
	column  int
	plain   bool   // a scalar written without quotes
	written string // a plain number or boolean as written, when YAML
	broken  bool   // already reported: judge it no further
	keys    []key
	items   []*node // object: the values of keys; list: the items
	height  int     // values below it within each other
	weight  int     // bytes it costs when written out, aliases expanded
}

// key is one key of an object.
type key struct {
	text         string
	line, column int
}

func (n *node) get(name string) *node {
	for i := range n.keys {
		if n.keys[i].text == name {
			return n.items[i]
		}
	}
	return nil
}

// measure sets height and weight from the items.
func (n *node) measure() {
	n.height, n.weight = 0, 16+len(n.text)
	for _, item := range n.items {
		n.height = max(n.height, item.height+1)
		n.weight = min(n.weight+item.weight, 1<<40)
	}
	for i := range n.keys {
		n.weight += len(n.keys[i].text)
	}
}

// find walks a JSON Pointer.
func (n *node) find(path string) *node {
	if path == "" {
		return n
	}
	if path[0] != '/' {
		return nil
	}
	for step := range strings.SplitSeq(path[1:], "/") {
		step = unescape.Replace(step)
		switch n.sort {
		case object:
			if n = n.get(step); n == nil {
				return nil
			}
		case list:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.items) || strconv.Itoa(i) != step {
				return nil
			}
			n = n.items[i]
		default:
			return nil
		}
	}
	return n
}

// appendJSON writes the value as JSON: keys in their order, numbers as written.
// words, when set, rewrites each text.
func (n *node) appendJSON(dst []byte, words func(*node) string) []byte {
	switch n.sort {
	case null:
		return append(dst, "null"...)
	case boolean, number:
		return append(dst, n.text...)
	case text:
		s := n.text
		if words != nil {
			s = words(n)
		}
		return wire.AppendString(dst, s)
	case list:
		dst = append(dst, '[')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.appendJSON(dst, words)
		}
		return append(dst, ']')
	default:
		dst = append(dst, '{')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(wire.AppendString(dst, n.keys[i].text), ':')
			dst = item.appendJSON(dst, words)
		}
		return append(dst, '}')
	}
}

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// trail is where in the document the reader is: the steps of a JSON Pointer.
type trail []string

func (t *trail) push(name string) { *t = append(*t, name) }
func (t *trail) index(i int)      { *t = append(*t, strconv.Itoa(i)) }
func (t *trail) pop()             { *t = (*t)[:len(*t)-1] }

// String returns the JSON Pointer (RFC 6901).
func (t trail) String() string {
	var b strings.Builder
	for _, step := range t {
		b.WriteByte('/')
		_, _ = escape.WriteString(&b, step)
	}
	return b.String()
}

// mistakes collects the problems of one document, bounded.
type mistakes struct {
	file string
	list []core.Problem
}

func (m *mistakes) add(line, column int, path, message, fix string) {
	switch len(m.list) {
	case maxProblems:
		m.list = append(m.list, core.Problem{
			File: m.file, Line: line, Column: column,
			Message: "more than " + strconv.Itoa(maxProblems) + " mistakes", Fix: "mend those above first",
		})
	default:
		if len(m.list) > maxProblems {
			return
		}
		m.list = append(m.list, core.Problem{
			File: m.file, Line: line, Column: column, Path: path, Message: message, Fix: fix,
		})
	}
}

// place turns a byte offset into a line and a column, both counted from 1; columns
// count characters, as editors do.
func place(b []byte, offset int) (line, column int) {
	offset = min(offset, len(b))
	line, start := 1, 0
	for i := range offset {
		if b[i] == '\n' || b[i] == '\r' && (i+1 == len(b) || b[i+1] != '\n') {
			line, start = line+1, i+1
		}
	}
	return line, 1 + utf8.RuneCount(b[start:offset])
}

// quote shows a text of the document in a message: bounded, and harmless to a
// terminal.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}
