package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// reader checks one document against a shape and decodes it in the same walk. What
// is wrong is reported and left at its zero value, so that the rest can be judged
// too.
type reader struct {
	at      trail
	found   *mistakes
	source  *source // nil for settings
	options Options
	allowed string // where references may stand, for messages
	sample  bool   // what references name is taken for there, and empty
	current *field // whose value is being read, for examples in messages
}

func (r *reader) fault(n *node, message, fix string) {
	r.found.add(n.line, n.column, r.at.String(), message, fix)
}

var (
	rawType      = reflect.TypeFor[json.RawMessage]()
	durationType = reflect.TypeFor[time.Duration]()
	atType       = reflect.TypeFor[core.At]()
)

// read checks n against s and, where into is valid, decodes it.
func (r *reader) read(n *node, s *shape, into reflect.Value) {
	for into.IsValid() && into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	if into.IsValid() && into.Type() == rawType {
		r.read(n, s, noValue)
		into.SetBytes(r.literals(n))
		return
	}
	switch {
	case n.broken:
	case s.raw:
		r.check(n)
	case s.size:
		r.readSize(n, s, into)
	case n.sort != s.is:
		r.mismatch(n, s)
	case s.is == boolean:
		if into.IsValid() {
			into.SetBool(n.text == "true")
		}
	case s.is == number:
		r.readNumber(n, s, into)
	case s.is == text:
		r.readText(n, s, into)
	case s.is == list:
		r.readList(n, s, into)
	case s.fields == nil:
		r.readMap(n, s, into)
	default:
		r.readObject(n, s, into)
	}
}

// mismatch reports a value of the wrong sort.
func (r *reader) mismatch(n *node, s *shape) {
	fix := ""
	switch {
	case n.sort == null:
		fix = "give it a value, or remove the key"
	case s.duration && n.sort == number:
		fix = "say the unit: " + n.text + "s"
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && f >= 1000 {
			fix = "say the unit: " + n.text + "ms or " + n.text + "s"
		}
	case s.is == text && (n.sort == number || n.sort == boolean):
		if s.secret || n.asWritten() == "" {
			fix = "put it in quotes"
		} else {
			fix = "put it in quotes: " + strconv.Quote(n.asWritten())
		}
		if len(s.words) > 0 {
			fix = "write " + s.want()
		}
	case s.is == text && n.sort == object:
		fix = "write text; text that begins with { stands in quotes"
	case s.is == text && n.sort == list:
		fix = "write one text; text that begins with [ or - stands in quotes"
	case s.is == boolean && n.sort == text:
		fix = "write true or false"
		switch strings.ToLower(n.text) {
		case "yes", "on", "y", "true":
			fix = "write true"
		case "no", "off", "n", "false":
			fix = "write false"
		}
	case s.is == number && n.sort == text && jsonNumber(n.text):
		fix = "write " + n.text + " without quotes"
	case s.is == number:
		fix = "write digits"
	case s.is == list && n.sort == object:
		fix = `begin each item with "- "`
	case s.is == list:
		fix = `write a list: each item on a line that begins with "- ", or [a, b]`
	case s.is == object && n.sort == list:
		fix = `write "key: value" without "- "`
	case s.is == object:
		fix = `write "key: value" lines below it`
	case s.is == boolean:
		fix = "write true or false"
	}
	r.fault(n, fmt.Sprintf("expected %s, got %s", s.want(), n.got(s)), fix)
}

// got says what stands there, without showing what must not be seen.
func (n *node) got(s *shape) string {
	switch {
	case s.secret && n.sort != null:
		return n.sort.String()
	case n.sort == number:
		return "the number " + n.asWritten()
	case n.sort == boolean:
		return n.asWritten()
	case n.sort == text:
		return quote(n.text)
	}
	return n.sort.String()
}

func (n *node) asWritten() string {
	if n.written != "" {
		return n.written
	}
	return n.text
}

func (r *reader) readList(n *node, s *shape, into reflect.Value) {
	if len(n.items) < s.least {
		r.fault(n, "the list is empty", "write at least one item")
	}
	if into.IsValid() {
		into.Set(reflect.MakeSlice(into.Type(), len(n.items), len(n.items)))
	}
	for i, item := range n.items {
		var slot reflect.Value
		if into.IsValid() {
			slot = into.Index(i)
		}
		r.at.index(i)
		r.read(item, s.of, slot)
		if s.alone != "" && item.sort == text && item.text == s.alone && len(n.items) > 1 {
			r.fault(item, fmt.Sprintf("%s beside other items", quote(s.alone)), "let it stand alone, or remove it")
		}
		r.at.pop()
	}
}

func (r *reader) readMap(n *node, s *shape, into reflect.Value) {
	if into.IsValid() {
		into.Set(reflect.MakeMapWithSize(into.Type(), len(n.items)))
	}
	for i, item := range n.items {
		k := n.keys[i]
		r.at.push(k.text)
		if s.keys != nil && !s.keys.MatchString(k.text) {
			r.found.add(k.line, k.column, r.at.String(), fmt.Sprintf("%s cannot be a key here", quote(k.text)), "a key is "+s.keysSay)
		}
		var slot reflect.Value
		if into.IsValid() {
			slot = reflect.New(into.Type().Elem()).Elem()
		}
		r.read(item, s.of, slot)
		if into.IsValid() {
			into.SetMapIndex(reflect.ValueOf(k.text), slot)
		}
		r.at.pop()
	}
}

