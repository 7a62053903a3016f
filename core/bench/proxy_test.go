package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

func TestSlices(t *testing.T) {
	for calls, want := range map[int][2]int{1: {2, 1000}, 4_000: {4, 1000}, 20_000: {10, 2000}, 1_000_000: {20, 50_000}} {
		if count, each := slicesOf(calls); count != want[0] || each != want[1] {
			t.Errorf("%d calls: %d of %d, want %v", calls, count, each, want)
		}
	}
}

// The bars of a proxy are missed by one request too many, a call that failed, and memory
// or descriptors that grow.
func TestProxyBars(t *testing.T) {
	fine := func(calls int64, cpu time.Duration) []sample {
		return []sample{{load: loadReport{Calls: calls, Elapsed: time.Second}, cpu: cpu}}
	}
	way := func() *proxyWay {
		return &proxyWay{
			sort: withSessions, reuse: reuse{Sent: 100, Requests: 100},
			rounds: &rounds{clients: []int{proxyClients}, names: []string{"direct", "sallyport", "reverse", translating}, samples: map[int]map[string][]sample{proxyClients: {
				"direct": fine(100, 20), "sallyport": fine(80, 40), "reverse": fine(70, 100), translating: fine(80, 50),
			}}},
			soak: soak{calls: 10, requests: 10, rss: 50 << 20, rssAfter: 55 << 20, open: 30, openAfter: 40},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(w *proxyWay)
		missed int
	}{
		{"fine", func(*proxyWay) {}, 0},
		{"one request more", func(w *proxyWay) { w.reuse.Requests++ }, 1},
		{"one request less", func(w *proxyWay) { w.soak.requests-- }, 1},
		{"a call failed", func(w *proxyWay) { w.soak.failed, w.soak.requests = 1, 11 }, 1},
		{"memory", func(w *proxyWay) { w.soak.rssAfter += 20 << 20 }, 1},
		{"descriptors", func(w *proxyWay) { w.soak.openAfter += 100 }, 1},
		{"slow", func(w *proxyWay) { w.rounds.samples[proxyClients]["sallyport"] = fine(70, 40) }, 1},
		{"dear", func(w *proxyWay) { w.rounds.samples[proxyClients]["sallyport"] = fine(80, 60) }, 1},
	} {
		w := way()
		tt.change(w)
		r := report{plan: &plan{}, proxy: &proxyResult{ways: []proxyWay{*w}}}
		r.judge()
		if n := r.missed(); n != tt.missed {
			t.Errorf("%s: %d bars missed, want %d: %+v", tt.name, n, tt.missed, r.bars)
		}
		if page := r.markdown(); !strings.Contains(page, translating) || !strings.Contains(page, "1.25×") && tt.name == "fine" {
			t.Errorf("%s: %s", tt.name, page)
		}
	}
}

// The upstream of both sorts answers the generator, and counts its messages.
func TestUpstream(t *testing.T) {
	for _, sort := range []string{withSessions, withoutSessions} {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- runUpstream(ctx, []string{sort}, in) }()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var at backendAddresses
		if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "listening on ")), &at); err != nil {
			t.Fatal(err)
		}
		l := load{target: at.Doors["direct"], kind: "call", tool: "get_book", server: "up", clients: 2, calls: 10, duration: time.Minute, session: sort == withSessions}
		report, err := l.run(t.Context())
		if err != nil || report.Calls != 10 || report.Failed != 0 {
			t.Errorf("%s: %+v, %v", sort, report, err)
		}
		seen, err := counts(t.Context(), at)
		want := tally{Connections: 2, Requests: 10 + 2*3}
		if sort == withSessions {
			want.Requests += 2 * 2
		}
		if err != nil || seen.Doors["direct"] != want {
			t.Errorf("%s: %+v, %v, want %+v", sort, seen, err, want)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := runUpstream(t.Context(), nil, io.Discard); err == nil {
		t.Error("an upstream of no sort")
	}
}
