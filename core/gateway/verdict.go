package gateway

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// verdict is what a rule knows of a value.
type verdict int8

const (
	unknown verdict = iota // ask the exact schema
	yes
	no
)

// test judges value in at most *steps steps.
func (r *rule) test(value any, steps *int) verdict {
	if *steps--; *steps < 0 {
		return unknown
	}
	if r.always != unknown {
		return r.always
	}
	sure := yes
	if r.partial {
		sure = unknown
	}
	// fits folds a partial verdict in; it is false when value cannot fit any more.
	fits := func(v verdict) bool {
		if v == unknown {
			sure = unknown
		}
		return v != no
	}
	if r.ref != nil {
		if r.refOnly {
			return r.ref.test(value, steps)
		}
		if !fits(r.ref.test(value, steps)) {
			return no
		}
	}
	if r.types != 0 && !fits(r.types.has(value)) {
		return no
	}
	if r.constant != nil && !fits(oneOfValues(value, r.constant)) {
		return no
	}
	if r.enum != nil && !fits(oneOfValues(value, r.enum)) {
		return no
	}
	if r.format != nil && r.format(value) != nil {
		return no
	}
	var own verdict
	switch v := value.(type) {
	case map[string]any:
		own = r.object(v, steps)
	case []any:
		own = r.array(v, steps)
	case string:
		own = r.text(v)
	case json.Number:
		own = r.number(string(v))
	default:
		own = yes
	}
	if !fits(own) || !fits(r.combined(value, steps)) {
		return no
	}
	return sure
}

func (r *rule) object(object map[string]any, steps *int) verdict {
	if len(object) < r.minProperties || r.maxProperties >= 0 && len(object) > r.maxProperties {
		return no
	}
	for _, name := range r.required {
		if _, ok := object[name]; !ok {
			return no
		}
	}
	if r.properties == nil && r.patterns == nil && r.additional == nil && !r.noAdditional && r.names == nil {
		return yes
	}
	sure := yes
	for name, value := range object {
		child, known := r.properties[name]
		if known {
			switch child.test(value, steps) {
			case no:
				return no
			case unknown:
				sure = unknown
			}
		}
		for i := range r.patterns {
			if !r.patterns[i].pattern.MatchString(name) {
				continue
			}
			known = true
			switch r.patterns[i].rule.test(value, steps) {
			case no:
				return no
			case unknown:
				sure = unknown
			}
		}
		if !known {
			if r.noAdditional {
				return no
			}
			if r.additional != nil {
				switch r.additional.test(value, steps) {
				case no:
					return no
				case unknown:
					sure = unknown
				}
			}
		}
		if r.names != nil {
			switch r.names.test(name, steps) {
			case no:
				return no
			case unknown:
				sure = unknown
			}
		}
	}
	return sure
}

func (r *rule) array(array []any, steps *int) verdict {
	if len(array) < r.minItems || r.maxItems >= 0 && len(array) > r.maxItems {
		return no
	}
	sure := yes
	if r.unique && len(array) > 1 {
		sure = unknown
	}
	for i, item := range array {
		child := r.items
		if i < len(r.prefix) {
			child = r.prefix[i]
		}
		if child == nil {
			continue
		}
		switch child.test(item, steps) {
		case no:
			return no
		case unknown:
			sure = unknown
		}
	}
	return sure
}

func (r *rule) text(text string) verdict {
	if r.minLength > 0 || r.maxLength >= 0 {
		n := utf8.RuneCountInString(text)
		if n < r.minLength || r.maxLength >= 0 && n > r.maxLength {
			return no
		}
	}
	if r.pattern != nil && !r.pattern.MatchString(text) {
		return no
	}
	return yes
}

