// Package gateway answers for MCP servers. Build turns what people write (a
// core.Config) into what requests run on (a Catalog), and says every mistake with
// its place. A Gateway holds one Catalog at a time and swaps it whole.
//
//	core.Config ──Build──→ Catalog ──Publish──→ Gateway ──Find(prefix)──→ core.Handler
//	                          │                                               │
//	          every mistake as a core.Problem       find → allow → check → authorize → rewrite
//	                                                → invoke → transform → check → record,
//	                                                                       on that Catalog
//
// A request takes its Handler once and keeps it to its end, so it never sees two
// Catalogs. What a Catalog holds (invokers, open directories, its set of plugins) is
// closed after its last request.
//
//	options := gateway.Options{Kinds: kinds, Dial: egress, Observer: observer, Log: log}
//	g := gateway.New(options)
//	catalog, problems := g.Build(ctx, config)
//	if catalog == nil {
//		return report(problems)
//	}
//	g.Publish(catalog)
//
//	h := g.Find("bookshop")
//	defer h.Release()
//	result, err := h.CallTool(ctx, &core.Call{Tool: "get_book", Arguments: arguments})
package gateway
