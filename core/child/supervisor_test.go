//go:build unix

package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// hand is a clock that moves when the test says so.
type hand struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*time.Time]func()
}

func newHand() *hand {
	return &hand{now: time.Now().Add(time.Hour), timers: map[*time.Time]func(){}}
}

func (h *hand) clock() Clock {
	return Clock{
		Now: func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now },
		AfterFunc: func(d time.Duration, f func()) func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			due := h.now.Add(d)
			h.timers[&due] = f
			return func() bool {
				h.mu.Lock()
				defer h.mu.Unlock()
				_, waits := h.timers[&due]
				delete(h.timers, &due)
				return waits
			}
		},
	}
}

// move lets time pass.
func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	h.now = h.now.Add(d)
	var due []func()
	for at, f := range h.timers {
		if !at.After(h.now) {
			due = append(due, f)
			delete(h.timers, at)
		}
	}
	h.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// supervise makes a supervisor that is stopped when the test ends.
func supervise(t *testing.T, plan Plan) *Supervisor {
	t.Helper()
	plan.Allow = allowSelf()
	s, err := Supervise(plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// until waits for a state of health.
func until(t *testing.T, s *Supervisor, what string, ok func(Health) bool) Health {
	t.Helper()
	for range 4000 {
		if h := s.Health(); ok(h) {
			return h
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never %s: %+v", what, s.Health())
	return Health{}
}

func acquire(t *testing.T, s *Supervisor) *Lease {
	t.Helper()
	l, err := s.Acquire(within(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}

// switchboard tells answers apart by their id, as users of one process do.
type switchboard struct {
	mu    sync.Mutex
	calls map[int]chan string
}

func (b *switchboard) listen(ctx context.Context, p *Process) {
	for {
		line, err := p.Next(ctx)
		if err != nil {
			return
		}
		var m struct {
			ID   int
			Text string
		}
		if json.Unmarshal(line, &m) == nil {
			b.mu.Lock()
			if c := b.calls[m.ID]; c != nil {
				c <- m.Text
			}
			b.mu.Unlock()
		}
	}
}

func TestThousandUsersOfOneChild(t *testing.T) {
	s := supervise(t, Plan{Spec: role("echo")})
	if h := s.Health(); h.State != Idle || h.PID != 0 {
		t.Errorf("it runs although nobody asked: %+v", h)
	}
	board := switchboard{calls: map[int]chan string{}}
	var listening sync.Once
	var all sync.WaitGroup
	var answered atomic.Int64
	for i := range 1000 {
		all.Go(func() {
			l, err := s.Acquire(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Release()
			listening.Do(func() { go board.listen(t.Context(), l.Process) })
			c := make(chan string, 1)
			board.mu.Lock()
			board.calls[i] = c
			board.mu.Unlock()
			if err := l.Process.Send(t.Context(), fmt.Appendf(nil, `{"id":%d,"text":"nonce-%d"}`, i, i)); err != nil {
				t.Error(err)
				return
			}
			select {
			case text := <-c:
				if text != fmt.Sprintf("nonce-%d", i) {
					t.Errorf("%d got %s", i, text)
				}
				answered.Add(1)
			case <-l.Process.Done():
				t.Error(l.Process.Err())
			}
		})
	}
	all.Wait()
	if h := s.Health(); answered.Load() != 1000 || h.State != Ready || h.Restarts != 0 || h.Users != 0 || h.Waiting != 0 {
		t.Errorf("%d answered; %+v", answered.Load(), h)
	}
}

// kill -9 in the middle: who waits for an answer gets a defined error, and who acquires
// then has another process.
func TestKillInTheMiddle(t *testing.T) {
	s := supervise(t, Plan{Spec: role("deaf")})
	first := acquire(t, s)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := first.Process.Next(within(t))
			if e := core.AsError(err); e.Code != core.CodeUnavailable || !strings.Contains(e.Message, "signal: killed") {
				t.Error(err)
			}
		})
	}
	if err := syscall.Kill(first.Process.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	second := acquire(t, s)
	if second.Process == first.Process || second.Process.PID() == first.Process.PID() {
		t.Error("the dead process was handed out")
	}
	if h := s.Health(); h.State != Ready || h.Restarts != 1 || h.Failures != 1 || h.LastExit == nil || h.LastExit.Signal != "killed" {
		t.Errorf("%+v", h)
	}
}

func TestIdleStop(t *testing.T) {
	h := newHand()
	s := supervise(t, Plan{Spec: role("echo"), Start: IdleStop, Idle: time.Minute, Warm: 1, Clock: h.clock()})
	l := acquire(t, s)
	until(t, s, "warm", func(h Health) bool { return h.Spares == 1 })
	h.move(time.Hour) // somebody uses it
	time.Sleep(20 * time.Millisecond)
	if s.Health().State != Ready {
		t.Fatal("it was stopped in use")
	}
	l.Release()
	l.Release() // no matter
	h.move(59 * time.Second)
	time.Sleep(20 * time.Millisecond)
	if got := s.Health(); got.State != Ready || got.Users != 0 {
		t.Fatalf("%+v", got)
	}
	stopsWhen(t, s, h)
	<-l.Process.Done()
	if e := l.Process.Exit(); !e.Stopped || e.Code != 0 {
		t.Errorf("%+v", e)
	}
	again := acquire(t, s)
	if err := again.Process.Send(within(t), []byte(`{}`)); err != nil {
		t.Error(err)
	}
	if got := s.Health(); got.State != Ready || got.Failures != 0 || got.LastExit != nil {
		t.Errorf("to be stopped counts as a failure: %+v", got)
	}
}

// stopsWhen lets time pass until the supervisor is idle.
func stopsWhen(t *testing.T, s *Supervisor, h *hand) {
	t.Helper()
	until(t, s, "idle", func(got Health) bool { h.move(time.Second); return got.State == Idle && got.Spares == 0 })
}

// The waits between restarts grow to a bound, are cut by chance, and after so many
// failures there is an end; a cool-down later comes one try.
func TestBackOff(t *testing.T) {
	h := newHand()
	var log book
	s := supervise(t, Plan{
		Spec: role("exit", "3"), Start: Eager, Clock: h.clock(), Logger: log.logger(), Rand: func() float64 { return 0.5 },
		Restart: Restart{First: time.Second, Max: 3 * time.Second, Failures: 5, Cooldown: time.Minute},
		Ready:   func(ctx context.Context, p *Process) error { _, err := p.Next(ctx); return err },
	})
	for i, want := range []time.Duration{750 * time.Millisecond, 1500 * time.Millisecond, 2250 * time.Millisecond} {
		got := until(t, s, "backing off", func(got Health) bool { return got.State == BackingOff && got.Failures == i+2 })
		if wait := got.RetryAt.Sub(h.clock().Now()); wait != want {
			t.Errorf("wait %d is %s, want %s", i, wait, want)
		}
		if got.LastExit == nil || got.LastExit.Code != 3 {
			t.Errorf("%+v", got.LastExit)
		}
		// A call that ends before is not held up.
		ctx, cancel := context.WithDeadline(t.Context(), got.RetryAt.Add(-time.Millisecond))
		defer cancel()
		_, err := s.Acquire(ctx)
		if e := wants(t, err, core.CodeUnavailable, "too late for this call"); e.RetryAfter != int((want+time.Second-1)/time.Second) {
			t.Errorf("retry after %d s", e.RetryAfter)
		}
		h.move(want - 1)
		time.Sleep(10 * time.Millisecond)
		if now := s.Health(); now.Failures != i+2 || now.State != BackingOff {
			t.Errorf("too early: %+v", now)
		}
		h.move(1)
	}
	got := until(t, s, "failed", func(got Health) bool { return got.State == Failed })
	if got.Failures != 5 || got.Restarts != 4 || got.RetryAt.Sub(h.clock().Now()) != time.Minute {
		t.Errorf("%+v", got)
	}
	_, err := s.Acquire(t.Context())
	e := wants(t, err, core.CodeUnavailable, "failed too often")
	if e.RetryAfter != 60 || !strings.Contains(e.Message, "exit status 3") || !strings.Contains(e.Error(), "cannot find the key file") || strings.Contains(e.Public(), "key file") {
		t.Errorf("%d %q", e.RetryAfter, e)
	}
	h.move(time.Minute)
	until(t, s, "one try more", func(got Health) bool { return got.Failures == 6 && got.State == Failed })
	s.Reset()
	until(t, s, "forgotten", func(got Health) bool { return got.State == BackingOff && got.Failures == 2 })
}

func TestWait(t *testing.T) {
	r := Restart{}.filled()
	zero, one := func() float64 { return 0 }, func() float64 { return 0.999999 }
	for failures, milliseconds := range []int{0, 0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000} {
		want := time.Duration(milliseconds) * time.Millisecond
		if got := r.wait(failures, zero); got != want {
			t.Errorf("%d failures: %s, want %s", failures, got, want)
		}
		if got := r.wait(failures, one); got < want/2 || got > want/2+time.Millisecond {
			t.Errorf("%d failures: at least %s", failures, got)
		}
	}
	if got := r.wait(1<<40, zero); got != r.Max {
		t.Error(got)
	}
}

// What ran well and dies is started again at once: failures before do not count.
func TestRanWell(t *testing.T) {
	h := newHand()
	s := supervise(t, Plan{Spec: role("echo"), Start: Eager, Clock: h.clock(), Restart: Restart{Failures: 2, Healthy: time.Minute}})
	for i := range 4 {
		got := until(t, s, "ready", func(got Health) bool { return got.State == Ready && got.Restarts == i })
		h.move(time.Minute)
		_ = syscall.Kill(got.PID, syscall.SIGKILL)
	}
	got := until(t, s, "ready", func(got Health) bool { return got.State == Ready && got.Restarts == 4 })
	if got.Failures != 1 {
		t.Errorf("%+v", got)
	}
	_ = syscall.Kill(got.PID, syscall.SIGKILL) // not well this time
	until(t, s, "failed", func(got Health) bool { return got.State == Failed })
}

func TestReadyProbe(t *testing.T) {
	t.Run("opens a session", func(t *testing.T) {
		s := supervise(t, Plan{Spec: role("echo"), Ready: func(ctx context.Context, p *Process) error {
			if err := p.Send(ctx, []byte(`{"hello":1}`)); err != nil {
				return err
			}
			_, err := p.Next(ctx)
			return err
		}})
		l := acquire(t, s)
		if err := l.Process.Send(within(t), []byte(`[1]`)); err != nil {
			t.Fatal(err)
		}
		if line, err := l.Process.Next(within(t)); err != nil || string(line) != `[1]` {
			t.Errorf("%s, %v", line, err)
		}
	})
	t.Run("hangs", func(t *testing.T) {
		h := newHand()
		s := supervise(t, Plan{
			Spec: role("deaf"), Start: Eager, Clock: h.clock(), ReadyWithin: time.Minute, Restart: Restart{Failures: 1},
			Ready: func(ctx context.Context, p *Process) error { _, err := p.Next(ctx); return err },
		})
		until(t, s, "starting", func(got Health) bool { return got.State == Starting })
		got := until(t, s, "failed", func(got Health) bool { h.move(time.Second); return got.State == Failed })
		wants(t, got.Err, core.CodeUnavailable, "was not ready within 1m0s")
	})
	t.Run("says no", func(t *testing.T) {
		s := supervise(t, Plan{
			Spec: role("grumble", "3"), Restart: Restart{Failures: 1},
			Ready: func(ctx context.Context, p *Process) error {
				if err := p.Send(ctx, []byte(`{}`)); err != nil {
					return err
				}
				_, err := p.Next(ctx)
				return errors.Join(err, &core.Error{Code: core.CodeInvalid, Message: "it speaks another language", Fix: "teach it"})
			},
		})
		_, err := s.Acquire(t.Context())
		e := wants(t, err, core.CodeUnavailable, "it speaks another language; teach it")
		if !strings.Contains(e.Error(), "line 2") {
			t.Errorf("%q has no tail", e)
		}
	})
	t.Run("second time", func(t *testing.T) {
		s := supervise(t, Plan{
			Spec: role("once", filepath.Join(t.TempDir(), "failed")),
			Ready: func(ctx context.Context, p *Process) error {
				if err := p.Send(ctx, []byte(`{}`)); err != nil {
					return err
				}
				_, err := p.Next(ctx)
				return err
			},
		})
		acquire(t, s) // waits for the restart
		if got := s.Health(); got.Restarts != 1 || got.LastExit == nil || got.LastExit.Code != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// A spare takes over at once, Changed tells of each step in order.
func TestWarm(t *testing.T) {
	var mu sync.Mutex
	var told []int
	s := supervise(t, Plan{Spec: role("echo"), Start: Eager, Warm: 2, Restart: Restart{Failures: 100}, Changed: func(from, to *Process) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range []*Process{from, to} {
			if p == nil {
				told = append(told, 0)
			} else {
				told = append(told, p.PID())
			}
		}
	}})
	want := []int{0}
	for range 3 {
		got := until(t, s, "warm", func(got Health) bool { return got.State == Ready && got.Spares == 2 && !slices.Contains(want, got.PID) })
		want = append(want, got.PID, got.PID)
		_ = syscall.Kill(got.PID, syscall.SIGKILL)
	}
	got := until(t, s, "warm", func(got Health) bool { return got.State == Ready && got.Spares == 2 && !slices.Contains(want, got.PID) })
	want = append(want, got.PID, got.PID, 0)
	if err := s.Stop(within(t)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestSupervisorStop(t *testing.T) {
	s := supervise(t, Plan{Spec: role("echo")})
	l := acquire(t, s)
	stopped := make(chan error)
	go func() { stopped <- s.Stop(context.Background()) }()
	until(t, s, "stopped", func(got Health) bool { return got.State == Stopped })
	_, err := s.Acquire(t.Context())
	wants(t, err, core.CodeUnavailable, "is stopped")
	// Who had it goes on.
	if err := l.Process.Send(within(t), []byte(`{}`)); err != nil {
		t.Error(err)
	}
	next(t, l.Process, &struct{}{})
	l.Release()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if e := l.Process.Exit(); e == nil || e.Code != 0 {
		t.Errorf("%+v", e)
	}

	t.Run("no time", func(t *testing.T) {
		s := supervise(t, Plan{Spec: role("stubborn")})
		l := acquire(t, s) // never released
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		if e := l.Process.Exit(); e == nil || e.Signal != "killed" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("while it starts", func(t *testing.T) {
		s := supervise(t, Plan{Spec: role("deaf"), Start: Eager, Ready: func(ctx context.Context, p *Process) error { _, err := p.Next(ctx); return err }})
		until(t, s, "starting", func(got Health) bool { return got.State == Starting })
		if err := s.Stop(within(t)); err != nil {
			t.Error(err)
		}
	})
}

func TestAcquireInTime(t *testing.T) {
	s := supervise(t, Plan{Spec: role("deaf"), Ready: func(ctx context.Context, p *Process) error { _, err := p.Next(ctx); return err }})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := s.Acquire(ctx)
	wants(t, err, core.CodeTimeout, "was not ready in time")
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err = s.Acquire(gone)
	wants(t, err, core.CodeCancelled, "not ready")
}

func TestPlans(t *testing.T) {
	gone := role("echo")
	gone.Dir = "/nowhere"
	s := supervise(t, Plan{Spec: gone})
	_, err := s.Acquire(t.Context()) // no use in trying five times
	wants(t, err, core.CodeUnavailable, "/nowhere")
	if got := s.Health(); got.State != Failed || got.Restarts != 0 {
		t.Errorf("%+v", got)
	}
	for _, tt := range []struct {
		plan Plan
		code core.Code
		text string
	}{
		{Plan{Spec: role("echo"), Start: "sometimes"}, core.CodeInvalid, "on_demand"},
		{Plan{Spec: role("echo"), Warm: 17}, core.CodeInvalid, "0 to 16"},
		{Plan{Spec: role("echo"), Idle: -1}, core.CodeInvalid, "negative"},
		{Plan{Spec: Spec{Argv: []string{"/bin/true"}}}, core.CodeDenied, "not allowed"},
	} {
		tt.plan.Allow = allowSelf()
		_, err := Supervise(tt.plan)
		wants(t, err, tt.code, tt.text)
	}
}
