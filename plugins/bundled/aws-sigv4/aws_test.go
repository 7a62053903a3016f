package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
	"github.com/sallyport/sallyport/sdk/go/plugintest"
)

const dynamo = `{"region":"eu-central-1","service":"dynamodb","operations":[{"tool":"item.get","description":"Reads an item.",
	"headers":{"X-Amz-Target":"DynamoDB_20120810.GetItem"},
	"body":{"content_type":"application/x-amz-json-1.0","json":{"TableName":"orders","Key":{"id":{"S":"{id}"}},"ConsistentRead":"{consistent}","Note":"for {who}","Limit":3}}}]}`

const s3 = `{"region":"us-east-1","service":"s3","endpoint":"https://s3.example.com:9000","operations":[
	{"tool":"get","path":"/{bucket}/{key+}","query":{"versionId":"{version}","x-id":"GetObject"},"headers":{"Range":"bytes={from}-{to}"}},
	{"tool":"put","method":"PUT","path":"/{bucket}/{key+}","body":{"base64":"{content}","content_type":"image/png"}},
	{"tool":"head","method":"HEAD","path":"/{bucket}/{key}"}]}`

// serve configures the plugin and answers every request with status and body.
func serve(t *testing.T, config string, status int, body string, header ...plugin.Field) *plugintest.Host {
	t.Helper()
	now = func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("", 3600)) }
	t.Cleanup(func() { now = time.Now })
	host := plugintest.New(t)
	host.Secrets = map[string]string{"access_key_id": example.id + "\n", "secret_access_key": example.secret}
	host.HTTP = func(r plugin.Request) (*plugin.Response, error) {
		verify(t, r, host.Secrets["session_token"])
		return &plugin.Response{Status: status, Header: header, Body: []byte(body)}, nil
	}
	if a := host.Configure(config); a.Status != plugin.StatusOK {
		t.Fatal(a)
	}
	return host
}

// verify does what AWS does: it takes the request apart as it arrives and signs it
// again, by another way than the plugin.
func verify(t *testing.T, r plugin.Request, session string) {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	var id, date, region, service, signed, signature string
	parts := strings.FieldsFunc(r.Header.Get("authorization"), func(c rune) bool { return strings.ContainsRune(" ,/=", c) })
	if len(parts) != 11 {
		t.Fatalf("authorization %q", r.Header.Get("authorization"))
	}
	id, date, region, service, signed, signature = parts[2], parts[3], parts[4], parts[5], parts[8], parts[10]
	if parts[0] != "AWS4-HMAC-SHA256" || id != example.id || date != "20261123" || r.Header.Get("x-amz-date") != "20261123T110000Z" {
		t.Errorf("%v at %s", parts, r.Header.Get("x-amz-date"))
	}
	body := fmt.Sprintf("%x", sha256.Sum256(r.Body))
	path := u.EscapedPath()
	if service == "s3" {
		if hash := r.Header.Get("x-amz-content-sha256"); hash == "UNSIGNED-PAYLOAD" {
			body = hash
		} else if hash != body {
			t.Errorf("x-amz-content-sha256 %s, body %s", hash, body)
		}
	} else {
		path = strings.ReplaceAll(path, "%", "%25")
	}
	var query []string
	for name, values := range u.Query() {
		for _, v := range values {
			query = append(query, strings.ReplaceAll(url.QueryEscape(name)+"="+url.QueryEscape(v), "+", "%20"))
		}
	}
	sort.Strings(query)
	lines := []string{r.Method, path, strings.Join(query, "&")}
	names := strings.Split(signed, ";")
	for _, must := range []string{"host", "x-amz-date"} {
		if !slices.Contains(names, must) {
			t.Errorf("%s is not signed", must)
		}
	}
	for _, f := range r.Header {
		if f.Name != "authorization" && !slices.Contains(names, f.Name) {
			t.Errorf("%s is not signed", f.Name)
		}
	}
	if got := r.Header.Get("x-amz-security-token"); got != session {
		t.Errorf("session token %q, want %q", got, session)
	}
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = u.Host
		}
		lines = append(lines, name+":"+strings.Join(strings.Fields(value), " "))
	}
	lines = append(lines, "", signed, body)
	text := strings.Join([]string{
		"AWS4-HMAC-SHA256", r.Header.Get("x-amz-date"), date + "/" + region + "/" + service + "/aws4_request",
		fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n")))),
	}, "\n")
	key := []byte("AWS4" + example.secret)
	for _, step := range []string{date, region, service, "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(step))
		key = h.Sum(nil)
	}
	if want := fmt.Sprintf("%x", key); signature != want {
		t.Errorf("signature %s, want %s of\n%s", signature, want, strings.Join(lines, "\n"))
	}
}

