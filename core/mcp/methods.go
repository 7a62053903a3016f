package mcp

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

func ping(_ context.Context, x *exchange) ([]byte, error) { return x.empty(), nil }

// empty appends a result that says nothing but that it worked.
func (x *exchange) empty() []byte {
	return append(x.closing(append(x.open(0), '{'), nil), '}')
}

// closing appends what every result of the revision ends with: resultType and
// _meta, where own (an object or nil) is joined with the server's name.
func (x *exchange) closing(dst []byte, own json.RawMessage) []byte {
	if x.rev.ResultType {
		dst = append(comma(dst), `"resultType":"complete"`...)
	}
	return x.appendMeta(dst, own)
}

func (x *exchange) appendMeta(dst []byte, own json.RawMessage) []byte {
	if !x.rev.ServerMeta {
		return raw(dst, "_meta", own)
	}
	dst = append(comma(dst), `"_meta":{"`+metaServer+`":`...)
	dst = append(dst, implementation(x.rev, x.r.Handler.Server())...)
	if own != nil {
		_ = wire.Fields(own, func(name string, v json.RawMessage) error { // what is left of bad JSON is dropped
			if name != metaServer {
				dst = append(member(dst, name), v...)
			}
			return nil
		})
	}
	return append(dst, '}')
}

// appendCacheHint appends ttlMs and cacheScope.
func appendCacheHint(dst []byte, ttl int64, scope string) []byte {
	if scope != "public" {
		scope = "private"
	}
	dst = strconv.AppendInt(member(dst, "ttlMs"), max(ttl, 0), 10)
	return append(append(append(member(dst, "cacheScope"), '"'), scope...), '"')
}

func discover(_ context.Context, x *exchange) ([]byte, error) {
	server := x.r.Handler.Server()
	dst := append(x.open(512+len(server.Instructions)), `{"supportedVersions":`...)
	dst = appendStrings(dst, names(func(*revision) bool { return true }))
	dst = append(dst, `,"capabilities":`...)
	dst = appendCapabilities(dst, x.rev, server.Offers)
	dst = optional(dst, "instructions", server.Instructions)
	dst = appendCacheHint(dst, server.TTLMillis, server.CacheScope)
	return append(x.closing(dst, nil), '}'), nil
}

// cursor returns params.cursor: nil when absent, and the empty string is one.
func (x *exchange) cursor() (*string, error) {
	if wire.IsNull(x.m.p.cursor) {
		return nil, nil //nolint:nilnil // the first page
	}
	cursor, ok := text(x.m.p.cursor)
	if !ok {
		return nil, invalidParams("params.cursor must be a string")
	}
	return &cursor, nil
}

func listTools(ctx context.Context, x *exchange) ([]byte, error) {
	return appendPage(ctx, x, "tools", x.r.Handler.ListTools, toolWire)
}

func listPrompts(ctx context.Context, x *exchange) ([]byte, error) {
	return appendPage(ctx, x, "prompts", x.r.Handler.ListPrompts, promptWire)
}

func listResources(ctx context.Context, x *exchange) ([]byte, error) {
	return appendPage(ctx, x, "resources", x.r.Handler.ListResources, resourceWire)
}

func listTemplates(ctx context.Context, x *exchange) ([]byte, error) {
	return appendPage(ctx, x, "resourceTemplates", x.r.Handler.ListTemplates, resourceWire)
}

// appendPage appends one page. A page is encoded once per revision, hints and names
// included: it belongs to one server of one Catalog.
func appendPage[T any](ctx context.Context, x *exchange, key string,
	read func(context.Context, core.Identity, *string) (*core.Page[T], error),
	encode func(T, *revision) []byte,
) ([]byte, error) {
	cursor, err := x.cursor()
	if err != nil {
		return nil, err
	}
	page, err := read(ctx, x.r.Who, cursor)
	if err != nil {
		return nil, err
	}
	encoded := page.Wire.Get(x.rev.Slot, func() []byte {
		out := append(member([]byte{'{'}, key), '[')
		for i, item := range page.Items {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, encode(item, x.rev)...)
		}
		out = append(out, ']')
		if page.Next != nil {
			out = wire.AppendString(member(out, "nextCursor"), *page.Next)
		}
		if x.rev.CacheHints {
			server := x.r.Handler.Server()
			out = appendCacheHint(out, server.TTLMillis, server.CacheScope)
		}
		return append(x.closing(out, nil), '}')
	})
	return append(x.open(len(encoded)), encoded...), nil
}

func (x *exchange) uri() (string, error) {
	uri, ok := text(x.m.p.uri)
	if !ok || uri == "" {
		return "", invalidParams("params.uri must be a string")
	}
	return uri, nil
}

