package transformers

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
)

// JQ is the kind "jq": it reshapes the structured content and writes the text anew.
var JQ = core.Kind[core.Transformer]{
	Name:    "jq",
	Summary: "Reshapes the structured content with a jq expression and renders its text anew.",
	Schema: json.RawMessage(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "jq",
  "description": "Reshapes the structured content with a jq expression and renders its text anew. A result without structured content gives the JSON or the text of its first text block. Failed results pass untouched.",
  "type": "object",
  "additionalProperties": false,
  "required": ["select"],
  "properties": {
    "select": {
      "type": "string",
      "minLength": 1,
      "description": "jq expression (jqlang.org/manual); $arguments are the arguments of the call. Several outputs become an array, none removes the structured content."
    },
    "text": {
      "type": "string",
      "enum": ["compact", "pretty", "keep"],
      "default": "compact",
      "description": "How the text is written: compact JSON, pretty with line breaks, or kept as it was."
    }
  }
}`),
	Example: "select: \".items | map({id, title}) | sort_by(.title)\"\ntext: pretty\n",
	New:     newJQ,
}

type jq struct {
	selection *expression.JQ
	text      string
}

func newJQ(_ context.Context, config json.RawMessage, _ core.Env) (core.Transformer, error) {
	r, t := &reader{}, &jq{text: "compact"}
	r.settings(config, []string{"select", "text"}, func(name, at string, raw json.RawMessage) {
		if name == "text" {
			t.text = r.choice(at, raw, "compact", "pretty", "keep")
			return
		}
		source := r.text(at, raw)
		if source == "" {
			return
		}
		q, err := expression.CompileJQ(source, "$arguments")
		if err != nil {
			r.problem(at, "the jq expression does not compile: "+err.Error(), "see jqlang.org/manual; $arguments is the one variable")
		}
		t.selection = q
	})
	if t.selection == nil && len(r.problems) == 0 {
		r.problem("", "select is missing", "write a jq expression, like select: .items")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return t, nil
}

// NeedsValues tells whether the expression reads the arguments.
func (t *jq) NeedsValues() bool { return t.selection.Uses("$arguments") }

// Transform reshapes in.
func (t *jq) Transform(ctx context.Context, call *core.Call, in *core.Result) (*core.Result, error) {
	if in.IsError || len(in.InputRequests) > 0 {
		return in, nil
	}
	input, err := value(in)
	if err != nil {
		return nil, err
	}
	outputs, err := t.selection.Run(ctx, input, any(call.Values))
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		text, _ := clip(err.Error(), 300)
		return core.ErrorResult("The result could not be reshaped: " + text + "."), nil
	}
	if len(outputs) == 0 {
		in.Structured = nil
		if t.text != "keep" {
			setText(in, "The result holds nothing that was asked for.")
		}
		return in, nil
	}
	var output any = outputs
	if len(outputs) == 1 {
		output = outputs[0]
	}
	b, err := expression.AppendJSON(nil, output, expression.MaxOutput)
	if err != nil {
		return core.ErrorResult("The result could not be reshaped: " + strings.TrimSuffix(err.Error(), ".") + "."), nil
	}
	in.Structured = b
	if t.text != "keep" {
		setText(in, rendering(b, t.text == "pretty"))
	}
	return in, nil
}

var (
	_ core.Transformer = (*jq)(nil)
	_ core.Frugal      = (*jq)(nil)
)
