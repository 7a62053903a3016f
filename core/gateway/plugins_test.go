package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

// plugins is a fake core.Plugins.
type plugins struct {
	set      func(ctx context.Context, configs []core.PluginConfig) (core.PluginSet, []core.Problem)
	opened   atomic.Int64
	lastSeen atomic.Pointer[[]core.PluginConfig]
}

func (p *plugins) Open(ctx context.Context, configs []core.PluginConfig) (core.PluginSet, []core.Problem) {
	p.opened.Add(1)
	p.lastSeen.Store(&configs)
	return p.set(ctx, configs)
}

// pluginSet is a fake core.PluginSet: a plugin matches as its config says.
type pluginSet struct {
	all    []*plugin
	broken map[string]error
	files  []string
	close  func() error

	revision string
}

func (s *pluginSet) Plugin(name string) (core.Plugin, error) {
	if err := s.broken[name]; err != nil {
		return nil, err
	}
	for _, one := range s.all {
		if one.name == name {
			return one, nil
		}
	}
	return nil, &core.Error{Code: core.CodeInvalid, Message: "there is no plugin " + quoted(name), Fix: "declare it under plugins"}
}

func (s *pluginSet) Revision() string { return s.revision }

func (s *pluginSet) Matching(server, tool string) (matching []core.Plugin) {
	covers := func(globs []string, name string) bool {
		return len(globs) == 0 || slices.ContainsFunc(globs, func(glob string) bool {
			ok, err := path.Match(glob, name)
			return ok && err == nil
		})
	}
	for _, one := range s.all {
		if one.match != nil && covers(one.match.Servers, server) && covers(one.match.Tools, tool) {
			matching = append(matching, one)
		}
	}
	return matching
}

func (s *pluginSet) Files() []string { return s.files }

func (s *pluginSet) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// plugin is a fake core.Plugin: what is nil it is not.
type plugin struct {
	name     string
	match    *core.MatchConfig
	tools    []core.ToolConfig
	invoke   func(ctx context.Context, call *core.Call) (*core.Result, error)
	after    transformer
	before   requestTransformer
	ask      callAuthorizer
	list     func(ctx context.Context) ([]core.ToolConfig, error)
	cannotBe map[core.PluginKind]error // it says it is, and fails
}

func (p *plugin) Name() string             { return p.name }
func (p *plugin) Tools() []core.ToolConfig { return p.tools }

func (p *plugin) Has(kind core.PluginKind) bool {
	return p.cannotBe[kind] != nil || map[core.PluginKind]bool{
		core.PluginInvoker: p.invoke != nil, core.PluginCatalogue: p.list != nil, core.PluginResponseTransformer: p.after != nil,
		core.PluginRequestTransformer: p.before != nil, core.PluginAuthorizer: p.ask != nil,
	}[kind]
}

func is[T any](p *plugin, kind core.PluginKind, there bool, value T) (T, error) {
	var none T
	switch err := p.cannotBe[kind]; {
	case err != nil:
		return none, err
	case !there:
		return none, &core.Error{Code: core.CodeInvalid, Message: "plugin " + p.name + " is no " + string(kind)}
	}
	return value, nil
}

func (p *plugin) Invoker(string) (core.Invoker, error) {
	return is[core.Invoker](p, core.PluginInvoker, p.invoke != nil, core.Func(p.invoke))
}

func (p *plugin) Transformer() (core.Transformer, error) {
	return is[core.Transformer](p, core.PluginResponseTransformer, p.after != nil, p.after)
}

func (p *plugin) RequestTransformer() (core.RequestTransformer, error) {
	return is[core.RequestTransformer](p, core.PluginRequestTransformer, p.before != nil, p.before)
}

func (p *plugin) CallAuthorizer() (core.CallAuthorizer, error) {
	return is[core.CallAuthorizer](p, core.PluginAuthorizer, p.ask != nil, p.ask)
}

func (p *plugin) Catalogue() (core.Catalogue, error) {
	return is[core.Catalogue](p, core.PluginCatalogue, p.list != nil, pluginCatalogue{p})
}

type pluginCatalogue struct{ of *plugin }

func (c pluginCatalogue) Tools(ctx context.Context) ([]core.ToolConfig, error) { return c.of.list(ctx) }

