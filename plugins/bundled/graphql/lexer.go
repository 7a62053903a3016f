package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on a document, whoever wrote it.
const (
	maxDocument = 128 << 10 // bytes
	maxTokens   = 20_000
	maxNesting  = 64 // braces, brackets and types within each other

	maxFragments = 200
)

// class is what a token is.
type class byte

const (
	end     class = iota
	mark          // one of marks, or ...
	name          // a name
	integer       // 42
	decimal       // 4.2e1
	text          // "…" or """…""", already decoded
)

const marks = "!$&():=@[]{|}"

// token is one lexical token (GraphQL specification, section 2.1).
type token struct {
	class class
	text  string // of a text its value, else as it is written
	at    int    // byte offset
}

// syntaxError says where a document is none.
type syntaxError struct {
	line, column int
	what         string
}

// Error returns "line 2, column 5: …".
func (e *syntaxError) Error() string {
	return "line " + strconv.Itoa(e.line) + ", column " + strconv.Itoa(e.column) + ": " + e.what
}

// lexer cuts a document into tokens.
type lexer struct {
	source string
	at     int
	count  int
}

// bad returns a syntaxError at a byte offset.
func (l *lexer) bad(at int, format string, args ...any) error {
	before := l.source[:min(at, len(l.source))]
	line := strings.LastIndexByte(before, '\n') + 1
	return &syntaxError{
		line:   strings.Count(before, "\n") + 1,
		column: utf8.RuneCountInString(before[line:]) + 1,
		what:   fmt.Sprintf(format, args...),
	}
}

// next returns the next token; past the last one it is end for ever.
func (l *lexer) next() (token, error) {
	l.skip()
	if l.count++; l.count > maxTokens {
		return token{}, l.bad(l.at, "more than %d tokens", maxTokens)
	}
	start := l.at
	if start >= len(l.source) {
		return token{class: end, text: "the end", at: start}, nil
	}
	c := l.source[start]
	switch {
	case strings.HasPrefix(l.source[start:], "..."):
		l.at += 3
		return token{mark, "...", start}, nil
	case strings.IndexByte(marks, c) >= 0:
		l.at++
		return token{mark, l.source[start:l.at], start}, nil
	case letter(c):
		for l.at < len(l.source) && (letter(l.source[l.at]) || digit(l.source[l.at])) {
			l.at++
		}
		return token{name, l.source[start:l.at], start}, nil
	case c == '-' || digit(c):
		return l.number()
	case strings.HasPrefix(l.source[start:], `"""`):
		return l.block()
	case c == '"':
		return l.quoted()
	}
	r, _ := utf8.DecodeRuneInString(l.source[start:])
	return token{}, l.bad(start, "%q begins nothing in GraphQL", r)
}

// skip passes what has no meaning: white space, commas, comments and a byte order mark.
func (l *lexer) skip() {
	for l.at < len(l.source) {
		switch c := l.source[l.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',':
			l.at++
		case c == '#':
			for l.at < len(l.source) && l.source[l.at] != '\n' && l.source[l.at] != '\r' {
				l.at++
			}
		case strings.HasPrefix(l.source[l.at:], "\ufeff"):
			l.at += len("\ufeff")
		default:
			return
		}
	}
}

func letter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

// digits passes digits and returns how many.
func (l *lexer) digits() int {
	start := l.at
	for l.at < len(l.source) && digit(l.source[l.at]) {
		l.at++
	}
	return l.at - start
}

func (l *lexer) number() (token, error) {
	start, kind := l.at, integer
	if l.source[l.at] == '-' {
		l.at++
	}
	first := l.at
	n := l.digits()
	if n == 0 || n > 1 && l.source[first] == '0' {
		return token{}, l.bad(start, "a number that GraphQL does not have")
	}
	if l.at < len(l.source) && l.source[l.at] == '.' {
		l.at++
		kind = decimal
		if l.digits() == 0 {
			return token{}, l.bad(start, "a number that GraphQL does not have")
		}
	}
	if l.at < len(l.source) && l.source[l.at]|0x20 == 'e' {
		l.at++
		kind = decimal
		if l.at < len(l.source) && (l.source[l.at] == '+' || l.source[l.at] == '-') {
			l.at++
		}
		if l.digits() == 0 {
			return token{}, l.bad(start, "a number that GraphQL does not have")
		}
	}
	if l.at < len(l.source) && (letter(l.source[l.at]) || l.source[l.at] == '.') {
		return token{}, l.bad(start, "a number that GraphQL does not have")
	}
	return token{kind, l.source[start:l.at], start}, nil
}

