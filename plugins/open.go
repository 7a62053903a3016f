package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
	"github.com/sallyport/sallyport/plugins/rewrite"
	"github.com/sallyport/sallyport/plugins/trust"
)

// opened is what became of one config.
type opened struct {
	plugin *Plugin // nil = it cannot be loaded
	files  []string
	tag    string // reference whose digest runs, "" for other sources
	mistakes
}

// Open loads what configs describe. Plugins that run already, unchanged, are shared with
// the sets that have them.
func (h *Host) Open(ctx context.Context, configs []core.PluginConfig) (core.PluginSet, []core.Problem) {
	h.opening.Lock()
	defer h.opening.Unlock()
	s := &set{host: h, plugins: make(map[string]*Plugin, len(configs))}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	closed := h.closed
	h.stop = cancel // Close does not wait for a registry
	h.mu.Unlock()
	if closed {
		s.closed = true
		return s, []core.Problem{{Message: errClosed.Error()}}
	}
	all := h.openAll(ctx, configs)
	var problems []core.Problem
	wrong := false
	namespaces(configs, all)
	for i := range all {
		o, name := &all[i], configs[i].Name //nolint:gosec // all is as long as configs
		problems = append(problems, o.list...)
		wrong = wrong || o.failed
		s.files = append(s.files, o.files...)
		if _, twice := s.plugins[name]; !twice {
			s.plugins[name] = o.plugin
		}
		if o.plugin != nil {
			s.order = append(s.order, o.plugin)
		}
	}
	slices.Sort(s.files)
	s.files = slices.Compact(s.files)
	s.arrange()
	h.mu.Lock()
	h.sets = append(h.sets, s)
	for _, p := range s.order {
		p.due = h.next(p)
	}
	h.mu.Unlock()
	h.awake()
	h.pending = nil
	if !wrong && ctx.Err() == nil {
		h.pending = &pending{set: s, configs: configs, all: all}
		if !h.o.Later {
			h.settle()
		}
	}
	return s, problems
}

// pending is what Open loaded and nobody has written down.
type pending struct {
	set     *set
	configs []core.PluginConfig
	all     []opened
}

// Remember notes that what Open loaded last is served: from now on it is what newer
// versions are compared with. What documents had that were refused, for whatever mistake,
// counts as never approved. It does nothing when that set is closed already.
func (h *Host) Remember() {
	h.opening.Lock()
	defer h.opening.Unlock()
	h.settle()
}

// settle writes down what is pending; the caller holds opening.
func (h *Host) settle() {
	p := h.pending
	h.pending = nil
	if p == nil {
		return
	}
	h.mu.Lock()
	closed := p.set.closed
	h.mu.Unlock()
	if closed {
		return
	}
	if err := h.remember(p.configs, p.all); err != nil {
		h.log.Error("which plugins run is not remembered: a restart takes their next version for the first", "error", err)
	}
}

func (h *Host) openAll(ctx context.Context, configs []core.PluginConfig) []opened {
	all := make([]opened, len(configs))
	names := map[string]bool{}
	places := make(chan struct{}, opensAtOnce)
	var work sync.WaitGroup
	for i := range configs {
		c, o := &configs[i], &all[i]
		o.at = c.At
		switch {
		case c.Name == "":
			o.add("/name", "name is required", "write what the documents call the plugin: weather")
			continue
		case names[c.Name]:
			o.add("/name", "there are two plugins "+quote(c.Name), "rename one")
			continue
		}
		names[c.Name] = true
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			defer h.stumbled("load plugin "+c.Name, func() {
				o.plugin = nil
				o.add("/source", "the plugin made the gateway stumble", "use another version; the log has the stack, please report it")
			})
			h.open(ctx, c, o)
		})
	}
	work.Wait()
	return all
}

// open loads one plugin.
func (h *Host) open(ctx context.Context, c *core.PluginConfig, o *opened) {
	refresh := h.refreshOf(c, &o.mistakes)
	if c.Disabled {
		o.plugin = &Plugin{host: h, name: c.Name, match: c.Match, priority: c.Priority}
		return
	}
	level := h.levelOf(c, &o.mistakes)
	var p *Plugin
	switch {
	case strings.HasPrefix(c.Source, "oci://"):
		p = h.fromRegistry(ctx, c, level, o)
	case StoredName(c.Source) != "":
		p = h.fromStore(ctx, c, level, o)
	default:
		p = h.fromFiles(ctx, c, level, o)
	}
	if p == nil {
		return
	}
	if o.failed { // a mistake beside what was loaded: nobody would see it work
		h.mu.Lock()
		h.release(p.version)
		h.mu.Unlock()
		return
	}
	p.match, p.priority, p.refresh = c.Match, c.Priority, refresh
	o.plugin = p
}

