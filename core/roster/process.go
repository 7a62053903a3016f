package roster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/child"
	"github.com/sallyport/sallyport/core/upstream"
)

// processes are those of one upstream: the supervised one, which everybody shares, and one
// more for each session of a call that may ask its client something.
type processes struct {
	e     *entry
	plan  child.Plan
	sup   *child.Supervisor
	calls atomic.Int64 // under way

	met bool // there was one; the supervisor's alone

	mu      sync.Mutex
	claimed *child.Process // the supervised one that a session has
	more    map[*child.Process]struct{}
	ended   bool
	begun   chan struct{} // closed when the entry can be told of processes
}

// newProcesses makes what starts the processes of an upstream. Whether the settings allow
// them is asked now.
func newProcesses(e *entry) (*processes, error) {
	c := &e.config
	p := &processes{e: e, begun: make(chan struct{}), more: map[*child.Process]struct{}{}}
	p.plan = child.Plan{
		Allow: e.r.o.Allow,
		Spec:  child.Spec{Name: c.Name, Argv: c.Command, Env: c.Env, Secret: c.Secrets, Dir: c.Directory},
		Start: child.Policy(c.Start), Warm: c.Warm, Logger: e.r.o.Log.With("upstream", c.Name),
		Changed: p.changed,
	}
	if c.Idle != "" {
		idle, err := time.ParseDuration(c.Idle)
		if err != nil {
			return nil, err
		}
		p.plan.Idle = idle
	}
	if e.r.o.Offline {
		p.plan.Start = child.OnDemand // nothing is started by itself
		if c.Start != "" && c.Start != string(child.Eager) {
			p.plan.Start = child.Policy(c.Start)
		}
	}
	sup, err := child.Supervise(p.plan)
	if err != nil {
		var known *core.Error
		if errors.As(err, &known) && known.Code == core.CodeDenied {
			explained := *known
			explained.Fix += " (settings: upstreams.commands, upstreams.env)"
			return nil, &explained
		}
		return nil, err
	}
	p.sup = sup
	return p, nil
}

// changed is told that another process is in use, or none: what nobody needs is not started
// for being listened to. Another process may be another program by now, so what it offers
// is looked at.
func (p *processes) changed(_, to *child.Process) {
	<-p.begun
	if to != nil {
		if p.met {
			poke(p.e.look)
		}
		p.met = true
	}
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if !ended {
		p.e.listen(to != nil)
	}
	if to == nil && p.rests() && p.calls.Load() == 0 && p.e.client.State().Parked == 0 {
		p.rest()
	}
}

// rest ends the processes beside the supervised one, which went for want of calls.
func (p *processes) rest() {
	p.mu.Lock()
	more := slices.Collect(maps.Keys(p.more))
	p.mu.Unlock()
	var all sync.WaitGroup
	for _, one := range more {
		all.Go(func() {
			if err := p.stop(one); err != nil {
				p.plan.Logger.Error("child does not end", "child", p.plan.Spec.Name, "error", err)
			}
		})
	}
	all.Wait()
}

// stop ends a process of a session.
func (p *processes) stop(one *child.Process) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := one.Stop(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.more, one)
	return err
}

// begin says that the entry is whole.
func (p *processes) begin() { close(p.begun) }

// use starts the process if need be, and keeps it until done.
func (p *processes) use(ctx context.Context) (done func(), err error) {
	p.calls.Add(1)
	lease, err := p.sup.Acquire(ctx)
	if err != nil {
		p.calls.Add(-1)
		return nil, err
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			lease.Release()
			p.calls.Add(-1)
		})
	}, nil
}

// rests tells that a process is to end when nobody calls it.
func (p *processes) rests() bool { return p.plan.Start == child.IdleStop }

// running tells whether there is a process.
func (p *processes) running() bool { return p.sup.Health().State == child.Ready }

// spawn returns a process for a session: that which is supervised, or another one beside
// it. Sessions are opened for calls alone: to listen is no reason to start anything.
func (p *processes) spawn(ctx context.Context) (upstream.Pipe, error) {
	if p.calls.Load() == 0 && p.plan.Start != child.Eager && !p.running() {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "upstream " + p.e.config.Name + " does not run, and nobody needs it"}
	}
	lease, err := p.sup.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer lease.Release()
	p.mu.Lock()
	first := p.claimed != lease.Process
	p.claimed = lease.Process
	p.mu.Unlock()
	if first {
		return pipe{p, lease.Process}, nil
	}
	more, err := child.Start(p.plan.Allow, p.plan.Spec, child.Options{Logger: p.plan.Logger})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.more[more] = struct{}{}
	p.mu.Unlock()
	return pipe{p, more}, nil
}

// status adds what is known of the process.
func (p *processes) status(s *core.RemoteStatus) {
	h := p.sup.Health()
	s.Restarts = h.Restarts
	switch h.State {
	case child.Idle:
		s.State, s.Error = "idle", ""
	case child.BackingOff, child.Failed, child.Stopped:
		s.State = "down"
		if h.Err != nil {
			s.Error = core.AsError(h.Err).Public()
		}
	case child.Starting:
		s.State = "connecting"
	case child.Ready:
	}
}

// close ends every process.
func (p *processes) close() error {
	p.mu.Lock()
	if !p.ended {
		p.ended = true
		select {
		case <-p.begun:
		default:
			close(p.begun)
		}
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return p.sup.Stop(ctx)
}

// pipe is a process that a session has to itself.
type pipe struct {
	of *processes
	p  *child.Process
}

// Send writes a line. What the process cannot have seen goes to another one.
func (l pipe) Send(ctx context.Context, line []byte) error {
	err := l.p.Send(ctx, line)
	if errors.Is(err, child.ErrNotSent) && ctx.Err() == nil {
		return errors.Join(err, upstream.ErrNotSent)
	}
	return err
}

func (l pipe) Next(ctx context.Context) ([]byte, error) { return l.p.Next(ctx) }

// Close ends the process: a session cannot begin anew on the same one.
func (l pipe) Close() error { return l.of.stop(l.p) }
