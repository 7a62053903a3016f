package pins

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core/wire"
)

// Finding is one text of a definition with characters that nobody sees.
type Finding struct {
	Pointer string `json:"pointer"` // JSON Pointer (RFC 6901) of the text, or with Name set of the member
	Name    bool   `json:"name"`    // the name of the member has them
	// Kept tells that they are still there: machines compare this text (names of
	// arguments, enum, const, pattern, _meta), and another one would be refused.
	Kept  bool     `json:"kept"`
	Count int      `json:"count"`
	Codes []string `json:"codes"` // which, as U+200B, at most 8, in order
	// Spelled is what tag characters among them say in ASCII, at most 200 characters.
	Spelled string `json:"spelled,omitempty"`
}

// maxFindings is how many texts of one definition are named.
const maxFindings = 100

// Clean returns a definition without the characters that nobody sees in what people (and
// models) read: titles, descriptions, and in schemas the annotations, known or not. of is
// tool, prompt, resource or template. Everything else, white space and spelling included,
// stays byte for byte; without anything to take out, the result is raw itself. Names and
// values that machines compare are left alone and named in the findings, of which there
// are at most 100. Errors are those of Canonical.
func Clean(of string, raw json.RawMessage) (json.RawMessage, []Finding, error) {
	if err := check(raw); err != nil {
		return nil, nil, err
	}
	c := cleaner{raw: raw}
	c.value(rootOf(of))
	if c.out == nil {
		return raw, c.findings, nil
	}
	return append(c.out, raw[c.done:]...), c.findings, nil
}

// cleaner walks over JSON that check accepted.
type cleaner struct {
	raw      []byte
	at       int
	out      []byte // raw up to done, cleaned; nil while nothing was taken out
	done     int
	path     []string // escaped for a pointer
	findings []Finding
}

func (c *cleaner) blank() {
	for c.at < len(c.raw) {
		switch c.raw[c.at] {
		case ' ', '\t', '\r', '\n', ',', ':':
			c.at++
		default:
			return
		}
	}
}

// value passes over one value that stands at a place.
func (c *cleaner) value(p place) {
	c.blank()
	switch c.raw[c.at] {
	case '{':
		c.at++
		for c.blank(); c.raw[c.at] != '}'; c.blank() {
			name := c.name()
			c.value(p.member(name))
			c.path = c.path[:len(c.path)-1]
		}
		c.at++
	case '[':
		c.at++
		i := 0
		for c.blank(); c.raw[c.at] != ']'; c.blank() {
			c.path = append(c.path, strconv.Itoa(i))
			c.value(p.element())
			c.path = c.path[:len(c.path)-1]
			i++
		}
		c.at++
	case '"':
		c.text(p)
	default:
		for c.at < len(c.raw) && !strings.ContainsRune(",]} \t\r\n", rune(c.raw[c.at])) {
			c.at++
		}
	}
}

// quoted passes over a string and returns what it means.
func (c *cleaner) quoted() (meaning string, from int) {
	from = c.at
	for c.at++; c.raw[c.at] != '"'; c.at++ {
		if c.raw[c.at] == '\\' {
			c.at++
		}
	}
	c.at++
	return string(wire.AppendUnquoted(nil, c.raw[from:c.at])), from
}

// name passes over the name of a member and adds it to the path.
func (c *cleaner) name() string {
	name, _ := c.quoted()
	c.path = append(c.path, pointerEscapes.Replace(visible(name)))
	if _, found := strip(name); found != nil {
		c.find(found, true, true)
	}
	return name
}

func (c *cleaner) text(p place) {
	meaning, from := c.quoted()
	clean, found := strip(meaning)
	if found == nil {
		return
	}
	c.find(found, false, p != prose)
	if p != prose {
		return
	}
	c.out = append(c.out, c.raw[c.done:from]...)
	c.out = wire.AppendString(c.out, clean)
	c.done = c.at
}

func (c *cleaner) find(runes []rune, name, kept bool) {
	if len(c.findings) == maxFindings {
		return
	}
	var pointer strings.Builder
	for _, step := range c.path {
		pointer.WriteString("/" + step)
	}
	f := Finding{Pointer: clip(pointer.String(), maxPointer), Name: name, Kept: kept, Count: len(runes), Spelled: clip(visible(spell(runes)), maxText)}
	slices.Sort(runes) // spell came first: what they say depends on their order
	for _, r := range slices.Compact(runes) {
		if len(f.Codes) == 8 {
			break
		}
		f.Codes = append(f.Codes, fmt.Sprintf("U+%04X", r))
	}
	c.findings = append(c.findings, f)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901, section 3