func subscribeResource(ctx context.Context, x *exchange) ([]byte, error) {
	uri, err := x.uri()
	if err != nil {
		return nil, err
	}
	ok, err := x.follow(ctx, uri)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, &core.Error{
			Code:    core.CodeLimited,
			Message: "a session may follow " + strconv.Itoa(maxSubscriptions) + " resources", Fix: "unsubscribe from some",
		}
	}
	return x.empty(), nil
}

func unsubscribeResource(_ context.Context, x *exchange) ([]byte, error) {
	uri, err := x.uri()
	if err != nil {
		return nil, err
	}
	x.session.unsubscribe(uri, nil)
	return x.empty(), nil
}

func setLevel(_ context.Context, x *exchange) ([]byte, error) {
	level, ok := text(x.m.p.level)
	if !ok || severity(level) < 0 {
		return nil, badLevel("params.level")
	}
	x.session.setLevel(level)
	return x.empty(), nil
}

func badLevel(where string) *fault {
	return invalidParams(where + " must be debug, info, notice, warning, error, critical, alert or emergency")
}

func complete(ctx context.Context, x *exchange) ([]byte, error) {
	request, f := x.m.p.completion()
	if f != nil {
		return nil, f
	}
	found, err := x.r.Handler.Complete(ctx, x.r.Who, request)
	if err != nil {
		return nil, err
	}
	const most = 100 // values in one answer, in every revision
	values, more := found.Values, found.HasMore
	if len(values) > most {
		values, more = values[:most], true
	}
	dst := append(x.open(256), `{"completion":{"values":`...)
	dst = appendStrings(dst, values)
	dst = strconv.AppendInt(append(dst, `,"total":`...), int64(max(found.Total, len(found.Values))), 10)
	dst = strconv.AppendBool(append(dst, `,"hasMore":`...), more)
	return append(x.closing(append(dst, '}'), nil), '}'), nil
}

// completion reads the params of completion/complete.
func (p *params) completion() (*core.CompleteRequest, *fault) {
	c := &core.CompleteRequest{}
	if !wire.IsObject(p.ref) || !wire.IsObject(p.argument) {
		return nil, invalidParams("params.ref and params.argument must be objects")
	}
	var name, uri, argument, value json.RawMessage
	_ = wire.Walk(p.ref, func(key string, v json.RawMessage) error { // accepted with the body
		switch key {
		case "type":
			c.RefType, _ = text(v)
		case "name":
			name = v
		case "uri":
			uri = v
		}
		return nil
	})
	_ = wire.Walk(p.argument, func(key string, v json.RawMessage) error {
		switch key {
		case "name":
			argument = v
		case "value":
			value = v
		}
		return nil
	})
	var ok bool
	switch c.RefType {
	case "ref/prompt":
		c.Ref, ok = text(name)
	case "ref/resource":
		c.Ref, ok = text(uri)
	default:
		return nil, invalidParams("params.ref.type must be ref/prompt or ref/resource")
	}
	if !ok {
		return nil, invalidParams("params.ref must hold the name of a prompt or the uri of a template")
	}
	if c.Argument, ok = text(argument); !ok {
		return nil, invalidParams("params.argument.name must be a string")
	}
	if c.Value, ok = text(value); !ok {
		return nil, invalidParams("params.argument.value must be a string")
	}
	return c, p.completionContext(c)
}

func (p *params) completionContext(c *core.CompleteRequest) *fault {
	if wire.IsNull(p.context) {
		return nil
	}
	if !wire.IsObject(p.context) {
		return invalidParams("params.context must be an object")
	}
	var chosen json.RawMessage
	_ = wire.Walk(p.context, func(key string, v json.RawMessage) error {
		if key == "arguments" {
			chosen = v
		}
		return nil
	})
	if wire.IsNull(chosen) {
		return nil
	}
	var f *fault
	if c.Context, f = stringsOf(chosen, "params.context.arguments"); f != nil {
		return f
	}
	return nil
}

// stringsOf reads an object whose values are strings.
func stringsOf(b json.RawMessage, where string) (map[string]string, *fault) {
	if !wire.IsObject(b) {
		return nil, invalidParams(where + " must be an object")
	}
	out := map[string]string{}
	var f *fault
	_ = wire.Walk(b, func(name string, v json.RawMessage) error {
		s, ok := text(v)
		if !ok && f == nil {
			f = invalidParams(where + " must hold strings only: " + strconv.Quote(cut(name, 100)) + " is none")
		}
		out[name] = s
		return nil
	})
	return out, f
}
