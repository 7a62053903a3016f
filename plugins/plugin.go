package plugins

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Plugin is a plugin of one set: a version, and where the document puts it.
type Plugin struct {
	host     *Host
	name     string
	version  *version // nil = disabled
	match    *core.MatchConfig
	priority int
	refresh  time.Duration
	due      time.Time // when the catalogue is asked again; under Host.mu
	signer   string    // id of the key
	refused  []string
}

// Name returns what documents call it.
func (p *Plugin) Name() string { return p.name }

// Has reports whether it can be used as kind. A disabled plugin has every kind: what
// names it is built, and refuses.
func (p *Plugin) Has(kind core.PluginKind) bool {
	if p.version == nil {
		return placeOf(kind) >= 0
	}
	return p.version.about.Is(manifest.Kind(kind))
}

// Tools returns the tools of the manifest. The caller may change the slice.
func (p *Plugin) Tools() []core.ToolConfig {
	if p.version == nil {
		return nil
	}
	return slices.Clone(p.version.tools)
}

// Manifest returns the plugin's manifest, nil when it is disabled. It must not be
// changed.
func (p *Plugin) Manifest() *manifest.Manifest {
	if p.version == nil {
		return nil
	}
	return p.version.about
}

// Digest returns the digest of the artifact, "" when it is disabled.
func (p *Plugin) Digest() string {
	if p.version == nil {
		return ""
	}
	return p.version.digest
}

// Raw calls the export of a kind with exactly these pairs and returns whatever status it
// answers: for author tools.
func (p *Plugin) Raw(ctx context.Context, kind core.PluginKind, meta []abi.Pair, payload []byte) (sandbox.Answer, error) {
	if err := p.of(kind); err != nil {
		return sandbox.Answer{}, err
	}
	if p.version == nil {
		return sandbox.Answer{}, p.disabled()
	}
	at := placeOf(kind)
	budget := p.version.budgets[at]
	budget.Raw, budget.CallID = true, p.host.callID()
	return p.version.code.Call(ctx, abi.Kinds[at], meta, payload, budget)
}

// of refuses a use that the manifest does not name.
func (p *Plugin) of(kind core.PluginKind) error {
	if p.Has(kind) {
		return nil
	}
	var have []string
	if p.version != nil {
		for _, k := range p.version.about.Kinds {
			have = append(have, string(k))
		}
	}
	return &core.Error{Code: core.CodeInvalid, Message: "plugin " + p.name + " is no " + string(kind), Fix: "its kinds: " + strings.Join(have, ", ")}
}

// disabled is what a disabled plugin answers.
func (p *Plugin) disabled() *core.Error {
	return &core.Error{Code: core.CodeUnavailable, Message: "plugin " + p.name + " is disabled"}
}

// Invoker returns what runs one of its tools.
func (p *Plugin) Invoker(tool string) (core.Invoker, error) {
	if err := p.of(core.PluginInvoker); err != nil {
		return nil, err
	}
	if p.version != nil && !p.version.about.Is(manifest.ToolCatalogue) && !p.version.offers(tool) {
		fix := "its manifest lists no tools"
		if names := p.version.toolNames(); len(names) > 0 {
			fix = "its tools: " + strings.Join(names, ", ")
		}
		return nil, &core.Error{Code: core.CodeInvalid, Message: "plugin " + p.name + " has no tool " + quote(tool), Fix: fix}
	}
	return &invoker{plugin: p, tool: tool}, nil
}

// Transformer returns what rewrites results.
func (p *Plugin) Transformer() (core.Transformer, error) {
	if err := p.of(core.PluginResponseTransformer); err != nil {
		return nil, err
	}
	return &transformer{plugin: p}, nil
}

// RequestTransformer returns what rewrites arguments.
func (p *Plugin) RequestTransformer() (core.RequestTransformer, error) {
	if err := p.of(core.PluginRequestTransformer); err != nil {
		return nil, err
	}
	return &requestTransformer{plugin: p}, nil
}

// CallAuthorizer returns what lets calls pass.
func (p *Plugin) CallAuthorizer() (core.CallAuthorizer, error) {
	if err := p.of(core.PluginAuthorizer); err != nil {
		return nil, err
	}
	return &authorizer{plugin: p}, nil
}

// Catalogue returns what lists tools at run time.
func (p *Plugin) Catalogue() (core.Catalogue, error) {
	if p.version != nil && p.version.about.Is(manifest.Invoker) {
		return &catalogue{plugin: p}, nil // of the manifest's tools, where there is no list
	}
	if err := p.of(core.PluginCatalogue); err != nil {
		return nil, err
	}
	return &catalogue{plugin: p}, nil
}

func (v *version) offers(tool string) bool {
	return slices.ContainsFunc(v.tools, func(t core.ToolConfig) bool { return t.Name == tool })
}

func (v *version) toolNames() []string {
	names := make([]string, 0, len(v.tools))
	for i := range v.tools {
		names = append(names, v.tools[i].Name)
	}
	return names
}

var _ core.Plugin = (*Plugin)(nil)
