package mcp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// refusal is one bad request, and how it must be refused.
type refusal struct {
	name    string
	request *Request
	status  int
	code    int    // 0: no body
	id      string // "": none, or null
}

// TestRefusals sends bad input to every revision: each gets the status and the code
// that the revision prescribes, and the next good request is answered.
func TestRefusals(t *testing.T) {
	count := 0
	for _, rev := range revisions {
		t.Run(rev.Name, func(t *testing.T) {
			rig := newRig(t, Limits{Batch: 5})
			var rows []refusal
			var alive func() *Request
			if rev.Envelope {
				rows = envelopeRefusals()
				alive = func() *Request { return modern("1", "tools/list", "", "") }
			} else {
				session := rig.open(rev.Name, "{}")
				rows = sessionRefusals(rev, session)
				alive = func() *Request { return inSession(session, `{"jsonrpc":"2.0","id":1,"method":"ping"}`) }
			}
			for _, row := range append(rows, commonRefusals(rev)...) {
				count++
				t.Run(row.name, func(t *testing.T) {
					sink := rig.do(row.request)
					checkRefusal(t, rev, row, sink)
				})
			}
			if sink := rig.do(alive()); sink.status != 200 || strings.Contains(sink.body, `"error"`) {
				t.Errorf("after all that: %d %s", sink.status, sink.body)
			}
		})
	}
	if count < 250 {
		t.Errorf("%d rows, want at least 250: rows were lost", count)
	}
}

func checkRefusal(t *testing.T, rev *revision, row refusal, sink *fakeSink) {
	t.Helper()
	if sink.stream != nil {
		t.Fatal("a stream was opened")
	}
	if sink.status != row.status {
		t.Errorf("status %d, want %d: %s", sink.status, row.status, sink.body)
	}
	if row.code == 0 {
		if sink.body != "" {
			t.Errorf("body %s, want none", sink.body)
		}
		return
	}
	var got struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal([]byte(sink.body), &got); err != nil {
		t.Fatalf("body %q: %v", sink.body, err)
	}
	if got.Error.Code != row.code || got.Error.Message == "" || got.Version != "2.0" {
		t.Errorf("error %d %q, want code %d", got.Error.Code, got.Error.Message, row.code)
	}
	switch {
	case row.id != "" && string(got.ID) != row.id:
		t.Errorf("id %s, want %s", got.ID, row.id)
	case row.id == "" && got.ID != nil && string(got.ID) != "null":
		t.Errorf("id %s, want none", got.ID)
	case rev.Envelope && string(got.ID) == "null":
		t.Error("id null: this revision has no null ids")
	}
	if sink.kind != typeJSON {
		t.Errorf("content type %q", sink.kind)
	}
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":0,`, i)
	}
	return "{" + strings.TrimSuffix(b.String(), ",") + "}"
}

