package plugins

import (
	"encoding/json"
	"fmt"
	"regexp/syntax"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// maxPatterns is how large all regular expressions in the schemas of one plugin may
// become: about so many instructions of some 40 bytes. \w{1000} is eight characters, and
// a thousand instructions; a guest that lists such tools would otherwise take the memory
// of the gateway, where no limit of the sandbox holds.
const maxPatterns = 200_000

// patternsOf adds up what the patterns of schemas compile to; more than most is only
// known to be more. What is no JSON or no expression counts nothing: compiling it says
// what is wrong.
func patternsOf(most int, schemas ...json.RawMessage) (size int) {
	for _, raw := range schemas {
		if len(raw) == 0 || size > most {
			continue
		}
		size += patternsWithin(raw, schemaLimits, most-size)
	}
	return size
}

func patternsWithin(raw json.RawMessage, limits wire.Limits, most int) int {
	doc, err := wire.DecodeWithin(raw, limits)
	if err != nil {
		return 0
	}
	return patternsIn(doc, most)
}

// patternsIn looks at every member that may hold a pattern, wherever it stands.
func patternsIn(value any, most int) (size int) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			switch m := member.(type) {
			case string:
				if name == "pattern" {
					size += patternSize(m, most-size)
				}
			case map[string]any:
				if name == "patternProperties" {
					for pattern := range m {
						size += patternSize(pattern, most-size)
					}
				}
				size += patternsIn(m, most-size)
			default:
				size += patternsIn(m, most-size)
			}
			if size > most {
				return size
			}
		}
	case []any:
		for _, item := range v {
			if size += patternsIn(item, most-size); size > most {
				return size
			}
		}
	}
	return size
}

func patternSize(pattern string, most int) int {
	if len(pattern) > most {
		return len(pattern)
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return len(pattern)
	}
	return instructions(tree, most)
}

// instructions is how many an expression compiles to, roughly: a repetition is written
// out as often as it says.
func instructions(tree *syntax.Regexp, most int) (n int) {
	n = 1
	if tree.Op == syntax.OpLiteral {
		n = max(1, len(tree.Rune))
	}
	for _, sub := range tree.Sub {
		if n > most {
			return n
		}
		n += instructions(sub, most)
	}
	if tree.Op == syntax.OpRepeat {
		n = 1 + (n-1)*max(1, tree.Min+1, tree.Max) // at most 1,000 together, says package syntax
	}
	return n
}

// patterned refuses a plugin whose schemas are small as text and large as what they
// compile to.
func patterned(schemas []json.RawMessage) error {
	if patternsOf(maxPatterns, schemas...) <= maxPatterns {
		return nil
	}
	return &core.Error{
		Code:    core.CodeTooLarge,
		Message: fmt.Sprintf("the regular expressions in its schemas come to more than %d steps together", maxPatterns),
		Fix:     "repeat less in its patterns: maxLength says how long a text may be, and costs nothing",
	}
}
