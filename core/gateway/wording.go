package gateway

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// faultLimit bounds what one check reports.
const faultLimit = 20

// echoLimit is the longest value that a message repeats, in characters.
const echoLimit = 64

// wording says what the exact check found in words: where, what, and what would
// be right.
type wording struct {
	root  *jsonschema.Schema // nil = unknown: no suggestions of property names
	value any                // what was checked
	echo  bool               // whether messages may repeat parts of value
}

func (w *wording) faults(err *jsonschema.ValidationError) []fault {
	var list []fault
	w.collect(err, &list)
	list = once(list)
	slices.SortStableFunc(list, func(a, b fault) int { return strings.Compare(a.path, b.path) })
	list = slices.CompactFunc(list, func(a, b fault) bool { return a.path == b.path && a.message == b.message })
	if len(list) > faultLimit {
		rest := len(list) - faultLimit
		list = append(list[:faultLimit:faultLimit], fault{message: fmt.Sprintf("and %d more", rest)})
	}
	if len(list) == 0 {
		list = []fault{{message: "does not fit the schema"}}
	}
	return list
}

const missing = "is required"

// once drops that a member is missing when it is there under a wrong name: that is
// one mistake.
func once(list []fault) []fault {
	meant := map[string]bool{}
	for i := range list {
		meant[list[i].meant] = list[i].meant != ""
	}
	return slices.DeleteFunc(list, func(f fault) bool { return f.message == missing && meant[f.path] })
}

