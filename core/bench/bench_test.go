package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/plugins/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stalling answers at once, but stalls each connection a single time.
func stalling(t *testing.T, stall time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for n := 0; ; n++ {
					q, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if n == 20 {
						time.Sleep(stall)
					}
					body := strings.TrimPrefix(q.URL.Path, "/books/")
					_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				}
			})
		}
	})
	return l.Addr().String()
}

// A stall of 300 ms at 200 requests a second delays 60 of them: the open loop must
// say so; the closed loop sees a single slow one (coordinated omission).
func TestOpenLoopCountsStalls(t *testing.T) {
	late := func(rate float64) int {
		l := load{target: stalling(t, 300*time.Millisecond), kind: "plain", clients: 1, duration: 900 * time.Millisecond, rate: rate}
		c, err := l.connect(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.conn.Close()
		start := time.Now()
		if rate > 0 {
			l.open(context.Background(), c, 0, start, start.Add(l.duration))
		} else {
			l.closed(context.Background(), c, start.Add(l.duration))
		}
		if l.failed.Load() > 0 {
			t.Fatal(*l.why.Load())
		}
		n := 0
		for _, d := range c.taken {
			if d > 100*time.Millisecond {
				n++
			}
		}
		return n
	}
	if n := late(0); n > 5 {
		t.Errorf("the closed loop saw %d slow calls, the stall is one", n)
	}
	if n := late(200); n < 25 {
		t.Errorf("the open loop saw %d slow calls; the stall delays about 40 by more than 100 ms", n)
	}
}

func TestLoadFindsFailures(t *testing.T) {
	tests := []struct {
		name   string
		answer string
		why    string
	}{
		{"status", "HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", "status 503"},
		{"another client's answer", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nb9999", "without b1000"},
		{"not HTTP", "nonsense\r\n\r\n", "generator"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "generator"},
		{"closed", "", "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				r := bufio.NewReader(theirs)
				_, _ = http.ReadRequest(r)
				_, _ = theirs.Write([]byte(tt.answer))
				_ = theirs.Close()
			}()
			l := load{target: "127.0.0.1:1", kind: "plain"}
			c := &client{conn: ours, reader: bufio.NewReader(ours), request: plain("x", "b1000"), want: []byte("b1000")}
			if l.exchange(t.Context(), c) || l.failed.Load() != 1 {
				t.Fatal("the failure was not seen")
			}
			if why := *l.why.Load(); !strings.Contains(why, tt.why) {
				t.Errorf("%q does not say %q", why, tt.why)
			}
		})
	}
}

