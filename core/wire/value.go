package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	v2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

// Decode reads exactly one value within Default: map[string]any, []any, string,
// json.Number, bool or nil.
func Decode(b []byte) (any, error) { return DecodeWithin(b, Default) }

// DecodeWithin is Decode with other limits.
func DecodeWithin(b []byte, l Limits) (any, error) {
	r := open(b, l)
	defer r.close()
	v, err := r.decode()
	if err != nil {
		return nil, err
	}
	return v, r.end()
}

// DecodeObject is Decode for what must be an object.
func DecodeObject(b []byte) (map[string]any, error) {
	v, err := Decode(b)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, &SyntaxError{Message: "want an object"}
	}
	return object, nil
}

func (r *reader) decode() (any, error) {
	switch r.decoder.PeekKind() {
	case '{':
		if r.decoder.StackDepth() >= r.limits.Depth {
			return nil, r.past("nested deeper than %d", r.limits.Depth)
		}
		if _, err := r.decoder.ReadToken(); err != nil {
			return nil, r.fail(err)
		}
		object := map[string]any{}
		for r.decoder.PeekKind() == '"' {
			name, err := r.name()
			if err != nil {
				return nil, err
			}
			if object[name], err = r.decode(); err != nil {
				return nil, err
			}
		}
		_, err := r.decoder.ReadToken()
		return object, r.fail(err)
	case '[':
		if r.decoder.StackDepth() >= r.limits.Depth {
			return nil, r.past("nested deeper than %d", r.limits.Depth)
		}
		if _, err := r.decoder.ReadToken(); err != nil {
			return nil, r.fail(err)
		}
		array := []any{}
		for kind := r.decoder.PeekKind(); kind != ']' && kind != 0; kind = r.decoder.PeekKind() {
			element, err := r.decode()
			if err != nil {
				return nil, err
			}
			array = append(array, element)
		}
		_, err := r.decoder.ReadToken()
		return array, r.fail(err)
	case '"':
		text, err := r.decoder.ReadValue()
		if err != nil {
			return nil, r.fail(err)
		}
		if len(text)-2 > r.limits.String {
			return nil, r.past("a string longer than %d bytes", r.limits.String)
		}
		if bytes.IndexByte(text, '\\') < 0 {
			return string(text[1 : len(text)-1]), nil
		}
		plain, err := jsontext.AppendUnquote(nil, text)
		return string(plain), r.fail(err)
	case '0':
		text, err := r.decoder.ReadValue()
		if err != nil {
			return nil, r.fail(err)
		}
		if len(text) > r.limits.Number {
			return nil, r.past("a number longer than %d characters", r.limits.Number)
		}
		return json.Number(text), nil
	}
	token, err := r.decoder.ReadToken()
	if err != nil {
		return nil, r.fail(err)
	}
	switch token.Kind() {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return nil, nil //nolint:nilnil // null is nil
}

// The options of Unmarshal and Marshal: v2 rules, but json.Number is a number,
// and omitempty means what it means in the standard library.
var (
	reading = v2.JoinOptions(
		v2.WithUnmarshalers(v2.JoinUnmarshalers(
			v2.UnmarshalFromFunc(func(d *jsontext.Decoder, v *json.Number) error {
				if d.PeekKind() != '0' {
					return errors.ErrUnsupported
				}
				text, err := d.ReadValue()
				*v = json.Number(text)
				return err
			}),
			v2.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
				text, err := d.ReadValue()
				if err != nil {
					return err
				}
				*v, err = Decode(text)
				return err
			}),
		)),
	)
	writing = v2.JoinOptions(
		v2.Deterministic(true),
		v1.OmitEmptyWithLegacySemantics(true),
		v2.WithMarshalers(v2.MarshalToFunc(func(e *jsontext.Encoder, v json.Number) error {
			if v == "" {
				v = "0"
			}
			return e.WriteValue(jsontext.Value(v))
		})),
	)
)

