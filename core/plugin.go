package core

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// PluginConfig is one plugin as the operator runs it: where it comes from, what it may
// reach, and where it stands. Grants and Limits are written like the parts of the
// plugin's manifest that they answer (capabilities, limits), so that a request can be
// copied and narrowed.
type PluginConfig struct {
	At        `json:"-"`
	Name      string              `json:"name"`                // what documents call it; a slug
	Source    string              `json:"source"`              // file (a relative one stays below the document's directory), oci://host/repository[:tag][@digest], or store:NAME
	Manifest  string              `json:"manifest,omitempty"`  // file; absent = in the module, or plugin.yaml beside it
	Digest    string              `json:"digest,omitempty"`    // pin, sha256:…; also approves what that version asks for
	Disabled  bool                `json:"disabled,omitempty"`  // not loaded; what names it refuses
	Config    json.RawMessage     `json:"config,omitempty"`    // checked against the manifest's config_schema
	Secrets   map[string]Secret   `json:"secrets,omitempty"`   // values for the names that the manifest uses
	Grants    *GrantsConfig       `json:"grants,omitempty"`    // absent = nothing
	Limits    *PluginLimitsConfig `json:"limits,omitempty"`    // of the operator; the manifest may only lower them
	Isolation string              `json:"isolation,omitempty"` // call; absent = as the manifest says
	Trust     string              `json:"trust,omitempty"`     // required, warn, off; absent = as the settings say, and never weaker
	Match     *MatchConfig        `json:"match,omitempty"`     // also stands before or behind these tools
	Priority  int                 `json:"priority,omitempty"`  // among matching plugins the higher one is further out; 0
	Refresh   string              `json:"refresh,omitempty"`   // Go duration: how often a tool catalogue is asked again; absent = 1m
}

// GrantsConfig is what a plugin may reach.
type GrantsConfig struct {
	HTTP     []HTTPGrantConfig `json:"http,omitempty"`
	KV       *KVGrantConfig    `json:"kv,omitempty"`
	Secrets  []string          `json:"secrets,omitempty"`
	Progress bool              `json:"progress,omitempty"`
	CallTool []string          `json:"call_tool,omitempty"`
}

// HTTPGrantConfig is one rule of hosts that a plugin may call.
type HTTPGrantConfig struct {
	Host    string             `json:"host"`
	Scheme  string             `json:"scheme,omitempty"`  // https or http; absent = https
	Methods []string           `json:"methods,omitempty"` // absent = any
	Ports   []int              `json:"ports,omitempty"`   // absent = any
	Inject  *InjectGrantConfig `json:"inject,omitempty"`
}

// InjectGrantConfig names a secret that the gateway adds as a header.
type InjectGrantConfig struct {
	Header string `json:"header,omitempty"` // absent = as the manifest says
	Secret string `json:"secret"`
}

// KVGrantConfig is a namespace of the key-value store, and how much it may hold.
type KVGrantConfig struct {
	Namespace string `json:"namespace,omitempty"` // may end in *; absent = any
	MaxBytes  int64  `json:"max_bytes,omitempty"` // 0 = 1 MiB
}

// PluginLimitsConfig is what the operator gives; zero values take the defaults.
type PluginLimitsConfig struct {
	Memory    int64  `json:"memory,omitempty"`  // bytes of one instance
	Timeout   string `json:"timeout,omitempty"` // Go durations
	CPU       string `json:"cpu,omitempty"`
	MaxInput  int64  `json:"max_input,omitempty"`
	MaxOutput int64  `json:"max_output,omitempty"`
	Instances int    `json:"instances,omitempty"` // at once
	Queue     int    `json:"queue,omitempty"`     // calls waiting for one
}

// MatchConfig selects tools by globs in which * stands for any text; an absent list
// matches all.
type MatchConfig struct {
	Servers []string `json:"servers,omitempty"`
	Tools   []string `json:"tools,omitempty"`
}

// CatalogueConfig puts the tools of a catalogue into a server.
type CatalogueConfig struct {
	At      `json:"-"`
	Kind    string          `json:"kind"`
	Config  json.RawMessage `json:"config,omitempty"`
	Prefix  string          `json:"prefix,omitempty"`  // put before the name of each tool
	Timeout string          `json:"timeout,omitempty"` // of a call; Go duration; absent = 30s
}

