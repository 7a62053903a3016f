package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// everywhere places one argument in every place at once.
const everywhere = `{"connection":"shop","method":"POST","path":"/v1/{p}/end",
	"query":{"q":"x","list":{"from":"list","explode":false}},
	"header":{"X-A":"h","X-B":{"value":"b"}},
	"cookie":{"c":"x"},
	"body":{"json":{"title":"x","in":[{"deep":{"from":"x"}}],"kind":{"value":"order"}}}}`

// canary of template languages, injections and odd bytes.
var canaries = []string{
	"{{.}}", "{{env \"HOME\"}}", "${env:HOME}", "${file:/etc/passwd}", "{x}", "{p}", "<%= 7*7 %>", "#{7*7}", "%s%n", "$(id)", "`id`",
	`x","admin":true,"y":"`, "../../admin?x=", "..%2f..%2fadmin", "..", ".", "a/b", `a\b`, "a\r\nX-Evil: 1", "a\x00b", "; admin=1", "a&b=c#d", "", " ", "\t",
	"é日本", "%", "%2", "%zz", "\u2028", "\U0001F4DA", "+", "a;b", "a,b", "'; drop table books; --", "\x7f",
}

func anyText(t *rapid.T, label string) string {
	if rapid.Bool().Draw(t, label+" is a canary") {
		return rapid.SampledFrom(canaries).Draw(t, label)
	}
	return strings.ToValidUTF8(rapid.String().Draw(t, label), "")
}

// sound tells what is wrong with the request that a call makes; nil when it is as
// configured, or the call was refused.
func sound(v *Invoker, path, header, text string, list []string) error {
	values := map[string]any{"p": path, "h": header, "x": text}
	elements := []any{}
	for _, element := range list {
		elements = append(elements, element)
	}
	values["list"] = elements
	arguments, err := wire.Marshal(values)
	if err != nil {
		return err
	}
	request, err := v.request(&core.Call{Arguments: arguments, Values: values})
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			return err
		}
		clean := path != "" && !strings.Contains(path, ".") && !strings.ContainsFunc(header, func(r rune) bool { return r < 0x20 || r == 0x7F })
		if clean {
			return fmt.Errorf("refused without reason: %w", err)
		}
		return nil
	}
	segments := strings.Split(request.Path, "/")
	if len(segments) != 4 || segments[1] != "v1" || segments[3] != "end" {
		return fmt.Errorf("the path has other segments: %s", request.Path)
	}
	if strings.ContainsAny(request.Path, "?#\\ ") {
		return fmt.Errorf("the path is open: %s", request.Path)
	}
	plain, err := url.PathUnescape(segments[2])
	if err != nil || plain != path || plain == "." || plain == ".." {
		return fmt.Errorf("the segment is %q, want %q (%w)", plain, path, err)
	}
	query, err := url.ParseQuery(request.Query)
	if err != nil {
		return err
	}
	want := url.Values{"q": {text}}
	if len(list) > 0 {
		want["list"] = []string{strings.Join(list, ",")}
	}
	if !reflect.DeepEqual(query, want) {
		return fmt.Errorf("the query is %v, want %v", query, want)
	}
	names := []string{}
	for _, field := range request.Header {
		names = append(names, field.Name)
		if strings.ContainsAny(field.Value, "\r\n\x00") {
			return fmt.Errorf("the header %s holds %q", field.Name, field.Value)
		}
		if field.Name == "X-A" && field.Value != strings.Trim(header, " \t") {
			return fmt.Errorf("X-A is %q, want %q", field.Value, header)
		}
		if name, value, _ := strings.Cut(field.Value, "="); field.Name == "Cookie" {
			if plain, err := url.PathUnescape(value); err != nil || name != "c" || plain != text || strings.ContainsAny(value, ";, \"\\") {
				return fmt.Errorf("the cookie is %q", field.Value)
			}
		}
	}
	slices.Sort(names)
	if strings.Join(names, " ") != "Accept Content-Type Cookie X-A X-B" {
		return fmt.Errorf("the headers are %v", names)
	}
	body, err := wire.Decode(request.Body)
	if err != nil {
		return fmt.Errorf("body %s: %w", request.Body, err)
	}
	shape := map[string]any{"title": text, "in": []any{map[string]any{"deep": text}}, "kind": "order"}
	if !reflect.DeepEqual(body, shape) {
		return fmt.Errorf("the body is %s", request.Body)
	}
	return nil
}

// security.md T3, T4: whatever stands in the arguments, the request keeps its shape.
func TestRequestKeepsItsShape(t *testing.T) {
	v := build(t, canned(nil), everywhere)
	rapid.Check(t, func(t *rapid.T) {
		path, header, text := anyText(t, "path"), anyText(t, "header"), anyText(t, "text")
		list := rapid.SliceOfN(rapid.Just("a"), 0, 3).Draw(t, "list")
		if err := sound(v, path, header, text, list); err != nil {
			t.Fatal(err)
		}
	})
	for _, canary := range canaries {
		if err := sound(v, "id", "h", canary, nil); err != nil {
			t.Errorf("%q: %v", canary, err)
		}
		if err := sound(v, canary, canary, canary, nil); err != nil {
			t.Errorf("%q everywhere: %v", canary, err)
		}
	}
}

