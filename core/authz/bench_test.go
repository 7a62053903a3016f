package authz

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// thousand is a state of 1,000 policies over ten roles: exact names, beginnings, endings
// and middles.
func thousand() *core.State {
	s := &core.State{}
	for r := range 10 {
		s.Roles = append(s.Roles, core.Role{Tenant: "acme", Name: fmt.Sprintf("r%d", r)})
	}
	for i := range 1000 {
		match := [...]string{"srv%d/tool_%d", "srv%d/t%d*", "*/x%d_%d", "*y%d_%d*"}[i%4]
		s.Policies = append(s.Policies, core.Policy{
			Tenant: "acme", ID: fmt.Sprintf("p%d", i), Role: fmt.Sprintf("r%d", i/4%10),
			Kind: "tool", Action: [...]string{"call", "list", "*"}[i%3], Match: fmt.Sprintf(match, i%20, i), Deny: i%7 == 0,
		})
	}
	return s
}

// heavy is a caller who has every one of those roles.
func heavy() core.Identity {
	who := core.Identity{Subject: "u1", Tenant: "acme", Roles: []string{"member"}}
	for r := range 10 {
		who.Roles = append(who.Roles, fmt.Sprintf("r%d", r))
	}
	return who
}

func tools(n int) []core.Object {
	out := make([]core.Object, n)
	for i := range out {
		out[i] = core.Object{Kind: "tool", Tenant: "acme", Server: fmt.Sprintf("srv%d", i%20), Name: fmt.Sprintf("tool_%d", i*4)}
	}
	return out
}

func BenchmarkAuthorize(b *testing.B) {
	ctx := context.Background()
	b.Run("asked before", func(b *testing.B) {
		a, who, on := using(b, thousand()), user("acme", "member", "r1"), tools(2)[1]
		b.ReportAllocs()
		for b.Loop() {
			_ = a.Authorize(ctx, who, core.ActionCall, on)
		}
	})
	b.Run("asked before, all 11 roles", func(b *testing.B) {
		a, who, on := using(b, thousand()), heavy(), tools(2)[1]
		b.ReportAllocs()
		for b.Loop() {
			_ = a.Authorize(ctx, who, core.ActionCall, on)
		}
	})
	b.Run("never asked, 2 roles", func(b *testing.B) { never(b, user("acme", "member", "r1")) })
	b.Run("never asked, all 11 roles", func(b *testing.B) { never(b, heavy()) })
	b.Run("refused", func(b *testing.B) {
		a, who, on := using(b, thousand()), user("acme"), tools(2)[1]
		b.ReportAllocs()
		for b.Loop() {
			_ = a.Authorize(ctx, who, core.ActionCall, on)
		}
	})
	b.Run("in parallel", func(b *testing.B) {
		a, who, on := using(b, thousand()), user("acme", "member", "r1"), tools(2)[1]
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = a.Authorize(ctx, who, core.ActionCall, on)
			}
		})
	})
}

// never asks about another name each time.
func never(b *testing.B, who core.Identity) {
	a := using(b, thousand())
	names := make([]string, 1<<16) // eight times what is kept
	for i := range names {
		names[i] = fmt.Sprintf("other_%d", i)
	}
	on := core.Object{Kind: "tool", Tenant: "acme", Server: "srv3"}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		on.Name = names[i%len(names)]
		_ = a.Authorize(context.Background(), who, core.ActionCall, on)
		i++
	}
}

func BenchmarkList200(b *testing.B) {
	ctx := context.Background()
	on := tools(200)
	filter := func(a *Authz, who core.Identity) (shown int) {
		for i := range on {
			if a.Authorize(ctx, who, core.ActionList, on[i]) == nil {
				shown++
			}
		}
		return shown
	}
	b.Run("asked before", func(b *testing.B) {
		a, who := using(b, thousand()), user("acme", "member", "r1")
		b.ReportAllocs()
		for b.Loop() {
			if filter(a, who) == 0 {
				b.Fatal("nothing is shown")
			}
		}
	})
	b.Run("no decision kept", func(b *testing.B) {
		a, who := using(b, thousand()), heavy()
		s := a.current.Load()
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			for i := range s.views {
				s.views[i].Store(nil)
			}
			for i := range s.decisions {
				s.decisions[i].Store(nil)
			}
			b.StartTimer()
			filter(a, who)
		}
	})
	b.Run("Casbin itself", func(b *testing.B) {
		a, who := using(b, thousand()), heavy()
		for b.Loop() {
			for i := range on[:2] {
				if _, _, err := a.current.Load().casbin.enforce("acme", nil, who.Roles, core.ActionList, &on[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/decision")
	})
}

func BenchmarkUse(b *testing.B) {
	state, a := thousand(), New(Options{})
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Use(state); err != nil {
			b.Fatal(err)
		}
	}
}

// A hot call takes no memory, and a cold one no more than what is kept of it.
func TestAllocations(t *testing.T) {
	a := using(t, thousand())
	who, on := heavy(), tools(2)[1]
	ctx := context.Background()
	ask := func() {
		if err := a.Authorize(ctx, who, core.ActionCall, on); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if n := testing.AllocsPerRun(100, ask); n > 0 {
		t.Errorf("a decision that was made before takes %v allocations", n)
	}
	names := []string{"a", "b", "c", "d"}
	i := 0
	s := a.current.Load()
	if n := testing.AllocsPerRun(100, func() {
		for i := range s.decisions {
			s.decisions[i].Store(nil)
		}
		on.Name = names[i%len(names)]
		ask()
		i++
	}); n > 1 {
		t.Errorf("a new decision takes %v allocations", n)
	}
}

// However many callers and objects are asked about, what is kept stays bounded.
func TestMemoryIsBounded(t *testing.T) {
	grow := func(n int) uint64 {
		a := using(t, thousand())
		for i := range n {
			name := fmt.Sprintf("%0100d", i)
			who := core.Identity{Subject: "u1", Tenant: "acme", Roles: []string{"member", name}}
			for _, name := range []string{name, name[60:]} {
				_ = a.Authorize(context.Background(), who, core.ActionCall, core.Object{Kind: "tool", Tenant: "acme", Server: "s", Name: name})
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		runtime.KeepAlive(a)
		return m.HeapAlloc
	}
	few := grow(20_000)
	if many := grow(80_000); many > few+1<<20 {
		t.Errorf("80,000 callers take %d bytes more than 20,000", many-few)
	}
}
