package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonText reads a document as JSON (RFC 8259), with the additions of I-JSON (RFC
// 7493): no name twice, no lone surrogates. It is not left to the YAML reader
// because that refuses valid JSON: surrogate pairs, and tabs as indentation.
type jsonText struct {
	b     []byte
	i     int
	line  int
	start int // offset of the line's first byte
	mark  int // where column counting stopped
	count int // characters from start to mark
	found *mistakes
	at    trail
	depth int
}

// stop ends the reading at a syntax error.
type stop struct{}

// parseJSON returns the root, or nil after a syntax error. Duplicate names are
// reported, and the first one kept.
func parseJSON(b []byte, found *mistakes) (root *node) {
	p := &jsonText{b: b, line: 1, found: found}
	defer func() {
		if r := recover(); r != nil {
			if _, ours := r.(stop); !ours {
				panic(r)
			}
			root = nil
		}
	}()
	if strings.HasPrefix(string(b[:min(3, len(b))]), "\ufeff") {
		p.i, p.start, p.mark = 3, 3, 3
	}
	p.blank()
	if p.i == len(b) {
		p.fail("the document is empty", emptyFix)
	}
	root = p.value()
	p.blank()
	if p.i < len(b) {
		p.fail("there is more after the end of the document", "a file holds one JSON value")
	}
	return root
}

const emptyFix = "write at least one of connections, servers; a document that really holds nothing is {}"

func (p *jsonText) fail(message, fix string) {
	line, column := p.here()
	p.found.add(line, column, p.at.String(), message, fix)
	panic(stop{})
}

// here returns the place of the next byte. Counting goes on from where it last
// stopped on this line, so a document on one line is still read in linear time.
func (p *jsonText) here() (line, column int) {
	if p.mark < p.start {
		p.mark, p.count = p.start, 0
	}
	if p.i > p.mark {
		p.count += utf8.RuneCount(p.b[p.mark:p.i])
		p.mark = p.i
	}
	return p.line, p.count + 1
}

func (p *jsonText) blank() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t':
			p.i++
		case '\n':
			p.i++
			p.line, p.start = p.line+1, p.i
		case '\r':
			p.i++
			if p.i < len(p.b) && p.b[p.i] == '\n' {
				p.i++
			}
			p.line, p.start = p.line+1, p.i
		case '/':
			if p.i+1 < len(p.b) && (p.b[p.i+1] == '/' || p.b[p.i+1] == '*') {
				p.fail("JSON has no comments", "remove it, or write the document as YAML")
			}
			return
		case '#':
			p.fail("JSON has no comments", "remove it, or write the document as YAML")
		default:
			return
		}
	}
}

func (p *jsonText) value() *node {
	if p.i == len(p.b) {
		p.fail("the document ends where a value should stand", "close what is open, or restore the rest of the file")
	}
	n := &node{}
	n.line, n.column = p.here()
	switch c := p.b[p.i]; {
	case c == '{':
		p.object(n)
	case c == '[':
		p.list(n)
	case c == '"':
		n.sort, n.text = text, p.string()
	case c == '-' || '0' <= c && c <= '9':
		n.sort, n.text, n.plain = number, p.number(), true
		if len(n.text) > maxNumber {
			p.found.add(n.line, n.column, p.at.String(), longNumber, "write fewer digits, or text in quotes")
			n.text, n.broken = "0", true
		}
	case c == 't' && p.word("true"), c == 'f' && p.word("false"):
		n.sort, n.plain, n.text = boolean, true, "false"
		if c == 't' {
			n.text = "true"
		}
	case c == 'n' && p.word("null"):
		n.plain = true
	case c == '\'':
		p.fail("JSON text stands in double quotes", `write "…"`)
	default:
		p.fail(fmt.Sprintf("expected a value, got %s", quote(p.glimpse())), `text stands in double quotes; the other values are {…}, […], numbers, true, false, null`)
	}
	n.measure()
	return n
}

func (p *jsonText) deeper() {
	if p.depth++; p.depth > maxDepth {
		p.fail(fmt.Sprintf("values stand more than %d deep within each other", maxDepth), "make the document flatter")
	}
}

func (p *jsonText) object(n *node) {
	n.sort = object
	p.deeper()
	p.i++
	seen := map[string]int{}
	for first := true; ; first = false {
		p.blank()
		if p.i < len(p.b) && p.b[p.i] == '}' {
			if !first {
				p.fail("a comma before }", "remove the comma")
			}
			p.i++
			break
		}
		if p.i == len(p.b) {
			p.fail("the document ends inside an object", "close it with }")
		}
		if p.b[p.i] != '"' {
			p.fail(fmt.Sprintf("expected a name in double quotes, got %s", quote(p.glimpse())), `write "name": value`)
		}
		k := key{}
		k.line, k.column = p.here()
		k.text = p.string()
		p.at.push(k.text)
		p.blank()
		if p.i == len(p.b) || p.b[p.i] != ':' {
			p.fail("expected : after the name", `write "name": value`)
		}
		p.i++
		p.blank()
		item := p.value()
		p.at.pop()
		if line, twice := seen[k.text]; twice {
			duplicate(p.found, p.at, k, line)
		} else {
			seen[k.text] = k.line
			n.keys, n.items = append(n.keys, k), append(n.items, item)
		}
		p.blank()
		if p.i < len(p.b) && p.b[p.i] == ',' {
			p.i++
			continue
		}
		if p.i == len(p.b) || p.b[p.i] != '}' {
			p.fail("expected , or } after the value", "separate members with a comma")
		}
		p.i++
		break
	}
	p.depth--
}

