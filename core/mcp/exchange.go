package mcp

import (
	"bytes"
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
	m       *message // not for notify and detach: it is used again once the answer is out
	session *Session // nil in revisions without
	out     outlet
	level   string // the lowest log level that the client wants; "" none
	usual   bool   // it did not say: level is that of every session

	over     atomic.Bool // the answer is on its way: notifications come too late
	mu       sync.Mutex
	progress float64 // the last one sent
	moved    bool    // one was sent

	token      json.RawMessage // of progress; nil when the client gave none
	invocation core.Call       // made by call; its Client is there before
	header     []core.Field    // of the answer, where it is one whole
}

// method is one row of the table of requests.
type method struct {
	name     string
	run      func(ctx context.Context, x *exchange) ([]byte, error) // begins with exchange.open
	offered  func(core.Offers) bool                                 // nil: always
	sessions bool                                                   // exists in the revisions with sessions
	envelope bool                                                   // exists in those with an envelope
}

func tools(o core.Offers) bool       { return o.Tools }
func prompts(o core.Offers) bool     { return o.Prompts }
func resources(o core.Offers) bool   { return o.Resources }
func subscribe(o core.Offers) bool   { return o.Resources && o.Subscribe }
func completions(o core.Offers) bool { return o.Completions }
func logging(o core.Offers) bool     { return o.Logging }

// methods are the requests that an exchange answers. initialize and
// subscriptions/listen change how the conversation goes, so they stand elsewhere.
var methods = byMethod(
	method{"tools/list", listTools, tools, true, true},
	method{"tools/call", callTool, tools, true, true},
	method{"prompts/list", listPrompts, prompts, true, true},
	method{"prompts/get", getPrompt, prompts, true, true},
	method{"resources/list", listResources, resources, true, true},
	method{"resources/templates/list", listTemplates, resources, true, true},
	method{"resources/read", readResource, resources, true, true},
	method{"resources/subscribe", subscribeResource, subscribe, true, false},
	method{"resources/unsubscribe", unsubscribeResource, subscribe, true, false},
	method{"completion/complete", complete, completions, true, true},
	method{"logging/setLevel", setLevel, logging, true, false},
	method{"ping", ping, nil, true, false},
	method{"server/discover", discover, nil, false, true},
)

func byMethod(rows ...method) map[string]*method {
	table := make(map[string]*method, len(rows))
	for i := range rows {
		table[rows[i].name] = &rows[i]
	}
	return table
}

// rowOf returns the row of a method as sent, or nil.
func rowOf(name json.RawMessage) *method {
	if len(name) < 2 || name[0] != '"' {
		return nil
	}
	if bytes.IndexByte(name, '\\') < 0 {
		return methods[string(name[1:len(name)-1])]
	}
	plain, _ := text(name)
	return methods[plain]
}

// find returns the row of the method as rev and the server have it.
func (m *message) find(rev *revision, o core.Offers) (*method, *fault) {
	row := m.row
	if row == nil || rev.Envelope && !row.envelope || rev.Sessions && !row.sessions || row.offered != nil && !row.offered(o) {
		return nil, &fault{code: codeNoMethod, message: "this server has no method " + strconv.Quote(cut(m.method, 100))}
	}
	return row, nil
}

// open begins the response, with room for a result of size bytes and what closing
// appends to it.
func (x *exchange) open(size int) []byte {
	const head, result, tail = `{"jsonrpc":"2.0","id":`, `,"result":`, 64
	size += len(head) + len(x.m.id) + len(result) + tail
	if x.rev.ServerMeta {
		size += len(metaServer) + len(implementation(x.rev, x.r.Handler.Server()))
	}
	dst := append(make([]byte, 0, size), head...)
	return append(append(dst, x.m.id...), result...)
}

// answer runs the request and returns the whole response with its HTTP status.
func (x *exchange) answer(ctx context.Context) (status int, body []byte) {
	row, f := x.m.find(x.rev, x.r.Handler.Server().Offers)
	if f != nil {
		return f.httpStatus(x.rev), appendError(nil, x.rev, x.m.id, f)
	}
	dst, err := x.guarded(ctx, row)
	x.over.Store(true)
	if err == nil {
		return 200, append(dst, '}')
	}
	f = faultOf(ctx, err, x.rev)
	x.header = f.header
	if f.code == codeInternal && f.err != nil && ctx.Err() == nil {
		x.e.log.LogAttrs(ctx, slog.LevelError, "request not answered",
			slog.String("request", x.r.ID), slog.String("server", x.r.Handler.Server().Name),
			slog.String("method", x.m.method), slog.Any("error", f.err))
	}
	return f.httpStatus(x.rev), appendError(nil, x.rev, x.m.id, f)
}

// guarded turns a panic of whoever answers into an error: a stream may be open, and
// the batch beside it goes on.
func (x *exchange) guarded(ctx context.Context, row *method) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &core.Error{
				Code: core.CodeInternal, Message: "internal error",
				Err: fmt.Errorf("panic in %s: %v\n%s", x.m.method, p, debug.Stack()),
			}
		}
	}()
	return row.run(ctx, x)
}

// call makes the core.Call that all three kinds of invocation share.
func (x *exchange) call(kind, name string) *core.Call {
	server := x.r.Handler.Server().Name
	c := &x.invocation
	c.Server, c.Tool = server, name
	c.For = core.Object{Kind: kind, Server: server, Name: name}
	c.ID, c.Who, c.Auth, c.Meta, c.Header = x.r.ID, x.r.Who, x.r.Auth, x.m.p.meta, x.r.Header
	x.token = x.m.p.m.progressToken
	c.Progress, c.LogLevel, c.LogUsual = x.token != nil, x.level, x.usual
	// A method as a value is an allocation: most calls need none.
	if c.Notify = unheard; c.Progress || c.LogLevel != "" {
		c.Notify = x.notify
	}
	if c.Detach = attached; x.rev.Detach {
		c.Detach = x.detach
	}
	return c
}

// unheard is Notify where the client asked for nothing.
func unheard(core.Notification) {}

// attached is Detach where the revision has none.
func attached(time.Duration) bool { return false }

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
	if x.token == nil {
		return
	}
	dst := append([]byte(`{"progressToken":`), x.token...)
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
