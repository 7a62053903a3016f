package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The error codes of JSON-RPC 2.0 and of MCP that mean something here.
const (
	codeParse          = -32700
	codeInvalidRequest = -32600
	codeNoMethod       = -32601
	codeInvalidParams  = -32602
	codeInternal       = -32603

	codeNoResource     = -32002 // up to 2025-11-25
	codeURLElicitation = -32042 // 2025-11-25
	codeHeaderMismatch = -32020 // 2026-07-28
	codeCapability     = -32021 // 2026-07-28
	codeRevision       = -32022 // 2026-07-28
)

// reply is how a request ended: with a result, with a failure that the upstream says, or
// with err, which is ours.
type reply struct {
	result json.RawMessage
	fail   *failure
	err    error
	status int  // of the HTTP answer, where it was not 200
	bare   bool // an HTTP answer without a JSON-RPC message: whoever gave it may not be an MCP server of this sort
}

// strange tells whether the answer contradicts what is known of the upstream: it speaks
// another revision, does not know the session, or is no MCP server of that sort. Then it
// refused the request for its form, and it surely did not run.
func (a *reply) strange() bool {
	refused := a.status == 400 || a.status == 404 || a.status == 405
	switch {
	case a.fail == nil:
		return a.bare && refused || errors.Is(a.err, errSession) || errors.Is(a.err, errContradiction)
	case a.fail.code == codeRevision:
		return true
	}
	const noSession, unknownSession = -32000, -32001
	switch a.fail.code {
	case noSession, unknownSession, codeInvalidRequest:
		return refused
	}
	return false
}

func (c *Client) unavailable(what string, cause error) *core.Error {
	return &core.Error{Code: core.CodeUnavailable, Message: "upstream " + c.o.Name + ": " + what, Err: cause}
}

// lying is the error for an upstream that breaks the protocol.
func (c *Client) lying(what string, cause error) *core.Error {
	return &core.Error{
		Code: core.CodeUnavailable, Message: "upstream " + c.o.Name + " broke the protocol: " + what,
		Fix: "look at the log of the upstream", Err: cause,
	}
}

// ended makes the error for a context that ended before the answer.
func (c *Client) ended(ctx context.Context) *core.Error {
	cause := core.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &core.Error{Code: core.CodeTimeout, Message: "upstream " + c.o.Name + " did not answer within the deadline", Err: cause}
	}
	return &core.Error{Code: core.CodeCancelled, Message: "the call was cancelled", Err: cause}
}

// transport makes a core.Error of what a door of ours returned. Its own errors are fit to
// be shown already.
func (c *Client) transport(ctx context.Context, err error) *core.Error {
	if ctx.Err() != nil {
		return c.ended(ctx)
	}
	var known *core.Error
	if errors.As(err, &known) {
		return known
	}
	return c.unavailable("the connection broke", err)
}

// statusFault is for an HTTP answer that holds no JSON-RPC message. Its body is nobody's
// to see.
func (c *Client) statusFault(status int) *core.Error {
	e := c.unavailable("it answered with HTTP status "+strconv.Itoa(status), nil)
	switch status {
	case 401, 403:
		e.Fix = "check the credential of its connection"
	case 404, 405:
		e.Fix = "check the path of its URL"
	case 429:
		e.Code = core.CodeLimited
	}
	return e
}

// errorOf makes the error that a caller sees of what an upstream said (protocol.md 1.4).
// What only the two of us understand becomes an internal error, since it would make the
// client believe that it was meant.
func (c *Client) errorOf(f *failure, method, uri string) *core.Error {
	e := &core.Error{Code: core.CodeInternal, Message: f.message, Details: f.data}
	if e.Message == "" {
		e.Message = "upstream " + c.o.Name + " answered with error " + strconv.Itoa(f.code)
	}
	switch f.code {
	case codeInvalidParams:
		e.Code = core.CodeInvalid
		if method == "resources/read" && member(f.data, "uri") != nil {
			e.Code = core.CodeResource
		}
	case codeNoResource:
		if method != "resources/read" {
			e.Code = core.CodeNotFound
			break
		}
		e.Code = core.CodeResource
		if member(f.data, "uri") == nil {
			e.Details = append(putString([]byte{'{'}, "uri", uri), '}')
		}
	case codeNoMethod:
		e.Code = core.CodeNotSupported
	case codeInternal:
	case codeCapability:
		e.Code, e.Details = core.CodeCapability, member(f.data, "requiredCapabilities")
		if !wire.IsObject(e.Details) {
			e.Details = json.RawMessage("{}")
		}
	case codeParse, codeInvalidRequest, codeHeaderMismatch, codeRevision:
		e.Message = fmt.Sprintf("upstream %s refused a request of ours with error %d", c.o.Name, f.code)
		e.Details = nil
		e.Err = errors.New(f.message)
	default:
		e.RPC = f.code
	}
	return e
}
