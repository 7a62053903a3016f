// Package invokers holds the built-in invoker kinds, each in one file or folder.
//
//	document: {kind: rest, config: …} ─► Kind.New(config, env) ─► core.Invoker ─► calls
//
//	kinds := []core.Kind[core.Invoker]{invokers.REST, invokers.Echo}
//	invoker, err := invokers.REST.New(ctx, config, core.Env{Connections: connections, Dial: egress})
//	result, err := invoker.Invoke(ctx, call)
package invokers

import "github.com/sallyport/sallyport/core/invokers/rest"

// REST is the kind "rest": it calls an HTTP API.
var REST = rest.Kind
