package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	api "go.opentelemetry.io/otel/metric"
)

const (
	// maxSeries bounds the label sets of one family. What comes later is counted
	// under the name "_other". OpenTelemetry's own bound is 2000.
	maxSeries = 1500
	other     = "_other"
)

// series keeps the label sets of a family ready, so that an event costs a look
// into a map and no allocation. Reading takes no lock; a new set copies the map.
type series[K comparable] struct {
	known atomic.Pointer[map[K]*set]
	mu    sync.Mutex
}

// set is one set of labels, in the forms that the instruments take.
type set struct {
	add    []api.AddOption
	record []api.RecordOption
}

// get returns the set of k. labels makes it; with rest true it must leave out
// whatever has no bound.
func (s *series[K]) get(k K, labels func(k K, rest bool) []attribute.KeyValue) *set {
	if known := s.known.Load(); known != nil {
		if found, ok := (*known)[k]; ok {
			return found
		}
		if len(*known) >= maxSeries {
			return newSet(labels(k, true))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var next map[K]*set
	if known := s.known.Load(); known != nil {
		if found, ok := (*known)[k]; ok {
			return found
		}
		if len(*known) >= maxSeries {
			return newSet(labels(k, true))
		}
		next = maps.Clone(*known)
	} else {
		next = map[K]*set{}
	}
	one := newSet(labels(k, false))
	next[k] = one
	s.known.Store(&next)
	return one
}

func newSet(labels []attribute.KeyValue) *set {
	option := api.WithAttributeSet(attribute.NewSet(labels...))
	return &set{add: []api.AddOption{option}, record: []api.RecordOption{option}}
}

// known returns text when it is one of names, "" for "", and "_other" for what a
// stranger made up.
func known(names map[string]struct{}, text string) string {
	if _, ok := names[text]; ok || text == "" {
		return text
	}
	return other
}

func names(list ...string) map[string]struct{} {
	set := make(map[string]struct{}, len(list))
	for _, name := range list {
		set[name] = struct{}{}
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
