package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// separators are those that may stand between a prefix and a name.
var separators = []string{"_", "__", ".", "-", "--"}

// offered are the lists of a server while it is built.
type offered struct {
	tools     []*core.Tool
	prompts   []*core.Prompt
	resources []*core.Resource
	templates []*core.Resource
}

// mounts adds what upstreams offer to a server.
func (b *build) mounts(s *core.ServerConfig, built *server, lists *offered) {
	prefixes := map[[2]string]bool{}
	for i := range s.Upstreams {
		if b.ctx.Err() != nil {
			return
		}
		c := s.Upstreams[i]
		c.At = place(c.At, fmt.Sprintf("%s/upstreams/%d", s.Path, i))
		if c.Source == nil {
			c.Source = s.Source
		}
		m := b.mount(&c)
		if m == nil {
			continue
		}
		key := [2]string{m.upstream, m.names}
		if prefixes[key] {
			b.report(c.At, "/upstream", "upstream "+quoted(m.upstream)+" is in this server twice with the same prefix", "remove one of them, or give it another prefix")
			continue
		}
		prefixes[key] = true
		if m.offer == nil {
			continue // it was not reached yet, which is said at the upstream
		}
		built.mounts = append(built.mounts, m)
		b.mountTools(s, built, m, &c, lists)
		b.mountPrompts(built, m, &c, lists)
		b.mountResources(built, m, &c, lists)
	}
	built.wire.Instructions = introductions(s, built.mounts)
}

// mount checks a mount; nil when it is wrong, or its upstream is disabled or wrong.
func (b *build) mount(c *core.MountConfig) *mount {
	before := b.fatal
	m := &mount{upstream: c.Upstream, prefix: c.Upstream, timeout: b.timeout(c.At, c.Timeout), resources: picksOf(c.Resources)}
	m.silent = c.Instructions != nil && !*c.Instructions
	up, declared := b.upstreams[c.Upstream]
	b.mountedIn[c.Upstream] = true
	switch {
	case c.Upstream == "":
		b.report(c.At, "/upstream", "upstream is required", "name one of upstreams")
	case !declared:
		fix := "declare it under upstreams"
		if len(b.upstreams) > 0 {
			fix = suggest(c.Upstream, sortedKeys(b.upstreams))
		}
		b.report(c.At, "/upstream", "there is no upstream "+quoted(c.Upstream), fix)
	}
	if c.Prefix != nil {
		m.prefix = *c.Prefix
	}
	separator := c.Separator
	if separator == "" {
		separator = "_"
	}
	if !slices.Contains(separators, separator) {
		b.report(c.At, "/separator", quoted(separator)+" cannot stand between a prefix and a name", suggest(separator, separators))
	}
	if m.prefix != "" {
		rel := "/prefix"
		if c.Prefix == nil {
			rel = "/upstream"
		}
		switch {
		case !isSlug(m.prefix) || m.prefix[0] < 'a':
			if declared || c.Prefix != nil {
				b.report(c.At, rel, quoted(m.prefix)+" cannot be a prefix", "use small letters, digits and -, beginning with a letter and not ending with -")
			}
		case strings.Contains(m.prefix, separator):
			b.report(c.At, rel, "the prefix "+quoted(m.prefix)+" holds the separator "+quoted(separator)+", so names could not be taken apart again", "give it another prefix or separator")
		}
		m.names = m.prefix + separator
	}
	for _, name := range sortedKeys(c.Overrides) {
		o := c.Overrides[name]
		b.override(core.At{Source: c.Source, Path: c.Path + "/overrides/" + escape(name)}, &o)
	}
	if b.fatal != before || up == nil || up.Disabled || b.remotes == nil {
		return nil
	}
	if m.remote = b.remotes.Remote(c.Upstream); m.remote != nil {
		m.offer = m.remote.Offer()
	}
	return m
}

// override checks what a document says differently of a tool.
func (b *build) override(at core.At, o *core.OverrideConfig) {
	b.object(at, "/annotations", o.Annotations, toolAnnotations)
	b.scopes(at, o.Scopes)
	for _, name := range sortedKeys(o.Arguments) {
		a, given := o.Arguments[name], 0
		for _, is := range []bool{a.Default != nil, a.Fixed != nil, a.Hidden} {
			if is {
				given++
			}
		}
		if given > 1 {
			b.report(at, "/arguments/"+escape(name), "an argument has at most one of default, fixed and hidden", "keep one of them")
		}
	}
}

