package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/trust"
)

// shelf is a registry on the loopback interface that can only be read. It has one
// repository, acme/test.
type shelf struct {
	url       string
	transport http.RoundTripper
	mu        sync.Mutex
	content   map[string][]byte // digest → bytes
	types     map[string]string // of manifests
	tags      map[string]string
	referrers map[string][]string // digest → those of signatures
	down      bool
	asked     int
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	f := &shelf{content: map[string][]byte{}, types: map[string]string{}, tags: map[string]string{}, referrers: map[string][]string{}}
	server := httptest.NewServer(f)
	client := server.Client()
	t.Cleanup(func() { client.CloseIdleConnections(); server.Close() })
	f.url, f.transport = server.URL, client.Transport
	return f
}

// ref is a reference into the shelf: ":tag" or "@digest".
func (f *shelf) ref(rest string) string {
	return "oci://" + strings.TrimPrefix(f.url, "http://") + "/acme/test" + rest
}

func (f *shelf) options(o *Options) {
	o.Registry = registry.Options{Transport: f.transport, PlainHTTP: func(string) bool { return true }}
}

// put takes an artifact, with signatures, and moves the tag to it.
func (f *shelf) put(t testing.TB, tag string, wasm []byte, signatures ...[]byte) string {
	t.Helper()
	a := pack(t, wasm)
	f.mu.Lock()
	defer f.mu.Unlock()
	const typ = "application/vnd.oci.image.manifest.v1+json"
	keep := func(b []byte) (string, int) {
		f.content[trust.Digest(b)] = b
		return trust.Digest(b), len(b)
	}
	for _, b := range [][]byte{a.OCI, a.Config, a.Module} {
		keep(b)
	}
	f.types[a.Digest] = typ
	for _, s := range signatures {
		layer, size := keep(s)
		empty, _ := keep([]byte("{}"))
		top, _ := keep(fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
			typ, registry.TypeSignature, empty, registry.TypeSignature, layer, size, typ, a.Digest, len(a.OCI)))
		f.types[top] = typ
		f.referrers[a.Digest] = append(f.referrers[a.Digest], top)
	}
	if tag != "" {
		f.tags[tag] = a.Digest
	}
	return a.Digest
}

func (f *shelf) close(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *shelf) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	sort, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/acme/test/"), "/")
	if f.down || !ok {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if sort == "referrers" {
		list := []map[string]any{}
		for _, top := range f.referrers[name] {
			list = append(list, map[string]any{"mediaType": f.types[top], "digest": top, "size": len(f.content[top]), "artifactType": registry.TypeSignature})
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list})
		return
	}
	if tagged, ok := f.tags[name]; ok {
		name = tagged
	}
	b, found := f.content[name]
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if sort == "manifests" {
		w.Header().Set("Content-Type", f.types[name])
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.Header().Set("Docker-Content-Digest", name)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}

