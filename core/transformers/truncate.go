package transformers

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
)

// Truncate is the kind "truncate": it bounds what a model has to read.
var Truncate = core.Kind[core.Transformer]{
	Name:    "truncate",
	Summary: "Bounds the length of texts and the number of items of an array, and says what was left out.",
	Schema: json.RawMessage(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "truncate",
  "description": "Bounds the length of texts and the number of items of an array, and says what was left out.",
  "type": "object",
  "additionalProperties": false,
  "anyOf": [{"required": ["text"]}, {"required": ["items"]}],
  "properties": {
    "text": {
      "type": "integer",
      "minimum": 1,
      "maximum": 100000000,
      "description": "Characters that each text block keeps at most. The structured content is not cut by this: bound it with items, or reshape it with jq."
    },
    "items": {
      "type": "integer",
      "minimum": 0,
      "maximum": 1000000,
      "description": "Items that the array keeps at most. The text is then rendered anew."
    },
    "at": {
      "type": "string",
      "pattern": "^(/.*)?$",
      "default": "",
      "description": "JSON Pointer to the array in the structured content. Absent: the structured content is the array."
    },
    "notice": {
      "type": "boolean",
      "default": true,
      "description": "Whether a text block says what was left out."
    }
  }
}`),
	Example: "text: 20000\nitems: 50\nat: /books\n",
	New:     newTruncate,
}

type truncate struct {
	text   int // characters; 0 = no bound
	items  int // -1 = no bound
	at     []string
	notice bool
}

func newTruncate(_ context.Context, config json.RawMessage, _ core.Env) (core.Transformer, error) {
	r, t := &reader{}, &truncate{items: -1, notice: true}
	pointer := false
	r.settings(config, []string{"text", "items", "at", "notice"}, func(name, at string, raw json.RawMessage) {
		switch name {
		case "text":
			t.text = r.whole(at, raw, 1, 100_000_000)
		case "items":
			t.items = r.whole(at, raw, 0, 1_000_000)
		case "notice":
			t.notice = string(raw) != "false"
			if string(raw) != "false" && string(raw) != "true" {
				r.problem(at, "this is neither true nor false", "write true or false")
			}
		case "at":
			pointer = string(raw) != `""`
			if !pointer {
				return
			}
			text := r.text(at, raw)
			if text != "" && text[0] != '/' {
				r.problem(at, "this is not a JSON Pointer", "begin it with /, like /books")
			}
			if text != "" {
				for step := range strings.SplitSeq(text[1:], "/") {
					t.at = append(t.at, strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~"))
				}
			}
		}
	})
	if len(r.problems) == 0 {
		switch {
		case t.text == 0 && t.items < 0:
			r.problem("", "nothing is bounded", "write text: or items: with a number")
		case pointer && t.items < 0:
			r.problem("/at", "at means nothing without items", "write items: with a number, or remove at")
		}
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return t, nil
}

// NeedsValues returns false: only the result is read.
func (t *truncate) NeedsValues() bool { return false }

// Transform shortens in.
func (t *truncate) Transform(_ context.Context, _ *core.Call, in *core.Result) (*core.Result, error) {
	var notices []string
	if t.items >= 0 && in.Structured != nil {
		notice, err := t.cutItems(in)
		if err != nil {
			return nil, err
		}
		if notice != "" {
			notices = append(notices, notice)
		}
	}
	if t.text > 0 {
		for i := range in.Content {
			block := &in.Content[i]
			if block.Type != "text" {
				continue
			}
			text, cut := clip(block.Text, t.text)
			if !cut {
				continue
			}
			notices = append(notices, fmt.Sprintf("Shortened: %d of %d characters are shown.", t.text, utf8.RuneCountInString(block.Text)))
			block.Text, block.Raw = text, nil
		}
	}
	if t.notice {
		for _, notice := range notices {
			in.Content = append(in.Content, core.Text(notice))
		}
	}
	return in, nil
}

// cutItems shortens the array; "" when there was nothing to cut.
func (t *truncate) cutItems(in *core.Result) (string, error) {
	root, err := value(in)
	if err != nil {
		return "", err
	}
	list, put := find(root, t.at)
	if len(list) <= t.items {
		return "", nil
	}
	b, err := expression.AppendJSON(nil, put(list[:t.items]), expression.MaxOutput)
	if err != nil {
		return "", fmt.Errorf("shorten the structured content: %w", err)
	}
	in.Structured = b
	setText(in, rendering(b, false))
	return fmt.Sprintf("Shortened: %d of %d items are shown.", t.items, len(list)), nil
}

// find returns the array at a place, and what puts another there and returns the
// whole; nil when there is no array.
func find(root any, at []string) (list []any, put func([]any) any) {
	if len(at) == 0 {
		list, _ = root.([]any)
		return list, func(short []any) any { return short }
	}
	switch v := root.(type) {
	case map[string]any:
		list, inner := find(v[at[0]], at[1:])
		return list, func(short []any) any {
			v[at[0]] = inner(short)
			return v
		}
	case []any:
		i, err := strconv.Atoi(at[0])
		if err != nil || i < 0 || i >= len(v) {
			return nil, nil
		}
		list, inner := find(v[i], at[1:])
		return list, func(short []any) any {
			v[i] = inner(short)
			return v
		}
	}
	return nil, nil
}

var (
	_ core.Transformer = (*truncate)(nil)
	_ core.Frugal      = (*truncate)(nil)
)
