package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The error codes of JSON-RPC 2.0 and of MCP.
const (
	codeParse          = -32700
	codeInvalidRequest = -32600
	codeNoMethod       = -32601
	codeInvalidParams  = -32602
	codeInternal       = -32603

	codeHeaderMismatch = -32020 // 2026-07-28
	codeCapability     = -32021 // 2026-07-28
	codeRevision       = -32022 // 2026-07-28

	// In the range without a meaning of its own; what other servers of the revisions with sessions use.
	codeNoSession      = -32000
	codeUnknownSession = -32001
)

// fault is an error of the wire itself: it knows its code and its HTTP status.
type fault struct {
	code    int
	message string
	data    json.RawMessage
	status  int // 0: by the code
	header  []core.Field
	handler bool
	err     error // for the log
}

func (f *fault) Error() string { return f.message }

func (f *fault) Unwrap() error { return f.err }

func invalidRequest(message string) *fault {
	return &fault{code: codeInvalidRequest, message: message}
}

func invalidParams(message string) *fault {
	return &fault{code: codeInvalidParams, message: message}
}

// answers is how a core.Code looks to a client; the first number is for the
// revisions with sessions, the second for those with an envelope.
var answers = map[core.Code][2]int{
	core.CodeInvalid:      {codeInvalidParams, codeInvalidParams},
	core.CodeNotFound:     {codeInvalidParams, codeInvalidParams},
	core.CodeDenied:       {codeInternal, codeInternal}, // the request is valid; the settings refuse it
	core.CodeCapability:   {codeInternal, codeCapability},
	core.CodeUnavailable:  {codeInternal, codeInternal},
	core.CodeTimeout:      {codeInternal, codeInternal},
	core.CodeCancelled:    {codeInternal, codeInternal},
	core.CodeTooLarge:     {codeInternal, codeInternal},
	core.CodeLimited:      {codeInternal, codeInternal},
	core.CodeInternal:     {codeInternal, codeInternal},
	core.CodeNotSupported: {codeNoMethod, codeNoMethod},
	core.CodeResource:     {0, 0}, // revision.ResourceNotFound
	core.CodeScope:        {codeInternal, codeInternal},
	core.CodeConnect:      {codeInternal, codeInternal},
}

// statuses is the HTTP status of an error that ends a request before it reached
// its handler: {with sessions, with an envelope}. An error of the handler is 200,
// save where gateStatuses says otherwise. (2026-07-28, streamable HTTP; the
// earlier revisions leave it open and answer in 200 once the message is valid.)
var statuses = map[int][2]int{
	codeParse:          {400, 400},
	codeInvalidRequest: {400, 400},
	codeNoMethod:       {200, 404},
	codeInvalidParams:  {200, 400},
	codeHeaderMismatch: {400, 400},
	codeCapability:     {400, 400},
	codeRevision:       {400, 400},
	codeNoSession:      {400, 400},
	codeUnknownSession: {404, 404},
	codeInternal:       {200, 200},
}

// gateStatuses are those that also an error of the handler has.
var gateStatuses = map[int]bool{codeNoMethod: true, codeCapability: true}

// doorStatuses are those of what the gateway itself refused before anything ran, in every
// revision: HTTP has words for them that clients and proxies act on (RFC 6585 section 4,
// RFC 6750 section 3.1).
var doorStatuses = map[core.Code]int{
	core.CodeLimited: 429, core.CodeScope: 403, core.CodeUnavailable: 503, core.CodeTooLarge: 413, core.CodeUnauthenticated: 401,
}

// atDoor gives f the status and the headers of a refusal at the door.
func (f *fault) atDoor(known *core.Error) {
	f.status = doorStatuses[known.Code]
	if known.RetryAfter > 0 {
		f.header = append(f.header, core.Field{Name: "Retry-After", Value: strconv.Itoa(known.RetryAfter)})
	}
	if known.Challenge != "" {
		f.header = append(f.header, core.Field{Name: "WWW-Authenticate", Value: known.Challenge})
	}
}

