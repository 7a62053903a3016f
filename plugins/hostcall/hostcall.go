// Package hostcall is what a plugin's guest code can do outside of its memory: the
// host functions of sdk/ABI.md section 7, for one plugin, within what was granted to
// it and within the limits of section 9.
//
//	guest ─► sandbox ─► Host ─┬ http        grant → core.Egress (SSRF guard) ─► the world
//	                          │             └ secrets as headers; redirects, hop by hop
//	                          ├ kv_*        Store (Memory, or Rows of a tenant), one namespace
//	                          ├ secret      those that are granted, and no others
//	                          ├ call_tool   core.Call.Inside: the rights of the caller
//	                          ├ progress    core.Call.Notify
//	                          └ log, metric, config
//
//	host, err := hostcall.New(hostcall.Options{
//		Plugin: "weather", Granted: granted, Config: config, Secrets: secrets,
//		Dial: egress, KV: hostcall.NewMemory(time.Now), Observer: observer, Log: log, Now: time.Now,
//	})
//	plugin, err := sandbox.Load(ctx, wasm, sandbox.Options{Name: "weather", Grant: host.Grant(), Host: host})
//	defer host.Close() // after the plugin's
//
// The sandbox links only what was granted. Everything here checks again: the grant of
// a request is not one bit but hosts, methods, ports and names.
//
// # What a guest cannot do
//
// Reach a host that no rule names, also by a redirect, by a Host header or by a name
// that resolves to a private address. Have a secret sent to a host whose rule does
// not name it, or read one that was granted for a header only. Break out of a header
// by a line end. Ask for tools that its caller may not call, or call itself for ever.
// Fill the log, the store or the metrics.
package hostcall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/abi"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/sandbox"
)

// Options of New. Plugin is needed; Dial is where http is granted.
type Options struct {
	Plugin   string // what documents call it
	Granted  manifest.Capabilities
	Config   json.RawMessage // a JSON object; nil = {}
	Secrets  map[string]core.Secret
	Dial     core.Egress
	KV       Store         // nil = one of its own, in memory
	Observer core.Observer // nil = none
	Log      *slog.Logger  // of what happens outside of calls; nil = none
	Now      func() time.Time
}

// Host implements sandbox.Host for one plugin.
type Host struct {
	plugin   string
	granted  manifest.Capabilities
	rules    []rule
	whole    json.RawMessage // the configuration
	members  map[string]json.RawMessage
	secrets  map[string]core.Secret // all that the operator gave, granted or not
	upstream upstreams
	store    Store
	metrics  metrics
	mask     *mask
	off      defences // switched off by the test of the test, never elsewhere
}

// defences are what tests can switch off, one at a time, to see that an attack works
// where nothing stops it.
type defences struct {
	grant   bool // where a request may go
	hop     bool // the same, of redirects
	fields  bool // which headers a guest may set, and what stands in them
	scope   bool // which secrets may be read and where they are sent
	depth   bool // how deep tools call each other
	callees bool // which tools may be called
}

// New returns the Host of one plugin. Errors say which secret has no value, or what is
// wrong with the configuration.
func New(o Options) (*Host, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = core.NoObserver{}
	}
	if o.KV == nil {
		o.KV = NewMemory(o.Now)
	}
	h := &Host{
		plugin: o.Plugin, granted: o.Granted, store: o.KV, secrets: maps.Clone(o.Secrets),
		members: map[string]json.RawMessage{}, whole: o.Config,
		metrics: metrics{observer: o.Observer, plugin: o.Plugin},
	}
	if h.whole == nil {
		h.whole = json.RawMessage("{}")
	}
	if err := wire.Fields(h.whole, func(name string, v json.RawMessage) error { h.members[name] = v; return nil }); err != nil {
		return nil, fmt.Errorf("plugin %s: configuration: %w", o.Plugin, err)
	}
	if len(o.Granted.HTTP) > 0 && o.Dial == nil {
		return nil, errors.New("plugin " + o.Plugin + ": http is granted and there is no egress")
	}
	var err error
	if h.rules, err = rulesOf(&o); err != nil {
		return nil, err
	}
	h.upstream = upstreams{plugin: o.Plugin, dial: o.Dial, log: o.Log, open: map[string]*upstream{}}
	h.mask = maskOf(&o)
	return h, nil
}

// Grant returns which host functions the sandbox links.
func (h *Host) Grant() sandbox.Grant {
	return sandbox.Grant{
		HTTP: len(h.granted.HTTP) > 0, KV: h.granted.KV != nil, Secrets: len(h.granted.Secrets) > 0,
		Progress: h.granted.Progress, CallTool: len(h.granted.CallTool) > 0,
	}
}

// Close gives up the upstreams. Requests that run end by themselves. The Store is the
// caller's.
func (h *Host) Close() error { return h.upstream.close() }

// Config returns one member of the configuration, or all of it.
func (h *Host) Config(_ context.Context, _ *sandbox.Scope, key []byte) ([]byte, int64) {
	if len(key) == 0 {
		return h.whole, 0
	}
	if value, ok := h.members[string(key)]; ok {
		return value, 0
	}
	return nil, abi.ErrNotFound
}

// Secret returns the value of a secret that was granted for reading.
func (h *Host) Secret(_ context.Context, s *sandbox.Scope, name []byte) ([]byte, int64) {
	s.Count.Secrets++
	if !slices.Contains(h.granted.Secrets, string(name)) && !h.off.scope {
		return nil, abi.ErrDenied
	}
	if value, ok := h.secrets[string(name)]; ok {
		return []byte(value.Reveal()), 0
	}
	return nil, abi.ErrNotFound
}

var _ sandbox.Host = (*Host)(nil)
