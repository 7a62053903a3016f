package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/web"
	"github.com/sallyport/sallyport/plugins"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/selftest"
	"github.com/sallyport/sallyport/plugins/trust"
	"github.com/sallyport/sallyport/store/storetest"
)

// speaker is a module whose tool says one text, with a manifest in it.
func speaker(t testing.TB, release, text string, more ...string) []byte {
	t.Helper()
	wasm, err := manifest.Embed(guests.Says(abi.OK, `{"content":[{"type":"text","text":"`+text+`"}]}`, abi.ToolCall), []byte("apiVersion: sallyport/v1\nname: acme/speaker\nversion: "+release+
		"\nabi: sallyport/1\nkinds: [invoker]\ntools: [{name: say, description: Says it.}]\n"+strings.Join(more, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// speaking is a document that names the module; more stands behind its source.
func speaking(more string) string {
	return "plugins:\n  - {name: speaker, source: \"store:acme-speaker\"" + more + "}\nservers:\n  - name: talk\n    tools:\n      - {name: say, invoker: {kind: wasm, config: {plugin: speaker, tool: say}}}\n"
}

// upload sends a module, and returns what the admin API says of it.
func (r *house) upload(token, query string, wasm []byte) (got reply, digest string) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "a.wasm")
	if err := os.WriteFile(file, wasm, 0o600); err != nil {
		r.t.Fatal(err)
	}
	form, err := moduleForm(file, "", "test")
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := plugins.ReadFiles(file, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.send("POST", "/api/v1/modules"+query, token, string(form.body), "Content-Type", form.kind), a.Digest
}

// approve uploads a module and approves it.
func (r *house) approve(query string, wasm []byte) (digest string) {
	r.t.Helper()
	got, digest := r.upload(operatorToken, query, wasm)
	if got.status != 201 || !strings.Contains(got.body, digest) {
		r.t.Fatalf("%d %s", got.status, got.body)
	}
	r.admin("POST", "/modules/acme-speaker/approve"+query, map[string]any{"digest": digest})
	return digest
}

// draft writes the draft of a document.
func (r *house) draft(query, text string) reply {
	r.t.Helper()
	header := []string{"If-None-Match", "*"}
	if before := r.send("GET", "/api/v1/documents/talk/draft"+query, operatorToken, nil); before.status == 200 {
		header = []string{"If-Match", before.header.Get("ETag")}
	}
	return r.send("PUT", "/api/v1/documents/talk/draft"+query, operatorToken, map[string]any{"text": text}, header...)
}

func (r *house) publish(query string) reply {
	r.t.Helper()
	return r.send("POST", "/api/v1/documents/publish"+query, operatorToken, map[string]any{"names": []string{"talk"}})
}

// From an upload to a call, to the next version, and away again; another tenant has none
// of it.
func TestAdminModules(t *testing.T) {
	r := serve(t, "", "--plugins-trust", "off")
	r.admin("POST", "/tenants", map[string]any{"id": "acme"})
	member, theirs := r.program("default", "robot", []string{"member"}), r.program("acme", "robot", []string{"member"})
	editor, foreign := r.program("default", "ed", []string{"editor"}), r.program("acme", "boss", []string{"admin"})
	says := func(path, token string) string {
		t.Helper()
		got := r.tool(path, token, "say", nil)
		for _, word := range []string{"one", "two", "three"} {
			if got.status == 200 && strings.Contains(got.body, `"text":"`+word+`"`) {
				return word
			}
		}
		return fmt.Sprint(got.status)
	}
	must := func(got reply, status int, holds ...string) {
		t.Helper()
		if got.status != status {
			t.Fatalf("%d, want %d: %s", got.status, status, got.body)
		}
		for _, part := range holds {
			if !strings.Contains(got.body, part) {
				t.Fatalf("%s\ndoes not hold %s", got.body, part)
			}
		}
	}

	first := speaker(t, "1.0.0", "one")
	got, _ := r.upload(editor, "", first)
	must(got, 403)
	first = rewrite.WithCustomSection(first, "padding", make([]byte, 5<<20)) // larger than limits.body, as modules of Go may be
	must(r.draft("", speaking("")), 200, "the store has no module acme-speaker")
	got, digest := r.upload(operatorToken, "", first)
	must(got, 201, `"state":"waiting"`, digest)
	must(r.draft("", speaking("")), 200, "nobody approved")
	must(r.publish(""), 422, "nobody approved")
	r.admin("POST", "/modules/acme-speaker/approve", map[string]any{"digest": digest})
	must(r.draft("", speaking(`, digest: "sha256:`+strings.Repeat("0", 64)+`"`)), 200, "the store has another content", digest)
	must(r.draft("", speaking(`, digest: "`+digest+`"`)), 200, `"good":true`)
	must(r.send("POST", "/api/v1/documents/talk/draft/test", editor, map[string]any{"server": "talk", "tool": "say", "arguments": map[string]any{}}), 200, `"one"`)
	must(r.draft("", speaking("")), 200, `"good":true`)
	must(r.publish(""), 200)
	if said := says("/talk/mcp", member); said != "one" {
		t.Fatalf("the tool says %s\n%s", said, r.log)
	}

	t.Run("another tenant has none of it", func(t *testing.T) {
		for _, path := range []string{"/modules/acme-speaker", "/modules/acme-speaker/content"} {
			for _, query := range []string{"", "?tenant=default"} {
				if got := r.send("GET", "/api/v1"+path+query, foreign, nil); got.status != 404 {
					t.Errorf("%s%s: %d %s", path, query, got.status, got.body)
				}
			}
		}
		got := r.draft("?tenant=acme", speaking(""))
		if !strings.Contains(got.body, "the store has no module acme-speaker") || strings.Contains(got.body, digest) {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := r.publish("?tenant=acme"); got.status != 422 {
			t.Errorf("%d %s", got.status, got.body)
		}
		if said := says("/acme/talk/mcp", theirs); said != "404" {
			t.Errorf("the tool of the other tenant says %s", said)
		}
		// One of the same name of its own is another one.
		r.approve("?tenant=acme", speaker(t, "1.0.0", "three"))
		must(r.draft("?tenant=acme", speaking("")), 200, `"good":true`)
		must(r.publish("?tenant=acme"), 200)
		if a, b := says("/acme/talk/mcp", theirs), says("/talk/mcp", member); a != "three" || b != "one" {
			t.Errorf("the tools say %s and %s", a, b)
		}
	})

	// What is new waits, also over a start of another replica: it stands beside what runs.
	second := speaker(t, "1.1.0", "two", "capabilities: {kv: {namespace: words}}")
	got, next := r.upload(operatorToken, "", second)
	must(got, 201, `"asksAnew":["`)
	r.admin("POST", "/reload", nil)
	if said := says("/talk/mcp", member); said != "one" {
		t.Errorf("an upload runs before it is approved: %s", said)
	}
	r.admin("POST", "/modules/acme-speaker/approve", map[string]any{"digest": next})
	if said := says("/talk/mcp", member); said != "two" {
		t.Errorf("what was approved does not run: %s\n%s", said, r.log)
	}
	if text := fmt.Sprint(r.admin("GET", "/plugins/speaker", nil)); !strings.Contains(text, next) || !strings.Contains(text, "1.1.0") {
		t.Error(text)
	}

	// One that documents are not good with is approved, and said; what ran still runs.
	imports := speaker(t, "1.2.0", "three", "capabilities: {progress: true}")
	got, bad := r.upload(operatorToken, "", rewrite.WithCustomSection(imports, selftest.Section, []byte("no fixtures")))
	must(got, 201)
	must(r.send("POST", "/api/v1/modules/acme-speaker/approve", operatorToken, map[string]any{"digest": bad}), 200, `"good":false`, "/plugins/0/source")
	if said := says("/talk/mcp", member); said != "two" {
		t.Errorf("a version that fails its tests runs: %s\n%s", said, r.log)
	}
	got, _ = r.upload(operatorToken, "", second) // back to the one before
	must(got, 201)
	must(r.send("POST", "/api/v1/modules/acme-speaker/approve", operatorToken, map[string]any{"digest": next}), 200, `"good":true`)
	whole := r.send("GET", "/api/v1/modules/acme-speaker", operatorToken, nil)
	must(r.send("DELETE", "/api/v1/modules/acme-speaker", operatorToken, nil, "If-Match", whole.header.Get("ETag")), 409, "talk")
	r.admin("PUT", "/documents/talk/draft", map[string]any{"delete": true}, "If-None-Match", "*")
	must(r.publish(""), 200)
	must(r.send("DELETE", "/api/v1/modules/acme-speaker", operatorToken, nil, "If-Match", whole.header.Get("ETag")), 204)
	eventually(t, "its copy goes from disk", func() bool { return !kept(t, r.data, second) && kept(t, r.data, speaker(t, "1.0.0", "three")) })
	trail := r.send("GET", "/api/v1/audit?limit=1000", operatorToken, nil)
	for _, action := range []string{"plugin.upload", "plugin.approve", "plugin.delete"} {
		if !strings.Contains(trail.body, action) || !strings.Contains(trail.body, next) {
			t.Errorf("the trail does not tell of %s", action)
		}
	}
}

// A document of a file names a module of the default tenant, and keeps it from being
// deleted; a gateway without a store, and check, say what is missing.
func TestAdminModulesInFiles(t *testing.T) {
	data := t.TempDir()
	r := serveIn(t, data, "", "--plugins-trust", "off")
	r.approve("", speaker(t, "1.0.0", "one"))
	if os.Getenv("SALLYPORT_TEST_STORE") != "" {
		return // the store of the next gateway would be another one
	}
	r.stop()
	r = serveIn(t, data, speaking(""), "--plugins-trust", "off")
	member := r.program("default", "robot", []string{"member"})
	if got := r.tool("/talk/mcp", member, "say", nil); !strings.Contains(got.body, `"one"`) {
		t.Errorf("%d %s\n%s", got.status, got.body, r.log)
	}
	tag := r.send("GET", "/api/v1/modules/acme-speaker", operatorToken, nil).header.Get("ETag")
	if got := r.send("DELETE", "/api/v1/modules/acme-speaker", operatorToken, nil, "If-Match", tag); got.status != 409 || !strings.Contains(got.body, "gateway.yaml") {
		t.Errorf("%d %s", got.status, got.body)
	}
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte(speaking("")), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"check", file}, &out, &errs); code == 0 || !strings.Contains(errs.String(), "only a gateway with its store") {
		t.Errorf("%d %s%s", code, &out, &errs)
	}
}

// While the database is away, a restart serves modules from their copies on disk. One that
// somebody changed meanwhile is not run, and comes from the database when that is back.
func TestPostgresModulesAway(t *testing.T) {
	where, err := url.Parse(storetest.Postgres(t, os.Getenv, "t"+strings.ToLower(rand.Text())))
	if err != nil {
		t.Fatal(err)
	}
	w := newWall(t, where.Host)
	where.Host = w.listener.Addr().String()
	data := t.TempDir()
	flags := []string{"--store-url", where.String(), "--store-key", "k1:" + key32(t), "--plugins-trust", "off"}
	r := serveIn(t, data, "", flags...)
	wasm := speaker(t, "1.0.0", "one")
	r.approve("", wasm)
	r.draft("", speaking(""))
	if got := r.publish(""); got.status != 200 {
		t.Fatal(got.body)
	}
	token := r.program("default", "robot", []string{"member"})
	works := func(r *house) bool {
		got := r.tool("/talk/mcp", token, "say", nil)
		return got.status == 200 && strings.Contains(got.body, `"one"`)
	}
	if !works(r) {
		t.Fatal("the tool does not work to begin with")
	}
	time.Sleep(6 * time.Second) // the newest state is written at most every 5 s
	r.stop()
	w.down.Store(true)
	w.cut()
	r = serveIn(t, data, "", flags...)
	if !works(r) {
		t.Errorf("after a restart without the database the tool does not work:\n%s", r.log)
	}
	r.stop()

	evil := speaker(t, "1.0.0", "two")
	if err := os.WriteFile(copyOf(data, wasm), evil, 0o600); err != nil {
		t.Fatal(err)
	}
	r = serveIn(t, data, "", flags...)
	if got := r.tool("/talk/mcp", token, "say", nil); got.status == 200 {
		t.Errorf("a changed copy runs: %s", got.body)
	}
	if !strings.Contains(r.log.String(), "the copy of a module on disk is not what it was") {
		t.Error(r.log)
	}
	w.down.Store(false)
	eventually(t, "the module is there again when the database is", func() bool { return works(r) })
}

// What is approved on one replica runs on the other, and an upload that waits changes
// nothing on one that starts while it does.
func TestPostgresModulesReplicas(t *testing.T) {
	flags := []string{"--store-url", storetest.Postgres(t, os.Getenv, "t"+strings.ToLower(rand.Text())), "--store-key", "k1:" + key32(t), "--plugins-trust", "off"}
	a := serveIn(t, t.TempDir(), "", flags...)
	b := serveIn(t, t.TempDir(), "", flags...)
	token := a.program("default", "robot", []string{"member"})
	says := func(r *house, text string) {
		t.Helper()
		eventually(t, "the tool says "+text, func() bool {
			return strings.Contains(r.tool("/talk/mcp", token, "say", nil).body, `"text":"`+text+`"`)
		})
	}
	a.approve("", speaker(t, "1.0.0", "one"))
	a.draft("", speaking(""))
	if got := a.publish(""); got.status != 200 {
		t.Fatal(got.body)
	}
	says(a, "one")
	says(b, "one")
	second := speaker(t, "2.0.0", "two")
	if got, _ := b.upload(operatorToken, "", second); got.status != 201 {
		t.Fatal(got.body)
	}
	says(serveIn(t, t.TempDir(), "", flags...), "one")
	b.approve("", second)
	says(b, "two")
	says(a, "two")
}

// stocked is a stock on a store that has one approved module.
func stocked(t *testing.T, wasm []byte) (*stock, *fakeRows, *lines) {
	t.Helper()
	up := plugins.Upload{Module: wasm}
	m, err := up.Read(trust.Policy{Level: trust.Off})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1, 0)
	m.Tenant, m.Approved = "acme", &now
	rows := &fakeRows{row: m, data: t.TempDir()}
	log := &lines{}
	s, err := newStock(rows, rows.data, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	light := *m
	light.Bytes = nil
	s.use(&core.State{Modules: []core.Module{light}})
	return s, rows, log
}

// fakeRows is a store of one module.
type fakeRows struct {
	core.Store

	row   *core.Module
	data  string
	asked int
	err   error
}

func (f *fakeRows) Get(_ context.Context, row core.Row) error {
	f.asked++
	if f.err != nil {
		return f.err
	}
	*row.(*core.Module) = *f.row
	return nil
}

// What a stock hands out is what was approved, whatever lies on disk or in the database.
func TestStock(t *testing.T) {
	wasm, evil := speaker(t, "1.0.0", "one"), speaker(t, "1.0.0", "two")
	away := &core.Error{Code: core.CodeUnavailable, Message: "away"}
	refused := func(t *testing.T, err error, code core.Code) {
		t.Helper()
		if err == nil || core.AsError(err).Code != code || core.AsError(err).Fix == "" {
			t.Errorf("%v, want %s", err, code)
		}
	}
	t.Run("once from the store, then from disk", func(t *testing.T) {
		s, rows, _ := stocked(t, wasm)
		for range 2 {
			if a, err := s.artifact(t.Context(), "acme", "acme-speaker"); err != nil || !bytes.Equal(a.Module, wasm) {
				t.Fatal(err)
			}
		}
		rows.err = away
		if _, err := s.artifact(t.Context(), "acme", "acme-speaker"); err != nil || rows.asked != 1 {
			t.Error(err, rows.asked)
		}
	})
	t.Run("of its own tenant", func(t *testing.T) {
		s, _, _ := stocked(t, wasm)
		_, err := s.artifact(t.Context(), "default", "acme-speaker")
		refused(t, err, core.CodeNotFound)
		if strings.Contains(err.Error(), "there are") {
			t.Error(err)
		}
	})
	t.Run("not before it is approved", func(t *testing.T) {
		s, _, _ := stocked(t, wasm)
		s.use(&core.State{Modules: []core.Module{{Tenant: "acme", Name: "acme-speaker" + core.ModuleWaits}}})
		for _, name := range []string{"acme-speaker", "acme-speaker" + core.ModuleWaits} {
			if _, err := s.artifact(t.Context(), "acme", name); err == nil {
				t.Error(name)
			}
		}
	})
	t.Run("not while the store is away", func(t *testing.T) {
		s, rows, _ := stocked(t, wasm)
		rows.err = away
		_, err := s.artifact(t.Context(), "acme", "acme-speaker")
		refused(t, err, core.CodeUnavailable)
		if !s.again() || s.again() {
			t.Error("nobody is told to try again, once")
		}
	})
	t.Run("not what the database has instead", func(t *testing.T) {
		s, rows, _ := stocked(t, wasm)
		rows.row.Bytes = evil
		_, err := s.artifact(t.Context(), "acme", "acme-speaker")
		refused(t, err, core.CodeDenied)
	})
	t.Run("what goes from the store goes from disk", func(t *testing.T) {
		s, _, _ := stocked(t, wasm)
		a, err := s.artifact(t.Context(), "acme", "acme-speaker")
		if err != nil {
			t.Fatal(err)
		}
		s.use(&core.State{})
		if _, err := s.disk.Load(a.Digest); !errors.Is(err, registry.ErrMissing) {
			t.Error(err)
		}
	})

	// A copy that somebody changed. lax reads it without a look at its digest: the test of
	// the test.
	tampered := func(t *testing.T, lax bool) (*registry.Artifact, *fakeRows, *lines, error) {
		t.Helper()
		s, rows, log := stocked(t, wasm)
		good, err := s.artifact(t.Context(), "acme", "acme-speaker")
		if err != nil {
			t.Fatal(err)
		}
		file := copyOf(rows.data, wasm)
		if err := os.WriteFile(file, evil, 0o600); err != nil {
			t.Fatal(err)
		}
		rows.err = away
		if lax {
			s.load = func(string) (*registry.Artifact, error) {
				a := *good
				a.Module, err = os.ReadFile(file)
				return &a, err
			}
		}
		a, err := s.artifact(t.Context(), "acme", "acme-speaker")
		return a, rows, log, err
	}
	t.Run("a changed copy is refused", func(t *testing.T) {
		_, _, log, err := tampered(t, false)
		refused(t, err, core.CodeUnavailable)
		if !strings.Contains(log.String(), "is not what it was") {
			t.Error(log)
		}
	})
	t.Run("without the digest it would run", func(t *testing.T) {
		if a, _, _, err := tampered(t, true); err != nil || !bytes.Equal(a.Module, evil) {
			t.Errorf("the test above proves nothing: %v", err)
		}
	})
}

// The bounds of an upload are those of what loads plugins.
func TestModuleBounds(t *testing.T) {
	if web.ModuleMost != registry.MaxModule || web.ManifestMost != manifest.MaxBytes {
		t.Error("the admin API takes other sizes than plugins are")
	}
}

// kept tells whether a copy of a module lies on disk.
func kept(t *testing.T, data string, wasm []byte) bool {
	t.Helper()
	_, err := os.Stat(copyOf(data, wasm))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func copyOf(data string, wasm []byte) string {
	return filepath.Join(data, "modules", "blobs", "sha256", strings.TrimPrefix(trust.Digest(wasm), "sha256:"))
}
