package documents

import (
	"cmp"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// Affected says who notices a change: the servers whose documents, connections, plugins or
// upstreams it touches. What anybody sees depends on policies beside that.
type Affected struct {
	Servers     []AffectedServer `json:"servers"`
	Connections Names            `json:"connections"`
	Plugins     Names            `json:"plugins"`
	Upstreams   Names            `json:"upstreams"`
}

// AffectedServer is one server that is not the same as before.
type AffectedServer struct {
	Name      string `json:"name"`
	Document  string `json:"document"` // that it stands in, or stood in when it is removed
	Op        Op     `json:"op"`       // Add, Remove, Replace
	Prefix    string `json:"prefix"`   // where clients find it
	Was       string `json:"was"`      // its prefix before, when clients must look elsewhere now; else the same
	Tools     Names  `json:"tools"`
	Prompts   Names  `json:"prompts"`
	Resources Names  `json:"resources"` // by URI or template
	// Lists tells whether clients see a change in tools/list; a server whose tools are known
	// only when it runs, from catalogues or upstreams, counts when what asks for them changes.
	Lists bool `json:"listsChange"`
}

// Names are the names of parts, sorted.
type Names struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Shown   []string `json:"shown"` // clients are told something else about them
	Runs    []string `json:"runs"`  // clients see no difference, and what runs does differ
}

func (n *Names) empty() bool {
	return len(n.Added)+len(n.Removed)+len(n.Shown)+len(n.Runs) == 0
}

// shown are the members of a part that clients see.
var shown = []string{
	"name", "title", "description", "inputSchema", "outputSchema", "annotations", "icons", "execution", "_meta",
	"arguments", "uri", "uriTemplate", "mimeType", "size",
}

// standing is a part of the documents of a tenant, and the document it stands in.
type standing struct {
	*node
	document string
}

// estate is what the documents of a tenant hold, by name.
type estate struct{ servers, connections, plugins, upstreams map[string]standing }

func (d *Desk) estate(documents []core.Document) *estate {
	e := &estate{servers: map[string]standing{}, connections: map[string]standing{}, plugins: map[string]standing{}, upstreams: map[string]standing{}}
	for i := range documents {
		one := &documents[i]
		tree, hidden, _ := d.o.Parse(one.Name+".yaml", []byte(one.Text))
		top := parse(tree, hidden)
		for key, into := range map[string]map[string]standing{"servers": e.servers, "connections": e.connections, "plugins": e.plugins, "upstreams": e.upstreams} {
			for _, item := range top.get(key).list() {
				if name := item.get("name").string(); name != "" {
					into[name] = standing{item, one.Name}
				}
			}
		}
	}
	return e
}

// affected compares what a tenant serves before and after.
func (d *Desk) affected(before, after []core.Document) Affected {
	a, b := d.estate(before), d.estate(after)
	connections, plugins, upstreams := among(a.connections, b.connections), among(a.plugins, b.plugins), among(a.upstreams, b.upstreams)
	touched := &touch{connections: map[string]bool{}, plugins: map[string]bool{}, upstreams: map[string]bool{}}
	for _, list := range [][]string{connections.Added, connections.Removed, connections.Runs} {
		for _, name := range list {
			touched.connections[name] = true
		}
	}
	for _, list := range [][]string{plugins.Added, plugins.Removed, plugins.Runs} {
		for _, name := range list {
			touched.plugins[name] = true
			for _, one := range []standing{a.plugins[name], b.plugins[name]} {
				if match := one.get("match"); match != nil {
					touched.matches = append(touched.matches, match)
				}
			}
		}
	}
	for name, now := range b.upstreams { // also what is behind another connection now
		if touched.reaches(now.node) && !slices.Contains(upstreams.Added, name) && !slices.Contains(upstreams.Runs, name) {
			upstreams.Runs = append(upstreams.Runs, name)
		}
	}
	upstreams.sort()
	for _, list := range [][]string{upstreams.Added, upstreams.Removed, upstreams.Runs} {
		for _, name := range list {
			touched.upstreams[name] = true
		}
	}
	result := Affected{Connections: connections, Plugins: plugins, Upstreams: upstreams}
	for name, was := range a.servers {
		now, there := b.servers[name]
		if !there {
			one := AffectedServer{Name: name, Document: was.document, Op: Remove, Prefix: prefixOf(was.node), Was: prefixOf(was.node)}
			one.compare(was.node, nil, touched)
			result.Servers = append(result.Servers, one)
			continue
		}
		one := AffectedServer{Name: name, Document: now.document, Op: Replace, Prefix: prefixOf(now.node), Was: prefixOf(was.node)}
		one.compare(was.node, now.node, touched)
		if !equal(was.node, now.node) || !one.Tools.empty() || !one.Prompts.empty() || !one.Resources.empty() || one.Lists {
			result.Servers = append(result.Servers, one)
		}
	}
	for name, now := range b.servers {
		if _, there := a.servers[name]; !there {
			one := AffectedServer{Name: name, Document: now.document, Op: Add, Prefix: prefixOf(now.node), Was: prefixOf(now.node)}
			one.compare(nil, now.node, touched)
			result.Servers = append(result.Servers, one)
		}
	}
	slices.SortFunc(result.Servers, func(a, b AffectedServer) int { return cmp.Compare(a.Name, b.Name) })
	return result
}

