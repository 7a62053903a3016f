package config

import (
	"fmt"
	"unicode/utf8"
)

// checkCharacters refuses what no document may hold: bytes that are not UTF-8,
// and control characters. Parsers differ on them, people do not see them.
func checkCharacters(b []byte, found *mistakes) bool {
	if len(b) >= 2 && (b[0] == 0xfe && b[1] == 0xff || b[0] == 0xff && b[1] == 0xfe) {
		found.add(1, 1, "", "the document is UTF-16", "save it as UTF-8")
		return false
	}
	for i := 0; i < len(b); {
		c := b[i]
		if c < utf8.RuneSelf {
			if isControl(rune(c)) {
				line, column := place(b, i)
				fix := "remove it; in double quotes it can be written as an escape"
				if c == 0 {
					fix = "remove it; is this really a text file?"
				}
				found.add(line, column, "", fmt.Sprintf("the document holds a control character (U+%04X)", c), fix)
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			line, column := place(b, i)
			found.add(line, column, "", fmt.Sprintf("the document is not UTF-8 (byte 0x%02X)", c), "save it as UTF-8")
			return false
		}
		if isControl(r) || r == 0xfffe || r == 0xffff || r == 0xfeff && i > 0 {
			line, column := place(b, i)
			found.add(line, column, "", fmt.Sprintf("the document holds an invisible character (U+%04X)", r), "remove it")
			return false
		}
		i += size
	}
	return true
}

// isControl tells whether r is a control character other than tab, line feed and
// carriage return. U+0085, U+2028 and U+2029 count: YAML 1.1 readers break lines at
// them, YAML 1.2 and JSON readers do not.
func isControl(r rune) bool {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return false
	case r < 0x20 || 0x7f <= r && r <= 0x9f:
		return true
	}
	return r == 0x2028 || r == 0x2029
}

// hasControl finds a control character that an escape brought into a text.
func hasControl(s string) (rune, bool) {
	for _, r := range s {
		if isControl(r) {
			return r, true
		}
	}
	return 0, false
}
