package gateway

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

var nastyTexts = []string{
	"", " ", "\x00", "\xff\xfe", "a", "../..", "{{", "{{topic}}", "{", "}", "{a}", "{+a}", "docs://{a}", "%", "%zz", "-", ".", "..", "/", "//", "mcp",
	"https://", "https://[::1", "http://a:b@c", "1e999999999s", "-5s", "9223372036854775807ns", "999999999999999999999h", "日本", "é", "\u202e", "ſ",
	strings.Repeat("a", 5000), strings.Repeat("{{topic}}", 1000), strings.Repeat("../", 100), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
	"user", "image/png", "text/plain; charset=\"", "=", "aGk=", strings.Repeat("aGk=", 1000), "echo", "shop", "bearer", "basic",
}

var nastyJSON = []string{
	``, `null`, `true`, `0`, `""`, `[]`, `{}`, `{`, `[[[[`, "\x00", "\xff", `{"a":1,"a":2}`, `1e999999999`, `-0`, `{"type":null}`, `{"type":"object","properties":null}`,
	`{"type":"object","properties":[]}`, `{"type":"object","required":[1]}`, `{"type":"object","$ref":"#"}`, `{"type":"object","properties":{"a":{"$ref":"#/properties/a"}}}`,
	`{"type":"object","properties":{"a":{"$ref":"#"}}}`, `{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}},"type":"object","allOf":[{"$ref":"#/$defs/a"}]}`,
	`{"type":"object","$ref":"file:///etc/passwd"}`, `{"$id":"x","type":"object","$dynamicRef":"#x"}`, `{"$schema":"x","type":"object"}`, `{"type":"object","$recursiveRef":"#"}`,
	`{"$id":5,"type":"object"}`, `{"$id":"%zz","type":"object"}`, `{"$anchor":"a","$defs":{"b":{"$anchor":"a"}},"type":"object"}`, `{"type":"object","pattern":"("}`,
	`{"type":"object","patternProperties":{"(":true}}`, `{"type":"object","items":[]}`, `{"type":"object","minimum":1e400}`, `{"type":"object","multipleOf":0}`,
	`{"type":"object","maxLength":1e30}`, `{"type":"object","maxItems":-1}`, `{"type":"object","enum":[]}`, `{"type":"object","const":{"a":[1e5]}}`,
	`{"type":"object","x-mcp-header":null}`, `{"type":"object","properties":{"":{"type":"string","x-mcp-header":""}}}`, `{"type":"object","properties":{"a/b~":{"type":"string","x-mcp-header":"A"}}}`,
	`[{"src":null}]`, `[null]`, `{"audience":[null]}`, `{"":""}`, `{"a/":1}`, `{"/":1}`, `{"connection":null}`, `{"connection":{"connection":"shop"}}`, `{"text":"x","problem":"panic"}`,
	strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat(`{"items":`, 60) + "{}" + strings.Repeat("}", 60), `"` + strings.Repeat("a", 100_000) + `"`,
	`[` + strings.Repeat("0,", 20_000) + `0]`,
}

// panics is a source that cannot be asked.
type panics struct{}

func (panics) Name() string                     { panic("name") }
func (panics) Root() string                     { panic("root") }
func (panics) Position(string) (int, int, bool) { panic("position") }

var (
	rawType    = reflect.TypeFor[json.RawMessage]()
	sourceType = reflect.TypeFor[core.Source]()
)

// places lists everything in a Config that can be set.
func settable(v reflect.Value, depth int, out *[]reflect.Value) {
	if depth > 12 {
		return
	}
	if v.CanSet() {
		*out = append(*out, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			settable(v.Field(i), depth+1, out)
		}
	case reflect.Slice:
		if v.Type() != rawType {
			for i := range v.Len() {
				settable(v.Index(i), depth+1, out)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			settable(v.Elem(), depth+1, out)
		}
	}
}

// mutate changes one thing somewhere. It returns whether it put in a source that
// panics.
func mutate(t *rapid.T, config *core.Config) (poisoned bool) {
	var places []reflect.Value
	settable(reflect.ValueOf(config).Elem(), 0, &places)
	v := places[rapid.IntRange(0, len(places)-1).Draw(t, "place")]
	switch {
	case v.Type() == rawType:
		v.SetBytes([]byte(rapid.SampledFrom(nastyJSON).Draw(t, "json")))
	case v.Type() == sourceType:
		if rapid.IntRange(0, 9).Draw(t, "source") == 0 {
			v.Set(reflect.ValueOf(panics{}))
			return true
		}
		v.SetZero()
	default:
		switch v.Kind() {
		case reflect.String:
			v.SetString(rapid.SampledFrom(nastyTexts).Draw(t, "text"))
		case reflect.Int, reflect.Int64:
			v.SetInt(rapid.SampledFrom([]int64{0, -1, 1, math.MaxInt32, math.MinInt32}).Draw(t, "int"))
		case reflect.Float64:
			v.SetFloat(rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1), 1e300}).Draw(t, "float"))
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Slice:
			switch rapid.IntRange(0, 2).Draw(t, "slice") {
			case 0:
				v.SetZero()
			case 1:
				v.Set(reflect.AppendSlice(v.Slice3(0, v.Len(), v.Len()), v))
			default:
				v.Set(reflect.Append(v.Slice3(0, v.Len(), v.Len()), reflect.Zero(v.Type().Elem())))
			}
		case reflect.Pointer:
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			} else {
				v.SetZero()
			}
		case reflect.Map:
			fresh := reflect.MakeMap(v.Type())
			if rapid.Bool().Draw(t, "map") {
				fresh.SetMapIndex(reflect.ValueOf(rapid.SampledFrom(nastyTexts).Draw(t, "key")), reflect.Zero(v.Type().Elem()))
			}
			v.Set(fresh)
		default:
			v.SetZero()
		}
	}
	return false
}

