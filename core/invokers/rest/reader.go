package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// reader reads a config and collects every mistake with its path.
type reader struct {
	env      core.Env
	problems core.Problems

	declared map[string]bool // arguments of the input schema; nil = not known
	open     bool            // the schema may allow more than it names
	used     map[string]bool // arguments that some place names
	usesAll  bool
	places   int  // how many take an argument
	wholly   bool // an expression reads the arguments as decoded
	accepts  bool // the connection has an Accept header
}

// member is one member of an object, in the order as written.
type member struct {
	name string
	raw  json.RawMessage
}

func (r *reader) problem(at, message, fix string) {
	r.problems = append(r.problems, core.Problem{Path: at, Message: message, Fix: fix})
}

func (r *reader) warn(at, message, fix string) {
	r.problems = append(r.problems, core.Problem{Path: at, Message: message, Fix: fix, Warning: true})
}

// failed tells whether there is a problem that is not a warning.
func (r *reader) failed() bool {
	return slices.ContainsFunc(r.problems, func(p core.Problem) bool { return !p.Warning })
}

// members returns the members of an object, and complains of names not in known;
// nil known allows all.
func (r *reader) members(at string, raw json.RawMessage, known ...string) []member {
	if len(raw) == 0 {
		return nil
	}
	var list []member
	err := wire.Fields(raw, func(name string, value json.RawMessage) error {
		list = append(list, member{name, value})
		return nil
	})
	if err != nil {
		r.problem(at, "this is not an object", "write name: value pairs")
		return nil
	}
	if known != nil {
		for i := range list {
			if !slices.Contains(known, list[i].name) {
				r.problem(at+"/"+escape(list[i].name), fmt.Sprintf("there is no %q here", list[i].name), suggest(list[i].name, known))
			}
		}
	}
	return list
}

func find(list []member, name string) (json.RawMessage, bool) {
	for i := range list {
		if list[i].name == name {
			return list[i].raw, true
		}
	}
	return nil, false
}

// text reads a string.
func (r *reader) text(at string, raw json.RawMessage) string {
	var s string
	if err := wire.Unmarshal(raw, &s); err != nil {
		r.problem(at, "this is not a text", "write a string")
	}
	return s
}

// choice reads a string that is one of options.
func (r *reader) choice(at string, raw json.RawMessage, options ...string) string {
	s := r.text(at, raw)
	if s != "" && !slices.Contains(options, s) {
		r.problem(at, fmt.Sprintf("%q is not known here", s), suggest(s, options))
	}
	return s
}

// whole reads an integer from low to high.
func (r *reader) whole(at string, raw json.RawMessage, low, high int) int {
	var n int
	if err := wire.Unmarshal(raw, &n); err != nil || n < low || n > high {
		r.problem(at, "this number does not fit", fmt.Sprintf("write an integer from %d to %d", low, high))
		return low
	}
	return n
}

func (r *reader) boolean(at string, raw json.RawMessage) bool {
	var b bool
	if err := wire.Unmarshal(raw, &b); err != nil {
		r.problem(at, "this is neither true nor false", "write true or false")
	}
	return b
}

// texts reads an array of strings.
func (r *reader) texts(at string, raw json.RawMessage) []string {
	var list []string
	if err := wire.Unmarshal(raw, &list); err != nil {
		r.problem(at, "this is not a list of texts", "write [a, b]")
	}
	return list
}

// jq compiles a jq expression.
func (r *reader) jq(at string, raw json.RawMessage) *expression.JQ {
	source := r.text(at, raw)
	if source == "" {
		r.problem(at, "the jq expression is empty", "write one, like .items, or leave this out")
		return nil
	}
	q, err := expression.CompileJQ(source, jqVariables...)
	if err != nil {
		r.problem(at, "the jq expression does not compile: "+err.Error(), "see jqlang.org/manual; $status, $headers and $arguments are the variables")
	}
	return q
}

// expr compiles an expr expression over the arguments.
func (r *reader) expr(at string, raw json.RawMessage) *expression.Expr {
	var known []string
	if r.declared != nil && !r.open {
		known = slices.Sorted(maps.Keys(r.declared))
		if known == nil {
			known = []string{}
		}
	}
	e, err := expression.Compile(r.text(at, raw), known)
	if err != nil {
		fix := "see expr-lang.org; the arguments are the variables, args holds all of them"
		var syntax *expression.SyntaxError
		if errors.As(err, &syntax) && strings.HasPrefix(syntax.Message, "unknown name ") {
			fix = suggest(strings.TrimPrefix(syntax.Message, "unknown name "), known)
		}
		r.problem(at, "the expression does not compile: "+err.Error(), fix)
		return nil
	}
	r.wholly = true
	list, all := e.Names()
	for _, name := range list {
		r.used[name] = true
	}
	r.usesAll = r.usesAll || all
	return e
}

