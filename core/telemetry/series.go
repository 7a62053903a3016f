package telemetry

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxSeries bounds the label sets of one family. What comes later is counted
	// under the name "_other".
	maxSeries = 1500
	other     = "_other"
)

// series counts events by their labels. An event costs one comparison with what came
// lately, or a look into a map, and a few atomic additions, and allocates nothing:
// the OpenTelemetry SDK takes some 250 ns for each instrument, which is a tenth of a
// whole call for the seven that a call touches. It is a prometheus.Collector beside the OpenTelemetry exporter, in
// the same registry.
//
// Two families come of it: how many events had all labels, and how long those took
// that agree in the first labels.
type series[K comparable] struct {
	count, time, bytes *prometheus.Desc // bytes may be nil; time and bytes have the first labels
	full               func(K) []string // values of all labels
	tame               func(K) K        // k without whatever a stranger made up
	rest               func(K) K        // k without whatever has no bound
	mark               func(K) uint32   // a number that differs for most k, cheaply
	first              int              // how many of the labels time has

	sets   atomic.Pointer[map[K]*set]
	recent [recents]atomic.Pointer[recent[K]] // by mark: most events are like one a moment ago
	misses atomic.Uint32

	mu    sync.Mutex // making sets
	times map[string]*times
}

const recents = 64 // a power of two

// recent is a label set that was counted lately, by the labels as they came. They are
// compared faster than hashed: mostly they are the very same strings.
type recent[K comparable] struct {
	labels K
	set    *set
}

// set is one set of labels with its count.
type set struct {
	labels []string
	count  atomic.Int64
	*times
}

// times is how long events took, and how many bytes they had.
type times struct {
	labels  []string
	buckets [len(seconds) + 1]atomic.Uint64 // not cumulative; the last is above every bound
	nanos   atomic.Int64
	bytes   atomic.Int64
}

// newSeries makes a series. count and time are metric names; labels of time are the
// first ones.
func newSeries[K comparable](count, countHelp, time, timeHelp string, labels []string, first int, full func(K) []string, tame, rest func(K) K, mark func(K) uint32) *series[K] {
	return &series[K]{
		count: prometheus.NewDesc(namespace+"_"+count, countHelp, labels, nil),
		time:  prometheus.NewDesc(namespace+"_"+time, timeHelp, labels[:first], nil),
		full:  full, tame: tame, rest: rest, mark: mark, first: first, times: map[string]*times{},
	}
}

// add counts an event, whose labels may hold what a stranger made up.
func (s *series[K]) add(k K, took time.Duration) *set {
	one := s.find(k)
	one.count.Add(1)
	one.nanos.Add(int64(took))
	at := 0
	for at < len(bounds) && took > bounds[at] {
		at++
	}
	one.buckets[at].Add(1)
	return one
}

// find is get by way of recent.
func (s *series[K]) find(k K) *set {
	slot := &s.recent[s.mark(k)%recents]
	lately := slot.Load()
	if lately != nil && lately.labels == k {
		return lately.set
	}
	tamed := s.tame(k)
	one := s.get(tamed)
	// Sets that share a slot do not push each other out at every event, and what a
	// stranger made up is not kept.
	if tamed == k && (lately == nil || s.misses.Add(1)%32 == 0) {
		slot.Store(&recent[K]{tamed, one})
	}
	return one
}

// marked mixes a text into a mark: its length and a few of its bytes.
func marked(m uint32, text string) uint32 {
	n := len(text)
	if n == 0 {
		return m * 31
	}
	return (m*31+uint32(n))*31 + uint32(text[n-1]) + uint32(text[n/2])<<3
}

// get returns the set of k. Reading takes no lock; a new set copies the map.
func (s *series[K]) get(k K) *set {
	sets := s.sets.Load()
	if sets != nil {
		if found, ok := (*sets)[k]; ok {
			return found
		}
		if len(*sets) >= maxSeries {
			k = s.rest(k)
			if found, ok := (*sets)[k]; ok {
				return found
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[K]*set{}
	if sets = s.sets.Load(); sets != nil {
		if len(*sets) >= maxSeries {
			k = s.rest(k)
		}
		if found, ok := (*sets)[k]; ok {
			return found
		}
		next = maps.Clone(*sets)
	}
	one := &set{labels: s.full(k)}
	short := one.labels[:s.first]
	key := strings.Join(short, "\x00")
	if one.times = s.times[key]; one.times == nil {
		one.times = &times{labels: short}
		s.times[key] = one.times
	}
	next[k] = one
	s.sets.Store(&next)
	return one
}

// Describe says nothing: which label sets there are is not known before they come.
func (s *series[K]) Describe(chan<- *prometheus.Desc) {}

// Collect sends what was counted.
func (s *series[K]) Collect(to chan<- prometheus.Metric) {
	if sets := s.sets.Load(); sets != nil {
		for _, one := range *sets {
			to <- prometheus.MustNewConstMetric(s.count, prometheus.CounterValue, float64(one.count.Load()), one.labels...)
		}
	}
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.times))
	s.mu.Unlock()
	for _, one := range all {
		cumulative, total := make(map[float64]uint64, len(seconds)), uint64(0)
		for i := range one.buckets {
			total += one.buckets[i].Load()
			if i < len(seconds) {
				cumulative[seconds[i]] = total
			}
		}
		to <- prometheus.MustNewConstHistogram(s.time, total, time.Duration(one.nanos.Load()).Seconds(), cumulative, one.labels...)
		if s.bytes != nil {
			to <- prometheus.MustNewConstMetric(s.bytes, prometheus.CounterValue, float64(one.bytes.Load()), one.labels...)
		}
	}
}

// known returns text when it is one of names, "" for "", and "_other" for what a
// stranger made up. The name is a string of ours: text may be a part of a request,
// which must not be kept.
func known(names map[string]string, text string) string {
	if name, ok := names[text]; ok || text == "" {
		return name
	}
	return other
}

func names(list ...string) map[string]string {
	set := make(map[string]string, len(list))
	for _, name := range list {
		set[name] = name
	}
	return set
}

// methods are the JSON-RPC methods of all MCP revisions that a client may send.
var methods = names(
	"initialize", "ping", "server/discover",
	"tools/list", "tools/call",
	"prompts/list", "prompts/get",
	"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
	"completion/complete", "logging/setLevel", "subscriptions/listen",
	"tasks/get", "tasks/list", "tasks/result", "tasks/cancel", "tasks/update",
	"notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed",
)

var verbs = names("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
