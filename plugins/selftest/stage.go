package selftest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// stage is the Host of one loaded plugin: it hands each host function to the scene of
// the case that is on. The sandbox makes the instance of the next case while the last
// one is being compared; what that instance does while it starts belongs to the next
// scene, so it waits for it.
//
// Contexts of the sandbox end by the plugin's clock, which is made up; so the scene's
// functions get the context of the run. None of them waits.
type stage struct {
	ctx context.Context //nolint:containedctx // of the run that owns the stage

	mu     sync.Mutex
	scene  *scene
	called bool // the case's call has begun: starts wait for the next scene
	closed bool
	change *sync.Cond
}

func newStage(ctx context.Context) *stage {
	s := &stage{ctx: ctx}
	s.change = sync.NewCond(&s.mu)
	return s
}

// enter puts a scene on the stage.
func (s *stage) enter(o *scene) {
	s.mu.Lock()
	s.scene, s.called = o, false
	s.mu.Unlock()
	s.change.Broadcast()
}

// begin says that the case's call begins.
func (s *stage) begin() {
	s.mu.Lock()
	s.called = true
	s.mu.Unlock()
}

// close ends every wait.
func (s *stage) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.change.Broadcast()
}

// on returns the host functions of the scene that a call belongs to.
func (s *stage) on(scope *sandbox.Scope) sandbox.Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	if scope.Export == abi.Configure {
		for s.called && !s.closed {
			s.change.Wait()
		}
	}
	if s.closed || s.scene == nil {
		return sandbox.NoHost{}
	}
	return s.scene.host
}

// Log notes the line.
func (s *stage) Log(_ context.Context, scope *sandbox.Scope, level int, text []byte) {
	h := s.on(scope)
	h.Log(s.ctx, scope, level, text)
	s.mu.Lock()
	o := s.scene
	s.mu.Unlock()
	if _, none := h.(sandbox.NoHost); !none {
		o.log(text)
	}
}

// Config asks the scene.
func (s *stage) Config(_ context.Context, scope *sandbox.Scope, key []byte) ([]byte, int64) {
	return s.on(scope).Config(s.ctx, scope, key)
}

// HTTP asks the scene.
func (s *stage) HTTP(_ context.Context, scope *sandbox.Scope, request []byte) ([]byte, int64) {
	return s.on(scope).HTTP(s.ctx, scope, request)
}

// KVGet asks the scene.
func (s *stage) KVGet(_ context.Context, scope *sandbox.Scope, key []byte) ([]byte, uint64, int64) {
	return s.on(scope).KVGet(s.ctx, scope, key)
}

// KVSet asks the scene.
func (s *stage) KVSet(_ context.Context, scope *sandbox.Scope, key, value []byte, ttl time.Duration, version int64) int64 {
	return s.on(scope).KVSet(s.ctx, scope, key, value, ttl, version)
}

// KVDelete asks the scene.
func (s *stage) KVDelete(_ context.Context, scope *sandbox.Scope, key []byte, version int64) int64 {
	return s.on(scope).KVDelete(s.ctx, scope, key, version)
}

// KVList asks the scene.
func (s *stage) KVList(_ context.Context, scope *sandbox.Scope, prefix, after []byte) ([]byte, int64) {
	return s.on(scope).KVList(s.ctx, scope, prefix, after)
}

// Secret asks the scene.
func (s *stage) Secret(_ context.Context, scope *sandbox.Scope, name []byte) ([]byte, int64) {
	return s.on(scope).Secret(s.ctx, scope, name)
}

// Metric asks the scene.
func (s *stage) Metric(_ context.Context, scope *sandbox.Scope, name []byte, kind int, value float64) {
	s.on(scope).Metric(s.ctx, scope, name, kind, value)
}

// Progress asks the scene.
func (s *stage) Progress(_ context.Context, scope *sandbox.Scope, frame []byte) {
	s.on(scope).Progress(s.ctx, scope, frame)
}

// CallTool asks the scene.
func (s *stage) CallTool(_ context.Context, scope *sandbox.Scope, frame []byte) ([]byte, int64) {
	return s.on(scope).CallTool(s.ctx, scope, frame)
}

// clock shows a moment that a fixture names, and goes on from there.
type clock struct {
	real func() time.Time
	at   atomic.Pointer[setting]
}

type setting struct{ shown, real time.Time }

// Beginning is what the clock of a plugin shows when the fixture says nothing.
var Beginning = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newClock(real func() time.Time) *clock {
	c := &clock{real: real}
	c.set(Beginning)
	return c
}

func (c *clock) set(shown time.Time) { c.at.Store(&setting{shown, c.real()}) }

func (c *clock) now() time.Time {
	at := c.at.Load()
	return at.shown.Add(c.real().Sub(at.real))
}