func same(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v: %s", err, want)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestJSONBody(t *testing.T) {
	host := serve(t, dynamo, 200, `{"Item":{"id":{"S":"7"}}}`, plugin.Field{Name: "Content-Type", Value: "application/x-amz-json-1.0"})
	a := host.Tool("item.get", `{"id":"a\"7","consistent":true}`)
	same(t, a.Result().Structured, `{"Item":{"id":{"S":"7"}}}`)
	r := host.Requests[0]
	if r.Method != "POST" || r.URL != "https://dynamodb.eu-central-1.amazonaws.com/" || r.Header.Get("x-amz-target") != "DynamoDB_20120810.GetItem" || r.Header.Get("content-type") != "application/x-amz-json-1.0" || r.Header.Get("x-amz-content-sha256") != "" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	same(t, r.Body, `{"TableName":"orders","Key":{"id":{"S":"a\"7"}},"ConsistentRead":true,"Limit":3}`)
	host.Tool("item.get", `{"id":"7","who":5,"consistent":null}`)
	same(t, host.Requests[1].Body, `{"TableName":"orders","Key":{"id":{"S":"7"}},"Note":"for 5","Limit":3}`)
}

func TestListsTools(t *testing.T) {
	list := serve(t, dynamo, 200, "").Tools()
	if len(list) != 1 || list[0].Name != "item.get" || list[0].Description != "Reads an item." || list[0].Annotations != nil {
		t.Fatalf("%+v", list)
	}
	same(t, list[0].InputSchema, `{"type":"object","properties":{"consistent":{},"id":{},"who":{"type":"string"}},"additionalProperties":false}`)
	list = serve(t, s3, 200, "").Tools()
	same(t, list[0].InputSchema, `{"type":"object","properties":{"bucket":{"type":"string"},"from":{"type":"string"},"key":{"type":"string"},"to":{"type":"string"},"version":{"type":"string"}},"required":["bucket","key"],"additionalProperties":false}`)
	same(t, list[0].Annotations, `{"readOnlyHint":true}`)
}

func TestS3(t *testing.T) {
	host := serve(t, s3, 200, "text of the file", plugin.Field{Name: "Content-Type", Value: "binary/octet-stream"})
	if a := host.Tool("get", `{"bucket":"b","key":"a b/ü+$~/c//d.txt","version":"x/y=="}`); a.Text() != "text of the file" {
		t.Error(a)
	}
	if got, want := host.Requests[0].URL, "https://s3.example.com:9000/b/a%20b/%C3%BC%2B%24~/c//d.txt?versionId=x%2Fy%3D%3D&x-id=GetObject"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := host.Requests[0].Header.Get("range"); got != "" {
		t.Errorf("range %q", got)
	}
	host.Tool("get", `{"bucket":"b","key":"k","from":0,"to":9}`)
	if got := host.Requests[1].Header.Get("range"); got != "bytes=0-9" {
		t.Errorf("range %q", got)
	}
	host.Tool("put", `{"bucket":"b","key":"k","content":"iVBOR/8="}`)
	if r := host.Requests[2]; r.Method != "PUT" || string(r.Body) != "\x89PNG\x1f\xff"[:4]+"G\xff"[1:] || r.Header.Get("content-type") != "image/png" {
		t.Errorf("%s %q %v", r.Method, r.Body, r.Header)
	}
	if a := host.Tool("put", `{"bucket":"b","key":"k","content":"%"}`); a.Status != plugin.StatusInvalidArgs {
		t.Error(a)
	}
	host.Tool("head", `{"bucket":"b","key":"a/b"}`)
	if got := host.Requests[3].URL; got != "https://s3.example.com:9000/b/a%2Fb" {
		t.Error(got)
	}
}

