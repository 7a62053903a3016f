package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// good is a Config with one of everything, in a directory with files.
func good(t testing.TB) core.Config {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("readme.md", "# read me")
	write("docs/a.md", "# a")
	write("pixel.png", "\x89PNG\r\n\x1a\n")
	s := source{root: dir}
	at := func(path string) core.At { return core.At{Source: s, Path: path} }
	return core.Config{
		Sources: []core.Source{s},
		Connections: []core.ConnectionConfig{{
			At: at("/connections/0"), Name: "shop", BaseURL: "https://shop.example.com/v1",
			Headers:    map[string]string{"X-Client": "gateway"},
			Credential: &core.CredentialConfig{Type: "bearer", Token: "canary-token"},
			Timeouts:   core.TimeoutsConfig{Connect: "1s", FirstByte: "2s", Total: "5s"},
			Breaker:    &core.BreakerConfig{Share: 0.5, Requests: 20, Window: "10s", Open: "5s"},
		}},
		Plugins: []core.PluginConfig{
			{
				At: at("/plugins/0"), Name: "guard", Source: "plugins/guard.wasm", Config: raw(`{"level":1}`), Secrets: map[string]core.Secret{"key": "canary-secret"},
				Grants: &core.GrantsConfig{
					HTTP: []core.HTTPGrantConfig{{Host: "api.example.com", Methods: []string{"GET"}, Inject: &core.InjectGrantConfig{Secret: "key"}}},
					KV:   &core.KVGrantConfig{Namespace: "guard"}, CallTool: []string{"get_*"},
				},
				Limits: &core.PluginLimitsConfig{Timeout: "1s"}, Match: &core.MatchConfig{Tools: []string{"get_*"}}, Priority: 3,
			},
			{At: at("/plugins/1"), Name: "geo", Source: "plugins/geo.wasm"},
		},
		Servers: []core.ServerConfig{{
			At: at("/servers/0"), Name: "bookshop", Title: "Books", Version: "1.2.3",
			Icons: raw(`[{"src":"https://example.com/i.png","mimeType":"image/png","sizes":["48x48"],"theme":"dark"}]`),
			CORS:  &core.CORSConfig{Origins: []string{"https://app.example.com"}, MaxAge: "5m"},
			Cache: &core.CacheConfig{TTL: "30s", Scope: "public"},
			Tools: []core.ToolConfig{{
				At: at("/servers/0/tools/0"), Name: "get_book", Description: "a book",
				InputSchema:  raw(`{"type": "object", "properties": {"id": {"type": "integer"}, "region": {"type": "string", "x-mcp-header": "Region"}}, "required": ["id"]}`),
				OutputSchema: raw(`{"type":"object"}`),
				Annotations:  raw(`{"readOnlyHint":true,"title":"Book"}`),
				Execution:    raw(`{"taskSupport":"optional"}`),
				Meta:         raw(`{"example.com/owner":"us"}`),
				Timeout:      "5s",
				Authorizers:  []core.KindConfig{plugs(`{"plugin":"guard"}`)},
				Requests:     []core.KindConfig{plugs(`{"plugin":"guard"}`)},
				Invoker:      echoes(`{"connection":"shop","text":"hi","structured":{}}`),
			}},
			Catalogues: []core.CatalogueConfig{{At: at("/servers/0/catalogues/0"), Kind: "plug", Config: raw(`{"plugin":"geo"}`), Prefix: "geo.", Timeout: "2s"}},
			Prompts: []core.PromptConfig{{
				At: at("/servers/0/prompts/0"), Name: "sum_up",
				Arguments: []core.PromptArgumentConfig{{Name: "topic", Required: true, Values: []string{"books", "authors"}}},
				Messages: []core.MessageConfig{
					{Role: "user", Text: "Sum up {{topic}}"},
					{Role: "assistant", Image: &core.BinaryConfig{File: "pixel.png"}},
					{Role: "user", Resource: &core.EmbeddedConfig{URI: "docs://readme"}},
				},
			}},
			Resources: []core.ResourceConfig{
				{At: at("/servers/0/resources/0"), URI: "docs://readme", Name: "readme", File: "readme.md"},
				{At: at("/servers/0/resources/1"), URI: "docs://text", Name: "text", Text: text("hello"), Annotations: raw(`{"audience":["user"],"priority":0.5,"lastModified":"2026-11-22T10:00:00Z"}`)},
				{At: at("/servers/0/resources/2"), URI: "docs://bytes", Name: "bytes", Base64: "aGVsbG8="},
			},
			Templates: []core.ResourceConfig{
				{At: at("/servers/0/resourceTemplates/0"), URITemplate: "docs://files/{name}", Name: "files", File: "docs/{name}.md", Completions: map[string][]string{"name": {"a", "b"}}},
				{At: at("/servers/0/resourceTemplates/1"), URITemplate: "docs://dynamic/{+path}", Name: "dynamic", Invoker: &core.KindConfig{Kind: "echo", Config: raw(`{"text":"x"}`)}},
			},
		}},
	}
}

