package hostcall

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// LogMessage is the message of every line that a guest logs, LogText the name of the
// attribute that holds what it said.
const (
	LogMessage = "plugin says"
	LogText    = "text"
)

// Limits of `log`.
const (
	maxLines = 100     // of one call
	maxLine  = 4 << 10 // bytes; the rest of a line is dropped
	minMask  = 6       // characters: a shorter secret would take words apart
)

// Log writes one line of the guest, as one line, whatever is in it.
func (h *Host) Log(ctx context.Context, s *sandbox.Scope, level int, text []byte) {
	s.Count.LogLines++
	s.Count.LogBytes += len(text)
	if s.Count.LogLines > maxLines {
		if s.Count.LogLines == maxLines+1 {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "plugin says too much: the rest of this call is dropped", slog.Int("lines", maxLines), slog.String("call", s.CallID.String()))
		}
		return
	}
	at := levelOf(level)
	if !s.Log.Enabled(ctx, at) {
		return
	}
	attrs := [...]slog.Attr{slog.String(LogText, h.line(text)), slog.String("export", s.Export), slog.String("call", s.CallID.String())}
	s.Log.LogAttrs(ctx, at, LogMessage, attrs[:]...)
}

func levelOf(level int) slog.Level {
	switch {
	case level <= abi.LogDebug:
		return slog.LevelDebug
	case level == abi.LogInfo:
		return slog.LevelInfo
	case level == abi.LogWarn:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// line makes one bounded line of text, without secrets of this plugin.
func (h *Host) line(text []byte) string {
	if h.mask == nil {
		return clip(plain(string(text[:min(len(text), 2*maxLine)])), maxLine)
	}
	return clip(plain(h.mask.hide(text)), maxLine)
}

// plain returns s with every character replaced that could end the line, or make it
// look like another one.
func plain(s string) string {
	clean := true
	for _, c := range []byte(s) {
		if c < ' ' || c >= 0x7F {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t':
			return ' '
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', unicode.Is(unicode.Bidi_Control, r):
			return utf8.RuneError
		}
		return r // invalid bytes come as RuneError
	}, s)
}

// clip cuts s to limit bytes, at a character.
func clip(s string, limit int) string {
	const more = "…"
	if len(s) <= limit {
		return s
	}
	end := limit - len(more)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}

// mask takes the plugin's secrets out of a text.
type mask struct {
	values  *strings.Replacer
	all     []string // the longest first
	longest int      // bytes of a secret
}

// hide returns the beginning of text, more than a line, without secrets.
func (m *mask) hide(text []byte) string {
	window := 2 * (maxLine + m.longest)
	if len(text) <= window {
		return m.values.Replace(string(text))
	}
	// A secret that the end of the window takes apart is not found: its part goes too.
	said := m.values.Replace(string(text[:window]))
	return said[:max(0, len(said)-m.longest)]
}

// Hide takes the plugin's secrets out of a text that its guest may have written, such as
// why it refuses its configuration. The start of one at the end of the text, which was cut
// there, goes too.
func (h *Host) Hide(text string) string {
	if h.mask == nil {
		return text
	}
	text = h.mask.values.Replace(text)
	for _, value := range h.mask.all {
		for n := min(len(value), len(text)); n >= minMask; n-- {
			if strings.HasSuffix(text, value[:n]) {
				return text[:len(text)-n] + core.Secret(value).String()
			}
		}
	}
	return text
}

// Logger returns a logger that writes to log, and hides the plugin's secrets in texts and
// errors: what others say of a guest repeats what the guest said.
func (h *Host) Logger(log *slog.Logger) *slog.Logger {
	if h.mask == nil {
		return log
	}
	return slog.New(hiding{log.Handler(), h})
}

type hiding struct {
	slog.Handler
	host *Host
}

// Handle writes a record without secrets.
func (l hiding) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(l.hide(a))
		return true
	})
	return l.Handler.Handle(ctx, clean)
}

// WithAttrs is like that of every handler.
func (l hiding) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for n, a := range attrs {
		clean[n] = l.hide(a)
	}
	return hiding{l.Handler.WithAttrs(clean), l.host}
}

// WithGroup is like that of every handler.
func (l hiding) WithGroup(name string) slog.Handler {
	return hiding{l.Handler.WithGroup(name), l.host}
}

func (l hiding) hide(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(l.host.Hide(v.String()))
	case slog.KindGroup:
		group := make([]slog.Attr, 0, len(v.Group()))
		for _, one := range v.Group() {
			group = append(group, l.hide(one))
		}
		a.Value = slog.GroupValue(group...)
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			a.Value = slog.StringValue(l.host.Hide(err.Error()))
		}
	}
	return a
}

// maskOf returns nil when there is nothing to hide.
func maskOf(o *Options) *mask {
	var values []string
	for _, name := range o.Granted.SecretNames() {
		if value := o.Secrets[name].Reveal(); utf8.RuneCountInString(value) >= minMask {
			values = append(values, value)
			for _, spelled := range []string{plain(value), oneLine(value), inJSON(value)} {
				if utf8.RuneCountInString(spelled) >= minMask && !slices.Contains(values, spelled) {
					values = append(values, spelled)
				}
			}
		}
	}
	if len(values) == 0 {
		return nil
	}
	// Where one secret begins with another, the longer one has to be found.
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(values))
	for _, value := range values {
		pairs = append(pairs, value, core.Secret(value).String())
	}
	return &mask{values: strings.NewReplacer(pairs...), all: values, longest: len(values[0])}
}

// oneLine is a secret as the sandbox writes what guests say: on one line.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}

// inJSON is a secret as it stands in a JSON text.
func inJSON(s string) string {
	quoted := wire.AppendString(nil, s)
	return string(quoted[1 : len(quoted)-1])
}