func TestUnsignedPayload(t *testing.T) {
	host := serve(t, strings.Replace(s3, `"service"`, `"unsigned_payload":true,"service"`, 1), 200, "")
	host.Tool("put", `{"bucket":"b","key":"k","content":"aGk="}`)
	if got := host.Requests[0].Header.Get("x-amz-content-sha256"); got != "UNSIGNED-PAYLOAD" {
		t.Error(got)
	}
}

func TestSessionToken(t *testing.T) {
	host := serve(t, dynamo, 200, `{}`)
	host.Secrets["session_token"] = "FwoGZXIvYXdzEBY//token=="
	host.Tool("item.get", `{"id":"7"}`)
	if len(host.Requests) != 1 {
		t.Error("no request")
	}
}

func TestGeneralPathsAreEscapedTwice(t *testing.T) {
	host := serve(t, `{"region":"us-east-1","service":"lambda","endpoint":"https://lambda.example.com/base/","operations":[{"tool":"t","path":"/2015-03-31/functions/{name}/invocations","body":{"json":"{*}"}}]}`, 200, `{}`)
	host.Tool("t", `{"name":"arn:aws:lambda:x/y z","a":[1,{"b":null}],"c":"d"}`)
	if got := host.Requests[0].URL; got != "https://lambda.example.com/base/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%2Fy%20z/invocations" {
		t.Error(got)
	}
	same(t, host.Requests[0].Body, `{"a":[1,{"b":null}],"c":"d"}`)
}

func TestForm(t *testing.T) {
	host := serve(t, `{"region":"us-east-1","service":"ec2","endpoint":"http://localhost:4566","operations":[{"tool":"t","query":{"tag":"{tags}"},"body":{"form":{"Action":"DescribeInstances","Version":"2016-11-15","InstanceId":"{ids}","NextToken":"{next}","Filter.1.Name":"{{a}} & {name}"}}}]}`, 200, `<r/>`, plugin.Field{Name: "content-type", Value: "text/xml"})
	a := host.Tool("t", `{"ids":["i-1","i-2"],"name":"ü","tags":["x","a b",3]}`)
	if a.Text() != "<r/>" {
		t.Error(a)
	}
	r := host.Requests[0]
	if r.URL != "http://localhost:4566/?tag=x&tag=a%20b&tag=3" || r.Header.Get("content-type") != "application/x-www-form-urlencoded; charset=utf-8" ||
		string(r.Body) != "Action=DescribeInstances&Filter.1.Name=%7Ba%7D%20%26%20%C3%BC&InstanceId.1=i-1&InstanceId.2=i-2&Version=2016-11-15" {
		t.Errorf("%s %v %s", r.URL, r.Header, r.Body)
	}
}

func TestXMLAndText(t *testing.T) {
	host := serve(t, `{"region":"us-east-1","service":"route53","operations":[{"tool":"x","body":{"xml":"<A b=\"{v}\">{v}</A>"}},{"tool":"t","body":{"text":"{v}!"}}]}`, 200, `ok`)
	host.Tool("x", `{"v":"<&\"'\u0001\u00fc"}`)
	if got := string(host.Requests[0].Body); got != `<A b="&lt;&amp;&quot;&apos;`+"\ufffd"+`ü">&lt;&amp;&quot;&apos;`+"\ufffd"+`ü</A>` {
		t.Error(got)
	}
	host.Tool("t", `{"v":"<&"}`)
	if got := string(host.Requests[1].Body); got != `<&!` {
		t.Error(got)
	}
	if a := host.Tool("t", `{}`); a.Status != plugin.StatusInvalidArgs {
		t.Error(a)
	}
}

