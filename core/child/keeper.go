package child

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// keep starts and retires processes, one at a time, until ctx ends.
func (s *Supervisor) keep(ctx context.Context) {
	for ctx.Err() == nil {
		start, wait := s.next()
		if start {
			s.launch(ctx)
			continue
		}
		stop := func() bool { return true }
		if wait > 0 {
			stop = s.plan.Clock.AfterFunc(wait, func() { poke(s.wake) })
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
		stop()
	}
}

// next says what is to be done now: start a process, or look again after wait (0 = when
// something changes).
func (s *Supervisor) next() (start bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false, 0
	}
	now := s.plan.Clock.Now()
	idle := time.Duration(0)
	if s.plan.Start == IdleStop && s.active != nil && s.users == 0 && s.waiting == 0 {
		if idle = s.quiet.Add(s.plan.Idle).Sub(now); idle <= 0 {
			s.retire()
			return false, 0
		}
	}
	have, want := len(s.spares), 0
	if s.active != nil {
		have++
	}
	if s.plan.Start == Eager || s.waiting > 0 || s.active != nil {
		want = 1 + s.plan.Warm
	}
	if have >= want {
		return false, idle
	}
	pause := s.retryAt.Sub(now)
	switch {
	case pause <= 0:
		s.starting = true
		s.starts++
		return true, 0
	case idle > 0:
		return false, min(idle, pause)
	default:
		return false, pause
	}
}

// retire stops every process, which nobody uses, in the background. The lock is held.
func (s *Supervisor) retire() {
	if s.active != nil {
		s.spares = append(s.spares, s.active)
		s.use(nil)
	}
	for _, m := range s.spares {
		m.retired = true
		s.tasks.Go(func() {
			if err := m.p.Stop(context.Background()); err != nil {
				s.plan.Logger.Error("child does not end", "child", s.plan.Spec.Name, "error", err)
			}
		})
	}
	s.spares = nil
	s.plan.Logger.Info("child stopped: nobody uses it", "child", s.plan.Spec.Name)
	s.move()
}

// use makes m the process that everybody gets. The lock is held.
func (s *Supervisor) use(m *member) {
	var c change
	if s.active != nil {
		c.from = s.active.p
	}
	if s.active = m; m != nil {
		c.to = m.p
		s.quiet = s.plan.Clock.Now()
	}
	s.changes = append(s.changes, c)
	poke(s.news)
}

// launch starts a process and waits until it is ready.
func (s *Supervisor) launch(ctx context.Context) {
	p, err := Start(s.plan.Allow, s.plan.Spec, Options{Logger: s.plan.Logger, Clock: s.plan.Clock, off: s.plan.off})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.starting = false
		s.fail(0, err)
		return
	}
	probing, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	m := &member{p: p, ended: ended}
	s.mu.Lock()
	s.all[m] = struct{}{}
	s.mu.Unlock()
	s.tasks.Go(func() { s.watch(m) })
	err = s.probe(probing, ended, m)

	s.mu.Lock()
	if err == nil && !m.gone && !s.stopped {
		defer s.mu.Unlock()
		s.starting = false
		s.welcome(m)
		return
	}
	s.mu.Unlock()
	// What is not ready is of no use to anybody, so it gets no grace.
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	_ = p.Stop(stopped) // an error is told by the next one who stops it

	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = false
	if s.stopped {
		s.move()
		return
	}
	if exit := p.Exit(); exit != nil && !exit.Stopped {
		s.last, err = exit, exit.fault(s.plan.Spec.Name)
	} else if exit != nil {
		err = unready(s.plan.Spec.Name, "did not get ready", errors.Join(err, exit.stderr()))
	}
	s.fail(0, err)
}

// probe asks whether m is ready. It ends when the process or the time does.
func (s *Supervisor) probe(ctx context.Context, end context.CancelCauseFunc, m *member) error {
	if s.plan.Ready == nil {
		return nil
	}
	stop := s.plan.Clock.AfterFunc(s.plan.ReadyWithin, func() {
		end(&core.Error{Code: core.CodeTimeout, Message: fmt.Sprintf("child %q was not ready within %s", s.plan.Spec.Name, s.plan.ReadyWithin), Fix: "see its last lines on stderr, or give it more time"})
	})
	defer stop()
	err := s.plan.Ready(ctx, m.p)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// welcome puts a ready process where it is needed. The lock is held.
func (s *Supervisor) welcome(m *member) {
	m.ready = s.plan.Clock.Now()
	s.retryAt, s.err = time.Time{}, nil
	if s.failed {
		// One more failure, and it counts as failed again.
		s.failed, s.failures = false, s.plan.Restart.Failures-1
	}
	if s.active == nil {
		s.use(m)
	} else {
		s.spares = append(s.spares, m)
	}
	s.plan.Logger.Info("child ready", "child", s.plan.Spec.Name, "pid", m.p.PID())
	s.move()
}

// watch waits for the end of a process and puts a spare in its place.
func (s *Supervisor) watch(m *member) {
	<-m.p.Done()
	m.ended(m.p.Err())
	s.mu.Lock()
	m.gone = true
	if !m.ready.IsZero() && !m.retired && !s.stopped {
		exit := m.p.Exit()
		s.last = exit
		s.spares = slices.DeleteFunc(s.spares, func(o *member) bool { return o == m })
		if s.active == m {
			var next *member
			if len(s.spares) > 0 {
				next, s.spares = s.spares[0], s.spares[1:]
			}
			s.use(next)
		}
		s.fail(exit.At.Sub(m.ready), exit.fault(s.plan.Spec.Name))
	}
	s.mu.Unlock()
	// Its last lines may wait to be fetched, for a moment.
	<-m.p.gone
	s.mu.Lock()
	delete(s.all, m)
	s.mu.Unlock()
}

// fail counts a failure of a process that had been ready for so long. The lock is held.
func (s *Supervisor) fail(ready time.Duration, err error) {
	r := s.plan.Restart
	if ready >= r.Healthy {
		s.failures, s.failed = 0, false
	}
	s.failures++
	s.err = err
	now := s.plan.Clock.Now()
	switch code := core.AsError(err).Code; {
	case s.failures >= r.Failures, code == core.CodeDenied, code == core.CodeInvalid, code == core.CodeNotSupported:
		s.failed, s.retryAt = true, now.Add(r.Cooldown)
		s.plan.Logger.Error("child failed and is not started for now", "child", s.plan.Spec.Name, "failures", s.failures, "retry", s.retryAt, "error", err)
	default:
		s.retryAt = now.Add(r.wait(s.failures, s.plan.Rand))
		s.plan.Logger.Warn("child failed", "child", s.plan.Spec.Name, "failures", s.failures, "retry", s.retryAt, "error", err)
	}
	s.move()
}

// tell calls Changed, until ctx ends and everything was told.
func (s *Supervisor) tell(ctx context.Context) {
	for {
		s.mu.Lock()
		changes := s.changes
		s.changes = nil
		s.mu.Unlock()
		for _, c := range changes {
			if s.plan.Changed != nil {
				s.plan.Changed(c.from, c.to)
			}
		}
		switch {
		case len(changes) > 0:
			continue
		case ctx.Err() != nil:
			return
		}
		select {
		case <-s.news:
		case <-ctx.Done():
		}
	}
}