func TestBuildGood(t *testing.T) {
	c, problems := Build(context.Background(), good(t), testOptions())
	if c == nil || len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	defer c.Close()
	if got := c.Servers(); len(got) != 1 || got[0] != "bookshop" {
		t.Errorf("servers %v", got)
	}
	if len(c.Revision()) != 16 {
		t.Errorf("revision %q", c.Revision())
	}
	files := c.Files()
	if len(files) != 1 || files[0].Server != "bookshop" || files[0].URI != "docs://readme" || !filepath.IsAbs(files[0].Path) {
		t.Errorf("files %v", files)
	}
	s := c.byPrefix["bookshop"]
	tool := s.toolOf["get_book"]
	if got := tool.wire.Headers; len(got) != 1 || got[0].Header != "Region" || got[0].Type != "string" || strings.Join(got[0].Path, "/") != "region" {
		t.Errorf("headers %v", got)
	}
	if strings.Contains(string(tool.wire.InputSchema), " ") {
		t.Errorf("schema is not compact: %s", tool.wire.InputSchema)
	}
	if tool.timeout != 5*time.Second {
		t.Errorf("timeout %s", tool.timeout)
	}
	want := core.Offers{Tools: true, Prompts: true, Resources: true, Completions: true, Logging: true, Subscribe: true}
	if s.wire.Offers != want {
		t.Errorf("offers %+v", s.wire.Offers)
	}
	if s.wire.TTLMillis != 30_000 || s.wire.CacheScope != "public" || s.wire.CORS.MaxAge != 300 {
		t.Errorf("server %+v", s.wire)
	}
	if got := s.resourceOf["docs://text"].wire; got.MIMEType != "text/plain" || got.Size == nil || *got.Size != 5 {
		t.Errorf("resource %+v", got)
	}
	if got := s.resourceOf["docs://readme"].wire; got.MIMEType != "text/markdown" || got.Size != nil {
		t.Errorf("resource %+v", got)
	}
}

func TestBuildBad(t *testing.T) {
	cases := badConfigs()
	if len(cases) < 80 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			config := good(t)
			one.change(&config)
			c, problems := Build(context.Background(), config, testOptions())
			if one.says == "" { // the other way round: this one is right
				if c == nil {
					t.Fatalf("refused: %v", problems)
				}
				c.Close()
				return
			}
			if c != nil {
				c.Close()
				t.Fatalf("accepted; problems: %v", problems)
			}
			found := false
			for _, p := range problems {
				all := p.Message + "; " + p.Fix
				if strings.Contains(all, "canary") {
					t.Errorf("a secret is shown: %s", all)
				}
				if p.Message == "" || strings.Contains(all, "%!") {
					t.Errorf("bad message: %+v", p)
				}
				if !p.Warning && strings.HasPrefix(p.Path, one.path) && strings.Contains(all, one.says) {
					found = true
					if p.Path != one.path && !strings.HasSuffix(one.path, "/") {
						t.Errorf("path %s, want %s", p.Path, one.path)
					}
					if (strings.HasPrefix(p.Path, "/servers/0") || strings.HasPrefix(p.Path, "/plugins")) && p.File != "test.yaml" && one.name != "file without a directory" {
						t.Errorf("no file in %+v", p)
					}
				}
			}
			if !found {
				t.Errorf("want %s: …%s…\ngot:", one.path, one.says)
				for _, p := range problems {
					t.Logf("%s: %s; %s", p.Path, p.Message, p.Fix)
				}
			}
			// One mistake is one problem, but where a name is wrong that others refer to.
			fatal := 0
			for _, p := range problems {
				if !p.Warning {
					fatal++
				}
			}
			if fatal > 1 && !slices.Contains([]string{"connection without name", "connection name", "argument without name", "argument name"}, one.name) {
				t.Errorf("%d problems for one mistake: %v", fatal, problems)
			}
		})
	}
}

