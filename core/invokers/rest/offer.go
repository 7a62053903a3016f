package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// refusal is a failure that the model should see: a mistake in the arguments of a
// call, or the word of the upstream.
type refusal struct {
	text   string
	status int // of the upstream; 0 = it was not asked, or did not answer
	err    error
}

// Error returns the text.
func (r *refusal) Error() string { return r.text }

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.err }

func refuse(format string, values ...any) error {
	return &refusal{text: fmt.Sprintf(format, values...)}
}

// final is an error that the document wants to be one.
type final struct{ error }

// Unwrap returns the error itself.
func (f *final) Unwrap() error { return f.error }

// seen returns err as what the model should see, or nil when it is an error of the
// protocol: our own mistake, a client that left, or a status that the document
// calls so.
func seen(ctx context.Context, err error) *refusal {
	var last *final
	if errors.As(err, &last) || errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	var refused *refusal
	if errors.As(err, &refused) {
		return refused
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &refusal{text: "The upstream did not answer in time.", err: err}
	}
	e := core.AsError(err)
	switch e.Code {
	case core.CodeUnavailable, core.CodeTimeout, core.CodeTooLarge, core.CodeLimited:
	default:
		return nil
	}
	text := strings.TrimSuffix(e.Public(), ".") + "."
	if e.RetryAfter > 0 && e.Fix == "" {
		text += " Try again in " + strconv.Itoa(e.RetryAfter) + " seconds."
	}
	return &refusal{text: text, err: err}
}

// outside returns the error of a resource or prompt, which have no place for a
// failure in their results.
func (r *refusal) outside(call *core.Call) error {
	e := &core.Error{Code: core.CodeUnavailable, Message: strings.TrimSuffix(r.text, "."), Err: r.err}
	switch {
	case call.For.Kind == "resource" && (r.status == http.StatusNotFound || r.status == http.StatusGone):
		e.Code, e.Message = core.CodeResource, "resource not found"
		e.Details = json.RawMessage(append(wire.AppendString([]byte(`{"uri":`), call.Tool), '}'))
	case r.status == 0 && r.err == nil:
		e.Code = core.CodeInvalid
	}
	return e
}

// offer makes a result serve a resource: its text says what it is. A prompt takes
// its content as it is.
func (v *Invoker) offer(call *core.Call, result *core.Result) *core.Result {
	if call.For.Kind != "resource" || len(result.Content) == 0 || result.Content[0].Type != "text" {
		return result
	}
	contents := core.ResourceContents{URI: call.Tool, MIMEType: result.Content[0].MIMEType, Text: result.Content[0].Text}
	if result.Structured != nil {
		contents.MIMEType = jsonType
	}
	result.Contents = []core.ResourceContents{contents}
	return result
}
