package gateway

import (
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// rule is the quick form of a schema. Its yes and its no are those of the exact
// schema (a property test holds it); what it does not know it says.
type rule struct {
	partial bool // a keyword is not understood here: never yes
	opaque  bool // JSON as it is written cannot be judged by it
	always  verdict

	types    typeSet
	ref      *rule
	refOnly  bool // before 2019-09 a $ref hides its siblings
	constant []any
	enum     []any
	format   func(any) error

	required      []string
	properties    map[string]*rule
	members       map[string]memberRule // properties and required
	needs         int                   // how many names are required
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
	r.membersOf()
	r.opaque = r.isOpaque()
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
