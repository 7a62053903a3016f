package config

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/core"
)

// markKey says in the schema of a kind that a property may hold references.
const markKey = "x-sallyport-reference"

// marks returns the schema of a kind, or nil when there is none: unknown kinds are
// reported when the Catalog is built.
func (o *Options) marks(role, name string) *node {
	if o.parsed == nil {
		o.parsed = map[string]*node{}
	}
	id := role + " " + name
	if schema, done := o.parsed[id]; done {
		return schema
	}
	var schema *node
	for _, kind := range o.kinds(role) {
		if kind.name == name && len(kind.schema) > 0 {
			schema = parseKind(kind.name, kind.schema)
			break
		}
	}
	o.parsed[id] = schema
	return schema
}

// drawnKind is what this package knows of a kind: how it is written.
type drawnKind struct {
	name, summary string
	schema        json.RawMessage
	example       string
}

// kinds lists the kinds of a role.
func (o *Options) kinds(role string) []drawnKind {
	switch role {
	case roleInvoker:
		return drawn(o.Invokers)
	case roleTransformer:
		return drawn(o.Transformers)
	case roleRequest:
		return drawn(o.Requests)
	case roleAuthorizer:
		return drawn(o.Authorizers)
	case roleCatalogue:
		return drawn(o.Catalogues)
	}
	return nil
}

func drawn[T any](kinds []core.Kind[T]) []drawnKind {
	all := make([]drawnKind, len(kinds))
	for i, k := range kinds {
		all[i] = drawnKind{k.Name, k.Summary, k.Schema, k.Example}
	}
	return all
}

// parseKind reads the schema of a kind; a mistake in it is ours and stops the
// program in its tests.
func parseKind(name string, schema []byte) *node {
	found := &mistakes{}
	n := parseJSON(schema, found)
	if len(found.list) > 0 {
		p := found.list[0]
		panic(fmt.Sprintf("config: schema of kind %s: %d:%d: %s", name, p.Line, p.Column, p.Message))
	}
	return n
}

// maxApplied bounds how many subschemas are looked at for one value.
const maxApplied = 1000

// applied adds the subschemas that judge the same value: those behind $ref, allOf,
// anyOf, oneOf, if, then, else. A reference may stand where any of them says so.
func applied(schemas []*node, root *node) []*node {
	seen := map[*node]bool{}
	var all []*node
	for len(schemas) > 0 && len(all) < maxApplied {
		s := schemas[0]
		schemas = schemas[1:]
		if s == nil || s.sort != object || seen[s] {
			continue
		}
		seen[s] = true
		all = append(all, s)
		if ref := s.get("$ref"); ref != nil && ref.sort == text && len(ref.text) > 0 && ref.text[0] == '#' {
			schemas = append(schemas, root.find(ref.text[1:]))
		}
		for _, name := range []string{"allOf", "anyOf", "oneOf"} {
			if list := s.get(name); list != nil {
				schemas = append(schemas, list.items...)
			}
		}
		for _, name := range []string{"if", "then", "else"} {
			schemas = append(schemas, s.get(name))
		}
		if dependent := s.get("dependentSchemas"); dependent != nil {
			schemas = append(schemas, dependent.items...)
		}
	}
	return all
}

// below returns the subschemas for one member or, when i is not negative, for one
// item.
func below(schemas []*node, name string, i int) []*node {
	var all []*node
	for _, s := range schemas {
		if i >= 0 {
			if prefix := s.get("prefixItems"); prefix != nil && i < len(prefix.items) {
				all = append(all, prefix.find("/"+strconv.Itoa(i)))
			} else {
				all = append(all, s.get("items"))
			}
			continue
		}
		if properties := s.get("properties"); properties != nil && properties.get(name) != nil {
			all = append(all, properties.get(name))
			continue
		}
		if patterns := s.get("patternProperties"); patterns != nil {
			all = append(all, patterns.items...)
		}
		all = append(all, s.get("additionalProperties"))
	}
	return all
}