// argument makes a source of an argument name, or of a JSON Pointer into the
// arguments.
func (r *reader) argument(at, from, label string) source {
	r.places++
	s := source{label: label, argument: from}
	if strings.HasPrefix(from, "/") {
		steps := strings.Split(from[1:], "/")
		for i := range steps {
			steps[i] = strings.ReplaceAll(strings.ReplaceAll(steps[i], "~1", "/"), "~0", "~")
		}
		s.argument, s.pointer = steps[0], steps[1:]
	}
	if s.argument == "" {
		r.problem(at, "the name of the argument is empty", "write the name of an argument")
		return s
	}
	r.used[s.argument] = true
	if r.declared != nil && !r.open && !r.declared[s.argument] {
		fix := suggest(s.argument, slices.Sorted(maps.Keys(r.declared)))
		r.problem(at, fmt.Sprintf("the input schema has no argument %q", s.argument),
			fix+"; a constant is written {value: …}")
	}
	return s
}

// sourceKeys are the keys that say where a value comes from.
var sourceKeys = []string{"from", "expr", "value"}

// source reads a value that is a text (the name of an argument), a number or a
// boolean (itself), or an object with from, expr or value. It returns the members
// of the object that it did not read.
func (r *reader) source(at, label string, raw json.RawMessage, others ...string) (source, []member) {
	if wire.IsString(raw) {
		return r.argument(at, r.text(at, raw), label), nil
	}
	if !wire.IsObject(raw) {
		value, err := wire.Decode(raw)
		if err != nil || wire.IsArray(raw) || value == nil {
			r.problem(at, "this does not say where the value comes from", "write the name of an argument, or {value: …} for a constant")
		}
		return source{label: label, constant: value}, nil
	}
	list := r.members(at, raw, append(append(slices.Clone(sourceKeys), "default"), others...)...)
	s, given := source{label: label}, 0
	var rest []member
	for _, m := range list {
		here := at + "/" + escape(m.name)
		switch m.name {
		case "from":
			s, given = withFallback(r.argument(here, r.text(here, m.raw), label), s.fallback), given+1
		case "expr":
			s.expr, given = r.expr(here, m.raw), given+1
		case "value":
			s.constant, given = r.constant(here, m.raw), given+1
		case "client":
			s.client, given = r.clientHeader(here, m.raw), given+1
		case "default":
			s.fallback = r.constant(here, m.raw)
		default:
			rest = append(rest, m)
		}
	}
	if given != 1 {
		keys := strings.Join(sourceKeys, ", ")
		if slices.Contains(others, "client") {
			keys += ", client"
		}
		r.problem(at, fmt.Sprintf("the value comes from %d places", given), "write exactly one of "+keys)
	}
	return s, rest
}

func withFallback(s source, fallback any) source {
	s.fallback = fallback
	return s
}

func (r *reader) constant(at string, raw json.RawMessage) any {
	value, err := wire.Decode(raw)
	if err != nil {
		r.problem(at, "this is not JSON", "write a value")
	}
	return value
}

// placement reads a value with its style.
func (r *reader) placement(at, place, name string, raw json.RawMessage, styles []style) *placement {
	others := []string{"style", "explode"}
	if place == "query parameter" {
		others = append(others, "allowReserved")
	}
	if place == "header" {
		others = append(others, "client")
	}
	p := &placement{style: styles[0], name: name, keep: unreserved}
	var rest []member
	p.source, rest = r.source(at, place+" \""+name+"\"", raw, others...)
	if wire.IsString(raw) || p.argument == name {
		p.label = "argument \"" + p.argument + "\""
	}
	explode, given := false, false
	for _, m := range rest {
		here := at + "/" + m.name
		switch m.name {
		case "style":
			known := make([]string, len(styles))
			for i := range styles {
				known[i] = styles[i].name
			}
			if i := slices.Index(known, r.choice(here, m.raw, known...)); i >= 0 {
				p.style = styles[i]
			}
		case "explode":
			explode, given = r.boolean(here, m.raw), true
		case "allowReserved":
			if r.boolean(here, m.raw) {
				p.keep = reserved
			}
		}
	}
	if given {
		if p.style.deep && !explode || p.style.json && explode {
			r.problem(at+"/explode", "the style "+p.style.name+" has only one form", "leave explode out")
		}
		p.style.explode = explode
	}
	return p
}

// escape writes a name as a step of a JSON Pointer (RFC 6901).
func escape(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
