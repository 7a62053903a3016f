package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

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

// seconds are the bounds of duration histograms: an MCP call takes from a
// fraction of a millisecond to minutes.
var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// families are the instruments, and the sets of labels that were met.
type families struct {
	meter api.Meter

	calls        api.Int64Counter
	callTime     api.Float64Histogram
	requests     api.Int64Counter
	requestTime  api.Float64Histogram
	sent         api.Int64Counter
	upstream     api.Int64Counter
	upstreamTime api.Float64Histogram
	reloads      api.Int64Counter
	reloadTime   api.Float64Histogram
	reloadState  api.Int64Gauge
	problems     api.Int64Gauge

	callSets, callTimes         series[callLabels]
	requestSets, requestTimes   series[requestLabels]
	upstreamSets, upstreamTimes series[upstreamLabels]
	reloadSets                  series[bool]
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
		exporter.WithNamespace("sallyport"),
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
		h, err := m.Float64Histogram(name, api.WithDescription(help), api.WithUnit("s"), api.WithExplicitBucketBoundaries(seconds...))
		first = firstOf(first, err)
		return h
	}
	gauge := func(name, help string) api.Int64Gauge {
		g, err := m.Int64Gauge(name, api.WithDescription(help))
		first = firstOf(first, err)
		return g
	}
	f.calls = counter("calls", "Calls of tools, prompts and resources, by outcome.")
	f.callTime = duration("call.duration", "Time of a call, from its arguments to its result.")
	f.requests = counter("http.requests", "HTTP requests at the edge, by status.")
	f.requestTime = duration("http.request.duration", "Time of an HTTP request; of a stream, until it ended.")
	f.sent = counter("http.response.bytes", "Bytes of response bodies.")
	f.upstream = counter("upstream.requests", "Exchanges with upstreams, by outcome; attempt says which try it was.")
	f.upstreamTime = duration("upstream.request.duration", "Time of an exchange with an upstream.")
	f.reloads = counter("reloads", "Attempts to apply changed documents.")
	f.reloadTime = duration("reload.duration", "Time of a reload.")
	f.reloadState = gauge("reload.last.ok", "1 when what was read last is what is served, else 0.")
	f.problems = gauge("reload.last.problems", "Problems in the documents that were read last.")
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
// snake case, without the prefix sallyport_.
func (t *Telemetry) Gauge(name, help string, read func() int64) {
	_, err := t.families.meter.Int64ObservableGauge(name, api.WithDescription(help),
		api.WithInt64Callback(func(_ context.Context, o api.Int64Observer) error {
			o.Observe(read())
			return nil
		}))
	if err != nil {
		t.log.Error("gauge not registered", "name", name, "error", err)
	}
}

type callLabels struct{ server, kind, name, revision, outcome string }

// Called counts a call.
func (t *Telemetry) Called(e core.CallEvent) {
	f := &t.families
	ctx := context.Background()
	full := callLabels{e.Server, e.Kind, e.Name, known(t.accepted, e.Revision), e.Outcome}
	f.calls.Add(ctx, 1, f.callSets.get(full, callLabels.full).add...)
	short := callLabels{server: e.Server, kind: e.Kind, name: e.Name}
	f.callTime.Record(ctx, e.Duration.Seconds(), f.callTimes.get(short, callLabels.short).record...)
}

func (l callLabels) full(rest bool) []attribute.KeyValue {
	if rest {
		l.revision = other
	}
	return append(l.short(rest), attribute.String("revision", l.revision), attribute.String("outcome", l.outcome))
}

func (l callLabels) short(rest bool) []attribute.KeyValue {
	if rest {
		l.name, l.server = other, other
	}
	return []attribute.KeyValue{
		attribute.String("server", l.server), attribute.String("kind", l.kind), attribute.String("name", l.name),
	}
}

type requestLabels struct {
	server, method, route, rpc string
	status                     int
	streamed                   bool
}

// Requested counts a request and writes its log line.
func (t *Telemetry) Requested(e core.RequestEvent) {
	f := &t.families
	ctx := context.Background()
	rpc := known(methods, e.RPC)
	full := requestLabels{e.Server, known(verbs, e.Method), e.Route, rpc, e.Status, e.Streamed}
	set := f.requestSets.get(full, requestLabels.full)
	f.requests.Add(ctx, 1, set.add...)
	short := requestLabels{route: e.Route, rpc: rpc, streamed: e.Streamed}
	set = f.requestTimes.get(short, requestLabels.short)
	f.requestTime.Record(ctx, e.Duration.Seconds(), set.record...)
	f.sent.Add(ctx, int64(e.Bytes), set.add...)
	if t.requests {
		t.logRequest(ctx, e, rpc)
	}
}

func (l requestLabels) full(rest bool) []attribute.KeyValue {
	if rest {
		l.server, l.route = other, other
	}
	return append(l.short(rest),
		attribute.String("server", l.server), attribute.String("method", l.method), attribute.Int("status", l.status))
}

func (l requestLabels) short(rest bool) []attribute.KeyValue {
	if rest {
		l.route = other
	}
	return []attribute.KeyValue{
		attribute.String("route", l.route), attribute.String("rpc", l.rpc), attribute.Bool("streamed", l.streamed),
	}
}

type upstreamLabels struct {
	connection, method, outcome string
	status, attempt             int
	reused                      bool
}

// Sent counts an exchange with an upstream.
func (t *Telemetry) Sent(e core.UpstreamEvent) {
	f := &t.families
	ctx := context.Background()
	method := known(verbs, e.Method)
	full := upstreamLabels{e.Connection, method, e.Outcome, e.Status, min(e.Attempt, 5), e.Reused}
	f.upstream.Add(ctx, 1, f.upstreamSets.get(full, upstreamLabels.full).add...)
	short := upstreamLabels{connection: e.Connection, outcome: e.Outcome}
	f.upstreamTime.Record(ctx, e.Duration.Seconds(), f.upstreamTimes.get(short, upstreamLabels.short).record...)
}

func (l upstreamLabels) full(rest bool) []attribute.KeyValue {
	return append(l.short(rest),
		attribute.String("method", l.method), attribute.Int("status", l.status),
		attribute.Int("attempt", l.attempt), attribute.Bool("reused", l.reused))
}

func (l upstreamLabels) short(rest bool) []attribute.KeyValue {
	if rest {
		l.connection = other
	}
	return []attribute.KeyValue{attribute.String("connection", l.connection), attribute.String("outcome", l.outcome)}
}

// Reloaded counts a reload and logs it.
func (t *Telemetry) Reloaded(e core.ReloadEvent) {
	f := &t.families
	ctx := context.Background()
	f.reloads.Add(ctx, 1, f.reloadSets.get(e.OK, func(ok, _ bool) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.Bool("ok", ok)}
	}).add...)
	f.reloadTime.Record(ctx, e.Duration.Seconds())
	f.problems.Record(ctx, int64(e.Problems))
	var ok int64
	if e.OK {
		ok = 1
		t.log.Info("documents applied", "revision", e.Revision, "duration", e.Duration, "problems", e.Problems)
	} else {
		t.log.Error("documents refused; what was served before is still served", "revision", e.Revision, "duration", e.Duration, "problems", e.Problems)
	}
	f.reloadState.Record(ctx, ok)
}
