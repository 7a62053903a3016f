package core_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

var errLeft = errors.New("left")

// Whatever ends a Lifetime, it says so in every way that a context has.
func TestLifetimeEnds(t *testing.T) {
	type key struct{}
	ends := map[string]struct {
		end         func(*core.Lifetime, context.CancelCauseFunc)
		err, cause  error
		cancelCalls int
	}{
		"cancel":   {func(l *core.Lifetime, _ context.CancelCauseFunc) { l.Cancel(nil) }, context.Canceled, context.Canceled, 1},
		"cause":    {func(l *core.Lifetime, _ context.CancelCauseFunc) { l.Cancel(errLeft) }, context.Canceled, errLeft, 1},
		"parent":   {func(_ *core.Lifetime, up context.CancelCauseFunc) { up(errLeft) }, context.Canceled, errLeft, 1},
		"deadline": {func(*core.Lifetime, context.CancelCauseFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded, context.DeadlineExceeded, 0},
	}
	parents := map[string]func() (context.Context, context.CancelCauseFunc){
		"standard": func() (context.Context, context.CancelCauseFunc) {
			return context.WithCancelCause(context.WithValue(context.Background(), key{}, "value"))
		},
		"lifetime": func() (context.Context, context.CancelCauseFunc) {
			up := core.NewLifetime(context.WithValue(context.Background(), key{}, "value"), time.Time{})
			return up, up.Cancel
		},
		"between": func() (context.Context, context.CancelCauseFunc) {
			up := core.NewLifetime(context.WithValue(context.Background(), key{}, "value"), time.Time{})
			between, stop := context.WithCancel(up)
			return between, func(cause error) { up.Cancel(cause); synctest.Wait(); stop() }
		},
	}
	for name, end := range ends {
		for kind, parent := range parents {
			for _, waits := range []bool{false, true} {
				t.Run(name+"/"+kind, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						ctx, cancel := parent()
						defer cancel(nil)
						life := core.NewLifetime(ctx, time.Now().Add(time.Second))
						defer life.Cancel(nil)
						if life.Err() != nil || core.Cause(life) != nil || life.Value(key{}) != "value" {
							t.Fatal("it ended at once, or lost a value")
						}
						if at, ok := life.Deadline(); !ok || time.Until(at) != time.Second {
							t.Fatalf("deadline %v %v", at, ok)
						}
						var after, onCancel int
						var mu sync.Mutex
						count := func(n *int) func() { return func() { mu.Lock(); *n++; mu.Unlock() } }
						var derived context.Context
						if waits {
							life.AfterFunc(count(&after))
							life.AfterFunc(count(&after))
							life.OnCancel(&core.Waiter{}, count(&onCancel))
							var stop context.CancelFunc
							derived, stop = context.WithCancel(life)
							defer stop()
						}
						end.end(life, cancel)
						synctest.Wait()
						if !errors.Is(life.Err(), end.err) || !errors.Is(core.Cause(life), end.cause) {
							t.Errorf("ended with %v because %v; want %v because %v", life.Err(), core.Cause(life), end.err, end.cause)
						}
						select {
						case <-life.Done():
						default:
							t.Error("Done is open")
						}
						if !waits {
							return
						}
						synctest.Wait()
						mu.Lock()
						defer mu.Unlock()
						if after != 2 || onCancel != end.cancelCalls {
							t.Errorf("AfterFunc %d times, OnCancel %d; want 2 and %d", after, onCancel, end.cancelCalls)
						}
						if derived.Err() == nil || !errors.Is(core.Cause(derived), end.cause) {
							t.Errorf("derived ended with %v because %v; want %v", derived.Err(), core.Cause(derived), end.cause)
						}
					})
				})
			}
		}
	}
}

func TestLifetimeStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := core.NewLifetime(t.Context(), time.Time{})
		stop := life.AfterFunc(func() { t.Error("called although stopped") })
		if !stop() || stop() {
			t.Error("stop must say yes once")
		}
		called := make(chan struct{}, 2)
		var w core.Waiter
		life.OnCancel(&w, func() { called <- struct{}{} })
		life.Cancel(nil)
		<-called
		if w.Stop() {
			t.Error("stop says yes after the call")
		}
		life.OnCancel(&w, func() { called <- struct{}{} })
		<-called // of one that already ended
	})
}

// The parent's earlier deadline holds.
func TestLifetimeKeepsTheEarlierDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := core.NewLifetime(t.Context(), time.Now().Add(time.Second))
		life := core.NewLifetime(up, time.Now().Add(time.Minute))
		defer life.Cancel(nil)
		begin := time.Now()
		<-life.Done()
		if time.Since(begin) != time.Second || !errors.Is(life.Err(), context.DeadlineExceeded) {
			t.Errorf("ended after %v with %v", time.Since(begin), life.Err())
		}
	})
}

func BenchmarkLifetime(b *testing.B) {
	root := core.NewLifetime(context.Background(), time.Time{})
	deadline := time.Now().Add(time.Hour)
	b.Run("lifetime", func(b *testing.B) {
		b.ReportAllocs()
		var w core.Waiter
		for b.Loop() {
			life := core.NewLifetime(root, deadline)
			life.OnCancel(&w, func() {})
			w.Stop()
			life.Cancel(nil)
		}
	})
	b.Run("context", func(b *testing.B) {
		b.ReportAllocs()
		up, cancel := context.WithCancel(context.Background())
		defer cancel()
		for b.Loop() {
			ctx, cancel := context.WithDeadline(up, deadline)
			stop := context.AfterFunc(ctx, func() {})
			stop()
			cancel()
		}
	})
}
