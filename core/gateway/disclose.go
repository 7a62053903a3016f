package gateway

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport/core"
)

// progressive is the disclosure of a server whose tools are found instead of listed.
const progressive = "progressive"

// facade stands in the list of tools for all of them.
type facade struct {
	discloser core.Discloser
	list      *list[*core.Tool]
	toolOf    map[string]*core.Tool
}

// disclose makes the facade of a server that wants one.
func (b *build) disclose(s *core.ServerConfig, built *server, tools []*core.Tool) {
	switch s.Disclosure {
	case "", "full":
		return
	case progressive:
	default:
		b.report(s.At, "/disclosure", "there is no disclosure "+quoted(s.Disclosure), suggest(s.Disclosure, []string{"full", progressive}))
		return
	}
	if b.options.Disclose == nil {
		b.report(s.At, "/disclosure", "tools cannot be found by searching here", "write full")
		return
	}
	f := &facade{discloser: b.options.Disclose(tools), toolOf: map[string]*core.Tool{}}
	fronts := f.discloser.Tools()
	for _, t := range fronts {
		if built.toolOf[t.Name] != nil {
			b.report(s.At, "/disclosure", "there is a tool "+quoted(t.Name)+", which is a name of the tools that find others", "give it another name, or write disclosure: full")
		}
		f.toolOf[t.Name] = t
	}
	f.list = newList("tool", built.wire, fronts, func(t *core.Tool) string { return t.Name }, s.PageSize)
	built.facade = f
}

// fronts tells whether a name is that of a tool that stands for those that who may see.
func (h *handler) fronts(ctx context.Context, who core.Identity, name string) bool {
	f := h.server.facade
	return f != nil && f.toolOf[name] != nil && len(h.server.tools.see(ctx, h.gateway.options.Authorizer, who).all) > 0
}

// EveryTool returns a page of the tools that who may see, also where clients find them
// instead.
func (h *handler) EveryTool(ctx context.Context, who core.Identity, cursor *string) (*core.Page[*core.Tool], error) {
	return h.server.tools.see(ctx, h.gateway.options.Authorizer, who).page(cursor)
}

// throughFacade runs a tool of the facade. A call that reaches another tool is that tool's:
// its limits, its record. Who may see no tool has no facade either.
func (h *handler) throughFacade(ctx context.Context, call *core.Call, began time.Time) (result *core.Result, err error) {
	name := h.server.facade.toolOf[call.Tool].Name // call.Tool may be a part of the request
	leave, err := h.enter(ctx, call, "tool", name, nil)
	if err != nil {
		return h.settle(ctx, call, "tool", name, began, nil, err)
	}
	left := false
	reached := false
	defer func() {
		if !left {
			leave()
		}
	}()
	h.prepare(call, "tool", name)
	result, err = h.server.facade.discloser.Answer(ctx, name, call.Arguments, core.ToolCaller{
		Tool: func(name string) *core.Tool { return h.Tool(ctx, call.Who, name) },
		Call: func(ctx context.Context, name string, arguments json.RawMessage) (*core.Result, error) {
			inner := *call
			inner.Tool, inner.Arguments, inner.Values, inner.Checked = name, arguments, nil, false
			reached, left = true, true
			leave() // it counts for the other one
			return h.CallTool(ctx, &inner)
		},
	})
	if reached {
		return result, err
	}
	return h.settle(ctx, call, "tool", name, began, result, err)
}
