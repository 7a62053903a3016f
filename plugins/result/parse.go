package result

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// limits bounds what a guest answers: its size is bounded by the frame, its depth by
// sdk/ABI.md section 5.
var limits = wire.Limits{Depth: 64, Keys: 1_000_000, String: 64 << 20, Number: 1024}

// maxBlocks is how many content blocks one result may have: each takes a few hundred
// bytes of memory, however short it is on the wire.
const maxBlocks = 10_000

// Parse reads one CallToolResult. It is strict: what it knows must have the right
// type, and what MCP requires must be there; content may be absent when
// structuredContent is there. Unknown members of the result itself are dropped, as
// core.Result has no place for them. A block of an unknown type, or with members that
// core.Content does not know, is kept whole in Raw, beside the fields that are known.
//
// The result shares memory with b, which must not change afterwards. An error names
// the member as a JSON Pointer (RFC 6901) and never its value.
func Parse(b []byte) (*core.Result, error) {
	if err := wire.Check(b, limits); err != nil {
		return nil, err
	}
	if !wire.IsObject(b) {
		return nil, wrong(place{}, "an object", b)
	}
	p := parsers.Get().(*parser)
	defer p.close()
	r := &core.Result{}
	var content, structured bool
	err := wire.Walk(b, func(name string, v json.RawMessage) error {
		switch name {
		case "content":
			content = true
			return p.content(r, v)
		case "structuredContent":
			structured, r.Structured = true, v
		case "isError":
			return boolean(&r.IsError, place{member: name}, v)
		case "_meta":
			return object(&r.Meta, place{member: name}, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !content && !structured {
		return nil, errors.New("it has neither content nor structuredContent")
	}
	return r, nil
}

// place is where a member stands.
type place struct {
	block    int // 1-based; 0 = in the result itself
	resource bool
	member   string
}

func (at place) String() string {
	s := ""
	if at.block > 0 {
		s = "/content/" + strconv.Itoa(at.block-1)
	}
	if at.resource {
		s += "/resource"
	}
	if at.member != "" {
		s += "/" + at.member
	}
	if s == "" {
		return "it"
	}
	return s
}

func wrong(at place, want string, got []byte) error {
	return errors.New(at.String() + " must be " + want + ", not " + sort(got))
}

func missing(at place, member string) error {
	at.member = ""
	return errors.New(at.String() + " has no " + member)
}

// sort says what a JSON value is.
func sort(v []byte) string {
	switch {
	case wire.IsObject(v):
		return "an object"
	case wire.IsArray(v):
		return "an array"
	case wire.IsString(v):
		return "a string"
	case wire.IsNumber(v):
		return "a number"
	case wire.IsNull(v):
		return "null"
	}
	return "a boolean"
}

// parser keeps the buffer in which strings lose their escapes.
type parser struct{ scratch []byte }

var parsers = sync.Pool{New: func() any { return new(parser) }}

const keptScratch = 64 << 10

func (p *parser) close() {
	if cap(p.scratch) > keptScratch {
		p.scratch = nil
	}
	parsers.Put(p)
}

func (p *parser) content(r *core.Result, v json.RawMessage) error {
	if !wire.IsArray(v) {
		return wrong(place{member: "content"}, "an array", v)
	}
	return wire.WalkElements(v, func(block json.RawMessage) error {
		if len(r.Content) == maxBlocks {
			return errors.New("/content has more than " + strconv.Itoa(maxBlocks) + " blocks")
		}
		r.Content = append(r.Content, core.Content{})
		return p.block(&r.Content[len(r.Content)-1], len(r.Content), block)
	})
}

// members are those of a block that were there, as bits.
type members uint16

const (
	hasType members = 1 << iota
	hasText
	hasData
	hasMIME
	hasResource
	hasURI
	hasName
	hasTitle
	hasDescription
	hasSize
	hasIcons
	hasShared // annotations and _meta, which every block may have
	hasOther
)

// kinds says of each type which members it has, and which it must have.
func kinds(name string) (may, must members, known bool) {
	switch name {
	case "text":
		return hasText, hasText, true
	case "image", "audio":
		return hasData | hasMIME, hasData | hasMIME, true
	case "resource":
		return hasResource, hasResource, true
	case "resource_link":
		return hasURI | hasName | hasTitle | hasDescription | hasMIME | hasSize | hasIcons, hasURI | hasName, true
	}
	return 0, 0, false
}

// names of members that a type may require.
var required = [...]struct {
	bit  members
	name string
}{{hasText, "text"}, {hasData, "data"}, {hasMIME, "mimeType"}, {hasResource, "resource"}, {hasURI, "uri"}, {hasName, "name"}}

func (p *parser) block(c *core.Content, n int, b json.RawMessage) error {
	at := place{block: n}
	if !wire.IsObject(b) {
		return wrong(at, "an object", b)
	}
	// The type may stand last, and decides what the others are.
	err := wire.Walk(b, func(name string, v json.RawMessage) error {
		if name != "type" {
			return nil
		}
		at.member = name
		return p.text(&c.Type, at, v)
	})
	at.member = ""
	switch {
	case err != nil:
		return err
	case c.Type == "":
		return missing(at, "type")
	}
	may, must, known := kinds(c.Type)
	if !known {
		c.Raw = b
		return nil
	}
	may |= hasType | hasShared
	var has members
	err = wire.Walk(b, func(name string, v json.RawMessage) error {
		at := place{block: n, member: name}
		bit := bitOf(name)
		if bit&^may != 0 {
			bit = hasOther
		}
		has |= bit
		switch bit {
		case hasText:
			return p.text(&c.Text, at, v)
		case hasData:
			return p.bytes(&c.Data, at, v)
		case hasMIME:
			return p.text(&c.MIMEType, at, v)
		case hasResource:
			return p.resource(c, n, b, v)
		case hasURI:
			return p.text(&c.URI, at, v)
		case hasName:
			return p.text(&c.Name, at, v)
		case hasTitle:
			return p.text(&c.Title, at, v)
		case hasDescription:
			return p.text(&c.Description, at, v)
		case hasSize:
			return number(c, at, b, v)
		case hasIcons:
			return array(&c.Icons, at, v)
		case hasShared:
			if name == "_meta" {
				return object(&c.Meta, at, v)
			}
			return object(&c.Annotations, at, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if has&hasOther != 0 {
		c.Raw = b
	}
	if lacks := must &^ has; lacks != 0 {
		for _, m := range required {
			if lacks&m.bit != 0 {
				return missing(at, m.name)
			}
		}
	}
	return nil
}

func bitOf(name string) members {
	switch name {
	case "type":
		return hasType
	case "text":
		return hasText
	case "data":
		return hasData
	case "mimeType":
		return hasMIME
	case "resource":
		return hasResource
	case "uri":
		return hasURI
	case "name":
		return hasName
	case "title":
		return hasTitle
	case "description":
		return hasDescription
	case "size":
		return hasSize
	case "icons":
		return hasIcons
	case "annotations", "_meta":
		return hasShared
	}
	return hasOther
}

// resource reads the contents of an embedded resource; block is kept when they have
// members that are not known.
func (p *parser) resource(c *core.Content, n int, block, v json.RawMessage) error {
	at := place{block: n, resource: true}
	if !wire.IsObject(v) {
		return wrong(at, "an object", v)
	}
	r := &core.ResourceContents{}
	c.Resource = r
	var uri, text bool
	err := wire.Walk(v, func(name string, v json.RawMessage) error {
		at := place{block: n, resource: true, member: name}
		switch name {
		case "uri":
			uri = true
			return p.text(&r.URI, at, v)
		case "mimeType":
			return p.text(&r.MIMEType, at, v)
		case "text":
			text = true
			return p.text(&r.Text, at, v)
		case "blob":
			r.Binary = true
			return p.bytes(&r.Blob, at, v)
		case "_meta":
			return object(&r.Meta, at, v)
		}
		c.Raw = block
		return nil
	})
	switch {
	case err != nil:
		return err
	case !uri:
		return missing(at, "uri")
	case !text && !r.Binary:
		return missing(at, "text and no blob")
	case text && r.Binary:
		return errors.New(at.String() + " has both text and blob")
	}
	return nil
}

func (p *parser) text(to *string, at place, v json.RawMessage) error {
	if !wire.IsString(v) {
		return wrong(at, "a string", v)
	}
	*to = string(p.unquoted(v))
	return nil
}

// unquoted returns what a string means. It is valid until the next call.
func (p *parser) unquoted(v json.RawMessage) []byte {
	inner := v[1 : len(v)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	p.scratch = wire.AppendUnquoted(p.scratch[:0], v)
	return p.scratch
}

func (p *parser) bytes(to *[]byte, at place, v json.RawMessage) error {
	if !wire.IsString(v) {
		return wrong(at, "a string in base64", v)
	}
	encoded := p.unquoted(v)
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Strict().Decode(decoded, encoded)
	// A line break inside passes the decoder, and what comes out would be another text.
	if err != nil || base64.StdEncoding.EncodedLen(n) != len(encoded) {
		return errors.New(at.String() + " must be base64 (RFC 4648 section 4), with padding and without line breaks")
	}
	*to = decoded[:n]
	return nil
}

// number reads a size. One that is no whole number of bytes keeps its block whole.
func number(c *core.Content, at place, block, v json.RawMessage) error {
	if !wire.IsNumber(v) {
		return wrong(at, "a number", v)
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || string(v) == "-0" {
		c.Raw = block
		return nil //nolint:nilerr // a number that does not fit stays as it was written
	}
	c.Size = &n
	return nil
}

func boolean(to *bool, at place, v json.RawMessage) error {
	switch string(v) {
	case "true":
		*to = true
	case "false":
	default:
		return wrong(at, "true or false", v)
	}
	return nil
}

func object(to *json.RawMessage, at place, v json.RawMessage) error {
	if !wire.IsObject(v) {
		return wrong(at, "an object", v)
	}
	*to = v
	return nil
}

func array(to *json.RawMessage, at place, v json.RawMessage) error {
	if !wire.IsArray(v) {
		return wrong(at, "an array", v)
	}
	*to = v
	return nil
}
