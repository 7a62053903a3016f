package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// shelf is as much of a store as usage takes.
type shelf struct {
	core.Store
	mu    sync.Mutex
	rows  map[core.Key]core.Usage
	fails int // how many times Append fails from now on
	lists error
}

func newShelf() *shelf { return &shelf{rows: map[core.Key]core.Usage{}} }

func (s *shelf) Append(ctx context.Context, rows ...core.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.fails > 0 {
		s.fails--
		return &core.Error{Code: core.CodeUnavailable, Message: "the database is away"}
	}
	for _, row := range rows {
		u := *row.(*core.Usage)
		was := s.rows[u.Key()]
		plus(&u, &was)
		s.rows[u.Key()] = u
	}
	return nil
}

// List pages by two, so that whoever forgets the second page is seen.
func (s *shelf) List(_ context.Context, into any, q core.Query) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists != nil {
		return "", s.lists
	}
	var all []core.Usage
	for _, u := range s.rows {
		if q.Tenant != core.EveryTenant && q.Tenant != u.Tenant || u.Key().ID+u.Tenant <= q.After && q.After != "" {
			continue
		}
		if u.Day == q.Equal["day"] && (q.Equal["subject"] == "" || u.Subject == q.Equal["subject"]) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b core.Usage) int { return cmp.Compare(a.Key().ID+a.Tenant, b.Key().ID+b.Tenant) })
	next := ""
	if len(all) > 2 {
		all = all[:2]
		next = all[1].Key().ID + all[1].Tenant
	}
	*into.(*[]core.Usage) = all
	return next, nil
}

// total adds up all rows.
func (s *shelf) total() (n core.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.rows {
		plus(&n, &u)
	}
	return n
}

func called(c *clock, subject, name, outcome string) *core.CallRecord {
	return &core.CallRecord{
		Time: c.now(), Tenant: "acme", Subject: subject, Server: "github", Kind: "tool", Name: name, Outcome: outcome,
		Duration: 5 * time.Millisecond, In: 10, Out: 100,
	}
}

func TestCount(t *testing.T) {
	c, s := newClock(), newShelf()
	l := New(Options{Now: c.now, Store: s})
	for _, outcome := range []string{"ok", "ok", "tool_error", "timeout", "limited", "too_large"} {
		l.Count(called(c, "ann", "echo", outcome))
	}
	c.set("2026-03-06 00:00:00")
	l.Count(called(c, "ann", "echo", "ok"))
	l.Count(&core.CallRecord{Outcome: "ok", Name: strings.Repeat("é", 200)})
	l.flush(context.Background())
	l.flush(context.Background()) // nothing is written twice
	want := core.Usage{Tenant: "acme", Day: "2026-03-05", Subject: "ann", Server: "github", Name: "echo", Calls: 4, Errors: 2, Refused: 2, In: 60, Out: 600, Millis: 30}
	if got := s.rows[want.Key()]; got != want {
		t.Errorf("the row is %+v, want %+v", got, want)
	}
	next := core.Usage{Tenant: "acme", Day: "2026-03-06", Subject: "ann", Server: "github", Name: "echo", Calls: 1, In: 10, Out: 100, Millis: 5}
	if got := s.rows[next.Key()]; got != next {
		t.Errorf("the row of the next day is %+v", got)
	}
	odd := core.Usage{Tenant: "default", Day: "2026-03-06", Name: strings.Repeat("é", 128), Calls: 1}
	if got := s.rows[odd.Key()]; got != odd || len(s.rows) != 3 {
		t.Errorf("the row without anything is %+v", s.rows)
	}
}

// What the store does not take waits, and arrives once.
func TestFlushRetries(t *testing.T) {
	c, s := newClock(), newShelf()
	l := New(Options{Now: c.now, Store: s})
	for i := range 1200 { // three batches
		l.Count(called(c, "ann", fmt.Sprint("t", i), "ok"))
	}
	s.fails = 2
	for i := range 3 {
		l.flush(context.Background())
		l.Count(called(c, "ann", "t0", "ok"))
		if i < 2 && l.usage.len() != 1200 {
			t.Errorf("%d sums wait after failure %d", l.usage.len(), i+1)
		}
	}
	l.flush(context.Background())
	if got := s.total(); got.Calls != 1203 || l.usage.len() != 0 {
		t.Errorf("%d calls arrived, %d sums wait; want 1,203 and none", got.Calls, l.usage.len())
	}
	// The second of three batches fails: the first is not written again.
	for i := range 1200 {
		l.Count(called(c, "bob", fmt.Sprint("t", i), "ok"))
	}
	once := &second{shelf: s}
	l.o.Store = once
	l.flush(context.Background())
	if n := l.usage.len(); n != 700 {
		t.Errorf("%d sums wait, want the 700 of the batches that failed", n)
	}
	l.flush(context.Background())
	if got := s.total(); got.Calls != 2403 {
		t.Errorf("%d calls arrived, want 2,403", got.Calls)
	}
}

// second fails at the second Append.
type second struct {
	*shelf
	n int
}

