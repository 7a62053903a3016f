package hostcall

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

func TestLog(t *testing.T) {
	h := newHost(t, Options{
		Granted: manifest.Capabilities{
			Secrets: []string{"key", "short", "long"},
			HTTP:    []manifest.HTTP{{Host: "a.example", Inject: &manifest.Inject{Header: "X-K", Secret: "injected"}}},
		},
		Secrets: map[string]core.Secret{"key": "s3cr3t", "long": "s3cr3t-and-more", "short": "abc", "injected": "hidden-key"},
		Dial:    &dial{},
	})
	tests := []struct{ in, want string }{
		{"plain text", "plain text"},
		{"Ω 𝄞 👩‍🚀", "Ω 𝄞 👩‍🚀"},
		{"", ""},
		{"a\nINFO forged=1\r\nb\tc", "a INFO forged=1  b c"},
		{"a\x00\x1b[2Jb\x7f", "a\uFFFD\uFFFD[2Jb\uFFFD"},
		{"a\xff\xfeb", "a\uFFFD\uFFFDb"},
		{"a\u2028b\u202Ec\u0085d", "a\uFFFDb\uFFFDc\uFFFDd"},
		{"key s3cr3t, s3cr3t-and-more and hidden-key, abc", "key ***, *** and ***, abc"},
		{strings.Repeat("x", maxLine), strings.Repeat("x", maxLine)},
		{strings.Repeat("x", maxLine+1), strings.Repeat("x", maxLine-3) + "…"},
		{strings.Repeat("é", maxLine), strings.Repeat("é", (maxLine-3)/2) + "…"},
	}
	for _, tt := range tests {
		d := &diary{}
		s := scope(nil, slog.New(d))
		s.CallID = sandbox.CallID{Prefix: "c-1"}
		h.Log(t.Context(), s, abi.LogWarn, []byte(tt.in))
		want := "WARN " + LogMessage + " " + slog.String(LogText, tt.want).String() + " export=sallyport_tool_call call=c-1"
		if got := d.text(); got != want || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%.60q:\n got %.120q\nwant %.120q", tt.in, got, want)
		}
	}
	// Secrets packed so that the cut falls into one of them.
	for pad := range 20 {
		d := &diary{}
		h.Log(t.Context(), scope(nil, slog.New(d)), abi.LogInfo, []byte(strings.Repeat("x", pad)+strings.Repeat("hidden-key ", 10_000)))
		if text := d.text(); strings.Contains(text, "hidde") || !strings.Contains(text, "*** ***") {
			t.Errorf("%d: the end of the line is %q", pad, text[len(text)-80:])
		}
	}
}

func TestLogLevels(t *testing.T) {
	want := map[int]string{-1: "DEBUG", abi.LogDebug: "DEBUG", abi.LogInfo: "INFO", abi.LogWarn: "WARN", abi.LogError: "ERROR", 99: "ERROR"}
	for level, name := range want {
		d := &diary{}
		newHost(t, Options{}).Log(t.Context(), scope(nil, slog.New(d)), level, []byte("x"))
		if !strings.HasPrefix(d.text(), name+" ") {
			t.Errorf("%d: %s", level, d.text())
		}
	}
}

func TestLogQuota(t *testing.T) {
	d := &diary{}
	s := scope(nil, slog.New(d))
	h := newHost(t, Options{})
	for range 500 {
		h.Log(t.Context(), s, abi.LogInfo, []byte("again"))
	}
	if len(d.lines) != maxLines+1 || !strings.Contains(d.lines[maxLines], "dropped") || !strings.Contains(d.lines[maxLines-1], "again") {
		t.Errorf("%d lines, the last is %q", len(d.lines), d.lines[len(d.lines)-1])
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("a\nb\x00\xff secret-value"))
	h := newHost(f, Options{Granted: manifest.Capabilities{Secrets: []string{"s"}}, Secrets: map[string]core.Secret{"s": "secret-value"}})
	f.Fuzz(func(t *testing.T, b []byte) {
		line := h.line(b)
		if len(line) > maxLine || !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n\x00\x1b\u2028") || strings.Contains(line, "secret-value") {
			t.Errorf("%q became %q", b, line)
		}
	})
}

// gauges remembers the metrics of plugins.
type gauges struct {
	core.NoObserver
	got map[string]float64
}

func (g *gauges) PluginMetric(plugin, name string, kind core.MetricKind, value float64) {
	g.got[plugin+" "+name+" "+string(rune('0'+kind))] += value
}

