package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what a run found; parts that were not measured are nil.
type report struct {
	plan         *plan
	started      time.Time
	commit, load string

	closed, open, legacy *rounds
	reuse                *reuse
	list                 *sample
	leave                *leaveResult
	starts               []time.Duration
	startRSS             []int64
	streams              []streamResult
	reload               *reloadResult
	plugins              *pluginResult
	guard                *guardResult
	proxy                *proxyResult

	bars []bar
}

// bar is a promise with what was measured. Higher is better unless atMost.
type bar struct {
	what     string
	unit     string
	want     float64
	measured float64
	atMost   bool
}

func (b bar) met() bool {
	if b.atMost {
		return b.measured <= b.want
	}
	return b.measured >= b.want
}

// verdict says "met", or by how much the bar was missed.
func (b bar) verdict() string {
	switch {
	case b.met():
		return "met"
	case b.want == 0:
		return fmt.Sprintf("missed by %s", number(b.measured))
	}
	return fmt.Sprintf("missed by %.0f %%", 100*max(b.measured-b.want, b.want-b.measured)/b.want)
}

func (b bar) wanted() string {
	if b.atMost {
		return "≤ " + number(b.want) + b.unit
	}
	return "≥ " + number(b.want) + b.unit
}

func number(f float64) string {
	switch {
	case f == float64(int64(f)) || f >= 1000:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func mebi(n int64) float64           { return float64(n) / (1 << 20) }

// judge works out the bars.
func (r *report) judge() {
	add := func(what, unit string, measured, want float64, atMost bool) {
		r.bars = append(r.bars, bar{what, unit, want, measured, atMost})
	}
	if r.closed != nil {
		for _, n := range r.closed.clients {
			at := fmt.Sprintf(", %d client", n)
			if n > 1 {
				at += "s"
			}
			add("calls/s to the do-nothing Fiber proxy"+at, "×", r.closed.ratio(n, "sallyport", "fiber", ofRate), 0.6, false)
			add("calls/s to httputil.ReverseProxy"+at, "×", r.closed.ratio(n, "sallyport", "reverse", ofRate), 2, false)
			add("CPU per call to the do-nothing Fiber proxy"+at, "×", r.closed.ratio(n, "sallyport", "fiber", ofCPU), 2, true)
			add("p99 to httputil.ReverseProxy"+at, "×", r.closed.ratio(n, "sallyport", "reverse", ofP99), 1.5, true)
		}
	}
	if r.open != nil {
		add(fmt.Sprintf("p99 to httputil.ReverseProxy, open loop of %.0f/s", r.plan.openRate), "×", r.open.ratio(16, "sallyport", "reverse", ofP99), 1.5, true)
	}
	if r.reuse != nil {
		add("upstream requests too many or too few, one a call", "", math.Abs(float64(r.reuse.Requests-r.reuse.Sent)), 0, true)
		add(fmt.Sprintf("upstream connections for at most %d calls at once", r.reuse.Most), "", float64(r.reuse.Connections), float64(r.reuse.Most), true)
	}
	if r.list != nil {
		add(fmt.Sprintf("CPU of tools/list with %d tools", catalogueTools), " ms", millis(r.list.cpu), 0.2, true)
	}
	if len(r.starts) > 0 {
		add("from exec to listening", " ms", millis(r.starts[len(r.starts)/2]), 1000, true)
	}
	for _, s := range r.streams {
		at := fmt.Sprintf(" of %d idle streams (%s)", s.Count, s.Kind)
		add("memory above base"+at, " MiB", mebi(s.Held-s.Base), 64*float64(s.Count)/10_000, true)
		add("goroutines"+at, "", float64(s.Goroutines), 200, true)
		add("closing noticed"+at, " s", s.Closed.Seconds(), 5, true)
	}
	if r.leave != nil {
		add("client leaves → upstream cancelled, p99", " ms", millis(r.leave.P99), 100, true)
		add("clients whose leaving the upstream never saw", "", float64(r.leave.Unseen), 0, true)
	}
	if r.reload != nil {
		minutes := r.plan.reloadTime.Minutes()
		add("reloads applied a minute under load", "", float64(r.reload.Applied)/minutes, 950, false)
		add("failed requests during reloads", "", float64(r.reload.Failed), 0, true)
		add("lists that mix two revisions", "", float64(r.reload.Mixed), 0, true)
		add("memory after the reloads above before", " MiB", mebi(r.reload.RSSAfter-r.reload.RSSBefore), 64, true)
		add("goroutines after the reloads above before", "", float64(r.reload.Goroutines-r.reload.GoroutineB), 10, true)
	}
	if r.plugins != nil {
		r.plugins.judge(add)
	}
	if r.guard != nil {
		r.guard.judge(add)
	}
	if r.proxy != nil {
		r.proxy.judge(add)
	}
}

func (r *report) missed() int {
	n := 0
	for _, b := range r.bars {
		if !b.met() {
			n++
		}
	}
	return n
}

// table is rows of cells under a head.
type table struct {
	title string
	about string // a paragraph before it; may be ""
	head  []string
	rows  [][]string
}

// tables lays out what was measured.
func (r *report) tables() []table {
	var all []table
	bars := table{title: "Bars", head: []string{"bar", "wanted", "measured", "verdict"}}
	for _, b := range r.bars {
		bars.rows = append(bars.rows, []string{b.what, b.wanted(), number(b.measured) + b.unit, b.verdict()})
	}
	all = append(all, bars)
	if r.closed != nil {
		all = append(all, r.closed.table("Closed loop: each client sends when its last call is answered"))
	}
	if r.open != nil {
		all = append(all, r.open.table(fmt.Sprintf("Open loop: %.0f requests a second on a schedule, latency from when each was due", r.plan.openRate)))
	}
	if r.legacy != nil {
		all = append(all, r.legacy.table("Closed loop, revision 2025-11-25 with a session"))
	}
	if r.plugins != nil {
		all = append(all, r.plugins.tables()...)
	}
	if r.guard != nil {
		all = append(all, r.guard.tables()...)
	}
	if r.proxy != nil {
		all = append(all, r.proxy.tables()...)
	}
	if other := r.others(); len(other.rows) > 0 {
		all = append(all, other)
	}
	return all
}

// table lists the medians of all candidates.
func (r *rounds) table(title string) table {
	t := table{title: title, head: []string{"clients", "candidate", "calls/s", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "CPU µs/call", "RSS MiB"}}
	for _, n := range r.clients {
		for _, name := range r.names {
			cells := []string{strconv.Itoa(n), name, fmt.Sprintf("%.0f", r.median(n, name, ofRate))}
			for _, figure := range []func(sample) float64{ofP50, ofP90, ofP99, ofP999} {
				cells = append(cells, fmt.Sprintf("%.0f", r.median(n, name, figure)/1000))
			}
			cells = append(cells, fmt.Sprintf("%.1f", r.median(n, name, ofCPU)/1000), fmt.Sprintf("%.0f", r.median(n, name, ofRSS)/(1<<20)))
			t.rows = append(t.rows, cells)
		}
	}
	return t
}

// others lists the figures that are no rounds.
func (r *report) others() table {
	t := table{title: "Other figures", head: []string{"what", "measured"}}
	row := func(what, format string, args ...any) {
		t.rows = append(t.rows, []string{what, fmt.Sprintf(format, args...)})
	}
	if r.reuse != nil {
		row("upstream", "%d calls, %d requests, %d connections", r.reuse.Sent, r.reuse.Requests, r.reuse.Connections)
	}
	if r.list != nil {
		row(fmt.Sprintf("tools/list of %d tools", catalogueTools), "%.0f/s, p99 %.2f ms, %.3f ms CPU a call", r.list.rate(), millis(r.list.load.P99), millis(r.list.cpu))
	}
	if len(r.starts) > 0 {
		row("start", "listening after %.0f ms (%.0f–%.0f), %.0f MiB resident", millis(r.starts[len(r.starts)/2]), millis(r.starts[0]), millis(r.starts[len(r.starts)-1]), mebi(r.startRSS[len(r.startRSS)/2]))
	}
	for _, s := range r.streams {
		row(fmt.Sprintf("%d idle streams (%s)", s.Count, s.Kind), "opened in %.1f s, %.0f MiB above %.0f MiB, %d goroutines (%d before), closing noticed after %.2f s",
			s.Opened.Seconds(), mebi(s.Held-s.Base), mebi(s.Base), s.Goroutines, s.GoroutinesB, s.Closed.Seconds())
	}
	if l := r.leave; l != nil {
		row("client leaves → upstream cancelled", "p50 %.2f ms, p99 %.2f ms, longest %.2f ms of %d", millis(l.P50), millis(l.P99), millis(l.Max), l.Count)
	}
	if l := r.reload; l != nil {
		row("reloads under load", "%d written in %.0f s, %d applied; %d calls (p99 %.1f ms) and %d lists, %d failed, %d mixed; %.0f → %.0f MiB",
			l.Written, l.Elapsed.Seconds(), l.Applied, l.Calls, millis(l.P99), l.Lists, l.Failed, l.Mixed, mebi(l.RSSBefore), mebi(l.RSSAfter))
		if l.Why != "" {
			row("first failure during reloads", "%s", l.Why)
		}
	}
	return t
}

// print writes the report for a terminal.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s · commit %s · load average %s before\n", machine(), r.commit, r.load)
	for _, t := range r.tables() {
		fmt.Fprintf(out, "\n%s\n", t.title)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "  "+strings.Join(t.head, "\t"))
		for _, row := range t.rows {
			fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
		}
		_ = w.Flush()
	}
	fmt.Fprintf(out, "\n%d of %d bars met, in %.0f s\n", len(r.bars)-r.missed(), len(r.bars), time.Since(r.started).Seconds())
}

