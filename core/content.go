package core

import "encoding/json"

// Content is one block of a result or of a prompt message, in the shape of
// revision 2026-07-28 (ContentBlock). Type decides which fields count.
type Content struct {
	Type        string            `json:"type"` // text, image, audio, resource, resource_link
	Text        string            `json:"text,omitempty"`
	Data        []byte            `json:"data,omitempty"` // image, audio: raw bytes, base64 on the wire
	MIMEType    string            `json:"mimeType,omitempty"`
	Resource    *ResourceContents `json:"resource,omitempty"` // type resource
	URI         string            `json:"uri,omitempty"`      // type resource_link
	Name        string            `json:"name,omitempty"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Size        *int64            `json:"size,omitempty"`
	Annotations json.RawMessage   `json:"annotations,omitempty"`
	Icons       json.RawMessage   `json:"icons,omitempty"`
	Meta        json.RawMessage   `json:"_meta,omitempty"`
	// Raw, when set, is the whole block as JSON and wins over every other field:
	// blocks of unknown types pass through untouched.
	Raw json.RawMessage `json:"-"`
}

// ResourceContents is what one URI holds: Text, or Blob when Binary is true.
type ResourceContents struct {
	URI      string          `json:"uri"`
	MIMEType string          `json:"mimeType,omitempty"`
	Text     string          `json:"text,omitempty"`
	Blob     []byte          `json:"blob,omitempty"` // raw bytes, base64 on the wire
	Binary   bool            `json:"-"`              // true: Blob counts, even when empty
	Meta     json.RawMessage `json:"_meta,omitempty"`
	// Raw, when set, is the whole of it as an upstream sent it; the other fields say the
	// same as far as they go. Whoever changes one of them takes Raw away.
	Raw json.RawMessage `json:"-"`
}

// Text returns a text block.
func Text(text string) Content { return Content{Type: "text", Text: text} }

// Image returns an image block; data are the raw bytes.
func Image(data []byte, mimeType string) Content {
	return Content{Type: "image", Data: data, MIMEType: mimeType}
}

// Audio returns an audio block; data are the raw bytes.
func Audio(data []byte, mimeType string) Content {
	return Content{Type: "audio", Data: data, MIMEType: mimeType}
}

// Embedded returns an embedded resource block.
func Embedded(r ResourceContents) Content { return Content{Type: "resource", Resource: &r} }

// size is what the block holds, roughly.
func (c *Content) size() int {
	n := len(c.Text) + len(c.Data) + len(c.Raw) + len(c.URI) + len(c.Meta)
	if c.Resource != nil {
		n += len(c.Resource.Text) + len(c.Resource.Blob)
	}
	return n
}
