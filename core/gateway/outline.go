package gateway

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// outline is what one walk over a schema finds before it is compiled: its size,
// where it refers to, and the arguments that become headers.
type outline struct {
	subschemas int
	ids        bool // it names parts by $id, so a reference may be more than a fragment
	refs       []reference
	headers    []core.HeaderParam
	patterns   int // instructions that its regular expressions compile to, roughly
	faults     []fault
	full       bool // a bound was passed: the walk stopped
}

type reference struct{ path, text string }

// The keywords that hold subschemas, by how.
var (
	schemaKeywords = []string{
		"additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
		"propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
	}
	schemaListKeywords = []string{"allOf", "anyOf", "oneOf", "prefixItems", "items"}
	schemaMapKeywords  = []string{"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"}
)

// headerKeyword marks an argument that clients of 2026-07-28 mirror in a header.
const headerKeyword = "x-mcp-header"

func outlineOf(doc any) *outline {
	o := &outline{}
	if path, found := hugeNumber(doc, ""); found {
		o.fault(path, "is a number out of range", fmt.Sprintf("exponents go up to %d", maxExponent))
	}
	o.patternsIn(doc, "")
	o.walk(doc, "", 1, []string{})
	if !o.ids {
		for _, ref := range o.refs {
			if !strings.HasPrefix(ref.text, "#") && !ownMetaschema(ref.text) {
				o.faults = append(o.faults, outside(ref))
			}
		}
	}
	seen := map[string][]string{}
	for _, h := range o.headers {
		name := strings.ToLower(h.Header)
		if before, twice := seen[name]; twice {
			o.fault("/properties/"+joinProperties(h.Path)+"/"+headerKeyword,
				"header "+quoted(h.Header)+" is also that of "+quoted(strings.Join(before, ".")),
				"give each argument a header of its own; case does not tell them apart")
			continue
		}
		seen[name] = h.Path
	}
	return o
}

// walk visits one subschema. properties is the chain of property names from the
// root, nil where the chain is broken: there a value cannot be named in a header.
func (o *outline) walk(node any, path string, depth int, properties []string) {
	if o.full {
		return
	}
	o.subschemas++
	switch {
	case o.subschemas > schemaSubschemas:
		o.full = true
		o.fault("", fmt.Sprintf("has more than %d subschemas", schemaSubschemas), "split the tool, or simplify the schema")
		return
	case depth > schemaDepth:
		o.full = true
		o.fault(path, fmt.Sprintf("is nested more than %d schemas deep", schemaDepth), "move the inner part to $defs and refer to it")
		return
	}
	object, ok := node.(map[string]any)
	if !ok {
		return
	}
	for _, keyword := range []string{"$id", "id", "$anchor", "$dynamicAnchor"} {
		if text, ok := object[keyword].(string); ok && (keyword != "id" || strings.Contains(text, "/")) {
			o.ids = o.ids || keyword == "$id" || keyword == "id"
		}
	}
	for _, keyword := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		if text, ok := object[keyword].(string); ok {
			o.refs = append(o.refs, reference{path: path + "/" + escape(keyword), text: text})
		}
	}
	if text, ok := object["$schema"].(string); ok && !ownMetaschema(text) {
		o.fault(path+"/$schema", "names a dialect that is not known", "use https://json-schema.org/draft/2020-12/schema, or leave it out")
	}
	if value, ok := object[headerKeyword]; ok {
		o.header(object, value, path, properties)
	}
	for _, keyword := range schemaKeywords {
		if child, ok := object[keyword]; ok {
			if _, list := child.([]any); !list {
				o.walk(child, path+"/"+keyword, depth+1, nil)
			}
		}
	}
	for _, keyword := range schemaListKeywords {
		if list, ok := object[keyword].([]any); ok {
			for i, child := range list {
				o.walk(child, path+"/"+keyword+"/"+strconv.Itoa(i), depth+1, nil)
			}
		}
	}
	for _, keyword := range schemaMapKeywords {
		members, ok := object[keyword].(map[string]any)
		if !ok {
			continue
		}
		for _, name := range sortedKeys(members) {
			var chain []string
			if keyword == "properties" && properties != nil {
				chain = append(slices.Clip(properties), name)
			}
			o.walk(members[name], path+"/"+escape(keyword)+"/"+escape(name), depth+1, chain)
		}
	}
}

