package core

import "time"

// Observer is told what happened, for metrics, traces and the request log. Events
// hold names and sizes, never argument values. Implementations are safe for
// concurrent use and do not block.
type Observer interface {
	Called(CallEvent)
	Requested(RequestEvent)
	Sent(UpstreamEvent)
	Reloaded(ReloadEvent)
	PluginCalled(PluginEvent)
	// PluginMetric is a metric that a plugin reports of itself: name is its own, and
	// bounded in number and length by the caller.
	PluginMetric(plugin, name string, kind MetricKind, value float64)
	// Plugins registers where the state of all plugins is read when metrics are scraped.
	Plugins(read func() []PluginStatus)
	// Gauge registers a value that is read when metrics are scraped.
	Gauge(name, help string, read func() int64)
	// Counter registers a value that only rises, read likewise. The metric's name gets
	// the ending _total.
	Counter(name, help string, read func() int64)
}

// CallEvent is one tools/call, prompts/get or resources/read.
type CallEvent struct {
	Server, Kind, Name string // Kind: tool, prompt, resource; Name is "" for an unknown name
	Revision           string
	Outcome            string // ok, tool_error, or a Code
	Duration           time.Duration
}

// RequestEvent is one HTTP request at the edge.
type RequestEvent struct {
	Server, Method, Route string // Route: mcp, sse, message, healthz, …
	RPC                   string // JSON-RPC method, "" when none was read
	Revision              string
	Status                int
	Bytes                 int
	Streamed              bool
	Duration              time.Duration
	ID                    string // request id
}

// UpstreamEvent is one exchange with an upstream.
type UpstreamEvent struct {
	Connection, Method string
	Status             int    // 0 when there was no answer
	Outcome            string // ok, error, timeout, cancelled, refused, shed, breaker
	Duration           time.Duration
	Reused             bool
	Attempt            int // 1 is the first
}

// ReloadEvent is one attempt to apply changed documents.
type ReloadEvent struct {
	OK       bool
	Mistakes int    // in the documents that were read
	Warnings int    // likewise
	Revision string // hash of what is now served
	Duration time.Duration
}

// NoObserver drops every event.
type NoObserver struct{}

// Called drops the event.
func (NoObserver) Called(CallEvent) {}

// Requested drops the event.
func (NoObserver) Requested(RequestEvent) {}

// Sent drops the event.
func (NoObserver) Sent(UpstreamEvent) {}

// Reloaded drops the event.
func (NoObserver) Reloaded(ReloadEvent) {}

// PluginCalled drops the event.
func (NoObserver) PluginCalled(PluginEvent) {}

// PluginMetric drops the value.
func (NoObserver) PluginMetric(string, string, MetricKind, float64) {}

// Plugins drops the source.
func (NoObserver) Plugins(func() []PluginStatus) {}

// Gauge drops the gauge.
func (NoObserver) Gauge(string, string, func() int64) {}

// Counter drops the counter.
func (NoObserver) Counter(string, string, func() int64) {}

var _ Observer = NoObserver{}