// The test of the test: with an escape switched off the property breaks.
func TestShapeTestSeesABrokenEscape(t *testing.T) {
	for name, breaks := range map[string]func(*Invoker){
		"path":   func(v *Invoker) { v.path[0].pieces[0].place.keep = verbatim },
		"query":  func(v *Invoker) { v.query[0].place.keep = verbatim },
		"cookie": func(v *Invoker) { v.headers.cookies[0].place.keep = verbatim },
		"body": func(v *Invoker) {
			tree := v.content.(*treeBody)
			tree.root.children[0] = node{literal: []byte(`"x","admin":true`)}
		},
		"headers": func(v *Invoker) {
			v.headers.fixed = append(v.headers.fixed, core.Field{Name: "X-Evil", Value: "1"})
		},
	} {
		v := build(t, canned(nil), everywhere)
		breaks(v)
		seen := false
		for _, canary := range canaries {
			seen = seen || sound(v, "a"+canary, "h", canary, nil) != nil
		}
		if !seen {
			t.Errorf("the property does not see that the %s is not escaped", name)
		}
	}
}

// A JSON body of all arguments is what the client sent, number for number.
func TestBodiesKeepValues(t *testing.T) {
	v := build(t, canned(nil), `{"connection":"shop","method":"POST","path":"/b","body":{"json":{"all":{"from":"v"}}}}`)
	var value *rapid.Generator[any]
	value = rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return value }), 0, 3).Draw(t, "list")
		case 1:
			return rapid.MapOfN(rapid.StringMatching(`[a-z"\\/<é]{0,6}`), rapid.Deferred(func() *rapid.Generator[any] { return value }), 0, 3).Draw(t, "object")
		case 2:
			return json.Number(rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number"))
		case 3:
			return rapid.Bool().Draw(t, "boolean")
		}
		return strings.ToValidUTF8(rapid.String().Draw(t, "text"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		want := value.Draw(t, "value")
		call := &core.Call{Values: map[string]any{"v": want}}
		request, err := v.request(call)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.DecodeObject(request.Body)
		if err != nil || !reflect.DeepEqual(got["all"], want) {
			t.Fatalf("%s (%v), want %v", request.Body, err, want)
		}
	})
}

// FuzzConfig: no config ends the process, and what compiles makes sound requests.
func FuzzConfig(f *testing.F) {
	for _, path := range []string{"/books/{id}", "/a b/{a}{b}.json", "/{", "/}", "/%2e%2e/x", "/{a}/../", "", "/é/%zz"} {
		f.Add(path, `{"q":"id","t":{"from":"id","style":"deepObject"}}`, `{"X-A":"id"}`, `a/../b`)
	}
	f.Add("/b", `["id"]`, `{"X-A":{"expr":"id + 'x'"}}`, "\r\n")
	env := canned(nil)
	f.Fuzz(func(t *testing.T, path, query, header, argument string) {
		quoted, err := json.Marshal(path)
		if err != nil || wire.Check([]byte(query), wire.Default) != nil || wire.Check([]byte(header), wire.Default) != nil {
			return
		}
		v, err := New(context.Background(), json.RawMessage(`{"connection":"shop","path":`+string(quoted)+`,"query":`+query+`,"header":`+header+`}`), env)
		if v == nil {
			var problems core.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("refused without a problem: %v", err)
			}
			return
		}
		argument = strings.ToValidUTF8(argument, "")
		values := map[string]any{"id": argument, "a": argument, "b": map[string]any{argument: argument}}
		arguments, _ := wire.Marshal(values)
		made, err := v.request(&core.Call{Arguments: arguments, Values: values})
		if err != nil {
			if strings.HasPrefix(err.Error(), "without values") {
				t.Fatal(err)
			}
			return
		}
		if got, want := strings.Count(made.Path, "/"), strings.Count(path, "/"); got != want && !strings.ContainsAny(path, "{}") {
			t.Fatalf("%q became %q: %d segments", path, made.Path, got)
		}
		if !strings.HasPrefix(made.Path, "/") || strings.ContainsAny(made.Path, "?# \r\n") || strings.ContainsAny(made.Query, "# \r\n") {
			t.Fatalf("%q and %s became %q?%q", path, query, made.Path, made.Query)
		}
		for _, segment := range strings.Split(made.Path, "/") {
			if plain, err := url.PathUnescape(segment); err == nil && (plain == "." || plain == "..") {
				t.Fatalf("%q became %q", path, made.Path)
			}
		}
		for _, field := range made.Header {
			if !token(field.Name) || !fieldText(field.Value) {
				t.Fatalf("the header %q: %q", field.Name, field.Value)
			}
		}
	})
}
