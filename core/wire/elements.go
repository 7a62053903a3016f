package wire

import "encoding/json"

// WalkElements is Elements for bytes that this package has already accepted, as Walk
// is Fields.
func WalkElements(b []byte, f func(value json.RawMessage) error) error {
	i := blank(b, 0)
	if i >= len(b) || b[i] != '[' {
		return &SyntaxError{Offset: i, Message: "want an array"}
	}
	i = blank(b, i+1)
	if i < len(b) && b[i] == ']' {
		return nil
	}
	for {
		end := valueEnd(b, i)
		if end <= i {
			return &SyntaxError{Offset: min(i, len(b)), Message: "want a value"}
		}
		if err := f(b[i:end:end]); err != nil {
			return err
		}
		i = blank(b, end)
		switch {
		case i >= len(b):
			return &SyntaxError{Offset: i, Message: "ends too early"}
		case b[i] == ']':
			return nil
		case b[i] != ',':
			return &SyntaxError{Offset: i, Message: "want a comma"}
		}
		i = blank(b, i+1)
	}
}

// AppendUnquoted appends what a JSON string means: the inverse of AppendString. quoted
// begins and ends with its quotes and was accepted by this package.
func AppendUnquoted(dst, quoted []byte) []byte {
	if len(quoted) < 2 {
		return dst
	}
	return unescape(dst, quoted[1:len(quoted)-1])
}
