package pins

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What nobody sees, a model still reads. These characters are taken out of text that
// people read, unless they stand where a script needs them:
//
//	control characters       taken out, but tab and line feed; what breaks lines elsewhere
//	                         (CR, VT, FF, NEL, U+2028, U+2029) becomes a line feed
//	bidi embeddings,         taken out: they make text read differently from what it is
//	overrides, isolates
//	LRM, RLM, ALM            kept one at a time in text with letters of a right-to-left script,
//	                         where they put punctuation in its place
//	ZWNJ                     kept between letters of a script that joins (Persian می‌خواهم) and
//	                         after a virama (RFC 5892, appendix A.1)
//	ZWJ                      the same, at the edge of an Arabic word too (ه‍), and between emoji
//	VS15, VS16               kept once after what is text and emoji; VS16 in keycaps (1️⃣)
//	other variation          taken out, those of ideographs too: 256 of them spell any bytes after
//	selectors                any character. The character keeps its usual form
//	tag characters           kept in the flags of England, Scotland and Wales only: other
//	                         flags in tags would spell text of six letters each
//	Mongolian selectors      kept once after a Mongolian letter
//	every other format or    taken out: ZWSP, word joiner, BOM, soft hyphen, invisible
//	default-ignorable one    operators, fillers, annotation marks, noncharacters
//
// Marks that are shown (U+0600 to U+0605 and the like) stay, although Unicode has them as
// format characters, and so do spaces of every width, private use characters and what
// Unicode has not assigned yet.
//
// What stays can still carry a little: a joiner between two Persian letters, or text or
// emoji form of a symbol. It is at most one for each letter or symbol that is seen.

const (
	zwnj, zwj         = 0x200c, 0x200d
	lrm, rlm, alm     = 0x200e, 0x200f, 0x061c
	textForm          = 0xfe0e
	emojiForm         = 0xfe0f
	keycap            = 0x20e3
	blackFlag         = 0x1f3f4
	tagFirst, tagLast = 0xe0020, 0xe007f
	mongolianVowel    = 0x180e
)

// flags are what may follow a black flag as tags.
var flags = []string{"gbeng\x7f", "gbsct\x7f", "gbwls\x7f"}

// invisible tells whether r is drawn as nothing.
func invisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' && r != '\t' && r != '\n' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Noncharacter_Code_Point) ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// The scripts in which a joiner changes how letters look.
var (
	cursive = []*unicode.RangeTable{
		unicode.Arabic, unicode.Syriac, unicode.Mandaic, unicode.Mongolian, unicode.Nko, unicode.Phags_Pa, unicode.Adlam, unicode.Hanifi_Rohingya,
	}
	conjunct = []*unicode.RangeTable{
		unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam,
		unicode.Sinhala, unicode.Khmer, unicode.Myanmar, unicode.Balinese, unicode.Javanese, unicode.Tibetan,
	}
	rightToLeft = []*unicode.RangeTable{
		unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Mandaic, unicode.Samaritan, unicode.Adlam, unicode.Hanifi_Rohingya,
	}
)

var viramas = []rune{
	0x094d, 0x09cd, 0x0a4d, 0x0acd, 0x0b4d, 0x0bcd, 0x0c4d, 0x0ccd, 0x0d4d, 0x0dca, 0x1039, 0x103a, 0x17d2, 0x1b44, 0xa9c0, 0x0f84,
}

// pictographs are what emoji are made of: the ranges that hold every base of
// emoji-variation-sequences.txt past ASCII, and those of pictures.
var pictographs = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x00a9, 0x00a9, 1},
		{0x00ae, 0x00ae, 1},
		{0x203c, 0x203c, 1},
		{0x2049, 0x2049, 1},
		{0x2122, 0x2122, 1},
		{0x2139, 0x2139, 1},
		{0x2194, 0x2199, 1},
		{0x21a9, 0x21aa, 1},
		{0x231a, 0x231b, 1},
		{0x2328, 0x2328, 1},
		{0x23cf, 0x23cf, 1},
		{0x23e9, 0x23f3, 1},
		{0x23f8, 0x23fa, 1},
		{0x24c2, 0x24c2, 1},
		{0x25aa, 0x25ab, 1},
		{0x25b6, 0x25b6, 1},
		{0x25c0, 0x25c0, 1},
		{0x25fb, 0x25fe, 1},
		{0x2600, 0x27bf, 1},
		{0x2934, 0x2935, 1},
		{0x2b05, 0x2b07, 1},
		{0x2b1b, 0x2b1c, 1},
		{0x2b50, 0x2b50, 1},
		{0x2b55, 0x2b55, 1},
		{0x3030, 0x3030, 1},
		{0x303d, 0x303d, 1},
		{0x3297, 0x3297, 1},
		{0x3299, 0x3299, 1},
	},
	R32:         []unicode.Range32{{0x1f000, 0x1faff, 1}},
	LatinOffset: 2,
}

