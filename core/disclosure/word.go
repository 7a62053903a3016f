package disclosure

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord is how many bytes of a word count.
const maxWord = 64

// fold takes out of a text what is not worth telling apart: width and other
// compatibility forms, accents, points of Hebrew and vowels of Arabic. Case stays, because
// words are split at it. Traditional and simplified Chinese stay two.
func fold(s string) string {
	if ascii(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, accents) {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
	return norm.NFC.String(s) // Hangul and voiced kana come together again
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

var accents = &unicode.RangeTable{R16: []unicode.Range16{
	{0x0300, 0x036f, 1}, {0x0591, 0x05bd, 1}, {0x05bf, 0x05bf, 1}, {0x05c1, 0x05c2, 1}, {0x05c4, 0x05c5, 1}, {0x0640, 0x0640, 1}, {0x064b, 0x065f, 1}, {0x0670, 0x0670, 1},
}}

// sort is what a character is to a splitter.
type sort int

const (
	gap   sort = iota // between words
	lower             // letters without case too
	upper
	digit
	dense // of a script that is written without spaces, or whose words carry endings
)

var denseScripts = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Bopomofo,
}

func sortOf(r rune) sort {
	if r < utf8.RuneSelf {
		switch {
		case 'a' <= r && r <= 'z':
			return lower
		case 'A' <= r && r <= 'Z':
			return upper
		case '0' <= r && r <= '9':
			return digit
		}
		return gap
	}
	switch {
	case r == 'ー' || unicode.In(r, denseScripts...) && (unicode.IsLetter(r) || unicode.IsMark(r)):
		return dense
	case unicode.IsUpper(r) || unicode.IsTitle(r):
		return upper
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return lower
	case unicode.IsDigit(r):
		return digit
	}
	return gap
}

// word is what a text is split into. A whole word that has parts (createIssue, s3) comes
// before them.
type word struct {
	text string // folded, in lower case, cut to its stem
	part bool   // of the whole word before it
}

// split calls f for each word of a text, until f returns false. Of dense scripts it gives
// pairs of characters, and with singles set each character too.
func split(text string, singles bool, f func(word) bool) {
	runes := []rune(fold(text))
	for i := 0; i < len(runes); {
		s := sortOf(runes[i])
		from := i
		for i++; i < len(runes); i++ {
			if next := sortOf(runes[i]); next == gap || s == gap || (next == dense) != (s == dense) {
				break
			}
		}
		switch s {
		case gap:
		case dense:
			if !splitDense(runes[from:i], singles, f) {
				return
			}
		case lower, upper, digit:
			if !splitWord(runes[from:i], f) {
				return
			}
		}
	}
}

func splitDense(runes []rune, singles bool, f func(word) bool) bool {
	for i := range runes {
		if (singles || len(runes) == 1) && !f(word{text: string(runes[i])}) {
			return false
		}
		if i > 0 && !f(word{text: string(runes[i-1 : i+1])}) {
			return false
		}
	}
	return true
}

func splitWord(runes []rune, f func(word) bool) bool {
	var cuts []int
	for i := 1; i < len(runes); i++ {
		before, here := sortOf(runes[i-1]), sortOf(runes[i])
		after := gap
		if i+1 < len(runes) {
			after = sortOf(runes[i+1])
		}
		switch {
		case before == lower && here == upper, // aB
			before == upper && here == upper && after == lower, // HTTPServer
			(before == digit) != (here == digit):               // s3
			cuts = append(cuts, i)
		}
	}
	if !f(word{text: wordOf(runes)}) {
		return false
	}
	if cuts == nil {
		return true
	}
	from := 0
	for _, to := range append(cuts, len(runes)) {
		if !f(word{text: wordOf(runes[from:to]), part: true}) {
			return false
		}
		from = to
	}
	return true
}

// wordOf folds the case of a word and cuts it to its stem.
func wordOf(runes []rune) string {
	s := strings.ReplaceAll(strings.ToLower(string(runes)), "ß", "ss")
	if len(s) > maxWord {
		s = strings.ToValidUTF8(s[:maxWord], "")
	}
	return stem(s)
}
