package main

import (
	"context"

	extism "github.com/extism/go-sdk"
)

// newExtism loads a guest as Extism's readers are told to, with a timeout of 10 s or
// without. Its tools are exports of the module.
func newExtism(ctx context.Context, wasm []byte, timeout bool) (caller, func(), error) {
	about := extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: wasm}}}
	if timeout {
		about.Timeout = 10_000
	}
	compiled, err := extism.NewCompiledPlugin(ctx, about, extism.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		return nil, nil, err
	}
	end := func() { _ = compiled.Close(context.WithoutCancel(ctx)) }
	plugin, err := compiled.Instance(ctx, extism.PluginInstanceConfig{})
	if err != nil {
		end()
		return nil, nil, err
	}
	call := func(ctx context.Context, tool string, payload []byte) ([]byte, error) {
		code, out, err := plugin.CallWithContext(ctx, tool, payload)
		if err == nil && code != 0 {
			err = errGuest
		}
		return out, err
	}
	return call, end, nil
}
