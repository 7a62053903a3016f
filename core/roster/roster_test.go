package roster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/child"
)

// A reload keeps what did not change connected; another configuration is another client.
func TestReload(t *testing.T) {
	p := newPeer().open(t)
	g := newRig(t, nil)
	one := g.open(p.config("peer"))
	offer := one.Remote("peer").Offer()
	if offer == nil || names(offer.Tools) != "echo hang pid" || names(offer.Resources) != "one" || offer.Instructions != "read this" {
		t.Fatalf("offer %+v", offer)
	}
	entry := one.Remote("peer").(*remote).e
	two := g.open(p.config("peer"))
	if two.Remote("peer").(*remote).e != entry || two.Revision() != one.Revision() || one.Revision() == "" {
		t.Error("a reload of the same made another client")
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := say(t, two.Remote("peer"), "echo", `{"text":"hi"}`); text != "hi" || err != nil {
		t.Errorf("after a reload: %q %v", text, err)
	}
	other := p.config("peer")
	other.Headers = map[string]string{"X-Region": "eu"}
	three := g.open(other)
	if three.Remote("peer").(*remote).e == entry {
		t.Error("another header is the same client")
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	if len(g.r.entries) != 1 {
		t.Errorf("%d clients are left of 2", len(g.r.entries))
	}
	if got := g.r.Status(); len(got) != 1 || got[0].State != "up" || got[0].Tools != 3 || got[0].Revision == "" {
		t.Errorf("status %+v", got)
	}
}

// The values of secrets count, although they are shown nowhere.
func TestDigestCountsSecrets(t *testing.T) {
	a := program("x")
	a.Secrets = map[string]core.Secret{"KEY": "1"}
	b := program("x")
	b.Secrets = map[string]core.Secret{"KEY": "2"}
	if digestOf(&a, nil) == digestOf(&b, nil) {
		t.Error("secrets do not count")
	}
	c, d := &core.Connection{Secret: map[string]core.Secret{"A": "1"}}, &core.Connection{Secret: map[string]core.Secret{"A": "2"}}
	c.BaseURL, d.BaseURL = mustURL("http://h/"), mustURL("http://h/")
	if digestOf(&a, c) == digestOf(&a, d) {
		t.Error("credentials of connections do not count")
	}
}

// An upstream that is away is opened without its offer, and asked again until it is there.
func TestAwayAtFirst(t *testing.T) {
	p := newPeer().open(t)
	config := p.config("peer")
	address := p.http.Listener.Addr().String()
	p.http.Close()
	g := newRig(t, func(o *Options) { o.Wait = 100 * time.Millisecond })
	set := g.open(config)
	if set.Remote("peer").Offer() != nil || set.Revision() != "" {
		t.Fatal("there is an offer of an upstream that is away")
	}
	if _, err := say(t, set.Remote("peer"), "echo", `{}`); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("a call of one that is away: %v", err)
	}
	if got := g.r.Status(); got[0].State != "down" || got[0].Error == "" {
		t.Errorf("status %+v", got)
	}
	p.reopen(t, address)
	wait(t, g.changed, "an upstream that came")
	if names(g.open(config).Remote("peer").Offer().Tools) != "echo hang pid" {
		t.Error("its offer is not there")
	}
}

// What an upstream offers anew is seen without a reload, and waits for approval.
func TestPinned(t *testing.T) {
	for _, policy := range []string{core.DefinitionsPin, core.DefinitionsQuarantine, core.DefinitionsAlert, core.DefinitionsOff} {
		t.Run(policy, func(t *testing.T) {
			p := newPeer().open(t)
			store := &fakePins{}
			g := newRig(t, func(o *Options) { o.Pins, o.Change = store.pins, store.change })
			config := p.config("peer")
			config.Definitions = policy
			set := g.open(config)
			open := policy == core.DefinitionsAlert || policy == core.DefinitionsOff
			switch offer := set.Remote("peer").Offer(); {
			case policy == core.DefinitionsQuarantine:
				if len(offer.Tools) != 0 || len(offer.Held) != 4 {
					t.Fatalf("offer %+v", offer)
				}
				store.approve()
				g.r.Rejudge()
				g.look("approval", func(o *core.Offer) bool { return len(o.Tools) == 3 }, config)
			case len(offer.Tools) != 3 || len(offer.Held) != 0:
				t.Fatalf("offer %+v", offer)
			}
			if policy == core.DefinitionsPin && (len(store.rows) != 4 || store.rows[0].State != "approved" || store.rows[0].Approved != firstUse) {
				t.Errorf("rows %+v", store.rows)
			}
			if policy == core.DefinitionsOff && len(store.rows) != 0 {
				t.Errorf("rows %+v", store.rows)
			}
			p.describe("pid", "now it says \u202ewho you are")
			p.describe("new", "is new")
			if open {
				set = g.look("the change", func(o *core.Offer) bool { return len(o.Tools) == 4 }, config)
				if text := string(set.Remote("peer").Offer().Tools[3]); !strings.Contains(text, `"now it says who you are"`) {
					t.Errorf("not cleaned: %s", text)
				}
				return
			}
			set = g.look("the change", func(o *core.Offer) bool { return len(o.Held) == 2 }, config)
			if offer := set.Remote("peer").Offer(); names(offer.Tools) != "echo hang" {
				t.Fatalf("offer %s, held %+v", names(offer.Tools), offer.Held)
			}
			store.approve()
			g.r.Rejudge()
			g.look("approval", func(o *core.Offer) bool { return names(o.Tools) == "echo hang new pid" && len(o.Held) == 0 }, config)
		})
	}
}

// A store that cannot be read approves nothing, also not as a first use; one that cannot be
// written to is written to later.
func TestStoreAway(t *testing.T) {
	p := newPeer().open(t)
	store := &fakePins{unreadable: true}
	g := newRig(t, func(o *Options) { o.Pins, o.Change = store.pins, store.change })
	set := g.open(p.config("peer"))
	if offer := set.Remote("peer").Offer(); len(offer.Tools) != 0 || len(offer.Held) != 4 {
		t.Fatalf("offer %+v", offer)
	}
	// Once it can be read, it is a first use after all.
	store.set(false, false)
	g.r.Rejudge()
	g.look("first use", func(o *core.Offer) bool { return len(o.Tools) == 3 && len(o.Held) == 0 }, p.config("peer"))
	store.set(false, true)
	store.forget()
	p2 := newPeer().open(t)
	set = g.open(p2.config("other"))
	if offer := set.Remote("other").Offer(); len(offer.Tools) != 3 {
		t.Fatalf("offer %+v", offer)
	}
	store.set(false, false)
	g.r.Rejudge()
	for len(store.all()) < 4 {
		time.Sleep(time.Millisecond)
	}
}

// Another replica may have written first.
func TestReplicas(t *testing.T) {
	p := newPeer().open(t)
	store := &fakePins{}
	a := newRig(t, func(o *Options) { o.Pins, o.Change = store.pins, store.change })
	b := newRig(t, func(o *Options) { o.Pins, o.Change = store.pins, store.change })
	var both sync.WaitGroup
	for _, g := range []*rig{a, b} {
		both.Go(func() { g.open(p.config("peer")) })
	}
	both.Wait()
	for _, g := range []*rig{a, b} {
		if offer := g.open(p.config("peer")).Remote("peer").Offer(); len(offer.Tools) != 3 || len(offer.Held) != 0 {
			t.Errorf("offer %+v", offer)
		}
	}
	if len(store.all()) != 4 {
		t.Errorf("%d rows", len(store.all()))
	}
}

// Followed resources are told of, also after the one who followed them first has left.
func TestFollow(t *testing.T) {
	p := newPeer().open(t)
	g := newRig(t, nil)
	r := g.open(p.config("peer")).Remote("peer")
	ctx := context.Background()
	stop, err := r.Follow(ctx, "book://one")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Follow(ctx, "book://one")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	stop() // twice is once
	if err := p.server.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: "book://one"}); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, g.updated, "the resource"); got != "peer book://one" {
		t.Errorf("told %q", got)
	}
	again()
}

