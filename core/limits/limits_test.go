package limits

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that the test sets.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }
func (c *clock) set(text string)      { t, _ := time.Parse(time.DateTime, text); c.at.Store(t.UnixNano()) }

func newLimits(c *clock, all ...core.Limit) *Limits {
	l := New(Options{Now: c.now})
	use(l, all...)
	return l
}

func use(l *Limits, all ...core.Limit) {
	for i := range all {
		if all[i].Tenant == "" {
			all[i].Tenant = "acme"
		}
		if all[i].ID == "" {
			all[i].ID = fmt.Sprintf("l%d", i)
		}
		if all[i].Per == "" {
			all[i].Per = "identity"
		}
	}
	if err := l.Use(&core.State{Limits: all}); err != nil {
		panic(err)
	}
}

var (
	ann  = core.Identity{Subject: "ann", Tenant: "acme"}
	bob  = core.Identity{Subject: "bob", Tenant: "acme"}
	echo = core.Object{Kind: "tool", Tenant: "acme", Server: "github", Name: "echo"}
)

// passes tells whether a call passes, and ends it at once.
func passes(l *Limits, who core.Identity, on core.Object) bool {
	release, err := l.Admit(who, on, 10)
	if err != nil {
		return false
	}
	release()
	return true
}

// exactly tells whether so many calls pass, and no more.
func exactly(n int, l *Limits, who core.Identity, on core.Object) bool {
	for range n {
		if !passes(l, who, on) {
			return false
		}
	}
	return !passes(l, who, on)
}

func TestRateSchedules(t *testing.T) {
	tests := []struct {
		name  string
		limit core.Limit
		// steps are: time to pass, then one letter for each call: y passes, n does not.
		steps string
	}{
		{"one a second", core.Limit{Rate: 1}, "0s yn 999ms n 1ms yn 1s yn 10s yn"},
		{"burst, then steady", core.Limit{Rate: 2, Burst: 3}, "0s yyynn 499ms n 1ms yn 500ms yn 1s yyn 2s yyyn"},
		{"burst is one second of the rate", core.Limit{Rate: 4}, "0s yyyyn 250ms yn"},
		{"a fraction", core.Limit{Rate: 0.5}, "0s yn 1999ms n 1ms yn"},
		{"a fraction with burst", core.Limit{Rate: 0.1, Burst: 2}, "0s yyn 10s yn 20s yyn"},
		{"waiting does not add up beyond the burst", core.Limit{Rate: 1, Burst: 2}, "1h yyn 1h yyn"},
		{"refused calls cost nothing", core.Limit{Rate: 1}, "0s ynnnnnnnn 1s y"},
		{"the clock steps back", core.Limit{Rate: 1, Burst: 2}, "0s yyn -10s n 10s n 1s yn"},
		{"the clock steps back again and again", core.Limit{Rate: 1, Burst: 2}, "0s y -1h n -1h n 1h n 1h yn"},
		{"the clock steps ahead", core.Limit{Rate: 1, Burst: 2}, "0s yyn 1h yyn -1h n"},
		{"a third", core.Limit{Rate: 3, Burst: 1}, "0s yn 333333333ns n 1ns y"},
		{"much", core.Limit{Rate: maxRate, Burst: 1}, "0s yn 1us y"},
		{"one a day", core.Limit{Rate: minRate, Burst: 1}, "0s yn 23h n 1h y"},
		{"one a day, a large burst", core.Limit{Rate: minRate, Burst: maxBurst}, "0s yyyyyyyy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if wrong := schedule(newClock(), tt.limit, tt.steps, func(*Limits) {}); wrong != "" {
				t.Error(wrong)
			}
		})
	}
	// A bucket that forgets is seen by the schedule.
	forget := func(l *Limits) { l.buckets = newBuckets(100) }
	if schedule(newClock(), core.Limit{Rate: 1}, "0s yn", forget) == "" {
		t.Error("the schedule passes buckets that forget")
	}
}

