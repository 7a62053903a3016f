package invokers

import (
	"context"
	"encoding/json"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Echo is the kind "echo": it answers with the arguments. It shows what a client
// sends, and what the gateway itself costs.
var Echo = core.Kind[core.Invoker]{
	Name:    "echo",
	Summary: "Answers with its arguments, for trying a client and for measuring the gateway.",
	Schema: json.RawMessage(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "echo",
  "description": "Answers with its arguments.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "argument": {
      "type": "string",
      "minLength": 1,
      "description": "Answers with the text of this argument only. Absent: with all arguments as JSON."
    }
  }
}`),
	Example: "argument: message # say it back as text\n",
	New:     newEcho,
}

func newEcho(_ context.Context, config json.RawMessage, _ core.Env) (core.Invoker, error) {
	var e echo
	if len(config) == 0 {
		return e, nil
	}
	err := wire.Fields(config, func(name string, value json.RawMessage) error {
		if name != "argument" {
			return core.Problems{{Path: "/" + name, Message: "echo has no setting " + name, Fix: "its one setting is argument"}}
		}
		if err := wire.Unmarshal(value, &e.argument); err != nil || e.argument == "" {
			return core.Problems{{Path: "/argument", Message: "this is not the name of an argument", Fix: "write one, like message"}}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

type echo struct{ argument string }

// NeedsValues tells whether one argument is picked.
func (e echo) NeedsValues() bool { return e.argument != "" }

// Invoke returns the arguments.
func (e echo) Invoke(_ context.Context, call *core.Call) (*core.Result, error) {
	if e.argument == "" {
		return &core.Result{Content: []core.Content{core.Text(string(call.Arguments))}, Structured: call.Arguments}, nil
	}
	switch value := call.Values[e.argument].(type) {
	case string:
		return core.TextResult(value), nil
	case nil:
		return core.ErrorResult("The argument \"" + e.argument + "\" is needed."), nil
	default:
		text, err := wire.Marshal(value)
		if err != nil {
			return nil, err
		}
		return core.TextResult(string(text)), nil
	}
}

var (
	_ core.Invoker = echo{}
	_ core.Frugal  = echo{}
)
