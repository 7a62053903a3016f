package main

import (
	"encoding/json"
	"hash/fnv"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

// introspection asks for what the tools are made of. Texts of types other than the
// query type are left out: a large schema has megabytes of them.
const introspection = `query SallyportIntrospection {
  __schema {
    queryType { name fields { name description args { name description defaultValue type { ...T } } type { ...T } } }
    types { kind name fields { name args { defaultValue type { kind } } type { ...T } } inputFields { name defaultValue type { ...T } } enumValues { name } }
  }
}
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`

// Bounds on what is made of a schema.
const (
	maxFound     = 200 // tools
	maxSelected  = 100 // fields of one selection set
	maxInputDeep = 3   // input objects within each other that are spelled out
	maxEnum      = 100 // enum values that are spelled out
)

// found is a tool made of a field of the query type, as it is kept in the store.
type found struct {
	Tool        string     `json:"tool"`
	Description string     `json:"description,omitempty"`
	Query       string     `json:"query"`
	Arguments   []foundArg `json:"arguments,omitempty"`
	Pick        string     `json:"pick"`
}

type foundArg struct {
	Name   string          `json:"name"`
	Schema json.RawMessage `json:"schema"`
}

// The schema as introspection tells it.
type (
	schemaAnswer struct {
		Schema struct {
			QueryType struct {
				Name   string       `json:"name"`
				Fields []fieldShape `json:"fields"`
			} `json:"queryType"`
			Types []typeShape `json:"types"`
		} `json:"__schema"`
	}
	typeShape struct {
		Kind        string       `json:"kind"`
		Name        string       `json:"name"`
		Fields      []fieldShape `json:"fields"`
		InputFields []inputShape `json:"inputFields"`
		EnumValues  []struct {
			Name string `json:"name"`
		} `json:"enumValues"`
	}
	fieldShape struct {
		Name        string       `json:"name"`
		Description string       `json:"description"`
		Args        []inputShape `json:"args"`
		Type        *shape       `json:"type"`
	}
	inputShape struct {
		Name         string  `json:"name"`
		Description  string  `json:"description"`
		DefaultValue *string `json:"defaultValue"`
		Type         *shape  `json:"type"`
	}
	shape struct {
		Kind   string `json:"kind"`
		Name   string `json:"name"`
		OfType *shape `json:"ofType"`
	}
)

// kind turns a type into the form of documents; false when it is nested deeper than
// was asked for, or named as GraphQL names nothing.
func (s *shape) kind() (*kind, bool) {
	switch {
	case s == nil:
		return nil, false
	case s.Kind == "NON_NULL":
		k, ok := s.OfType.kind()
		if !ok || k.nonNull {
			return nil, false
		}
		k.nonNull = true
		return k, true
	case s.Kind == "LIST":
		k, ok := s.OfType.kind()
		return &kind{of: k}, ok
	}
	return &kind{name: s.Name}, graphqlName(s.Name)
}

func graphqlName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letter(c) && (i == 0 || !digit(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 100
}

// cached is what this instance knows, and until when.
var (
	cached      []found
	cachedUntil time.Time
)

// now is the clock; tests hold it.
var now = time.Now

// introspected returns the tools of the server's schema: those that this instance
// knows, else those in the store, else the server is asked.
func introspected(ctx *plugin.Context) ([]found, error) {
	if cached != nil && now().Before(cachedUntil) {
		return cached, nil
	}
	key := storeKey()
	if list, until, ok := load(ctx, key); ok {
		cached, cachedUntil = list, until
		return list, nil
	}
	body := append(bodyHead(introspection, "SallyportIntrospection"), "{}}"...)
	a, err := ask(ctx, body)
	switch {
	case err != nil:
		return nil, err
	case len(a.Errors) > 0:
		return nil, plugin.ToolError("the GraphQL server does not tell its schema: %s", a.Errors[0].text())
	}
	var answered schemaAnswer
	if err := plugin.Unmarshal(a.Data, &answered); err != nil {
		return nil, plugin.ToolError("the GraphQL server told a schema that cannot be read")
	}
	list := discover(ctx, &answered)
	if len(list) == 0 {
		return nil, plugin.ToolError("no field of the query type fits introspection.fields")
	}
	cached, cachedUntil = list, now().Add(retention)
	if err := save(ctx, key, list); err != nil {
		ctx.Logf(plugin.LevelWarn, "the tools of the introspected schema are kept by this instance only: %v", err)
	}
	return list, nil
}

// discover makes tools of the fields of the query type.
func discover(ctx *plugin.Context, a *schemaAnswer) []found {
	types := make(map[string]*typeShape, len(a.Schema.Types))
	for i := range a.Schema.Types {
		types[a.Schema.Types[i].Name] = &a.Schema.Types[i]
	}
	list, left := []found{}, 0
	for i := range a.Schema.QueryType.Fields {
		f := &a.Schema.QueryType.Fields[i]
		if !settings.Introspection.takes(f.Name) {
			continue
		}
		t, ok := makeFound(f, types)
		if !ok || len(list) == maxFound {
			left++
			continue
		}
		list = append(list, t)
	}
	if left > 0 {
		ctx.Logf(plugin.LevelWarn, "%d fields of the query type became no tools: at most %d do, and those whose types are nested too deep do not", left, maxFound)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Tool < list[j].Tool })
	return list
}

func (c *IntrospectConfig) takes(field string) bool {
	if strings.HasPrefix(field, "__") {
		return false
	}
	for _, pattern := range c.Fields {
		prefix, wild := strings.CutSuffix(pattern, "*")
		if pattern == field || wild && strings.HasPrefix(field, prefix) {
			return true
		}
	}
	return len(c.Fields) == 0
}

func makeFound(f *fieldShape, types map[string]*typeShape) (found, bool) {
	result, ok := f.Type.kind()
	if !ok || !graphqlName(f.Name) {
		return found{}, false
	}
	t := found{Tool: settings.Introspection.Prefix + f.Name, Description: f.Description, Pick: f.Name}
	var defined, passed []string
	for i := range f.Args {
		arg := &f.Args[i]
		k, ok := arg.Type.kind()
		if !ok || !graphqlName(arg.Name) {
			return found{}, false
		}
		if k.nonNull && arg.DefaultValue != nil { // the server fills it in
			k.nonNull = false
		}
		defined = append(defined, "$"+arg.Name+": "+k.String())
		passed = append(passed, arg.Name+": $"+arg.Name)
		s := newSchema()
		inputKind(s, k, arg.Description, types, 0)
		t.Arguments = append(t.Arguments, foundArg{arg.Name, s.json()})
	}
	t.Query = "query " + f.Name
	if defined != nil {
		t.Query += "(" + strings.Join(defined, ", ") + ")"
	}
	t.Query += " { " + f.Name
	if passed != nil {
		t.Query += "(" + strings.Join(passed, ", ") + ")"
	}
	t.Query += selectionSet(types[result.named().name]) + " }"
	return t, toolName(t.Tool)
}

// selectionSet selects the fields of a type that are scalars and enums and ask for no
// argument; nothing for a scalar.
func selectionSet(t *typeShape) string {
	if t == nil || t.Kind == "SCALAR" || t.Kind == "ENUM" {
		return ""
	}
	names := []string{"__typename"}
	for i := range t.Fields {
		f := &t.Fields[i]
		if len(names) < maxSelected && graphqlName(f.Name) && f.leaf() && !f.needs() {
			names = append(names, f.Name)
		}
	}
	if len(names) > 1 && t.Kind == "OBJECT" {
		names = names[1:] // the type is known
	}
	return " { " + strings.Join(names, " ") + " }"
}

// leaf says whether the field is a scalar or an enum, or a list of them.
func (f *fieldShape) leaf() bool {
	s := f.Type
	for s != nil && (s.Kind == "NON_NULL" || s.Kind == "LIST") {
		s = s.OfType
	}
	return s != nil && (s.Kind == "SCALAR" || s.Kind == "ENUM")
}

// needs says whether the field cannot be asked for without arguments.
func (f *fieldShape) needs() bool {
	for _, arg := range f.Args {
		if arg.Type != nil && arg.Type.Kind == "NON_NULL" && arg.DefaultValue == nil {
			return true
		}
	}
	return false
}

// inputKind is kindSchema with the server's own types spelled out.
func inputKind(s *schema, k *kind, description string, types map[string]*typeShape, deep int) {
	t := types[k.named().name]
	switch {
	case k.of != nil:
		inner := newSchema()
		inputKind(inner, k.of, "", types, deep)
		s.text("type", "array")
		s.set("items", inner.json())
	case t != nil && t.Kind == "ENUM":
		s.text("type", "string")
		if len(t.EnumValues) > 0 && len(t.EnumValues) <= maxEnum {
			values := []byte{'['}
			for i, v := range t.EnumValues {
				if i > 0 {
					values = append(values, ',')
				}
				values = append(values, quote(v.Name)...)
			}
			s.set("enum", append(values, ']'))
		}
	case t != nil && t.Kind == "INPUT_OBJECT":
		s.text("type", "object")
		if deep == maxInputDeep {
			break
		}
		properties, required := newSchema(), []byte{'['}
		for i := range t.InputFields {
			f := &t.InputFields[i]
			k, ok := f.Type.kind()
			if !ok {
				continue
			}
			inner := newSchema()
			inputKind(inner, k, "", types, deep+1)
			properties.set(f.Name, inner.json())
			if k.nonNull && f.DefaultValue == nil {
				if len(required) > 1 {
					required = append(required, ',')
				}
				required = append(required, quote(f.Name)...)
			}
		}
		s.set("properties", properties.json())
		if len(required) > 1 {
			s.set("required", append(required, ']'))
		}
	default:
		kindSchema(s, k, description)
		return
	}
	if description != "" {
		s.text("description", description)
	}
}

// config is the operation that a found tool stands for.
func (f *found) config() OperationConfig {
	c := OperationConfig{Tool: f.Tool, Description: f.Description, Query: f.Query, Pick: f.Pick}
	if len(f.Arguments) > 0 {
		c.Variables = make(map[string]VariableConfig, len(f.Arguments))
		for _, a := range f.Arguments {
			c.Variables[a.Name] = VariableConfig{Schema: a.Schema}
		}
	}
	return c
}

func (f *found) tool() (*tool, error) {
	c := f.config()
	return c.tool()
}

// storeKey is where this configuration's tools stand in the store: two plugins that
// share a namespace do not see each other's.
func storeKey() string {
	h := fnv.New64a()
	parts := append([]string{settings.Endpoint, settings.Introspection.Prefix}, settings.Introspection.Fields...)
	names := make([]string, 0, len(settings.Headers))
	for name, value := range settings.Headers {
		names = append(names, name+": "+value)
	}
	sort.Strings(names)
	for _, part := range append(parts, names...) {
		_, _ = h.Write([]byte(strconv.Quote(part)))
	}
	return "introspected/1/" + strconv.FormatUint(h.Sum64(), 16)
}

const (
	partSize = 48 << 10  // bytes; the store takes 64 KiB a value
	maxKept  = 512 << 10 // bytes of one schema's tools
)

// kept is the entry that says where the parts are. They carry their sum in their key,
// so that a reader never joins parts of two writers.
type kept struct {
	Until int64  `json:"until"` // Unix milliseconds
	Sum   string `json:"sum"`
	Parts int    `json:"parts"`
}

func (k *kept) key(at string, i int) string { return at + "/" + k.Sum + "/" + strconv.Itoa(i) }

func sum(b []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return strconv.FormatUint(h.Sum64(), 16)
}

func save(ctx *plugin.Context, key string, list []found) error {
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if len(b) > maxKept {
		return plugin.ErrTooLarge
	}
	k := kept{Until: cachedUntil.UnixMilli(), Sum: sum(b), Parts: (len(b) + partSize - 1) / partSize}
	for i := range k.Parts {
		part := b[i*partSize : min((i+1)*partSize, len(b))]
		// A part outlives the entry that names it.
		if _, err := ctx.KVSet(k.key(key, i), part, retention+time.Minute); err != nil {
			return err
		}
	}
	head, err := json.Marshal(k)
	if err != nil {
		return err
	}
	_, err = ctx.KVSet(key, head, retention)
	return err
}

// load reads what save wrote; false when there is nothing, or nothing whole.
func load(ctx *plugin.Context, key string) (list []found, until time.Time, ok bool) {
	head, _, err := ctx.KVGet(key)
	var k kept
	if err != nil || plugin.Unmarshal(head, &k) != nil || k.Parts < 1 || k.Parts > maxKept/partSize+1 {
		return nil, time.Time{}, false
	}
	until = time.UnixMilli(k.Until)
	if !now().Before(until) {
		return nil, time.Time{}, false
	}
	var b []byte
	for i := range k.Parts {
		part, _, err := ctx.KVGet(k.key(key, i))
		if err != nil {
			return nil, time.Time{}, false
		}
		b = append(b, part...)
	}
	if sum(b) != k.Sum || plugin.Unmarshal(b, &list) != nil || len(list) == 0 {
		return nil, time.Time{}, false
	}
	return list, until, true
}