// defaultRefresh is how often a catalogue is asked again.
const (
	defaultRefresh = time.Minute
	minRefresh     = time.Second
)

func (h *Host) refreshOf(c *core.PluginConfig, m *mistakes) time.Duration {
	if c.Refresh == "" {
		return defaultRefresh
	}
	d, err := time.ParseDuration(c.Refresh)
	if err != nil || d < minRefresh || d > 24*time.Hour {
		m.add("/refresh", "is no duration, or out of range", "write a duration from 1s to 24h, like 1m")
		return defaultRefresh
	}
	return d
}

// levelOf returns the stricter of the level of the settings and that of the document.
func (h *Host) levelOf(c *core.PluginConfig, m *mistakes) trust.Level {
	own := h.o.Trust.Level
	if own == "" {
		own = trust.Required
	}
	if c.Trust == "" {
		return own
	}
	wanted, err := trust.ParseLevel(c.Trust)
	if err != nil {
		m.fail("/trust", err)
		return own
	}
	strict := func(l trust.Level) int { return slices.Index([]trust.Level{trust.Off, trust.Warn, trust.Required}, l) }
	if strict(wanted) < strict(own) {
		m.warn("/trust", "the settings say "+string(own)+", and a document cannot make that weaker", "remove trust, or change the settings")
		return own
	}
	return wanted
}

// fromFiles loads a plugin whose source is a file.
func (h *Host) fromFiles(ctx context.Context, c *core.PluginConfig, level trust.Level, o *opened) *Plugin {
	source := strings.TrimPrefix(c.Source, "file://")
	if source == "" || strings.Contains(source, "://") {
		o.add("/source", "source is no file and no oci:// reference", "write the path of a .wasm file, or oci://registry.example.com/acme/weather@sha256:…")
		return nil
	}
	f := &folder{}
	if c.At.Source != nil {
		f.root = c.At.Source.Root()
	}
	a, err := f.artifact(source, c.Manifest)
	o.files = f.read
	if err != nil {
		rel := "/source"
		if c.Manifest != "" && strings.Contains(err.Error(), c.Manifest) {
			rel = "/manifest"
		}
		o.fail(rel, err)
		return nil
	}
	about, err := a.Manifest()
	if err != nil {
		o.fail("/source", err)
		return nil
	}
	if c.Digest != "" {
		if err := trust.Match("plugin "+c.Name, a.OCI, c.Digest); err != nil {
			o.fail("/digest", err)
			return nil
		}
	}
	policy := h.o.Trust
	policy.Level = level
	verdict, err := policy.Verify(trust.Subject{Digest: a.Digest, Name: about.Name, Version: about.Version}, a.Signatures)
	if err != nil {
		o.distrusted(err, a.Digest)
		return nil
	}
	return h.admit(ctx, c, level, a, about, verdict, &o.mistakes)
}

// admit decides about an artifact whose signature was looked at, and loads it.
func (h *Host) admit(ctx context.Context, c *core.PluginConfig, level trust.Level, a *registry.Artifact, about *manifest.Manifest, verdict trust.Verdict, m *mistakes) *Plugin {
	for _, w := range verdict.Warnings {
		m.warn("/source", w, "sign it before production")
	}
	var approved []string
	if c.Digest != "" {
		approved = []string{c.Digest}
	}
	policy := h.o.Trust
	policy.Level = level
	upgrade, err := policy.Upgrade(h.ledger.ran(c.Name), about, a.Digest, approved)
	if err != nil {
		m.distrusted(err, a.Digest)
		return nil
	}
	for _, w := range upgrade.Warnings {
		m.warn("/source", w, "write digest: "+a.Digest+" if going back is meant")
	}
	if canonical, err := about.Canonical(); err != nil || len(canonical) > manifest.MaxBytes {
		m.add("/source", "the plugin's manifest cannot be remembered: written out it has more than "+manifest.Size(manifest.MaxBytes).String(), "use a version with a smaller manifest")
		return nil
	}
	schemas := make([]json.RawMessage, 0, 2*len(about.Tools)+1)
	for i := range about.Tools {
		schemas = append(schemas, about.Tools[i].InputSchema, about.Tools[i].OutputSchema)
	}
	if err := patterned(append(schemas, about.ConfigSchema)); err != nil { // the gateway compiles them all
		m.fail("/source", err)
		return nil
	}
	w := &wanted{name: c.Name, signer: verdict.Signer, digest: a.Digest, module: a.Module, about: about, isolation: about.Isolation}
	module, err := rewrite.Inspect(a.Module, rewrite.Default)
	if err != nil {
		m.fail("/source", fmt.Errorf("plugin %s: %w", c.Name, err))
		return nil
	}
	for _, k := range about.Kinds {
		if _, ok := module.Export(k.Export()); !ok {
			m.add("/source", "the manifest lists the kind "+string(k)+", and the module does not export "+k.Export(), "use a build that does")
		}
	}
	var refused []string
	if grants, ok := policyOf(c.Grants, m); ok {
		w.granted, refused = grant(about, module, grants, m)
		w.secrets = secretsOf(c.Secrets, about, w.granted, m)
	}
	w.config = settingOf(c.Config, about, m)
	w.limits, w.budgets = limitsOf(c.Limits, about, m)
	switch c.Isolation {
	case "", w.isolation:
	case manifest.IsolationCall:
		w.isolation = manifest.IsolationCall
	default:
		m.add("/isolation", "isolation can only be made stricter: "+quote(c.Isolation), "write isolation: call, or leave it out")
	}
	if m.failed {
		return nil
	}
	v := h.load(ctx, w, m)
	if v == nil {
		return nil
	}
	return &Plugin{host: h, name: c.Name, version: v, signer: verdict.Signer, refused: refused}
}

