package gateway

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestURITemplate(t *testing.T) {
	cases := []struct {
		template, uri string
		want          map[string]string // nil = no match
	}{
		{"books://{id}", "books://7", map[string]string{"id": "7"}},
		{"books://{id}", "books://", nil},
		{"books://{id}", "books://7/x", nil},
		{"books://{id}", "books://7?x", nil},
		{"books://{id}", "books://7#x", nil},
		{"books://{id}", "Books://7", nil},
		{"books://{id}", "xbooks://7", nil},
		{"books://{id}", "books://a%20b", map[string]string{"id": "a b"}},
		{"books://{id}", "books://a%2Fb", map[string]string{"id": "a/b"}},
		{"books://{id}", "books://a%252Fb", map[string]string{"id": "a%2Fb"}}, // decoded once
		{"books://{id}", "books://a%2", nil},
		{"books://{id}", "books://a%00b", nil},
		{"books://{id}", "books://a%ff", nil},
		{"books://{id}", "books://a\nb", nil},
		{"books://{id}", "books://%E6%97%A5", map[string]string{"id": "日"}},
		{"books://{a}/x/{b}", "books://1/x/2", map[string]string{"a": "1", "b": "2"}},
		{"books://{a}/x/{b}", "books://1/y/2", nil},
		{"books://{a}-{b}", "books://1-2-3", map[string]string{"a": "1-2", "b": "3"}},
		{"files://{+path}", "files://a/b/c.txt", map[string]string{"path": "a/b/c.txt"}},
		{"files://{+path}", "files://", nil},
		{"files://{+path}?v={v}", "files://a/b?v=2", map[string]string{"path": "a/b", "v": "2"}},
		{"test://template/{id}/data", "test://template/123/data", map[string]string{"id": "123"}},
		{"a.b+c://x.y/{id}", "a.b+c://xzy/1", nil}, // the dot is a dot
		{"books://{id}", "books://" + strings.Repeat("a", uriLimit), nil},
	}
	for _, one := range cases {
		parsed, f := parseURITemplate(one.template)
		if f != nil {
			t.Errorf("%s: %+v", one.template, f)
			continue
		}
		got, ok := parsed.variables(one.uri)
		if ok != (one.want != nil) || !maps.Equal(got, one.want) {
			t.Errorf("%s with %.60q: %v %v", one.template, one.uri, got, ok)
		}
	}
}

func FuzzURITemplate(f *testing.F) {
	for _, seed := range [][2]string{
		{"books://{id}", "books://7"},
		{"files://{+path}?v={v}", "files://a/b?v=2"},
		{"a:{b}", "a:%2e%2e"},
		{"a:{", "a"},
		{"x://{a}{b}", "x://1"},
		{"x://[({a})]", "x://[(1)]"},
		{"x:{a}.*", "x:1.*"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, template, uri string) {
		parsed, wrong := parseURITemplate(template)
		if wrong != nil {
			if wrong.message == "" || wrong.fix == "" {
				t.Errorf("%q: no message", template)
			}
			return
		}
		values, ok := parsed.variables(uri)
		if !ok {
			return
		}
		if len(values) != len(parsed.names) {
			t.Fatalf("%q with %q: %v", template, uri, values)
		}
		// What was matched, put back in, is a URI that says the same.
		again := template
		for name, value := range values {
			if value == "" || !utf8.ValidString(value) || hasControl(value) {
				t.Errorf("%q with %q: %s is %q", template, uri, name, value)
			}
			again = strings.ReplaceAll(again, "{"+name+"}", url.PathEscape(value))
			again = strings.ReplaceAll(again, "{+"+name+"}", url.PathEscape(value))
		}
		if _, ok := parsed.variables(again); !ok {
			t.Errorf("%q with %q gives %v, and not back from %q", template, uri, values, again)
		}
	})
}

func TestPlaces(t *testing.T) {
	cases := []struct{ text, want string }{
		{"hello", "hello"},
		{"hello {{name}}", "hello {{x}}"},
		{"{{ name }}{{name}}", "{{x}}{{x}}"},
		{`\{{name}} {{name}}`, "{{name}} {{x}}"},
		{"{name} {", "{name} {"},
		{"{{absent}}|", "|"},
		{"", ""},
		{"{{name}} }}", "{{x}} }}"},
	}
	for _, one := range cases {
		p, f := cutPlaces(one.text)
		if f != nil {
			t.Errorf("%q: %+v", one.text, f)
			continue
		}
		// The argument looks like a place, and stays as it is.
		if got := p.render(map[string]any{"name": "{{x}}", "x": "bad"}); got != one.want {
			t.Errorf("%q: %q, want %q", one.text, got, one.want)
		}
	}
	for _, bad := range []string{"{{", "{{a", "{{}}", "{{ }}", "{{a b}}", "{{a|b}}", "{{{{a}}}}"} {
		if _, f := cutPlaces(bad); f == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzPlaces(f *testing.F) {
	for _, seed := range []string{"hello {{name}}", `\{{`, "{{a}}{{b}}", "{{", "}}", `\\{{a}}`} {
		f.Add(seed, "{{a}}")
	}
	f.Fuzz(func(t *testing.T, text, argument string) {
		p, wrong := cutPlaces(text)
		if wrong != nil {
			return
		}
		values := map[string]any{}
		for _, name := range p.names() {
			values[name] = argument
		}
		got := p.render(values)
		fixed, places := 0, 0
		for _, one := range p.pieces {
			if one.name == "" {
				fixed += len(one.text)
			} else {
				places++
			}
		}
		if len(got) != fixed+places*len(argument) {
			t.Errorf("%q with %q: %q", text, argument, got)
		}
	})
}
