package core

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Lifetime is the context of one request or call. It is a context.Context that
// costs almost nothing while nobody waits for its end: no channel, no timer and no
// word with its parent until Done, AfterFunc or OnCancel is called. A call through
// the standard contexts makes some fourteen allocations, and one in twenty
// microseconds; this makes one.
//
//	life := core.NewLifetime(parent, deadline)
//	defer life.Cancel(nil)
//
// A Lifetime whose end somebody waits for must be cancelled, as with
// context.WithCancel.
type Lifetime struct {
	parent   context.Context //nolint:containedctx // it is a context
	deadline time.Time       // zero = the parent's

	mu       sync.Mutex
	done     chan struct{}
	err      error // set once
	cause    error
	timer    *time.Timer
	watched  bool        // somebody waits
	followed bool        // the parent tells us
	up       Waiter      // where the parent is a Lifetime
	leave    func() bool // where it is another context
	waiters  []*Waiter
	first    [2]*Waiter // where waiters begins
}

// Waiter is told of the end of a Lifetime. It costs no allocation where it is a part
// of something that is kept; it waits for one Lifetime at a time.
type Waiter struct {
	f     func()
	timed bool      // also when the deadline is the end
	on    *Lifetime // what it waits for
}

// Stop ends the wait. It returns false when f was or will be called, or was stopped
// before.
func (w *Waiter) Stop() bool {
	l := w.on
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.waiters, w)
	if at < 0 {
		return false
	}
	last := len(l.waiters) - 1
	l.waiters[at], l.waiters[last] = l.waiters[last], nil
	l.waiters = l.waiters[:last]
	return true
}

// NewLifetime returns a Lifetime that ends with its parent, at the deadline (zero =
// none of its own), or with Cancel.
func NewLifetime(parent context.Context, deadline time.Time) *Lifetime {
	l := &Lifetime{}
	l.Begin(parent, deadline)
	return l
}

// Begin makes a Lifetime of the zero value, for one that is part of something
// bigger. A Lifetime begins once.
func (l *Lifetime) Begin(parent context.Context, deadline time.Time) {
	l.parent, l.deadline = parent, deadline
	if !deadline.IsZero() {
		if up, has := parent.Deadline(); has && up.Before(deadline) {
			l.deadline = time.Time{} // the parent's ends it first
		}
	}
}

// Deadline returns when it ends at the latest.
func (l *Lifetime) Deadline() (time.Time, bool) {
	if l.deadline.IsZero() {
		return l.parent.Deadline()
	}
	return l.deadline, true
}

// Value asks the parent.
func (l *Lifetime) Value(key any) any {
	if key == lifetimeKey {
		return l
	}
	return l.parent.Value(key)
}

type lifetimeKeyType struct{}

var lifetimeKey any = lifetimeKeyType{}

// Err returns nil before the end, then context.Canceled or
// context.DeadlineExceeded.
func (l *Lifetime) Err() error {
	l.mu.Lock()
	err, timed := l.err, l.timer != nil
	l.mu.Unlock()
	if err != nil {
		return err
	}
	// Where nobody waits, nobody has told us yet.
	switch {
	case l.parent.Err() != nil:
		l.end(l.parent.Err(), Cause(l.parent))
	case !timed && !l.deadline.IsZero() && !now().Before(l.deadline):
		l.end(context.DeadlineExceeded, nil)
	default:
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Cause returns why ctx ended, as context.Cause does, also where a Lifetime stands
// between it and whoever gave the cause. It returns nil before the end.
func Cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	if life, ok := ctx.Value(lifetimeKey).(*Lifetime); ok && life.Err() != nil {
		life.mu.Lock()
		defer life.mu.Unlock()
		if life.cause != nil {
			return life.cause
		}
	}
	return cause
}

// Done returns a channel that is closed at the end.
func (l *Lifetime) Done() <-chan struct{} {
	l.mu.Lock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		}
	}
	done := l.done
	l.mu.Unlock()
	l.watch(true)
	return done
}

// AfterFunc calls f in its own goroutine at the end. stop returns false when f was
// or will be called, or was stopped before. Package context calls it for derived
// contexts.
func (l *Lifetime) AfterFunc(f func()) (stop func() bool) {
	w := &Waiter{}
	l.add(w, f, true)
	return w.Stop
}

// OnCancel is AfterFunc for those who keep the deadline themselves: f is called when
// something else than the deadline is the end. It needs no timer. w may be new or
// have been stopped; stop it.
func (l *Lifetime) OnCancel(w *Waiter, f func()) { l.add(w, f, false) }

func (l *Lifetime) add(w *Waiter, f func(), timed bool) {
	w.f, w.timed, w.on = f, timed, l
	l.mu.Lock()
	if l.err != nil {
		late := errors.Is(l.err, context.DeadlineExceeded)
		l.mu.Unlock()
		if timed || !late {
			go f()
		}
		return
	}
	if l.waiters == nil {
		l.waiters = l.first[:0]
	}
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	l.watch(timed)
}

// watch begins to wait for the end: of the parent, and of the time when timed.
func (l *Lifetime) watch(timed bool) {
	l.mu.Lock()
	if l.err == nil && !l.watched {
		l.watched = true
		l.mu.Unlock()
		l.follow()
		l.mu.Lock()
	}
	if timed && l.err == nil && l.timer == nil && !l.deadline.IsZero() {
		l.timer = time.AfterFunc(l.deadline.Sub(now()), func() { l.end(context.DeadlineExceeded, nil) })
	}
	l.mu.Unlock()
}

// now is the clock that timers go by, as those of package context.
var now = time.Now

// follow ends with the parent. It runs once.
func (l *Lifetime) follow() {
	if up, ok := l.parent.(*Lifetime); ok {
		up.add(&l.up, l.ended, true)
	} else if l.parent.Done() != nil {
		l.leave = context.AfterFunc(l.parent, l.ended)
	}
	l.mu.Lock()
	over := l.err != nil
	l.followed = !over
	l.mu.Unlock()
	if over {
		l.unfollow()
	}
}

func (l *Lifetime) unfollow() {
	if l.leave != nil {
		l.leave()
	} else {
		l.up.Stop()
	}
}

// ended is called when the parent has ended.
func (l *Lifetime) ended() { l.end(l.parent.Err(), Cause(l.parent)) }

// Cancel ends it. cause may be nil. Later ends change nothing.
func (l *Lifetime) Cancel(cause error) { l.end(context.Canceled, cause) }

func (l *Lifetime) end(err, cause error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err, l.cause = err, cause
	if l.done != nil {
		close(l.done)
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	waiters, followed := l.waiters, l.followed
	l.waiters = nil
	l.mu.Unlock()
	if followed {
		l.unfollow()
	}
	late := errors.Is(err, context.DeadlineExceeded)
	for _, w := range waiters {
		if w.timed || !late {
			go w.f()
		}
	}
}

var _ context.Context = (*Lifetime)(nil)
