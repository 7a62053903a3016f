// Command graphql makes tools of GraphQL operations.
//
//	operations in the configuration ─┐
//	fields of an introspected server ├─► tools_list
//	graphql.query, if it is on ──────┘
//
//	tool_call ──► arguments fit the variables ──► POST endpoint ──► pick ──► result
//	                                                          └─► errors: isError, with the data that came
//
// Documents are parsed when the plugin is configured: a mistake in one refuses the
// configuration and not a call.
package main

import (
	"encoding/json"
	"runtime/debug"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

func init() {
	debug.SetMemoryLimit(24 << 20) // three quarters of what plugin.yaml asks for
	plugin.Configure(configure)
	plugin.ToolsList(list)
	plugin.AnyTool(call)
}

func main() {} // never called: a plugin is a library

func list(ctx *plugin.Context) ([]plugin.ToolInfo, error) {
	infos := make([]plugin.ToolInfo, 0, len(tools))
	for _, t := range tools {
		infos = append(infos, t.info)
	}
	if !settings.Introspect {
		return infos, nil
	}
	found, err := introspected(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if byName[f.Tool] != nil {
			continue // the configured one is meant
		}
		t, err := f.tool()
		if err != nil {
			ctx.Logf(plugin.LevelWarn, "the field %s became no tool: %v", f.Pick, err)
			continue
		}
		infos = append(infos, t.info)
	}
	return infos, nil
}

func call(ctx *plugin.Context, arguments json.RawMessage) (plugin.Result, error) {
	id := ctx.Tool()
	if id == "" && len(tools) == 1 && !settings.Introspect {
		id = tools[0].info.Name
	}
	t := byName[id]
	if t == nil && settings.Introspect {
		found, err := introspected(ctx)
		if err != nil {
			return plugin.Result{}, err
		}
		for _, f := range found {
			if f.Tool != id {
				continue
			}
			if t, err = f.tool(); err != nil {
				return plugin.Result{}, plugin.Internal("the tool %s of the introspected schema: %w", id, err)
			}
		}
	}
	if t == nil {
		return plugin.Result{}, plugin.UnknownTool(id)
	}
	if t.free != nil {
		return t.free.call(ctx, arguments)
	}
	sent, err := variables(t.bindings, arguments)
	if err != nil {
		return plugin.Result{}, err
	}
	return send(ctx, append(append(append(make([]byte, 0, len(t.head)+len(sent)+1), t.head...), sent...), '}'), t.pick)
}