// use asks for everything that a gateway serves.
func use(g *Gateway) {
	ctx := context.Background()
	c := g.current.Load()
	if c == nil {
		return
	}
	for prefix, s := range c.byPrefix {
		h := g.Find(prefix)
		_, _ = h.ListTools(ctx, core.Identity{}, nil)
		for name := range s.toolOf {
			_, _ = h.CallTool(ctx, &core.Call{Tool: name, Arguments: raw(`{"id":1}`)})
		}
		for name := range s.promptOf {
			_, _ = h.GetPrompt(ctx, &core.Call{Tool: name, Arguments: raw(`{"topic":"x"}`)})
			_, _ = h.Complete(ctx, core.Identity{}, &core.CompleteRequest{RefType: "ref/prompt", Ref: name, Argument: "topic"})
		}
		for uri := range s.resourceOf {
			_, _ = h.ReadResource(ctx, &core.Call{Tool: uri})
		}
		for uri := range s.templateOf {
			_, _ = h.ReadResource(ctx, &core.Call{Tool: strings.NewReplacer("{", "", "}", "", "+", "").Replace(uri)})
		}
		h.Release()
	}
}

// No Config makes Build panic, and a bad one changes nothing of what is served
// (security.md R2).
func TestMutatedConfigs(t *testing.T) {
	base := good(t)
	if err := os.Chmod(rootOf(base.Servers[0].At), 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	g := New(testOptions())
	refused, accepted := 0, 0
	check := func(t *rapid.T) {
		var config core.Config
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		config.Connections[0].Credential.Token = "token"
		config.Servers[0].Source = base.Servers[0].Source
		poisoned := false
		for range rapid.IntRange(1, 4).Draw(t, "mutations") {
			poisoned = mutate(t, &config) || poisoned
		}
		before := g.Revision()
		c, problems := g.Build(context.Background(), config)
		fatal := false
		for _, p := range problems {
			fatal = fatal || !p.Warning
			if p.Message == "" {
				t.Fatalf("a problem without a message: %+v", p)
			}
			if !poisoned && strings.Contains(p.Message, "stumble") && !strings.Contains(p.Message, "kind echo") {
				t.Fatalf("Build panicked: %+v", p)
			}
		}
		if (c == nil) != fatal {
			t.Fatalf("catalog %v with %v", c != nil, problems)
		}
		if c == nil {
			refused++
			if g.Revision() != before {
				t.Fatal("a bad config was served")
			}
			use(g)
			return
		}
		accepted++
		g.Publish(c)
		if !poisoned {
			use(g)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 5 {
			check(t)
		}
	})
	t.Logf("%d refused, %d accepted", refused, accepted)
	if refused == 0 || accepted == 0 {
		t.Errorf("%d refused, %d accepted", refused, accepted)
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// An empty Config, a Config of nulls and a huge one are answers, not accidents.
func TestOddConfigs(t *testing.T) {
	null := core.Config{
		Connections: make([]core.ConnectionConfig, 2), Plugins: make([]core.PluginConfig, 2),
		Servers: []core.ServerConfig{{}, {
			CORS: &core.CORSConfig{}, Cache: &core.CacheConfig{},
			Tools: make([]core.ToolConfig, 2), Catalogues: make([]core.CatalogueConfig, 2), Prompts: make([]core.PromptConfig, 2), Resources: make([]core.ResourceConfig, 2), Templates: make([]core.ResourceConfig, 2),
		}},
	}
	if c, problems := Build(context.Background(), null, Options{}); c != nil || len(problems) < 10 {
		t.Errorf("nulls: %v", problems)
	}
	c, problems := Build(context.Background(), core.Config{}, Options{})
	if c == nil {
		t.Fatalf("nothing: %v", problems)
	}
	c.Close()
	huge := good(t)
	toolIn(&huge).Description = strings.Repeat("x", 65<<20)
	if c, problems := Build(context.Background(), huge, testOptions()); c != nil || len(problems) != 1 || !strings.Contains(problems[0].Message, "bytes together") {
		t.Errorf("huge: %v", problems)
	}
}
