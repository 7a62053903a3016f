package wire

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestWalkElements(t *testing.T) {
	tests := map[string][]string{
		`[]`:                                    nil,
		" [ ] ":                                 nil,
		`[1]`:                                   {`1`},
		"[ 1 ,\n{\"a\":[2,\"]\"]} , \"\\\"\" ]": {`1`, `{"a":[2,"]"]}`, `"\""`},
		`[[],null,true]`:                        {`[]`, `null`, `true`},
	}
	for in, want := range tests {
		var got, slow []string
		err := WalkElements([]byte(in), func(v json.RawMessage) error { got = append(got, string(v)); return nil })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q %v, want %q", in, got, err, want)
		}
		if err := Elements([]byte(in), func(v json.RawMessage) error { slow = append(slow, string(v)); return nil }); err != nil || !slices.Equal(slow, want) {
			t.Errorf("%s: Elements gives %q %v", in, slow, err)
		}
	}
	for _, in := range []string{``, ` `, `{}`, `[`, `[1`, `[1,`, `[,1]`, `[1 2]`, `["a`, `[{]`} {
		var syntax *SyntaxError
		if err := WalkElements([]byte(in), func(json.RawMessage) error { return nil }); !errors.As(err, &syntax) {
			t.Errorf("%q: %v", in, err)
		}
	}
	stop := errors.New("stop")
	if err := WalkElements([]byte(`[1,2]`), func(json.RawMessage) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of f became %v", err)
	}
}

func TestAppendUnquoted(t *testing.T) {
	for _, s := range []string{"", "a", "\"\\/\b\f\n\r\t\x00", "Ωλ𝄞", "</script>"} {
		if got := string(AppendUnquoted([]byte("x"), AppendString(nil, s))); got != "x"+s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got := AppendUnquoted(nil, []byte(`"`)); len(got) != 0 {
		t.Errorf("half a string became %q", got)
	}
	if got := string(AppendUnquoted(nil, []byte(`"\/\ud834\udd1e"`))); got != "/𝄞" {
		t.Errorf("got %q", got)
	}
}
