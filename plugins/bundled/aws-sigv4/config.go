package main

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Config is the plugin's configuration; config_schema in plugin.yaml says the same with
// more words.
type Config struct {
	Region     string            `json:"region"`
	Service    string            `json:"service"`
	Endpoint   string            `json:"endpoint"`         // absent = https://SERVICE.REGION.amazonaws.com
	Rules      string            `json:"rules"`            // general or s3; absent = s3 if the service is s3
	Unsigned   bool              `json:"unsigned_payload"` // UNSIGNED-PAYLOAD; https only
	Operations []OperationConfig `json:"operations"`
}

// OperationConfig is one request that is a tool.
type OperationConfig struct {
	Tool        string            `json:"tool"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Method      string            `json:"method"` // absent = GET, or POST if there is a body
	Path        string            `json:"path"`   // absent = /
	Query       map[string]string `json:"query"`
	Headers     map[string]string `json:"headers"`
	Body        *BodyConfig       `json:"body"`
	InputSchema json.RawMessage   `json:"inputSchema"`
	Annotations json.RawMessage   `json:"annotations"`
}

// BodyConfig is a body: one of json, form, xml, text and base64.
type BodyConfig struct {
	JSON        json.RawMessage   `json:"json"`
	Form        map[string]string `json:"form"`
	XML         *string           `json:"xml"`    // values are escaped
	Text        *string           `json:"text"`   // values stand as they are
	Base64      *string           `json:"base64"` // is decoded
	ContentType string            `json:"content_type"`
}

// The operations and the place of this instance. They are the operator's, not a
// caller's.
var (
	place struct {
		origin string // https://host:port
		host   string // as the Host header has it
		base   string // path of the endpoint, without a slash at the end
		signer signer
	}
	operations []*operation
	byName     map[string]*operation
)

func configure(_ *plugin.Context, c Config) error {
	if !label(c.Region) || !label(c.Service) {
		return plugin.InvalidArgs("region and service must be given as AWS writes them: eu-central-1, dynamodb")
	}
	if c.Endpoint == "" {
		c.Endpoint = "https://" + c.Service + "." + c.Region + ".amazonaws.com"
	}
	scheme, rest, ok := strings.Cut(c.Endpoint, "://")
	host, base, _ := strings.Cut(rest, "/")
	base = strings.TrimSuffix("/"+base, "/")
	if !ok || scheme != "https" && scheme != "http" || host == "" || strings.Trim(host, hostLetters) != "" || base != escape(base, true) || dotted(base) {
		return plugin.InvalidArgs("endpoint must be an address such as https://dynamodb.eu-central-1.amazonaws.com, in small letters and without query, not %q", c.Endpoint)
	}
	origin := scheme + "://" + host
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	s := signer{region: c.Region, service: c.Service, unsigned: c.Unsigned}
	switch {
	case c.Rules == "s3", c.Rules == "" && c.Service == "s3":
		s.s3 = true
	case c.Rules != "" && c.Rules != "general":
		return plugin.InvalidArgs("rules must be general or s3, not %q", c.Rules)
	}
	if c.Unsigned && scheme != "https" {
		return plugin.InvalidArgs("unsigned_payload needs an endpoint with https: nothing else would protect the body")
	}
	if len(c.Operations) == 0 {
		return plugin.InvalidArgs("the configuration has no operations: there would be no tools")
	}
	made, names := make([]*operation, 0, len(c.Operations)), map[string]*operation{}
	for i := range c.Operations {
		o, err := c.Operations[i].operation()
		if err != nil {
			return plugin.InvalidArgs("operations[%d] (%s): %w", i, c.Operations[i].Tool, err)
		}
		if names[o.info.Name] != nil {
			return plugin.InvalidArgs("the tool %s stands twice", o.info.Name)
		}
		names[o.info.Name] = o
		made = append(made, o)
	}
	place.origin, place.host, place.base, place.signer = origin, host, base, s
	operations, byName = made, names
	return nil
}

const (
	letters     = "abcdefghijklmnopqrstuvwxyz0123456789"
	hostLetters = letters + ".-_:[]"
)

// label says whether s can stand in the scope of a signature.
func label(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, letters+"-") == ""
}

// dotted says whether a path has a segment . or .., which servers and clients resolve.
func dotted(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func (c *OperationConfig) operation() (*operation, error) {
	o := &operation{
		info:   plugin.ToolInfo{Name: c.Tool, Title: c.Title, Description: c.Description, Annotations: c.Annotations},
		method: c.Method,
	}
	if !toolName(c.Tool) {
		return nil, plugin.InvalidArgs("%q is no name of a tool: letters, digits, _, - and ., at most 128", c.Tool)
	}
	switch {
	case o.method == "" && c.Body != nil:
		o.method = "POST"
	case o.method == "":
		o.method = "GET"
	}
	switch o.method {
	case "GET", "HEAD":
		if c.Body != nil {
			return nil, plugin.InvalidArgs("a %s has no body", o.method)
		}
		if o.info.Annotations == nil {
			o.info.Annotations = json.RawMessage(`{"readOnlyHint":true}`)
		}
	case "POST", "PUT", "PATCH", "DELETE":
	default:
		return nil, plugin.InvalidArgs("method must be GET, HEAD, POST, PUT, PATCH or DELETE, not %q", o.method)
	}
	path := c.Path
	if path == "" {
		path = "/"
	}
	var err error
	switch o.path, err = parseTemplate(path); {
	case err != nil:
		return nil, plugin.InvalidArgs("path: %w", err)
	case path[0] != '/' || strings.ContainsAny(path, "?#") || dotted(path):
		return nil, plugin.InvalidArgs("path must begin with / and hold no ?, # and no segment . or ..: the query stands under query")
	}
	if o.query, err = fieldsOf(c.Query); err != nil {
		return nil, plugin.InvalidArgs("query: %w", err)
	}
	if o.headers, err = fieldsOf(c.Headers); err != nil {
		return nil, plugin.InvalidArgs("headers: %w", err)
	}
	for _, f := range o.headers {
		if err := mayStand(f.name); err != nil {
			return nil, err
		}
		if strings.EqualFold(f.name, "content-type") && c.Body != nil && c.Body.ContentType != "" {
			return nil, plugin.InvalidArgs("the content type stands twice: under headers and under body")
		}
	}
	if c.Body != nil {
		if o.body, err = c.Body.body(); err != nil {
			return nil, plugin.InvalidArgs("body: %w", err)
		}
		if _, err := plainHeader("body.content_type", o.body.contentType); err != nil {
			return nil, err
		}
	}
	return o, o.schema(c.InputSchema)
}

// mayStand says whether the configuration may set a header. Those of the connection and
// those that the gateway sets would not arrive as they were signed.
func mayStand(name string) error {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return plugin.InvalidArgs("headers: %q is no name of a header", name)
		}
	}
	switch strings.ToLower(name) {
	case "authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token":
		return plugin.InvalidArgs("headers: %s is set when the request is signed", name)
	case "", "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "expect",
		"proxy-connection", "proxy-authorization", "proxy-authenticate", "http2-settings", "user-agent", "accept-encoding", "traceparent", "tracestate":
		return plugin.InvalidArgs("headers: %q is the gateway's to set", name)
	}
	return nil
}

func (c *BodyConfig) body() (*body, error) {
	b := &body{contentType: c.ContentType}
	given, kind := 0, ""
	take := func(is bool, name, contentType string) {
		if is {
			given++
			kind = name
			if b.contentType == "" {
				b.contentType = contentType
			}
		}
	}
	take(c.JSON != nil, "json", "application/json")
	take(c.Form != nil, "form", "application/x-www-form-urlencoded; charset=utf-8")
	take(c.XML != nil, "xml", "application/xml")
	take(c.Text != nil, "text", "text/plain; charset=utf-8")
	take(c.Base64 != nil, "base64", "application/octet-stream")
	if given != 1 {
		return nil, plugin.InvalidArgs("write one of json, form, xml, text and base64")
	}
	var err error
	switch b.kind = kind; kind {
	case "json":
		b.json, err = parseNode(c.JSON)
	case "form":
		b.form, err = fieldsOf(c.Form)
	case "xml":
		b.text, err = parseTemplate(*c.XML)
	case "text":
		b.text, err = parseTemplate(*c.Text)
	case "base64":
		b.text, err = parseTemplate(*c.Base64)
	}
	return b, err
}

// schema takes the tool's input schema, or makes one of the arguments that the
// templates name.
func (o *operation) schema(given json.RawMessage) error {
	used, inPath, free := map[string]bool{}, map[string]bool{}, map[string]bool{}
	o.path.names(inPath)
	o.path.names(used)
	for _, fields := range [][]field{o.query, o.headers} {
		for _, f := range fields {
			f.value.names(used)
		}
	}
	if o.body != nil {
		o.body.text.names(used)
		for _, f := range o.body.form {
			f.value.names(used)
			if id := f.value.whole(); id != "" {
				free[id] = true
			}
		}
		if o.body.json != nil {
			inBody := map[string]bool{}
			o.body.json.names(inBody)
			o.body.json.wholes(free)
			o.rest = inBody[everything]
			delete(inBody, everything)
			for name := range inBody {
				used[name] = true
			}
		}
	}
	if used[everything] {
		return plugin.InvalidArgs("{*} stands only as a value of its own in a json body")
	}
	o.used, o.known = used, map[string]bool{}
	names := make([]string, 0, len(used))
	for name := range used {
		o.known[name] = true
		names = append(names, name)
	}
	sort.Strings(names)
	if given == nil {
		b := []byte(`{"type":"object","properties":{`)
		var required []byte
		for i, name := range names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(b, quote(name)...), ':')
			if free[name] {
				b = append(b, "{}"...)
			} else {
				b = append(b, `{"type":"string"}`...)
			}
			if inPath[name] {
				o.required = append(o.required, name)
				if required != nil {
					required = append(required, ',')
				}
				required = append(required, quote(name)...)
			}
		}
		b = append(b, '}')
		if required != nil {
			b = append(append(append(b, `,"required":[`...), required...), ']')
		}
		if !o.rest {
			b = append(b, `,"additionalProperties":false`...)
		}
		b = append(b, '}')
		o.info.InputSchema = b
		return nil
	}
	o.info.InputSchema = given
	return o.readSchema(given, names, inPath)
}

// readSchema takes what the plugin itself has to know of an input schema: the names of
// arguments, which are required, and defaults.
func (o *operation) readSchema(given json.RawMessage, names []string, inPath map[string]bool) error {
	var s struct {
		Properties map[string]struct {
			Default json.RawMessage `json:"default"`
		} `json:"properties"`
		Required []string `json:"required"`
	}
	if err := json.Unmarshal(given, &s); err != nil {
		return plugin.InvalidArgs("inputSchema: %w", err)
	}
	for _, name := range names {
		if _, there := s.Properties[name]; !there {
			return plugin.InvalidArgs("{%s} is used and not among inputSchema.properties", name)
		}
	}
	o.defaults = arguments{}
	for name, p := range s.Properties {
		o.known[name] = true
		if p.Default != nil && string(p.Default) != "null" {
			o.defaults[name] = p.Default
		}
	}
	o.required = s.Required
	for name := range inPath {
		if !slices.Contains(s.Required, name) && o.defaults[name] == nil {
			return plugin.InvalidArgs("{%s} is part of the path: it must be required in inputSchema or have a default", name)
		}
	}
	return nil
}

func toolName(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(strings.ToLower(s), letters+"-_.") == ""
}
