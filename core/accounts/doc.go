// Package accounts keeps the accounts that callers connect at upstreams' authorization
// servers, and hands out their tokens.
//
//	browser ─► Begin ─► authorization server ─► Finish ─► core.Store (sealed)
//	             │ flow: a sealed cookie             │
//	             └ state, PKCE, resource             └ state, iss, single use
//
//	call ─► Token ─► memory (core.State) ─► good? ─► upstream
//	                                    └─► renewed once for all who wait, and stored
//
//	a := accounts.New(accounts.Options{Store: store, Sealer: vault, Client: egress.RoundTripper(…), Base: "https://mcp.example.com"})
//	defer a.Close()
//	a.Use(state) // whenever the store changed
//	to, flow, err := a.Begin(ctx, who, "github", callback, "/admin/accounts")
//	done, err := a.Finish(ctx, who, flow, query, callback)
//	token, err := a.Token(ctx, call.Who, "github")
//
// Every account belongs to one user of one tenant, and to one issuer: when a connector is
// pointed at another one, its accounts are connected anew. A token of a caller that came
// in is never sent on (security.md T9): what goes to an upstream is what its own
// authorization server gave for that user.
//
// Token waits for nobody but the authorization server, and for that only when a token
// runs out. While the store is away it answers from memory; a token that was renewed
// meanwhile is stored when the store is back.
//
// # The flow
//
// Authorization code with PKCE S256 (RFC 7636) and resource (RFC 8707), by metadata
// whose issuer is the one that was asked (RFC 8414, section 3.3) and that names S256. What
// a flow must remember is sealed in the cookie of the browser that began it: state,
// verifier, user, connector, issuer, callback and where to go afterwards. The answer must
// bring the same state, the right iss (RFC 9207), and come to the same callback, once and
// within ten minutes.
package accounts
