package rest

import (
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// Each row is one request as the upstream sees it.
func TestRequests(t *testing.T) {
	const jsonBody = "application/json"
	for _, row := range []struct {
		name, config, arguments string
		want                    string // method, path and query
		header                  map[string]string
		body                    string
	}{
		{"get", `"path":"/books"`, `{}`, "GET /api/books", nil, ""},
		{"path", `"path":"/books/{id}"`, `{"id":42}`, "GET /api/books/42", nil, ""},
		{"path escapes", `"path":"/books/{id}/x"`, `{"id":"a b/c?d#e%2F;é"}`, "GET /api/books/a%20b%2Fc%3Fd%23e%252F%3B%C3%A9/x", nil, ""},
		{"path big integer", `"path":"/books/{id}"`, `{"id":9007199254740993123}`, "GET /api/books/9007199254740993123", nil, ""},
		{"path part of a segment", `"path":"/books/{id}.json"`, `{"id":".."}`, "GET /api/books/...json", nil, ""},
		{"path two", `"path":"/{a}/{b}"`, `{"a":"x","b":true}`, "GET /api/x/true", nil, ""},
		{"path literal", `"path":"/a b/ü/%2F/:x"`, `{}`, "GET /api/a%20b/%C3%BC/%2F/:x", nil, ""},
		{"path trailing slash", `"path":"/books/"`, `{}`, "GET /api/books/", nil, ""},
		{"path array", `"path":"/books/{ids}"`, `{"ids":[1,"a,b"]}`, "GET /api/books/1,a%2Cb", nil, ""},
		{"path object", `"path":"/books/{o}"`, `{"o":{"b":2,"a":1}}`, "GET /api/books/a,1,b,2", nil, ""},
		{"path object explode", `"path":"/books/{o}","parameters":{"o":{"from":"o","explode":true}}`, `{"o":{"b":2,"a":1}}`, "GET /api/books/a=1,b=2", nil, ""},
		{"path other argument", `"path":"/books/{id}","parameters":{"id":{"from":"book"}}`, `{"book":"x"}`, "GET /api/books/x", nil, ""},
		{"path expr", `"path":"/books/{id}","parameters":{"id":{"expr":"id + 1"}}`, `{"id":1}`, "GET /api/books/2", nil, ""},
		{"path default", `"path":"/books/{id}","parameters":{"id":{"from":"id","default":"all"}}`, `{}`, "GET /api/books/all", nil, ""},
		{"path label", `"path":"/books/{id}","parameters":{"id":{"from":"id","style":"label"}}`, `{"id":[3,4]}`, "GET /api/books/.3,4", nil, ""},
		{"path label explode", `"path":"/books/{id}","parameters":{"id":{"from":"id","style":"label","explode":true}}`, `{"id":[3,4]}`, "GET /api/books/.3.4", nil, ""},
		{"path matrix", `"path":"/books/{id}","parameters":{"id":{"from":"id","style":"matrix"}}`, `{"id":[3,4]}`, "GET /api/books/;id=3,4", nil, ""},
		{"path matrix explode", `"path":"/books/{id}","parameters":{"id":{"from":"id","style":"matrix","explode":true}}`, `{"id":[3,4]}`, "GET /api/books/;id=3;id=4", nil, ""},
		{"path matrix object", `"path":"/books/{id}","parameters":{"id":{"from":"id","style":"matrix","explode":true}}`, `{"id":{"a":1,"b":2}}`, "GET /api/books/;a=1;b=2", nil, ""},
		{"path matrix object in one", `"path":"/books/{id}","parameters":{"id":{"from":"id","style":"matrix"}}`, `{"id":{"a":1,"b":2}}`, "GET /api/books/;id=a,1,b,2", nil, ""},

		{"query", `"path":"/b","query":{"q":"query","limit":{"from":"limit"}}`, `{"query":"a&b=c d+é","limit":1}`, "GET /api/b?q=a%26b%3Dc%20d%2B%C3%A9&limit=1", nil, ""},
		{"query order is as written", `"path":"/b","query":{"z":"a","a":"z"}`, `{"a":1,"z":2}`, "GET /api/b?z=1&a=2", nil, ""},
		{"query absent", `"path":"/b","query":{"q":"q","r":"r","s":"s"}`, `{"r":1,"s":null}`, "GET /api/b?r=1", nil, ""},
		{"query none", `"path":"/b","query":{"q":"q"}`, `{}`, "GET /api/b", nil, ""},
		{"query empty text", `"path":"/b","query":{"q":"q"}`, `{"q":""}`, "GET /api/b?q=", nil, ""},
		{"query default", `"path":"/b","query":{"q":{"from":"q","default":5}}`, `{"q":null}`, "GET /api/b?q=5", nil, ""},
		{"query constant", `"path":"/b","query":{"fixed":{"value":"a b"},"n":7,"t":true,"none":{"value":null},"list":{"value":[1,2]}}`, `{}`, "GET /api/b?fixed=a%20b&n=7&t=true&list=1&list=2", nil, ""},
		{"query expr", `"path":"/b","query":{"n":{"expr":"limit * 2"},"gone":{"expr":"nil"}}`, `{"limit":4}`, "GET /api/b?n=8", nil, ""},
		{"query expr list", `"path":"/b","query":{"n":{"expr":"map(1..3, # * limit)"}}`, `{"limit":2}`, "GET /api/b?n=2&n=4&n=6", nil, ""},
		{"query number text", `"path":"/b","query":{"n":"n"}`, `{"n":1.50e+10}`, "GET /api/b?n=1.50e%2B10", nil, ""},
		{"query list of names", `"path":"/b","query":["q","limit"]`, `{"q":"x","limit":3}`, "GET /api/b?q=x&limit=3", nil, ""},
		{"query name escapes", `"path":"/b","query":{"a b&c":"q"}`, `{"q":"x"}`, "GET /api/b?a%20b%26c=x", nil, ""},
		{"query pointer", `"path":"/b","query":{"min":"/filter/price~1min","second":"/list/1"}`, `{"filter":{"price/min":3},"list":["a","b"]}`, "GET /api/b?min=3&second=b", nil, ""},
		{"query pointer to nothing", `"path":"/b","query":{"min":"/filter/x/y","other":"/list/7"}`, `{"filter":3,"list":[1]}`, "GET /api/b", nil, ""},
		{"query form explode", `"path":"/b","query":{"t":"t"}`, `{"t":["a","b,c",null]}`, "GET /api/b?t=a&t=b%2Cc", nil, ""},
		{"query form", `"path":"/b","query":{"t":{"from":"t","explode":false}}`, `{"t":["a","b,c"]}`, "GET /api/b?t=a,b%2Cc", nil, ""},
		{"query empty list", `"path":"/b","query":{"t":"t","u":"u"}`, `{"t":[],"u":1}`, "GET /api/b?u=1", nil, ""},
		{"query form object explode", `"path":"/b","query":{"t":"t"}`, `{"t":{"b":1,"a":"x"}}`, "GET /api/b?a=x&b=1", nil, ""},
		{"query form object", `"path":"/b","query":{"t":{"from":"t","style":"form","explode":false}}`, `{"t":{"b":1,"a":"x"}}`, "GET /api/b?t=a,x,b,1", nil, ""},
		{"query space", `"path":"/b","query":{"t":{"from":"t","style":"spaceDelimited"}}`, `{"t":["a","b"]}`, "GET /api/b?t=a%20b", nil, ""},
		{"query pipe", `"path":"/b","query":{"t":{"from":"t","style":"pipeDelimited"}}`, `{"t":["a","b"]}`, "GET /api/b?t=a%7Cb", nil, ""},
		{"query deep", `"path":"/b","query":{"x":"x","t":{"from":"t","style":"deepObject"}}`, `{"x":1,"t":{"b":{"c":2},"a":["p","q"]}}`, "GET /api/b?x=1&t%5Ba%5D=p&t%5Ba%5D=q&t%5Bb%5D%5Bc%5D=2", nil, ""},
		{"query json", `"path":"/b","query":{"t":{"from":"t","style":"json"}}`, `{"t":{"b":[1]}}`, "GET /api/b?t=%7B%22b%22%3A%5B1%5D%7D", nil, ""},
		{"query reserved", `"path":"/b","query":{"t":{"from":"t","allowReserved":true}}`, `{"t":"a/b:c?d&e#f=g"}`, "GET /api/b?t=a/b:c?d%26e%23f%3Dg", nil, ""},

		{
			"headers", `"path":"/b","header":{"X-Trace":"trace","X-Fixed":{"value":"v"},"X-Tenant":{"client":"X-Tenant"},"X-List":"list","X-None":"none"}`,
			`{"trace":" a b ","list":[1,2]}`, "GET /api/b",
			map[string]string{"X-Trace": "a b", "X-Fixed": "v", "X-Tenant": "acme", "X-List": "1,2", "X-None": "", "Authorization": "", "Cookie": "", "Accept": "application/json, */*;q=0.8"},
			"",
		},
		{"header json", `"path":"/b","header":{"X-J":{"from":"j","style":"json"}}`, `{"j":{"a":[1]}}`, "GET /api/b", map[string]string{"X-J": `{"a":[1]}`}, ""},
		{"accept", `"path":"/b","header":{"accept":{"value":"text/csv"}}`, `{}`, "GET /api/b", map[string]string{"Accept": "text/csv"}, ""},
		{"cookies", `"path":"/b","cookie":{"a":"x","b":{"value":"1"},"c":"none","d":"l"}`, `{"x":"p; q=\"r\"","l":[1,2]}`, "GET /api/b", map[string]string{"Cookie": "a=p%3B%20q%3D%22r%22; b=1; d=1; d=2"}, ""},

		{"post whole", `"path":"/b","method":"POST","body":{"json":"whole"}`, `{"z":1.10,"a":{"big":9007199254740993}}`, "POST /api/b", map[string]string{"Content-Type": jsonBody}, `{"z":1.10,"a":{"big":9007199254740993}}`},
		{"put remaining", `"path":"/b/{id}","method":"PUT","query":{"dry":"dry"},"body":{"json":"remaining"}`, `{"z":1.10,"id":7,"a":"x","dry":true}`, "PUT /api/b/7?dry=true", map[string]string{"Content-Type": jsonBody}, `{"z":1.10,"a":"x"}`},
		{"patch merge", `"path":"/b","method":"PATCH","body":{"json":"whole","contentType":"application/merge-patch+json"}`, `{"a":null}`, "PATCH /api/b", map[string]string{"Content-Type": "application/merge-patch+json"}, `{"a":null}`},
		{"one argument as body", `"path":"/b","method":"POST","body":{"json":{"from":"items"}}`, `{"items":[1,{"a":2}]}`, "POST /api/b", nil, `[1,{"a":2}]`},
		{
			"tree", `"path":"/b","method":"POST","body":{"json":{"title":"t","n":{"expr":"n+1"},"c":{"value":{"from":"x"}},"list":[{"from":"t"},{"from":"absent"},5],"deep":{"from":{"from":"lo"},"to":"hi"},"gone":"absent","null":"nil","obj":{"object":{"value":{"from":"t"}}},"flag":true,"none":null,"d":{"from":"absent","default":[1]},"empty":{"x":"absent"}}}`,
			`{"t":"say \"hi\"","n":1,"lo":1,"hi":2,"nil":null}`, "POST /api/b",
			map[string]string{"Content-Type": jsonBody},
			`{"title":"say \"hi\"","n":2,"c":{"from":"x"},"list":["say \"hi\"",5],"deep":{"from":1,"to":2},"null":null,"obj":{"value":"say \"hi\""},"flag":true,"none":null,"d":[1],"empty":{}}`,
		},
		{"form", `"path":"/b","method":"POST","body":{"form":{"a":"x","b":{"value":"1 2"},"c":"l"}}`, `{"x":"p q&r","l":["1","2"]}`, "POST /api/b", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "a=p+q%26r&b=1+2&c=1&c=2"},
		{"form names", `"path":"/b","method":"POST","body":{"form":["x","y"]}`, `{"x":1}`, "POST /api/b", nil, "x=1"},
		{"raw text", `"path":"/b","method":"PUT","body":{"raw":"text"}`, `{"text":"é\nx"}`, "PUT /api/b", map[string]string{"Content-Type": "text/plain; charset=utf-8"}, "é\nx"},
		{"raw base64", `"path":"/b","method":"PUT","body":{"raw":{"from":"data","encoding":"base64"},"contentType":{"from":"type","default":"image/png"}}`, `{"data":"AP8B"}`, "PUT /api/b", map[string]string{"Content-Type": "image/png"}, "\x00\xff\x01"},
		{"raw data url", `"path":"/b","method":"PUT","body":{"raw":{"from":"data","encoding":"base64"},"contentType":{"from":"type"}}`, `{"data":"data:image/gif;base64,AP8B==","type":"image/gif"}`, "PUT /api/b", map[string]string{"Content-Type": "image/gif"}, "\x00\xff\x01"},
		{"raw url alphabet", `"path":"/b","method":"PUT","body":{"raw":{"from":"data","encoding":"base64"}}`, `{"data":"_-8"}`, "PUT /api/b", map[string]string{"Content-Type": "application/octet-stream"}, "\xff\xef"},
		{"raw object", `"path":"/b","method":"POST","body":{"raw":"o"}`, `{"o":{"a":1}}`, "POST /api/b", map[string]string{"Content-Type": jsonBody}, `{"a":1}`},
		{"raw absent", `"path":"/b","method":"POST","body":{"raw":"o"}`, `{}`, "POST /api/b", map[string]string{"Content-Type": ""}, ""},
		{"delete", `"path":"/b/{id}","method":"DELETE"`, `{"id":1}`, "DELETE /api/b/1", nil, ""},
		{"delete with body", `"path":"/b","method":"DELETE","body":{"json":{"ids":"ids"}}`, `{"ids":[1]}`, "DELETE /api/b", nil, `{"ids":[1]}`},
		{"options", `"path":"/b","method":"OPTIONS"`, `{}`, "OPTIONS /api/b", nil, ""},
		{"head", `"path":"/b","method":"HEAD"`, `{}`, "HEAD /api/b", nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got *http.Request
			var body []byte
			env := shop(t, func(w http.ResponseWriter, r *http.Request) {
				got = r
				body, _ = io.ReadAll(r.Body)
			})
			config := `{"connection":"shop",` + row.config + `}`
			valid(t, config)
			call := request(t, row.arguments)
			call.Header = headers{"x-tenant": "acme", "authorization": "Bearer x", "cookie": "c=1"}
			result, err := build(t, env, config).Invoke(context.Background(), call)
			if err != nil || result.IsError {
				t.Fatal(err, result)
			}
			if line := got.Method + " " + got.RequestURI; line != row.want {
				t.Errorf("asked for\n  %s, want\n  %s", line, row.want)
			}
			for name, value := range row.header {
				if got.Header.Get(name) != value {
					t.Errorf("header %s is %q, want %q", name, got.Header.Get(name), value)
				}
			}
			if string(body) != row.body {
				t.Errorf("body is\n  %s, want\n  %s", body, row.body)
			}
		})
	}
}

