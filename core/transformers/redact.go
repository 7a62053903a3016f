package transformers

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// Redact is the kind "redact": it takes secrets and personal facts out of results.
var Redact = core.Kind[core.Transformer]{
	Name:    "redact",
	Summary: "Replaces what matches patterns, and the values of named members, in texts and structured content.",
	Schema: json.RawMessage(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "redact",
  "description": "Replaces what matches patterns, and the values of named members, in texts (also of failed results), embedded text and structured content. Images, audio and other binary content are not searched.",
  "type": "object",
  "additionalProperties": false,
  "anyOf": [{"required": ["patterns"]}, {"required": ["names"]}],
  "properties": {
    "patterns": {
      "type": "array",
      "minItems": 1,
      "maxItems": 50,
      "description": "What to replace wherever it stands in text.",
      "items": {
        "oneOf": [
          {"type": "string", "minLength": 1, "description": "Regular expression (RE2)."},
          {
            "type": "object",
            "additionalProperties": false,
            "required": ["pattern"],
            "properties": {
              "pattern": {"type": "string", "minLength": 1, "description": "Regular expression (RE2)."},
              "replace": {"type": "string", "description": "What stands there instead; $1 is the first group. Absent: replacement."}
            }
          }
        ]
      }
    },
    "names": {
      "type": "array",
      "minItems": 1,
      "description": "Names of members, in any case, whose values are replaced at any depth of JSON.",
      "items": {"type": "string", "minLength": 1, "description": "Name of a member."}
    },
    "replacement": {
      "type": "string",
      "default": "***",
      "description": "What stands in place of what was found."
    }
  }
}`),
	Example: "names: [password, apiKey]\npatterns:\n  - '[\\w.+-]+@[\\w-]+\\.[\\w.]+'\n  - {pattern: '\\b(\\d{4})\\d{8,11}\\b', replace: '$1…'}\n",
	New:     newRedact,
}

type redact struct {
	patterns    []pattern
	names       map[string]bool // lower case
	replacement string
}

type pattern struct {
	find    *regexp.Regexp
	replace string
	plain   bool // replace holds no $
}

func newRedact(_ context.Context, config json.RawMessage, _ core.Env) (core.Transformer, error) {
	r, t := &reader{}, &redact{replacement: "***", names: map[string]bool{}}
	r.settings(config, []string{"patterns", "names", "replacement"}, func(name, at string, raw json.RawMessage) {
		switch name {
		case "replacement":
			if wire.Unmarshal(raw, &t.replacement) != nil {
				r.problem(at, "this is not a text", "write a string")
			}
		case "names":
			var names []string
			if wire.Unmarshal(raw, &names) != nil || len(names) == 0 || slices.Contains(names, "") {
				r.problem(at, "this is not a list of names", "write [password, token]")
			}
			for _, one := range names {
				t.names[strings.ToLower(one)] = true
			}
		case "patterns":
			index := 0
			err := wire.Elements(raw, func(element json.RawMessage) error {
				t.patterns = append(t.patterns, r.pattern(fmt.Sprintf("%s/%d", at, index), element))
				index++
				return nil
			})
			if err != nil || index == 0 || index > 50 {
				r.problem(at, "this is not a list of patterns", "write 1 to 50 regular expressions")
			}
		}
	})
	if len(r.problems) == 0 && len(t.patterns) == 0 && len(t.names) == 0 {
		r.problem("", "nothing is redacted", "write patterns: or names:")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	for i := range t.patterns {
		if p := &t.patterns[i]; p.replace == "\x00" {
			p.replace, p.plain = t.replacement, true
		}
	}
	return t, nil
}

func (r *reader) pattern(at string, raw json.RawMessage) pattern {
	p := pattern{replace: "\x00"}
	var source string
	if wire.IsString(raw) {
		source = r.text(at, raw)
	} else {
		var written struct {
			Pattern string  `json:"pattern"`
			Replace *string `json:"replace"`
		}
		if wire.Unmarshal(raw, &written) != nil || written.Pattern == "" {
			r.problem(at, "this is not a pattern", "write a regular expression, or {pattern: …, replace: …}")
			return p
		}
		source = written.Pattern
		if written.Replace != nil {
			p.replace, p.plain = *written.Replace, !strings.Contains(*written.Replace, "$")
		}
	}
	find, err := regexp.Compile(source)
	switch {
	case err != nil:
		r.problem(at, "the pattern does not compile: "+err.Error(), "write a regular expression of RE2 (no lookahead, no back-references)")
	case find.MatchString(""):
		r.problem(at, "the pattern matches the empty text", "require at least one character, like + in place of *")
	}
	p.find = find
	return p
}

// NeedsValues returns false: only the result is read.
func (t *redact) NeedsValues() bool { return false }

// Transform takes out what must not be seen.
func (t *redact) Transform(_ context.Context, _ *core.Call, in *core.Result) (*core.Result, error) {
	if in.Structured != nil {
		b, _, err := t.json(in.Structured)
		if err != nil {
			return nil, fmt.Errorf("redact the structured content: %w", err)
		}
		in.Structured = b
	}
	for i := range in.Content {
		if err := t.block(&in.Content[i]); err != nil {
			return nil, err
		}
	}
	for i := range in.Messages {
		if err := t.block(&in.Messages[i].Content); err != nil {
			return nil, err
		}
	}
	for i := range in.Contents {
		in.Contents[i].Text = t.text(in.Contents[i].Text)
	}
	return in, nil
}

func (t *redact) block(c *core.Content) error {
	if c.Raw != nil {
		v, err := wire.DecodeWithin(c.Raw, answerLimits)
		object, isObject := v.(map[string]any)
		if err != nil || !isObject {
			return fmt.Errorf("redact content: the block is not a JSON object (%w)", err)
		}
		t.raw(object)
		if c.Raw, err = expression.AppendJSON(nil, object, max(expression.MaxOutput, 2*len(c.Raw))); err != nil {
			return fmt.Errorf("redact content: %w", err)
		}
	}
	c.Text = t.text(c.Text)
	if c.Resource != nil {
		resource := *c.Resource
		resource.Text = t.text(resource.Text)
		c.Resource = &resource
	}
	return nil
}

// raw redacts a block that came as JSON. What says how to read it stays.
func (t *redact) raw(object map[string]any) {
	for name, member := range object {
		switch name {
		case "type", "mimeType", "data", "blob":
			continue
		case "text":
			if text, ok := member.(string); ok {
				object[name] = t.text(text)
				continue
			}
		case "resource":
			if inner, ok := member.(map[string]any); ok {
				t.raw(inner)
				continue
			}
		}
		object[name], _ = t.value(member)
	}
}

// text redacts a text; one that is JSON is read as such, so that names count in it.
func (t *redact) text(text string) string {
	if trimmed := strings.TrimLeft(text, " \t\r\n"); len(t.names) > 0 && trimmed != "" && (trimmed[0] == '{' || trimmed[0] == '[') {
		if b, changed, err := t.json([]byte(text)); err == nil {
			if !changed {
				return text
			}
			if strings.Contains(strings.TrimSpace(text), "\n") {
				return rendering(b, true)
			}
			return string(b)
		}
	}
	return t.plain(text)
}

func (t *redact) plain(text string) string {
	for i := range t.patterns {
		p := &t.patterns[i]
		if !p.find.MatchString(text) {
			continue
		}
		if p.plain {
			text = p.find.ReplaceAllLiteralString(text, p.replace)
		} else {
			text = p.find.ReplaceAllString(text, p.replace)
		}
	}
	return text
}

// json redacts JSON; it returns b itself when there is nothing to take out.
func (t *redact) json(b []byte) (out []byte, changed bool, err error) {
	v, err := wire.DecodeWithin(b, answerLimits)
	if err != nil {
		return nil, false, err
	}
	if v, changed = t.value(v); !changed {
		return b, false, nil
	}
	out, err = expression.AppendJSON(nil, v, max(expression.MaxOutput, 2*len(b)))
	return out, true, err
}

func (t *redact) value(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		text := t.plain(v)
		return text, text != v
	case json.Number:
		if text := t.plain(string(v)); text != string(v) {
			return text, true
		}
	case []any:
		changed := false
		for i := range v {
			var one bool
			v[i], one = t.value(v[i])
			changed = changed || one
		}
		return v, changed
	case map[string]any:
		changed := false
		for name, member := range v {
			one := true
			if t.names[strings.ToLower(name)] {
				member = t.replacement
			} else {
				member, one = t.value(member)
			}
			v[name] = member
			changed = changed || one
		}
		return v, changed
	}
	return v, false
}

var (
	_ core.Transformer = (*redact)(nil)
	_ core.Frugal      = (*redact)(nil)
)
