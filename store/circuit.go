package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// errAway ends what is under way when the database does not answer any more.
var errAway = errors.New("the database does not answer")

// errClosed ends what is under way when the store closes.
var errClosed = errors.New("the store is closed")

// How a database that is away is asked whether it is back.
const (
	probeEvery = 250 * time.Millisecond
	probeWait  = time.Second
)

// How a database that keeps somebody waiting is asked whether it is still there.
const (
	silence     = 100 * time.Millisecond // without any answer
	longSilence = time.Second            // likewise, when we have to connect to ask
	lateness    = 15 * time.Millisecond  // of a timer of ours: the machine is overloaded, and silence says little
)

// circuit knows whether the database can be reached. When it cannot, nobody waits for it
// but one goroutine, which asks until it answers. An operation that takes long makes it
// ask, too, so that a database that takes connections and says nothing is noticed.
type circuit struct {
	patience time.Duration
	ping     func(context.Context) error // nil = the database is part of this process
	log      *slog.Logger
	now      func() time.Time // of the process, not of the rows

	answers atomic.Int64 // operations that have ended well
	warm    atomic.Bool  // the connection of ping is there: it answers in one round trip

	mutex   sync.Mutex
	open    bool // nothing goes through
	asking  bool
	closed  bool
	flights map[*flight]struct{}
	ended   context.Context //nolint:containedctx // the life of the goroutines that ask
	end     context.CancelCauseFunc
	running sync.WaitGroup
}

// flight is an operation under way.
type flight struct{ cancel context.CancelCauseFunc }

func newCircuit(patience time.Duration, ping func(context.Context) error, log *slog.Logger) *circuit {
	ended, end := context.WithCancelCause(context.Background())
	return &circuit{patience: patience, ping: ping, log: log, now: time.Now, flights: map[*flight]struct{}{}, ended: ended, end: end}
}

// enter is called before an operation. Its error says that the database is away; otherwise
// done is called after the operation, and ctx ends when the database goes away meanwhile.
func (c *circuit) enter(ctx context.Context) (_ context.Context, done func(), err error) {
	if c.ping == nil {
		return ctx, func() {}, nil
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.closed {
		return nil, nil, errClosed
	}
	if c.open {
		return nil, nil, errAway
	}
	ctx, cancel := context.WithCancelCause(ctx)
	f := &flight{cancel}
	c.flights[f] = struct{}{}
	late := time.AfterFunc(c.patience, c.suspect)
	return ctx, func() {
		late.Stop()
		cancel(nil)
		c.mutex.Lock()
		delete(c.flights, f)
		c.mutex.Unlock()
	}, nil
}

// suspect finds out whether the database is still there, and trips when it is not: when it
// answers neither us nor anybody else for a while in which our own timers were on time.
func (c *circuit) suspect() {
	c.mutex.Lock()
	if c.closed || c.open || c.asking {
		c.mutex.Unlock()
		return
	}
	c.asking = true
	c.running.Add(1)
	c.mutex.Unlock()
	defer c.running.Done()
	err := c.investigate()
	c.mutex.Lock()
	c.asking = false
	c.mutex.Unlock()
	if err != nil {
		c.trip(err)
	}
}

func (c *circuit) investigate() error {
	ctx, cancel := context.WithTimeout(c.ended, 2*longSilence)
	defer cancel()
	answer := make(chan error, 1)
	enough, step := silence, silence/5
	if !c.warm.Load() {
		enough = longSilence // connecting takes longer
	}
	go func() { answer <- c.ask(ctx) }()
	defer func() {
		cancel()
		<-answer //nolint:errcheck // it is too late to matter
	}()
	answers := c.answers.Load()
	for quiet, before := time.Duration(0), c.now(); ; {
		timer := time.NewTimer(step)
		select {
		case err := <-answer:
			timer.Stop()
			answer <- nil
			return err
		case <-timer.C:
		}
		now := c.now()
		quiet += step
		if now.Sub(before) > step+lateness {
			quiet = 0 // we were late ourselves
		}
		before = now
		switch {
		case c.answers.Load() != answers:
			return nil
		case quiet >= enough:
			return errAway
		}
	}
}

// ask pings.
func (c *circuit) ask(ctx context.Context) error {
	err := c.ping(ctx)
	c.warm.Store(err == nil)
	return err
}

// trip is told that the database cannot be reached.
func (c *circuit) trip(err error) {
	if c.ping == nil {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open || c.closed {
		return
	}
	c.open = true
	c.log.Warn("database is away", "error", err)
	for f := range c.flights {
		f.cancel(errAway)
	}
	c.running.Add(1)
	go c.wait()
}

// wait asks until the database answers.
func (c *circuit) wait() {
	defer c.running.Done()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.ended.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(c.ended, probeWait)
		err := c.ask(ctx)
		cancel()
		if err == nil {
			c.mutex.Lock()
			c.open = false
			c.mutex.Unlock()
			c.log.Info("database is back")
			return
		}
	}
}

// stop ends what is under way.
func (c *circuit) stop() {
	c.mutex.Lock()
	c.closed = true
	for f := range c.flights {
		f.cancel(errClosed)
	}
	c.mutex.Unlock()
	c.end(errClosed)
	c.running.Wait()
}
