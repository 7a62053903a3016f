package plugins

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The kinds "wasm": a place of a document where a plugin stands.
var (
	Invoker = core.Kind[core.Invoker]{
		Name:    "wasm",
		Summary: "Runs a tool of a plugin, a WebAssembly module in a sandbox.",
		Schema: schemaOf("Runs a tool of a plugin. Texts, schemas and annotations that the document leaves out are those of the plugin.", `,
    "tool": {
      "type": "string",
      "minLength": 1,
      "maxLength": 128,
      "description": "Name of the tool in the plugin; absent = its only tool, else the tool that has the name of this one."
    }`),
		Example: "plugin: weather\ntool: weather.lookup\n",
		New: func(_ context.Context, config json.RawMessage, env core.Env) (core.Invoker, error) {
			p, c, err := named(config, env)
			if err != nil {
				return nil, err
			}
			made, err := p.Invoker(c.toolOf(p, env))
			return made, misused("/tool", err)
		},
		Tool: toolBehind,
	}
	Transformer = core.Kind[core.Transformer]{
		Name:    "wasm",
		Summary: "Rewrites results with a plugin, a WebAssembly module in a sandbox.",
		Schema:  schemaOf("Rewrites results with a plugin of kind response_transformer.", ""),
		Example: "plugin: pii-redaction\n",
		New: func(_ context.Context, config json.RawMessage, env core.Env) (core.Transformer, error) {
			return used(config, env, core.Plugin.Transformer)
		},
	}
	RequestTransformer = core.Kind[core.RequestTransformer]{
		Name:    "wasm",
		Summary: "Rewrites arguments with a plugin, a WebAssembly module in a sandbox.",
		Schema:  schemaOf("Rewrites arguments, after they were checked, with a plugin of kind request_transformer.", ""),
		Example: "plugin: fill-defaults\n",
		New: func(_ context.Context, config json.RawMessage, env core.Env) (core.RequestTransformer, error) {
			return used(config, env, core.Plugin.RequestTransformer)
		},
	}
	Authorizer = core.Kind[core.CallAuthorizer]{
		Name:    "wasm",
		Summary: "Asks a plugin, a WebAssembly module in a sandbox, whether a call may pass.",
		Schema:  schemaOf("Asks a plugin of kind authorizer about each call that every policy allows, arguments included. A plugin that cannot answer denies.", ""),
		Example: "plugin: office-hours\n",
		New: func(_ context.Context, config json.RawMessage, env core.Env) (core.CallAuthorizer, error) {
			return used(config, env, core.Plugin.CallAuthorizer)
		},
	}
	Catalogue = core.Kind[core.Catalogue]{
		Name:    "wasm",
		Summary: "Offers the tools that a plugin, a WebAssembly module in a sandbox, lists.",
		Schema:  schemaOf("Offers the tools that a plugin of kind tool_catalogue lists, or those of the manifest of any other invoker.", ""),
		Example: "plugin: graphql\n",
		New: func(_ context.Context, config json.RawMessage, env core.Env) (core.Catalogue, error) {
			return used(config, env, core.Plugin.Catalogue)
		},
	}
)

// schemaOf is the schema that all five share; more are properties beside plugin.
func schemaOf(description, more string) json.RawMessage {
	return json.RawMessage(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "wasm",
  "description": "` + description + `",
  "type": "object",
  "additionalProperties": false,
  "required": ["plugin"],
  "properties": {
    "plugin": {
      "type": "string",
      "minLength": 1,
      "maxLength": 64,
      "description": "Name of the plugin, as the documents declare it under plugins."
    }` + more + `
  }
}`)
}

// use is the config of the five kinds.
type use struct {
	Plugin string `json:"plugin"`
	Tool   string `json:"tool"`
}

// named finds the plugin that a config names.
func named(config json.RawMessage, env core.Env) (core.Plugin, use, error) {
	var c use
	if err := wire.Unmarshal(config, &c); err != nil {
		return nil, c, core.Problems{{Message: "config cannot be read: " + err.Error(), Fix: "write plugin: and the name of a plugin"}}
	}
	if env.Plugins == nil {
		return nil, c, core.Problems{{Path: "/plugin", Message: "documents have no plugins here", Fix: "turn plugins on in the settings"}}
	}
	p, err := env.Plugins.Plugin(c.Plugin)
	return p, c, misused("/plugin", err)
}

// used makes a part of the plugin that a config names.
func used[T any](config json.RawMessage, env core.Env, part func(core.Plugin) (T, error)) (T, error) {
	p, _, err := named(config, env)
	if err != nil {
		var none T
		return none, err
	}
	made, err := part(p)
	return made, misused("/plugin", err)
}

// misused gives an error its place in the config.
func misused(path string, err error) error {
	if err == nil || errors.Is(err, core.ErrReported) {
		return err
	}
	e := core.AsError(err)
	return core.Problems{{Path: path, Message: e.Message, Fix: e.Fix}}
}

// toolOf returns the name of the tool in the plugin.
func (c *use) toolOf(p core.Plugin, env core.Env) string {
	if c.Tool != "" {
		return c.Tool
	}
	if tools := p.Tools(); len(tools) == 1 && !p.Has(core.PluginCatalogue) {
		return tools[0].Name
	}
	return env.Tool
}

// toolBehind returns what the manifest says of the tool.
func toolBehind(config json.RawMessage, env core.Env) *core.ToolConfig {
	p, c, err := named(config, env)
	if err != nil {
		return nil
	}
	name := c.toolOf(p, env)
	tools := p.Tools()
	for i := range tools {
		if tools[i].Name == name {
			return &tools[i]
		}
	}
	return nil
}