// among compares parts that clients do not see.
func among(a, b map[string]standing) Names {
	var n Names
	for name, was := range a {
		if now, there := b[name]; !there {
			n.Removed = append(n.Removed, name)
		} else if !equal(was.node, now.node) {
			n.Runs = append(n.Runs, name)
		}
	}
	for name := range b {
		if _, there := a[name]; !there {
			n.Added = append(n.Added, name)
		}
	}
	n.sort()
	return n
}

func (n *Names) sort() {
	for _, list := range [][]string{n.Added, n.Removed, n.Shown, n.Runs} {
		slices.Sort(list)
	}
}

func prefixOf(server *node) string {
	if prefix := server.get("prefix"); prefix != nil {
		return prefix.string()
	}
	return server.get("name").string()
}

// touch is what changed beside servers, and changes how they run.
type touch struct {
	connections, plugins, upstreams map[string]bool
	matches                         []*node // of plugins that changed
}

func (s *AffectedServer) compare(a, b *node, t *touch) {
	s.Tools = parts(a.get("tools"), b.get("tools"), "name", func(tool *node) bool { return t.reaches(tool) || t.matched(s.Name, tool) })
	s.Prompts = parts(a.get("prompts"), b.get("prompts"), "name", t.reaches)
	s.Resources = parts(a.get("resources"), b.get("resources"), "uri", t.reaches)
	templates := parts(a.get("resourceTemplates"), b.get("resourceTemplates"), "uriTemplate", t.reaches)
	s.Resources = Names{
		Added: slices.Concat(s.Resources.Added, templates.Added), Removed: slices.Concat(s.Resources.Removed, templates.Removed),
		Shown: slices.Concat(s.Resources.Shown, templates.Shown), Runs: slices.Concat(s.Resources.Runs, templates.Runs),
	}
	s.Resources.sort()
	catalogues := !equal(a.get("catalogues"), b.get("catalogues")) || t.reaches(a.get("catalogues")) || t.reaches(b.get("catalogues"))
	mounts := !equal(a.get("upstreams"), b.get("upstreams")) || t.mounted(a.get("upstreams")) || t.mounted(b.get("upstreams"))
	s.Lists = catalogues || mounts || len(s.Tools.Added)+len(s.Tools.Removed)+len(s.Tools.Shown) > 0 || !slices.Equal(orderOf(a), orderOf(b))
}

// orderOf returns the names of the tools of a server, as clients are told them.
func orderOf(server *node) []string {
	var names []string
	for _, tool := range server.get("tools").list() {
		names = append(names, tool.get("name").string())
	}
	return names
}

// parts compares the tools, prompts or resources of a server.
func parts(a, b *node, key string, touched func(*node) bool) Names {
	var n Names
	was := map[string]*node{}
	for _, item := range a.list() {
		was[item.get(key).string()] = item
	}
	now := map[string]bool{}
	for _, item := range b.list() {
		name := item.get(key).string()
		if now[name] {
			continue
		}
		now[name] = true
		before, there := was[name]
		switch {
		case !there:
			n.Added = append(n.Added, name)
		case differsForClients(before, item):
			n.Shown = append(n.Shown, name)
		case !equal(before, item) || touched(item):
			n.Runs = append(n.Runs, name)
		}
	}
	for name := range was {
		if !now[name] {
			n.Removed = append(n.Removed, name)
		}
	}
	n.sort()
	return n
}

// differsForClients tells whether a list shows a part otherwise. What a part leaves out may
// come from its invoker, so then another invoker counts.
func differsForClients(a, b *node) bool {
	for _, key := range shown {
		if !equal(a.get(key), b.get(key)) {
			return true
		}
	}
	fromInvoker := b.get("description") == nil || b.get("inputSchema") == nil && b.get("uri") == nil && b.get("uriTemplate") == nil
	return fromInvoker && b.get("invoker") != nil && !equal(a.get("invoker"), b.get("invoker"))
}

// reaches tells whether a part names, at any depth, a connection or plugin that changed.
func (t *touch) reaches(n *node) bool {
	if n == nil || len(t.connections)+len(t.plugins) == 0 {
		return false
	}
	for i, item := range n.items {
		if n.open == '{' && item.open == 0 {
			if n.keys[i] == "connection" && t.connections[item.string()] || n.keys[i] == "plugin" && t.plugins[item.string()] {
				return true
			}
		}
		if t.reaches(item) {
			return true
		}
	}
	return false
}

// mounted tells whether one of the upstreams of a server changed.
func (t *touch) mounted(mounts *node) bool {
	return slices.ContainsFunc(mounts.list(), func(mount *node) bool { return t.upstreams[mount.get("upstream").string()] })
}

// matched tells whether a plugin that changed stands before or behind a tool unnamed.
func (t *touch) matched(server string, tool *node) bool {
	name := tool.get("name").string()
	return slices.ContainsFunc(t.matches, func(match *node) bool {
		return globs(match.get("servers"), server) && globs(match.get("tools"), name)
	})
}

// globs tells whether one of the patterns matches; without any everything does.
func globs(patterns *node, name string) bool {
	list := patterns.list()
	return len(list) == 0 || slices.ContainsFunc(list, func(pattern *node) bool {
		g := core.NewGlob(pattern.string())
		return g.Match([]byte(name))
	})
}
