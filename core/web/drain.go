package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Serve answers requests on ln until ctx ends, then drains: /readyz says no, after
// the lag parked streams get their last words, no new connection is taken, and
// calls in flight go on to their end, or to the hard stop. Serve may be called once;
// it closes ln. It returns nil when nothing was cut off.
func (e *Edge) Serve(ctx context.Context, ln net.Listener) error {
	if e.served.Swap(true) {
		return errors.New("web: Serve was called twice")
	}
	if e.doorkeeper == nil && e.servers != nil && !loopback(ln.Addr()) {
		return errors.Join(CheckListen(ln.Addr().String(), false), ln.Close())
	}
	watch, err := newWatcher(e)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	e.watch = watch
	defer watch.close()
	go e.hub.run()
	defer e.hub.close()

	failed := make(chan error, 1)
	go func() {
		defer e.contain("accept connections")
		failed <- e.app.Listener(&listener{Listener: ln, edge: e})
	}()
	e.log.Info("listening", "address", ln.Addr().String())
	select {
	case err := <-failed:
		err = fmt.Errorf("accept connections on %s: %w", ln.Addr(), errors.Join(err, errors.New("the listener ended")))
		return errors.Join(err, e.drain(context.WithoutCancel(ctx)))
	case <-ctx.Done():
	}
	return e.drain(context.WithoutCancel(ctx))
}

// drain ends everything in order; ctx carries values only.
func (e *Edge) drain(ctx context.Context) error {
	begun := e.now()
	ctx, cancel := context.WithDeadline(ctx, begun.Add(e.times.Stop))
	defer cancel()
	e.draining.Store(true)
	if e.api != nil {
		e.api.drain()
	}
	e.log.Info("draining", "lag", e.times.Lag, "stop", e.times.Stop)
	if e.times.Lag > 0 {
		lag := time.NewTimer(min(e.times.Lag, e.times.Stop/2))
		defer lag.Stop()
		<-lag.C
	}

	words, cancelWords := context.WithTimeout(ctx, e.times.Stop/4)
	e.lastWords(words)
	cancelWords()
	e.hub.closeParked()

	// The last tenth is for requests that are told to stop.
	calm, cancelCalm := context.WithDeadline(ctx, begun.Add(e.times.Stop-e.times.Stop/10))
	defer cancelCalm()
	unused := time.AfterFunc(min(time.Second, e.times.Stop/10), e.closeUnused)
	defer unused.Stop()
	if err := e.app.ShutdownWithContext(calm); err == nil {
		e.halt()
		e.log.Info("stopped")
		return nil
	}
	cut := e.inFlight.Load()
	e.stopAll()
	e.awaitSilence(ctx)
	e.halt()
	if cut == 0 {
		e.log.Info("stopped")
		return nil
	}
	e.log.Warn("stopped with requests cut off", "requests", cut)
	return &core.Error{
		Code:    core.CodeTimeout,
		Message: fmt.Sprintf("%d requests were cut off after %s of draining", cut, e.now().Sub(begun).Round(time.Millisecond)),
		Fix:     "give the drain more time than the longest tool call takes",
	}
}

// awaitSilence waits until every request was answered and every connection
// closed, or ctx ends.
func (e *Edge) awaitSilence(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for e.inFlight.Load() > 0 || e.connections() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lastWords lets the Endpoint end its streams, but not for longer than ctx.
func (e *Edge) lastWords(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer e.contain("drain the endpoint")
		if e.endpoint != nil {
			e.endpoint.Drain(ctx)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// closeUnused closes connections that never sent anything, or not yet a whole head:
// fasthttp waits for them.
func (e *Edge) closeUnused() {
	defer e.contain("close unused connections")
	for _, c := range e.open() {
		if c.received.Load() == 0 || c.halfHead.Load() {
			_ = c.Close()
		}
	}
}

// stopAll ends the context of every request.
func (e *Edge) stopAll() {
	for _, c := range e.open() {
		c.stop()
	}
}

// halt closes every connection that is still open.
func (e *Edge) halt() {
	for _, c := range e.open() {
		c.lingers.Store(false)
		c.stop()
		_ = c.Close()
	}
}

func (e *Edge) open() []*conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*conn, 0, len(e.conns)+len(e.detached))
	for _, c := range e.conns {
		all = append(all, c)
	}
	for _, c := range e.detached {
		all = append(all, c)
	}
	return all
}
