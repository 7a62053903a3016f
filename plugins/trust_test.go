package plugins

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func keyOf(t testing.TB, seed byte, expires time.Time) trust.PrivateKey {
	t.Helper()
	k, err := trust.Generate(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)), "acme", expires)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pack(t testing.TB, wasm []byte) *registry.Artifact {
	t.Helper()
	a, err := registry.Pack(wasm, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sign(t testing.TB, k trust.PrivateKey, digest, name, version string, expires time.Time) []byte {
	t.Helper()
	s, err := trust.Sign(k, trust.Subject{Digest: digest, Name: name, Version: version}, today.Add(-time.Hour), expires)
	if err != nil {
		t.Fatal(err)
	}
	return s.Body
}

func TestTrust(t *testing.T) {
	wasm := echo(t)
	digest := pack(t, wasm).Digest
	k, stranger := keyOf(t, 1, time.Time{}), keyOf(t, 2, time.Time{})
	gone := keyOf(t, 3, today.Add(-time.Minute))
	trusted := []trust.Trusted{{Key: k.Key, Names: []string{"acme/*"}}, {Key: gone.Key}}
	good := sign(t, k, digest, "acme/test", "1.0.0", time.Time{})
	late := sign(t, k, digest, "acme/test", "1.0.0", today.Add(-time.Minute))
	bad := sign(t, stranger, digest, "acme/test", "1.0.0", time.Time{})
	old := sign(t, gone, digest, "acme/test", "1.0.0", time.Time{})
	other := sign(t, k, trust.Digest([]byte("x")), "acme/test", "1.0.0", time.Time{})
	tests := []struct {
		name  string
		sig   []byte
		keys  []trust.Trusted
		level trust.Level
		want  string // in the problem; "" = loaded without one
		warns bool   // it is a warning
	}{
		{"signed", good, trusted, trust.Required, "", false},
		{"one of several", append(append([]byte(nil), bad...), good...), trusted, trust.Required, "", false},
		{"not signed", nil, trusted, trust.Required, "not signed", false},
		{"not signed, warn", nil, trusted, trust.Warn, "not signed", true},
		{"not signed, off", nil, trusted, trust.Off, "", false},
		{"the zero level", nil, trusted, "", "not signed", false},
		{"an unknown key", bad, trusted, trust.Required, "unknown key", false},
		{"a key for others", good, []trust.Trusted{{Key: k.Key, Names: []string{"other/*"}}}, trust.Required, "key is not for this plugin", false},
		{"an expired key", old, trusted, trust.Required, "expired", false},
		{"an expired signature", late, trusted, trust.Required, "expired", false},
		{"a signature of something else", other, trusted, trust.Required, "signature of something else", false},
		{"a damaged signature", good[:len(good)-9], trusted, trust.Required, "wrong signature", false},
		{"nonsense", []byte("nonsense"), trusted, trust.Required, "wrong signature", false},
		{"nonsense, off", []byte("nonsense"), trusted, trust.Off, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, func(o *Options) {
				o.Trust = trust.Policy{Level: test.level, Keys: test.keys, Now: func() time.Time { return today }}
			})
			dir := t.TempDir()
			write(t, filepath.Join(dir, "p.wasm"), wasm)
			if test.sig != nil {
				write(t, filepath.Join(dir, "p.wasm.sig"), test.sig)
			}
			s, problems := h.Open(t.Context(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "p.wasm"}})
			defer s.Close()
			if test.want == "" {
				if len(problems) != 0 {
					t.Fatalf("got %v", words(problems))
				}
			} else if len(problems) != 1 || problems[0].Path != "/plugins/0/source" || problems[0].Warning != test.warns || !strings.Contains(problems[0].Message, test.want) {
				t.Fatalf("got %v", words(problems))
			}
			if _, err := s.Plugin("p"); (err == nil) != (test.want == "" || test.warns) {
				t.Errorf("got %v", err)
			}
			if test.name == "signed" {
				if st := h.Status(); len(st) != 1 || st[0].Signer != k.ID || st[0].Digest != digest {
					t.Errorf("status %+v", st)
				}
			}
		})
	}
}