// Programs run only where the settings allow them, and the mistake says how.
func TestProgramsAreOff(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Allow = child.Allow{} })
	set, problems := g.try(program("peer"))
	if len(problems) != 1 || problems[0].Path != "/command" || !strings.Contains(problems[0].Fix, "upstreams.commands") || set.Remote("peer") != nil {
		t.Errorf("%+v", problems)
	}
}

func TestProgram(t *testing.T) {
	g := newRig(t, nil)
	config := program("peer")
	set := g.open(config)
	r := set.Remote("peer")
	if offer := r.Offer(); offer == nil || names(offer.Tools) != "echo hang pid" {
		t.Fatalf("offer %+v", offer)
	}
	pid := func() int {
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
	first := pid()
	if pid() != first {
		t.Error("each call has a process of its own")
	}
	// A process that dies takes its calls along; the next one starts another.
	failed := make(chan error, 1)
	go func() {
		_, err := say(t, r, "hang", `{}`)
		failed <- err
	}()
	for g.r.Status()[0].Sessions == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the call is on its way
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, failed, "the end of a call"); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("a call of a process that died: %v", err)
	}
	if pid() == first {
		t.Error("the dead process answered")
	}
	if s := g.r.Status()[0]; s.State != "up" || s.Transport != "stdio" || s.Restarts == 0 {
		t.Errorf("status %+v", s)
	}
}

