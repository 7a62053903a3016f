package selftest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Bounds of one file.
const (
	maxDepth    = 64
	maxValues   = 100_000
	maxProblems = 50
	maxCases    = 1000
)

// reader turns one document into a Suite and collects what is wrong with it.
type reader struct {
	file     string
	problems []core.Problem
	values   int
}

// part is one value of the document and its JSON Pointer.
type part struct {
	node *yaml.Node
	path string
}

func (p part) item(n int) part {
	return part{p.node.Content[n], p.path + "/" + strconv.Itoa(n)}
}

func (p part) member(key, value *yaml.Node) part {
	return part{value, p.path + "/" + pointer(key.Value)}
}

func (r *reader) bad(line, column int, path, message, fix string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, core.Problem{File: r.file, Line: line, Column: column, Path: path, Message: message, Fix: fix})
	}
}

func (r *reader) wrong(p part, message, fix string) {
	r.bad(p.node.Line, p.node.Column, p.path, message, fix)
}

// document returns the root of the one document, or false after reporting.
func (r *reader) document(text []byte) (part, bool) {
	if len(text) > MaxBytes {
		r.bad(0, 0, "", fmt.Sprintf("a fixture file of more than %d MiB", MaxBytes>>20), "make several files of it")
		return part{}, false
	}
	if !utf8.Valid(text) {
		r.bad(0, 0, "", "the file is not UTF-8", "save it as UTF-8; write other bytes as base64")
		return part{}, false
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(2*maxDepth), loaderlimits.AliasNone())))
	if err != nil {
		r.syntax(err)
		return part{}, false
	}
	var first, second yaml.Node
	err = loader.Load(&first)
	if err != nil && !errors.Is(err, io.EOF) {
		r.syntax(err)
		return part{}, false
	}
	if err != nil || len(first.Content) != 1 {
		r.bad(1, 1, "", "the file is empty", "begin with cases:")
		return part{}, false
	}
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		r.bad(max(second.Line, 1), max(second.Column, 1), "", "a second document after ---", "make a file of it: one file is one suite")
		return part{}, false
	}
	root := part{node: first.Content[0]}
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

// sound checks what holds for every value: neither aliases nor tags, keys that are text
// and stand once, numbers that JSON has.
func (r *reader) sound(p part, depth int) bool {
	n := p.node
	r.values++
	switch {
	case r.values > maxValues:
		r.wrong(p, fmt.Sprintf("more than %d values", maxValues), "make several files of it")
		return false
	case depth > maxDepth:
		r.wrong(p, fmt.Sprintf("values stand more than %d deep within each other", maxDepth), "write such a payload as json: '…'")
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
		lines := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 || key.Value == "<<" && key.Style == 0 {
				r.wrong(part{key, p.path}, "a key that is not plain text", "write a word, in quotes if it begins with one of [ { & * ! <")
				ok = false
				continue
			}
			if line := lines[key.Value]; line > 0 {
				r.wrong(part{key, p.path}, quoted(key.Value)+" stands twice", "remove one; the first is in line "+strconv.Itoa(line))
				ok = false
				continue
			}
			lines[key.Value] = key.Line
			ok = r.sound(p.member(key, n.Content[i+1]), depth+1) && ok
		}
	case yaml.SequenceNode:
		for i := range n.Content {
			ok = r.sound(p.item(i), depth+1) && ok
		}
	case yaml.ScalarNode:
		if _, doubt := plain(n); doubt {
			r.wrong(p, quoted(n.Value)+" is a number to some YAML readers, and none that JSON has", "write a number as JSON has it (5, 0.5, 1e3), or text in quotes")
			ok = false
		}
	default:
		r.wrong(p, "a value of no known kind", "write an object, a list, text, a number, true or false")
		ok = false
	}
	return ok
}

// What a value is, in words of messages.
const (
	aNull   = "null"
	aTruth  = "true or false"
	aNumber = "a number"
	aText   = "text"
	anObj   = "an object"
	aList   = "a list"
)

func (p part) is() string {
	switch p.node.Kind {
	case yaml.MappingNode:
		return anObj
	case yaml.SequenceNode:
		return aList
	}
	what, _ := plain(p.node)
	return what
}

// plain says what a scalar is in the core schema of YAML 1.2, and whether others might
// take it for a number.
func plain(n *yaml.Node) (what string, doubt bool) {
	const quotes = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&quotes != 0 {
		return aText, false
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return aNull, false
	case "true", "false":
		return aTruth, false
	}
	if wire.IsNumber([]byte(n.Value)) && wire.Check([]byte(n.Value), wire.Default) == nil {
		return aNumber, false
	}
	bare := strings.ToLower(strings.ReplaceAll(strings.TrimLeft(n.Value, "+-"), "_", ""))
	if bare == ".inf" || bare == ".nan" {
		return aText, true
	}
	if bare == "" || strings.Trim(bare, "0123456789abcdefxo.+-") != "" || !strings.ContainsAny(bare[:1], ".0123456789") {
		return aText, false
	}
	_, err := strconv.ParseInt(bare, 0, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return aText, true
	}
	_, err = strconv.ParseFloat(bare, 64)
	return aText, err == nil || errors.Is(err, strconv.ErrRange)
}

