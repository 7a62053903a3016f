package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// Each row is one answer of an upstream and what becomes of it.
func TestAnswers(t *testing.T) {
	const plain = "text/plain"
	for _, row := range []struct {
		name, config     string
		status           int
		kind, body       string
		block            string // type|mimeType|text or data
		structured, fail string
	}{
		{"json", ``, 200, jsonType, `{"id":9007199254740993,"p":1.10}`, `text||{"id":9007199254740993,"p":1.10}`, `{"id":9007199254740993,"p":1.10}`, ""},
		{"json with charset", ``, 200, "application/json; charset=utf-8", `[1]`, `text||[1]`, `[1]`, ""},
		{"problem json", ``, 200, "application/problem+json", `{"a":1}`, `text||{"a":1}`, `{"a":1}`, ""},
		{"json on lines", ``, 200, jsonType, "{\r\n  \"a\": \"x y\"\n}\n", `text||{"a":"x y"}`, `{"a":"x y"}`, ""},
		{"json pretty", `"response":{"text":"pretty"}`, 200, jsonType, `{"a":[1]}`, "text||{\n  \"a\": [\n    1\n  ]\n}", `{"a":[1]}`, ""},
		{"json text", ``, 200, jsonType, `"say \"hi\""`, `text||say "hi"`, `"say \"hi\""`, ""},
		{"json number", ``, 200, jsonType, ` 5 `, `text||5`, `5`, ""},
		{"json null", ``, 200, jsonType, `null`, `text||null`, `null`, ""},
		{"json latin 1", ``, 200, "application/json; charset=iso-8859-1", "{\"a\":\"caf\xe9\"}", `text||{"a":"café"}`, `{"a":"café"}`, ""},
		{"json with byte order mark", ``, 200, jsonType, "\xEF\xBB\xBF{}", `text||{}`, `{}`, ""},
		{"json broken", ``, 200, jsonType, `{"a":`, ``, ``, "cannot be read as JSON"},
		{"json twice", ``, 200, jsonType, `{"a":1,"a":2}`, ``, ``, "the same name twice"},
		{"json not UTF-8", ``, 200, jsonType, "{\"a\":\"\xff\"}", ``, ``, "cannot be read as JSON"},
		{"json not announced", ``, 200, "-", `{"a":1}`, `text||{"a":1}`, `{"a":1}`, ""},
		{"json as text", `"response":{"as":"text"}`, 200, jsonType, `{"a":1}`, `text||{"a":1}`, ``, ""},
		{"text as json", `"response":{"as":"json"}`, 200, plain, `{"a":1}`, `text||{"a":1}`, `{"a":1}`, ""},

		{"select", `"response":{"select":".data | map(.id)"}`, 200, jsonType, `{"data":[{"id":9007199254740993},{"id":1.50}]}`, `text||[9007199254740993,1.50]`, `[9007199254740993,1.50]`, ""},
		{"select several", `"response":{"select":".[]"}`, 200, jsonType, `[1,2]`, `text||[1,2]`, `[1,2]`, ""},
		{"select none", `"response":{"select":".[] | select(. > 5)"}`, 200, jsonType, `[1,2]`, `text||The answer of the upstream holds nothing that was asked for.`, ``, ""},
		{"select text", `"response":{"select":".title"}`, 200, jsonType, `{"title":"<T>"}`, `text||<T>`, `"<T>"`, ""},
		{"select fails", `"response":{"select":".a.b"}`, 200, jsonType, `{"a":5}`, ``, ``, "could not be reshaped"},
		{"select runs away", `"response":{"select":"last(range(1e12))"}`, 200, jsonType, `{"a":5}`, ``, ``, "ran longer than 50ms"},
		{"select variables", `"response":{"select":"{status: $status, h: $headers[\"x-total\"], q: $arguments.q, c: $headers[\"set-cookie\"]}"}`, 200, jsonType, `1`, `text||{"c":null,"h":"7","q":"é","status":200}`, `{"c":null,"h":"7","q":"é","status":200}`, ""},
		{"select of text", `"response":{"select":"split(\",\")"}`, 200, plain, `a,b`, `text||["a","b"]`, `["a","b"]`, ""},

		{"text", ``, 200, plain, "héllo\nx", "text||héllo\nx", ``, ""},
		{"html", ``, 200, "text/html; charset=utf-8", "<p>", "text||<p>", ``, ""},
		{"xml", ``, 200, "application/atom+xml", "<a/>", "text||<a/>", ``, ""},
		{"svg", ``, 200, "image/svg+xml", "<svg/>", "text||<svg/>", ``, ""},
		{"yaml", ``, 200, "application/yaml", "a: 1", "text||a: 1", ``, ""},
		{"latin 1", ``, 200, "text/plain; charset=ISO-8859-1", "caf\xe9", "text||café", ``, ""},
		{"windows 1252", ``, 200, `text/plain; charset="windows-1252"`, "\x80", "text||€", ``, ""},
		{"shift jis", ``, 200, "text/plain; charset=Shift_JIS", "\x93\xfa\x96\x7b", "text||日本", ``, ""},
		{"utf-16", ``, 200, plain, "\xFF\xFEa\x00\xe9\x00", "text||aé", ``, ""},
		{"utf-16 big", ``, 200, plain, "\xFE\xFF\x00a", "text||a", ``, ""},
		{"not UTF-8", ``, 200, plain, "a\xffb", "text||a\uFFFDb", ``, ""},
		{"unknown charset", ``, 200, "text/plain; charset=klingon", "a", ``, ``, "character set that is not known here (klingon)"},
		{"text not announced", ``, 200, "-", "hello", "text||hello", ``, ""},

		{"image", ``, 200, "image/png", "\x89PNG", "image|image/png|\x89PNG", ``, ""},
		{"image as said", `"response":{"as":"image"}`, 200, "application/octet-stream", "\x89PNG\r\n\x1a\n", "image|image/png|\x89PNG\r\n\x1a\n", ``, ""},
		{"image by media type", `"response":{"mimeType":"image/webp"}`, 200, "application/octet-stream", "x", "image|image/webp|x", ``, ""},
		{"audio", ``, 200, "audio/mpeg", "ID3", "audio|audio/mpeg|ID3", ``, ""},
		{"binary", ``, 200, "application/pdf", "%PDF\x00", "resource|application/pdf|sallyport:///bookshop/tool/answer %PDF\x00", ``, ""},
		{"binary not announced", ``, 200, "-", "\x00\x01", "resource|application/octet-stream|sallyport:///bookshop/tool/answer \x00\x01", ``, ""},

		{"no content", ``, 204, "-", "", "text||Done: the upstream answered 204 No Content.", ``, ""},
		{"empty json", ``, 200, jsonType, "", "text||Done: the upstream answered 200 OK.", ``, ""},
		{"none", `"response":{"as":"none"}`, 201, jsonType, "{}", "text||Done: the upstream answered 201 Created.", ``, ""},
		{"headers", `"response":{"as":"headers","headers":["X-Total","ETag"]}`, 200, jsonType, "{}", `text||{"headers":{"x-total":"7"},"status":200}`, `{"headers":{"x-total":"7"},"status":200}`, ""},
		{"head", `"method":"HEAD","response":{"headers":["X-Total"]}`, 200, jsonType, "", `text||{"headers":{"x-total":"7"},"status":200}`, `{"headers":{"x-total":"7"},"status":200}`, ""},
		{"options", `"method":"OPTIONS","response":{"select":".headers.allow"}`, 204, "-", "", `text||GET, PUT`, `"GET, PUT"`, ""},

		{"not found", ``, 404, jsonType, `{"secret":"canary"}`, ``, ``, "The upstream answered 404 Not Found. There is nothing at these arguments."},
		{"refused", ``, 401, plain, `canary`, ``, ``, "The upstream answered 401 Unauthorized. It does not accept the credentials of the gateway for this."},
		{"failed", ``, 500, plain, `canary`, ``, ``, "The upstream answered 500 Internal Server Error. It failed; the arguments may be right."},
		{"odd status", ``, 599, plain, `canary`, ``, ``, "The upstream answered 599. It failed"},
		{"moved", ``, 302, plain, `canary`, ``, ``, "302 Found. It points to another address"},
		{"retry", ``, 429, plain, `canary`, ``, ``, "It gets too many requests. Try again in 30 seconds."},
		{"ok by document", `"response":{"status":{"ok":["4xx"],"error":[404]}}`, 410, jsonType, `{"gone":true}`, `text||{"gone":true}`, `{"gone":true}`, ""},
		{"error by document", `"response":{"status":{"ok":["2xx"],"error":[202]}}`, 202, jsonType, `{}`, ``, ``, "The upstream answered 202 Accepted."},
		{"excerpt", `"response":{"errors":{"body":"excerpt"}}`, 400, plain, "no such colour", ``, ``, "It does not accept these arguments.\nIts answer begins:\nno such colour"},
		{"message", `"response":{"errors":{"messages":{"4xx":"Odd.","404":"No such book."}}}`, 404, plain, "canary", ``, ``, "No such book."},
		{"message of a class", `"response":{"errors":{"messages":{"404":"No such book.","4xx":"Odd."}}}`, 418, plain, "canary", ``, ``, "Odd."},
		{"error detail", `"response":{"errors":{"select":".error.message"}}`, 422, jsonType, `{"error":{"message":"year is in the future","trace":"canary"}}`, ``, ``, "It does not accept these arguments.\nyear is in the future"},
		{"error detail of another body", `"response":{"errors":{"select":".error.message"}}`, 422, "text/html", `<p>canary`, ``, ``, "It does not accept these arguments."},
	} {
		t.Run(row.name, func(t *testing.T) {
			env := shop(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", row.kind)
				if row.kind == "-" {
					w.Header()["Content-Type"] = nil
				}
				w.Header().Set("X-Total", "7")
				w.Header().Set("Set-Cookie", "canary=1")
				w.Header().Set("Allow", "GET, PUT")
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte(row.body))
			})
			config := `{"connection":"shop","path":"/b"}`
			if row.config != "" {
				config = `{"connection":"shop","path":"/b",` + row.config + `}`
			}
			valid(t, config)
			result := invoke(t, build(t, env, config), `{"q":"é"}`)
			if len(result.Content) != 1 {
				t.Fatalf("%d blocks", len(result.Content))
			}
			block := result.Content[0]
			if row.fail != "" {
				if !result.IsError || !strings.Contains(block.Text, row.fail) || strings.Contains(block.Text, "canary") || result.Structured != nil {
					t.Errorf("got %q (error %v), want %q", block.Text, result.IsError, row.fail)
				}
				return
			}
			got := block.Type + "|" + block.MIMEType + "|" + block.Text + string(block.Data)
			if block.Resource != nil {
				got = block.Type + "|" + block.Resource.MIMEType + "|" + block.Resource.URI + " " + string(block.Resource.Blob)
			}
			if got != row.block || result.IsError {
				t.Errorf("got\n%q (error %v), want\n%q", got, result.IsError, row.block)
			}
			if string(result.Structured) != row.structured {
				t.Errorf("structured is %s, want %s", result.Structured, row.structured)
			}
		})
	}
}

