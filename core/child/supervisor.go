package child

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Supervisor keeps one child running for many users, as its Plan says.
type Supervisor struct {
	plan  Plan
	end   context.CancelCauseFunc
	wake  chan struct{} // the keeper looks again
	news  chan struct{} // the teller looks again
	tasks sync.WaitGroup

	mu       sync.Mutex
	moved    chan struct{} // closed and made anew whenever something below changes
	active   *member
	spares   []*member
	all      map[*member]struct{} // every process that has not ended
	waiting  int
	users    int
	quiet    time.Time // since when nobody uses it
	starting bool
	starts   int
	failures int
	failed   bool
	retryAt  time.Time
	last     *Exit
	err      error
	stopped  bool
	changes  []change
}

// member is one process and what we know of it.
type member struct {
	p       *Process
	ready   time.Time // zero = not yet
	retired bool      // we stop it, so its end is no failure
	gone    bool
	ended   context.CancelCauseFunc // ends the probe
}

type change struct{ from, to *Process }

// Supervise begins to keep a child as plan says. With Eager it starts at once, in the
// background. The error is an *Error about the plan. Stop ends everything.
func Supervise(plan Plan) (*Supervisor, error) {
	plan, err := plan.filled()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(context.Background())
	s := &Supervisor{plan: plan, end: end, wake: make(chan struct{}, 1), news: make(chan struct{}, 1), moved: make(chan struct{}), all: map[*member]struct{}{}}
	s.tasks.Go(func() { s.keep(ctx) })
	s.tasks.Go(func() { s.tell(ctx) })
	return s, nil
}

// Lease is the use of a process. It says nothing of how long that lives: whoever meets an
// error of it releases the lease and acquires again.
type Lease struct {
	Process *Process
	once    sync.Once
	give    func()
}

// Release ends the use; further calls do nothing.
func (l *Lease) Release() { l.once.Do(l.give) }

// Acquire returns the process in use, after starting one if there is none. It waits for
// it as long as ctx allows and a start is in sight; many callers share one process. The
// error is an *Error with CodeUnavailable, and RetryAfter where that is known.
func (s *Supervisor) Acquire(ctx context.Context) (*Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, s.late(ctx)
		}
		if s.stopped {
			return nil, unready(s.plan.Spec.Name, "is stopped", nil)
		}
		if s.alive() {
			s.users++
			return &Lease{Process: s.active.p, give: s.release}, nil
		}
		if err := s.hopeless(ctx); err != nil {
			return nil, err
		}
		s.await(ctx)
	}
}

// alive tells whether there is a process to hand out. One that has just ended is not,
// even if its end was not dealt with yet.
func (s *Supervisor) alive() bool {
	if s.active == nil {
		return false
	}
	select {
	case <-s.active.p.ended:
		return false
	default:
		return true
	}
}

// hopeless tells why waiting would be in vain.
func (s *Supervisor) hopeless(ctx context.Context) error {
	now := s.plan.Clock.Now()
	wait := s.retryAt.Sub(now)
	if wait <= 0 || s.active != nil {
		return nil
	}
	deadline, bound := ctx.Deadline()
	var e *core.Error
	switch {
	case s.failed:
		e = unready(s.plan.Spec.Name, "failed too often and is not started for now", s.err)
	case bound && deadline.Before(s.retryAt):
		e = unready(s.plan.Spec.Name, "is started again too late for this call", s.err)
	default:
		return nil
	}
	e.RetryAfter = int(math.Ceil(wait.Seconds()))
	return e
}

// await gives up the lock until something changed or ctx ends.
func (s *Supervisor) await(ctx context.Context) {
	s.waiting++
	moved := s.moved
	poke(s.wake)
	s.mu.Unlock()
	select {
	case <-moved:
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.waiting--
}

func (s *Supervisor) late(ctx context.Context) error {
	e := unready(s.plan.Spec.Name, "was not ready in time", s.err)
	e.Code = core.CodeTimeout
	if errors.Is(ctx.Err(), context.Canceled) {
		e.Code = core.CodeCancelled
	}
	return e
}

func (s *Supervisor) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		s.quiet = s.plan.Clock.Now()
		s.move()
	}
}

// move tells everybody that something changed. The lock is held.
func (s *Supervisor) move() {
	close(s.moved)
	s.moved = make(chan struct{})
	poke(s.wake)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Health returns the state at this moment.
func (s *Supervisor) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := Health{State: s.state(), Users: s.users, Waiting: s.waiting, Spares: len(s.spares), Restarts: max(0, s.starts-1), Failures: s.failures, LastExit: s.last}
	switch h.State {
	case Ready:
		h.PID = s.active.p.PID()
	case BackingOff, Failed:
		h.RetryAt, h.Err = s.retryAt, s.err
	case Idle, Starting, Stopped:
		h.Err = s.err
	}
	return h
}

func (s *Supervisor) state() State {
	switch {
	case s.stopped:
		return Stopped
	case s.alive():
		return Ready
	case s.starting:
		return Starting
	case s.failed:
		return Failed
	case s.retryAt.After(s.plan.Clock.Now()):
		return BackingOff
	case s.plan.Start == Eager || s.waiting > 0:
		return Starting
	}
	return Idle
}

// Reset forgets failures, so that the next start comes at once: for an operator who put
// right what was wrong.
func (s *Supervisor) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.failures, s.retryAt, s.err = false, 0, time.Time{}, nil
	s.move()
}

// Stop lets nobody acquire any more, waits until all leases are released, and stops every
// process. When ctx ends, processes are killed. It returns when nothing is left.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.move()
	for s.users > 0 && ctx.Err() == nil {
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	if s.active != nil {
		s.use(nil)
	}
	s.end(errStopped)
	var stops sync.WaitGroup
	var once sync.Mutex
	var failures error
	for m := range s.all {
		m.retired = true
		stops.Go(func() {
			err := m.p.Stop(ctx)
			once.Lock()
			defer once.Unlock()
			failures = errors.Join(failures, err)
		})
	}
	s.mu.Unlock()
	stops.Wait()
	if failures == nil {
		s.tasks.Wait()
	}
	return failures
}

var errStopped = errors.New("the supervisor is being stopped")
