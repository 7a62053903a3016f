package gateway

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// completionLimit is the most values that one answer may have (completion/complete).
const completionLimit = 100

// choices are the values that completion offers for one argument.
type choices struct{ values, lower []string }

func choicesOf(values []string) choices {
	c := choices{values: values}
	for _, v := range values {
		c.lower = append(c.lower, strings.ToLower(v))
	}
	return c
}

// Complete offers the declared values that begin with what was typed, in any case.
// An argument without declared values has none; an unknown one is an error.
func (h *handler) Complete(ctx context.Context, who core.Identity, ask *core.CompleteRequest) (*core.Completion, error) {
	var found map[string]choices
	var names []string
	switch ask.RefType {
	case "ref/prompt":
		p := h.server.promptOf[ask.Ref]
		if p == nil || !h.may(ctx, who, core.ActionCall, "prompt", ask.Ref) {
			return nil, &core.Error{Code: core.CodeInvalid, Message: "there is no prompt " + quoted(ask.Ref), Fix: "list the prompts"}
		}
		if p.mount != nil {
			return p.mount.complete(ctx, h.server.wire.Name, who, ask, p.own)
		}
		found = p.completions
		for _, a := range p.wire.Arguments {
			names = append(names, a.Name)
		}
	case "ref/resource":
		r := h.server.templateOf[ask.Ref]
		if r == nil || !h.may(ctx, who, core.ActionRead, "resource", ask.Ref) {
			return nil, &core.Error{Code: core.CodeInvalid, Message: "there is no resource template " + quoted(ask.Ref), Fix: "list the resource templates"}
		}
		if r.mount != nil {
			return r.mount.complete(ctx, h.server.wire.Name, who, ask, r.own)
		}
		found, names = r.completions, r.template.names
	default:
		return nil, &core.Error{Code: core.CodeInvalid, Message: "ref.type is " + quoted(ask.RefType), Fix: "use ref/prompt or ref/resource"}
	}
	known := false
	for _, name := range names {
		known = known || name == ask.Argument
	}
	if !known {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "there is no argument " + quoted(ask.Argument), Fix: suggest(ask.Argument, names)}
	}
	c, prefix := found[ask.Argument], strings.ToLower(ask.Value)
	completion := &core.Completion{Values: []string{}}
	for i, lower := range c.lower {
		if !strings.HasPrefix(lower, prefix) {
			continue
		}
		completion.Total++
		if len(completion.Values) < completionLimit {
			completion.Values = append(completion.Values, c.values[i])
		}
	}
	completion.HasMore = completion.Total > len(completion.Values)
	return completion, nil
}
