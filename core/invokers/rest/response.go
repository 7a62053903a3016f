package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/expression"
	"github.com/sallyport/sallyport/core/wire"
)

// answerLimits bounds the JSON of an answer. Its size is bounded by the connection;
// a long list has more members than an argument may have.
var answerLimits = wire.Limits{Depth: 64, Keys: 1_000_000, String: 64 << 20, Number: 1 << 10}

// form is what an answer is taken for.
type form byte

const (
	formAuto form = iota
	formJSON
	formText
	formImage
	formAudio
	formBinary
	formHeaders
	formNone
)

var forms = []string{"auto", "json", "text", "image", "audio", "binary", "headers", "none"}

// jqVariables are what every jq expression of this kind can read.
var jqVariables = []string{"$status", "$headers", "$arguments"}

// answer is a response on its way to a result.
type answer struct {
	ctx      context.Context //nolint:containedctx // lives as long as one call of Invoke
	call     *core.Call
	response *core.Response
	kind     string // media type, lower case, without parameters
	charset  string
	mimeType string // as the upstream, or the document, says it

	result  core.Result // what single fills in
	content [1]core.Content
}

// read makes a the answer of a response, and returns it.
func (a *answer) read(ctx context.Context, v *Invoker, call *core.Call, response *core.Response) *answer {
	a.ctx, a.call, a.response, a.mimeType = ctx, call, response, v.mimeType
	if a.mimeType == "" {
		a.mimeType = response.Get("Content-Type")
	}
	switch a.mimeType { // the usual ones cost nothing
	case jsonType, "application/json; charset=utf-8":
		a.kind, a.mimeType = jsonType, jsonType
		return a
	}
	kind, parameters, err := mime.ParseMediaType(a.mimeType)
	if err != nil && kind == "" {
		before, _, _ := strings.Cut(a.mimeType, ";")
		if kind = strings.ToLower(strings.TrimSpace(before)); !isMediaType(kind) {
			kind = ""
		}
	}
	a.kind, a.charset, a.mimeType = kind, strings.ToLower(parameters["charset"]), kind
	return a
}

// form decides what the answer is taken for.
func (v *Invoker) form(a *answer) form {
	switch {
	case v.as == formHeaders || v.as == formNone:
		return v.as
	case v.as == formAuto && (v.method == http.MethodHead || v.method == http.MethodOptions && len(a.response.Body) == 0):
		return formHeaders
	case len(a.response.Body) == 0:
		return formNone
	case v.as != formAuto:
		return v.as
	}
	kind := a.kind
	switch {
	case kind == jsonType, strings.HasSuffix(kind, "+json"):
		return formJSON
	case strings.HasPrefix(kind, "text/"), strings.HasSuffix(kind, "+xml"), strings.HasSuffix(kind, "+yaml"):
		return formText
	case strings.HasPrefix(kind, "image/"):
		return formImage
	case strings.HasPrefix(kind, "audio/"):
		return formAudio
	}
	switch kind {
	case "application/xml", "application/yaml", "application/x-yaml", "application/toml", "application/javascript",
		"application/x-ndjson", "application/jsonl", "application/x-www-form-urlencoded", "application/graphql", "application/sql":
		return formText
	case "":
		if wire.Check(a.response.Body, answerLimits) == nil {
			return formJSON
		}
		if utf8.Valid(a.response.Body) && bytes.IndexByte(a.response.Body, 0) < 0 {
			return formText
		}
	}
	return formBinary
}