func TestRegistrySources(t *testing.T) {
	k := keyOf(t, 1, time.Time{})
	f := newShelf(t)
	wasm := versioned(t, "1.0.0")
	signed := f.put(t, "signed", wasm, sign(t, k, pack(t, wasm).Digest, "acme/test", "1.0.0", time.Time{}))
	unsigned := f.put(t, "unsigned", versioned(t, "1.0.1"))
	absent := trust.Digest([]byte("absent"))
	tests := []struct {
		name, source, digest string
		level                trust.Level
		want                 string // beginning of the one problem; "" = loaded
	}{
		{"pinned in the source", "@" + signed, "", trust.Required, ""},
		{"pinned with a tag", ":signed@" + signed, "", trust.Required, ""},
		{"pinned beside the source", ":signed", signed, trust.Required, ""},
		{"pinned twice", "@" + signed, signed, trust.Required, ""},
		{"pinned differently", "@" + signed, unsigned, trust.Required, "error /plugins/0/digest: source names another digest"},
		{"pinned to nonsense", ":signed", "latest", trust.Required, "error /plugins/0/digest: \"latest\" is no digest"},
		{"not pinned", ":signed", "", trust.Required, "error /plugins/0/source: " + f.ref(":signed") + " is not pinned"},
		{"not pinned, trust off", ":signed", "", trust.Off, ""},
		{"not signed", "@" + unsigned, "", trust.Required, "error /plugins/0/source: plugin acme/test 1.0.1"},
		{"not signed, warn", ":unsigned", "", trust.Warn, "warning /plugins/0/source: plugin acme/test 1.0.1"},
		{"no such digest", "@" + absent, "", trust.Off, "error /plugins/0/source: "},
		{"no such tag", ":nothing", "", trust.Off, "error /plugins/0/source: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, func(o *Options) {
				f.options(o)
				o.Trust = trust.Policy{Level: test.level, Keys: []trust.Trusted{{Key: k.Key}}, Now: func() time.Time { return today }}
			})
			c := core.PluginConfig{At: at(t.TempDir()), Name: "p", Source: f.ref(test.source), Digest: test.digest}
			s, problems := h.Open(t.Context(), []core.PluginConfig{c})
			defer s.Close()
			got := words(problems)
			if test.want == "" && len(got) != 0 || test.want != "" && (len(got) == 0 || !strings.HasPrefix(got[0], test.want)) {
				t.Fatalf("got %v, want %s", got, test.want)
			}
			if _, err := s.Plugin("p"); (err == nil) != (test.want == "" || strings.HasPrefix(test.want, "warning")) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a manifest file", func(t *testing.T) {
		h := newHost(t, f.options)
		s, problems := h.Open(t.Context(), []core.PluginConfig{{At: at(t.TempDir()), Name: "p", Source: f.ref("@" + signed), Manifest: "plugin.yaml"}})
		defer s.Close()
		if len(problems) != 1 || problems[0].Path != "/plugins/0/manifest" {
			t.Errorf("got %v", words(problems))
		}
	})
}

// What was fetched once is there without the registry, pinned or by a tag that ran.
func TestRegistryDown(t *testing.T) {
	f := newShelf(t)
	first := f.put(t, "1", versioned(t, "1.0.0"))
	home := filepath.Join(t.TempDir(), "plugins")
	options := func(o *Options) { f.options(o); o.Dir = home }
	for _, source := range []string{f.ref("@" + first), f.ref(":1")} {
		c := core.PluginConfig{At: at(t.TempDir()), Name: "p", Source: source}
		f.close(false)
		h := newHost(t, options)
		open(t, h, c)
		asked := f.requests()
		open(t, h, c)
		if f.requests() != asked {
			t.Errorf("%s: opened again, the registry is asked again", source)
		}
		shut(t, h)
		f.close(true)
		h = newHost(t, options)
		s, problems := h.Open(t.Context(), []core.PluginConfig{c})
		p, err := s.Plugin("p")
		if err != nil || p.(*Plugin).Digest() != first {
			t.Errorf("%s: %v, %v", source, err, words(problems))
		}
		if warned := len(problems) == 1 && problems[0].Warning; warned != strings.HasSuffix(source, ":1") {
			t.Errorf("%s: %v", source, words(problems))
		}
		_ = s.Close()
		shut(t, h)
	}
}

