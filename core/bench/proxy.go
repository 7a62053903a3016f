package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// translating is the gateway where client and upstream speak different revisions.
const translating = "translating"

// proxyClients is how many call at once.
const proxyClients = 16

// proxyResult is what calls of an MCP upstream cost that is reached through the gateway.
type proxyResult struct {
	ways []proxyWay // by sort of upstream
}

type proxyWay struct {
	sort   string
	rounds *rounds
	reuse  reuse // of the gateway
	soak   soak
}

// soak is what many calls leave behind in the gateway.
type soak struct {
	calls, failed       int64
	requests            int64 // that the upstream saw
	rss, rssAfter       int64 // after the first slice, and in the end
	open, openAfter     int   // descriptors, likewise
	elapsed             time.Duration
	why                 string
	slices, connections int64
}

// measureProxy calls a tool of an MCP server in a process of its own: directly, through the
// gateway, and through a proxy that knows nothing of MCP.
func (p *plan) measureProxy(ctx context.Context, s *stage) (*proxyResult, error) {
	r := &proxyResult{}
	for _, sort := range []string{withoutSessions, withSessions} {
		way, err := p.measureProxyOf(ctx, s, sort)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sort, err)
		}
		r.ways = append(r.ways, *way)
	}
	return r, nil
}

func (p *plan) measureProxyOf(ctx context.Context, s *stage, sort string) (*proxyWay, error) {
	up, err := spawn(ctx, "upstream", false, s.self, "upstream", sort)
	if err != nil {
		return nil, err
	}
	defer up.end()
	var at backendAddresses
	if err := json.Unmarshal([]byte(up.address), &at); err != nil {
		return nil, err
	}
	reverse, err := spawn(ctx, "reverse", false, s.self, "reverse", at.Doors["reverse"])
	if err != nil {
		return nil, err
	}
	defer reverse.end()
	one, err := startBefore(ctx, s.gateway, sort, at.Doors["sallyport"])
	if err != nil {
		return nil, err
	}
	defer one.end()
	session := sort == withSessions
	all := []candidate{
		{name: "direct", process: up, target: at.Doors["direct"], kind: "call", server: "up", session: session},
		{name: "sallyport", process: one, target: one.address, kind: "call", server: "up", session: session},
		// It loses the body of some streamed answers: "use of closed network connection".
		{name: "reverse", process: reverse, target: reverse.address, kind: "call", server: "up", session: session, lossy: true},
		{name: translating, process: one, target: one.address, kind: "call", server: "up", session: !session},
	}
	for _, c := range all { // the first calls open what is then kept
		if _, err := c.measure(ctx, proxyClients, 100*time.Millisecond, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	way := &proxyWay{sort: sort}
	before, err := counts(ctx, at)
	if err != nil {
		return nil, err
	}
	if way.rounds, err = measureRounds(ctx, all, []int{proxyClients}, p.rounds, p.each, 0); err != nil {
		return nil, err
	}
	after, err := counts(ctx, at)
	if err != nil {
		return nil, err
	}
	way.reuse = reuse{
		Sent:        way.rounds.sent["sallyport"] + way.rounds.sent[translating],
		Requests:    after.Doors["sallyport"].Requests - before.Doors["sallyport"].Requests,
		Connections: after.Doors["sallyport"].Connections - before.Doors["sallyport"].Connections,
		Most:        proxyClients,
	}
	return way, way.soak.run(ctx, all[1], at, p.proxied)
}

// startBefore starts a gateway before an MCP upstream that is called up.
func startBefore(ctx context.Context, from *gateway, sort, address string) (*process, error) {
	g := *from
	g.dir = filepath.Join(from.dir, sort)
	if from.profile != "" {
		g.profile = from.profile + "." + sort
	}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return nil, err
	}
	type object = map[string]any
	b, err := json.MarshalIndent(object{"upstreams": []object{{"name": "up", "url": "http://" + address + "/mcp"}}}, "", " ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(g.path(), b, 0o600); err != nil {
		return nil, err
	}
	return g.start(ctx)
}

// slicesOf cuts many calls into loads that end in time.
func slicesOf(calls int) (count, each int) {
	const least, most = 1000, 50_000
	each = min(max(calls/10, least), most)
	return max((calls+each-1)/each, 2), each
}

// run makes many calls, and looks at the gateway after the first of them and in the end.
func (s *soak) run(ctx context.Context, c candidate, at backendAddresses, calls int) error {
	count, each := slicesOf(calls)
	before, err := counts(ctx, at)
	if err != nil {
		return err
	}
	begun := time.Now()
	sent := int64(0)
	for i := range count {
		args := append(c.load(proxyClients), "-duration", "170s", "-calls", strconv.Itoa(each))
		var l loadReport
		if err := ask(ctx, &l, args...); err != nil {
			return err
		}
		s.calls, s.failed = s.calls+l.Calls, s.failed+l.Failed
		sent += l.Calls + l.Failed + 3*proxyClients
		if s.why == "" {
			s.why = l.Why
		}
		time.Sleep(500 * time.Millisecond) // its connections are closed by then
		if i == 0 {
			s.rss, s.open = c.process.rss(), c.process.descriptors()
		}
	}
	s.elapsed, s.slices = time.Since(begun), int64(count)
	s.rssAfter, s.openAfter = c.process.rss(), c.process.descriptors()
	after, err := counts(ctx, at)
	if err != nil {
		return err
	}
	s.requests = after.Doors["sallyport"].Requests - before.Doors["sallyport"].Requests - (sent - s.calls - s.failed)
	s.connections = after.Doors["sallyport"].Connections - before.Doors["sallyport"].Connections
	return nil
}

// The bars of the gateway as a proxy.
const (
	proxyRateBar = 0.75
	proxyCPUBar  = 0.5
	soakRSSBar   = 16 // MiB
	soakOpenBar  = 2 * proxyClients
)

func (r *proxyResult) judge(add func(what, unit string, measured, want float64, atMost bool)) {
	for i := range r.ways {
		w := &r.ways[i]
		of := ", " + w.sort + " MCP upstream"
		add("calls/s through the gateway to direct ones"+of, "×", w.rounds.ratio(proxyClients, "sallyport", "direct", ofRate), proxyRateBar, false)
		add("CPU per call to httputil.ReverseProxy"+of, "×", w.rounds.ratio(proxyClients, "sallyport", "reverse", ofCPU), proxyCPUBar, true)
		add("upstream requests too many or too few, one a call"+of, "", math.Abs(float64(w.reuse.Requests-w.reuse.Sent)), 0, true)
		at := fmt.Sprintf(" after %d calls", w.soak.calls)
		add("failed calls"+at+of, "", float64(w.soak.failed), 0, true)
		add("upstream requests too many or too few"+at+of, "", math.Abs(float64(w.soak.requests-w.soak.calls-w.soak.failed)), 0, true)
		add("memory gained"+at+of, " MiB", mebi(w.soak.rssAfter-w.soak.rss), soakRSSBar, true)
		add("descriptors gained"+at+of, "", float64(w.soak.openAfter-w.soak.open), soakOpenBar, true)
	}
}

func (r *proxyResult) tables() []table {
	var all []table
	other := table{title: "MCP upstreams: many calls", head: []string{"upstream", "calls", "seconds", "upstream requests", "new connections", "MiB", "descriptors", "translating to not, CPU"}}
	for i := range r.ways {
		w := &r.ways[i]
		t := w.rounds.table("An MCP upstream, " + w.sort + ": tools/call")
		t.about = "The upstream is a server of the official Go SDK in a process of its own. *direct* has nothing between (its CPU is the upstream's), *reverse* is httputil.ReverseProxy, " +
			"*sallyport* the gateway where client and upstream speak the same revision, *" + translating + "* where they do not: 2026-07-28 without sessions, and 2025-11-25 with them."
		all = append(all, t)
		other.rows = append(other.rows, []string{
			w.sort, strconv.FormatInt(w.soak.calls, 10), fmt.Sprintf("%.0f", w.soak.elapsed.Seconds()), strconv.FormatInt(w.soak.requests, 10), strconv.FormatInt(w.soak.connections, 10),
			fmt.Sprintf("%.0f → %.0f", mebi(w.soak.rss), mebi(w.soak.rssAfter)), fmt.Sprintf("%d → %d", w.soak.open, w.soak.openAfter),
			fmt.Sprintf("%.2f×", w.rounds.ratio(proxyClients, translating, "sallyport", ofCPU)),
		})
	}
	return append(all, other)
}
