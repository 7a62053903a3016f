package hostcall

import (
	"context"
	"math"
	"sync"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Limits of `metric`.
const (
	maxMetrics    = 16 // names of one plugin
	maxMetricName = 64 // bytes
)

// metrics knows which names a plugin uses, and as what.
type metrics struct {
	observer core.Observer
	plugin   string

	mu    sync.RWMutex
	known map[string]metric
}

// metric is a name in use, kept so that reporting it makes no new text.
type metric struct {
	name string
	kind core.MetricKind
}

// Metric reports a value. What makes no sense is ignored: a guest has nowhere to go
// with an error.
func (h *Host) Metric(_ context.Context, s *sandbox.Scope, name []byte, kind int, value float64) {
	s.Count.Metrics++
	if math.IsNaN(value) || math.IsInf(value, 0) || kind == abi.MetricCounter && value < 0 {
		return
	}
	as, ok := metricKind(kind)
	if !ok {
		return
	}
	if name, ok := h.metrics.name(name, as); ok {
		h.metrics.observer.PluginMetric(h.plugin, name, as, value)
	}
}

func metricKind(kind int) (core.MetricKind, bool) {
	switch kind {
	case abi.MetricCounter:
		return core.MetricCounter, true
	case abi.MetricGauge:
		return core.MetricGauge, true
	case abi.MetricHistogram:
		return core.MetricHistogram, true
	}
	return 0, false
}

// name returns a name that may be used as that kind.
func (m *metrics) name(name []byte, as core.MetricKind) (string, bool) {
	m.mu.RLock()
	one, used := m.known[string(name)]
	full := len(m.known) >= maxMetrics
	m.mu.RUnlock()
	switch {
	case used:
		return one.name, one.kind == as
	case full || !metricName(name):
		return "", false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if one, used = m.known[string(name)]; used || len(m.known) >= maxMetrics {
		return one.name, used && one.kind == as
	}
	if m.known == nil {
		m.known = map[string]metric{}
	}
	one = metric{name: string(name), kind: as}
	m.known[one.name] = one
	return one.name, true
}

// metricName tells whether a name is [a-zA-Z_][a-zA-Z0-9_]*, and short.
func metricName(name []byte) bool {
	for n, c := range name {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		if !letter && (n == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxMetricName
}
