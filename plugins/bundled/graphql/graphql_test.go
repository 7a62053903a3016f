package main

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
	"github.com/sallyport/sallyport/sdk/go/plugintest"
)

const country = `{"endpoint":"https://api.example.com/graphql","headers":{"X-Client":"sallyport"},"operations":[{
	"tool":"country","description":"Looks up a country.",
	"query":"query Country($code: ID!, $lang: String = \"en\", $first: Int) { country(code: $code) { name(lang: $lang) cities(first: $first) { name } } }",
	"variables":{"first":{"default":3,"description":"how many cities","schema":{"minimum":1}},"code":{"argument":"country_code"}},
	"pick":"country"}]}`

// serve configures the plugin and answers every request with status and body.
func serve(t *testing.T, config string, status int, body string, header ...plugin.Field) *plugintest.Host {
	t.Helper()
	host := plugintest.New(t)
	host.HTTP = func(plugin.Request) (*plugin.Response, error) {
		return &plugin.Response{Status: status, Header: header, Body: []byte(body)}, nil
	}
	if a := host.Configure(config); a.Status != plugin.StatusOK {
		t.Fatal(a)
	}
	return host
}

func same(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v: %s", err, want)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCall(t *testing.T) {
	host := serve(t, country, 200, `{"data":{"country":{"name":"Norge","cities":[]}}}`)
	a := host.Tool("country", `{"country_code":"NO","lang":"nb"}`)
	same(t, a.Result().Structured, `{"name":"Norge","cities":[]}`)
	r := host.Requests[0]
	if r.Method != "POST" || r.URL != "https://api.example.com/graphql" {
		t.Errorf("%s %s", r.Method, r.URL)
	}
	for name, want := range map[string]string{
		"content-type": "application/json", "x-client": "sallyport",
		"accept": "application/graphql-response+json, application/json;q=0.9",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var body struct {
		Query, OperationName string
		Variables            json.RawMessage
	}
	if err := json.Unmarshal(r.Body, &body); err != nil || body.OperationName != "Country" || !strings.HasPrefix(body.Query, "query Country(") {
		t.Errorf("%v: %s", err, r.Body)
	}
	same(t, body.Variables, `{"code":"NO","lang":"nb","first":3}`)
}

func TestToolsList(t *testing.T) {
	list := serve(t, country, 200, "").Tools()
	if len(list) != 1 || list[0].Name != "country" || list[0].Description != "Looks up a country." {
		t.Fatalf("%+v", list)
	}
	same(t, list[0].InputSchema, `{"type":"object","properties":{
		"country_code":{"type":"string"},
		"lang":{"type":"string","default":"en"},
		"first":{"type":"integer","minimum":1,"maximum":2147483647,"default":3,"description":"how many cities"}},
		"required":["country_code"],"additionalProperties":false}`)
	same(t, list[0].Annotations, `{"readOnlyHint":true}`)
}

func TestArguments(t *testing.T) {
	config := func(kind string) string {
		return `{"endpoint":"https://a.b/","operations":[{"tool":"t","query":"query($v: ` + kind + `) { f(v: $v) }"}]}`
	}
	tests := []struct{ kind, arguments, sent, refused string }{
		{"String", `{}`, `{}`, ""},
		{"String", ``, `{}`, ""},
		{"String", `{"v":null}`, `{"v":null}`, ""},
		{"String", `{"v":"a\"b<"}`, `{"v":"a\"b<"}`, ""},
		{"String", `{"v":1}`, "", "v must be a string, not a number"},
		{"String!", `{}`, "", "v is missing: it is String!"},
		{"String!", `{"v":null}`, "", "v must not be null: it is String!"},
		{`String! = \"x\"`, `{}`, `{}`, ""},
		{"ID!", `{"v":7}`, `{"v":7}`, ""},
		{"ID!", `{"v":7.5}`, "", "v must be a string, not a number"},
		{"ID!", `{"v":true}`, "", "v must be a string, not a boolean"},
		{"Int", `{"v":3.0}`, `{"v":3}`, ""},
		{"Int", `{"v":-2147483648}`, `{"v":-2147483648}`, ""},
		{"Int", `{"v":2147483648}`, "", "v must be an integer of 32 bits"},
		{"Int", `{"v":1.5}`, "", "v must be an integer of 32 bits"},
		{"Int", `{"v":"1"}`, "", "v must be an integer, not a string"},
		{"Float", `{"v":1}`, `{"v":1}`, ""},
		{"Float", `{"v":[]}`, "", "v must be a number, not an array"},
		{"Boolean", `{"v":false}`, `{"v":false}`, ""},
		{"Boolean", `{"v":0}`, "", "v must be a boolean, not a number"},
		{"[Int!]!", `{"v":[1,2.0]}`, `{"v":[1,2]}`, ""},
		{"[Int!]!", `{"v":5}`, `{"v":5}`, ""},
		{"[Int!]!", `{"v":[1,null]}`, "", "v [1] must not be null: it is Int!"},
		{"[[Int]]", `{"v":[[1],null,[]]}`, `{"v":[[1],null,[]]}`, ""},
		{"[[Int]]", `{"v":[["a"]]}`, "", "v [0] [0] must be an integer, not a string"},
		{"Point", `{"v":{"x":1}}`, `{"v":{"x":1}}`, ""},
		{"String", `{"V":"x"}`, "", "there is no argument V; there are: v"},
		{"String", `{"w":"x"}`, "", "there is no argument w; there are: v"},
		{"String", `[]`, "", "must be an object, not an array"},
		{"String", `{"v":`, "", "no JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.kind+" "+tt.arguments, func(t *testing.T) {
			host := serve(t, config(tt.kind), 200, `{"data":{}}`)
			a := host.Tool("t", tt.arguments)
			if tt.refused != "" {
				if a.Status != plugin.StatusInvalidArgs || !strings.Contains(string(a.Payload), tt.refused) || len(host.Requests) > 0 {
					t.Errorf("%s, want %q", a, tt.refused)
				}
				return
			}
			if a.Status != plugin.StatusOK {
				t.Fatal(a)
			}
			var body struct{ Variables json.RawMessage }
			if err := json.Unmarshal(host.Requests[0].Body, &body); err != nil {
				t.Fatal(err)
			}
			same(t, body.Variables, tt.sent)
		})
	}
}