func (s *second) Append(ctx context.Context, rows ...core.Row) error {
	if s.n++; s.n == 2 {
		return errors.New("once")
	}
	return s.shelf.Append(ctx, rows...)
}

// While the store is away, sums stay bounded and no call is lost.
func TestUsageIsBounded(t *testing.T) {
	c, s := newClock(), newShelf()
	s.fails = 1
	l := New(Options{Now: c.now, Store: s, Rows: 100})
	for i := range 10_000 {
		l.Count(called(c, fmt.Sprint("u", i%50), fmt.Sprint("t", i), "ok"))
		if i == 5000 {
			l.flush(context.Background())
		}
	}
	if n := l.usage.len(); n > 102 {
		t.Errorf("%d sums wait, want about 100", n)
	}
	if l.usage.coarse.Load() == 0 {
		t.Error("nobody is told that sums are coarse")
	}
	l.flush(context.Background())
	if got := s.total(); got.Calls != 10_000 || got.Out != 1_000_000 {
		t.Errorf("%+v arrived, want 10,000 calls", got)
	}
}

func TestWithoutStore(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now})
	l.Count(called(c, "ann", "echo", "ok"))
	l.flush(context.Background())
	if got, err := l.Usage(context.Background(), "acme", "ann"); err != nil || got.Calls != 1 {
		t.Errorf("Usage = %+v, %v", got, err)
	}
	c.pass(24 * time.Hour)
	l.flush(context.Background())
	if l.usage.len() != 0 {
		t.Error("yesterday is kept")
	}
	if err := l.Restore(context.Background()); err != nil {
		t.Error(err)
	}
}

