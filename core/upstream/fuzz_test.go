package upstream

import (
	"encoding/json"
	"testing"

	"github.com/sallyport/sallyport/core/wire"
)

// Whatever an upstream says is read, or refused; and what is read is JSON that can be
// sent on.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}],"structuredContent":1.0,"isError":true,"_meta":{"a":1},"v":2}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}},"requestState":"s"}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"messages":[{"role":"user","content":{"type":"text"}}],"contents":[{"uri":"u","blob":"AQ=="},{"uri":"v","text":""}]}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","url":"u"}]}}}`,
		`{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"tools":[]}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`,
		`[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":null,"error":{"code":1e9,"message":1}}]`,
		`{"tools":[{"name":"a","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}],"nextCursor":"","ttlMs":-1}`,
	} {
		f.Add([]byte(seed))
	}
	limits := Limits{}.orDefault()
	f.Fuzz(func(t *testing.T, b []byte) {
		if accept(b, &limits) != nil {
			return
		}
		valid := func(raw json.RawMessage) {
			if len(raw) > 0 && !json.Valid(raw) {
				t.Errorf("%q became %q", b, raw)
			}
		}
		read := func(b []byte) {
			m, wrong := parse(b)
			if wrong != nil {
				return
			}
			if m.answer() == (m.result == nil && m.fail == nil) {
				t.Errorf("%q is neither question nor answer", b)
			}
			if m.result == nil {
				if m.fail != nil {
					urlRequests(m.fail.data)
				}
				needOf(m.method, m.params)
				return
			}
			for _, method := range []string{"tools/call", "prompts/get", "resources/read"} {
				out, err := readResult(m.result, method)
				if err != nil {
					continue
				}
				valid(out.Meta)
				valid(out.Extra)
				valid(out.Structured)
				for i := range out.Content {
					valid(out.Content[i].Raw)
				}
				for i := range out.InputRequests {
					valid(out.InputRequests[i].Params)
				}
			}
			_, _ = readCompletion(m.result)
			_, _ = hint(m.result)
		}
		if wire.IsArray(b) {
			_ = wire.WalkElements(b, func(v json.RawMessage) error {
				read(v)
				return nil
			})
		} else {
			read(b)
		}
		_, _ = headersOf(b)
		valid(modernCapabilities(nil, b))
		_ = abilitiesOf(b)
	})
}

func TestHeaderValue(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", "a b": "a b", " a": "=?base64?IGE=?=", "a ": "=?base64?YSA=?=", "é": "=?base64?w6k=?=",
		"a\tb": "=?base64?YQli?=", "a\nb": "=?base64?YQpi?=", "=?base64?x?=": "=?base64?PT9iYXNlNjQ/eD89?=", "=?base64?x": "=?base64?x",
	} {
		if got := headerValue(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestScalar(t *testing.T) {
	for _, tt := range []struct {
		in   any
		want string
		ok   bool
	}{
		{"s", "s", true},
		{true, "true", true},
		{json.Number("42"), "42", true},
		{json.Number("-7"), "-7", true},
		{json.Number("1.0"), "1", true},
		{json.Number("1e2"), "100", true},
		{json.Number("1.5"), "", false},
		{json.Number("9007199254740991"), "9007199254740991", true},
		{json.Number("9007199254740992"), "9007199254740992", false},
		{json.Number("1e400"), "", false},
		{nil, "", false},
		{map[string]any{}, "", false},
	} {
		if got, ok := scalar(tt.in); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%v: %q %v", tt.in, got, ok)
		}
	}
}

func TestOwnMeta(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1}`,
		`{"io.modelcontextprotocol/serverInfo":{}}`:         ``,
		`{"io.modelcontextprotocol/serverInfo":{},"b":1.0}`: `{"b":1.0}`,
		`[]`: ``,
	} {
		if got := ownMeta(json.RawMessage(in)); string(got) != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
