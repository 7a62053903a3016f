package author

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/selftest"
)

// TestOptions say how thoroughly to test.
type TestOptions struct {
	Calls    int // of the leak check; 0 = none
	CacheDir string
}

// LeakCalls is how many calls the leak check makes when nobody says otherwise.
const LeakCalls = 20_000

const testTime = time.Hour // of all fixtures: whoever waits can stop it

// Tested is how the fixtures of a plugin came out, and what its calls cost.
type Tested struct {
	Plugin   *Plugin
	Report   *selftest.Report
	Case     string // that was measured; "" = none
	Measured *selftest.Measured
}

// Test runs all fixtures of a plugin in the gateway's own sandbox, and then calls the
// first case that came to OK many times over.
func Test(ctx context.Context, p *Plugin, o TestOptions) (*Tested, error) {
	if len(p.Suites) == 0 {
		return nil, &core.Error{
			Code: core.CodeNotFound, Message: p.File + " has no fixtures, neither in " + fixtureDir + "/*.yaml beside plugin.yaml nor in the module",
			Fix: "write one, as `sallyport plugin new` does: cases: [{name: …, call: tool_call, payload: …, expect: …}]",
		}
	}
	options := selftest.Options{CacheDir: o.CacheDir, Time: testTime}
	report, err := selftest.Run(ctx, p.Wasm, p.Manifest, p.Suites, options)
	if err != nil {
		return nil, err
	}
	t := &Tested{Plugin: p, Report: report}
	if s, c := steady(p.Suites, report); c != nil && o.Calls > 0 && report.OK() {
		t.Case = c.Name
		if t.Measured, err = selftest.Measure(ctx, p.Wasm, p.Manifest, s, c, o.Calls, options); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// steady returns the first case that came to OK and can be repeated.
func steady(suites []*selftest.Suite, report *selftest.Report) (*selftest.Suite, *selftest.Case) {
	n := 0
	for _, s := range suites {
		for i := range s.Cases {
			c := &s.Cases[i]
			if report.Cases[n].Passed && c.Call != abi.Configure && (c.Expect.Status == "OK" || c.Expect.Status == "UNCHANGED") {
				return s, c
			}
			n++
		}
	}
	return nil, nil
}

// OK reports that all is well.
func (t *Tested) OK() bool {
	return t.Report.OK() && (t.Measured == nil || !t.Measured.Leaks())
}

// Print says how each case came out.
func (t *Tested) Print(w io.Writer) {
	suite := ""
	var took []time.Duration
	var fuel, peak int64
	for i := range t.Report.Cases {
		c := &t.Report.Cases[i]
		if c.Suite != suite {
			suite = c.Suite
			fmt.Fprintln(w, suite)
		}
		word := "ok  "
		if !c.Passed {
			word = "FAIL"
		}
		fmt.Fprintf(w, "  %s %s\n", word, c.Name)
		for _, d := range c.Differences {
			fmt.Fprintf(w, "         %s\n", d)
		}
		if !c.Passed {
			fmt.Fprintf(w, "         (line %d of the fixture)\n", c.Line)
			for _, line := range c.Logs {
				fmt.Fprintf(w, "         log: %s\n", oneLine(line))
			}
		}
		took, fuel, peak = append(took, c.Duration), max(fuel, c.Fuel), max(peak, c.Memory)
	}
	slices.Sort(took)
	fmt.Fprintf(w, "%d of %d cases passed; first calls: p50 %s, p99 %s; fuel at most %d; memory at most %s\n",
		len(t.Report.Cases)-t.Report.Failed(), len(t.Report.Cases), short(took[len(took)/2]), short(took[len(took)*99/100]), fuel, size(peak))
	m := t.Measured
	if m == nil {
		return
	}
	fmt.Fprintf(w, "%d calls of %q: p50 %s, p99 %s, %d fuel each\n", m.Calls, t.Case, short(m.P50), short(m.P99), m.Fuel)
	verdict := "no leak"
	if m.Leaks() {
		verdict = "LEAK"
	}
	fmt.Fprintf(w, "memory after %d calls %s, after %d %s", m.Calls/2, size(m.Half), m.Calls, size(m.End))
	if m.More > m.Calls {
		fmt.Fprintf(w, ", after %d %s", m.More, size(m.Finally))
	}
	fmt.Fprintf(w, ", peak %s: %s\n", size(m.Peak), verdict)
	if m.Leaks() {
		fmt.Fprint(w, "  how to mend it: free what a call allocates, and keep nothing in globals that grows with each call\n")
	}
}

// short spells a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d >= time.Microsecond:
		return d.Round(10 * time.Nanosecond).String()
	}
	return d.String()
}