func (r *rule) number(text string) verdict {
	if r.minimum == nil && r.maximum == nil && r.above == nil && r.below == nil && r.multiple == nil {
		return yes
	}
	n, ok := readNumber(text)
	if !ok {
		return unknown
	}
	sure := yes
	for _, limit := range [...]struct {
		bound *bound
		bad   [3]bool // below, at and above the bound
	}{
		{r.minimum, [3]bool{true, false, false}},
		{r.maximum, [3]bool{false, false, true}},
		{r.above, [3]bool{true, true, false}},
		{r.below, [3]bool{false, true, true}},
	} {
		if limit.bound == nil {
			continue
		}
		order, known := limit.bound.order(n)
		if !known {
			sure = unknown
		} else if limit.bad[order+1] {
			return no
		}
	}
	if r.multiple != nil {
		switch {
		case !n.whole || !r.multiple.whole || r.multiple.integer == 0:
			sure = unknown
		case n.integer%r.multiple.integer != 0:
			return no
		}
	}
	return sure
}

// combined judges allOf, anyOf, oneOf, not and if.
func (r *rule) combined(value any, steps *int) verdict {
	sure := yes
	for _, part := range r.all {
		switch part.test(value, steps) {
		case no:
			return no
		case unknown:
			sure = unknown
		}
	}
	if len(r.anyOf) > 0 {
		best := no
		for _, part := range r.anyOf {
			v := part.test(value, steps)
			if v == yes {
				best = yes
				break
			}
			if v == unknown {
				best = unknown
			}
		}
		if best == no {
			return no
		}
		if best == unknown {
			sure = unknown
		}
	}
	if len(r.oneOf) > 0 {
		fitting, doubtful := 0, 0
		for _, part := range r.oneOf {
			switch part.test(value, steps) {
			case yes:
				fitting++
			case unknown:
				doubtful++
			}
		}
		switch {
		case fitting > 1, fitting+doubtful == 0:
			return no
		case doubtful > 0:
			sure = unknown
		}
	}
	if r.not != nil {
		switch r.not.test(value, steps) {
		case yes:
			return no
		case unknown:
			sure = unknown
		}
	}
	if r.when != nil {
		var next *rule
		switch r.when.test(value, steps) {
		case yes:
			next = r.then
		case no:
			next = r.other
		default:
			return unknown
		}
		if next != nil {
			switch next.test(value, steps) {
			case no:
				return no
			case unknown:
				sure = unknown
			}
		}
	}
	return sure
}

// has tells whether value is of one of the types.
func (t typeSet) has(value any) verdict {
	var own typeSet
	switch v := value.(type) {
	case nil:
		own = nullType
	case bool:
		own = booleanType
	case string:
		own = stringType
	case []any:
		own = arrayType
	case map[string]any:
		own = objectType
	case json.Number:
		if t&numberType != 0 {
			return yes
		}
		if t&integerType == 0 {
			return no
		}
		if strings.ContainsAny(string(v), ".eE") {
			return unknown // 1.0 is an integer, 1.5 is not
		}
		return yes
	default:
		return unknown
	}
	if t&own != 0 {
		return yes
	}
	return no
}

// oneOfValues tells whether value equals one of want.
func oneOfValues(value any, want []any) verdict {
	result := no
	for _, one := range want {
		switch equal(value, one) {
		case yes:
			return yes
		case unknown:
			result = unknown
		}
	}
	return result
}

func equal(a, b any) verdict {
	same := false
	switch a := a.(type) {
	case nil:
		same = b == nil
	case bool:
		other, ok := b.(bool)
		same = ok && a == other
	case string:
		other, ok := b.(string)
		same = ok && a == other
	case json.Number:
		other, ok := b.(json.Number)
		if ok && a != other {
			return unknown // 1 and 1.0 are equal
		}
		same = ok
	case map[string]any:
		if _, ok := b.(map[string]any); ok {
			return unknown
		}
	case []any:
		if _, ok := b.([]any); ok {
			return unknown
		}
	default:
		return unknown
	}
	if same {
		return yes
	}
	return no
}