func TestFixedValuesAreNoArguments(t *testing.T) {
	host := serve(t, `{"endpoint":"https://a.b/","operations":[{"tool":"t","query":"query($tenant: ID!) { f(t: $tenant) }","variables":{"tenant":{"value":"acme"}}}]}`, 200, `{"data":{"f":1}}`)
	same(t, host.Tools()[0].InputSchema, `{"type":"object","properties":{},"additionalProperties":false}`)
	if a := host.Tool("t", `{"tenant":"other"}`); a.Status != plugin.StatusInvalidArgs {
		t.Errorf("the caller chose a fixed value: %s", a)
	}
	host.Tool("t", `{}`)
	if body := string(host.Requests[0].Body); !strings.Contains(body, `"variables":{"tenant":"acme"}`) {
		t.Error(body)
	}
}

func TestDefaultsInTheSchema(t *testing.T) {
	host := serve(t, `{"endpoint":"https://a.b/","operations":[{"tool":"t","query":"query($a: [Int] = [1, 2], $b: In = {x: 1.5, y: {z: ASC}, s: \"\"\"a\n  b\"\"\"}, $c: Boolean = true, $d: String = null) { f(a: $a, b: $b, c: $c, d: $d) }"}]}`, 200, "")
	same(t, host.Tools()[0].InputSchema, `{"type":"object","properties":{
		"a":{"type":"array","items":{"type":"integer","minimum":-2147483648,"maximum":2147483647},"default":[1,2]},
		"b":{"description":"of the GraphQL type In","default":{"x":1.5,"y":{"z":"ASC"},"s":"a\nb"}},
		"c":{"type":"boolean","default":true},"d":{"type":"string"}},"additionalProperties":false}`)
}