// The model reads why a call was refused, and nothing was sent.
func TestRefusedArguments(t *testing.T) {
	for _, row := range []struct{ name, config, arguments, want string }{
		{"path absent", `"path":"/b/{id}"`, `{}`, `The argument "id" is needed: it is a part of the address.`},
		{"path null", `"path":"/b/{id}"`, `{"id":null}`, `The argument "id" is needed`},
		{"path empty", `"path":"/b/{id}"`, `{"id":""}`, `The argument "id" must not be empty`},
		{"path empty list", `"path":"/b/{id}"`, `{"id":[]}`, `The argument "id" must not be empty`},
		{"path dot", `"path":"/b/{id}/c"`, `{"id":"."}`, `path step "." or ".."`},
		{"path dots", `"path":"/b/{id}"`, `{"id":".."}`, `path step "." or ".."`},
		{"path dots of two", `"path":"/b/{a}{b}"`, `{"a":".","b":"."}`, `path step "." or ".."`},
		{"path dots of label", `"path":"/b/{id}","parameters":{"id":{"from":"id","style":"label"}}`, `{"id":"."}`, `path step "." or ".."`},
		{"path climbs", `"path":"/b/{id}"`, `{"id":"../../admin"}`, `path step "." or ".."`},
		{"path climbs at the end", `"path":"/b/{id}"`, `{"id":"x/.."}`, `path step "." or ".."`},
		{"path climbs by backslash", `"path":"/b/{id}"`, `{"id":"..\\admin"}`, `path step "." or ".."`},
		{"path climbs in a list", `"path":"/b/{id}"`, `{"id":["../x"]}`, `path step "." or ".."`},
		{"path nested", `"path":"/b/{id}"`, `{"id":[[1]]}`, `holds an array or object within`},
		{"query nested", `"path":"/b","query":{"q":"q"}`, `{"q":{"a":{"b":1}}}`, `holds an array or object within`},
		{"query expr fails", `"path":"/b","query":{"q":{"expr":"a * 2"}}`, `{"a":"x"}`, `could not be computed from the arguments`},
		{"header line break", `"path":"/b","header":{"X-A":"a"}`, `{"a":"x\r\nX-Evil: 1"}`, `no header may carry`},
		{"header NUL", `"path":"/b","header":{"X-A":"a"}`, `{"a":"x\u0000"}`, `no header may carry`},
		{"guard", `"path":"/b","guards":[{"expr":"limit <= 100","message":"At most 100."}]`, `{"limit":101}`, `At most 100.`},
		{"guard without message", `"path":"/b","guards":[{"expr":"limit <= 100"}]`, `{"limit":101}`, `The arguments do not fulfil: limit <= 100.`},
		{"guard fails", `"path":"/b","guards":[{"expr":"limit <= 100","message":"At most 100."}]`, `{"limit":"x"}`, `At most 100. (`},
		{"raw not base64", `"path":"/b","method":"PUT","body":{"raw":{"from":"d","encoding":"base64"}}`, `{"d":"%%%"}`, `must be base64 text`},
		{"raw number as base64", `"path":"/b","method":"PUT","body":{"raw":{"from":"d","encoding":"base64"}}`, `{"d":5}`, `must be base64 text`},
		{"media type", `"path":"/b","method":"PUT","body":{"raw":"d","contentType":{"from":"t"}}`, `{"d":"x","t":"text/plain\r\nX-Evil: 1"}`, `must be a media type`},
		{"pages", `"path":"/b","pagination":{"by":"link","pages":"n"}`, `{"n":0}`, `at least 1`},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked := 0
			env := canned(func(*core.Request) (*core.Response, error) {
				asked++
				return &core.Response{Status: 200, Body: []byte("[]")}, nil
			})
			config := `{"connection":"shop",` + row.config + `}`
			valid(t, config)
			result := invoke(t, build(t, env, config), row.arguments)
			if !result.IsError || !strings.Contains(result.Content[0].Text, row.want) {
				t.Errorf("got %q (error %v), want %q", result.Content[0].Text, result.IsError, row.want)
			}
			if asked > 0 && row.name != "pages" {
				t.Error("the upstream was asked all the same")
			}
		})
	}
}

