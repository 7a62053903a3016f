package limits

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

var hot = []struct {
	name   string
	limits []core.Limit
	allocs float64
}{
	{"no limit", nil, 0},
	{"none matches", []core.Limit{{Rate: 1, Objects: "jira/*"}, {Rate: 1, Subjects: "zoe"}, {PerDay: 5, Objects: "*_delete"}}, 0},
	{"one rate", []core.Limit{{Rate: maxRate, Burst: maxBurst}}, 0},
	{"two limits", []core.Limit{{Rate: maxRate, Burst: maxBurst}, {PerDay: 1 << 60, Per: "tool", Objects: "github/*"}}, 0},
	{"calls at once", []core.Limit{{AtOnce: 1000}}, 3},
}

func BenchmarkAdmit(b *testing.B) {
	for _, h := range hot {
		b.Run(h.name, func(b *testing.B) {
			l := New(Options{Now: time.Now})
			use(l, h.limits...)
			b.ReportAllocs()
			for b.Loop() {
				release, err := l.Admit(ann, echo, 10)
				if err != nil {
					b.Fatal(err)
				}
				release()
			}
		})
	}
	b.Run("anonymous, by address", func(b *testing.B) {
		l := New(Options{Default: core.Limit{Rate: maxRate, Burst: maxBurst}})
		who := core.Identity{Tenant: "acme", Address: "2001:db8:1:2::3"}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.Admit(who, echo, 10); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("two limits, in parallel", func(b *testing.B) {
		l := New(Options{})
		use(l, hot[3].limits...)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = l.Admit(ann, echo, 10)
			}
		})
	})
	b.Run("refused", func(b *testing.B) {
		l := New(Options{})
		use(l, core.Limit{PerDay: 1})
		passes(l, ann, echo)
		b.ReportAllocs()
		for b.Loop() {
			if passes(l, ann, echo) {
				b.Fatal("passes")
			}
		}
	})
	b.Run("flooded", func(b *testing.B) {
		c := newClock()
		l := New(Options{Now: c.now, Keys: 1024})
		use(l, core.Limit{PerDay: 5})
		who := make([]core.Identity, 10_000)
		for i := range who {
			who[i] = core.Identity{Tenant: "acme", Address: fmt.Sprintf("10.0.%d.%d", i>>8, i&255)}
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			passes(l, who[i%len(who)], echo)
			i++
		}
	})
}

func BenchmarkCount(b *testing.B) {
	l := New(Options{})
	record := &core.CallRecord{Time: time.Now(), Tenant: "acme", Subject: "ann", Server: "github", Name: "echo", Outcome: "ok"}
	b.ReportAllocs()
	for b.Loop() {
		l.Count(record)
	}
}

func TestAllocations(t *testing.T) {
	for _, h := range hot {
		l := newLimits(newClock(), h.limits...)
		ask := func() {
			release, err := l.Admit(ann, echo, 10)
			if err != nil {
				t.Fatal(err)
			}
			release()
		}
		ask()
		if n := testing.AllocsPerRun(200, ask); n > h.allocs {
			t.Errorf("%s: %v allocations", h.name, n)
		}
	}
}
