package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// exchange is one request and what its answer needs.
type exchange struct {
	e       *Endpoint
	r       *Request
	rev     *revision
	m       *message
	session *Session // nil in revisions without
	out     outlet
	client  core.Client
	level   string // the lowest log level that the client wants; "" none

	over     atomic.Bool // the answer is on its way: notifications come too late
	mu       sync.Mutex
	progress float64 // the last one sent
	moved    bool    // one was sent
}

// method is one row of the table of requests.
type method struct {
	run      func(ctx context.Context, x *exchange, dst []byte) ([]byte, error)
	offered  func(core.Offers) bool // nil: always
	sessions bool                   // exists in the revisions with sessions
	envelope bool                   // exists in those with an envelope
}

func tools(o core.Offers) bool       { return o.Tools }
func prompts(o core.Offers) bool     { return o.Prompts }
func resources(o core.Offers) bool   { return o.Resources }
func subscribe(o core.Offers) bool   { return o.Resources && o.Subscribe }
func completions(o core.Offers) bool { return o.Completions }
func logging(o core.Offers) bool     { return o.Logging }

// methods are the requests that an exchange answers. initialize and
// subscriptions/listen change how the conversation goes, so they stand elsewhere.
var methods = map[string]method{
	"tools/list":               {listTools, tools, true, true},
	"tools/call":               {callTool, tools, true, true},
	"prompts/list":             {listPrompts, prompts, true, true},
	"prompts/get":              {getPrompt, prompts, true, true},
	"resources/list":           {listResources, resources, true, true},
	"resources/templates/list": {listTemplates, resources, true, true},
	"resources/read":           {readResource, resources, true, true},
	"resources/subscribe":      {subscribeResource, subscribe, true, false},
	"resources/unsubscribe":    {unsubscribeResource, subscribe, true, false},
	"completion/complete":      {complete, completions, true, true},
	"logging/setLevel":         {setLevel, logging, true, false},
	"ping":                     {ping, nil, true, false},
	"server/discover":          {discover, nil, false, true},
}

// find returns the row of a method as rev and the server have it.
func find(name string, rev *revision, o core.Offers) (method, *fault) {
	row, ok := methods[name]
	if !ok || rev.Envelope && !row.envelope || rev.Sessions && !row.sessions || row.offered != nil && !row.offered(o) {
		return method{}, &fault{code: codeNoMethod, message: "this server has no method " + strconv.Quote(cut(name, 100))}
	}
	return row, nil
}

// answer runs the request and returns the whole response with its HTTP status.
func (x *exchange) answer(ctx context.Context) (status int, body []byte) {
	row, f := find(x.m.method, x.rev, x.r.Handler.Server().Offers)
	if f != nil {
		return f.httpStatus(x.rev), appendError(nil, x.rev, x.m.id, f)
	}
	dst := make([]byte, 0, 512)
	dst = append(append(append(dst, `{"jsonrpc":"2.0","id":`...), x.m.id...), `,"result":`...)
	dst, err := x.guarded(ctx, row, dst)
	x.over.Store(true)
	if err == nil {
		return 200, append(dst, '}')
	}
	f = faultOf(ctx, err, x.rev)
	if f.code == codeInternal && f.err != nil && ctx.Err() == nil {
		x.e.log.LogAttrs(ctx, slog.LevelError, "request not answered",
			slog.String("request", x.r.ID), slog.String("server", x.r.Handler.Server().Name),
			slog.String("method", x.m.method), slog.Any("error", f.err))
	}
	return f.httpStatus(x.rev), appendError(nil, x.rev, x.m.id, f)
}

// guarded turns a panic of whoever answers into an error: a stream may be open, and
// the batch beside it goes on.
func (x *exchange) guarded(ctx context.Context, row method, dst []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &core.Error{
				Code: core.CodeInternal, Message: "internal error",
				Err: fmt.Errorf("panic in %s: %v\n%s", x.m.method, p, debug.Stack()),
			}
		}
	}()
	return row.run(ctx, x, dst)
}

// call makes the core.Call that all three kinds of invocation share.
func (x *exchange) call(kind, name string) *core.Call {
	server := x.r.Handler.Server().Name
	return &core.Call{
		Server: server, Tool: name, For: core.Object{Kind: kind, Server: server, Name: name},
		Who: x.r.Who, Client: x.client, Meta: x.m.p.meta, Header: x.r.Header,
		Notify: x.notify, Progress: x.m.p.m.progressToken != nil, LogLevel: x.level, Detach: x.detach,
	}
}

func (x *exchange) detach(retry time.Duration) bool {
	return !x.over.Load() && x.out.detach(retry)
}

// notify sends what belongs to this request and the client asked for.
func (x *exchange) notify(n core.Notification) {
	if x.over.Load() {
		return
	}
	switch n.Method {
	case "notifications/progress":
		x.notifyProgress(n)
	case "notifications/message":
		if x.level == "" || !severeEnough(n.Params, x.level) {
			return
		}
		x.out.push(appendNotification(nil, n.Method, n.Params))
	}
}

// notifyProgress adds the token, and keeps the rule that progress increases.
func (x *exchange) notifyProgress(n core.Notification) {
	token := x.m.p.m.progressToken
	if token == nil {
		return
	}
	dst := append([]byte(`{"progressToken":`), token...)
	var value float64
	var valid bool
	err := wire.Fields(n.Params, func(name string, v json.RawMessage) error {
		switch {
		case name == "progressToken", name == "message" && !x.rev.ProgressMessage:
			return nil
		case name == "progress":
			number, err := strconv.ParseFloat(string(v), 64)
			value, valid = number, err == nil
		}
		dst = append(member(dst, name), v...)
		return nil
	})
	if err != nil || !valid {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.moved && value <= x.progress {
		return
	}
	x.moved, x.progress = true, value
	x.out.push(appendNotification(nil, n.Method, append(dst, '}')))
}

func appendNotification(dst []byte, method string, params []byte) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","method":"`...), method...)
	dst = append(dst, '"')
	if params != nil {
		dst = append(append(dst, `,"params":`...), params...)
	}
	return append(dst, '}')
}

// levels are the severities of RFC 5424, least severe first.
var levels = [...]string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

func severity(level string) int {
	for i, l := range levels {
		if l == level {
			return i
		}
	}
	return -1
}

// severeEnough tells whether the params of notifications/message are at or above level.
func severeEnough(params json.RawMessage, level string) bool {
	of := -1
	err := wire.Fields(params, func(name string, v json.RawMessage) error {
		if name == "level" {
			l, _ := text(v)
			of = severity(l)
		}
		return nil
	})
	return err == nil && of >= 0 && of >= severity(level)
}