// BenchOptions say what to call how often.
type BenchOptions struct {
	Case    string // of the fixtures; "" = the first that comes to OK
	Export  string // tool_call, …: call this with Payload instead of a case
	Payload []byte
	Tool    string
	Calls   int // 0 = 10,000
}

// Benched is what calls of a plugin cost.
type Benched struct {
	What string
	*selftest.Measured
}

// Bench measures calls of one case, or of an export with a payload.
func Bench(ctx context.Context, p *Plugin, o BenchOptions) (*Benched, error) {
	if o.Calls <= 0 {
		o.Calls = 10_000
	}
	s, c, err := o.pick(ctx, p)
	if err != nil {
		return nil, err
	}
	m, err := selftest.Measure(ctx, p.Wasm, p.Manifest, s, c, o.Calls, selftest.Options{})
	if err != nil {
		return nil, err
	}
	return &Benched{What: c.Name, Measured: m}, nil
}

func (o BenchOptions) pick(ctx context.Context, p *Plugin) (*selftest.Suite, *selftest.Case, error) {
	if o.Export != "" {
		export := "sallyport_" + strings.TrimPrefix(o.Export, "sallyport_")
		if !slices.Contains(abi.Kinds[:], export) {
			var names []string
			for _, k := range abi.Kinds {
				names = append(names, strings.TrimPrefix(k, "sallyport_"))
			}
			return nil, nil, &core.Error{Code: core.CodeInvalid, Message: "unknown export " + o.Export, Fix: "one of " + strings.Join(names, ", ")}
		}
		c := &selftest.Case{Name: o.Export + fmt.Sprintf(" with %d bytes", len(o.Payload)), Call: export, Payload: o.Payload}
		tool := o.Tool
		if tool == "" && len(p.Manifest.Tools) == 1 {
			tool = p.Manifest.Tools[0].Name
		}
		if tool != "" {
			c.Meta = []abi.Pair{{Key: abi.MetaTool, Value: tool}}
		}
		return &selftest.Suite{}, c, nil
	}
	if o.Case != "" {
		var names []string
		for _, s := range p.Suites {
			for i := range s.Cases {
				if s.Cases[i].Name == o.Case {
					return s, &s.Cases[i], nil
				}
				names = append(names, s.Cases[i].Name)
			}
		}
		return nil, nil, &core.Error{Code: core.CodeNotFound, Message: fmt.Sprintf("no case is named %q", o.Case), Fix: "the cases are: " + orNone(names)}
	}
	report, err := selftest.Run(ctx, p.Wasm, p.Manifest, p.Suites, selftest.Options{})
	if err != nil {
		return nil, nil, err
	}
	s, c := steady(p.Suites, report)
	if c == nil {
		return nil, nil, &core.Error{Code: core.CodeNotFound, Message: "no fixture comes to OK that could be measured", Fix: "name what to call with --export tool_call --payload '{…}'"}
	}
	return s, c, nil
}

// Print writes the numbers.
func (b *Benched) Print(w io.Writer) {
	perSecond := 0.0
	if b.Whole > 0 {
		perSecond = float64(b.Calls) / b.Whole.Seconds()
	}
	fmt.Fprintf(w, "%d calls of %q, one after the other\n", b.Calls, b.What)
	fmt.Fprintf(w, "  throughput   %.0f calls/s\n", perSecond)
	fmt.Fprintf(w, "  call         %d ns (p50 %s, p99 %s)\n", b.Whole.Nanoseconds()/int64(max(b.Calls, 1)), short(b.P50), short(b.P99))
	fmt.Fprintf(w, "  guest        %s of CPU, %d fuel\n", short(b.CPU), b.Fuel)
	fmt.Fprintf(w, "  gateway      %.1f allocations, %.0f bytes a call\n", math.Round(b.Allocs*10)/10, b.Bytes)
	fmt.Fprintf(w, "  memory       %s at most\n", size(b.Peak))
	for _, status := range sortedKeys(b.Statuses) {
		fmt.Fprintf(w, "  answers      %d %s\n", b.Statuses[status], status)
	}
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
