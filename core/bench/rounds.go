package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// candidate is one thing that is measured.
type candidate struct {
	name    string
	process *process
	target  string // address
	kind    string // of the load
	tool    string // that call calls; "" = get_book
	server  string // that has it; "" = bench
	session bool
	bearer  string // token that each request carries; "" = none
	lossy   bool   // it may fail now and then: not ours to judge
}

// sample is one candidate in one round.
type sample struct {
	load loadReport
	cpu  time.Duration // of the candidate alone, for one call
	rss  int64
}

func (s sample) rate() float64 { return float64(s.load.Calls) / s.load.Elapsed.Seconds() }

// rounds is what was sampled: by clients, by candidate, one a round.
type rounds struct {
	clients []int
	names   []string
	samples map[int]map[string][]sample
	sent    map[string]int64 // requests to each candidate, warming included
}

// measureRounds lets each candidate have its turn in each round, in an order that
// moves on, so that nobody is always first.
func measureRounds(ctx context.Context, all []candidate, clients []int, count int, each time.Duration, rate float64) (*rounds, error) {
	r := &rounds{clients: clients, samples: map[int]map[string][]sample{}, sent: map[string]int64{}}
	for _, c := range all {
		r.names = append(r.names, c.name)
	}
	for _, n := range clients {
		r.samples[n] = map[string][]sample{}
	}
	for round := range count {
		for _, n := range clients {
			for i := range all {
				c := all[(i+round)%len(all)]
				s, err := c.measure(ctx, n, each, rate)
				if err != nil {
					return nil, fmt.Errorf("%s with %d clients: %w", c.name, n, err)
				}
				r.samples[n][c.name] = append(r.samples[n][c.name], s)
				r.sent[c.name] += s.load.Calls + s.load.Failed + int64(3*n)
			}
		}
	}
	return r, nil
}

// measure runs the load against the candidate once.
func (c candidate) measure(ctx context.Context, clients int, each time.Duration, rate float64) (sample, error) {
	args := append(c.load(clients), "-duration", each.String(), "-rate", fmt.Sprint(rate))
	var s sample
	before := c.process.cpu()
	if err := ask(ctx, &s.load, args...); err != nil {
		return s, err
	}
	spent := c.process.cpu() - before
	if s.load.Failed > 0 && (!c.lossy || s.load.Failed > s.load.Calls/100) {
		return s, fmt.Errorf("%d of %d calls failed: %s", s.load.Failed, s.load.Calls+s.load.Failed, s.load.Why)
	}
	if s.load.Calls == 0 {
		return s, fmt.Errorf("no call was answered in %s", each)
	}
	s.cpu = spent / time.Duration(s.load.Calls+int64(3*clients))
	s.rss = c.process.rss()
	return s, nil
}

// load is how the generator is asked to send what the candidate gets.
func (c candidate) load(clients int) []string {
	args := []string{"load", "-target", c.target, "-kind", c.kind, "-clients", strconv.Itoa(clients)}
	if c.tool != "" {
		args = append(args, "-tool", c.tool)
	}
	if c.server != "" {
		args = append(args, "-server", c.server)
	}
	if c.session {
		args = append(args, "-session")
	}
	if c.bearer != "" {
		args = append(args, "-bearer", c.bearer)
	}
	return args
}

// median of a figure over the rounds.
func (r *rounds) median(clients int, name string, figure func(sample) float64) float64 {
	values := make([]float64, 0, 8)
	for _, s := range r.samples[clients][name] {
		values = append(values, figure(s))
	}
	return middle(values)
}

// ratio is the median over the rounds of a figure of one candidate to that of
// another in the same round.
func (r *rounds) ratio(clients int, name, to string, figure func(sample) float64) float64 {
	mine, other := r.samples[clients][name], r.samples[clients][to]
	values := make([]float64, 0, 8)
	for i := range min(len(mine), len(other)) {
		if under := figure(other[i]); under > 0 {
			values = append(values, figure(mine[i])/under)
		}
	}
	return middle(values)
}

func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// The figures of a sample.
func ofRate(s sample) float64 { return s.rate() }
func ofCPU(s sample) float64  { return float64(s.cpu) }
func ofP50(s sample) float64  { return float64(s.load.P50) }
func ofP90(s sample) float64  { return float64(s.load.P90) }
func ofP99(s sample) float64  { return float64(s.load.P99) }
func ofP999(s sample) float64 { return float64(s.load.P999) }
func ofRSS(s sample) float64  { return float64(s.rss) }
