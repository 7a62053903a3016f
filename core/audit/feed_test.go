package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

func tell(f *Feed, tenant string, n int) {
	for i := range n {
		f.Audit(&core.AuditEntry{Tenant: tenant, Name: fmt.Sprint(i)})
	}
}

func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(nil)
		tell(f, "acme", 3)
		after := f.Last()
		tell(f, "acme", 2)
		var all, resumed, mine []Event
		defer f.Subscribe(0, nil, func(e Event) { all = append(all, e) })()
		defer f.Subscribe(after, nil, func(e Event) { resumed = append(resumed, e) })()
		stop := f.Subscribe(after, func(e *Event) bool { return e.Audit != nil && e.Audit.Tenant == "beta" }, func(e Event) { mine = append(mine, e) })
		tell(f, "beta", 2)
		f.calls([]slot{{record: core.CallRecord{ID: "1"}}})
		synctest.Wait()
		stop()
		stop() // twice does no harm
		tell(f, "beta", 1)
		synctest.Wait()
		if len(all) != 4 || len(resumed) != 6 || len(mine) != 2 {
			t.Errorf("%d, %d, %d", len(all), len(resumed), len(mine))
		}
		if !slices.IsSortedFunc(resumed, func(a, b Event) int { return int(a.ID - b.ID) }) || resumed[0].ID != after+1 || all[2].Kind != EventCall {
			t.Errorf("%+v", resumed)
		}
	})
}

func TestFeedTellsWhatIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		after func(f *Feed) int64
		lost  int64
		kept  int
	}{
		"nothing":          {func(f *Feed) int64 { return f.Last() - 10 }, 0, 10},
		"too old":          {func(f *Feed) int64 { return f.first + 99 }, 400, feedKeeps},
		"another process":  {func(f *Feed) int64 { return 5 }, -1, feedKeeps},
		"from the future":  {func(f *Feed) int64 { return f.Last() + 5 }, 0, 0},
		"the oldest there": {func(f *Feed) int64 { return f.Last() - feedKeeps }, 0, feedKeeps},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := NewFeed(nil)
				tell(f, "acme", 500+feedKeeps)
				var lost int64
				kept := 0
				stop := f.Subscribe(c.after(f), nil, func(e Event) {
					if e.Kind == EventLost {
						lost = e.Lost
					} else {
						kept++
					}
				})
				synctest.Wait()
				stop()
				if lost != c.lost || kept != c.kept {
					t.Errorf("%d lost, %d kept", lost, kept)
				}
			})
		})
	}
}

// A subscriber that is slow loses events, is told how many, and holds up nobody.
func TestFeedSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(nil)
		gate := make(chan struct{})
		got, lost := 0, int64(0)
		stop := f.Subscribe(0, nil, func(e Event) {
			<-gate
			if e.Kind == EventLost {
				lost += e.Lost
			} else {
				got++
			}
		})
		tell(f, "acme", 800)
		close(gate)
		synctest.Wait()
		tell(f, "acme", 1)
		synctest.Wait()
		stop()
		if int64(got)+lost != 801 || lost < 500 || got < feedQueues+1 {
			t.Errorf("%d came, %d lost", got, lost)
		}
	})
}

// A feed's ids rise over a restart.
func TestFeedRestart(t *testing.T) {
	c := newClock()
	old := NewFeed(c.now)
	tell(old, "acme", 100)
	c.add(time.Second)
	if NewFeed(c.now).Last() <= old.Last() {
		t.Error("ids begin anew")
	}
}

func TestFeedWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("a", time.Now)
		f := NewFeed(nil)
		store := f.Watch(m)
		var got []Event
		defer f.Subscribe(0, nil, func(e Event) { got = append(got, e) })()
		if err := store.Audit(t.Context(), sample(), sample()); err != nil {
			t.Fatal(err)
		}
		if err := store.Change(t.Context(), sample(), func(context.Context, core.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := store.Change(t.Context(), sample(), func(context.Context, core.Tx) error { return errAway }); !errors.Is(err, errAway) {
			t.Error(err)
		}
		m.failWith(errAway)
		if err := store.Audit(t.Context(), sample()); !errors.Is(err, errAway) {
			t.Error(err)
		}
		synctest.Wait()
		if len(got) != 3 || got[2].Audit.Seq != 3 || got[2].Audit.Hash == "" {
			t.Errorf("%+v", got)
		}
	})
}

func TestRecorderTellsTheFeed(t *testing.T) {
	f := NewFeed(nil)
	inBubble(t, RecorderOptions{Feed: f}, func(t *testing.T, r *Recorder, m *memory, stop func()) {
		var got []Event
		defer f.Subscribe(0, nil, func(e Event) { got = append(got, e) })()
		m.failWith(errAway)
		record(t, r, 2)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) != 2 || got[0].Call.ID == "" || got[1].Call.Name != "tool1" {
			t.Errorf("while the store is away: %+v", got)
		}
		m.failWith(nil)
	})
}
