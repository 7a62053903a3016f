package gateway

import (
	"encoding/json"
	"slices"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// arguments is what becomes of the arguments of a call on its way to an upstream.
type arguments struct {
	drop     map[string]bool // fixed and hidden ones: what a client sends for them
	fixed    []argument
	defaults []argument
}

type argument struct {
	name  string
	value json.RawMessage
}

func argumentsWith(overrides map[string]core.ArgumentConfig) *arguments {
	a := &arguments{drop: map[string]bool{}}
	for _, name := range sortedKeys(overrides) {
		o := overrides[name]
		switch {
		case o.Fixed != nil:
			a.drop[name] = true
			a.fixed = append(a.fixed, argument{name, compact(o.Fixed)})
		case o.Hidden:
			a.drop[name] = true
		case o.Default != nil:
			a.defaults = append(a.defaults, argument{name, compact(o.Default)})
		}
	}
	if len(a.drop)+len(a.defaults) == 0 {
		return nil // only texts differ
	}
	return a
}

// of returns what the upstream is sent for what a client sent.
func (a *arguments) of(sent json.RawMessage) json.RawMessage {
	given := map[string]bool{}
	out := rewritten(sent, func(name string, v json.RawMessage) json.RawMessage {
		if a.drop[name] {
			return nil
		}
		given[name] = true
		return v
	})
	if len(out) == 0 {
		out = json.RawMessage("{}")
	}
	out = out[:len(out)-1]
	for _, one := range a.fixed {
		out = putMember(out, one.name, one.value)
	}
	for _, one := range a.defaults {
		if !given[one.name] {
			out = putMember(out, one.name, one.value)
		}
	}
	return append(out, '}')
}

// schemaWith is an input schema as clients see it: without the arguments that they cannot
// set, and with what the document says of the others.
func schemaWith(schema json.RawMessage, overrides map[string]core.ArgumentConfig) json.RawMessage {
	return rewritten(schema, func(name string, v json.RawMessage) json.RawMessage {
		switch {
		case name == "properties" && wire.IsObject(v):
			return rewritten(v, func(name string, v json.RawMessage) json.RawMessage {
				o, ok := overrides[name]
				if !ok {
					return v
				}
				if o.Hidden || o.Fixed != nil {
					return nil
				}
				return propertyWith(v, &o)
			})
		case name == "required" && wire.IsArray(v):
			return requiredWithout(v, overrides)
		}
		return v
	})
}

func propertyWith(schema json.RawMessage, o *core.ArgumentConfig) json.RawMessage {
	if !wire.IsObject(schema) {
		if o.Description == "" && o.Default == nil || string(schema) != "true" {
			return schema
		}
		schema = json.RawMessage("{}") // true, which has no members
	}
	top := []byte{'{'}
	if o.Description != "" {
		top = putMember(top, "description", wire.AppendString(nil, o.Description))
	}
	if o.Default != nil {
		top = putMember(top, "default", compact(o.Default))
	}
	return laid(schema, append(top, '}'))
}

// requiredWithout takes out what is sent in any case, or never. nil = nothing is left.
func requiredWithout(list json.RawMessage, overrides map[string]core.ArgumentConfig) json.RawMessage {
	var names []string
	if json.Unmarshal(list, &names) != nil {
		return list
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		o := overrides[name]
		return o.Hidden || o.Fixed != nil || o.Default != nil
	})
	if len(names) == 0 {
		return nil
	}
	out := []byte{'['}
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = wire.AppendString(out, name)
	}
	return append(out, ']')
}
