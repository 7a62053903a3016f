package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// pagesPlan says how the pages of a list are followed.
type pagesPlan struct {
	by       string // link, url, cursor, page, offset
	items    *expression.JQ
	next     *expression.JQ // url, cursor
	more     *expression.JQ // page, offset: tells whether there is another
	query    string         // escaped name of the parameter of cursor, page, offset
	start    int            // page, offset
	wish     *source        // how many pages the call asks for
	maxPages int
	maxItems int
}

// Bounds on pagination.
const (
	usualPages = 10
	usualItems = 1_000
	mostPages  = 100
	mostItems  = 100_000
)

func (r *reader) pages(at string, raw json.RawMessage) *pagesPlan {
	plan := &pagesPlan{start: -1, maxPages: usualPages, maxItems: usualItems}
	list := r.members(at, raw, "by", "items", "next", "more", "query", "start", "pages", "maxPages", "maxItems")
	for _, m := range list {
		here := at + "/" + m.name
		switch m.name {
		case "by":
			plan.by = r.choice(here, m.raw, "link", "url", "cursor", "page", "offset")
		case "items":
			plan.items = r.jq(here, m.raw)
		case "next":
			plan.next = r.jq(here, m.raw)
		case "more":
			plan.more = r.jq(here, m.raw)
		case "query":
			plan.query = string(appendEscaped(nil, r.text(here, m.raw), unreserved, false))
		case "start":
			plan.start = r.whole(here, m.raw, 0, 1_000_000)
		case "pages":
			s, _ := r.source(here, "number of pages", m.raw)
			plan.wish = &s
		case "maxPages":
			plan.maxPages = r.whole(here, m.raw, 1, mostPages)
		case "maxItems":
			plan.maxItems = r.whole(here, m.raw, 1, mostItems)
		}
	}
	need := map[string][]string{
		"link": {}, "url": {"next"}, "cursor": {"next", "query"}, "page": {"query"}, "offset": {"query"},
	}[plan.by]
	if need == nil {
		if _, given := find(list, "by"); !given {
			r.problem(at, "the sort of pagination is missing", "write by: link, url, cursor, page or offset")
		}
		return nil
	}
	for _, name := range need {
		if _, given := find(list, name); !given {
			r.problem(at, "pagination by "+plan.by+" needs "+name, map[string]string{
				"next":  "write the jq expression that finds it in a page, like next: .paging.next",
				"query": "name the query parameter that carries it, like query: cursor",
			}[name])
		}
	}
	for name, by := range map[string]string{"next": "url cursor", "more": "page offset", "start": "page offset", "query": "cursor page offset"} {
		if _, given := find(list, name); given && !strings.Contains(by, plan.by) {
			r.problem(at+"/"+name, name+" means nothing for pagination by "+plan.by, "remove it, or choose by: "+strings.ReplaceAll(by, " ", " or "))
		}
	}
	if plan.start < 0 {
		plan.start = 0
		if plan.by == "page" {
			plan.start = 1
		}
	}
	return plan
}

// follow collects the items of first and of the pages after it.
func (v *Invoker) follow(first *answer, request *core.Request) (*core.Result, error) {
	plan, a := v.pagination, first
	limit, err := plan.limit(a.call)
	if err != nil {
		return nil, err
	}
	items := []any{}
	more, page, size := false, 1, len(a.response.Body)
	seen := map[string]bool{request.Path + "?" + request.Query: true}
	base := request.Query
	start := plan.begin(base)
	for {
		body, err := a.decode()
		if err != nil {
			return nil, err
		}
		list, err := plan.list(a, body)
		if err != nil {
			return nil, err
		}
		items = append(items, list...)
		path, query, found, err := plan.following(v, a, body, request, base, start, page, len(items), len(list))
		if err != nil {
			return nil, err
		}
		switch {
		case len(items) > plan.maxItems:
			items, more = items[:plan.maxItems], true
		case found && (page >= limit || len(items) == plan.maxItems || size > expression.MaxOutput):
			more = true
		}
		if more || !found || seen[path+"?"+query] { // an upstream that points in a circle ends here
			break
		}
		seen[path+"?"+query] = true
		next := *request
		next.Path, next.Query, next.Progress = path, query, nil
		request = &next
		response, err := v.upstream.Do(a.ctx, request)
		if err != nil {
			return nil, err
		}
		page++
		size += len(response.Body)
		a = (&answer{}).read(a.ctx, v, a.call, response)
		switch v.status.of(response.Status) {
		case isError:
			return nil, &refusal{text: fmt.Sprintf("Page %d: %s", page, v.failureText(a)), status: response.Status}
		case isProtocol:
			return nil, v.protocolError(response)
		}
		if a.call.Progress {
			a.call.Notify(progress(int64(page), -1, fmt.Sprintf("page %d, %d items", page, len(items))))
		}
	}
	result, err := v.reshape(a, items)
	if err == nil && more {
		result.Content = append(result.Content, core.Text(fmt.Sprintf("There may be more: this stops after %d items on %d pages.", len(items), page)))
	}
	return result, err
}

// limit returns how many pages this call follows.
func (p *pagesPlan) limit(call *core.Call) (int, error) {
	if p.wish == nil {
		return p.maxPages, nil
	}
	value, err := p.wish.value(call)
	if err != nil || value == nil {
		return p.maxPages, err
	}
	n := 0
	switch value := value.(type) {
	case json.Number:
		n, err = strconv.Atoi(string(value))
	case int:
		n = value
	default:
		err = errNested
	}
	if err != nil || n < 1 {
		return 0, refuse("The %s must be an integer of at least 1.", p.wish.label)
	}
	return min(n, p.maxPages), nil
}

