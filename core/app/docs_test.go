package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/gateway"
)

// frames make a whole document of an example under a heading of
// docs/configuration.md: {} is where the example stands, indented.
var frames = map[string]string{
	"connection":       "connections:\n  - {}\nservers:\n  - {name: one}\n",
	"server":           shop + "servers:\n  - {}\n",
	"credential":       "connections:\n  - name: shop\n    baseUrl: https://shop.example\n    credential:\n      {}\n",
	"tls":              "connections:\n  - name: shop\n    baseUrl: https://shop.example\n    tls:\n      {}\n",
	"timeouts":         "connections:\n  - name: shop\n    baseUrl: https://shop.example\n    timeouts:\n      {}\n",
	"breaker":          "connections:\n  - name: shop\n    baseUrl: https://shop.example\n    breaker:\n      {}\n",
	"cors":             "servers:\n  - name: one\n    cors:\n      {}\n",
	"access":           "servers:\n  - name: one\n    access:\n      {}\n",
	"cache":            "servers:\n  - name: one\n    cache:\n      {}\n",
	"tool":             shop + "servers:\n  - name: one\n    tools:\n      - {}\n",
	"prompt":           "servers:\n  - name: one\n    prompts:\n      - {}\n",
	"resource":         "servers:\n  - name: one\n    resources:\n      - {}\n",
	"resourceTemplate": shop + "servers:\n  - name: one\n    resourceTemplates:\n      - {}\n",
	"message":          "servers:\n  - name: one\n    prompts:\n      - name: p\n        messages:\n          - {}\n",
	"binary":           "servers:\n  - name: one\n    prompts:\n      - name: p\n        messages:\n          - role: user\n            image:\n              {}\n",
	"plugin":           "plugins:\n  - {}\nservers:\n  - {name: one}\n",
	"grants":           plugin + "    grants:\n      {}\n",
	"httpGrant":        plugin + "    grants:\n      http:\n        - {}\n",
	"injectGrant":      plugin + "    grants:\n      http:\n        - host: a.example\n          inject:\n            {}\n",
	"kvGrant":          plugin + "    grants:\n      kv:\n        {}\n",
	"pluginLimits":     plugin + "    limits:\n      {}\n",
	"match":            plugin + "    match:\n      {}\n",
	"catalogue":        plugin + "servers:\n  - name: one\n    catalogues:\n      - {}\n",
	"upstream":         "upstreams:\n  - {}\n",
	"mount":            github + "servers:\n  - name: one\n    upstreams:\n      - {}\n",
	"selection":        github + "servers:\n  - name: one\n    upstreams:\n      - upstream: github\n        tools:\n          {}\n",
	"override":         github + "servers:\n  - name: one\n    upstreams:\n      - upstream: github\n        overrides:\n          create_issue:\n            {}\n",
	"mountArgument":    github + "servers:\n  - name: one\n    upstreams:\n      - upstream: github\n        overrides:\n          create_issue:\n            arguments:\n              repo:\n                {}\n",
	// docs/kinds.md
	"Request transformers": "servers:\n  - name: one\n    tools:\n      - name: t\n        invoker: {kind: echo}\n        requestTransformers:\n          - {}\n",
	"Authorizers":          "servers:\n  - name: one\n    tools:\n      - name: t\n        invoker: {kind: echo}\n        authorizers:\n          - {}\n",
	"Catalogues":           "servers:\n  - name: one\n    catalogues:\n      - {}\n",
	"Invokers":             shop + "servers:\n  - name: one\n    tools:\n      - name: t\n        inputSchema: {type: object, properties: {query: {}, tags: {}, limit: {}, message: {}}}\n        invoker:\n          {}\n",
	"Transformers":         "servers:\n  - name: one\n    tools:\n      - name: t\n        invoker: {kind: echo}\n        transformers:\n          - {}\n",
}

const plugin = "plugins:\n  - name: weather\n    source: plugins/weather.wasm\n"

const github = "upstreams:\n  - {name: github, url: 'https://mcp.example.com/mcp'}\n"

const shop = "connections:\n  - {name: shop, baseUrl: 'https://shop.example'}\n"

var (
	isDocument = regexp.MustCompile(`(?m)^(connections|plugins|upstreams|servers):$`)
	hasPlugins = regexp.MustCompile(`(?m)^plugins:|kind: wasm$`)
	place      = regexp.MustCompile(`(?m)^( *(?:- )?)\{\}$`)
)

// block is one yaml block of a page, and the last heading of the second level
// before it.
type block struct{ file, heading, text string }

func blocksOf(t *testing.T, file string) (all []block) {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	heading, inside, text := "", false, ""
	for line := range strings.Lines(string(page)) {
		switch {
		case inside && strings.HasPrefix(line, "```"):
			all = append(all, block{file, heading, text})
			inside = false
		case inside:
			text += line
		case strings.HasPrefix(line, "```yaml") && !strings.Contains(line, " try="): // the others are tried by TestPluginsPage
			inside, text = true, ""
		case strings.HasPrefix(line, "## "):
			heading = strings.TrimSpace(line[3:])
		}
	}
	return all
}