// TestBuildAllMistakes puts every mistake that can stand with others into one go:
// Build does not stop at the first.
func TestBuildReportsAll(t *testing.T) {
	config := good(t)
	toolIn(&config).Name = "a b"
	toolIn(&config).Timeout = "x"
	promptOf(&config).Name = "c d"
	resourceN(&config, 0).File = "no.md"
	connection(&config).BaseURL = ""
	c, problems := Build(context.Background(), config, testOptions())
	if c != nil {
		t.Fatal("accepted")
	}
	want := []string{"/connections/0/baseUrl", "/servers/0/tools/0/timeout", "/servers/0/tools/0/name", "/servers/0/resources/0/file", "/servers/0/prompts/0/name"}
	for _, path := range want {
		found := false
		for _, p := range problems {
			found = found || p.Path == path
		}
		if !found {
			t.Errorf("no problem at %s: %v", path, problems)
		}
	}
}

func TestBuildWarnings(t *testing.T) {
	cases := []badConfig{
		{"unused connection", func(c *core.Config) { toolIn(c).Invoker = echoes(`{}`) }, "/connections/0/name", "is not used"},
		{"plain http", func(c *core.Config) { connection(c).BaseURL = "http://shop.example.com" }, "/connections/0/baseUrl", "without encryption"},
		{"insecure", func(c *core.Config) { connection(c).TLS = &core.TLSConfig{Insecure: true} }, "/connections/0/tls/insecureSkipVerify", "not verified"},
		{"secret header", func(c *core.Config) { connection(c).Headers = map[string]string{"Cookie": "a=b"} }, "/connections/0/headers/Cookie", "put it into credential"},
		{"unknown annotation", func(c *core.Config) { toolIn(c).Annotations = raw(`{"readonlyHint":true}`) }, "/servers/0/tools/0/annotations/readonlyHint", `did you mean "readOnlyHint"?`},
		{"contradiction", func(c *core.Config) { toolIn(c).Annotations = raw(`{"readOnlyHint":true,"destructiveHint":true}`) }, "/servers/0/tools/0/annotations/destructiveHint", "cannot destroy"},
		{"reserved meta", func(c *core.Config) { toolIn(c).Meta = raw(`{"io.modelcontextprotocol/x":1}`) }, "/servers/0/tools/0/_meta/io.modelcontextprotocol~1x", "reserved for the protocol"},
		{"unused argument", func(c *core.Config) { promptOf(c).Messages = promptOf(c).Messages[1:] }, "/servers/0/prompts/0/arguments/0/name", "used in no message"},
		{"idle timeout", func(c *core.Config) { resourceN(c, 0).Timeout = "1s" }, "/servers/0/resources/0/timeout", "no effect"},
		{"empty server", func(c *core.Config) { c.Servers = append(c.Servers, core.ServerConfig{Name: "empty"}) }, "/servers/1", "offers nothing"},
		{"warning of a kind", func(c *core.Config) { toolIn(c).Invoker = echoes(`{"connection":"shop","problem":"warning"}`) }, "/servers/0/tools/0/invoker/config/text", "works, but"},
	}
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			config := good(t)
			one.change(&config)
			c, problems := Build(context.Background(), config, testOptions())
			if c == nil {
				t.Fatalf("refused: %v", problems)
			}
			defer c.Close()
			if len(problems) != 1 || !problems[0].Warning || problems[0].Path != one.path || !strings.Contains(problems[0].Message+"; "+problems[0].Fix, one.says) {
				t.Errorf("want a warning at %s: …%s…, got %+v", one.path, one.says, problems)
			}
		})
	}
}