// httpStatus returns the status that goes with f. rev is nil when the message
// could not be read far enough to know.
func (f *fault) httpStatus(rev *revision) int {
	era := 0
	if rev != nil && rev.Envelope {
		era = 1
	}
	switch {
	case f.status != 0:
		return f.status
	case f.handler && (era == 0 || !gateStatuses[f.code]):
		return 200
	}
	if both, ok := statuses[f.code]; ok {
		return both[era]
	}
	return 200
}

// faultOf makes the fault that a client of rev sees of an error of a handler.
func faultOf(ctx context.Context, err error, rev *revision) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	var known *core.Error
	if !errors.As(err, &known) {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			known = &core.Error{Code: core.CodeTimeout, Message: "the call took longer than its deadline", Err: err}
		case errors.Is(err, context.Canceled) && ctx.Err() != nil:
			known = &core.Error{Code: core.CodeCancelled, Message: "the call was cancelled", Err: err}
		default:
			known = core.AsError(err)
		}
	}
	era := 0
	if rev.Envelope {
		era = 1
	}
	f = &fault{code: codeInternal, message: known.Public(), data: known.Details, handler: true, err: err}
	if both, ok := answers[known.Code]; ok {
		f.code = both[era]
	}
	if known.RPC != 0 && !(rev.Envelope && meaningless(known.RPC)) {
		f.code = known.RPC
	}
	if f.message == "" {
		f.message = string(known.Code)
	}
	if known.Door {
		f.atDoor(known)
	}
	switch known.Code {
	case core.CodeResource:
		f.code = rev.ResourceNotFound
	case core.CodeCapability:
		if rev.Envelope {
			f.data = requiredCapabilities(known.Details)
		}
	default:
		if f.data == nil && known.RetryAfter > 0 {
			f.data = strconv.AppendInt([]byte(`{"retryAfterSeconds":`), int64(known.RetryAfter), 10)
			f.data = append(f.data, '}')
		}
	}
	return f
}

// meaningless tells whether a code stands in the range that means something else to every
// server of the revisions with sessions, and that those with an envelope must not use
// (2026-07-28, error codes). An upstream of the former may say it.
func meaningless(code int) bool { return -32019 <= code && code <= -32000 }

// requiredCapabilities wraps a ClientCapabilities object as error.data of -32021.
func requiredCapabilities(needs json.RawMessage) json.RawMessage {
	if !wire.IsObject(needs) {
		needs = json.RawMessage("{}")
	}
	data := append([]byte(`{"requiredCapabilities":`), needs...)
	return append(data, '}')
}

// revisionFault is the answer to a revision that is not served. data.supported
// names none that the client just asked for in vain.
func revisionFault(requested string) *fault {
	asked := byName(requested)
	supported := names(func(rev *revision) bool { return asked == nil || rev.Envelope })
	data := append([]byte(`{"supported":`), appendStrings(nil, supported)...)
	data = append(data, `,"requested":`...)
	data = append(wire.AppendString(data, requested), '}')
	return &fault{code: codeRevision, message: "unsupported protocol version", data: data}
}

// appendError appends a whole error response. Without an id it has none, or null
// where the revision wants that.
func appendError(dst []byte, rev *revision, id json.RawMessage, f *fault) []byte {
	dst = append(dst, `{"jsonrpc":"2.0"`...)
	switch {
	case id != nil:
		dst = append(append(dst, `,"id":`...), id...)
	case rev == nil || rev.NullID:
		dst = append(dst, `,"id":null`...)
	}
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(f.code), 10)
	dst = append(dst, `,"message":`...)
	dst = wire.AppendString(dst, f.message)
	if f.data != nil {
		dst = append(append(dst, `,"data":`...), f.data...)
	}
	return append(dst, "}}"...)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(dst, s)
	}
	return append(dst, ']')
}