// result makes the result of an answer that is ok.
func (v *Invoker) result(a *answer) (*core.Result, error) {
	switch v.form(a) {
	case formHeaders:
		return v.reshape(a, v.headerObject(a))
	case formNone:
		text := "Done: the upstream answered " + strings.TrimSpace(fmt.Sprintf("%d %s", a.response.Status, http.StatusText(a.response.Status))) + "."
		return a.say(text, nil), nil
	case formJSON:
		return v.jsonResult(a)
	case formText:
		text, err := a.text()
		if err != nil {
			return nil, err
		}
		if v.selection != nil {
			return v.reshape(a, text)
		}
		block := core.Text(text)
		if a.call.For.Kind == "resource" {
			block.MIMEType = a.kind
		}
		return a.single(block, nil), nil
	case formImage:
		return a.single(core.Image(a.response.Body, a.typed("image/")), nil), nil
	case formAudio:
		return a.single(core.Audio(a.response.Body, a.typed("audio/")), nil), nil
	}
	kind := a.kind
	if kind == "" {
		kind = "application/octet-stream"
	}
	return a.single(core.Embedded(core.ResourceContents{
		URI: v.resourceURI(a.call), MIMEType: kind, Blob: a.response.Body, Binary: true,
	}), nil), nil
}

// single returns a result of one block, as a part of the answer. There is one.
func (a *answer) single(block core.Content, structured json.RawMessage) *core.Result {
	a.content[0] = block
	a.result.Content = a.content[:]
	a.result.Structured = structured
	return &a.result
}

// say is single of a text block, which most results are.
func (a *answer) say(text string, structured json.RawMessage) *core.Result {
	a.content[0].Type, a.content[0].Text = "text", text
	a.result.Content = a.content[:]
	a.result.Structured = structured
	return &a.result
}

// shared returns b as text without a copy. Nobody writes into the body of an answer,
// nor into what is made of it (core.Result).
func shared(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // G103: read only, as said above
}

// typed returns the media type, or what the bytes look like when the upstream
// named another sort.
func (a *answer) typed(prefix string) string {
	if strings.HasPrefix(a.kind, prefix) {
		return a.kind
	}
	kind, _, _ := strings.Cut(http.DetectContentType(a.response.Body), ";")
	if strings.HasPrefix(kind, prefix) || a.kind == "" {
		return kind
	}
	return a.kind
}

// resourceURI names an answer that has no URI of its own. It tells nothing of the
// upstream.
func (v *Invoker) resourceURI(call *core.Call) string {
	if call.For.Kind == "resource" {
		return call.Tool
	}
	return "sallyport:///" + string(appendEscaped(nil, call.Server, unreserved, false)) + "/" +
		string(appendEscaped(nil, call.Tool, unreserved, false)) + "/answer"
}

func (v *Invoker) jsonResult(a *answer) (*core.Result, error) {
	body := a.response.Body
	if a.charset != "" && a.charset != "utf-8" || bytes.HasPrefix(body, []byte("\xEF\xBB\xBF")) {
		text, err := a.text()
		if err != nil {
			return nil, err
		}
		body = []byte(text)
	}
	if v.selection == nil {
		if err := wire.Check(body, answerLimits); err != nil {
			return nil, badJSON(err)
		}
		return v.render(a, body)
	}
	input, err := wire.DecodeWithin(body, answerLimits)
	if err != nil {
		return nil, badJSON(err)
	}
	return v.reshape(a, input)
}

func badJSON(err error) error {
	return refuse("The answer of the upstream cannot be read as JSON: %s.", err)
}

// reshape runs the selection, when there is one, and renders what comes out: one
// value as it is, several as an array, none as nothing.
func (v *Invoker) reshape(a *answer, input any) (*core.Result, error) {
	output := input
	if v.selection != nil {
		values, err := v.selection.Run(a.ctx, input, a.variables(v.selection)...)
		if err != nil {
			if a.ctx.Err() != nil {
				return nil, err
			}
			return nil, refuse("The answer of the upstream could not be reshaped: %s.", clip(err.Error(), 300))
		}
		switch len(values) {
		case 0:
			return a.say("The answer of the upstream holds nothing that was asked for.", nil), nil
		case 1:
			output = values[0]
		default:
			output = values
		}
	}
	body, err := expression.AppendJSON(nil, output, expression.MaxOutput)
	if err != nil {
		return nil, refuse("The answer of the upstream could not be reshaped: %s.", err)
	}
	return v.render(a, body)
}

