package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/core"
)

var update = flag.Bool("update", false, "write openapi.yaml anew")

// openapi.yaml is written from the table of routes: go test -run OpenAPI -update.
func TestOpenAPIIsFresh(t *testing.T) {
	t.Parallel()
	a, err := NewAPI(APIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("# Written by go test ./core/web -run OpenAPI -update from the table of routes: change that.\n")
	writeYAML(&b, describe(t, a.routes.routes), 0)
	if *update {
		if err := os.WriteFile("openapi.yaml", b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(b.Bytes(), OpenAPI()) {
		t.Error("openapi.yaml is not what the routes are: go test ./core/web -run OpenAPI -update")
	}
}

// Both ways: every route is described with all that it takes and answers, and nothing else
// is.
func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	t.Parallel()
	a, err := NewAPI(APIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	doc := readOpenAPI(t)
	paths := doc["paths"].(map[string]any)
	described := map[string]bool{}
	for path, item := range paths {
		for method, operation := range item.(map[string]any) {
			described[strings.ToUpper(method)+" "+path] = true
			for _, want := range []string{"summary", "operationId", "responses", "tags", "security"} {
				if operation.(map[string]any)[want] == nil {
					t.Errorf("%s %s has no %s", method, path, want)
				}
			}
		}
	}
	for _, r := range a.routes.routes {
		line := r.Method + " " + r.Pattern
		if !described[line] {
			t.Errorf("%s is not described", line)
			continue
		}
		delete(described, line)
		operation := paths[r.Pattern].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)
		var names []string
		for _, p := range list(operation["parameters"]) {
			one := p.(map[string]any)
			if ref, found := one["$ref"].(string); found {
				one = doc["components"].(map[string]any)["parameters"].(map[string]any)[ref[strings.LastIndexByte(ref, '/')+1:]].(map[string]any)
			}
			names = append(names, one["in"].(string)+" "+one["name"].(string))
		}
		for _, p := range r.params() {
			if !slices.Contains(names, "query "+p.Name) {
				t.Errorf("%s: query %s is not described", line, p.Name)
			}
			names = slices.DeleteFunc(names, func(s string) bool { return s == "query "+p.Name })
		}
		for _, name := range r.names {
			if !slices.Contains(names, "path "+name) {
				t.Errorf("%s: parameter %s is not described", line, name)
			}
			names = slices.DeleteFunc(names, func(s string) bool { return s == "path "+name })
		}
		for _, name := range names {
			if strings.HasPrefix(name, "query") || strings.HasPrefix(name, "path") {
				t.Errorf("%s: %s is described, and not taken", line, name)
			}
		}
		if slices.Contains(names, "header If-Match") != r.Match {
			t.Errorf("%s: If-Match", line)
		}
		if (operation["requestBody"] != nil) != (r.Body != nil || r.Parts != nil) {
			t.Errorf("%s: body", line)
		}
	}
	for line := range described {
		t.Errorf("%s is described, and there is no such route", line)
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func readOpenAPI(t testing.TB) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// described checks answers against openapi.yaml.
type described struct {
	mu       sync.Mutex
	doc      map[string]any
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
	seen     map[string]bool // METHOD pattern status
}

func newDescribed(t testing.TB) *described {
	t.Helper()
	doc := readOpenAPI(t)
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := &described{doc: doc, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", value); err != nil {
		t.Fatal(err)
	}
	return d
}

// handMade are routes that tests add, which nobody describes.
var handMade = []string{"/forgetful"}

// check holds one answer against the description; the error says what does not fit.
func (d *described) check(r *apiRoute, got apiAnswer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := strconv.Itoa(got.status)
	d.seen[r.Method+" "+r.Pattern+" "+status] = true
	if slices.Contains(handMade, r.Pattern) {
		return nil
	}
	responses := d.doc["paths"].(map[string]any)[r.Pattern].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)["responses"].(map[string]any)
	response, found := responses[status].(map[string]any)
	pointer := "/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(r.Pattern) + "/" + strings.ToLower(r.Method) + "/responses/" + status
	if !found {
		return fmt.Errorf("status %s of %s %s is not described", status, r.Method, r.Pattern)
	}
	if ref, is := response["$ref"].(string); is {
		pointer = strings.TrimPrefix(ref, "#")
		response = d.doc["components"].(map[string]any)["responses"].(map[string]any)[ref[strings.LastIndexByte(ref, '/')+1:]].(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	media, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
	if content == nil {
		if got.body != "" {
			return fmt.Errorf("%s %s %s: a body that is not described", r.Method, r.Pattern, status)
		}
		return nil
	}
	entry, found := content[media].(map[string]any)
	if !found {
		return fmt.Errorf("%s %s %s: Content-Type %q is not described", r.Method, r.Pattern, status, media)
	}
	if entry["schema"] == nil || media != jsonType && media != problemType {
		return nil
	}
	pointer += "/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema"
	schema := d.schemas[pointer]
	if schema == nil {
		var err error
		if schema, err = d.compiler.Compile("openapi.json#" + pointer); err != nil {
			return err
		}
		d.schemas[pointer] = schema
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s %s %s: %w\n%s", r.Method, r.Pattern, status, err, got.body)
	}
	return nil
}

// The description must bite: an answer with a key too many, one too few and one of the
// wrong type do not fit it.
func TestOpenAPIBites(t *testing.T) {
	t.Parallel()
	d := newDescribed(t)
	r := &apiRoute{Method: "GET", Pattern: "/setup"}
	header := http.Header{"Content-Type": {"application/json"}}
	for body, fits := range map[string]bool{`{"wanted":true}`: true, `{"wanted":1}`: false, `{}`: false, `{"wanted":true,"more":1}`: false} {
		if err := d.check(r, apiAnswer{200, header, body}); (err == nil) != fits {
			t.Errorf("%s: %v", body, err)
		}
	}
	if d.check(r, apiAnswer{418, header, "{}"}) == nil || d.check(r, apiAnswer{200, http.Header{"Content-Type": {"text/plain"}}, "x"}) == nil {
		t.Error("a status or a type that is not described passes")
	}
}

// --- writing the description ---

// node is an object in order.
type node []entry

type entry struct {
	key   string
	value any // node, []any, string, bool, int
}

func writeYAML(b *bytes.Buffer, n node, depth int) {
	for _, e := range n {
		b.WriteString(strings.Repeat("  ", depth) + yamlKey(e.key) + ":")
		writeValue(b, e.value, depth)
	}
}

func writeValue(b *bytes.Buffer, value any, depth int) {
	switch v := value.(type) {
	case node:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
		if line, ok := inline(v); ok {
			b.WriteString(" " + line + "\n")
			return
		}
		b.WriteByte('\n')
		writeYAML(b, v, depth+1)
	case []any:
		if len(v) == 0 {
			b.WriteString(" []\n")
			return
		}
		scalars := true
		for _, one := range v {
			if _, object := one.(node); object {
				scalars = false
			}
		}
		if scalars {
			var parts []string
			for _, one := range v {
				parts = append(parts, yamlScalar(one))
			}
			b.WriteString(" [" + strings.Join(parts, ", ") + "]\n")
			return
		}
		b.WriteByte('\n')
		for _, one := range v {
			if line, ok := inline(one.(node)); ok {
				b.WriteString(strings.Repeat("  ", depth+1) + "- " + line + "\n")
				continue
			}
			var item bytes.Buffer
			writeYAML(&item, one.(node), depth+2)
			text := item.String()
			b.WriteString(strings.Repeat("  ", depth+1) + "- " + strings.TrimLeft(text, " "))
		}
	default:
		b.WriteString(" " + yamlScalar(v) + "\n")
	}
}

// inline writes a small object on one line.
func inline(n node) (string, bool) {
	var parts []string
	for _, e := range n {
		switch v := e.value.(type) {
		case node:
			line, ok := inline(v)
			if !ok {
				return "", false
			}
			parts = append(parts, yamlKey(e.key)+": "+line)
		case []any:
			var items []string
			for _, one := range v {
				if _, object := one.(node); object {
					return "", false
				}
				items = append(items, yamlScalar(one))
			}
			parts = append(parts, yamlKey(e.key)+": ["+strings.Join(items, ", ")+"]")
		default:
			parts = append(parts, yamlKey(e.key)+": "+yamlScalar(v))
		}
	}
	line := "{" + strings.Join(parts, ", ") + "}"
	return line, len(line) <= 200
}

var plainKey = regexp.MustCompile(`^[A-Za-z$][A-Za-z0-9$_-]*$`)

func yamlKey(key string) string {
	if plainKey.MatchString(key) {
		return key
	}
	return yamlScalar(key)
}

func yamlScalar(v any) string {
	switch v := v.(type) {
	case string:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(v)
		return strings.TrimSpace(b.String())
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	}
	panic(fmt.Sprintf("%T", v))
}

func describe(t *testing.T, routes []*apiRoute) node {
	t.Helper()
	w := &describer{schemas: map[string]node{}, docs: readDocs(t)}
	var paths node
	var tags []any
	for _, r := range routes {
		tag := r.tag()
		if !slices.ContainsFunc(tags, func(v any) bool { return v.(node)[0].value == tag }) {
			tags = append(tags, node{{"name", tag}})
		}
		at := slices.IndexFunc(paths, func(e entry) bool { return e.key == r.Pattern })
		if at < 0 {
			paths = append(paths, entry{r.Pattern, node{}})
			at = len(paths) - 1
		}
		paths[at].value = append(paths[at].value.(node), entry{strings.ToLower(r.Method), w.operation(r)})
	}
	w.schema(reflect.TypeFor[problem]())
	var schemas node
	var names []string
	for name := range w.schemas {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		schemas = append(schemas, entry{name, w.schemas[name]})
	}
	var responses node
	for _, status := range w.statuses {
		responses = append(responses, entry{problemName(status), node{
			{"description", problemText[status]},
			{"content", node{{problemType, node{{"schema", node{{"$ref", "#/components/schemas/Problem"}}}}}}},
		}})
	}
	return node{
		{"openapi", "3.1.0"},
		{"info", node{
			{"title", "Sallyport admin API"},
			{"version", "1"},
			{"description", "Everything that administrators do, and what people do for themselves. " +
				"Bodies are JSON in UTF-8, read strictly: an unknown or doubled key is refused with its path. " +
				"Changes of what has a version need If-Match with the ETag of what was read. " +
				"Programs send an API token as bearer token. Browsers send the cookie of a login, with changes the X-CSRF-Token of GET /me and an Origin of ours; never both. " +
				"Errors are problem+json (RFC 9457) with fix, code and trace_id; new codes may come. " +
				"A reason for the audit trail goes into X-Reason or the member reason of a body."},
		}},
		{"servers", []any{node{{"url", apiRoot}}}},
		{"tags", tags},
		{"paths", paths},
		{"components", node{
			{"securitySchemes", node{
				{"token", node{{"type", "http"}, {"scheme", "bearer"}, {"description", "An API token, or the operator's token of the settings."}}},
				{"login", node{{"type", "apiKey"}, {"in", "cookie"}, {"name", cookieSecure}, {"description", "The cookie of a login. Over plain HTTP on loopback it is called " + cookiePlain + "."}}},
			}},
			{"parameters", node{
				{"IfMatch", node{{"name", "If-Match"}, {"in", "header"}, {"required", true}, {"description", "The ETag of what was read."}, {"schema", node{{"type", "string"}}}}},
				{"CSRF", node{{"name", "X-CSRF-Token"}, {"in", "header"}, {"description", "With the cookie of a login: the csrf of GET /me."}, {"schema", node{{"type", "string"}}}}},
				{"Reason", node{{"name", "X-Reason"}, {"in", "header"}, {"description", "Why, for the audit trail."}, {"schema", node{{"type", "string"}, {"maxLength", 2000}}}}},
				{"LastEventID", node{{"name", "Last-Event-ID"}, {"in", "header"}, {"description", "Go on behind this event; at most an hour back."}, {"schema", node{{"type", "string"}}}}},
			}},
			{"responses", responses},
			{"schemas", schemas},
		}},
	}
}

func (r *apiRoute) tag() string {
	if r.Noun != "" {
		return r.Noun
	}
	first, _, _ := strings.Cut(r.Pattern[1:], "/")
	return first
}

var problemText = map[int]string{
	400: "The request cannot be read.", 401: "It is not known who calls.", 403: "Who calls may not, or must prove itself first (code reauth).",
	404: "There is no such thing, or it may not be seen.", 409: "It is in use, or something of that name is there.", 412: "It was changed meanwhile; version says which is there now.",
	413: "The body is too large.", 415: "The body is not JSON.", 422: "The content has mistakes, which problems lists.", 423: "It comes from files, or the store cannot be written.",
	428: "If-Match is missing.", 429: "Too many tries; Retry-After says when.", 500: "Our own mistake.", 503: "The store, or what this is about, is away; Retry-After says when to try.",
	504: "It took too long.", 507: "The disk of the store is full.",
}

func problemName(status int) string { return "Problem" + strconv.Itoa(status) }

// refusals are the statuses of errors that a route may answer.
func (r *apiRoute) refusals() []int {
	list := append([]int{400, 403, 500, 503}, r.Also...)
	if r.Public == "" {
		list = append(list, 401)
	}
	if r.tenanted() || r.Name != "" {
		list = append(list, 404)
	}
	if r.Match {
		list = append(list, 412, 428)
	}
	if r.Body != nil || r.Parts != nil {
		list = append(list, 413, 415, 422)
	}
	if r.Stored {
		list = append(list, 504)
		if !safe(r.Method) {
			list = append(list, 409, 423, 507)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

type describer struct {
	schemas  map[string]node
	statuses []int
	docs     map[string]string
}

func (w *describer) operation(r *apiRoute) node {
	status := r.Status
	if status == 0 {
		status = 200
	}
	var what []string
	switch {
	case r.Public != "":
		what = append(what, "Needs no permission: "+r.Public+".")
	case r.Self != "":
		what = append(what, "Needs no permission, only that it is known who calls: "+r.Self+".")
	case r.Whole:
		what = append(what, "Needs "+r.permission()+", by a role that holds everywhere.")
	default:
		what = append(what, "Needs "+r.permission()+".")
	}
	if r.Proof {
		what = append(what, "It is dangerous: the password must have been given lately (POST /login/prove); API tokens may not.")
	}
	if r.Feed {
		what = append(what, "Answers server-sent events; the data of each is this schema, its id goes into Last-Event-ID.")
	}
	n := node{
		{"tags", []any{r.tag()}},
		{"summary", r.Summary},
		{"description", strings.Join(what, " ")},
		{"operationId", operationID(r)},
		{"security", w.security(r)},
	}
	var parameters []any
	for _, name := range r.names {
		parameters = append(parameters, node{{"name", name}, {"in", "path"}, {"required", true}, {"schema", node{{"type", "string"}, {"pattern", "^[A-Za-z0-9._~-]+$"}}}})
	}
	for _, p := range r.params() {
		schema := node{{"type", "string"}}
		if p.Name == "limit" {
			schema = node{{"type", "integer"}, {"minimum", 1}, {"maximum", pageMost}, {"default", pageDefault}}
		}
		if p.Enum != nil {
			schema = append(schema, entry{"enum", anys(p.Enum)})
		}
		parameters = append(parameters, node{{"name", p.Name}, {"in", "query"}, {"description", p.About}, {"schema", schema}})
	}
	ref := func(name string) node { return node{{"$ref", "#/components/parameters/" + name}} }
	if r.Match {
		parameters = append(parameters, ref("IfMatch"))
	}
	if r.Feed {
		parameters = append(parameters, ref("LastEventID"))
	}
	if !safe(r.Method) && r.Public == "" {
		parameters = append(parameters, ref("CSRF"), ref("Reason"))
	}
	if parameters != nil {
		n = append(n, entry{"parameters", parameters})
	}
	if r.Body != nil {
		n = append(n, entry{"requestBody", node{{"required", true}, {"content", node{{jsonType, node{{"schema", w.schema(reflect.TypeOf(r.Body))}}}}}}})
	}
	if r.Parts != nil {
		n = append(n, entry{"requestBody", node{{"required", true}, {"content", node{{formType, formOf(r.Parts)}}}}})
	}
	success := node{{"description", "Done."}}
	switch {
	case r.Feed:
		success = append(success, entry{"content", node{{eventType, node{{"schema", w.schema(reflect.TypeOf(r.Answer))}}}}})
	case r.Type != "":
		content := node{}
		for _, media := range strings.Split(r.Type, "|") {
			media, _, _ = strings.Cut(media, ";")
			schema := node{{"type", "string"}}
			if media == jsonType && r.Answer != nil {
				schema = w.schema(reflect.TypeOf(r.Answer))
			}
			content = append(content, entry{media, node{{"schema", schema}}})
		}
		success = append(success, entry{"content", content})
	case r.Answer != nil:
		if hasStamp(reflect.TypeOf(r.Answer)) {
			success = append(success, entry{"headers", node{{"ETag", node{{"description", "Its version, for If-Match."}, {"schema", node{{"type", "string"}}}}}}})
		}
		success = append(success, entry{"content", node{{jsonType, node{{"schema", w.schema(reflect.TypeOf(r.Answer))}}}}})
	}
	if status == 303 {
		success = node{{"description", "The browser goes on there."}, {"headers", node{{"Location", node{{"schema", node{{"type", "string"}}}}}}}}
	}
	responses := node{{strconv.Itoa(status), success}}
	for _, one := range r.refusals() {
		responses = append(responses, entry{strconv.Itoa(one), node{{"$ref", "#/components/responses/" + problemName(one)}}})
		if !slices.Contains(w.statuses, one) {
			w.statuses = append(w.statuses, one)
			slices.Sort(w.statuses)
		}
	}
	return append(n, entry{"responses", responses})
}

// formOf describes a body of parts.
func formOf(parts []apiPart) node {
	var properties, encoding node
	var required []any
	for _, p := range parts {
		schema := node{{"type", "string"}, {"maxLength", p.Limit}, {"description", p.About}}
		if p.Type == wasmType {
			schema = node{{"type", "string"}, {"contentMediaType", wasmType}, {"description", p.About}}
		}
		properties = append(properties, entry{p.Name, schema})
		if p.Needed {
			required = append(required, p.Name)
		}
		if p.Type != "" {
			encoding = append(encoding, entry{p.Name, node{{"contentType", p.Type}}})
		}
	}
	return node{
		{"schema", node{{"type", "object"}, {"additionalProperties", false}, {"required", required}, {"properties", properties}}},
		{"encoding", encoding},
	}
}

// hasStamp tells whether what is answered has a version.
func hasStamp(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	field, ok := t.FieldByName("Stamp")
	return ok && field.Anonymous
}

func (w *describer) security(r *apiRoute) []any {
	if r.Public != "" {
		return []any{}
	}
	return []any{node{{"token", []any{}}}, node{{"login", []any{}}}}
}

func operationID(r *apiRoute) string {
	id := strings.ToLower(r.Method)
	for _, part := range strings.FieldsFunc(r.Pattern, func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c)
	}) {
		id += strings.ToUpper(part[:1]) + part[1:]
	}
	return id
}

func anys[T ~string](list []T) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// schemaName is what a type is called in the description.
func schemaName(t reflect.Type) string {
	name := t.Name()
	if inner, found := strings.CutPrefix(name, "pageOf["); found {
		inner = strings.TrimSuffix(inner, "]")
		return schemaNameOf(inner[strings.LastIndexAny(inner, "./")+1:]) + "Page"
	}
	return schemaNameOf(name)
}

func schemaNameOf(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

func (w *describer) schema(t reflect.Type) node {
	switch t {
	case typeTime:
		return node{{"type", "string"}, {"format", "date-time"}}
	case typeRaw:
		return node{}
	case reflect.TypeFor[core.Secret]():
		return node{{"type", "string"}, {"format", "password"}, {"writeOnly", true}}
	case reflect.TypeFor[core.Action]():
		return node{{"type", "string"}, {"enum", anys(core.Actions)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.schema(t.Elem())
	case reflect.String:
		return node{{"type", "string"}}
	case reflect.Bool:
		return node{{"type", "boolean"}}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return node{{"type", "integer"}}
	case reflect.Uint64, reflect.Uint32:
		return node{{"type", "integer"}, {"minimum", 0}}
	case reflect.Float64:
		return node{{"type", "number"}}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return node{{"type", "string"}, {"contentEncoding", "base64"}}
		}
		return node{{"type", "array"}, {"items", w.schema(t.Elem())}}
	case reflect.Map:
		return node{{"type", "object"}, {"additionalProperties", w.schema(t.Elem())}}
	case reflect.Struct:
		if t.Name() == "" {
			return w.object(t)
		}
		name := schemaName(t)
		if _, done := w.schemas[name]; !done {
			w.schemas[name] = nil // for types that hold themselves
			w.schemas[name] = w.object(t)
		}
		return node{{"$ref", "#/components/schemas/" + name}}
	}
	panic("no schema for " + t.String())
}

func (w *describer) object(t reflect.Type) node {
	var properties node
	var required []any
	for _, f := range fieldsOf(t) {
		schema := w.schema(f.field.Type)
		owner := t
		for _, i := range f.index[:len(f.index)-1] {
			owner = owner.Field(i).Type
		}
		if about := w.docs[owner.Name()+"."+f.field.Name]; about != "" {
			schema = append(slices.Clone(schema), entry{"description", about})
		}
		if f.required && f.field.Type.Kind() == reflect.Pointer {
			panic(t.String() + "." + f.name + " may be null: say omitempty")
		}
		properties = append(properties, entry{f.name, schema})
		if f.required {
			required = append(required, f.name)
		}
	}
	n := node{{"type", "object"}}
	if about := w.docs[t.Name()]; about != "" {
		n = append(n, entry{"description", about})
	}
	n = append(n, entry{"additionalProperties", false})
	if required != nil {
		n = append(n, entry{"required", required})
	}
	return append(n, entry{"properties", properties})
}

// readDocs returns what comments say of types and their fields.
func readDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, folder := range []string{".", ".."} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				of, ok := decl.(*ast.GenDecl)
				if !ok || of.Tok != gotoken.TYPE {
					continue
				}
				for _, spec := range of.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						docsOf(docs, s, of.Doc)
					}
				}
			}
		}
	}
	return docs
}

func docsOf(docs map[string]string, s *ast.TypeSpec, doc *ast.CommentGroup) {
	object, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	sentence := strings.TrimPrefix(flat(doc), s.Name.Name+" is ")
	docs[s.Name.Name] = capital(strings.TrimPrefix(sentence, s.Name.Name+" "))
	for _, f := range object.Fields.List {
		text := flat(f.Doc)
		if text == "" {
			text = flat(f.Comment)
		}
		for _, name := range f.Names {
			docs[s.Name.Name+"."+name.Name] = capital(strings.TrimPrefix(text, name.Name+" is "))
		}
	}
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "…") {
		text += "."
	}
	return text
}

func flat(c *ast.CommentGroup) string {
	if c == nil {
		return ""
	}
	return strings.Join(strings.Fields(c.Text()), " ")
}
