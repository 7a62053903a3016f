package plugin

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/sdk/go/internal/host"
)

// Status is what a call is answered with, as ABI.md numbers them.
type Status uint16

// The statuses. A handler does not name them: it returns a value, or one of the
// errors below.
const (
	StatusOK          Status = 0
	StatusUnchanged   Status = 1 // transformers: what came in stands
	StatusToolError   Status = 2 // the message is shown to the model
	StatusInvalidArgs Status = 3
	StatusUnknownTool Status = 4
	StatusDenied      Status = 5
	StatusUnavailable Status = 6 // the caller may try again
	StatusInternal    Status = 7 // the message goes to the log only
)

var statusNames = [...]string{"ok", "unchanged", "tool_error", "invalid_args", "unknown_tool", "denied", "unavailable", "internal"}

// String returns the name of ABI.md; a number that it does not have is "internal".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return statusNames[StatusInternal]
}

// Error is an error with a status. Any other error that a handler returns is a
// ToolError in a tool, and Internal in the other kinds.
type Error struct {
	Status     Status
	Message    string
	RetryAfter time.Duration // with StatusUnavailable; 0 = not known
	Err        error         // the cause, for errors.Is; not part of the message
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func newError(s Status, format string, args []any) *Error {
	e := &Error{Status: s, Message: format}
	if len(args) > 0 {
		err := fmt.Errorf(format, args...)
		e.Message, e.Err = err.Error(), err
	}
	return e
}

// InvalidArgs says what is wrong with the arguments, so that the model can mend
// them. The format is that of fmt.Errorf, %w included; without args it is taken as
// it stands.
func InvalidArgs(format string, args ...any) *Error {
	return newError(StatusInvalidArgs, format, args)
}

// ToolError says why the tool could not do it; the model reads the message.
func ToolError(format string, args ...any) *Error { return newError(StatusToolError, format, args) }

// UnknownTool says that there is no tool of that name.
func UnknownTool(name string) *Error {
	return &Error{Status: StatusUnknownTool, Message: "there is no tool " + strconv.Quote(name)}
}

// Denied refuses the call.
func Denied(format string, args ...any) *Error { return newError(StatusDenied, format, args) }

// Unavailable says that something is down; after is when to try again, 0 if that
// is not known.
func Unavailable(after time.Duration, format string, args ...any) *Error {
	e := newError(StatusUnavailable, format, args)
	e.RetryAfter = after
	return e
}

// Internal keeps the message from the caller: it goes to the plugin's log.
func Internal(format string, args ...any) *Error { return newError(StatusInternal, format, args) }

// Code is why a host function did not do what it was asked: one of the Err…
// constants, which errors.Is finds in the errors of Context's methods.
type Code int32

// The codes. None of them ends the call.
const (
	ErrDenied      Code = host.Denied      // not granted, or against policy
	ErrNotFound    Code = host.NotFound    // no such key, secret, setting, tool
	ErrInvalid     Code = host.Invalid     // the argument makes no sense
	ErrTooLarge    Code = host.TooLarge    // past a limit on size
	ErrTimeout     Code = host.Timeout     // took too long
	ErrUnavailable Code = host.Unavailable // cannot be reached now
	ErrQuota       Code = host.Quota       // past a limit on number
	ErrConflict    Code = host.Conflict    // the key has another version
)

var codeTexts = [...]string{
	"", "denied", "not found", "invalid argument", "too large", "timed out", "unavailable", "quota used up", "version conflict",
}

// Error returns what the code means.
func (c Code) Error() string {
	if c < 0 && int(-c) < len(codeTexts) {
		return codeTexts[-c]
	}
	return "host error " + strconv.Itoa(int(c))
}

// failed says which host function answered with a code.
func failed(doing, what string, code int64) error {
	return &HostError{Doing: doing, What: what, Code: Code(code)}
}

// HostError is the error of a host function.
type HostError struct {
	Doing string // "kv get"
	What  string // the key, name or address; may be empty
	Code  Code
}

// Error returns "kv get cart: not found".
func (e *HostError) Error() string {
	if e.What == "" {
		return e.Doing + ": " + e.Code.Error()
	}
	return e.Doing + " " + e.What + ": " + e.Code.Error()
}

// Unwrap returns the code.
func (e *HostError) Unwrap() error { return e.Code }

// statusOf returns what err is answered with: its own status if it has one, else
// or.
func statusOf(err error, or Status) (status Status, after time.Duration) {
	var e *Error
	if !errors.As(err, &e) {
		return or, 0
	}
	switch {
	case e.Status > StatusInternal:
		return StatusInternal, 0
	case e.Status <= StatusUnchanged: // not the status of an error
		return or, 0
	}
	return e.Status, e.RetryAfter
}

var (
	_ error = (*Error)(nil)
	_ error = (*HostError)(nil)
	_ error = Code(0)
)