// RequestTransformer rewrites what a call asks for, before the invoker sees it. It puts
// other bytes in the place of call.Arguments (and nil in that of Values), and never
// writes into them. It runs after the arguments were checked against the input schema.
type RequestTransformer interface {
	TransformRequest(ctx context.Context, call *Call) error
}

// CallAuthorizer is asked about a call that every policy allows, arguments included: it
// can only narrow. A nil error lets the call pass; the error of a refusal has
// CodeDenied.
type CallAuthorizer interface {
	AuthorizeCall(ctx context.Context, call *Call) error
}

// Catalogue is a set of tools that is known only at run time.
type Catalogue interface {
	// Tools lists them: name, texts, schemas and annotations; nothing else is set.
	Tools(ctx context.Context) ([]ToolConfig, error)
	// Invoker runs one of them.
	Invoker(tool string) (Invoker, error)
}

// Plugins loads the plugins of documents. It outlives every Catalog: a plugin whose
// content and configuration did not change is not loaded again.
type Plugins interface {
	// Open returns the plugins that configs describe, and every mistake in them. The set
	// is never nil, and holds what could be loaded also beside mistakes.
	Open(ctx context.Context, configs []PluginConfig) (PluginSet, []Problem)
}

// PluginSet is the plugins of one Catalog.
type PluginSet interface {
	// Plugin returns the plugin that documents call name. The error of an unknown name
	// says which are known; ErrReported says that Open told what is wrong with it.
	Plugin(name string) (Plugin, error)
	// Matching returns the plugins that stand before or behind this tool by their match,
	// the outermost first.
	Matching(server, tool string) []Plugin
	// Files lists what was read: when one of them changes, Open gives another set.
	Files() []string
	// Revision names the versions that are loaded, by their digests; "" = none is.
	Revision() string
	// Close lets go of the plugins. Those that no other set has are closed.
	Close() error
}

// Plugin is one loaded plugin. Each of these methods fails when the plugin is not of
// that kind; the error says which kinds it has. What they return needs no closing: it
// works as long as the set is open.
type Plugin interface {
	Name() string
	Has(kind PluginKind) bool
	Tools() []ToolConfig // those of the manifest
	Invoker(tool string) (Invoker, error)
	Transformer() (Transformer, error)
	RequestTransformer() (RequestTransformer, error)
	CallAuthorizer() (CallAuthorizer, error)
	Catalogue() (Catalogue, error)
}

// PluginKind is what a plugin can be used as, spelled as in a manifest.
type PluginKind string

// The kinds of plugins.
const (
	PluginInvoker             PluginKind = "invoker"
	PluginCatalogue           PluginKind = "tool_catalogue"
	PluginResponseTransformer PluginKind = "response_transformer"
	PluginRequestTransformer  PluginKind = "request_transformer"
	PluginAuthorizer          PluginKind = "authorizer"
)

// ErrReported is an error whose cause stands among the problems already.
var ErrReported = errors.New("reported already")

// PluginEvent is one call of a plugin.
type PluginEvent struct {
	Plugin   string
	Kind     PluginKind
	Outcome  string        // ok, unchanged, tool_error, or a Code
	Wait     time.Duration // for an instance
	Duration time.Duration // Wait included
	CPU      time.Duration // of guest code
}

// PluginStatus is the state of one plugin, for metrics and people.
type PluginStatus struct {
	Name      string // as documents call it
	Plugin    string // as its manifest calls it
	Version   string
	Digest    string
	Signer    string // id of the key; empty = nobody trusted signed it
	Kinds     []PluginKind
	Granted   []string // in words
	Refused   []string // asked for and not granted, in words
	Isolation string

	Calls, Errors, Discards, Recycled uint64
	Fuel                              int64
	CPU, Wait                         time.Duration
	Instances, Free, Waiting          int
	Memory                            int64     // bytes of all instances
	Degraded                          time.Time // the breaker is open until then; zero = closed
	Loaded                            time.Time
}

// MetricKind says how a metric of a plugin adds up.
type MetricKind int

// The kinds of metrics that a guest can report (sdk/ABI.md section 7).
const (
	MetricCounter MetricKind = iota
	MetricGauge
	MetricHistogram
)
