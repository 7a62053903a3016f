package gateway

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// This file judges JSON as it is written, without decoding it. The bytes must have
// been accepted by package wire: no name stands twice in an object, and every string
// and number is well-formed. On other bytes the judgement means nothing, but nothing
// outside of them is read.

// memberRule is what an object rule says of one name.
type memberRule struct {
	rule     *rule // nil when declared is false
	declared bool  // among properties
	required bool
}

// membersOf joins properties and required, so that a member is looked up once.
func (r *rule) membersOf() {
	if len(r.properties)+len(r.required) == 0 {
		return
	}
	r.members = make(map[string]memberRule, len(r.properties))
	for name, child := range r.properties {
		r.members[name] = memberRule{rule: child, declared: true}
	}
	for _, name := range r.required {
		m := r.members[name]
		if !m.required {
			r.needs++
		}
		m.required = true
		r.members[name] = m
	}
}

// isOpaque tells whether a rule has a keyword that only decoded values are judged by.
func (r *rule) isOpaque() bool {
	if r.partial || r.patterns != nil || r.names != nil ||
		len(r.oneOf) > 0 || r.not != nil || r.when != nil {
		return true
	}
	for _, list := range [][]any{r.constant, r.enum} {
		for _, one := range list {
			switch one.(type) {
			case nil, bool, string, json.Number:
			default:
				return true
			}
		}
	}
	return false
}

// fits tells whether the JSON in b surely fits the schema. False means only that the
// decoded value must be asked.
func (s *schema) fits(b []byte) bool {
	i := blank(b, 0)
	if s.anyObject {
		return i < len(b) && b[i] == '{'
	}
	if s.quick.opaque {
		return false
	}
	steps := checkSteps
	return s.quick.written(b, i, &steps) > 0
}

// written returns the index after the value that begins at i when the value surely
// fits, or else -1. nil is a rule that asks for nothing.
func (r *rule) written(b []byte, i int, steps *int) int {
	if r == nil || r.always == yes {
		end := valueEnd(b, i)
		return charged(i, end, steps)
	}
	if *steps--; *steps < 0 || r.opaque || r.always == no || i >= len(b) {
		return -1
	}
	if r.ref != nil {
		if end := r.ref.written(b, i, steps); end < 0 || r.refOnly {
			return end
		}
	}
	for _, part := range r.all {
		if part.written(b, i, steps) < 0 {
			return -1
		}
	}
	if len(r.anyOf) > 0 && !r.writtenAny(b, i, steps) {
		return -1
	}
	switch b[i] {
	case '{':
		if !r.takes(objectType) || r.constant != nil || r.enum != nil {
			return -1
		}
		return r.writtenObject(b, i, steps)
	case '[':
		if !r.takes(arrayType) || r.constant != nil || r.enum != nil {
			return -1
		}
		return r.writtenArray(b, i, steps)
	case '"':
		if !r.takes(stringType) {
			return -1
		}
		return charged(i, r.writtenString(b, i), steps)
	case 't', 'f':
		if !r.takes(booleanType) || r.format != nil || !oneOfLiterals(r.constant, b[i] == 't') || !oneOfLiterals(r.enum, b[i] == 't') {
			return -1
		}
	case 'n':
		if !r.takes(nullType) || r.format != nil || !oneOfLiterals(r.constant, nil) || !oneOfLiterals(r.enum, nil) {
			return -1
		}
	default:
		return r.writtenNumber(b, i)
	}
	return scalarEnd(b, i)
}

// charged returns end, or -1 where the bytes before it were one step too many: a
// schema that branches reads the same text again and again.
func charged(i, end int, steps *int) int {
	if *steps -= (end - i) / bytesOfStep; *steps < 0 {
		return -1
	}
	return end
}

const bytesOfStep = 64

func (r *rule) writtenAny(b []byte, i int, steps *int) bool {
	for _, part := range r.anyOf {
		if part.written(b, i, steps) > 0 {
			return true
		}
	}
	return false
}

func (r *rule) takes(t typeSet) bool { return r.types == 0 || r.types&t != 0 }

func (r *rule) writtenObject(b []byte, i int, steps *int) int {
	if r.format != nil {
		return -1
	}
	count, needs := 0, r.needs
	i = blank(b, i+1)
	for ; i < len(b) && b[i] != '}'; count++ {
		if b[i] != '"' {
			return -1
		}
		end, escaped := stringEnd(b, i)
		if end < 0 || escaped {
			return -1
		}
		m := r.members[string(b[i+1:end-1])]
		switch {
		case m.declared:
		case r.noAdditional:
			return -1
		default:
			m.rule = r.additional
		}
		if m.required {
			needs--
		}
		i = blank(b, end)
		if i >= len(b) || b[i] != ':' {
			return -1
		}
		if i = m.rule.written(b, blank(b, i+1), steps); i < 0 {
			return -1
		}
		i = blank(b, i)
		if i < len(b) && b[i] == ',' {
			i = blank(b, i+1)
		}
	}
	if i >= len(b) || needs > 0 || count < r.minProperties || r.maxProperties >= 0 && count > r.maxProperties {
		return -1
	}
	return i + 1
}

