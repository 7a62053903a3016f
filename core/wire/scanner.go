package wire

import (
	"math/bits"
	"strconv"
	"sync"
	"unicode/utf8"
)

// scanner passes once over a text, from left to right. Its methods take the index
// where something begins and return the index after it, or -1 when it is wrong and
// err says why.
type scanner struct {
	b       []byte
	limits  Limits
	depth   int // objects and arrays that are open
	keys    int // members so far
	spaced  bool
	text    string // b, where decoded strings are to be parts of it
	err     *SyntaxError
	names   []seen   // of the objects that are open, the outermost first
	slots   []uint32 // tables of those that are wide
	scratch []byte   // names that had escapes
	values  []any    // of the objects and arrays that are open, decoded
	trail   []step   // the path to err, the innermost first
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

func open(b []byte, l *Limits) *scanner {
	s := scanners.Get().(*scanner)
	s.b = b
	s.limits = l.or(&Default)
	return s
}

// deepest is the depth that no Limits can lift: each level takes some of the stack.
const deepest = 10_000

// kept is how many of anything the scanner may hold on to for its next use.
const kept = 4096

func (s *scanner) close() {
	s.b, s.text, s.err = nil, "", nil
	s.depth, s.keys, s.spaced = 0, 0, false
	s.names, s.slots, s.scratch, s.trail = s.names[:0], s.slots[:0], s.scratch[:0], s.trail[:0]
	if len(s.values) > 0 { // after a mistake
		clear(s.values)
		s.values = s.values[:0]
	}
	if cap(s.names) > kept || cap(s.slots) > 8*kept || cap(s.scratch) > 16*kept || cap(s.values) > kept || cap(s.trail) > kept {
		return
	}
	scanners.Put(s)
}

func (l *Limits) or(d *Limits) Limits {
	out := *l
	if out.Depth == 0 {
		out.Depth = d.Depth
	}
	out.Depth = min(out.Depth, deepest)
	if out.Keys == 0 {
		out.Keys = d.Keys
	}
	if out.String == 0 {
		out.String = d.String
	}
	if out.Number == 0 {
		out.Number = d.Number
	}
	return out
}

// whole passes over the one value of the text.
func (s *scanner) whole() int {
	i := s.value(s.blank(0))
	if i < 0 {
		return i
	}
	return s.end(i)
}

// end refuses anything but white space.
func (s *scanner) end(i int) int {
	if i = s.blank(i); i < len(s.b) {
		return s.fault(i, "something follows the value")
	}
	return i
}

// blank passes over white space.
func (s *scanner) blank(i int) int {
	if i < len(s.b) && s.b[i] <= ' ' {
		return s.spaces(i)
	}
	return i
}

//go:noinline
func (s *scanner) spaces(i int) int {
	s.spaced = true
	return blank(s.b, i)
}

func (s *scanner) value(i int) int {
	if i >= len(s.b) {
		return s.cut()
	}
	switch s.b[i] {
	case '"':
		end := span(s.b, i+1)
		if s.at(end, '"') && end-i-1 <= s.limits.String {
			return end + 1
		}
		end, _ = s.rest(i, end)
		return end
	case '{':
		return s.object(i)
	case '[':
		return s.array(i)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number(i)
	case 't':
		if i+4 <= len(s.b) && string(s.b[i:i+4]) == "true" {
			return i + 4
		}
		return s.badLiteral(i, "true")
	case 'f':
		if i+5 <= len(s.b) && string(s.b[i:i+5]) == "false" {
			return i + 5
		}
		return s.badLiteral(i, "false")
	case 'n':
		if i+4 <= len(s.b) && string(s.b[i:i+4]) == "null" {
			return i + 4
		}
		return s.badLiteral(i, "null")
	}
	return s.odd(i, "at start of value")
}

// enter passes over a bracket that opens.
func (s *scanner) enter(i int) int {
	if s.depth >= s.limits.Depth {
		return s.past(i, "nested deeper than %d", s.limits.Depth)
	}
	s.depth++
	return s.blank(i + 1)
}

// at tells whether c stands at i.
func (s *scanner) at(i int, c byte) bool { return i < len(s.b) && s.b[i] == c }

// after passes over the comma behind a value, and then more is true, or over the
// bracket that closes.
func (s *scanner) after(i int, bracket byte) (end int, more bool) {
	if i = s.blank(i); i < len(s.b) {
		switch s.b[i] {
		case ',':
			return s.blank(i + 1), true
		case bracket:
			s.depth--
			return i + 1, false
		}
	}
	if bracket == '}' {
		return s.odd(i, "after object value (expecting ',' or '}')"), false
	}
	return s.odd(i, "after array element (expecting ',' or ']')"), false
}

func (s *scanner) object(i int) int {
	if i = s.enter(i); i < 0 {
		return -1
	}
	if s.at(i, '}') {
		s.depth--
		return i + 1
	}
	o := siblings{base: len(s.names)}
	for more := true; more; {
		if i = s.member(i, &o); i < 0 {
			return -1
		}
		last := len(s.names) - 1
		if i = s.value(i); i < 0 {
			return s.inName(last)
		}
		if i+1 < len(s.b) && s.b[i] == ',' && s.b[i+1] == '"' {
			i++ // after does it too
			continue
		}
		if i, more = s.after(i, '}'); i < 0 {
			return -1
		}
	}
	s.forget(&o)
	return i
}

func (s *scanner) array(i int) int {
	if i = s.enter(i); i < 0 {
		return -1
	}
	if s.at(i, ']') {
		s.depth--
		return i + 1
	}
	index := 0
	for more := true; more; index++ {
		if i = s.value(i); i < 0 {
			return s.inElement(index)
		}
		if i, more = s.after(i, ']'); i < 0 {
			return -1
		}
	}
	return i
}

// member passes over a name, which it adds to the names of the object, and the
// colon, to where the value begins.
func (s *scanner) member(i int, o *siblings) int {
	b := s.b
	if i >= len(b) || b[i] != '"' {
		return s.odd(i, `at start of string (expecting '"')`)
	}
	if s.keys++; s.keys > s.limits.Keys {
		return s.past(i, "more than %d members", s.limits.Keys)
	}
	n, end := plain(b, i+1)
	if end == 0 || n.size > s.limits.String {
		if n, end = s.name(i); end < 0 {
			return -1
		}
	}
	if s.strange(o, n.hash) {
		s.names = append(s.names, n)
	} else if !s.add(o, n) {
		s.trail = append(s.trail, step{n.from, n.size})
		return s.fault(i, "the same name twice in one object")
	}
	if end+1 < len(b) && b[end] == ':' && b[end+1] > ' ' {
		return end + 1
	}
	if i = s.blank(end); !s.at(i, ':') {
		s.trail = append(s.trail, step{n.from, n.size})
		return s.odd(i, "after object name (expecting ':')")
	}
	return s.blank(i + 1)
}

// plain reads a name without escapes, in ASCII, that is not the last of the text, as
// most are; otherwise end is 0. One word tells where a short name ends, and is its
// hash.
func plain(b []byte, from int) (n seen, end int) {
	if from+8 > len(b) {
		return n, 0
	}
	w := word(b, from)
	size := bits.TrailingZeros64(special(w)&tops) / 8
	if size <= shortest {
		if b[from+size] != '"' {
			return n, 0
		}
		return seen{hash: shortHash(w, size), from: from, size: size}, from + size + 1
	}
	end = span(b, from+8)
	if end >= len(b) || b[end] != '"' {
		return n, 0
	}
	return seen{hash: longHash(w, word(b, end-8)), from: from, size: end - from}, end + 1
}

// name is plain for every name, quotes included.
func (s *scanner) name(i int) (n seen, end int) {
	end, escaped := s.quoted(i)
	if end < 0 {
		return n, -1
	}
	if !escaped {
		n = seen{from: i + 1, size: end - i - 2}
		n.hash = nameHash(s.b, n.from, n.size)
		return n, end
	}
	begin := len(s.scratch)
	s.scratch = unescape(s.scratch, s.b[i+1:end-1])
	n = seen{from: ^begin, size: len(s.scratch) - begin}
	n.hash = nameHash(s.scratch, begin, n.size)
	return n, end
}

// quoted passes over a string.
func (s *scanner) quoted(i int) (end int, escaped bool) {
	if end = span(s.b, i+1); s.at(end, '"') && end-i-1 <= s.limits.String {
		return end + 1, false
	}
	return s.rest(i, end)
}

// rest is quoted from the first special byte on, which is at the second index.
func (s *scanner) rest(begin, i int) (end int, escaped bool) {
	if i, escaped = s.odds(i); i < 0 {
		return -1, escaped
	}
	if i-begin-1 > s.limits.String {
		return s.past(begin, "a string longer than %d bytes", s.limits.String), escaped
	}
	return i + 1, escaped
}

// odds passes over what is in a string from its first special byte on, up to the
// quote that ends it.
func (s *scanner) odds(i int) (end int, escaped bool) {
	for ; i < len(s.b); i = span(s.b, i) {
		switch c := s.b[i]; {
		case c == '"':
			return i, escaped
		case c == '\\':
			escaped = true
			size, ok := escapeSize(s.b[i:])
			if size == 0 {
				return s.cut(), true
			}
			if !ok {
				return s.fault(i, "invalid escape sequence "+strconv.Quote(string(s.b[i:i+size]))+" in string"), true
			}
			i += size
		case c < ' ':
			return s.odd(i, "in string (expecting non-control character)"), escaped
		default:
			var ok bool
			if i, ok = runes(s.b, i); !ok {
				if !utf8.FullRune(s.b[i:]) {
					return s.cut(), escaped
				}
				return s.fault(i, "invalid UTF-8"), escaped
			}
		}
	}
	return s.cut(), escaped
}

func (s *scanner) number(i int) int {
	end, ok := numberEnd(s.b, i)
	if !ok {
		return s.odd(end, "in number (expecting digit)")
	}
	if end-i > s.limits.Number {
		return s.past(i, "a number longer than %d characters", s.limits.Number)
	}
	return end
}

// badLiteral is fault for what begins like a literal and is another word.
func (s *scanner) badLiteral(i int, want string) int {
	k := 0
	for k < len(want)-1 && s.at(i+k, want[k]) {
		k++
	}
	return s.odd(i+k, "in literal "+want+" (expecting "+strconv.QuoteRune(rune(want[k]))+")")
}
