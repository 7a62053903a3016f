package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Ways to call.
const (
	fuel          = "fuel"   // the sandbox, as the gateway runs it
	plain         = "plain"  // the sandbox without fuel: nothing stops the guest
	bare          = "wazero" // wazero by hand
	closing       = "closing"
	extismOnly    = "extism"
	extismTimeout = "extism_timeout"
)

// about is one row.
type about struct {
	name   string
	tools  []string
	extism string            // folder of the guest for Extism; "" = none
	theirs map[string]string // our tool → theirs, where it has another name
}

var guests = []about{
	{name: "c", tools: []string{"echo", "text"}, extism: "extism-c", theirs: map[string]string{"echo": "echo"}},
	{name: "rust", tools: []string{"echo", "text", "json"}},
	{name: "assemblyscript", tools: []string{"echo", "text", "json"}},
	{name: "go", tools: []string{"echo", "text", "json", "std"}, extism: "extism-go", theirs: map[string]string{"echo": "echo", "std": "json"}},
}

func (p *plan) measure(ctx context.Context, w *workshop, want func(string) bool) (*Figures, error) {
	in := request()
	out, err := answer(in)
	if err != nil {
		return nil, err
	}
	f := &Figures{Request: len(in), Answer: len(out), Guests: []*Guest{}, LeftOut: []LeftOut{}}
	for _, a := range guests {
		if !want(a.name) {
			f.LeftOut = append(f.LeftOut, LeftOut{What: a.name, Why: "it was not asked for (-only)"})
			continue
		}
		wasm, err := w.build(ctx, a.name)
		if missing(err) {
			f.LeftOut = append(f.LeftOut, LeftOut{What: a.name, Why: err.Error()})
			continue
		}
		if err != nil {
			return nil, err
		}
		g := &Guest{Name: a.name, Module: len(wasm), Calls: map[string]map[string]Call{}, Throughput: map[string]Throughput{}}
		fmt.Fprintf(os.Stderr, "measuring %s\n", a.name)
		if err := p.guest(ctx, w, a, g, wasm, in, out); err != nil {
			return nil, fmt.Errorf("guest %s: %w", a.name, err)
		}
		f.Guests = append(f.Guests, g)
	}
	return f, nil
}

// guest measures one row.
func (p *plan) guest(ctx context.Context, w *workshop, a about, g *Guest, wasm, in, out []byte) error {
	cache := filepath.Join(w.work, "cache-"+a.name)
	if err := p.loads(ctx, g, wasm, cache); err != nil {
		return err
	}
	if err := p.instances(ctx, g, wasm, cache); err != nil {
		return err
	}
	ways, end, err := p.open(ctx, w, a, wasm, cache)
	defer end()
	if err != nil {
		return err
	}
	for _, tool := range a.tools {
		want := out
		if tool == "echo" || tool == "text" {
			want = in
		}
		var all []*way
		for _, one := range ways {
			name := tool
			if one.theirs {
				if name = a.theirs[tool]; name == "" {
					continue
				}
			}
			got, err := one.call(ctx, name, in)
			if err != nil {
				return fmt.Errorf("%s of %s: %w", tool, one.name, err)
			}
			if err := same(tool, got, want); err != nil {
				return fmt.Errorf("%s of %s: %w", tool, one.name, err)
			}
			all = append(all, &way{name: one.name, tool: name, call: one.call})
		}
		if err := turns(ctx, all, in, p); err != nil {
			return err
		}
		g.Calls[tool] = map[string]Call{}
		for _, one := range all {
			g.Calls[tool][one.name] = one.figure()
		}
	}
	return p.pooled(ctx, a, g, wasm, cache, in)
}

// loads measures what loading costs, with and without native code in the cache.
func (p *plan) loads(ctx context.Context, g *Guest, wasm []byte, cache string) error {
	var warm []time.Duration
	for n := range p.warms + 1 {
		began := familyCPU()
		plugin, err := ours(ctx, wasm, cache, nil)
		if err != nil {
			return err
		}
		took := familyCPU() - began
		if n == 0 {
			g.LoadCold = millis(took)
		} else {
			warm = append(warm, took)
		}
		if err := plugin.Close(ctx); err != nil {
			return err
		}
	}
	g.LoadWarm = span(warm).Min / 1000
	return nil
}

