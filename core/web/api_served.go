package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// servedRoutes show what is served now, each caller what it may see, and call it with the
// caller's own rights.
func servedRoutes() []apiRoute {
	const self = "it shows and runs what policies let its caller see and call, in its own tenant"
	serves := func(o *APIOptions) bool { return o.Served != nil }
	return []apiRoute{
		{
			Method: "GET", Pattern: "/servers", Summary: "List the MCP servers that the caller may use", Noun: "servers", Self: self, Needs: serves,
			Answer: serverList{}, Handle: listServers,
		},
		{
			Method: "GET", Pattern: "/servers/{name}", Summary: "Read an MCP server: its tools with their schemas, and which roles may call them", Noun: "servers", Self: self, Needs: serves,
			Answer: serverShown{}, Also: []int{404}, Handle: readServer,
		},
		{
			Method: "POST", Pattern: "/servers/{name}/tools/{tool}/call", Summary: "Call a tool that is served, with the caller's own rights", Noun: "servers", Self: self, Needs: serves,
			Body: callForm{}, Limit: 1 << 20, Answer: callDone{}, Also: []int{404, 413, 429}, Handle: callServed,
		},
	}
}

type serverList struct {
	Servers []serverListed `json:"servers"`
}

// serverListed is a server as a list shows it.
type serverListed struct {
	Name        string   `json:"name"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Version     string   `json:"version,omitempty"`
	Prefix      string   `json:"prefix"`
	Path        string   `json:"path"`      // of its endpoint
	Anonymous   bool     `json:"anonymous"` // callers without a credential are let in
	Scopes      []string `json:"scopes"`    // that an OAuth access token must have been granted
	Tools       int      `json:"toolCount"` // that the caller may see
}

type serverShown struct {
	serverListed

	Tools []toolShown `json:"tools"`
}

type toolShown struct {
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  json.RawMessage `json:"annotations,omitempty"`
	Call         bool            `json:"mayCall"` // the caller
	// Roles may call it; only for those who may read roles. Policies that deny some users
	// are not looked at.
	Roles []string `json:"roles,omitempty"`
}

// visible returns the servers that the caller may know of, and releases all of them in the
// end.
func (c *apiCall) visible() (handlers []core.Handler, release func()) {
	all := c.api.o.Served(c.tenant)
	for _, h := range all {
		if h.Visible(c.ctx, c.who) {
			handlers = append(handlers, h)
		}
	}
	return handlers, func() {
		for _, h := range all {
			h.Release()
		}
	}
}

// toolsOf reads every page of the tools that the caller may see.
func (c *apiCall) toolsOf(h core.Handler) ([]*core.Tool, error) {
	var tools []*core.Tool
	var cursor *string
	list := h.ListTools
	if all, ok := h.(interface {
		EveryTool(ctx context.Context, who core.Identity, cursor *string) (*core.Page[*core.Tool], error)
	}); ok { // where clients find them instead
		list = all.EveryTool
	}
	for {
		page, err := list(c.ctx, c.who, cursor)
		if err != nil {
			return nil, err
		}
		tools = append(tools, page.Items...)
		if page.Next == nil {
			return tools, nil
		}
		cursor = page.Next
	}
}

func listedServer(s *core.Server, tools int) serverListed {
	path := "/"
	if s.Tenant != "" && s.Tenant != core.DefaultTenant {
		path += s.Tenant + "/"
	}
	if s.Prefix != "" {
		path += s.Prefix + "/"
	}
	return serverListed{
		Name: s.Name, Title: s.Title, Description: s.Description, Version: s.Version, Prefix: s.Prefix, Path: path + "mcp",
		Anonymous: s.Access.Anonymous, Scopes: s.Access.Scopes, Tools: tools,
	}
}

func listServers(c *apiCall) error {
	handlers, release := c.visible()
	defer release()
	list := serverList{Servers: []serverListed{}}
	for _, h := range handlers {
		tools, err := c.toolsOf(h)
		if err != nil {
			return err
		}
		list.Servers = append(list.Servers, listedServer(h.Server(), len(tools)))
	}
	return c.reply(list)
}

// server returns the server of that name; what the caller may not see is not there.
func (c *apiCall) server(name string) (core.Handler, func(), error) {
	handlers, release := c.visible()
	i := slices.IndexFunc(handlers, func(h core.Handler) bool { return h.Server().Name == name })
	if i < 0 {
		release()
		return nil, nil, missing("server")
	}
	return handlers[i], release, nil
}

func readServer(c *apiCall) error {
	h, release, err := c.server(c.path("name"))
	if err != nil {
		return err
	}
	defer release()
	tools, err := c.toolsOf(h)
	if err != nil {
		return err
	}
	s := h.Server()
	shown := serverShown{serverListed: listedServer(s, len(tools)), Tools: []toolShown{}}
	roles := c.roleNames()
	for _, t := range tools {
		on := core.Object{Kind: "tool", Tenant: s.Tenant, Server: s.Name, Name: t.Name, Open: s.Access.Anonymous}
		one := toolShown{
			Name: t.Name, Title: t.Title, Description: t.Description, InputSchema: t.InputSchema, OutputSchema: t.OutputSchema, Annotations: t.Annotations,
			Call: c.may(core.ActionCall, on) == nil,
		}
		for _, role := range roles {
			if c.api.o.Authorizer.Authorize(c.ctx, core.Identity{Subject: "anybody", Tenant: c.tenant, Roles: []string{role}}, core.ActionCall, on) == nil {
				one.Roles = append(one.Roles, role)
			}
		}
		shown.Tools = append(shown.Tools, one)
	}
	return c.reply(shown)
}

// roleNames returns the roles of the tenant, if the caller may read them.
func (c *apiCall) roleNames() (names []string) {
	if c.api.o.Policies == nil || !c.reads("role", "") {
		return nil
	}
	for _, role := range c.api.o.Policies.Roles(c.tenant) {
		names = append(names, role.Name)
	}
	return names
}

// callForm is a call of a tool.
type callForm struct {
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// callDone is how it ended.
type callDone struct {
	callShown

	Trace string  `json:"trace_id"`
	Took  float64 `json:"tookMs"`
}

func callServed(c *apiCall) error {
	h, release, err := c.server(c.path("name"))
	if err != nil {
		return err
	}
	defer release()
	call, err := c.callOf(h.Server().Name, c.path("tool"), c.body.(*callForm).Arguments)
	if err != nil {
		return err
	}
	began := c.api.o.Now()
	result, err := h.CallTool(c.ctx, &call)
	// What refused the call before it ran is an answer of its own: a tool that is not there,
	// a limit, scopes.
	if e := core.AsError(err); err != nil && (e.Door || e.Code == core.CodeNotFound) && statuses[e.Code] >= http.StatusBadRequest {
		return err
	}
	return c.reply(callDone{shownCall(result, err), c.request.id, millis(c.api.o.Now().Sub(began))})
}
