// Package web is the HTTP edge: the only room that imports Fiber. It takes bytes
// off a socket, decides whether they may come in, copies them out of Fiber's
// reused memory, and gives what an [Endpoint] answers back as JSON or as SSE.
//
//	socket → conn (limits, deadlines) → Fiber → gate (Host, Origin, CORS) → route
//	                 │                                                       │
//	              watcher: client left → context cancelled          Finder → Handler
//	                 │                                                       │
//	               stream ← hub (keep-alives, leaving) ← Sink ←── Endpoint.Handle
//
// One goroutine serves a connection. A stream writes to its socket itself and
// needs no goroutine while it is idle, so ten thousand of them are cheap.
//
//	edge, err := web.New(web.Options{Servers: gateway, Endpoint: endpoint})
//	if err != nil {
//		return err
//	}
//	if err := web.CheckListen("127.0.0.1:8080", false); err != nil {
//		return err
//	}
//	listener, err := net.Listen("tcp", "127.0.0.1:8080")
//	if err != nil {
//		return err
//	}
//	return edge.Serve(ctx, listener) // drains when ctx ends
package web
