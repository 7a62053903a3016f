package gateway

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// affordable tells whether checking value takes at most *steps steps. It visits
// what the exact check may visit, without the tests: a schema of a few lines can
// branch at each level of a value, and the library has no budget of its own.
func affordable(s *jsonschema.Schema, value any, steps *int) bool {
	if s == nil || s.Bool != nil {
		return true
	}
	if *steps--; *steps < 0 {
		return false
	}
	for _, part := range inPlace(s) {
		if !affordable(part, value, steps) {
			return false
		}
	}
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			*steps -= len(s.PatternProperties)
			for _, child := range childrenOf(s, name) {
				if !affordable(child, member, steps) {
					return false
				}
			}
			if !affordable(s.PropertyNames, name, steps) {
				return false
			}
		}
	case []any:
		for i, item := range v {
			for _, child := range itemsOf(s, i) {
				if !affordable(child, item, steps) {
					return false
				}
			}
		}
	}
	return true
}

// inPlace lists the subschemas that judge the same value.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	list := slices.Concat(s.AllOf, s.AnyOf, s.OneOf)
	for _, one := range []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else} {
		if one != nil {
			list = append(list, one)
		}
	}
	if s.DynamicRef != nil && s.DynamicRef.Ref != nil {
		list = append(list, s.DynamicRef.Ref)
	}
	for _, one := range s.DependentSchemas {
		list = append(list, one)
	}
	for _, one := range s.Dependencies {
		if one, ok := one.(*jsonschema.Schema); ok {
			list = append(list, one)
		}
	}
	return list
}

// childrenOf lists the subschemas that may judge the member of this name.
func childrenOf(s *jsonschema.Schema, name string) []*jsonschema.Schema {
	var list []*jsonschema.Schema
	if child := s.Properties[name]; child != nil {
		list = append(list, child)
	}
	for _, child := range s.PatternProperties {
		list = append(list, child)
	}
	if child, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		list = append(list, child)
	}
	if s.UnevaluatedProperties != nil {
		list = append(list, s.UnevaluatedProperties)
	}
	return list
}

// itemsOf lists the subschemas that may judge item i.
func itemsOf(s *jsonschema.Schema, i int) []*jsonschema.Schema {
	var list []*jsonschema.Schema
	if i < len(s.PrefixItems) {
		list = append(list, s.PrefixItems[i])
	}
	switch items := s.Items.(type) {
	case *jsonschema.Schema:
		list = append(list, items)
	case []*jsonschema.Schema:
		if i < len(items) {
			list = append(list, items[i])
		}
	}
	if child, ok := s.AdditionalItems.(*jsonschema.Schema); ok {
		list = append(list, child)
	}
	for _, child := range []*jsonschema.Schema{s.Items2020, s.Contains, s.UnevaluatedItems} {
		if child != nil {
			list = append(list, child)
		}
	}
	return list
}

// everyPart calls f with s and all that it reaches, once each.
func everyPart(s *jsonschema.Schema, seen map[*jsonschema.Schema]bool, f func(*jsonschema.Schema)) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	f(s)
	children := inPlace(s)
	for _, child := range s.Properties {
		children = append(children, child)
	}
	children = append(children, childrenOf(s, "")...)
	children = append(children, itemsOf(s, len(s.PrefixItems))...)
	children = append(children, s.PrefixItems...)
	if items, ok := s.Items.([]*jsonschema.Schema); ok {
		children = append(children, items...)
	}
	children = append(children, s.PropertyNames, s.ContentSchema)
	for _, child := range children {
		everyPart(child, seen, f)
	}
}

// endless finds a schema that leads back to itself on the same value, by $ref and
// its like: no check of it could end.
func endless(root *jsonschema.Schema) (path string, found bool) {
	const open, done = 1, 2
	state := map[*jsonschema.Schema]int{}
	var visit func(s *jsonschema.Schema) bool
	visit = func(s *jsonschema.Schema) bool {
		switch state[s] {
		case open:
			path = pointerOf(s.Location)
			return true
		case done:
			return false
		}
		state[s] = open
		if slices.ContainsFunc(inPlace(s), visit) {
			return true
		}
		state[s] = done
		return false
	}
	everyPart(root, map[*jsonschema.Schema]bool{}, func(s *jsonschema.Schema) {
		found = found || visit(s)
	})
	return path, found
}
