package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	flushEvery = 200 * time.Millisecond
	flushSize  = 32 << 10
	maxText    = 4 << 10 // bytes of one text in a log line
)

func (t *Telemetry) startLog(o Options) error {
	level, err := parseLevel(o.Level)
	if err != nil {
		return err
	}
	t.level = new(slog.LevelVar)
	t.level.Set(level)
	t.output = &output{to: o.Output}
	options := &slog.HandlerOptions{Level: t.level, ReplaceAttr: redact}
	var handler slog.Handler
	switch o.Format {
	case "", "text":
		handler = slog.NewTextHandler(t.output, options)
	case "json":
		handler = slog.NewJSONHandler(t.output, options)
	default:
		return fmt.Errorf("log format %q is unknown; use text or json", o.Format)
	}
	t.log = slog.New(urgent{handler, t.output})
	return nil
}

func parseLevel(text string) (slog.Level, error) {
	switch text {
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q is unknown; use debug, info, warn or error", text)
}

// secretKeys are words in the key of an attribute whose value is not written,
// whoever logs it. core.Secret hides itself; this is the second lock.
var secretKeys = []string{"password", "secret", "token", "authorization", "cookie", "apikey", "api_key", "credential", "session_id", "arguments"}

// redact hides secrets and cuts long texts. A duration gets its unit into the key,
// and is milliseconds: {"duration":1301810} would leave everybody to guess.
func redact(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() { //nolint:exhaustive // numbers, times and the like hold no secrets
	case slog.KindDuration:
		return slog.Float64(a.Key+"_ms", milliseconds(a.Value.Duration()))
	case slog.KindString:
		if sensitive(a.Key) {
			return slog.String(a.Key, "***")
		}
		if text := a.Value.String(); len(text) > maxText {
			return slog.String(a.Key, cut(text))
		}
	case slog.KindAny:
		if sensitive(a.Key) {
			return slog.String(a.Key, "***")
		}
		if err, ok := a.Value.Any().(error); ok {
			if text := err.Error(); len(text) > maxText {
				return slog.String(a.Key, cut(text))
			}
		}
	}
	return a
}

// milliseconds are precise to a microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func sensitive(key string) bool {
	for _, word := range secretKeys {
		if len(key) >= len(word) && strings.Contains(strings.ToLower(key), word) {
			return true
		}
	}
	return false
}

func cut(text string) string {
	text = text[:maxText]
	for len(text) > 0 && !utf8.ValidString(text[max(0, len(text)-utf8.UTFMax):]) {
		text = text[:len(text)-1]
	}
	return text + "…"
}

// urgent writes at once what somebody may be waiting for: warnings and errors.
type urgent struct {
	slog.Handler
	output *output
}

func (u urgent) Handle(ctx context.Context, record slog.Record) error {
	err := u.Handler.Handle(ctx, record)
	if record.Level >= slog.LevelWarn {
		u.output.flush()
	}
	return err //nolint:wrapcheck // slog does not look at it
}

func (u urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{u.Handler.WithAttrs(attrs), u.output}
}

func (u urgent) WithGroup(name string) slog.Handler {
	return urgent{u.Handler.WithGroup(name), u.output}
}

// output gathers log lines, so that a request does not wait for a write of its
// own. A line is late by flushEvery at most.
type output struct {
	to io.Writer

	mu      sync.Mutex
	waiting []byte
	timer   *time.Timer
	stopped bool
}

// Write takes one line. It never fails: nobody could be told.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, line...)
	switch {
	case o.stopped || len(o.waiting) >= flushSize:
		o.write()
	case o.timer == nil:
		o.timer = time.AfterFunc(flushEvery, o.flush)
	case len(o.waiting) == len(line): // the first since the last flush
		o.timer.Reset(flushEvery)
	}
	return len(line), nil
}

func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write()
}

func (o *output) write() {
	if len(o.waiting) > 0 {
		_, _ = o.to.Write(o.waiting)
		o.waiting = o.waiting[:0]
	}
}

func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write()
	o.stopped = true
	if o.timer != nil {
		o.timer.Stop()
	}
}