func (l *lexer) quoted() (token, error) {
	start := l.at
	l.at++
	var b strings.Builder
	for l.at < len(l.source) {
		switch c := l.source[l.at]; {
		case c == '"':
			l.at++
			return token{text, b.String(), start}, nil
		case c == '\n' || c == '\r':
			return token{}, l.bad(start, "a string does not end in its line")
		case c < 0x20 && c != '\t':
			return token{}, l.bad(l.at, "a control character in a string")
		case c == '\\':
			r, err := l.escape()
			if err != nil {
				return token{}, err
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
			l.at++
		}
	}
	return token{}, l.bad(start, "a string does not end")
}

// escape reads one escape sequence of a quoted string.
func (l *lexer) escape() (rune, error) {
	start := l.at
	wrong := l.bad(start, "an escape that GraphQL does not have")
	if l.at+1 >= len(l.source) {
		return 0, wrong
	}
	c := l.source[l.at+1]
	l.at += 2
	if plain := strings.IndexByte(`"\/bfnrt`, c); plain >= 0 {
		return rune("\"\\/\b\f\n\r\t"[plain]), nil
	}
	if c != 'u' {
		return 0, wrong
	}
	if strings.HasPrefix(l.source[l.at:], "{") {
		digits, _, closed := strings.Cut(l.source[l.at+1:min(l.at+10, len(l.source))], "}")
		r, err := strconv.ParseUint(digits, 16, 32)
		if !closed || err != nil || !utf8.ValidRune(rune(r)) {
			return 0, wrong
		}
		l.at += len(digits) + 2
		return rune(r), nil
	}
	high, ok := l.hex4()
	switch {
	case !ok:
		return 0, wrong
	case high >= 0xd800 && high < 0xdc00:
		if !strings.HasPrefix(l.source[l.at:], `\u`) {
			return 0, wrong
		}
		l.at += 2
		low, ok := l.hex4()
		if !ok || low < 0xdc00 || low > 0xdfff {
			return 0, wrong
		}
		return 0x10000 + (high-0xd800)<<10 + low - 0xdc00, nil
	case high >= 0xdc00 && high < 0xe000:
		return 0, wrong
	}
	return high, nil
}

func (l *lexer) hex4() (rune, bool) {
	if l.at+4 > len(l.source) {
		return 0, false
	}
	v, err := strconv.ParseUint(l.source[l.at:l.at+4], 16, 32)
	l.at += 4
	return rune(v), err == nil
}

// block reads a block string and takes its common indentation away (section 2.9.4).
func (l *lexer) block() (token, error) {
	start := l.at
	l.at += 3
	var raw strings.Builder
	for {
		rest := l.source[l.at:]
		switch {
		case rest == "":
			return token{}, l.bad(start, "a block string does not end")
		case strings.HasPrefix(rest, `\"""`):
			raw.WriteString(`"""`)
			l.at += 4
			continue
		case strings.HasPrefix(rest, `"""`):
			l.at += 3
			return token{text, dedent(raw.String()), start}, nil
		}
		raw.WriteByte(rest[0])
		l.at++
	}
}

func dedent(s string) string {
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\n")
	common := -1
	for i, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if i > 0 && indent < len(line) && (common < 0 || indent < common) {
			common = indent
		}
	}
	for i := range lines {
		if i > 0 && common > 0 {
			lines[i] = lines[i][min(common, len(lines[i])):]
		}
	}
	for len(lines) > 0 && strings.Trim(lines[0], " \t") == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && strings.Trim(lines[len(lines)-1], " \t") == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines, "\n")
}