// duplicate reports a key that stands twice in one object.
func duplicate(found *mistakes, at trail, k key, before int) {
	found.add(k.line, k.column, append(at, k.text).String(),
		fmt.Sprintf("%s stands twice in this object", quote(k.text)),
		fmt.Sprintf("keep one of them; the first is on line %d", before))
}

func (p *jsonText) list(n *node) {
	n.sort = list
	p.deeper()
	p.i++
	for first := true; ; first = false {
		p.blank()
		if p.i < len(p.b) && p.b[p.i] == ']' {
			if !first {
				p.fail("a comma before ]", "remove the comma")
			}
			p.i++
			break
		}
		if p.i == len(p.b) {
			p.fail("the document ends inside a list", "close it with ]")
		}
		p.at.index(len(n.items))
		n.items = append(n.items, p.value())
		p.at.pop()
		p.blank()
		if p.i < len(p.b) && p.b[p.i] == ',' {
			p.i++
			continue
		}
		if p.i == len(p.b) || p.b[p.i] != ']' {
			p.fail("expected , or ] after the value", "separate items with a comma")
		}
		p.i++
		break
	}
	p.depth--
}

func (p *jsonText) word(w string) bool {
	end := p.i + len(w)
	if end > len(p.b) || string(p.b[p.i:end]) != w {
		return false
	}
	if end < len(p.b) && isWord(p.b[end]) {
		return false
	}
	p.i = end
	return true
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '.' || c == '+' || c == '-'
}

// glimpse returns what stands next, for a message.
func (p *jsonText) glimpse() string {
	end := p.i
	for end < len(p.b) && isWord(p.b[end]) {
		end++
	}
	if end == p.i {
		_, size := utf8.DecodeRune(p.b[p.i:])
		end += size
	}
	return string(p.b[p.i:end])
}

func (p *jsonText) number() string {
	start := p.i
	for p.i < len(p.b) && isWord(p.b[p.i]) {
		p.i++
	}
	s := string(p.b[start:p.i])
	if !jsonNumber(s) {
		p.i = start
		p.fail(fmt.Sprintf("%s is not a JSON number", quote(s)), "write digits with at most one point and an exponent, such as 1.5e3; no leading zeros or +")
	}
	return s
}

// jsonNumber tells whether s is a number by the grammar of RFC 8259.
func jsonNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() int {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n
	}
	zero := strings.HasPrefix(s, "0")
	if n := digits(); n == 0 || zero && n > 1 {
		return false
	}
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		if digits() == 0 {
			return false
		}
	}
	if strings.HasPrefix(s, "e") || strings.HasPrefix(s, "E") {
		s = s[1:]
		if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
			s = s[1:]
		}
		if digits() == 0 {
			return false
		}
	}
	return s == ""
}

func (p *jsonText) string() string {
	p.i++
	start := p.i
	for p.i < len(p.b) && p.b[p.i] != '"' && p.b[p.i] != '\\' && p.b[p.i] >= 0x20 {
		p.i++
	}
	if p.i < len(p.b) && p.b[p.i] == '"' {
		s := string(p.b[start:p.i])
		p.i++
		return s
	}
	s := append([]byte(nil), p.b[start:p.i]...)
	for {
		if p.i == len(p.b) {
			p.fail("the document ends inside a text", `close it with "`)
		}
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return string(s)
		case c == '\\':
			s = p.escape(s)
		case c < 0x20:
			p.fail("a line break or tab inside a JSON text", `close the text with ", or write \n or \t`)
		default:
			s = append(s, c)
			p.i++
		}
	}
}

func (p *jsonText) escape(s []byte) []byte {
	if p.i+1 == len(p.b) {
		p.fail("the document ends inside a text", `close it with "`)
	}
	c := p.b[p.i+1]
	if at := strings.IndexByte(`"\/bfnrt`, c); at >= 0 {
		p.i += 2
		return append(s, "\"\\/\b\f\n\r\t"[at])
	}
	if c != 'u' {
		p.fail(fmt.Sprintf(`\%s is not a JSON escape`, string(c)), `a backslash itself is written \\`)
	}
	r := p.hex(p.i)
	if utf16.IsSurrogate(r) {
		low := rune(-1)
		if p.i+12 <= len(p.b) && p.b[p.i+6] == '\\' && p.b[p.i+7] == 'u' {
			low = p.hex(p.i + 6)
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			p.fail("half of a surrogate pair", "write the character itself")
		}
		p.i += 6
	}
	p.i += 6
	return utf8.AppendRune(s, r)
}

// hex reads the four digits of the \u escape at offset i.
func (p *jsonText) hex(i int) rune {
	if i+6 <= len(p.b) {
		if v, err := strconv.ParseUint(string(p.b[i+2:i+6]), 16, 16); err == nil {
			return rune(v)
		}
	}
	p.fail(`\u takes four hexadecimal digits`, `write \u00e9, or the character itself`)
	return 0
}
