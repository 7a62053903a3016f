package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// secretKey says in the schema of a kind that a property must not be shown.
const secretKey = "x-sallyport-secret"

// Tree returns what a document says, as JSON: keys in their order, numbers as written,
// aliases written out, references as they stand. It reads no environment and no files.
// hidden are the JSON Pointers of values that must not be shown: whoever prints the
// tree prints *** there. A value that only refers to a secret is no secret and is not
// among them.
//
// A document that is not YAML gives no tree, and the problems say why. Beside them stand
// warnings about secrets that are written out; whether the document is right otherwise
// ReadText tells.
func Tree(name string, text []byte, o Options) (tree json.RawMessage, hidden []string, problems []core.Problem) {
	if len(text) > maxFile {
		return nil, nil, []core.Problem{{File: name, Message: "cannot read the document: " + reason(errTooLarge), Fix: tooLargeFix}}
	}
	o.parsed = nil
	found := &mistakes{file: name}
	top := parse(name, text, found)
	if top == nil {
		return nil, nil, found.list
	}
	h := &hiding{found: found, options: &o}
	mistaken := len(found.list)
	h.shape(top, document)
	for i := mistaken; i < len(found.list); i++ {
		found.list[i].Warning = true
	}
	return top.appendJSON(nil, nil), h.list, found.list
}

// hiding finds the values of one document that must not be shown.
type hiding struct {
	at      trail
	found   *mistakes
	options *Options
	list    []string
	nodes   []*node // the values themselves
	current string  // key of the nearest field, for the warning
}

// shape walks a value by its shape.
func (h *hiding) shape(n *node, s *shape) {
	switch {
	case s == nil || n.broken:
	case s.secret:
		h.hide(n)
	case n.sort == list && s.is == list:
		for i, item := range n.items {
			h.at.index(i)
			h.shape(item, s.of)
			h.at.pop()
		}
	case n.sort == object && s.is == object && s.fields == nil:
		for i, item := range n.items {
			h.at.push(n.keys[i].text)
			h.shape(item, s.of)
			h.at.pop()
		}
	case n.sort == object && s.fields != nil:
		for i, item := range n.items {
			f := s.field(n.keys[i].text)
			if f == nil {
				continue
			}
			before := h.current
			h.current = f.key
			h.at.push(f.key)
			if s.role != "" && f.key == "config" {
				h.config(item, n.get("kind"), s.role)
			} else {
				h.shape(item, f.shape)
			}
			h.at.pop()
			h.current = before
		}
	}
}

// config walks the config of a kind by the schema of the kind.
func (h *hiding) config(n, name *node, role string) {
	if name == nil || name.sort != text {
		return
	}
	if marks := h.options.marks(role, name.text); marks != nil {
		h.schema(n, applied([]*node{marks}, marks), marks)
	}
}

func (h *hiding) schema(n *node, schemas []*node, root *node) {
	for _, s := range schemas {
		if mark := s.get(secretKey); mark != nil && mark.sort == boolean && mark.text == "true" {
			h.hide(n)
			return
		}
	}
	for i, item := range n.items {
		if n.sort == list {
			h.at.index(i)
			h.schema(item, applied(below(schemas, "", i), root), root)
		} else {
			h.at.push(n.keys[i].text)
			h.schema(item, applied(below(schemas, n.keys[i].text, -1), root), root)
		}
		h.at.pop()
	}
}

// onlyRefers matches a text that holds references and, before them, at most the name of
// an HTTP authentication scheme. A default (:-) may be a secret itself.
var onlyRefers = regexp.MustCompile(`^([A-Za-z]+ )?(\$\{[a-z]+:([^}:]|:[^}-])*\})+$`)

// hide hides a value, unless it only refers to one.
func (h *hiding) hide(n *node) {
	if n.sort == null || n.sort == text && (n.text == "" || onlyRefers.MatchString(n.text)) {
		return
	}
	h.list, h.nodes = append(h.list, h.at.String()), append(h.nodes, n)
	// Headers may hold anything, and mostly hold nothing secret.
	if n.sort == text && h.current != "headers" && !strings.Contains(n.text, "${") {
		h.found.add(n.line, n.column, h.at.String(), fmt.Sprintf("a secret stands in the text of the document (%s): whoever may read documents can read it", h.current),
			"keep it as a credential, and write ${secret:NAME}")
	}
}
