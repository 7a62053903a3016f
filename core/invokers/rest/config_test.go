package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/core"
)

var compiled = func() *jsonschema.Schema {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("rest.json", document); err != nil {
		panic(err)
	}
	return compiler.MustCompile("rest.json")
}()

// valid holds the schema and the reader together: what New takes, the schema takes.
func valid(t *testing.T, config string) {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(instance); err != nil {
		t.Errorf("the schema refuses %s:\n%v", config, err)
	}
}

func TestExampleWorks(t *testing.T) {
	var value any
	if err := yaml.Unmarshal([]byte(example), &value); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, string(config))
	env := canned(func(r *core.Request) (*core.Response, error) {
		if r.Path != "/books" || r.Query != "limit=10&q=go&tag=a&tag=b" {
			t.Errorf("asked for %s?%s", r.Path, r.Query)
		}
		return &core.Response{Status: 200, Header: []core.Field{{Name: "content-type", Value: "application/json"}}, Body: []byte(`{"books":[{"id":1,"title":"T","price":2.50,"x":0}]}`)}, nil
	})
	env.Declares.InputSchema = json.RawMessage(`{"type":"object","properties":{"query":{},"tags":{},"limit":{}}}`)
	v, err := New(context.Background(), config, env)
	if err != nil {
		t.Fatal(err)
	}
	if result := invoke(t, v, `{"query":"go","tags":["a","b"]}`); string(result.Structured) != `[{"id":1,"price":2.50,"title":"T"}]` {
		t.Errorf("got %s", result.Structured)
	}
}

func TestEveryPropertyIsDescribed(t *testing.T) {
	var document any
	if err := json.Unmarshal(schema, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		object, ok := value.(map[string]any)
		if !ok {
			return
		}
		properties, _ := object["properties"].(map[string]any)
		for name, property := range properties {
			p := property.(map[string]any)
			_, described := p["description"]
			_, refers := p["$ref"]
			_, constant := p["const"]
			_, listed := p["enum"]
			if !described && !refers && !constant && !listed {
				t.Errorf("%s/%s has no description", path, name)
			}
		}
		if object["type"] == "object" {
			if _, says := object["additionalProperties"]; !says {
				t.Errorf("%s does not say what other properties may be", path)
			}
		}
		for name, child := range object {
			walk(path+"/"+name, child)
			if list, ok := child.([]any); ok {
				for _, element := range list {
					walk(path+"/"+name, element)
				}
			}
		}
	}
	walk("", document)
}

