package config

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (2020-12) of a gateway document, for editors and
// for whoever makes documents by program. It is drawn from the shapes that the reader
// checks by, and from the schemas of the kinds. What JSON Schema cannot say (bounds
// of durations, references in the config of a kind) only the reader knows.
// The same input gives the same bytes.
// Of the options only the kinds count.
func Schema(o Options) json.RawMessage {
	d := &drawing{defs: map[string]*node{}, options: &o}
	return d.document(document, "Sallyport gateway document")
}

// SettingsSchema returns the JSON Schema of the settings file.
func SettingsSchema() json.RawMessage {
	d := &drawing{defs: map[string]*node{}, options: &Options{}}
	return d.document(settings, "Sallyport settings")
}

// drawing makes JSON Schema of shapes. Objects become $defs, drawn once.
type drawing struct {
	defs    map[string]*node
	order   []string
	options *Options
}

func (d *drawing) document(s *shape, title string) json.RawMessage {
	root := d.object(s)
	d.define("plain", plainText)
	d.define("referring", referringText)
	d.define("any", anyValue)
	top := tree("$schema", str("https://json-schema.org/draft/2020-12/schema"), "title", str(title))
	top.keys, top.items = append(top.keys, root.keys...), append(top.items, root.items...)
	defs := tree()
	for _, name := range d.order {
		defs.put(name, d.defs[name])
	}
	top.put("$defs", defs)
	var out bytes.Buffer
	if err := json.Indent(&out, top.appendJSON(nil, nil), "", "  "); err != nil {
		panic("config: " + err.Error()) // our own text
	}
	return out.Bytes()
}

func (d *drawing) define(name string, schema *node) {
	d.order = append(d.order, name)
	d.defs[name] = schema
}

// controls matches what hasControl finds.
const controls = `[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f` + "\u2028\u2029]"

var (
	plainText = tree("description", str("Text without references and control characters."), "type", str("string"),
		"not", tree("pattern", str(referencePattern+"|"+controls)))
	referringText = tree("description", str("Text that may hold references: "+references+"."), "type", str("string"),
		"pattern", str(referringPattern), "not", tree("pattern", str(controls)))
	anyValue = tree("description", str("Any JSON. Its texts hold no references."),
		"not", tree("type", str("string"), "pattern", str(referencePattern)),
		"items", ref("any"), "additionalProperties", ref("any"))
)

// value draws any shape.
func (d *drawing) value(s *shape) *node {
	switch {
	case s.raw:
		return ref("any")
	case s.size:
		return tree("anyOf", array(
			tree("type", str("integer"), "minimum", num(*s.min), "maximum", num(*s.max)),
			tree("type", str("string"), "pattern", str(`^[0-9]+ ?(B|KiB|MiB|GiB)$`))))
	case s.fields != nil:
		if d.defs[s.name] == nil {
			d.define(s.name, tree())
			d.defs[s.name] = d.object(s)
		}
		return ref(s.name)
	case s.is == boolean:
		return tree("type", str("boolean"))
	case s.is == number:
		n := tree("type", str("number"))
		if s.integer {
			n = tree("type", str("integer"))
		}
		n.put("minimum", num(*s.min))
		n.put("maximum", num(*s.max))
		return n
	case s.is == list:
		n := tree("type", str("array"), "items", d.value(s.of))
		if s.least > 0 {
			n.put("minItems", num(float64(s.least)))
		}
		if s.alone != "" {
			n.put("if", tree("contains", tree("const", str(s.alone))))
			n.put("then", tree("maxItems", num(1)))
		}
		return n
	case s.is == object:
		n := tree("type", str("object"))
		if s.keys != nil {
			n.put("propertyNames", tree("pattern", str(s.keys.String())))
		}
		n.put("additionalProperties", d.value(s.of))
		return n
	}
	return d.text(s)
}

func (d *drawing) text(s *shape) *node {
	n := tree("type", str("string"))
	own := tree()
	if len(s.words) > 0 {
		own.put("enum", array(strs(s.words)...))
	}
	if s.pattern != nil {
		own.put("pattern", str(s.pattern.String()))
	}
	switch {
	case !s.reference:
		n.put("$ref", str("#/$defs/plain"))
		n.keys, n.items = append(n.keys, own.keys...), append(n.items, own.items...)
	default:
		n.put("$ref", str("#/$defs/referring"))
		if len(own.keys) > 0 {
			n.put("anyOf", array(own, tree("pattern", str(`\$\{`))))
		}
	}
	return n
}

// object draws an object with fields.
func (d *drawing) object(s *shape) *node {
	n := tree("description", str(s.about), "type", str("object"))
	properties, required := tree(), array()
	for _, f := range s.fields {
		properties.put(f.key, d.field(f))
		if f.required {
			required.items = append(required.items, str(f.key))
		}
	}
	if s.example != "" {
		if example := sample(s.example, s); example != nil {
			n.put("examples", array(example))
		}
	}
	n.put("properties", properties)
	if len(required.items) > 0 {
		n.put("required", required)
	}
	n.put("additionalProperties", &node{sort: boolean, text: "false"})
	for _, keys := range s.choices {
		one := array()
		for _, name := range keys {
			one.items = append(one.items, tree("required", array(str(name))))
		}
		n.put("oneOf", one)
	}
	if s.cases != nil {
		n.put("allOf", d.cases(s))
	}
	if kinds := d.options.kinds(s.role); len(kinds) > 0 {
		d.kinds(n, s.role, kinds)
	}
	return n
}

