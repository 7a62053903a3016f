// Package session makes ids that only we can make and read, and keeps what they
// name in memory.
//
//	Create(claims, bind…) ─► id = sealed(issued, expires, serial, claims | bind…)
//	Open(id, bind…) ─► in memory? the same bind? not idle, not too old ─► T
//	                └► not in memory: unseal ─► not ended? ─► Make(claims) ─► T
//
// An id carries what it takes to make its T again, so another replica (or this
// one after a restart) can go on with it when they share the keys. Bind says to
// whom an id belongs (server, tenant, subject): it is authenticated, not stored,
// and whoever comes with another bind learns only that there is no such session.
//
//	keys, err := session.OpenKeyring(dataDir, session.KeyringOptions{})
//	store := session.New(session.Options[*mcp.Session]{
//		Sealer: session.NewSealer(keys, nil),
//		Make:   remake,
//		Close:  (*mcp.Session).Close,
//	})
//	go store.Run(ctx)
//	id, s, err := store.Create(claims, server, who.Tenant, who.Subject)
//	s, err = store.Open(id, server, who.Tenant, who.Subject)
package session