// schedule plays steps and tells what went wrong; between runs before each call.
func schedule(c *clock, limit core.Limit, steps string, between func(*Limits)) string {
	l := newLimits(c, limit)
	words := strings.Fields(steps)
	for i := 0; i < len(words); i += 2 {
		d, err := time.ParseDuration(words[i])
		if err != nil {
			return err.Error()
		}
		c.pass(d)
		for j, want := range words[i+1] {
			between(l)
			if got := passes(l, ann, echo); got != (want == 'y') {
				return fmt.Sprintf("after %q, call %d passes: %v", strings.Join(words[:i+1], " "), j+1, got)
			}
		}
	}
	return ""
}

func TestRefusal(t *testing.T) {
	tests := []struct {
		name    string
		limit   core.Limit
		calls   int // that pass and do not end
		code    core.Code
		retry   int
		message string
	}{
		{"rate", core.Limit{Rate: 0.4, Burst: 1}, 1, core.CodeLimited, 3, `limit "l0" is reached: 0.4 calls a second for each identity`},
		{"rate, less than a second", core.Limit{Rate: 50, Burst: 1, Note: "be kind"}, 1, core.CodeLimited, 1, `limit "be kind" is reached: 50 calls a second for each identity`},
		{"at once", core.Limit{AtOnce: 2, Per: "tenant"}, 2, core.CodeLimited, 1, `limit "l0" is reached: 2 calls at once for each tenant`},
		{"per day", core.Limit{PerDay: 2, Per: "tool"}, 2, core.CodeLimited, 12 * 60 * 60, `limit "l0" is reached: 2 calls a day for each tool`},
		{"bytes", core.Limit{Bytes: 9}, 0, core.CodeTooLarge, 0, `limit "l0": the arguments have 10 bytes, more than 9`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimits(newClock(), tt.limit)
			for range tt.calls {
				if _, err := l.Admit(ann, echo, 10); err != nil {
					t.Fatal(err)
				}
			}
			release, err := l.Admit(ann, echo, 10)
			e := core.AsError(err)
			if release != nil || err == nil || e.Code != tt.code || e.RetryAfter != tt.retry || e.Message != tt.message || e.Fix == "" {
				t.Errorf("Admit = %#v", err)
			}
			if l.refused.Load() != 1 {
				t.Errorf("%d refusals are counted", l.refused.Load())
			}
		})
	}
}

// The longest wait is told, whichever limit comes first.
func TestRefusalTellsTheLongest(t *testing.T) {
	l := newLimits(newClock(), core.Limit{Rate: 1}, core.Limit{Rate: 0.1}, core.Limit{Rate: 0.5})
	passes(l, ann, echo)
	_, err := l.Admit(ann, echo, 0)
	if e := core.AsError(err); e.RetryAfter != 10 || !strings.Contains(e.Message, `"l1"`) {
		t.Errorf("Admit = %v", err)
	}
}

