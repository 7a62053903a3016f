package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// TestAskTimeout: a client that does not answer gets the requests withdrawn, the
// call an error.
func TestAskTimeout(t *testing.T) {
	rig := newRig(t, Limits{AskTimeout: 20 * time.Millisecond})
	session := rig.open("2025-11-25", `{"elicitation":{},"sampling":{},"roots":{}}`)
	sink := rig.do(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask_all"}}`))
	all := strings.Join(sink.stream.frames, "")
	if n := strings.Count(all, "notifications/cancelled"); n != 3 {
		t.Errorf("%d requests were withdrawn, want 3", n)
	}
	if last := sink.stream.frames[len(sink.stream.frames)-1]; !strings.Contains(last, "did not answer elicitation/create within 20ms") {
		t.Errorf("answer: %s", last)
	}
	one := rig.sessions.live[session]
	if len(one.asked) != 0 {
		t.Errorf("%d questions are still open", len(one.asked))
	}
	// The answer that comes too late is taken and dropped.
	if sink := rig.do(inSession(session, `{"jsonrpc":"2.0","id":1000000,"result":{}}`)); sink.status != 202 {
		t.Errorf("late answer: %d", sink.status)
	}
}

// TestRounds: a call cannot ask without end.
func TestRounds(t *testing.T) {
	rig := newRig(t, Limits{Rounds: 3})
	session := rig.open("2025-06-18", `{"elicitation":{}}`)
	s := rig.send(inSession(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask_forever"}}`))
	for n := range 3 {
		if data := rig.nextData(s); !strings.Contains(data, "elicitation/create") || strings.Contains(data, `"mode"`) {
			t.Fatalf("round %d: %s", n, data)
		}
		rig.do(inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"action":"decline"}}`, 1_000_000+n)))
	}
	if data := rig.nextData(s); !strings.Contains(data, "asked for more input 3 times") {
		t.Errorf("answer: %s", data)
	}
	rig.wait(s)
}

// TestAskOverSSE: on the 2024-11-05 transport the POST of the call is answered at
// once, so that a client that sends one thing after another can answer.
func TestAskOverSSE(t *testing.T) {
	rig := newRig(t, Limits{})
	open := get("")
	open.Transport, open.MessagePath = SSEStream, "/m"
	stream := rig.send(open)
	id := strings.TrimPrefix(rig.nextData(stream), "/m?sessionId=")
	say := func(body string) *fakeSink {
		r := post(body)
		r.Transport, r.SessionID = SSEMessage, id
		return rig.do(r)
	}
	say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}}}}`)
	rig.nextData(stream)
	if sink := say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask"}}`); sink.status != 202 || sink.body != "" {
		t.Errorf("POST: %d %s", sink.status, sink.body)
	}
	if data := rig.nextData(stream); !strings.Contains(data, `"id":1000000,"method":"elicitation/create"`) {
		t.Errorf("question: %s", data)
	}
	say(`{"jsonrpc":"2.0","id":1000000,"result":{"action":"accept"}}`)
	if data := rig.nextData(stream); !strings.Contains(data, `accept`) {
		t.Errorf("answer: %s", data)
	}

	// Its session is no session of the other transport, nor the other way round.
	if sink := rig.do(inSession(id, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)); sink.status != 404 {
		t.Errorf("on the other transport: %d", sink.status)
	}
	id = rig.open("2025-11-25", "{}")
	if sink := say(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); sink.status != 404 {
		t.Errorf("of the other transport: %d", sink.status)
	}
	id = ""
	if sink := say(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); sink.status != 400 {
		t.Errorf("no session: %d", sink.status)
	}
	for _, method := range []string{"GET", "DELETE"} {
		r := post("")
		r.Method, r.Transport = method, SSEMessage
		if sink := rig.do(r); sink.status != 405 {
			t.Errorf("%s: %d", method, sink.status)
		}
	}
	r := post("{}")
	r.Transport = SSEStream
	if sink := rig.do(r); sink.status != 405 || sink.get("Allow") != "GET" {
		t.Errorf("POST to the stream: %d", sink.status)
	}
}

// TestRequestStateIsBound: a state is good for its principal, server and request,
// for a while. The same rows pass with a sealer that does not look at what is
// bound, which shows that it is the binding that refuses.
func TestRequestStateIsBound(t *testing.T) {
	rows := []struct {
		name    string
		change  func(rig *rig)
		request func(state string) *Request
		good    bool
	}{
		{"same request", func(*rig) {}, waitCall(`"name":"wait"`), true},
		{"same arguments, other order", func(*rig) {}, waitCall(`"name":"wait"`), true},
		{"other principal", func(r *rig) { r.who = core.Identity{Subject: "eve"} }, waitCall(`"name":"wait"`), false},
		{"other tenant", func(r *rig) { r.who = core.Identity{Tenant: "t2"} }, waitCall(`"name":"wait"`), false},
		{"other server", func(r *rig) { r.h.server.Name = "other" }, waitCall(`"name":"wait"`), false},
		{"other arguments", func(*rig) {}, waitCall(`"name":"wait","arguments":{"a":1}`), false},
		{"other tool", func(r *rig) {
			call := r.h.call
			r.h.call = func(ctx context.Context, c *core.Call) (*core.Result, error) { c.Tool = "wait"; return call(ctx, c) }
		}, func(state string) *Request {
			return modern("1", "tools/call", "waiting", `"name":"waiting","requestState":"`+state+`"`)
		}, false},
	}
	for _, row := range rows {
		for _, blind := range []bool{false, true} {
			t.Run(fmt.Sprint(row.name, " blind ", blind), func(t *testing.T) {
				rig := newRig(t, Limits{})
				if blind {
					rig.e.sealer = blindSealer{}
				}
				first := rig.do(waitCall(`"name":"wait"`)(""))
				_, after, _ := strings.Cut(first.body, `"requestState":"`)
				state, _, _ := strings.Cut(after, `"`)
				row.change(rig)
				sink := rig.do(row.request(state))
				if good := sink.status == 200 && strings.Contains(sink.body, "later"); good != (row.good || blind) {
					t.Errorf("%d %s", sink.status, sink.body)
				}
			})
		}
	}
}

func waitCall(params string) func(string) *Request {
	return func(state string) *Request {
		if state != "" {
			params := params + `,"requestState":"` + state + `"`
			return modern("1", "tools/call", "wait", params)
		}
		return modern("1", "tools/call", "wait", params)
	}
}

// blindSealer seals without looking at what is bound.
type blindSealer struct{ fakeSealer }

func (s blindSealer) Seal(purpose string, plain []byte, _ ...string) (string, error) {
	return s.fakeSealer.Seal(purpose, plain)
}

func (s blindSealer) Open(purpose, token string, _ ...string) ([]byte, error) {
	return s.fakeSealer.Open(purpose, token)
}

// TestInputOnPromptsAndResources: what holds for tools holds for them.
func TestInputOnPromptsAndResources(t *testing.T) {
	rig := newRig(t, Limits{})
	question := func(_ context.Context, call *core.Call) (*core.Result, error) {
		if call.InputResponses == nil {
			return &core.Result{InputRequests: []core.InputRequest{someRoots}}, nil
		}
		return &core.Result{
			Messages: []core.Message{{Role: "user", Content: core.Text("done")}},
			Contents: []core.ResourceContents{{URI: call.Tool, Text: "done"}},
		}, nil
	}
	rig.h.prompt, rig.h.read = question, question
	for _, row := range []struct{ method, name, params, answer string }{
		{"prompts/get", "review", `"name":"review"`, `"text":"done"`},
		{"resources/read", "shop://x", `"uri":"shop://x"`, `"ttlMs":0,"cacheScope":"private"`},
	} {
		sink := rig.do(modern("1", row.method, row.name, row.params, `{"roots":{}}`))
		if !strings.Contains(sink.body, `"resultType":"input_required"`) || strings.Contains(sink.body, "requestState") || strings.Contains(sink.body, "ttlMs") {
			t.Errorf("%s: %s", row.method, sink.body)
		}
		sink = rig.do(modern("2", row.method, row.name, row.params+`,"inputResponses":{"roots":{"roots":[]}}`, `{"roots":{}}`))
		if !strings.Contains(sink.body, row.answer) {
			t.Errorf("%s: %s", row.method, sink.body)
		}
		session := rig.open("2025-03-26", `{"roots":{}}`)
		s := rig.send(inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, row.method, row.params)))
		var ask struct {
			ID     json.Number
			Method string
		}
		if err := json.Unmarshal([]byte(rig.nextData(s)), &ask); err != nil || ask.Method != "roots/list" {
			t.Errorf("%s: asked %v, %v", row.method, ask, err)
		}
		rig.do(inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"roots":[]}}`, ask.ID)))
		if data := rig.nextData(s); !strings.Contains(data, `"text":"done"`) {
			t.Errorf("%s: %s", row.method, data)
		}
		rig.wait(s)
	}
}

// TestFailedPromptsAndResources: there is no isError there, so it is an error.
func TestFailedPromptsAndResources(t *testing.T) {
	rig := newRig(t, Limits{})
	failed := func(context.Context, *core.Call) (*core.Result, error) {
		return core.ErrorResult("upstream says no"), nil
	}
	rig.h.prompt, rig.h.read = failed, failed
	for _, r := range []*Request{
		modern("1", "prompts/get", "review", `"name":"review"`), modern("1", "resources/read", "a:b", `"uri":"a:b"`),
	} {
		if sink := rig.do(r); sink.status != 200 || !strings.Contains(sink.body, `"code":-32603,"message":"upstream says no"`) {
			t.Errorf("%d %s", sink.status, sink.body)
		}
	}
	rig.h.prompt = func(context.Context, *core.Call) (*core.Result, error) {
		return &core.Result{Content: []core.Content{core.Text("a"), core.Text("b")}}, nil
	}
	sink := rig.do(modern("1", "prompts/get", "review", `"name":"review"`))
	if !strings.Contains(sink.body, `"messages":[{"role":"user","content":{"type":"text","text":"a"}},{"role":"user"`) {
		t.Errorf("content without messages: %s", sink.body)
	}
	rig.h.prompt = func(context.Context, *core.Call) (*core.Result, error) { return nil, nil } //nolint:nilnil // what a bad invoker may do
	if sink := rig.do(modern("1", "prompts/get", "review", `"name":"review"`)); !strings.Contains(sink.body, `-32603,"message":"internal error"`) {
		t.Errorf("neither result nor error: %s", sink.body)
	}
}

// TestAbilities reads capabilities, and writes them back small.
func TestAbilities(t *testing.T) {
	for _, row := range []struct{ in, out string }{
		{`{}`, `{}`},
		{`{"elicitation":{}}`, `{"elicitation":{}}`},
		{`{"elicitation":{"form":{}}}`, `{"elicitation":{}}`},
		{`{"elicitation":{"url":{}}}`, `{"elicitation":{"url":{}}}`},
		{`{"elicitation":{"form":{"x":1},"url":{}}}`, `{"elicitation":{"form":{},"url":{}}}`},
		{`{"sampling":{"tools":{},"context":{}},"roots":{"listChanged":true}}`, `{"roots":{},"sampling":{"tools":{}}}`},
		{`{"sampling":null,"roots":true,"elicitation":[],"experimental":{"x":{}}}`, `{}`},
		{`{"Sampling":{}}`, `{}`},
	} {
		a := abilitiesOf(json.RawMessage(row.in))
		if got := string(a.object()); got != row.out {
			t.Errorf("%s: %s, want %s", row.in, got, row.out)
		}
		if again := abilitiesOf(a.object()); again != a {
			t.Errorf("%s: %b became %b", row.in, a, again)
		}
	}
}

// TestNeeds: what may be asked of whom, per revision.
func TestNeeds(t *testing.T) {
	all := json.RawMessage(`{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}`)
	form := core.InputRequest{Key: "k", Method: "elicitation/create", Params: json.RawMessage(`{"message":"m"}`)}
	link := core.InputRequest{Key: "k", Method: "elicitation/create", Params: json.RawMessage(`{"mode":"url","url":"https://example.com"}`)}
	withTools := core.InputRequest{Key: "k", Method: "sampling/createMessage", Params: json.RawMessage(`{"tools":[]}`)}
	for _, row := range []struct {
		request core.InputRequest
		since   int // index in revisions, oldest that may be asked
	}{
		{form, 2}, {link, 1}, {withTools, 1}, {someText, 4}, {someRoots, 4},
	} {
		for i, rev := range revisions {
			x := &exchange{rev: rev, invocation: core.Call{Client: core.Client{Capabilities: all}}}
			if err := x.allowed([]core.InputRequest{row.request}); (err == nil) != (i <= row.since) {
				t.Errorf("%s %s: %v", rev.Name, row.request.Params, err)
			}
			x.invocation.Client.Capabilities = noArguments
			if err := x.allowed([]core.InputRequest{row.request}); err == nil {
				t.Errorf("%s %s: allowed without the capability", rev.Name, row.request.Method)
			}
		}
	}
	x := &exchange{rev: latestEnvelope, invocation: core.Call{Client: core.Client{Capabilities: all}}}
	for name, bad := range map[string][]core.InputRequest{
		"same key": {form, someRootsAs("k")}, "no key": {someRootsAs("")}, "unknown method": {{Key: "k", Method: "ping"}},
	} {
		if err := x.allowed(bad); core.AsError(err).Code != core.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func someRootsAs(key string) core.InputRequest {
	r := someRoots
	r.Key = key
	return r
}
