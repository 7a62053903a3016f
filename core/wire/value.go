package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	v2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

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
	if last := len(b) - 1; last > 0 && last-1 <= Default.String && b[0] == '"' && b[last] == '"' && span(b, 1) == last {
		*v = string(b[1:last])
		return nil
	}
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
		dst, ok := quote(dst, v)
		if !ok {
			return nil, true, errors.New("write JSON: a string is not UTF-8")
		}
		return dst, true, nil
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
		var room [16]string
		names := room[:0]
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		dst = append(dst, '{')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			var ok bool
			if dst, ok = quote(dst, name); !ok {
				return nil, true, errors.New("write JSON: a name is not UTF-8")
			}
			dst = append(dst, ':')
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
	if end, ok := numberEnd(text, 0); !ok || end != len(text) {
		return errors.New("write JSON: a json.Number is not a number")
	}
	return nil
}
