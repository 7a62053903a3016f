package gateway

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

// Gateway answers requests on the Catalog that was published last. It is safe for
// concurrent use.
type Gateway struct {
	options Options
	current atomic.Pointer[Catalog]

	publishing sync.Mutex // one Publish or Close at a time, so that changes are told in order
	closed     bool
	retired    map[*Catalog]struct{} // still held by requests; under publishing

	pluginFiles atomic.Pointer[[]string] // of the last Build

	listeners listeners
	follows   follows
}

// New makes a Gateway that serves nothing yet.
func New(o Options) *Gateway {
	if o.Schemas == nil {
		o.Schemas = NewSchemas()
	}
	g := &Gateway{options: o.filled(), retired: map[*Catalog]struct{}{}}
	g.options.Changes = g
	return g
}

// Build builds a Catalog with the options of the Gateway: what its invokers say
// has changed is told to the clients of the Gateway, and schemas that did not
// change are not compiled again.
func (g *Gateway) Build(ctx context.Context, config core.Config) (*Catalog, []core.Problem) {
	o := g.options
	o.reading = func(files []string) { g.pluginFiles.Store(&files) }
	return Build(ctx, config, o)
}

// PluginFiles lists the files that the plugins of the last Build were read from, also
// when no Catalog came of it: mending one of them is a reason to build again.
func (g *Gateway) PluginFiles() []string {
	if files := g.pluginFiles.Load(); files != nil {
		return slices.Clone(*files)
	}
	return nil
}

// Publish makes c what requests run on from now, and takes it over. Requests under
// way keep the Catalog they began with; it is closed after the last of them. The
// clients of every server that changed are told. A nil Catalog serves nothing.
// After Close, c is closed at once. A Catalog is published once only.
func (g *Gateway) Publish(c *Catalog) {
	g.publishing.Lock()
	defer g.publishing.Unlock()
	if g.closed {
		if c != nil {
			c.disown(byBuilder)
		}
		return
	}
	old := g.current.Load()
	if c != nil && !c.owner.CompareAndSwap(byBuilder, byGateway) {
		if old != c {
			g.options.Log.Error("publish: this catalog was already published or closed; build it again")
		}
		return
	}
	g.current.Store(c)
	g.retire(old)
	g.tell(old, c)
	g.follows.renew(g)
}

// retire drops the Gateway's hold on a Catalog and forgets those that are closed.
func (g *Gateway) retire(c *Catalog) {
	for one := range g.retired {
		select {
		case <-one.closed:
			delete(g.retired, one)
		default:
		}
	}
	if c != nil {
		g.retired[c] = struct{}{}
		c.disown(byGateway)
	}
}

// tell says which lists differ between two Catalogs, and which resources that stand
// in the documents hold something else. A server that vanished has empty lists; so
// does one that was not there before. Files are the business of whoever watches them.
func (g *Gateway) tell(old, next *Catalog) {
	for _, name := range g.listeners.servers() {
		a, b := old.digestOf(name), next.digestOf(name)
		if a.tools != b.tools {
			g.Changed(name, core.Change{Kind: core.ToolsChanged})
		}
		if a.prompts != b.prompts {
			g.Changed(name, core.Change{Kind: core.PromptsChanged})
		}
		if a.resources != b.resources {
			g.Changed(name, core.Change{Kind: core.ResourcesChanged})
		}
		before, now := old.heldBy(name), next.heldBy(name)
		for _, uri := range sortedKeys(now) {
			if sum, known := before[uri]; known && sum != now[uri] {
				g.Changed(name, core.Change{Kind: core.ResourceUpdated, URI: uri})
			}
		}
	}
}

func (c *Catalog) heldBy(name string) map[string][32]byte {
	if c != nil {
		if s := c.byName[name]; s != nil {
			return s.held
		}
	}
	return nil
}

func (c *Catalog) digestOf(name string) digests {
	if c != nil {
		if s := c.byName[name]; s != nil {
			return s.digest
		}
	}
	return noDigests
}

// Find returns the Handler of the server with this prefix ("" or "a/b", without
// outer slashes), or nil. The caller releases it when the request has ended; a
// stream that lives on needs no Handler for its changes and should release it too.
func (g *Gateway) Find(prefix string) core.Handler {
	for {
		c := g.current.Load()
		if c == nil {
			return nil
		}
		s := c.byPrefix[prefix]
		if s == nil {
			return nil
		}
		if c.take() {
			return &handler{gateway: g, catalog: c, server: s}
		}
		// Publish retired c between the two steps: its successor is already there.
	}
}

// Revision is the hash of the Config now served; "" when nothing is.
func (g *Gateway) Revision() string {
	if c := g.current.Load(); c != nil {
		return c.revision
	}
	return ""
}

// Changed tells the clients of a server that something changed.
// Those who may not read a resource do not learn that it changed, and those who may not
// see the server learn nothing.
func (g *Gateway) Changed(server string, change core.Change) {
	g.listeners.tell(server, change, func(who core.Identity) bool { return g.mayKnow(who, server, change) })
}

func (g *Gateway) mayKnow(who core.Identity, name string, change core.Change) bool {
	if _, all := g.options.Authorizer.(core.AllowAll); all {
		return true
	}
	c := g.current.Load()
	if c == nil || c.byName[name] == nil {
		return false // nobody can use it any more
	}
	h := &handler{gateway: g, catalog: c, server: c.byName[name]} // holds nothing: the policies are asked, and no invoker
	ctx := context.Background()
	if !h.Visible(ctx, who) {
		return false
	}
	if change.Kind != core.ResourceUpdated {
		return true
	}
	r, _ := h.find(ctx, who, change.URI)
	return r != nil
}

// Close stops serving and waits until every Catalog is closed, which is after its
// last request; or until ctx ends.
func (g *Gateway) Close(ctx context.Context) error {
	g.publishing.Lock()
	defer g.publishing.Unlock()
	g.closed = true
	g.follows.close()
	g.retire(g.current.Swap(nil))
	for c := range g.retired {
		select {
		case <-c.closed:
			delete(g.retired, c)
		case <-ctx.Done():
			return &core.Error{
				Code: core.CodeTimeout, Message: "close the gateway: requests still run",
				Fix: "give the drain more time", Err: ctx.Err(),
			}
		}
	}
	return nil
}

var _ core.Changer = (*Gateway)(nil)
