package rest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// maxPart bounds one computed value of a request, in bytes.
const maxPart = 4 << 20

// maxTree bounds how deep a declared JSON body may be.
const maxTree = 16

// bodyPlan writes the body of a request.
type bodyPlan interface {
	// body returns the body and its media type; nil when there is nothing to send.
	body(call *core.Call) ([]byte, string, error)
}

// body reads the body of a config.
func (r *reader) body(at string, raw json.RawMessage) bodyPlan {
	list := r.members(at, raw, "json", "form", "multipart", "raw", "contentType")
	var plan bodyPlan
	count := 0
	for _, m := range list {
		here := at + "/" + m.name
		switch m.name {
		case "json":
			plan, count = r.jsonBody(here, m.raw), count+1
		case "form":
			plan, count = &formBody{pairs: r.pairs(here, "form field", m.raw, true)}, count+1
		case "multipart":
			plan, count = r.multipart(here, m.raw), count+1
		case "raw":
			plan, count = r.rawBody(here, m.raw), count+1
		}
	}
	if count != 1 {
		r.problem(at, fmt.Sprintf("the body is declared %d times", count), "write exactly one of json, form, multipart and raw")
		return nil
	}
	contentType, given := find(list, "contentType")
	if !given {
		return plan
	}
	here := at + "/contentType"
	if _, ok := plan.(*multipartBody); ok {
		r.problem(here, "a multipart body has a content type of its own", "leave contentType out here, and give it to the part")
		return plan
	}
	return &typedBody{bodyPlan: plan, contentType: r.mediaType(here, contentType)}
}

// typedBody is a body with a declared media type.
type typedBody struct {
	bodyPlan
	contentType source
}

func (b *typedBody) body(call *core.Call) ([]byte, string, error) {
	body, usual, err := b.bodyPlan.body(call)
	if err != nil {
		return nil, "", err
	}
	contentType, err := mediaType(&b.contentType, call, usual)
	return body, contentType, err
}

// mediaType reads a constant media type, or a source of it.
func (r *reader) mediaType(at string, raw json.RawMessage) source {
	if !wire.IsString(raw) {
		s, _ := r.source(at, "content type", raw)
		return s
	}
	s := source{label: "content type"}
	text := r.text(at, raw)
	if !isMediaType(text) {
		r.problem(at, fmt.Sprintf("%q is not a media type", text), "write one like application/json; an argument is written {from: name}")
	}
	s.constant = text
	return s
}

func mediaType(s *source, call *core.Call, usual string) (string, error) {
	value, err := s.value(call)
	if err != nil {
		return "", err
	}
	if value == nil {
		return usual, nil
	}
	text, ok := value.(string)
	if !ok || !isMediaType(text) {
		return "", refuse("The %s must be a media type like text/plain.", s.label)
	}
	return text, nil
}

// isMediaType tells whether s is type/subtype with parameters (RFC 9110 8.3.1), on
// one line.
func isMediaType(s string) bool {
	kind, _, _ := strings.Cut(s, ";")
	before, after, found := strings.Cut(strings.TrimSpace(kind), "/")
	return found && token(before) && token(after) && fieldText(s) && len(s) < 256
}

// wholeBody sends the arguments as they came.
type wholeBody struct{}

func (wholeBody) body(call *core.Call) ([]byte, string, error) {
	return call.Arguments, jsonType, nil
}

// remainingBody sends the arguments that no other place names.
type remainingBody struct{ skip map[string]bool }

