// Package upstream is a client of one MCP server of any revision, on raw JSON: what
// comes out are the nouns of package core, free of any revision.
//
//	           ┌──────────────────────── Client ─────────────────────────┐
//	core.Call ─┤ peer: what a probe found (revision, transport, offers)  │
//	           │   ├ conn of everybody ─ ids, progress tokens, asks ─ link ─ POST, GET, DELETE │ one endpoint
//	           │   └ pool of conns, each leased to one call ──────── link ─ GET and POST       │ HTTP+SSE
//	           │       └ asks back: parked ─► Result.InputRequests   link ─ lines              │ a process
//	core.Result┤ changes: one stream for all that listen                 │
//	           └──────────────────────────────────────────────────────────┘
//
// The probe asks server/discover, then initialize, then opens an HTTP+SSE stream, and is
// believed until something contradicts it: an unknown session, another revision, a door
// that is not there any more. Requests under way then go on to their end where they are.
//
// A request is sent again only where it surely did not run: its session was unknown, or
// it was refused for its form. Every call ends with a result or a *core.Error within its
// deadline, whatever the upstream does.
//
// Calls whose client can be asked something, or wants log messages, have a session of
// their own while they run (up to 2025-11-25): what the upstream says outside of the
// streams of requests can then only mean them. What it asks becomes a Result with
// InputRequests; the call waits under a handle for the repeated call that answers.
//
//	up, err := upstream.Open(upstream.Options{Name: "books", URL: u, HTTP: connection})
//	if err != nil {
//		return err
//	}
//	defer up.Close()
//	offer, err := up.Offer(ctx)             // definitions as they were sent
//	stop := up.Changes(func(core.Change) { again() })
//	defer stop()
//	result, err := up.CallTool(ctx, call)   // blocks stay raw
package upstream
