package limits

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Many callers at once, few places for buckets, and limits that change: no more calls run
// than may, and no place is lost.
func TestManyAtOnce(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now, Keys: 64})
	all := []core.Limit{{AtOnce: 3, Per: "tenant"}, {AtOnce: 2, Per: "tool"}, {Rate: maxRate, Per: "identity"}}
	use(l, all...)
	var running, most atomic.Int64
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for j := range 2000 {
				who := core.Identity{Subject: fmt.Sprintf("u%d", j%500), Tenant: "acme"}
				on := core.Object{Kind: "tool", Tenant: "acme", Server: "s", Name: fmt.Sprintf("t%d", (i+j)%100)}
				release, err := l.Admit(who, on, 0)
				if err != nil {
					continue
				}
				now := running.Add(1)
				for {
					was := most.Load()
					if now <= was || most.CompareAndSwap(was, now) {
						break
					}
				}
				running.Add(-1)
				release()
				if j%100 == 0 {
					c.pass(time.Millisecond)
					l.buckets.sweep(l.now(), func(uint64) bool { return true })
					_ = l.Use(&core.State{Limits: all})
				}
			}
		})
	}
	callers.Wait()
	if most.Load() > 3 || most.Load() == 0 {
		t.Errorf("%d calls ran at once, want at most 3", most.Load())
	}
	c.pass(time.Hour)
	for i := range 3 {
		if _, err := l.Admit(ann, core.Object{Kind: "tool", Tenant: "acme", Server: "s", Name: fmt.Sprint("last", i)}, 0); err != nil {
			t.Fatalf("place %d was lost: %v", i+1, err)
		}
	}
	if passes(l, ann, core.Object{Kind: "tool", Tenant: "acme", Server: "s", Name: "one more"}) {
		t.Error("a fourth call passes")
	}
}

// An attacker from many addresses, or with many names, fills neither the memory nor the
// buckets of others, and gains nothing by it.
func TestMemoryIsBounded(t *testing.T) {
	flood := func(keys int) (l *Limits, passed int) {
		c := newClock()
		l = New(Options{Now: c.now, Keys: keys})
		use(l, core.Limit{PerDay: 5}, core.Limit{PerDay: 1000, Per: "tool"})
		for range 3 {
			passes(l, ann, echo)
		}
		for i := range 50_000 {
			who := core.Identity{Tenant: "acme", Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}
			if passes(l, who, core.Object{Kind: "resource", Tenant: "acme", Server: "s", Name: fmt.Sprint("file:///", i)}) {
				passed++
			}
		}
		return l, passed
	}
	l, passed := flood(1024)
	if n := l.buckets.len(); n > 1024 {
		t.Errorf("%d buckets, want at most 1,024", n)
	}
	if passed > 2000 {
		t.Errorf("%d of 50,000 calls passed: what finds no place must share", passed)
	}
	if !exactly(2, l, ann, echo) {
		t.Error("the flood changed the bucket of somebody else")
	}
	if !passes(l, bob, echo) {
		t.Error("the flood shuts out somebody who is known")
	}
	if l, passed := flood(1 << 20); l.buckets.len() < 50_000 || passed != 50_000 {
		t.Error("without the bound there would be no flood: the test shows nothing")
	}
}

// Idle buckets make place.
func TestIdleBucketsMakePlace(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now, Keys: 128})
	use(l, core.Limit{Rate: 1})
	for i := range 10_000 {
		who := core.Identity{Subject: fmt.Sprint("u", i), Tenant: "acme"}
		if !passes(l, who, echo) {
			t.Fatalf("caller %d is refused though the others are idle", i)
		}
		if i%2 == 0 && passes(l, who, echo) {
			t.Fatalf("caller %d has no bucket of its own", i)
		}
		c.pass(2 * time.Second)
	}
	if n := l.buckets.len(); n > 128 {
		t.Errorf("%d buckets", n)
	}
	l.buckets.sweep(l.now(), func(uint64) bool { return true })
	if n := l.buckets.len(); n != 0 {
		t.Errorf("%d buckets after the sweep", n)
	}
}
