package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	maxDepth  = 32
	maxNumber = 64 // characters, as in core/wire
	maxText   = 64 << 10
	maxNodes  = 20_000
	maxKey    = 256
)

// reader turns one document into parts and collects what is wrong.
type reader struct {
	file     string
	problems []core.Problem
	nodes    int
}

// part is one value and its JSON Pointer.
type part struct {
	node *yaml.Node
	path string
}

func (r *reader) bad(line, column int, path, message, fix string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, core.Problem{File: r.file, Line: line, Column: column, Path: path, Message: message, Fix: fix})
	}
}

func (r *reader) wrong(p part, message, fix string) {
	r.bad(p.node.Line, p.node.Column, p.path, message, fix)
}

// document returns the root, or false after reporting why not.
func (r *reader) document(b []byte) (part, bool) {
	switch {
	case len(b) > MaxBytes:
		r.bad(0, 0, "", fmt.Sprintf("a manifest of more than %s", Size(MaxBytes)), "leave long texts out")
		return part{}, false
	case !utf8.Valid(b):
		r.bad(0, 0, "", "the manifest is not UTF-8", "save it as UTF-8")
		return part{}, false
	case bytes.HasPrefix(b, []byte("%")):
		r.bad(1, 1, "", "a YAML directive", "remove the line that begins with %")
		return part{}, false
	}
	loader, err := yaml.NewLoader(bytes.NewReader(b),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(2*maxDepth), loaderlimits.AliasNone())))
	if err != nil {
		r.syntax(err)
		return part{}, false
	}
	var document, second yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF):
		r.bad(1, 1, "", "the manifest is empty", "begin with apiVersion: "+APIVersion)
		return part{}, false
	case err != nil:
		r.syntax(err)
		return part{}, false
	}
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		r.bad(max(second.Line, 1), max(second.Column, 1), "", "a second document after ---", "a manifest is one document")
		return part{}, false
	}
	if len(document.Content) != 1 {
		r.bad(1, 1, "", "the manifest is empty", "begin with apiVersion: "+APIVersion)
		return part{}, false
	}
	root := part{node: document.Content[0]}
	return root, r.sound(root, 0)
}

func (r *reader) syntax(err error) {
	var at *yaml.LoadError
	if errors.As(err, &at) {
		r.bad(max(at.Mark.Line, 1), max(at.Mark.Column, 1), "", at.Message, "check the YAML syntax and the indentation here and on the line before")
		return
	}
	r.bad(1, 1, "", err.Error(), "check the YAML syntax")
}

// sound checks what holds for every value: depth, no aliases, tags or merge keys, keys
// that are text and stand once, text whose characters show, plain numbers.
func (r *reader) sound(p part, depth int) bool {
	n := p.node
	if r.nodes++; r.nodes > maxNodes {
		r.wrong(p, fmt.Sprintf("more than %d values", maxNodes), "make the manifest smaller")
		return false
	}
	switch {
	case depth > maxDepth:
		r.wrong(p, fmt.Sprintf("values stand more than %d deep within each other", maxDepth), "make the manifest flatter")
		return false
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.wrong(p, "an anchor or an alias (& or *)", "write the value out, or put text that begins with & or * in quotes")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.wrong(p, "a YAML tag", "remove it; put text that begins with ! in quotes")
		return false
	}
	ok := true
	switch n.Kind {
	case yaml.MappingNode:
		seen := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := part{node: key, path: p.path}
			switch line, twice := seen[key.Value]; {
			case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0:
				r.wrong(at, "a key that is not plain text", "write a word, in quotes if it begins with one of [ { & * !")
				ok = false
				continue
			case len(key.Value) > maxKey:
				r.wrong(at, fmt.Sprintf("a key of more than %d bytes", maxKey), "make it shorter")
				ok = false
				continue
			case key.Value == "<<" && key.Style == 0:
				r.wrong(at, "a merge key (<<)", "write the keys out")
				ok = false
				continue
			case twice:
				r.wrong(at, fmt.Sprintf("%s stands twice", quote(key.Value)), fmt.Sprintf("remove one; the first is in line %d", line))
				ok = false
				continue
			}
			seen[key.Value] = key.Line
			ok = r.shows(at, key.Value) && ok
			ok = r.sound(part{n.Content[i+1], p.path + "/" + pointer(key.Value)}, depth+1) && ok
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			ok = r.sound(part{item, p.path + "/" + strconv.Itoa(i)}, depth+1) && ok
		}
	case yaml.ScalarNode:
		ok = r.shows(p, n.Value)
		if _, message := plain(n); message != "" {
			r.wrong(p, message, "write a number as JSON has it (5, 0.5, 1e3), or text in quotes")
			ok = false
		}
	default:
		r.wrong(p, "a value of no known kind", "write an object, a list, text, a number, true or false")
		ok = false
	}
	return ok
}