func TestErrors(t *testing.T) {
	host := serve(t, country, 200, `{"data":{"country":{"name":"Norge","cities":null}},"errors":[
		{"message":"too many cities","path":["country","cities",0,"name"],"extensions":{"code":"LIMIT"}},
		{"message":"slow down","locations":[{"line":1,"column":9}],"extensions":{"code":7}},{"extensions":{}}]}`)
	r := host.Tool("country", `{"country_code":"NO"}`).Result()
	if !r.IsError {
		t.Error("not isError")
	}
	want := "too many cities (country.cities[0].name) [LIMIT]\nslow down (line 1, column 9) [7]\nan error without a message\nThe data that came in spite of it: " + `{"name":"Norge","cities":null}`
	if got := r.Content[0].Text; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	same(t, r.Structured, `{"errors":[{"message":"too many cities","path":"country.cities[0].name","code":"LIMIT"},{"message":"slow down","code":"7"},{"message":"an error without a message"}],"data":{"name":"Norge","cities":null}}`)
	if host.Metrics["graphql_errors"] != 3 {
		t.Error(host.Metrics)
	}
}

func TestErrorsOfAnotherForm(t *testing.T) {
	host := serve(t, country, 200, `{"errors":[{"message":"first","path":"a.b","extensions":[]},"just text",{"message":7},{"message":"last","path":null,"locations":null,"extensions":null}]}`)
	r := host.Tool("country", `{"country_code":"NO"}`).Result()
	if got := r.Content[0].Text; got != "first\nan error without a message\nan error without a message\nlast" || !r.IsError {
		t.Errorf("%q", got)
	}
}

func TestManyErrorsAreCut(t *testing.T) {
	host := serve(t, country, 200, `{"data":null,"errors":[`+strings.Repeat(`{"message":"`+strings.Repeat("é", 1000)+`"},`, 29)+`{"message":"last"}]}`)
	r := host.Tool("country", `{"country_code":"NO"}`).Result()
	text := r.Content[0].Text
	if !strings.HasSuffix(text, "\nand 10 more") || strings.Contains(text, "last") || strings.Contains(text, "in spite") || len(text) > 21*(maxText+1) {
		t.Errorf("%d bytes, ends %q", len(text), text[len(text)-40:])
	}
}

func TestStatuses(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   plugin.Status
		says   string
	}{
		{"errors with 400", 400, `{"errors":[{"message":"no such field"}]}`, plugin.StatusOK, "no such field"},
		{"errors with 500", 500, `{"errors":[{"message":"boom"}]}`, plugin.StatusOK, "boom"},
		{"data with 400", 400, `{"data":{"country":1}}`, plugin.StatusToolError, "failed (HTTP 400)"},
		{"html", 200, `<html>`, plugin.StatusToolError, "no GraphQL response"},
		{"other json", 200, `{"hello":1}`, plugin.StatusToolError, "no GraphQL response"},
		{"nothing", 200, ``, plugin.StatusToolError, "no GraphQL response"},
		{"redirection", 302, ``, plugin.StatusToolError, "redirection (HTTP 302)"},
		{"not found", 404, `page`, plugin.StatusToolError, "failed (HTTP 404)"},
		{"broken", 500, `page`, plugin.StatusToolError, "failed (HTTP 500)"},
		{"unauthorized", 401, `{"errors":[{"message":"token expired"}]}`, plugin.StatusDenied, "HTTP 401: token expired"},
		{"forbidden", 403, ``, plugin.StatusDenied, "HTTP 403"},
		{"limited", 429, ``, plugin.StatusUnavailable, "HTTP 429"},
		{"down", 503, ``, plugin.StatusUnavailable, "HTTP 503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := serve(t, country, tt.status, tt.body, plugin.Field{Name: "Retry-After", Value: "7"}).Tool("country", `{"country_code":"NO"}`)
			if a.Status != tt.want || !strings.Contains(string(a.Payload), tt.says) {
				t.Errorf("%s, want %s %q", a, tt.want, tt.says)
			}
			if tt.want == plugin.StatusUnavailable && a.Meta["retry_after_ms"] != "7000" {
				t.Error(a.Meta)
			}
			if tt.want == plugin.StatusOK && !a.Result().IsError {
				t.Error("not isError")
			}
		})
	}
}

