package wire

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// AppendString appends s as one JSON string, quotes included. The result has no
// line break, so it may stand in one SSE data line. Bytes that are not UTF-8
// become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	out, ok := quote(dst, s)
	if !ok {
		out, _ = quote(dst, strings.ToValidUTF8(s, "\uFFFD")) // UTF-8 now
	}
	return out
}

const hexDigits = "0123456789abcdef"

// quote is AppendString for UTF-8; for anything else it answers false.
func quote(dst []byte, s string) ([]byte, bool) {
	dst = append(slices.Grow(dst, len(s)+2), '"')
	done := 0 // what of s is in dst
	for i := span(s, 0); i < len(s); i = span(s, i) {
		c := s[i]
		if c >= utf8.RuneSelf {
			var ok bool
			if i, ok = runes(s, i); !ok {
				return dst, false
			}
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
		}
		i++
		done = i
	}
	return append(append(dst, s[done:]...), '"'), true
}

// Compact returns b without insignificant white space, after checking it like
// Check with Default. Strings and numbers keep their spelling. b is returned
// itself when there is nothing to take out.
func Compact(b []byte) ([]byte, error) {
	s := open(b, &Default)
	defer s.close()
	if s.whole() < 0 {
		return nil, s.failure()
	}
	if !s.spaced {
		return b, nil
	}
	out := make([]byte, 0, len(b))
	for i := blank(b, 0); i < len(b); i = blank(b, i) {
		from := i
		if b[i] == '"' {
			i = stringEnd(b, i)
		} else {
			for i < len(b) && b[i] > ' ' && b[i] != '"' {
				i++
			}
		}
		out = append(out, b[from:i]...)
	}
	return out, nil
}
