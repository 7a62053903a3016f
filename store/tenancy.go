package store

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

// mine refuses what is asked for a tenant other than the one that ctx is bound to
// (core.WithTenant). It is a second lock: the first is that every statement is built from the
// tenant of the row or of the query. What it stops is a mistake of ours, so it is logged.
func (s *Store) mine(ctx context.Context, doing, kind, tenant string) error {
	bound, ok := core.TenantOf(ctx)
	if !ok || tenant == bound {
		return nil
	}
	s.options.Log.Error("a row of another tenant was asked for", "doing", doing, "kind", kind, "tenant", bound, "asked", tenant)
	return &core.Error{
		Code: core.CodeInternal, Message: "a row of another tenant was asked for within one tenant: " + doing + " " + kind,
		Fix: "this is a mistake of the program: report it",
	}
}
