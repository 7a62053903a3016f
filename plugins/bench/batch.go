package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"
)

// way is one way to call one tool, with what was sampled of it.
type way struct {
	name   string
	tool   string
	call   caller
	n      int             // calls of a batch
	taken  []time.Duration // of a call, one a batch
	allocs float64
	bytes  float64
}

// leastCalls is how many a batch has at least: a guest with a garbage collector pays
// for it now and then, and every batch must hold its share.
const leastCalls = 256

// warm calls until the guest is as it stays, and chooses a batch of about the wanted
// time.
func (w *way) warm(ctx context.Context, payload []byte, p *plan) error {
	w.n = leastCalls
	began, took := time.Now(), time.Duration(0)
	for calls := 0; calls < p.warm; calls += w.n {
		start := threadCPU()
		if err := w.run(ctx, payload); err != nil {
			return err
		}
		took = threadCPU() - start
		if time.Since(began) > p.each {
			break
		}
	}
	if took > 0 && took < p.batch {
		w.n = int(int64(w.n) * int64(p.batch) / int64(took))
	}
	return nil
}

func (w *way) run(ctx context.Context, payload []byte) error {
	for range w.n {
		if _, err := w.call(ctx, w.tool, payload); err != nil {
			return fmt.Errorf("%s of %s: %w", w.tool, w.name, err)
		}
	}
	return nil
}

// sample runs one batch.
func (w *way) sample(ctx context.Context, payload []byte) error {
	var s stopwatch
	s.start()
	if err := w.run(ctx, payload); err != nil {
		return err
	}
	if took, ok := s.stop(); ok {
		w.taken = append(w.taken, took/time.Duration(w.n))
	}
	return nil
}

// stopwatch takes CPU time of the calling thread.
type stopwatch struct {
	on             int
	moved          bool
	process, began time.Duration
}

func (s *stopwatch) start() {
	s.on, s.process = thread(), processCPU()
	s.began = threadCPU()
	s.moved = thread() != s.on
}

// stop returns false when the goroutine was on other threads meanwhile: it did not
// begin and end on the same one, or most of the process's time was spent elsewhere.
func (s *stopwatch) stop() (time.Duration, bool) {
	moved := thread() != s.on || s.moved
	took := threadCPU() - s.began
	moved = moved || thread() != s.on || took < (processCPU()-s.process)/2
	return took, !moved
}

// count counts what a call allocates on the host's heap.
func (w *way) count(ctx context.Context, payload []byte) error {
	calls := max(w.n, 200)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range calls {
		if _, err := w.call(ctx, w.tool, payload); err != nil {
			return fmt.Errorf("%s of %s: %w", w.tool, w.name, err)
		}
	}
	runtime.ReadMemStats(&after)
	w.allocs = math.Round(10*float64(after.Mallocs-before.Mallocs)/float64(calls)) / 10 // the runtime has some of its own
	w.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(calls)
	return nil
}

func (w *way) figure() Call { return Call{Thread: span(w.taken), Allocs: w.allocs, Bytes: w.bytes} }

// turns lets all ways have their batch in each round, in an order that moves on.
//
// Go has one processor meanwhile. So the goroutine stays on its thread although it is
// not locked to it (then each yield of a guest would be a change of threads, which no
// gateway makes), and what a call has other goroutines do counts as the call's.
func turns(ctx context.Context, all []*way, payload []byte, p *plan) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, w := range all {
		if err := w.warm(ctx, payload, p); err != nil {
			return err
		}
		if err := w.count(ctx, payload); err != nil {
			return err
		}
	}
	began := time.Now()
	for round := range p.rounds {
		if round >= p.rounds/10 && time.Since(began) > p.each*time.Duration(len(all)) {
			break
		}
		for i := range all {
			if err := all[(i+round)%len(all)].sample(ctx, payload); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// spanOf returns the least and the median in microseconds; it sorts.
func spanOf(all []time.Duration) (least, middle float64) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	n := len(all)
	return micros(all[0]), (micros(all[(n-1)/2]) + micros(all[n/2])) / 2
}

func span(all []time.Duration) Span {
	least, middle := spanOf(all)
	return Span{Min: least, Median: middle}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
