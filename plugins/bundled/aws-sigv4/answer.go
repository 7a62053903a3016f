package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// Bounds on an answer, in bytes: the frame out holds 4 MiB.
const (
	maxStructured = 1800 << 10 // text and structured content say the same twice
	maxText       = 3900 << 10
	maxBinary     = 2900 << 10 // base64 adds a third
	maxMessage    = 2 << 10
)

// answer makes the result of a tool.
func answer(ctx *plugin.Context, r *plugin.Response, address string) (plugin.Result, error) {
	if err := refusal(r); err != nil {
		ctx.Count("aws_errors", 1)
		return plugin.Result{}, err
	}
	media, _, _ := strings.Cut(strings.ToLower(r.Header.Get("content-type")), ";")
	media = strings.TrimSpace(media)
	body := r.Body
	readable := utf8.Valid(body) && bytes.IndexByte(body, 0) < 0
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return empty(r)
	case !readable || strings.HasPrefix(media, "image/"):
		return file(body, media, address)
	case (strings.HasSuffix(media, "json") || strings.HasSuffix(media, "json-1.0") || strings.HasSuffix(media, "json-1.1") || media == "") && len(body) <= maxStructured && json.Valid(body):
		return plugin.JSON(json.RawMessage(bytes.TrimSpace(body)))
	case len(body) > maxText:
		return plugin.Result{}, tooLarge(len(body))
	}
	return plugin.Plain(body), nil
}

func tooLarge(n int) error {
	return plugin.ToolError("the answer has %d bytes, which is too large to pass on: ask for a part of it", n)
}

// file is the result of bytes that are no text.
func file(body []byte, media, address string) (plugin.Result, error) {
	if len(body) > maxBinary {
		return plugin.Result{}, tooLarge(len(body))
	}
	if strings.HasPrefix(media, "image/") {
		return plugin.Image(media, body), nil
	}
	if media == "" {
		media = "application/octet-stream"
	}
	where, _, _ := strings.Cut(address, "?")
	resource := append(append([]byte(`{"uri":`), quote(where)...), `,"mimeType":`...)
	resource = append(append(append(resource, quote(media)...), `,"blob":"`...), base64.StdEncoding.EncodeToString(body)...)
	return plugin.Result{Content: []plugin.Content{{Type: "resource", Rest: map[string]json.RawMessage{"resource": append(resource, `"}`...)}}}}, nil
}

// empty is the result of an answer without a body: its status, and the headers that say
// what happened.
func empty(r *plugin.Response) (plugin.Result, error) {
	var names []string
	values := map[string]string{}
	for _, f := range r.Header {
		name := strings.ToLower(f.Name)
		switch name {
		case "etag", "last-modified", "content-type", "content-length", "location", "expires":
		default:
			if !strings.HasPrefix(name, "x-amz-") || name == "x-amz-id-2" || strings.HasPrefix(name, "x-amz-cf-") {
				continue
			}
		}
		if _, twice := values[name]; !twice {
			names = append(names, name)
			values[name] = f.Value
		}
	}
	sort.Strings(names)
	b := strconv.AppendInt([]byte(`{"status":`), int64(r.Status), 10)
	b = append(b, `,"headers":{`...)
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, quote(name)...), ':'), quote(strings.ToValidUTF8(values[name], "\ufffd"))...)
	}
	return plugin.JSON(json.RawMessage(append(b, "}}"...)))
}

// throttles are the error codes that say "later", as AWS's SDKs know them.
var throttles = map[string]bool{
	"BandwidthLimitExceeded": true, "EC2ThrottledException": true, "PriorRequestNotComplete": true,
	"ProvisionedThroughputExceededException": true, "RequestLimitExceeded": true, "RequestThrottled": true,
	"RequestThrottledException": true, "SlowDown": true, "ThrottledException": true, "Throttling": true,
	"ThrottlingException": true, "TooManyRequestsException": true, "TransactionInProgressException": true,
	"RequestTimeout": true, "RequestTimeoutException": true, "ServiceUnavailable": true, "ServiceUnavailableException": true,
}

const (
	waitThrottled = time.Second
	waitBroken    = 500 * time.Millisecond
	maxWait       = 24 * time.Hour
)