// instances measures making and restoring them.
func (p *plan) instances(ctx context.Context, g *Guest, wasm []byte, cache string) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as for turns
	plugin, err := ours(ctx, wasm, cache, nil)
	if err != nil {
		return err
	}
	defer plugin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // measured already
	var made []time.Duration
	for range p.makes {
		var s stopwatch
		s.start()
		spare, err := plugin.Spare(ctx)
		if err != nil {
			return err
		}
		g.MemoryStart = spare.Memory()
		spare.Close()
		if took, ok := s.stop(); ok {
			made = append(made, took)
		}
	}
	g.Instantiate = span(made)
	runtime.GC()
	const many = 8
	before := resident()
	spares := make([]*sandbox.Spare, 0, many)
	for range many {
		spare, err := plugin.Spare(ctx)
		if err != nil {
			return err
		}
		spares = append(spares, spare)
	}
	g.ResidentEach = max(0, (resident()-before)/many)
	for _, spare := range spares {
		spare.Close()
	}
	return p.restores(ctx, g, wasm, cache)
}

func (p *plan) restores(ctx context.Context, g *Guest, wasm []byte, cache string) error {
	plugin, err := ours(ctx, wasm, cache, func(o *sandbox.Options) { o.Isolation = sandbox.PerCall })
	if err != nil {
		return err
	}
	defer plugin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // measured already
	spare, err := plugin.Spare(ctx)
	if err != nil {
		return err
	}
	defer spare.Close()
	var restored []time.Duration
	for range 10 * p.makes {
		var s stopwatch
		s.start()
		if !spare.Restore() {
			return errGuest
		}
		if took, ok := s.stop(); ok {
			restored = append(restored, took)
		}
	}
	g.Restore = span(restored)
	return nil
}

// opened is one way to call a guest.
type opened struct {
	name   string
	call   caller
	theirs bool // Extism's: a guest of its own
}

// open makes all ways to call a guest. end closes what was opened, also after an error.
func (p *plan) open(ctx context.Context, w *workshop, a about, wasm []byte, cache string) (ways []opened, end func(), err error) {
	var ends []func()
	end = func() {
		for _, f := range ends {
			f()
		}
	}
	later := context.WithoutCancel(ctx)
	for _, name := range []string{fuel, plain} {
		plugin, err := ours(ctx, wasm, cache, func(o *sandbox.Options) { o.Plain = name == plain })
		if err != nil {
			return nil, end, err
		}
		ends = append(ends, func() { _ = plugin.Close(later) })
		ways = append(ways, opened{name: name, call: called(plugin)})
	}
	for _, name := range []string{bare, closing} {
		h, err := newByHand(ctx, wasm, name == closing)
		if err != nil {
			return nil, end, err
		}
		ends = append(ends, func() { _ = h.runtime.Close(later) })
		ways = append(ways, opened{name: name, call: h.do})
	}
	if a.extism == "" {
		return ways, end, nil
	}
	theirs, err := w.build(ctx, a.extism)
	if err != nil {
		return nil, end, err
	}
	for _, name := range []string{extismOnly, extismTimeout} {
		call, stop, err := newExtism(ctx, theirs, name == extismTimeout)
		if err != nil {
			return nil, end, err
		}
		ends = append(ends, stop)
		ways = append(ways, opened{name: name, call: call, theirs: true})
	}
	return ways, end, nil
}

// pooled measures a pool of two instances with two callers, and the memory afterwards.
func (p *plan) pooled(ctx context.Context, a about, g *Guest, wasm []byte, cache string, in []byte) error {
	plugin, err := ours(ctx, wasm, cache, func(o *sandbox.Options) { o.Limits.Instances = 2 })
	if err != nil {
		return err
	}
	defer plugin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // measured already
	if p.profile != "" {
		file, err := os.Create(p.profile + "." + a.name)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	call := called(plugin)
	for _, tool := range a.tools {
		var calls atomic.Int64
		var failed atomic.Pointer[error]
		began, spent := time.Now(), processCPU()
		end := began.Add(p.pool)
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				for time.Now().Before(end) {
					for range 16 {
						if _, err := call(ctx, tool, in); err != nil {
							failed.Store(&err)
							return
						}
					}
					calls.Add(16)
				}
			})
		}
		both.Wait()
		if err := failed.Load(); err != nil {
			return *err
		}
		n := float64(calls.Load())
		g.Throughput[tool] = Throughput{Wall: n / time.Since(began).Seconds(), CPU: 2 * n / (processCPU() - spent).Seconds()}
	}
	s := plugin.Stats()
	g.MemoryUsed = s.Memory / max(1, int64(s.Instances))
	return nil
}
