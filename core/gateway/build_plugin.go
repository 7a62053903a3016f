package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// buildPlugins opens the plugins of a Config. The set is the first thing that a
// Catalog opens, so that it is closed after everything that uses it.
func (b *build) buildPlugins(list []core.PluginConfig) {
	b.pluginAt, b.pluginUsed, b.matched, b.unusable = map[string]core.At{}, map[string]bool{}, map[string]bool{}, map[unusable]error{}
	known := make([]core.PluginConfig, 0, len(list))
	for i := range list {
		c := list[i] // a copy: the Config is not ours
		c.At = place(c.At, fmt.Sprintf("/plugins/%d", i))
		switch _, twice := b.pluginAt[c.Name]; {
		case c.Name == "":
			b.report(c.At, "/name", "name is required", "give the plugin a name of small letters, digits and -")
			continue
		case !isSlug(c.Name):
			b.report(c.At, "/name", quoted(c.Name)+" is not the name of a plugin", "use 1 to 63 small letters, digits and -, beginning and ending with a letter or digit"+slugOf(c.Name))
			continue
		case twice:
			b.report(c.At, "/name", "there is another plugin "+quoted(c.Name), "give each plugin its own name, over all files")
			continue
		}
		b.pluginAt[c.Name] = c.At
		known = append(known, c)
	}
	if b.options.Plugins == nil {
		for _, c := range known {
			b.report(c.At, "", "this gateway has no plugins", "remove the plugin, and what names it")
		}
		return
	}
	set, problems := b.options.Plugins.Open(b.ctx, known)
	if set != nil {
		b.plugins = set
		b.catalog.closers = append(b.catalog.closers, closer{name: "plugins", close: set.Close})
	}
	for _, p := range problems {
		b.add(p)
	}
	if set == nil && !b.bad() {
		b.report(core.At{Path: "/plugins"}, "", "the plugins cannot be opened, and nothing says why", "please report this")
	}
}

// unusable is a plugin that matches a tool, and what it cannot be used as.
type unusable struct {
	plugin string
	kind   core.PluginKind
}

// finishPlugins keeps which files the plugins were read from, reports those that match
// tools and cannot stand there, and warns of those that nothing uses.
func (b *build) finishPlugins(list []core.PluginConfig) {
	if b.plugins == nil {
		return
	}
	b.catalog.pluginFiles = slices.Clone(b.plugins.Files())
	if b.options.reading != nil {
		b.options.reading(b.catalog.pluginFiles)
	}
	for one, err := range b.unusable {
		if !errors.Is(err, core.ErrReported) || !b.bad() {
			b.report(b.pluginAt[one.plugin], "/match", "plugin "+quoted(one.plugin)+" cannot be used as "+string(one.kind)+because(err), "mend it, or remove match")
		}
	}
	said := map[string]bool{}
	for i := range list {
		c := &list[i]
		at, known := b.pluginAt[c.Name]
		switch {
		case !known || said[c.Name]:
		case c.Disabled && c.Match != nil: // what names it refuses; what it matches does not
			b.warn(at, "/disabled", "plugin "+quoted(c.Name)+" is disabled: the tools that it matches are called without it", "remove disabled, unless that is meant; a tool that names it refuses meanwhile")
		case c.Disabled:
		case c.Match != nil && !b.matched[c.Name] && !b.bad(): // a letter too few, and an authorizer guards nothing
			b.warn(at, "/match", "plugin "+quoted(c.Name)+" matches no tool, and stands nowhere", "compare the names under servers and tools with those of your tools; in a catalogue a tool has the prefix in its name")
		case c.Match == nil && !b.pluginUsed[c.Name]:
			b.warn(at, "/name", "plugin "+quoted(c.Name)+" is not used", "remove it, name it in a tool, or say by match which tools it stands before and behind")
		}
		said[c.Name] = true
	}
}

// around adds the plugins that match a tool to its chain: authorizers and request
// transformers before its own, the outermost first; response transformers behind its
// own, the outermost last.
func (b *build) around(c *chain, p *part) {
	if b.plugins == nil {
		return
	}
	matching := b.plugins.Matching(p.server, p.name)
	var askers []asker
	var rewriters []rewriter
	for _, one := range matching {
		b.pluginUsed[one.Name()], b.matched[one.Name()] = true, true
		if made, ok := usable(b, one, core.PluginAuthorizer, core.Plugin.CallAuthorizer); ok {
			askers = append(askers, asker{CallAuthorizer: made, name: one.Name()})
			c.values = c.values || needsValues(made)
		}
		if made, ok := usable(b, one, core.PluginRequestTransformer, core.Plugin.RequestTransformer); ok {
			rewriters = append(rewriters, rewriter{RequestTransformer: made, name: one.Name(), values: needsValues(made)})
		}
	}
	for _, one := range slices.Backward(matching) {
		if made, ok := usable(b, one, core.PluginResponseTransformer, core.Plugin.Transformer); ok {
			c.transformers, c.rewrites = append(c.transformers, made), append(c.rewrites, one.Name())
			c.after = c.after || needsValues(made)
		}
	}
	c.authorizers = append(askers, c.authorizers...)
	c.requests = append(rewriters, c.requests...)
}

// usable takes what a matching plugin is of one kind; false when it is not of it. One
// that is, and fails, is a mistake, also for a tool of a catalogue: leaving out an
// authorizer would open what it guards.
func usable[T any](b *build, plugin core.Plugin, kind core.PluginKind, as func(core.Plugin) (T, error)) (made T, ok bool) {
	if !plugin.Has(kind) {
		return made, false
	}
	made, err := as(plugin)
	if err == nil && any(made) != nil {
		return made, true
	}
	b.unusable[unusable{plugin.Name(), kind}] = err
	return made, false
}

// because says why in the words of an error that was made for people.
func because(err error) string {
	var e *core.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e) && e.Message != "":
		return ": " + e.Public()
	}
	return ": " + err.Error()
}

// knownOf asks a kind what it knows of the tool that an invoker runs. A panic in it is
// a mistake that is said, not the end.
func knownOf(b *build, p *part, c *chosen[core.Invoker]) (known *core.ToolConfig) {
	if c.kind.Tool == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			b.options.Log.Error("panic while asking a kind of a tool", "kind", c.kind.Name, "panic", panicText(r), "stack", string(debug.Stack()))
			b.report(p.at, c.rel+"/config", fmt.Sprintf("kind %s stumbled over this config: %s", c.kind.Name, panicText(r)), "")
			known = nil
		}
	}()
	return c.kind.Tool(c.config, b.env(p, c.kind.Name))
}

// fill takes from known what the document leaves out.
func fill(c *core.ToolConfig, known *core.ToolConfig) {
	if known == nil {
		return
	}
	if c.Title == "" {
		c.Title = known.Title
	}
	if c.Description == "" {
		c.Description = known.Description
	}
	if len(c.InputSchema) == 0 {
		c.InputSchema = known.InputSchema
	}
	if len(c.OutputSchema) == 0 {
		c.OutputSchema = known.OutputSchema
	}
	if len(c.Annotations) == 0 {
		c.Annotations = known.Annotations
	}
}