// A document may ask for more trust than the settings, never for less.
func TestDocumentCannotWeakenTrust(t *testing.T) {
	h := newHost(t, func(o *Options) { o.Trust = trust.Policy{} })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), echo(t))
	for _, level := range []string{"off", "warn"} {
		s, problems := h.Open(t.Context(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "p.wasm", Trust: level}})
		if _, err := s.Plugin("p"); err == nil {
			t.Errorf("%s: an unsigned plugin is loaded", level)
		}
		if len(problems) != 2 || problems[0].Path != "/plugins/0/trust" || !problems[0].Warning || problems[1].Path != "/plugins/0/source" {
			t.Errorf("%s: got %v", level, words(problems))
		}
		_ = s.Close()
	}
}

func TestCosign(t *testing.T) {
	wasm := echo(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	k, err := trust.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, pack(t, wasm).Digest)
	sum := sha256.Sum256([]byte(payload))
	signature, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, func(o *Options) {
		o.Trust = trust.Policy{Keys: []trust.Trusted{{Key: k}}, Now: func() time.Time { return today }}
	})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), wasm)
	file := filepath.Join(dir, "p.wasm.cosign.json")
	write(t, file, fmt.Appendf(nil, `{"payload":%q,"signature":%q}`, base64.StdEncoding.EncodeToString([]byte(payload)), base64.StdEncoding.EncodeToString(signature)))
	c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
	open(t, h, c)
	if st := h.Status(); len(st) != 1 || st[0].Signer != k.ID {
		t.Errorf("status %+v", st)
	}
	write(t, file, []byte(`{"payload":1}`))
	s, problems := h.Open(t.Context(), []core.PluginConfig{c})
	defer s.Close()
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "cosign.json cannot be read") {
		t.Errorf("got %v", words(problems))
	}
}

// version is the echo guest under another version, with more of a manifest.
func versioned(t testing.TB, version string, more ...string) []byte {
	t.Helper()
	return carrying(t, guests.Echo(), strings.Replace(yaml("invoker", append(more, oneTool)...), "1.0.0", version, 1))
}

// Growth and downgrades are refused until the digest is pinned, also after a restart.
func TestUpgrade(t *testing.T) {
	const grown = "context: [principal.sub]"
	tests := []struct {
		name    string
		level   trust.Level
		next    []byte
		restart bool
		want    string // in the problem at /digest; "" = loaded
		warns   bool
	}{
		{"newer", trust.Required, versioned(t, "1.1.0"), false, "", false},
		{"newer, after a restart", trust.Required, versioned(t, "1.1.0"), true, "", false},
		{"newer and asks for more", trust.Required, versioned(t, "1.1.0", grown), false, "asks for more than was approved: context: see principal.sub", false},
		{"newer and asks for more, after a restart", trust.Required, versioned(t, "1.1.0", grown), true, "asks for more than was approved: context: see principal.sub", false},
		{"asks for more, trust off", trust.Off, versioned(t, "1.1.0", grown), true, "asks for more than was approved", false},
		{"older", trust.Required, versioned(t, "0.9.0"), false, "older than 1.0.0, which runs", false},
		{"older, after a restart", trust.Required, versioned(t, "0.9.0"), true, "older than 1.0.0, which runs", false},
		{"older, warn", trust.Warn, versioned(t, "0.9.0"), false, "older than 1.0.0, which runs", true},
		{"older, trust off", trust.Off, versioned(t, "0.9.0"), false, "", false},
		{"another plugin under the same name", trust.Off, carrying(t, guests.Echo(), strings.Replace(yaml("invoker", oneTool), "acme/test", "acme/evil", 1)), true, "acme/evil 1.0.0 is not a version of acme/test", false},
	}
	k := keyOf(t, 1, time.Time{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			options := func(o *Options) {
				o.Trust = trust.Policy{Level: test.level, Keys: []trust.Trusted{{Key: k.Key}}, Now: func() time.Time { return today }}
			}
			home := filepath.Join(t.TempDir(), "plugins")
			h := newHost(t, func(o *Options) { options(o); o.Dir = home })
			dir := t.TempDir()
			put := func(wasm []byte) string {
				t.Helper()
				a := pack(t, wasm)
				m, err := a.Manifest()
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, "p.wasm"), wasm)
				write(t, filepath.Join(dir, "p.wasm.sig"), sign(t, k, a.Digest, m.Name, m.Version, time.Time{}))
				return a.Digest
			}
			put(versioned(t, "1.0.0"))
			c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
			open(t, h, c)
			digest := put(test.next)
			if test.restart {
				shut(t, h)
				h = newHost(t, func(o *Options) { options(o); o.Dir = home })
			}
			for range 2 { // trying again does not help
				s, problems := h.Open(t.Context(), []core.PluginConfig{c})
				_ = s.Close()
				switch {
				case test.want == "":
					if len(problems) != 0 {
						t.Fatalf("got %v", words(problems))
					}
				case len(problems) != 1 || problems[0].Warning != test.warns || !strings.Contains(problems[0].Message, test.want):
					t.Fatalf("got %v", words(problems))
				case !test.warns && strings.Contains(problems[0].Fix, "digest:") && !strings.Contains(problems[0].Fix, digest):
					t.Errorf("the fix does not name the digest: %s", problems[0].Fix)
				}
				if test.warns {
					return // it runs now
				}
			}
			c.Digest = digest
			open(t, h, c)
			c.Digest = ""
			open(t, h, c) // approved once
		})
	}
}