// Each row has one mistake; the problem stands at its place and says what is right.
func TestConfigMistakes(t *testing.T) {
	for _, row := range []struct{ name, config, path, want string }{
		{"no connection", `{"path":"/b"}`, "", "the connection is missing"},
		{"unknown connection", `{"connection":"shpo","path":"/b"}`, "/connection", `did you mean "shop"?`},
		{"unknown key", `{"connection":"shop","path":"/b","quary":{}}`, "/quary", `did you mean "query"?`},
		{"no path", `{"connection":"shop"}`, "", "the path is missing"},
		{"relative path", `{"connection":"shop","path":"b"}`, "/path", "does not begin with /"},
		{"absolute URL", `{"connection":"shop","path":"http://evil/b"}`, "/path", "does not begin with /"},
		{"query in path", `{"connection":"shop","path":"/b?x=1"}`, "/path", "holds a query"},
		{"fragment in path", `{"connection":"shop","path":"/b#x"}`, "/path", "fragment"},
		{"empty segment", `{"connection":"shop","path":"/b//c"}`, "/path", "empty segment"},
		{"dot segment", `{"connection":"shop","path":"/b/../c"}`, "/path", "dot segment"},
		{"escaped dot segment", `{"connection":"shop","path":"/b/%2e%2E/c"}`, "/path", "dot segment"},
		{"open brace", `{"connection":"shop","path":"/b/{id"}`, "/path", "without its }"},
		{"closed brace", `{"connection":"shop","path":"/b/id}"}`, "/path", "without its }"},
		{"two braces", `{"connection":"shop","path":"/b/{{id}}"}`, "/path", "without its }"},
		{"empty braces", `{"connection":"shop","path":"/b/{}"}`, "/path", "empty {}"},
		{"path argument", `{"connection":"shop","path":"/b/{idd}"}`, "/path", `did you mean "id"?`},
		{"parameter not in path", `{"connection":"shop","path":"/b","parameters":{"id":{"from":"id"}}}`, "/parameters/id", "the path has no {id}"},
		{"bad method", `{"connection":"shop","path":"/b","method":"get"}`, "/method", `did you mean "GET"?`},
		{"query argument", `{"connection":"shop","path":"/b","query":{"q":"querry"}}`, "/query/q", `did you mean "query"?`},
		{"query argument in object", `{"connection":"shop","path":"/b","query":{"a/b":{"from":"querry"}}}`, "/query/a~1b/from", `did you mean "query"?`},
		{"query list argument", `{"connection":"shop","path":"/b","query":["id","querry"]}`, "/query/1", `did you mean "query"?`},
		{"two sources", `{"connection":"shop","path":"/b","query":{"q":{"from":"query","value":1}}}`, "/query/q", "comes from 2 places"},
		{"no source", `{"connection":"shop","path":"/b","query":{"q":{}}}`, "/query/q", "comes from 0 places"},
		{"bad style", `{"connection":"shop","path":"/b","query":{"q":{"from":"query","style":"matrix"}}}`, "/query/q/style", "known are form"},
		{"deep without explode", `{"connection":"shop","path":"/b","query":{"q":{"from":"query","style":"deepObject","explode":false}}}`, "/query/q/explode", "only one form"},
		{"bad expr", `{"connection":"shop","path":"/b","query":{"q":{"expr":"limit *"}}}`, "/query/q/expr", "column 7"},
		{"expr argument", `{"connection":"shop","path":"/b","query":{"q":{"expr":"1 + limt"}}}`, "/query/q/expr", `did you mean "limit"?`},
		{"constant nested", `{"connection":"shop","path":"/b","query":{"q":{"value":[[1]]}}}`, "/query/q", "within an array"},
		{"header name", `{"connection":"shop","path":"/b","header":{"X A":"query"}}`, "/header/X A", "not the name of a header"},
		{"header authorization", `{"connection":"shop","path":"/b","header":{"Authorization":"query"}}`, "/header/Authorization", "credential of the upstream in the connection"},
		{"header host", `{"connection":"shop","path":"/b","header":{"HOST":{"value":"x"}}}`, "/header/HOST", "host always comes from the connection"},
		{"header forwarded", `{"connection":"shop","path":"/b","header":{"X-Forwarded-For":{"value":"x"}}}`, "/header/X-Forwarded-For", "cannot be set here"},
		{"header mcp", `{"connection":"shop","path":"/b","header":{"Mcp-Session-Id":{"value":"x"}}}`, "/header/Mcp-Session-Id", "cannot be set here"},
		{"header content type", `{"connection":"shop","path":"/b","header":{"content-type":{"value":"x"}}}`, "/header/content-type", "contentType of body"},
		{"header twice", `{"connection":"shop","path":"/b","header":{"X-A":"query","x-a":"query"}}`, "/header/x-a", "set twice"},
		{"header constant", `{"connection":"shop","path":"/b","header":{"X-A":{"value":"a\nb"}}}`, "/header/X-A", "cannot be the value of a header"},
		{"client authorization", `{"connection":"shop","path":"/b","header":{"X-A":{"client":"authorization"}}}`, "/header/X-A/client", "never goes upstream"},
		{"client cookie", `{"connection":"shop","path":"/b","header":{"X-A":{"client":"Cookie"}}}`, "/header/X-A/client", "never goes upstream"},
		{"client session", `{"connection":"shop","path":"/b","header":{"X-A":{"client":"mcp-session-id"}}}`, "/header/X-A/client", "never goes upstream"},
		{"client in query", `{"connection":"shop","path":"/b","query":{"a":{"client":"X-A"}}}`, "/query/a/client", `there is no "client" here`},
		{"cookie name", `{"connection":"shop","path":"/b","cookie":{"a;b":"query"}}`, "/cookie/a;b", "not the name of a cookie"},
		{"body with GET", `{"connection":"shop","path":"/b","body":{"json":"whole"}}`, "/body", "GET carries no body"},
		{"two bodies", `{"connection":"shop","path":"/b","method":"POST","body":{"json":"whole","raw":"query"}}`, "/body", "declared 2 times"},
		{"empty body", `{"connection":"shop","path":"/b","method":"POST","body":{}}`, "/body", "declared 0 times"},
		{"json word", `{"connection":"shop","path":"/b","method":"POST","body":{"json":"all"}}`, "/body/json", "write whole"},
		{"tree argument", `{"connection":"shop","path":"/b","method":"POST","body":{"json":{"a":[{"b":{"from":"querry"}}]}}}`, "/body/json/a/0/b/from", `did you mean "query"?`},
		{"tree constant text", `{"connection":"shop","path":"/b","method":"POST","body":{"json":{"kind":"order"}}}`, "/body/json/kind", "a constant is written {value: …}"},
		{"media type", `{"connection":"shop","path":"/b","method":"POST","body":{"json":"whole","contentType":"json"}}`, "/body/contentType", "not a media type"},
		{"media type of multipart", `{"connection":"shop","path":"/b","method":"POST","body":{"multipart":{"a":"query"},"contentType":"a/b"}}`, "/body/contentType", "content type of its own"},
		{"empty multipart", `{"connection":"shop","path":"/b","method":"POST","body":{"multipart":{}}}`, "/body/multipart", "no parts"},
		{"bad guard", `{"connection":"shop","path":"/b","guards":[{"expr":"limit <= 1"},{"expr":"limit <"}]}`, "/guards/1/expr", "does not compile"},
		{"guard without expr", `{"connection":"shop","path":"/b","guards":[{"message":"x"}]}`, "/guards/0", "no expr"},
		{"bad jq", `{"connection":"shop","path":"/b","response":{"select":".a | | .b"}}`, "/response/select", "column 6"},
		{"jq input", `{"connection":"shop","path":"/b","response":{"select":"input"}}`, "/response/select", "does not compile"},
		{"bad as", `{"connection":"shop","path":"/b","response":{"as":"jsn"}}`, "/response/as", `did you mean "json"?`},
		{"select of image", `{"connection":"shop","path":"/b","response":{"as":"image","select":"."}}`, "/response/select", "JSON, text and headers only"},
		{"headers of json", `{"connection":"shop","path":"/b","response":{"as":"json","headers":["etag"]}}`, "/response/headers", "only with as: headers"},
		{"secret header", `{"connection":"shop","path":"/b","response":{"as":"headers","headers":["etag","Set-Cookie"]}}`, "/response/headers/1", "cannot be shown"},
		{"bad status", `{"connection":"shop","path":"/b","response":{"status":{"ok":["6xx"]}}}`, "/response/status/ok/0", "not a status"},
		{"status twice", `{"connection":"shop","path":"/b","response":{"status":{"ok":[404],"error":[500,404]}}}`, "/response/status/error/1", "two meanings"},
		{"bad message status", `{"connection":"shop","path":"/b","response":{"errors":{"messages":{"nope":"x"}}}}`, "/response/errors/messages/nope", "not a status"},
		{"pagination by nothing", `{"connection":"shop","path":"/b","pagination":{"maxPages":3}}`, "/pagination", "sort of pagination is missing"},
		{"pagination without next", `{"connection":"shop","path":"/b","pagination":{"by":"cursor","query":"c"}}`, "/pagination", "needs next"},
		{"pagination start", `{"connection":"shop","path":"/b","pagination":{"by":"link","start":1}}`, "/pagination/start", "means nothing"},
		{"pagination limit", `{"connection":"shop","path":"/b","pagination":{"by":"link","maxPages":1000}}`, "/pagination/maxPages", "from 1 to 100"},
		{"pagination of text", `{"connection":"shop","path":"/b","response":{"as":"text"},"pagination":{"by":"link"}}`, "/pagination", "only JSON answers have pages"},
		{"wrong type", `{"connection":"shop","path":"/b","query":5}`, "/query", "not an object"},
		{"connection refused", `{"connection":"odd","path":"/b"}`, "/connection", "the scheme gopher is not allowed"},
		{"not an object", `[]`, "", "not an object"},
	} {
		t.Run(row.name, func(t *testing.T) {
			env := canned(nil)
			odd := *env.Connections["shop"].BaseURL
			odd.Scheme = "gopher"
			env.Connections["odd"] = &core.Connection{Name: "odd", BaseURL: &odd}
			env.Declares.InputSchema = json.RawMessage(`{"type":"object","properties":{"id":{},"query":{}},"allOf":[{"properties":{"limit":{}}}]}`)
			v, err := Kind.New(context.Background(), json.RawMessage(row.config), env)
			var problems core.Problems
			if v != nil || !errors.As(err, &problems) {
				t.Fatalf("built, or failed without problems: %v", err)
			}
			if !slices.ContainsFunc(problems, func(p core.Problem) bool {
				return p.Path == row.path && strings.Contains(p.Message+"; "+p.Fix, row.want) && !p.Warning
			}) {
				t.Errorf("want %q at %q, got\n%v", row.want, row.path, problems)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := New(context.Background(), json.RawMessage(`{"connection":"x","path":"b","query":{"q":{"expr":"("}},"response":{"select":"("}}`), canned(nil))
	var problems core.Problems
	if !errors.As(err, &problems) || len(problems) != 4 {
		t.Errorf("want four problems, got %v", err)
	}
}

func TestUnusedArgumentsWarn(t *testing.T) {
	schema := json.RawMessage(`{"type":"object","properties":{"id":{},"note":{},"limit":{}}}`)
	for _, row := range []struct {
		config string
		want   []string
	}{
		{`{"connection":"shop","path":"/b/{id}"}`, []string{"limit", "note"}},
		{`{"connection":"shop","path":"/b/{id}","query":{"l":{"expr":"limit + 1"}}}`, []string{"note"}},
		{`{"connection":"shop","path":"/b/{id}","query":{"l":{"expr":"len(args)"}}}`, nil},
		{`{"connection":"shop","path":"/b/{id}","method":"POST","body":{"json":"whole"}}`, nil},
		{`{"connection":"shop","path":"/b"}`, []string{"id", "limit", "note"}},
		{`{"connection":"shop","path":"/b/{id}","method":"POST","body":{"json":"remaining"}}`, nil},
	} {
		env := canned(nil)
		env.Declares.InputSchema = schema
		v, err := New(context.Background(), json.RawMessage(row.config), env)
		if v == nil {
			t.Fatal(err)
		}
		var problems core.Problems
		errors.As(err, &problems)
		if len(problems) != min(len(row.want), 1) { // one for all of them
			t.Errorf("%s: %v, want a warning of %v", row.config, problems, row.want)
			continue
		}
		for i, name := range row.want {
			if !problems[0].Warning || !strings.Contains(problems[0].Message, `"`+name+`"`) {
				t.Errorf("%s: %v, want a warning of %d: %v", row.config, problems, i, row.want)
			}
		}
	}
	many := `{"type":"object","properties":{"a0":{}`
	for i := 1; i < 600; i++ {
		many += fmt.Sprintf(`,"a%d":{}`, i)
	}
	env := canned(nil)
	env.Declares.InputSchema = json.RawMessage(many + "}}")
	_, err := New(context.Background(), json.RawMessage(`{"connection":"shop","path":"/b"}`), env)
	var problems core.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || !strings.HasPrefix(problems[0].Message, `600 arguments are not used: "a0", `) || len(problems[0].Message) > 200 {
		t.Errorf("600 unused arguments: %.500v", problems)
	}
}

func TestCloseGivesTheUpstreamBack(t *testing.T) {
	env := canned(nil)
	if err := build(t, env, `{"connection":"shop","path":"/b"}`).Close(); err != nil || env.Dial.(*door).closed != 1 {
		t.Error("the upstream was not closed once", err)
	}
	env.Dial = nil
	v := build(t, env, `{"connection":"shop","path":"/b"}`)
	if _, err := v.Invoke(context.Background(), request(t, `{}`)); err == nil {
		t.Error("a call without an egress worked")
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

func TestAcceptOfTheConnectionStays(t *testing.T) {
	env := canned(func(r *core.Request) (*core.Response, error) {
		if len(r.Header) != 0 {
			t.Errorf("the headers are %v", r.Header)
		}
		return &core.Response{Status: 204}, nil
	})
	env.Connections["shop"].Header = []core.Field{{Name: "accept", Value: "text/csv"}}
	invoke(t, build(t, env, `{"connection":"shop","path":"/b"}`), `{}`)
}

// The gateway gives every resource the argument uri; not to place it is no mistake.
func TestResourcesNeedNotPlaceTheirURI(t *testing.T) {
	env := canned(nil)
	env.Declares.InputSchema = json.RawMessage(`{"type":"object","properties":{"uri":{},"id":{}}}`)
	for tool, want := range map[string]bool{"book://{id}": true, "get_book": false} {
		env.Tool = tool
		if _, err := New(context.Background(), json.RawMessage(`{"connection":"shop","path":"/b/{id}"}`), env); (err == nil) != want {
			t.Errorf("%s: %v", tool, err)
		}
	}
}