// Run writes now and then, and what is left when it ends.
func TestRun(t *testing.T) {
	c, s := newClock(), newShelf()
	l := New(Options{Now: c.now, Store: s, Every: time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	l.Count(called(c, "ann", "echo", "ok"))
	for s.total().Calls == 0 {
		time.Sleep(time.Millisecond)
	}
	stop()
	l.Count(called(c, "ann", "echo", "ok"))
	<-done
	if got := s.total(); got.Calls != 2 && l.usage.len() != 1 { // it was counted before the end, or after it
		t.Errorf("%d calls arrived, %d sums wait", got.Calls, l.usage.len())
	}
	slow := New(Options{Now: c.now, Store: s, Every: time.Hour})
	slow.Count(called(c, "bob", "echo", "ok"))
	ended, end := context.WithCancel(context.Background())
	end()
	slow.Run(ended)
	if slow.usage.len() != 0 {
		t.Error("what was left was not written at the end")
	}
}

// A day's quota outlives the process.
func TestRestore(t *testing.T) {
	limits := []core.Limit{
		{PerDay: 5}, {PerDay: 8, Per: "tenant", Objects: "github/*"}, {PerDay: 4, Per: "tool"}, {PerDay: 2, Subjects: "zoe"}, {Rate: 1000},
	}
	c, s := newClock(), newShelf()
	first := New(Options{Now: c.now, Store: s})
	use(first, limits...)
	count := func(l *Limits, who core.Identity, name string) (n int) {
		for passes(l, who, core.Object{Kind: "tool", Tenant: "acme", Server: "github", Name: name}) {
			l.Count(called(c, who.Subject, name, "ok"))
			n++
		}
		l.Count(called(c, who.Subject, name, "limited"))
		return n
	}
	if n := count(first, ann, "echo"); n != 4 { // the tool's four
		t.Fatalf("%d calls pass", n)
	}
	for range 20 {
		first.Count(called(c, "ann", "", "not_found")) // no limit counted it
	}
	first.flush(context.Background())

	second := New(Options{Now: c.now, Store: s})
	use(second, limits...)
	if !second.stale.Load() {
		t.Error("nobody knows that quotas must be restored")
	}
	if err := second.Restore(context.Background()); err != nil || second.stale.Load() {
		t.Fatal(err, second.stale.Load())
	}
	if passes(second, ann, echo) {
		t.Error("the tool's quota began anew")
	}
	if n := count(second, ann, "other"); n != 1 { // of five
		t.Errorf("%d calls of ann pass, want 1", n)
	}
	if n := count(second, bob, "third"); n != 3 { // of the tenant's eight
		t.Errorf("%d calls of bob pass, want 3", n)
	}
	second.flush(context.Background())

	// Without Restore they would pass: the test can fail.
	third := New(Options{Now: c.now, Store: s})
	use(third, limits...)
	if !passes(third, ann, echo) {
		t.Error("a process that was told nothing knows what was used")
	}
	// Restoring again, or late, counts nothing twice.
	for range 3 {
		if err := third.Restore(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	c.set("2026-03-06 00:00:01")
	if n := count(third, ann, "echo"); n != 4 {
		t.Errorf("%d calls pass on the next day, want 4", n)
	}
}

// A store that is away is asked again by the next turn, and calls go on.
func TestRestoreIsTriedAgain(t *testing.T) {
	c, s := newClock(), newShelf()
	l := New(Options{Now: c.now, Store: s})
	l.Count(called(c, "ann", "echo", "ok"))
	l.flush(context.Background())
	l = New(Options{Now: c.now, Store: s})
	use(l, core.Limit{PerDay: 2})
	s.lists = errors.New("away")
	if l.Restore(context.Background()) == nil || !passes(l, ann, echo) {
		t.Error("a store that is away is no error, or stops calls")
	}
	l.turn(context.Background(), 1)
	if !l.stale.Load() {
		t.Error("the failure is forgotten")
	}
	s.lists = nil
	l.turn(context.Background(), 2)
	if l.stale.Load() {
		t.Error("the next turn did not try again")
	}
	// With other replicas the numbers are read again each sixth turn.
	s.rows[(&core.Usage{Tenant: "acme", Day: "2026-03-05", Subject: "ann", Server: "x", Name: "y"}).Key()] = core.Usage{Tenant: "acme", Day: "2026-03-05", Subject: "ann", Server: "x", Name: "y", Calls: 9}
	l.turn(context.Background(), 6)
	if !passes(l, ann, echo) {
		t.Error("one replica alone reads the store again")
	}
	passes(l, bob, echo)
	l.Replicas(2)
	l.turn(context.Background(), 11)
	if !passes(l, bob, echo) {
		t.Error("bob has used one of two calls")
	}
	l.turn(context.Background(), 12)
	if passes(l, ann, echo) {
		t.Error("what another replica counted is not known")
	}
}

func TestUsage(t *testing.T) {
	c, s := newClock(), newShelf()
	l := New(Options{Now: c.now, Store: s, Default: core.Limit{Rate: 10, Burst: 20}})
	use(l, core.Limit{PerDay: 100, Note: "a day", AtOnce: 3}, core.Limit{PerDay: 7, Per: "tool", Objects: "github/*"}, core.Limit{PerDay: 1, Subjects: "zoe"}, core.Limit{PerDay: 50, Per: "tenant"})
	for range 3 {
		passes(l, ann, core.Object{Kind: "tool", Tenant: "acme", Server: "s", Name: "n"})
		l.Count(called(c, "ann", "n", "ok"))
	}
	l.flush(context.Background())
	if _, err := l.Admit(ann, echo, 0); err != nil {
		t.Fatal(err)
	}
	l.Count(called(c, "ann", "echo", "tool_error"))
	passes(l, bob, echo)
	l.Count(called(c, "bob", "echo", "ok"))

	got, err := l.Usage(context.Background(), "acme", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got.Calls != 4 || got.Errors != 1 || got.Out != 400 || got.Day != "2026-03-05" || got.Name != "" || !got.Resets.Equal(time.Date(2026, 3, 6, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("Usage = %+v", got)
	}
	want := []Left{
		{ID: "default", Per: "identity", Rate: 10, Burst: 20, Counted: true, LeftNow: 16},
		{ID: "l0", Note: "a day", Per: "identity", AtOnce: 3, PerDay: 100, Counted: true, Used: 4, LeftDay: 96, Running: 1},
		{ID: "l1", Per: "tool", On: "github/*", PerDay: 7},
		{ID: "l3", Per: "tenant", PerDay: 50, Counted: true, Used: 5, LeftDay: 45},
	}
	if !slices.Equal(got.Limits, want) {
		t.Errorf("left are\n%+v, want\n%+v", got.Limits, want)
	}
	c.pass(24 * time.Hour)
	got, err = l.Usage(context.Background(), "acme", "ann")
	if err != nil || got.Calls != 0 || got.Limits[1].Used != 0 || got.Limits[0].LeftNow != 20 {
		t.Errorf("on the next day Usage = %+v, %v", got, err)
	}
	if got, err := l.Usage(context.Background(), "other", "ann"); err != nil || got.Calls != 0 || len(got.Limits) != 1 {
		t.Errorf("of another tenant Usage = %+v, %v", got, err)
	}
	if got, err := l.Usage(context.Background(), "acme", ""); err != nil || got.Limits[0].Counted {
		t.Errorf("of anonymous callers Usage = %+v, %v", got, err)
	}
	s.lists = errors.New("away")
	if _, err := l.Usage(context.Background(), "acme", "ann"); err == nil {
		t.Error("a store that is away is no error")
	}
}

// Counting, writing and reading go on at once, and nothing is lost.
func TestUsageAtOnce(t *testing.T) {
	c, s := newClock(), newShelf()
	l := New(Options{Now: c.now, Store: s, Rows: 50})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 1000 {
				l.Count(called(c, fmt.Sprint("u", i), fmt.Sprint("t", j%40), "ok"))
				if j%50 == 0 {
					_, _ = l.Usage(context.Background(), "acme", "u1")
				}
			}
		})
	}
	all.Go(func() {
		for range 50 {
			l.flush(context.Background())
		}
	})
	all.Wait()
	l.flush(context.Background())
	if got := s.total(); got.Calls != 4000 {
		t.Errorf("%d calls arrived, want 4,000", got.Calls)
	}
}
