package plugins

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
)

func TestInvoke(t *testing.T) {
	h := newHost(t, nil)
	p := single(t, h, echo(t), nil)
	r, err := invokerOf(t, p, "echo").Invoke(t.Context(), call(`{"content":[{"type":"text","text":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Content) != 1 || r.Content[0].Text != "hi" || r.IsError {
		t.Errorf("got %+v", r)
	}
}

func TestInvokerAnswers(t *testing.T) {
	tests := []struct {
		name   string
		status abi.Status
		said   string
		text   string    // of the one block
		failed bool      // IsError
		code   core.Code // of the error; "" = none
		words  string    // in the error
	}{
		{"a result", abi.OK, `{"content":[{"type":"text","text":"a"}]}`, "a", false, "", ""},
		{"a result that failed", abi.OK, `{"content":[{"type":"text","text":"a"}],"isError":true}`, "a", true, "", ""},
		{"a tool error", abi.ToolError, "no such city", "no such city", true, "", ""},
		{"a tool error that says nothing", abi.ToolError, "", "The tool failed and did not say why.", true, "", ""},
		{"a tool error as a result", abi.ToolError, `{"content":[{"type":"text","text":"b"}]}`, "b", true, "", ""},
		{"a tool error that only looks like a result", abi.ToolError, `{oops`, "{oops", true, "", ""},
		{"a tool error that is not UTF-8", abi.ToolError, "a\xff", "a\uFFFD", true, "", ""},
		{"wrong arguments", abi.InvalidArgs, "city is missing", "", false, core.CodeInvalid, "city is missing"},
		{"an unknown tool", abi.UnknownTool, "", "", false, core.CodeNotFound, "unknown tool"},
		{"a refusal", abi.Denied, "not you", "", false, core.CodeDenied, "not you"},
		{"not now", abi.Unavailable, "later", "", false, core.CodeUnavailable, "later"},
		{"a fault", abi.Internal, "secret detail", "", false, core.CodeInternal, "internal error"},
		{"unchanged", abi.Unchanged, "", "", false, core.CodeInternal, "unchanged"},
		{"nothing", abi.OK, "", "", false, core.CodeInternal, "no CallToolResult"},
		{"no result", abi.OK, "hello", "", false, core.CodeInternal, "no CallToolResult"},
		{"a status that nobody knows", 99, "x", "", false, core.CodeInternal, "internal error"},
	}
	h := newHost(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := single(t, h, says(t, core.PluginInvoker, test.status, test.said), nil)
			r, err := invokerOf(t, p, "echo").Invoke(t.Context(), call("{}"))
			if test.code != "" {
				e := core.AsError(err)
				if err == nil || e.Code != test.code || !strings.Contains(e.Public(), test.words) {
					t.Fatalf("got %v, want %s with %q", err, test.code, test.words)
				}
				if strings.Contains(e.Public(), "secret detail") {
					t.Errorf("the caller reads what is for the log: %s", e.Public())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Content) != 1 || r.Content[0].Text != test.text || r.IsError != test.failed {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// text answers every tool call with a mime and the bytes.
func text(mime, said string) []byte {
	frame := abi.AppendOut(nil, abi.OK, []abi.Pair{{Key: abi.MetaMime, Value: mime}}, []byte(said))
	m := guests.New()
	m.Data(64, string(frame))
	return m.Export(abi.ToolCall, m.Func("ii", "l", "",
		guests.Const64(int64(abi.Pack(64, uint32(len(frame))))))).Bytes()
}

func TestInvokerText(t *testing.T) {
	tests := []struct{ mime, said, text, words string }{
		{"text/plain", "Grüße", "Grüße", ""},
		{"TEXT/Markdown; charset=utf-8", "# a", "# a", ""},
		{"text/plain", "", "", ""},
		{"text/plain", "a\xff", "", "not UTF-8"},
		{"application/json", `{"content":[{"type":"text","text":"c"}]}`, "c", ""},
	}
	h := newHost(t, nil)
	for _, test := range tests {
		p := single(t, h, carrying(t, text(test.mime, test.said), yaml("invoker", oneTool)), nil)
		r, err := invokerOf(t, p, "echo").Invoke(t.Context(), call("{}"))
		if test.words != "" {
			if err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%s %q: got %v", test.mime, test.said, err)
			}
			continue
		}
		if err != nil || len(r.Content) != 1 || r.Content[0].Text != test.text {
			t.Errorf("%s %q: got %+v, %v", test.mime, test.said, r, err)
		}
	}
}
