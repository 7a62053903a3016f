package core

import (
	"encoding/json"
	"errors"
	"strings"
)

// Code says what sort of thing went wrong. Each outside (JSON-RPC, HTTP, exit
// codes) maps codes in one table of its own.
type Code string

// The codes. A mistake of the model that it can mend itself is not an Error but
// a Result with IsError set.
const (
	CodeInvalid      Code = "invalid"     // the request or the document is wrong
	CodeNotFound     Code = "not_found"   // no such server, tool, prompt, session; also: not allowed to see it
	CodeDenied       Code = "denied"      // known, and refused
	CodeCapability   Code = "capability"  // the client lacks a capability; Details is the ClientCapabilities object it needs
	CodeUnavailable  Code = "unavailable" // an upstream cannot be reached, is shed or its breaker is open
	CodeTimeout      Code = "timeout"     // the deadline passed
	CodeCancelled    Code = "cancelled"   // the client left or cancelled
	CodeTooLarge     Code = "too_large"   // a limit on size was passed
	CodeLimited      Code = "limited"     // a limit on rate or concurrency was passed
	CodeInternal     Code = "internal"    // our own mistake
	CodeNotSupported Code = "unsupported" // the method does not exist here
	CodeResource     Code = "no_resource" // resources/read of an unknown URI; Details is {"uri": …}

	CodeUnauthenticated Code = "unauthenticated"    // no credential, or one that is wrong; Challenge says which would do
	CodeScope           Code = "insufficient_scope" // the access token was granted too little; Challenge names the scopes
	CodeConflict        Code = "conflict"           // something of that name is there already, or is in use
	CodeChanged         Code = "changed"            // somebody else changed it meanwhile (ETag)
	CodeReadOnly        Code = "read_only"          // what comes from files, or a store that cannot be written
	CodeFull            Code = "storage_full"       // no space left where it would be kept
)

// Error is the one error type that crosses rooms. Message says what and where,
// Fix says what would be right; neither ever holds a secret or an argument value
// that the caller did not send. Err is for the log only.
type Error struct {
	Code       Code
	Message    string
	Fix        string
	Details    json.RawMessage // becomes error.data where the outside has such a place
	RetryAfter int             // seconds; 0 = unknown
	Challenge  string          // value of WWW-Authenticate
	Door       bool            // refused by the gateway before anything ran: HTTP outsides answer with a status (429, 403, 503) and not only in the protocol
	RPC        int             // the JSON-RPC code that an upstream gave, where Code has no word for it; 0 = none
	Problems   []Problem       // the mistakes in a document, where that is what is wrong
	Err        error
}

// Error returns the message, the fix and the cause, for logs.
func (e *Error) Error() string {
	s := e.Message
	if s == "" {
		s = string(e.Code)
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Public returns what an outside may print: message and fix, never the cause.
func (e *Error) Public() string {
	if e.Fix == "" {
		return e.Message
	}
	return e.Message + "; " + e.Fix
}

// AsError returns err as *Error; an error of any other type becomes CodeInternal
// with a message that says nothing of it.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: "internal error", Err: err}
}

// Problem is one mistake in a document: where it is, what it is, what would be right.
type Problem struct {
	File    string // as the user named it; empty when the document did not come from a file
	Line    int    // 1-based; 0 when unknown
	Column  int    // 1-based; 0 when unknown
	Path    string // JSON Pointer (RFC 6901) into the document, e.g. /servers/0/tools/2/name
	Message string
	Fix     string
	Warning bool // true: worth saying, but the document still works
}

// Problem returns a problem at this part, or below it when rel ("/name",
// "/tools/0") is not empty. Its position is that of the nearest part that exists.
func (a At) Problem(rel, message, fix string) Problem {
	p := Problem{Path: a.Path + rel, Message: message, Fix: fix}
	if a.Source == nil {
		return p
	}
	p.File = a.Source.Name()
	for path := p.Path; ; {
		if line, column, found := a.Source.Position(path); found {
			p.Line, p.Column = line, column
			return p
		}
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return p
		}
		path = path[:cut]
	}
}
