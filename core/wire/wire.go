// Package wire reads and writes JSON strictly, so that nobody behind the gateway
// can read a message in another way than the gateway did.
//
//	bytes ─► Check ─► Fields / Elements (raw parts, nothing copied) ─► what decides
//	               └► Decode / Unmarshal (Go values, numbers as text)
//	Go values ─► Marshal / AppendString ─► bytes
//
// Refused are: a name twice in one object (at any depth), text that is not
// UTF-8, lone surrogates, anything after the value, and whatever passes the
// Limits. Names match in exact case only. Numbers stay text: 2^53+1 is not
// rounded.
//
//	err := wire.Fields(body, func(name string, value json.RawMessage) error {
//		switch name {
//		case "method":
//			return wire.Unmarshal(value, &method)
//		case "params":
//			params = value // aliases body
//		}
//		return nil
//	})
//
// The grammar is RFC 8259 with the additions of RFC 7493 (I-JSON) on names and
// text. One scanner of this package does all of the reading, in one pass; tests
// hold it against github.com/go-json-experiment/json, which also carries Unmarshal
// and Marshal of typed Go values.
package wire

import (
	"strconv"
	"strings"
)

// Limits bounds what Check accepts. A field that is zero takes the value of
// Default.
type Limits struct {
	Depth  int // objects and arrays within each other
	Keys   int // members of all objects together
	String int // bytes of one string or name as written, quotes excluded
	Number int // bytes of one number as written
}

// Default is for what clients send; every function applies it that is not told
// other limits. Answer is for what upstreams answer, whose size package egress
// has already bounded.
var (
	Default = Limits{Depth: 64, Keys: 10_000, String: 1 << 20, Number: 64}
	Answer  = Limits{Depth: 200, Keys: 1_000_000, String: 16 << 20, Number: 1024}
)

// SyntaxError says why JSON was refused. Its text never holds a value of the
// JSON, only names of members.
type SyntaxError struct {
	Offset  int    // bytes before the mistake
	Path    string // JSON Pointer (RFC 6901) of the value that holds the mistake; "" is the root
	Message string // what is wrong
	Limit   bool   // well-formed as far as read, but past one of the Limits
}

// Error returns the message with the place.
func (e *SyntaxError) Error() string {
	var b strings.Builder
	b.WriteString("JSON: ")
	b.WriteString(e.Message)
	if e.Path != "" {
		b.WriteString(" at ")
		b.WriteString(clip(e.Path, 200))
	}
	b.WriteString(" (byte ")
	b.WriteString(strconv.Itoa(e.Offset))
	b.WriteString(")")
	return b.String()
}

// clip shortens a text that a stranger chose, so that a log line stays a line.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// IsObject tells whether the first byte that is not white space begins an object.
func IsObject(b []byte) bool { return first(b) == '{' }

// IsArray tells whether the first byte that is not white space begins an array.
func IsArray(b []byte) bool { return first(b) == '[' }

// IsString tells whether the first byte that is not white space begins a string.
func IsString(b []byte) bool { return first(b) == '"' }

// IsNumber tells whether the first byte that is not white space begins a number.
func IsNumber(b []byte) bool {
	c := first(b)
	return c == '-' || '0' <= c && c <= '9'
}

// IsNull tells whether b is null, or nothing at all (an absent member).
func IsNull(b []byte) bool {
	c := first(b)
	return c == 'n' || c == 0
}

func first(b []byte) byte {
	for _, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}