// markdown is docs/PERFORMANCE.md.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Performance

Written by `+"`make bench`"+`; do not edit. %s, commit %s, %s. Load average before the
run: %s.%s

Everything ran on this one machine, the clients and the backend on the same processors, in
one run with interleaved rounds: trust the ratios, not the absolute figures. Each candidate
is a process of its own, and its CPU time is what the system accounted to that process. The
backend is raw fasthttp with 1 KB of JSON. *direct* is that backend without anything between
(its CPU is the backend's), *fiber* a Fiber proxy with the fasthttp client that does nothing
else, *reverse* an httputil.ReverseProxy with 512 idle connections, and *sallyport* the
gateway with its default settings, save that only failed requests are logged, called as an MCP tool (revision 2026-07-28); its answer
holds the JSON twice, as structured content and as text. Ratios are medians over the rounds
of the ratio within each round.
`, r.started.Format(time.DateOnly), r.commit, machine(), r.load, r.remark())
	for _, t := range r.tables() {
		fmt.Fprintf(&b, "\n## %s\n\n", t.title)
		if t.about != "" {
			fmt.Fprintf(&b, "%s\n\n", t.about)
		}
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
		for _, row := range t.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.ReplaceAll(strings.Join(row, " | "), "\n", " "))
		}
	}
	fmt.Fprintf(&b, "\n%d of %d bars met.\n", len(r.bars)-r.missed(), len(r.bars))
	return b.String()
}

func (r *report) remark() string {
	if r.plan.quick {
		return " This was a quick run: its figures are rough."
	}
	return ""
}

// machine describes where this ran, without naming it.
func machine() string {
	return fmt.Sprintf("%s/%s, %d CPUs (%s), %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())
}

func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// commit is what the tree is at, with a plus when it has changes.
func commit(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output()
	mark := ""
	if err != nil || len(changed) > 0 {
		mark = "+"
	}
	return strings.TrimSpace(string(head)) + mark
}