func TestWhoIsCountedTogether(t *testing.T) {
	on := func(tenant, server, name string) core.Object {
		return core.Object{Kind: "tool", Tenant: tenant, Server: server, Name: name}
	}
	at := func(address string) core.Identity { return core.Identity{Tenant: "acme", Address: address} }
	type call struct {
		who  core.Identity
		on   core.Object
		pass bool
	}
	tests := []struct {
		name  string
		limit core.Limit // of one call
		calls []call
	}{
		{"identity", core.Limit{Per: "identity"}, []call{{ann, echo, true}, {ann, on("acme", "x", "y"), false}, {bob, echo, true}, {bob, echo, false}}},
		{"tenant", core.Limit{Per: "tenant"}, []call{{ann, echo, true}, {bob, on("acme", "x", "y"), false}, {bob, on("other", "x", "y"), true}, {bob, on("other", "x", "y"), true}}},
		{"server", core.Limit{Per: "server"}, []call{{ann, echo, true}, {bob, on("acme", "github", "z"), false}, {bob, on("acme", "jira", "z"), true}}},
		{"tool", core.Limit{Per: "tool"}, []call{{ann, echo, true}, {bob, echo, false}, {bob, on("acme", "github", "z"), true}, {bob, on("acme", "github/z", ""), true}}},
		{"address", core.Limit{}, []call{{at("192.0.2.1"), echo, true}, {at("192.0.2.1"), echo, false}, {at("192.0.2.2"), echo, true}, {ann, echo, true}}},
		{"address of IPv4 in IPv6", core.Limit{}, []call{{at("192.0.2.1"), echo, true}, {at("::ffff:192.0.2.1"), echo, false}}},
		{"one network of IPv6", core.Limit{}, []call{{at("2001:db8:1:2::1"), echo, true}, {at("2001:db8:1:2:ffff::9"), echo, false}, {at("2001:db8:1:3::1"), echo, true}}},
		{"no address", core.Limit{}, []call{{at(""), echo, true}, {at(""), echo, false}, {at("unix"), echo, true}}},
		{"an address is no subject", core.Limit{}, []call{{at("ann"), echo, true}, {ann, echo, true}}},
		{"objects", core.Limit{Objects: "github/e*"}, []call{{ann, echo, true}, {ann, echo, false}, {ann, on("acme", "github", "z"), true}, {ann, on("acme", "github", "z"), true}}},
		{"subjects", core.Limit{Subjects: "a*"}, []call{{ann, echo, true}, {ann, echo, false}, {bob, echo, true}, {bob, echo, true}, {at("::1"), echo, true}, {at("::1"), echo, true}}},
		{"every subject", core.Limit{Subjects: "*"}, []call{{at("::1"), echo, true}, {at("::1"), echo, false}}},
		{"another tenant's limit", core.Limit{Tenant: "other"}, []call{{ann, echo, true}, {ann, echo, true}}},
		{"the default tenant", core.Limit{Tenant: "default"}, []call{{ann, on("", "a", "b"), true}, {ann, on("default", "a", "b"), false}}},
		{"every tenant", core.Limit{Tenant: "*"}, []call{{ann, echo, true}, {ann, echo, false}, {ann, on("other", "a", "b"), true}, {ann, on("other", "a", "b"), false}}},
		{"long names", core.Limit{Per: "tool"}, []call{
			{ann, on("acme", "s", strings.Repeat("a", 300)), true},
			{ann, on("acme", "s", strings.Repeat("a", 300)), false},
			{ann, on("acme", "s", strings.Repeat("a", 300)+"b"), true},
			{ann, on("acme", "sa", strings.Repeat("a", 299)), true},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.limit.PerDay = 1
			l := newLimits(newClock(), tt.limit)
			for i, c := range tt.calls {
				if got := passes(l, c.who, c.on); got != c.pass {
					t.Errorf("call %d by %+v on %+v passes: %v", i+1, c.who, c.on, got)
				}
			}
		})
	}
}

// Of several limits each holds, and a call that one refuses costs nothing elsewhere.
func TestAllOrNothing(t *testing.T) {
	c := newClock()
	l := newLimits(c, core.Limit{PerDay: 3}, core.Limit{Rate: 1, Per: "tool"}, core.Limit{AtOnce: 1, Per: "server"})
	if !passes(l, ann, echo) {
		t.Fatal("the first call is refused")
	}
	for range 10 { // for the rate
		if passes(l, ann, echo) {
			t.Fatal("the rate does not hold")
		}
	}
	c.pass(time.Second)
	release, err := l.Admit(ann, echo, 0)
	if err != nil {
		t.Fatalf("what the rate refused was counted against the day: %v", err)
	}
	c.pass(time.Second)
	for range 10 { // for the server
		if passes(l, ann, core.Object{Kind: "tool", Tenant: "acme", Server: "github", Name: "other"}) {
			t.Fatal("calls at once do not hold")
		}
	}
	release()
	if !passes(l, ann, echo) {
		t.Fatal("what the server refused was counted against the day or the rate")
	}
	c.pass(time.Second)
	if passes(l, ann, echo) {
		t.Fatal("the day does not hold")
	}
	if !passes(l, bob, echo) {
		t.Fatal("the day of one is that of another")
	}
}

