package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is a writer that several goroutines may use.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
	n  int
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) writes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func start(t testing.TB, o Options) (*Telemetry, *lines) {
	t.Helper()
	log := &lines{}
	o.Output = log
	tel, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return tel, log
}

// samples reads the text format: "name{labels}" → value.
func samples(t *testing.T, tel *Telemetry) map[string]float64 {
	t.Helper()
	body, contentType, err := tel.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", contentType)
	}
	found := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		found[line[:at]] = value
	}
	return found
}

func TestMetrics(t *testing.T) {
	tel, _ := start(t, Options{Version: "1.2.3", Source: "abc"})
	call := core.CallEvent{Server: "bookshop", Kind: "tool", Name: "search", Revision: "2025-11-25", Outcome: "ok", Duration: 3 * time.Millisecond}
	tel.Called(call)
	tel.Called(call)
	call.Outcome = "tool_error"
	tel.Called(call)
	tel.Requested(core.RequestEvent{Server: "bookshop", Method: "POST", Route: "mcp", RPC: "tools/call", Status: 200, Bytes: 100, Duration: time.Millisecond})
	tel.Requested(core.RequestEvent{Server: "bookshop", Method: "POST", Route: "mcp", RPC: "tools/call", Status: 200, Bytes: 11, Duration: time.Millisecond})
	tel.Sent(core.UpstreamEvent{Connection: "shop", Method: "GET", Status: 503, Outcome: "error", Duration: 20 * time.Millisecond, Attempt: 1})
	tel.Sent(core.UpstreamEvent{Connection: "shop", Method: "GET", Status: 200, Outcome: "ok", Duration: 20 * time.Millisecond, Attempt: 2, Reused: true})
	tel.Reloaded(core.ReloadEvent{OK: false, Mistakes: 3, Warnings: 2})
	tel.PluginCalled(core.PluginEvent{Plugin: "weather", Kind: core.PluginInvoker, Outcome: "ok", Duration: 2 * time.Millisecond})
	tel.PluginCalled(core.PluginEvent{Plugin: "weather", Kind: core.PluginInvoker, Outcome: "timeout", Duration: 8 * time.Millisecond})
	tel.PluginMetric("weather", "hits", core.MetricCounter, 2)
	tel.PluginMetric("weather", "hits", core.MetricCounter, 0.5)
	tel.PluginMetric("weather", "hits", core.MetricCounter, -1)         // a counter only rises
	tel.PluginMetric("weather", "hits", core.MetricCounter, math.NaN()) // and no sum survives this
	tel.PluginMetric("weather", "cached", core.MetricGauge, 4)
	tel.PluginMetric("weather", "cached", core.MetricGauge, 3)
	tel.PluginMetric("weather", "took", core.MetricHistogram, .02)
	tel.Plugins(func() []core.PluginStatus {
		return []core.PluginStatus{{
			Name: "weather", Plugin: "acme/weather", Version: "1.0.0", Digest: "sha256:aa", CPU: time.Second, Fuel: 12, Wait: 2 * time.Second,
			Discards: 3, Recycled: 4, Instances: 5, Free: 1, Waiting: 6, Memory: 7, Degraded: time.Unix(1, 0),
		}}
	})
	sessions := int64(7)
	tel.Gauge("sessions", "Sessions in memory.", func() int64 { return sessions })
	tel.Gauge("sallyport_streams", "Open streams.", func() int64 { return 5 })
	tel.Counter("sallyport_panics", "Panics.", func() int64 { return 4 })

	found := samples(t, tel)
	for name, want := range map[string]float64{
		`sallyport_calls_total{kind="tool",name="search",outcome="ok",revision="2025-11-25",server="bookshop"}`:                     2,
		`sallyport_calls_total{kind="tool",name="search",outcome="tool_error",revision="2025-11-25",server="bookshop"}`:             1,
		`sallyport_call_duration_seconds_count{kind="tool",name="search",server="bookshop"}`:                                        3,
		`sallyport_call_duration_seconds_sum{kind="tool",name="search",server="bookshop"}`:                                          0.009,
		`sallyport_call_duration_seconds_bucket{kind="tool",name="search",server="bookshop",le="0.0025"}`:                           0,
		`sallyport_call_duration_seconds_bucket{kind="tool",name="search",server="bookshop",le="0.005"}`:                            3,
		`sallyport_http_requests_total{method="POST",route="mcp",rpc="tools/call",server="bookshop",status="200",streamed="false"}`: 2,
		`sallyport_http_response_bytes_total{route="mcp",rpc="tools/call",streamed="false"}`:                                        111,
		`sallyport_http_request_duration_seconds_count{route="mcp",rpc="tools/call",streamed="false"}`:                              2,
		`sallyport_upstream_requests_total{attempt="1",connection="shop",method="GET",outcome="error",reused="false",status="503"}`: 1,
		`sallyport_upstream_requests_total{attempt="2",connection="shop",method="GET",outcome="ok",reused="true",status="200"}`:     1,
		`sallyport_upstream_request_duration_seconds_count{connection="shop",outcome="ok"}`:                                         1,
		`sallyport_plugin_calls_total{kind="invoker",outcome="timeout",plugin="weather"}`:                                           1,
		`sallyport_plugin_call_duration_seconds_count{kind="invoker",plugin="weather"}`:                                             2,
		`sallyport_plugin_reported_total{name="hits",plugin="weather"}`:                                                             2.5,
		`sallyport_plugin_reported{name="cached",plugin="weather"}`:                                                                 3,
		`sallyport_plugin_reported_values_bucket{name="took",plugin="weather",le="0.01"}`:                                           0,
		`sallyport_plugin_reported_values_bucket{name="took",plugin="weather",le="0.025"}`:                                          1,
		`sallyport_plugin_info{digest="sha256:aa",name="acme/weather",plugin="weather",signer="",version="1.0.0"}`:                  1,
		`sallyport_plugin_cpu_seconds_total{plugin="weather"}`:                                                                      1,
		`sallyport_plugin_fuel_total{plugin="weather"}`:                                                                             12,
		`sallyport_plugin_wait_seconds_total{plugin="weather"}`:                                                                     2,
		`sallyport_plugin_discards_total{plugin="weather"}`:                                                                         3,
		`sallyport_plugin_recycled_total{plugin="weather"}`:                                                                         4,
		`sallyport_plugin_instances{plugin="weather"}`:                                                                              5,
		`sallyport_plugin_instances_free{plugin="weather"}`:                                                                         1,
		`sallyport_plugin_queue{plugin="weather"}`:                                                                                  6,
		`sallyport_plugin_memory_bytes{plugin="weather"}`:                                                                           7,
		`sallyport_plugin_degraded{plugin="weather"}`:                                                                               1,
		`sallyport_reloads_total{ok="false"}`:                                                                                       1,
		`sallyport_reload_last_ok`:                                                                                                  0,
		`sallyport_reload_last_mistakes`:                                                                                            3,
		`sallyport_reload_last_warnings`:                                                                                            2,
		`sallyport_panics_total`:                                                                                                    4,
		`sallyport_sessions`:                                                                                                        7,
		`sallyport_streams`:                                                                                                         5,
	} {
		if got, ok := found[name]; !ok || got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s = %v (there: %t), want %v", name, got, ok, want)
		}
	}
	all := fmt.Sprint(found)
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", `sallyport_build_info{goversion="go`, `version="1.2.3"`, `revision="abc"`} {
		if !strings.Contains(all, name) {
			t.Errorf("%s is missing", name)
		}
	}
	tel.Reloaded(core.ReloadEvent{OK: true})
	sessions = 8
	found = samples(t, tel)
	if found["sallyport_reload_last_ok"] != 1 || found["sallyport_reload_last_mistakes"] != 0 || found["sallyport_sessions"] != 8 {
		t.Error("gauges do not follow")
	}
	if body, _, _ := tel.Metrics(); !strings.Contains(string(body), "# TYPE sallyport_panics_total counter") {
		t.Error("what only rises is not a counter")
	}
	tel.Gauge("not a name", "", func() int64 { return 0 }) // logged, and nothing breaks
	tel.Counter("not a name", "", func() int64 { return 0 })
	samples(t, tel)
}

// What clients make up must not become labels without end.
func TestCardinality(t *testing.T) {
	tel, _ := start(t, Options{})
	for i := range 5000 {
		text := fmt.Sprintf("made-up-%d", i)
		tel.Requested(core.RequestEvent{Method: text, RPC: text, Route: "mcp", Revision: text, Status: 404})
		tel.Called(core.CallEvent{Server: "s", Kind: "tool", Revision: text, Outcome: "not_found"})
	}
	found := samples(t, tel)
	if all := fmt.Sprint(found); strings.Contains(all, "made-up") {
		t.Error("a made-up name became a label")
	}
	if got := found[`sallyport_http_requests_total{method="_other",route="mcp",rpc="_other",server="",status="404",streamed="false"}`]; got != 5000 {
		t.Errorf("%v requests under _other", got)
	}
	if got := found[`sallyport_calls_total{kind="tool",name="",outcome="not_found",revision="_other",server="s"}`]; got != 5000 {
		t.Errorf("%v calls under _other", got)
	}

	for i := range 3000 {
		tel.PluginMetric("p", strconv.Itoa(i), core.MetricCounter, 1)
	}
	if got := samples(t, tel)[`sallyport_plugin_reported_total{name="_other",plugin="_other"}`]; got != 3000-maxSeries {
		t.Errorf("%v values of plugins under _other", got)
	}

	// Even names that we should have known have a bound.
	for i := range 3000 {
		tel.Called(core.CallEvent{Server: "s", Kind: "tool", Name: strconv.Itoa(i), Outcome: "ok"})
	}
	var series int
	var total float64
	for name, value := range samples(t, tel) {
		if strings.HasPrefix(name, "sallyport_calls_total") {
			series++
			total += value
		}
	}
	if series > maxSeries+10 || total != 8000 {
		t.Errorf("%d series with %v calls in all; want at most %d, and 8000", series, total, maxSeries+10)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	tel, _ := start(t, Options{})
	call := core.CallEvent{Server: "bookshop", Kind: "tool", Name: "search", Revision: "2025-11-25", Outcome: "ok", Duration: time.Millisecond}
	request := core.RequestEvent{Server: "bookshop", Method: "POST", Route: "mcp", RPC: "tools/call", Status: 200, Bytes: 100, Duration: time.Millisecond}
	sent := core.UpstreamEvent{Connection: "shop", Method: "GET", Status: 200, Outcome: "ok", Attempt: 1}
	if n := testing.AllocsPerRun(200, func() {
		tel.Called(call)
		tel.Requested(request)
		tel.Sent(sent)
	}); n != 0 {
		t.Errorf("%v allocations for three events", n)
	}
}

func TestRequestLog(t *testing.T) {
	tel, log := start(t, Options{Format: "json", Requests: "all"})
	tel.Requested(core.RequestEvent{
		Server: "bookshop", Method: "POST", Route: "mcp", RPC: "tools/call", Revision: "2026-07-28",
		Status: 200, Bytes: 12, Streamed: true, Duration: 1500 * time.Microsecond, ID: "r-1",
	})
	tel.Requested(core.RequestEvent{Method: "GET", Route: "healthz", Status: 200})
	tel.Requested(core.RequestEvent{Method: "BREW", RPC: "evil\nmethod", Route: "mcp", Status: 405, ID: "r-2"})
	tel.Flush()
	got := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(got) != 2 {
		t.Fatalf("%d lines, want 2 (probes are for debug): %q", len(got), got)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(got[0]), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{
		"level": "INFO", "msg": "request", "id": "r-1", "method": "POST", "route": "mcp", "status": 200., "duration_ms": 1.5,
		"bytes": 12., "server": "bookshop", "rpc": "tools/call", "revision": "2026-07-28", "streamed": true,
	}
	if fmt.Sprint(line) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", line, want)
	}
	if !strings.Contains(got[1], `"rpc":"_other"`) || !strings.Contains(got[1], `"method":"_other"`) {
		t.Errorf("made-up names are logged: %s", got[1])
	}
	tel.Requested(core.RequestEvent{Route: "mcp", Status: 500})
	if !strings.Contains(log.String(), `"level":"WARN"`) {
		t.Error("a failure waits in the buffer")
	}
}

func TestLogLevels(t *testing.T) {
	tel, log := start(t, Options{Level: "warn"})
	tel.Logger().Info("quiet")
	if err := tel.SetLevel("debug"); err != nil {
		t.Fatal(err)
	}
	tel.Logger().With("k", "v").WithGroup("g").Debug("loud", "x", 1)
	tel.Flush()
	if text := log.String(); strings.Contains(text, "quiet") || !strings.Contains(text, "msg=loud k=v g.x=1") {
		t.Errorf("log: %s", text)
	}
	if err := tel.SetLevel("verbose"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Errorf("unknown level: %v", err)
	}
	for _, o := range []Options{{Level: "loud"}, {Format: "xml"}} {
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestLogIsGathered(t *testing.T) {
	tel, log := start(t, Options{})
	for range 20 {
		tel.Logger().Info("line")
	}
	if n := log.writes(); n != 0 {
		t.Errorf("%d writes at once", n)
	}
	deadline := time.Now().Add(5 * time.Second)
	for log.writes() == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := log.writes(); n != 1 || strings.Count(log.String(), "msg=line") != 20 {
		t.Errorf("%d writes of %d lines after a while", n, strings.Count(log.String(), "msg=line"))
	}
	tel.Logger().Info("again")
	for !strings.Contains(log.String(), "again") && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(log.String(), "again") {
		t.Error("the second batch was not written")
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	tel.Logger().Info("after the end")
	if !strings.Contains(log.String(), "after the end") {
		t.Error("a line after Shutdown is lost")
	}
	big := strings.Repeat("x", 100)
	tel2, log2 := start(t, Options{})
	for range 2 * flushSize / 100 {
		tel2.Logger().Info("line", "text", big)
	}
	if log2.writes() == 0 {
		t.Error("a full buffer waits for the clock")
	}
}

// leaks logs a secret in every way that a careless line could.
func leaks(log *slog.Logger, secret string) {
	log.Info("a", "token", secret, "Authorization", "Bearer "+secret)                                               //nolint:sloglint // careless, as said
	log.With("password", secret).Warn("b", slog.Group("upstream", "set-cookie", secret, "api_key", []byte(secret))) //nolint:sloglint // careless, as said
	log.Error("c", "credential", core.Secret(secret), "value", core.Secret(secret), "arguments", map[string]any{"q": secret})
	log.Info("d", "config", struct{ Token core.Secret }{core.Secret(secret)})
}

func TestCanary(t *testing.T) {
	const canary = "CANARY-5ab1e"
	for _, format := range []string{"text", "json"} {
		tel, log := start(t, Options{Format: format, Level: "debug", Requests: "all"})
		leaks(tel.Logger(), canary)
		tel.Requested(core.RequestEvent{Method: canary, RPC: canary, Revision: canary, Route: "mcp", Status: 200})
		tel.Called(core.CallEvent{Server: "s", Kind: "tool", Revision: canary, Outcome: "ok"})
		tel.Flush()
		if text := log.String(); strings.Contains(text, canary) || !strings.Contains(text, "***") {
			t.Errorf("%s log: %s", format, text)
		}
		if body, _, _ := tel.Metrics(); bytes.Contains(body, []byte(canary)) {
			t.Error("the canary stands in the metrics")
		}
		if strings.Count(log.String(), "\n") != 5 {
			t.Errorf("%s: some lines are missing: %s", format, log.String())
		}
	}
	// The test of the test: a plain logger shows it.
	var plain bytes.Buffer
	leaks(slog.New(slog.NewTextHandler(&plain, nil)), canary)
	if strings.Count(plain.String(), canary) < 5 {
		t.Error("the lines hold no canary: this test proves nothing")
	}
}

func TestLongTextsAreCut(t *testing.T) {
	tel, log := start(t, Options{Format: "json"})
	long := strings.Repeat("é", 100_000)
	tel.Logger().Warn("x", "text", long, "error", errors.New(long))
	if n := len(log.String()); n > 3*maxText {
		t.Errorf("a line of %d bytes", n)
	}
	if regexp.MustCompile(`\\ufffd|�`).MatchString(log.String()) {
		t.Error("a character was cut in two")
	}
}

func TestConcurrentEvents(t *testing.T) {
	tel, _ := start(t, Options{Requests: "all"})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 200 {
				tel.Called(core.CallEvent{Server: "s", Kind: "tool", Name: strconv.Itoa(j % 50), Outcome: "ok"})
				tel.Requested(core.RequestEvent{Route: "mcp", Status: 200 + i})
			}
		})
	}
	wait.Wait()
	var calls float64
	for name, value := range samples(t, tel) {
		if strings.HasPrefix(name, "sallyport_calls_total") {
			calls += value
		}
	}
	if calls != 1600 {
		t.Errorf("%v calls were counted, want 1600", calls)
	}
}

func BenchmarkEvents(b *testing.B) {
	tel, _ := start(b, Options{})
	call := core.CallEvent{Server: "bookshop", Kind: "tool", Name: "search", Revision: "2025-11-25", Outcome: "ok", Duration: time.Millisecond}
	request := core.RequestEvent{Server: "bookshop", Method: "POST", Route: "mcp", RPC: "tools/call", Status: 200, Bytes: 100, Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		tel.Called(call)
		tel.Requested(request)
	}
}

func BenchmarkRequestLog(b *testing.B) {
	tel, _ := start(b, Options{Format: "json", Requests: "all"})
	tel.output.to = discard{}
	request := core.RequestEvent{Server: "bookshop", Method: "POST", Route: "mcp", RPC: "tools/call", Revision: "2025-11-25", Status: 200, Bytes: 100, Duration: time.Millisecond, ID: "r-123456"}
	b.ReportAllocs()
	for b.Loop() {
		tel.Requested(request)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// Events whose labels share a slot of recent are counted apart, and what a stranger
// made up is neither a label nor kept.
func TestRecent(t *testing.T) {
	tel, _ := start(t, Options{})
	f := tel.families.calls
	names := make([]string, 3*recents)
	for round := range 50 {
		for i := range names {
			names[i] = fmt.Sprintf("t%d", i)
			tel.Called(core.CallEvent{Server: "s", Kind: "tool", Name: names[i], Revision: "2025-11-25", Outcome: "ok"})
		}
		tel.Called(core.CallEvent{Server: "s", Kind: "tool", Name: "t0", Revision: fmt.Sprintf("made-up-%d", round), Outcome: "ok"})
	}
	for _, name := range names {
		if n := f.get(callLabels{"s", "tool", name, "2025-11-25", "ok"}).count.Load(); n != 50 {
			t.Errorf("%s: %d calls, want 50", name, n)
		}
	}
	if n := f.get(callLabels{"s", "tool", "t0", other, "ok"}).count.Load(); n != 50 {
		t.Errorf("%d calls of made-up revisions, want 50", n)
	}
	for i := range f.recent {
		if one := f.recent[i].Load(); one != nil && strings.HasPrefix(one.labels.revision, "made-up") {
			t.Errorf("kept: %v", one.labels)
		}
	}
}
