package registry_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

var (
	now    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	module = []byte("\x00asm\x01\x00\x00\x00")
)

const plugin = "apiVersion: sallyport/v1\nname: acme/weather\nversion: 1.4.0\nabi: sallyport/1\nkinds: [invoker]\n"

func pack(t *testing.T, wasm []byte, text string) *registry.Artifact {
	t.Helper()
	var yaml []byte
	if text != "" {
		yaml = []byte(text)
	}
	a, err := registry.Pack(wasm, yaml)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func key(t *testing.T) trust.PrivateKey {
	t.Helper()
	k, err := trust.Generate(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), "acme", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, k trust.PrivateKey, a *registry.Artifact) trust.Signature {
	t.Helper()
	s, err := trust.Sign(k, trust.Subject{Digest: a.Digest, Name: "acme/weather", Version: "1.4.0"}, now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// required is what the gateway hands to Pull.
func required(keys ...trust.Key) registry.Verify {
	p := trust.Policy{Now: func() time.Time { return now }}
	for _, k := range keys {
		p.Keys = append(p.Keys, trust.Trusted{Key: k, Names: []string{"acme/*"}})
	}
	return func(c registry.Candidate) error {
		_, err := p.Verify(trust.Subject{Digest: c.Digest, Name: c.Manifest.Name, Version: c.Manifest.Version}, c.Signatures)
		return err
	}
}

func anything(registry.Candidate) error { return nil }

func client(t *testing.T, f *fake, change func(*registry.Options)) *registry.Client {
	t.Helper()
	o := registry.Options{Transport: f.transport, PlainHTTP: func(string) bool { return true }}
	if change != nil {
		change(&o)
	}
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reference(t *testing.T, f *fake, rest string) registry.Reference {
	t.Helper()
	ref, err := registry.ParseReference("oci://" + f.host() + "/acme/weather" + rest)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func open(t *testing.T, f *fake) *registry.Repository {
	t.Helper()
	r, err := client(t, f, nil).Open(reference(t, f, ":1.4.0"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPackIsReproducible(t *testing.T) {
	a, b := pack(t, module, plugin), pack(t, bytes.Clone(module), plugin)
	if a.Digest != b.Digest || !bytes.Equal(a.OCI, b.OCI) {
		t.Error("the same plugin has two digests")
	}
	const want = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json",`
	if !strings.HasPrefix(string(a.OCI), want) || !strings.Contains(string(a.OCI), `"layers":[{"mediaType":"application/wasm",`) {
		t.Errorf("layout: %s", a.OCI)
	}
	if !strings.HasPrefix(string(a.Config), `{"created":"1970-01-01T00:00:00Z","architecture":"wasm","os":"wasip1","layerDigests":["sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476",`) {
		t.Errorf("config: %s", a.Config)
	}
	if pack(t, module, plugin+"# more\n").Digest == a.Digest || pack(t, append(bytes.Clone(module), 0, 2, 1, 'x'), plugin).Digest == a.Digest {
		t.Error("other content, same digest")
	}
	if _, err := registry.Pack(module, []byte("name: x")); err == nil {
		t.Error("a wrong manifest was packed")
	}
	if err := pack(t, []byte("text"), plugin).Check(); err == nil {
		t.Error("a module that is no wasm passed")
	}
}

// What is pushed is pulled, by tag and by digest, from registries with and without the
// referrers API, and from a layout on disk.
func TestPushPull(t *testing.T) {
	k := key(t)
	embedded, err := manifest.Embed(module, []byte(plugin))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]func(t *testing.T) *registry.Repository{
		"registry": func(t *testing.T) *registry.Repository { return open(t, newFake(t)) },
		"without referrers": func(t *testing.T) *registry.Repository {
			f := newFake(t)
			f.noRefer = true
			return open(t, f)
		},
		"layout": func(t *testing.T) *registry.Repository {
			r, err := registry.Layout(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
	}
	for name, place := range places {
		for _, a := range []*registry.Artifact{pack(t, module, plugin), pack(t, embedded, "")} {
			t.Run(fmt.Sprintf("%s yaml=%t", name, a.PluginYAML != nil), func(t *testing.T) {
				ctx := context.Background()
				r := place(t)
				if err := r.Push(ctx, a, "1.4.0"); err != nil {
					t.Fatal(err)
				}
				if _, err := r.Pull(ctx, a.Digest, required(k.Key)); !errors.Is(err, trust.ErrUnsigned) {
					t.Errorf("unsigned: %v", err)
				}
				if err := r.Attach(ctx, a.Digest, sign(t, k, a)); err != nil {
					t.Fatal(err)
				}
				if err := r.Push(ctx, a, "1.4.0"); err != nil { // again
					t.Fatal(err)
				}
				digest, err := r.Resolve(ctx, "1.4.0")
				if err != nil || digest != a.Digest {
					t.Fatalf("resolve = %s, %v", digest, err)
				}
				got, err := r.Pull(ctx, digest, required(k.Key))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Module, a.Module) || !bytes.Equal(got.PluginYAML, a.PluginYAML) || !bytes.Equal(got.OCI, a.OCI) || len(got.Signatures) != 1 {
					t.Errorf("pulled %+v", got)
				}
				if _, err := r.Resolve(ctx, "2.0.0"); core.AsError(err).Code != core.CodeNotFound {
					t.Errorf("unknown tag: %v", err)
				}
				if _, err := r.Pull(ctx, trust.Digest([]byte("x")), anything); core.AsError(err).Code != core.CodeNotFound {
					t.Errorf("unknown digest: %v", err)
				}
				if _, err := r.Pull(ctx, digest, nil); err == nil {
					t.Error("pulled without a decision")
				}
			})
		}
	}
}

// cosign writes the signature as a layer of an image under a tag made of the digest.
func TestCosignTag(t *testing.T) {
	f := newFake(t)
	r := open(t, f)
	a := pack(t, module, plugin)
	if err := r.Push(t.Context(), a, "1.4.0"); err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":{}}`, a.Digest)
	hash := sha256.Sum256(payload)
	der, err := ecdsa.SignASN1(rand.Reader, private, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(der)
	image := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":%d,"digest":%q,"annotations":{"dev.cosignproject.cosign/signature":%q}}]}`,
		sum([]byte("{}")), len(payload), sum(payload), text)
	f.mu.Lock()
	f.blobs[sum(payload)] = payload
	f.manifests[sum(image)], f.types[sum(image)] = image, "application/vnd.oci.image.manifest.v1+json"
	f.tags[strings.Replace(a.Digest, ":", "-", 1)+".sig"] = sum(image)
	f.mu.Unlock()

	pkix, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := trust.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Pull(t.Context(), a.Digest, required(public))
	if err != nil || got.Signatures[0].Form != trust.FormCosign {
		t.Fatalf("pull: %v", err)
	}
	// Pushed on, it is a referrer there.
	other := open(t, newFake(t))
	if err := other.Push(t.Context(), got, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Pull(t.Context(), a.Digest, required(public)); err != nil {
		t.Errorf("after moving: %v", err)
	}
}

// Whatever a registry sends in place of what was asked for is refused, and the module
// of a plugin that nobody trusted signed is not even fetched.
func TestHostileRegistry(t *testing.T) {
	a := pack(t, module, plugin)
	other := pack(t, append(bytes.Clone(module), 0, 2, 1, 'x'), plugin)
	k := key(t)
	tests := []struct {
		name   string
		tamper func(path string, b []byte) []byte
		want   string
	}{
		{"other manifest", func(path string, b []byte) []byte {
			if strings.HasSuffix(path, a.Digest) {
				return other.OCI
			}
			return b
		}, ""},
		{"other module", func(path string, b []byte) []byte {
			if strings.HasSuffix(path, sum(a.Module)) {
				return append(bytes.Clone(b[:7]), 1)
			}
			return b
		}, "wrong digest"},
		{"other plugin.yaml", func(path string, b []byte) []byte {
			return bytes.Replace(b, []byte("version: 1.4.0"), []byte("version: 9.9.9"), 1)
		}, ""},
		{"longer module", func(path string, b []byte) []byte {
			if strings.HasSuffix(path, sum(a.Module)) {
				return append(bytes.Clone(b), make([]byte, 100)...)
			}
			return b
		}, ""},
		{"huge manifest", func(path string, b []byte) []byte {
			if strings.HasSuffix(path, a.Digest) {
				return make([]byte, 8<<20)
			}
			return b
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			r := open(t, f)
			a.Signatures = []trust.Signature{sign(t, k, a)}
			if err := r.Push(t.Context(), a, "1.4.0"); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Pull(t.Context(), a.Digest, required(k.Key)); err != nil {
				t.Fatalf("untouched: %v", err)
			}
			f.mu.Lock()
			f.tamper = test.tamper
			f.mu.Unlock()
			got, err := r.Pull(t.Context(), a.Digest, func(c registry.Candidate) error {
				if c.Manifest.Version != "1.4.0" {
					t.Error("trust was asked about a manifest that the digest does not cover")
				}
				return required(k.Key)(c)
			})
			if err == nil {
				t.Fatalf("believed: %+v", got)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	f := newFake(t)
	r := open(t, f)
	a.Signatures = nil
	if err := r.Push(t.Context(), a, ""); err != nil {
		t.Fatal(err)
	}
	f.forget()
	if _, err := r.Pull(t.Context(), a.Digest, required(k.Key)); !errors.Is(err, trust.ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	if asked := f.asked("GET /v2/acme/weather/blobs/" + sum(module)); len(asked) > 0 {
		t.Errorf("the module of an unsigned plugin was fetched: %q", asked)
	}
}

// Referrers that strangers wrote do not stop a plugin with a good signature.
func TestStrangeSignatures(t *testing.T) {
	f := newFake(t)
	k := key(t)
	a := pack(t, module, plugin)
	a.Signatures = []trust.Signature{{Form: trust.FormSallyport, Body: []byte("x")}, {Form: trust.FormCosign, Body: []byte("gone")}, sign(t, k, a)}
	if err := open(t, f).Push(t.Context(), a, ""); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	delete(f.blobs, sum([]byte("gone")))
	for i, text := range []string{`{"layers":1}`, `x`, `{"schemaVersion":2}`} {
		b := fmt.Appendf(nil, `{"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":%q,"subject":{"digest":%q},"n":%d,"layers":[{"mediaType":%q,"digest":"sha256:../x","size":%d}],"x":%q}`,
			registry.TypeSignature, a.Digest, i, registry.TypeSignature, i*1000000, text)
		f.manifests[sum(b)], f.types[sum(b)] = b, "application/vnd.oci.image.manifest.v1+json"
	}
	f.mu.Unlock()
	if _, err := open(t, f).Pull(t.Context(), a.Digest, required(k.Key)); err != nil {
		t.Error(err)
	}
}

// Manifests that are no plugin are refused before anything is fetched by them.
func TestStrangeManifests(t *testing.T) {
	good := string(pack(t, module, plugin).OCI)
	layer := good[strings.Index(good, `{"mediaType":"application/wasm"`):strings.Index(good, `,{"mediaType":"application/vnd.sallyport`)]
	for name, text := range map[string]string{
		"no JSON":       "x",
		"two layers":    strings.Replace(good, layer, layer+","+layer, 1),
		"two names":     strings.Replace(good, `"layers":[`, `"layers":[],"layers":[`, 1),
		"no module":     strings.Replace(good, "application/wasm", "application/x", 1),
		"other config":  strings.Replace(good, "vnd.wasm.config", "vnd.oci.image.config", 1),
		"huge module":   strings.Replace(good, `"size":8`, `"size":99999999999`, 1),
		"negative size": strings.Replace(good, `"size":8`, `"size":-8`, 1),
		"sha512":        strings.Replace(good, sum(module), "sha512:"+strings.Repeat("0", 128), 1),
		"path":          strings.Replace(good, sum(module), "sha256:../../../etc/passwd", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if text == good {
				t.Fatal("the row changes nothing")
			}
			f := newFake(t)
			digest := sum([]byte(text))
			f.manifests[digest], f.types[digest] = []byte(text), "application/vnd.oci.image.manifest.v1+json"
			if a, err := open(t, f).Pull(t.Context(), digest, anything); err == nil {
				t.Errorf("pulled %+v", a)
			}
			if asked := f.asked("GET /v2/acme/weather/blobs/"); len(asked) > 0 {
				t.Errorf("fetched %q", asked)
			}
		})
	}
}

func TestFetch(t *testing.T) {
	f := newFake(t)
	k := key(t)
	a := pack(t, module, plugin)
	a.Signatures = []trust.Signature{sign(t, k, a)}
	if err := open(t, f).Push(t.Context(), a, "1.4.0"); err != nil {
		t.Fatal(err)
	}
	store, err := registry.OpenStore(filepath.Join(t.TempDir(), "plugins"))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, f, func(o *registry.Options) { o.Store = store })
	f.forget()
	if _, err := c.Fetch(t.Context(), reference(t, f, ":1.4.0"), required(k.Key)); err != nil {
		t.Fatal(err)
	}
	// The tag was looked at once; nothing was fetched by it.
	if asked := append(f.asked("HEAD /v2/acme/weather/manifests/1.4.0"), f.asked("GET /v2/acme/weather/manifests/1.4.0")...); len(asked) != 1 {
		t.Errorf("the tag was asked for: %q", asked)
	}
	// From now on the network is not needed, but trust is.
	f.forget()
	got, err := c.Fetch(t.Context(), reference(t, f, "@"+a.Digest), required(k.Key))
	if err != nil || !bytes.Equal(got.Module, module) || len(f.asked("")) > 0 {
		t.Errorf("from the store: %v, asked %q", err, f.asked(""))
	}
	if _, err := c.Fetch(t.Context(), reference(t, f, "@"+a.Digest), required()); !errors.Is(err, trust.ErrKey) {
		t.Errorf("the key was withdrawn: %v", err)
	}

	// In production the tag is not enough, also when the store has the plugin.
	production := client(t, f, func(o *registry.Options) { o.Store, o.Production = store, true })
	f.forget()
	if _, err := production.Fetch(t.Context(), reference(t, f, ":1.4.0"), anything); core.AsError(err).Code != core.CodeDenied || !strings.Contains(err.Error(), "not pinned") {
		t.Errorf("unpinned: %v", err)
	}
	if asked := f.asked(""); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	if _, err := production.Fetch(t.Context(), reference(t, f, ":1.4.0@"+a.Digest), required(k.Key)); err != nil {
		t.Errorf("pinned: %v", err)
	}
	// A tag that moved changes nothing for who pinned.
	if err := open(t, f).Push(t.Context(), pack(t, module, plugin+"# moved\n"), "1.4.0"); err != nil {
		t.Fatal(err)
	}
	if got, err := production.Fetch(t.Context(), reference(t, f, ":1.4.0@"+a.Digest), required(k.Key)); err != nil || got.Digest != a.Digest {
		t.Errorf("after the tag moved: %v", err)
	}
	if _, err := c.Fetch(t.Context(), reference(t, f, ":1.4.0"), nil); err == nil {
		t.Error("fetched without a decision")
	}
	if _, err := registry.New(registry.Options{}); err == nil {
		t.Error("a client without a transport")
	}
}

func TestTokens(t *testing.T) {
	f := newFake(t)
	f.token, f.basic = "s3cret", "robot:password"
	a := pack(t, module, plugin)
	who := registry.Credential{User: "robot", Password: "password"}
	c := client(t, f, func(o *registry.Options) {
		o.Credential = func(_ context.Context, host string) (registry.Credential, error) {
			if host != f.host() {
				t.Errorf("credentials asked for %s", host)
			}
			return who, nil
		}
	})
	r, err := c.Open(reference(t, f, ":1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Push(t.Context(), a, "1"); err != nil {
		t.Fatal(err)
	}
	if asked := f.asked("GET /token"); len(asked) != 1 {
		t.Errorf("%d tokens for one push", len(asked))
	}
	if _, err := r.Pull(t.Context(), a.Digest, anything); err != nil {
		t.Error(err)
	}
	who.Password = "wrong"
	r, err = c.Open(reference(t, f, ":1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pull(t.Context(), a.Digest, anything); core.AsError(err).Code != core.CodeDenied || strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong password: %v", err)
	}
}

// A registry may send readers of blobs elsewhere; who they are stays with it.
func TestRedirect(t *testing.T) {
	f, storage := newFake(t), newFake(t)
	f.token = "s3cret"
	a := pack(t, module, plugin)
	if err := open(t, f).Push(t.Context(), a, ""); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	storage.blobs, f.redirect = f.blobs, storage.url
	f.mu.Unlock()
	if _, err := open(t, f).Pull(t.Context(), a.Digest, anything); err != nil {
		t.Fatal(err)
	}
	asked := storage.asked("GET")
	if len(asked) == 0 {
		t.Fatal("the redirect was not followed")
	}
	for _, line := range asked {
		if !strings.HasSuffix(line, " nobody") {
			t.Errorf("credentials went to another host: %s", line)
		}
	}
	storage.mu.Lock()
	storage.redirect = storage.url // to itself, without end
	storage.mu.Unlock()
	storage.forget()
	if _, err := open(t, f).Pull(t.Context(), a.Digest, anything); err == nil || len(storage.asked("GET")) > 10 {
		t.Errorf("a loop: %v after %d requests", err, len(storage.asked("GET")))
	}
}

// roundTrip makes a RoundTripper of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Over TLS nothing leaves TLS: neither redirects nor tokens.
func TestStaysOnTLS(t *testing.T) {
	for name, answer := range map[string]http.Header{
		"redirect": {"Location": {"http://storage.example/x"}},
		"token":    {"Www-Authenticate": {`Bearer realm="http://token.example/",service="x"`}},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []string
			c, err := registry.New(registry.Options{
				Credential: func(context.Context, string) (registry.Credential, error) {
					return registry.Credential{User: "u", Password: "p"}, nil
				},
				Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					asked = append(asked, r.URL.String())
					status := http.StatusTemporaryRedirect
					if name == "token" {
						status = http.StatusUnauthorized
					}
					return &http.Response{StatusCode: status, Header: answer, Body: http.NoBody, Request: r}, nil
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Open(registry.Reference{Host: "registry.example.com", Repository: "acme/weather"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Resolve(t.Context(), "1"); core.AsError(err).Code != core.CodeDenied {
				t.Errorf("got %v", err)
			}
			if len(asked) != 1 || !strings.HasPrefix(asked[0], "https://registry.example.com/") {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

func TestParseReference(t *testing.T) {
	digest := trust.Digest(nil)
	for _, good := range []string{"oci://registry.example.com/acme/weather:1.4.0", "oci://localhost:5000/a/b/c@" + digest, "oci://[::1]:5000/a/b:1", "oci://h.example/a/b:latest@" + digest} {
		ref, err := registry.ParseReference(good)
		if err != nil || ref.String() != good || ref.Pinned() != strings.Contains(good, "@") {
			t.Errorf("%s = %+v, %v", good, ref, err)
		}
	}
	for _, bad := range []string{
		"", "registry.example.com/a/b:1", "https://h/a/b:1", "oci://h/a/b", "oci://h/a/b:", "oci://h", "oci:///a:1", "oci://h/A/b:1", "oci://h/../b:1", "oci://h/a/b@sha256:1",
		"oci://h/a/b@sha512:" + strings.Repeat("0", 128), "oci://u@h/a/b:1", "oci://h/a/b:1:2", "oci://h/a b:1", "oci://h/a/b:1?x", "oci://h/" + strings.Repeat("a", 600) + ":1",
	} {
		if ref, err := registry.ParseReference(bad); err == nil {
			t.Errorf("%s = %+v", bad, ref)
		}
	}
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	store, err := registry.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := pack(t, module, plugin)
	a.Signatures = []trust.Signature{sign(t, key(t), a)}
	if _, err := store.Load(a.Digest); !errors.Is(err, registry.ErrMissing) {
		t.Errorf("empty store: %v", err)
	}
	for range 2 {
		if err := store.Save(a); err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.Load(a.Digest)
	if err != nil || !bytes.Equal(got.Module, module) || len(got.Signatures) != 1 {
		t.Fatalf("load: %+v, %v", got, err)
	}
	err = filepath.Walk(dir, func(path string, about os.FileInfo, err error) error {
		if err == nil && about.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, about.Mode())
		}
		if strings.Contains(path, "new-") {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	// Another hand in the store is found out, and the next save heals it.
	blob := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(sum(module), "sha256:"))
	if err := os.WriteFile(blob, []byte("\x00asm\x01\x00\x00\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(a.Digest); !errors.Is(err, registry.ErrCorrupt) {
		t.Errorf("changed on disk: %v", err)
	}
	if err := store.Save(a); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(a.Digest); err != nil {
		t.Errorf("after healing: %v", err)
	}
	bad := *a
	bad.Module = append(bytes.Clone(module), 1)
	if err := store.Save(&bad); !errors.Is(err, trust.ErrDigest) {
		t.Errorf("a wrong artifact was kept: %v", err)
	}
	for _, digest := range []string{"", "sha256:../../x", "../x"} {
		if _, err := store.Get(digest, 1<<20); err == nil {
			t.Errorf("%q was read", digest)
		}
	}
	if _, err := store.Get(sum(module), 4); core.AsError(err).Code != core.CodeTooLarge {
		t.Errorf("past the limit: %v", err)
	}

	// Sweep keeps what is wanted and what it shares.
	other := pack(t, module, plugin+"# other\n")
	if err := store.Save(other); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Sweep([]string{other.Digest}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(other.Digest); err != nil {
		t.Errorf("swept what was wanted: %v", err)
	}
	if _, err := store.Load(a.Digest); !errors.Is(err, registry.ErrMissing) {
		t.Errorf("not swept: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new-1")); err == nil {
		t.Error("half-written file left")
	}

	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.OpenStore(dir); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a store that others may enter: %v", err)
	}
}

// Many savers of one artifact do not disturb each other.
func TestStoreTogether(t *testing.T) {
	store, err := registry.OpenStore(filepath.Join(t.TempDir(), "plugins"))
	if err != nil {
		t.Fatal(err)
	}
	a := pack(t, module, plugin)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := store.Save(a); err != nil {
				t.Error(err)
			}
			if _, err := store.Load(a.Digest); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
