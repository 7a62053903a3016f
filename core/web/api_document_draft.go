package web

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/documents"
	"github.com/sallyport/sallyport/core/wire"
)

// Trials runs a tool of documents that are not published. core/gateway can.
type Trials interface {
	// Try builds everything of a tenant with these documents in the place of those that the
	// store serves, and runs one tool of it: call says which, and who calls. Mistakes in the
	// documents are the second answer. No secret stands in what it tells.
	Try(ctx context.Context, tenant string, documents []core.Document, call core.Call) (*Trial, []core.Problem)
}

// Trial tells what the call of a draft's tool did.
type Trial struct {
	Result *core.Result
	Err    error // of the call
	Steps  []core.Step
	Took   time.Duration
}

func draftRoutes() []apiRoute {
	list := []apiRoute{
		{
			Method: "GET", Pattern: "/documents/{name}/draft", Summary: "Read the draft of a document", Do: core.ActionRead,
			Answer: core.Draft{}, Handle: readDraft,
		},
		{
			Method: "PUT", Pattern: "/documents/{name}/draft", Summary: "Save the draft of a document: If-None-Match: * for a new one, If-Match for one that was read", Do: core.ActionWrite,
			Body: draftForm{}, Limit: draftBody, Answer: draftSaved{}, Also: []int{412, 413, 423, 428}, Handle: saveDraft,
		},
		{
			Method: "DELETE", Pattern: "/documents/{name}/draft", Summary: "Discard the draft of a document", Do: core.ActionWrite,
			Match: true, Status: 204, Handle: func(c *apiCall) error {
				return c.desk().DeleteDraft(c.ctx, c.act(), c.tenant, c.path("name"), c.match)
			},
		},
		{
			Method: "POST", Pattern: "/documents/{name}/draft/validate", Summary: "Tell everything that is wrong with a draft, beside what is served", Do: core.ActionRead,
			Answer: problemsOf{}, Handle: validateDraft,
		},
		{
			Method: "POST", Pattern: "/documents/{name}/draft/test", Summary: "Run a tool of a draft, and tell the steps of the call", Do: core.ActionTest,
			Body: trialForm{}, Limit: 1 << 20, Answer: trialShown{}, Also: []int{422}, Handle: tryDraft,
		},
	}
	for i := range list {
		list[i].Noun, list[i].On, list[i].Name, list[i].Stored, list[i].Needs = "documents", "document", "name", true, writes
	}
	list[len(list)-1].Needs = func(o *APIOptions) bool { return o.Documents != nil && o.Trials != nil }
	return list
}

// draftForm is what people write of a draft.
type draftForm struct {
	reasoned

	Text   string `json:"text,omitempty"`
	Delete bool   `json:"delete,omitempty"` // publishing it deletes the document
	// Base is the number of the version that the text goes on from; absent = that of the
	// draft there is, or what is served.
	Base      *int64 `json:"base,omitempty"`
	Unchecked bool   `json:"unchecked,omitempty"` // leave problems out, while somebody types
}

// draftSaved is a draft as it was saved, and what is wrong with it.
type draftSaved struct {
	core.Draft
	problemsOf
}

// draftMatch reads which draft was edited: the one of If-Match, or none yet.
func (c *apiCall) draftMatch() (int64, error) {
	match, none := c.request.header.Get("If-Match"), c.request.header.Get("If-None-Match")
	switch {
	case match == "" && none == "*":
		return 0, nil
	case match == "" && none == "":
		return 0, &core.Error{Code: codeMatch, Message: "If-Match is missing", Fix: "send If-Match with the ETag of the draft that you read, or If-None-Match: * for a new one"}
	case none == "":
		number, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(match, `"`), `"`), 10, 64)
		if err == nil && number > 0 && etag(number) == match {
			return number, nil
		}
	}
	return 0, &core.Error{Code: core.CodeInvalid, Message: "If-Match or If-None-Match is no ETag of ours", Fix: `send If-Match: "3" with the ETag as you got it, or If-None-Match: *, and not both`}
}

func saveDraft(c *apiCall) error {
	match, err := c.draftMatch()
	if err != nil {
		return err
	}
	form := c.body.(*draftForm)
	draft, problems, err := c.desk().SaveDraft(c.ctx, c.act(), c.tenant, documents.Edit{
		Name: c.path("name"), Text: []byte(form.Text), Delete: form.Delete, Match: match, Base: form.Base, Unchecked: form.Unchecked,
	})
	if err != nil {
		return err
	}
	return c.replyRow(draft, draftSaved{*draft, judged(problems)})
}

func readDraft(c *apiCall) error {
	draft, err := c.desk().Draft(c.ctx, c.tenant, c.path("name"))
	if err != nil {
		return err
	}
	draft.Text = c.shown(draft.Name, draft.Text, documents.FromStore)
	return c.replyRow(draft, draft)
}

func validateDraft(c *apiCall) error {
	problems, err := c.desk().Validate(c.ctx, c.tenant, c.path("name"))
	if err != nil {
		return err
	}
	return c.reply(judged(problems))
}

