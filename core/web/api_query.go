package web

import (
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// params returns the query parameters of a route, those that many have included.
func (r *apiRoute) params() []apiParam {
	list := slices.Clone(r.Query)
	if r.Paged {
		list = append(list,
			apiParam{Name: "limit", About: "How many at most: 1 to 1,000; 100."},
			apiParam{Name: "after", About: "Where the page begins: next of the page before."})
	}
	if r.tenanted() {
		list = append(list, apiParam{Name: parameterName, About: "Another tenant than one's own, for those whose roles hold everywhere."})
	}
	return list
}

// decodeQuery reads the query: only what the route knows, each once.
func (c *apiCall) decodeQuery() error {
	values, err := url.ParseQuery(c.request.query)
	if err != nil || strings.Contains(c.request.query, ";") {
		return &core.Error{Code: core.CodeInvalid, Message: "the query is not valid", Fix: "write name=value, joined by &, percent-encoded"}
	}
	params := c.route.params()
	known := make([]string, len(params))
	for i, p := range params {
		known[i] = p.Name
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		at := slices.Index(known, name)
		switch {
		case at < 0:
			fix := "this route takes none"
			if near := closest(name, known); near != "" {
				fix = "write " + near
			} else if len(known) > 0 {
				fix = "this route takes " + strings.Join(known, ", ")
			}
			return &core.Error{Code: core.CodeInvalid, Message: "there is an unknown query parameter", Fix: fix}
		case len(values[name]) > 1:
			return &core.Error{Code: core.CodeInvalid, Message: name + " comes twice", Fix: "send it once"}
		case params[at].Enum != nil && !slices.Contains(params[at].Enum, values.Get(name)):
			return &core.Error{Code: core.CodeInvalid, Message: name + " has a value that is not known", Fix: "write one of " + strings.Join(params[at].Enum, ", ")}
		}
	}
	c.query = values
	return nil
}

// page returns what the query says of paging.
func (c *apiCall) page() (core.Query, error) {
	q := core.Query{Tenant: c.tenant, After: c.asked("after"), Limit: pageDefault}
	if text := c.asked("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > pageMost {
			return q, &core.Error{Code: core.CodeInvalid, Message: "limit is not between 1 and 1,000", Fix: "write limit=100"}
		}
		q.Limit = n
	}
	return q, nil
}

// pageOf is one page of a list.
type pageOf[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // for ?after=; absent on the last page
}
