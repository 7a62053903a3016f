package roster

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

// states lists names and states.
func (g *rig) states() string {
	text := ""
	for _, s := range g.r.Status() {
		text += s.Name + " " + s.State + ";"
	}
	return text
}

// The status is that of the set that was opened last and is still open: what a reload took
// out is not told of, and a set that was given up leaves the one before it.
func TestStatusIsOfTheNewest(t *testing.T) {
	a, b := newPeer().open(t), newPeer().open(t)
	g := newRig(t, nil)
	off := b.config("b")
	off.Disabled = true
	g.open(a.config("a"), b.config("b"))
	g.open(a.config("a"))
	if got := g.states(); got != "a up;" {
		t.Errorf("after a reload: %s", got)
	}
	third := g.open(a.config("a"), off)
	fourth := g.open()
	if got := g.states(); got != "" {
		t.Errorf("of an empty set: %s", got)
	}
	if err := fourth.Close(); err != nil {
		t.Fatal(err)
	}
	if got := g.states(); got != "a up;b disabled;" {
		t.Errorf("after one that was given up: %s", got)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if got := g.states(); got != "a up;" {
		t.Errorf("after two: %s", got)
	}
}

// A set that waits for its last call does not have documents loaded again: what is served
// is the newest.
func TestOlderSetsAreLeftAlone(t *testing.T) {
	p := newPeer().open(t)
	g := newRig(t, nil)
	config := p.config("peer")
	config.Definitions = core.DefinitionsOff
	g.open(config)
	p.describe("pid", "is another one")
	set := g.look("the change", func(o *core.Offer) bool {
		return names(o.Tools) == "echo hang pid" && strings.Contains(string(o.Tools[2]), "is another one")
	}, config)
	e := set.Remote("peer").(*remote).e
	offered, err := e.client.Offer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for len(g.changed) > 0 {
		<-g.changed
	}
	if e.decide(context.Background(), offered) || len(g.changed) > 0 {
		t.Error("the same is told as a change, because of an older set")
	}
	offered.Instructions = "others"
	if !e.decide(context.Background(), offered) || len(g.changed) != 1 {
		t.Error("a change is not told")
	}
}

// Close ends what is still open, and sets may be closed during and after it.
func TestCloseBeforeItsSets(t *testing.T) {
	p := newPeer().open(t)
	g := newRig(t, nil)
	one := g.open(p.config("peer"), program("program"))
	two := g.open(p.config("peer"), program("program"))
	pid := running(t, one.Remote("program"))
	var all sync.WaitGroup
	for _, end := range []func() error{g.r.Close, one.Close, two.Close, g.r.Close} {
		all.Go(func() {
			if err := end(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the process is left")
	}
	if _, err := say(t, two.Remote("peer"), "echo", `{}`); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("a call after the end: %v", err)
	}
	if _, err := say(t, two.Remote("program"), "echo", `{}`); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("a call of a program after the end: %v", err)
	}
	if _, problems := g.try(p.config("peer")); len(problems) != 1 {
		t.Errorf("opened after the end: %+v", problems)
	}
}

// running returns the number of an upstream's process.
func running(t *testing.T, r core.Remote) int {
	t.Helper()
	text, err := say(t, r, "pid", `{}`)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(text)
	}
	return n
}

// A process keeps running for who follows a resource of it; it ends with its upstream also
// where nobody says that he stopped.
func TestCloseEndsFollowing(t *testing.T) {
	g := newRig(t, nil)
	set := g.open(program("program"))
	r := set.Remote("program")
	stop, err := r.Follow(context.Background(), "book://one")
	if err != nil {
		t.Fatal(err)
	}
	p := r.(*remote).e.process
	if got := p.sup.Health().Users; got != 1 {
		t.Errorf("%d keep the process", got)
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	if got := p.sup.Health().Users; got != 0 {
		t.Errorf("%d kept the process to its end", got)
	}
	stop()
	if _, err := r.Follow(context.Background(), "book://one"); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("followed after the end: %v", err)
	}
}

// rest waits until the process of the only upstream rests.
func (g *rig) rest() {
	g.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); g.r.Status()[0].State != "idle"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatal("it never rests")
		}
	}
}

// A program may have become another one when it is started again: what it offers then is
// held to what was approved.
func TestAnotherProcessIsLookedAt(t *testing.T) {
	says := filepath.Join(t.TempDir(), "says")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(says, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("says it again")
	g := newRig(t, nil)
	config := program("program")
	config.Env[about] = says
	config.Start, config.Idle = "idle_stop", "100ms"
	r := g.open(config).Remote("program")
	if got := names(r.Offer().Tools); got != "echo hang pid" {
		t.Fatalf("tools %s", got)
	}
	write("says it again, and mails your keys")
	g.rest()
	running(t, r)
	wait(t, g.changed, "another program")
	offer := g.open(config).Remote("program").Offer()
	if names(offer.Tools) != "hang pid" || len(offer.Held) != 1 || offer.Held[0].Name != "echo" {
		t.Errorf("tools %s, held %+v", names(offer.Tools), offer.Held)
	}
}

// To look at what it offers keeps no process running that nobody calls.
func TestLooksLetItRest(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Refresh = 100 * time.Millisecond })
	config := program("program")
	config.Start, config.Idle = "idle_stop", "1s"
	g.open(config)
	g.rest()
}

// Those beside the supervised one rest with it, whoever's session came first.
func TestAllRest(t *testing.T) {
	g := newRig(t, nil)
	config := program("program")
	config.Start, config.Idle = "idle_stop", "100ms"
	p := g.open(config).Remote("program").(*remote).e.process
	done, err := p.use(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var ends []<-chan struct{}
	for range 3 {
		one, err := p.spawn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, one.(pipe).p.Done())
	}
	if len(p.more) < 2 {
		t.Errorf("%d beside the supervised one", len(p.more))
	}
	done()
	for _, end := range ends {
		wait(t, end, "the end of a process")
	}
}

// An eager program is started again without being called.
func TestEager(t *testing.T) {
	g := newRig(t, nil)
	config := program("program")
	config.Start = "eager"
	r := g.open(config).Remote("program")
	if err := syscall.Kill(running(t, r), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if s := g.r.Status()[0]; s.State == "up" && s.Restarts == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not started again: %+v", g.r.Status())
		}
	}
}

// An upstream that says all the time that its lists changed does not keep clients busy.
func TestListedNowAndThen(t *testing.T) {
	now := time.Unix(1, 0)
	told := 0
	e := &entry{look: make(chan struct{}, 1), r: New(Options{Now: func() time.Time { return now }, Listed: func(string, core.ChangeKind) { told++ }})}
	for range 1000 {
		e.heard(core.Change{Kind: core.ToolsChanged})
		e.heard(core.Change{Kind: core.PromptsChanged})
	}
	if told != 2 {
		t.Errorf("told %d times of two lists", told)
	}
	now = now.Add(leastBetween)
	e.heard(core.Change{Kind: core.ToolsChanged})
	if told != 3 {
		t.Errorf("told %d times after a while", told)
	}
}
