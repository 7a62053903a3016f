package plugins

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// visible takes out of the texts of a tool what people do not see and models and
// terminals read: control characters, marks that turn the direction of writing, and
// characters without width, the tags of Unicode among them (security.md T20). Names of
// properties and values stay: other ones would mean something else. This is for what is
// listed at run time; a manifest that holds such characters is refused.
func visible(t *core.ToolConfig) {
	t.Title, t.Description = seen(t.Title), seen(t.Description)
	t.InputSchema, t.OutputSchema, t.Annotations = seenIn(t.InputSchema), seenIn(t.OutputSchema), seenIn(t.Annotations)
}

func seen(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\u2028', r == '\u2029':
			return '\n'
		case hidden(r):
			return -1
		}
		return r
	}, s)
}

// hidden tells whether nobody sees a character. The joiners are letters' business: Persian
// needs one, and so do many emoji.
func hidden(r rune) bool {
	switch {
	case r < 0x7F:
		return r < ' ' && r != '\n' && r != '\t' && r != '\r'
	case r == '\u200C', r == '\u200D':
		return false
	case r >= 0xE0100 && r <= 0xE01EF, r == 0x115F, r == 0x1160, r == 0x3164, r == 0xFFA0: // selectors and fillers, which count as marks and letters
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// seenIn does the same with the titles and descriptions in a JSON text, which stays as it
// was written when there is nothing to do.
func seenIn(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return raw
	}
	doc, err := wire.DecodeWithin(raw, schemaLimits)
	if err != nil || !clean(doc) {
		return raw
	}
	b, err := wire.Marshal(doc)
	if err != nil {
		return raw
	}
	return b
}

// clean changes a decoded value, and tells whether it did.
func clean(value any) (changed bool) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			text, is := member.(string)
			if !is {
				changed = clean(member) || changed
				continue
			}
			switch name {
			case "title", "description", "$comment":
				if s := seen(text); s != text {
					v[name], changed = s, true
				}
			}
		}
	case []any:
		for _, item := range v {
			changed = clean(item) || changed
		}
	}
	return changed
}
