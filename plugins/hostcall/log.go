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
			s.Log.LogAttrs(ctx, slog.LevelWarn, "plugin says too much: the rest of this call is dropped", slog.Int("lines", maxLines), slog.String("call", s.CallID))
		}
		return
	}
	at := levelOf(level)
	if !s.Log.Enabled(ctx, at) {
		return
	}
	attrs := [...]slog.Attr{slog.String(LogText, h.line(text)), slog.String("export", s.Export), slog.String("call", s.CallID)}
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
	longest int // bytes of a secret
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

// maskOf returns nil when there is nothing to hide.
func maskOf(o *Options) *mask {
	var values []string
	for _, name := range o.Granted.SecretNames() {
		if value := o.Secrets[name].Reveal(); utf8.RuneCountInString(value) >= minMask {
			values = append(values, value)
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
	return &mask{values: strings.NewReplacer(pairs...), longest: len(values[0])}
}