func TestInputSchema(t *testing.T) {
	host := serve(t, `{"region":"us-east-1","service":"s3","operations":[{"tool":"t","path":"/{b}","query":{"max-keys":"{max}"},
		"inputSchema":{"type":"object","properties":{"b":{"type":"string","default":"mine"},"max":{"type":"integer"},"why":{}},"required":["max"]}}]}`, 200, `ok`)
	host.Tool("t", `{"max":5,"why":"just so"}`)
	if got := host.Requests[0].URL; got != "https://s3.us-east-1.amazonaws.com/mine?max-keys=5" {
		t.Error(got)
	}
	for arguments, want := range map[string]string{
		`{}`: "max is missing", `{"max":null}`: "max is missing", `{"max":1,"Max":2}`: "there is no argument Max; there are: b, max, why",
		`{"max":{}}`: "max must be text, a number or a boolean, not an object", `{"max":[[]]}`: "max[0] must be text", `[]`: "must be an object",
		`{"max":1,"b":""}`: "b must not be empty", `{"max":1,"b":".."}`: "segment of the path", `{"max":1,"b":"x/../y"}`: "segment of the path", `{"max":1,"b":null}`: "an argument of the path is missing",
	} {
		if a := host.Tool("t", arguments); a.Status != plugin.StatusInvalidArgs || !strings.Contains(string(a.Payload), want) {
			t.Errorf("%s: %s, want %q", arguments, a, want)
		}
	}
	if len(host.Requests) != 1 {
		t.Errorf("%d requests, want 1", len(host.Requests))
	}
}

func TestHeaderValues(t *testing.T) {
	host := serve(t, s3, 200, "")
	for _, v := range []string{`a\r\nb: c`, `\u0000`, `ü`, `a\tb`} {
		if a := host.Tool("get", `{"bucket":"b","key":"k","from":"`+v+`","to":1}`); a.Status != plugin.StatusInvalidArgs || len(host.Requests) > 0 {
			t.Errorf("%s: %s", v, a)
		}
	}
	host.Tool("get", `{"bucket":"b","key":"k","from":" 1  2 ","to":1}`)
	if len(host.Requests) != 1 {
		t.Error("no request")
	}
}

func TestAnswers(t *testing.T) {
	field := func(name, value string) plugin.Field { return plugin.Field{Name: name, Value: value} }
	ask := func(body string, header ...plugin.Field) *plugin.Result {
		t.Helper()
		return serve(t, s3, 200, body, header...).Tool("get", `{"bucket":"b","key":"k"}`).Result()
	}
	same(t, ask(` {"a":1} `, field("content-type", "application/vnd.api+json; charset=utf-8")).Structured, `{"a":1}`)
	if r := ask(`{"a":`, field("content-type", "application/json")); r.Structured != nil || r.Content[0].Text != `{"a":` {
		t.Errorf("%+v", r)
	}
	if r := ask(`[1]`); r.Structured != nil || r.Content[0].Text != `[1]` {
		t.Errorf("%+v", r)
	}
	if r := ask(`<a/>`, field("content-type", "application/xml")); r.Content[0].Text != `<a/>` {
		t.Errorf("%+v", r)
	}
	if r := ask("\x89PNG", field("content-type", "image/png")); r.Content[0].Type != "image" || r.Content[0].MIMEType != "image/png" || r.Content[0].Data != "iVBORw==" {
		t.Errorf("%+v", r)
	}
	if r := ask("\xff\x00", field("content-type", "application/zip")); string(r.Content[0].Rest["resource"]) != `{"uri":"https://s3.example.com:9000/b/k","mimeType":"application/zip","blob":"/wA="}` {
		t.Errorf("%+v", r)
	}
	r := ask("", field("ETag", `"x"`), field("x-amz-id-2", "no"), field("X-Amz-Version-Id", "v1"), field("server", "S3"))
	same(t, r.Structured, `{"status":200,"headers":{"etag":"\"x\"","x-amz-version-id":"v1"}}`)
	large := `{"a":"` + strings.Repeat("x", maxStructured) + `"}`
	if r := ask(large, field("content-type", "application/json")); r.Structured != nil || r.Content[0].Text != large {
		t.Error("a large JSON must come once, as text")
	}
	for body, want := range map[string]string{strings.Repeat("x", maxText+1): "too large", strings.Repeat("\xff", maxBinary+1): "too large"} {
		if r := ask(body); !r.IsError || !strings.Contains(r.Content[0].Text, want) {
			t.Errorf("%.40s", r.Content[0].Text)
		}
	}
}

