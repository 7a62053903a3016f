package pins

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// What a definition may be of.
const (
	Tool     = "tool"
	Prompt   = "prompt"
	Resource = "resource"
	Template = "template"
)

// MaxName is how many bytes a name or URI may have.
const MaxName = 2048

// Definition is what an upstream says of one tool, prompt, resource or template.
type Definition struct {
	Of   string // tool, prompt, resource, template
	Name string // by which it is called: the name, the URI or the URI template
	Raw  json.RawMessage
}

// Read makes a Definition of an element of a list of an upstream. Refused are, with
// CodeInvalid or CodeTooLarge: what Canonical refuses, what has no name, and a name with
// characters that nobody sees, which would look like another one.
func Read(of string, raw json.RawMessage) (Definition, error) {
	d := Definition{Of: of, Raw: raw}
	member := ""
	switch of {
	case Tool, Prompt:
		member = "name"
	case Resource:
		member = "uri"
	case Template:
		member = "uriTemplate"
	default:
		return d, &core.Error{Code: core.CodeInvalid, Message: "no such kind of definition", Fix: "tool, prompt, resource or template"}
	}
	if err := check(raw); err != nil {
		return d, err
	}
	var name json.RawMessage
	err := wire.Walk(raw, func(n string, value json.RawMessage) error {
		if n == member {
			name = value
		}
		return nil
	})
	if err != nil || !wire.IsString(name) {
		return d, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("the definition of a %s has no %s", of, member), Fix: "an object with that member, a text"}
	}
	d.Name = string(wire.AppendUnquoted(nil, name))
	switch {
	case d.Name == "":
		return d, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("the definition of a %s has an empty %s", of, member), Fix: "name it"}
	case len(d.Name) > MaxName:
		return d, &core.Error{
			Code: core.CodeTooLarge, Message: fmt.Sprintf("the %s of a %s has %d bytes", member, of, len(d.Name)), Fix: fmt.Sprintf("at most %d", MaxName),
		}
	case strings.ContainsFunc(d.Name, func(r rune) bool { return invisible(r) || r == '\t' || r == '\n' }):
		return d, &core.Error{
			Code: core.CodeInvalid, Message: fmt.Sprintf("the %s of a %s holds characters that nobody sees: %s", member, of, clip(visible(d.Name), maxText)),
			Fix: "a name that can be told from every other by looking at it",
		}
	}
	return d, nil
}

// pinned returns the canonical text of what a pin holds the definition to: all of it, but
// for what a resource says of its content and not of itself (size, and when it was last
// modified), which changes with every edit.
func (d *Definition) pinned() ([]byte, error) {
	value, err := decode(d.Raw)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if ok && (d.Of == Resource || d.Of == Template) {
		delete(object, "size")
		if notes, ok := object["annotations"].(map[string]any); ok {
			delete(notes, "lastModified")
			if len(notes) == 0 {
				delete(object, "annotations")
			}
		}
	}
	return appendCanonical(make([]byte, 0, len(d.Raw)), value), nil
}
