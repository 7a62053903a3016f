package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/documents"
	"github.com/sallyport/sallyport/core/gateway"
)

// sayKinds is one kind of tool, which says what its config says.
var sayKinds = gateway.Kinds{Invokers: []core.Kind[core.Invoker]{{
	Name: "say", Schema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}},"additionalProperties":false}`),
	New: func(_ context.Context, raw json.RawMessage, _ core.Env) (core.Invoker, error) {
		var c struct{ Text string }
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, err
		}
		return core.Func(func(context.Context, *core.Call) (*core.Result, error) { return core.TextResult(c.Text), nil }), nil
	},
}}}

// documentRig reads, builds, tries and serves documents as core/app does.
type documentRig struct {
	gateway *gateway.Gateway
	desk    *documents.Desk
	reading config.Options
}

func (d *documentRig) read(list []core.Document) (core.Config, []core.Problem) {
	var cfg core.Config
	var problems []core.Problem
	for i := range list {
		part, found := config.ReadText(list[i].Name+".yaml", []byte(list[i].Text), d.reading)
		cfg.Servers, problems = append(cfg.Servers, part.Servers...), append(problems, found...)
	}
	return cfg, problems
}

func (d *documentRig) check(ctx context.Context, _ string, list []core.Document) []core.Problem {
	cfg, problems := d.read(list)
	catalog, more := d.gateway.Build(ctx, cfg)
	if catalog != nil {
		catalog.Close()
	}
	return config.Merge(problems, more)
}

func (d *documentRig) Try(ctx context.Context, _ string, list []core.Document, call core.Call) (*Trial, []core.Problem) {
	cfg, problems := d.read(list)
	if config.Refused(problems) {
		return nil, problems
	}
	tried, problems := d.gateway.Try(ctx, gateway.Trial{Config: cfg, Call: call, Hide: []string{"hidden words"}})
	if tried == nil {
		return nil, problems
	}
	return &Trial{Result: tried.Result, Err: tried.Err, Steps: tried.Steps, Took: tried.Took}, nil
}

// serve publishes what the store serves in the default tenant.
func (d *documentRig) serve(t testing.TB, r *apiRig) {
	t.Helper()
	state, err := r.store.State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := d.read(state.Documents)
	catalog, problems := d.gateway.Build(context.Background(), cfg)
	if catalog == nil {
		t.Fatal(problems)
	}
	d.gateway.Publish(catalog)
}

// keyedText has a secret that is written out, and a header.
const keyedText = "connections:\n  - name: up # é\n    baseUrl: https://up.example\n    headers: {X-Of: header-value}\n    credential: {type: bearer, token: written-out}\n"

const headedText = "connections:\n  - name: up\n    baseUrl: https://up.example\n    headers: {X-Of: header-value}\n"

func startDocuments(t testing.TB) (*apiRig, *documentRig) {
	t.Helper()
	d := &documentRig{reading: config.Options{Invokers: sayKinds.Invokers}}
	r := startAPI(t, func(o *APIOptions, _ *Options) {
		d.gateway = gateway.New(gateway.Options{Kinds: sayKinds, Authorizer: o.Authorizer})
		d.desk = documents.New(documents.Options{
			Store: o.Store, Check: d.check, Now: o.Now,
			Parse: func(name string, text []byte) (json.RawMessage, []string, []core.Problem) {
				return config.Tree(name, text, d.reading)
			},
			Mask: func(name string, text []byte) []byte { return config.Mask(name, text, d.reading) },
			Files: func() []documents.File {
				return []documents.File{{Name: "base", Path: "gateway/base.yaml", Text: []byte("servers: []\n")}, {Name: "keyed", Path: "gateway/keyed.yaml", Text: []byte(keyedText)}}
			},
		})
		o.Documents, o.Trials, o.DocumentSchema = d.desk, d, func() json.RawMessage { return config.Schema(d.reading) }
		o.Served = func(string) []core.Handler {
			if h := d.gateway.Find("shop"); h != nil {
				return []core.Handler{h}
			}
			return nil
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := d.gateway.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return r, d
}

func shopText(said string) string {
	return "# shop\nservers:\n  - name: shop\n    tools:\n      - name: greet\n        description: Greets.\n        inputSchema: {type: object, properties: {n: {type: integer}}}\n        invoker: {kind: say, config: {text: " + said + "}}\n"
}

func bodyOf(pairs ...any) string {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestDocumentScenarios(t *testing.T) {
	r, d := startDocuments(t)
	archive, err := documents.NewArchive(core.DefaultTenant, time.Unix(1, 0), map[string][]byte{"shop": []byte(shopText("imported")), "extra": []byte("servers: []\r\n# é\n")})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := archive.Write(&packed); err != nil {
		t.Fatal(err)
	}
	imports := base64.StdEncoding.EncodeToString(packed.Bytes())
	const none, draft, shop = "If-None-Match: *", "/documents/shop/draft", "/documents/shop"
	tell(t, r, []scenario{
		{name: "files are listed", as: "viewer", method: "GET", path: "/documents", status: 200, holds: []string{`"name":"base"`, `"origin":"file"`}},
		{name: "and read", as: "viewer", method: "GET", path: "/documents/base", status: 200, holds: []string{`"text":"servers: []\n"`}},
		{name: "without their secrets", as: "viewer", method: "GET", path: "/documents/keyed", status: 200, holds: []string{`up # é`, `token: \"***\"`}, lacks: []string{"written-out", "header-value"}},
		{name: "whoever asks", as: "admin", method: "GET", path: "/documents/keyed/text", status: 200, holds: []string{`token: "***"`}, lacks: []string{"written-out", "header-value"}},
		{name: "and not written", as: "editor", method: "PUT", path: "/documents/base/draft", body: bodyOf("text", "x"), headers: []string{none}, status: 423, holds: []string{"comes from a file"}},
		{name: "without a match", as: "editor", method: "PUT", path: draft, body: bodyOf("text", "x"), status: 428, holds: []string{"If-None-Match"}},
		{name: "with a foreign match", as: "editor", method: "PUT", path: draft, body: bodyOf("text", "x"), headers: []string{`If-Match: W/"1"`}, status: 400, holds: []string{"ETag"}},
		{name: "a draft with mistakes", as: "editor", method: "PUT", path: draft, body: bodyOf("text", "servers: 3"), headers: []string{none}, status: 200, holds: []string{`"good":false`, `"file":"shop.yaml"`, `"line":1`, `"version":1`}},
		{name: "is there already", as: "editor", method: "PUT", path: draft, body: bodyOf("text", "x"), headers: []string{none}, status: 412, holds: []string{`"version":1`}},
		{name: "cannot be published", as: "publisher", method: "POST", path: shop + "/publish", body: "{}", headers: []string{"If-Match: $etag"}, status: 422, holds: []string{`"problems":[{`}},
		{name: "nor tried", as: "editor", method: "POST", path: draft + "/test", body: bodyOf("server", "shop", "tool", "greet"), status: 422, holds: []string{`"problems":[{`}},
		{name: "a better one", as: "editor", method: "PUT", path: draft, body: bodyOf("text", shopText("hidden words"), "reason", "begin"), headers: []string{`If-Match: "1"`}, status: 200, holds: []string{`"good":true`}},
		{name: "is validated", as: "viewer", method: "POST", path: draft + "/validate", status: 200, holds: []string{`"good":true`, `"problems":[]`}},
		{name: "is read", as: "viewer", method: "GET", path: draft, status: 200, holds: []string{`"base":0`, `"text":"# shop\n`}},
		{name: "as it is", as: "viewer", method: "GET", path: shop + "/text?of=draft", status: 200, holds: []string{shopText("hidden words")}},
		{
			name: "is tried", as: "editor", method: "POST", path: draft + "/test", body: bodyOf("server", "shop", "tool", "greet", "arguments", map[string]any{"n": 1}), status: 200,
			holds: []string{`"part":"arguments"`, `"part":"invoker"`, `"name":"say"`, `"isError":false`, `"text":"***"`, `"value":{"n":1}`, `"trace_id"`}, lacks: []string{"hidden words"},
		},
		{name: "with wrong arguments", as: "editor", method: "POST", path: draft + "/test", body: bodyOf("server", "shop", "tool", "greet", "arguments", map[string]any{"n": "x"}), status: 200, holds: []string{`"outcome":"refused"`, `"isError":true`}},
		{name: "a tool that is not there", as: "editor", method: "POST", path: draft + "/test", body: bodyOf("server", "shop", "tool", "none"), status: 200, holds: []string{`"code":"not_found"`}},
		{name: "arguments that are none", as: "editor", method: "POST", path: draft + "/test", body: bodyOf("server", "shop", "tool", "greet", "arguments", []int{1}), status: 422, holds: []string{"/arguments"}},
		{name: "trying takes a permission", as: "viewer", method: "POST", path: draft + "/test", body: bodyOf("server", "shop", "tool", "greet"), status: 403},
		{name: "is compared", as: "viewer", method: "GET", path: shop + "/diff", status: 200, holds: []string{`"op":"add"`, `"affected":{"servers":[{"name":"shop"`, `"listsChange":true`, `+++ shop.yaml (draft)`}},
		{name: "publishing takes a permission", as: "editor", method: "POST", path: shop + "/publish", body: "{}", headers: []string{`If-Match: "2"`}, status: 403},
		{name: "what would happen", as: "publisher", method: "POST", path: "/documents/publish", body: bodyOf("names", []string{"shop"}, "dryRun", true), status: 200, holds: []string{`"versions":[]`, `"tools":{"added":["greet"]`}},
		{name: "another draft than was read", as: "publisher", method: "POST", path: shop + "/publish", body: "{}", headers: []string{`If-Match: "1"`}, status: 412},
		{name: "publish", as: "publisher", method: "POST", path: shop + "/publish", body: bodyOf("reason", "go"), headers: []string{`If-Match: "2"`}, status: 200, holds: []string{`"number":1`, `"reason":"go"`}, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
			t.Helper()
			d.serve(t, r)
		}},
		{name: "is served", as: "viewer", method: "GET", path: shop, status: 200, holds: []string{`"number":1`, `"text":"# shop\n`}},
		{name: "as YAML", as: "viewer", method: "GET", path: shop, headers: []string{"Accept: text/html, application/yaml;q=0.9"}, status: 200, holds: []string{shopText("hidden words")}},
		{name: "of a version", as: "viewer", method: "GET", path: shop + "/text?of=1", status: 200, holds: []string{"# shop"}},
		{name: "of none", as: "viewer", method: "GET", path: shop + "/text?of=nothing", status: 404},
		{name: "of nonsense", as: "viewer", method: "GET", path: shop + "/text?of=x", status: 400, holds: []string{"number of a version"}},
		{name: "no draft is left", as: "viewer", method: "GET", path: draft, status: 404},
		{name: "a new draft", as: "editor", method: "PUT", path: draft, body: bodyOf("text", shopText("bye")), headers: []string{none}, status: 200},
		{name: "is discarded", as: "editor", method: "DELETE", path: draft, headers: []string{"If-Match: $etag"}, status: 204},
		{name: "import is a conflict", as: "publisher", method: "POST", path: "/documents/import", body: bodyOf("archive", imports), status: 409, holds: []string{"shop"}},
		{name: "what it would change", as: "editor", method: "POST", path: "/documents/import", body: bodyOf("archive", imports, "dryRun", true), status: 200, holds: []string{`"state":"conflict"`, `"state":"new"`, `"before":"\"hidden words\""`}},
		{name: "publishing it takes a permission", as: "editor", method: "POST", path: "/documents/import", body: bodyOf("archive", imports, "publish", true, "replace", true), status: 403},
		{name: "import", as: "publisher", method: "POST", path: "/documents/import", body: bodyOf("archive", imports, "publish", true, "replace", true), status: 200, holds: []string{`"number":2`, `"document":"extra"`}},
		{name: "import of texts", as: "editor", method: "POST", path: "/documents/import", body: bodyOf("documents", []any{map[string]any{"name": "third", "text": "servers: []"}}), status: 200, holds: []string{`"drafts":["third"]`}},
		{name: "a text twice", as: "editor", method: "POST", path: "/documents/import", body: bodyOf("documents", []any{map[string]any{"name": "a", "text": ""}, map[string]any{"name": "a", "text": ""}}), status: 422},
		{name: "import of nothing", as: "editor", method: "POST", path: "/documents/import", body: "{}", status: 422},
		{name: "import of no base64", as: "editor", method: "POST", path: "/documents/import", body: bodyOf("archive", "%"), status: 422},
		{name: "import of no archive", as: "editor", method: "POST", path: "/documents/import", body: bodyOf("archive", "eA=="), status: 400, holds: []string{"gzip"}},
		{name: "versions", as: "viewer", method: "GET", path: shop + "/versions?limit=1", status: 200, holds: []string{`"number":2`, `"next":"`}, lacks: []string{`"number":1,`}},
		{name: "a version", as: "viewer", method: "GET", path: shop + "/versions/1", status: 200, holds: []string{`"text":"# shop\n`, `"sum":"`}},
		{name: "no version", as: "viewer", method: "GET", path: shop + "/versions/x", status: 404},
		{name: "versions compared", as: "viewer", method: "GET", path: shop + "/diff?from=1&to=2", status: 200, holds: []string{`"path":"/servers/shop/tools/greet/invoker/config/text"`, `"op":"change"`}},
		{name: "roll back what moved", as: "publisher", method: "POST", path: shop + "/rollback", body: bodyOf("number", 1), headers: []string{`If-Match: "1"`}, status: 412},
		{name: "roll back", as: "publisher", method: "POST", path: shop + "/rollback", body: bodyOf("number", 1, "reason", "was better"), headers: []string{`If-Match: "2"`}, status: 200, holds: []string{`"number":3`, `"from":1`}},
		{name: "export takes a permission", as: "viewer", method: "GET", path: "/documents/export", status: 403},
		{name: "export", as: "editor", method: "GET", path: "/documents/export", status: 200, after: func(t *testing.T, _ *apiRig, got apiAnswer) {
			t.Helper()
			a, err := documents.ReadArchive(strings.NewReader(got.body))
			if err != nil || string(a.Texts["extra"]) != "servers: []\r\n# é\n" || string(a.Texts["shop"]) != shopText("hidden words") {
				t.Errorf("%v %v", a, err)
			}
		}},
		{name: "schema", as: "viewer", method: "GET", path: "/documents/schema", status: 200, holds: []string{`Sallyport gateway document`}},
		{name: "a page", as: "viewer", method: "GET", path: "/documents?limit=1", status: 200, holds: []string{`"next":"base.file"`}},
		{name: "the next", as: "viewer", method: "GET", path: "/documents?limit=1&after=base.file", status: 200, holds: []string{`"name":"extra"`}},
		{name: "another tenant has its own", as: "acme-viewer", method: "GET", path: "/documents", status: 200, holds: []string{`"items":[]`}},
		{name: "and sees no others", as: "acme-viewer", method: "GET", path: shop, status: 404},
		{name: "a name that is none", as: "editor", method: "PUT", path: "/documents/Shop/draft", body: bodyOf("text", "x"), headers: []string{none}, status: 400, holds: []string{"small letters"}},
		{name: "a large text", as: "editor", method: "PUT", path: "/documents/large/draft", body: bodyOf("text", strings.Repeat("#", 2<<20), "unchecked", true), headers: []string{none}, status: 200, withoutReplace: true},
		{name: "a text with a header", as: "editor", method: "PUT", path: "/documents/headed/draft", body: bodyOf("text", headedText, "unchecked", true), headers: []string{none}, status: 200},
		{name: "is shown to who may write it", as: "editor", method: "GET", path: "/documents/headed/draft", status: 200, holds: []string{"header-value"}},
		{name: "without the header to others", as: "viewer", method: "GET", path: "/documents/headed/draft", status: 200, holds: []string{`X-Of: \"***\"`}, lacks: []string{"header-value"}},
		{name: "nor as YAML", as: "viewer", method: "GET", path: "/documents/headed/text?of=draft", status: 200, holds: []string{`X-Of: "***"`}, lacks: []string{"header-value"}},

		{name: "servers", as: "member", method: "GET", path: "/servers", status: 200, holds: []string{`"path":"/shop/mcp"`, `"toolCount":1`}},
		{name: "whoever may nothing sees nothing", as: "nobody", method: "GET", path: "/servers", status: 200, holds: []string{`"servers":[]`}},
		{name: "a server", as: "member", method: "GET", path: "/servers/shop", status: 200, holds: []string{`"inputSchema":{"type":"object"`, `"mayCall":true`}, lacks: []string{`"roles"`}},
		{name: "and who may", as: "admin", method: "GET", path: "/servers/shop", status: 200, holds: []string{`"roles":[`, `"member"`}},
		{name: "not to be seen", as: "nobody", method: "GET", path: "/servers/shop", status: 404},
		{name: "call", as: "member", method: "POST", path: "/servers/shop/tools/greet/call", body: bodyOf("arguments", map[string]any{"n": 1}), status: 200, holds: []string{`"text":"hidden words"`, `"isError":false`}},
		{name: "call what is not there", as: "member", method: "POST", path: "/servers/shop/tools/none/call", body: "{}", status: 404},
		{name: "call without a right", as: "nobody", method: "POST", path: "/servers/shop/tools/greet/call", body: "{}", status: 404},
	})
	for _, route := range r.api.routes.routes {
		status := route.Status
		if status == 0 {
			status = 200
		}
		if line := route.Method + " " + route.Pattern + " " + decimal(int64(status)); slices.Contains(elsewhere, route.tag()) && !r.spec.seen[line] {
			t.Errorf("no scenario has seen %s", line)
		}
	}
	var trail []core.AuditEntry
	if _, err := r.store.List(t.Context(), &trail, core.Query{Tenant: core.DefaultTenant, Limit: 1000}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range trail {
		seen[trail[i].Action] = true
	}
	for _, want := range []string{"document.draft", "document.discard", "document.publish", "document.rollback", "document.import", "document.export", "document.test"} {
		if !seen[want] {
			t.Errorf("%s is not in the audit trail", want)
		}
	}
}