// trialForm says which tool of a draft to run.
type trialForm struct {
	reasoned

	Server    string          `json:"server"`
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// callOf makes a call of the caller's own.
func (c *apiCall) callOf(server, tool string, arguments json.RawMessage) (core.Call, error) {
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	if !wire.IsObject(arguments) {
		return core.Call{}, invalid(wrong("/arguments", "these are no arguments", "write an object"))
	}
	return core.Call{
		Server: server, Tool: tool, Arguments: arguments, Who: c.who, ID: c.request.id,
		Client: core.Client{Name: "sallyport admin", Revision: "2026-07-28", Capabilities: json.RawMessage("{}")},
	}, nil
}

func tryDraft(c *apiCall) error {
	form := c.body.(*trialForm)
	call, err := c.callOf(form.Server, form.Tool, form.Arguments)
	if err != nil {
		return err
	}
	with, err := c.desk().WithDrafts(c.ctx, c.tenant, c.path("name"))
	if err != nil {
		return err
	}
	entry := c.entry("document.test", "document", c.path("name"))
	if entry.Details, err = wire.Marshal(map[string]string{"server": form.Server, "tool": form.Tool}); err != nil {
		return err
	}
	// It is written down before it runs: a trial reaches upstreams.
	if err := c.api.o.Store.Audit(c.ctx, entry); err != nil {
		return err
	}
	trial, problems := c.api.o.Trials.Try(c.ctx, c.tenant, with, call)
	if trial == nil {
		return &core.Error{Code: core.CodeInvalid, Message: "the draft has mistakes, so that nothing of it runs", Fix: "mend them", Problems: problems}
	}
	return c.reply(trialShown{Trace: c.request.id, Took: millis(trial.Took), callShown: shownCall(trial.Result, trial.Err), Steps: shownSteps(trial.Steps)})
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// trialShown is what a trial did.
type trialShown struct {
	callShown

	Trace string      `json:"trace_id"`
	Took  float64     `json:"tookMs"`
	Steps []stepShown `json:"steps"`
}

// callShown is how a call ended: with a result or an error.
type callShown struct {
	Result *resultShown `json:"result,omitempty"`
	Error  *errorShown  `json:"error,omitempty"`
}

type resultShown struct {
	Content    []json.RawMessage `json:"content"`
	Structured json.RawMessage   `json:"structuredContent,omitempty"`
	IsError    bool              `json:"isError"`
	// Asks are the methods that it would ask the client for, such as elicitation/create.
	Asks []string `json:"asks"`
}

type errorShown struct {
	Code    core.Code `json:"code"`
	Message string    `json:"message"`
	Fix     string    `json:"fix,omitempty"`
}

func shownCall(result *core.Result, err error) callShown {
	if err != nil {
		e := core.AsError(err)
		if e.Code == core.CodeInternal {
			e = &core.Error{Code: core.CodeInternal, Message: "internal error", Fix: "look for the trace_id in the gateway's log"}
		}
		return callShown{Error: &errorShown{e.Code, e.Message, e.Fix}}
	}
	shown := &resultShown{Content: []json.RawMessage{}, Structured: result.Structured, IsError: result.IsError, Asks: []string{}}
	for i := range result.Content {
		block := result.Content[i].Raw
		if block == nil {
			var err error
			if block, err = wire.Marshal(result.Content[i]); err != nil {
				continue
			}
		}
		shown.Content = append(shown.Content, block)
	}
	for _, ask := range result.InputRequests {
		shown.Asks = append(shown.Asks, ask.Method)
	}
	result.GiveUp() // nobody comes back with answers
	return callShown{Result: shown}
}

// stepShown is one step of a trial.
type stepShown struct {
	core.Step

	Began    float64         `json:"beganMs"`
	Took     float64         `json:"tookMs"`
	Value    json.RawMessage `json:"value,omitempty"` // arguments, or a result
	Request  *messageShown   `json:"request,omitempty"`
	Response *messageShown   `json:"response,omitempty"`
}

// messageShown is a request to an upstream, or its answer.
type messageShown struct {
	Method string       `json:"method,omitempty"`
	Path   string       `json:"path,omitempty"` // with its query
	Status int          `json:"status,omitempty"`
	Header []fieldShown `json:"header"`
	Body   string       `json:"body,omitempty"`
}

type fieldShown struct {
	Name  string `json:"name"`
	Value string `json:"value"` // *** where it may be a credential
}

func shownSteps(steps []core.Step) []stepShown {
	list := make([]stepShown, len(steps))
	for i := range steps {
		s := &steps[i]
		list[i] = stepShown{Step: *s, Began: millis(s.Began), Took: millis(s.Took), Value: s.Value}
		if s.Exchange == nil {
			continue
		}
		r := &s.Exchange.Request
		list[i].Request = &messageShown{Method: r.Method, Path: r.Path, Header: shownFields(r.Header), Body: string(r.Body)}
		if r.Query != "" {
			list[i].Request.Path += "?" + r.Query
		}
		if answer := s.Exchange.Response; answer != nil {
			list[i].Response = &messageShown{Status: answer.Status, Header: shownFields(answer.Header), Body: string(answer.Body)}
		}
	}
	return list
}

func shownFields(fields []core.Field) []fieldShown {
	list := make([]fieldShown, len(fields))
	for i, f := range fields {
		list[i] = fieldShown(f)
	}
	return list
}
