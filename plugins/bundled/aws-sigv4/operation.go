package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// operation is one request that is a tool, ready to be filled in.
type operation struct {
	info     plugin.ToolInfo
	method   string
	path     template
	query    []field
	headers  []field
	body     *body
	used     map[string]bool // arguments that the templates name
	known    map[string]bool // those, and the properties of the input schema
	required []string
	defaults arguments
	rest     bool // {*} takes all other arguments
}

// body is what is sent beside the headers.
type body struct {
	kind        string
	contentType string
	json        *node
	form        []field
	text        template
}

// arguments reads the arguments of a call, and checks what templates cannot.
func (o *operation) arguments(raw json.RawMessage) (arguments, error) {
	given := arguments{}
	maps.Copy(given, o.defaults)
	unknown := ""
	err := members(raw, func(name string, value json.RawMessage) {
		switch value = bytes.TrimSpace(value); {
		case !o.known[name] && !o.rest:
			unknown = name
		case value[0] != 'n':
			given[name] = value
		default:
			delete(given, name)
		}
	})
	if err != nil {
		return nil, plugin.InvalidArgs("%w", err)
	}
	if unknown != "" {
		names := make([]string, 0, len(o.known))
		for name := range o.known {
			names = append(names, name)
		}
		sort.Strings(names)
		return nil, plugin.InvalidArgs("there is no argument %s; there are: %s", unknown, strings.Join(names, ", "))
	}
	for _, name := range o.required {
		if _, there := given[name]; !there {
			return nil, plugin.InvalidArgs("%s is missing", name)
		}
	}
	return given, nil
}

// request fills the operation in.
func (o *operation) request(given arguments) (*request, error) {
	r := &request{method: o.method, host: place.host}
	path, there, err := o.fillPath(given)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, plugin.InvalidArgs("an argument of the path is missing")
	}
	r.path = place.base + path
	if r.query, err = parameters(o.query, given, false); err != nil {
		return nil, err
	}
	typed := false
	for _, f := range o.headers {
		value, there, err := f.value.fill(given, func(p piece, value string) (string, error) { return plainHeader(p.argument, value) })
		if err != nil {
			return nil, err
		}
		if there {
			typed = typed || strings.EqualFold(f.name, "content-type")
			r.header = append(r.header, plugin.Field{Name: strings.ToLower(f.name), Value: value})
		}
	}
	if o.body == nil {
		return r, nil
	}
	if !typed {
		r.header = append(r.header, plugin.Field{Name: "content-type", Value: o.body.contentType})
	}
	r.body, err = o.body.fill(given, o.others(given))
	return r, err
}

// others is the arguments that {*} stands for.
func (o *operation) others(given arguments) arguments {
	rest := arguments{}
	for name, value := range given {
		if !o.used[name] {
			rest[name] = value
		}
	}
	return rest
}

// fillPath escapes the path. A value is one segment, or several with {name+}; it cannot
// leave its place.
func (o *operation) fillPath(given arguments) (string, bool, error) {
	path, there, err := o.path.fill(given, func(p piece, value string) (string, error) {
		if value == "" {
			return "", plugin.InvalidArgs("%s must not be empty: it is part of the path", p.argument)
		}
		return value, nil
	})
	if err != nil || !there {
		return "", there, err
	}
	if dotted(path) {
		return "", false, plugin.InvalidArgs("a segment of the path would be . or .., which addresses something else")
	}
	var b strings.Builder
	for _, p := range o.path {
		if p.argument == "" {
			b.WriteString(escape(p.text, true))
			continue
		}
		value, _, err := given.text(p.argument)
		if err != nil {
			return "", false, err
		}
		b.WriteString(escape(value, p.slashes))
	}
	return b.String(), true, nil
}

// plainHeader says whether a value can stand in a header and is signed as it arrives:
// visible ASCII and spaces.
func plainHeader(name, value string) (string, error) {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return "", plugin.InvalidArgs("%s must be of letters, digits and punctuation of ASCII: it goes into a header", name)
		}
	}
	return value, nil
}

func (b *body) fill(given, rest arguments) ([]byte, error) {
	switch b.kind {
	case "json":
		out, there, err := b.json.append(nil, given, rest)
		if err == nil && !there {
			err = plugin.InvalidArgs("%s is missing: it is the body", b.json.text.whole())
		}
		return out, err
	case "form":
		s, err := parameters(b.form, given, true)
		return []byte(s), err
	}
	s, there, err := b.text.fill(given, func(_ piece, value string) (string, error) {
		if b.kind == "xml" {
			return escapeXML(value), nil
		}
		return value, nil
	})
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, plugin.InvalidArgs("an argument of the body is missing")
	case b.kind == "base64":
		decoded, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, plugin.InvalidArgs("the body must be base64: %w", err)
		}
		return decoded, nil
	}
	return []byte(s), nil
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")

// escapeXML escapes text for an element or an attribute; characters that XML 1.0 does
// not have become U+FFFD.
func escapeXML(s string) string {
	return xmlEscapes.Replace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, s))
}
