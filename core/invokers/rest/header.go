package rest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// queryPlan writes a query string: literal text and placements, in the order as
// written.
type queryPlan []queryPart

type queryPart struct {
	literal string // name=value, escaped
	place   *placement
}

// append appends the parts that have a value, divided by &. start is where the
// query begins in dst.
func (plan queryPlan) append(dst []byte, call *core.Call) ([]byte, error) {
	start := len(dst)
	for i := range plan {
		part := &plan[i]
		before := len(dst)
		if before > start {
			dst = append(dst, '&')
		}
		if part.place == nil {
			dst = append(dst, part.literal...)
			continue
		}
		value, err := part.place.value(call)
		if err != nil {
			return dst, err
		}
		wrote := len(dst)
		if value != nil {
			if dst, err = part.place.expand(dst, value); err != nil {
				return dst, refuse("The %s %s.", part.place.label, err)
			}
		}
		if len(dst) == wrote {
			dst = dst[:before] // absent, or an empty list: no &
		}
	}
	return dst, nil
}

// pairs reads the query parameters or form fields: an object, or a list of
// arguments that keep their names.
func (r *reader) pairs(at, place string, raw json.RawMessage, plus bool) queryPlan {
	var list []member
	if wire.IsArray(raw) {
		for i, name := range r.texts(at, raw) {
			quoted, _ := wire.Marshal(name)
			list = append(list, member{name, quoted})
			r.argument(fmt.Sprintf("%s/%d", at, i), name, "")
		}
	} else {
		list = r.members(at, raw)
	}
	var plan queryPlan
	for i, m := range list {
		here := at + "/" + escape(m.name)
		if wire.IsArray(raw) {
			here = fmt.Sprintf("%s/%d", at, i)
		}
		if m.name == "" {
			r.problem(here, "the name is empty", "name the "+place)
			continue
		}
		var p *placement
		if wire.IsArray(raw) { // already checked
			p = &placement{style: queryStyles[0], source: source{label: "argument \"" + m.name + "\"", argument: m.name}, keep: unreserved}
		} else {
			p = r.placement(here, place, m.name, m.raw, queryStyles)
		}
		p.name, p.plus = string(appendEscaped(nil, m.name, unreserved, plus)), plus
		if !p.fixed() {
			plan = append(plan, queryPart{place: p})
			continue
		}
		if p.constant == nil {
			continue
		}
		literal, err := p.expand(nil, p.constant)
		if err != nil {
			r.problem(here, "the constant "+err.Error(), "")
		}
		if len(literal) > 0 {
			plan = append(plan, queryPart{literal: string(literal)})
		}
	}
	return plan
}

// headerPlan writes the header fields and cookies of a request.
type headerPlan struct {
	fixed   []core.Field // the same in every call; shared, never changed
	json    []core.Field // fixed and the Content-Type of JSON, likewise
	places  []*placement // name is the field name
	cookies []queryPart
}

// fields returns the header fields for a call, and contentType unless it is "".
func (plan *headerPlan) fields(call *core.Call, contentType string) ([]core.Field, error) {
	if len(plan.places) == 0 && len(plan.cookies) == 0 {
		switch contentType {
		case "":
			return slices.Clip(plan.fixed), nil
		case jsonType:
			return slices.Clip(plan.json), nil
		}
	}
	fields := make([]core.Field, len(plan.fixed), len(plan.fixed)+len(plan.places)+2)
	copy(fields, plan.fixed)
	for _, place := range plan.places {
		value, err := place.value(call)
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		text, err := place.expand(nil, value)
		if err != nil {
			return nil, refuse("The %s %s.", place.label, err)
		}
		trimmed := strings.Trim(string(text), " \t")
		if !fieldText(trimmed) {
			return nil, refuse("The %s holds a line break or another control character, which no header may carry.", place.label)
		}
		fields = append(fields, core.Field{Name: place.name, Value: trimmed})
	}
	var cookie []byte
	for i := range plan.cookies {
		part := &plan.cookies[i]
		before := len(cookie)
		if before > 0 {
			cookie = append(cookie, "; "...)
		}
		if part.place == nil {
			cookie = append(cookie, part.literal...)
			continue
		}
		value, err := part.place.value(call)
		if err != nil {
			return nil, err
		}
		wrote := len(cookie)
		if value != nil {
			if cookie, err = part.place.expand(cookie, value); err != nil {
				return nil, refuse("The %s %s.", part.place.label, err)
			}
		}
		if len(cookie) == wrote {
			cookie = cookie[:before]
		}
	}
	if len(cookie) > 0 {
		fields = append(fields, core.Field{Name: "Cookie", Value: string(cookie)})
	}
	if contentType != "" {
		fields = append(fields, core.Field{Name: typeHeader, Value: contentType})
	}
	return fields, nil
}

const typeHeader = "Content-Type"