// render makes a result of checked JSON: the bytes themselves as structured
// content, and their text.
func (v *Invoker) render(a *answer, body []byte) (*core.Result, error) {
	body = bytes.Trim(body, " \t\r\n")
	if bytes.IndexByte(body, '\n') >= 0 || bytes.IndexByte(body, '\r') >= 0 {
		var b bytes.Buffer
		b.Grow(len(body))
		if err := json.Compact(&b, body); err != nil {
			return nil, badJSON(err)
		}
		body = b.Bytes()
	}
	if wire.IsString(body) {
		var text string
		if value, err := wire.DecodeWithin(body, answerLimits); err == nil {
			text, _ = value.(string)
		}
		return a.say(text, body), nil
	}
	if v.pretty {
		var b bytes.Buffer
		if err := json.Indent(&b, body, "", "  "); err != nil {
			return nil, badJSON(err)
		}
		return a.say(b.String(), body), nil
	}
	return a.say(shared(body), body), nil
}

// variables returns the values of jqVariables, made only when q reads them.
func (a *answer) variables(q *expression.JQ) []any {
	values := []any{a.response.Status, nil, nil}
	if q.Uses("$headers") {
		values[1] = a.headers(nil)
	}
	if q.Uses("$arguments") {
		values[2] = a.call.Values
	}
	return values
}

// secretHeaders of an answer are shown to nobody.
var secretHeaders = map[string]bool{"set-cookie": true, "set-cookie2": true, "www-authenticate": true, "proxy-authenticate": true, "authorization": true}

// headers returns the header fields by lower-case name, fields of one name joined
// (RFC 9110 5.3). nil only means all but secretHeaders.
func (a *answer) headers(only map[string]bool) map[string]any {
	object := map[string]any{}
	for _, field := range a.response.Header {
		name := strings.ToLower(field.Name)
		if secretHeaders[name] || only != nil && !only[name] {
			continue
		}
		value := strings.ToValidUTF8(field.Value, "\uFFFD")
		if before, ok := object[name].(string); ok {
			value = before + ", " + value
		}
		object[name] = value
	}
	return object
}

// usualHeaders are shown when the document names none.
var usualHeaders = map[string]bool{
	"content-type": true, "content-length": true, "content-language": true, "last-modified": true, "etag": true, "expires": true,
	"cache-control": true, "accept-ranges": true, "allow": true, "location": true, "retry-after": true, "link": true,
}

func (v *Invoker) headerObject(a *answer) any {
	only := v.shown
	if only == nil {
		only = usualHeaders
	}
	return map[string]any{"status": a.response.Status, "headers": a.headers(only)}
}

// text returns the body as UTF-8: a byte order mark decides, then the charset that
// the upstream names; bytes that are none become U+FFFD.
func (a *answer) text() (string, error) {
	body, charset := a.response.Body, a.charset
	switch {
	case bytes.HasPrefix(body, []byte("\xEF\xBB\xBF")):
		body, charset = body[3:], ""
	case bytes.HasPrefix(body, []byte("\xFE\xFF")):
		charset = "utf-16be"
	case bytes.HasPrefix(body, []byte("\xFF\xFE")):
		charset = "utf-16le"
	}
	switch charset {
	case "", "utf-8", "utf8", "us-ascii":
		return strings.ToValidUTF8(shared(body), "\uFFFD"), nil
	}
	encoding, err := htmlindex.Get(charset)
	if err != nil {
		return "", refuse("The answer of the upstream is text in a character set that is not known here (%s).", clip(charset, 40))
	}
	plain, err := encoding.NewDecoder().Bytes(body)
	if err != nil {
		return "", refuse("The answer of the upstream is not text in the character set it names (%s).", clip(charset, 40))
	}
	return strings.TrimPrefix(strings.ToValidUTF8(string(plain), "\uFFFD"), "\uFEFF"), nil
}

// plainText returns at most limit bytes of the body when it is text.
func (a *answer) plainText(limit int) (string, bool) {
	if bytes.IndexByte(a.response.Body, 0) >= 0 || strings.HasPrefix(a.kind, "image/") || strings.HasPrefix(a.kind, "audio/") {
		return "", false
	}
	text, err := a.text()
	return clip(text, limit), err == nil
}

// clip cuts a text to at most limit bytes, between characters.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}
