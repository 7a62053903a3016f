package mcp

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// member appends the name of an object's next member. dst ends with the brace that
// opened the object, or with a value of it.
func member(dst []byte, name string) []byte {
	return append(wire.AppendString(comma(dst), name), ':')
}

// comma is member for what the caller spells.
func comma(dst []byte) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return dst
}

// optional appends a member with a string, unless it is empty.
func optional(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return wire.AppendString(member(dst, name), value)
}

// raw appends a member with a JSON value, unless there is none.
func raw(dst []byte, name string, value json.RawMessage) []byte {
	if len(value) == 0 {
		return dst
	}
	return append(member(dst, name), value...)
}

// passing appends the members of extra, an object or nil, that the object which begins at
// from does not have: ours win.
func passing(dst []byte, from int, extra json.RawMessage) []byte {
	if len(extra) == 0 {
		return dst
	}
	ours := map[string]bool{}
	_ = wire.Walk(append(dst[from:], '}'), func(name string, _ json.RawMessage) error { // written by us
		ours[name] = true
		return nil
	})
	_ = wire.Walk(extra, func(name string, v json.RawMessage) error { // made by us, of what was accepted
		if !ours[name] {
			dst = append(member(dst, name), v...)
		}
		return nil
	})
	return dst
}

func bytesMember(dst []byte, name string, value []byte) []byte {
	dst = append(member(dst, name), '"')
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, '"')
}

// toolWire returns a tool as a list of that revision holds it.
func toolWire(t *core.Tool, rev *revision) []byte {
	return t.Wire.Get(rev.Slot, func() []byte {
		dst := wire.AppendString([]byte(`{"name":`), t.Name)
		if rev.Titles {
			dst = optional(dst, "title", t.Title)
		}
		dst = optional(dst, "description", t.Description)
		schema := t.InputSchema
		if schema == nil {
			schema = json.RawMessage(`{"type":"object"}`)
		}
		dst = raw(dst, "inputSchema", schema)
		if rev.Structured && (rev.AnyStructured || objectSchema(t.OutputSchema)) {
			dst = raw(dst, "outputSchema", t.OutputSchema)
		}
		if rev.ToolAnnotations {
			dst = raw(dst, "annotations", t.Annotations)
		}
		if rev.Icons {
			dst = raw(dst, "icons", t.Icons)
		}
		if rev.Execution {
			dst = raw(dst, "execution", t.Execution)
		}
		if rev.ObjectMeta {
			dst = raw(dst, "_meta", t.Meta)
		}
		return append(passing(dst, 0, t.Extra), '}')
	})
}

// objectSchema tells whether a schema says type: object at its root.
func objectSchema(schema json.RawMessage) bool {
	is := false
	err := wire.Fields(schema, func(name string, v json.RawMessage) error {
		if name == "type" {
			is = string(v) == `"object"`
		}
		return nil
	})
	return err == nil && is
}

func promptWire(p *core.Prompt, rev *revision) []byte {
	return p.Wire.Get(rev.Slot, func() []byte {
		dst := wire.AppendString([]byte(`{"name":`), p.Name)
		if rev.Titles {
			dst = optional(dst, "title", p.Title)
		}
		dst = optional(dst, "description", p.Description)
		if len(p.Arguments) > 0 {
			dst = append(member(dst, "arguments"), '[')
			for i, a := range p.Arguments {
				if i > 0 {
					dst = append(dst, ',')
				}
				from := len(dst)
				dst = wire.AppendString(append(dst, `{"name":`...), a.Name)
				if rev.Titles {
					dst = optional(dst, "title", a.Title)
				}
				dst = optional(dst, "description", a.Description)
				dst = strconv.AppendBool(member(dst, "required"), a.Required)
				dst = append(passing(dst, from, a.Extra), '}')
			}
			dst = append(dst, ']')
		}
		if rev.Icons {
			dst = raw(dst, "icons", p.Icons)
		}
		if rev.ObjectMeta {
			dst = raw(dst, "_meta", p.Meta)
		}
		return append(passing(dst, 0, p.Extra), '}')
	})
}

// resourceWire returns a resource or a resource template.
func resourceWire(r *core.Resource, rev *revision) []byte {
	return r.Wire.Get(rev.Slot, func() []byte {
		dst := []byte{'{'}
		if r.Template {
			dst = wire.AppendString(member(dst, "uriTemplate"), r.URI)
		} else {
			dst = wire.AppendString(member(dst, "uri"), r.URI)
		}
		dst = wire.AppendString(member(dst, "name"), r.Name)
		if rev.Titles {
			dst = optional(dst, "title", r.Title)
		}
		dst = optional(dst, "description", r.Description)
		dst = optional(dst, "mimeType", r.MIMEType)
		if r.Size != nil && !r.Template {
			dst = strconv.AppendInt(member(dst, "size"), *r.Size, 10)
		}
		dst = raw(dst, "annotations", r.Annotations)
		if rev.Icons {
			dst = raw(dst, "icons", r.Icons)
		}
		if rev.ObjectMeta {
			dst = raw(dst, "_meta", r.Meta)
		}
		return append(passing(dst, 0, r.Extra), '}')
	})
}

