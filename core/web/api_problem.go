package web

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Codes that only this outside has.
const (
	codeProof     core.Code = "reauth"          // a password or provider must be asked again: POST /login/prove
	codePassword  core.Code = "password_change" // the password must be changed first
	codeCSRF      core.Code = "csrf"            // the CSRF token is missing or wrong
	codeOrigin    core.Code = "origin"          // a web page that may not call
	codeMatch     core.Code = "match_required"  // If-Match is missing
	codeMediaType core.Code = "media_type"      // the body is not JSON
	codeMethod    core.Code = "method"          // there is such a path, not with this method
)

// statuses is how codes look in HTTP.
var statuses = map[core.Code]int{
	core.CodeInvalid:         http.StatusBadRequest, // 422 when Problems say what is wrong with what was read
	core.CodeCapability:      http.StatusBadRequest,
	core.CodeUnauthenticated: http.StatusUnauthorized,
	core.CodeDenied:          http.StatusForbidden,
	core.CodeScope:           http.StatusForbidden,
	codeProof:                http.StatusForbidden,
	codePassword:             http.StatusForbidden,
	codeCSRF:                 http.StatusForbidden,
	codeOrigin:               http.StatusForbidden,
	core.CodeNotFound:        http.StatusNotFound,
	core.CodeResource:        http.StatusNotFound,
	codeMethod:               http.StatusMethodNotAllowed,
	core.CodeConflict:        http.StatusConflict,
	core.CodeConnect:         http.StatusConflict,
	core.CodeChanged:         http.StatusPreconditionFailed,
	core.CodeTooLarge:        http.StatusRequestEntityTooLarge,
	codeMediaType:            http.StatusUnsupportedMediaType,
	core.CodeReadOnly:        http.StatusLocked,
	codeMatch:                http.StatusPreconditionRequired,
	core.CodeLimited:         http.StatusTooManyRequests,
	core.CodeCancelled:       499, // nobody reads it
	core.CodeInternal:        http.StatusInternalServerError,
	core.CodeNotSupported:    http.StatusNotImplemented,
	core.CodeUnavailable:     http.StatusServiceUnavailable,
	core.CodeTimeout:         http.StatusGatewayTimeout,
	core.CodeFull:            http.StatusInsufficientStorage,
}

// problem is an error as RFC 9457 writes it, with members of ours.
type problem struct {
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail"`
	Fix      string          `json:"fix,omitempty"` // what would be right
	Code     core.Code       `json:"code"`
	Trace    string          `json:"trace_id"`           // stands in the log and in the audit trail
	Version  int64           `json:"version,omitempty"`  // 412: the one that is stored
	Problems []ToldProblem   `json:"problems,omitempty"` // what is wrong, and where
	Details  json.RawMessage `json:"details,omitempty"`
}

// ToldProblem is a mistake in a document as outsiders read it, in JSON.
type ToldProblem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"problem"`
	Fix     string `json:"fix,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

// Told returns problems as outsiders read them; never nil.
func Told(problems []core.Problem) []ToldProblem {
	list := make([]ToldProblem, len(problems))
	for i, p := range problems {
		list[i] = ToldProblem{p.File, p.Line, p.Column, p.Path, p.Message, p.Fix, p.Warning}
	}
	return list
}

// problemOf returns the answer for an error. Its cause stays here.
func problemOf(err error, request string) (p problem, header []core.Field) {
	e := core.AsError(err)
	p = problem{Type: "about:blank", Status: statuses[e.Code], Detail: e.Message, Fix: e.Fix, Code: e.Code, Trace: request}
	if p.Status == 0 {
		p.Status, p.Code = http.StatusInternalServerError, core.CodeInternal
	}
	if e.Code == core.CodeInternal {
		p.Detail, p.Fix = "internal error", "look for the trace_id in the gateway's log"
	}
	if e.Code == core.CodeInvalid && len(e.Problems) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	if len(e.Problems) > 0 {
		p.Problems = Told(e.Problems)
	}
	p.Title = http.StatusText(p.Status)
	if p.Title == "" {
		p.Title = "Client Closed Request"
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	var changed struct{ Version int64 }
	if e.Code == core.CodeChanged && json.Unmarshal(e.Details, &changed) == nil && changed.Version > 0 {
		p.Version = changed.Version
	} else if e.Code != core.CodeInternal {
		p.Details = e.Details
	}
	switch p.Status {
	case http.StatusUnauthorized:
		challenge := e.Challenge
		if challenge == "" {
			challenge = `Bearer realm="sallyport admin"`
		}
		header = append(header, core.Field{Name: "WWW-Authenticate", Value: challenge})
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header = append(header, core.Field{Name: "Retry-After", Value: strconv.Itoa(max(e.RetryAfter, 1))})
	}
	return p, header
}

// problem writes a refusal of the edge as the admin plane does.
func (r *refusal) problem(request string) []byte {
	p := problem{
		Type: "about:blank", Title: http.StatusText(r.status), Status: r.status, Detail: r.message, Fix: r.fix, Code: core.CodeInvalid, Trace: request,
	}
	switch r.status {
	case http.StatusForbidden:
		p.Code = core.CodeDenied
	case http.StatusNotFound:
		p.Code = core.CodeNotFound
	case http.StatusInternalServerError:
		p.Code = core.CodeInternal
	case http.StatusServiceUnavailable:
		p.Code = core.CodeUnavailable
	case 499:
		p.Title, p.Code = "Client Closed Request", core.CodeCancelled
	}
	return p.body()
}

// body writes a problem.
func (p *problem) body() []byte {
	b, err := wire.Marshal(p)
	if err != nil { // Details that are no JSON
		p.Details = nil
		if b, err = wire.Marshal(p); err != nil {
			return []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"internal error","code":"internal","trace_id":""}`)
		}
	}
	return b
}
