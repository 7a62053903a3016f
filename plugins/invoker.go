package plugins

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/result"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// invoker runs one tool of a plugin, or what stands behind a prompt or a resource.
type invoker struct {
	plugin *Plugin
	tool   string
}

// NeedsValues returns false: a guest gets the arguments as bytes.
func (*invoker) NeedsValues() bool { return false }

// Invoke calls the guest. What its tool could not do is a result with IsError; INVALID_ARGS
// and the like are errors with the code that says so.
func (i *invoker) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	a, err := i.plugin.call(ctx, invokes, call, i.tool, call.Arguments)
	if err != nil {
		return nil, err
	}
	if a.Status == abi.ToolError {
		return toolError(a.Payload), nil
	}
	if mime, ok := abi.Get(a.Meta, abi.MetaMime); ok && isText(mime) {
		if !utf8.Valid(a.Payload) {
			return nil, i.plugin.unexpected(invokes, "answered with text that is not UTF-8")
		}
		return core.TextResult(string(a.Payload)), nil
	}
	return i.plugin.parsed(invokes, &a)
}

// parsed reads a CallToolResult.
func (p *Plugin) parsed(at int, a *sandbox.Answer) (*core.Result, error) {
	r, err := result.Parse(a.Payload)
	if err != nil {
		e := p.unexpected(at, "answered with what is no CallToolResult: "+err.Error())
		e.Err = err
		return nil, e
	}
	return r, nil
}

// toolError makes what the model reads of a failure: a CallToolResult when the guest
// wrote one, else its text.
func toolError(payload []byte) *core.Result {
	if wire.IsObject(payload) {
		if r, err := result.Parse(payload); err == nil {
			r.IsError = true
			return r
		}
	}
	text := strings.ToValidUTF8(string(payload), "\uFFFD")
	if strings.TrimSpace(text) == "" {
		text = "The tool failed and did not say why."
	}
	return core.ErrorResult(text)
}

// isText reports whether a media type is text/….
func isText(mime string) bool {
	const text = "text/"
	return len(mime) >= len(text) && strings.EqualFold(mime[:len(text)], text)
}

var (
	_ core.Invoker = (*invoker)(nil)
	_ core.Frugal  = (*invoker)(nil)
)
