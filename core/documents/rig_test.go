package documents

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const acme = "acme"

// rig is a desk on a store in memory, whose documents are read and built for real.
type rig struct {
	*Desk
	store *memory
	files []File
	mu    sync.Mutex
	at    time.Time
}

// clock goes on by d and returns the time.
func (r *rig) clock(d time.Duration) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = r.at.Add(d)
	return r.at
}

var kinds = gateway.Kinds{Invokers: []core.Kind[core.Invoker]{{
	Name: "say", Schema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"},"connection":{"type":"string"},"password":{"type":"string","x-sallyport-secret":true}},"additionalProperties":false}`),
	New: func(context.Context, json.RawMessage, core.Env) (core.Invoker, error) {
		return core.Func(func(context.Context, *core.Call) (*core.Result, error) { return core.TextResult("said"), nil }), nil
	},
}}}

var reading = config.Options{Invokers: kinds.Invokers, Env: func(string) (string, bool) { return "", false }}

func tree(name string, text []byte) (json.RawMessage, []string, []core.Problem) {
	return config.Tree(name, text, reading)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{at: time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)}
	now := func() time.Time { return r.clock(time.Second) }
	r.store = newMemory(func() time.Time { return r.clock(0) })
	r.store.twice = true
	r.Desk = New(Options{Store: r.store, Check: r.checkAll, Parse: tree, Files: func() []File { return r.files }, Now: now})
	return r
}

// checkAll reads and builds everything, as the program does.
func (r *rig) checkAll(ctx context.Context, tenant string, documents []core.Document) []core.Problem {
	var cfg core.Config
	var problems []core.Problem
	read := func(name string, text []byte) {
		part, found := config.ReadText(name, text, reading)
		problems = append(problems, found...)
		cfg.Servers = append(cfg.Servers, part.Servers...)
		cfg.Connections = append(cfg.Connections, part.Connections...)
		cfg.Upstreams = append(cfg.Upstreams, part.Upstreams...)
		cfg.Sources = append(cfg.Sources, part.Sources...)
	}
	if tenant == core.DefaultTenant {
		for _, file := range r.files {
			read(file.Path, file.Text)
		}
	}
	for _, document := range documents {
		read(document.Name+".yaml", []byte(document.Text))
	}
	catalog, more := gateway.Build(ctx, cfg, gateway.Options{Kinds: kinds, Remotes: nowhere{}, Dry: true})
	if catalog != nil {
		catalog.Close()
	}
	return config.Merge(problems, more)
}

// nowhere is upstreams that are never reached.
type nowhere struct{}

func (nowhere) Open(context.Context, []core.UpstreamConfig, core.RemoteEnv) (core.RemoteSet, []core.Problem) {
	return nowhere{}, nil
}
func (nowhere) Remote(name string) core.Remote { return unreached{name: name} }
func (nowhere) Revision() string               { return "" }
func (nowhere) Close() error                   { return nil }

type unreached struct {
	core.Remote
	name string
}

func (unreached) Offer() *core.Offer { return nil }

func by(subject string) Act {
	return Act{Who: core.Identity{Subject: subject, Name: strings.ToUpper(subject), Tenant: acme, Via: core.ViaLogin}, Reason: "because", Request: "r1"}
}

func shop(text string) string {
	return "# the shop\nservers:\n  - name: shop\n    tools:\n      - name: greet\n        description: Greets.\n        invoker: {kind: say, config: {text: " + text + "}}\n"
}

func (r *rig) save(t *testing.T, name, text string) *core.Draft {
	t.Helper()
	draft, problems, err := r.SaveDraft(t.Context(), by("ada"), acme, Edit{Name: name, Text: []byte(text), Match: Any})
	if err != nil || refused(problems) {
		t.Fatalf("save %s: %v %v", name, err, problems)
	}
	return draft
}

func (r *rig) publish(t *testing.T, names ...string) *Published {
	t.Helper()
	var p Publication
	for _, name := range names {
		p.Drafts = append(p.Drafts, Pick{Name: name})
	}
	done, err := r.Publish(t.Context(), by("ada"), acme, p)
	if err != nil {
		t.Fatalf("publish %v: %v %v", names, err, core.AsError(err).Problems)
	}
	return done
}

func (r *rig) put(t *testing.T, name, text string) {
	t.Helper()
	r.save(t, name, text)
	r.publish(t, name)
}

func (r *rig) served(t *testing.T, name string) string {
	t.Helper()
	_, text, err := r.Get(t.Context(), acme, name, "")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func wantCode(t *testing.T, err error, code core.Code, says string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	if e := core.AsError(err); e.Code != code || !strings.Contains(e.Public(), says) {
		t.Fatalf("%s %q, want %s with %q", e.Code, e.Public(), code, says)
	}
}
