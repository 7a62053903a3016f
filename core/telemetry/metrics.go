package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	api "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"

	"github.com/sallyport/sallyport/core"
)

// namespace begins the name of every metric of ours.
const namespace = "sallyport"

// seconds are the bounds of duration histograms: an MCP call takes from a
// fraction of a millisecond to minutes.
var seconds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// bounds are seconds as durations.
var bounds = func() (list [len(seconds)]time.Duration) {
	for i, s := range seconds {
		list[i] = time.Duration(math.Round(s * float64(time.Second)))
	}
	return list
}()

// families are the instruments: those of a call count for themselves, the rare ones
// are OpenTelemetry's.
type families struct {
	meter api.Meter

	reloads     api.Int64Counter
	reloadTime  api.Float64Histogram
	reloadState api.Int64Gauge
	mistakes    api.Int64Gauge
	warnings    api.Int64Gauge

	calls    *series[callLabels]
	requests *series[requestLabels]
	upstream *series[upstreamLabels]
	plugins  *series[pluginLabels]
	reported *reported
}

func (t *Telemetry) startMetrics(o Options) error {
	t.registry = prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := t.registry.Register(c); err != nil {
			return err
		}
	}
	reader, err := exporter.New(
		exporter.WithRegisterer(t.registry),
		exporter.WithNamespace(namespace),
		exporter.WithoutScopeInfo(),
		exporter.WithoutTargetInfo(),
	)
	if err != nil {
		return err
	}
	t.meters = metric.NewMeterProvider(
		metric.WithReader(reader),
		metric.WithExemplarFilter(exemplar.AlwaysOffFilter), // the text format cannot carry them
	)
	t.families.meter = t.meters.Meter("sallyport")
	if err := t.families.make(); err != nil {
		return err
	}
	f := &t.families
	f.calls = newSeries("calls_total", "Calls of tools, prompts and resources, by outcome.",
		"call_duration_seconds", "Time of a call, from its arguments to its result.",
		[]string{"server", "kind", "name", "revision", "outcome"}, 3, callLabels.values, t.tameCall, callLabels.rest, callLabels.mark)
	f.requests = newSeries("http_requests_total", "HTTP requests at the edge, by status.",
		"http_request_duration_seconds", "Time of an HTTP request; of a stream, until it ended.",
		[]string{"route", "rpc", "streamed", "server", "method", "status"}, 3, requestLabels.values, requestLabels.tame, requestLabels.rest, requestLabels.mark)
	f.requests.bytes = prometheus.NewDesc(namespace+"_http_response_bytes_total", "Bytes of response bodies.", []string{"route", "rpc", "streamed"}, nil)
	f.upstream = newSeries("upstream_requests_total", "Exchanges with upstreams, by outcome; attempt says which try it was.",
		"upstream_request_duration_seconds", "Time of an exchange with an upstream.",
		[]string{"connection", "outcome", "method", "status", "attempt", "reused"}, 2, upstreamLabels.values, upstreamLabels.tame, upstreamLabels.rest, upstreamLabels.mark)
	f.plugins = newSeries("plugin_calls_total", "Calls of plugins, by outcome.",
		"plugin_call_duration_seconds", "Time of a call of a plugin, waiting for an instance included.",
		[]string{"plugin", "kind", "outcome"}, 2, pluginLabels.values, pluginLabels.tame, pluginLabels.rest, pluginLabels.mark)
	f.reported = newReported()
	for _, c := range []prometheus.Collector{f.calls, f.requests, f.upstream, f.plugins, f.reported} {
		if err := t.registry.Register(c); err != nil {
			return err
		}
	}
	build, err := t.families.meter.Int64Gauge("build_info", api.WithDescription("Always 1; the labels say what runs."))
	if err != nil {
		return err
	}
	build.Record(context.Background(), 1, api.WithAttributes(
		attribute.String("version", o.Version),
		attribute.String("revision", o.Source),
		attribute.String("goversion", runtime.Version()),
	))
	return nil
}

