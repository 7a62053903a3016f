package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/selftest"
)

// forGo lets scripts run the Go toolchain that runs the tests, with its cache, and
// without a network.
func forGo(env *testscript.Env) error {
	said, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	env.Setenv("GOCACHE", strings.TrimSpace(string(said)))
	env.Setenv("GOPROXY", "off")
	env.Setenv("GOFLAGS", "")
	return nil
}

// keepTools NAME… leaves only these programs in $PATH.
func keepTools(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(".tools")
	ts.Check(os.MkdirAll(dir, 0o700))
	for _, name := range args {
		path, err := exec.LookPath(name)
		ts.Check(err)
		ts.Check(os.Symlink(path, filepath.Join(dir, name)))
	}
	ts.Setenv("PATH", dir)
}

// makeOlder FILE sets the time of a file back by an hour.
func makeOlder(ts *testscript.TestScript, _ bool, args []string) {
	then := time.Now().Add(-time.Hour)
	for _, name := range args {
		ts.Check(os.Chtimes(ts.MkAbs(name), then, then))
	}
}

// writeGuest KIND FILE [MANIFEST [FIXTURES]] writes a module made by hand, with a manifest
// and self-tests in it.
func writeGuest(ts *testscript.TestScript, neg bool, args []string) {
	made := map[string]func() []byte{
		"echo": guests.Echo, "kv": guests.KVOnce, "grower": guests.Grower, "trap": guests.Trap, "configured": guests.Configured,
		"bomb": func() []byte { return guests.CompileBomb(50_000) },
	}
	if neg || len(args) < 2 || made[args[0]] == nil {
		ts.Fatalf("usage: guest KIND FILE [MANIFEST [FIXTURES]]")
	}
	wasm := made[args[0]]()
	if len(args) > 2 {
		text, err := os.ReadFile(ts.MkAbs(args[2]))
		ts.Check(err)
		wasm, err = manifest.Embed(wasm, text)
		ts.Check(err)
	}
	if len(args) > 3 {
		text, err := os.ReadFile(ts.MkAbs(args[3]))
		ts.Check(err)
		suite, err := selftest.Parse(args[3], text)
		ts.Check(err)
		wasm, err = selftest.Embed(wasm, []*selftest.Suite{suite})
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), wasm, 0o600))
}

// openRegistry starts a registry (OCI distribution 1.1) in memory and puts its host and
// port into $REGISTRY.
func openRegistry(ts *testscript.TestScript, _ bool, _ []string) {
	server := httptest.NewServer(&memoryRegistry{blobs: map[string][]byte{}, manifests: map[string]stored{}})
	ts.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
	ts.Defer(server.Close)
}

type memoryRegistry struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string]stored // by digest and by tag
}

type stored struct {
	kind, digest string
	body         []byte
}

// ServeHTTP answers as far as pushing and pulling goes.
func (m *memoryRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	if len(parts) < 4 {
		w.WriteHeader(http.StatusOK)
		return
	}
	last, what := parts[len(parts)-1], parts[len(parts)-2]
	switch {
	case r.Method == http.MethodPost:
		w.Header().Set("Location", r.URL.Path+"one")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut && what == "uploads":
		m.blobs[r.URL.Query().Get("digest")] = body
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPut && what == "manifests":
		sum := sha256.Sum256(body)
		one := stored{r.Header.Get("Content-Type"), "sha256:" + hex.EncodeToString(sum[:]), body}
		m.manifests[last], m.manifests[one.digest] = one, one
		var about struct {
			Subject *struct{ Digest string } `json:"subject"`
		}
		if json.Unmarshal(body, &about) == nil && about.Subject != nil {
			w.Header().Set("OCI-Subject", about.Subject.Digest)
		}
		w.Header().Set("Docker-Content-Digest", one.digest)
		w.WriteHeader(http.StatusCreated)
	case what == "manifests":
		one, found := m.manifests[last]
		m.answer(w, r, one.body, one.kind, one.digest, found)
	case what == "blobs":
		b, found := m.blobs[last]
		m.answer(w, r, b, "application/octet-stream", last, found)
	case what == "referrers":
		m.refer(w, r, last)
	default:
		http.NotFound(w, r)
	}
}

func (m *memoryRegistry) answer(w http.ResponseWriter, r *http.Request, b []byte, kind, digest string, found bool) {
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}

// refer lists the manifests whose subject is this digest.
func (m *memoryRegistry) refer(w http.ResponseWriter, r *http.Request, digest string) {
	list := []map[string]any{}
	for key, one := range m.manifests {
		var about struct {
			ArtifactType string                   `json:"artifactType"`
			Subject      *struct{ Digest string } `json:"subject"`
		}
		if key != one.digest || json.Unmarshal(one.body, &about) != nil || about.Subject == nil || about.Subject.Digest != digest {
			continue
		}
		list = append(list, map[string]any{"mediaType": one.kind, "digest": key, "size": len(one.body), "artifactType": about.ArtifactType})
	}
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	m.answer(w, r, text, "application/vnd.oci.image.index.v1+json", "", true)
}
