package child

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Policy says when a child runs.
type Policy string

// The policies. What nobody needs is not restarted, save by Eager.
const (
	Eager    Policy = "eager"     // always
	OnDemand Policy = "on_demand" // from the first Acquire on
	IdleStop Policy = "idle_stop" // from an Acquire until it was not used for Plan.Idle
)

// Plan says what a Supervisor keeps running, and how. Zero values stand for the defaults.
type Plan struct {
	Allow Allow
	Spec  Spec
	Start Policy        // default OnDemand
	Idle  time.Duration // for IdleStop; default 5 min
	Warm  int           // ready processes beside the one in use, so that the next is there at once

	// Ready is asked of each new process before anybody gets it: a session is opened
	// here. It owns the process' lines meanwhile. An error, or ReadyWithin passing,
	// counts as a failure of the process. nil = ready when it runs.
	Ready       func(ctx context.Context, p *Process) error
	ReadyWithin time.Duration // default 30 s

	Restart Restart

	// Changed is told when the process in use is another one: from nil at a start, to nil
	// at an end. Calls come one after another and in order, and must not call Stop.
	Changed func(from, to *Process)

	Logger *slog.Logger
	Clock  Clock
	Rand   func() float64 // [0,1), for jitter; default math/rand/v2
	off    off
}

// Restart says how often a child that fails is started again. A process that ended fails;
// so does one that does not get ready. The first restart comes at once, the next after
// First, then after twice that, up to Max; each wait is cut by up to a half, by chance.
type Restart struct {
	First    time.Duration // default 500 ms
	Max      time.Duration // default 30 s
	Healthy  time.Duration // ready for so long = failures before do not count; default 10 s
	Failures int           // so many in succession and nothing is started any more; default 5
	Cooldown time.Duration // until one more start is tried; default 1 min
}

func (r Restart) filled() Restart {
	r.First = or(r.First, 500*time.Millisecond)
	r.Max = or(r.Max, 30*time.Second)
	r.Healthy = or(r.Healthy, 10*time.Second)
	r.Failures = or(r.Failures, 5)
	r.Cooldown = or(r.Cooldown, time.Minute)
	return r
}

// wait returns how long to wait before the start after so many failures.
func (r Restart) wait(failures int, rand func() float64) time.Duration {
	if failures < 2 {
		return 0
	}
	d := r.First
	for i := 2; i < failures && d < r.Max; i++ {
		d *= 2
	}
	d = min(d, r.Max)
	return d - time.Duration(rand()*float64(d)/2)
}

// filled returns p with its defaults, or says what is wrong with it. Whether the command
// may run is asked here too, so that a mistake is found when the plan is made.
func (p Plan) filled() (Plan, error) {
	if p.Start == "" {
		p.Start = OnDemand
	}
	switch {
	case p.Start != Eager && p.Start != OnDemand && p.Start != IdleStop:
		return p, p.Spec.invalid(fmt.Sprintf("has the start policy %q", p.Start), "use eager, on_demand or idle_stop")
	case p.Warm < 0 || p.Warm > maxWarm:
		return p, p.Spec.invalid(fmt.Sprintf("wants %d warm processes", p.Warm), fmt.Sprintf("use 0 to %d", maxWarm))
	case p.Idle < 0 || p.ReadyWithin < 0:
		return p, p.Spec.invalid("has a negative time", "use 0 for the default")
	}
	p.Idle = or(p.Idle, 5*time.Minute)
	p.ReadyWithin = or(p.ReadyWithin, 30*time.Second)
	p.Restart, p.Clock = p.Restart.filled(), p.Clock.orReal()
	if p.Rand == nil {
		p.Rand = rand.Float64
	}
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	_, err := p.Allow.Check(&p.Spec)
	return p, err
}

const maxWarm = 16

// State of a supervised child.
type State string

// The states.
const (
	Idle       State = "idle"        // not running, and nobody needs it
	Starting   State = "starting"    // running, but not ready yet; or about to be started
	Ready      State = "ready"       // in use, or ready to be
	BackingOff State = "backing_off" // it failed, and is started again later
	Failed     State = "failed"      // it failed too often, or cannot be started at all
	Stopped    State = "stopped"     // by Stop
)

// Health is the state of a supervised child at one moment.
type Health struct {
	State    State
	PID      int       // of the process in use; 0 = none
	Users    int       // leases that were not released
	Waiting  int       // calls of Acquire that wait
	Spares   int       // ready processes beside it
	Restarts int       // starts after the first
	Failures int       // in succession
	RetryAt  time.Time // of BackingOff and Failed: when a start is tried again
	LastExit *Exit     // of the last process that ended by itself or was ended for a cause
	Err      error     // why it is not ready; with the last lines of stderr in its chain
}

// unready is the error of an Acquire that was not served.
func unready(name, why string, cause error) *core.Error {
	e := &core.Error{Code: core.CodeUnavailable, Message: fmt.Sprintf("child %q %s", name, why), Fix: "its state and the gateway's log have the reason", Err: cause}
	if cause != nil {
		if of := core.AsError(cause); of.Code != core.CodeInternal {
			e.Message += ": " + of.Message
			if of.Fix != "" {
				e.Fix = of.Fix
			}
		}
	}
	return e
}
