package telemetry

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/core"
)

type pluginLabels struct {
	plugin  string
	kind    core.PluginKind
	outcome string
}

// PluginCalled counts a call of a plugin.
func (t *Telemetry) PluginCalled(e core.PluginEvent) {
	t.families.plugins.add(pluginLabels{e.Plugin, e.Kind, e.Outcome}, e.Duration)
}

func (l pluginLabels) mark() uint32 {
	return marked(marked(marked(0, l.plugin), string(l.kind)), l.outcome)
}

func (l pluginLabels) values() []string { return []string{l.plugin, string(l.kind), l.outcome} }

func (l pluginLabels) tame() pluginLabels { return l }

func (l pluginLabels) rest() pluginLabels {
	l.plugin = other
	return l
}

// PluginMetric adds to a metric that a plugin reports of itself.
func (t *Telemetry) PluginMetric(plugin, name string, kind core.MetricKind, value float64) {
	t.families.reported.report(plugin, name, kind, value)
}

// Plugins registers where the state of all plugins is read.
func (t *Telemetry) Plugins(read func() []core.PluginStatus) {
	if err := t.registry.Register(newPluginStates(read)); err != nil {
		t.log.Error("metrics of plugins not registered", "error", err)
	}
}

// pluginStates turns what plugins are at the moment into metrics. The sums of a plugin
// begin again when it is loaded again, which Prometheus takes for a restart.
type pluginStates struct {
	read    func() []core.PluginStatus
	columns []column
	info    *prometheus.Desc
}

type column struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*core.PluginStatus) float64
}

func newPluginStates(read func() []core.PluginStatus) *pluginStates {
	p := &pluginStates{read: read, info: prometheus.NewDesc(namespace+"_plugin_info", "Always 1; the labels say what is loaded.", []string{"plugin", "name", "version", "digest", "signer"}, nil)}
	add := func(name, help string, kind prometheus.ValueType, of func(*core.PluginStatus) float64) {
		p.columns = append(p.columns, column{prometheus.NewDesc(namespace+"_plugin_"+name, help, []string{"plugin"}, nil), kind, of})
	}
	sum, now := prometheus.CounterValue, prometheus.GaugeValue
	add("cpu_seconds_total", "CPU time of guest code.", sum, func(s *core.PluginStatus) float64 { return s.CPU.Seconds() })
	add("fuel_total", "Units of fuel that guest code used.", sum, func(s *core.PluginStatus) float64 { return float64(s.Fuel) })
	add("wait_seconds_total", "Time that calls waited for an instance.", sum, func(s *core.PluginStatus) float64 { return s.Wait.Seconds() })
	add("discards_total", "Instances thrown away because they broke.", sum, func(s *core.PluginStatus) float64 { return float64(s.Discards) })
	add("recycled_total", "Instances replaced because of their age or memory.", sum, func(s *core.PluginStatus) float64 { return float64(s.Recycled) })
	add("instances", "Instances, busy and free.", now, func(s *core.PluginStatus) float64 { return float64(s.Instances) })
	add("instances_free", "Instances that wait for a call.", now, func(s *core.PluginStatus) float64 { return float64(s.Free) })
	add("queue", "Calls that wait for an instance.", now, func(s *core.PluginStatus) float64 { return float64(s.Waiting) })
	add("memory_bytes", "Linear memory of all instances.", now, func(s *core.PluginStatus) float64 { return float64(s.Memory) })
	add("degraded", "1 while the plugin rests after too many broken instances.", now, func(s *core.PluginStatus) float64 {
		if s.Degraded.IsZero() {
			return 0
		}
		return 1
	})
	return p
}

// Describe says what Collect sends.
func (p *pluginStates) Describe(to chan<- *prometheus.Desc) {
	to <- p.info
	for _, c := range p.columns {
		to <- c.desc
	}
}

