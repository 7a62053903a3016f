package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// everyRevision runs f for each revision; ask sends a request of it and returns what is
// answered, as long as no name stands twice in it.
func everyRevision(t *testing.T, prepare func(*fakeHandler), f func(t *testing.T, rev *revision, ask func(method, params string) string)) {
	t.Helper()
	for _, rev := range revisions {
		t.Run(rev.Name, func(t *testing.T) {
			rig := newRig(t, Limits{})
			prepare(rig.h)
			session := ""
			if rev.Sessions {
				session = rig.open(rev.Name, "{}")
			}
			f(t, rev, func(method, params string) string {
				t.Helper()
				var sink *fakeSink
				if rev.Sessions {
					sink = rig.do(inSession(session, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, method, params)))
				} else {
					name := ""
					if _, rest, ok := strings.Cut(params, `":"`); ok {
						name, _, _ = strings.Cut(rest, `"`)
					}
					sink = rig.do(modern("1", method, name, params))
				}
				body := sink.body
				if sink.stream != nil { // where the stream can be resumed
					body = strings.Join(sink.stream.frames, "")
				}
				if _, err := wire.DecodeObject([]byte(body)); err != nil {
					t.Errorf("%s %s: %v in %s", method, params, err, body)
				}
				return body
			})
		})
	}
}

// evil are members that nobody knows, and some that are ours to say.
func evil(ours ...string) json.RawMessage {
	dst := []byte(`{"vendor":{"big":9007199254740993,"one":1.0,"\u0061":[]}`)
	for _, name := range ours {
		dst = append(member(dst, name), `"evil"`...)
	}
	return append(dst, '}')
}

const vendor = `"vendor":{"big":9007199254740993,"one":1.0,"\u0061":[]}`

// TestUnknownMembersPass: what an upstream says that nobody knows stands in results and
// definitions of every revision, as it came; what we say of the same name wins.
func TestUnknownMembersPass(t *testing.T) {
	prepare := func(h *fakeHandler) {
		h.call = func(context.Context, *core.Call) (*core.Result, error) {
			return &core.Result{
				Content: []core.Content{core.Text("ours")}, IsError: true, Meta: json.RawMessage(`{"m":1}`),
				Extra: evil("content", "isError", "_meta"),
			}, nil
		}
		h.prompt = func(context.Context, *core.Call) (*core.Result, error) {
			return &core.Result{Messages: []core.Message{{Role: "user", Content: core.Text("ours")}}, Description: "d", Extra: evil("messages", "description")}, nil
		}
		h.read = func(context.Context, *core.Call) (*core.Result, error) {
			return &core.Result{Contents: []core.ResourceContents{{URI: "a:b", Text: "ours"}}, Extra: evil("contents")}, nil
		}
		h.tools = []*core.Tool{{Name: "greet", Description: "d", InputSchema: json.RawMessage(`{}`), Extra: evil("name", "description", "inputSchema")}}
		h.prompts = []*core.Prompt{{
			Name: "review", Extra: evil("name", "arguments"),
			Arguments: []core.PromptArgument{{Name: "a", Extra: evil("name", "required")}, {Name: "b", Extra: evil()}},
		}}
		h.resources = []*core.Resource{{URI: "a:b", Name: "n", MIMEType: "text/plain", Extra: evil("uri", "mimeType")}}
		h.templates = []*core.Resource{{URI: "a:{b}", Template: true, Name: "n", Extra: evil("uriTemplate", "name")}}
	}
	everyRevision(t, prepare, func(t *testing.T, rev *revision, ask func(method, params string) string) {
		for _, row := range []struct {
			method, params string
			times          int
		}{
			{"tools/call", `"name":"greet"`, 1},
			{"prompts/get", `"name":"review"`, 1},
			{"resources/read", `"uri":"a:b"`, 1},
			{"tools/list", "", 1},
			{"prompts/list", "", 3},
			{"resources/list", "", 1},
			{"resources/templates/list", "", 1},
		} {
			body := ask(row.method, row.params)
			if n := strings.Count(body, vendor); n != row.times || strings.Contains(body, "evil") {
				t.Errorf("%s: %d times, want %d: %s", row.method, n, row.times, body)
			}
			if rev.ResultType && !strings.Contains(body, `"resultType":"complete"`) {
				t.Errorf("%s: %s", row.method, body)
			}
		}
	})
}