func (c pluginCatalogue) Invoker(tool string) (core.Invoker, error) {
	switch {
	case strings.HasSuffix(tool, "panic"):
		panic("a secret in a panic")
	case strings.HasSuffix(tool, "lost"):
		return nil, errors.New("it is gone")
	}
	return core.Func(func(ctx context.Context, call *core.Call) (*core.Result, error) {
		if c.of.invoke != nil {
			return c.of.invoke(ctx, call)
		}
		return core.TextResult("listed " + tool), nil
	}), nil
}

type requestTransformer func(ctx context.Context, call *core.Call) error

func (f requestTransformer) TransformRequest(ctx context.Context, call *core.Call) error {
	return f(ctx, call)
}

type callAuthorizer func(ctx context.Context, call *core.Call) error

func (f callAuthorizer) AuthorizeCall(ctx context.Context, call *core.Call) error {
	return f(ctx, call)
}

// standardSet has a plugin that is everything for each config, and stands aside.
func standardSet(_ context.Context, configs []core.PluginConfig) (core.PluginSet, []core.Problem) {
	set := &pluginSet{}
	for i := range configs {
		set.all = append(set.all, &plugin{
			name: configs[i].Name, match: configs[i].Match,
			invoke: func(context.Context, *core.Call) (*core.Result, error) { return core.TextResult("plugin"), nil },
			after:  func(_ context.Context, _ *core.Call, in *core.Result) (*core.Result, error) { return in, nil },
			before: func(context.Context, *core.Call) error { return nil },
			ask:    func(context.Context, *core.Call) error { return nil },
			list: func(context.Context) ([]core.ToolConfig, error) {
				return []core.ToolConfig{{Name: "find", Description: "finds", InputSchema: raw(`{"type":"object"}`)}}, nil
			},
		})
	}
	return set, nil
}

// setOf makes a Plugins of these, whatever the document says.
func setOf(all ...*plugin) *plugins {
	return &plugins{set: func(context.Context, []core.PluginConfig) (core.PluginSet, []core.Problem) {
		return &pluginSet{all: all}, nil
	}}
}

// plugs is the KindConfig of a plug.
func plugs(config string) core.KindConfig { return core.KindConfig{Kind: "plug", Config: raw(config)} }

func plugKind[T any](as func(core.Plugin) (T, error)) core.Kind[T] {
	return core.Kind[T]{
		Name:   "plug",
		Schema: json.RawMessage(`{"type":"object","properties":{"plugin":{"type":"string"}},"required":["plugin"],"additionalProperties":false}`),
		New: func(_ context.Context, config json.RawMessage, env core.Env) (T, error) {
			var c struct{ Plugin string }
			var none T
			if err := json.Unmarshal(config, &c); err != nil {
				return none, err
			}
			if env.Plugins == nil {
				return none, errors.New("no plugins here")
			}
			found, err := env.Plugins.Plugin(c.Plugin)
			if err != nil {
				return none, err
			}
			return as(found)
		},
	}
}

// plugKinds are kinds as those of package plugins.
func plugKinds() Kinds {
	invoker := plugKind(func(p core.Plugin) (core.Invoker, error) { return p.Invoker("") })
	invoker.Tool = func(config json.RawMessage, env core.Env) *core.ToolConfig {
		var c struct{ Plugin string }
		if json.Unmarshal(config, &c) != nil || env.Plugins == nil {
			return nil
		}
		found, err := env.Plugins.Plugin(c.Plugin)
		if err != nil || len(found.Tools()) == 0 {
			return nil
		}
		return &found.Tools()[0]
	}
	return Kinds{
		Invokers:     []core.Kind[core.Invoker]{invoker},
		Transformers: []core.Kind[core.Transformer]{plugKind(core.Plugin.Transformer)},
		Requests:     []core.Kind[core.RequestTransformer]{plugKind(core.Plugin.RequestTransformer)},
		Authorizers:  []core.Kind[core.CallAuthorizer]{plugKind(core.Plugin.CallAuthorizer)},
		Catalogues:   []core.Kind[core.Catalogue]{plugKind(core.Plugin.Catalogue)},
	}
}