// patternsIn looks for regular expressions everywhere, and not only where walk goes: a
// reference can make a schema of any part.
func (o *outline) patternsIn(node any, path string) {
	switch v := node.(type) {
	case map[string]any:
		for _, name := range sortedKeys(v) {
			switch member := v[name].(type) {
			case string:
				if name == "pattern" {
					o.pattern(member, path+"/pattern")
				}
				continue
			case map[string]any:
				if name == "patternProperties" {
					for _, pattern := range sortedKeys(member) {
						o.pattern(pattern, path+"/patternProperties/"+escape(pattern))
					}
				}
			}
			o.patternsIn(v[name], path+"/"+escape(name))
		}
	case []any:
		for i, item := range v {
			o.patternsIn(item, path+"/"+strconv.Itoa(i))
		}
	}
}

// pattern counts what a regular expression compiles to: a repetition is written out as
// often as it says, so that a short text can take much memory.
func (o *outline) pattern(text, path string) {
	if o.full {
		return
	}
	size := len(text)
	if size <= schemaPatterns {
		if tree, err := syntax.Parse(text, syntax.Perl); err == nil { // else compiling says what is wrong
			size = instructions(tree, schemaPatterns)
		}
	}
	if o.patterns += size; o.patterns > schemaPatterns {
		o.full = true
		o.fault(path, fmt.Sprintf("the regular expressions of the schema come to more than %d steps", schemaPatterns),
			"repeat less: maxLength says how long a text may be, and costs nothing")
	}
}

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

// header checks one x-mcp-header (2026-07-28, tools): a token, on a string,
// integer or boolean that only properties lead to.
func (o *outline) header(object map[string]any, value any, path string, properties []string) {
	at := path + "/" + headerKeyword
	name, ok := value.(string)
	if !ok {
		o.fault(at, "must be the name of a header, not "+article(value), "write for example "+headerKeyword+": Region, which is sent as Mcp-Param-Region")
		return
	}
	if !isToken(name) {
		o.fault(at, quoted(name)+" cannot stand in a header name", "use letters, digits and - only")
		return
	}
	if len(name) > 128 {
		o.fault(at, "is longer than 128 characters", "use a short name")
		return
	}
	if len(properties) == 0 {
		o.fault(at, "can only stand on an argument that properties lead to from the root", "remove it, or move the argument out of items, $defs, allOf and the like")
		return
	}
	kind, _ := object["type"].(string)
	switch kind {
	case "string", "integer", "boolean":
		o.headers = append(o.headers, core.HeaderParam{Header: name, Path: properties, Type: kind})
	default:
		o.fault(at, "the argument has no type that a header can hold", `set its type to "string", "integer" or "boolean"`)
	}
}

func (o *outline) fault(path, message, fix string) {
	o.faults = append(o.faults, fault{path: path, message: message, fix: fix})
}

func outside(ref reference) fault {
	return fault{path: ref.path, message: "refers to " + quoted(ref.text) + ", which is outside of this schema", fix: "a schema may only refer to its own parts, for example #/$defs/name; copy the other one into $defs"}
}

// ownMetaschema tells whether a URL names a dialect that is compiled in.
func ownMetaschema(text string) bool {
	text = strings.TrimSuffix(text, "#")
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(text, scheme+"json-schema.org/"); ok {
			switch rest {
			case "schema", "draft-04/schema", "draft-06/schema", "draft-07/schema", "draft/2019-09/schema", "draft/2020-12/schema":
				return true
			}
		}
	}
	return false
}

func joinProperties(names []string) string {
	escaped := make([]string, len(names))
	for i, name := range names {
		escaped[i] = escape(name)
	}
	return strings.Join(escaped, "/properties/")
}

// isToken tells whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}
