package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// shape says what a value may be. The shapes of document.go and settings.go are
// the one place where a field is described: the reader checks and decodes by them,
// and the JSON Schema, the reference page and the table of settings are drawn from
// them. None of these can say something else than the others.
type shape struct {
	is       sort // boolean, number, text, list or object
	raw      bool // JSON of any sort; is says nothing
	integer  bool
	duration bool // text: a Go duration; min and max are nanoseconds
	size     bool // a number of bytes, or text such as 4MiB

	reference bool   // may hold ${secret:NAME}, ${env:NAME} and ${file:path}
	secret    bool   // is not shown in messages
	file      string // names a file: what a document says instead that the store keeps

	words    []string       // text: the only values
	pattern  *regexp.Regexp // text; anchored, in the common subset of RE2 and ECMA 262
	says     string         // what pattern means: "expected {says}"
	min, max *float64

	of      *shape         // list: the items; object without fields: the values
	keys    *regexp.Regexp // object without fields: the keys
	keysSay string
	least   int    // list: items at least
	alone   string // list of text: an item that stands only by itself

	name    string // object with fields: its name in $defs
	about   string
	example string // YAML, shown in the reference
	fields  []*field
	choices [][]string // of each exactly one key stands there
	cases   *cases
	role    string            // invoker or transformer: the value names a kind
	hints   map[string]string // keys that people try here → what would be right
}

// field is one key of an object.
type field struct {
	key      string
	about    string
	shape    *shape
	required bool
	standard string // the value that holds when it is absent, as YAML
	absent   string // what holds when it is absent, for people, where that is no value
	filled   bool   // the reader sets standard when it is absent
	ignored  bool   // accepted, not decoded
	examples []string
	index    []int // of the struct field
}

// cases says which keys go with which word of the key on.
type cases struct {
	on   string
	need map[string][]string // word → keys that must and may stand beside on
}

func must(key string, s *shape, about string) *field {
	return &field{key: key, shape: s, about: about, required: true}
}

func may(key string, s *shape, about string) *field {
	return &field{key: key, shape: s, about: about}
}

// otherwise says which value holds when the field is absent.
func (f *field) otherwise(standard string) *field { f.standard = standard; return f }

// without says in words what holds when the field is absent.
func (f *field) without(absent string) *field { f.absent = absent; return f }

// filling says what the reader sets when the field is absent.
func (f *field) filling(standard string) *field { f.standard, f.filled = standard, true; return f }

// such adds examples: YAML scalars or flow values.
func (f *field) such(examples ...string) *field {
	f.examples = append(f.examples, examples...)
	return f
}

// ignore accepts the key and drops it.
func (f *field) ignore() *field { f.ignored = true; return f }

// describe makes the shape of an object that is decoded into a T. Each field finds
// its struct field by the json tag; the two must agree, which is checked here, when
// the program starts. without lists the tags that this object does not have, with
// what to say to somebody who tries them.
func describe[T any](name, about string, without map[string]string, fields ...*field) *shape {
	s := &shape{is: object, name: name, about: about, fields: fields, hints: without}
	t := reflect.TypeFor[T]()
	tags := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" && tag != "-" && len(f.Index) == 1 {
			tags[tag] = f.Index
		}
	}
	for _, f := range fields {
		if f.ignored {
			continue
		}
		index, exists := tags[f.key]
		if !exists {
			panic(fmt.Sprintf("config: %s has no field for %q", t, f.key))
		}
		f.index = index
		delete(tags, f.key)
	}
	for tag := range tags {
		if _, left := without[tag]; !left {
			panic(fmt.Sprintf("config: %q of %s is described nowhere", tag, t))
		}
	}
	return s
}

func (s *shape) one(keys ...string) *shape {
	s.choices = append(s.choices, keys)
	return s
}

func (s *shape) like(example string) *shape { s.example = example; return s }

func (s *shape) field(key string) *field {
	for _, f := range s.fields {
		if f.key == key {
			return f
		}
	}
	return nil
}

// The shapes of scalars.

func words(of ...string) *shape { return &shape{is: text, words: of} }
func prose() *shape             { return &shape{is: text} }
func onOff() *shape             { return &shape{is: boolean} }

func matching(pattern, says string) *shape {
	return &shape{is: text, pattern: regexp.MustCompile(pattern), says: says}
}

// line is text of one line that is not empty.
func line() *shape {
	return matching(`^[^\r\n]+$`, "one line of text")
}

func (s *shape) refers() *shape              { c := *s; c.reference = true; return &c }
func (s *shape) named(instead string) *shape { c := *s; c.file = instead; return &c }

func (s *shape) hide() *shape { c := *s; c.reference, c.secret = true, true; return &c }

func whole(least, most float64) *shape {
	return &shape{is: number, integer: true, min: &least, max: &most}
}

func share() *shape { return atLeastShare(0) }

func atLeastShare(least float64) *shape {
	most := 1.0
	return &shape{is: number, min: &least, max: &most}
}

// lasting is a duration from least to most; most 0 means no upper bound.
func lasting(least, most time.Duration) *shape {
	s := &shape{is: text, duration: true, pattern: durationPattern, says: "a duration such as 3s, 500ms or 1m30s"}
	low := float64(least)
	s.min = &low
	if most > 0 {
		high := float64(most)
		s.max = &high
	}
	return s
}

var durationPattern = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)

func many(of *shape) *shape { return &shape{is: list, of: of} }

func mapping(keys, says string, of *shape) *shape {
	return &shape{is: object, keys: regexp.MustCompile(keys), keysSay: says, of: of}
}

// jsonObject is an object that is kept as JSON, whatever it holds.
func jsonObject() *shape { return &shape{is: object, of: anything} }

var anything = &shape{raw: true}

// want says what is expected, for messages.
func (s *shape) want() string {
	switch {
	case len(s.words) == 1:
		return quote(s.words[0])
	case len(s.words) > 0:
		return "one of " + strings.Join(s.words, ", ")
	case s.size:
		return "a size such as 4MiB, or a number of bytes"
	case s.says != "":
		return s.says
	case s.integer:
		return "an integer"
	case s.is == boolean:
		return "true or false"
	}
	return s.is.String()
}

// places lists where references may stand, for messages and the reference page.
func places(s *shape) []string {
	var found []string
	var walk func(s *shape, path string, open []*shape)
	walk = func(s *shape, path string, open []*shape) {
		if s == nil || slices.Contains(open, s) {
			return
		}
		open = append(open, s)
		switch {
		case s.reference:
			found = append(found, path)
		case s.is == list:
			walk(s.of, path+"[]", open)
		case s.fields == nil && s.of != nil:
			walk(s.of, path+".*", open)
		}
		for _, f := range s.fields {
			walk(f.shape, strings.TrimPrefix(path+"."+f.key, "."), open)
		}
	}
	walk(s, "", nil)
	return found
}
