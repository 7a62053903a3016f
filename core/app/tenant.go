package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/config"
	"github.com/sallyport/sallyport/core/disclosure"
	"github.com/sallyport/sallyport/core/gateway"
	"github.com/sallyport/sallyport/core/roster"
)

// tenant is what serves one tenant: a Gateway, documents and plugins of its own, so
// that no name of one tenant can mean anything of another (security.md T13).
type tenant struct {
	id      string
	house   *gatehouse
	log     *slog.Logger
	gateway *gateway.Gateway
	plugins *tenantPlugins
	remotes *roster.Roster
	stale   chan struct{} // an upstream offers something else
	over    chan struct{} // closed by close
	ending  sync.Once
	state   state
	// files are the documents of files; nil where there are none, which is in every tenant
	// but the default one.
	files *documentSet
	// stored are the documents of the store.
	stored  atomic.Pointer[[]core.Document]
	adopted []byte      // what stored was made of; under the keeper's lock
	begun   atomic.Bool // documents were loaded once: changes are loaded from then on

	loading   sync.Mutex
	resources []string                                  // files of resources in what is served; used by load only
	fileSums  map[gateway.WatchedFile][sha256.Size]byte // used by load only
}

// newTenant makes a tenant that serves nothing yet.
func (h *gatehouse) newTenant(id string) *tenant {
	t := &tenant{id: id, house: h, log: h.log, stale: make(chan struct{}, 1), over: make(chan struct{})}
	if id != core.DefaultTenant {
		t.log = h.log.With("tenant", id)
	}
	t.plugins = &tenantPlugins{open: func() (*pluginHouse, error) { return h.openPlugins(id) }}
	t.remotes = roster.New(h.rosterOptions(t))
	o := gateway.Options{
		Kinds: h.kinds, Plugins: h.telemetry.TracePlugins(t.plugins), Remotes: t.remotes, Dial: h.egress, Authorizer: h.door.authorizer, Observer: h.telemetry, Log: t.log,
		Now: time.Now, Limiter: h.door.limiter, Recorder: h.door.recorder, Accounts: h.door.accounts, Replica: h.replica, Scopes: h.door.scopes, Disclose: disclose,
	}
	if id != core.DefaultTenant {
		o.Tenant = id
	}
	t.gateway = gateway.New(o)
	return t
}

// disclose makes what clients of a server with many tools find them by.
func disclose(tools []*core.Tool) core.Discloser { return disclosure.Build(tools) }

// read reads the documents of files, then those of the store.
func (t *tenant) read() (core.Config, []core.Problem) {
	var cfg core.Config
	var problems []core.Problem
	if t.files != nil {
		cfg, problems = t.files.read()
	}
	stored := t.stored.Load()
	if stored == nil {
		return cfg, problems
	}
	more, wrong := t.house.readStored(t.id, *stored)
	return join(cfg, more), append(problems, wrong...)
}

// join puts two Configs together.
func join(a, b core.Config) core.Config {
	a.Connections = slices.Concat(a.Connections, b.Connections)
	a.Plugins = slices.Concat(a.Plugins, b.Plugins)
	a.Upstreams = slices.Concat(a.Upstreams, b.Upstreams)
	a.Servers = slices.Concat(a.Servers, b.Servers)
	a.Sources = slices.Concat(a.Sources, b.Sources)
	return a
}

// readStored reads documents of the store: they name secrets of their tenant, and
// neither files nor the environment of the process.
func (h *gatehouse) readStored(tenant string, documents []core.Document) (core.Config, []core.Problem) {
	var cfg core.Config
	var problems []core.Problem
	o := h.reading(tenant)
	o.Stored = true
	for i := range documents {
		one, wrong := config.ReadText(documents[i].Name+".yaml", []byte(documents[i].Text), o)
		cfg, problems = join(cfg, one), append(problems, wrong...)
	}
	return cfg, problems
}

// check says every mistake that documents of the store would have, beside the files of
// their tenant. Nothing of it is served.
func (h *gatehouse) check(ctx context.Context, id string, documents []core.Document) []core.Problem {
	t := h.estate.get(id)
	if t == nil {
		return notServed(id)
	}
	cfg, problems := h.readStored(id, documents)
	if t.files != nil {
		// Past the watcher: what it reads counts as loaded.
		files, wrong := config.Read(t.files.paths, h.reading(id))
		cfg, problems = join(files, cfg), append(problems, wrong...)
	}
	catalog, more := t.gateway.Build(ctx, cfg)
	if catalog != nil {
		catalog.Close()
	}
	problems, _ = judge(config.Merge(problems, more), catalog)
	return problems
}

