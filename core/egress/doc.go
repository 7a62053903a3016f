// Package egress is the only place of Sallyport that dials out.
//
//	               ┌────────────────────────── upstream ──────────────────────────┐
//	core.Request → │ check → breaker → bulkhead → exchange → limits → decode      │ → core.Response, or
//	               │                                                              │   core.Stream
//	               │   ↑ retry (idempotent, budget)   │        redirect (≤ 3) ↑   │
//	               └──────────────────────────────────┼───────────────────────────┘
//	                              HTTP/1.1 pool or net/http (HTTP/2)
//	                                                  │
//	                 resolve → guard every address in Dialer.Control → TCP → TLS
//
// The guard stands behind DNS: it sees the address that is about to be dialled, so
// a name that answers differently the second time gains nothing. Only public
// addresses pass (security.md appendix B), and ranges that the settings open. No
// proxy is taken from the environment, and the host always comes from the
// connection, never from an argument.
//
// HTTP/1.1 has a codec and a pool of its own. Compared with a ready client that
// buys three things: a cancelled context ends the exchange at once, because it
// moves the deadline of the socket; answers are parsed strictly (RFC 9112: one
// meaning or none); and a connection that showed any anomaly is never used again.
//
//	out := egress.New(egress.Options{Allow: ranges, Log: log})
//	defer out.Close()
//	shop, err := out.Open(&core.Connection{Name: "shop", BaseURL: base})
//	if err != nil {
//		return err
//	}
//	defer shop.Close()
//	answer, err := shop.Do(ctx, &core.Request{Method: "GET", Path: "/books/7", Idempotent: true})
//
// An upstream is a core.Streamer too: Stream returns with the head of the answer, and
// the body is read as it arrives, for hours where it must be (server-sent events). The
// deadlines of the connection hold until the head; from then on the end of the context
// and Close end it, both at once, and a body that was read to its end leaves its
// connection for the next exchange. A stream has no goroutine of ours and gives its place
// in the bulkhead back with the head; open streams are bounded apart, sixteen for each
// place (InFlight). They survive the Close of their upstream, as exchanges do.
//
//	events, err := shop.(core.Streamer).Stream(ctx, &core.Request{Method: "GET", Path: "/mcp"})
//	if err != nil {
//		return err
//	}
//	defer events.Body.Close()
//
// Every error is a *core.Error that names the connection, and never holds an
// argument, a query, a secret or an address (those of the log are in its Err).
package egress