// TestWrongMembersPass: what is not what the specification says stands in Extra, and passes
// where we have nothing to say of it.
func TestWrongMembersPass(t *testing.T) {
	prepare := func(h *fakeHandler) {
		h.tools = []*core.Tool{{Name: "greet", InputSchema: json.RawMessage(`{}`), Extra: json.RawMessage(`{"title":5,"icons":"none"}`)}}
	}
	everyRevision(t, prepare, func(t *testing.T, _ *revision, ask func(method, params string) string) {
		if body := ask("tools/list", ""); !strings.Contains(body, `"title":5,"icons":"none"`) {
			t.Error(body)
		}
	})
}

// TestContentsPass: the contents of a resource stay as an upstream sent them.
func TestContentsPass(t *testing.T) {
	const text = `{"uri":"a:b","text":"caf\u00e9","size":1.0,"_meta":{"n":9007199254740993}}`
	const blob = `{"blob":"AQID","vendor":null,"uri":"a:c"}`
	prepare := func(h *fakeHandler) {
		h.read = func(context.Context, *core.Call) (*core.Result, error) {
			return &core.Result{Contents: []core.ResourceContents{
				{URI: "a:b", Text: "café", Meta: json.RawMessage(`{"n":9007199254740993}`), Raw: json.RawMessage(text)},
				{URI: "a:c", Blob: []byte{1, 2, 3}, Binary: true, Raw: json.RawMessage(blob)},
			}}, nil
		}
		h.call = func(context.Context, *core.Call) (*core.Result, error) {
			return &core.Result{Content: []core.Content{core.Embedded(core.ResourceContents{URI: "a:b", Raw: json.RawMessage(text)})}}, nil
		}
	}
	everyRevision(t, prepare, func(t *testing.T, _ *revision, ask func(method, params string) string) {
		if body := ask("resources/read", `"uri":"a:b"`); !strings.Contains(body, `"contents":[`+text+`,`+blob+`]`) {
			t.Error(body)
		}
		if body := ask("tools/call", `"name":"greet"`); !strings.Contains(body, `"resource":`+text+`}`) {
			t.Error(body)
		}
	})
}

// TestErrorsPass: code, message and data of an upstream are the answer, but for codes that
// mean something else to a client of a revision with an envelope.
func TestErrorsPass(t *testing.T) {
	for _, row := range []struct {
		rpc             int
		session, modern string
	}{
		{4711, "4711", "4711"},
		{-32050, "-32050", "-32050"},
		{-32000, "-32000", "-32603"},
		{-32001, "-32001", "-32603"},
		{-32019, "-32019", "-32603"},
		{-31999, "-31999", "-31999"},
		{0, "-32603", "-32603"},
	} {
		prepare := func(h *fakeHandler) {
			fail := func(context.Context, *core.Call) (*core.Result, error) {
				return nil, &core.Error{Code: core.CodeInternal, Message: "no \"more\"", Details: json.RawMessage(`{"n":1.0}`), RPC: row.rpc}
			}
			h.call, h.prompt, h.read = fail, fail, fail
		}
		everyRevision(t, prepare, func(t *testing.T, rev *revision, ask func(method, params string) string) {
			code := row.session
			if rev.Envelope {
				code = row.modern
			}
			want := `"error":{"code":` + code + `,"message":"no \"more\"","data":{"n":1.0}}`
			for method, params := range map[string]string{
				"tools/call": `"name":"greet"`, "prompts/get": `"name":"review"`, "resources/read": `"uri":"a:b"`,
			} {
				if body := ask(method, params); !strings.Contains(body, want) {
					t.Errorf("%d, %s: %s", row.rpc, method, body)
				}
			}
		})
	}
}