// shows refuses characters that a reviewer cannot see, or that show text in another
// order than it is read: a manifest is approved by people.
func (r *reader) shows(p part, text string) bool {
	if len(text) > maxText {
		r.wrong(p, fmt.Sprintf("text of more than %s", Size(maxText)), "make it shorter")
		return false
	}
	for _, c := range text {
		if c == '\n' || c == '\t' || unicode.IsPrint(c) || unicode.Is(unicode.Zs, c) {
			continue
		}
		if c == '\u200d' || c == '\ufe0f' { // parts of emoji
			continue
		}
		r.wrong(p, fmt.Sprintf("a character that does not show (%U)", c), "remove it")
		return false
	}
	return true
}

// sort is what a scalar is.
type sort string

const (
	isNull   sort = "null"
	isBool   sort = "true or false"
	isNumber sort = "a number"
	isText   sort = "text"
	isObject sort = "an object"
	isList   sort = "a list"
)

// plain says what a scalar means in the core schema of YAML 1.2, and what is wrong
// with it: numbers that JSON does not have, or that YAML readers disagree on.
func plain(n *yaml.Node) (what sort, wrong string) {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return isText, ""
	}
	switch s := n.Value; s {
	case "", "~", "null", "Null", "NULL":
		return isNull, ""
	case "true", "false":
		return isBool, ""
	case "True", "TRUE", "False", "FALSE":
		return isBool, fmt.Sprintf("%s is true or false to some YAML readers and text to others", s)
	default:
		digits := strings.TrimLeft(s, "+-.")
		numeric := digits != "" && '0' <= digits[0] && digits[0] <= '9' && strings.Trim(s, "+-.0123456789abcdefxoABCDEF_") == ""
		switch {
		case jsonNumber(s) && len(s) <= maxNumber:
			return isNumber, ""
		case jsonNumber(s), slices.Contains([]string{".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}, strings.TrimLeft(s, "+-")):
			return isNumber, fmt.Sprintf("%s is a number that JSON cannot hold", quote(s))
		case numeric && yamlNumber(s):
			return isNumber, fmt.Sprintf("%s is a number to some YAML readers and text to others", quote(s))
		}
		return isText, ""
	}
}

func jsonNumber(s string) bool {
	return wire.IsNumber([]byte(s)) && wire.Check([]byte(s), numbers) == nil
}

var numbers = wire.Limits{Depth: 1, Keys: 1, String: 1, Number: MaxBytes}

// yamlNumber reports whether a YAML 1.1 or 1.2 reader may take s for a number, beyond
// JSON's.
func yamlNumber(s string) bool {
	s = strings.ReplaceAll(strings.TrimLeft(s, "+-"), "_", "")
	if _, err := strconv.ParseInt(s, 0, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return true
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

func (p part) sort() sort {
	switch p.node.Kind {
	case yaml.MappingNode:
		return isObject
	case yaml.SequenceNode:
		return isList
	default:
		what, _ := plain(p.node)
		return what
	}
}

// want reports a part of another sort.
func (r *reader) want(p part, s sort) bool {
	got := p.sort()
	if got == s {
		return true
	}
	fix := "write " + string(s)
	if s == isText && (got == isNumber || got == isBool) {
		fix = fmt.Sprintf("put it in quotes: %q", p.node.Value)
	}
	r.wrong(p, fmt.Sprintf("%s where %s belongs", got, s), fix)
	return false
}

// fields is the shape of one object: what reads each key.
type fields map[string]func(part)

// object reads an object and reports keys that are not in the shape, and required ones
// that are missing.
func (r *reader) object(p part, shape fields, required ...string) {
	if !r.want(p, isObject) {
		return
	}
	found := make(map[string]bool, len(shape))
	for i := 0; i+1 < len(p.node.Content); i += 2 {
		key := p.node.Content[i]
		at := part{p.node.Content[i+1], p.path + "/" + pointer(key.Value)}
		read, known := shape[key.Value]
		if !known {
			r.bad(key.Line, key.Column, at.path, "unknown key "+quote(key.Value), near(key.Value, shape))
			continue
		}
		found[key.Value] = true
		if at.sort() == isNull {
			r.wrong(at, key.Value+" has no value", "give it one, or remove the line")
			continue
		}
		read(at)
	}
	for _, name := range required {
		if !found[name] {
			r.wrong(p, name+" is missing", "add "+name)
		}
	}
}

// each calls read for the items of a list.
func (r *reader) each(p part, most int, read func(part)) {
	if !r.want(p, isList) {
		return
	}
	if len(p.node.Content) > most {
		r.wrong(p, fmt.Sprintf("%d items", len(p.node.Content)), fmt.Sprintf("at most %d", most))
		return
	}
	for i, item := range p.node.Content {
		read(part{item, p.path + "/" + strconv.Itoa(i)})
	}
}

// text reads text into dst after check, which returns what would be right.
func (r *reader) text(dst *string, check func(string) (fix string)) func(part) {
	return func(p part) {
		if !r.want(p, isText) {
			return
		}
		if fix := check(p.node.Value); fix != "" {
			r.wrong(p, fmt.Sprintf("%s does not fit here", quote(p.node.Value)), fix)
			return
		}
		*dst = p.node.Value
	}
}

// set reads a list of texts that is a set: repeated ones are reported, and the result
// is sorted.
func (r *reader) set(dst *[]string, most int, check func(string) (fix string)) func(part) {
	return func(p part) {
		r.each(p, most, func(item part) {
			var text string
			before := len(r.problems)
			r.text(&text, check)(item)
			switch {
			case len(r.problems) > before:
			case slices.Contains(*dst, text):
				r.wrong(item, quote(text)+" stands twice", "remove one")
			default:
				*dst = append(*dst, text)
			}
		})
		slices.Sort(*dst)
	}
}

// json returns the value as JSON, keys in the order of the file.
func (r *reader) json(dst []byte, n *yaml.Node) []byte {
	switch n.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(wire.AppendString(dst, n.Content[i].Value), ':')
			dst = r.json(dst, n.Content[i+1])
		}
		return append(dst, '}')
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.json(dst, item)
		}
		return append(dst, ']')
	default:
		switch what, _ := plain(n); what {
		case isNull:
			return append(dst, "null"...)
		case isText:
			return wire.AppendString(dst, n.Value)
		default:
			return append(dst, n.Value...)
		}
	}
}

// pointer escapes a key for a JSON Pointer (RFC 6901).
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// quote writes at most 60 bytes of text in quotes.
func quote(s string) string {
	if len(s) > 60 {
		return strconv.Quote(strings.ToValidUTF8(s[:57], "")) + "…"
	}
	return strconv.Quote(s)
}

// near names the key that was probably meant, or all of them.
func near(key string, shape fields) string {
	names := make([]string, 0, len(shape))
	for name := range shape {
		names = append(names, name)
	}
	slices.Sort(names)
	flat := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
	}
	for _, name := range names {
		a, b := flat(key), flat(name)
		if a == b || a+"s" == b || a == b+"s" || len(a) > 3 && distance(a, b) <= 2 {
			return "did you mean " + name + "?"
		}
	}
	return "known here: " + strings.Join(names, ", ")
}

// distance counts the letters to change, add or remove (Levenshtein); at most 32
// letters are looked at.
func distance(a, b string) int {
	a, b = a[:min(len(a), 32)], b[:min(len(b), 32)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
