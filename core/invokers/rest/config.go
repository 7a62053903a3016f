package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// declare reads which arguments the input schema names.
func (r *reader) declare(schema json.RawMessage) {
	if len(schema) == 0 || !wire.IsObject(schema) {
		return
	}
	r.declared = map[string]bool{}
	r.declareIn(schema, 0)
}

func (r *reader) declareIn(schema json.RawMessage, depth int) {
	if depth > 8 || !wire.IsObject(schema) {
		return
	}
	_ = wire.Fields(schema, func(name string, value json.RawMessage) error {
		switch name {
		case "properties":
			_ = wire.Fields(value, func(name string, _ json.RawMessage) error {
				r.declared[name] = true
				return nil
			})
		case "allOf", "anyOf", "oneOf":
			_ = wire.Elements(value, func(part json.RawMessage) error {
				r.declareIn(part, depth+1)
				return nil
			})
		case "if", "then", "else":
			r.declareIn(value, depth+1)
		case "dependentSchemas":
			_ = wire.Fields(value, func(_ string, part json.RawMessage) error {
				r.declareIn(part, depth+1)
				return nil
			})
		case "$ref", "$dynamicRef", "patternProperties":
			r.open = true
		}
		return nil
	})
}

var methods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions,
}

func (r *reader) config(config json.RawMessage) *Invoker {
	v := &Invoker{method: http.MethodGet, now: r.env.Now}
	list := r.members("", config,
		"connection", "method", "path", "parameters", "query", "header", "cookie", "body", "guards", "response", "pagination")
	r.connection(v, list)
	if raw, ok := find(list, "method"); ok {
		v.method = r.choice("/method", raw, methods...)
	}
	switch v.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		v.idempotent = true // RFC 9110 9.2.2
	default:
		v.idempotent = r.env.Declares.Idempotent || r.env.Declares.ReadOnly
	}
	parameters, _ := find(list, "parameters")
	if raw, ok := find(list, "path"); ok {
		v.path = r.path("/path", r.text("/path", raw), "/parameters", r.members("/parameters", parameters))
		if len(v.path) == 1 && v.path[0].pieces == nil {
			v.fixedPath = v.path[0].literal
		}
	} else {
		r.problem("", "the path is missing", "write path: /books/{id}, below the base URL of the connection")
	}
	if raw, ok := find(list, "query"); ok {
		v.query = r.pairs("/query", "query parameter", raw, false)
	}
	header, _ := find(list, "header")
	cookie, _ := find(list, "cookie")
	v.headers = r.headers("/header", header, "/cookie", cookie)
	if raw, ok := find(list, "body"); ok {
		if v.method == http.MethodGet || v.method == http.MethodHead {
			r.problem("/body", v.method+" carries no body", "place the arguments in query, or use POST")
		}
		v.content = r.body("/body", raw)
	}
	if raw, ok := find(list, "guards"); ok {
		v.guards = r.guards("/guards", raw)
	}
	v.status = r.status("/response/status", nil)
	if raw, ok := find(list, "response"); ok {
		r.response(v, raw)
	}
	r.accept(v)
	v.headers.json = append(slices.Clip(v.headers.fixed), core.Field{Name: typeHeader, Value: jsonType})
	if raw, ok := find(list, "pagination"); ok {
		v.pagination = r.pages("/pagination", raw)
		switch {
		case v.as != formAuto && v.as != formJSON:
			r.problem("/pagination", "only JSON answers have pages", "remove pagination, or response.as")
		case v.method == http.MethodHead || v.method == http.MethodOptions:
			r.problem("/pagination", "answers to "+v.method+" have no pages", "remove pagination")
		}
	}
	r.placed(v)
	v.values = r.wholly || r.places > maxWalks || v.readsArguments()
	return v
}

// readsArguments tells whether a jq expression reads the arguments.
func (v *Invoker) readsArguments() bool {
	list := []*expression.JQ{v.selection, v.failures.detail}
	if p := v.pagination; p != nil {
		list = append(list, p.items, p.next, p.more)
	}
	return slices.ContainsFunc(list, func(q *expression.JQ) bool { return q != nil && q.Uses("$arguments") })
}

// connection finds the connection that the config names.
func (r *reader) connection(v *Invoker, list []member) {
	raw, ok := find(list, "connection")
	if !ok {
		r.problem("", "the connection is missing", "write connection: with the name of a connection of this document")
		return
	}
	name := r.text("/connection", raw)
	connection := r.env.Connections[name]
	if connection == nil {
		r.problem("/connection", fmt.Sprintf("there is no connection %q", name), suggest(name, slices.Sorted(maps.Keys(r.env.Connections))))
		return
	}
	v.base, v.secretQuery = connection.BaseURL, connection.Query
	if v.connector, v.accounts = connection.Connector, r.env.Accounts; v.connector != "" && v.accounts == nil {
		r.problem("/connection", fmt.Sprintf("the connection %q sends each caller's own credential, and callers cannot connect accounts here", name),
			"serve with a store, or give the connection another credential")
	}
	for _, field := range connection.Header {
		r.accepts = r.accepts || strings.EqualFold(field.Name, "Accept")
	}
	if v.base == nil {
		v.base = &url.URL{}
	}
}