func (f *families) make() error {
	m := f.meter
	var first error
	counter := func(name, help string) api.Int64Counter {
		c, err := m.Int64Counter(name, api.WithDescription(help))
		first = firstOf(first, err)
		return c
	}
	duration := func(name, help string) api.Float64Histogram {
		h, err := m.Float64Histogram(name, api.WithDescription(help), api.WithUnit("s"), api.WithExplicitBucketBoundaries(seconds[:]...))
		first = firstOf(first, err)
		return h
	}
	gauge := func(name, help string) api.Int64Gauge {
		g, err := m.Int64Gauge(name, api.WithDescription(help))
		first = firstOf(first, err)
		return g
	}
	f.reloads = counter("reloads", "Attempts to apply changed documents.")
	f.reloadTime = duration("reload.duration", "Time of a reload.")
	f.reloadState = gauge("reload.last.ok", "1 when what was read last is what is served, else 0.")
	f.mistakes = gauge("reload.last.mistakes", "Mistakes in the documents that were read last.")
	f.warnings = gauge("reload.last.warnings", "Warnings about the documents that were read last.")
	return first
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Metrics returns all metrics in the Prometheus text format, for GET /metrics.
func (t *Telemetry) Metrics() (body []byte, contentType string, err error) {
	found, err := t.registry.Gather()
	if err != nil {
		return nil, "", fmt.Errorf("gather metrics: %w", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	var b bytes.Buffer
	encoder := expfmt.NewEncoder(&b, format)
	for _, family := range found {
		if err := encoder.Encode(family); err != nil {
			return nil, "", fmt.Errorf("write metrics: %w", err)
		}
	}
	return b.Bytes(), string(format), nil
}

// Gauge registers a value that is read when metrics are scraped. name is in
// snake case; the prefix sallyport_ is added where it is missing.
func (t *Telemetry) Gauge(name, help string, read func() int64) {
	_, err := t.families.meter.Int64ObservableGauge(strings.TrimPrefix(name, namespace+"_"), api.WithDescription(help),
		api.WithInt64Callback(func(_ context.Context, o api.Int64Observer) error {
			o.Observe(read())
			return nil
		}))
	if err != nil {
		t.log.Error("gauge not registered", "name", name, "error", err)
	}
}

// Counter registers a value that only rises, as Gauge does.
func (t *Telemetry) Counter(name, help string, read func() int64) {
	_, err := t.families.meter.Int64ObservableCounter(strings.TrimPrefix(name, namespace+"_"), api.WithDescription(help),
		api.WithInt64Callback(func(_ context.Context, o api.Int64Observer) error {
			o.Observe(read())
			return nil
		}))
	if err != nil {
		t.log.Error("counter not registered", "name", name, "error", err)
	}
}

type callLabels struct{ server, kind, name, revision, outcome string }

// Called counts a call.
func (t *Telemetry) Called(e core.CallEvent) {
	t.families.calls.add(callLabels{e.Server, e.Kind, e.Name, e.Revision, e.Outcome}, e.Duration)
}

func (t *Telemetry) tameCall(l callLabels) callLabels {
	l.revision = known(t.accepted, l.revision)
	return l
}

func (l callLabels) mark() uint32 {
	return marked(marked(marked(marked(0, l.server), l.name), l.revision), l.outcome)
}

func (l callLabels) values() []string {
	return []string{l.server, l.kind, l.name, l.revision, l.outcome}
}

func (l callLabels) rest() callLabels {
	l.server, l.name, l.revision = other, other, other
	return l
}

type requestLabels struct {
	server, method, route, rpc string
	status                     int
	streamed                   bool
}

// Requested counts a request and writes its log line.
func (t *Telemetry) Requested(e core.RequestEvent) {
	one := t.families.requests.add(requestLabels{e.Server, e.Method, e.Route, e.RPC, e.Status, e.Streamed}, e.Duration)
	one.bytes.Add(int64(e.Bytes))
	if e.Status >= t.leastLogged {
		t.logRequest(context.Background(), e, known(methods, e.RPC))
	}
}

func (l requestLabels) tame() requestLabels {
	l.method, l.rpc = known(verbs, l.method), known(methods, l.rpc)
	return l
}

func (l requestLabels) mark() uint32 {
	return marked(marked(marked(uint32(l.status), l.server), l.rpc), l.method)
}

func (l requestLabels) values() []string {
	return []string{l.route, l.rpc, strconv.FormatBool(l.streamed), l.server, l.method, strconv.Itoa(l.status)}
}

func (l requestLabels) rest() requestLabels {
	l.server, l.route = other, other
	return l
}

type upstreamLabels struct {
	connection, method, outcome string
	status, attempt             int
	reused                      bool
}

// Sent counts an exchange with an upstream.
func (t *Telemetry) Sent(e core.UpstreamEvent) {
	t.families.upstream.add(upstreamLabels{e.Connection, e.Method, e.Outcome, e.Status, min(e.Attempt, 5), e.Reused}, e.Duration)
}

func (l upstreamLabels) tame() upstreamLabels {
	l.method = known(verbs, l.method)
	return l
}

func (l upstreamLabels) mark() uint32 {
	return marked(marked(marked(uint32(l.status), l.connection), l.method), l.outcome)
}

func (l upstreamLabels) values() []string {
	return []string{l.connection, l.outcome, l.method, strconv.Itoa(l.status), strconv.Itoa(l.attempt), strconv.FormatBool(l.reused)}
}

func (l upstreamLabels) rest() upstreamLabels {
	l.connection = other
	return l
}

// Reloaded counts a reload. Who reloads logs it.
func (t *Telemetry) Reloaded(e core.ReloadEvent) {
	f := &t.families
	ctx := context.Background()
	f.reloads.Add(ctx, 1, api.WithAttributes(attribute.Bool("ok", e.OK)))
	f.reloadTime.Record(ctx, e.Duration.Seconds())
	f.mistakes.Record(ctx, int64(e.Mistakes))
	f.warnings.Record(ctx, int64(e.Warnings))
	var ok int64
	if e.OK {
		ok = 1
	}
	f.reloadState.Record(ctx, ok)
}