func (b *remainingBody) body(call *core.Call) ([]byte, string, error) {
	out := append(make([]byte, 0, len(call.Arguments)), '{')
	err := wire.Walk(call.Arguments, func(name string, value json.RawMessage) error {
		if b.skip[name] {
			return nil
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(wire.AppendString(out, name), ':'), value...)
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("write the JSON body: %w", err)
	}
	return append(out, '}'), jsonType, nil
}

const jsonType = "application/json"

// treeBody sends a declared value tree.
type treeBody struct{ root node }

func (b *treeBody) body(call *core.Call) ([]byte, string, error) {
	out, there, err := b.root.append(make([]byte, 0, 256), call)
	if err != nil || !there {
		return nil, "", err
	}
	return out, jsonType, nil
}

// node is one value of a declared JSON body: a literal, a source, an object or an
// array.
type node struct {
	literal  []byte
	source   *source
	object   bool
	names    [][]byte // quoted, with the colon
	children []node   // of an object or array
}

// append appends the value; false when it is absent.
func (n *node) append(dst []byte, call *core.Call) ([]byte, bool, error) {
	switch {
	case n.literal != nil:
		return append(dst, n.literal...), true, nil
	case n.source != nil:
		value, err := n.source.value(call)
		if err != nil {
			return dst, false, err
		}
		if value == nil && !n.null(call) {
			return dst, false, nil
		}
		if dst, err = expression.AppendJSON(dst, value, maxPart); err != nil {
			return dst, false, refuse("The %s cannot be sent: %s.", n.source.label, err)
		}
		return dst, true, nil
	}
	brackets := "[]"
	if n.object {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	wrote := false
	for i := range n.children {
		before := len(dst)
		if wrote {
			dst = append(dst, ',')
		}
		if n.object {
			dst = append(dst, n.names[i]...)
		}
		var there bool
		var err error
		if dst, there, err = n.children[i].append(dst, call); err != nil {
			return dst, false, err
		}
		if !there {
			dst = dst[:before]
			continue
		}
		wrote = true
	}
	return append(dst, brackets[1]), true, nil
}

// null tells whether an argument was sent as null: a JSON body keeps it.
func (n *node) null(call *core.Call) bool {
	if n.source.argument == "" || len(n.source.pointer) > 0 {
		return false
	}
	value, sent := argument(call, n.source.argument)
	return sent && value == nil
}

func (r *reader) jsonBody(at string, raw json.RawMessage) bodyPlan {
	if wire.IsString(raw) {
		switch r.text(at, raw) {
		case "whole":
			r.usesAll = true
			return wholeBody{}
		case "remaining":
			r.usesAll = true
			return &remainingBody{} // skip is filled when all places are known
		}
		r.problem(at, "a JSON body is declared by a word or a tree",
			"write whole (all arguments), remaining (those that no other place names), or a tree like {title: {from: title}}; one argument as the whole body is {from: name}")
		return nil
	}
	return &treeBody{root: r.node(at, raw, 0)}
}

// node reads one value of a body tree.
func (r *reader) node(at string, raw json.RawMessage, depth int) node {
	if depth > maxTree {
		r.problem(at, fmt.Sprintf("the body is nested deeper than %d", maxTree), "build deeper values with expr or value")
		return node{literal: []byte("null")}
	}
	switch {
	case wire.IsArray(raw):
		n := node{}
		_ = wire.Elements(raw, func(element json.RawMessage) error {
			n.children = append(n.children, r.node(fmt.Sprintf("%s/%d", at, len(n.children)), element, depth+1))
			return nil
		})
		return n
	case !wire.IsObject(raw):
		if wire.IsString(raw) {
			s := r.argument(at, r.text(at, raw), "argument "+string(raw))
			return node{source: &s}
		}
		return node{literal: raw}
	}
	list := r.members(at, raw)
	if !isLeaf(list) {
		return r.object(at, list, depth)
	}
	if inner, ok := find(list, "object"); ok {
		if len(list) > 1 {
			r.problem(at, "object stands alone", "remove what stands beside it")
		}
		return r.object(at+"/object", r.members(at+"/object", inner), depth)
	}
	s, _ := r.source(at, "body value "+strings.TrimPrefix(at, "/body/json"), raw)
	if s.fixed() {
		literal, err := expression.AppendJSON(nil, s.constant, maxPart)
		if err != nil {
			r.problem(at, "the constant cannot be written: "+err.Error(), "")
		}
		return node{literal: literal}
	}
	return node{source: &s}
}

func (r *reader) object(at string, list []member, depth int) node {
	n := node{object: true}
	for _, m := range list {
		n.names = append(n.names, append(wire.AppendString(nil, m.name), ':'))
		n.children = append(n.children, r.node(at+"/"+escape(m.name), m.raw, depth+1))
	}
	return n
}

// isLeaf tells whether an object of a tree says where a value comes from: it has
// from, expr, value or object, and nothing but those and default.
func isLeaf(list []member) bool {
	leaf := false
	for _, m := range list {
		switch m.name {
		case "from", "expr", "value", "object":
			leaf = true
		case "default":
		default:
			return false
		}
	}
	return leaf
}

// formBody sends application/x-www-form-urlencoded.
type formBody struct{ pairs queryPlan }

func (b *formBody) body(call *core.Call) ([]byte, string, error) {
	out, err := b.pairs.append(make([]byte, 0, 256), call)
	return out, "application/x-www-form-urlencoded", err
}

// rawBody sends one argument as it is.
type rawBody struct {
	source
	base64 bool
}

func (r *reader) rawBody(at string, raw json.RawMessage) bodyPlan {
	s, rest := r.source(at, "body", raw, "encoding")
	b := &rawBody{source: s}
	for _, m := range rest {
		b.base64 = r.choice(at+"/encoding", m.raw, "text", "base64") == "base64"
	}
	return b
}

func (b *rawBody) body(call *core.Call) ([]byte, string, error) {
	value, err := b.value(call)
	if err != nil || value == nil {
		return nil, "", err
	}
	out, err := content(value, b.base64, b.label)
	if b.base64 {
		return out, "application/octet-stream", err
	}
	if _, ok := value.(string); !ok {
		return out, jsonType, err
	}
	return out, "text/plain; charset=utf-8", err
}

// content returns the bytes of a value: decoded base64, the text itself, or JSON of
// what is no text.
func content(value any, encoded bool, label string) ([]byte, error) {
	text, ok := value.(string)
	switch {
	case encoded && !ok:
		return nil, refuse("The %s must be base64 text.", label)
	case encoded:
		return decodeBase64(text, label)
	case ok:
		return []byte(text), nil
	}
	out, err := expression.AppendJSON(nil, value, maxPart)
	if err != nil {
		return nil, refuse("The %s cannot be sent: %s.", label, err)
	}
	return out, nil
}

// decodeBase64 reads both alphabets of RFC 4648, padded or not, and a data: URL.
func decodeBase64(text, label string) ([]byte, error) {
	if strings.HasPrefix(text, "data:") {
		head, rest, found := strings.Cut(text, ",")
		if !found || !strings.HasSuffix(head, ";base64") {
			return nil, refuse("The %s must be base64 text.", label)
		}
		text = rest
	}
	text = strings.TrimRight(text, "=\r\n ")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	out, err := encoding.DecodeString(text)
	if err != nil {
		return nil, refuse("The %s must be base64 text.", label)
	}
	return out, nil
}
