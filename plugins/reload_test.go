package plugins

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/guests"
)

// serving is what a Catalog does with a set: calls hold it, and the last one lets it go.
type serving struct {
	set     core.PluginSet
	invoker core.Invoker
	users   sync.WaitGroup
}

type gateway struct {
	mu  sync.Mutex
	now *serving
}

func (g *gateway) take() *serving {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.users.Add(1)
	return g.now
}

func (g *gateway) publish(next *serving) (former *serving) {
	g.mu.Lock()
	defer g.mu.Unlock()
	former, g.now = g.now, next
	return former
}

// reload changes a plugin so often while callers call it, and returns how many calls
// there were.
func reload(t *testing.T, h *Host, wasm []byte, arguments, want string, times int) int64 {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), wasm)
	n := 0
	next := func() *serving {
		n++
		s, problems := h.Open(context.Background(), []core.PluginConfig{{At: at(dir), Name: "p", Source: "p.wasm", Config: fmt.Appendf(nil, `{"n":%d}`, n)}})
		if len(problems) > 0 {
			t.Fatal(words(problems))
		}
		p, err := s.Plugin("p")
		if err != nil {
			t.Fatal(err)
		}
		return &serving{set: s, invoker: invokerOf(t, p, "echo")}
	}
	g := &gateway{now: next()}
	var calls, failed atomic.Int64
	var stop atomic.Bool
	var callers, closers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			for !stop.Load() {
				s := g.take()
				r, err := s.invoker.Invoke(context.Background(), call(arguments))
				if err != nil || r.Content[0].Text != want {
					failed.Add(1)
					t.Errorf("a call failed: %+v, %v", r, err)
					stop.Store(true)
				}
				s.users.Done()
				calls.Add(1)
			}
		})
	}
	for range times {
		if failed.Load() > 3 {
			break
		}
		former := g.publish(next())
		closers.Go(func() {
			former.users.Wait()
			if err := former.set.Close(); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	callers.Wait()
	closers.Wait()
	last := g.now
	_ = last.set.Close()
	if failed.Load() > 0 {
		t.Errorf("%d calls failed", failed.Load())
	}
	until(t, "old versions are gone", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.versions) == 0
	})
	h.background.Wait()
	return calls.Load()
}

const hi = `{"content":[{"type":"text","text":"hi"}]}`

// Reloads under traffic lose no call; measured_test.go looks at memory, too.
func TestReloadsLoseNothing(t *testing.T) {
	h := newHost(t, nil)
	if calls := reload(t, h, echo(t), hi, "hi", 20); calls < 20 {
		t.Errorf("only %d calls: that was no traffic", calls)
	}
}

// A plugin that did not change is the same one in every set, and goes with the last.
func TestVersionsAreShared(t *testing.T) {
	h := newHost(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), echo(t))
	c := core.PluginConfig{At: at(dir), Name: "p", Source: "p.wasm", Config: []byte(`{"a": 1}`)}
	versionOf := func(s core.PluginSet, name string) *version {
		t.Helper()
		p, err := s.Plugin(name)
		if err != nil {
			t.Fatal(err)
		}
		return p.(*Plugin).version
	}
	one := open(t, h, c)
	c.Config = []byte("{\"a\":1}\n")
	c.Priority, c.Match, c.Refresh = 7, &core.MatchConfig{}, "5m"
	two := open(t, h, c)
	first := versionOf(one, "p")
	if versionOf(two, "p") != first {
		t.Error("an unchanged plugin is loaded again")
	}
	other := map[string]func(*core.PluginConfig){
		"config":    func(c *core.PluginConfig) { c.Config = []byte(`{"a":2}`) },
		"limits":    func(c *core.PluginConfig) { c.Limits = &core.PluginLimitsConfig{Timeout: "1s"} },
		"instances": func(c *core.PluginConfig) { c.Limits = &core.PluginLimitsConfig{Instances: 1} },
		"isolation": func(c *core.PluginConfig) { c.Isolation = "call" },
		"name":      func(c *core.PluginConfig) { c.Name = "q" },
	}
	for what, change := range other {
		changed := c
		change(&changed)
		s := open(t, h, changed)
		if versionOf(s, changed.Name) == first {
			t.Errorf("%s: a changed plugin is not loaded again", what)
		}
		_ = s.Close()
	}
	_ = one.Close()
	_ = one.Close() // twice is once
	if _, err := invokerOf(t, mustPlugin(t, two), "echo").Invoke(t.Context(), call(hi)); err != nil {
		t.Errorf("a version that a set still has: %v", err)
	}
	_ = two.Close()
	until(t, "it is closed", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.versions) == 0 })
}

func mustPlugin(t testing.TB, s core.PluginSet) core.Plugin {
	t.Helper()
	p, err := s.Plugin("p")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The value of a secret is part of what makes a version, and is in no hash that leaves.
func TestSecretsMakeAVersion(t *testing.T) {
	wasm := carrying(t, guests.Echo(), yaml("invoker", oneTool, "capabilities: {secrets: [token]}"))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.wasm"), wasm)
	keyWith := func(h *Host, secret string) key {
		t.Helper()
		s := open(t, h, core.PluginConfig{
			At: at(dir), Name: "p", Source: "p.wasm",
			Grants: &core.GrantsConfig{Secrets: []string{"token"}}, Secrets: map[string]core.Secret{"token": core.Secret(secret)},
		})
		return mustPlugin(t, s).(*Plugin).version.key
	}
	h, other := newHost(t, nil), newHost(t, nil)
	a := keyWith(h, "a")
	if keyWith(h, "a") != a || keyWith(h, "b") == a {
		t.Error("the secret does not count, or counts twice")
	}
	if keyWith(other, "a") == a {
		t.Error("the hash of a secret is the same in another process")
	}
}

// Closing a set does not wait for calls, and does not break them.
func TestCloseUnderACall(t *testing.T) {
	h := newHost(t, nil)
	p := single(t, h, carrying(t, guests.Sleep(int64(100*time.Millisecond)), yaml("invoker", oneTool)), nil).(*Plugin)
	done := make(chan error, 1)
	go func() {
		_, err := p.call(context.Background(), invokes, call("{}"), "echo", nil)
		done <- err
	}()
	until(t, "the call runs", func() bool { s := p.version.code.Stats(); return s.Instances > s.Free })
	begin := time.Now()
	h.mu.Lock()
	set := h.sets[0]
	h.mu.Unlock()
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 50*time.Millisecond {
		t.Errorf("closing took %s", d)
	}
	if err := <-done; err != nil {
		t.Errorf("the call broke: %v", err)
	}
}
