// Package authn says who calls: MCP clients, and people at the admin plane.
//
//	                     ┌──────────── index (of a core.State, behind one pointer) ───────────┐
//	Authorization ─► Authn: cache by SHA-256 ─► operator? ─► API token? ─► access token ─► core.Identity
//	                     └ Run: last uses ─► Store.Append    JWT: keys of its issuer │ opaque: asked there
//	                            new users ─► Store.Change    then the checks, in one list (jwt.go)
//
//	name, password ─► throttle ─► argon2id, two at a time ─┐
//	OpenID Connect: Begin ─► provider ─► Finish ───────────┼► Logins ─► cookie ─► Find ─► core.Identity
//	setup token, once, while there is no user ─────────────┘
//
// An Authn never waits for the store: what it needs is handed to Use whenever the store
// changed, and everything that was let in before is looked at again. It asks issuers only
// for keys and about opaque tokens, through the one RoundTripper that it is given; what it
// cannot find out it refuses.
//
//	a := authn.New(authn.Options{Store: store, Sealer: vault, Transport: out, Log: log})
//	a.Use(state)
//	go a.Run(ctx)
//	who, err := a.Authenticate(ctx, &core.AuthRequest{Server: server, Tenant: tenant, Resource: uri, Metadata: url, Header: header})
//	err = a.Scopes(who, tool.Scopes, request) // step-up: all scopes in one challenge
//
//	logins := authn.NewLogins(a, authn.LoginOptions{})
//	token, needed, err := logins.EnsureSetup(ctx) // print it
//	granted, err := logins.Password(ctx, tenant, name, password, authn.From{Address: address})
//	found, err := logins.Find(ctx, cookie)
//
// Users of a provider are found by its id and their subject there, never by name or e-mail
// address. Secrets are compared in constant time and kept as hashes: of API tokens,
// cookies, CSRF and setup tokens as SHA-256, for they are random, of passwords as argon2id.
package authn
