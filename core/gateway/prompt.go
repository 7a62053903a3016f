package gateway

import (
	"context"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// prompt is a prompt of a Catalog: messages to fill in, or an invoker.
type prompt struct {
	wire        *core.Prompt
	messages    []message
	chain       chain // its invoker is nil when messages are given
	timeout     time.Duration
	completions map[string]choices
	mount       *mount // whose upstream has it; nil = it stands in the document
	own         string // what the upstream calls it
}

// message is one message of a prompt. Exactly one of text, binary and uri is set.
type message struct {
	role     string
	text     *placed
	binary   *body // image or audio
	kind     string
	mimeType string
	uri      *placed // embedded resource
	embedded *placed // its text; nil = the resource of that URI is read
}

// GetPrompt fills in the messages of a prompt, or runs what stands behind it.
func (h *handler) GetPrompt(ctx context.Context, call *core.Call) (*core.Result, error) {
	began := h.gateway.options.Now()
	p := h.server.promptOf[call.Tool]
	if p == nil || !h.may(ctx, call.Who, core.ActionCall, "prompt", call.Tool) {
		return h.settle(ctx, call, "prompt", "", began, nil, &core.Error{Code: core.CodeNotFound, Message: "there is no prompt " + quoted(call.Tool), Fix: "list the prompts"})
	}
	leave, err := h.enter(ctx, call, "prompt", p.wire.Name, nil)
	if err != nil {
		return h.settle(ctx, call, "prompt", p.wire.Name, began, nil, err)
	}
	result, err := h.getPrompt(ctx, call, p, began)
	leave()
	return h.settle(ctx, call, "prompt", p.wire.Name, began, result, err)
}

func (h *handler) getPrompt(ctx context.Context, call *core.Call, p *prompt, began time.Time) (*core.Result, error) {
	h.prepare(call, "prompt", p.wire.Name)
	if err := decode(call); err != nil {
		return nil, err
	}
	if err := p.checkArguments(call.Values); err != nil {
		return nil, err
	}
	if p.chain.invoker == nil {
		return h.fill(ctx, call, p)
	}
	result, err := h.invoke(ctx, call, &p.chain, p.timeout, began)
	if err != nil {
		return nil, err
	}
	if len(result.InputRequests) > 0 || p.mount != nil {
		return result, nil
	}
	if result.IsError {
		return nil, failed(result)
	}
	if len(result.Messages) == 0 {
		for _, block := range result.Content {
			result.Messages = append(result.Messages, core.Message{Role: "user", Content: block})
		}
	}
	if result.Description == "" {
		result.Description = p.wire.Description
	}
	return result, nil
}

// checkArguments refuses what the specification does not allow: an argument of a
// prompt is a string, and required ones must be there. Arguments that the prompt
// does not know have no effect.
func (p *prompt) checkArguments(values map[string]any) error {
	var missing, wrong []string
	for _, a := range p.wire.Arguments {
		value, given := values[a.Name]
		if _, text := value.(string); given && !text {
			wrong = append(wrong, a.Name)
		}
		if !given && a.Required {
			missing = append(missing, a.Name)
		}
	}
	if len(missing) == 0 && len(wrong) == 0 {
		return nil
	}
	e := &core.Error{Code: core.CodeInvalid, Message: "prompt " + quoted(p.wire.Name)}
	if len(missing) > 0 {
		e.Message += ": missing " + strings.Join(missing, ", ")
		e.Fix = "give every required argument"
	}
	if len(wrong) > 0 {
		e.Message += ": not a string: " + strings.Join(wrong, ", ")
		e.Fix = "send arguments of prompts as strings"
	}
	return e
}

// fill renders the messages.
func (h *handler) fill(ctx context.Context, call *core.Call, p *prompt) (*core.Result, error) {
	result := &core.Result{Description: p.wire.Description, Messages: make([]core.Message, 0, len(p.messages))}
	for i := range p.messages {
		m := &p.messages[i]
		switch {
		case m.binary != nil:
			content, err := m.binary.read()
			if err != nil {
				return nil, h.unreadable(call, err)
			}
			result.Messages = append(result.Messages, core.Message{Role: m.role, Content: core.Content{Type: m.kind, Data: content, MIMEType: m.mimeType}})
		case m.uri != nil:
			uri := m.uri.render(call.Values)
			if m.embedded != nil {
				result.Messages = append(result.Messages, core.Message{Role: m.role, Content: core.Embedded(core.ResourceContents{
					URI: uri, MIMEType: m.mimeType, Text: m.embedded.render(call.Values),
				})})
				continue
			}
			contents, err := h.embed(ctx, call, uri)
			if err != nil {
				return nil, err
			}
			for _, c := range contents {
				result.Messages = append(result.Messages, core.Message{Role: m.role, Content: core.Embedded(c)})
			}
		default:
			result.Messages = append(result.Messages, core.Message{Role: m.role, Content: core.Text(m.text.render(call.Values))})
		}
	}
	return result, nil
}

// embed reads a resource for a prompt, with the rights of the caller.
func (h *handler) embed(ctx context.Context, call *core.Call, uri string) ([]core.ResourceContents, error) {
	inner := *call
	inner.Tool, inner.Arguments, inner.Values = uri, nil, nil
	inner.InputResponses, inner.InputRefusals, inner.RequestState = nil, nil, nil
	r, variables := h.find(ctx, call.Who, uri)
	err := noResource(uri)
	var result *core.Result
	if r != nil {
		result, err = h.readResource(ctx, &inner, r, variables, h.gateway.options.Now())
	}
	if e := core.AsError(err); err != nil && e.Code == core.CodeResource {
		return nil, &core.Error{
			Code: core.CodeInvalid, Message: "prompt " + quoted(call.For.Name) + " embeds " + quoted(uri) + ", and there is no such resource",
			Fix: "name a resource of this server",
		}
	}
	if err != nil {
		return nil, err
	}
	if len(result.InputRequests) > 0 {
		result.GiveUp()
		return nil, &core.Error{Code: core.CodeInvalid, Message: "a resource that asks for input cannot be embedded in a prompt", Fix: "read it by itself"}
	}
	return result.Contents, nil
}

// failed turns a result that says that it failed into an error, for the answers
// that have no such result.
func failed(result *core.Result) error {
	message := "the upstream answered with an error"
	for _, block := range result.Content {
		if block.Type == "text" && block.Text != "" {
			message = block.Text
			break
		}
	}
	if len(message) > 1024 {
		message = strings.ToValidUTF8(message[:1024], "") + "…"
	}
	return &core.Error{Code: core.CodeUnavailable, Message: message}
}
