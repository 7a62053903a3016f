package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// binding says where the value of one variable comes from.
type binding struct {
	variable string
	argument string // "" = fixed
	kind     *kind
	required bool
	fixed    json.RawMessage // sent when there is no argument, or when none was given; nil = nothing is sent
	schema   json.RawMessage
}

// bind makes the bindings of an operation's variables, in the order of the document.
func bind(o *operation, config map[string]VariableConfig) ([]binding, error) {
	known := map[string]bool{}
	taken := map[string]string{}
	bindings := make([]binding, 0, len(o.variables))
	for _, v := range o.variables {
		known[v.name] = true
		c := config[v.name]
		b := binding{variable: v.name, argument: v.name, kind: v.kind, required: v.kind.nonNull && v.value == nil && c.Default == nil}
		if c.Argument != "" {
			b.argument = c.Argument
		}
		switch {
		case c.Value != nil && (c.Default != nil || c.Argument != "" || c.Schema != nil || c.Description != ""):
			return nil, plugin.InvalidArgs("variable %s: value makes it no argument, so argument, default, description and schema make no sense beside it", v.name)
		case c.Value != nil:
			b.argument, b.required, b.fixed = "", false, c.Value
		case c.Default != nil:
			b.fixed = c.Default
		}
		if b.fixed != nil {
			if _, why := fits(v.kind, b.fixed, 0); why != "" {
				return nil, plugin.InvalidArgs("variable %s: the value %s %s", v.name, b.fixed, why)
			}
		}
		if b.argument != "" {
			if other, twice := taken[b.argument]; twice {
				return nil, plugin.InvalidArgs("variables %s and %s both come from the argument %s", other, v.name, b.argument)
			}
			taken[b.argument] = v.name
			b.schema = argumentSchema(v, c)
		}
		bindings = append(bindings, b)
	}
	for name := range config {
		if !known[name] {
			return nil, plugin.InvalidArgs("the operation has no variable %s", name)
		}
	}
	return bindings, nil
}

// inputSchema is the JSON Schema of a tool's arguments.
func inputSchema(bindings []binding) json.RawMessage {
	properties, required := []byte(`{"type":"object","properties":{`), []byte(nil)
	for i := range bindings {
		b := &bindings[i]
		if b.argument == "" {
			continue
		}
		if properties[len(properties)-1] != '{' {
			properties = append(properties, ',')
		}
		properties = append(strconv.AppendQuote(properties, b.argument), ':')
		properties = append(properties, b.schema...)
		if b.required {
			if required != nil {
				required = append(required, ',')
			}
			required = strconv.AppendQuote(required, b.argument)
		}
	}
	properties = append(properties, '}')
	if required != nil {
		properties = append(append(append(properties, `,"required":[`...), required...), ']')
	}
	return append(properties, `,"additionalProperties":false}`...)
}

// argumentSchema is the JSON Schema of one argument: that of the variable's type, its
// default, and what the configuration adds or says otherwise.
func argumentSchema(v *variable, c VariableConfig) json.RawMessage {
	s := newSchema()
	kindSchema(s, v.kind, "")
	if c.Default != nil {
		s.set("default", c.Default)
	} else if v.value != nil && v.value.text != "null" {
		s.set("default", v.value.json())
	}
	if c.Description != "" {
		s.text("description", c.Description)
	}
	if c.Schema != nil {
		// It is an object: config_schema says so, and configure has read it.
		_ = members(c.Schema, func(name string, value json.RawMessage) { s.set(name, value) })
	} else if c.Description == "" && !builtin[v.kind.named().name] {
		s.text("description", "of the GraphQL type "+v.kind.String())
	}
	return s.json()
}

// schema is a JSON object whose members keep their order.
type schema struct {
	names  []string
	values map[string]json.RawMessage
}

func newSchema() *schema { return &schema{values: map[string]json.RawMessage{}} }

func (s *schema) set(name string, value json.RawMessage) {
	if _, there := s.values[name]; !there {
		s.names = append(s.names, name)
	}
	s.values[name] = value
}

func (s *schema) text(name, value string) { s.set(name, quote(value)) }

func (s *schema) json() json.RawMessage {
	b := []byte{'{'}
	for i, name := range s.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, quote(name)...), ':'), s.values[name]...)
	}
	return append(b, '}')
}

// builtin are the scalars that every server knows.
var builtin = map[string]bool{"String": true, "ID": true, "Int": true, "Float": true, "Boolean": true}

