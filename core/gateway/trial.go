package gateway

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Trial is one call of a tool that is not published.
type Trial struct {
	Config core.Config
	Call   core.Call // Server, Tool, Arguments, Who and whatever else is known of it
	// Hide are texts that no step may show: the values of secrets. What is shorter than
	// four bytes is not looked for.
	Hide []string
}

// Tried tells what a Trial did.
type Tried struct {
	Result *core.Result // nil when there was an Err
	Err    error        // of the call
	Steps  []core.Step  // in the order in which they ended
	Took   time.Duration
}

// Try builds a Catalog of its own for a Config, runs one tool of it and closes it again;
// nothing is published or recorded. Whoever may try may run that tool; what the tool calls
// inside is held to the policies as ever. Mistakes in the Config are the second answer,
// and then there is no Tried.
func Try(ctx context.Context, o Options, t Trial) (*Tried, []core.Problem) {
	o = o.filled()
	began := o.Now()
	log := &steps{began: began, now: o.Now, hide: hiding(t.Hide)}
	o.Authorizer = trying{o.Authorizer, t.Call.Server, t.Call.Tool}
	o.Recorder, o.Observer, o.Changes = nil, core.NoObserver{}, nil
	if o.Dial != nil {
		o.Dial = watched{o.Dial, log}
	}
	t.Config.Servers = slices.DeleteFunc(slices.Clone(t.Config.Servers), func(s core.ServerConfig) bool { return s.Name != t.Call.Server })
	g := New(o)
	catalog, problems := g.Build(ctx, t.Config)
	if catalog == nil {
		return nil, problems
	}
	server := catalog.byName[t.Call.Server]
	if server == nil {
		catalog.Close()
		return &Tried{Err: &core.Error{Code: core.CodeNotFound, Message: "there is no server " + quoted(t.Call.Server), Fix: "name one of the document"}}, nil
	}
	g.Publish(catalog)
	defer func() { _ = g.Close(context.WithoutCancel(ctx)) }() // its only call has ended
	h := g.Find(server.wire.Prefix)
	defer h.Release()
	call := t.Call
	call.Steps = log.add
	result, err := h.CallTool(ctx, &call)
	return &Tried{Result: log.result(result), Err: err, Steps: log.list, Took: o.Now().Sub(began)}, nil
}

// Try is Try with the options of the Gateway.
func (g *Gateway) Try(ctx context.Context, t Trial) (*Tried, []core.Problem) {
	return Try(ctx, g.options, t)
}

// trying lets a caller run one tool without a policy that says so.
type trying struct {
	core.Authorizer

	server, tool string
}

// Authorize allows the tool that is tried, and asks the policies about everything else.
func (t trying) Authorize(ctx context.Context, who core.Identity, do core.Action, on core.Object) error {
	if on.Kind == "tool" && on.Server == t.server && on.Name == t.tool && (do == core.ActionCall || do == core.ActionList) {
		return nil
	}
	return t.Authorizer.Authorize(ctx, who, do, on)
}

// stepBegins returns when a step of a call begins, if anybody wants to know.
func (h *handler) stepBegins(call *core.Call) time.Time {
	if call.Steps == nil {
		return time.Time{}
	}
	return h.gateway.options.Now()
}

// stepEnds tells of a step. A request transformer has no result: it left the arguments.
func (h *handler) stepEnds(call *core.Call, part, name string, began time.Time, result *core.Result, err error) {
	if call.Steps == nil {
		return
	}
	s := core.Step{Part: part, Name: name, Took: h.gateway.options.Now().Sub(began), Outcome: outcome(result, err)}
	switch {
	case err != nil:
		s.Message = core.AsError(err).Public()
	case result != nil:
		s.Value = asJSON(result)
	case part == "request_transformer":
		s.Value = call.Arguments
	}
	call.Steps(s)
}

// stepMismatch tells of a check against a schema; result is nil when it fits.
func (h *handler) stepMismatch(call *core.Call, part string, result *core.Result) {
	if call.Steps == nil {
		return
	}
	s := core.Step{Part: part, Outcome: "ok"}
	if result != nil && len(result.Content) > 0 {
		s.Outcome, s.Message = "refused", result.Content[0].Text
	}
	if part == "arguments" {
		s.Value = call.Arguments
	}
	call.Steps(s)
}

// asJSON shows a result as JSON.
func asJSON(r *core.Result) json.RawMessage {
	if len(r.Structured) > 0 {
		return r.Structured
	}
	b, err := wire.Marshal(r.Content)
	if err != nil {
		return nil
	}
	return b
}

// Bounds of what is kept of a trial.
const (
	maxStepBytes = 16 << 10 // of one value or body
	maxSteps     = 200
)

// steps keeps what a trial passed.
type steps struct {
	began time.Time
	now   func() time.Time
	hide  *strings.Replacer

	mu   sync.Mutex
	list []core.Step
}