func TestErrors(t *testing.T) {
	field := func(name, value string) []plugin.Field { return []plugin.Field{{Name: name, Value: value}} }
	tests := []struct {
		name   string
		status int
		body   string
		header []plugin.Field
		want   plugin.Status
		text   string
		after  string
	}{
		{"__type", 400, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no\ntable"}`, nil, plugin.StatusToolError, "ResourceNotFoundException (HTTP 400): no table", ""},
		{"errortype header", 404, `{"Message":"no function"}`, field("x-amzn-ErrorType", "ResourceNotFoundException:http://x/"), plugin.StatusToolError, "ResourceNotFoundException (HTTP 404): no function", ""},
		{"code member", 403, `{"code":"AccessDenied","message":"no"}`, nil, plugin.StatusToolError, "AccessDenied (HTTP 403): no", ""},
		{"nested", 400, `{"Error":{"Code":"Bad","Message":"input"}}`, nil, plugin.StatusToolError, "Bad (HTTP 400): input", ""},
		{"s3", 404, `<?xml version="1.0"?>` + "\n" + `<Error><Code>NoSuchKey</Code><Message>The key &lt;k&gt; &amp;amp; is not there</Message></Error>`, nil, plugin.StatusToolError, "NoSuchKey (HTTP 404): The key <k> &amp; is not there", ""},
		{"query protocol", 400, `<ErrorResponse xmlns="x"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>m</Message></Error></ErrorResponse>`, nil, plugin.StatusToolError, "ValidationError (HTTP 400): m", ""},
		{"ec2", 400, `<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>m</Message></Error></Errors></Response>`, nil, plugin.StatusToolError, "InvalidInstanceID.NotFound (HTTP 400): m", ""},
		{"nothing", 404, ``, nil, plugin.StatusToolError, "HTTP 404", ""},
		{"a page", 404, `<html><body>nginx`, nil, plugin.StatusToolError, "HTTP 404", ""},
		{"elements within", 400, `<Error><Code><b>x</b></Code></Error>`, nil, plugin.StatusToolError, "HTTP 400", ""},
		{"redirect", 301, `<Error><Code>PermanentRedirect</Code></Error>`, nil, plugin.StatusToolError, "PermanentRedirect (HTTP 301): is region or endpoint another one?", ""},
		{"not modified", 304, ``, nil, plugin.StatusToolError, "HTTP 304", ""},
		{"skew", 403, `<Error><Code>RequestTimeTooSkewed</Code></Error>`, nil, plugin.StatusToolError, "RequestTimeTooSkewed (HTTP 403): the gateway's clock is wrong", ""},
		{"throttled", 400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`, nil, plugin.StatusUnavailable, "ThrottlingException (HTTP 400): Rate exceeded", "1000"},
		{"slow down", 503, `<Error><Code>SlowDown</Code></Error>`, field("Retry-After", "3"), plugin.StatusUnavailable, "SlowDown (HTTP 503)", "3000"},
		{"429", 429, ``, field("x-amz-retry-after", "250"), plugin.StatusUnavailable, "HTTP 429", "250"},
		{"500", 500, `{"__type":"InternalServerError"}`, nil, plugin.StatusUnavailable, "InternalServerError (HTTP 500)", "500"},
		{"absurd wait", 503, ``, field("Retry-After", "4294967295"), plugin.StatusUnavailable, "HTTP 503", "86400000"},
		{"function", 200, `{"errorType":"KeyError","errorMessage":"'x'"}`, field("X-Amz-Function-Error", "Unhandled"), plugin.StatusToolError, "the function failed: KeyError (HTTP 200): 'x'", ""},
		{"error with 200", 200, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>m</Message></Error>`, nil, plugin.StatusToolError, "InternalError (HTTP 200): m", ""},
		{"long", 400, `{"__type":"E","message":"` + strings.Repeat("é", maxMessage) + `"}`, nil, plugin.StatusToolError, "E (HTTP 400): " + strings.Repeat("é", maxMessage/2), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := serve(t, dynamo, tt.status, tt.body, tt.header...)
			a := host.Tool("item.get", `{"id":"7"}`)
			if a.Status != tt.want || string(a.Payload) != tt.text || a.Meta["retry_after_ms"] != tt.after {
				t.Errorf("%s\nwant %s %q after %q", a, tt.want, tt.text, tt.after)
			}
			if host.Metrics["aws_errors"] != 1 {
				t.Error(host.Metrics)
			}
		})
	}
}

