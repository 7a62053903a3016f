package plugin

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"
)

// The decoder of arguments. encoding/json would do, but it matches names in any
// case, so that {"path": "ok", "Path": "not ok"} passes a schema that knows only
// `path` and reaches the handler as "not ok"; and it takes three times as long in
// a guest. This one takes names exactly, makes one plan per type when the handler
// is registered, and takes 3.0 for the integer that JSON Schema says it is. Types
// with an UnmarshalJSON or UnmarshalText of their own, embedded fields and the
// option `string` go to encoding/json.

// plan decodes one value to where p points.
type plan func(d *decoder, p unsafe.Pointer) error

var plans struct {
	sync.Mutex
	of map[reflect.Type]*plan
}

// Unmarshal decodes one JSON value into what v points at, as arguments are decoded:
// names in exact case, and several times as fast in a guest as encoding/json. It is
// for the answers of HTTP and for what a plugin keeps.
func Unmarshal(b []byte, v any) error { return unmarshal(b, v) }

// unmarshal decodes one JSON value into what v points at.
func unmarshal(b []byte, v any) error {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return &decodeError{what: "is to be decoded into " + r.Kind().String() + ", which is no pointer"}
	}
	return planOf(r.Type().Elem()).decode(b, r.UnsafePointer())
}

// decode decodes all of b.
func (f plan) decode(b []byte, p unsafe.Pointer) error {
	d := decoder{b: b}
	if err := f(&d, p); err != nil {
		return err
	}
	d.space()
	if d.i < len(d.b) {
		return d.bad("something follows the value")
	}
	return nil
}

// decodeError says what is wrong and where.
type decodeError struct{ path, what string }

func (e *decodeError) Error() string {
	if e.path == "" {
		return e.what
	}
	return strings.TrimPrefix(e.path, ".") + " " + e.what
}

// under puts a step in front of the path.
func under(step string, err error) error {
	if e, ok := err.(*decodeError); ok { //nolint:errorlint // only the decoder's own, which nobody wraps
		e.path = step + e.path
		return e
	}
	return &decodeError{path: step, what: err.Error()}
}

// maxDepth of nesting; the gateway refuses more than 64.
const maxDepth = 256

type decoder struct {
	b     []byte
	i     int
	depth int
}

func (d *decoder) bad(what string) error {
	return &decodeError{what: "is no JSON at byte " + strconv.Itoa(d.i) + ": " + what}
}

func (d *decoder) want(what string) error {
	have := "the end"
	switch c := d.peek(); c {
	case '"':
		have = "a string"
	case '{':
		have = "an object"
	case '[':
		have = "an array"
	case 't', 'f':
		have = "a boolean"
	case 'n':
		have = "null"
	case 0:
	default:
		have = "a number"
		if c != '-' && (c < '0' || c > '9') {
			return d.bad("a value is missing")
		}
	}
	return &decodeError{what: "must be " + what + ", not " + have}
}

