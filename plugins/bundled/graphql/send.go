package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// answer is what a GraphQL server answers with (specification, section 7.1).
type answer struct {
	Data   json.RawMessage
	Errors []problem
}

// read reads an answer; false when it is none.
func (a *answer) read(body []byte) bool {
	var raw struct {
		Data   json.RawMessage   `json:"data"`
		Errors []json.RawMessage `json:"errors"`
	}
	if err := plugin.Unmarshal(body, &raw); err != nil || raw.Data == nil && len(raw.Errors) == 0 {
		return false
	}
	a.Data = raw.Data
	for _, one := range raw.Errors {
		var e problem
		if plugin.Unmarshal(one, &e) != nil {
			// Of one whose other members are not as the specification says, the message.
			var least struct {
				Message string `json:"message"`
			}
			_ = plugin.Unmarshal(one, &least)
			e = problem{Message: least.Message}
		}
		a.Errors = append(a.Errors, e)
	}
	return true
}

// problem is one of an answer's errors.
type problem struct {
	Message    string            `json:"message"`
	Path       []json.RawMessage `json:"path"`
	Locations  []location        `json:"locations"`
	Extensions struct {
		Code json.RawMessage `json:"code"`
	} `json:"extensions"`
}

type location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

const (
	mediaType = "application/graphql-response+json"
	maxErrors = 20
	maxText   = 1 << 10 // bytes of one error's message
)

// ask posts one request and returns what the server answered; the error is one to
// answer the call with.
func ask(ctx *plugin.Context, body []byte) (*answer, error) {
	header := plugin.Header{
		{Name: "content-type", Value: "application/json"},
		{Name: "accept", Value: mediaType + ", application/json;q=0.9"},
	}
	names := make([]string, 0, len(settings.Headers))
	for name := range settings.Headers {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		header = append(header, plugin.Field{Name: name, Value: settings.Headers[name]})
	}
	response, err := ctx.HTTP(plugin.Request{Method: "POST", URL: settings.Endpoint, Header: header, Body: body})
	if err != nil {
		return nil, unreached(err)
	}
	a := new(answer)
	understood := a.read(response.Body)
	status := response.Status
	says := "HTTP " + strconv.Itoa(status)
	if understood && len(a.Errors) > 0 {
		says += ": " + a.Errors[0].text()
	}
	switch {
	case status == 401 || status == 403:
		return nil, plugin.Denied("the GraphQL server refused the request (%s)", says)
	case status == 408 || status == 425 || status == 429 || status == 502 || status == 503 || status == 504:
		return nil, plugin.Unavailable(retryAfter(response), "the GraphQL server is not available now (%s)", says)
	case understood && (status/100 == 2 || len(a.Errors) > 0):
		return a, nil // a server may answer 400 and 500 with errors in the body
	case status/100 == 2:
		return nil, plugin.ToolError("the GraphQL server answered with something that is no GraphQL response; is the endpoint right?")
	case status/100 == 3:
		return nil, plugin.ToolError("the GraphQL server answered with a redirection (%s); is the endpoint right?", says)
	}
	return nil, plugin.ToolError("the GraphQL server failed (%s)", says)
}

// unreached makes the answer to a call whose request was not answered.
func unreached(err error) error {
	var code plugin.Code
	errors.As(err, &code)
	switch code {
	case plugin.ErrDenied:
		return plugin.Denied("the gateway does not let this plugin call its endpoint: the operator has to grant POST to that host and port")
	case plugin.ErrTimeout:
		return plugin.Unavailable(0, "the GraphQL server took too long to answer")
	case plugin.ErrUnavailable, plugin.ErrQuota:
		return plugin.Unavailable(time.Second, "the GraphQL server cannot be reached now")
	case plugin.ErrTooLarge:
		return plugin.ToolError("the answer is too large: ask for fewer fields or fewer elements")
	}
	return plugin.Internal("%w", err)
}

const maxWait = 24 * time.Hour

// retryAfter reads the header Retry-After as seconds (RFC 9110, section 10.2.3), 0 when
// there is none; one that holds a date is not read.
func retryAfter(r *plugin.Response) time.Duration {
	seconds, err := strconv.ParseUint(strings.TrimSpace(r.Header.Get("retry-after")), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxWait)
}

// send asks and makes the result of a tool.
func send(ctx *plugin.Context, body []byte, pick path) (plugin.Result, error) {
	a, err := ask(ctx, body)
	if err != nil {
		return plugin.Result{}, err
	}
	if len(a.Errors) > 0 {
		ctx.Count("graphql_errors", float64(len(a.Errors)))
		return a.failure(pick), nil
	}
	return plugin.JSON(pick.of(a.Data))
}

// failure is the result of an answer with errors: their texts for the model, and
// structured content with both errors and what data came in spite of them.
func (a *answer) failure(pick path) plugin.Result {
	partial := null
	if data := bytes.TrimSpace(a.Data); len(data) > 0 && !bytes.Equal(data, null) {
		partial = pick.of(data)
	}
	var text strings.Builder
	structured := []byte(`{"errors":[`)
	for i := range a.Errors {
		if i == maxErrors {
			text.WriteString("\nand " + strconv.Itoa(len(a.Errors)-i) + " more")
			break
		}
		e := &a.Errors[i]
		if i > 0 {
			text.WriteByte('\n')
			structured = append(structured, ',')
		}
		text.WriteString(e.text())
		structured = e.appendJSON(structured)
	}
	structured = append(append(append(structured, `],"data":`...), partial...), '}')
	if !bytes.Equal(partial, null) {
		text.WriteString("\nThe data that came in spite of it: ")
		text.Write(partial)
	}
	r := plugin.Text(text.String())
	r.IsError, r.Structured = true, structured
	return r
}

// text says what went wrong in one line: "no such country (country.name) [NOT_FOUND]".
func (e *problem) text() string {
	s := e.message()
	if where := e.where(); where != "" {
		s += " (" + where + ")"
	} else if len(e.Locations) > 0 {
		s += " (line " + strconv.Itoa(e.Locations[0].Line) + ", column " + strconv.Itoa(e.Locations[0].Column) + ")"
	}
	if code := e.code(); code != "" {
		s += " [" + code + "]"
	}
	return s
}

func (e *problem) message() string {
	if e.Message == "" {
		return "an error without a message"
	}
	return strings.ToValidUTF8(e.Message[:min(len(e.Message), maxText)], "")
}

// where is the path of the error as pick writes it: users[0].name.
func (e *problem) where() string {
	var b strings.Builder
	for _, part := range e.Path {
		var member string
		switch {
		case json.Unmarshal(part, &member) != nil:
			b.WriteByte('[')
			b.Write(part)
			b.WriteByte(']')
			continue
		case b.Len() > 0:
			b.WriteByte('.')
		}
		b.WriteString(member)
	}
	return b.String()
}

// code is extensions.code, which most servers send, as text or number.
func (e *problem) code() string {
	var s string
	if json.Unmarshal(e.Extensions.Code, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(e.Extensions.Code, &n) == nil {
		return n.String()
	}
	return ""
}

func (e *problem) appendJSON(b []byte) []byte {
	b = append(append(b, `{"message":`...), quote(e.message())...)
	if where := e.where(); where != "" {
		b = append(append(b, `,"path":`...), quote(where)...)
	}
	if code := e.code(); code != "" {
		b = append(append(b, `,"code":`...), quote(code)...)
	}
	return append(b, '}')
}
