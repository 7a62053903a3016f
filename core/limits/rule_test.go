package limits

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func TestCheckLimit(t *testing.T) {
	good := core.Limit{Tenant: "acme", ID: "x", Per: "identity", Rate: 1}
	tests := []struct {
		name   string
		change func(*core.Limit)
		want   string // paths
	}{
		{"good", func(*core.Limit) {}, ""},
		{"all", func(l *core.Limit) { l.Burst, l.AtOnce, l.PerDay, l.Bytes, l.Subjects = 5, 2, 3, 4, "a*" }, ""},
		{"per", func(l *core.Limit) { l.Per = "user" }, "/per"},
		{"nothing", func(l *core.Limit) { l.Rate = 0 }, ""},
		{"negative rate", func(l *core.Limit) { l.Rate = -1 }, "/rate"},
		{"no rate", func(l *core.Limit) { l.Rate = nan() }, "/rate"},
		{"slow", func(l *core.Limit) { l.Rate = minRate / 2 }, "/rate"},
		{"fast", func(l *core.Limit) { l.Rate = maxRate * 2 }, "/rate"},
		{"burst", func(l *core.Limit) { l.Burst = -1 }, "/burst"},
		{"burst alone", func(l *core.Limit) { l.Rate, l.Burst, l.PerDay = 0, 5, 1 }, "/burst"},
		{"at once", func(l *core.Limit) { l.AtOnce = -1 }, "/atOnce"},
		{"per day", func(l *core.Limit) { l.PerDay = -1 }, "/perDay"},
		{"bytes", func(l *core.Limit) { l.Bytes = -1 }, "/bytes"},
		{"globs", func(l *core.Limit) { l.Subjects, l.Objects = "a\x00", strings.Repeat("a", maxGlob+1) }, "/subjects /objects"},
		{"note", func(l *core.Limit) { l.Note = strings.Repeat("a", maxNote+1) }, "/note"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limit := good
			tt.change(&limit)
			var paths []string
			for _, p := range CheckLimit(&limit) {
				paths = append(paths, p.Path)
				if p.Message == "" || p.Fix == "" {
					t.Errorf("%+v", p)
				}
			}
			if got := strings.Join(paths, " "); got != tt.want {
				t.Errorf("CheckLimit finds %q, want %q", got, tt.want)
			}
		})
	}
	if got := CheckLimit(&core.Limit{Per: "identity"}); len(got) != 1 || got[0].Message != "the limit bounds nothing" {
		t.Errorf("an empty limit: %+v", got)
	}
	// What is wrong is left out and told; the others hold.
	var log strings.Builder
	l := New(Options{Now: newClock().now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	use(l, core.Limit{Per: "user", PerDay: 1, ID: "wrong"}, core.Limit{PerDay: 2})
	if !exactly(2, l, ann, echo) {
		t.Error("a wrong limit holds, or a good one does not")
	}
	if !strings.Contains(log.String(), "limit=wrong") || !strings.Contains(log.String(), "path=/per") {
		t.Errorf("the log says %q", log.String())
	}
}

func nan() float64 { zero := 0.0; return zero / zero }
