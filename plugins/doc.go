// Package plugins runs the plugins of documents: it finds each where its document says,
// decides whether it may be loaded and what it may reach, and makes of it the parts that
// a Catalog is built from.
//
//	core.PluginConfig ─► source (file, oci://, store:) ─► artifact, digest
//	                        │ pin, signature, growth (trust)      ─ no ─► core.Problem
//	                        │ request ∩ grants, secrets, config   ─ no ─► core.Problem
//	                        ▼
//	                     key = digest + grant + config + secrets + limits
//	                        ├ known: the same version, one reference more
//	                        └ new:   sandbox.Load ─► self-test ─► version
//	                                      │ hostcall: what its imports do
//	core.PluginSet ◄─ *Plugin ◄───────────┘
//	     │ Close: a version that no set has drains and goes
//	     └─ kinds named "wasm": invoker, transformer, request transformer, authorizer, catalogue
//
//	host, err := plugins.New(plugins.Options{Dir: data + "/plugins", Trust: policy, Dial: egress, KV: store})
//	set, problems := host.Open(ctx, config.Plugins)
//	defer set.Close()
//	go host.Run(ctx)               // moved tags, changed catalogues → Options.Changed
//	…
//	err = host.Close(ctx)
//
// A reload opens a new set beside the old one: plugins that did not change are shared, and
// the old set closes when the last call on the old Catalog ended. A plugin that cannot be
// loaded is a Problem, so that the reload is refused and what runs goes on.
//
// # What is remembered
//
// Dir holds fetched artifacts (store), native code (cache), and running.json: which
// version of each plugin ran last. A new version that asks for more, or an older one, is
// held against that also after a restart.
package plugins