func TestUnreached(t *testing.T) {
	for code, want := range map[plugin.Code]plugin.Status{
		plugin.ErrDenied: plugin.StatusDenied, plugin.ErrTimeout: plugin.StatusUnavailable, plugin.ErrUnavailable: plugin.StatusUnavailable,
		plugin.ErrQuota: plugin.StatusUnavailable, plugin.ErrTooLarge: plugin.StatusToolError, plugin.ErrInvalid: plugin.StatusInternal,
	} {
		host := serve(t, dynamo, 200, "")
		host.HTTP = func(plugin.Request) (*plugin.Response, error) { return nil, code }
		if a := host.Tool("item.get", `{"id":"1"}`); a.Status != want {
			t.Errorf("%v: %s, want %s", code, a, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	for name, secrets := range map[string]map[string]string{
		"not granted": nil, "not there": {}, "no secret": {"access_key_id": "A"}, "empty": {"access_key_id": "", "secret_access_key": "s"},
		"two lines": {"access_key_id": "A\nB", "secret_access_key": "s"}, "comma": {"access_key_id": "A,", "secret_access_key": "s"},
		"token": {"access_key_id": "A", "secret_access_key": "s", "session_token": "a b"},
	} {
		host := serve(t, dynamo, 200, "")
		host.Secrets = secrets
		if a := host.Tool("item.get", `{"id":"1"}`); a.Status != plugin.StatusInternal || len(host.Requests) > 0 {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func TestANewSecretCountsAtOnce(t *testing.T) {
	host := serve(t, dynamo, 200, "{}")
	host.Tool("item.get", `{"id":"1"}`)
	host.HTTP = func(plugin.Request) (*plugin.Response, error) {
		return &plugin.Response{Status: 200, Body: []byte("{}")}, nil
	}
	host.Secrets["secret_access_key"] = "another"
	host.Tool("item.get", `{"id":"1"}`)
	if host.Requests[0].Header.Get("authorization") == host.Requests[1].Header.Get("authorization") {
		t.Error("the signature is still that of the former secret")
	}
}

func TestUnknownTool(t *testing.T) {
	if a := serve(t, dynamo, 200, "").Tool("item.put", `{}`); a.Status != plugin.StatusUnknownTool {
		t.Error(a)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	op := func(more string) string {
		return `{"region":"us-east-1","service":"s3","operations":[{"tool":"t",` + more + `}]}`
	}
	tests := []struct{ name, config, want string }{
		{"no region", `{"service":"s3"}`, "region and service"},
		{"region", `{"region":"eu/central","service":"s3"}`, "region and service"},
		{"endpoint", `{"region":"a","service":"s3","endpoint":"s3.amazonaws.com"}`, "endpoint must be"},
		{"endpoint with query", `{"region":"a","service":"s3","endpoint":"https://a.b/?x"}`, "endpoint must be"},
		{"endpoint with credentials", `{"region":"a","service":"s3","endpoint":"https://u@a.b/"}`, "endpoint must be"},
		{"endpoint in capitals", `{"region":"a","service":"s3","endpoint":"https://A.b/"}`, "endpoint must be"},
		{"endpoint with dots", `{"region":"a","service":"s3","endpoint":"https://a.b/../c"}`, "endpoint must be"},
		{"rules", `{"region":"a","service":"s3","rules":"v2"}`, "rules must be"},
		{"unsigned over http", `{"region":"a","service":"s3","endpoint":"http://a.b","unsigned_payload":true}`, "needs an endpoint with https"},
		{"no operations", `{"region":"a","service":"s3"}`, "no operations"},
		{"tool name", `{"region":"a","service":"s3","operations":[{"tool":"a b"}]}`, `"a b" is no name of a tool`},
		{"tool twice", `{"region":"a","service":"s3","operations":[{"tool":"a"},{"tool":"a"}]}`, "the tool a stands twice"},
		{"method", op(`"method":"TRACE"`), "method must be"},
		{"GET with body", op(`"method":"GET","body":{"text":"x"}`), "a GET has no body"},
		{"path", op(`"path":"x"`), "path must begin with /"},
		{"path with query", op(`"path":"/?x"`), "the query stands under query"},
		{"path with dots", op(`"path":"/a/../b"`), "no segment . or .."},
		{"brace", op(`"path":"/{a"`), "a { that begins no"},
		{"closing brace", op(`"path":"/a}"`), "a } without {"},
		{"no name", op(`"query":{"a":"{}"}`), "query: a: a { that begins no"},
		{"header name", op(`"headers":{"a b":"c"}`), `"a b" is no name of a header`},
		{"signed header", op(`"headers":{"Authorization":"c"}`), "set when the request is signed"},
		{"header of the gateway", op(`"headers":{"Host":"c"}`), "the gateway's to set"},
		{"two bodies", op(`"body":{"text":"a","xml":"b"}`), "write one of json"},
		{"no body", op(`"body":{}`), "write one of json"},
		{"two content types", op(`"headers":{"content-type":"a"},"body":{"text":"a","content_type":"b"}`), "stands twice"},
		{"content type", op(`"body":{"text":"a","content_type":"b\r\nc: d"}`), "goes into a header"},
		{"body", op(`"body":{"json":{"a":["{"]}}`), "body: a { that begins no"},
		{"all in a path", op(`"path":"/{*}"`), "{*} stands only"},
		{"schema", op(`"path":"/{a}","inputSchema":{"properties":{"b":{}}}`), "{a} is used and not among"},
		{"path is optional", op(`"path":"/{a}","inputSchema":{"properties":{"a":{}}}`), "it must be required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := plugintest.New(t).Configure(tt.config)
			if a.Status != plugin.StatusInvalidArgs || !strings.Contains(string(a.Payload), tt.want) {
				t.Errorf("%s\nwant %q", a, tt.want)
			}
		})
	}
}

// Whatever the arguments are, what is sent verifies, goes to the endpoint and stays
// below the bucket.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a/b", "..", "%2e%2e/x", "a//b/", "ü ?#&=+", "\x00", "a/./b", "\\..\\", "//evil.example/"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, version string) {
		host := serve(t, s3, 200, "ok")
		a := host.Tool("get", `{"bucket":"b","key":`+strconv.Quote(toJSON(key))+`,"version":`+strconv.Quote(toJSON(version))+`}`)
		if a.Status == plugin.StatusInvalidArgs {
			return
		}
		if a.Status != plugin.StatusOK || len(host.Requests) != 1 || !strings.HasPrefix(host.Requests[0].URL, "https://s3.example.com:9000/b/") || strings.Contains(host.Requests[0].URL, "/../") {
			t.Errorf("%s %v", a, host.Requests)
		}
	})
}

// toJSON leaves what strconv.Quote and JSON write in the same way.
func toJSON(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' || !strconv.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
}
