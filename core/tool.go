package core

import (
	"encoding/json"
	"sync/atomic"
)

// Tool is one tool as clients see it. It is immutable once it stands in a Catalog.
type Tool struct {
	Name         string
	Title        string
	Description  string
	InputSchema  json.RawMessage // as written, property order kept; never nil
	OutputSchema json.RawMessage
	Annotations  json.RawMessage
	Icons        json.RawMessage
	Execution    json.RawMessage // 2025-11-25 only
	Meta         json.RawMessage
	// Extra holds the members of a definition of an upstream that nobody here knows, as one
	// JSON object, so that they pass through; nil = none. So do those of the other nouns.
	Extra   json.RawMessage
	Headers []HeaderParam // from x-mcp-header in InputSchema
	Wire    Encodings
}

// HeaderParam is an argument that a 2026-07-28 client mirrors in Mcp-Param-{Header}.
type HeaderParam struct {
	Header string   // without the Mcp-Param- prefix
	Path   []string // property names from the root of the arguments
	Type   string   // string, integer, boolean
}

// In returns the argument in the values of a call; nil when it is not there.
func (p *HeaderParam) In(values map[string]any) any {
	var value any = values
	for _, name := range p.Path {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = inner[name]
	}
	return value
}

// Prompt is one prompt as clients see it.
type Prompt struct {
	Name, Title, Description string
	Arguments                []PromptArgument
	Icons, Meta, Extra       json.RawMessage
	Wire                     Encodings
}

// PromptArgument is one argument of a prompt.
type PromptArgument struct {
	Name, Title, Description string
	Required                 bool
	Extra                    json.RawMessage
}

// Resource is one resource, or with Template set a resource template, as clients
// see it.
type Resource struct {
	URI                      string // or the URI template (RFC 6570) when Template is true
	Template                 bool
	Name, Title, Description string
	MIMEType                 string
	Size                     *int64
	Annotations, Icons, Meta json.RawMessage
	Extra                    json.RawMessage
	Wire                     Encodings
}

// Encodings keeps the wire form of a thing, one slot per revision, made once.
type Encodings struct {
	slots [MaxRevisions]atomic.Pointer[[]byte]
}

// MaxRevisions is the number of slots in Encodings.
const MaxRevisions = 8

// Get returns what slot holds, making it at first use. Two goroutines may both
// make it; they make the same.
func (e *Encodings) Get(slot int, encode func() []byte) []byte {
	if p := e.slots[slot].Load(); p != nil {
		return *p
	}
	b := encode()
	e.slots[slot].Store(&b)
	return b
}
