package audit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Of three replicas one prunes, once a day.
func TestRetentionRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("a", time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for _, replica := range []string{"a", "b", "c"} {
			r := NewRetention(m, RetentionOptions{Replica: replica, Others: map[string]time.Duration{"login": 0}})
			wait.Go(func() { r.Run(ctx) })
		}
		time.Sleep(3*day + 12*time.Hour)
		cancel()
		wait.Wait()
		if n := len(slices.DeleteFunc(m.actions(), func(a string) bool { return a != "retention.claim" })); n != 4 {
			t.Errorf("%d turns in three and a half days", n)
		}
		if n := len(slices.DeleteFunc(m.pruned, func(k string) bool { return k[:5] != "login" })); n != 4 {
			t.Errorf("pruned %v", m.pruned)
		}
	})
}

func TestRetentionPrune(t *testing.T) {
	m, c := twoTrails(t)
	for name, o := range map[string]RetentionOptions{
		"nothing is old": {},
		"for ever":       {Calls: -1, Audit: -1, Usage: -1},
	} {
		if err := NewRetention(m, o).Prune(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls, _ := m.counts(); calls != 6 || slices.Contains(m.actions(), ActionCallsPruned) {
		t.Errorf("%d calls, %v", calls, m.actions())
	}
	c.add(31 * day)

	// What cannot be said is not done.
	m.onAudit = func(*core.AuditEntry) error { return errAway }
	if err := NewRetention(m, RetentionOptions{Now: c.now}).Prune(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	if calls, _ := m.counts(); calls != 6 {
		t.Error("records went without a word")
	}
	m.onAudit = nil
	if err := NewRetention(m, RetentionOptions{Now: c.now}).Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls, _ := m.counts(); calls != 0 || !slices.Contains(m.actions(), ActionCallsPruned) {
		t.Errorf("%d calls, %v", calls, m.actions())
	}
}

func TestRetentionStoreAway(t *testing.T) {
	m := newMemory("a", time.Now)
	m.failWith(errAway)
	if mine, err := NewRetention(m, RetentionOptions{}).claim(t.Context()); mine || !errors.Is(err, errAway) {
		t.Errorf("%v, %v", mine, err)
	}
}