func TestMetric(t *testing.T) {
	g := &gauges{got: map[string]float64{}}
	h := newHost(t, Options{Observer: g})
	s := scope(nil, nil)
	send := func(name string, kind int, value float64) { h.Metric(t.Context(), s, []byte(name), kind, value) }
	send("calls", abi.MetricCounter, 1)
	send("calls", abi.MetricCounter, 2)
	send("_Size9", abi.MetricGauge, -5)
	send("seconds", abi.MetricHistogram, 0.5)
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		send("calls", abi.MetricCounter, bad)
		send("_Size9", abi.MetricGauge, bad)
	}
	send("calls", abi.MetricCounter, -1)
	send("calls", abi.MetricGauge, 7) // another kind than before
	send("calls", 3, 7)
	for _, name := range []string{"", "9a", "a-b", "a b", "a\n", "é", "a.b", strings.Repeat("a", maxMetricName+1)} {
		send(name, abi.MetricCounter, 1)
	}
	want := map[string]float64{"test calls 0": 3, "test _Size9 1": -5, "test seconds 2": 0.5}
	if len(g.got) != len(want) {
		t.Errorf("%v", g.got)
	}
	for name, value := range want {
		if g.got[name] != value {
			t.Errorf("%s = %v", name, g.got[name])
		}
	}
	for n := range 40 {
		send(strings.Repeat("x", n+1), abi.MetricCounter, 1)
	}
	if len(g.got) != maxMetrics {
		t.Errorf("%d names", len(g.got))
	}
	send("calls", abi.MetricCounter, 1)
	if g.got["test calls 0"] != 4 {
		t.Error("a name that was there is ignored")
	}
	name := []byte("calls")
	quiet := newHost(t, Options{})
	if got := testing.AllocsPerRun(100, func() { quiet.Metric(context.Background(), s, name, abi.MetricCounter, 1) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestProgress(t *testing.T) {
	granted := Options{Granted: manifest.Capabilities{Progress: true}}
	frame := func(message string, pairs ...string) []byte {
		var meta []abi.Pair
		for n := 0; n < len(pairs); n += 2 {
			meta = append(meta, abi.Pair{Key: pairs[n], Value: pairs[n+1]})
		}
		return abi.AppendIn(nil, meta, []byte(message))
	}
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"progress", frame("", "progress", "1"), `{"progress":1}`},
		{"all of it", frame("half \"way\"\n", "progress", "0.5", "total", "1e0"), `{"progress":0.5,"total":1e0,"message":"half \"way\"\n"}`},
		{"not UTF-8", frame("a\xff", "progress", "1"), `{"progress":1,"message":"a` + "\uFFFD" + `"}`},
		{"long message", frame(strings.Repeat("m", 5000), "progress", "1"), `{"progress":1,"message":"` + strings.Repeat("m", maxMessage-3) + `…"}`},
		{"broken total", frame("", "progress", "1", "total", "many"), `{"progress":1}`},
		{"injection by a number", frame("", "progress", `1,"progressToken":2`), ""},
		{"no progress", frame("text"), ""},
		{"a word", frame("", "progress", "half"), ""},
		{"not a number", frame("", "progress", "NaN"), ""},
		{"endless", frame("", "progress", "1e999"), ""},
		{"hexadecimal", frame("", "progress", "0x10"), ""},
		{"blanks", frame("", "progress", " 1"), ""},
		{"no frame", []byte("x"), ""},
		{"large frame", frame(strings.Repeat("m", maxFrame), "progress", "1"), ""},
	}
	for _, tt := range tests {
		got := ""
		call := &core.Call{Progress: true, Notify: func(n core.Notification) { got += n.Method + " " + string(n.Params) }}
		newHost(t, granted).Progress(t.Context(), scope(call, nil), tt.frame)
		want := ""
		if tt.want != "" {
			want = "notifications/progress " + tt.want
		}
		if got != want {
			t.Errorf("%s: %s, want %s", tt.name, got, want)
		}
	}
	count := 0
	call := &core.Call{Progress: true, Notify: func(core.Notification) { count++ }}
	s := scope(call, nil)
	h := newHost(t, granted)
	for range maxProgress + 10 {
		h.Progress(t.Context(), s, frame("", "progress", "1"))
	}
	if count != maxProgress {
		t.Errorf("%d messages", count)
	}
	count = 0
	newHost(t, Options{}).Progress(t.Context(), scope(call, nil), frame("", "progress", "1"))
	call.Progress = false
	h.Progress(t.Context(), scope(call, nil), frame("", "progress", "1"))
	h.Progress(t.Context(), scope(nil, nil), frame("", "progress", "1"))
	if count != 0 {
		t.Errorf("%d messages that nobody wanted", count)
	}
}

// What others log of a guest, and say of it in problems, repeats what it said: the
// secrets are taken out there too, however they are spelled.
func TestLoggerHides(t *testing.T) {
	const key = "-----BEGIN KEY-----\nabc\"def\n-----END KEY-----\n"
	h := newHost(t, Options{Granted: manifest.Capabilities{Secrets: []string{"key", "token"}}, Secrets: map[string]core.Secret{"key": key, "token": "hidden-token"}})
	d := &diary{}
	log := h.Logger(slog.New(d)).With("who", "with hidden-token").WithGroup("g")
	log.Error("it failed", "said", "key "+strings.ReplaceAll(key, "\n", " "), "error", &core.Error{Message: "no hidden-token here"},
		slog.Group("more", "json", `{"k":"-----BEGIN KEY-----\nabc\"def\n-----END KEY-----\n"}`), "n", 7)
	text := d.text()
	for _, part := range []string{"abc", "hidden-token", "BEGIN"} {
		if strings.Contains(text, part) {
			t.Errorf("%q is in %q", part, text)
		}
	}
	if !strings.Contains(text, "no *** here") || !strings.Contains(text, "7") {
		t.Errorf("too much is hidden in %q", text)
	}
	for text, want := range map[string]string{
		"nothing here":                 "nothing here",
		"use hidden-token, please":     "use ***, please",
		"cut off: hidden-to":           "cut off: ***",
		"cut off: hidde":               "cut off: hidde", // too little of it to know
		"cut off: -----BEGIN KEY----":  "cut off: ***",
		"hidden-tokenhidden-tokenhidd": "******hidd",
	} {
		if got := h.Hide(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	open := newHost(t, Options{})
	if plain := slog.New(d); open.Logger(plain) != plain || open.Hide("hidden-token") != "hidden-token" {
		t.Error("a plugin without secrets has something to hide")
	}
}
