package mcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/sallyport/sallyport/core"
)

// subscription is a resource that the client of a session follows.
type subscription struct {
	settled chan struct{} // closed once it is known whether that can be
	err     error         // why it cannot; set before settled is closed
	stop    func()        // of Handler.Follow; nil until it is known
}

var errUnfollowed = errors.New("the resource was not followed")

// subscribe returns the subscription of a resource; fresh tells that it was made now, and
// is to be settled by the caller. nil when the session has too many.
func (s *Session) subscribe(uri string) (one *subscription, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.subscribed[uri]; one != nil {
		return one, false
	}
	if s.closed || len(s.subscribed) >= maxSubscriptions || s.subscribedBytes+len(uri) > maxSubscriptionBytes {
		return nil, false
	}
	if s.subscribed == nil {
		s.subscribed = map[string]*subscription{}
	}
	one = &subscription{settled: make(chan struct{})}
	s.subscribed[uri] = one
	s.subscribedBytes += len(uri)
	return one, true
}

// settle says how following went. What was unsubscribed meanwhile is stopped at once.
func (s *Session) settle(uri string, one *subscription, stop func(), err error) {
	s.mu.Lock()
	wanted := s.subscribed[uri] == one
	if wanted && err == nil {
		one.stop = stop
	}
	s.mu.Unlock()
	if wanted && err != nil {
		s.unsubscribe(uri, one)
	}
	one.err = err
	close(one.settled)
	if !wanted && err == nil {
		stop()
	}
}

// unsubscribe ends the subscription of a resource: which one, or whichever there is when
// that is nil.
func (s *Session) unsubscribe(uri string, which *subscription) {
	s.mu.Lock()
	one := s.subscribed[uri]
	if one == nil || which != nil && one != which {
		s.mu.Unlock()
		return
	}
	delete(s.subscribed, uri)
	s.subscribedBytes -= len(uri)
	stop := one.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// follow subscribes the session to a resource, once. false when it has too many.
func (x *exchange) follow(ctx context.Context, uri string) (ok bool, err error) {
	for {
		one, fresh := x.session.subscribe(uri)
		switch {
		case one == nil:
			return false, nil
		case fresh:
			return true, x.fill(ctx, uri, one)
		}
		select {
		case <-one.settled: // by another request
			if one.err == nil {
				return true, nil
			}
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
}

// fill follows the resource of a fresh subscription, holding no lock: it may take time.
func (x *exchange) fill(ctx context.Context, uri string, one *subscription) error {
	stop, err := func() {}, errUnfollowed // what a panic leaves
	defer func() { x.session.settle(uri, one, stop, err) }()
	stop, err = x.r.Handler.Follow(ctx, x.r.Who, uri)
	return err
}

// follow follows a resource for a listen stream; nil when that cannot be.
func (e *Endpoint) follow(ctx context.Context, handler core.Handler, who core.Identity, uri string) (stop func()) {
	defer func() {
		if p := recover(); p != nil { // in a goroutine of its own, it would end the process
			stop = nil
			e.log.LogAttrs(ctx, slog.LevelError, "resource not followed", slog.String("server", handler.Server().Name),
				slog.Any("error", fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
		}
	}()
	stop, err := handler.Follow(ctx, who, uri)
	if err != nil {
		return nil
	}
	return stop
}