// begin returns the page or offset of the first request: what its query says, or
// start.
func (p *pagesPlan) begin(query string) int {
	for part := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(part, "="); name == p.query {
			if n, err := strconv.Atoi(value); err == nil {
				return n
			}
		}
	}
	return p.start
}

func (a *answer) decode() (any, error) {
	body := a.response.Body
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil //nolint:nilnil // an empty page has no items
	}
	value, err := wire.DecodeWithin(body, answerLimits)
	if err != nil {
		return nil, badJSON(err)
	}
	return value, nil
}

// list returns the items of a page.
func (p *pagesPlan) list(a *answer, body any) ([]any, error) {
	value := body
	if p.items != nil {
		values, err := p.items.Run(a.ctx, body, a.variables(p.items)...)
		switch {
		case err != nil:
			return nil, refuse("The items of a page could not be found: %s.", clip(err.Error(), 300))
		case len(values) == 1:
			value = values[0]
		default:
			value = values
		}
	}
	switch list := value.(type) {
	case nil:
		return nil, nil
	case []any:
		return list, nil
	}
	return nil, refuse("A page of the upstream is not a list.")
}

// following returns where the next page is.
func (p *pagesPlan) following(v *Invoker, a *answer, body any, request *core.Request, base string, start, page, total, received int) (path, query string, found bool, err error) {
	switch p.by {
	case "link":
		return v.sameUpstream(nextLink(a.response), request.Path)
	case "url", "cursor":
		values, err := p.next.Run(a.ctx, body, a.variables(p.next)...)
		if err != nil {
			return "", "", false, refuse("The next page could not be found: %s.", clip(err.Error(), 300))
		}
		text := ""
		if len(values) > 0 {
			switch value := values[0].(type) {
			case string:
				text = value
			case json.Number, int:
				text = fmt.Sprint(value)
			}
		}
		if text == "" {
			return "", "", false, nil
		}
		if p.by == "url" {
			return v.sameUpstream(text, request.Path)
		}
		return request.Path, p.with(base, text), true, nil
	}
	if p.more != nil {
		values, err := p.more.Run(a.ctx, body, a.variables(p.more)...)
		if err != nil {
			return "", "", false, refuse("Whether there is another page could not be found: %s.", clip(err.Error(), 300))
		}
		if len(values) == 0 || values[0] == nil || values[0] == false {
			return "", "", false, nil
		}
	} else if received == 0 {
		return "", "", false, nil
	}
	next := start + page
	if p.by == "offset" {
		next = start + total
	}
	return request.Path, p.with(base, strconv.Itoa(next)), true, nil
}

// with returns the query with the parameter of this plan set to value.
func (p *pagesPlan) with(query, value string) string {
	parts := []string{}
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if part != "" && name != p.query {
			parts = append(parts, part)
		}
	}
	return strings.Join(append(parts, p.query+"="+string(appendEscaped(nil, value, unreserved, false))), "&")
}

// sameUpstream takes path and query of a link, and refuses one that leaves the base
// URL of the connection: where requests go never comes from an answer (security.md
// T1).
func (v *Invoker) sameUpstream(link, path string) (string, string, bool, error) {
	if link == "" {
		return "", "", false, nil
	}
	away := refuse("The next page is not below the base URL of this tool, so it is not followed.")
	prefix := strings.TrimSuffix(v.base.EscapedPath(), "/")
	here := *v.base
	here.User, here.RawQuery, here.Fragment = nil, "", ""
	if full, err := url.PathUnescape(prefix + path); err == nil {
		here.Path, here.RawPath = full, prefix+path
	}
	target, err := here.Parse(link)
	if err != nil || target.User != nil || !strings.EqualFold(target.Scheme, v.base.Scheme) || !strings.EqualFold(hostPort(target), hostPort(v.base)) {
		return "", "", false, away
	}
	rest, below := strings.CutPrefix(target.EscapedPath(), prefix)
	if !below || !strings.HasPrefix(rest, "/") || climbsPath(rest) {
		return "", "", false, away
	}
	var query []string
	for part := range strings.SplitSeq(target.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if _, secret := v.secretQuery[name]; !secret && part != "" { // the egress adds its credential itself
			query = append(query, string(appendQuery(nil, part)))
		}
	}
	return rest, strings.Join(query, "&"), true, nil
}

// appendQuery appends a part of a query that an upstream wrote: what may stand in a
// query stays, the rest is escaped.
func appendQuery(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			dst = append(dst, s[i:i+3]...)
			i += 2
			continue
		}
		dst = appendEscaped(dst, s[i:i+1], queryLetter, false)
	}
	return dst
}

var queryLetter = keep("!$'()*+,;=:@/?")

func climbsPath(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || climbs(appendEscaped(nil, plain, unreserved, false)) {
			return true
		}
	}
	return false
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return u.Hostname() + ":" + port
}

// nextLink finds the link with rel=next (RFC 8288); "" when there is none.
func nextLink(response *core.Response) string {
	for _, field := range response.Header {
		if !strings.EqualFold(field.Name, "Link") {
			continue
		}
		rest := field.Value
		for {
			open := strings.IndexByte(rest, '<')
			if open < 0 {
				break
			}
			end := strings.IndexByte(rest[open:], '>')
			if end < 0 {
				break
			}
			target := rest[open+1 : open+end]
			rest = rest[open+end+1:]
			parameters := rest
			if next := strings.IndexByte(rest, '<'); next >= 0 {
				parameters = rest[:next]
			}
			if isNext(parameters) {
				return target
			}
		}
	}
	return ""
}

func isNext(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.Trim(parameter, " \t,"), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for relation := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(relation, "next") {
				return true
			}
		}
	}
	return false
}
