package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

var errPanic = errors.New("panic; the log has its stack")

// deepest is how many calls a call may be nested in.
const deepest = 3

// CallTool runs a tool: find → allow → check → authorize → transform the request →
// invoke → transform → check → record.
func (h *handler) CallTool(ctx context.Context, call *core.Call) (*core.Result, error) {
	began := h.gateway.options.Now()
	t := h.server.toolOf[call.Tool]
	if t == nil && h.fronts(ctx, call.Who, call.Tool) {
		return h.throughFacade(ctx, call, began)
	}
	if t == nil || !h.may(ctx, call.Who, core.ActionCall, "tool", call.Tool) {
		// Forbidden looks like missing (security.md T12).
		return h.settle(ctx, call, "tool", "", began, nil, &core.Error{Code: core.CodeNotFound, Message: "there is no tool " + quoted(call.Tool), Fix: "list the tools"})
	}
	name := t.wire.Name // call.Tool may be a part of the request
	if call.Depth > deepest {
		return h.settle(ctx, call, "tool", name, began, nil, &core.Error{Code: core.CodeLimited, Message: fmt.Sprintf("tools that call tools more than %d deep", deepest), Fix: "let tools call each other less deeply"})
	}
	leave, err := h.enter(ctx, call, "tool", name, t.scopes)
	if err != nil {
		return h.settle(ctx, call, "tool", name, began, nil, err)
	}
	result, err := h.callTool(ctx, call, t, began)
	leave()
	how := outcome(result, err)
	if err != nil {
		if e := core.AsError(err); e.Code == core.CodeTimeout {
			// The model can mend it by asking for less, so it is told.
			result, err = core.ErrorResult(fmt.Sprintf("The tool %s did not answer in time: %s. Ask for less at once, or try again later.", call.Tool, e.Message)), nil
		}
	}
	if kept := h.record(ctx, call, "tool", name, how, began, result); kept != nil {
		return nil, kept
	}
	return result, err
}

func (h *handler) callTool(ctx context.Context, call *core.Call, t *tool, began time.Time) (*core.Result, error) {
	h.prepare(call, "tool", t.wire.Name)
	if !t.fits(call) {
		if err := decode(call); err != nil {
			return nil, err
		}
		if faults := t.faults(call); faults != nil {
			mismatch := core.ErrorResult(lines("The arguments do not fit the input schema of "+call.Tool+":", faults))
			mismatch.Mismatch = true
			h.stepMismatch(call, "arguments", mismatch)
			return mismatch, nil
		}
	}
	h.stepMismatch(call, "arguments", nil)
	result, err := h.invoke(ctx, call, &t.chain, t.timeout, began)
	if err != nil {
		return nil, err
	}
	if t.output == nil || result.IsError || len(result.InputRequests) > 0 {
		return result, nil
	}
	checked := h.checkOutput(call, t, result)
	if checked == result {
		h.stepMismatch(call, "output", nil)
	} else {
		h.stepMismatch(call, "output", checked)
	}
	return checked, nil
}

// checkOutput holds a result to the outputSchema of its tool: clients may rely on
// it (2025-06-18 and later). What does not fit is not sent.
func (h *handler) checkOutput(call *core.Call, t *tool, result *core.Result) *core.Result {
	var faults []fault
	if len(result.Structured) == 0 {
		faults = []fault{{message: "structuredContent is missing"}}
	} else if t.output.anyObject && wire.IsObject(result.Structured) {
		return result
	} else if wire.Check(result.Structured, wire.Default) == nil && t.output.fits(result.Structured) {
		return result
	} else if value, err := wire.Decode(result.Structured); err != nil {
		faults = []fault{{message: "is not JSON"}}
	} else {
		faults = t.output.check(value, false)
	}
	if faults == nil {
		return result
	}
	paths := make([]string, len(faults))
	for i, f := range faults {
		paths[i] = f.path
	}
	h.gateway.options.Log.Warn("the answer does not fit the output schema", "server", call.Server, "tool", call.Tool, "paths", paths)
	return core.ErrorResult(lines("The answer of the upstream does not fit the output schema of "+call.Tool+":", faults))
}

// lines writes faults below a heading, one a line.
func lines(heading string, faults []fault) string {
	var b strings.Builder
	b.WriteString(heading)
	for _, f := range faults {
		b.WriteString("\n- ")
		if f.path != "" {
			b.WriteString(f.path)
			b.WriteByte(' ')
		}
		b.WriteString(f.message)
		if f.fix != "" {
			b.WriteString("; ")
			b.WriteString(f.fix)
		}
	}
	return b.String()
}

// panicText says what panicked as far as that is safe to log.
func panicText(r any) string {
	if err, ok := r.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", r)
}
