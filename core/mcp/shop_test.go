package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// newShop returns the server that the conversations talk to.
func newShop() *fakeHandler {
	size := int64(12)
	h := &fakeHandler{
		values: true,
		server: core.Server{
			Name: "shop", Title: "Shop", Version: "1.0.0", Description: "Sells books",
			Instructions: "Ask for a book.", TTLMillis: 60000, CacheScope: "public",
			Offers: core.Offers{Tools: true, Prompts: true, Resources: true, Completions: true, Logging: true, Subscribe: true},
		},
		tools: []*core.Tool{
			{
				Name: "greet", Title: "Greet", Description: "Says hello",
				InputSchema:  json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}}}`),
				OutputSchema: json.RawMessage(`{"type":"object"}`),
				Annotations:  json.RawMessage(`{"readOnlyHint":true}`),
				Icons:        json.RawMessage(`[{"src":"https://example.com/i.png"}]`),
				Execution:    json.RawMessage(`{"taskSupport":"forbidden"}`),
				Meta:         json.RawMessage(`{"example.com/a":1}`),
			},
			{
				Name: "count", Description: "Counts", InputSchema: json.RawMessage(`{"type":"object"}`),
				OutputSchema: json.RawMessage(`{"type":"array"}`),
			},
			{
				Name: "region", Description: "Has a header",
				InputSchema: json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},"on":{"type":"boolean","x-mcp-header":"On"}}}`),
				Headers: []core.HeaderParam{
					{Header: "Region", Path: []string{"region"}, Type: "string"},
					{Header: "N", Path: []string{"n"}, Type: "integer"},
					{Header: "On", Path: []string{"on"}, Type: "boolean"},
				},
			},
		},
		prompts: []*core.Prompt{{
			Name: "review", Title: "Review", Description: "Reviews a book",
			Arguments: []core.PromptArgument{{Name: "title", Title: "Title", Description: "Which book", Required: true}},
		}},
		resources: []*core.Resource{{
			URI: "shop://catalogue", Name: "catalogue", Title: "Catalogue", MIMEType: "text/plain", Size: &size,
		}},
		templates: []*core.Resource{{URI: "shop://book/{id}", Template: true, Name: "book", MIMEType: "application/json"}},
	}
	h.call = shopCall(h)
	h.prompt = func(_ context.Context, call *core.Call) (*core.Result, error) {
		if call.Tool != "review" {
			return nil, &core.Error{Code: core.CodeNotFound, Message: "unknown prompt"}
		}
		return &core.Result{Description: "A review", Messages: []core.Message{
			{Role: "user", Content: core.Text(fmt.Sprint("Review ", call.Values["title"]))},
			{Role: "assistant", Content: core.Audio([]byte("beep"), "audio/wav")},
		}}, nil
	}
	h.read = func(_ context.Context, call *core.Call) (*core.Result, error) {
		switch call.Tool {
		case "shop://catalogue":
			return &core.Result{Contents: []core.ResourceContents{
				{URI: call.Tool, MIMEType: "text/plain", Text: "one\ntwo"},
				{URI: call.Tool + "#cover", MIMEType: "image/png", Blob: []byte{1, 2, 3}, Binary: true},
			}}, nil
		}
		return nil, &core.Error{
			Code: core.CodeResource, Message: "resource not found", Details: json.RawMessage(`{"uri":"` + call.Tool + `"}`),
		}
	}
	h.complete = func(c *core.CompleteRequest) (*core.Completion, error) {
		var values []string
		for _, v := range []string{"Emma", "Evelina", "Middlemarch"} {
			if strings.HasPrefix(v, c.Value) {
				values = append(values, v)
			}
		}
		return &core.Completion{Values: values, Total: len(values)}, nil
	}
	return h
}

var (
	nameForm = core.InputRequest{
		Key: "name", Method: "elicitation/create",
		Params: json.RawMessage(`{"mode":"form","message":"Who are you?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}}}`),
	}
	someText = core.InputRequest{
		Key: "poem", Method: "sampling/createMessage",
		Params: json.RawMessage(`{"messages":[{"role":"user","content":{"type":"text","text":"A poem"}}],"maxTokens":10}`),
	}
	someRoots = core.InputRequest{Key: "roots", Method: "roots/list", Params: json.RawMessage(`{}`)}
)

func progress(n, total int, message string) core.Notification {
	return core.Notification{
		Method: "notifications/progress",
		Params: json.RawMessage(fmt.Sprintf(`{"progress":%d,"total":%d,"message":%q}`, n, total, message)),
	}
}

func logLine(level, text string) core.Notification {
	return core.Notification{
		Method: "notifications/message",
		Params: json.RawMessage(fmt.Sprintf(`{"level":%q,"logger":"shop","data":%q}`, level, text)),
	}
}