func (r *rule) writtenArray(b []byte, i int, steps *int) int {
	if r.format != nil {
		return -1
	}
	count := 0
	i = blank(b, i+1)
	for ; i < len(b) && b[i] != ']'; count++ {
		item := r.items
		if count < len(r.prefix) {
			item = r.prefix[count]
		}
		if i = item.written(b, i, steps); i < 0 {
			return -1
		}
		i = blank(b, i)
		if i < len(b) && b[i] == ',' {
			i = blank(b, i+1)
		}
	}
	if i >= len(b) || count < r.minItems || r.maxItems >= 0 && count > r.maxItems || r.unique && count > 1 {
		return -1
	}
	return i + 1
}

func (r *rule) writtenString(b []byte, i int) int {
	end, escaped := stringEnd(b, i)
	if end < 0 {
		return -1
	}
	inner := b[i+1 : end-1]
	// A character takes at most four bytes, and one with an escape at most twelve.
	most, least := len(inner), (len(inner)+3)/4
	if escaped {
		if r.constant != nil || r.enum != nil || r.format != nil || r.pattern != nil {
			return -1
		}
		least = (len(inner) + 11) / 12
	}
	if least < r.minLength || r.maxLength >= 0 && most > r.maxLength {
		if escaped {
			return -1
		}
		if n := utf8.RuneCount(inner); n < r.minLength || r.maxLength >= 0 && n > r.maxLength {
			return -1
		}
	}
	switch {
	case r.constant != nil && !oneOfTexts(r.constant, inner), r.enum != nil && !oneOfTexts(r.enum, inner),
		r.format != nil && r.format(string(inner)) != nil, r.pattern != nil && !r.pattern.MatchString(string(inner)):
		return -1
	}
	return end
}

func (r *rule) writtenNumber(b []byte, i int) int {
	end := scalarEnd(b, i)
	if end <= i || r.format != nil {
		return -1
	}
	text := b[i:end]
	if !r.takes(numberType) && (r.types&integerType == 0 || bytes.ContainsAny(text, ".eE")) {
		return -1 // 1.0 is an integer, 1.5 is not
	}
	if r.constant != nil && !oneOfNumbers(r.constant, text) || r.enum != nil && !oneOfNumbers(r.enum, text) {
		return -1
	}
	if r.number(string(text)) != yes {
		return -1
	}
	return end
}

// oneOfLiterals tells whether value, a bool or nil, is one of want. No want at all
// asks for nothing.
func oneOfLiterals(want []any, value any) bool {
	for _, one := range want {
		switch one.(type) {
		case nil, bool:
			if one == value {
				return true
			}
		}
	}
	return want == nil
}

func oneOfTexts(want []any, text []byte) bool {
	for _, one := range want {
		if s, ok := one.(string); ok && s == string(text) {
			return true
		}
	}
	return false
}

func oneOfNumbers(want []any, text []byte) bool {
	for _, one := range want {
		if n, ok := one.(json.Number); ok && string(n) == string(text) {
			return true
		}
	}
	return false
}

// blank returns the first index at or after i that is not white space.
func blank(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' {
		i++
	}
	return i
}

// valueEnd returns the index after the value that begins at i, or -1.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		end, _ := stringEnd(b, i)
		return end
	case '{', '[':
	default:
		return scalarEnd(b, i)
	}
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			end, _ := stringEnd(b, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// scalarEnd is valueEnd for numbers, true, false and null.
func scalarEnd(b []byte, i int) int {
	for ; i < len(b); i++ {
		if c := b[i]; c == ',' || c == '}' || c == ']' || c <= ' ' {
			return i
		}
	}
	return i
}

// stringEnd returns the index after the string that begins at i, or -1, and whether
// it holds escapes.
func stringEnd(b []byte, i int) (end int, escaped bool) {
	from := i + 1
	n := bytes.IndexByte(b[from:], '"')
	if n < 0 {
		return -1, false
	}
	slash := bytes.IndexByte(b[from:from+n], '\\')
	if slash < 0 {
		return from + n + 1, false
	}
	for i = from + slash; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1, true
		}
	}
	return -1, true
}
