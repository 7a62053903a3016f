package sandbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
)

// pool keeps the instances of one plugin: at most Limits.Instances at once, the one
// used last is used first, so that the others grow idle and go. A call that finds
// none waits in a bounded queue, first come, first served.
type pool struct {
	plugin *Plugin

	mu      sync.Mutex
	free    []*instance // the last is the one used last
	total   int         // in use, free or being made
	queue   []chan *instance
	closed  bool
	empty   chan struct{} // closed when closed and total is 0
	sweeper *time.Timer   // nil = nothing to sweep

	memory int64 // sum of instance.size
}

func newPool(p *Plugin) *pool {
	return &pool{plugin: p, empty: make(chan struct{})}
}

var errClosed = errors.New("closed")

// quick returns the free instance that was used last, or nil.
func (o *pool) quick() *instance {
	o.mu.Lock()
	n := len(o.free) - 1
	if n < 0 {
		o.mu.Unlock()
		return nil
	}
	i := o.free[n]
	o.free[n] = nil
	o.free = o.free[:n]
	o.mu.Unlock()
	return i
}

// nestedWait is how long a call within a call waits for an instance. The call around it
// may hold one of the same plugin: where all callers do that, they wait for each other,
// and everybody else for them.
const nestedWait = 100 * time.Millisecond

// get returns an instance, made if need be.
func (o *pool) get(ctx context.Context, deadline time.Time, nested bool) (*instance, error) {
	o.mu.Lock()
	switch {
	case o.closed:
		o.mu.Unlock()
		return nil, errClosed
	case len(o.free) > 0:
		i := o.free[len(o.free)-1]
		o.free[len(o.free)-1] = nil
		o.free = o.free[:len(o.free)-1]
		o.mu.Unlock()
		return i, nil
	case o.total < o.plugin.limits.Instances:
		o.total++
		o.mu.Unlock()
		return o.make(ctx, deadline)
	case len(o.queue) >= o.plugin.limits.Queue:
		o.mu.Unlock()
		return nil, &core.Error{Code: core.CodeLimited, Message: "plugin " + o.plugin.name + ": all instances are busy and the queue is full", Fix: "try again later", RetryAfter: 1}
	}
	turn := make(chan *instance, 1)
	o.queue = append(o.queue, turn)
	o.mu.Unlock()
	return o.await(ctx, turn, deadline, nested)
}

// await waits in the queue. What comes is an instance, or nil: the right to make one.
func (o *pool) await(ctx context.Context, turn chan *instance, deadline time.Time, nested bool) (*instance, error) {
	wait := deadline.Sub(o.plugin.now())
	if nested {
		wait = min(wait, nestedWait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case i := <-turn:
		return o.take(ctx, i, deadline)
	case <-timer.C:
		err = &core.Error{Code: core.CodeTimeout, Message: "plugin " + o.plugin.name + ": no instance became free in time", Fix: "raise limits.instances, or limits.timeout"}
		if nested {
			err = &core.Error{Code: core.CodeLimited, Message: "plugin " + o.plugin.name + ": all instances are busy, and a call within a call does not wait for long", Fix: "raise limits.instances, or call the tool less often", RetryAfter: 1}
		}
	case <-ctx.Done():
		err = o.plugin.named(left(ctx))
	}
	o.mu.Lock()
	for n, t := range o.queue {
		if t == turn {
			o.queue = append(o.queue[:n], o.queue[n+1:]...)
			o.mu.Unlock()
			return nil, err
		}
	}
	o.mu.Unlock()
	// It came in the same moment: it goes to the next.
	if i := <-turn; i != nil {
		o.put(i)
	} else {
		o.gone()
	}
	return nil, err
}

func (o *pool) take(ctx context.Context, i *instance, deadline time.Time) (*instance, error) {
	if i != nil {
		return i, nil
	}
	o.mu.Lock()
	closed := o.closed
	o.mu.Unlock()
	if closed {
		o.gone()
		return nil, errClosed
	}
	return o.make(ctx, deadline)
}

// make makes an instance for a place that is already counted.
func (o *pool) make(ctx context.Context, deadline time.Time) (*instance, error) {
	i, err := o.plugin.newInstance(ctx, deadline)
	if err != nil {
		o.gone()
		return nil, err
	}
	return i, nil
}

// put gives an instance back for the next call.
func (o *pool) put(i *instance) {
	size := int64(i.memory.Size())
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		o.drop(i)
		return
	}
	o.memory += size - i.size
	i.size = size
	if len(o.queue) > 0 {
		turn := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		turn <- i
		return
	}
	o.free = append(o.free, i)
	if len(o.free) > 1 && o.sweeper == nil {
		o.sweeper = time.AfterFunc(o.plugin.limits.Idle, o.sweep)
	}
	o.mu.Unlock()
}

// drop closes an instance for good and gives its place to who waits.
func (o *pool) drop(i *instance) {
	o.retire(i)
	o.gone()
}

// retire closes an instance whose place goes on.
func (o *pool) retire(i *instance) {
	o.mu.Lock()
	o.memory -= i.size
	o.mu.Unlock()
	i.close()
}

// gone gives up a place.
func (o *pool) gone() {
	o.mu.Lock()
	if len(o.queue) > 0 && !o.closed {
		turn := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		turn <- nil // the place goes on: total stays
		return
	}
	o.total--
	last := o.closed && o.total == 0
	o.mu.Unlock()
	if last {
		o.plugin.release()
		close(o.empty)
	}
}

// sweep closes what was idle for too long, the instance used last excepted.
func (o *pool) sweep() {
	now := o.plugin.now()
	o.mu.Lock()
	o.sweeper = nil
	var old []*instance
	for len(o.free) > 1 && now.Sub(o.free[0].idle) >= o.plugin.limits.Idle {
		old = append(old, o.free[0])
		o.free = o.free[1:]
	}
	if len(o.free) > 1 && !o.closed {
		o.sweeper = time.AfterFunc(max(o.plugin.limits.Idle-now.Sub(o.free[0].idle), time.Millisecond), o.sweep)
	}
	o.mu.Unlock()
	o.plugin.tally.recycled.Add(uint64(len(old)))
	for _, i := range old {
		o.drop(i)
	}
}

// close ends the pool: waiting calls are refused, free instances closed, and when
// the last call gave its instance back, the plugin is released. It waits for that,
// or for the end of ctx.
func (o *pool) close(ctx context.Context) error {
	o.mu.Lock()
	first := !o.closed
	o.closed = true
	free, queue := o.free, o.queue
	o.free, o.queue = nil, nil
	if o.sweeper != nil {
		o.sweeper.Stop()
		o.sweeper = nil
	}
	o.total += len(queue) // each gets a place to give up
	if first {
		o.total++ // our own, given up below: so somebody is always the last
	}
	o.mu.Unlock()
	for _, turn := range queue {
		turn <- nil
	}
	for _, i := range free {
		o.drop(i)
	}
	if first {
		o.gone()
	}
	select {
	case <-o.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// counts returns how many instances there are, how many of them are free, how many
// calls wait, and the bytes of memory of all.
func (o *pool) counts() (total, free, waiting int, memory int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total, len(o.free), len(o.queue), o.memory
}
