package gateway

import (
	"context"
	"sync"

	"github.com/sallyport/sallyport/core"
)

// follows are the resources of upstreams that clients want to know changes of. They
// outlive Catalogs: when another one is published, whatever stands behind a URI then is
// asked in the place of what stood there before.
type follows struct {
	mu     sync.Mutex
	all    map[*follow]struct{}
	work   sync.WaitGroup
	end    context.CancelFunc
	life   context.Context //nolint:containedctx // of renewals
	closed bool
}

// follow is one resource that somebody follows.
type follow struct {
	server, uri string
	who         core.Identity

	mu     sync.Mutex
	remote core.Remote // that was asked; nil = none
	stop   func()
	over   bool
}

// Follow says that who wants to know of changes of a resource. Those of files and documents
// are told of in any case.
func (h *handler) Follow(ctx context.Context, who core.Identity, uri string) (stop func(), err error) {
	nothing := func() {}
	r, _ := h.find(ctx, who, uri)
	if r == nil {
		return nothing, noResource(uri)
	}
	f := &follow{server: h.server.wire.Name, uri: uri, who: who, stop: nothing}
	if r.mount != nil {
		own, _ := r.mount.inward(uri)
		if f.stop, err = r.mount.remote.Follow(ctx, own); err != nil {
			return nothing, err
		}
		f.remote = r.mount.remote
	}
	h.gateway.follows.add(f)
	return func() {
		h.gateway.follows.drop(f)
		f.end()
	}, nil
}

// end stops following; a renewal under way stops what it began.
func (f *follow) end() {
	f.mu.Lock()
	stop := f.stop
	f.stop, f.over = func() {}, true
	f.mu.Unlock()
	stop()
}

func (f *follows) add(one *follow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[*follow]struct{}{}
		f.life, f.end = context.WithCancel(context.Background())
	}
	f.all[one] = struct{}{}
}

func (f *follows) drop(one *follow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, one)
}

// renew follows everything on what is served now. It does not wait.
func (f *follows) renew(g *Gateway) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 || f.closed {
		return
	}
	list := make([]*follow, 0, len(f.all))
	for one := range f.all {
		list = append(list, one)
	}
	f.work.Go(func() {
		for _, one := range list {
			one.renew(f.life, g)
		}
	})
}

// renew asks what is behind the URI now, and lets go of what was.
func (f *follow) renew(ctx context.Context, g *Gateway) {
	c := g.current.Load()
	if c == nil || !c.take() {
		return // its successor renews too
	}
	defer c.release()
	var remote core.Remote
	own := ""
	if s := c.byName[f.server]; s != nil {
		h := &handler{gateway: g, catalog: c, server: s}
		if r, _ := h.find(ctx, f.who, f.uri); r != nil && r.mount != nil {
			remote = r.mount.remote
			own, _ = r.mount.inward(f.uri)
		}
	}
	f.mu.Lock()
	same, over := f.remote == remote, f.over
	f.mu.Unlock()
	if same || over {
		return
	}
	stop := func() {}
	if remote != nil {
		var err error
		if stop, err = remote.Follow(ctx, own); err != nil {
			g.options.Log.Warn("a resource cannot be followed any more", "server", f.server, "upstream", remote.Name(), "error", err)
			stop, remote = func() {}, nil // the next Catalog tries again
		}
	}
	f.mu.Lock()
	old := f.stop
	if f.over {
		old = stop
	} else {
		f.stop, f.remote = stop, remote
	}
	f.mu.Unlock()
	old()
}

// close ends renewals, and waits for them.
func (f *follows) close() {
	f.mu.Lock()
	f.closed = true
	if f.end != nil {
		f.end()
	}
	f.mu.Unlock()
	f.work.Wait()
}

// UpstreamChanged tells the clients of every server that has an upstream that a resource
// of it changed; uri is that of the upstream.
func (g *Gateway) UpstreamChanged(upstream, uri string) {
	c := g.current.Load()
	if c == nil || !c.take() {
		return
	}
	defer c.release()
	for _, name := range c.Servers() {
		for _, m := range c.byName[name].mounts {
			if m.upstream == upstream {
				g.Changed(name, core.Change{Kind: core.ResourceUpdated, URI: m.outward(uri)})
			}
		}
	}
}

// UpstreamListed tells the clients of every server that has an upstream as it is that it
// says that a list changed. They are told again when what they get is another list than
// before, as those of other servers are.
func (g *Gateway) UpstreamListed(upstream string, kind core.ChangeKind) {
	c := g.current.Load()
	if c == nil || !c.take() {
		return
	}
	defer c.release()
	for _, name := range c.Servers() {
		for _, m := range c.byName[name].mounts {
			if m.upstream == upstream && m.prefix == "" {
				g.Changed(name, core.Change{Kind: kind})
			}
		}
	}
}