// add keeps a step, without what must not be seen.
func (s *steps) add(one core.Step) {
	one.Message = s.text(one.Message, 0)
	one.Value = s.json(one.Value, maxStepBytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) < maxSteps {
		one.Began = max(0, s.now().Sub(s.began)-one.Took)
		s.list = append(s.list, one)
	}
}

// result returns a copy of a result without what must not be seen: an upstream may send back
// what it was sent.
func (s *steps) result(r *core.Result) *core.Result {
	if r == nil {
		return nil
	}
	c := *r
	c.Content = slices.Clone(r.Content)
	for i := range c.Content {
		c.Content[i].Text = s.text(c.Content[i].Text, 0)
		c.Content[i].Raw = s.json(c.Content[i].Raw, 0)
	}
	c.Structured, c.Meta = s.json(r.Structured, 0), s.json(r.Meta, 0)
	return &c
}

// json masks secrets in JSON, which is text in JSON when it is no longer whole.
func (s *steps) json(value json.RawMessage, limit int) json.RawMessage {
	if value == nil {
		return nil
	}
	text := s.text(string(value), limit)
	if wire.Check([]byte(text), wire.Answer) != nil { // cut, or the mask broke it
		text = string(wire.AppendString(nil, text))
	}
	return json.RawMessage(text)
}

// text masks secrets and cuts what is long; limit 0 cuts nothing.
func (s *steps) text(text string, limit int) string {
	text = strings.ToValidUTF8(s.hide.Replace(text), "\ufffd")
	if limit == 0 || len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}

const leastHidden = 4

// hiding masks texts, and the forms that they take in JSON and URLs.
func hiding(texts []string) *strings.Replacer {
	var pairs []string
	seen := map[string]bool{}
	var all []string
	for _, text := range texts {
		quoted := string(wire.AppendString(nil, text))
		for _, form := range []string{text, quoted[1 : len(quoted)-1], url.QueryEscape(text), url.PathEscape(text)} {
			if len(form) >= leastHidden && !seen[form] {
				seen[form] = true
				all = append(all, form)
			}
		}
	}
	// The longest first: a secret may begin with another.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for _, form := range all {
		pairs = append(pairs, form, "***")
	}
	return strings.NewReplacer(pairs...)
}

// watched keeps what goes to upstreams and comes back.
type watched struct {
	core.Egress

	steps *steps
}

// Open opens an upstream that is watched.
func (w watched) Open(connection *core.Connection) (core.Upstream, error) {
	upstream, err := w.Egress.Open(connection)
	if err != nil {
		return nil, err
	}
	name := ""
	if connection != nil {
		name = connection.Name
	}
	return watchedUpstream{upstream, name, w.steps}, nil
}

type watchedUpstream struct {
	core.Upstream

	name  string
	steps *steps
}

// Do exchanges a message and keeps both. Headers and credentials of the connection are
// added further out and are not among them.
func (u watchedUpstream) Do(ctx context.Context, request *core.Request) (*core.Response, error) {
	began := u.steps.now()
	response, err := u.Upstream.Do(ctx, request)
	s := core.Step{Part: "upstream", Name: u.name, Took: u.steps.now().Sub(began), Outcome: "ok", Exchange: u.steps.exchange(request, response)}
	if err != nil {
		e := core.AsError(err)
		s.Outcome, s.Message = string(e.Code), e.Public()
	}
	u.steps.add(s)
	return response, err
}

// exchange copies what may be seen.
func (s *steps) exchange(request *core.Request, response *core.Response) *core.Exchange {
	x := &core.Exchange{Request: core.Request{
		Method: request.Method, Path: s.text(request.Path, maxStepBytes), Query: s.text(request.Query, maxStepBytes),
		Header: s.fields(request.Header), Body: []byte(s.text(string(request.Body), maxStepBytes)),
	}}
	if response != nil {
		x.Response = &core.Response{Status: response.Status, Header: s.fields(response.Header), Body: []byte(s.text(string(response.Body), maxStepBytes))}
	}
	return x
}

// plainHeaders are those whose values are shown: no credential stands in one of them.
var plainHeaders = []string{
	"accept", "accept-language", "cache-control", "content-encoding", "content-language", "content-length", "content-type", "date", "etag", "expires",
	"idempotency-key", "last-modified", "link", "location", "retry-after", "server", "user-agent", "vary",
}

func (s *steps) fields(fields []core.Field) []core.Field {
	shown := make([]core.Field, len(fields))
	for i, f := range fields {
		shown[i] = core.Field{Name: f.Name, Value: "***"}
		if slices.Contains(plainHeaders, strings.ToLower(f.Name)) {
			shown[i].Value = s.text(f.Value, maxStepBytes)
		}
	}
	return shown
}