// A tag that moves calls for a new set; a version that is refused leaves the one that ran,
// also after a restart.
func TestTagMoves(t *testing.T) {
	f := newShelf(t)
	first := f.put(t, "1", versioned(t, "1.0.0"))
	home := filepath.Join(t.TempDir(), "plugins")
	var changed atomic.Int64
	options := func(o *Options) {
		f.options(o)
		o.Dir, o.Changed, o.Poll = home, func() { changed.Add(1) }, 20*time.Millisecond
	}
	h := newHost(t, options)
	c := core.PluginConfig{At: at(t.TempDir()), Name: "p", Source: f.ref(":1")}
	runs := func(h *Host, want string, problems int) {
		t.Helper()
		s, said := h.Open(t.Context(), []core.PluginConfig{c})
		defer s.Close()
		p, err := s.Plugin("p")
		if err != nil || p.(*Plugin).Digest() != want || len(said) != problems {
			t.Fatalf("got %v, %v, want %s", err, words(said), want)
		}
		for _, one := range said {
			if !one.Warning {
				t.Errorf("no warning: %v", words(said))
			}
		}
	}
	runs(h, first, 0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	second := f.put(t, "1", versioned(t, "1.1.0"))
	until(t, "the move is seen", func() bool { return changed.Load() == 1 })
	runs(h, second, 0)
	greedy := f.put(t, "1", versioned(t, "1.2.0", "context: [tenant]"))
	until(t, "the move is seen", func() bool { return changed.Load() == 2 })
	runs(h, second, 1)
	f.close(true) // says nothing new
	cancel()
	<-done
	if n := changed.Load(); n != 2 {
		t.Errorf("changed %d times", n)
	}
	f.close(false)
	shut(t, h)

	h = newHost(t, options)
	runs(h, second, 1)
	c.Digest = greedy
	runs(h, greedy, 0)
}

// Refresh asks now, and calls Changed whatever it finds.
func TestRefresh(t *testing.T) {
	f := newShelf(t)
	f.put(t, "1", versioned(t, "1.0.0"))
	var changed atomic.Int64
	h := newHost(t, func(o *Options) { f.options(o); o.Changed = func() { changed.Add(1) } })
	c := core.PluginConfig{At: at(t.TempDir()), Name: "p", Source: f.ref(":1")}
	open(t, h, c)
	second := f.put(t, "1", versioned(t, "1.1.0"))
	open(t, h, c)
	if h.Status()[0].Digest == second {
		t.Error("a tag is resolved again although nobody asked")
	}
	h.Refresh()
	if changed.Load() != 1 {
		t.Errorf("changed %d times", changed.Load())
	}
	open(t, h, c)
	if h.Status()[0].Digest != second {
		t.Error("the tag that moved is not seen")
	}
	shut(t, h)
	h.Refresh() // of a closed Host does nothing
	if changed.Load() != 1 {
		t.Errorf("changed %d times", changed.Load())
	}
}

func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}

// Artifacts that nothing needs go from the store.
func TestStoreIsSwept(t *testing.T) {
	f := newShelf(t)
	first := f.put(t, "", versioned(t, "1.0.0"))
	second := f.put(t, "", versioned(t, "1.1.0"))
	h := newHost(t, f.options)
	c := core.PluginConfig{At: at(t.TempDir()), Name: "p", Source: f.ref("@" + first)}
	old := open(t, h, c)
	c.Source = f.ref("@" + second)
	open(t, h, c)
	if _, err := h.store.Load(first); err != nil {
		t.Errorf("a version that runs is swept: %v", err)
	}
	_ = old.Close()
	c.Source = f.ref("@" + first)
	open(t, h, c)
	c.Source = f.ref("@" + second)
	if _, err := h.store.Load(second); err != nil {
		t.Errorf("the version before is swept while a set has it: %v", err)
	}
}

// Close does not wait for a registry that does not answer.
func TestCloseUnderAnOpen(t *testing.T) {
	reached, leave := make(chan struct{}, 8), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-leave
	}))
	client := server.Client()
	defer server.Close()
	defer client.CloseIdleConnections()
	defer close(leave)
	h := newHost(t, func(o *Options) {
		o.Registry = registry.Options{Transport: client.Transport, PlainHTTP: func(string) bool { return true }}
	})
	done := make(chan []core.Problem, 1)
	go func() {
		_, problems := h.Open(context.Background(), []core.PluginConfig{{At: at("/"), Name: "p", Source: "oci://" + strings.TrimPrefix(server.URL, "http://") + "/acme/test:1"}})
		done <- problems
	}()
	<-reached
	begin := time.Now()
	shut(t, h)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("closing took %s", d)
	}
	if problems := <-done; len(problems) == 0 {
		t.Error("nothing says why")
	}
}
