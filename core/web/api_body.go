package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// decodeBody reads a JSON object into a struct, by the rules of package wire and these:
// every key is known, every field without omitempty is there, every value has its type.
// What is wrong is told with its path, all at once.
func decodeBody(body []byte, into any) error {
	limits := wire.Default
	limits.String = max(limits.String, len(body)) // the route bounds the body, and a document is one string in it
	value, err := wire.DecodeWithin(body, limits)
	if err != nil {
		e := &core.Error{Code: core.CodeInvalid, Message: "the body is not valid JSON", Fix: "send one JSON object"}
		var syntax *wire.SyntaxError
		if errors.As(err, &syntax) {
			e.Problems = []core.Problem{{Path: syntax.Path, Message: syntax.Message, Fix: "write each name once, and plain JSON"}}
		}
		return e
	}
	d := bodyDecoder{}
	d.read("", value, reflect.ValueOf(into).Elem())
	if len(d.problems) > 0 {
		return invalid(d.problems...)
	}
	return nil
}

// invalid returns the error for content that can be read and is wrong.
func invalid(problems ...core.Problem) error {
	return &core.Error{Code: core.CodeInvalid, Message: "the body has mistakes", Fix: "mend what problems lists", Problems: problems}
}

// wrong is a mistake in the field of a body.
func wrong(path, message, fix string) core.Problem {
	return core.Problem{Path: path, Message: message, Fix: fix}
}

type bodyDecoder struct{ problems []core.Problem }

func (d *bodyDecoder) fail(path, message, fix string) {
	if len(d.problems) < 20 {
		d.problems = append(d.problems, wrong(path, message, fix))
	}
}

var (
	typeTime = reflect.TypeFor[time.Time]()
	typeRaw  = reflect.TypeFor[json.RawMessage]()
)

func (d *bodyDecoder) read(path string, value any, to reflect.Value) {
	switch to.Type() {
	case typeRaw:
		raw, err := wire.Marshal(value)
		if err != nil {
			d.fail(path, "this value cannot be kept", "write plain JSON")
			return
		}
		to.SetBytes(raw)
		return
	case typeTime:
		text, _ := value.(string)
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			d.fail(path, "expected a time, got "+said(value), "write it like 2030-01-31T12:00:00Z")
			return
		}
		to.Set(reflect.ValueOf(t.UTC()))
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		if value == nil {
			return
		}
		to.Set(reflect.New(to.Type().Elem()))
		d.read(path, value, to.Elem())
	case reflect.Struct:
		d.object(path, value, to)
	case reflect.String:
		text, ok := value.(string)
		if !ok {
			d.fail(path, "expected a string, got "+said(value), "write it in quotes")
			return
		}
		to.SetString(text)
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			d.fail(path, "expected true or false, got "+said(value), "write true or false without quotes")
			return
		}
		to.SetBool(b)
	case reflect.Int, reflect.Int64:
		number, _ := value.(json.Number)
		n, err := strconv.ParseInt(string(number), 10, to.Type().Bits())
		if err != nil {
			d.fail(path, "expected a whole number, got "+said(value), "write digits without quotes")
			return
		}
		to.SetInt(n)
	case reflect.Float64:
		number, _ := value.(json.Number)
		n, err := strconv.ParseFloat(string(number), 64)
		if err != nil {
			d.fail(path, "expected a number, got "+said(value), "write it without quotes")
			return
		}
		to.SetFloat(n)
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			d.fail(path, "expected a list, got "+said(value), "write it in [ ]")
			return
		}
		to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
		for i, one := range list {
			d.read(path+"/"+strconv.Itoa(i), one, to.Index(i))
		}
	case reflect.Map:
		object, ok := value.(map[string]any)
		if !ok {
			d.fail(path, "expected an object, got "+said(value), "write it in { }")
			return
		}
		to.Set(reflect.MakeMapWithSize(to.Type(), len(object)))
		for name, one := range object {
			v := reflect.New(to.Type().Elem()).Elem()
			d.read(path+"/"+pointerPart(name), one, v)
			to.SetMapIndex(reflect.ValueOf(name), v)
		}
	default:
		panic(fmt.Sprintf("a body with a field of type %s", to.Type()))
	}
}

func (d *bodyDecoder) object(path string, value any, to reflect.Value) {
	object, ok := value.(map[string]any)
	if !ok {
		d.fail(path, "expected an object, got "+said(value), "write it in { }")
		return
	}
	fields := fieldsOf(to.Type())
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
		one, found := object[f.name]
		switch {
		case found:
			d.read(path+"/"+f.name, one, to.FieldByIndex(f.index))
		case f.required:
			d.fail(path+"/"+f.name, f.name+" is missing", "write it")
		}
	}
	for name := range object {
		if !slices.Contains(known, name) {
			fix := "write one of " + strings.Join(known, ", ")
			if near := closest(name, known); near != "" {
				fix = "write " + near
			}
			d.fail(path+"/"+pointerPart(name), "unknown key", fix)
		}
	}
}

// bodyField is a field of a struct as JSON has it.
type bodyField struct {
	name     string
	required bool
	index    []int
	field    reflect.StructField
}

// fieldsOf returns the fields of a struct that JSON has, those of embedded ones in their
// place.
func fieldsOf(t reflect.Type) []bodyField {
	var fields []bodyField
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
			continue
		case name == "":
			name = f.Name
		}
		fields = append(fields, bodyField{name: name, required: !strings.Contains(options, "omitempty"), index: []int{i}, field: f})
	}
	return fields
}

// said names what stands in a body, never its text.
func said(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901, section 3

// pointerPart writes a name that a stranger chose as part of a path, shortened.
func pointerPart(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	return pointerEscape.Replace(name)
}

// closest returns the known word that was probably meant, or "".
func closest(word string, known []string) string {
	best, least := "", 1+len(word)/3
	if len(word) > 64 || !utf8.ValidString(word) {
		return ""
	}
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the insertions, deletions and changes that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, change)
		}
	}
	return row[len(b)]
}
