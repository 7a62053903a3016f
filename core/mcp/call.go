package mcp

import (
	"context"
	"encoding/json"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

var noArguments = json.RawMessage("{}")

// arguments reads params.arguments: the object as sent, which was accepted with the
// body. Whoever needs its values decodes it.
func (x *exchange) arguments(call *core.Call) error {
	sent := x.m.p.arguments
	switch {
	case wire.IsNull(sent):
		sent = noArguments
	case !wire.IsObject(sent):
		return invalidParams("params.arguments must be an object")
	}
	call.Arguments, call.Checked = sent, true
	return nil
}

// decode makes the values of a call, unless they are there.
func decode(call *core.Call) error {
	if call.Values != nil {
		return nil
	}
	values, err := wire.DecodeObject(call.Arguments)
	if err != nil {
		return invalidParams("params.arguments: " + err.Error())
	}
	call.Values = values
	return nil
}

func (x *exchange) name() (string, error) {
	name, ok := text(x.m.p.name)
	if !ok || name == "" {
		return "", invalidParams("params.name must be a string")
	}
	return name, nil
}

func callTool(ctx context.Context, x *exchange) ([]byte, error) {
	name := x.m.named
	if name == "" {
		var err error
		if name, err = x.name(); err != nil {
			return nil, err
		}
	}
	var tool *core.Tool
	if x.rev.Envelope {
		if tool = x.r.Handler.Tool(ctx, x.r.Who, name); tool != nil {
			name = tool.Name // and no part of the request, which whoever keeps the name would keep
		}
	}
	call := x.call("tool", name)
	if err := x.arguments(call); err != nil {
		return nil, err
	}
	if tool != nil && len(tool.Headers) > 0 {
		if err := decode(call); err != nil {
			return nil, err
		}
		if f := checkParamHeaders(x.r.Header, tool.Headers, call.Values); f != nil {
			return nil, f
		}
	}
	result, err := x.invoke(ctx, call, x.r.Handler.CallTool)
	switch {
	case err != nil:
		return nil, err
	case asks(result):
		return x.appendInputRequired(call, result)
	case result.Mismatch && !x.rev.MismatchResult:
		f := invalidParams(firstText(result, "the arguments do not fit the input schema"))
		f.handler = true
		return nil, f
	}
	return x.appendToolResult(result), nil
}

// appendToolResult returns the response with CallToolResult.
func (x *exchange) appendToolResult(r *core.Result) []byte {
	structured := r.Structured
	switch {
	case structured == nil:
	case !x.rev.Structured, !x.rev.AnyStructured && !wire.IsObject(structured):
		structured = nil
	}
	size := 128 + len(structured) + len(r.Meta) + len(r.Extra)
	if len(r.Content) == 0 && structured == nil {
		size += len(r.Structured)
	}
	for i := range r.Content {
		size += blockSize(&r.Content[i])
	}
	dst := x.open(size)
	from := len(dst)
	dst = append(dst, `{"content":[`...)
	for i := range r.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBlock(dst, &r.Content[i], x.rev)
	}
	if len(r.Content) == 0 && r.Structured != nil && structured == nil {
		// What this revision cannot carry must not get lost.
		dst = append(wire.AppendString(append(dst, `{"type":"text","text":`...), string(r.Structured)), '}')
	}
	dst = append(dst, ']')
	if len(structured) > 0 {
		dst = append(append(dst, `,"structuredContent":`...), structured...)
	}
	if r.IsError {
		dst = append(dst, `,"isError":true`...)
	}
	return append(passing(x.closing(dst, r.Meta), from, r.Extra), '}')
}

func getPrompt(ctx context.Context, x *exchange) ([]byte, error) {
	name, err := x.name()
	if err != nil {
		return nil, err
	}
	call := x.call("prompt", name)
	if err := x.arguments(call); err != nil {
		return nil, err
	}
	if err := decode(call); err != nil {
		return nil, err
	}
	if _, f := stringsOf(call.Arguments, "params.arguments"); f != nil {
		return nil, f
	}
	result, err := x.invoke(ctx, call, x.r.Handler.GetPrompt)
	switch {
	case err != nil:
		return nil, err
	case asks(result):
		return x.appendInputRequired(call, result)
	case result.IsError:
		return nil, &core.Error{Code: core.CodeUnavailable, Message: firstText(result, "the prompt could not be made")}
	}
	messages := result.Messages
	if messages == nil {
		for _, c := range result.Content {
			messages = append(messages, core.Message{Role: "user", Content: c})
		}
	}
	size := 64 + len(result.Description) + len(result.Meta) + len(result.Extra)
	for i := range messages {
		size += 64 + blockSize(&messages[i].Content)
	}
	dst := x.open(size)
	from := len(dst)
	dst = append(dst, `{"messages":[`...)
	for i := range messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(append(dst, `{"role":`...), messages[i].Role)
		dst = appendBlock(append(dst, `,"content":`...), &messages[i].Content, x.rev)
		dst = append(dst, '}')
	}
	dst = optional(append(dst, ']'), "description", result.Description)
	return append(passing(x.closing(dst, result.Meta), from, result.Extra), '}'), nil
}

func readResource(ctx context.Context, x *exchange) ([]byte, error) {
	uri, err := x.uri()
	if err != nil {
		return nil, err
	}
	call := x.call("resource", uri)
	call.Arguments = append(wire.AppendString([]byte(`{"uri":`), uri), '}')
	call.Values = map[string]any{"uri": uri}
	result, err := x.invoke(ctx, call, x.r.Handler.ReadResource)
	switch {
	case err != nil:
		return nil, err
	case asks(result):
		return x.appendInputRequired(call, result)
	case result.IsError:
		return nil, &core.Error{Code: core.CodeUnavailable, Message: firstText(result, "the resource could not be read")}
	}
	size := 128 + len(result.Meta) + len(result.Extra)
	for i := range result.Contents {
		size += contentsSize(&result.Contents[i])
	}
	dst := x.open(size)
	from := len(dst)
	dst = append(dst, `{"contents":[`...)
	for i := range result.Contents {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendContents(dst, &result.Contents[i], x.rev)
	}
	dst = append(dst, ']')
	if x.rev.CacheHints {
		server := x.r.Handler.Server()
		if call.InputResponses != nil || call.RequestState != nil {
			// What the client was asked is no part of a cache key (2026-07-28, caching).
			dst = appendCacheHint(dst, 0, "private")
		} else {
			dst = appendCacheHint(dst, server.TTLMillis, server.CacheScope)
		}
	}
	return append(passing(x.closing(dst, result.Meta), from, result.Extra), '}'), nil
}

// firstText returns the first text block of a result, shortened, or other.
func firstText(r *core.Result, other string) string {
	for i := range r.Content {
		if c := &r.Content[i]; c.Type == "text" && c.Text != "" {
			return cut(c.Text, 2000)
		}
	}
	return other
}