func TestUnreached(t *testing.T) {
	for code, want := range map[plugin.Code]plugin.Status{
		plugin.ErrDenied: plugin.StatusDenied, plugin.ErrTimeout: plugin.StatusUnavailable, plugin.ErrUnavailable: plugin.StatusUnavailable,
		plugin.ErrQuota: plugin.StatusUnavailable, plugin.ErrTooLarge: plugin.StatusToolError, plugin.ErrInvalid: plugin.StatusInternal,
	} {
		host := serve(t, country, 200, "")
		host.HTTP = func(plugin.Request) (*plugin.Response, error) { return nil, code }
		if a := host.Tool("country", `{"country_code":"NO"}`); a.Status != want {
			t.Errorf("%v: %s, want %s", code, a, want)
		}
	}
}

func TestUnknownTool(t *testing.T) {
	if a := serve(t, country, 200, "").Tool("capital", `{}`); a.Status != plugin.StatusUnknownTool {
		t.Error(a)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	op := func(query, more string) string {
		return `{"endpoint":"https://a.b/","operations":[{"tool":"t","query":` + strconv.Quote(query) + more + `}]}`
	}
	tests := []struct{ name, config, want string }{
		{"no endpoint", `{"operations":[]}`, "endpoint must be an absolute address"},
		{"a path", `{"endpoint":"/graphql"}`, "endpoint must be an absolute address"},
		{"no host", `{"endpoint":"https:///graphql"}`, "endpoint must be an absolute address"},
		{"credentials", `{"endpoint":"https://a@b/"}`, "endpoint must be an absolute address"},
		{"nothing to do", `{"endpoint":"https://a.b/"}`, "there would be no tools"},
		{"header", `{"endpoint":"https://a.b/","headers":{"a b":"c"}}`, `"a b" is no header`},
		{"header value", `{"endpoint":"https://a.b/","headers":{"a":"c\r\nd: e"}}`, `"a" is no header`},
		{"header of ours", `{"endpoint":"https://a.b/","headers":{"ACCEPT":"x"}}`, "set by the plugin"},
		{"syntax", op("query { a(b: ) }", ""), "operations[0] (t): query: line 1, column 14: ) where a value belongs"},
		{"second line", op("{\n  a b: \n}", ""), "line 3, column 1: } where a name belongs"},
		{"two operations", op("query A { a } query B { b }", ""), "more than one operation"},
		{"no such operation", op("query A { a }", `,"operation":"B"`), "no operation B"},
		{"subscription", op("subscription { a }", ""), "a subscription has no one answer"},
		{"undefined variable", op("query { a(b: $c) }", ""), "$c is not defined"},
		{"undefined in a fragment", op("query { ...F } fragment F on T { a(b: {c: [$d]}) }", ""), "$d is not defined"},
		{"unused variable", op("query($a: Int) { b }", ""), "$a is defined and never used"},
		{"variable twice", op("query($a: Int, $a: Int) { b(a: $a) }", ""), "$a is defined twice"},
		{"unknown fragment", op("{ ...F }", ""), "there is no fragment F"},
		{"fragment in itself", op("{ ...F } fragment F on T { a { ...G } } fragment G on T { ...F }", ""), "spreads itself"},
		{"no such variable", op("{ a }", `,"variables":{"b":{}}`), "no variable b"},
		{"value and default", op("query($a: Int) { b(a: $a) }", `,"variables":{"a":{"value":1,"default":2}}`), "value makes it no argument"},
		{"value does not fit", op("query($a: Int) { b(a: $a) }", `,"variables":{"a":{"value":"x"}}`), "the value \"x\" must be an integer"},
		{"default does not fit", op("query($a: Int!) { b(a: $a) }", `,"variables":{"a":{"default":[1]}}`), "must be an integer"},
		{"two from one", op("query($a: Int, $c: Int) { b(a: $a, c: $c) }", `,"variables":{"a":{"argument":"c"}}`), "both come from the argument c"},
		{"pick", op("{ a }", `,"pick":"a..b"`), "a part without a name"},
		{"pick bracket", op("{ a }", `,"pick":"a[0"`), "does not close"},
		{"pick index", op("{ a }", `,"pick":"a[x]"`), `"x" is no index`},
		{"tool name", `{"endpoint":"https://a.b/","operations":[{"tool":"a b","query":"{ a }"}]}`, `"a b" is no name of a tool`},
		{"tool twice", `{"endpoint":"https://a.b/","operations":[{"tool":"a","query":"{ a }"},{"tool":"a","query":"{ a }"}]}`, "the tool a stands twice"},
		{"ttl", `{"endpoint":"https://a.b/","introspect":true,"introspection":{"ttl":"10"}}`, "introspection.ttl"},
		{"type system", op("type A { b: Int }", ""), "type begins no operation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := plugintest.New(t).Configure(tt.config)
			if a.Status != plugin.StatusInvalidArgs || !strings.Contains(string(a.Payload), tt.want) {
				t.Errorf("%s\nwant %q", a, tt.want)
			}
		})
	}
}