// fieldText tells whether s may be a field value (RFC 9110 5.5): no control
// character but the tab.
func fieldText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// token tells whether s is a token (RFC 9110 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 || !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// Headers that a document cannot set, with the place that can. Those of framing and
// routing belong to the connection (security.md T3, T22).
var closedHeaders = map[string]string{
	"authorization":       "put the credential of the upstream in the connection",
	"proxy-authorization": "put the credential of the upstream in the connection",
	"cookie":              "use cookie",
	"content-type":        "use contentType of body",
	"content-length":      "leave it out; it follows from the body",
	"transfer-encoding":   "leave it out; it follows from the body",
	"content-encoding":    "leave it out; bodies are sent as they are",
	"accept-encoding":     "leave it out; the gateway decodes gzip, br and zstd itself",
	"host":                "the host always comes from the connection",
	"connection":          "leave it out; it belongs to the connection",
	"keep-alive":          "leave it out; it belongs to the connection",
	"proxy-connection":    "leave it out; it belongs to the connection",
	"te":                  "leave it out; it belongs to the connection",
	"trailer":             "leave it out; it belongs to the connection",
	"upgrade":             "leave it out; it belongs to the connection",
	"expect":              "leave it out; it belongs to the connection",
	"forwarded":           "leave it out; upstreams could take it for the word of a trusted proxy",
	"via":                 "leave it out; upstreams could take it for the word of a trusted proxy",
}

// Headers of the client that never go upstream, whatever a document names.
var closedClientHeaders = []string{"set-cookie", "x-real-ip", "x-api-key", "x-auth-token", "x-csrf-token", "last-event-id", "origin", "referer"}

func closedHeader(name string) (fix string, closed bool) {
	lower := strings.ToLower(name)
	if fix, closed = closedHeaders[lower]; closed {
		return fix, true
	}
	for _, prefix := range []string{"mcp-", "x-forwarded-", "proxy-"} {
		if strings.HasPrefix(lower, prefix) {
			return "leave it out; " + prefix + "* is not for upstreams", true
		}
	}
	return "", false
}

// clientHeader reads the name of a header of the client that may go upstream.
func (r *reader) clientHeader(at string, raw json.RawMessage) string {
	name := r.text(at, raw)
	if name == "" || !token(name) {
		r.problem(at, "this is not the name of a header", "write a name like X-Tenant")
		return name
	}
	if _, closed := closedHeader(name); closed || slices.Contains(closedClientHeaders, strings.ToLower(name)) {
		r.problem(at, fmt.Sprintf("the header %s of the client never goes upstream", name),
			"put credentials of the upstream in its connection, and facts of the caller in arguments")
	}
	return name
}

// headers reads header and cookie.
func (r *reader) headers(headerAt string, header json.RawMessage, cookieAt string, cookie json.RawMessage) headerPlan {
	var plan headerPlan
	seen := map[string]bool{}
	for _, m := range r.members(headerAt, header) {
		here := headerAt + "/" + escape(m.name)
		lower := strings.ToLower(m.name)
		switch fix, closed := closedHeader(m.name); {
		case !token(m.name):
			r.problem(here, fmt.Sprintf("%q is not the name of a header", m.name), "use letters, digits and hyphens")
			continue
		case closed:
			r.problem(here, fmt.Sprintf("the header %s cannot be set here", m.name), fix)
			continue
		case seen[lower]:
			r.problem(here, fmt.Sprintf("the header %s is set twice", m.name), "header names are the same in any case; remove one")
			continue
		}
		seen[lower] = true
		p := r.placement(here, "header", m.name, m.raw, headerStyles)
		p.name, p.keep = m.name, verbatim
		if !p.fixed() {
			plan.places = append(plan.places, p)
			continue
		}
		if p.constant == nil {
			continue
		}
		text, err := p.expand(nil, p.constant)
		value := strings.Trim(string(text), " \t")
		if err != nil || !fieldText(value) {
			r.problem(here, "the constant cannot be the value of a header", "write one line of text, a number or a boolean")
			continue
		}
		plan.fixed = append(plan.fixed, core.Field{Name: m.name, Value: value})
	}
	for _, m := range r.members(cookieAt, cookie) {
		here := cookieAt + "/" + escape(m.name)
		if !token(m.name) {
			r.problem(here, fmt.Sprintf("%q is not the name of a cookie", m.name), "use letters, digits and hyphens")
			continue
		}
		p := r.placement(here, "cookie", m.name, m.raw, cookieStyles)
		p.name, p.keep = m.name, unreserved
		if !p.fixed() {
			plan.cookies = append(plan.cookies, queryPart{place: p})
			continue
		}
		if p.constant == nil {
			continue
		}
		literal, err := p.expand(nil, p.constant)
		if err != nil {
			r.problem(here, "the constant "+err.Error(), "")
			continue
		}
		plan.cookies = append(plan.cookies, queryPart{literal: string(literal)})
	}
	return plan
}