// Unmarshal reads exactly one value within Default into v. Names match in exact
// case; unknown ones are ignored. An any takes what Decode gives.
func Unmarshal(b []byte, v any) error {
	switch v := v.(type) {
	case *any:
		value, err := Decode(b)
		*v = value
		return err
	case *string:
		return unmarshalString(b, v)
	}
	if err := Check(b, Default); err != nil {
		return err
	}
	err := v2.Unmarshal(b, v, reading)
	if err == nil {
		return nil
	}
	var semantic *v2.SemanticError
	if errors.As(err, &semantic) {
		return &SyntaxError{Offset: int(semantic.ByteOffset), Path: string(semantic.JSONPointer), Message: misfit(semantic)}
	}
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return syntax
	}
	return &SyntaxError{Message: clip(err.Error(), 200)}
}

func unmarshalString(b []byte, v *string) error {
	value, err := Decode(b)
	if err != nil {
		return err
	}
	text, ok := value.(string)
	if !ok {
		return &SyntaxError{Message: "want a string"}
	}
	*v = text
	return nil
}

// misfit says that a value has the wrong type, in words of JSON.
func misfit(e *v2.SemanticError) string {
	found := "this value"
	switch e.JSONKind {
	case '{':
		found = "an object"
	case '[':
		found = "an array"
	case '"':
		found = "a string"
	case '0':
		found = "a number"
	case 't', 'f':
		found = "a boolean"
	case 'n':
		found = "null"
	}
	return found + " does not fit here"
}

// Marshal writes v: map keys sorted, json.Number and json.RawMessage as they are,
// no HTML escaping, nil slices as [] and nil maps as {}.
func Marshal(v any) ([]byte, error) {
	if b, ok, err := appendValue(nil, v); ok {
		return b, err
	}
	b, err := v2.Marshal(v, writing)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return b, nil
}

// appendValue appends what Decode gives; false when v is, or holds, anything else.
func appendValue(dst []byte, v any) ([]byte, bool, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), true, nil
	case bool:
		if v {
			return append(dst, "true"...), true, nil
		}
		return append(dst, "false"...), true, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, true, errors.New("write JSON: a string is not UTF-8")
		}
		return AppendString(dst, v), true, nil
	case json.Number:
		if v == "" {
			v = "0"
		}
		if err := checkNumber(string(v)); err != nil {
			return nil, true, err
		}
		return append(dst, v...), true, nil
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			var ok bool
			var err error
			if dst, ok, err = appendValue(dst, element); !ok || err != nil {
				return nil, ok, err
			}
		}
		return append(dst, ']'), true, nil
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		dst = append(dst, '{')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			if !utf8.ValidString(name) {
				return nil, true, errors.New("write JSON: a name is not UTF-8")
			}
			dst = append(AppendString(dst, name), ':')
			var ok bool
			var err error
			if dst, ok, err = appendValue(dst, v[name]); !ok || err != nil {
				return nil, ok, err
			}
		}
		return append(dst, '}'), true, nil
	}
	return nil, false, nil
}

func checkNumber(text string) error {
	value := jsontext.Value(text)
	if value.Kind() != '0' || strings.TrimSpace(text) != text || !value.IsValid() {
		return errors.New("write JSON: a json.Number is not a number")
	}
	return nil
}

// AppendString appends s as one JSON string, quotes included. The result has no
// line break, so it may stand in one SSE data line. Bytes that are not UTF-8
// become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		out, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD")) // cannot fail on UTF-8
	}
	return out
}

// Compact returns b without insignificant white space, after checking it like
// Check with Default. Strings and numbers keep their spelling. b is returned
// itself when there is nothing to take out.
func Compact(b []byte) ([]byte, error) {
	if err := Check(b, Default); err != nil {
		return nil, err
	}
	if !spaced(b) {
		return b, nil
	}
	out := make([]byte, 0, len(b))
	quoted := false
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case quoted:
			if c == '\\' {
				out = append(out, c)
				i++
				c = b[i]
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		}
		out = append(out, c)
	}
	return out, nil
}

// spaced tells whether there is white space outside strings in checked JSON.
func spaced(b []byte) bool {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			return true
		}
	}
	return false
}