func (d *decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// peek skips blanks and returns the next byte, 0 at the end.
func (d *decoder) peek() byte {
	d.space()
	if d.i < len(d.b) {
		return d.b[d.i]
	}
	return 0
}

func (d *decoder) word(w string) bool {
	if len(d.b)-d.i >= len(w) && string(d.b[d.i:d.i+len(w)]) == w {
		d.i += len(w)
		return true
	}
	return false
}

// null takes a null.
func (d *decoder) null() bool { return d.peek() == 'n' && d.word("null") }

// clean returns how many bytes from the start of s on stand for themselves in a
// JSON string: no quote, backslash, control character, and nothing past ASCII. It
// looks at eight at a time; which of them comes first in the word does not matter.
func clean(s string) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	p := unsafe.Pointer(unsafe.StringData(s))
	n := 0
	for ; n+8 <= len(s); n += 8 {
		x := *(*uint64)(unsafe.Add(p, n))
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		if (x|(x-ones*0x20)|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
			break
		}
	}
	for ; n < len(s); n++ {
		if c := s[n]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return n
}

// view looks at bytes as a string, for as long as nobody writes to them.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// text takes a string.
func (d *decoder) text() (string, error) {
	raw, plain, err := d.quoted()
	if err != nil {
		return "", err
	}
	if plain {
		return string(raw), nil
	}
	return unquote(raw)
}

// name takes a member's name and its colon; it may alias the input.
func (d *decoder) name() ([]byte, error) {
	if d.peek() != '"' {
		return nil, d.bad("the name of a member is missing")
	}
	raw, plain, err := d.quoted()
	if err != nil {
		return nil, err
	}
	if !plain {
		s, err := unquote(raw)
		if err != nil {
			return nil, err
		}
		raw = []byte(s)
	}
	if d.peek() != ':' {
		return nil, d.bad("a colon is missing")
	}
	d.i++
	return raw, nil
}

// quoted takes a string and returns what stands between the quotes; plain says
// that it means itself.
func (d *decoder) quoted() (raw []byte, plain bool, err error) {
	if d.peek() != '"' {
		return nil, false, d.want("a string")
	}
	d.i++
	start := d.i
	plain = true
	for {
		d.i += clean(view(d.b[d.i:]))
		if d.i >= len(d.b) {
			return nil, false, d.bad("a string does not end")
		}
		switch c := d.b[d.i]; {
		case c == '"':
			d.i++
			return d.b[start : d.i-1], plain, nil
		case c == '\\':
			plain = false
			if d.i+1 >= len(d.b) {
				return nil, false, d.bad("a string does not end")
			}
			if err := d.escape(); err != nil {
				return nil, false, err
			}
		case c < 0x20:
			return nil, false, d.bad("a control character in a string")
		default:
			r, size := utf8.DecodeRune(d.b[d.i:])
			if r == utf8.RuneError && size == 1 {
				plain = false
			}
			d.i += size
		}
	}
}

// escape steps over one, which it checks.
func (d *decoder) escape() error {
	switch d.b[d.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		d.i += 2
		return nil
	case 'u':
		if _, ok := hex4(d.b[d.i+2:]); ok {
			d.i += 6
			return nil
		}
	}
	return d.bad("an escape that JSON does not have")
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unquote resolves the escapes of a string that quoted took. What is no Unicode
// becomes U+FFFD, as in encoding/json.
func unquote(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\' && raw[i+1] == 'u':
			r, _ := hex4(raw[i+2:])
			i += 6
			if r >= 0xd800 && r < 0xe000 {
				low := rune(-1)
				if i+1 < len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					low, _ = hex4(raw[i+2:])
				}
				if r < 0xdc00 && low >= 0xdc00 && low < 0xe000 {
					r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, r)
		case c == '\\':
			e := raw[i+1]
			if at := strings.IndexByte("bfnrt", e); at >= 0 {
				e = "\b\f\n\r\t"[at]
			}
			out = append(out, e)
			i += 2
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, size := utf8.DecodeRune(raw[i:])
			out = utf8.AppendRune(out, r)
			i += size
		}
	}
	return string(out), nil
}

// number takes a number and returns its text; whole says that it has neither
// fraction nor exponent.
func (d *decoder) number() (raw []byte, whole bool, err error) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return nil, false, d.want("a number")
	}
	start := d.i
	if d.b[d.i] == '-' {
		d.i++
	}
	zero := d.i < len(d.b) && d.b[d.i] == '0'
	if n := d.digits(); n == 0 || zero && n > 1 {
		return nil, false, d.bad("a number that JSON does not have")
	}
	whole = true
	if d.i < len(d.b) && d.b[d.i] == '.' {
		whole = false
		d.i++
		if d.digits() == 0 {
			return nil, false, d.bad("a number that JSON does not have")
		}
	}
	if d.i < len(d.b) && d.b[d.i]|0x20 == 'e' {
		whole = false
		d.i++
		if d.i < len(d.b) && (d.b[d.i] == '+' || d.b[d.i] == '-') {
			d.i++
		}
		if d.digits() == 0 {
			return nil, false, d.bad("a number that JSON does not have")
		}
	}
	return d.b[start:d.i], whole, nil
}

