// Package core holds the nouns and the contracts of Sallyport. It imports only
// the standard library, and every other room may import it.
//
// One call goes one way:
//
//	client ─HTTP→ web → mcp → gateway → invoker → transformers → gateway → mcp → web
//
// The model follows MCP revision 2026-07-28: stateless, and input that is
// missing is returned as a request for it, not asked for in the middle of a
// call. Older revisions adapt down to this model in package mcp.
//
//	type Upper struct{}
//
//	func (Upper) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
//		text, _ := call.Values["text"].(string)
//		return core.TextResult(strings.ToUpper(text)), nil
//	}
package core