func TestProtocolErrors(t *testing.T) {
	for status, code := range map[int]core.Code{502: core.CodeUnavailable, 503: core.CodeUnavailable, 504: core.CodeTimeout, 429: core.CodeLimited} {
		env := shop(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "Sun, 22 Nov 2026 12:00:20 GMT")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("canary"))
		})
		v := build(t, env, `{"connection":"shop","path":"/b","response":{"status":{"protocolError":[429,"502-504"]}}}`)
		_, err := v.Invoke(context.Background(), request(t, `{}`))
		var e *core.Error
		if !errors.As(err, &e) || e.Code != code || strings.Contains(e.Error(), "canary") {
			t.Errorf("%d: %v, want code %s", status, err, code)
			continue
		}
		if wait := e.RetryAfter; (status == 429 || status == 503) != (wait == 20) {
			t.Errorf("%d: retry after %d", status, wait)
		}
	}
}

func TestUpstreamErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, row := range []struct {
		name string
		ctx  context.Context
		err  error
		text string // "" = a Go error
	}{
		{"unreachable", context.Background(), &core.Error{Code: core.CodeUnavailable, Message: "the upstream shop cannot be reached", RetryAfter: 5, Err: errors.New("dial 10.0.0.1: secret")}, "the upstream shop cannot be reached. Try again in 5 seconds."},
		{"slow", context.Background(), &core.Error{Code: core.CodeTimeout, Message: "the upstream shop is slow"}, "the upstream shop is slow."},
		{"large", context.Background(), &core.Error{Code: core.CodeTooLarge, Message: "too large", Fix: "raise maxResponseBytes"}, "too large; raise maxResponseBytes."},
		{"deadline", context.Background(), fmt.Errorf("read: %w", context.DeadlineExceeded), "The upstream did not answer in time."},
		{"our mistake", context.Background(), errors.New("secret"), ""},
		{"denied", context.Background(), &core.Error{Code: core.CodeDenied, Message: "private address"}, ""},
		{"client left", cancelled, &core.Error{Code: core.CodeUnavailable, Message: "gone"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := build(t, canned(func(*core.Request) (*core.Response, error) { return nil, row.err }), `{"connection":"shop","path":"/b"}`)
			result, err := v.Invoke(row.ctx, request(t, `{}`))
			if row.text == "" {
				if !errors.Is(err, row.err) {
					t.Errorf("got %v %v, want the error itself", result, err)
				}
				return
			}
			if err != nil || !result.IsError || result.Content[0].Text != row.text {
				t.Errorf("got %v %v, want %q", result, err, row.text)
			}
		})
	}
}

