package upstream

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// changes tells listeners what changes at the upstream. While somebody listens, or
// follows a resource, one goroutine keeps a stream open for it:
//
//	with sessions:  the session of everybody, its GET stream, resources/subscribe
//	without:        subscriptions/listen; another set of resources is a new stream,
//	                opened before the old one is closed
//
// When a stream was lost nobody knows what happened meanwhile, so everything counts as
// changed.
type changes struct {
	c *Client

	mu        sync.Mutex
	listeners map[int]func(core.Change)
	next      int
	followed  map[string]*followed
	end       context.CancelFunc // of the goroutine; nil = none runs
	kick      chan struct{}
	closed    bool
}

// followed is a resource that somebody subscribed to.
type followed struct {
	count   int
	settled chan struct{} // closed when the upstream knows, or refused
	err     error         // that it refused
	over    bool
}

// Changes calls f for what changes at the upstream, until stop is called. f must not
// block. Changes may be told that did not happen, after a stream was lost.
func (c *Client) Changes(f func(core.Change)) (stop func()) {
	s := &c.changes
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners == nil {
		s.listeners = map[int]func(core.Change){}
	}
	s.next++
	id := s.next
	s.listeners[id] = f
	s.wake()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, id)
		s.wake()
	}
}

// Subscribe follows a resource: its changes are told as core.ResourceUpdated. It returns
// when the upstream has agreed. Each success wants its Unsubscribe.
func (c *Client) Subscribe(ctx context.Context, uri string) error {
	s := &c.changes
	s.mu.Lock()
	f := s.followed[uri]
	if f == nil {
		if len(s.followed) >= c.limits.Subscriptions {
			s.mu.Unlock()
			return &core.Error{Code: core.CodeLimited, Message: "upstream " + c.o.Name + ": too many resources are followed"}
		}
		if s.followed == nil {
			s.followed = map[string]*followed{}
		}
		f = &followed{settled: make(chan struct{})}
		s.followed[uri] = f
	}
	f.count++
	s.wake()
	s.mu.Unlock()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limits.Request)
		defer cancel()
	}
	var err error
	select {
	case <-f.settled:
		s.mu.Lock()
		err = f.err
		s.mu.Unlock()
	case <-ctx.Done():
		err = c.ended(ctx)
	}
	if err != nil {
		s.leave(uri, f)
	}
	return err
}

// Unsubscribe ends one Subscribe.
func (c *Client) Unsubscribe(uri string) {
	s := &c.changes
	s.mu.Lock()
	f := s.followed[uri]
	s.mu.Unlock()
	if f != nil {
		s.leave(uri, f)
	}
}

func (s *changes) leave(uri string, f *followed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.count--; f.count > 0 {
		return
	}
	if s.followed[uri] == f {
		delete(s.followed, uri)
	}
	s.wake()
}

// wake starts the goroutine where something is wanted, and tells it to look again. The
// lock is held.
func (s *changes) wake() {
	if s.closed {
		return
	}
	if s.end == nil {
		if len(s.listeners)+len(s.followed) == 0 {
			return
		}
		ctx, end := context.WithCancel(s.c.life)
		kick := make(chan struct{}, 1)
		s.end, s.kick = end, kick
		if !s.c.spawn(func() { (&watch{s: s, c: s.c, kick: kick}).run(ctx) }) {
			end()
		}
		return
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// poke tells the goroutine that sessions changed.
func (s *changes) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.wake()
	}
}

// idle ends the goroutine unless something is wanted; true when it ended.
func (s *changes) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.listeners)+len(s.followed) == 0 {
		if s.end != nil {
			s.end()
		}
		s.end = nil
		return true
	}
	return false
}

func (s *changes) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.end != nil {
		s.end()
	}
	for _, f := range s.followed {
		f.settle(s.c.wasClosed())
	}
}

// settle ends the wait of Subscribe; the first time counts. The lock is held.
func (f *followed) settle(err error) {
	if f.over {
		return
	}
	f.over, f.err = true, err
	close(f.settled)
}

// wanted returns what is followed, and whether anything is listened to.
func (s *changes) wanted() (uris map[string]*followed, any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.followed), len(s.listeners)+len(s.followed) > 0
}

// settled says what became of resources that somebody waits for.
func (s *changes) settled(uris map[string]*followed, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uri, f := range uris {
		f.settle(err)
		if f.err != nil && s.followed[uri] == f {
			delete(s.followed, uri) // the next who wants it asks again
		}
	}
}

// heard takes a notification of a session.
func (s *changes) heard(m *message) {
	switch m.method {
	case "notifications/tools/list_changed":
		s.tell(core.Change{Kind: core.ToolsChanged})
	case "notifications/prompts/list_changed":
		s.tell(core.Change{Kind: core.PromptsChanged})
	case "notifications/resources/list_changed":
		s.tell(core.Change{Kind: core.ResourcesChanged})
	case "notifications/resources/updated":
		uri := stringOf(m.params, "uri")
		s.mu.Lock()
		_, ours := s.followed[uri]
		s.mu.Unlock()
		if !ours {
			s.c.counts.unknown.Add(1)
			return
		}
		s.tell(core.Change{Kind: core.ResourceUpdated, URI: uri})
	default:
		s.c.counts.unknown.Add(1)
	}
}

func (s *changes) tell(change core.Change) {
	s.mu.Lock()
	all := make([]func(core.Change), 0, len(s.listeners))
	for _, f := range s.listeners {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		f(change)
	}
}

// missed counts everything as changed.
func (s *changes) missed() {
	uris, _ := s.wanted()
	s.missedOf(slices.Collect(maps.Keys(uris)))
}

// missedOf counts all lists and some resources as changed.
func (s *changes) missedOf(uris []string) {
	for _, kind := range []core.ChangeKind{core.ToolsChanged, core.PromptsChanged, core.ResourcesChanged} {
		s.tell(core.Change{Kind: kind})
	}
	for _, uri := range uris {
		s.tell(core.Change{Kind: core.ResourceUpdated, URI: uri})
	}
}

// backoff is how long to wait after the nth failure in a row.
func backoff(n int) time.Duration { return min(firstRetry<<min(n, 5), lastRetry) }