func TestMultipart(t *testing.T) {
	var got *http.Request
	var body string
	env := shop(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
	})
	config := `{"connection":"shop","path":"/covers","method":"POST","body":{"multipart":{
		"note":"note", "id":{"value":7}, "gone":"absent",
		"cover":{"from":"content","encoding":"base64","filename":{"from":"name"},"contentType":"image/png"},
		"page":{"from":"pages","filename":"page.txt"},
		"meta":{"from":"meta","contentType":"application/json"}}}}`
	valid(t, config)
	v := build(t, env, config)
	arguments := `{"note":"a\r\n--b","content":"AAEC","name":"x\"\r\nContent-Type: evil.png","pages":["one","two"],"meta":{"a":1}}`
	if result := invoke(t, v, arguments); result.IsError {
		t.Fatal(result.Content[0].Text)
	}
	kind, parameters, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatal(got.Header, err)
	}
	reader := multipart.NewReader(strings.NewReader(body), parameters["boundary"])
	var parts []string
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part.FormName()+"|"+part.FileName()+"|"+part.Header.Get("Content-Type")+"|"+string(content))
		if len(part.Header) > 2 {
			t.Errorf("a part has more headers than it should: %v", part.Header)
		}
	}
	want := []string{
		"note|||a\r\n--b", "id|||7", "cover|x%22%0D%0AContent-Type: evil.png|image/png|\x00\x01\x02",
		"page|page.txt|application/octet-stream|one", "page|page.txt|application/octet-stream|two", `meta||application/json|{"a":1}`,
	}
	if strings.Join(parts, "\n") != strings.Join(want, "\n") {
		t.Errorf("parts are\n%q, want\n%q", parts, want)
	}
	first := body
	invoke(t, v, strings.Replace(arguments, "AAEC", "AAED", 1))
	if first[:40] == body[:40] {
		t.Error("the boundary does not follow the content")
	}
}

func TestIdempotence(t *testing.T) {
	for _, row := range []struct {
		method     string
		idempotent bool
		readOnly   bool
		want       bool
	}{
		{"GET", false, false, true},
		{"HEAD", false, false, true},
		{"PUT", false, false, true},
		{"DELETE", false, false, true},
		{"OPTIONS", false, false, true},
		{"POST", false, false, false},
		{"PATCH", false, false, false},
		{"POST", true, false, true},
		{"POST", false, true, true},
	} {
		var got *core.Request
		env := canned(func(r *core.Request) (*core.Response, error) {
			got = r
			return &core.Response{Status: 204}, nil
		})
		env.Declares.Idempotent, env.Declares.ReadOnly = row.idempotent, row.readOnly
		invoke(t, build(t, env, `{"connection":"shop","path":"/b","method":"`+row.method+`","response":{"maxBytes":99}}`), `{}`)
		if got.Idempotent != row.want || got.MaxBytes != 99 {
			t.Errorf("%+v: idempotent %v, limit %d", row, got.Idempotent, got.MaxBytes)
		}
	}
}
