// Package rest is the invoker kind that calls an HTTP API.
//
//	arguments ─► guards ─► path · query · header · cookie · body ─► core.Upstream
//	                                                                     │
//	result ◄─ JSON · text · image · audio · binary ◄─ jq ◄─ pages ◄─ status
//
// A config is compiled when the Catalog is built; a call appends to buffers.
// Arguments are values only: a path segment and a query are escaped, a JSON body is
// built as a value tree, a header is checked. Nothing of a call becomes text of a
// template, and the host always comes from the connection.
//
//	kind: rest
//	config:
//	  connection: shop
//	  path: /books/{id}
//	  query: {fields: {value: title}, lang: language}
//	  response: {select: "{title, price}"}
package rest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

var (
	//go:embed schema.json
	schema []byte
	//go:embed example.yaml
	example string
)

// Kind is the invoker kind "rest".
var Kind = core.Kind[core.Invoker]{
	Name:    "rest",
	Summary: "Calls an HTTP API: places arguments in path, query, headers, cookies or body, and makes content of the answer.",
	Schema:  schema,
	Example: example,
	New:     open,
}

// Invoker is one compiled config. It is safe for concurrent use.
type Invoker struct {
	upstream    core.Upstream
	connector   string        // of the caller's own account; "" = none
	accounts    core.Accounts // set with connector
	base        *url.URL
	secretQuery map[string]core.Secret
	now         func() time.Time

	method     string
	idempotent bool
	maxBytes   int64
	guards     []guard
	path       pathPlan
	query      queryPlan
	headers    headerPlan
	content    bodyPlan
	fixedPath  string // the path when no argument is in it

	as         form
	mimeType   string // in place of the Content-Type of the answer
	selection  *expression.JQ
	pretty     bool
	shown      map[string]bool // header names of the form headers, lower case
	status     statusPlan
	failures   failurePlan
	pagination *pagesPlan

	values bool // calls need Call.Values
}

// exchange is what one call takes, in one allocation: the result of the call is a
// part of the answer.
type exchange struct {
	request core.Request
	answer  answer
}

// guard refuses a call whose arguments it does not like.
type guard struct {
	test    *expression.Expr
	message string
}

// open is Kind.New: New as a core.Invoker, without a nil *Invoker in it.
func open(ctx context.Context, config json.RawMessage, env core.Env) (core.Invoker, error) {
	v, err := New(ctx, config, env)
	if v == nil {
		return nil, err
	}
	return v, err
}

// New compiles a config. The error is core.Problems, all mistakes at once. Problems
// that are all warnings come together with an Invoker that works.
func New(_ context.Context, config json.RawMessage, env core.Env) (*Invoker, error) {
	r := &reader{env: env, used: map[string]bool{}}
	if len(config) == 0 {
		config = json.RawMessage("{}")
	}
	r.declare(env.Declares.InputSchema)
	v := r.config(config)
	if r.failed() {
		return nil, r.problems
	}
	if env.Dial != nil {
		upstream, err := env.Dial.Open(env.Connections[r.connectionName(config)])
		if err != nil {
			r.problem("/connection", "the connection cannot be used: "+err.Error(), "")
			return nil, r.problems
		}
		v.upstream = upstream
	}
	if len(r.problems) > 0 {
		return v, r.problems
	}
	return v, nil
}

func (r *reader) connectionName(config json.RawMessage) string {
	raw, _ := find(r.members("", config), "connection")
	return r.text("/connection", raw)
}

// NeedsValues tells whether calls need their arguments decoded as a whole: a few that
// stand in the path or in the query are found without.
func (v *Invoker) NeedsValues() bool { return v.values }

// Invoke sends one request (pagination: several) and makes a result of the answer.
func (v *Invoker) Invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	result, err := v.invoke(ctx, call)
	tool := call.For.Kind == "" || call.For.Kind == "tool"
	switch {
	case err == nil && tool:
		return result, nil
	case err == nil:
		return v.offer(call, result), nil
	}
	failed := seen(ctx, err)
	switch {
	case failed == nil:
		return nil, err
	case tool:
		return core.ErrorResult(failed.text), nil
	}
	return nil, failed.outside(call)
}