// document returns a whole gateway document with the example in it; "" when the block
// is none.
func (b block) document() string {
	if isDocument.MatchString(b.text) {
		return b.text
	}
	frame, found := frames[b.heading]
	if !found {
		return ""
	}
	return place.ReplaceAllStringFunc(frame, func(at string) string {
		lead := strings.TrimSuffix(at, "{}")
		indent := strings.Repeat(" ", len(lead))
		return lead + strings.ReplaceAll(strings.TrimSpace(b.text), "\n", "\n"+indent)
	})
}

// TestDocsAreTrue checks every gateway document in the docs, and every part of one,
// as `sallyport check` does: what is copied from there works.
func TestDocsAreTrue(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../../README.md", "../../examples/quickstart/README.md")
	checked := 0
	for _, page := range pages {
		for _, b := range blocksOf(t, page) {
			if filepath.Base(page) == "settings.md" {
				continue // package config reads it in a test of its own
			}
			text := b.document()
			if text == "" {
				if !strings.HasPrefix(b.text, "# yaml-language-server") {
					t.Errorf("%s, %q: a yaml block that nothing checks; give it a frame:\n%s", page, b.heading, b.text)
				}
				continue
			}
			checked++
			run := check
			if hasPlugins.MatchString(text) {
				run = checkWithPlugins
			}
			if said, code := run(t, text); code != exitOK {
				t.Errorf("%s, %q:\n%s\n%s", page, b.heading, said, text)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d blocks were found", checked)
	}
	if _, code := check(t, block{heading: "tool", text: "name: t\ninvoker: {kind: jq}"}.document()); code != exitWrong {
		t.Error("a wrong block passes")
	}
	for heading, text := range map[string]string{"Authorizers": "kind: wasm\nconfig: {}", "grants": "http: [{host: 1}]"} {
		if _, code := checkWithPlugins(t, block{heading: heading, text: text}.document()); code != exitWrong {
			t.Errorf("a wrong block passes: %s", text)
		}
	}
}

// check runs the command on a document in a directory with the files that the docs
// speak of.
func check(t *testing.T, text string) (said string, code int) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"gateway.yaml": text, "certs/ca.pem": authority(t), "cover.png": "\x89PNG\r\n\x1a\n", "logo.png": "\x89PNG\r\n\x1a\n",
	} {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var errs strings.Builder
	lookup := func(name string) (string, bool) {
		if name == "GITHUB_TOKEN" {
			return "value", true
		}
		return "", false
	}
	code = checkCommand{Files: []string{filepath.Join(dir, "gateway.yaml")}}.run(context.Background(), console{out: io.Discard, err: &errs, lookup: lookup})
	return errs.String(), code
}

// checkWithPlugins reads and builds a document as the command does, but for its
// plugins: every name in it is that of a plugin which is there and of every kind.
func checkWithPlugins(t *testing.T, text string) (said string, code int) {
	t.Helper()
	all := kinds()
	nothing := func(string) (string, bool) { return "", false }
	cfg, problems := config.ReadText(filepath.Join(t.TempDir(), "gateway.yaml"), []byte(text), reading(all, nothing))
	catalog, more := gateway.Build(context.Background(), cfg, gateway.Options{Kinds: all, Plugins: anyPlugins{}, Disclose: disclose})
	if catalog != nil {
		catalog.Close()
	}
	problems, refused := judge(config.Merge(problems, more), catalog)
	if refused {
		return config.Format(problems), exitWrong
	}
	return config.Format(problems), exitOK
}

type anyPlugins struct{}

func (anyPlugins) Open(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) {
	return anyPlugins{}, nil
}
func (anyPlugins) Plugin(name string) (core.Plugin, error)    { return anyPlugin(name), nil }
func (anyPlugins) Matching(server, tool string) []core.Plugin { return []core.Plugin{anyPlugin("any")} }
func (anyPlugins) Files() []string                            { return nil }
func (anyPlugins) Revision() string                           { return "" }
func (anyPlugins) Close() error                               { return nil }

type anyPlugin string

func (p anyPlugin) Name() string                                           { return string(p) }
func (anyPlugin) Has(core.PluginKind) bool                                 { return true }
func (anyPlugin) Tools() []core.ToolConfig                                 { return nil }
func (p anyPlugin) Invoker(string) (core.Invoker, error)                   { return p, nil }
func (p anyPlugin) Transformer() (core.Transformer, error)                 { return p, nil }
func (p anyPlugin) RequestTransformer() (core.RequestTransformer, error)   { return p, nil }
func (p anyPlugin) CallAuthorizer() (core.CallAuthorizer, error)           { return p, nil }
func (p anyPlugin) Catalogue() (core.Catalogue, error)                     { return anyCatalogue{p}, nil }
func (anyPlugin) Invoke(context.Context, *core.Call) (*core.Result, error) { return nil, nil }
func (anyPlugin) TransformRequest(context.Context, *core.Call) error       { return nil }
func (anyPlugin) AuthorizeCall(context.Context, *core.Call) error          { return nil }
func (anyPlugin) Transform(_ context.Context, _ *core.Call, in *core.Result) (*core.Result, error) {
	return in, nil
}

type anyCatalogue struct{ anyPlugin }

func (anyCatalogue) Tools(context.Context) ([]core.ToolConfig, error) { return nil, nil }

// authority is the certificate of a made-up authority, in PEM.
func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
