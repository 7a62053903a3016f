// Package egress is the only place of Sallyport that dials out.
//
//	               ┌────────────────────────── upstream ──────────────────────────┐
//	core.Request → │ check → breaker → bulkhead → exchange → limits → decode      │ → core.Response
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
// Every error is a *core.Error that names the connection, and never holds an
// argument, a query, a secret or an address (those of the log are in its Err).
package egress