func (v *Invoker) invoke(ctx context.Context, call *core.Call) (*core.Result, error) {
	if v.upstream == nil {
		return nil, &final{&core.Error{Code: core.CodeUnavailable, Message: "this tool was built without a way out", Fix: "build it with an egress"}}
	}
	if call.Values == nil && (v.values || !call.Checked || len(call.Arguments) > maxWalked) {
		values, err := wire.DecodeObject(call.Arguments)
		if err != nil {
			return nil, &final{&core.Error{Code: core.CodeInvalid, Message: "arguments: " + err.Error(), Fix: "send a JSON object"}}
		}
		call.Values, call.Checked = values, true
	}
	for i := range v.guards {
		ok, err := v.guards[i].test.Test(call.Values)
		if err != nil {
			return nil, refuse("%s (%s)", v.guards[i].message, err)
		}
		if !ok {
			return nil, refuse("%s", v.guards[i].message)
		}
	}
	x := &exchange{}
	request := &x.request
	if err := v.write(request, call); err != nil {
		return nil, err
	}
	if v.connector != "" {
		token, err := v.accounts.Token(ctx, call.Who, v.connector)
		if err != nil {
			return v.connect(call, err)
		}
		request.Credential = core.Secret("Bearer " + token.Reveal())
	}
	response, err := v.upstream.Do(ctx, request)
	if err != nil {
		return nil, err
	}
	a := x.answer.read(ctx, v, call, response)
	switch v.status.of(response.Status) {
	case isError:
		return nil, &refusal{text: v.failureText(a), status: response.Status}
	case isProtocol:
		return nil, v.protocolError(response)
	}
	if v.pagination != nil {
		return v.follow(a, request)
	}
	return v.result(a)
}

// write writes the request of a call.
func (v *Invoker) write(request *core.Request, call *core.Call) error {
	request.Method, request.Idempotent, request.MaxBytes, request.Path = v.method, v.idempotent, v.maxBytes, v.fixedPath
	if v.fixedPath == "" || len(v.query) > 0 {
		var space [512]byte
		buffer, split := space[:0], 0
		var err error
		if v.fixedPath == "" {
			if buffer, err = v.path.append(buffer, call); err != nil {
				return err
			}
			split = len(buffer)
		}
		if buffer, err = v.query.append(buffer, call); err != nil {
			return err
		}
		text := string(buffer)
		if v.fixedPath == "" {
			request.Path = text[:split]
		}
		request.Query = text[split:]
	}
	contentType := ""
	if v.content != nil {
		var err error
		if request.Body, contentType, err = v.content.body(call); err != nil {
			return err
		}
		if request.Body == nil {
			contentType = ""
		}
	}
	var err error
	if request.Header, err = v.headers.fields(call, contentType); err != nil {
		return err
	}
	if call.Progress && v.pagination == nil {
		request.Progress = report(call)
	}
	return nil
}

// report returns what tells the client how a long answer comes in: at most some
// fifty times, and not for every small piece.
func report(call *core.Call) func(received, total int64) {
	var last int64
	return func(received, total int64) {
		if received-last < max(total/50, 64<<10) {
			return
		}
		last = received
		call.Notify(progress(received, total, ""))
	}
}

// progress makes a notification; total below 0 means unknown.
func progress(done, total int64, message string) core.Notification {
	b := strconv.AppendInt([]byte(`{"progress":`), done, 10)
	if total >= 0 {
		b = strconv.AppendInt(append(b, `,"total":`...), total, 10)
	}
	if message != "" {
		b = wire.AppendString(append(b, `,"message":`...), message)
	}
	return core.Notification{Method: "notifications/progress", Params: append(b, '}')}
}

// Close gives the upstream back.
func (v *Invoker) Close() error {
	if v.upstream == nil {
		return nil
	}
	if err := v.upstream.Close(); err != nil {
		return fmt.Errorf("close the connection of a rest tool: %w", err)
	}
	return nil
}

var (
	_ core.Invoker = (*Invoker)(nil)
	_ core.Closer  = (*Invoker)(nil)
	_ core.Frugal  = (*Invoker)(nil)
)
