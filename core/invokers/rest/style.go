package rest

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core/expression"
)

// style is how a value that is more than one text is written in one place: the
// styles of OpenAPI 3.1 (parameter object), which are those of RFC 6570.
type style struct {
	name    string
	lead    string // before the first
	join    string // between exploded parts
	list    string // between the parts of one value
	named   bool   // parts carry the name
	explode bool
	deep    bool // name[key]=value
	json    bool // the value is written as JSON
}

// The styles of each place; the first is the default.
var (
	pathStyles = []style{
		{name: "simple", join: ",", list: ","},
		{name: "label", lead: ".", join: ".", list: ","},
		{name: "matrix", lead: ";", join: ";", list: ",", named: true},
	}
	queryStyles = []style{
		{name: "form", join: "&", list: ",", named: true, explode: true},
		{name: "spaceDelimited", join: "&", list: "%20", named: true},
		{name: "pipeDelimited", join: "&", list: "%7C", named: true},
		{name: "deepObject", join: "&", list: ",", named: true, explode: true, deep: true},
		{name: "json", named: true, json: true},
	}
	headerStyles = []style{
		{name: "simple", join: ",", list: ","},
		{name: "json", json: true},
	}
	cookieStyles = []style{
		{name: "form", join: "; ", list: ",", named: true, explode: true},
		{name: "json", named: true, json: true},
	}
)

// keeps is a set of bytes that an escape leaves as they are.
type keeps [256]bool

func keep(chars string) *keeps {
	var k keeps
	for c := range 128 {
		b := byte(c)
		k[c] = 'a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || strings.IndexByte("-._~", b) >= 0
	}
	for i := range len(chars) {
		k[chars[i]] = true
	}
	return &k
}

var (
	unreserved = keep("")              // RFC 3986 2.3
	pathLetter = keep("!$&'()*+,;=:@") // pchar of RFC 3986 3.3
	// What OpenAPI's allowReserved lets through, without what would end or divide
	// the query: & = + # and the brackets.
	reserved = keep(":/?@!$'()*,;")
	verbatim = func() *keeps { // header values are checked, not escaped
		var k keeps
		for i := range k {
			k[i] = true
		}
		return &k
	}()
)

const hexDigits = "0123456789ABCDEF"

// appendEscaped appends s with every byte outside keep as %XX; a space as + when
// plus is set (application/x-www-form-urlencoded).
func appendEscaped(dst []byte, s string, keep *keeps, plus bool) []byte {
	start := 0
	for i := range len(s) {
		c := s[i]
		if keep[c] {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		if c == ' ' && plus {
			dst = append(dst, '+')
			continue
		}
		dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, s[start:]...)
}

var errNested = errors.New("holds an array or object within an array or object, which this style cannot carry; use style json, or a JSON body")

// placement writes one value in one place.
type placement struct {
	source
	style style
	name  string // escaped for its place
	keep  *keeps
	plus  bool
}

// expand appends value, which is not nil, in the style of p. Nothing is appended
// for an empty array or object.
func (p *placement) expand(dst []byte, value any) ([]byte, error) {
	if p.style.json {
		if p.style.named {
			dst = append(append(dst, p.name...), '=')
		}
		text, err := expression.AppendJSON(nil, value, maxPart)
		if err != nil {
			return dst, err
		}
		return appendEscaped(dst, string(text), p.keep, p.plus), nil
	}
	switch v := value.(type) {
	case []any:
		return p.expandList(dst, v)
	case map[string]any:
		if p.style.deep {
			return p.expandDeep(dst, len(dst), []byte(p.name), v, 0)
		}
		return p.expandObject(dst, v)
	}
	dst = append(dst, p.style.lead...)
	if p.style.named {
		dst = append(dst, p.name...)
		if p.style.lead == "" || value != "" { // matrix writes an empty value without =
			dst = append(dst, '=')
		}
	}
	return p.scalar(dst, value)
}

func (p *placement) expandList(dst []byte, list []any) ([]byte, error) {
	wrote := false
	var err error
	for _, element := range list {
		if element == nil {
			continue // undefined in RFC 6570
		}
		switch {
		case !wrote:
			dst = append(dst, p.style.lead...)
		case p.style.explode:
			dst = append(dst, p.style.join...)
		default:
			dst = append(dst, p.style.list...)
		}
		if p.style.named && (!wrote || p.style.explode) {
			dst = append(append(dst, p.name...), '=')
		}
		wrote = true
		if dst, err = p.scalar(dst, element); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (p *placement) expandObject(dst []byte, object map[string]any) ([]byte, error) {
	wrote := false
	var err error
	for _, name := range names(object) {
		if object[name] == nil {
			continue
		}
		switch {
		case !wrote:
			dst = append(dst, p.style.lead...)
			if p.style.named && !p.style.explode {
				dst = append(append(dst, p.name...), '=')
			}
		case p.style.explode:
			dst = append(dst, p.style.join...)
		default:
			dst = append(dst, p.style.list...)
		}
		wrote = true
		dst = appendEscaped(dst, name, p.keep, p.plus)
		if p.style.explode {
			dst = append(dst, '=')
		} else {
			dst = append(dst, p.style.list...)
		}
		if dst, err = p.scalar(dst, object[name]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// expandDeep writes name[key]=value, name[key][inner]=value, and an array as the
// same name again. OpenAPI defines the first only; servers that read more read
// this.
func (p *placement) expandDeep(dst []byte, start int, prefix []byte, object map[string]any, depth int) ([]byte, error) {
	if depth > 8 {
		return dst, errNested
	}
	var err error
	for _, name := range names(object) {
		key := append(appendEscaped(append(slices.Clip(prefix), "%5B"...), name, p.keep, p.plus), "%5D"...)
		list, isList := object[name].([]any)
		if !isList {
			list = []any{object[name]}
		}
		for _, element := range list {
			if inner, ok := element.(map[string]any); ok && !isList {
				if dst, err = p.expandDeep(dst, start, key, inner, depth+1); err != nil {
					return dst, err
				}
				continue
			}
			if element == nil {
				continue
			}
			if len(dst) > start {
				dst = append(dst, '&')
			}
			if dst, err = p.scalar(append(append(dst, key...), '='), element); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// scalar appends one text, number or boolean, escaped.
func (p *placement) scalar(dst []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendEscaped(dst, v, p.keep, p.plus), nil
	case json.Number:
		return appendEscaped(dst, string(v), p.keep, p.plus), nil // 1e+5 has a +
	case bool:
		return strconv.AppendBool(dst, v), nil
	case nil:
		return dst, nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		text, err := expression.AppendJSON(nil, v, 64)
		return appendEscaped(dst, string(text), p.keep, p.plus), err
	}
	return dst, errNested
}

func names(object map[string]any) []string {
	list := make([]string, 0, len(object))
	for name := range object {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