// textSize returns how many bytes s takes as a JSON string, but for rare characters.
func textSize(s string) int {
	return len(s) + strings.Count(s, `"`) + strings.Count(s, `\`) + strings.Count(s, "\n") + 2
}

// blockSize is textSize for a content block.
func blockSize(c *core.Content) int {
	const frame = 64
	if c.Raw != nil {
		return frame + len(c.Raw)
	}
	size := frame + len(c.Annotations) + len(c.Meta) + base64.StdEncoding.EncodedLen(len(c.Data))
	if c.Text != "" {
		size += textSize(c.Text)
	}
	if c.Resource != nil {
		size += contentsSize(c.Resource)
	}
	if c.URI != "" {
		size += frame + len(c.URI) + len(c.Name) + len(c.Title) + len(c.Description) + len(c.Icons)
	}
	return size
}

// contentsSize is textSize for what one URI holds.
func contentsSize(r *core.ResourceContents) int {
	const frame = 64
	if r.Raw != nil {
		return len(r.Raw) + 1
	}
	return frame + len(r.URI) + len(r.MIMEType) + textSize(r.Text) + base64.StdEncoding.EncodedLen(len(r.Blob)) + len(r.Meta)
}

// appendBlock appends one content block. What the revision does not know becomes
// text that says what it was.
func appendBlock(dst []byte, c *core.Content, rev *revision) []byte {
	if c.Raw != nil {
		return appendRawBlock(dst, c.Raw, rev)
	}
	switch {
	case c.Type == "audio" && !rev.AudioContent:
		return appendTextBlock(dst, audioText(c.MIMEType, len(c.Data)), c, rev)
	case c.Type == "resource_link" && !rev.ResourceLink:
		return appendTextBlock(dst, linkText(c.Name, c.Description, c.URI), c, rev)
	}
	switch c.Type {
	case "image", "audio":
		dst = append(append(append(dst, `{"type":"`...), c.Type...), '"')
		dst = bytesMember(dst, "data", c.Data)
		dst = wire.AppendString(member(dst, "mimeType"), c.MIMEType)
	case "resource":
		dst = append(dst, `{"type":"resource","resource":`...)
		r := c.Resource
		if r == nil {
			r = &core.ResourceContents{}
		}
		dst = appendContents(dst, r, rev)
	case "resource_link":
		dst = wire.AppendString(append(dst, `{"type":"resource_link","uri":`...), c.URI)
		dst = wire.AppendString(member(dst, "name"), c.Name)
		dst = optional(dst, "title", c.Title)
		dst = optional(dst, "description", c.Description)
		dst = optional(dst, "mimeType", c.MIMEType)
		if c.Size != nil {
			dst = strconv.AppendInt(member(dst, "size"), *c.Size, 10)
		}
		if rev.Icons {
			dst = raw(dst, "icons", c.Icons)
		}
	default:
		return appendTextBlock(dst, c.Text, c, rev)
	}
	return appendBlockEnd(dst, c, rev)
}

func appendTextBlock(dst []byte, text string, c *core.Content, rev *revision) []byte {
	dst = wire.AppendString(append(dst, `{"type":"text","text":`...), text)
	return appendBlockEnd(dst, c, rev)
}

func appendBlockEnd(dst []byte, c *core.Content, rev *revision) []byte {
	dst = raw(dst, "annotations", c.Annotations)
	if rev.ObjectMeta {
		dst = raw(dst, "_meta", c.Meta)
	}
	return append(dst, '}')
}

// appendRawBlock appends a block that came as JSON, as it is where the revision
// knows its type.
func appendRawBlock(dst []byte, block json.RawMessage, rev *revision) []byte {
	if rev.AudioContent && rev.ResourceLink {
		return append(dst, block...)
	}
	var kind, uri, name, description, mimeType string
	var size int
	err := wire.Fields(block, func(key string, v json.RawMessage) error {
		switch key {
		case "type":
			kind, _ = text(v)
		case "uri":
			uri, _ = text(v)
		case "name":
			name, _ = text(v)
		case "description":
			description, _ = text(v)
		case "mimeType":
			mimeType, _ = text(v)
		case "data":
			encoded, _ := text(v)
			size = base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(encoded, "=")))
		}
		return nil
	})
	none := &core.Content{}
	switch {
	case err != nil:
	case kind == "audio" && !rev.AudioContent:
		return appendTextBlock(dst, audioText(mimeType, size), none, rev)
	case kind == "resource_link" && !rev.ResourceLink:
		return appendTextBlock(dst, linkText(name, description, uri), none, rev)
	}
	return append(dst, block...)
}

func audioText(mimeType string, size int) string {
	if mimeType == "" {
		mimeType = "unknown type"
	}
	return "[audio: " + mimeType + ", " + strconv.Itoa(size) + " bytes]"
}

func linkText(name, description, uri string) string {
	s := name
	if description != "" {
		s += " (" + description + ")"
	}
	if s != "" {
		s += ": "
	}
	return s + uri
}

// appendContents appends what one URI holds.
func appendContents(dst []byte, r *core.ResourceContents, rev *revision) []byte {
	if r.Raw != nil {
		return append(dst, r.Raw...)
	}
	dst = wire.AppendString(append(dst, `{"uri":`...), r.URI)
	dst = optional(dst, "mimeType", r.MIMEType)
	if r.Binary {
		dst = bytesMember(dst, "blob", r.Blob)
	} else {
		dst = wire.AppendString(member(dst, "text"), r.Text)
	}
	if rev.ObjectMeta {
		dst = raw(dst, "_meta", r.Meta)
	}
	return append(dst, '}')
}
