// Package transformers holds the built-in transformer kinds, each in one file. A
// transformer rewrites the result of a tool before the client gets it; those of a
// tool run in the order as written. Texts may share memory with the structured
// content (core.Result): a transformer makes new bytes, and never writes into it.
//
//	invoker ─► result ─► jq ─► redact ─► truncate ─► output schema ─► client
//
//	transformers:
//	  - {kind: jq, config: {select: ".items | map({id, title})"}}
//	  - {kind: redact, config: {names: [password]}}
//
//	kinds := transformers.All()
//	t, err := transformers.JQ.New(ctx, json.RawMessage(`{"select": ".items"}`), env)
//	result, err = t.Transform(ctx, call, result)
package transformers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// All returns every kind of this package.
func All() []core.Kind[core.Transformer] {
	return []core.Kind[core.Transformer]{JQ, Redact, Template, Truncate}
}

// answerLimits bounds the JSON of results: a long list has more members than an
// argument may have.
var answerLimits = wire.Limits{Depth: 64, Keys: 1_000_000, String: 64 << 20, Number: 1 << 10}

// reader reads a config and collects every mistake with its path.
type reader struct{ problems core.Problems }

func (r *reader) problem(at, message, fix string) {
	r.problems = append(r.problems, core.Problem{Path: at, Message: message, Fix: fix})
}

// settings calls read for each member of a config whose name is in known.
func (r *reader) settings(config json.RawMessage, known []string, read func(name, at string, raw json.RawMessage)) {
	if len(config) == 0 {
		return
	}
	err := wire.Fields(config, func(name string, value json.RawMessage) error {
		at := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if !slices.Contains(known, name) {
			r.problem(at, fmt.Sprintf("there is no %q here", name), "known are "+strings.Join(known, ", "))
			return nil
		}
		read(name, at, value)
		return nil
	})
	if err != nil {
		r.problem("", "the config is not an object", "write name: value pairs")
	}
}

func (r *reader) text(at string, raw json.RawMessage) string {
	var s string
	if wire.Unmarshal(raw, &s) != nil || s == "" {
		r.problem(at, "this is not a text", "write a string that is not empty")
	}
	return s
}

func (r *reader) choice(at string, raw json.RawMessage, options ...string) string {
	s := r.text(at, raw)
	if s != "" && !slices.Contains(options, s) {
		r.problem(at, fmt.Sprintf("%q is not known here", s), "known are "+strings.Join(options, ", "))
	}
	return s
}

func (r *reader) whole(at string, raw json.RawMessage, low, high int) int {
	var n int
	if wire.Unmarshal(raw, &n) != nil || n < low || n > high {
		r.problem(at, "this number does not fit", fmt.Sprintf("write an integer from %d to %d", low, high))
	}
	return n
}

// done returns the problems as an error, or nil.
func (r *reader) done() error {
	if len(r.problems) == 0 {
		return nil
	}
	return r.problems
}

// setText puts text in place of the first text block, or before the other blocks
// when there is none.
func setText(result *core.Result, text string) {
	block := core.Text(text)
	for i := range result.Content {
		if result.Content[i].Type == "text" {
			block.Annotations, block.Meta = result.Content[i].Annotations, result.Content[i].Meta
			result.Content[i] = block
			return
		}
	}
	result.Content = slices.Insert(result.Content, 0, block)
}

// rendering returns the text of checked JSON: a string without its quotes, the rest
// compact or, when pretty, on lines.
func rendering(b []byte, pretty bool) string {
	if wire.IsString(b) {
		if value, err := wire.DecodeWithin(b, answerLimits); err == nil {
			text, _ := value.(string)
			return text
		}
	}
	if pretty {
		var out bytes.Buffer
		if json.Indent(&out, b, "", "  ") == nil {
			return out.String()
		}
	}
	return string(b)
}

// value returns what a result holds: its structured content, else the JSON that its
// first text block is, else that text; nil when there is neither.
func value(result *core.Result) (any, error) {
	if result.Structured != nil {
		v, err := wire.DecodeWithin(result.Structured, answerLimits)
		if err != nil {
			return nil, fmt.Errorf("read the structured content: %w", err)
		}
		return v, nil
	}
	for i := range result.Content {
		if block := &result.Content[i]; block.Type == "text" {
			if v, err := wire.DecodeWithin([]byte(block.Text), answerLimits); err == nil {
				return v, nil
			}
			return block.Text, nil
		}
	}
	return nil, nil //nolint:nilnil // nothing is nil
}

// clip cuts a text to at most limit characters; false when nothing was cut.
func clip(text string, limit int) (string, bool) {
	if len(text) <= limit {
		return text, false
	}
	count := 0
	for i := range text {
		if count == limit {
			return text[:i], true
		}
		count++
	}
	return text, false
}