// refusal is the error that an answer means; nil when it means success.
func refusal(r *plugin.Response) error {
	code, message := fault(r)
	function := r.Header.Get("x-amz-function-error") // Lambda: the function failed, with 200
	late := r.Status/100 == 2 && xmlRoot(r.Body) == "Error"
	if r.Status/100 == 2 && function == "" && !late {
		return nil
	}
	if code == "" {
		code = function
	}
	says := "HTTP " + strconv.Itoa(r.Status)
	if code != "" {
		says = code + " (" + says + ")"
	}
	if message != "" {
		says += ": " + message
	}
	switch {
	case function != "":
		return plugin.ToolError("the function failed: %s", says)
	case throttles[code] || r.Status == 429:
		return plugin.Unavailable(wait(r, waitThrottled), "%s", says)
	case r.Status == 500 || r.Status == 502 || r.Status == 503 || r.Status == 504:
		return plugin.Unavailable(wait(r, waitBroken), "%s", says)
	case r.Status/100 == 3 && r.Status != 304:
		return plugin.ToolError("%s: is region or endpoint another one?", says)
	case code == "RequestTimeTooSkewed":
		return plugin.ToolError("%s: the gateway's clock is wrong", says)
	}
	return plugin.ToolError("%s", says)
}

// wait reads Retry-After in seconds and x-amz-retry-after in milliseconds.
func wait(r *plugin.Response, or time.Duration) time.Duration {
	asked := func(name string, unit time.Duration) (time.Duration, bool) {
		n, err := strconv.ParseUint(strings.TrimSpace(r.Header.Get(name)), 10, 32)
		return min(time.Duration(n)*unit, maxWait), err == nil
	}
	if d, ok := asked("retry-after", time.Second); ok {
		return d
	}
	if d, ok := asked("x-amz-retry-after", time.Millisecond); ok {
		return d
	}
	return or
}

// fault finds code and message of an error, in the forms that AWS has for it:
//
//	{"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "…"}
//	x-amzn-errortype: ResourceNotFoundException:http://…
//	<ErrorResponse><Error><Code>AccessDenied</Code><Message>…</Message></Error></ErrorResponse>
func fault(r *plugin.Response) (code, message string) {
	code = r.Header.Get("x-amzn-errortype")
	body := bytes.TrimSpace(r.Body)
	if len(body) > 0 && body[0] == '{' && json.Valid(body) {
		found := map[string]string{}
		collect := func(name string, value json.RawMessage) {
			var s string
			if json.Unmarshal(value, &s) == nil {
				found[name] = s
			}
		}
		_ = members(body, func(name string, value json.RawMessage) {
			if name == "Error" || name == "error" {
				_ = members(value, collect)
			}
			collect(name, value)
		})
		code = first(code, found["__type"], found["code"], found["Code"], found["errorType"])
		message = first(found["message"], found["Message"], found["errorMessage"])
	} else if len(body) > 0 && body[0] == '<' {
		inside := body
		if at := bytes.Index(body, []byte("<Error>")); at >= 0 {
			inside = body[at:]
		}
		code = first(code, element(inside, "Code"))
		message = element(inside, "Message")
	}
	if at := strings.LastIndexByte(code, '#'); at >= 0 {
		code = code[at+1:]
	}
	code, _, _ = strings.Cut(code, ":")
	return bounded(code, 128), bounded(message, maxMessage)
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// bounded cuts text, and takes line breaks and what is no text out of it.
func bounded(s string, most int) string {
	s = s[:min(len(s), most)]
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

// element returns the text of the first element of that name that has no attributes and
// no elements within it.
func element(b []byte, name string) string {
	_, rest, ok := bytes.Cut(b, []byte("<"+name+">"))
	inside, _, closed := bytes.Cut(rest, []byte("</"+name+">"))
	if !ok || !closed || bytes.IndexByte(inside, '<') >= 0 {
		return ""
	}
	return unescapeXML.Replace(string(inside))
}

var unescapeXML = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'", "&#39;", "'", "&#xA;", " ", "&amp;", "&")

// xmlRoot returns the name of a document's root element, "" when it is no XML.
func xmlRoot(b []byte) string {
	b = bytes.TrimSpace(b)
	if bytes.HasPrefix(b, []byte("<?xml")) {
		_, after, _ := bytes.Cut(b, []byte("?>"))
		b = bytes.TrimSpace(after)
	}
	if len(b) == 0 || b[0] != '<' {
		return ""
	}
	end := bytes.IndexAny(b, " \t\r\n/>")
	if end < 1 {
		return ""
	}
	return string(b[1:end])
}