func (d *decoder) digits() (n int) {
	for d.i < len(d.b) && d.b[d.i] >= '0' && d.b[d.i] <= '9' {
		d.i++
		n++
	}
	return n
}

// object takes an object; member is called at each value and takes it.
func (d *decoder) object(member func(name []byte) error) error {
	if d.peek() != '{' {
		return d.want("an object")
	}
	if d.depth++; d.depth > maxDepth {
		return d.bad("it is nested too deep")
	}
	d.i++
	if d.peek() == '}' {
		d.i++
		d.depth--
		return nil
	}
	for {
		name, err := d.name()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.i++
		case '}':
			d.i++
			d.depth--
			return nil
		default:
			return d.bad("a comma or a closing brace is missing")
		}
	}
}

// array takes an array; element is called at each value and takes it.
func (d *decoder) array(element func(n int) error) error {
	if d.peek() != '[' {
		return d.want("an array")
	}
	if d.depth++; d.depth > maxDepth {
		return d.bad("it is nested too deep")
	}
	d.i++
	if d.peek() == ']' {
		d.i++
		d.depth--
		return nil
	}
	for n := 0; ; n++ {
		if err := element(n); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.i++
		case ']':
			d.i++
			d.depth--
			return nil
		default:
			return d.bad("a comma or a closing bracket is missing")
		}
	}
}

// skip takes any value and returns its text, which aliases the input.
func (d *decoder) skip() ([]byte, error) {
	c := d.peek()
	start := d.i
	var err error
	switch c {
	case '"':
		_, _, err = d.quoted()
	case '{':
		err = d.object(func([]byte) error { _, err := d.skip(); return err })
	case '[':
		err = d.array(func(int) error { _, err := d.skip(); return err })
	case 't', 'f', 'n':
		if !d.word("true") && !d.word("false") && !d.word("null") {
			err = d.bad("a word that JSON does not have")
		}
	default:
		_, _, err = d.number()
	}
	return d.b[start:d.i], err
}

// value takes any value as encoding/json gives it to an `any`.
func (d *decoder) value() (any, error) {
	switch d.peek() {
	case '"':
		return d.text()
	case '{':
		m := map[string]any{}
		return m, d.object(func(name []byte) error {
			v, err := d.value()
			if err != nil {
				return under("."+string(name), err)
			}
			m[string(name)] = v
			return nil
		})
	case '[':
		a := []any{}
		err := d.array(func(n int) error {
			v, err := d.value()
			if err != nil {
				return under("["+strconv.Itoa(n)+"]", err)
			}
			a = append(a, v)
			return nil
		})
		return a, err
	case 't', 'f', 'n':
		switch {
		case d.word("true"):
			return true, nil
		case d.word("false"):
			return false, nil
		case d.word("null"):
			return nil, nil
		}
		return nil, d.bad("a word that JSON does not have")
	default:
		raw, _, err := d.number()
		if err != nil {
			return nil, err
		}
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil, &decodeError{what: "is too large a number"}
		}
		return f, nil
	}
}