func TestMutationsAreNotReadOnly(t *testing.T) {
	host := serve(t, `{"endpoint":"https://a.b/","operations":[{"tool":"t","query":"mutation { f }"},{"tool":"u","query":"mutation { f }","annotations":{"destructiveHint":false}}]}`, 200, "")
	list := host.Tools()
	if list[0].Annotations != nil || string(list[1].Annotations) != `{"destructiveHint":false}` {
		t.Errorf("%s %s", list[0].Annotations, list[1].Annotations)
	}
}

func TestFreeQueries(t *testing.T) {
	const on = `{"endpoint":"https://a.b/","free_query":{"max_depth":3,"max_fields":10,"max_bytes":600}}`
	const mutations = `{"endpoint":"https://a.b/","free_query":{"tool":"any","mutations":true,"introspection":true}}`
	bomb := "{ ...A }" // each spreads the next one ten times
	for i := range 20 {
		bomb += " fragment " + string(rune('A'+i)) + " on T { " + strings.Repeat("..."+string(rune('B'+i))+" ", 10) + "}"
	}
	bomb += " fragment U on T { x y }"
	tests := []struct {
		name, config, arguments string
		want                    plugin.Status
		says                    string
	}{
		{"query", on, `{"query":"query($a: Int) { b(a: $a) { c } }","variables":{"a":1}}`, plugin.StatusOK, `"b"`},
		{"no query", on, `{}`, plugin.StatusInvalidArgs, "query is missing"},
		{"query is a number", on, `{"query":1}`, plugin.StatusInvalidArgs, "query must be a string, not a number"},
		{"query is null", on, `{"query":null}`, plugin.StatusInvalidArgs, "query must be a string, not null"},
		{"variables", on, `{"query":"{a}","variables":"x"}`, plugin.StatusInvalidArgs, "variables must be an object"},
		{"unknown argument", on, `{"query":"{a}","Query":"mutation{a}"}`, plugin.StatusInvalidArgs, "no argument Query"},
		{"syntax", on, `{"query":"{a"}`, plugin.StatusInvalidArgs, "} is missing"},
		{"mutation", on, `{"query":"mutation { a }"}`, plugin.StatusDenied, "mutations are not allowed"},
		{"mutation beside", on, `{"query":"query A { a } mutation B { b }","operation_name":"A"}`, plugin.StatusDenied, "mutations are not allowed"},
		{"mutation allowed", mutations, `{"query":"mutation { a }"}`, plugin.StatusOK, `"b"`},
		{"subscription", mutations, `{"query":"subscription { a }"}`, plugin.StatusDenied, "subscriptions are not allowed"},
		{"two operations", on, `{"query":"query A { a } query B { b }"}`, plugin.StatusInvalidArgs, "give operation_name"},
		{"one of two", on, `{"query":"query A { a } query B { b }","operation_name":"B"}`, plugin.StatusOK, `"b"`},
		{"none of two", on, `{"query":"query A { a } query B { b }","operation_name":"C"}`, plugin.StatusInvalidArgs, "no operation C"},
		{"as deep as may be", on, `{"query":"{a{b{c}}}"}`, plugin.StatusOK, `"b"`},
		{"deep", on, `{"query":"{a{b{c{d}}}}"}`, plugin.StatusInvalidArgs, "4 fields deep, at most 3"},
		{"deep by fragments", on, `{"query":"{a{...F}} fragment F on T {b{... on U{c{d}}}}"}`, plugin.StatusInvalidArgs, "4 fields deep, at most 3"},
		{"wide", on, `{"query":"{a b c d e f g h i j k}"}`, plugin.StatusInvalidArgs, "more than 10 fields"},
		{"wide by aliases", on, `{"query":"{a:x b:x c:x d:x e:x f:x g:x h:x i:x j:x k:x}"}`, plugin.StatusInvalidArgs, "more than 10 fields"},
		{"wide by fragments", on, `{"query":"{x:a{...F} y:a{...F} z:a{...F}} fragment F on T {b c d}"}`, plugin.StatusInvalidArgs, "more than 10 fields"},
		{"a bomb", mutations, `{"query":` + strconv.Quote(bomb) + `}`, plugin.StatusInvalidArgs, "more than 200 fields"},
		{"long", on, `{"query":"{a` + strings.Repeat(" ", 600) + `}"}`, plugin.StatusInvalidArgs, "603 bytes, at most 600"},
		{"introspection", on, `{"query":"{x:__schema{queryType{name}}}"}`, plugin.StatusDenied, "introspection"},
		{"introspection by fragment", on, `{"query":"{...F} fragment F on Query {__type(name:\"A\"){name}}"}`, plugin.StatusDenied, "introspection"},
		{"introspection allowed", mutations, `{"query":"{__schema{queryType{name}}}"}`, plugin.StatusOK, `"b"`},
		{"__typename", on, `{"query":"{__typename}"}`, plugin.StatusOK, `"b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := serve(t, tt.config, 200, `{"data":{"b":{"c":2}}}`)
			name := "graphql.query"
			if tt.config == mutations {
				name = "any"
			}
			a := host.Tool(name, tt.arguments)
			if a.Status != tt.want || !strings.Contains(string(a.Payload), tt.says) {
				t.Errorf("%s\nwant %s %q", a, tt.want, tt.says)
			}
			if sent := len(host.Requests) > 0; sent != (tt.want == plugin.StatusOK) {
				t.Errorf("a request was sent: %v", sent)
			}
		})
	}
	host := serve(t, on, 200, `{"data":{}}`)
	host.Tool("graphql.query", `{"query":"query A { a } query B($x: Int) { b(x: $x) }","operation_name":"B","variables":{"x":9}}`)
	same(t, host.Requests[0].Body, `{"query":"query A { a } query B($x: Int) { b(x: $x) }","operationName":"B","variables":{"x":9}}`)
	if a := serve(t, country, 200, "").Tool("graphql.query", `{"query":"{a}"}`); a.Status != plugin.StatusUnknownTool {
		t.Errorf("free queries are on by default: %s", a)
	}
}

const schemaText = `{"data":{"__schema":{"queryType":{"name":"Query","fields":[
	{"name":"user","description":"One user.","args":[
		{"name":"id","description":"who","defaultValue":null,"type":{"kind":"NON_NULL","ofType":{"kind":"SCALAR","name":"ID"}}},
		{"name":"role","type":{"kind":"ENUM","name":"Role"}},
		{"name":"limit","defaultValue":"10","type":{"kind":"NON_NULL","ofType":{"kind":"SCALAR","name":"Int"}}},
		{"name":"where","type":{"kind":"INPUT_OBJECT","name":"Where"}}],
	 "type":{"kind":"OBJECT","name":"User"}},
	{"name":"nodes","args":[{"name":"ids","type":{"kind":"NON_NULL","ofType":{"kind":"LIST","ofType":{"kind":"NON_NULL","ofType":{"kind":"SCALAR","name":"ID"}}}}}],"type":{"kind":"LIST","ofType":{"kind":"UNION","name":"Node"}}},
	{"name":"version","args":[],"type":{"kind":"NON_NULL","ofType":{"kind":"SCALAR","name":"String"}}},
	{"name":"deep","args":[],"type":{"kind":"LIST","ofType":{"kind":"LIST","ofType":{"kind":"LIST","ofType":{"kind":"LIST"}}}}},
	{"name":"secretThing","args":[],"type":{"kind":"SCALAR","name":"String"}}]},
	"types":[
	{"kind":"OBJECT","name":"User","fields":[
		{"name":"id","args":[],"type":{"kind":"SCALAR","name":"ID"}},
		{"name":"roles","args":[],"type":{"kind":"LIST","ofType":{"kind":"ENUM","name":"Role"}}},
		{"name":"avatar","args":[{"type":{"kind":"NON_NULL"}}],"type":{"kind":"SCALAR","name":"String"}},
		{"name":"name","args":[{"defaultValue":"\"en\"","type":{"kind":"NON_NULL"}}],"type":{"kind":"SCALAR","name":"String"}},
		{"name":"friends","args":[],"type":{"kind":"LIST","ofType":{"kind":"OBJECT","name":"User"}}}]},
	{"kind":"UNION","name":"Node"},{"kind":"SCALAR","name":"String"},
	{"kind":"ENUM","name":"Role","enumValues":[{"name":"ADMIN"},{"name":"USER"}]},
	{"kind":"INPUT_OBJECT","name":"Where","inputFields":[
		{"name":"and","type":{"kind":"LIST","ofType":{"kind":"INPUT_OBJECT","name":"Where"}}},
		{"name":"role","type":{"kind":"NON_NULL","ofType":{"kind":"ENUM","name":"Role"}}}]}]}}}`

func introspectable(t *testing.T, config string) (*plugintest.Host, *time.Time) {
	t.Helper()
	clock := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	now = func() time.Time { return clock }
	t.Cleanup(func() { now = time.Now })
	host := plugintest.New(t)
	host.KV.Now = func() time.Time { return clock }
	host.HTTP = func(r plugin.Request) (*plugin.Response, error) {
		if strings.Contains(string(r.Body), "SallyportIntrospection") {
			return &plugin.Response{Status: 200, Body: []byte(schemaText)}, nil
		}
		return &plugin.Response{Status: 200, Body: []byte(`{"data":{"user":{"id":"1"}}}`)}, nil
	}
	if a := host.Configure(config); a.Status != plugin.StatusOK {
		t.Fatal(a)
	}
	return host, &clock
}

func TestIntrospection(t *testing.T) {
	const config = `{"endpoint":"https://a.b/","introspect":true,"introspection":{"prefix":"api.","fields":["user","n*","version","deep"],"ttl":"1m"},
		"operations":[{"tool":"api.version","description":"ours","query":"{ version }"}]}`
	host, clock := introspectable(t, config)
	byName := map[string]plugin.ToolInfo{}
	for _, i := range host.Tools() {
		byName[i.Name] = i
	}
	if len(byName) != 3 || byName["api.version"].Description != "ours" || byName["api.user"].Description != "One user." {
		t.Fatalf("%+v", byName)
	}
	where := func(and string) string {
		return `{"type":"object","properties":{"and":{"type":"array","items":` + and + `},"role":{"type":"string","enum":["ADMIN","USER"]}},"required":["role"]}`
	}
	same(t, byName["api.user"].InputSchema, `{"type":"object","properties":{
		"id":{"type":"string","description":"who"},"role":{"type":"string","enum":["ADMIN","USER"]},
		"limit":{"type":"integer","minimum":-2147483648,"maximum":2147483647},
		"where":`+where(where(where(`{"type":"object"}`)))+`},"required":["id"],"additionalProperties":false}`)
	if !host.Logged("1 fields of the query type became no tools") {
		t.Error(host.Logs)
	}

	a := host.Tool("api.user", `{"id":"1"}`)
	same(t, a.Result().Structured, `{"id":"1"}`)
	last := host.Requests[len(host.Requests)-1]
	same(t, last.Body, `{"query":"query user($id: ID!, $role: Role, $limit: Int, $where: Where) { user(id: $id, role: $role, limit: $limit, where: $where) { id roles name } }","operationName":"user","variables":{"id":"1"}}`)
	host.Tool("api.nodes", `{"ids":["1"]}`)
	last = host.Requests[len(host.Requests)-1]
	if !strings.Contains(string(last.Body), "nodes(ids: $ids) { __typename }") {
		t.Errorf("%s", last.Body)
	}
	if n := asked(host); n != 1 {
		t.Errorf("the schema was asked for %d times, want once", n)
	}

	// Another instance finds them in the store, until the time is over.
	cached = nil
	host.Tools()
	if n := asked(host); n != 1 {
		t.Errorf("the schema was asked for %d times, want once: the store has it", n)
	}
	*clock = clock.Add(time.Minute)
	host.Tools()
	if n := asked(host); n != 2 {
		t.Errorf("the schema was asked for %d times, want twice: the time is over", n)
	}
	// Another configuration has tools of its own.
	if a := host.Configure(strings.ReplaceAll(config, `"api."`, `"v2."`)); a.Status != plugin.StatusOK {
		t.Fatal(a)
	}
	host.Tools()
	if n := asked(host); n != 3 {
		t.Errorf("the schema was asked for %d times, want three: that in the store is of another configuration", n)
	}
}

func asked(host *plugintest.Host) (n int) {
	for _, r := range host.Requests {
		if strings.Contains(string(r.Body), "SallyportIntrospection") {
			n++
		}
	}
	return n
}

func TestIntrospectionWithoutAStore(t *testing.T) {
	host, _ := introspectable(t, `{"endpoint":"https://a.b/","introspect":true}`)
	host.KV = nil
	if n := len(host.Tools()); n != 4 || !host.Logged("kept by this instance only") {
		t.Errorf("%d tools, %v", n, host.Logs)
	}
}

func TestBrokenStore(t *testing.T) {
	host, _ := introspectable(t, `{"endpoint":"https://a.b/","introspect":true}`)
	host.Tools()
	cached = nil
	key := storeKey()
	head, _ := host.KV.Get(key)
	var k kept
	if err := json.Unmarshal([]byte(head), &k); err != nil || k.Parts != 1 {
		t.Fatalf("%v %s", err, head)
	}
	host.KV.Set(k.key(key, 0), "[]")
	if host.Tools(); asked(host) != 2 {
		t.Error("a part that is not what was written was believed")
	}
}

func TestIntrospectionFails(t *testing.T) {
	host, _ := introspectable(t, `{"endpoint":"https://a.b/","introspect":true,"operations":[{"tool":"t","query":"{ a }"}]}`)
	host.HTTP = func(plugin.Request) (*plugin.Response, error) {
		return &plugin.Response{Status: 200, Body: []byte(`{"errors":[{"message":"introspection is off"}]}`)}, nil
	}
	a := host.Call("tools_list", nil, nil)
	if a.Status == plugin.StatusOK || !strings.Contains(string(a.Payload), "introspection is off") {
		t.Errorf("%s: the gateway would drop the tools of the last good list", a)
	}
	if a := host.Tool("t", `{}`); a.Status != plugin.StatusOK {
		t.Errorf("a configured operation does not need the schema: %s", a)
	}
}

func TestPick(t *testing.T) {
	const data = `{"a":{"b":[{"c":1},{"c":null},{"d":2},{"c":{"e":[5]}}]},"x.y":3}`
	for p, want := range map[string]string{
		"": data, "a": `{"b":[{"c":1},{"c":null},{"d":2},{"c":{"e":[5]}}]}`, "a.b[0]": `{"c":1}`, "a.b[0].c": `1`, "a.b[9]": `null`,
		"a.b[].c": `[1,{"e":[5]}]`, "a.b[].c.e[0]": `[5]`, "a.c.d": `null`, "a[0]": `null`, "[0]": `null`, "a.b.c": `null`,
	} {
		steps, err := parsePath(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := steps.of(json.RawMessage(data)); string(got) != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
}