func (r *reader) readObject(n *node, s *shape, into reflect.Value) {
	if into.IsValid() {
		if at := into.FieldByName("At"); at.IsValid() && at.Type() == atType && r.source != nil {
			at.Set(reflect.ValueOf(core.At{Source: r.source, Path: r.at.String()}))
		}
	}
	strange, before := 0, r.current
	var meant []string // what unknown keys were probably meant to be
	for i, item := range n.items {
		f := s.field(n.keys[i].text)
		r.current = f
		r.at.push(n.keys[i].text)
		switch {
		case f == nil:
			strange++
			meant = append(meant, r.unknown(n.keys[i], s))
		case f.ignored:
			r.read(item, f.shape, noValue)
		case s.role != "" && f.key == "config":
			raw := r.kindConfig(item, n.get("kind"), s.role)
			if into.IsValid() {
				into.FieldByIndex(f.index).SetBytes(raw)
			}
		case into.IsValid():
			r.read(item, f.shape, into.FieldByIndex(f.index))
		default:
			r.read(item, f.shape, noValue)
		}
		r.at.pop()
	}
	r.current = before
	for _, f := range s.fields {
		if n.get(f.key) != nil {
			continue
		}
		if f.required && !slices.Contains(meant, f.key) {
			r.at.push(f.key)
			fix := "add " + f.key + ": " + f.shape.want()
			if len(f.examples) > 0 {
				fix = "add it, such as " + f.key + ": " + f.examples[0]
			}
			r.fault(n, quote(f.key)+" is missing", fix)
			r.at.pop()
		}
		if f.filled && into.IsValid() {
			r.fill(f, into.FieldByIndex(f.index))
		}
	}
	if strange == 0 {
		r.choices(n, s)
	}
	r.casesOf(n, s)
}

// fill decodes the standard value of a field. It is our own text: a mistake in it
// is found by the tests, which read every one.
func (r *reader) fill(f *field, into reflect.Value) {
	n := parseYAML([]byte(f.standard), &mistakes{})
	own := &reader{found: &mistakes{}}
	if n == nil {
		panic("config: the standard value of " + f.key)
	}
	own.read(n, f.shape, into)
	if len(own.found.list) > 0 {
		panic("config: the standard value of " + f.key + ": " + own.found.list[0].Message)
	}
}

// unknown reports a key that the object does not have, and returns the one that was
// probably meant.
func (r *reader) unknown(k key, s *shape) string {
	known := make([]string, len(s.fields))
	for i, f := range s.fields {
		known[i] = f.key
	}
	fix := "known keys are " + strings.Join(known, ", ")
	near := nearest(k.text, known)
	if near != "" {
		fix = "did you mean " + quote(near) + "?"
	}
	if hint := s.hints[k.text]; hint != "" {
		fix = hint
	}
	r.found.add(k.line, k.column, r.at.String(), "unknown key "+quote(k.text), fix)
	return near
}

// choices checks that one key of each choice stands there.
func (r *reader) choices(n *node, s *shape) {
	for _, keys := range s.choices {
		var first *key
		for i := range n.keys {
			switch k := &n.keys[i]; {
			case !slices.Contains(keys, k.text):
			case first == nil:
				first = k
			default:
				r.found.add(k.line, k.column, r.at.String(), fmt.Sprintf("both %s and %s", quote(first.text), quote(k.text)),
					"keep one of "+strings.Join(keys, ", "))
			}
		}
		if first == nil {
			r.fault(n, "none of "+strings.Join(keys, ", ")+" is there", "add one of them")
		}
	}
}

// casesOf checks that the keys fit the word of the deciding key.
func (r *reader) casesOf(n *node, s *shape) {
	if s.cases == nil {
		return
	}
	on := n.get(s.cases.on)
	if on == nil || on.sort != text {
		return
	}
	need, known := s.cases.need[on.text]
	if !known {
		return
	}
	for _, name := range need {
		if n.get(name) == nil {
			r.at.push(name)
			r.fault(n, fmt.Sprintf("%s is missing for %s: %s", quote(name), s.cases.on, on.text), "add "+name)
			r.at.pop()
		}
	}
	for _, k := range n.keys {
		if k.text != s.cases.on && s.field(k.text) != nil && !slices.Contains(need, k.text) {
			r.at.push(k.text)
			r.found.add(k.line, k.column, r.at.String(), fmt.Sprintf("%s does not belong to %s: %s", quote(k.text), s.cases.on, on.text),
				fmt.Sprintf("%s takes %s", on.text, strings.Join(need, ", ")))
			r.at.pop()
		}
	}
}

// noValue makes read check without decoding.
var noValue reflect.Value