func (w *wording) collect(err *jsonschema.ValidationError, list *[]fault) {
	if len(*list) > 10*faultLimit {
		return
	}
	path := pointer(err.InstanceLocation)
	add := func(message, fix string) { *list = append(*list, fault{path: path, message: message, fix: fix}) }
	switch k := err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		for _, cause := range err.Causes {
			w.collect(cause, list)
		}
	case *kind.AnyOf:
		w.alternatives(err, path, list)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			w.alternatives(err, path, list)
			return
		}
		add(fmt.Sprintf("fits alternatives %d and %d of oneOf", k.Subschemas[0]+1, k.Subschemas[1]+1), "make it fit exactly one")
	case *kind.Not:
		add("has a form that is not allowed here", "")
	case *kind.FalseSchema:
		add("is not allowed here", "remove it")
	case *kind.Type:
		add("must be "+articles(k.Want)+", not "+w.got(err.InstanceLocation), "")
	case *kind.Enum:
		fix := "use one of " + values(k.Want)
		if text, ok := k.Got.(string); ok {
			if near := nearest(text, stringsIn(k.Want)); near != "" {
				fix = "did you mean " + quoted(near) + "? Use one of " + values(k.Want)
			}
		}
		add(w.is(k.Got)+"not one of the allowed values", fix)
	case *kind.Const:
		add(w.is(k.Got)+"not the only allowed value", "use "+shown(k.Want))
	case *kind.Required:
		for _, name := range k.Missing {
			*list = append(*list, fault{path: path + "/" + escape(name), message: missing})
		}
	case *kind.AdditionalProperties:
		known := w.propertiesOf(err.SchemaURL)
		for _, name := range slices.Sorted(slices.Values(k.Properties)) {
			f := fault{path: path + "/" + escape(clip(name)), message: "is not known here", fix: suggest(name, known)}
			if near := nearest(name, known); near != "" {
				f.meant = path + "/" + escape(near)
			}
			*list = append(*list, f)
		}
	case *kind.PropertyNames:
		why := ""
		for _, cause := range err.Causes {
			var inner []fault
			(&wording{value: k.Property, echo: w.echo}).collect(cause, &inner)
			if len(inner) > 0 {
				why = ": it " + inner[0].message
				break
			}
		}
		*list = append(*list, fault{path: w.owner(k.Property, len(err.InstanceLocation)) + "/" + escape(clip(k.Property)), message: "has a name that is not allowed" + why})
	case *kind.Dependency:
		for _, name := range k.Missing {
			*list = append(*list, fault{path: path + "/" + escape(name), message: "is required beside " + quoted(k.Prop)})
		}
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			*list = append(*list, fault{path: path + "/" + escape(name), message: "is required beside " + quoted(k.Prop)})
		}
	case *kind.MinProperties:
		add(fmt.Sprintf("has %s", count(k.Got, "member")), fmt.Sprintf("at least %d", k.Want))
	case *kind.MaxProperties:
		add(fmt.Sprintf("has %s", count(k.Got, "member")), fmt.Sprintf("at most %d", k.Want))
	case *kind.MinItems:
		add(fmt.Sprintf("has %s", count(k.Got, "item")), fmt.Sprintf("at least %d", k.Want))
	case *kind.MaxItems:
		add(fmt.Sprintf("has %s", count(k.Got, "item")), fmt.Sprintf("at most %d", k.Want))
	case *kind.AdditionalItems:
		add(fmt.Sprintf("has %s too many", count(k.Count, "item")), "")
	case *kind.UniqueItems:
		add(fmt.Sprintf("has equal items at %d and %d", k.Duplicates[0], k.Duplicates[1]), "every item must be different")
	case *kind.Contains:
		add("has no item of the form that is asked for", "")
	case *kind.MinContains:
		add(fmt.Sprintf("has %s of the form that is asked for", count(len(k.Got), "item")), fmt.Sprintf("at least %d", k.Want))
	case *kind.MaxContains:
		add(fmt.Sprintf("has %s of a form that is limited", count(len(k.Got), "item")), fmt.Sprintf("at most %d", k.Want))
	case *kind.MinLength:
		add(fmt.Sprintf("has %s", count(k.Got, "character")), fmt.Sprintf("at least %d", k.Want))
	case *kind.MaxLength:
		add(fmt.Sprintf("has %s", count(k.Got, "character")), fmt.Sprintf("at most %d", k.Want))
	case *kind.Pattern:
		add(w.does(k.Got)+"not match the pattern "+k.Want, "")
	case *kind.Minimum:
		add(w.is(w.at(err.InstanceLocation))+"too small", "at least "+number(k.Want))
	case *kind.Maximum:
		add(w.is(w.at(err.InstanceLocation))+"too large", "at most "+number(k.Want))
	case *kind.ExclusiveMinimum:
		add(w.is(w.at(err.InstanceLocation))+"too small", "more than "+number(k.Want))
	case *kind.ExclusiveMaximum:
		add(w.is(w.at(err.InstanceLocation))+"too large", "less than "+number(k.Want))
	case *kind.MultipleOf:
		add(w.is(w.at(err.InstanceLocation))+"not a multiple of "+number(k.Want), "")
	case *kind.Format:
		if k.Want == "regex" {
			add(w.is(k.Got)+"not a pattern", "patterns are RE2: there is no lookahead, lookbehind or backreference")
			return
		}
		add(w.is(k.Got)+"not of the format "+k.Want, "")
	default:
		if len(err.Causes) > 0 {
			for _, cause := range err.Causes {
				w.collect(cause, list)
			}
			return
		}
		add("does not fit the schema", "")
	}
}

// owner finds the object at this depth that has a member of this name. The library
// reports a bad name at a place that later members overwrite (jsonschema v6.0.3,
// validator.go: InstanceLocation is not cloned for propertyNames); its depth is
// right. Where several objects have such a member, the first is named.
func (w *wording) owner(name string, depth int) string {
	var find func(value any, path string, depth int) (string, bool)
	find = func(value any, path string, depth int) (string, bool) {
		switch v := value.(type) {
		case map[string]any:
			if depth == 0 {
				_, has := v[name]
				return path, has
			}
			for _, key := range sortedKeys(v) {
				if p, found := find(v[key], path+"/"+escape(clip(key)), depth-1); found {
					return p, true
				}
			}
		case []any:
			for i := 0; depth > 0 && i < len(v); i++ {
				if p, found := find(v[i], path+"/"+strconv.Itoa(i), depth-1); found {
					return p, true
				}
			}
		}
		return "", false
	}
	path, _ := find(w.value, "", depth)
	return path
}

