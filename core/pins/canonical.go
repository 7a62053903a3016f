package pins

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// MaxSize is how many bytes a definition may have. Icons in data URIs are the largest
// part of honest ones.
const MaxSize = 1 << 20

// bounds is what is read of a definition.
var bounds = wire.Limits{Depth: 64, Keys: 10_000, String: MaxSize, Number: 128}

// Canonical returns the one text of a JSON value, by RFC 8785 (JCS): no white space, names
// in the order of their UTF-16 code units, the shortest spelling of strings and numbers.
//
// It departs from the RFC in one place. The RFC takes every number for a double, so that
// 9007199254740993 would be written as 9007199254740992, and a definition could change
// between the two without a change of its sum. Integers that no double holds, and numbers
// beyond the range of doubles, keep their exact value, laid out in the same way. Fractions
// are doubles as the RFC says: those that differ in what no double can tell are equal.
//
// Refused are values past MaxSize, depth 64 or 10,000 members, names twice in one object,
// and text that is not Unicode. The error is a *core.Error with CodeInvalid or
// CodeTooLarge.
func Canonical(raw json.RawMessage) ([]byte, error) {
	value, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return appendCanonical(make([]byte, 0, len(raw)), value), nil
}

// Sum returns the SHA-256 of a canonical text, hexadecimal, as core.Pin.Sum holds it.
func Sum(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// decode reads a definition; every json.Number in it can be laid out.
func decode(raw json.RawMessage) (any, error) {
	if err := check(raw); err != nil {
		return nil, err
	}
	value, err := wire.DecodeWithin(raw, bounds)
	if err != nil {
		return nil, unread(err)
	}
	if err := checkNumbers(value); err != nil {
		return nil, err
	}
	return value, nil
}

// check tells whether raw is JSON within bounds.
func check(raw json.RawMessage) error {
	if len(raw) > MaxSize {
		return &core.Error{
			Code: core.CodeTooLarge, Message: fmt.Sprintf("a definition has %d bytes", len(raw)),
			Fix: fmt.Sprintf("definitions have at most %d", MaxSize),
		}
	}
	if err := wire.Check(raw, bounds); err != nil {
		return unread(err)
	}
	return nil
}

// unread is the error for what package wire refuses.
func unread(err error) error {
	e := &core.Error{Code: core.CodeInvalid, Message: "a definition cannot be read", Fix: "it must be JSON in which no name stands twice", Err: err}
	var syntax *wire.SyntaxError
	if errors.As(err, &syntax) && syntax.Limit {
		e.Code, e.Fix = core.CodeTooLarge, fmt.Sprintf("at most %d levels and %d members", bounds.Depth, bounds.Keys)
	}
	return e
}

func checkNumbers(value any) error {
	switch v := value.(type) {
	case json.Number:
		if _, ok := readDecimal(string(v)); !ok {
			return &core.Error{
				Code: core.CodeInvalid, Message: "a definition holds a number that no reader could hold",
				Fix: fmt.Sprintf("at most %d digits count, and the exponent has at most nine", maxDigits),
			}
		}
	case []any:
		for _, element := range v {
			if err := checkNumbers(element); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, member := range v {
			if err := checkNumbers(member); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendCanonical appends what decode gave.
func appendCanonical(dst []byte, value any) []byte {
	switch v := value.(type) {
	case bool:
		if v {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case string:
		return wire.AppendString(dst, v) // its escapes are those of RFC 8785, section 3.2.2.2
	case json.Number:
		return appendNumber(dst, string(v))
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, element)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, name := range namesOf(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = wire.AppendString(dst, name)
			dst = append(dst, ':')
			dst = appendCanonical(dst, v[name])
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// namesOf returns the names of an object in the order of RFC 8785, section 3.2.3.
func namesOf(object map[string]any) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.SortFunc(names, compareUTF16)
	return names
}

// compareUTF16 compares by UTF-16 code units. That is the order of code points, but for
// characters past U+FFFF, which begin with a surrogate: they come before U+E000.
func compareUTF16(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		x, n := utf8.DecodeRuneInString(a)
		y, m := utf8.DecodeRuneInString(b)
		if x != y {
			return cmp.Compare(unitOrder(x), unitOrder(y))
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b))
}

// unitOrder maps characters to numbers that sort as their UTF-16 code units do.
func unitOrder(r rune) rune {
	const surrogates, private = 0xd800, 0xe000
	switch {
	case r > 0xffff:
		return surrogates + r - 0x10000 // after U+D7FF, before what follows
	case r >= private:
		return r + 0x110000
	}
	return r
}
