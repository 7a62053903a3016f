package telemetry

import (
	"context"
	"log/slog"

	"github.com/sallyport/sallyport/core"
)

// logRequest writes one line. What is written is this list and nothing else.
func (t *Telemetry) logRequest(ctx context.Context, e core.RequestEvent, rpc string) {
	level := slog.LevelInfo
	switch {
	case e.Status >= 500:
		level = slog.LevelWarn
	case e.Route == "healthz" || e.Route == "readyz" || e.Route == "metrics":
		level = slog.LevelDebug // probes would drown the rest
	}
	if !t.log.Enabled(ctx, level) {
		return
	}
	var space [10]slog.Attr
	attrs := append(space[:0],
		slog.String("id", e.ID),
		slog.String("method", known(verbs, e.Method)),
		slog.String("route", e.Route),
		slog.Int("status", e.Status),
		slog.Float64("duration_ms", milliseconds(e.Duration)),
		slog.Int("bytes", e.Bytes),
	)
	if e.Server != "" {
		attrs = append(attrs, slog.String("server", e.Server))
	}
	if rpc != "" {
		attrs = append(attrs, slog.String("rpc", rpc))
	}
	if e.Revision != "" {
		attrs = append(attrs, slog.String("revision", known(t.accepted, e.Revision)))
	}
	if e.Streamed {
		attrs = append(attrs, slog.Bool("streamed", true))
	}
	t.log.LogAttrs(ctx, level, "request", attrs...)
}