func (r *reader) guards(at string, raw json.RawMessage) []guard {
	var guards []guard
	err := wire.Elements(raw, func(element json.RawMessage) error {
		here := fmt.Sprintf("%s/%d", at, len(guards))
		g := guard{}
		for _, m := range r.members(here, element, "expr", "message") {
			switch m.name {
			case "expr":
				g.test = r.expr(here+"/expr", m.raw)
			case "message":
				g.message = r.text(here+"/message", m.raw)
			}
		}
		if g.test == nil && !r.failed() {
			r.problem(here, "the guard has no expr", "write what must be true, like expr: limit <= 100")
		}
		if g.message == "" && g.test != nil {
			g.message = "The arguments do not fulfil: " + g.test.Source() + "."
		}
		guards = append(guards, g)
		return nil
	})
	if err != nil {
		r.problem(at, "this is not a list", "write [{expr: …, message: …}]")
	}
	return guards
}

func (r *reader) response(v *Invoker, raw json.RawMessage) {
	for _, m := range r.members("/response", raw,
		"as", "select", "text", "headers", "mimeType", "maxBytes", "status", "errors") {
		here := "/response/" + m.name
		switch m.name {
		case "as":
			v.as = form(max(slices.Index(forms, r.choice(here, m.raw, forms...)), 0))
		case "select":
			v.selection = r.jq(here, m.raw)
		case "text":
			v.pretty = r.choice(here, m.raw, "compact", "pretty") == "pretty"
		case "headers":
			v.shown = map[string]bool{}
			for i, name := range r.texts(here, m.raw) {
				lower := strings.ToLower(name)
				if !token(name) || secretHeaders[lower] {
					r.problem(fmt.Sprintf("%s/%d", here, i), fmt.Sprintf("the header %q cannot be shown", name), "remove it")
				}
				v.shown[lower] = true
			}
		case "mimeType":
			if v.mimeType = r.text(here, m.raw); !isMediaType(v.mimeType) {
				r.problem(here, fmt.Sprintf("%q is not a media type", v.mimeType), "write one like image/png")
			}
		case "maxBytes":
			v.maxBytes = int64(r.whole(here, m.raw, 1, 1<<30))
		case "status":
			v.status = r.status(here, m.raw)
		case "errors":
			v.failures = r.failure(here, m.raw)
		}
	}
	switch {
	case v.selection != nil && v.as >= formImage && v.as != formHeaders:
		r.problem("/response/select", "select works on JSON, text and headers only", "remove it, or choose as: json")
	case v.shown != nil && v.as != formHeaders && v.as != formAuto:
		r.problem("/response/headers", "headers are shown only with as: headers", "remove them, or choose as: headers; select can read $headers")
	}
}

// accept adds the Accept header that the expected form asks for, unless the config
// or the connection has one.
func (r *reader) accept(v *Invoker) {
	if r.accepts {
		return
	}
	for _, field := range v.headers.fixed {
		if strings.EqualFold(field.Name, "Accept") {
			return
		}
	}
	for _, place := range v.headers.places {
		if strings.EqualFold(place.name, "Accept") {
			return
		}
	}
	value := map[form]string{
		formAuto: "application/json, */*;q=0.8", formJSON: "application/json, application/*+json;q=0.9, */*;q=0.5", formText: "text/*, */*;q=0.8",
		formImage: "image/*, */*;q=0.5", formAudio: "audio/*, */*;q=0.5",
	}[v.as]
	if value == "" {
		value = "*/*"
	}
	v.headers.fixed = append(v.headers.fixed, core.Field{Name: "Accept", Value: value})
}

// placed warns of arguments that no place names.
func (r *reader) placed(v *Invoker) {
	if remaining, ok := plain(v.content).(*remainingBody); ok {
		remaining.skip = r.used
	}
	if r.usesAll || r.failed() { // a place that was not understood may have named them
		return
	}
	var unused []string
	for _, name := range slices.Sorted(maps.Keys(r.declared)) {
		if name == "uri" && strings.Contains(r.env.Tool, ":") {
			continue // a resource is always given its own URI
		}
		if !r.used[name] {
			unused = append(unused, strconv.Quote(name))
		}
	}
	const fix = "place it in path, query, header, cookie or body, or send all arguments by body: {json: whole}"
	switch n, shown := len(unused), unused[:min(len(unused), mostShown)]; {
	case n == 0:
	case n == 1:
		r.warn("", "the argument "+unused[0]+" is not used", fix)
	case n > len(shown):
		r.warn("", fmt.Sprintf("%d arguments are not used: %s and others", n, strings.Join(shown, ", ")), strings.Replace(fix, "it", "them", 1))
	default:
		r.warn("", fmt.Sprintf("%d arguments are not used: %s", n, strings.Join(shown, ", ")), strings.Replace(fix, "it", "them", 1))
	}
}

// mostShown bounds how many arguments one warning names.
const mostShown = 10

func plain(plan bodyPlan) bodyPlan {
	if typed, ok := plan.(*typedBody); ok {
		return typed.bodyPlan
	}
	return plan
}
