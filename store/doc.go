// Package store keeps rows in a database: it is core.Store through Bun on SQLite and on
// Postgres.
//
//	Change ─ f(tx) ─ Put, Delete …┐
//	                              ├─ one transaction: rows, audit entry, revision
//	entry ─ linked to the trail ──┘
//	State, Get, List ─ readers, beside the one writer
//
// A kind of row has a file: its table, its Bun model and the way between the model and the
// noun of core. What differs between databases stands in sqlite.go and postgres.go; what
// they have in common is more: texts, whole numbers, booleans and bytes. Times are whole
// microseconds of UTC, lists are JSON in text columns.
//
//	s, err := store.Open(ctx, "sqlite:/var/lib/sallyport/sallyport.db", store.Options{AuditKey: key})
//	…
//	defer s.Close()
//	entry := &core.AuditEntry{Tenant: "acme", Actor: who.Subject, Action: "user.write", Kind: "user", Name: "ann"}
//	err = s.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
//		return tx.Put(ctx, &core.User{Tenant: "acme", Name: "ann"})
//	})
//	state, err := s.State(ctx)
package store
