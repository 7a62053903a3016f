package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"sort"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// template is text with arguments in it: "{bucket}", "/objects/{key+}". "{{" and "}}"
// are braces.
type template []piece

type piece struct {
	text     string
	argument string // "" = text
	slashes  bool   // {name+}: slashes of the value stay slashes
}

func parseTemplate(s string) (template, error) {
	var t template
	var text strings.Builder
	for s != "" {
		switch {
		case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
			text.WriteByte(s[0])
			s = s[2:]
		case s[0] == '}':
			return nil, errors.New("a } without {: write }} for a brace")
		case s[0] == '{':
			inside, rest, closed := strings.Cut(s[1:], "}")
			name, slashes := strings.CutSuffix(inside, "+")
			if !closed || name == "" || strings.ContainsAny(name, "{ \t\r\n") {
				return nil, errors.New("a { that begins no {argument}: write {{ for a brace")
			}
			if text.Len() > 0 {
				t = append(t, piece{text: text.String()})
				text.Reset()
			}
			t = append(t, piece{argument: name, slashes: slashes})
			s = rest
		default:
			text.WriteByte(s[0])
			s = s[1:]
		}
	}
	if text.Len() > 0 {
		t = append(t, piece{text: text.String()})
	}
	return t, nil
}

// whole returns the argument that is all of the template, "" when there is more or none.
func (t template) whole() string {
	if len(t) == 1 && !t[0].slashes {
		return t[0].argument
	}
	return ""
}

// names adds the arguments of the template.
func (t template) names(into map[string]bool) {
	for _, p := range t {
		if p.argument != "" {
			into[p.argument] = true
		}
	}
}

// fill puts the arguments in, each through guard; there is false when one that it needs
// was not given.
func (t template) fill(given arguments, guard func(p piece, value string) (string, error)) (s string, there bool, err error) {
	var b strings.Builder
	for _, p := range t {
		if p.argument == "" {
			b.WriteString(p.text)
			continue
		}
		value, ok, err := given.text(p.argument)
		if err != nil || !ok {
			return "", false, err
		}
		if guard != nil {
			if value, err = guard(p, value); err != nil {
				return "", false, err
			}
		}
		b.WriteString(value)
	}
	return b.String(), true, nil
}

// arguments is what a call was given, by name. null counts as not given.
type arguments map[string]json.RawMessage

// text returns an argument as text.
func (a arguments) text(name string) (string, bool, error) {
	raw, ok := a[name]
	if !ok {
		return "", false, nil
	}
	s, err := textOf(name, raw)
	return s, err == nil, err
}

func textOf(name string, raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case '{', '[':
		return "", plugin.InvalidArgs("%s must be text, a number or a boolean, not %s", name, sortOf(raw))
	}
	return string(raw), nil
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

// field is a parameter of a query or form, or a header.
type field struct {
	name  string
	value template
}

// fieldsOf reads an object of templates, sorted by name.
func fieldsOf(config map[string]string) ([]field, error) {
	fields := make([]field, 0, len(config))
	for name, value := range config {
		t, err := parseTemplate(value)
		if err != nil {
			return nil, plugin.InvalidArgs("%s: %w", name, err)
		}
		fields = append(fields, field{name, t})
	}
	sort.Slice(fields, func(i, j int) bool { return fields[i].name < fields[j].name })
	return fields, nil
}

// parameters fills the fields in, escaped and joined as a query has them. An array that
// is a whole value becomes a parameter for each element: of the same name, or numbered
// from 1 as in AWS's query protocol. What was not given is left out.
func parameters(fields []field, given arguments, numbered bool) (string, error) {
	var b strings.Builder
	add := func(name, value string) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(name, false) + "=" + escape(value, false))
	}
	for _, f := range fields {
		if id := f.value.whole(); id != "" && len(given[id]) > 0 && given[id][0] == '[' {
			var list []json.RawMessage
			if err := json.Unmarshal(given[id], &list); err != nil {
				return "", plugin.InvalidArgs("%s: %w", id, err)
			}
			for i, element := range list {
				value, err := textOf(id+"["+strconv.Itoa(i)+"]", bytes.TrimSpace(element))
				if err != nil {
					return "", err
				}
				name := f.name
				if numbered {
					name += "." + strconv.Itoa(i+1)
				}
				add(name, value)
			}
			continue
		}
		value, there, err := f.value.fill(given, nil)
		if err != nil {
			return "", err
		}
		if there {
			add(f.name, value)
		}
	}
	return b.String(), nil
}

