package transformers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
)

// Template is the kind "template": it renders the structured content as plain text
// for the model. It makes text only, never JSON, an address or SQL.
var Template = core.Kind[core.Transformer]{
	Name:    "template",
	Summary: "Renders the structured content as plain text with a text template.",
	Schema: json.RawMessage(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "template",
  "description": "Renders the structured content as plain text in place of the first text block. Failed results pass untouched.",
  "type": "object",
  "additionalProperties": false,
  "required": ["template"],
  "properties": {
    "template": {
      "type": "string",
      "minLength": 1,
      "maxLength": 65536,
      "description": "Text template (Go text/template) over the structured content, at most 64 KiB of output. Functions beside the built-in ones: json, join, upper, lower, trim, default, clip."
    },
    "structured": {
      "type": "string",
      "enum": ["keep", "drop"],
      "default": "keep",
      "description": "Whether the structured content stays beside the text. A tool with an output schema must keep it."
    }
  }
}`),
	Example: "template: |\n  {{len .books}} books:\n  {{range .books}}- {{.title}} ({{.year | default \"no year\"}})\n  {{end}}\n",
	New:     newTemplate,
}

// Bounds of one rendering.
const (
	maxRendered = 64 << 10 // bytes
	maxRounds   = 100_000  // rounds of range and calls of template
)

var (
	errRendered = fmt.Errorf("the template makes more than %d bytes", maxRendered)
	errRounds   = fmt.Errorf("the template goes more than %d rounds", maxRounds)
)

type rendered struct {
	template *template.Template
	drop     bool
}

func newTemplate(_ context.Context, config json.RawMessage, _ core.Env) (core.Transformer, error) {
	r, t := &reader{}, &rendered{}
	r.settings(config, []string{"template", "structured"}, func(name, at string, raw json.RawMessage) {
		if name == "structured" {
			t.drop = r.choice(at, raw, "keep", "drop") == "drop"
			return
		}
		source := r.text(at, raw)
		if source == "" {
			return
		}
		parsed, err := template.New("template").Funcs(functions).Parse(source)
		if err != nil {
			r.problem(at, "the template does not parse: "+strings.TrimPrefix(err.Error(), "template: "), "see pkg.go.dev/text/template; functions are json, join, upper, lower, trim, default, clip")
			return
		}
		calls := map[string][]string{}
		for _, each := range parsed.Templates() {
			if each.Tree != nil {
				calls[each.Name()] = prepare(each.Root)
			}
		}
		for name := range calls {
			if reaches(calls, name, name, map[string]bool{}) {
				r.problem(at, fmt.Sprintf("the template %q calls itself", name), "use range in place of recursion")
				return
			}
		}
		t.template = parsed
	})
	if t.template == nil && len(r.problems) == 0 {
		r.problem("", "template is missing", "write a text template, like template: \"{{.title}}\"")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return t, nil
}

// NeedsValues returns false: only the result is read.
func (t *rendered) NeedsValues() bool { return false }

// Transform renders in.
func (t *rendered) Transform(ctx context.Context, _ *core.Call, in *core.Result) (*core.Result, error) {
	if in.IsError || len(in.InputRequests) > 0 {
		return in, nil
	}
	input, err := value(in)
	if err != nil {
		return nil, err
	}
	out := &page{ctx: ctx}
	if err := t.template.Execute(out, input); err != nil {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errRendered):
			err = errRendered
		case errors.Is(err, errRounds):
			err = errRounds
		}
		text, _ := clip(err.Error(), 300)
		return core.ErrorResult("The result could not be rendered: " + text + "."), nil
	}
	if t.drop {
		in.Structured = nil
	}
	setText(in, strings.ToValidUTF8(out.text.String(), "\uFFFD"))
	return in, nil
}

// round is written at the start of each round of a template and never shown. A
// template cannot be stopped from outside, but it ends when a write fails.
var round = []byte("\x00round\x00")

// prepare puts round at the start of a list and of the bodies of the loops in it,
// and returns the names of the templates that it calls.
func prepare(list *parse.ListNode) (calls []string) {
	if list == nil {
		return nil
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.RangeNode:
			calls = append(append(calls, prepare(n.List)...), prepare(n.ElseList)...)
		case *parse.IfNode:
			calls = append(append(calls, prepare(n.List)...), prepare(n.ElseList)...)
		case *parse.WithNode:
			calls = append(append(calls, prepare(n.List)...), prepare(n.ElseList)...)
		case *parse.TemplateNode:
			calls = append(calls, n.Name)
		}
	}
	mark := &parse.TextNode{NodeType: parse.NodeText, Text: round}
	list.Nodes = append([]parse.Node{mark}, list.Nodes...)
	return calls
}

// reaches tells whether from calls to, directly or through others. Recursion is
// refused: text/template unwinds a deep one in quadratic time, whatever ends it.
func reaches(calls map[string][]string, from, to string, seen map[string]bool) bool {
	for _, name := range calls[from] {
		if name == to {
			return true
		}
		if !seen[name] {
			seen[name] = true
			if reaches(calls, name, to, seen) {
				return true
			}
		}
	}
	return false
}

// page takes what a template writes, within bounds.
type page struct {
	ctx    context.Context //nolint:containedctx // lives as long as one Transform
	text   strings.Builder
	rounds int
}

// Write counts rounds and keeps the rest.
func (p *page) Write(b []byte) (int, error) {
	switch {
	case bytes.Equal(b, round):
		p.rounds++
		if p.rounds > maxRounds {
			return 0, errRounds
		}
		if p.rounds%256 == 0 {
			return len(b), p.ctx.Err()
		}
		return len(b), nil
	case string(b) == "<no value>": // what the package writes for an absent member
		return len(b), nil
	case p.text.Len()+len(b) > maxRendered:
		return 0, errRendered
	}
	return p.text.Write(b)
}

// functions of templates. None reaches outside, none makes more than its input and
// a bound.
var functions = template.FuncMap{
	"json": func(v any) (string, error) {
		b, err := expression.AppendJSON(nil, v, maxRendered)
		return string(b), err
	},
	"join": func(separator string, list []any) (string, error) {
		var b strings.Builder
		for i, element := range list {
			if i > 0 {
				b.WriteString(separator)
			}
			fmt.Fprint(&b, element)
			if b.Len() > maxRendered {
				return "", errRendered
			}
		}
		return b.String(), nil
	},
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
	"trim":  strings.TrimSpace,
	"default": func(fallback any, v any) any {
		if v == nil || v == "" {
			return fallback
		}
		return v
	},
	"clip": func(limit int, text string) string {
		short, cut := clip(text, max(limit, 0))
		if cut {
			short += "…"
		}
		return short
	},
	"printf": func(format string, values ...any) (string, error) {
		if wide.MatchString(format) {
			return "", errors.New("printf takes widths below 1000 and no *")
		}
		return fmt.Sprintf(format, values...), nil
	},
	"call": func(...any) (string, error) { return "", errors.New("call is not available") },
	"slice": func(v reflect.Value, indexes ...int) (any, error) {
		if v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		low, high := 0, 0
		switch v.Kind() {
		case reflect.String, reflect.Slice:
			high = v.Len()
		default:
			return nil, errors.New("slice wants text or an array")
		}
		if len(indexes) > 0 {
			low = indexes[0]
		}
		if len(indexes) > 1 {
			high = indexes[1]
		}
		low = min(max(low, 0), v.Len())
		return v.Slice(low, min(max(high, low), v.Len())).Interface(), nil
	},
}

// wide matches a format whose width or precision makes much of little.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*([0-9]{4}|\*)`)

var (
	_ core.Transformer = (*rendered)(nil)
	_ core.Frugal      = (*rendered)(nil)
)