// introductions puts the instructions of the server and of its upstreams together.
func introductions(s *core.ServerConfig, mounts []*mount) string {
	parts := []string{}
	if s.Instructions != "" {
		parts = append(parts, s.Instructions)
	}
	for _, m := range mounts {
		text := strings.TrimSpace(m.offer.Instructions)
		if text == "" || m.silent {
			continue
		}
		switch {
		case m.names != "":
			text = "The tools and prompts whose names begin with " + m.names + ":\n" + text
		case len(mounts) == 1 && s.Instructions == "":
			return m.offer.Instructions // as it is
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "\n\n")
}

// clash reports a name that two parts of a server have. It refuses the build: whichever
// was meant, the other one would get its calls.
func (b *build) clash(at core.At, what, name string, m, earlier *mount) {
	other := "one of the document itself"
	if earlier != nil {
		other = "one of upstream " + quoted(earlier.upstream)
	}
	b.report(at, "", fmt.Sprintf("%s %s of upstream %s has the name of %s", what, quoted(name), quoted(m.upstream), other), "give the upstream another prefix, or deny one of them")
}

// room tells whether a list may have one more, and warns once where it may not.
func (b *build) room(at core.At, what string, have, left int) bool {
	if have < b.options.Limits.Items {
		return true
	}
	b.warn(at, "", fmt.Sprintf("%d %s of the upstream are left out", left, what), fmt.Sprintf("a server has at most %d", b.options.Limits.Items))
	return false
}

func (b *build) mountTools(s *core.ServerConfig, built *server, m *mount, c *core.MountConfig, lists *offered) {
	chosen, seen := picksOf(c.Tools), map[string]bool{}
	for i, raw := range m.offer.Tools {
		wire := toolFrom(raw)
		own := wire.Name
		seen[own] = true
		if !chosen.has(own) {
			continue
		}
		if !b.room(c.At, "tools", len(lists.tools), len(m.offer.Tools)-i) {
			break
		}
		name := m.name(own)
		if earlier := built.toolOf[name]; earlier != nil {
			b.clash(c.At, "tool", name, m, earlier.mount)
			continue
		}
		var o *core.OverrideConfig
		if found, ok := c.Overrides[own]; ok {
			o = &found
		}
		t := b.remoteTool(s, m, c, wire, o)
		built.toolOf[name] = t
		lists.tools = append(lists.tools, t.wire)
	}
	for _, name := range sortedKeys(c.Overrides) {
		if !seen[name] {
			b.warn(c.At, "/overrides/"+escape(name), "upstream "+quoted(m.upstream)+" has no tool "+quoted(name)+" now", suggest(name, sortedKeys(seen)))
		}
	}
	b.idle(c, "/tools", c.Tools, sortedKeys(seen))
}

// idle warns of patterns that match nothing.
func (b *build) idle(c *core.MountConfig, rel string, s *core.SelectConfig, names []string) {
	if s == nil {
		return
	}
	for _, list := range []struct {
		rel   string
		globs []string
	}{{"/allow", s.Allow}, {"/deny", s.Deny}} {
		for i, text := range list.globs {
			glob := core.NewGlob(text)
			if !slices.ContainsFunc(names, func(name string) bool { return glob.Match([]byte(name)) }) {
				b.warn(c.At, fmt.Sprintf("%s%s/%d", rel, list.rel, i), quoted(text)+" matches nothing that upstream "+quoted(c.Upstream)+" has now", suggest(text, names))
			}
		}
	}
}

// remoteTool builds a tool of an upstream.
func (b *build) remoteTool(s *core.ServerConfig, m *mount, c *core.MountConfig, w *core.Tool, o *core.OverrideConfig) *tool {
	own := w.Name
	w.Name = m.name(own)
	w.Meta = m.withView(w.Meta)
	invoker := &remoteTool{mount: m, own: own}
	t := &tool{wire: w, timeout: m.timeout, mount: m}
	if o != nil {
		at := core.At{Source: c.Source, Path: c.Path + "/overrides/" + escape(own)}
		invoker.with = b.differently(at, w, o)
		if t.scopes = b.scopes(at, o.Scopes); len(t.scopes) > 0 && s.Access != nil {
			t.scopes = slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.Access.Scopes, t.scopes))))
		}
	}
	// A schema that does not compile here is the business of the upstream, which checks
	// for itself.
	if compiled, _ := b.options.Schemas.compile(w.InputSchema); compiled != nil && compiled.object {
		t.input, w.Headers = compiled, compiled.headers
	}
	p := &part{at: c.At, server: s.Name, name: w.Name, timeout: m.timeout}
	t.chain.invoker, t.chain.runs = invoker, "upstream"
	b.around(&t.chain, p)
	t.chain.settle()
	return t
}

