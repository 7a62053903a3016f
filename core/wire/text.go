package wire

import (
	"bytes"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Eight bytes are looked at in one step. Of each byte of a word, the top bit tells
// whether the byte is one of those sought; below the first that is, no bit is set
// wrongly, because only a byte that is sought borrows from its neighbour.
const (
	ones = 0x0101010101010101
	tops = 0x80 * ones
)

// word returns the eight bytes of s from i, the first the lowest.
func word[T string | []byte](s T, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// special marks quotes, backslashes, control characters and what is not ASCII. A
// quote and the controls are one comparison: with its second bit turned over, a
// quote is 0x20, and the controls stay below that.
func special(w uint64) uint64 { return ((w ^ 0x02*ones) - 0x21*ones) | ((w ^ '\\'*ones) - ones) | w }

// span returns the first index at or after i of a special byte, or len(s).
func span[T string | []byte](s T, i int) int {
	// Most strings are short; those that are not get four words a step.
	for near := i + 32; i+8 <= len(s); i += 8 {
		if m := special(word(s, i)) & tops; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
		if i < near {
			continue
		}
		for i += 8; i+32 <= len(s); i += 32 {
			m := special(word(s, i)) | special(word(s, i+8)) | special(word(s, i+16)) | special(word(s, i+24))
			if m&tops != 0 {
				break
			}
		}
		near, i = len(s), i-8
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// runes passes over characters that are not ASCII, the first of which begins at i.
// It returns the index after them, and whether they are UTF-8; if not, the index is
// that of the first that is not.
func runes[T string | []byte](s T, i int) (int, bool) {
	for i < len(s) && s[i] >= utf8.RuneSelf {
		n := runeSize(s[i:min(len(s), i+4)])
		if n == 0 {
			return i, false
		}
		i += n
	}
	return i, true
}

// runeSize returns the bytes of the first character of s, which is not ASCII and not
// empty, or 0 when it is not UTF-8 (RFC 3629, section 4).
func runeSize[T string | []byte](s T) int {
	c := s[0]
	switch {
	case c < 0xC2: // a byte that continues, or ASCII spelled in two
	case c < 0xE0:
		if len(s) >= 2 && s[1]&0xC0 == 0x80 {
			return 2
		}
	case c < 0xF0:
		// E0 80..9F spells what fits in two bytes, ED A0..BF are surrogates.
		if len(s) >= 3 && s[1]&0xC0 == 0x80 && s[2]&0xC0 == 0x80 && (c != 0xE0 || s[1] >= 0xA0) && (c != 0xED || s[1] < 0xA0) {
			return 3
		}
	case c < 0xF5:
		// F0 80..8F spells what fits in three bytes, F4 90.. is past U+10FFFF.
		if len(s) >= 4 && s[1]&0xC0 == 0x80 && s[2]&0xC0 == 0x80 && s[3]&0xC0 == 0x80 && (c != 0xF0 || s[1] >= 0x90) && (c != 0xF4 || s[1] < 0x90) {
			return 4
		}
	}
	return 0
}

// escapeSize returns the bytes of the escape at the start of b, a surrogate pair
// being one. When it is wrong, ok is false and the size is that of the wrong part;
// the size is 0 when b ends before that can be told.
func escapeSize(b []byte) (size int, ok bool) {
	if len(b) < 2 {
		return 0, false
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, true
	case 'u':
	default:
		return 2, false
	}
	unit, size := hexUnit(b)
	if size < 6 || !utf16.IsSurrogate(unit) {
		return size, size == 6 && unit >= 0
	}
	if len(b) > 6 && b[6] != '\\' || len(b) > 7 && b[7] != 'u' {
		return 6, false
	}
	if len(b) < 8 {
		return 0, false
	}
	second, size := hexUnit(b[6:])
	if size == 0 {
		return 0, false
	}
	return 6 + size, size == 6 && utf16.DecodeRune(unit, second) != utf8.RuneError
}

// hexUnit reads \uXXXX at the start of b. The size is 0 when b ends too early; the
// unit is -1 when a digit is none, and the size then ends after that.
func hexUnit(b []byte) (unit rune, size int) {
	for i := 2; i < 6; i++ {
		if i >= len(b) {
			return -1, 0
		}
		c := b[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1, i + 1
		}
		unit = unit<<4 | rune(c)
	}
	return unit, 6
}

// unescape appends to dst what inner means: the inside of a string that was
// accepted. In others, what is no escape is left out.
func unescape(dst, inner []byte) []byte {
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return append(dst, inner...)
		}
		dst = append(dst, inner[:i]...)
		inner = inner[i:]
		size, ok := escapeSize(inner)
		switch {
		case !ok:
			size = max(1, min(size, len(inner)))
		case inner[1] == 'u':
			unit, _ := hexUnit(inner)
			if size > 6 {
				second, _ := hexUnit(inner[6:])
				unit = utf16.DecodeRune(unit, second)
			}
			dst = utf8.AppendRune(dst, unit)
		default:
			dst = append(dst, meaning(inner[1]))
		}
		inner = inner[size:]
	}
}

// meaning returns what the letter after a backslash stands for.
func meaning(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// numberEnd returns the index after the number that begins at i. When it is wrong,
// ok is false and the index is where a digit is missing.
func numberEnd[T string | []byte](s T, i int) (end int, ok bool) {
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	case i < len(s) && '1' <= s[i] && s[i] <= '9':
		i = digits(s, i)
	default:
		return i, false
	}
	if i < len(s) && s[i] == '.' {
		start := i + 1
		if i = digits(s, start); i == start {
			return i, false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		start := i
		if i = digits(s, start); i == start {
			return i, false
		}
	}
	return i, true
}

func digits[T string | []byte](s T, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i
}

// blank returns the first index at or after i that is not white space.
func blank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}