func TestResourcesAndPrompts(t *testing.T) {
	env := shop(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/json":
			w.Header().Set("Content-Type", jsonType)
			_, _ = w.Write([]byte(`{"a":1}`))
		case "/api/html":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(`<p>`))
		case "/api/png":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write([]byte("png"))
		case "/api/pdf":
			w.Header().Set("Content-Type", "application/pdf")
			_, _ = w.Write([]byte("pdf"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	v := build(t, env, `{"connection":"shop","path":"/{what}"}`)
	for what, want := range map[string]string{"json": `application/json|{"a":1}`, "html": "text/html|<p>", "png": "image/png|png", "pdf": "application/pdf|pdf"} {
		call := request(t, `{"what":"`+what+`"}`)
		call.For.Kind, call.Tool = "resource", "book://"+what
		result, err := v.Invoke(context.Background(), call)
		if err != nil {
			t.Fatal(err)
		}
		// Text is put into contents here; the gateway does so with the other blocks.
		got := core.ResourceContents{URI: call.Tool, MIMEType: result.Content[0].MIMEType, Blob: result.Content[0].Data, Binary: true}
		switch {
		case len(result.Contents) > 0:
			got = result.Contents[0]
		case result.Content[0].Resource != nil:
			got = *result.Content[0].Resource
		}
		if got.URI != call.Tool || got.MIMEType+"|"+got.Text+string(got.Blob) != want || got.Binary == (what == "json" || what == "html") {
			t.Errorf("%s: %+v", what, got)
		}
	}
	call := request(t, `{"what":"nothing"}`)
	call.For.Kind, call.Tool = "resource", `book://"x"`
	var e *core.Error
	if _, err := v.Invoke(context.Background(), call); !errors.As(err, &e) || e.Code != core.CodeResource || string(e.Details) != `{"uri":"book://\"x\""}` {
		t.Errorf("an absent resource: %v", err)
	}
	call.For.Kind = "prompt"
	if _, err := v.Invoke(context.Background(), call); !errors.As(err, &e) || e.Code != core.CodeUnavailable {
		t.Errorf("a failed prompt: %v", err)
	}
	call = request(t, `{"what":".."}`)
	call.For.Kind = "prompt"
	if _, err := v.Invoke(context.Background(), call); !errors.As(err, &e) || e.Code != core.CodeInvalid {
		t.Errorf("a bad argument of a prompt: %v", err)
	}
}

func TestProgress(t *testing.T) {
	const size = 4 << 20
	env := shop(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = w.Write(make([]byte, size))
	})
	v := build(t, env, `{"connection":"shop","path":"/b","response":{"as":"binary"}}`)
	var last, count int64
	call := request(t, `{}`)
	call.Notify = func(n core.Notification) {
		var p struct{ Progress, Total int64 }
		if err := json.Unmarshal(n.Params, &p); err != nil || n.Method != "notifications/progress" {
			t.Fatal(n, err)
		}
		if p.Progress <= last || p.Total != size {
			t.Errorf("progress %d of %d after %d", p.Progress, p.Total, last)
		}
		last, count = p.Progress, count+1
	}
	if _, err := v.Invoke(context.Background(), call); err != nil || count != 0 {
		t.Fatalf("%d notifications that nobody asked for (%v)", count, err)
	}
	call.Progress = true
	if _, err := v.Invoke(context.Background(), call); err != nil || count < 10 || count > 60 {
		t.Errorf("%d notifications (%v)", count, err)
	}
}

func TestPages(t *testing.T) {
	var asked []string
	page := func(w http.ResponseWriter, r *http.Request, next func(n int) string) {
		asked = append(asked, r.URL.RawQuery)
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Content-Type", jsonType)
		body := fmt.Sprintf(`{"data":[{"id":%d},{"id":%d}]`, 2*n+1, 2*n+2)
		if n >= 3 {
			body = `{"data":[]`
		}
		if next != nil && n < 2 {
			body += `,"next":` + next(n+1)
		}
		_, _ = w.Write([]byte(body + "}"))
	}
	for _, row := range []struct {
		name, pagination, arguments string
		handler                     func(http.ResponseWriter, *http.Request)
		want                        string
		queries                     string
		notice                      bool
	}{
		{
			"link", `"by":"link"`, `{}`, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.RawQuery)
				n, _ := strconv.Atoi(r.URL.Query().Get("n"))
				if n < 2 {
					w.Header().Set("Link", fmt.Sprintf(`<http://%s/api/b?n=0>; rel="first", </api/b?n=%d&key=leak&t=a%%20b|c>; title="x"; rel="next last"`, r.Host, n+1))
				}
				w.Header().Set("Content-Type", jsonType)
				fmt.Fprintf(w, "[%d]", n)
			}, `[0,1,2]`, "fix=1 n=1&t=a%20b%7Cc n=2&t=a%20b%7Cc", false,
		},
		{"cursor", `"by":"cursor","items":".data","next":".next","query":"n"`, `{}`, func(w http.ResponseWriter, r *http.Request) { page(w, r, strconv.Itoa) }, `[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]`, "fix=1 fix=1&n=1 fix=1&n=2", false},
		{"url", `"by":"url","items":".data","next":".next"`, `{}`, func(w http.ResponseWriter, r *http.Request) {
			page(w, r, func(n int) string { return fmt.Sprintf(`"http://%s/api/b?n=%d"`, r.Host, n) })
		}, `[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]`, "fix=1 n=1 n=2", false},
		{"relative url", `"by":"url","items":".data","next":".next"`, `{}`, func(w http.ResponseWriter, r *http.Request) {
			page(w, r, func(n int) string { return fmt.Sprintf(`"?n=%d"`, n) })
		}, `[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]`, "fix=1 n=1 n=2", false},
		{"page", `"by":"page","items":".data","query":"n","start":0`, `{}`, func(w http.ResponseWriter, r *http.Request) { page(w, r, nil) }, `[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]`, "fix=1 fix=1&n=1 fix=1&n=2 fix=1&n=3", false},
		{"page with more", `"by":"page","items":".data","query":"n","start":0,"more":".next"`, `{}`, func(w http.ResponseWriter, r *http.Request) { page(w, r, func(int) string { return "true" }) }, `[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]`, "fix=1 fix=1&n=1 fix=1&n=2", false},
		{"page from the argument", `"by":"page","items":".data","query":"n"`, `{"n":2}`, func(w http.ResponseWriter, r *http.Request) { page(w, r, nil) }, `[{"id":5},{"id":6}]`, "fix=1&n=2 fix=1&n=3", false},
		{"offset", `"by":"offset","items":".data","query":"o"`, `{}`, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.RawQuery)
			w.Header().Set("Content-Type", jsonType)
			if r.URL.Query().Get("o") == "3" {
				_, _ = w.Write([]byte(`{"data":null}`))
				return
			}
			_, _ = w.Write([]byte(`{"data":[1,2,3]}`))
		}, `[1,2,3]`, "fix=1 fix=1&o=3", false},
		{"maxPages", `"by":"cursor","items":".data","next":".next","query":"n","maxPages":2`, `{}`, func(w http.ResponseWriter, r *http.Request) { page(w, r, strconv.Itoa) }, `[{"id":1},{"id":2},{"id":3},{"id":4}]`, "fix=1 fix=1&n=1", true},
		{"maxItems", `"by":"cursor","items":".data","next":".next","query":"n","maxItems":3`, `{}`, func(w http.ResponseWriter, r *http.Request) { page(w, r, strconv.Itoa) }, `[{"id":1},{"id":2},{"id":3}]`, "fix=1 fix=1&n=1", true},
		{"pages asked for", `"by":"cursor","items":".data","next":".next","query":"n","pages":"pages"`, `{"pages":1}`, func(w http.ResponseWriter, r *http.Request) { page(w, r, strconv.Itoa) }, `[{"id":1},{"id":2}]`, "fix=1", true},
		{"circle", `"by":"url","items":".data","next":".next"`, `{}`, func(w http.ResponseWriter, r *http.Request) {
			page(w, r, func(int) string { return `"?fix=1"` })
		}, `[{"id":1},{"id":2}]`, "fix=1", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked = nil
			config := `{"connection":"shop","path":"/b","query":{"fix":{"value":1},"n":"n"},"pagination":{` + row.pagination + `}}`
			valid(t, config)
			v := build(t, shop(t, row.handler), config)
			result := invoke(t, v, row.arguments)
			if result.IsError || string(result.Structured) != row.want {
				t.Errorf("got %s %q, want %s", result.Structured, result.Content[0].Text, row.want)
			}
			if got := strings.Join(asked, " "); got != row.queries {
				t.Errorf("asked for %q, want %q", got, row.queries)
			}
			if (len(result.Content) == 2) != row.notice {
				t.Errorf("%d blocks", len(result.Content))
			}
		})
	}
}

