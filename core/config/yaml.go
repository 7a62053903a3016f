package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// maxNumber is the longest number in a document, as in core/wire.
const (
	maxNumber  = 64
	longNumber = "a number of more than 64 characters"
)

// yamlText turns the YAML library's nodes into ours: YAML 1.2 core schema (yes and
// on are text, 2024-01-01 is text), aliases resolved and bounded, keys as text.
type yamlText struct {
	b     []byte
	found *mistakes
	at    trail
	done  map[*yaml.Node]*node // targets of aliases, converted once
	open  map[*yaml.Node]bool  // being converted: an alias to it would be endless
	own   int                  // weight of the document with every alias counted as nothing
	alias *yaml.Node           // the alias with the heaviest target
	most  int
}

// parseYAML returns the root, or nil after a syntax error.
func parseYAML(b []byte, found *mistakes) *node {
	y := &yamlText{b: b, found: found, done: map[*yaml.Node]*node{}, open: map[*yaml.Node]bool{}}
	if line := directive(b); line > 0 {
		found.add(line, 1, "", "a YAML directive", "remove the line: documents are YAML 1.2")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(b),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(2*maxDepth), loaderlimits.AliasNone())))
	if err != nil {
		y.syntax(err)
		return nil
	}
	var document yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF):
		found.add(1, 1, "", "the document is empty", emptyFix)
		return nil
	case err != nil:
		y.syntax(err)
		return nil
	}
	root := y.value(document.Content[0], 0)
	if root.weight-y.own > maxAliased {
		found.add(y.alias.Line, y.alias.Column, "",
			fmt.Sprintf("aliases blow the document up to more than %d MiB", maxAliased>>20), "write fewer aliases (*name) to large parts")
		return nil
	}
	if root.sort == null && root.plain {
		found.add(root.line, root.column, "", "the document is empty", emptyFix)
		return nil
	}
	var second yaml.Node
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		line, column := second.Line, second.Column
		var bad *yaml.LoadError
		if errors.As(err, &bad) {
			line, column = bad.Mark.Line, bad.Mark.Column
		}
		if at := marker(b, root.line); at > 0 {
			line, column = at, 1
		}
		found.add(line, column, "", "a second document in the same file (after ---)", "a file holds one document: move it to a file of its own")
		return nil
	}
	return root
}

// directive returns the line of a directive before the document, 0 when there is none.
// The library refuses %YAML 1.2, which documents are, and takes %YAML 1.1.
func directive(b []byte) int {
	line := 0
	for text := range bytes.Lines(bytes.TrimPrefix(b, []byte("\ufeff"))) {
		line++
		switch text = bytes.TrimSpace(text); {
		case len(text) == 0 || text[0] == '#':
		case text[0] == '%':
			return line
		default:
			return 0
		}
	}
	return 0
}

// marker returns the line of the first --- below a line, 0 when there is none.
func marker(b []byte, after int) int {
	line := 0
	for text := range bytes.Lines(b) {
		if line++; line > after && bytes.HasPrefix(text, []byte("---")) {
			return line
		}
	}
	return 0
}

// value converts one node that stands depth values deep.
func (y *yamlText) value(from *yaml.Node, depth int) *node {
	n := &node{line: from.Line, column: from.Column}
	if depth > maxDepth {
		y.found.add(n.line, n.column, y.at.String(), tooDeep, "make the document flatter")
		n.broken = true
		return n
	}
	if from.Anchor != "" {
		y.open[from] = true
		defer delete(y.open, from)
	}
	switch from.Kind {
	case yaml.AliasNode:
		return y.follow(from, depth)
	case yaml.MappingNode:
		n.sort = object
		n.broken = !y.tag(from, "!!map")
		y.object(n, from, depth)
	case yaml.SequenceNode:
		n.sort = list
		n.broken = !y.tag(from, "!!seq")
		for i, item := range from.Content {
			y.at.index(i)
			n.items = append(n.items, y.value(item, depth+1))
			y.at.pop()
		}
	default:
		y.scalar(n, from)
	}
	n.measure()
	y.own += 16 + len(n.text)
	for i := range n.keys {
		y.own += len(n.keys[i].text)
	}
	if from.Anchor != "" {
		y.done[from] = n
	}
	return n
}

