package main

import (
	"context"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// ours loads a guest as the gateway does: calls are observed, native code comes from
// the cache.
func ours(ctx context.Context, wasm []byte, cache string, change func(*sandbox.Options)) (*sandbox.Plugin, error) {
	o := sandbox.Options{Name: "bench", CacheDir: cache, Observe: func(sandbox.Event) {}}
	if change != nil {
		change(&o)
	}
	return sandbox.Load(ctx, wasm, o)
}

// caller is one way to call a tool. The answer is valid until the next call.
type caller func(ctx context.Context, tool string, payload []byte) ([]byte, error)

// called is the way of the gateway.
func called(p *sandbox.Plugin) caller {
	return func(ctx context.Context, tool string, payload []byte) ([]byte, error) {
		meta := [1]abi.Pair{{Key: abi.MetaTool, Value: tool}}
		a, err := p.Call(ctx, abi.ToolCall, meta[:], payload, sandbox.InvokerBudget)
		return a.Payload, err
	}
}
