package web

import (
	"context"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/mcp"
	"github.com/sallyport/sallyport/core/wire"
)

// apiRequest is one request below /api/, free of any HTTP library.
type apiRequest struct {
	method, path, query string
	header              mcp.Header
	host                string // checked already
	origin              string // "" = none was sent
	body                []byte
	encoded             bool // it has a Content-Encoding
	id                  string
	address             string
	public              string // origin under which the client reached us
	secure              bool   // over TLS
	near                bool   // from this machine
}

// apiCall is a request that is being answered.
type apiCall struct {
	api     *API
	request *apiRequest
	sink    mcp.Sink
	ctx     context.Context //nolint:containedctx // the call is made for one request and ends with it

	route  *apiRoute
	values []string // of the path's parameters
	query  url.Values
	tenant string // that it acts in
	who    core.Identity
	login  *LoginFound       // nil = came in by another way
	cookie core.Secret       // of the login
	body   any               // pointer to what route.Body is
	form   map[string][]byte // parts, where the body is a form
	match  int64             // If-Match
	ends   bool              // the logins of the user that is changed end
	why    string            // reason, in the words of who calls

	status      int
	contentType string
	header      []core.Field
	cookies     []string
	answer      []byte
	streamed    bool
}

// path returns the value of a parameter of the path.
func (c *apiCall) path(name string) string {
	if i := slices.Index(c.route.names, name); i >= 0 {
		return c.values[i]
	}
	return ""
}

// asked returns a query parameter; "" when it is absent.
func (c *apiCall) asked(name string) string { return c.query.Get(name) }

// when returns a query parameter that is a time.
func (c *apiCall) when(name string) (time.Time, error) {
	text := c.asked(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, &core.Error{Code: core.CodeInvalid, Message: name + " is no time", Fix: "write it like 2030-01-31T12:00:00Z, with + as %2B"}
	}
	return t, nil
}

// reply sets the answer.
func (c *apiCall) reply(value any) error {
	b, err := wire.Marshal(value)
	if err != nil {
		return err
	}
	c.answer, c.contentType = b, jsonType
	return nil
}

// replyRow answers a row with its version as ETag.
func (c *apiCall) replyRow(row core.Row, shown any) error {
	if stamp := stampOf(row); stamp != nil {
		c.set("ETag", etag(stamp.Version))
	}
	return c.reply(shown)
}

// set sets a header of the answer; one that is there already is kept beside it.
func (c *apiCall) set(name, value string) {
	c.header = append(c.header, core.Field{Name: name, Value: value})
}

// fields returns the headers of the answer.
func (c *apiCall) fields() []core.Field {
	fields := c.header
	for _, one := range c.cookies {
		fields = append(fields, core.Field{Name: "Set-Cookie", Value: one})
	}
	return fields
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// from tells where the request came from.
func (c *apiCall) from() Visitor {
	agent := c.request.header.Get("User-Agent")
	if len(agent) > 200 {
		agent = agent[:200]
	}
	return Visitor{Address: c.request.address, Agent: strings.ToValidUTF8(agent, "?"), Request: c.request.id}
}

// may asks for a permission beside that of the route.
func (c *apiCall) may(do core.Action, on core.Object) error {
	if c.api.lax.permission {
		return nil
	}
	return c.api.o.Authorizer.Authorize(c.ctx, c.who, do, on)
}

// reads tells whether the caller may read an object of its route's kind.
func (c *apiCall) reads(kind, name string) bool {
	return c.may(core.ActionRead, core.Object{Kind: kind, Tenant: c.tenant, Name: name}) == nil
}

// decode reads query, If-Match, body and reason, as the route takes them.
func (c *apiCall) decode() error {
	if err := c.decodeQuery(); err != nil {
		return err
	}
	if err := c.decodeMatch(); err != nil {
		return err
	}
	c.why = c.request.header.Get("X-Reason")
	if err := c.decodeBody(); err != nil {
		return err
	}
	if reasoned, ok := c.body.(interface{ reason() string }); ok && reasoned.reason() != "" {
		c.why = reasoned.reason()
	}
	if len(c.why) > 2000 || !utf8.ValidString(c.why) {
		return &core.Error{Code: core.CodeInvalid, Message: "the reason is too long, or is not UTF-8", Fix: "write at most 2,000 bytes"}
	}
	return nil
}

// reasoned is embedded in bodies of changes.
type reasoned struct {
	Reason string `json:"reason,omitempty"` // for the audit trail
}

func (r reasoned) reason() string { return r.Reason }

func (c *apiCall) decodeMatch() error {
	if !c.route.Match {
		return nil
	}
	text := c.request.header.Get("If-Match")
	if text == "" {
		return &core.Error{Code: codeMatch, Message: "If-Match is missing", Fix: "send If-Match with the ETag of what you read, so that no change of somebody else is lost"}
	}
	number, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`), 10, 64)
	if err != nil || number < 1 || etag(number) != text {
		return &core.Error{Code: core.CodeInvalid, Message: "If-Match is no ETag of ours", Fix: `send one as you got it, such as "3" with its quotes`}
	}
	c.match = number
	return nil
}

// decodeBody reads the body into a new value of the route's type.
func (c *apiCall) decodeBody() error {
	r := c.request
	if c.route.Parts != nil {
		return c.decodeForm()
	}
	if c.route.Body == nil {
		if len(r.body) > 0 {
			return &core.Error{Code: core.CodeInvalid, Message: "this route takes no body", Fix: "send none"}
		}
		return nil
	}
	media, parameters, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), jsonType) || !utf8Charset(parameters) || r.encoded {
		return &core.Error{Code: codeMediaType, Message: "the body is not marked as JSON", Fix: "send Content-Type: application/json, without Content-Encoding"}
	}
	limit := c.route.Limit
	if limit == 0 {
		limit = apiBody
	}
	if len(r.body) > limit {
		return &core.Error{Code: core.CodeTooLarge, Message: "the body is too large", Fix: "send at most " + decimal(int64(limit)) + " bytes"}
	}
	c.body = reflect.New(reflect.TypeOf(c.route.Body)).Interface()
	return decodeBody(r.body, c.body)
}

// utf8Charset accepts no parameter but charset=utf-8.
func utf8Charset(parameters string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(parameters), "=")
	return name == "" || strings.EqualFold(name, "charset") && strings.EqualFold(strings.Trim(value, `"`), "utf-8")
}