var (
	rawType         = reflect.TypeFor[json.RawMessage]()
	numberType      = reflect.TypeFor[json.Number]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// planOf returns the plan of a type, made once.
func planOf(t reflect.Type) plan {
	plans.Lock()
	defer plans.Unlock()
	if plans.of == nil {
		plans.of = map[reflect.Type]*plan{}
	}
	return planLocked(t)
}

func planLocked(t reflect.Type) plan {
	if at, ok := plans.of[t]; ok {
		if *at != nil {
			return *at
		}
		return func(d *decoder, p unsafe.Pointer) error { return (*at)(d, p) } // a type within itself
	}
	at := new(plan)
	plans.of[t] = at
	*at = newPlan(t)
	return *at
}

func newPlan(t reflect.Type) plan {
	switch {
	case t == rawType:
		return planRaw
	case t == numberType:
		return planNumber
	case reflect.PointerTo(t).Implements(unmarshalerType) || reflect.PointerTo(t).Implements(textType):
		return planForeign(t)
	}
	switch t.Kind() {
	case reflect.String:
		return planString
	case reflect.Bool:
		return planBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return planInt(t)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return planUint(t)
	case reflect.Float32, reflect.Float64:
		return planFloat(t)
	case reflect.Struct:
		return planStruct(t)
	case reflect.Pointer:
		return planPointer(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && newlyPlain(t.Elem()) {
			return planBytes
		}
		return planSlice(t)
	case reflect.Map:
		if t.Key().Kind() == reflect.String && newlyPlain(t.Key()) {
			return planMap(t)
		}
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return planAny
		}
	}
	return planForeign(t)
}

// newlyPlain says that a type decodes by its kind alone.
func newlyPlain(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return !p.Implements(unmarshalerType) && !p.Implements(textType)
}

// planForeign leaves a type to encoding/json.
func planForeign(t reflect.Type) plan {
	return func(d *decoder, p unsafe.Pointer) error {
		raw, err := d.skip()
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, reflect.NewAt(t, p).Interface())
	}
}

func planRaw(d *decoder, p unsafe.Pointer) error {
	raw, err := d.skip()
	if err == nil {
		*(*json.RawMessage)(p) = append(json.RawMessage(nil), raw...)
	}
	return err
}

func planNumber(d *decoder, p unsafe.Pointer) error {
	if d.null() {
		return nil
	}
	raw, _, err := d.number()
	if err == nil {
		*(*json.Number)(p) = json.Number(raw)
	}
	return err
}

func planString(d *decoder, p unsafe.Pointer) error {
	if d.null() {
		return nil
	}
	s, err := d.text()
	if err == nil {
		*(*string)(p) = s
	}
	return err
}

func planBool(d *decoder, p unsafe.Pointer) error {
	switch {
	case d.null():
	case d.word("true"):
		*(*bool)(p) = true
	case d.word("false"):
		*(*bool)(p) = false
	default:
		return d.want("a boolean")
	}
	return nil
}

func planAny(d *decoder, p unsafe.Pointer) error {
	v, err := d.value()
	if err == nil {
		*(*any)(p) = v
	}
	return err
}

func planBytes(d *decoder, p unsafe.Pointer) error {
	if d.null() {
		*(*[]byte)(p) = nil
		return nil
	}
	s, err := d.text()
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return &decodeError{what: "must be base64"}
	}
	*(*[]byte)(p) = b
	return nil
}

func planInt(t reflect.Type) plan {
	bits := t.Bits()
	return func(d *decoder, p unsafe.Pointer) error {
		if d.null() {
			return nil
		}
		raw, whole, err := d.number()
		if err != nil {
			return err
		}
		var v int64
		if whole {
			v, err = strconv.ParseInt(string(raw), 10, bits)
		} else if f, ok := integral(raw); ok && f == float64(int64(f)) {
			v = int64(f)
			if s := 64 - bits; v<<s>>s != v {
				err = strconv.ErrRange
			}
		} else {
			return &decodeError{what: "must be an integer"}
		}
		if err != nil {
			return &decodeError{what: "must be an integer of " + strconv.Itoa(bits) + " bits"}
		}
		switch bits {
		case 8:
			*(*int8)(p) = int8(v)
		case 16:
			*(*int16)(p) = int16(v)
		case 32:
			*(*int32)(p) = int32(v)
		default:
			*(*int64)(p) = v
		}
		return nil
	}
}