func TestAtOnce(t *testing.T) {
	l := newLimits(newClock(), core.Limit{AtOnce: 2})
	first, err := l.Admit(ann, echo, 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Admit(ann, echo, 0)
	if err != nil {
		t.Fatal(err)
	}
	if passes(l, ann, echo) {
		t.Fatal("a third call passes")
	}
	first()
	first() // does nothing
	first()
	if !passes(l, ann, echo) {
		t.Fatal("no place was given back")
	}
	third, err := l.Admit(ann, echo, 0)
	if err != nil {
		t.Fatal(err)
	}
	if passes(l, ann, echo) {
		t.Fatal("a place was given back twice")
	}
	use(l, core.Limit{Rate: 1}) // the limit changes while calls run
	second()
	third()
	use(l, core.Limit{AtOnce: 1})
	if !passes(l, ann, echo) {
		t.Fatal("places were lost with the change")
	}
}

func TestDayQuota(t *testing.T) {
	c := newClock()
	l := newLimits(c, core.Limit{PerDay: 2})
	step := func(at string, want string) {
		t.Helper()
		c.set(at)
		for i, w := range want {
			if got := passes(l, ann, echo); got != (w == 'y') {
				t.Errorf("%s, call %d passes: %v", at, i+1, got)
			}
		}
	}
	step("2026-03-05 12:00:00", "yyn")
	step("2026-03-05 23:59:59", "n")
	if _, err := l.Admit(ann, echo, 0); core.AsError(err).RetryAfter != 1 {
		t.Errorf("a second before midnight: %v", err)
	}
	step("2026-03-06 00:00:00", "yyn")
	step("2026-03-05 23:00:00", "n") // set back: no new day
	if _, err := l.Admit(ann, echo, 0); core.AsError(err).RetryAfter != 25*60*60 {
		t.Errorf("after the clock was set back: %v", err)
	}
	step("2026-03-06 00:00:00", "n")
	step("2026-03-09 08:00:00", "yyn")
}

func TestReplicas(t *testing.T) {
	count := func(l *Limits) (n int) {
		for passes(l, ann, echo) {
			n++
		}
		return n
	}
	c := newClock()
	l := newLimits(c, core.Limit{Rate: 10, Burst: 10})
	l.Replicas(3)
	if n := count(l); n != 4 { // a third, rounded up
		t.Errorf("%d calls at once, want 4", n)
	}
	c.pass(time.Second)
	if n := count(l); n != 3 {
		t.Errorf("%d calls in a second, want 3", n)
	}
	l.Replicas(0)
	c.pass(time.Hour)
	if n := count(l); n != 10 {
		t.Errorf("%d calls of one replica, want 10", n)
	}
	use(l, core.Limit{AtOnce: 3, PerDay: 100})
	l.Replicas(2)
	var held int
	for {
		if _, err := l.Admit(bob, echo, 0); err != nil {
			break
		}
		held++
	}
	if held != 2 {
		t.Errorf("%d calls at once, want 2", held)
	}
}

// What was used is remembered when limits change.
func TestUseRemembers(t *testing.T) {
	l := newLimits(newClock(), core.Limit{PerDay: 2})
	passes(l, ann, echo)
	use(l, core.Limit{PerDay: 3, ID: "l0"}, core.Limit{Rate: 100, ID: "more"})
	if !exactly(2, l, ann, echo) {
		t.Error("a day of three calls is not what was left of it")
	}
	use(l)
	if len(l.serials) != 0 || !passes(l, ann, echo) {
		t.Error("a limit that is gone holds")
	}
	l.buckets.sweep(l.now(), func(serial uint64) bool { return l.rules.Load().lives[serial] })
	if n := l.buckets.len(); n != 0 {
		t.Errorf("%d buckets of limits that are gone", n)
	}
	use(l, core.Limit{PerDay: 1, ID: "l0"})
	if !passes(l, ann, echo) {
		t.Error("a new limit remembers an old one")
	}
	if err := l.Use(nil); core.AsError(err).Code != core.CodeInvalid || passes(l, ann, echo) {
		t.Error("no state is a state")
	}
}

func TestDefault(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.now, Default: core.Limit{Rate: 2}})
	for _, who := range []core.Identity{ann, {Tenant: "acme", Address: "192.0.2.1"}, {Subject: "op"}} {
		if !exactly(2, l, who, echo) {
			t.Errorf("%+v is not held to the default", who)
		}
	}
	use(l, core.Limit{Rate: 1, Per: "tenant"})
	c.pass(time.Hour)
	if !passes(l, ann, echo) || passes(l, bob, echo) {
		t.Error("the tenant's own limit does not hold beside the default")
	}
	c.pass(2 * time.Second)
	other := core.Object{Kind: "tool", Tenant: "other", Server: "s", Name: "n"}
	if !exactly(2, l, ann, other) {
		t.Error("the default does not hold in a tenant without limits")
	}
}