// What nobody uses is stopped, is not started for being listened to, and starts again.
func TestIdleStop(t *testing.T) {
	g := newRig(t, nil)
	config := program("peer")
	config.Start, config.Idle = "idle_stop", "1s"
	r := g.open(config).Remote("peer")
	for g.r.Status()[0].State != "idle" {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(1500 * time.Millisecond)
	if s := g.r.Status()[0]; s.State != "idle" || s.Tools != 3 {
		t.Errorf("status %+v", s)
	}
	if text, err := say(t, r, "echo", `{"text":"hi"}`); text != "hi" || err != nil {
		t.Errorf("%q %v", text, err)
	}
}

// Many calls at once start one process, and all are answered.
func TestThousandCallsOfAProgram(t *testing.T) {
	g := newRig(t, nil)
	r := g.open(program("peer")).Remote("peer")
	var all sync.WaitGroup
	wrong := make(chan error, 1000)
	for i := range 1000 {
		all.Go(func() {
			text, err := say(t, r, "echo", fmt.Sprintf(`{"text":"%d"}`, i))
			if err == nil && text != strconv.Itoa(i) {
				err = errors.New("call " + strconv.Itoa(i) + " got " + text)
			}
			if err != nil {
				wrong <- err
			}
		})
	}
	all.Wait()
	close(wrong)
	for err := range wrong {
		t.Error(err)
	}
}

// Offline only mistakes count.
func TestOffline(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Offline = true })
	set := g.open(core.UpstreamConfig{Name: "away", URL: "http://127.0.0.1:1/mcp"}, program("peer"))
	if set.Remote("away").Offer() != nil || set.Remote("peer").Offer() != nil {
		t.Error("there is an offer")
	}
	bad := program("x")
	bad.Command = []string{"/does/not/exist"}
	if _, problems := g.try(bad); len(problems) != 1 {
		t.Errorf("%+v", problems)
	}
}

// Disabled upstreams are listed, and nothing else.
func TestDisabled(t *testing.T) {
	g := newRig(t, nil)
	config := program("peer")
	config.Disabled = true
	if set := g.open(config); set.Remote("peer") != nil {
		t.Error("it is there")
	}
	if got := g.r.Status(); len(got) != 1 || got[0].State != "disabled" || got[0].Transport != "stdio" {
		t.Errorf("status %+v", got)
	}
}

// An upstream that changes what it offers all the time has the documents loaded less and
// less often, and is looked at soon again when it has been calm.
func TestPace(t *testing.T) {
	pace, looks, total := leastBetween, 0, time.Duration(0)
	for ; total < time.Hour; looks++ {
		pace = paced(pace, true, pace)
		total += pace
	}
	if looks > 150 {
		t.Errorf("%d loads in an hour", looks)
	}
	if got := paced(pace, false, time.Second); got != pace {
		t.Errorf("a look without a change made it %s", got)
	}
	if got := paced(pace, true, 2*time.Minute); got != 2*leastBetween {
		t.Errorf("after a calm it is %s", got)
	}
}