func planUint(t reflect.Type) plan {
	bits := t.Bits()
	return func(d *decoder, p unsafe.Pointer) error {
		if d.null() {
			return nil
		}
		raw, whole, err := d.number()
		if err != nil {
			return err
		}
		var v uint64
		if whole {
			v, err = strconv.ParseUint(string(raw), 10, bits)
		} else if f, ok := integral(raw); ok && f >= 0 {
			v = uint64(f)
			if v>>(bits-1)>>1 != 0 {
				err = strconv.ErrRange
			}
		} else {
			return &decodeError{what: "must be an integer, not negative"}
		}
		if err != nil {
			return &decodeError{what: "must be an integer of " + strconv.Itoa(bits) + " bits, not negative"}
		}
		switch bits {
		case 8:
			*(*uint8)(p) = uint8(v)
		case 16:
			*(*uint16)(p) = uint16(v)
		case 32:
			*(*uint32)(p) = uint32(v)
		default:
			*(*uint64)(p) = v
		}
		return nil
	}
}

// integral reads a number with fraction or exponent that is an integer all the
// same, as 3.0 and 1e3 are.
func integral(raw []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil && f == math.Trunc(f) && math.Abs(f) <= 1<<53
}

func planFloat(t reflect.Type) plan {
	bits := t.Bits()
	return func(d *decoder, p unsafe.Pointer) error {
		if d.null() {
			return nil
		}
		raw, _, err := d.number()
		if err != nil {
			return err
		}
		f, err := strconv.ParseFloat(string(raw), bits)
		if err != nil {
			return &decodeError{what: "is too large a number"}
		}
		if bits == 32 {
			*(*float32)(p) = float32(f)
		} else {
			*(*float64)(p) = f
		}
		return nil
	}
}

// member is one field of a struct.
type member struct {
	name   string
	offset uintptr
	plan   plan
}

func planStruct(t reflect.Type) plan {
	var members []member
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || strings.Contains(","+options+",", ",string,") {
			return planForeign(t)
		}
		if !f.IsExported() || name == "-" && options == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		members = append(members, member{name, f.Offset, planLocked(f.Type)})
	}
	return func(d *decoder, p unsafe.Pointer) error {
		if d.null() {
			return nil
		}
		next := 0 // members mostly come in the order of the fields
		return d.object(func(name []byte) error {
			for n := range members {
				m := &members[(next+n)%len(members)]
				if string(name) != m.name {
					continue
				}
				next = (next + n + 1) % len(members)
				if err := m.plan(d, unsafe.Add(p, m.offset)); err != nil {
					return under("."+m.name, err)
				}
				return nil
			}
			_, err := d.skip()
			return err
		})
	}
}

func planPointer(t reflect.Type) plan {
	elem, inner := t.Elem(), planLocked(t.Elem())
	return func(d *decoder, p unsafe.Pointer) error {
		v := reflect.NewAt(t, p).Elem()
		if d.null() {
			v.SetZero()
			return nil
		}
		if v.IsNil() {
			v.Set(reflect.New(elem))
		}
		return inner(d, v.UnsafePointer())
	}
}

func planSlice(t reflect.Type) plan {
	inner := planLocked(t.Elem())
	return func(d *decoder, p unsafe.Pointer) error {
		v := reflect.NewAt(t, p).Elem()
		if d.null() {
			v.SetZero()
			return nil
		}
		v.Set(reflect.MakeSlice(t, 0, 0))
		return d.array(func(n int) error {
			v.Grow(1)
			v.SetLen(n + 1)
			if err := inner(d, v.Index(n).Addr().UnsafePointer()); err != nil {
				return under("["+strconv.Itoa(n)+"]", err)
			}
			return nil
		})
	}
}

func planMap(t reflect.Type) plan {
	elem, inner := t.Elem(), planLocked(t.Elem())
	return func(d *decoder, p unsafe.Pointer) error {
		v := reflect.NewAt(t, p).Elem()
		if d.null() {
			v.SetZero()
			return nil
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(t))
		}
		return d.object(func(name []byte) error {
			key := string(name)
			e := reflect.New(elem)
			if err := inner(d, e.UnsafePointer()); err != nil {
				return under("."+key, err)
			}
			v.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), e.Elem())
			return nil
		})
	}
}
