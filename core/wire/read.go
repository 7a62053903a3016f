package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// reader is a decoder with what it needs, kept for the next use.
type reader struct {
	buffer  bytes.Buffer
	decoder jsontext.Decoder
	source  []byte
	limits  Limits
	keys    int
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func open(b []byte, l Limits) *reader {
	r := readers.Get().(*reader)
	// The decoder reads a bytes.Buffer in place, without a copy.
	r.buffer = *bytes.NewBuffer(b)
	r.decoder.Reset(&r.buffer)
	r.source, r.keys = b, 0
	r.limits = l.or(Default)
	return r
}

func (r *reader) close() {
	r.buffer = bytes.Buffer{}
	r.source = nil
	readers.Put(r)
}

func (l Limits) or(d Limits) Limits {
	if l.Depth == 0 {
		l.Depth = d.Depth
	}
	if l.Keys == 0 {
		l.Keys = d.Keys
	}
	if l.String == 0 {
		l.String = d.String
	}
	if l.Number == 0 {
		l.Number = d.Number
	}
	return l
}

// Check tells whether b is exactly one JSON value within l, by the rules of this
// package. The error is a *SyntaxError.
func Check(b []byte, l Limits) error {
	r := open(b, l)
	defer r.close()
	if err := r.skip(); err != nil {
		return err
	}
	return r.end()
}

// Fields calls f for each member of the one object in b, in order, after checking
// the value like Check with Default. value aliases b. Names come unescaped. An
// error of f ends the walk and is returned as it is; a mistake in b is a
// *SyntaxError, and f may have been called for the members before it.
func Fields(b []byte, f func(name string, value json.RawMessage) error) error {
	r := open(b, Default)
	defer r.close()
	if r.decoder.PeekKind() != '{' {
		return r.want("an object")
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return r.fail(err)
	}
	for r.decoder.PeekKind() == '"' {
		name, err := r.name()
		if err != nil {
			return err
		}
		value, err := r.value()
		if err != nil {
			return err
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return r.fail(err)
	}
	return r.end()
}

// Elements calls f for each element of the one array in b, in order, with the
// same rules as Fields.
func Elements(b []byte, f func(value json.RawMessage) error) error {
	r := open(b, Default)
	defer r.close()
	if r.decoder.PeekKind() != '[' {
		return r.want("an array")
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return r.fail(err)
	}
	for r.decoder.PeekKind() != ']' {
		value, err := r.value()
		if err != nil {
			return err
		}
		if err := f(value); err != nil {
			return err
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return r.fail(err)
	}
	return r.end()
}

// value passes over the next value and returns its bytes in the source.
func (r *reader) value() (json.RawMessage, error) {
	if err := r.peek(); err != nil {
		return nil, err
	}
	start := int(r.decoder.InputOffset())
	if err := r.skip(); err != nil {
		return nil, err
	}
	end := int(r.decoder.InputOffset())
	for start < end {
		// InputOffset was taken before the colon or comma and the space around it.
		switch r.source[start] {
		case ' ', '\t', '\r', '\n', ':', ',':
			start++
			continue
		}
		break
	}
	return r.source[start:end:end], nil
}

// peek makes an error of the next token known before it is read.
func (r *reader) peek() error {
	if r.decoder.PeekKind() != 0 {
		return nil
	}
	_, err := r.decoder.ReadToken()
	return r.fail(err)
}

// skip passes over the next value and counts what is in it.
func (r *reader) skip() error {
	top := r.decoder.StackDepth()
	for {
		switch kind := r.decoder.PeekKind(); kind {
		case '{', '[':
			if r.decoder.StackDepth() >= r.limits.Depth {
				return r.past("nested deeper than %d", r.limits.Depth)
			}
			if _, err := r.decoder.ReadToken(); err != nil {
				return r.fail(err)
			}
		case '}', ']':
			if _, err := r.decoder.ReadToken(); err != nil {
				return r.fail(err)
			}
		case '"':
			if within, length := r.decoder.StackIndex(r.decoder.StackDepth()); within == '{' && length%2 == 0 {
				if err := r.count(); err != nil {
					return err
				}
			}
			text, err := r.decoder.ReadValue()
			if err != nil {
				return r.fail(err)
			}
			if len(text)-2 > r.limits.String {
				return r.past("a string longer than %d bytes", r.limits.String)
			}
		case '0':
			text, err := r.decoder.ReadValue()
			if err != nil {
				return r.fail(err)
			}
			if len(text) > r.limits.Number {
				return r.past("a number longer than %d characters", r.limits.Number)
			}
		default: // true, false, null, and every mistake
			if _, err := r.decoder.ReadToken(); err != nil {
				return r.fail(err)
			}
		}
		if r.decoder.StackDepth() == top {
			return nil
		}
	}
}

func (r *reader) count() error {
	r.keys++
	if r.keys > r.limits.Keys {
		return r.past("more than %d members", r.limits.Keys)
	}
	return nil
}

// name reads the name of the next member.
func (r *reader) name() (string, error) {
	if err := r.count(); err != nil {
		return "", err
	}
	text, err := r.decoder.ReadValue()
	if err != nil {
		return "", r.fail(err)
	}
	if len(text)-2 > r.limits.String {
		return "", r.past("a name longer than %d bytes", r.limits.String)
	}
	return plainName(text)
}

// end refuses anything but white space.
func (r *reader) end() error {
	if _, err := r.decoder.ReadToken(); err != io.EOF { //nolint:errorlint // the decoder returns it bare
		if err == nil {
			return &SyntaxError{Offset: int(r.decoder.InputOffset()), Message: "something follows the value"}
		}
		return r.fail(err)
	}
	return nil
}

func (r *reader) want(what string) error {
	if r.decoder.PeekKind() == 0 {
		_, err := r.decoder.ReadToken()
		return r.fail(err)
	}
	return &SyntaxError{Offset: int(r.decoder.InputOffset()), Message: "want " + what}
}

func (r *reader) past(format string, limit int) error {
	return &SyntaxError{
		Offset:  int(r.decoder.InputOffset()),
		Path:    string(r.decoder.StackPointer()),
		Message: fmt.Sprintf(format, limit),
		Limit:   true,
	}
}

// fail makes a *SyntaxError of an error of the decoder.
func (r *reader) fail(err error) error {
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return &SyntaxError{
			Offset:  int(syntax.ByteOffset),
			Path:    string(syntax.JSONPointer),
			Message: reason(syntax.Err),
		}
	}
	if errors.Is(err, io.EOF) {
		return &SyntaxError{Offset: len(r.source), Message: "ends too early"}
	}
	return &SyntaxError{Offset: int(r.decoder.InputOffset()), Message: err.Error()}
}

func reason(err error) string {
	switch {
	case err == nil:
		return "not JSON"
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "the same name twice in one object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "ends too early"
	}
	return clip(err.Error(), 200)
}

// names are those that a walk meets most: they cost no allocation.
var names = func() map[string]string {
	known := map[string]string{}
	for _, name := range []string{
		"jsonrpc", "id", "method", "params", "result", "error", "_meta", "name", "arguments", "uri", "cursor",
		"progressToken", "protocolVersion", "capabilities", "clientInfo", "inputResponses", "requestState",
		"io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo",
		"io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/logLevel",
		"traceparent", "tracestate", "code", "message", "data", "type", "title", "description", "text", "value",
	} {
		known[name] = name
	}
	return known
}()