// want reports a value of another sort than those.
func (r *reader) want(p part, sorts ...string) bool {
	got := p.is()
	if slices.Contains(sorts, got) {
		return true
	}
	fix := "write " + strings.Join(sorts, " or ")
	if sorts[0] == aText && (got == aNumber || got == aTruth) {
		fix = "put it in quotes: " + strconv.Quote(p.node.Value)
	}
	r.wrong(p, got+" where "+strings.Join(sorts, " or ")+" belongs", fix)
	return false
}

// shape says what reads each key of an object.
type shape map[string]func(part)

// nullable keys hold any JSON, null too.
var nullable = []string{"payload", "json"}

// object reads an object, and reports unknown keys and required ones that are missing.
func (r *reader) object(p part, keys shape, required ...string) {
	if !r.want(p, anObj) {
		return
	}
	var found []string
	for i := 0; i+1 < len(p.node.Content); i += 2 {
		name := p.node.Content[i]
		at := p.member(name, p.node.Content[i+1])
		read, known := keys[name.Value]
		if !known {
			r.bad(name.Line, name.Column, at.path, "unknown key "+quoted(name.Value), near(name.Value, keys))
			continue
		}
		found = append(found, name.Value)
		if at.is() == aNull && !slices.Contains(nullable, name.Value) {
			r.wrong(at, name.Value+" has no value", "give it one, or remove the line")
			continue
		}
		read(at)
	}
	for _, name := range required {
		if !slices.Contains(found, name) {
			r.wrong(p, name+" is missing", "add "+name)
		}
	}
}

// members calls f for each member of an object.
func (r *reader) members(p part, f func(key string, at part)) {
	if !r.want(p, anObj) {
		return
	}
	for i := 0; i+1 < len(p.node.Content); i += 2 {
		f(p.node.Content[i].Value, p.member(p.node.Content[i], p.node.Content[i+1]))
	}
}

// each calls f for each item of a list.
func (r *reader) each(p part, most int, f func(part)) {
	if !r.want(p, aList) {
		return
	}
	if n := len(p.node.Content); n > most {
		r.wrong(p, fmt.Sprintf("%d items", n), fmt.Sprintf("at most %d", most))
		return
	}
	for i := range p.node.Content {
		f(p.item(i))
	}
}

func (r *reader) text(dst *string) func(part) {
	return func(p part) {
		if r.want(p, aText) {
			*dst = p.node.Value
		}
	}
}

// word reads text that is one of those.
func (r *reader) word(dst *string, words ...string) func(part) {
	return func(p part) {
		if !r.want(p, aText) {
			return
		}
		if !slices.Contains(words, p.node.Value) {
			r.wrong(p, quoted(p.node.Value)+" is unknown", "one of "+strings.Join(words, ", "))
			return
		}
		*dst = p.node.Value
	}
}

// spelled reads a scalar as it is written: 1500 and "1500" are the same.
func (r *reader) spelled(p part) (string, bool) {
	if !r.want(p, aText, aNumber, aTruth) {
		return "", false
	}
	return p.node.Value, true
}

func (r *reader) texts(dst *[]string) func(part) {
	return func(p part) {
		r.each(p, 1000, func(item part) {
			var s string
			r.text(&s)(item)
			*dst = append(*dst, s)
		})
	}
}

func (r *reader) truth(dst *bool) func(part) {
	return func(p part) {
		if r.want(p, aTruth) {
			*dst = p.node.Value == "true"
		}
	}
}

func (r *reader) whole(dst *int, least, most int) func(part) {
	return func(p part) {
		if !r.want(p, aNumber) {
			return
		}
		n, err := strconv.Atoi(p.node.Value)
		if err != nil || n < least || n > most {
			r.wrong(p, p.node.Value+" does not fit here", fmt.Sprintf("an integer from %d to %d", least, most))
			return
		}
		*dst = n
	}
}

func (r *reader) bytes64(dst *[]byte) func(part) {
	return func(p part) {
		if !r.want(p, aText) {
			return
		}
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p.node.Value), ""))
		if err != nil {
			r.wrong(p, "no base64: "+err.Error(), "write standard base64, with padding")
			return
		}
		if b == nil {
			b = []byte{}
		}
		*dst = b
	}
}

// json reads any value as JSON.
func (r *reader) json(dst *[]byte) func(part) {
	return func(p part) { *dst = appendJSON(nil, p.node) }
}

// jsonObject reads an object as JSON.
func (r *reader) jsonObject(dst *[]byte) func(part) {
	return func(p part) {
		if r.want(p, anObj) {
			*dst = appendJSON(nil, p.node)
		}
	}
}