// begin loads the documents for the first time. Files with mistakes are refused; what is
// wrong in the store, where it was right once, is left out and said, so that a start is
// always possible.
func (t *tenant) begin(ctx context.Context) (problems []core.Problem, refused bool) {
	t.begun.Store(true)
	problems, refused = t.load(ctx)
	stored := t.stored.Load()
	if !refused || stored == nil || len(*stored) == 0 {
		return problems, refused
	}
	wrong := map[string]bool{}
	for _, p := range problems {
		wrong[p.File] = wrong[p.File] || !p.Warning
	}
	left := slices.DeleteFunc(slices.Clone(*stored), func(d core.Document) bool { return wrong[d.Name+".yaml"] })
	t.log.Error("documents of the store have mistakes and are left out until they are mended", "documents", len(*stored)-len(left))
	logProblems(ctx, t.log, problems)
	t.stored.Store(&left)
	again, refused := t.load(ctx)
	t.stored.Store(stored)
	return again, refused
}

// notServed is what is wrong with any document of a tenant that is disabled, or that this
// replica does not know yet.
func notServed(id string) []core.Problem {
	return []core.Problem{{Message: "the tenant " + id + " is not served here", Fix: "enable the tenant, or try again in a moment when it was made just now"}}
}

// load reads, builds and publishes. When something is wrong, nothing changes. One load
// runs at a time.
func (t *tenant) load(ctx context.Context) (problems []core.Problem, refused bool) {
	t.loading.Lock()
	defer t.loading.Unlock()
	began := time.Now()
	ctx, release := t.plugins.hold(ctx)
	defer release()
	cfg, problems := t.read()
	catalog, more := t.gateway.Build(ctx, cfg)
	problems, refused = judge(config.Merge(problems, more), catalog)
	switch {
	case catalog == nil:
	case refused:
		catalog.Close()
	default:
		files := catalog.Files()
		names := make([]string, len(files))
		for i, file := range files {
			names[i] = file.Path
		}
		t.resources = names
		t.gateway.Publish(catalog)
		t.plugins.Remember()
		t.tellOfFiles(files)
		t.state.serve(cfg, catalog.Servers())
	}
	if t.files != nil {
		// Also those of a refused plugin: mending its file is a reason to look again.
		t.files.also(slices.Concat(t.resources, t.gateway.PluginFiles())...)
	}
	t.state.set(t.gateway.Revision(), problems, refused)
	problems = append(problems, t.shadowed(cfg)...)
	mistakes, warnings := tally(problems)
	t.house.telemetry.Reloaded(core.ReloadEvent{
		OK: !refused, Mistakes: mistakes, Warnings: warnings, Revision: t.gateway.Revision(), Duration: time.Since(began),
	})
	return problems, refused
}

// shadowed warns of servers of the default tenant that stand where another tenant does.
func (t *tenant) shadowed(cfg core.Config) (problems []core.Problem) {
	if t.id != core.DefaultTenant {
		return nil
	}
	for i := range cfg.Servers {
		s := &cfg.Servers[i]
		prefix := s.Name
		if s.Prefix != nil {
			prefix = *s.Prefix
		}
		first, _, _ := strings.Cut(prefix, "/")
		if first != core.DefaultTenant && t.house.estate.get(first) != nil {
			p := s.Problem("/prefix", "the tenant "+first+" stands at /"+first+", so this server cannot be reached", "give it another prefix")
			p.Warning = true
			problems = append(problems, p)
		}
	}
	return problems
}

// tellOfFiles tells the clients of each resource whose file has other content than
// at the load before.
func (t *tenant) tellOfFiles(files []gateway.WatchedFile) {
	sums := make(map[gateway.WatchedFile][sha256.Size]byte, len(files))
	for _, file := range files {
		content, err := os.ReadFile(file.Path)
		if err != nil {
			continue // reading the resource says so
		}
		sums[file] = sha256.Sum256(content)
		if before, known := t.fileSums[file]; known && before != sums[file] {
			t.gateway.Changed(file.Server, core.Change{Kind: core.ResourceUpdated, URI: file.URI})
		}
	}
	t.fileSums = sums
}

// look loads the documents again when upstreams offer something else, until ctx or the
// tenant ends.
func (t *tenant) look(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.over:
			return
		case <-t.stale:
			if t.begun.Load() {
				t.reload(ctx)
			}
		}
	}
}

