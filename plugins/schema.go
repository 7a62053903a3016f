package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/sallyport/sallyport/core/wire"
)

// Bounds of a schema that a plugin brings. core/gateway has its own for what clients
// send; here the value checked is the operator's.
const (
	maxSchema  = 1 << 20
	maxExpo    = 400 // exponent of a number in schema or value: the library works it out digit by digit
	schemaName = "sallyport:///plugin"
	maxFaults  = 20
	maxSteps   = 100_000 // of one check
)

var schemaLimits = wire.Limits{Depth: 64, Keys: 20_000, String: 64 << 10, Number: 64}

// nothing is a loader that refuses every URL and every file.
type nothing struct{}

var errOutside = errors.New("a schema may only refer to its own parts")

// Load refuses.
func (nothing) Load(string) (any, error) { return nil, errOutside }

// compileSchema compiles a JSON Schema (2020-12 unless it says otherwise).
func compileSchema(raw json.RawMessage) (s *jsonschema.Schema, err error) {
	// A panic of the library over a stranger's schema is a mistake of the schema.
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("the schema cannot be compiled: %v", r)
		}
	}()
	if len(raw) > maxSchema {
		return nil, fmt.Errorf("the schema has more than %d bytes", maxSchema)
	}
	doc, err := wire.DecodeWithin(raw, schemaLimits)
	if err != nil {
		return nil, err
	}
	if patternsIn(doc, maxPatterns) > maxPatterns {
		return nil, errors.New("its regular expressions are too large: repeat less in them")
	}
	if huge(doc) {
		return nil, errors.New("the schema holds a number out of range")
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nothing{})
	if err := compiler.AddResource(schemaName, doc); err != nil {
		return nil, oneLine(err)
	}
	if s, err = compiler.Compile(schemaName); err != nil {
		return nil, oneLine(err)
	}
	if circular(s, nil) {
		return nil, errors.New("the schema refers back to itself without going into a property or an item")
	}
	return s, nil
}

// circular reports whether a schema applies itself to the same value without end.
func circular(s *jsonschema.Schema, above []*jsonschema.Schema) bool {
	steps := maxSteps
	return turning(s, above, &steps)
}

func turning(s *jsonschema.Schema, above []*jsonschema.Schema, steps *int) bool {
	if *steps--; *steps < 0 || len(above) > 256 || slices.Contains(above, s) {
		return true
	}
	above = append(above, s)
	return slices.ContainsFunc(onTheSame(s), func(next *jsonschema.Schema) bool { return turning(next, above, steps) })
}

// onTheSame returns the schemas that s applies to the very value that it is given.
func onTheSame(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Concat(s.AllOf, s.AnyOf, s.OneOf, []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else})
	for _, next := range s.DependentSchemas {
		all = append(all, next)
	}
	for _, next := range s.Dependencies {
		if one, ok := next.(*jsonschema.Schema); ok {
			all = append(all, one)
		}
	}
	if s.DynamicRef != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	return slices.DeleteFunc(all, func(one *jsonschema.Schema) bool { return one == nil })
}

// affordable reports whether a value can be checked in so many steps: a small schema can
// branch without end.
func affordable(s *jsonschema.Schema, value any, steps *int) bool {
	if *steps--; *steps < 0 {
		return false
	}
	for _, next := range onTheSame(s) {
		if !affordable(next, value, steps) {
			return false
		}
	}
	each := func(next any, part any) bool {
		one, ok := next.(*jsonschema.Schema)
		return !ok || one == nil || affordable(one, part, steps)
	}
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if !each(s.Properties[name], member) || !each(s.AdditionalProperties, member) || !each(s.UnevaluatedProperties, member) || !each(s.PropertyNames, name) {
				return false
			}
			for _, next := range s.PatternProperties {
				if !each(next, member) {
					return false
				}
			}
		}
	case []any:
		lists, _ := s.Items.([]*jsonschema.Schema)
		for i, item := range v {
			if !each(s.Items, item) || !each(s.Items2020, item) || !each(s.AdditionalItems, item) || !each(s.UnevaluatedItems, item) || !each(s.Contains, item) ||
				i < len(s.PrefixItems) && !each(s.PrefixItems[i], item) || i < len(lists) && !each(lists[i], item) {
				return false
			}
		}
	}
	return true
}

func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}

// huge reports whether a number's exponent is beyond reason.
func huge(value any) bool {
	switch v := value.(type) {
	case json.Number:
		_, digits, found := strings.Cut(strings.ToLower(string(v)), "e")
		if !found {
			return false
		}
		n, err := strconv.Atoi(strings.TrimPrefix(digits, "+"))
		return err != nil || n > maxExpo || n < -maxExpo
	case map[string]any:
		for _, member := range v {
			if huge(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, huge)
	}
	return false
}

// unfit is one place where a configuration does not fit its schema.
type unfit struct{ path, message string }

// checkSetting returns where a configuration does not fit. Nothing that it says repeats
// a value: secrets may stand there.
func checkSetting(s *jsonschema.Schema, setting json.RawMessage) (faults []unfit) {
	defer func() {
		if r := recover(); r != nil {
			faults = []unfit{{message: "cannot be checked against the plugin's config_schema"}}
		}
	}()
	value, err := wire.Decode(setting)
	if err != nil {
		return []unfit{{message: err.Error()}}
	}
	if huge(value) {
		return []unfit{{message: "holds a number out of range"}}
	}
	if steps := maxSteps; !affordable(s, value, &steps) {
		return []unfit{{message: "takes too many steps to check against the plugin's config_schema"}}
	}
	err = s.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []unfit{{message: "cannot be checked against the plugin's config_schema"}}
	}
	return leaves(nil, invalid)
}

// leaves collects the errors at the ends of the tree. Of alternatives (anyOf, oneOf) only
// that none fits is said: why not differs for each.
func leaves(faults []unfit, e *jsonschema.ValidationError) []unfit {
	if len(faults) >= maxFaults {
		return faults
	}
	at := pointer(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			faults = append(faults, unfit{at + "/" + escape(name), "is required"})
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			faults = append(faults, unfit{at + "/" + escape(name), "is not known to the plugin"})
		}
	case *kind.Type:
		faults = append(faults, unfit{at, "must be " + strings.Join(k.Want, " or ") + ", not " + k.Got})
	case *kind.AnyOf, *kind.OneOf:
		faults = append(faults, unfit{at, "fits none, or more than one, of the forms that the plugin knows"})
	case *kind.Const, *kind.Enum:
		faults = append(faults, unfit{at, "is none of the values that the plugin knows"})
	case *kind.FalseSchema, *kind.Not:
		faults = append(faults, unfit{at, "must not be so"})
	default:
		if len(e.Causes) == 0 {
			path := e.ErrorKind.KeywordPath()
			faults = append(faults, unfit{at, "does not fit " + strings.Join(path, "/") + " of the plugin's config_schema"})
		}
		for _, cause := range e.Causes {
			faults = leaves(faults, cause)
		}
	}
	return faults
}

func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString("/" + escape(t))
	}
	return b.String()
}