const tooDeep = "values stand too deep within each other (more than 64)"

func (y *yamlText) follow(from *yaml.Node, depth int) *node {
	target := y.done[from.Alias]
	if from.Alias != nil && target == nil && !y.open[from.Alias] { // the anchor of a key
		target = y.value(from.Alias, depth)
	}
	nothing := &node{line: from.Line, column: from.Column, broken: true}
	switch {
	case from.Alias == nil || y.open[from.Alias] || target == nil:
		y.found.add(from.Line, from.Column, y.at.String(), fmt.Sprintf("the alias *%s stands inside what it names", from.Value), "an alias may only repeat a value that is complete")
		return nothing
	case depth+target.height > maxDepth:
		y.found.add(from.Line, from.Column, y.at.String(), tooDeep, "make the document flatter")
		return nothing
	}
	if target.weight > y.most {
		y.most, y.alias = target.weight, from
	}
	return target
}

func (y *yamlText) object(n *node, from *yaml.Node, depth int) {
	seen := make(map[string]int, len(from.Content)/2)
	for i := 0; i+1 < len(from.Content); i += 2 {
		name, value := from.Content[i], from.Content[i+1]
		k := key{line: name.Line, column: name.Column}
		if name.Kind == yaml.AliasNode && name.Alias != nil {
			name = name.Alias
		}
		switch {
		case name.Kind != yaml.ScalarNode:
			y.found.add(k.line, k.column, y.at.String(), "a key that is not text", "keys are text; quote it if it begins with [ or {")
			continue
		case name.Value == "<<" && name.Style&^yaml.TaggedStyle == 0:
			y.found.add(k.line, k.column, append(y.at, "<<").String(), "merge keys (<<) are not supported",
				"write the keys out; an alias (*name) may stand for a whole value")
			continue
		}
		k.text = name.Value
		y.at.push(k.text)
		item := y.value(value, depth+1)
		y.at.pop()
		if line, twice := seen[k.text]; twice {
			duplicate(y.found, y.at, k, line)
			continue
		}
		seen[k.text] = k.line
		n.keys, n.items = append(n.keys, k), append(n.items, item)
	}
}

// tag reports an explicit tag other than want.
func (y *yamlText) tag(from *yaml.Node, want string) bool {
	if from.Style&yaml.TaggedStyle == 0 || from.ShortTag() == want {
		return true
	}
	y.found.add(from.Line, from.Column, y.at.String(), fmt.Sprintf("the YAML tag %s is not supported here", quote(from.ShortTag())),
		"remove it; text that begins with ! stands in quotes")
	return false
}

func (y *yamlText) scalar(n *node, from *yaml.Node) {
	n.text = from.Value
	n.sort = text
	quoted := from.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	tagged := from.Style&yaml.TaggedStyle != 0
	want := map[string]sort{"!!null": null, "!!bool": boolean, "!!int": number, "!!float": number}
	switch short := from.ShortTag(); {
	case !tagged && quoted, tagged && (short == "!!str" || short == "!"):
		return
	case tagged:
		s, known := want[short]
		if !known {
			n.broken = !y.tag(from, "!!str")
			return
		}
		got, _, _ := resolve(from.Value)
		if got != s || short == "!!int" && strings.ContainsAny(from.Value, ".eE") && !strings.HasPrefix(from.Value, "0x") {
			y.found.add(n.line, n.column, y.at.String(), fmt.Sprintf("%s is no value of the YAML tag %s", quote(from.Value), short), "remove the tag")
			n.broken = true
			return
		}
	}
	s, value, wrong := resolve(from.Value)
	if wrong != "" {
		y.found.add(n.line, n.column, y.at.String(), wrong, fmt.Sprintf("write the number plainly, or text as %s", quote(from.Value)))
		n.sort, n.text, n.broken = number, "0", true
		return
	}
	n.sort, n.plain = s, true
	if s != text {
		n.text = value
		n.written = from.Value
	}
}