func (d *drawing) field(f *field) *node {
	n := d.value(f.shape)
	about := f.about
	if f.shape.duration || f.shape.size {
		bounds := f.shape.bounds()
		about += " " + strings.ToUpper(bounds[:1]) + bounds[1:] + "."
	}
	if f.absent != "" {
		about += " If absent: " + f.absent + "."
	}
	described := tree("description", str(about))
	if f.standard != "" {
		described.put("default", sample(f.standard, f.shape))
	}
	if len(f.examples) > 0 {
		examples := array()
		for _, text := range f.examples {
			examples.items = append(examples.items, sample(text, f.shape))
		}
		described.put("examples", examples)
	}
	described.keys, described.items = append(described.keys, n.keys...), append(described.items, n.items...)
	return described
}

// sample reads YAML that we wrote, if it fits the shape. References in it stay as
// they are.
func sample(text string, s *shape) *node {
	found := &mistakes{}
	n := parseYAML([]byte(text), found)
	if n == nil {
		return nil
	}
	r := &reader{found: found, source: &source{}, sample: true, options: Options{Env: func(string) (string, bool) { return "", true }}}
	if !s.reference && !s.secret {
		r.read(n, s, noValue)
	}
	if len(found.list) > 0 {
		return nil
	}
	return n
}

func (d *drawing) cases(s *shape) *node {
	all := array()
	for _, word := range s.field(s.cases.on).shape.words {
		need := s.cases.need[word]
		then := tree("required", array(strs(need)...))
		others := tree()
		for _, f := range s.fields {
			if f.key != s.cases.on && !slices.Contains(need, f.key) {
				others.put(f.key, &node{sort: boolean, text: "false"})
			}
		}
		then.put("properties", others)
		all.items = append(all.items, tree(
			"if", tree("properties", tree(s.cases.on, tree("const", str(word))), "required", array(str(s.cases.on))), "then", then))
	}
	return all
}

// kinds says of an object with kind and config which kinds there are, and for each
// what its config is.
func (d *drawing) kinds(n *node, role string, kinds []drawnKind) {
	names, all := array(), array()
	about := "Which sort it is."
	for _, k := range kinds {
		names.items = append(names.items, str(k.name))
		about += " " + k.name + ": " + strings.TrimSuffix(k.summary, ".") + "."
		def := role + "-" + k.name
		then := tree("properties", tree("config", ref(def)))
		schema := tree()
		if len(k.schema) > 0 {
			schema = adopt(parseKind(k.name, k.schema), "#/$defs/"+escape.Replace(def))
			if required := schema.get("required"); required != nil && len(required.items) > 0 {
				then.put("required", array(str("config")))
			}
		}
		if example := parseYAML([]byte(k.example), &mistakes{}); example != nil && k.example != "" && schema.get("examples") == nil {
			schema.put("examples", array(example))
		}
		d.define(def, schema)
		all.items = append(all.items, tree(
			"if", tree("properties", tree("kind", tree("const", str(k.name))), "required", array(str("kind"))), "then", then))
	}
	properties := n.get("properties")
	for i := range properties.keys {
		switch properties.keys[i].text {
		case "kind":
			properties.items[i] = tree("description", str(about), "enum", names)
		case "config":
			properties.items[i] = tree("description", str("What the kind needs to know."))
		}
	}
	n.put("allOf", all)
}

// Where in a schema other schemas stand.
var (
	inMaps  = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
	inLists = []string{"prefixItems", "allOf", "anyOf", "oneOf"}
	inPlace = []string{"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties", "unevaluatedItems"}
)

// adopt copies the schema of a kind for a place in our $defs: local references get
// the new path, and what may hold ${env:…} is allowed to look like that.
func adopt(s *node, at string) *node {
	if s.sort != object {
		return s
	}
	c := &node{sort: object}
	marked := false
	for i, k := range s.keys {
		v := s.items[i]
		switch {
		case k.text == "$schema", k.text == "$id":
			continue
		case (k.text == "$ref" || k.text == "$dynamicRef") && v.sort == text && strings.HasPrefix(v.text, "#"):
			v = str(at + v.text[1:])
		case slices.Contains(inMaps, k.text) && v.sort == object:
			v = each(v, at)
		case slices.Contains(inLists, k.text) && v.sort == list:
			v = each(v, at)
		case slices.Contains(inPlace, k.text):
			v = adopt(v, at)
		case k.text == markKey:
			marked = v.text == "true"
		}
		c.put(k.text, v)
	}
	if !marked {
		return c
	}
	for _, bound := range []string{"pattern", "format", "enum", "const", "minLength", "maxLength"} {
		if c.get(bound) != nil {
			wrapped := tree()
			if about := c.get("description"); about != nil {
				wrapped.put("description", about)
			}
			wrapped.put("anyOf", array(c, tree("type", str("string"), "pattern", str(`\$\{`))))
			return wrapped
		}
	}
	return c
}

func each(n *node, at string) *node {
	c := *n
	c.items = make([]*node, len(n.items))
	for i, item := range n.items {
		c.items[i] = adopt(item, at)
	}
	return &c
}

// Small builders of nodes.

func str(s string) *node { return &node{sort: text, text: s} }

func num(f float64) *node        { return &node{sort: number, text: strconv.FormatFloat(f, 'f', -1, 64)} }
func ref(name string) *node      { return tree("$ref", str("#/$defs/"+escape.Replace(name))) }
func array(items ...*node) *node { return &node{sort: list, items: items} }

func strs(all []string) []*node {
	nodes := make([]*node, len(all))
	for i, s := range all {
		nodes[i] = str(s)
	}
	return nodes
}

// tree makes an object of names and nodes, in turn.
func tree(pairs ...any) *node {
	n := &node{sort: object}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.put(pairs[i].(string), pairs[i+1].(*node))
	}
	return n
}

func (n *node) put(name string, value *node) {
	n.keys, n.items = append(n.keys, key{text: name}), append(n.items, value)
}