// settingOf returns the configuration as compact JSON, checked against the manifest's
// schema. Defaults of the schema are not filled in: that is the guest's affair.
func settingOf(config json.RawMessage, about *manifest.Manifest, m *mistakes) json.RawMessage {
	if wire.IsNull(config) {
		config = json.RawMessage("{}")
	}
	config, err := wire.Compact(config)
	if err != nil || !wire.IsObject(config) {
		m.add("/config", "config is no JSON object", "write the settings that the plugin's manifest describes")
		return nil
	}
	if about.ConfigSchema == nil {
		return config
	}
	s, err := compileSchema(about.ConfigSchema)
	if err != nil {
		m.add("/source", "the config_schema of the plugin's manifest does not compile: "+err.Error(), "use another version: this is a mistake of the plugin, not of the document")
		return nil
	}
	for _, f := range checkSetting(s, config) {
		m.add("/config"+f.path, f.message, "see config_schema in the plugin's manifest: `sallyport plugin inspect` prints it")
	}
	return config
}

// namespaces refuses plugins that keep their keys in the same namespace: each reads and
// writes what is the other's, and which one it asks for its author says. Where the grants
// of both spell it out, the operator means it.
func namespaces(configs []core.PluginConfig, all []opened) {
	first := map[string]int{}
	for i := range all {
		o := &all[i]
		if o.plugin == nil || o.plugin.version == nil || o.plugin.version.granted.KV == nil {
			continue
		}
		namespace := o.plugin.version.granted.KV.Namespace
		other, shared := first[namespace]
		if !shared {
			first[namespace] = i
			continue
		}
		if configs[i].Grants.KV.Namespace != namespace || configs[other].Grants.KV.Namespace != namespace {
			o.add("/grants/kv", "the namespace "+quote(namespace)+" is also that of plugin "+configs[other].Name+": each would read and write what is the other's",
				"grant it to one of them; if they are meant to share it, write kv: {namespace: "+namespace+"} in the grants of both")
		}
	}
}

// remember writes down what runs. What no document names is forgotten; what is disabled
// is not.
func (h *Host) remember(configs []core.PluginConfig, all []opened) error {
	b := book{Plugins: map[string]entry{}, Tags: map[string]string{}}
	for i := range all {
		name := configs[i].Name
		p := all[i].plugin
		if p.version == nil {
			if e, ok := h.ledger.written.Plugins[name]; ok {
				b.Plugins[name] = e
			}
			continue
		}
		canonical, err := p.version.about.Canonical()
		if err != nil {
			return err
		}
		b.Plugins[name] = entry{Digest: p.version.digest, Manifest: canonical}
		if all[i].tag != "" {
			b.Tags[all[i].tag] = p.version.digest
		}
	}
	before := h.ledger.written
	if err := h.ledger.write(b); err != nil {
		return err
	}
	if maps.EqualFunc(before.Plugins, b.Plugins, func(x, y entry) bool { return x.Digest == y.Digest }) {
		return nil
	}
	return h.sweep(b)
}

// sweep removes artifacts from the store that nothing needs any more.
func (h *Host) sweep(b book) error {
	if h.o.Registry.Store != nil {
		return nil // not ours alone
	}
	var keep []string
	for _, e := range b.Plugins {
		keep = append(keep, e.Digest)
	}
	h.mu.Lock()
	for _, v := range h.versions {
		keep = append(keep, v.digest)
	}
	h.mu.Unlock()
	return h.store.Sweep(keep)
}