// syntax reports what the YAML library refused, in words that help.
func (y *yamlText) syntax(err error) {
	var bad *yaml.LoadError
	if !errors.As(err, &bad) {
		y.found.add(1, 1, "", err.Error(), "check the YAML syntax")
		return
	}
	line, column := max(bad.Mark.Line, 1), max(bad.Mark.Column, 1)
	open := func() string { return fmt.Sprintf("%d:%d", bad.ContextMark.Line, bad.ContextMark.Column) }
	message, fix := bad.Message, "check the YAML syntax here and on the line before"
	switch m := bad.Message; {
	case strings.HasPrefix(m, "mapping values are not allowed"):
		message, fix = `a ": " where no value can begin`, `put text that holds ": " in quotes, and check the indentation`
	case strings.HasPrefix(m, "found character that cannot start any token"):
		switch c := y.byteAt(line, column); c {
		case '\t':
			message, fix = "a tab in the indentation", "indent with spaces"
		default:
			message, fix = fmt.Sprintf("a value cannot begin with %q", string(c)), "put the text in quotes"
		}
	case strings.Contains(m, "tab") && strings.Contains(m, "indentation"):
		message, fix = "a tab in the indentation", "indent with spaces"
	case strings.HasPrefix(m, "found unexpected end of stream"):
		message, fix = "a quoted text is not closed; it begins at "+open(), "close it with the quote it began with"
	case strings.HasPrefix(m, "block sequence entries are not allowed"):
		message, fix = `a "- " where no list can begin`, "put the list on lines of its own, indented below its key"
	case strings.HasPrefix(m, "did not find expected '-' indicator"):
		message, fix = "a key among the items of a list; the list begins at "+open(), "indent the key, or begin the line with -"
	case strings.HasPrefix(m, "did not find expected key"):
		message, fix = "the indentation does not fit; the object begins at "+open(), "begin each key of one object in the same column, and close quotes before going on"
	case strings.HasPrefix(m, "could not find expected ':'"):
		message, fix = `a key without ":"`, `write "key: value"; text of several lines begins with | or >`
	case strings.HasPrefix(m, "did not find expected ',' or"):
		message, fix = "a "+strings.TrimPrefix(m, "did not find expected ")+" is missing; what it closes begins at "+open(), "close it, or put text that begins with { or [ in quotes"
	case strings.HasPrefix(m, "did not find expected node content"):
		message, fix = "a { or [ is not closed, or a value is missing", "close it, or put text that holds {, }, [, ] or a leading comma in quotes"
	case strings.HasPrefix(m, "unknown anchor"):
		message, fix = "there is no anchor "+strings.TrimSuffix(strings.TrimPrefix(m, "unknown anchor "), " referenced")+" above", "define it with &name before, or put text that begins with * in quotes"
	case strings.Contains(m, "tag handle"), strings.Contains(bad.ContextMsg, "tag"):
		message, fix = "a YAML tag that is not known", "put text that begins with ! in quotes"
	case strings.Contains(m, "escape"):
		message, fix = "an unknown escape in double quotes", `write \\ for a backslash, or use single quotes`
	case strings.Contains(m, "incompatible YAML document"), strings.Contains(m, "directive"), strings.Contains(bad.ContextMsg, "directive"):
		message, fix = "a YAML directive", "remove the line that begins with %"
	case strings.Contains(m, "max depth"):
		message, fix = tooDeep, "make the document flatter"
	}
	y.found.add(line, column, "", message, fix)
}

// byteAt returns the byte at a line and column, 0 when there is none.
func (y *yamlText) byteAt(line, column int) byte {
	rest := y.b
	for ; line > 1; line-- {
		_, after, more := bytes.Cut(rest, []byte("\n"))
		if !more {
			return 0
		}
		rest = after
	}
	for ; column > 1 && len(rest) > 0; column-- {
		r := bytes.Runes(rest[:min(4, len(rest))])
		rest = rest[len(string(r[0])):]
	}
	if len(rest) == 0 {
		return 0
	}
	return rest[0]
}