// reload applies changed documents; what is wrong goes to the log.
func (t *tenant) reload(ctx context.Context) (problems []core.Problem, refused bool) {
	problems, refused = t.load(ctx)
	logProblems(ctx, t.log, problems)
	mistakes, warnings := tally(problems)
	if refused {
		t.log.Error("reload refused; the documents before it are still served", "mistakes", mistakes, "warnings", warnings, "revision", t.gateway.Revision())
		return problems, refused
	}
	t.log.Info("reloaded", "warnings", warnings, "revision", t.gateway.Revision())
	return problems, refused
}

// close ends a tenant: its calls first, then its plugins and upstreams.
func (t *tenant) close(ctx context.Context) error {
	t.ending.Do(func() { close(t.over) })
	return errors.Join(t.gateway.Close(ctx), t.plugins.close(ctx), t.remotes.Close())
}

// tenantPlugins opens the host of plugins when documents first have one: most tenants
// need none.
type tenantPlugins struct {
	open func() (*pluginHouse, error)
	// holding is held by a load from its Open to its Remember: a draft that is checked
	// meanwhile must not become what is remembered as served.
	holding sync.Mutex

	mu     sync.Mutex
	end    context.CancelFunc // of Run
	host   *pluginHouse
	closed bool
	ctx    context.Context //nolint:containedctx // of Run, for a host that is opened later
	work   sync.WaitGroup
}

// loading marks the context of a load, whose Open need not wait for itself.
type loading struct{}

// hold keeps the plugins of drafts from being opened until release is called.
func (p *tenantPlugins) hold(ctx context.Context) (held context.Context, release func()) {
	p.holding.Lock()
	return context.WithValue(ctx, loading{}, true), p.holding.Unlock
}

// Open returns the plugins that configs describe. Those of a draft wait for a load.
func (p *tenantPlugins) Open(ctx context.Context, configs []core.PluginConfig) (core.PluginSet, []core.Problem) {
	if ctx.Value(loading{}) == nil {
		p.holding.Lock()
		defer p.holding.Unlock()
	}
	p.mu.Lock()
	if p.host == nil && len(configs) == 0 {
		p.mu.Unlock()
		return noPlugins{}, nil
	}
	err := p.begin()
	host := p.host
	p.mu.Unlock()
	if err != nil {
		known := core.AsError(err)
		return noPlugins{}, []core.Problem{{Path: "/plugins", Message: "open the host of plugins: " + known.Public(), Fix: "look into the log, and load the documents again"}}
	}
	return host.Open(ctx, configs)
}

// ready opens the host now: a mistake in the settings of plugins ends the start.
func (p *tenantPlugins) ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begin()
}

// begin opens the host; p.mu is held.
func (p *tenantPlugins) begin() error {
	if p.host != nil {
		return nil
	}
	if p.closed {
		return &core.Error{Code: core.CodeUnavailable, Message: "the gateway is stopping"}
	}
	host, err := p.open()
	if err != nil {
		return err
	}
	p.host = host
	p.runHost()
	return nil
}

// runHost lets a host run while the gateway does; p.mu is held.
func (p *tenantPlugins) runHost() {
	if host, ctx := p.host, p.ctx; host != nil && ctx != nil {
		p.work.Go(func() { host.Run(ctx) })
	}
}

// Run looks after the plugins until ctx ends.
func (p *tenantPlugins) Run(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	p.mu.Lock()
	p.ctx, p.end = ctx, end
	if p.closed {
		end()
	}
	p.runHost()
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.work.Wait()
}

func (p *tenantPlugins) get() *pluginHouse {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.host
}

// Remember notes what is served.
func (p *tenantPlugins) Remember() {
	if host := p.get(); host != nil {
		host.Remember()
	}
}

// Refresh asks registries and catalogues again.
func (p *tenantPlugins) Refresh() {
	if host := p.get(); host != nil {
		host.Refresh()
	}
}

// Status lists the plugins.
func (p *tenantPlugins) Status() []core.PluginStatus {
	if host := p.get(); host != nil {
		return host.Status()
	}
	return nil
}

func (p *tenantPlugins) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	host := p.host
	if p.end != nil {
		p.end() // a tenant may go before the gateway does
	}
	p.mu.Unlock()
	if host == nil {
		return nil
	}
	return host.close(ctx)
}

// noPlugins is a set of none.
type noPlugins struct{}

func (noPlugins) Plugin(name string) (core.Plugin, error) {
	return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no plugin " + name, Fix: "write it into plugins"}
}
func (noPlugins) Matching(string, string) []core.Plugin { return nil }
func (noPlugins) Files() []string                       { return nil }
func (noPlugins) Revision() string                      { return "" }
func (noPlugins) Close() error                          { return nil }

var (
	_ core.Plugins   = (*tenantPlugins)(nil)
	_ core.PluginSet = noPlugins{}
)