// kindSchema adds the schema of a type. Types that a document cannot know (enums, input
// objects, scalars of the server's own) stay open: the server checks them, or the
// configuration says more.
func kindSchema(s *schema, k *kind, description string) {
	if k.of != nil {
		inner := newSchema()
		kindSchema(inner, k.of, "")
		s.text("type", "array")
		s.set("items", inner.json())
		if description != "" {
			s.text("description", description)
		}
		return
	}
	switch k.name {
	case "String", "ID":
		s.text("type", "string")
	case "Int":
		s.text("type", "integer")
		s.set("minimum", json.RawMessage("-2147483648"))
		s.set("maximum", json.RawMessage("2147483647"))
	case "Float":
		s.text("type", "number")
	case "Boolean":
		s.text("type", "boolean")
	}
	if description != "" {
		s.text("description", description)
	}
}

// variables makes the variables of one call from its arguments.
func variables(bindings []binding, arguments json.RawMessage) (json.RawMessage, error) {
	given := map[string]json.RawMessage{}
	if err := members(arguments, func(name string, value json.RawMessage) { given[name] = value }); err != nil {
		return nil, plugin.InvalidArgs("%w", err)
	}
	sent := []byte{'{'}
	for i := range bindings {
		b := &bindings[i]
		value := b.fixed
		if argument, ok := given[b.argument]; ok && b.argument != "" {
			var why string
			if value, why = fits(b.kind, argument, 0); why != "" {
				return nil, plugin.InvalidArgs("%s %s", b.argument, why)
			}
			delete(given, b.argument)
		} else if b.required {
			return nil, plugin.InvalidArgs("%s is missing: it is %s", b.argument, b.kind)
		}
		if value == nil {
			continue
		}
		if len(sent) > 1 {
			sent = append(sent, ',')
		}
		sent = append(append(append(sent, quote(b.variable)...), ':'), value...)
	}
	for name := range given {
		return nil, plugin.InvalidArgs("there is no argument %s; there are: %s", name, strings.Join(argumentNames(bindings), ", "))
	}
	return append(sent, '}'), nil
}

func argumentNames(bindings []binding) []string {
	var names []string
	for i := range bindings {
		if bindings[i].argument != "" {
			names = append(names, bindings[i].argument)
		}
	}
	if names == nil {
		return []string{"none"}
	}
	return names
}

// fits checks a value against a type as GraphQL coerces input (section 3.5): it returns
// the value to send, or why it does not fit.
func fits(k *kind, raw json.RawMessage, depth int) (json.RawMessage, string) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, "is no JSON"
	}
	if raw[0] == 'n' {
		if k.nonNull {
			return nil, "must not be null: it is " + k.String()
		}
		return raw, ""
	}
	if k.of != nil {
		if raw[0] != '[' { // one value is a list of one
			return fits(k.of, raw, depth)
		}
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, "is no JSON"
		}
		out := []byte{'['}
		for i, element := range list {
			v, why := fits(k.of, element, depth+1)
			if why != "" {
				return nil, "[" + strconv.Itoa(i) + "] " + why
			}
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, v...)
		}
		return append(out, ']'), ""
	}
	must := func(what string) string { return "must be " + what + ", not " + sortOf(raw) }
	isNumber := raw[0] == '-' || digit(raw[0])
	switch k.name {
	case "String":
		if raw[0] != '"' {
			return nil, must("a string")
		}
	case "ID":
		if raw[0] != '"' {
			if _, ok := whole(raw); !isNumber || !ok {
				return nil, must("a string")
			}
		}
	case "Boolean":
		if raw[0] != 't' && raw[0] != 'f' {
			return nil, must("a boolean")
		}
	case "Float":
		if !isNumber {
			return nil, must("a number")
		}
	case "Int":
		if !isNumber {
			return nil, must("an integer")
		}
		v, ok := whole(raw)
		if !ok || v != int64(int32(v)) {
			return nil, "must be an integer of 32 bits"
		}
		return strconv.AppendInt(nil, v, 10), "" // 3.0 is 3, which servers do not know
	}
	return raw, ""
}

// whole reads a number that is an integer, also when it is written 3.0 or 1e3.
func whole(raw []byte) (int64, bool) {
	if v, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < -(1<<53) || f > 1<<53 || f != float64(int64(f)) {
		return 0, false
	}
	return int64(f), true
}

// sortOf names the sort of a JSON value.
func sortOf(raw []byte) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// json writes a literal as JSON; an enum value becomes a string, as it is one in the
// JSON of variables.
func (v *value) json() json.RawMessage {
	switch {
	case v.isList:
		b := []byte{'['}
		for i, element := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, element.json()...)
		}
		return append(b, ']')
	case v.isObj:
		s := newSchema()
		for _, m := range v.object {
			s.set(m.name, m.value.json())
		}
		return s.json()
	case v.class == integer || v.class == decimal:
		return json.RawMessage(v.text)
	case v.class == name && (v.text == "true" || v.text == "false" || v.text == "null"):
		return json.RawMessage(v.text)
	}
	return quote(v.text)
}
