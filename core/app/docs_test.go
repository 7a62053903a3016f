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
	"cache":            "servers:\n  - name: one\n    cache:\n      {}\n",
	"tool":             shop + "servers:\n  - name: one\n    tools:\n      - {}\n",
	"prompt":           "servers:\n  - name: one\n    prompts:\n      - {}\n",
	"resource":         "servers:\n  - name: one\n    resources:\n      - {}\n",
	"resourceTemplate": shop + "servers:\n  - name: one\n    resourceTemplates:\n      - {}\n",
	"message":          "servers:\n  - name: one\n    prompts:\n      - name: p\n        messages:\n          - {}\n",
	"binary":           "servers:\n  - name: one\n    prompts:\n      - name: p\n        messages:\n          - role: user\n            image:\n              {}\n",
	// docs/kinds.md
	"Invokers":     shop + "servers:\n  - name: one\n    tools:\n      - name: t\n        inputSchema: {type: object, properties: {query: {}, tags: {}, limit: {}, message: {}}}\n        invoker:\n          {}\n",
	"Transformers": "servers:\n  - name: one\n    tools:\n      - name: t\n        invoker: {kind: echo}\n        transformers:\n          - {}\n",
}

const shop = "connections:\n  - {name: shop, baseUrl: 'https://shop.example'}\n"

var (
	isDocument = regexp.MustCompile(`(?m)^(connections|servers):`)
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
		case strings.HasPrefix(line, "```yaml"):
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
			text := b.document()
			if text == "" {
				if !strings.HasPrefix(b.text, "# yaml-language-server") && filepath.Base(page) != "settings.md" {
					t.Errorf("%s, %q: a yaml block that nothing checks; give it a frame:\n%s", page, b.heading, b.text)
				}
				continue
			}
			checked++
			if said, code := check(t, text); code != exitOK {
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
