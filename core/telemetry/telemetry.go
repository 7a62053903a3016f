// Package telemetry tells people what the gateway does: logs (slog), metrics
// (OpenTelemetry, read in the Prometheus text format) and, where an endpoint is
// named, traces (OTLP over HTTP). It is the only room that imports OpenTelemetry.
//
//	web, gateway, egress, app ─ core.Observer ─► metrics ─► Metrics() (web serves it)
//	                                         └► request log ─► slog ─► stderr
//	kinds ─ Invokers, Transformers ─► spans ─► OTLP
//
// No argument value, header or token ever comes here: events hold names, sizes
// and times. Names that clients choose freely never become labels.
//
//	t, err := telemetry.New(ctx, telemetry.Options{Format: "json", Level: "info", Version: version})
//	defer t.Shutdown(ctx)
//	log := t.Logger()
//	kinds = t.Invokers(kinds)
//	gateway := gateway.New(gateway.Options{Observer: t, Log: log})
//	body, contentType, err := t.Metrics()
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport/sallyport/core"
)

// Options configures New; the zero value logs text at level info to stderr and
// sends no traces.
type Options struct {
	Output   io.Writer // stderr
	Format   string    // text (default) or json
	Level    string    // debug, info (default), warn, error
	Requests string    // which HTTP requests get a log line: all, failed (status ≥ 400), none (default)

	Version   string   // of the program, for build_info and traces
	Source    string   // revision of the source, may be empty
	Revisions []string // MCP revisions that may be labels; nil = those of November 2026

	// Endpoint is the base URL of an OTLP/HTTP collector, the value of
	// OTEL_EXPORTER_OTLP_ENDPOINT; "" = no traces. The other OTEL_EXPORTER_OTLP_* and
	// OTEL_TRACES_SAMPLER* variables are read from the environment as OpenTelemetry
	// says.
	Endpoint string

	exporter sdktrace.SpanExporter // tests put their own here
}

// Telemetry is a core.Observer and what else people look at. Safe for concurrent
// use.
type Telemetry struct {
	log         *slog.Logger
	level       *slog.LevelVar
	output      *output
	leastLogged int               // status from which a request gets a log line
	accepted    map[string]string // Options.Revisions

	registry *prometheus.Registry
	meters   *metric.MeterProvider
	families families

	tracer trace.Tracer // nil = no traces
	traces *sdktrace.TracerProvider

	shutdown sync.Once
}

// New sets everything up. Call Shutdown at the end: the log is buffered.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Output == nil {
		o.Output = os.Stderr
	}
	if o.Revisions == nil {
		o.Revisions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}
	}
	t := &Telemetry{leastLogged: leastLogged(o.Requests), accepted: names(o.Revisions...)}
	if err := t.startLog(o); err != nil {
		return nil, err
	}
	if err := t.startMetrics(o); err != nil {
		t.output.stop()
		return nil, fmt.Errorf("set up metrics: %w", err)
	}
	if err := t.startTraces(ctx, o); err != nil {
		t.output.stop()
		return nil, fmt.Errorf("set up traces: %w", err)
	}
	return t, nil
}

// leastLogged is the status from which requests get a line.
func leastLogged(requests string) int {
	switch requests {
	case "all":
		return 0
	case "failed":
		return 400
	default:
		return math.MaxInt
	}
}

// Logger returns the logger that everyone is handed.
func (t *Telemetry) Logger() *slog.Logger { return t.log }

// SetLevel changes the level of the log: debug, info, warn or error.
func (t *Telemetry) SetLevel(level string) error {
	parsed, err := parseLevel(level)
	if err != nil {
		return err
	}
	t.level.Set(parsed)
	return nil
}

// Flush writes the log lines that wait.
func (t *Telemetry) Flush() { t.output.flush() }

// Shutdown sends the spans that wait, as far as ctx allows, and writes the last
// log lines. The logger goes on working afterwards, unbuffered. Idempotent.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var err error
	t.shutdown.Do(func() {
		if t.traces != nil {
			err = t.traces.Shutdown(ctx)
		}
		err = errors.Join(err, t.meters.Shutdown(ctx))
		t.output.stop()
	})
	if err != nil {
		return fmt.Errorf("shut telemetry down: %w", err)
	}
	return nil
}

// complain sends what OpenTelemetry has to say to our log.
func (t *Telemetry) complain() {
	log := t.log
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("telemetry is not delivered", "error", err)
	}))
}

var _ core.Observer = (*Telemetry)(nil)