func shopCall(h *fakeHandler) func(ctx context.Context, call *core.Call) (*core.Result, error) {
	return func(ctx context.Context, call *core.Call) (*core.Result, error) {
		switch call.Tool {
		case "greet":
			return core.TextResult(fmt.Sprint("Hello, ", call.Values["name"])), nil
		case "region":
			return core.TextResult("ok"), nil
		case "count":
			return &core.Result{Structured: json.RawMessage(`[1,2]`)}, nil
		case "stock":
			return &core.Result{
				Content: []core.Content{core.Text(`{"left":9007199254740993}`)}, Structured: json.RawMessage(`{"left":9007199254740993}`),
				Meta: json.RawMessage(`{"example.com/trace":"t1"}`),
			}, nil
		case "everything":
			return everything(), nil
		case "fail":
			return core.ErrorResult("out of stock"), nil
		case "mismatch":
			return &core.Result{Content: []core.Content{core.Text("name: must be a string")}, IsError: true, Mismatch: true}, nil
		case "denied":
			return nil, &core.Error{Code: core.CodeDenied, Message: "not yours"}
		case "busy":
			return nil, &core.Error{Code: core.CodeLimited, Message: "too many calls", RetryAfter: 7}
		case "secret":
			return nil, errors.New("dial 10.0.0.1: refused")
		case "panic":
			panic("boom")
		case "progress":
			call.Notify(progress(0, 100, "begin"))
			call.Notify(progress(50, 100, "half"))
			call.Notify(progress(50, 100, "half again"))
			call.Notify(logLine("debug", "fine"))
			call.Notify(logLine("info", "coarse"))
			call.Notify(progress(100, 100, "done"))
			return core.TextResult("done"), nil
		case "slow":
			call.Notify(progress(1, 2, "waiting"))
			<-ctx.Done()
			return nil, ctx.Err()
		case "quiet":
			<-ctx.Done()
			return nil, ctx.Err()
		case "detach":
			if !call.Detach(20 * time.Millisecond) {
				return core.TextResult("still attached"), nil
			}
			return core.TextResult("came back"), nil
		case "change":
			h.change(core.Change{Kind: core.ToolsChanged})
			return core.TextResult("changed"), nil
		case "ask":
			return ask(call, []core.InputRequest{nameForm}, "begun")
		case "ask_all":
			return ask(call, []core.InputRequest{nameForm, someText, someRoots}, "begun")
		case "ask_forever":
			return &core.Result{InputRequests: []core.InputRequest{nameForm}}, nil
		case "ask_oddly":
			return &core.Result{InputRequests: []core.InputRequest{{Key: "k", Method: "ping"}}}, nil
		case "wait":
			if call.RequestState == nil {
				return &core.Result{RequestState: json.RawMessage(`"later"`)}, nil
			}
			return core.TextResult("state " + string(call.RequestState)), nil
		}
		return nil, &core.Error{Code: core.CodeNotFound, Message: "unknown tool", Fix: "see tools/list"}
	}
}

// ask returns the question, and the answers once they are there.
func ask(call *core.Call, requests []core.InputRequest, state string) (*core.Result, error) {
	text := "state " + string(call.RequestState)
	for _, r := range requests {
		got, ok := call.InputResponses[r.Key]
		if !ok {
			return &core.Result{InputRequests: requests, RequestState: json.RawMessage(state)}, nil
		}
		text += "; " + r.Key + " " + string(got)
	}
	return core.TextResult(text), nil
}

func everything() *core.Result {
	size := int64(3)
	link := core.Content{Type: "resource_link", URI: "shop://book/1", Name: "Emma", Title: "Emma", Description: "by Austen", Size: &size}
	return &core.Result{Content: []core.Content{
		{Type: "text", Text: "line\u2028one\n\"two\"", Annotations: json.RawMessage(`{"priority":1}`), Meta: json.RawMessage(`{"example.com/x":1}`)},
		core.Image([]byte{0xff}, "image/png"),
		core.Audio([]byte("beep"), "audio/wav"),
		core.Embedded(core.ResourceContents{URI: "shop://book/1", MIMEType: "text/plain", Text: "Emma", Meta: json.RawMessage(`{"example.com/y":2}`)}),
		link,
		{Raw: json.RawMessage(`{"type":"audio","data":"YmVlcA==","mimeType":"audio/wav"}`)},
		{Raw: json.RawMessage(`{"type":"resource_link","uri":"shop://book/2","name":"Evelina"}`)},
		{Raw: json.RawMessage(`{"type":"hologram","depth":1.0}`)},
	}}
}