// malformed are bodies that are no message in any revision.
var malformed = []struct {
	name, body string
	code       int
	id         string
}{
	{"empty body", ``, codeParse, ""},
	{"white space only", "  \n\t", codeParse, ""},
	{"cut off", `{"jsonrpc":"2.0","id":1,"method":"ping"`, codeParse, ""},
	{"trailing comma", `{"jsonrpc":"2.0","id":1,"method":"ping",}`, codeParse, ""},
	{"two messages", `{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}`, codeParse, ""},
	{"junk behind", `{"jsonrpc":"2.0","id":1,"method":"ping"} x`, codeParse, ""},
	{"single quotes", `{'jsonrpc':'2.0','id':1,'method':'ping'}`, codeParse, ""},
	{"comment", `{"jsonrpc":"2.0",/* hi */"id":1,"method":"ping"}`, codeParse, ""},
	{"byte order mark", "\xef\xbb\xbf" + `{"jsonrpc":"2.0","id":1,"method":"ping"}`, codeParse, ""},
	{"not UTF-8", `{"jsonrpc":"2.0","id":1,"method":"p` + "\xff" + `"}`, codeParse, ""},
	{"lone surrogate", `{"jsonrpc":"2.0","id":1,"method":"\ud800"}`, codeParse, ""},
	{"control character in a string", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\x01\"}", codeParse, ""},
	{"NaN", `{"jsonrpc":"2.0","id":NaN,"method":"ping"}`, codeParse, ""},
	{"leading zero", `{"jsonrpc":"2.0","id":01,"method":"ping"}`, codeParse, ""},
	{"bad escape", `{"jsonrpc":"2.0","id":1,"method":"\x70ing"}`, codeParse, ""},
	{"method twice", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, codeParse, ""},
	{"id twice", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, codeParse, ""},
	{"params twice", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}`, codeParse, ""},
	{"method twice, once escaped", `{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call"}`, codeParse, ""},
	{"argument twice", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet","arguments":{"a":1,"a":2}}}`, codeParse, ""},
	{"name twice deep inside", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet","arguments":{"a":[{"b":{"c":1,"c":2}}]}}}`, codeParse, ""},
	{"method in other case beside", `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, codeInvalidRequest, "1"},
	{"method in other case", `{"jsonrpc":"2.0","id":1,"METHOD":"ping"}`, codeInvalidRequest, "1"},
	{"id in other case", `{"jsonrpc":"2.0","ID":1,"method":"ping"}`, codeInvalidRequest, ""},
	{"params in other case", `{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}`, codeInvalidRequest, "1"},
	{"nested too deep", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":` + deep(100) + `}}`, codeInvalidRequest, ""},
	{"very deep", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":` + deep(100_000) + `}}`, codeInvalidRequest, ""},
	{"deep and cut off", strings.Repeat(`{"a":`, 50_000), codeInvalidRequest, ""},
	{"too many members", `{"jsonrpc":"2.0","id":1,"method":"ping","params":` + manyMembers(10_001) + `}`, codeInvalidRequest, ""},
	{"huge string", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"` + strings.Repeat("x", 1<<20+1) + `"}}`, codeInvalidRequest, ""},
	{"huge number", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":` + strings.Repeat("9", 65) + `}}`, codeInvalidRequest, ""},
	{"a number", `7`, codeParse, ""},
	{"a string", `"ping"`, codeParse, ""},
	{"null", `null`, codeParse, ""},
	{"empty object", `{}`, codeInvalidRequest, ""},
	{"no jsonrpc", `{"id":1,"method":"ping"}`, codeInvalidRequest, "1"},
	{"jsonrpc 1.0", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, codeInvalidRequest, "1"},
	{"jsonrpc a number", `{"jsonrpc":2.0,"id":1,"method":"ping"}`, codeInvalidRequest, "1"},
	{"id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, codeInvalidRequest, ""},
	{"id true", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, codeInvalidRequest, ""},
	{"id an object", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, codeInvalidRequest, ""},
	{"id an array", `{"jsonrpc":"2.0","id":[1],"method":"ping"}`, codeInvalidRequest, ""},
	{"id a fraction", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, codeInvalidRequest, ""},
	{"id with an exponent", `{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, codeInvalidRequest, ""},
	{"method a number", `{"jsonrpc":"2.0","id":1,"method":7}`, codeInvalidRequest, "1"},
	{"method null", `{"jsonrpc":"2.0","id":1,"method":null}`, codeInvalidRequest, "1"},
	{"method empty", `{"jsonrpc":"2.0","id":1,"method":""}`, codeInvalidRequest, "1"},
	{"method an object", `{"jsonrpc":"2.0","id":1,"method":{}}`, codeInvalidRequest, "1"},
	{"method and result", `{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, codeInvalidRequest, "1"},
	{"result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}`, codeInvalidRequest, "1"},
	{"result without id", `{"jsonrpc":"2.0","result":{}}`, codeInvalidRequest, ""},
	{"result a string", `{"jsonrpc":"2.0","id":1,"result":"x"}`, codeInvalidRequest, "1"},
	{"error a string", `{"jsonrpc":"2.0","id":1,"error":"x"}`, codeInvalidRequest, "1"},
}

// commonRefusals are refused alike by all revisions, but for the header that goes
// with them.
func commonRefusals(rev *revision) []refusal {
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	named := func(r *Request) *Request { return r.with(headerRevision, rev.Name) }
	var rows []refusal
	for _, m := range malformed {
		rows = append(rows, refusal{m.name, named(post(m.body)), 400, m.code, m.id})
	}
	twice := func(header, a, b string) *Request {
		r := named(post(ping))
		r.Header.(fields).remove(header)
		r.Header.(fields).add(header, a)
		r.Header.(fields).add(header, b)
		return r
	}
	method := func(m string) *Request { r := named(post("")); r.Method = m; return r }
	return append(rows,
		refusal{"PUT", method("PUT"), 405, 0, ""},
		refusal{"PATCH", method("PATCH"), 405, 0, ""},
		refusal{"HEAD", method("HEAD"), 405, 0, ""},
		refusal{"GET without a session", method("GET"), 405, 0, ""},
		refusal{"DELETE without a session", method("DELETE"), 405, 0, ""},
		refusal{"no content type", named(post(ping)).with("Content-Type", ""), 415, codeInvalidRequest, ""},
		refusal{"content type text", named(post(ping)).with("Content-Type", "text/plain"), 415, codeInvalidRequest, ""},
		refusal{"content type form", named(post(ping)).with("Content-Type", "application/x-www-form-urlencoded"), 415, codeInvalidRequest, ""},
		refusal{"content type with a charset not ours", named(post(ping)).with("Content-Type", "application/json; charset=utf-16"), 415, codeInvalidRequest, ""},
		refusal{"content type odd", named(post(ping)).with("Content-Type", "application/json; ;="), 415, codeInvalidRequest, ""},
		refusal{"accept JSON only", named(post(ping)).with("Accept", "application/json"), 406, codeInvalidRequest, ""},
		refusal{"accept events only", named(post(ping)).with("Accept", "text/event-stream"), 406, codeInvalidRequest, ""},
		refusal{"accept HTML", named(post(ping)).with("Accept", "text/html"), 406, codeInvalidRequest, ""},
		refusal{"accept all but events", named(post(ping)).with("Accept", "*/*, text/event-stream;q=0"), 406, codeInvalidRequest, ""},
		refusal{"revision header twice", twice(headerRevision, rev.Name, rev.Name), 400, codeHeaderMismatch, ""},
		refusal{"revision header unknown", post(ping).with(headerRevision, "2019-01-01"), 400, codeRevision, "1"},
		refusal{"revision header empty", post(ping).with(headerRevision, " "), 400, codeRevision, "1"},
	)
}

// sessionRefusals are those of the revisions with sessions.
func sessionRefusals(rev *revision, session string) []refusal {
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	in := func(body string) *Request { return inSession(session, body).with(headerRevision, rev.Name) }
	call := func(method, params string) *Request {
		return in(`{"jsonrpc":"2.0","id":"x","method":"` + method + `","params":` + params + `}`)
	}
	rest := func(method string, pairs ...string) *Request {
		r := get(session).with(headerSession, session).with(pairs...)
		r.Method = method
		return r
	}
	rows := []refusal{
		{"no session", post(ping), 400, codeNoSession, "1"},
		{"empty session", inSession(" ", ping), 400, codeNoSession, "1"},
		{"unknown session", inSession("nobody", ping), 404, codeUnknownSession, "1"},
		{"unknown session, GET", rest("GET", headerSession, "nobody"), 404, codeUnknownSession, ""},
		{"unknown session, DELETE", rest("DELETE", headerSession, "nobody"), 404, codeUnknownSession, ""},
		{"unknown session, notification", inSession("nobody", `{"jsonrpc":"2.0","method":"notifications/initialized"}`), 404, codeUnknownSession, ""},
		{"no session, notification", post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), 400, codeNoSession, ""},
		{"unknown session, response", inSession("nobody", `{"jsonrpc":"2.0","id":1,"result":{}}`), 404, codeUnknownSession, "1"},
		{"bad revision header, GET", rest("GET", headerRevision, "1999-01-01"), 400, codeRevision, ""},
		{"bad revision header, DELETE", rest("DELETE", headerRevision, "1999-01-01"), 400, codeRevision, ""},
		{"revision header of an envelope, GET", rest("GET", headerRevision, "2026-07-28"), 405, 0, ""},
		{"revision header of an envelope", in(ping).with(headerRevision, "2026-07-28"), 400, codeInvalidParams, "1"},
		{"GET that takes JSON", rest("GET", "Accept", "application/json"), 406, codeInvalidRequest, ""},
		{"unknown method", call("nothing/here", `{}`), 200, codeNoMethod, `"x"`},
		{"method in other case", call("Ping", `{}`), 200, codeNoMethod, `"x"`},
		{"method of the other era", call("subscriptions/listen", `{"notifications":{}}`), 200, codeNoMethod, `"x"`},
		{"params an array", call("tools/list", `[]`), 200, codeInvalidParams, `"x"`},
		{"params a string", call("tools/list", `"x"`), 200, codeInvalidParams, `"x"`},
		{"_meta an array", call("tools/list", `{"_meta":[]}`), 200, codeInvalidParams, `"x"`},
		{"progress token an object", call("tools/list", `{"_meta":{"progressToken":{}}}`), 200, codeInvalidParams, `"x"`},
		{"cursor a number", call("tools/list", `{"cursor":1}`), 200, codeInvalidParams, `"x"`},
		{"cursor not ours", call("tools/list", `{"cursor":"?"}`), 200, codeInvalidParams, `"x"`},
		{"tool without a name", call("tools/call", `{}`), 200, codeInvalidParams, `"x"`},
		{"tool with a number for a name", call("tools/call", `{"name":1}`), 200, codeInvalidParams, `"x"`},
		{"tool name in another member", call("tools/call", `{"Name":"greet"}`), 200, codeInvalidParams, `"x"`},
		{"unknown tool", call("tools/call", `{"name":"nobody"}`), 200, codeInvalidParams, `"x"`},
		{"arguments an array", call("tools/call", `{"name":"greet","arguments":[]}`), 200, codeInvalidParams, `"x"`},
		{"arguments a string", call("tools/call", `{"name":"greet","arguments":"{}"}`), 200, codeInvalidParams, `"x"`},
		{"unknown prompt", call("prompts/get", `{"name":"nobody"}`), 200, codeInvalidParams, `"x"`},
		{"prompt argument a number", call("prompts/get", `{"name":"review","arguments":{"title":1}}`), 200, codeInvalidParams, `"x"`},
		{"resource without URI", call("resources/read", `{}`), 200, codeInvalidParams, `"x"`},
		{"unknown resource", call("resources/read", `{"uri":"x:y"}`), 200, -32002, `"x"`},
		{"subscribe without URI", call("resources/subscribe", `{}`), 200, codeInvalidParams, `"x"`},
		{"unsubscribe from a number", call("resources/unsubscribe", `{"uri":1}`), 200, codeInvalidParams, `"x"`},
		{"log level unknown", call("logging/setLevel", `{"level":"loud"}`), 200, codeInvalidParams, `"x"`},
		{"log level in capitals", call("logging/setLevel", `{"level":"INFO"}`), 200, codeInvalidParams, `"x"`},
		{"log level a number", call("logging/setLevel", `{"level":1}`), 200, codeInvalidParams, `"x"`},
		{"log level missing", call("logging/setLevel", `{}`), 200, codeInvalidParams, `"x"`},
		{"completion without ref", call("completion/complete", `{"argument":{"name":"a","value":""}}`), 200, codeInvalidParams, `"x"`},
		{"completion without argument", call("completion/complete", `{"ref":{"type":"ref/prompt","name":"review"}}`), 200, codeInvalidParams, `"x"`},
		{"completion of a number", call("completion/complete", `{"ref":{"type":"ref/prompt","name":1},"argument":{"name":"a","value":""}}`), 200, codeInvalidParams, `"x"`},
		{"completion with a value not text", call("completion/complete", `{"ref":{"type":"ref/prompt","name":"review"},"argument":{"name":"a","value":1}}`), 200, codeInvalidParams, `"x"`},
		{"completion with a context not text", call("completion/complete", `{"ref":{"type":"ref/prompt","name":"review"},"argument":{"name":"a","value":""},"context":{"arguments":{"a":1}}}`), 200, codeInvalidParams, `"x"`},
		{"initialize without a revision", post(`{"jsonrpc":"2.0","id":"x","method":"initialize","params":{}}`), 200, codeInvalidParams, `"x"`},
		{"initialize with a number", post(`{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":1}}`), 200, codeInvalidParams, `"x"`},
		{"initialize with capabilities not an object", post(`{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":[]}}`), 200, codeInvalidParams, `"x"`},
		{"initialize with clientInfo not an object", post(`{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":""}}`), 200, codeInvalidParams, `"x"`},
		{"empty batch", in(`[]`), 400, codeInvalidRequest, ""},
		{"batch cut off", in(`[` + ping), 400, codeParse, ""},
		{"batch too long", in(`[` + strings.Repeat(ping+",", 5) + ping + `]`), 400, codeInvalidRequest, ""},
		{"batch with an envelope", in(`[{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}]`), 400, codeInvalidRequest, ""},
		{"batch without a session", post(`[` + ping + `]`), 400, codeNoSession, ""},
		{"batch with initialize", in(`[{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}]`), 400, codeInvalidRequest, ""},
	}
	if !rev.Batch {
		rows = append(rows, refusal{"batch", in(`[` + ping + `]`), 400, codeInvalidRequest, ""})
	}
	if rev.Resume {
		rows = append(rows,
			refusal{"event id odd", rest("GET", headerLastEvent, "1; DROP"), 400, codeInvalidRequest, ""},
			refusal{"event id without a number", rest("GET", headerLastEvent, "pabc"), 400, codeInvalidRequest, ""},
			refusal{"event id below zero", rest("GET", headerLastEvent, "pabc_-1"), 400, codeInvalidRequest, ""},
			refusal{"event id past every number", rest("GET", headerLastEvent, "pabc_99999999999999999999"), 400, codeInvalidRequest, ""},
			refusal{"event id too long", rest("GET", headerLastEvent, "p"+strings.Repeat("a", 100)+"_1"), 400, codeInvalidRequest, ""},
			refusal{"event id of another life", rest("GET", headerLastEvent, "pabc-1_1"), 400, codeInvalidRequest, ""},
		)
	}
	return rows
}

// envelopeRefusals are those of the revisions with an envelope.
func envelopeRefusals() []refusal {
	const can = `"io.modelcontextprotocol/clientCapabilities":{}`
	const says = `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`
	headed := func(method, body string) *Request {
		return post(body).with(headerRevision, "2026-07-28", headerMethod, method)
	}
	list := func(meta string) *Request {
		return headed("tools/list", `{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{"_meta":{`+meta+`}}}`)
	}
	call := func(method, name, params string) *Request { return modern(`"x"`, method, name, params) }
	two := func(r *Request, header, value string) *Request {
		r.Header.(fields).add(header, value)
		return r
	}
	region := func(arguments string, pairs ...string) *Request {
		return call("tools/call", "region", `"name":"region","arguments":`+arguments).with(pairs...)
	}
	x := `"x"`
	rows := []refusal{
		{"no params", headed("tools/list", `{"jsonrpc":"2.0","id":"x","method":"tools/list"}`), 400, codeInvalidParams, x},
		{"no _meta", headed("tools/list", `{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{}}`), 400, codeInvalidParams, x},
		{"_meta null", headed("tools/list", `{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{"_meta":null}}`), 400, codeInvalidParams, x},
		{"_meta an array", headed("tools/list", `{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{"_meta":[]}}`), 400, codeInvalidParams, x},
		{"no revision in _meta", list(can), 400, codeInvalidParams, x},
		{"no capabilities in _meta", list(says), 400, codeInvalidParams, x},
		{"revision in _meta a number", list(`"io.modelcontextprotocol/protocolVersion":20260728,` + can), 400, codeInvalidParams, x},
		{"revision in _meta null", list(`"io.modelcontextprotocol/protocolVersion":null,` + can), 400, codeInvalidParams, x},
		{"revision key in other case", list(`"io.modelcontextprotocol/ProtocolVersion":"2026-07-28",` + can), 400, codeInvalidParams, x},
		{"capabilities an array", list(says + `,"io.modelcontextprotocol/clientCapabilities":[]`), 400, codeInvalidParams, x},
		{"capabilities null", list(says + `,"io.modelcontextprotocol/clientCapabilities":null`), 400, codeInvalidParams, x},
		{"clientInfo a string", list(says + `,"io.modelcontextprotocol/clientInfo":"me",` + can), 400, codeInvalidParams, x},
		{"log level unknown", list(says + `,"io.modelcontextprotocol/logLevel":"loud",` + can), 400, codeInvalidParams, x},
		{"log level a number", list(says + `,"io.modelcontextprotocol/logLevel":3,` + can), 400, codeInvalidParams, x},
		{"progress token null", list(says + `,"progressToken":null,` + can), 400, codeInvalidParams, x},
		{"revision unknown", list(`"io.modelcontextprotocol/protocolVersion":"2099-01-01",`+can).with(headerRevision, "2099-01-01"), 400, codeRevision, x},
		{"revision of a session", list(`"io.modelcontextprotocol/protocolVersion":"2025-11-25",`+can).with(headerRevision, "2025-11-25"), 400, codeRevision, x},
		{"revision unknown, no header", list(`"io.modelcontextprotocol/protocolVersion":"2099-01-01",`+can).with(headerRevision, ""), 400, codeRevision, x},
		{"header differs", list(says+`,`+can).with(headerRevision, "2025-11-25"), 400, codeHeaderMismatch, x},
		{"header differs, both unknown", list(`"io.modelcontextprotocol/protocolVersion":"2099-01-01",`+can).with(headerRevision, "2098-01-01"), 400, codeHeaderMismatch, x},
		{"header missing", list(says+`,`+can).with(headerRevision, ""), 400, codeHeaderMismatch, x},
		{"method header missing", list(says+`,`+can).with(headerMethod, ""), 400, codeHeaderMismatch, x},
		{"method header differs", list(says+`,`+can).with(headerMethod, "prompts/list"), 400, codeHeaderMismatch, x},
		{"method header in capitals", list(says+`,`+can).with(headerMethod, "TOOLS/LIST"), 400, codeHeaderMismatch, x},
		{"method header twice", two(list(says+`,`+can), headerMethod, "tools/list"), 400, codeHeaderMismatch, x},
		{"name header missing", call("tools/call", "", `"name":"greet"`), 400, codeHeaderMismatch, x},
		{"name header differs", call("tools/call", "other", `"name":"greet"`), 400, codeHeaderMismatch, x},
		{"name header in capitals", call("tools/call", "GREET", `"name":"greet"`), 400, codeHeaderMismatch, x},
		{"name header twice", two(call("tools/call", "greet", `"name":"greet"`), headerName, "greet"), 400, codeHeaderMismatch, x},
		{"name header of a prompt", call("prompts/get", "other", `"name":"review"`), 400, codeHeaderMismatch, x},
		{"name header of a resource", call("resources/read", "shop://other", `"uri":"shop://catalogue"`), 400, codeHeaderMismatch, x},
		{"name header with bad base64", call("tools/call", "=?base64?Z3JlZX?=", `"name":"greet"`), 400, codeHeaderMismatch, x},
		{"name header with base64 of another", call("tools/call", "=?base64?b3RoZXI=?=", `"name":"greet"`), 400, codeHeaderMismatch, x},
		{"name header with base64 not UTF-8", call("tools/call", "=?base64?/w==?=", `"name":"greet"`), 400, codeHeaderMismatch, x},
		{"name header not ASCII", call("tools/call", "gr\u00e9et", `"name":"gr\u00e9et"`), 400, codeHeaderMismatch, x},
		{"method unknown", call("nothing/here", "", ""), 404, codeNoMethod, x},
		{"initialize", call("initialize", "", `"protocolVersion":"2025-11-25"`), 404, codeNoMethod, x},
		{"ping", call("ping", "", ""), 404, codeNoMethod, x},
		{"logging/setLevel", call("logging/setLevel", "", `"level":"info"`), 404, codeNoMethod, x},
		{"resources/subscribe", call("resources/subscribe", "", `"uri":"shop://catalogue"`), 404, codeNoMethod, x},
		{"resources/unsubscribe", call("resources/unsubscribe", "", `"uri":"shop://catalogue"`), 404, codeNoMethod, x},
		{"tasks/get", call("tasks/get", "", `"taskId":"t"`), 404, codeNoMethod, x},
		{"param header missing", region(`{"region":"eu"}`), 400, codeHeaderMismatch, x},
		{"param header differs", region(`{"region":"eu"}`, "Mcp-Param-Region", "us"), 400, codeHeaderMismatch, x},
		{"param header without argument", region(`{}`, "Mcp-Param-Region", "us"), 400, codeHeaderMismatch, x},
		{"param header with null argument", region(`{"region":null}`, "Mcp-Param-Region", "null"), 400, codeHeaderMismatch, x},
		{"param header with bad base64", region(`{"region":"Hello"}`, "Mcp-Param-Region", "=?base64?SGVsbG8?="), 400, codeHeaderMismatch, x},
		{"param header with odd base64", region(`{"region":"Hello"}`, "Mcp-Param-Region", "=?base64?SGVs!!!bG8=?="), 400, codeHeaderMismatch, x},
		{"param header with a control character", region("{\"region\":\"a\\u0001\"}", "Mcp-Param-Region", "a\x01"), 400, codeHeaderMismatch, x},
		{"param header twice", two(region(`{"region":"eu"}`, "Mcp-Param-Region", "eu"), "Mcp-Param-Region", "eu"), 400, codeHeaderMismatch, x},
		{"param header of a number differs", region(`{"n":42}`, "Mcp-Param-N", "43"), 400, codeHeaderMismatch, x},
		{"param header of a number in hex", region(`{"n":42}`, "Mcp-Param-N", "0x2a"), 400, codeHeaderMismatch, x},
		{"param header of a number past 2^53", region(`{"n":9007199254740993}`, "Mcp-Param-N", "9007199254740992"), 400, codeHeaderMismatch, x},
		{"param header of a boolean in capitals", region(`{"on":true}`, "Mcp-Param-On", "TRUE"), 400, codeHeaderMismatch, x},
		{"param header of an object", region(`{"region":{}}`, "Mcp-Param-Region", "{}"), 400, codeHeaderMismatch, x},
		{"tool without a name", call("tools/call", "", ``), 400, codeInvalidParams, x},
		{"tool with a number for a name", call("tools/call", "1", `"name":1`), 400, codeInvalidParams, x},
		{"arguments an array", call("tools/call", "greet", `"name":"greet","arguments":[]`), 400, codeInvalidParams, x},
		{"unknown tool", call("tools/call", "nobody", `"name":"nobody"`), 200, codeInvalidParams, x},
		{"unknown prompt", call("prompts/get", "nobody", `"name":"nobody"`), 200, codeInvalidParams, x},
		{"prompt argument a number", call("prompts/get", "review", `"name":"review","arguments":{"title":1}`), 400, codeInvalidParams, x},
		{"unknown resource", call("resources/read", "x:y", `"uri":"x:y"`), 200, codeInvalidParams, x},
		{"resource without URI", call("resources/read", "", ``), 400, codeInvalidParams, x},
		{"cursor a number", call("tools/list", "", `"cursor":1`), 400, codeInvalidParams, x},
		{"cursor not ours", call("tools/list", "", `"cursor":"?"`), 200, codeInvalidParams, x},
		{"completion without ref", call("completion/complete", "", `"argument":{"name":"a","value":""}`), 400, codeInvalidParams, x},
		{"completion of a shelf", call("completion/complete", "", `"ref":{"type":"ref/shelf"},"argument":{"name":"a","value":""}`), 400, codeInvalidParams, x},
		{"listen without a filter", call("subscriptions/listen", "", ``), 400, codeInvalidParams, x},
		{"listen with an array", call("subscriptions/listen", "", `"notifications":[]`), 400, codeInvalidParams, x},
		{"listen with a number for a flag", call("subscriptions/listen", "", `"notifications":{"toolsListChanged":1}`), 400, codeInvalidParams, x},
		{"listen with a string for a list", call("subscriptions/listen", "", `"notifications":{"resourceSubscriptions":"a"}`), 400, codeInvalidParams, x},
		{"listen with numbers in the list", call("subscriptions/listen", "", `"notifications":{"resourceSubscriptions":[1]}`), 400, codeInvalidParams, x},
		{"input responses null", call("tools/call", "ask", `"name":"ask","inputResponses":null`), 400, codeInvalidParams, x},
		{"input responses an array", call("tools/call", "ask", `"name":"ask","inputResponses":[]`), 400, codeInvalidParams, x},
		{"input response a number", call("tools/call", "ask", `"name":"ask","inputResponses":{"name":1}`), 400, codeInvalidParams, x},
		{"request state a number", call("tools/call", "wait", `"name":"wait","requestState":1`), 400, codeInvalidParams, x},
		{"request state not ours", call("tools/call", "wait", `"name":"wait","requestState":"abc"`), 400, codeInvalidParams, x},
		{"capability lacking", call("tools/call", "ask", `"name":"ask"`), 400, codeCapability, x},
		{"batch", headed("ping", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`), 400, codeInvalidRequest, ""},
		{"batch with an envelope", post(`[{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{` + says + `}}}]`), 400, codeInvalidRequest, ""},
		{"a response", headed("x", `{"jsonrpc":"2.0","id":1,"result":{}}`), 400, codeInvalidRequest, ""},
	}
	return rows
}

// TestAcceptedHeaders are requests at the edge of what is allowed.
func TestAcceptedHeaders(t *testing.T) {
	rig := newRig(t, Limits{})
	region := func(arguments string, pairs ...string) *Request {
		return modern("1", "tools/call", "region", `"name":"region","arguments":`+arguments).with(pairs...)
	}
	for _, row := range []struct {
		name    string
		request *Request
	}{
		{"any type accepted", modern("1", "tools/list", "", "").with("Accept", "*/*")},
		{"no Accept", modern("1", "tools/list", "", "").with("Accept", "")},
		{"types with quality", modern("1", "tools/list", "", "").with("Accept", "text/event-stream;q=0.5, Application/JSON;q=0.1")},
		{"any subtype", modern("1", "tools/list", "", "").with("Accept", "application/*, text/*")},
		{"charset", modern("1", "tools/list", "", "").with("Content-Type", "application/json; charset=UTF-8")},
		{"white space around a value", modern("1", "tools/call", "  greet\t", `"name":"greet"`)},
		{"encoded name", modern("1", "tools/call", "=?base64?Z3JlZXQ=?=", `"name":"greet"`)},
		{"an old session header", modern("1", "tools/list", "", "").with(headerSession, "nobody")},
		{"an old event id", modern("1", "tools/list", "", "").with(headerLastEvent, "nonsense")},
		{"an unknown param header", modern("1", "tools/list", "", "").with("Mcp-Param-Other", "x")},
		{"param headers", region(`{"region":"eu","n":42,"on":true}`, "Mcp-Param-Region", "eu", "Mcp-Param-N", "42.0", "Mcp-Param-On", "true")},
		{"no param", region(`{"region":null}`)},
		{"encoded param", region(`{"region":"Hello"}`, "Mcp-Param-Region", "=?base64?SGVsbG8=?=")},
		{"literal that only looks encoded at its end", region(`{"region":"SGVsbG8=?="}`, "Mcp-Param-Region", "SGVsbG8=?=")},
		{"literal that only looks encoded at its front", region(`{"region":"=?base64?SGVsbG8="}`, "Mcp-Param-Region", "=?base64?SGVsbG8=")},
		{"id 0", modern("0", "tools/list", "", "")},
		{"id below zero", modern("-7", "tools/list", "", "")},
		{"id past 2^53", modern("9007199254740993", "tools/list", "", "")},
		{"id an empty string", modern(`""`, "tools/list", "", "")},
		{"params of others", modern("1", "tools/list", "", `"example.com/x":1`)},
	} {
		t.Run(row.name, func(t *testing.T) {
			sink := rig.do(row.request)
			if sink.status != 200 || !strings.Contains(sink.body, `"result"`) {
				t.Errorf("%d %s", sink.status, sink.body)
			}
			if sink.get(headerSession) != "" {
				t.Error("a session id was sent")
			}
		})
	}
}

// TestGating: what a server does not offer does not exist.
func TestGating(t *testing.T) {
	methods := map[string]string{
		"tools/list": "", "tools/call": `"name":"greet"`, "prompts/list": "", "prompts/get": `"name":"review"`, "resources/list": "",
		"resources/read": `"uri":"x:y"`, "resources/templates/list": "", "completion/complete": "",
	}
	rig := newRig(t, Limits{})
	rig.h.server.Offers = core.Offers{}
	session := rig.open("2025-11-25", "{}")
	for method, params := range methods {
		name := ""
		if params != "" {
			name = strings.Trim(strings.SplitN(params, ":", 2)[1], `"`)
		}
		if sink := rig.do(modern("1", method, name, params)); sink.status != 404 || !strings.Contains(sink.body, "-32601") {
			t.Errorf("%s: %d %s", method, sink.status, sink.body)
		}
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, method, params)
		if sink := rig.do(inSession(session, body)); sink.status != 200 || !strings.Contains(sink.body, "-32601") {
			t.Errorf("%s in a session: %d %s", method, sink.status, sink.body)
		}
	}
}
