package core

import (
	"context"
	"encoding/json"
	"time"
)

// UpstreamConfig is one MCP server that the gateway calls. One that is reached over HTTP
// has a URL, or a Connection with a Path; a process has a Command.
type UpstreamConfig struct {
	At        `json:"-"`
	Name      string `json:"name"`                // a slug
	Transport string `json:"transport,omitempty"` // http, sse or stdio; absent = stdio where there is a command, else http

	URL        string            `json:"url,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`    // with URL
	Credential *CredentialConfig `json:"credential,omitempty"` // with URL
	Connection string            `json:"connection,omitempty"`
	Path       string            `json:"path,omitempty"` // with Connection: below its baseUrl; absent = the baseUrl itself

	Command   []string          `json:"command,omitempty"` // an absolute path, then arguments; no shell reads it
	Env       map[string]string `json:"env,omitempty"`     // its whole environment, together with Secrets
	Secrets   map[string]Secret `json:"secrets,omitempty"` // variables whose values are shown nowhere
	Directory string            `json:"directory,omitempty"`
	Start     string            `json:"start,omitempty"` // eager, on_demand or idle_stop; absent = on_demand
	Idle      string            `json:"idle,omitempty"`  // Go duration, for idle_stop; absent = 5m
	Warm      int               `json:"warm,omitempty"`  // processes that are kept ready beside the one in use

	Revision    string `json:"revision,omitempty"`    // that is spoken, and no other; absent = what it can
	Definitions string `json:"definitions,omitempty"` // pin, quarantine, alert or off: what becomes of definitions that nobody approved; absent = pin
	Sessions    int    `json:"sessions,omitempty"`    // for calls that may ask their client something, all callers together; 0 = 16
	Disabled    bool   `json:"disabled,omitempty"`    // not connected; what names it has nothing of it
	Route       *bool  `json:"route,omitempty"`       // whether it is also a server of its own name, with everything as it is; absent = yes, unless a server has it, or has its name
}

// The policies for definitions of upstreams that nobody approved (UpstreamConfig.Definitions).
const (
	DefinitionsPin        = "pin"        // what it offers when it is first met is approved; what is new or changed later waits
	DefinitionsQuarantine = "quarantine" // all of it waits for somebody's approval
	DefinitionsAlert      = "alert"      // shown, and told of
	DefinitionsOff        = "off"        // shown
)

// MountConfig puts what an upstream offers into a server.
type MountConfig struct {
	At        `json:"-"`
	Upstream  string  `json:"upstream"`
	Prefix    *string `json:"prefix,omitempty"`    // a slug that begins with a letter, before every name; absent = the name of the upstream; "" = none
	Separator string  `json:"separator,omitempty"` // between prefix and name: _ or - or . or two of them; absent = _

	Tools     *SelectConfig             `json:"tools,omitempty"`     // by the upstream's own names; absent = all
	Prompts   *SelectConfig             `json:"prompts,omitempty"`   // likewise
	Resources *SelectConfig             `json:"resources,omitempty"` // resources and templates, by the upstream's own URIs
	Overrides map[string]OverrideConfig `json:"overrides,omitempty"` // by the upstream's own name of a tool

	Instructions *bool  `json:"instructions,omitempty"` // whether its instructions become a part of the server's; absent = yes
	Timeout      string `json:"timeout,omitempty"`      // of a call; Go duration; absent = 30s; at most 5m
}

// SelectConfig selects names by globs in which * stands for any text.
type SelectConfig struct {
	Allow []string `json:"allow,omitempty"` // absent = all
	Deny  []string `json:"deny,omitempty"`  // wins over Allow
}

// OverrideConfig says a tool of an upstream differently.
type OverrideConfig struct {
	Title       string                    `json:"title,omitempty"`
	Description string                    `json:"description,omitempty"`
	Annotations json.RawMessage           `json:"annotations,omitempty"` // laid over those of the upstream
	Arguments   map[string]ArgumentConfig `json:"arguments,omitempty"`   // by their names at the root of the input schema
	Scopes      []string                  `json:"scopes,omitempty"`      // that an OAuth access token must have been granted
}

