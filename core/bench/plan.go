package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// plan is what one run measures, and for how long.
type plan struct {
	write, gateway, only, profile string
	strict, quick                 bool

	rounds     int
	each       time.Duration // of one turn in a closed round
	openRounds int
	openEach   time.Duration
	openRate   float64 // requests a second, the same for all
	listTime   time.Duration
	starts     int
	streams    int
	leaves     int
	reloadTime time.Duration
	proxied    int // calls

	pluginRounds int // over HTTP
	pluginEach   time.Duration
}

func (p *plan) settle(quick bool) {
	p.quick = quick
	p.rounds, p.each, p.openRounds, p.openEach, p.openRate = 5, 700*time.Millisecond, 3, 2*time.Second, 1500
	p.listTime, p.starts, p.streams, p.leaves = 2*time.Second, 5, 10_000, 400
	reload := time.Minute
	if quick {
		p.rounds, p.each, p.openRounds, p.openEach = 2, 300*time.Millisecond, 1, time.Second
		p.listTime, p.starts, p.streams, p.leaves = time.Second, 2, 2_000, 100
		reload = 6 * time.Second
	}
	if p.reloadTime <= 0 {
		p.reloadTime = reload
	}
	const most, few, many = 1_000_000, 4_000, 20_000
	switch {
	case p.proxied > 0:
		p.proxied = min(p.proxied, most)
	case quick:
		p.proxied = few
	default:
		p.proxied = many
	}
	p.settlePlugins()
}

// wants tells whether a part is to be measured.
func (p *plan) wants(part string) bool {
	return p.only == "" || slices.Contains(strings.Split(p.only, ","), part)
}

