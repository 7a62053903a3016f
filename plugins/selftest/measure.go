package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Measured is what many calls of one case cost.
type Measured struct {
	Calls     int
	Whole     time.Duration // of all calls
	P50, P99  time.Duration // of one call, as its caller sees it
	CPU       time.Duration // of one call on average, guest code only
	Fuel      int64         // of one call on average
	Allocs    float64       // of the gateway's own heap for one call, on average
	Bytes     float64       // likewise
	Half, End int64         // memory of the instance after half of the calls, and after all
	Peak      int64

	// When memory grew in the second half, more calls are made, twice as many each time,
	// until it stays or Calls × maxMore are made: a collector of garbage first lets the
	// heap grow to what it likes. More is how many calls there were then in all.
	More     int
	Growing  bool           // it still grew in the last half of them
	Finally  int64          // memory after them
	Statuses map[string]int // how the calls came out
	Renewed  int            // instances that were replaced because their memory was nearly full
}

// Leaks reports whether memory grew for as long as calls were made.
func (m *Measured) Leaks() bool { return m.Growing || m.Renewed > 0 }

// grew reports whether memory grew by more than the noise of an allocator.
func grew(from, to int64) bool { return to-from > max(128<<10, from/50) }

const (
	maxMore  = 32
	moreTime = 30 * time.Second // no more calls are begun after that
)

// Measure makes calls of one case on one instance, one after the other, as Run makes
// it; the outside is the same for each, except that the store keeps what the plugin
// puts there. Answers are not compared. The error is one of the module, of the first
// call that broke the instance, or of ctx.
func Measure(ctx context.Context, wasm []byte, m *manifest.Manifest, s *Suite, c *Case, calls int, o Options) (*Measured, error) {
	if o.Real == nil {
		o.Real = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if c.Call == abi.Configure {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "configure cannot be measured: it makes an instance and is not called", Fix: "take a case with another call"}
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	r := &runner{ctx: inner, wasm: wasm, manifest: m, options: o, clock: newClock(o.Real)}
	config := firstOf(c.Config, s.Config, json.RawMessage("{}"))
	scene, err := newScene(inner, m, s, c, config, r.clock.now)
	if err != nil {
		return nil, err
	}
	defer func() { _ = scene.host.Close() }()
	if o.CacheDir == "" && !o.InProcess {
		var remove func()
		if r.options.CacheDir, remove, err = temporary(); err != nil {
			return nil, err
		}
		defer remove()
	}
	r.clock.set(r.moment(s, c))
	stage := newStage(inner)
	stage.enter(scene)
	defer stage.close()
	limits := r.sandboxLimits()
	limits.Calls = 1 << 30 // the instance stays, so that what it leaks shows
	var last sandbox.Event
	p, err := sandbox.Load(inner, wasm, sandbox.Options{
		Name: m.Name, Config: config, Host: stage, Limits: limits, Isolation: m.Isolation, CacheDir: r.options.CacheDir,
		Grant: scene.host.Grant(), Log: o.Log, Now: r.clock.now, Rand: rand.NewChaCha8([32]byte{}),
		Observe:   func(e sandbox.Event) { last = e }, // calls are made one after the other
		InProcess: o.InProcess, Plain: o.Plain,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		stage.close()
		done, end := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer end()
		_ = p.Close(done)
	}()
	budget := r.budget(c, scene)
	result := &Measured{Calls: calls, Statuses: map[string]int{}}
	took := make([]time.Duration, 0, calls)
	var before, after runtime.MemStats
	var cpu time.Duration
	var fuel int64
	for n := -min(calls/20, 500); n < calls; n++ { // the first ones warm up
		if n == 0 {
			runtime.ReadMemStats(&before)
		}
		scene.rewind()
		begin := o.Real()
		a, err := p.Call(inner, c.Call, c.Meta, c.Payload, budget)
		spent := o.Real().Sub(begin)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, err
		}
		if n < 0 {
			continue
		}
		took = append(took, spent)
		result.Whole += spent
		cpu += a.CPU
		fuel += a.Fuel
		result.Statuses[strings.ToUpper(a.Status.String())]++
		result.Peak = max(result.Peak, last.Memory)
		if n == calls/2 {
			result.Half = last.Memory
		}
	}
	runtime.ReadMemStats(&after)
	result.End, result.Finally, result.More = last.Memory, last.Memory, calls
	result.Growing = grew(result.Half, result.End)
	for begin := o.Real(); result.Growing && result.More < maxMore*calls && p.Stats().Recycled == 0 && o.Real().Sub(begin) < moreTime; {
		before := last.Memory
		for range result.More {
			scene.rewind()
			if _, err := p.Call(inner, c.Call, c.Meta, c.Payload, budget); err != nil {
				return nil, errors.Join(ctx.Err(), err)
			}
		}
		result.More *= 2
		result.Finally, result.Peak = last.Memory, max(result.Peak, last.Memory)
		result.Growing = grew(before, last.Memory)
	}
	result.Renewed = int(p.Stats().Recycled)
	if calls > 0 {
		slices.Sort(took)
		result.P50, result.P99 = took[calls/2], took[calls*99/100]
		result.CPU, result.Fuel = cpu/time.Duration(calls), fuel/int64(calls)
		result.Allocs = float64(after.Mallocs-before.Mallocs) / float64(calls)
		result.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(calls)
	}
	return result, nil
}

// rewind begins the outside anew, but for the store.
func (o *scene) rewind() {
	o.mu.Lock()
	o.http, o.tools, o.progress, o.logs, o.wrong = 0, 0, 0, o.logs[:0], differences{}
	o.mu.Unlock()
}

// temporary makes a directory for native code.
func temporary() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "sallyport-selftest-")
	if err != nil {
		return "", nil, &core.Error{Code: core.CodeInternal, Message: "make a directory for native code", Err: err, Fix: "name a directory that can be written with the variable TMPDIR"}
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
