package gateway

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// verdict is what a rule knows of a value.
type verdict int8

const (
	unknown verdict = iota // ask the exact schema
	yes
	no
)

// rule is the quick form of a schema. Its yes and its no are those of the exact
// schema (a property test holds it); what it does not know it says.
type rule struct {
	partial bool // a keyword is not understood here: never yes
	always  verdict

	types    typeSet
	ref      *rule
	refOnly  bool // before 2019-09 a $ref hides its siblings
	constant []any
	enum     []any
	format   func(any) error

	required      []string
	properties    map[string]*rule
	patterns      []patternRule
	additional    *rule
	noAdditional  bool
	names         *rule
	minProperties int
	maxProperties int // -1 = none

	prefix   []*rule
	items    *rule
	minItems int
	maxItems int // -1 = none
	unique   bool

	minLength int
	maxLength int // -1 = none
	pattern   jsonschema.Regexp

	minimum, maximum, above, below, multiple *bound

	all, anyOf, oneOf []*rule
	not               *rule
	when, then, other *rule
}

type patternRule struct {
	pattern jsonschema.Regexp
	rule    *rule
}

// typeSet is a set of JSON types.
type typeSet uint8

const (
	nullType typeSet = 1 << iota
	booleanType
	numberType
	integerType
	stringType
	arrayType
	objectType
)

var typeNames = map[string]typeSet{
	"null": nullType, "boolean": booleanType, "number": numberType, "integer": integerType,
	"string": stringType, "array": arrayType, "object": objectType,
}

// ruleOf makes the rule of a compiled schema; made holds those of its parts, which
// may refer to each other in circles.
func ruleOf(s *jsonschema.Schema, made map[*jsonschema.Schema]*rule) *rule {
	if s == nil {
		return nil
	}
	if r := made[s]; r != nil {
		return r
	}
	r := &rule{maxProperties: -1, maxItems: -1, maxLength: -1}
	made[s] = r
	if s.Bool != nil {
		r.always = no
		if *s.Bool {
			r.always = yes
		}
		return r
	}
	part := func(s *jsonschema.Schema) *rule { return ruleOf(s, made) }
	parts := func(list []*jsonschema.Schema) []*rule {
		var rules []*rule
		for _, s := range list {
			rules = append(rules, part(s))
		}
		return rules
	}
	r.ref, r.refOnly = part(s.Ref), s.Ref != nil && s.DraftVersion < 2019
	if s.Types != nil {
		for _, name := range s.Types.ToStrings() {
			r.types |= typeNames[name]
		}
	}
	if s.Const != nil {
		r.constant = []any{*s.Const}
	}
	if s.Enum != nil {
		r.enum = s.Enum.Values
		r.partial = r.partial || len(r.enum) == 0
	}
	if s.Format != nil {
		r.format = s.Format.Validate
	}

	r.required, r.names = s.Required, part(s.PropertyNames)
	atLeast(&r.minProperties, s.MinProperties)
	atMost(&r.maxProperties, s.MaxProperties)
	if len(s.Properties) > 0 {
		r.properties = make(map[string]*rule, len(s.Properties))
		for name, child := range s.Properties {
			r.properties[name] = part(child)
		}
	}
	for pattern, child := range s.PatternProperties {
		r.patterns = append(r.patterns, patternRule{pattern, part(child)})
	}
	switch additional := s.AdditionalProperties.(type) {
	case bool:
		r.noAdditional = !additional
	case *jsonschema.Schema:
		r.additional = part(additional)
	}

	atLeast(&r.minItems, s.MinItems)
	atMost(&r.maxItems, s.MaxItems)
	r.unique, r.prefix, r.items = s.UniqueItems, parts(s.PrefixItems), part(s.Items2020)
	switch items := s.Items.(type) {
	case nil:
	case *jsonschema.Schema:
		r.items = part(items)
	default:
		r.partial = true
	}

	atLeast(&r.minLength, s.MinLength)
	atMost(&r.maxLength, s.MaxLength)
	r.pattern = s.Pattern
	r.minimum, r.maximum = boundOf(s.Minimum), boundOf(s.Maximum)
	r.above, r.below, r.multiple = boundOf(s.ExclusiveMinimum), boundOf(s.ExclusiveMaximum), boundOf(s.MultipleOf)

	r.all, r.anyOf, r.oneOf, r.not = parts(s.AllOf), parts(s.AnyOf), parts(s.OneOf), part(s.Not)
	r.when, r.then, r.other = part(s.If), part(s.Then), part(s.Else)

	if s.RecursiveRef != nil || s.DynamicRef != nil || len(s.Dependencies) > 0 || len(s.DependentRequired) > 0 ||
		len(s.DependentSchemas) > 0 || s.UnevaluatedProperties != nil || s.UnevaluatedItems != nil || s.Contains != nil ||
		s.AdditionalItems != nil || s.ContentEncoding != nil || s.ContentMediaType != nil || s.ContentSchema != nil ||
		len(s.Extensions) > 0 {
		r.partial = true
	}
	return r
}

func atLeast(n *int, want *int) {
	if want != nil {
		*n = *want
	}
}

func atMost(n *int, want *int) {
	*n = -1
	if want != nil && *want >= 0 {
		*n = *want
	}
}

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
		next := (*rule)(nil)
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

// quickNumber is a number that can be compared without arithmetic on big ones: an
// integer of up to 15 digits, exactly, or else as near as a float64 comes.
type quickNumber struct {
	whole   bool
	integer int64
	near    float64
}

const exactDigits = 15

func readNumber(text string) (quickNumber, bool) {
	if len(text) <= exactDigits {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return quickNumber{whole: true, integer: n, near: float64(n)}, true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return quickNumber{}, false
	}
	return quickNumber{near: f}, true
}

// bound is a limit of a schema.
type bound struct{ quickNumber }

func boundOf(r *big.Rat) *bound {
	if r == nil {
		return nil
	}
	f, _ := r.Float64()
	b := &bound{quickNumber{near: f}}
	if r.IsInt() && r.Num().IsInt64() && len(r.Num().String()) <= exactDigits {
		b.whole, b.integer = true, r.Num().Int64()
	}
	return b
}

// order tells whether n is below (-1), at (0) or above (1) the bound. It does not
// know where rounding could decide.
func (b *bound) order(n quickNumber) (int, bool) {
	if n.whole && b.whole {
		switch {
		case n.integer < b.integer:
			return -1, true
		case n.integer > b.integer:
			return 1, true
		}
		return 0, true
	}
	if math.IsInf(b.near, 0) || math.Abs(n.near-b.near) <= 1e-9*(math.Abs(n.near)+math.Abs(b.near)) {
		return 0, false
	}
	if n.near < b.near {
		return -1, true
	}
	return 1, true
}
