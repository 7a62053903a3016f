package plugin

import (
	"strings"

	"github.com/sallyport/sallyport/sdk/go/internal/frame"
	"github.com/sallyport/sallyport/sdk/go/internal/host"
)

// Header is the fields of a request or response, in order; names may repeat.
type Header []Field

// Field is one header field.
type Field struct{ Name, Value string }

// Get returns the value of the first field with that name, in whatever case.
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Request is one HTTP request. Where it may go, and with which methods and ports,
// the operator's grant says; the host adds the headers that carry secrets.
type Request struct {
	Method string // "" = GET
	URL    string // absolute
	Header Header // at most 62 fields
	Body   []byte
}

// Response is the answer, whatever its status: 404 is no error.
type Response struct {
	Status int
	Header Header
	Body   []byte
}

// HTTP sends a request and waits for the answer. Redirects are followed only where
// the grant allows. The time it takes does not burn the CPU budget of the call.
func (c *Context) HTTP(r Request) (*Response, error) {
	if c.over || len(r.Header) > frame.MaxPairs-2 {
		return nil, failed("http", r.URL, host.Invalid)
	}
	if r.Method == "" {
		r.Method = "GET"
	}
	pairs := make([]frame.Pair, 0, 2+len(r.Header))
	pairs = append(pairs, frame.Pair{Key: ":method", Value: r.Method}, frame.Pair{Key: ":url", Value: r.URL})
	for _, f := range r.Header {
		if strings.HasPrefix(f.Name, ":") {
			return nil, failed("http", r.URL, host.Invalid)
		}
		pairs = append(pairs, frame.Pair{Key: f.Name, Value: f.Value})
	}
	answer, code := pending(host.HTTP(frame.AppendIn(nil, pairs, r.Body)))
	if code < 0 {
		return nil, failed("http", r.URL, code)
	}
	status, meta, body, ok := frame.SplitOut(answer)
	if !ok {
		return nil, failed("http", r.URL, host.Invalid)
	}
	response := &Response{Status: int(status), Body: body}
	if meta.Len() > 0 {
		response.Header = make(Header, 0, meta.Len())
		for _, p := range meta.Pairs() {
			response.Header = append(response.Header, Field{p.Key, p.Value})
		}
	}
	return response, nil
}
