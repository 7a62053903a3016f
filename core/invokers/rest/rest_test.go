package rest

import (
	"testing"
	"unsafe"

	"github.com/sallyport/sallyport/core"
)

// What a config does with the arguments decides whether they are decoded; the
// answer must be the same either way.
func TestNeedsValues(t *testing.T) {
	for _, row := range []struct {
		config string
		needs  bool
	}{
		{`"path":"/books"`, false},
		{`"path":"/books","method":"POST","body":{"json":"whole"}`, false},
		{`"path":"/books","method":"POST","body":{"json":"remaining"}`, false},
		{`"path":"/books/{id}","query":{"q":"q","deep":{"from":"/o/a"}}`, false},
		{`"path":"/books","query":{"a":"q","b":"q","c":"q","d":"q"}`, true},
		{`"path":"/books","query":{"a":{"expr":"q"}}`, true},
		{`"path":"/books","guards":[{"expr":"id > 1"}]`, true},
		{`"path":"/books/{id}","response":{"select":"{id}"}`, false},
		{`"path":"/books/{id}","response":{"select":"{id: $arguments.id}"}`, true},
		{`"path":"/books/{id}","response":{"errors":{"select":"$arguments.id"}}`, true},
		{`"path":"/books","pagination":{"by":"page","query":"p","items":"$arguments.q"}`, true},
		{`"path":"/books","pagination":{"by":"page","query":"p","more":"false","pages":"id"}`, false},
	} {
		var seen []core.Request
		v := build(t, canned(func(r *core.Request) (*core.Response, error) {
			seen = append(seen, *r)
			return &core.Response{Status: 200, Header: []core.Field{{Name: "Content-Type", Value: jsonType}}, Body: []byte(`[]`)}, nil
		}), `{"connection":"shop",`+row.config+`}`)
		if got := v.NeedsValues(); got != row.needs {
			t.Errorf("%s: needs values %v, want %v", row.config, got, row.needs)
		}
		for _, arguments := range []string{
			`{"id":2,"q":"a/b&c","o":{"a":[1,"x"]},"not named":null}`,
			` { "\u0069d" : 3 , "q" : "\u00e9\n" } `,
		} {
			seen = nil
			with := request(t, arguments)
			first, errFirst := v.Invoke(t.Context(), with)
			for _, checked := range []bool{true, false} {
				without := *with
				without.Values, without.Checked = nil, checked
				second, errSecond := v.Invoke(t.Context(), &without)
				if (errFirst == nil) != (errSecond == nil) || errFirst == nil && first.Content[0].Text != second.Content[0].Text {
					t.Errorf("%s, %s: %v (%v), and with values %v (%v)", row.config, arguments, second, errSecond, first, errFirst)
				}
			}
			for _, one := range seen[1:] {
				if one.Path != seen[0].Path || one.Query != seen[0].Query || string(one.Body) != string(seen[0].Body) {
					t.Errorf("%s, %s: %+v, and with values %+v", row.config, arguments, one, seen[0])
				}
			}
		}
	}
}

// An invoker that is given neither values nor checked arguments checks them itself.
func TestUncheckedArguments(t *testing.T) {
	sent := false
	v := build(t, canned(func(*core.Request) (*core.Response, error) {
		sent = true
		return &core.Response{Status: 204}, nil
	}), `{"connection":"shop","path":"/books","method":"POST","body":{"json":"whole"}}`)
	for _, arguments := range []string{`{"a":1,"a":2}`, `{"a":1`, `[]`, `{} {}`, "{\"a\":\"\xff\"}"} {
		call := &core.Call{For: core.Object{Kind: "tool"}, Arguments: []byte(arguments)}
		if _, err := v.Invoke(t.Context(), call); err == nil || core.AsError(err).Code != core.CodeInvalid || sent {
			t.Errorf("%s: %v; sent: %v", arguments, err, sent)
		}
	}
}

// A JSON answer is not copied: text and structured content are the body itself.
func TestAnswerIsShared(t *testing.T) {
	body := []byte(`{"id":42}`)
	v := build(t, canned(func(*core.Request) (*core.Response, error) {
		return &core.Response{Status: 200, Header: []core.Field{{Name: "Content-Type", Value: jsonType}}, Body: body}, nil
	}), `{"connection":"shop","path":"/books"}`)
	result := invoke(t, v, `{}`)
	if unsafe.StringData(result.Content[0].Text) != &body[0] || &result.Structured[0] != &body[0] {
		t.Error("the answer was copied")
	}
}

func TestInvokeAllocatesLittle(t *testing.T) {
	response := &core.Response{Status: 200, Header: []core.Field{{Name: "Content-Type", Value: jsonType}}, Body: []byte(`{"id":42,"title":"x"}`)}
	const most = 4 // 1 and 2; the pools of package wire are leaky under the race detector
	for _, config := range []string{`"path":"/books","method":"POST","body":{"json":"whole"}`, `"path":"/books/{id}"`} {
		v := build(t, canned(func(*core.Request) (*core.Response, error) { return response, nil }), `{"connection":"shop",`+config+`}`)
		call := &core.Call{For: core.Object{Kind: "tool"}, Arguments: []byte(`{"id":42,"title":"x"}`), Checked: true}
		got := testing.AllocsPerRun(200, func() {
			if _, err := v.Invoke(t.Context(), call); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("%s: %v allocations, want at most %d", config, got, most)
		}
	}
}