// node is a piece of a JSON body: an object, an array, text with arguments in it, or a
// value as it stands.
type node struct {
	object []nodeMember // with isObject
	array  []*node      // with isArray
	text   template
	raw    json.RawMessage

	isObject, isArray bool
}

type nodeMember struct {
	name  string
	value *node
}

const everything = "*" // {*}: all arguments that nothing else uses

func parseNode(raw json.RawMessage) (*node, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return nil, errors.New("no value")
	case raw[0] == '{':
		n := &node{isObject: true}
		var wrong error
		err := members(raw, func(name string, value json.RawMessage) {
			inner, err := parseNode(value)
			if err != nil && wrong == nil {
				wrong = err
			}
			n.object = append(n.object, nodeMember{name, inner})
		})
		return n, errors.Join(err, wrong)
	case raw[0] == '[':
		n := &node{isArray: true}
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		for _, element := range list {
			inner, err := parseNode(element)
			if err != nil {
				return nil, err
			}
			n.array = append(n.array, inner)
		}
		return n, nil
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		t, err := parseTemplate(s)
		if err != nil {
			return nil, err
		}
		if t == nil {
			return &node{raw: json.RawMessage(`""`)}, nil
		}
		return &node{text: t}, nil
	}
	return &node{raw: raw}, nil
}

func (n *node) names(into map[string]bool) {
	for _, m := range n.object {
		m.value.names(into)
	}
	for _, e := range n.array {
		e.names(into)
	}
	n.text.names(into)
}

// wholes adds the arguments that stand in the body as they came, whatever their type.
func (n *node) wholes(into map[string]bool) {
	for _, m := range n.object {
		m.value.wholes(into)
	}
	for _, e := range n.array {
		e.wholes(into)
	}
	if id := n.text.whole(); id != "" {
		into[id] = true
	}
}

// append writes the value with the arguments put in; there is false when it is nothing
// but an argument that was not given.
func (n *node) append(b []byte, given, rest arguments) (out []byte, there bool, err error) {
	switch {
	case n.isObject:
		b = append(b, '{')
		first := true
		for _, m := range n.object {
			mark := len(b)
			if !first {
				b = append(b, ',')
			}
			b = append(append(b, quote(m.name)...), ':')
			b, there, err = m.value.append(b, given, rest)
			if err != nil {
				return nil, false, err
			}
			if !there {
				b = b[:mark]
				continue
			}
			first = false
		}
		return append(b, '}'), true, nil
	case n.isArray:
		b = append(b, '[')
		first := true
		for _, e := range n.array {
			mark := len(b)
			if !first {
				b = append(b, ',')
			}
			b, there, err = e.append(b, given, rest)
			if err != nil {
				return nil, false, err
			}
			if !there {
				b = b[:mark]
				continue
			}
			first = false
		}
		return append(b, ']'), true, nil
	case n.raw != nil:
		return append(b, n.raw...), true, nil
	}
	switch id := n.text.whole(); {
	case id == everything:
		names := make([]string, 0, len(rest))
		for name := range rest {
			names = append(names, name)
		}
		sort.Strings(names)
		b = append(b, '{')
		for i, name := range names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, quote(name)...), ':'), rest[name]...)
		}
		return append(b, '}'), true, nil
	case id != "":
		raw, ok := given[id]
		return append(b, raw...), ok, nil
	}
	s, there, err := n.text.fill(given, nil)
	return append(b, quote(s)...), there, err
}
