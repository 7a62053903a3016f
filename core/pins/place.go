package pins

import "slices"

// place says what a value of a definition is: text that people read, something that
// machines compare, or a part that holds some of both.
type place int

const (
	machine       place = iota // names, _meta, icons, unknown members: left alone
	prose                      // all texts within are read by people
	toolRoot                   // a tool or a prompt, whose name is what calls name
	listedRoot                 // a resource or a template: its name is a title, its URI is what reads name
	annotations                // of a tool
	arguments                  // of a prompt, and each of them
	schema                     // a JSON Schema, or a list of them
	schemasByName              // names, which machines compare, and a schema each
)

func rootOf(of string) place {
	if of == Resource || of == Template {
		return listedRoot
	}
	return toolRoot
}

// member returns the place of a member of an object.
func (p place) member(name string) place {
	switch p {
	case prose:
		return prose
	case toolRoot, listedRoot:
		switch name {
		case "title", "description":
			return prose
		case "name":
			if p == listedRoot {
				return prose
			}
		case "annotations":
			return annotations
		case "arguments":
			return arguments
		case "inputSchema", "outputSchema":
			return schema
		}
	case annotations:
		if name == "title" {
			return prose
		}
	case arguments:
		if name == "title" || name == "description" {
			return prose
		}
	case schema:
		return keyword(name)
	case schemasByName:
		return schema
	case machine:
	}
	return machine
}

// element returns the place of an element of an array.
func (p place) element() place {
	switch p {
	case prose, schema, arguments:
		return p
	case machine, toolRoot, listedRoot, annotations, schemasByName:
	}
	return machine
}

// keyword returns the place of what a keyword of JSON Schema holds. An unknown keyword is
// an annotation (JSON Schema 2020-12, core, section 6.5), so no validation depends on it.
func keyword(name string) place {
	switch {
	case slices.Contains(schemaKeywords, name):
		return schema
	case slices.Contains(schemasByNameKeywords, name):
		return schemasByName
	case slices.Contains(machineKeywords, name):
		return machine
	}
	return prose
}

// Of 2020-12 and the drafts before it.
var (
	schemaKeywords = []string{
		"items", "additionalItems", "prefixItems", "contains", "unevaluatedItems", "additionalProperties", "unevaluatedProperties", "propertyNames",
		"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "contentSchema",
	}
	schemasByNameKeywords = []string{"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
	machineKeywords       = []string{
		"type", "enum", "const", "default", "format", "pattern", "required", "dependentRequired", "contentEncoding", "contentMediaType",
		"$schema", "$id", "id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary",
		"discriminator", "x-mcp-header",
	}
)