// conduct runs the plan and prints the report.
func (p *plan) conduct(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	g := &gateway{binary: p.gateway, profile: p.profile, dir: dir}
	if g.binary == "" {
		fmt.Fprintln(out, "building the gateway")
		if g.binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	if g.binary, err = filepath.Abs(g.binary); err != nil {
		return err
	}
	s, err := p.stage(ctx, g, self)
	defer s.end()
	if err != nil {
		return err
	}
	r := &report{plan: p, started: time.Now().UTC(), commit: commit(ctx), load: loadAverage()}
	if err := p.measure(ctx, out, s, r); err != nil {
		return err
	}
	r.judge()
	r.print(out)
	if p.write != "" {
		if err := os.MkdirAll(filepath.Dir(p.write), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(p.write, []byte(r.markdown()), 0o644); err != nil { //nolint:gosec // a page for everybody
			return err
		}
	}
	if p.strict && r.missed() > 0 {
		return errMissed
	}
	return nil
}

// stage is what stays up for the whole run.
type stage struct {
	self      string
	gateway   *gateway
	addresses backendAddresses
	backend   *process
	sallyport *process
	fiber     *process
	reverse   *process
}

func (s *stage) end() {
	for _, p := range []*process{s.sallyport, s.fiber, s.reverse, s.backend} {
		p.end()
	}
}

func (p *plan) stage(ctx context.Context, g *gateway, self string) (s *stage, err error) {
	s = &stage{self: self, gateway: g}
	if s.backend, err = spawn(ctx, "backend", false, self, "backend"); err != nil {
		return s, err
	}
	if err = json.Unmarshal([]byte(s.backend.address), &s.addresses); err != nil {
		return s, err
	}
	if s.fiber, err = spawn(ctx, "fiber", false, self, "fiber", s.addresses.Doors["fiber"]); err != nil {
		return s, err
	}
	if s.reverse, err = spawn(ctx, "reverse", false, self, "reverse", s.addresses.Doors["reverse"]); err != nil {
		return s, err
	}
	g.backend, g.slow = s.addresses.Doors["sallyport"], s.addresses.Slow
	if err = g.write(); err != nil {
		return s, err
	}
	s.sallyport, err = g.start(ctx)
	return s, err
}

func (s *stage) candidates() []candidate {
	return []candidate{
		{name: "direct", process: s.backend, target: s.addresses.Doors["direct"], kind: "plain"},
		{name: "fiber", process: s.fiber, target: s.fiber.address, kind: "plain"},
		{name: "sallyport", process: s.sallyport, target: s.sallyport.address, kind: "call"},
		{name: "reverse", process: s.reverse, target: s.reverse.address, kind: "plain"},
	}
}

// measure runs the parts.
func (p *plan) measure(ctx context.Context, out io.Writer, s *stage, r *report) error {
	parts := []struct {
		name string
		run  func() error
	}{
		{"calls", func() (err error) {
			r.closed, r.reuse, err = p.measureCalls(ctx, s)
			return err
		}},
		{"open", func() (err error) {
			r.open, err = measureRounds(ctx, s.candidates(), []int{16}, p.openRounds, p.openEach, p.openRate)
			return err
		}},
		{"legacy", func() (err error) {
			old := []candidate{{name: "sallyport", process: s.sallyport, target: s.sallyport.address, kind: "call", session: true}}
			r.legacy, err = measureRounds(ctx, old, []int{16}, p.openRounds, p.each, 0)
			return err
		}},
		{"list", func() (err error) {
			c := candidate{name: "list", process: s.sallyport, target: s.sallyport.address, kind: "list"}
			one, err := c.measure(ctx, 4, p.listTime, 0)
			r.list = &one
			return err
		}},
		{"cancel", func() error {
			one, err := measureLeave(ctx, s.sallyport, s.addresses, p.leaves)
			r.leave = &one
			return err
		}},
		{"start", func() error {
			for range p.starts {
				one, err := s.gateway.start(ctx)
				if err != nil {
					return err
				}
				r.starts = append(r.starts, one.took)
				r.startRSS = append(r.startRSS, one.rss())
				one.end()
			}
			slices.Sort(r.starts)
			slices.Sort(r.startRSS)
			return nil
		}},
		{"streams", func() error {
			for _, kind := range []string{"listen", "sse"} {
				one, err := measureStreams(ctx, s.gateway, s.self, kind, p.streams)
				if err != nil {
					return err
				}
				r.streams = append(r.streams, one)
			}
			return nil
		}},
		{"plugins", func() (err error) {
			r.plugins, err = p.measurePlugins(ctx, s)
			return err
		}},
		{"guard", func() (err error) {
			r.guard, err = p.measureGuard(ctx, s)
			return err
		}},
		{"proxy", func() (err error) {
			r.proxy, err = p.measureProxy(ctx, s)
			return err
		}},
		{"reload", func() error {
			one, err := measureReload(ctx, s.gateway, p.reloadTime)
			r.reload = &one
			return err
		}},
	}
	for _, part := range parts {
		if !p.wants(part.name) {
			continue
		}
		start := time.Now()
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Fprintf(out, "measured %s in %.0f s\n", part.name, time.Since(start).Seconds())
	}
	return nil
}

// reuse is what the backend saw of the gateway beside what the clients sent.
type reuse struct {
	Sent, Requests, Connections int64
	Most                        int // clients at once
}

var errLost = errors.New("the backend saw another number of requests than were sent")

func (p *plan) measureCalls(ctx context.Context, s *stage) (*rounds, *reuse, error) {
	before, err := counts(ctx, s.addresses)
	if err != nil {
		return nil, nil, err
	}
	clients := []int{1, 16, 64}
	r, err := measureRounds(ctx, s.candidates(), clients, p.rounds, p.each, 0)
	if err != nil {
		return nil, nil, err
	}
	after, err := counts(ctx, s.addresses)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"direct", "fiber", "reverse"} {
		if n := after.Doors[name].Requests - before.Doors[name].Requests; n != r.sent[name] {
			return nil, nil, fmt.Errorf("%w: %s sent %d, seen %d", errLost, name, r.sent[name], n)
		}
	}
	one := &reuse{
		Sent:        r.sent["sallyport"],
		Requests:    after.Doors["sallyport"].Requests - before.Doors["sallyport"].Requests,
		Connections: after.Doors["sallyport"].Connections - before.Doors["sallyport"].Connections,
		Most:        slices.Max(clients),
	}
	return r, one, nil
}
