package wire

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// Walk is Fields for bytes that this package has already accepted, such as a
// value that Fields handed out: it finds the members and checks nothing twice,
// which is several times faster. On other bytes it may find members that are
// none, or answer with a *SyntaxError; it reads nothing outside b.
func Walk(b []byte, f func(name string, value json.RawMessage) error) error {
	i := blank(b, 0)
	if i >= len(b) || b[i] != '{' {
		return &SyntaxError{Offset: i, Message: "want an object"}
	}
	i = blank(b, i+1)
	if i < len(b) && b[i] == '}' {
		return nil
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return &SyntaxError{Offset: i, Message: "want a name"}
		}
		end := stringEnd(b, i)
		if end < 0 {
			return &SyntaxError{Offset: i, Message: "ends too early"}
		}
		name, err := plainName(b[i:end])
		if err != nil {
			return err
		}
		i = blank(b, end)
		if i >= len(b) || b[i] != ':' {
			return &SyntaxError{Offset: i, Message: "want a colon"}
		}
		i = blank(b, i+1)
		end = valueEnd(b, i)
		if end <= i {
			return &SyntaxError{Offset: i, Message: "want a value"}
		}
		if err := f(name, b[i:end:end]); err != nil {
			return err
		}
		i = blank(b, end)
		switch {
		case i >= len(b):
			return &SyntaxError{Offset: i, Message: "ends too early"}
		case b[i] == '}':
			return nil
		case b[i] != ',':
			return &SyntaxError{Offset: i, Message: "want a comma"}
		}
		i = blank(b, i+1)
	}
}

// plainName unquotes a name.
func plainName(quoted []byte) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if known, ok := names[string(inner)]; ok {
		return known, nil
	}
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return "", &SyntaxError{Message: reason(err)}
	}
	return string(plain), nil
}

// blank returns the first index at or after i that is not white space.
func blank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// stringEnd returns the index after the string that begins at i, or -1.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// valueEnd returns the index after the value that begins at i, or -1.
func valueEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = stringEnd(b, i); i < 0 {
				return -1
			}
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of a bare number or literal
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	if depth == 0 {
		return i
	}
	return -1
}