// alternatives reports anyOf and oneOf by the alternative that came nearest: a
// list of all that is wrong with all of them helps nobody.
func (w *wording) alternatives(err *jsonschema.ValidationError, path string, list *[]fault) {
	var best []fault
	bestScore := 0
	var types []string
	onlyTypes := true
	for _, cause := range err.Causes {
		var one []fault
		w.collect(cause, &one)
		want, isType := typeOnly(cause)
		onlyTypes = onlyTypes && isType && len(cause.InstanceLocation) == len(err.InstanceLocation)
		types = append(types, want...)
		score := 0
		for _, f := range one {
			if f.path == path {
				score += 10 // wrong as a whole, not only in a part
			}
			score++
		}
		if best == nil || score < bestScore {
			best, bestScore = one, score
		}
	}
	switch {
	case len(best) == 0:
		*list = append(*list, fault{path: path, message: "fits none of the alternatives"})
	case onlyTypes:
		slices.Sort(types)
		*list = append(*list, fault{path: path, message: "must be " + articles(slices.Compact(types)) + ", not " + w.got(err.InstanceLocation)})
	default:
		*list = append(*list, best...)
	}
}

// typeOnly returns the types that err asks for when that is all it says.
func typeOnly(err *jsonschema.ValidationError) ([]string, bool) {
	if k, ok := err.ErrorKind.(*kind.Type); ok {
		return k.Want, true
	}
	switch err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		if len(err.Causes) == 1 {
			return typeOnly(err.Causes[0])
		}
	}
	return nil, false
}

// propertiesOf lists the property names of the schema at this location.
func (w *wording) propertiesOf(location string) []string {
	var names []string
	everyPart(w.root, map[*jsonschema.Schema]bool{}, func(s *jsonschema.Schema) {
		if s.Location == location {
			names = sortedKeys(s.Properties)
		}
	})
	return names
}

// at returns the part of the value at a location.
func (w *wording) at(location []string) any {
	value := w.value
	for _, token := range location {
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// got says what stands at a location: its type, and its value where that is short
// and may be repeated.
func (w *wording) got(location []string) string {
	value := w.at(location)
	text := article(value)
	if w.echo {
		switch value.(type) {
		case string, json.Number, bool:
			if s := shown(value); s != "" {
				text += " (" + s + ")"
			}
		}
	}
	return text
}

// is begins a sentence about a value: "is ", or "5 is ".
func (w *wording) is(value any) string {
	if s := w.short(value); s != "" {
		return s + " is "
	}
	return "is "
}

func (w *wording) does(value any) string {
	if s := w.short(value); s != "" {
		return s + " does "
	}
	return "does "
}

func (w *wording) short(value any) string {
	if !w.echo {
		return ""
	}
	return shown(value)
}

// shown writes a scalar of at most echoLimit characters; "" for anything else.
func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		if len(v) <= echoLimit {
			return string(v)
		}
	case string:
		if len([]rune(v)) <= echoLimit {
			return quoted(v)
		}
	}
	return ""
}

// values lists what a schema allows, as far as it is short.
func values(want []any) string {
	var list []string
	for i, one := range want {
		if i == 12 {
			list = append(list, fmt.Sprintf("… (%d in all)", len(want)))
			break
		}
		if s := shown(one); s != "" {
			list = append(list, s)
		} else {
			list = append(list, article(one))
		}
	}
	return strings.Join(list, ", ")
}

func stringsIn(values []any) []string {
	var list []string
	for _, one := range values {
		if s, ok := one.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// number writes a bound as a person would.
func number(r *big.Rat) string {
	if r == nil {
		return "?"
	}
	if r.IsInt() && len(r.Num().Bits()) <= 4 {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// article names the type of a JSON value with its article.
func article(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	default:
		return fmt.Sprintf("%T", v)
	}
}

func articles(types []string) string {
	named := make([]string, len(types))
	for i, t := range types {
		switch t {
		case "null":
			named[i] = "null"
		case "integer", "array", "object":
			named[i] = "an " + t
		default:
			named[i] = "a " + t
		}
	}
	return strings.Join(named, " or ")
}

// pointer writes a location as a JSON Pointer.
func pointer(location []string) string {
	var b strings.Builder
	for _, token := range location {
		b.WriteByte('/')
		b.WriteString(escape(clip(token)))
	}
	return b.String()
}

// clip keeps a name that somebody sent from filling a message.
func clip(s string) string {
	if len(s) <= 128 {
		return s
	}
	return strings.ToValidUTF8(s[:128], "") + "…"
}

// quoted writes a string so that it can stand in a message: control characters
// escaped, and not longer than a name may be.
func quoted(s string) string { return strconv.Quote(clip(s)) }