// Collect reads the state of all plugins.
func (p *pluginStates) Collect(to chan<- prometheus.Metric) {
	for _, s := range p.read() {
		to <- prometheus.MustNewConstMetric(p.info, prometheus.GaugeValue, 1, s.Name, s.Plugin, s.Version, s.Digest, s.Signer)
		for _, c := range p.columns {
			to <- prometheus.MustNewConstMetric(c.desc, c.kind, c.of(&s), s.Name)
		}
	}
}

// reported keeps the metrics that plugins report of themselves. Their names are a
// label, so that no plugin can take the name of a metric of ours.
type reported struct {
	counter, gauge, histogram *prometheus.Desc

	mu   sync.RWMutex
	sets map[reportedKey]*reportedSet
}

type reportedKey struct {
	plugin, name string
	kind         core.MetricKind
}

type reportedSet struct {
	value   atomic.Uint64 // bits of a float64: the sum, or the gauge
	buckets [len(seconds) + 1]atomic.Uint64
}

func newReported() *reported {
	labels := []string{"plugin", "name"}
	return &reported{
		counter:   prometheus.NewDesc(namespace+"_plugin_reported_total", "Counters that plugins report of themselves.", labels, nil),
		gauge:     prometheus.NewDesc(namespace+"_plugin_reported", "Gauges that plugins report of themselves.", labels, nil),
		histogram: prometheus.NewDesc(namespace+"_plugin_reported_values", "Histograms that plugins report of themselves.", labels, nil),
		sets:      map[reportedKey]*reportedSet{},
	}
}

func (r *reported) report(plugin, name string, kind core.MetricKind, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) || kind == core.MetricCounter && value < 0 {
		return
	}
	s := r.set(reportedKey{plugin, name, kind})
	switch kind {
	case core.MetricGauge:
		s.value.Store(math.Float64bits(value))
	case core.MetricHistogram:
		at := 0
		for at < len(seconds) && value > seconds[at] {
			at++
		}
		s.buckets[at].Add(1)
		s.sum(value)
	case core.MetricCounter:
		s.sum(value)
	}
}

func (s *reportedSet) sum(value float64) {
	for {
		old := s.value.Load()
		if s.value.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+value)) {
			return
		}
	}
}

func (r *reported) set(k reportedKey) *reportedSet {
	r.mu.RLock()
	s := r.sets[k]
	r.mu.RUnlock()
	if s != nil {
		return s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s = r.sets[k]; s != nil {
		return s
	}
	if len(r.sets) >= maxSeries {
		k = reportedKey{other, other, k.kind}
		if s = r.sets[k]; s != nil {
			return s
		}
	}
	s = &reportedSet{}
	r.sets[k] = s
	return s
}

// Describe says what Collect sends.
func (r *reported) Describe(to chan<- *prometheus.Desc) {
	to <- r.counter
	to <- r.gauge
	to <- r.histogram
}

// Collect sends what was reported.
func (r *reported) Collect(to chan<- prometheus.Metric) {
	r.mu.RLock()
	sets := maps.Clone(r.sets)
	r.mu.RUnlock()
	for _, k := range slices.SortedFunc(maps.Keys(sets), compareReported) {
		s := sets[k]
		value := math.Float64frombits(s.value.Load())
		switch k.kind {
		case core.MetricCounter:
			to <- prometheus.MustNewConstMetric(r.counter, prometheus.CounterValue, value, k.plugin, k.name)
		case core.MetricGauge:
			to <- prometheus.MustNewConstMetric(r.gauge, prometheus.GaugeValue, value, k.plugin, k.name)
		case core.MetricHistogram:
			cumulative, total := make(map[float64]uint64, len(seconds)), uint64(0)
			for i := range s.buckets {
				total += s.buckets[i].Load()
				if i < len(seconds) {
					cumulative[seconds[i]] = total
				}
			}
			to <- prometheus.MustNewConstHistogram(r.histogram, total, value, cumulative, k.plugin, k.name)
		}
	}
}

func compareReported(a, b reportedKey) int {
	return cmp.Or(cmp.Compare(a.plugin, b.plugin), cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
}