// differently applies an override to a tool, and returns what becomes of arguments.
func (b *build) differently(at core.At, w *core.Tool, o *core.OverrideConfig) *arguments {
	if o.Title != "" {
		w.Title = o.Title
	}
	if o.Description != "" {
		w.Description = o.Description
	}
	if len(o.Annotations) > 0 {
		w.Annotations = laid(w.Annotations, compact(o.Annotations))
	}
	if len(o.Arguments) == 0 {
		return nil
	}
	properties := memberOf(w.InputSchema, "properties")
	required := requiredIn(w.InputSchema)
	for _, name := range sortedKeys(o.Arguments) {
		a, rel := o.Arguments[name], "/arguments/"+escape(name)
		if memberOf(properties, name) == nil {
			b.warn(at, rel, "the tool has no argument "+quoted(name)+" now", "look at its input schema")
		}
		if a.Hidden && slices.Contains(required, name) {
			b.warn(at, rel+"/hidden", "the upstream requires the argument "+quoted(name)+", so its calls fail without it", "give it fixed")
		}
	}
	w.InputSchema = schemaWith(w.InputSchema, o.Arguments)
	return argumentsWith(o.Arguments)
}

func requiredIn(schema json.RawMessage) (names []string) {
	_ = json.Unmarshal(memberOf(schema, "required"), &names) // another type requires nothing
	return names
}

func (b *build) mountPrompts(built *server, m *mount, c *core.MountConfig, lists *offered) {
	chosen := picksOf(c.Prompts)
	var names []string
	for i, raw := range m.offer.Prompts {
		w := promptFrom(raw)
		own := w.Name
		names = append(names, own)
		if !chosen.has(own) {
			continue
		}
		if !b.room(c.At, "prompts", len(lists.prompts), len(m.offer.Prompts)-i) {
			break
		}
		w.Name = m.name(own)
		if earlier := built.promptOf[w.Name]; earlier != nil {
			b.clash(c.At, "prompt", w.Name, m, earlier.mount)
			continue
		}
		built.promptOf[w.Name] = &prompt{
			wire: w, timeout: m.timeout, mount: m, own: own,
			chain: chain{invoker: &remotePrompt{mount: m, own: own}},
		}
		lists.prompts = append(lists.prompts, w)
	}
	b.idle(c, "/prompts", c.Prompts, names)
}

func (b *build) mountResources(built *server, m *mount, c *core.MountConfig, lists *offered) {
	m.barred = map[string]bool{}
	for _, held := range m.offer.Held {
		switch held.Of {
		case "resource":
			m.barred[held.Name] = true
		case "template":
			m.closed = append(m.closed, looseGlob(held.Name))
		}
	}
	var names []string
	for i, raw := range m.offer.Resources {
		r := b.remoteResource(m, raw, false)
		names = append(names, r.own)
		if !m.resources.has(r.own) {
			m.barred[r.own] = true
			continue
		}
		if !b.room(c.At, "resources", len(lists.resources), len(m.offer.Resources)-i) {
			break
		}
		if earlier := built.resourceOf[r.wire.URI]; earlier != nil {
			b.clash(c.At, "resource", r.wire.URI, m, earlier.mount)
			continue
		}
		built.resourceOf[r.wire.URI] = r
		lists.resources = append(lists.resources, r.wire)
	}
	for i, raw := range m.offer.Templates {
		r := b.remoteResource(m, raw, true)
		names = append(names, r.own)
		if !m.resources.has(r.own) {
			m.closed = append(m.closed, looseGlob(r.own))
			continue
		}
		m.open = append(m.open, looseGlob(r.own))
		if !b.room(c.At, "resource templates", len(lists.templates), len(m.offer.Templates)-i) {
			break
		}
		if earlier := built.templateOf[r.wire.URI]; earlier != nil {
			b.clash(c.At, "resource template", r.wire.URI, m, earlier.mount)
			continue
		}
		built.templateOf[r.wire.URI] = r
		built.inOrder = append(built.inOrder, r)
		lists.templates = append(lists.templates, r.wire)
	}
	b.idle(c, "/resources", c.Resources, names)
}

func (b *build) remoteResource(m *mount, raw json.RawMessage, template bool) *resource {
	w := resourceFrom(raw, template)
	r := &resource{wire: w, timeout: m.timeout, mount: m, own: w.URI, chain: chain{invoker: remoteResource{m}}}
	w.URI = m.outward(r.own)
	w.Meta = m.withView(w.Meta)
	if template {
		if t, f := parseURITemplate(w.URI); f == nil {
			r.template = t
		} else {
			loose := looseGlob(w.URI) // of a higher level of RFC 6570
			r.loose = &loose
		}
	}
	return r
}
