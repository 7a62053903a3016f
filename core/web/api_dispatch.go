package web

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
)

// handle answers one request.
func (a *API) handle(ctx context.Context, r *apiRequest, sink mcp.Sink) {
	if a.busy.Add(1) > int64(a.o.Busy) {
		a.busy.Add(-1)
		a.refuse(r, sink, &core.Error{Code: core.CodeUnavailable, Message: "too many requests are being answered", Fix: "try again later"}, nil)
		return
	}
	c := &apiCall{api: a, request: r, sink: sink, status: 200}
	defer func() {
		if !c.streamed {
			a.busy.Add(-1)
		}
	}()
	timed, cancel := context.WithTimeout(ctx, a.o.Timeout) // a slow route is given more
	defer cancel()
	c.ctx = timed
	err := c.contained(ctx)
	switch {
	case c.streamed:
	case err != nil:
		a.refuse(r, sink, err, c.fields())
	default:
		sink.Reply(c.status, c.contentType, append(secured(r), c.fields()...), c.answer)
	}
}

// contained runs the call. A panic in it ends the request, not the process; its value may
// hold anything, so only its type is logged.
func (c *apiCall) contained(whole context.Context) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			c.api.log.Error("panic in the admin plane", "request", c.request.id, "panic", fmt.Sprintf("a value of type %T", fault), "stack", string(debug.Stack()))
			err = &core.Error{Code: core.CodeInternal, Message: "panic"}
		}
	}()
	if err := c.admit(); err != nil {
		return late(err)
	}
	switch {
	case c.route.Feed:
		c.ctx = whole // it has no end of its own
	case c.route.Slow:
		slow, cancel := context.WithTimeout(whole, slowest)
		defer cancel()
		c.ctx = slow
	}
	c.bind()
	if c.route.Status != 0 {
		c.status = c.route.Status
	}
	return late(c.route.Handle(c))
}

// bind binds what the handler asks of the store to the tenant that the caller was admitted
// to: a handler that forgets its tenant is stopped there.
func (c *apiCall) bind() {
	switch {
	case c.api.lax.bound: // a test of the test
	case c.route.Public != "":
		c.ctx = core.AcrossTenants(c.ctx, "nobody is admitted to a tenant yet: it is found from what was sent, such as a name to log in with")
	case c.tenant == core.EveryTenant:
		c.ctx = core.AcrossTenants(c.ctx, "the caller was authorised for all tenants")
	default:
		c.ctx = core.WithTenant(c.ctx, c.tenant)
	}
}

// late names an error that says only that time is up.
func late(err error) error {
	var known *core.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &core.Error{Code: core.CodeTimeout, Message: "this took too long", Fix: "try again, or ask for less", Err: err}
	case errors.Is(err, context.Canceled):
		return &core.Error{Code: core.CodeCancelled, Message: "the client left", Err: err}
	}
	return err
}

// admit decides whether the route may run: everything that is refused before a handler
// sees the request is refused here.
func (c *apiCall) admit() error {
	a, r := c.api, c.request
	if err := c.checkOrigin(); err != nil {
		return err
	}
	path, found := strings.CutPrefix(r.path, apiRoot)
	var allow []string
	if found {
		c.route, c.values, allow = a.routes.find(r.method, path)
	}
	if err := c.identify(); err != nil && (c.route == nil || c.route.Public == "") {
		return err
	}
	if c.route == nil {
		return c.nowhere(allow)
	}
	if err := c.checkCSRF(); err != nil {
		return err
	}
	if c.login != nil && c.login.MustChange && !c.route.Early && c.route.Public == "" {
		return &core.Error{Code: codePassword, Message: "the password must be changed first", Fix: "POST /api/v1/me/password"}
	}
	if err := c.permit(); err != nil {
		return err
	}
	if c.route.Stored && a.o.Away != nil {
		if err := a.o.Away(); err != nil {
			return &core.Error{Code: core.CodeUnavailable, Message: "the store cannot be reached", Fix: "try again later; calls of MCP clients go on", Err: err}
		}
	}
	if c.route.Needs != nil && !c.route.Needs(&a.o) {
		return &core.Error{Code: core.CodeUnavailable, Message: "this gateway runs without what this route is about", Fix: "the settings say what runs"}
	}
	if c.route.Proof {
		if err := c.proved(); err != nil {
			return err
		}
	}
	return c.decode()
}

