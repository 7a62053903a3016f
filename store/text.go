package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// words is a list of texts as a column keeps it: JSON. A list without elements comes back
// empty, never nil.
type words string

func wordsOf(list []string) words {
	if len(list) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(list) // texts always encode
	return words(text)
}

func (w words) list() []string {
	list := []string{}
	_ = json.Unmarshal([]byte(w), &list) // only wordsOf writes it
	return list
}

// pairs is a map of texts, likewise; one without elements comes back nil.
type pairs string

func pairsOf(m map[string]string) pairs {
	if len(m) == 0 {
		return ""
	}
	text, _ := json.Marshal(m)
	return pairs(text)
}

func (p pairs) of() map[string]string {
	var m map[string]string
	_ = json.Unmarshal([]byte(p), &m)
	return m
}

// widest bounds what one row may hold, in bytes: the largest module, and some.
const widest = 64 << 20

// check refuses what not every database keeps unchanged: texts with NUL or of broken UTF-8,
// and rows beyond all bounds.
func check(of string, row any) error {
	size := 0
	if err := checkValue(reflect.ValueOf(row), of, "", &size); err != nil {
		return err
	}
	if size > widest {
		return &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("the %s holds %d bytes", of, size), Fix: fmt.Sprintf("at most %d", widest)}
	}
	return nil
}

func checkValue(v reflect.Value, of, field string, size *int) error {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkValue(v.Elem(), of, field, size)
		}
	case reflect.String:
		*size += v.Len()
		return checkText(v.String(), of, field)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			*size += v.Len()
			return nil
		}
		for i := range v.Len() {
			if err := checkValue(v.Index(i), of, field, size); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if err := checkValue(k, of, field, size); err != nil {
				return err
			}
			if err := checkValue(v.MapIndex(k), of, field, size); err != nil {
				return err
			}
		}
	case reflect.Struct:
		t := v.Type()
		for i := range t.NumField() {
			if !t.Field(i).IsExported() {
				continue // of time.Time
			}
			if err := checkValue(v.Field(i), of, t.Field(i).Name, size); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkText(text, of, field string) error {
	switch {
	case strings.IndexByte(text, 0) >= 0:
		return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("%s of the %s holds a NUL byte", field, of), Fix: "a text without it"}
	case !utf8.ValidString(text):
		return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("%s of the %s is not UTF-8", field, of), Fix: "a text of valid UTF-8"}
	}
	return nil
}