// ArgumentConfig says an argument of a tool of an upstream differently. At most one of
// Default, Fixed and Hidden is set.
type ArgumentConfig struct {
	Description string          `json:"description,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"` // in the schema that clients see, and sent where they leave it out
	Fixed       json.RawMessage `json:"fixed,omitempty"`   // always sent; clients do not see the argument, and cannot set it
	Hidden      bool            `json:"hidden,omitempty"`  // never sent; clients do not see it
}

// Remotes opens the upstreams of documents. It outlives every Catalog: one whose
// configuration did not change stays connected.
type Remotes interface {
	// Open returns the upstreams that configs describe, and every mistake in them. It waits
	// a little for those that were not met before. The set is never nil, and holds what
	// could be opened also beside mistakes.
	Open(ctx context.Context, configs []UpstreamConfig, use RemoteEnv) (RemoteSet, []Problem)
}

// RemoteEnv is what the rest of a Config gives to its upstreams.
type RemoteEnv struct {
	// Connection returns what HTTP goes through: that of the name that an upstream gives, or
	// one made of its URL, Headers and Credential. nil = it is wrong, which was said.
	Connection func(c *UpstreamConfig) *Connection
	Dial       Egress
}

// RemoteSet is the upstreams of one Catalog. What it offers does not change while it is open.
type RemoteSet interface {
	// Remote returns an upstream; nil = there is none of that name, or Open told what is
	// wrong with it.
	Remote(name string) Remote
	// Revision names what is offered, by digests; "" = nothing is.
	Revision() string
	// Close lets go of the upstreams. Those that no other set has are closed.
	Close() error
}

// Remote is an MCP server that the gateway calls, of any revision. Names and URIs are its
// own. The call that its methods are given may be changed by nobody else meanwhile.
type Remote interface {
	Name() string
	Offer() *Offer // what the set was opened with; nil = it was never reached
	CallTool(ctx context.Context, call *Call) (*Result, error)
	GetPrompt(ctx context.Context, call *Call) (*Result, error)
	ReadResource(ctx context.Context, call *Call) (*Result, error)
	Complete(ctx context.Context, call *Call, request *CompleteRequest) (*Completion, error)
	// Follow asks to be told when a resource changes, until stop is called. It is told
	// through what the Remotes were made with.
	Follow(ctx context.Context, uri string) (stop func(), err error)
}

// Offer is what an upstream offers to clients: its definitions as it sent them, but for
// characters that nobody sees, without those that wait for approval.
type Offer struct {
	Revision     string
	Server       json.RawMessage // serverInfo; nil = not said
	Capabilities json.RawMessage // an object
	Instructions string
	Offers       Offers

	Tools, Prompts, Resources, Templates []json.RawMessage

	// Held are the definitions that wait for approval, or were refused. Nothing of them may
	// be used.
	Held []HeldDefinition
}

// HeldDefinition names a definition that clients must not get.
type HeldDefinition struct {
	Of   string // tool, prompt, resource, template
	Name string // name, URI or URI template
}

// RemoteStatus is how an upstream is, for people and metrics.
type RemoteStatus struct {
	Name      string     `json:"name"`
	Transport string     `json:"transport"`          // http, sse or stdio
	Revision  string     `json:"revision,omitempty"` // that was found; empty = not reached yet
	State     string     `json:"state"`              // up, down, connecting, idle (a process that nobody needs) or disabled
	Since     *time.Time `json:"since,omitempty"`    // it is up, or down
	Error     string     `json:"error,omitempty"`    // why it is down, fit to be shown
	Sessions  int        `json:"sessions"`           // open
	Parked    int        `json:"parked"`             // calls that wait for what their clients say
	Restarts  int        `json:"restarts"`           // of a process
	Tools     int        `json:"tools"`              // that clients get; likewise the next three
	Prompts   int        `json:"prompts"`
	Resources int        `json:"resources"`
	Templates int        `json:"templates"`
	Held      int        `json:"held"` // definitions that wait for approval, or were refused
}
