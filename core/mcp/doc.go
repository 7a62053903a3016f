// Package mcp is the wire: the Model Context Protocol in all its dated revisions,
// on one endpoint, free of any HTTP library and of any server's inside.
//
//	     web (one HTTP request)
//	            │ Handle(ctx, Request, Sink)
//	which revision speaks?  handle.go
//	  envelope in _meta │ none
//	       ┌────────────┴────────────┐
//	  envelope.go               legacy.go ── Session (session.go)
//	       │                         │  trails that can be resumed (trail.go)
//	       └── exchange.go: methods ─┘
//	            │ core.Call, core.Page …
//	      core.Handler (package gateway)
//
// A revision is a list of traits (rev_YYYY_MM_DD.go); code asks for a trait and
// never compares dates. What an old revision cannot carry is brought down to what
// it can (encode.go); what a call needs of the client is returned as a request for
// it, and asked for on the stream where the revision does it that way (input.go).
//
//	e := mcp.New(mcp.Options{Sessions: sessions, Sealer: sealer, Now: time.Now})
//	e.Handle(ctx, &mcp.Request{
//		Method:  "POST",
//		Header:  header, // Content-Type, Accept, MCP-Protocol-Version, …
//		Body:    body,
//		Handler: gateway.Find("bookshop"), // Handle releases it
//	}, sink) // one of Reply, Stream, Park is called
//	e.Drain(ctx) // before the process ends
//
// Specifications: modelcontextprotocol.io, revisions 2024-11-05 to 2026-07-28;
// JSON-RPC 2.0; server-sent events as in WHATWG HTML, section 9.2 (sse.go).
package mcp