func TestReadAnswer(t *testing.T) {
	r := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nMCP-session-ID: s1 \r\ncontent-LENGTH: 3\r\n\r\nabcHTTP/1.1 202 Accepted\r\n\r\n"))
	var a answer
	if err := readAnswer(r, &a); err != nil || a.status != 200 || a.session != "s1" || string(a.body) != "abc" {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := readAnswer(r, &a); err != nil || a.status != 202 || a.session != "" || len(a.body) != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	r.Reset(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"))
	if err := readAnswer(r, &a); err != nil || string(a.body) != "abc0123456789" {
		t.Fatalf("%q, %v", a.body, err)
	}
	if err := readAnswer(r, &a); !errors.Is(err, errAnswer) {
		t.Fatalf("a chunk that is none: %v", err)
	}
}

func TestAlike(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":"revision-12.","b":"revision-12."}`: true,
		`{"a":"revision-12.","b":"revision-13."}`: false,
		`{"a":"revision-1.","b":"revision-12."}`:  false,
		`{"a":"revision-1."}`:                     false, // half of it is missing
		`{}`:                                      false,
	} {
		if got := alike([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestShare(t *testing.T) {
	var sorted []time.Duration
	for i := range 1000 {
		sorted = append(sorted, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0.5: 500, 0.9: 900, 0.99: 990, 0.999: 999, 1: 1000, 0: 1} {
		if got := share(sorted, q); got != want {
			t.Errorf("share %v is %d, want %d", q, got, want)
		}
	}
	if got := share(sorted[:1], 0.99); got != 1 {
		t.Errorf("share of one value is %d", got)
	}
}

func TestLeaveOf(t *testing.T) {
	got := leaveOf([]time.Duration{3, never, 1, 2, never})
	if want := (leaveResult{Count: 5, Unseen: 2, P50: 2, P99: 3, Max: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestRatios(t *testing.T) {
	at := func(calls int64, cpu time.Duration) sample {
		return sample{load: loadReport{Calls: calls, Elapsed: time.Second}, cpu: cpu}
	}
	r := &rounds{clients: []int{1}, names: []string{"a", "b"}, samples: map[int]map[string][]sample{1: {
		"a": {at(50, 4), at(10, 4), at(60, 4)},  // the machine was busy in the second round,
		"b": {at(100, 2), at(20, 2), at(80, 2)}, // for both
	}}}
	if got := r.ratio(1, "a", "b", ofRate); got != 0.5 {
		t.Errorf("ratio %v", got)
	}
	if got := r.ratio(1, "a", "b", ofCPU); got != 2 {
		t.Errorf("ratio of CPU %v", got)
	}
	if got := r.median(1, "a", ofRate); got != 50 {
		t.Errorf("median %v", got)
	}
	if got := middle([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("middle %v", got)
	}
}

func TestBars(t *testing.T) {
	tests := []struct {
		b    bar
		want string
	}{
		{bar{want: 2, measured: 2}, "met"},
		{bar{want: 2, measured: 1.5}, "missed by 25 %"},
		{bar{want: 100, measured: 99, atMost: true}, "met"},
		{bar{want: 100, measured: 150, atMost: true}, "missed by 50 %"},
		{bar{want: 0, measured: 0, atMost: true}, "met"},
		{bar{want: 0, measured: 3, atMost: true}, "missed by 3"},
	}
	r := &report{}
	for _, tt := range tests {
		if got := tt.b.verdict(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.b, got, tt.want)
		}
		r.bars = append(r.bars, tt.b)
	}
	if n := r.missed(); n != 3 {
		t.Errorf("%d missed, want 3", n)
	}
}

// The report has a table for each part that was measured, and none for the others.
func TestReport(t *testing.T) {
	one := sample{load: loadReport{Calls: 10, Elapsed: time.Second, P99: time.Millisecond}, cpu: 20 * time.Microsecond, rss: 1 << 20}
	all := map[string][]sample{}
	names := []string{"direct", "fiber", "sallyport", "reverse"}
	for _, name := range names {
		all[name] = []sample{one}
	}
	r := &report{
		plan: &plan{}, started: time.Unix(0, 0), commit: "abc", load: "0.1", list: &one,
		closed:  &rounds{clients: []int{1}, names: names, samples: map[int]map[string][]sample{1: all}},
		reuse:   &reuse{Sent: 10, Requests: 11, Connections: 1, Most: 1},
		streams: []streamResult{{Kind: "listen", Count: 10_000, Held: 80 << 20, Base: 10 << 20, Goroutines: 20}},
	}
	r.judge()
	var out bytes.Buffer
	r.print(&out)
	text := r.markdown()
	for _, want := range []string{
		"| 1 | sallyport | 10 | 0 | 0 | 1000 | 0 | 20.0 | 1 |", "1970-01-01", "commit abc",
		"| upstream requests too many or too few, one a call | ≤ 0 | 1 | missed by 1 |",
		"| memory above base of 10000 idle streams (listen) | ≤ 64 MiB | 70 MiB | missed by 9 % |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "Open loop") || strings.Contains(text, "reload") {
		t.Error("a part that was not measured is in the report")
	}
	if !strings.Contains(out.String(), "bars met") {
		t.Error(out.String())
	}
}

// The tables of plugins: what was measured, what was left out, and the bars of both.
func TestPluginReport(t *testing.T) {
	var f figures
	err := json.Unmarshal([]byte(`{"request":1024,"answer":1010,"left_out":[{"what":"go","why":"no Go"}],"guests":[{
		"name":"rust","module":2048,"load_cold_ms":70,"load_warm_ms":5,"instantiate_us":{"min":50,"median":60},"restore_us":{"min":9,"median":10},
		"memory_start":1048576,"memory_used":2097152,"resident_each":65536,"throughput":{"echo":{"wall":1,"cpu":2000000}},
		"calls":{
			"echo":{"fuel":{"thread_us":{"min":1.6,"median":2},"allocs":1,"bytes":1024},"extism":{"thread_us":{"min":40,"median":50}}},
			"json":{"fuel":{"thread_us":{"min":12,"median":13},"allocs":3},"plain":{"thread_us":{"min":10,"median":11}}}}}]}`), &f)
	if err != nil {
		t.Fatal(err)
	}
	at := func(calls int64) []sample { return []sample{{load: loadReport{Calls: calls, Elapsed: time.Second}}} }
	r := &report{plan: &plan{}, plugins: &pluginResult{figures: f, http: &rounds{
		clients: []int{16}, names: []string{builtIn, inRust},
		samples: map[int]map[string][]sample{16: {builtIn: at(100), inRust: at(95)}},
	}}}
	r.judge()
	text := r.markdown()
	for _, want := range []string{
		"| 1 KB to a plugin in Rust and back, CPU | ≤ 1.50 µs | 1.60 µs | missed by 7 % |",
		"| allocations of a call, plugin in Rust | ≤ 2 | 3 | missed by 50 % |",
		"| what fuel adds to JSON in Rust | ≤ 30 % | 20.0 % | met |",
		"| calls/s of a Rust plugin to the built-in echo, 16 clients | ≥ 0.90× | 0.95× | met |",
		"| Rust | echo | 1.6 (2.0) |  |  |  | 40.0 (50.0) |  |  | 1.0, 1024 B |",
		"| Rust | JSON | 12.0 (13.0) | 10.0 (11.0) |  |  |  |  | +20 % | 3.0, 0 B |",
		"| Rust | 2 | 70.0, 5.0 | 50.0 (60.0) | 9.0 (10.0) | 1.0, 2.0 | 0.1 | 2000000 |  |",
		"| go | no Go |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "plugin in Go") {
		t.Error("a guest that was left out has a bar")
	}
}

// The document of the plugin rounds names both tools, and the manifest the plugin's.
func TestPluginDocument(t *testing.T) {
	b, err := pluginDocument()
	if err != nil || !bytes.Contains(b, []byte(`"kind": "wasm"`)) || !bytes.Contains(b, []byte(`"kind": "echo"`)) {
		t.Errorf("%s %v", b, err)
	}
	if _, err := manifest.Parse("plugin.yaml", []byte(pluginManifest)); err != nil {
		t.Error(err)
	}
}

func TestMetric(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "# HELP reloads_total x\nreloads_total{ok=\"true\",a=\"1\"} 3\nreloads_total{ok=\"true\",a=\"2\"} 4\nreloads_total{ok=\"false\"} 9\nreloads_total_more 5\nstreams 1e+04\n")
	}))
	defer s.Close()
	p := &process{address: s.Listener.Addr().String()}
	for _, tt := range []struct {
		name, label string
		want        float64
	}{{"reloads_total", `ok="true"`, 7}, {"reloads_total", "", 16}, {"streams", "", 10_000}} {
		if got, err := metric(t.Context(), p, tt.name, tt.label); err != nil || got != tt.want {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	if _, err := metric(t.Context(), p, "reloads", ""); err == nil {
		t.Error("a metric that is not there was found")
	}
}

// The document holds what the load asks for.
func TestDocument(t *testing.T) {
	b, err := document("127.0.0.1:1", "127.0.0.1:2", 7)
	if err != nil {
		t.Fatal(err)
	}
	if !alike(b) || !bytes.Contains(b, []byte("revision-7.")) || !bytes.Contains(b, []byte(`"tool_299"`)) {
		t.Error("the marks are not in the document")
	}
	if n := bytes.Count(b, []byte(`"name": "tool_`)); n != catalogueTools {
		t.Errorf("%d tools", n)
	}
	if !slices.Contains(doors, "sallyport") {
		t.Error("the gateway has no door of its own")
	}
}
