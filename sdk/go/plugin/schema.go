package plugin

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// planFor is planOf with the type known.
func planFor[T any]() plan { return planOf(reflect.TypeFor[T]()) }

// schemaFor makes the JSON Schema of arguments of a type: members by their json
// tags, required unless they are pointers or omitempty, with the text of the tag
// `description` and the words of the tag `enum`, which are separated by commas.
func schemaFor[T any]() json.RawMessage {
	t := reflect.TypeFor[T]()
	switch {
	case t == rawType, t.Kind() == reflect.Slice, t.Kind() == reflect.Interface:
		return json.RawMessage(`{"type":"object"}`)
	}
	return appendSchema(nil, t, "", nil)
}

// appendSchema appends the schema of t; within are the types around it, which end
// a type that contains itself.
func appendSchema(dst []byte, t reflect.Type, more string, within []reflect.Type) []byte {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if slices.Contains(within, t) {
		return append(append(append(dst, '{'), strings.TrimPrefix(more, ",")...), '}')
	}
	open := func(name string) []byte {
		return append(append(appendString(append(dst, `{"type":`...), name), more...), '}')
	}
	switch t.Kind() {
	case reflect.Bool:
		return open("boolean")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return open("integer")
	case reflect.Float32, reflect.Float64:
		return open("number")
	case reflect.String:
		if t == numberType {
			return open("number")
		}
		return open("string")
	case reflect.Slice, reflect.Array:
		if t == rawType {
			break
		}
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return append(append(append(dst, `{"type":"string","contentEncoding":"base64"`...), more...), '}')
		}
		dst = append(dst, `{"type":"array","items":`...)
		dst = appendSchema(dst, t.Elem(), "", append(within, t))
		return append(append(dst, more...), '}')
	case reflect.Map:
		dst = append(dst, `{"type":"object","additionalProperties":`...)
		dst = appendSchema(dst, t.Elem(), "", append(within, t))
		return append(append(dst, more...), '}')
	case reflect.Struct:
		if !newlyPlain(t) {
			break // it says itself what it takes
		}
		return appendStruct(dst, t, more, within)
	}
	return append(append(append(dst, '{'), strings.TrimPrefix(more, ",")...), '}')
}

func appendStruct(dst []byte, t reflect.Type, more string, within []reflect.Type) []byte {
	dst = append(dst, `{"type":"object","properties":{`...)
	var required []byte
	first := true
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "-" && options == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendString(dst, name), ':')
		dst = appendSchema(dst, f.Type, tags(f.Tag), append(within, t))
		if f.Type.Kind() != reflect.Pointer && !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = appendString(append(required, ','), name)
		}
	}
	dst = append(dst, '}')
	if len(required) > 0 {
		dst = append(append(append(dst, `,"required":[`...), required[1:]...), ']')
	}
	return append(append(dst, more...), '}')
}

// tags returns what the tags of a field add to its schema.
func tags(tag reflect.StructTag) string {
	var dst []byte
	if s := tag.Get("description"); s != "" {
		dst = appendString(append(dst, `,"description":`...), s)
	}
	if s := tag.Get("enum"); s != "" {
		dst = append(dst, `,"enum":[`...)
		for i, word := range strings.Split(s, ",") {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, word)
		}
		dst = append(dst, ']')
	}
	return string(dst)
}