// nowhere is the answer where there is no route. Whoever is not known learns nothing.
func (c *apiCall) nowhere(allow []string) error {
	if c.who.Anonymous() {
		return errUnknown
	}
	if len(allow) > 0 {
		c.set("Allow", strings.Join(allow, ", "))
		return &core.Error{Code: codeMethod, Message: "this method is not allowed here", Fix: "use one of " + strings.Join(allow, ", ")}
	}
	return &core.Error{Code: core.CodeNotFound, Message: "there is nothing here", Fix: "GET /api/v1/openapi.yaml describes every route"}
}

// permit asks for the permission of the route, on ids and never on the path as a text.
func (c *apiCall) permit() error {
	r := c.route
	c.tenant = c.who.In()
	switch {
	case r.Public != "":
		return nil
	case c.who.Anonymous():
		return errUnknown
	case r.Self != "":
		return nil
	}
	if r.Whole {
		c.tenant = core.EveryTenant
	} else if err := c.chooseTenant(); err != nil {
		return err
	}
	object := core.Object{Kind: r.On, Tenant: c.tenant, Name: c.path(r.Name)}
	if r.Object != nil {
		var ok bool
		if object.Server, object.Name, ok = r.Object(object.Name); !ok {
			object.Name = c.path(r.Name) // names nothing: the handler says so to those who may read
		}
	}
	err := c.may(r.Do, object)
	if err == nil {
		return nil
	}
	// Something that the caller may not see looks like something that is not there, where
	// it may see others of that kind.
	named := object
	named.Server, named.Name = "", ""
	if r.Name != "" && c.may(core.ActionRead, object) != nil && c.may(core.ActionRead, named) == nil {
		return missing(r.On)
	}
	return err
}

// missing is the answer for what is not there, or not to be seen.
func missing(kind string) error {
	return &core.Error{Code: core.CodeNotFound, Message: "there is no such " + kind, Fix: "the list of them says which there are"}
}

// chooseTenant takes the tenant of the query. One that is not there, and one of others,
// look alike to those whose roles hold in their own tenant only.
func (c *apiCall) chooseTenant() error {
	asked := parameter(c.request.query, parameterName)
	if asked == "" || asked == c.tenant {
		return nil
	}
	if !c.api.lax.tenant && (!plain(asked) || len(c.who.Everywhere) == 0) {
		return missing("tenant")
	}
	c.tenant = asked
	if err := c.api.o.Store.Get(c.ctx, &core.Tenant{ID: asked}); err != nil {
		if core.AsError(err).Code == core.CodeNotFound {
			return missing("tenant")
		}
		return err
	}
	return nil
}

// refuse answers an error.
func (a *API) refuse(r *apiRequest, sink mcp.Sink, err error, more []core.Field) {
	p, header := problemOf(err, r.id)
	if p.Status >= 500 && p.Status != 503 {
		a.log.Error("admin request", "request", r.id, "status", p.Status, "error", err)
	}
	header = append(append(secured(r), header...), more...)
	sink.Reply(p.Status, problemType, header, p.body())
}

// secured returns the headers that every answer has. Cache-Control: no-store and nosniff
// are the edge's.
func secured(r *apiRequest) []core.Field {
	fields := make([]core.Field, 0, 8)
	fields = append(fields,
		core.Field{Name: "Content-Security-Policy", Value: "default-src 'none'; frame-ancestors 'none'"},
		core.Field{Name: "Referrer-Policy", Value: "no-referrer"},
		core.Field{Name: "X-Frame-Options", Value: "DENY"},
		core.Field{Name: "Cross-Origin-Resource-Policy", Value: "same-origin"},
		core.Field{Name: "Vary", Value: "Cookie, Authorization, Origin"},
	)
	if r.secure {
		fields = append(fields, core.Field{Name: "Strict-Transport-Security", Value: "max-age=31536000"})
	}
	return fields
}
