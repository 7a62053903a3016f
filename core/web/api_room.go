package web

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// largeRead is for how long a large body may arrive: 34 MiB with 2.5 Mbit/s.
const largeRead = 2 * time.Minute

// roomAsked bounds asking who wants room.
const roomAsked = 5 * time.Second

// largeBody makes room for the body of a request that is larger than the edge takes of
// everybody, where a route of the admin plane takes such bodies: from who may use that
// route, which is known before the first byte of the body is read. The zero value leaves
// all as it is.
func (e *Edge) largeBody(h *fasthttp.RequestHeader) (config fasthttp.RequestConfig) {
	defer e.contain("make room for a body") // fasthttp would let a panic end the process
	if room := e.room(h); room > e.limits.Body {
		config.MaxRequestBodySize, config.ReadTimeout = room, max(largeRead, e.limits.Read)
	}
	return config
}

// room returns how many bytes of a body are read; 0 = as many as of everybody.
func (e *Edge) room(h *fasthttp.RequestHeader) int {
	length := h.ContentLength() // -1 = chunked
	if e.api == nil || length < -1 || length >= 0 && length <= e.limits.Body || !bytes.HasPrefix(h.RequestURI(), []byte(apiRoot+"/")) {
		return 0
	}
	path, query, _ := strings.Cut(string(h.RequestURI()), "?")
	for _, secure := range []bool{true, false} { // the login cookie has another name over TLS
		r := &apiRequest{method: string(h.Method()), path: path, query: query, header: peeked{h}, secure: secure, near: !secure}
		if room := e.api.room(r); room > 0 {
			return room
		}
	}
	return 0
}

// room returns how many bytes a route takes of whoever asks; 0 = no more than of
// everybody, or who asks may not use it.
func (a *API) room(r *apiRequest) int {
	ctx, stop := context.WithTimeout(context.Background(), roomAsked)
	defer stop()
	c := &apiCall{api: a, request: r, ctx: ctx}
	c.route, c.values, _ = a.routes.find(r.method, strings.TrimPrefix(r.path, apiRoot))
	if c.route == nil || c.route.Limit == 0 || c.route.On == "" {
		return 0
	}
	if c.identify() != nil || c.permit() != nil {
		return 0
	}
	return c.route.Limit
}

// peeked reads header fields where fasthttp has them.
type peeked struct{ h *fasthttp.RequestHeader }

// Get returns the first value of a header; "" when absent.
func (p peeked) Get(name string) string { return string(p.h.Peek(name)) }

// Values returns all values of a header, nil when absent.
func (p peeked) Values(name string) (values []string) {
	for _, one := range p.h.PeekAll(name) {
		values = append(values, string(one))
	}
	return values
}
