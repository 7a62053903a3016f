package main

import (
	"fmt"
	"strings"
)

// How guests are called in the report.
var guestNames = map[string]string{"c": "C", "rust": "Rust", "assemblyscript": "AssemblyScript", "go": "Go"}

func (g *guestFigure) title() string {
	if name := guestNames[g.Name]; name != "" {
		return name
	}
	return g.Name
}

// pluginTools are the rows, and pluginWays the columns, of the table of calls.
var (
	pluginTools = []struct{ name, title string }{
		{"echo", "echo"},
		{"text", "echo as text"},
		{"json", "JSON"},
		{"std", "JSON by encoding/json"},
	}
	pluginWays = []struct{ name, title string }{
		{"fuel", "sallyport"},
		{"plain", "without fuel"},
		{"wazero", "wazero by hand"},
		{"closing", "wazero that closes"},
		{"extism", "Extism"},
		{"extism_timeout", "Extism with a timeout"},
	}
)

const (
	echoBar   = 1.5 // µs
	echoBarGo = 2
	fuelBar   = 30 // %
	allocBar  = 2
	httpBar   = 0.9
)

// judge works out the bars of plugins.
func (r *pluginResult) judge(add func(what, unit string, measured, want float64, atMost bool)) {
	for i := range r.figures.Guests {
		g := &r.figures.Guests[i]
		if echo, ok := g.Calls["echo"]["fuel"]; ok {
			want := float64(echoBar)
			if g.Name == "go" {
				want = echoBarGo
			}
			add("1 KB to a plugin in "+g.title()+" and back, CPU", " µs", echo.Thread.Min, want, true)
		}
		most := 0.0
		for _, ways := range g.Calls {
			if c, ok := ways["fuel"]; ok {
				most = max(most, c.Allocs)
			}
		}
		add("allocations of a call, plugin in "+g.title(), "", most, allocBar, true)
		with, ok := g.Calls["json"]["fuel"]
		if without := g.Calls["json"]["plain"]; ok && without.Thread.Min > 0 {
			add("what fuel adds to JSON in "+g.title(), " %", 100*(with.Thread.Min/without.Thread.Min-1), fuelBar, true)
		}
	}
	if r.http != nil {
		for _, n := range r.http.clients {
			at := fmt.Sprintf(", %d client", n)
			if n > 1 {
				at += "s"
			}
			add("calls/s of a Rust plugin to the built-in echo"+at, "×", r.http.ratio(n, inRust, builtIn, ofRate), httpBar, false)
		}
	}
}

// tables lays out what was measured of plugins.
func (r *pluginResult) tables() []table {
	var all []table
	if len(r.figures.Guests) > 0 {
		all = append(all, r.calls(), r.modules())
	}
	if r.http != nil {
		t := r.http.table("Plugins: tools/call over HTTP, a Rust plugin beside the built-in echo")
		t.about = "Both tools are in one gateway and give a small argument back; the CPU is the gateway's."
		all = append(all, t)
	}
	if len(r.figures.LeftOut) > 0 {
		t := table{title: "Plugins: not measured", head: []string{"what", "why"}}
		for _, l := range r.figures.LeftOut {
			t.rows = append(t.rows, []string{l.What, l.Why})
		}
		all = append(all, t)
	}
	return all
}

// calls is the table of one call by each way.
func (r *pluginResult) calls() table {
	t := table{
		title: "Plugins: one call, µs of CPU",
		about: fmt.Sprintf("The least of many batches, the median in brackets: CPU time of the thread that calls, with one processor for Go, so that what a call has other goroutines do counts. "+
			"%d bytes of JSON go in; *echo* gives them back, *echo as text* as a block of text, *JSON* decodes them, puts a text into capitals and builds a CallToolResult of about %d bytes. "+
			"*sallyport* is the sandbox as the gateway runs it, pool and limits included; *without fuel* nothing would stop the guest; *wazero by hand* is one instance with nothing around it; "+
			"*wazero that closes* is the same with WithCloseOnContextDone and a deadline; *Extism* is its go-sdk 1.7.1 on the same wazero, with guests of its own against its imports: what has no guest there is empty. "+
			"Allocations are those of *sallyport* on the host's heap.", r.figures.Request, r.figures.Answer),
		head: []string{"guest", "tool"},
	}
	for _, w := range pluginWays {
		t.head = append(t.head, w.title)
	}
	t.head = append(t.head, "fuel", "allocations")
	for i := range r.figures.Guests {
		g := &r.figures.Guests[i]
		for _, tool := range pluginTools {
			ways, ok := g.Calls[tool.name]
			if !ok {
				continue
			}
			row := []string{g.title(), tool.title}
			for _, w := range pluginWays {
				cell := ""
				if c, ok := ways[w.name]; ok {
					cell = fmt.Sprintf("%s (%s)", short(c.Thread.Min), short(c.Thread.Median))
				}
				row = append(row, cell)
			}
			more := ""
			if without := ways["plain"].Thread.Min; without > 0 {
				more = fmt.Sprintf("%+.0f %%", 100*(ways["fuel"].Thread.Min/without-1))
			}
			t.rows = append(t.rows, append(row, more, fmt.Sprintf("%.1f, %s", ways["fuel"].Allocs, size(ways["fuel"].Bytes))))
		}
	}
	return t
}

// modules is the table of what a plugin is beside its calls.
func (r *pluginResult) modules() table {
	t := table{
		title: "Plugins: modules, instances, throughput",
		about: "*Load* is CPU time with the compiler, in a child process, and then with native code in the cache; *instance* the CPU of making one, *restore* of what `isolation: call` does after each call. " +
			"*Memory* is the linear memory of a new instance and after the measurements, *resident* what a new one adds to the process. " +
			"Calls/s are those of a pool of two instances with two callers, for two seconds of CPU: what two processors with nothing else to do would serve.",
		head: []string{"guest", "module KiB", "load ms", "instance µs", "restore µs", "memory MiB", "resident MiB", "echo calls/s", "JSON calls/s"},
	}
	for i := range r.figures.Guests {
		g := &r.figures.Guests[i]
		row := []string{
			g.title(), fmt.Sprintf("%.0f", float64(g.Module)/1024),
			short(g.LoadCold) + ", " + short(g.LoadWarm),
			fmt.Sprintf("%s (%s)", short(g.Instantiate.Min), short(g.Instantiate.Median)),
			fmt.Sprintf("%s (%s)", short(g.Restore.Min), short(g.Restore.Median)),
			fmt.Sprintf("%.1f, %.1f", mebi(g.MemoryStart), mebi(g.MemoryUsed)),
			fmt.Sprintf("%.1f", mebi(g.ResidentEach)),
		}
		for _, tool := range []string{"echo", "json"} {
			cell := ""
			if c, ok := g.Throughput[tool]; ok {
				cell = fmt.Sprintf("%.0f", c.CPU)
			}
			row = append(row, cell)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// short writes three digits or so.
func short(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.2f", f), "0")
}

func size(bytes float64) string {
	if bytes >= 10_000 {
		return fmt.Sprintf("%.0f KB", bytes/1000)
	}
	return fmt.Sprintf("%.0f B", bytes)
}