// strip takes what nobody sees out of a text, and returns what that was; nil when it is
// nothing, and s as it was.
func strip(s string) (clean string, found []rune) {
	if !strings.ContainsFunc(s, invisible) {
		return s, nil
	}
	t := line{runes: []rune(s)}
	var b strings.Builder
	for i := 0; i < len(t.runes); i++ {
		r := t.runes[i]
		if n := t.flag(i); n > 0 {
			b.WriteString(string(t.runes[i : i+n]))
			i += n - 1
			continue
		}
		switch {
		case !invisible(r) || t.needs(i):
			b.WriteRune(r)
			continue
		case breaks(r):
			b.WriteByte('\n')
		}
		found = append(found, r)
	}
	if found == nil {
		return s, nil
	}
	return b.String(), found
}

// breaks tells whether r ends a line somewhere.
func breaks(r rune) bool {
	switch r {
	case '\r', '\v', '\f', 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// line is a text of which each character is judged by its neighbours.
type line struct {
	runes []rune
	rtl   int // 1 yes, -1 no, 0 not looked for yet
}

// at returns a character, a space outside the text.
func (t *line) at(i int) rune {
	if i < 0 || i >= len(t.runes) {
		return ' '
	}
	return t.runes[i]
}

// near returns the next character in a direction that is no mark upon another.
func (t *line) near(i, step int) rune {
	for i += step; ; i += step {
		r := t.at(i)
		if !unicode.Is(unicode.Mn, r) || invisible(r) || unicode.In(r, cursive...) || unicode.In(r, conjunct...) {
			return r
		}
	}
}

// needs tells whether the invisible character at i stands where its script needs it.
func (t *line) needs(i int) bool {
	before, after := t.at(i-1), t.at(i+1)
	switch r := t.runes[i]; r {
	case '\r':
		return after == '\n'
	case zwnj:
		return t.joins(i)
	case zwj:
		if t.joins(i) || t.picture(i-1) && unicode.Is(pictographs, after) {
			return true
		}
		left, right := t.near(i, -1), t.near(i, 1)
		return unicode.In(left, cursive...) && !invisible(right) || unicode.In(right, cursive...) && !invisible(left)
	case lrm, rlm, alm:
		return t.rightToLeft() && !invisible(before) && !invisible(after)
	case textForm, emojiForm:
		return unicode.Is(pictographs, before) || r == emojiForm && after == keycap && (before == '#' || before == '*' || '0' <= before && before <= '9')
	case 0x180b, 0x180c, 0x180d, 0x180f:
		return mongolian(before)
	case mongolianVowel:
		return mongolian(before) && mongolian(after)
	}
	return false
}

func mongolian(r rune) bool { return unicode.Is(unicode.Mongolian, r) && unicode.IsLetter(r) }

// joins tells whether the joiner at i stands within a word of a script that joins.
func (t *line) joins(i int) bool {
	if slices.Contains(viramas, t.at(i-1)) {
		return true
	}
	left, right := t.near(i, -1), t.near(i, 1)
	return letter(left, cursive) && letter(right, cursive) || letter(left, conjunct) && letter(right, conjunct)
}

func letter(r rune, scripts []*unicode.RangeTable) bool {
	return (unicode.IsLetter(r) || unicode.IsMark(r)) && !invisible(r) && unicode.In(r, scripts...)
}

// picture tells whether a whole emoji may end at i: a picture, its emoji form, or with a
// colour of skin.
func (t *line) picture(i int) bool {
	return unicode.Is(pictographs, t.at(i)) || t.at(i) == emojiForm && unicode.Is(pictographs, t.at(i-1))
}

// flag returns how many characters of a flag in tags begin at i; 0 when none does.
func (t *line) flag(i int) int {
	if t.at(i) != blackFlag {
		return 0
	}
	for _, f := range flags {
		if spelled := spell(t.runes[i+1 : min(i+1+len(f), len(t.runes))]); spelled == f {
			return 1 + len(f)
		}
	}
	return 0
}

// rightToLeft tells whether the text has letters of a script that runs to the left.
func (t *line) rightToLeft() bool {
	if t.rtl == 0 {
		t.rtl = -1
		if slices.ContainsFunc(t.runes, func(r rune) bool { return unicode.IsLetter(r) && unicode.In(r, rightToLeft...) }) {
			t.rtl = 1
		}
	}
	return t.rtl > 0
}

// spell returns what tag characters spell, in ASCII; others are passed over.
func spell(runes []rune) string {
	var b strings.Builder
	for _, r := range runes {
		if tagFirst <= r && r <= tagLast {
			b.WriteByte(byte(r - 0xe0000))
		}
	}
	return b.String()
}

// visible writes characters that nobody sees as \u{200b}. Of a text in JSON, in which a
// backslash is always written as two, the result can mean one thing only.
func visible(s string) string {
	if !strings.ContainsFunc(s, invisible) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if invisible(r) {
			fmt.Fprintf(&b, `\u{%x}`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// clip shortens a text to a number of characters.
func clip(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
