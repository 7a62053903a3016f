package roster

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/core"
)

// set is the upstreams of one Catalog.
type set struct {
	r        *Roster
	entries  []*entry
	of       map[string]*remote
	revision string
	disabled []core.RemoteStatus
	once     sync.Once
}

// Remote returns an upstream, or nil.
func (s *set) Remote(name string) core.Remote {
	if r := s.of[name]; r != nil {
		return r
	}
	return nil
}

// Revision names what the upstreams offer.
func (s *set) Revision() string { return s.revision }

// Close lets go of the upstreams.
func (s *set) Close() (err error) {
	s.once.Do(func() {
		s.r.mu.Lock()
		s.r.sets = slices.DeleteFunc(s.r.sets, func(other *set) bool { return other == s })
		s.r.mu.Unlock()
		for _, e := range s.entries {
			err = errors.Join(err, s.r.drop(e))
		}
	})
	return err
}

// remote is an upstream of a set: what it offered then, and the client, which lives on.
type remote struct {
	e      *entry
	offer  *core.Offer
	digest string
}

var _ core.Remote = (*remote)(nil)

// Name returns the upstream's name.
func (m *remote) Name() string { return m.e.config.Name }

// Offer returns what it offered when the set was opened.
func (m *remote) Offer() *core.Offer { return m.offer }

// CallTool calls a tool.
func (m *remote) CallTool(ctx context.Context, call *core.Call) (*core.Result, error) {
	done, err := m.e.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return m.e.client.CallTool(ctx, call)
}

// GetPrompt gets a prompt.
func (m *remote) GetPrompt(ctx context.Context, call *core.Call) (*core.Result, error) {
	done, err := m.e.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return m.e.client.GetPrompt(ctx, call)
}

// ReadResource reads a resource.
func (m *remote) ReadResource(ctx context.Context, call *core.Call) (*core.Result, error) {
	done, err := m.e.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return m.e.client.ReadResource(ctx, call)
}

// Complete asks for values of an argument.
func (m *remote) Complete(ctx context.Context, call *core.Call, request *core.CompleteRequest) (*core.Completion, error) {
	done, err := m.e.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return m.e.client.Complete(ctx, call, request)
}

// Follow follows a resource until stop is called. A process stays as long as somebody
// follows something of it.
func (m *remote) Follow(ctx context.Context, uri string) (stop func(), err error) {
	done, err := m.e.use(ctx)
	if err != nil {
		return func() {}, err
	}
	if err := m.e.client.Subscribe(ctx, uri); err != nil {
		done()
		return func() {}, err
	}
	return m.e.follow(func() {
		m.e.client.Unsubscribe(uri)
		done()
	}), nil
}
