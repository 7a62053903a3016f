package registry_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// fake is a registry of the OCI distribution specification 1.1 in memory, on the
// loopback interface. Its fields change before the first request only, or under mu.
type fake struct {
	t         *testing.T
	url       string
	transport http.RoundTripper

	token     string // asked for when not empty
	basic     string // user:password that the token endpoint wants
	redirect  string // base URL that blob reads are sent to
	noRefer   bool   // no referrers API: clients write the tag of the fallback
	tamper    func(path string, b []byte) []byte
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte // by digest
	types     map[string]string
	tags      map[string]string // tag → digest
	log       []string          // method, path, and whether it had credentials
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, blobs: map[string][]byte{}, manifests: map[string][]byte{}, types: map[string]string{}, tags: map[string]string{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url, f.transport = server.URL, server.Client().Transport
	return f
}

func (f *fake) host() string { return strings.TrimPrefix(f.url, "http://") }

// asked returns the log lines that begin with prefix.
func (f *fake) asked(prefix string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, line := range f.log {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	who := "nobody"
	if r.Header.Get("Authorization") != "" {
		who = "somebody"
	}
	f.log = append(f.log, r.Method+" "+r.URL.Path+" "+who)
	if r.URL.Path == "/token" {
		user, password, _ := r.BasicAuth()
		if f.basic != "" && user+":"+password != f.basic {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"token":%q}`, f.token)
		return
	}
	if f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="fake",scope="repository:acme/weather:pull,push"`, f.url))
		http.Error(w, "who?", http.StatusUnauthorized)
		return
	}
	name, rest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/acme/weather/"), "/")
	if !ok || !strings.HasPrefix(r.URL.Path, "/v2/acme/weather/") {
		http.NotFound(w, r)
		return
	}
	switch name {
	case "blobs":
		f.blob(w, r, rest, body)
	case "manifests":
		f.manifest(w, r, rest, body)
	case "referrers":
		f.referrers(w, r, rest)
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) blob(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	switch {
	case r.Method == http.MethodPost && rest == "uploads/":
		w.Header().Set("Location", "/v2/acme/weather/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut && rest == "uploads/1":
		digest := r.URL.Query().Get("digest")
		if sum(body) != digest {
			http.Error(w, "digest", http.StatusBadRequest)
			return
		}
		f.blobs[digest] = body
		w.Header().Set("Location", "/v2/acme/weather/blobs/"+digest)
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodGet && f.redirect != "":
		http.Redirect(w, r, f.redirect+r.URL.Path, http.StatusTemporaryRedirect)
	default:
		f.send(w, r, f.blobs[rest], rest, "application/octet-stream")
	}
}

func (f *fake) manifest(w http.ResponseWriter, r *http.Request, rest string, body []byte) {
	digest := rest
	if tagged, ok := f.tags[rest]; ok {
		digest = tagged
	}
	if r.Method != http.MethodPut {
		f.send(w, r, f.manifests[digest], digest, f.types[digest])
		return
	}
	digest = sum(body)
	if !strings.HasPrefix(rest, "sha256:") {
		f.tags[rest] = digest
	}
	f.manifests[digest], f.types[digest] = body, r.Header.Get("Content-Type")
	var m struct {
		Subject *struct {
			Digest string `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(body, &m) == nil && m.Subject != nil && !f.noRefer {
		w.Header().Set("Oci-Subject", m.Subject.Digest)
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

func (f *fake) referrers(w http.ResponseWriter, r *http.Request, subject string) {
	if f.noRefer {
		http.NotFound(w, r)
		return
	}
	type descriptor struct {
		MediaType    string `json:"mediaType"`
		Digest       string `json:"digest"`
		Size         int    `json:"size"`
		ArtifactType string `json:"artifactType"`
	}
	list := []descriptor{}
	for digest, b := range f.manifests {
		var m struct {
			ArtifactType string `json:"artifactType"`
			Subject      struct {
				Digest string `json:"digest"`
			} `json:"subject"`
		}
		if json.Unmarshal(b, &m) == nil && m.Subject.Digest == subject {
			list = append(list, descriptor{f.types[digest], digest, len(b), m.ArtifactType})
		}
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list})
}

func (f *fake) send(w http.ResponseWriter, r *http.Request, b []byte, digest, mediaType string) {
	if b == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if f.tamper != nil {
		b = f.tamper(r.URL.Path, b)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.Header().Set("Docker-Content-Digest", digest)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}
