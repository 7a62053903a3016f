// Package result carries a core.Result across the boundary of a plugin: as the JSON
// of a CallToolResult, in the shape of MCP revision 2026-07-28 (schema.ts,
// CallToolResult and ContentBlock).
//
//	core.Result ──Append──► {"content":[…],"structuredContent":…,"isError":true,"_meta":{…}} ──► guest
//	core.Result ◄──Parse─── what a guest answers, which nobody trusts
//
// Parse(Append(r)) is r, but for what a CallToolResult has no place for: Mismatch, and
// the fields of prompts and resources.
//
//	payload, err := result.Append(nil, answer)
//	// … the guest rewrites payload …
//	answer, err = result.Parse(payload) // answer and payload share memory
//	if err != nil {
//		// "/content/0/text must be a string, not a number"
//	}
package result

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// ErrInput is the error of Append for a result that asks the client for input: it has
// no content yet that a plugin could read.
var ErrInput = errors.New("the result asks the client for input and cannot be given to a plugin")

// Append appends r as a CallToolResult. What r holds as JSON (Structured, Meta, Raw,
// …) goes out as it is. Errors say which block cannot be written; dst is then
// returned as it was.
func Append(dst []byte, r *core.Result) ([]byte, error) {
	if r == nil {
		return dst, errors.New("there is no result")
	}
	if len(r.InputRequests) > 0 {
		return dst, ErrInput
	}
	before := len(dst)
	dst = append(grow(dst, size(r)), `{"content":[`...)
	for i := range r.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendBlock(dst, &r.Content[i]); err != nil {
			return dst[:before], fmt.Errorf("/content/%d: %w", i, err)
		}
	}
	dst = append(dst, ']')
	dst = raw(dst, `,"structuredContent":`, r.Structured)
	if r.IsError {
		dst = append(dst, `,"isError":true`...)
	}
	dst = raw(dst, `,"_meta":`, r.Meta)
	return append(dst, '}'), nil
}

// grow is slices.Grow, which a caller with a large buffer pays nothing for.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	bigger := make([]byte, len(dst), len(dst)+n)
	copy(bigger, dst)
	return bigger
}

func appendBlock(dst []byte, c *core.Content) ([]byte, error) {
	if len(c.Raw) > 0 {
		return append(dst, c.Raw...), nil
	}
	switch c.Type {
	case "text":
		dst = wire.AppendString(append(dst, `{"type":"text","text":`...), c.Text)
	case "image", "audio":
		dst = append(append(append(dst, `{"type":"`...), c.Type...), `","data":`...)
		dst = appendBytes(dst, c.Data)
		dst = wire.AppendString(append(dst, `,"mimeType":`...), c.MIMEType)
	case "resource":
		if c.Resource == nil {
			return dst, errors.New("a block of type resource without its resource")
		}
		dst = appendResource(append(dst, `{"type":"resource","resource":`...), c.Resource)
	case "resource_link":
		dst = wire.AppendString(append(dst, `{"type":"resource_link","uri":`...), c.URI)
		dst = wire.AppendString(append(dst, `,"name":`...), c.Name)
		dst = optional(dst, `,"title":`, c.Title)
		dst = optional(dst, `,"description":`, c.Description)
		dst = optional(dst, `,"mimeType":`, c.MIMEType)
		if c.Size != nil {
			dst = strconv.AppendInt(append(dst, `,"size":`...), *c.Size, 10)
		}
		dst = raw(dst, `,"icons":`, c.Icons)
	default:
		return dst, errors.New("a block of an unknown type without its JSON")
	}
	dst = raw(dst, `,"annotations":`, c.Annotations)
	dst = raw(dst, `,"_meta":`, c.Meta)
	return append(dst, '}'), nil
}

func appendResource(dst []byte, r *core.ResourceContents) []byte {
	dst = wire.AppendString(append(dst, `{"uri":`...), r.URI)
	dst = optional(dst, `,"mimeType":`, r.MIMEType)
	if r.Binary {
		dst = appendBytes(append(dst, `,"blob":`...), r.Blob)
	} else {
		dst = wire.AppendString(append(dst, `,"text":`...), r.Text)
	}
	dst = raw(dst, `,"_meta":`, r.Meta)
	return append(dst, '}')
}

// raw appends a member whose value is JSON already, unless there is none. start is the
// comma, the name and the colon.
func raw(dst []byte, start string, value json.RawMessage) []byte {
	if len(value) == 0 {
		return dst
	}
	return append(append(dst, start...), value...)
}

// optional is raw for a text.
func optional(dst []byte, start, value string) []byte {
	if value == "" {
		return dst
	}
	return wire.AppendString(append(dst, start...), value)
}

func appendBytes(dst, value []byte) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), value)
	return append(dst, '"')
}

// size returns how many bytes r takes, but for rare characters.
func size(r *core.Result) int {
	const frame = 96 // names and brackets of a block, or of the whole
	n := frame + len(r.Structured) + len(r.Meta)
	for i := range r.Content {
		c := &r.Content[i]
		n += frame + len(c.Raw)
		if len(c.Raw) > 0 {
			continue
		}
		n += textSize(c.Text) + base64.StdEncoding.EncodedLen(len(c.Data)) + len(c.MIMEType) + len(c.Annotations) + len(c.Meta)
		n += len(c.URI) + len(c.Name) + len(c.Title) + len(c.Description) + len(c.Icons)
		if c.Resource != nil {
			n += len(c.Resource.URI) + len(c.Resource.MIMEType) + textSize(c.Resource.Text)
			n += base64.StdEncoding.EncodedLen(len(c.Resource.Blob)) + len(c.Resource.Meta)
		}
	}
	return n
}

// textSize counts the escapes that texts of tools have many of.
func textSize(s string) int {
	return len(s) + strings.Count(s, `"`) + strings.Count(s, `\`) + strings.Count(s, "\n")
}