func TestBuildConnection(t *testing.T) {
	certificate, key := keyPair()
	retries := 0
	config := core.Config{Connections: []core.ConnectionConfig{
		{Name: "basic", BaseURL: "https://a.example/v1", Credential: &core.CredentialConfig{Type: "basic", Username: "u", Password: "p"}, Headers: map[string]string{"X-B": "2", "X-A": "1"}},
		{Name: "header", BaseURL: "https://a.example", Credential: &core.CredentialConfig{Type: "header", Name: "X-API-Key", Value: "k"}, Retries: &retries},
		{Name: "query", BaseURL: "https://a.example", Credential: &core.CredentialConfig{Type: "query", Name: "key", Value: "k"}, TLS: &core.TLSConfig{CA: certificate, Certificate: certificate, Key: core.Secret(key), ServerName: "b.example"}},
		{Name: "bearer", BaseURL: "http://127.0.0.1:8080/base/", Credential: &core.CredentialConfig{Type: "bearer", Token: "t"}, Timeouts: core.TimeoutsConfig{Connect: "1s", FirstByte: "2s", Total: "3s"}},
	}}
	var seen map[string]*core.Connection
	kind := core.Kind[core.Invoker]{Name: "look", New: func(_ context.Context, _ json.RawMessage, env core.Env) (core.Invoker, error) {
		seen = env.Connections
		return core.Func(nil), nil
	}}
	config.Servers = []core.ServerConfig{{Name: "s", Tools: []core.ToolConfig{{Name: "t", Invoker: core.KindConfig{Kind: "look"}}}}}
	c, problems := Build(context.Background(), config, Options{Kinds: Kinds{Invokers: []core.Kind[core.Invoker]{kind}}, AllowCIDRs: []string{"10.0.0.0/8"}})
	if c == nil {
		t.Fatal(problems)
	}
	defer c.Close()
	basic, header, query, bearer := seen["basic"], seen["header"], seen["query"], seen["bearer"]
	if basic.Secret["Authorization"] != "Basic dTpw" || basic.Retries != 1 || basic.BaseURL.Path != "/v1" || basic.AllowCIDRs[0] != "10.0.0.0/8" {
		t.Errorf("basic: %+v", basic)
	}
	if len(basic.Header) != 2 || basic.Header[0].Name != "X-A" {
		t.Errorf("headers are not in order: %v", basic.Header)
	}
	if header.Secret["X-API-Key"] != "k" || header.Retries != 0 {
		t.Errorf("header: %+v", header)
	}
	if query.Query["key"] != "k" || query.TLS.ServerName != "b.example" || query.TLS.Key.Reveal() != key {
		t.Errorf("query: %+v", query)
	}
	if bearer.Secret["Authorization"] != "Bearer t" || bearer.Connect != time.Second || bearer.FirstByte != 2*time.Second || bearer.Timeout != 3*time.Second {
		t.Errorf("bearer: %+v", bearer)
	}
}

// A symbolic link that leads out of the directory is refused, one within is not.
func TestBuildSymbolicLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.md")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := good(t)
	dir := rootOf(config.Servers[0].At)
	if err := os.Symlink(outside, filepath.Join(dir, "out.md")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("docs/a.md", filepath.Join(dir, "in.md")); err != nil {
		t.Fatal(err)
	}
	resourceN(&config, 0).File = "out.md"
	if c, problems := Build(context.Background(), config, testOptions()); c != nil {
		t.Errorf("accepted a way out: %v", problems)
	} else if !strings.Contains(problems[0].Message, "cannot be read") {
		t.Errorf("problems %v", problems)
	}
	resourceN(&config, 0).File = "in.md"
	c, problems := Build(context.Background(), config, testOptions())
	if c == nil {
		t.Fatal(problems)
	}
	c.Close()
}

func TestBuildLimits(t *testing.T) {
	config := good(t)
	for name, o := range map[string]Limits{
		"bytes": {Bytes: 100}, "file": {FileBytes: 4},
	} {
		options := testOptions()
		options.Limits = o
		if c, _ := Build(context.Background(), config, options); c != nil {
			t.Errorf("%s: accepted", name)
			c.Close()
		}
	}
	options := testOptions()
	options.Limits = Limits{Servers: 1, Connections: 1, Items: 3, Problems: 3}
	more := good(t)
	more.Servers = append(more.Servers, more.Servers[0])
	if c, p := Build(context.Background(), more, options); c != nil || p[0].Path != "/servers" {
		t.Errorf("servers: %v", p)
	}
	more = good(t)
	more.Connections = append(more.Connections, more.Connections[0])
	if c, p := Build(context.Background(), more, options); c != nil || p[0].Path != "/connections" {
		t.Errorf("connections: %v", p)
	}
	more = good(t)
	for range 3 {
		more.Servers[0].Tools = append(more.Servers[0].Tools, core.ToolConfig{})
	}
	if c, p := Build(context.Background(), more, options); c != nil || p[0].Path != "/servers/0/tools" {
		t.Errorf("items: %v", p)
	}
	more.Servers[0].Tools = more.Servers[0].Tools[1:]
	c, p := Build(context.Background(), more, options)
	if c != nil || len(p) != 4 || !strings.Contains(p[3].Message, "more problems") {
		t.Errorf("problems: %v", p)
	}
}