// Where requests go never comes from an answer (security.md T1).
func TestPagesStayAtTheUpstream(t *testing.T) {
	for _, next := range []string{
		"http://evil.example/api/b", "https://HOST/api/b", "http://user:pw@HOST/api/b", "//evil.example/api/b", "http://HOST:1/api/b",
		"/other/b", "/apix/b", "/api/../admin", "/api/%2e%2e/admin", "/api", "file:///etc/passwd", "http://HOST/api/..%2fadmin", "/api/x%zz",
	} {
		asked := 0
		env := shop(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Content-Type", jsonType)
			b, _ := json.Marshal(map[string]any{"data": []int{1}, "next": strings.ReplaceAll(next, "HOST", r.Host)})
			_, _ = w.Write(b)
		})
		v := build(t, env, `{"connection":"shop","path":"/b","pagination":{"by":"url","items":".data","next":".next"}}`)
		result := invoke(t, v, `{}`)
		if asked != 1 || !result.IsError || !strings.Contains(result.Content[0].Text, "not below the base URL") {
			t.Errorf("%s: asked %d times, %q", next, asked, result.Content[0].Text)
		}
	}
}

func TestPagesThatFail(t *testing.T) {
	env := shop(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		if r.URL.RawQuery != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"data":[1],"next":"c","odd":5}`))
	})
	for config, want := range map[string]string{
		`"by":"cursor","items":".data","next":".next","query":"c"`:  "Page 2: The upstream answered 503",
		`"by":"cursor","items":".odd","next":".next","query":"c"`:   "not a list",
		`"by":"cursor","items":".odd.x","next":".next","query":"c"`: "items of a page could not be found",
		`"by":"cursor","items":".data","next":".odd.x","query":"c"`: "next page could not be found",
		`"by":"page","items":".data","more":".odd.x","query":"c"`:   "another page could not be found",
		`"by":"link"`: "not a list",
	} {
		result := invoke(t, build(t, env, `{"connection":"shop","path":"/b","pagination":{`+config+`}}`), `{}`)
		if !result.IsError || !strings.Contains(result.Content[0].Text, want) {
			t.Errorf("%s: %q, want %q", config, result.Content[0].Text, want)
		}
	}
}
