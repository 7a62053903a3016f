package plugin

import (
	"encoding/base64"
	"encoding/json"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
)

// Result is what a tool answers with, and what a response transformer reads and
// changes: MCP's CallToolResult. Members that this package does not know are kept
// in Rest.
type Result struct {
	Content    []Content
	Structured json.RawMessage // a JSON object; nil = none
	IsError    bool
	Rest       map[string]json.RawMessage // other members, as _meta

	payload []byte // set by Raw and Plain: the answer as it goes out
	mime    string // of payload; "" = it is a CallToolResult
}

// Content is one block of a Result.
type Content struct {
	Type     string                     // text, image, audio, resource, resource_link
	Text     string                     // of text
	Data     string                     // of image and audio, base64
	MIMEType string                     // of image and audio
	Rest     map[string]json.RawMessage // other members: resource, annotations, _meta
}

// Text is a result of one block of text.
func Text(s string) Result {
	return Result{Content: []Content{{Type: "text", Text: s}}}
}

// Image is a result of one image; data is the file.
func Image(mimeType string, data []byte) Result {
	return Result{Content: []Content{{Type: "image", MIMEType: mimeType, Data: base64.StdEncoding.EncodeToString(data)}}}
}

// JSON is a result of structured content. Older clients read the same JSON as
// text. What is no JSON object becomes text only.
func JSON(v any) (Result, error) {
	b, err := marshal(v)
	if err != nil {
		return Result{}, err
	}
	r := Text(string(b))
	if len(b) > 0 && b[0] == '{' {
		r.Structured = b
	}
	return r, nil
}

// Raw is a result that is encoded already: a CallToolResult in JSON. It is copied
// when the handler has returned, so it may be a piece of the arguments.
func Raw(callToolResult []byte) Result {
	return Result{payload: orEmpty(callToolResult)}
}

// Plain is one block of text that need not become a string first; it must be valid
// UTF-8. Like Raw it is copied when the handler has returned.
func Plain(text []byte) Result {
	return Result{payload: orEmpty(text), mime: "text/plain"}
}

// PlainAs is Plain with a type of text that is not text/plain: text/markdown,
// text/csv. What does not begin with text/ is taken as text/plain.
func PlainAs(mimeType string, text []byte) Result {
	if !strings.HasPrefix(mimeType, "text/") {
		return Plain(text)
	}
	return Result{payload: orEmpty(text), mime: mimeType}
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// The frame of a text block up to the payload: the host wraps the text, which
// saves the guest the quoting.
var plainHead = string(frame.AppendOut(nil, uint16(StatusOK), []frame.Pair{{Key: "mime", Value: "text/plain"}}, nil))

var okHead = string(frame.AppendOut(nil, uint16(StatusOK), nil, nil))

// appendFrame appends the frame that a tool answers with.
func (r *Result) appendFrame(dst []byte) []byte {
	switch {
	case r.payload != nil && r.mime == "text/plain":
		return append(append(dst, plainHead...), r.payload...)
	case r.payload != nil && r.mime != "":
		return frame.AppendOut(dst, uint16(StatusOK), []frame.Pair{{Key: "mime", Value: r.mime}}, r.payload)
	case r.payload == nil && len(r.Content) == 1 && !r.IsError && r.Structured == nil && r.Rest == nil:
		c := &r.Content[0]
		if c.Type == "text" && c.Rest == nil && c.Data == "" && c.MIMEType == "" && utf8.ValidString(c.Text) {
			return append(append(dst, plainHead...), c.Text...)
		}
	}
	return r.appendJSON(append(dst, okHead...))
}

// appendJSON appends the CallToolResult.
func (r *Result) appendJSON(dst []byte) []byte {
	if r.payload != nil {
		if r.mime == "" {
			return append(dst, r.payload...)
		}
		text := Text(string(r.payload))
		return text.appendJSON(dst)
	}
	dst = append(dst, `{"content":[`...)
	for i := range r.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = r.Content[i].appendJSON(dst)
	}
	dst = append(dst, ']')
	if r.Structured != nil {
		dst = append(append(dst, `,"structuredContent":`...), r.Structured...)
	}
	if r.IsError {
		dst = append(dst, `,"isError":true`...)
	}
	return append(appendRest(dst, r.Rest), '}')
}

func (c *Content) appendJSON(dst []byte) []byte {
	dst = appendString(append(dst, `{"type":`...), c.Type)
	if c.Text != "" || c.Type == "text" {
		dst = appendString(append(dst, `,"text":`...), c.Text)
	}
	if c.Data != "" || c.Type == "image" || c.Type == "audio" {
		dst = appendString(append(dst, `,"data":`...), c.Data)
	}
	if c.MIMEType != "" {
		dst = appendString(append(dst, `,"mimeType":`...), c.MIMEType)
	}
	return append(appendRest(dst, c.Rest), '}')
}

// appendRest appends members in the order of their names, so that the same result
// always makes the same bytes.
func appendRest(dst []byte, rest map[string]json.RawMessage) []byte {
	if len(rest) == 0 {
		return dst
	}
	names := make([]string, 0, len(rest))
	for name := range rest {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		dst = append(appendString(append(dst, ','), name), ':')
		if raw := rest[name]; len(raw) > 0 {
			dst = append(dst, raw...)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return dst
}

// MarshalJSON encodes a CallToolResult.
func (r Result) MarshalJSON() ([]byte, error) { return r.appendJSON(nil), nil }

// UnmarshalJSON decodes a CallToolResult. Nothing of it is lost: what has no field
// goes to Rest.
func (r *Result) UnmarshalJSON(b []byte) error {
	*r = Result{}
	d := decoder{b: b}
	return d.object(func(name []byte) error {
		switch string(name) {
		case "content":
			if d.null() {
				return nil
			}
			return d.array(func(int) error {
				c, err := d.content()
				r.Content = append(r.Content, c)
				return err
			})
		case "structuredContent":
			raw, err := d.skip()
			if string(raw) != "null" {
				r.Structured = append(json.RawMessage(nil), raw...)
			}
			return err
		case "isError":
			switch d.peek() {
			case 't', 'f', 'n':
				r.IsError = d.word("true")
				if r.IsError || d.word("false") || d.word("null") {
					return nil
				}
			}
			return under(".isError", d.want("a boolean"))
		}
		return d.rest(&r.Rest, name)
	})
}

func (d *decoder) content() (Content, error) {
	var c Content
	err := d.object(func(name []byte) (err error) {
		switch string(name) {
		case "type":
			c.Type, err = d.text()
		case "text":
			c.Text, err = d.text()
		case "data":
			c.Data, err = d.text()
		case "mimeType":
			c.MIMEType, err = d.text()
		default:
			err = d.rest(&c.Rest, name)
		}
		return err
	})
	return c, err
}

func (d *decoder) rest(rest *map[string]json.RawMessage, name []byte) error {
	key := string(name)
	raw, err := d.skip()
	if *rest == nil {
		*rest = map[string]json.RawMessage{}
	}
	(*rest)[key] = append(json.RawMessage(nil), raw...)
	return err
}

var (
	_ json.Marshaler   = Result{}
	_ json.Unmarshaler = (*Result)(nil)
)