// A member under a wrong name is one mistake, not also a missing one.
func TestMisspeltMemberIsOneMistake(t *testing.T) {
	s, _ := NewSchemas().compile(raw(`{"type":"object","properties":{"path":{"type":"string"},"to":{}},"required":["path","to"],"additionalProperties":false}`))
	for _, row := range []struct{ value, want string }{
		{`{"pth":"/x","to":1}`, "/pth is not known here"},
		{`{"pth":"/x"}`, "/pth is not known here, /to is required"},
		{`{"zzzzzz":"/x","to":1}`, "/path is required, /zzzzzz is not known here"},
		{`{"to":1}`, "/path is required"},
	} {
		value, err := wire.Decode(raw(row.value))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range s.check(value, false) {
			got = append(got, f.path+" "+f.message)
		}
		if strings.Join(got, ", ") != row.want {
			t.Errorf("%s: %q, want %s", row.value, got, row.want)
		}
	}
}

// Warnings are bounded apart from mistakes: no number of them hides one, and what
// was left out is said.
func TestWarningsHideNoMistake(t *testing.T) {
	for _, row := range []struct {
		name                string
		warnings, mistakes  int
		wantWarn, wantWrong int // of those found
		last                string
		lastWarns           bool
	}{
		{"few", 3, 2, 3, 2, "", false},
		{"many warnings", 600, 0, 500, 0, "and 100 more warnings", true},
		{"one mistake after many warnings", 600, 1, 499, 1, "and 101 more warnings", true},
		{"many mistakes", 0, 600, 0, 500, "and 100 more problems", false},
		{"many of both", 600, 600, 0, 500, "and 700 more problems", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := &build{options: Options{}.filled()}
			for i := range row.warnings {
				b.warn(core.At{Path: "/"}, "", fmt.Sprintf("warning %d", i), "")
			}
			for i := range row.mistakes {
				b.report(core.At{Path: "/"}, "", fmt.Sprintf("mistake %d", i), "")
			}
			b.finish()
			if b.bad() != (row.mistakes > 0) {
				t.Errorf("bad: %v", b.bad())
			}
			got := b.problems
			if row.last != "" {
				last := got[len(got)-1]
				got = got[:len(got)-1]
				if last.Message != row.last || last.Warning != row.lastWarns {
					t.Errorf("last: %+v", last)
				}
			}
			warn, wrong := 0, 0
			for _, p := range got {
				if p.Warning {
					warn++
				} else {
					wrong++
				}
			}
			if warn != row.wantWarn || wrong != row.wantWrong {
				t.Errorf("%d warnings and %d mistakes", warn, wrong)
			}
		})
	}

	config := good(t)
	for i := range 600 { // each is a warning: nothing uses it
		config.Connections = append(config.Connections, core.ConnectionConfig{Name: fmt.Sprintf("c%d", i), BaseURL: "https://a.example"})
	}
	config.Servers[0].Tools = append(config.Servers[0].Tools, core.ToolConfig{Name: "get_book", Invoker: echoes(`{}`)})
	c, problems := Build(context.Background(), config, testOptions())
	if c != nil || !slices.ContainsFunc(problems, func(p core.Problem) bool { return !p.Warning && strings.HasPrefix(p.Path, "/servers/0/tools/1") }) {
		t.Errorf("catalog %v; the mistake is not among %d problems", c, len(problems))
	}
}

func TestBuildStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c, p := Build(ctx, good(t), testOptions())
	if c != nil || len(p) == 0 || !strings.Contains(p[0].Message, "stopped") {
		t.Errorf("problems %v", p)
	}
}

// What was opened for a Catalog that did not come to be is closed again.
func TestBuildClosesWhatItOpened(t *testing.T) {
	var n counter
	o := testOptions()
	o.Kinds.Invokers = append(o.Kinds.Invokers, n.kind("counted", nil))
	config := good(t)
	toolIn(&config).Invoker = core.KindConfig{Kind: "counted"}
	promptOf(&config).Name = "a b"
	if c, _ := Build(context.Background(), config, o); c != nil {
		t.Fatal("accepted")
	}
	if n.opened.Load() != 1 || n.closed.Load() != 1 || n.twice.Load() != 0 {
		t.Errorf("opened %d, closed %d", n.opened.Load(), n.closed.Load())
	}
}

func TestRevision(t *testing.T) {
	revision := func(config core.Config) string {
		c, problems := Build(context.Background(), config, testOptions())
		if c == nil {
			t.Fatal(problems)
		}
		defer c.Close()
		return c.Revision()
	}
	config := good(t)
	first := revision(config)
	if again := revision(config); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	toolIn(&config).Description += "!"
	if other := revision(config); other == first {
		t.Error("a change does not change the revision")
	}
}

// keyPair makes a certificate and its key.
func keyPair() (certificate, key string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
}