// A set with a mistake anywhere approves nothing, and a plugin that no document names is
// forgotten.
func TestWhatIsRemembered(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "p.wasm")
	c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
	wrong := core.PluginConfig{At: at(dir), Name: "q", Source: "q.wasm"}
	versions := func() (got string) {
		for name := range h.ledger.written.Plugins {
			m := h.ledger.ran(name)
			got += name + " " + m.Version + " "
		}
		return strings.TrimSpace(got)
	}
	try := func(want string, configs ...core.PluginConfig) {
		t.Helper()
		s, _ := h.Open(t.Context(), configs)
		_ = s.Close()
		if got := versions(); got != want {
			t.Errorf("remembered %q, want %q", got, want)
		}
	}
	write(t, file, versioned(t, "1.0.0"))
	try("", c, wrong)
	try("p 1.0.0", c)
	write(t, file, versioned(t, "1.1.0"))
	try("p 1.0.0", c, wrong)
	asleep := c
	asleep.Disabled = true
	try("p 1.0.0", asleep)
	try("p 1.1.0", c)
	try("")
	write(t, file, versioned(t, "0.1.0", "context: [tenant]"))
	try("p 0.1.0", c)
}

// What documents approve that are refused after Open, for another mistake, is not
// approved: neither for the next reload nor for the next start.
func TestRefusedDocumentsApproveNothing(t *testing.T) {
	dir, home := t.TempDir(), filepath.Join(t.TempDir(), "plugins")
	start := func() *Host { return newHost(t, func(o *Options) { o.Dir, o.Later = home, true }) }
	c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm"}
	tries := func(h *Host, served bool) []string {
		t.Helper()
		s, problems := h.Open(t.Context(), []core.PluginConfig{c})
		if served {
			h.Remember()
		}
		digest := ""
		if p, err := s.Plugin("p"); err == nil {
			digest = p.(*Plugin).Digest()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		h.Remember() // too late: it is closed
		return append(words(problems), digest)
	}
	h := start()
	write(t, filepath.Join(dir, "p.wasm"), versioned(t, "1.0.0"))
	if got := tries(h, true); len(got) != 1 {
		t.Fatal(got)
	}
	write(t, filepath.Join(dir, "p.wasm"), versioned(t, "1.1.0", "context: [principal.sub]"))
	a, err := ReadFiles(filepath.Join(dir, "p.wasm"), "")
	if err != nil {
		t.Fatal(err)
	}
	c.Digest = a.Digest
	if got := tries(h, false); len(got) != 1 { // approved, in documents that have a mistake elsewhere
		t.Fatal(got)
	}
	c.Digest = ""
	for range 2 {
		if got := tries(h, false); len(got) != 2 || !strings.Contains(got[0], "asks for more than was approved") {
			t.Fatalf("got %q", got)
		}
		shut(t, h)
		h = start()
	}
	c.Digest = a.Digest
	if got := tries(h, true); len(got) != 1 {
		t.Fatal(got)
	}
	c.Digest = ""
	if got := tries(h, false); len(got) != 1 || got[0] != a.Digest {
		t.Errorf("served once, and forgotten: %q", got)
	}
}
