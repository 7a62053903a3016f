package disclosure

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

const (
	maxSummary = 120 // characters
	maxTitle   = 60  // characters
)

// summary is the first sentence of a description in one line.
func summary(t *core.Tool) string {
	text := t.Description
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	if paragraph, _, more := strings.Cut(strings.TrimSpace(text), "\n\n"); more {
		text = paragraph
	}
	return clip(sentence(oneLine(text)), maxSummary)
}

// sentence returns the first one of a line.
func sentence(s string) string {
	for i, r := range s {
		next := i + utf8.RuneLen(r)
		switch r {
		case '。', '！', '？':
			return s[:next]
		case '.', '!', '?':
			if strings.HasPrefix(s[next:], " ") && !abbreviation(s[:i]) {
				return s[:next]
			}
		}
	}
	return s
}

// abbreviation tells whether a point after s is that of a short form.
func abbreviation(s string) bool {
	last := s[strings.LastIndexAny(s, " (")+1:]
	switch strings.ToLower(last) {
	case "e.g", "i.e", "etc", "vs", "cf", "approx", "incl", "no", "z.b":
		return true
	}
	return false
}

// oneLine makes one line of a text, so that no description can look like another hit. What
// is not drawn is left out.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)), " ")
}

// clip shortens a text to a number of characters, at a space where one is near.
func clip(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit-1 && utf8.RuneCountInString(s[i:]) > 1 {
			cut := s[:i]
			if at := strings.LastIndexByte(cut, ' '); at > len(cut)*2/3 {
				cut = cut[:at]
			}
			return cut + "…"
		}
		n++
	}
	return strings.Clone(s)
}
