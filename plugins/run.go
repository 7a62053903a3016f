package plugins

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/registry"
)

// asksAtOnce is how many catalogues are asked, or tags resolved, beside each other.
const asksAtOnce = 4

// Run keeps plugins up to date until ctx ends: it resolves tags every Options.Poll and
// asks each catalogue that a Catalog uses every Refresh of its plugin (a tenth more or
// less, so that they do not come together). When something changed it calls
// Options.Changed, once for all that changed at that time.
func (h *Host) Run(ctx context.Context) {
	poll := h.o.Now().Add(h.around(max(h.o.Poll, 0)))
	for ctx.Err() == nil {
		now := h.o.Now()
		changed := false
		if h.o.Poll > 0 && !now.Before(poll) {
			changed = h.poll(ctx)
			poll = h.o.Now().Add(h.around(h.o.Poll))
		}
		changed = h.ask(ctx, now) || changed
		if changed && ctx.Err() == nil {
			h.o.Changed()
		}
		h.sleep(ctx, poll)
	}
}

// sleep waits until something is due, or a new set says that something else may be.
func (h *Host) sleep(ctx context.Context, poll time.Time) {
	now := h.o.Now()
	wait := time.Minute
	if h.o.Poll > 0 {
		wait = min(wait, poll.Sub(now))
	}
	h.mu.Lock()
	for _, s := range h.sets {
		for _, p := range s.order {
			if !p.due.IsZero() {
				wait = min(wait, p.due.Sub(now))
			}
		}
	}
	h.mu.Unlock()
	timer := time.NewTimer(max(wait, 10*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.wake:
	case <-ctx.Done():
	}
}

// awake has Run look again at what is due.
func (h *Host) awake() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// next returns when the catalogue of a plugin is asked again; zero = never.
func (h *Host) next(p *Plugin) time.Time {
	if p.version == nil || !p.version.about.Is(manifest.ToolCatalogue) {
		return time.Time{}
	}
	return h.o.Now().Add(h.around(p.refresh))
}

// around returns a time of nine to eleven tenths of d.
func (h *Host) around(d time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(h.o.Rand, b[:]); err != nil {
		return d
	}
	return d*9/10 + d/5*time.Duration(binary.LittleEndian.Uint16(b[:]))/(1<<16)
}

// ask asks the catalogues that are due, and reports whether one lists other tools.
func (h *Host) ask(ctx context.Context, now time.Time) (changed bool) {
	var due []*Plugin
	asked := map[*version]bool{} // sets share versions
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return false
	}
	h.background.Add(1)
	defer h.background.Done()
	for _, s := range h.sets {
		for _, p := range s.order {
			if !p.due.IsZero() && !now.Before(p.due) {
				p.due = h.next(p)
				if asked[p.version] {
					continue
				}
				asked[p.version] = true
				p.version.refs++ // so that it does not go away meanwhile
				due = append(due, p)
			}
		}
	}
	h.mu.Unlock()
	var mu sync.Mutex
	atOnce(len(due), func(i int) {
		other := h.again(ctx, due[i])
		h.mu.Lock()
		h.release(due[i].version)
		h.mu.Unlock()
		if other {
			mu.Lock()
			changed = true
			mu.Unlock()
		}
	})
	return changed
}

// again asks one catalogue.
func (h *Host) again(ctx context.Context, p *Plugin) (changed bool) {
	defer h.stumbled("ask plugin "+p.name+" for its tools", func() { changed = false })
	return p.version.listed.again(ctx, p)
}

// atOnce runs f for 0 to n-1, a few beside each other.
func atOnce(n int, f func(i int)) {
	places := make(chan struct{}, asksAtOnce)
	var work sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			f(i)
		})
	}
	work.Wait()
}

// stumbled has a panic end what it happened in, and not the gateway: what is worked on
// here, in goroutines that nobody else watches, was written by strangers. It is to be
// deferred. The log learns what panicked only when that holds nothing of theirs.
func (h *Host) stumbled(doing string, then func()) {
	r := recover()
	if r == nil {
		return
	}
	what := fmt.Sprintf("a value of type %T", r)
	if err, ok := r.(runtime.Error); ok {
		what = err.Error()
	}
	h.log.Error("panic", "doing", doing, "panic", what, "stack", string(debug.Stack()))
	then()
}

// poll resolves every tag that was resolved before, and reports whether one moved.
func (h *Host) poll(ctx context.Context) (moved bool) {
	h.mu.Lock()
	refs := make([]string, 0, len(h.tags))
	for ref := range h.tags {
		refs = append(refs, ref)
	}
	h.mu.Unlock()
	var mu sync.Mutex
	atOnce(len(refs), func(i int) {
		if h.pollOne(ctx, refs[i]) {
			mu.Lock()
			moved = true
			mu.Unlock()
		}
	})
	return moved
}

func (h *Host) pollOne(ctx context.Context, name string) (moved bool) {
	defer h.stumbled("resolve "+name, func() { moved = false })
	ref, err := registry.ParseReference(name)
	if err != nil {
		return false
	}
	digest, err := h.resolve(ctx, ref)
	if ctx.Err() != nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		if !h.unheard[name] {
			h.log.Warn("registry does not say what a tag means: what runs stays", "tag", name, "error", err)
		}
		h.unheard[name] = true
		return false
	}
	delete(h.unheard, name)
	if h.tags[name] == digest {
		return false
	}
	h.log.Info("tag moved", "tag", name, "from", h.tags[name], "to", digest)
	h.tags[name] = digest
	return true
}

// Refresh resolves all tags and asks all catalogues now, and then calls Options.Changed,
// whether or not something changed. It returns when that is done.
func (h *Host) Refresh() {
	done := make(chan struct{})
	if !h.inBackground(func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), 2*resolveTime)
		defer cancel()
		h.poll(ctx)
		h.ask(ctx, h.o.Now().Add(48*time.Hour)) // all are due by then
	}) {
		return
	}
	<-done
	h.o.Changed()
}
