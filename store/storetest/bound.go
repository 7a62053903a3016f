package storetest

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// bound: within one tenant no row of another is read or changed, of whatever kind; and
// without core.WithTenant, or across tenants, the same is done.
func bound(t *testing.T, open Open) {
	s := open(t)
	everywhere := core.AcrossTenants(core.WithTenant(t.Context(), "acme"), "a test")
	for _, kind := range kinds {
		t.Run(kind.Key().Kind, func(t *testing.T) {
			own, other := sample(kind, "acme", 1, 0), sample(kind, "acm", 2, 0)
			home := own.Key().Tenant // of replicas and anchors: every tenant, so neither row is ours
			strange := core.CodeInternal
			mine := core.Code("")
			if home != "acme" {
				mine = strange
			}
			ctx := core.WithTenant(t.Context(), "acme")
			for _, row := range []struct {
				name string
				row  core.Row
				code core.Code
			}{{"own", own, mine}, {"other", other, strange}} {
				t.Run(row.name, func(t *testing.T) {
					tenant := row.row.Key().Tenant
					want(t, "put within", tryPut(ctx, s, clone(row.row)), row.code)
					if row.code == "" {
						want(t, "delete what was put", tryDelete(ctx, s, keyOnly(row.row)), "")
					}
					put(t, s, clone(row.row)) // the test of the test: nothing is bound
					want(t, "get", s.Get(ctx, keyOnly(row.row)), row.code)
					want(t, "get unbound", s.Get(t.Context(), keyOnly(row.row)), "")
					want(t, "get across", s.Get(everywhere, keyOnly(row.row)), "")
					_, err := listAll(ctx, s, kind, core.Query{Tenant: tenant})
					want(t, "list", err, row.code)
					_, err = listAll(t.Context(), s, kind, core.Query{Tenant: tenant})
					want(t, "list unbound", err, "")
					_, err = listAll(ctx, s, kind, core.Query{Tenant: core.EveryTenant})
					want(t, "list of all", err, strange)
					want(t, "in a change", s.Change(ctx, entry("test.read"), func(ctx context.Context, tx core.Tx) error {
						want(t, "get", tx.Get(ctx, keyOnly(row.row)), row.code)
						_, err := listAll(ctx, tx, kind, core.Query{Tenant: tenant})
						want(t, "list", err, row.code)
						return nil
					}), "")
					if row.code != "" {
						want(t, "append", s.Append(ctx, &core.Usage{Tenant: "acme", Day: "2026-03-29"}, appended(row.row)), row.code)
						want(t, "delete", tryDelete(ctx, s, keyOnly(row.row)), row.code)
						want(t, "get what stayed", s.Get(t.Context(), keyOnly(row.row)), "")
					}
					want(t, "delete across", tryDelete(everywhere, s, keyOnly(row.row)), "")
				})
			}
		})
	}
	t.Run("append", func(t *testing.T) {
		ctx, use := core.WithTenant(t.Context(), "acme"), func(tenant string) *core.Usage {
			return &core.Usage{Tenant: tenant, Day: "2026-03-30", Calls: 1}
		}
		want(t, "own", s.Append(ctx, use("acme")), "")
		want(t, "other", s.Append(ctx, use("acme"), use("acm")), core.CodeInternal)
		want(t, "get what was refused", s.Get(t.Context(), use("acm")), core.CodeNotFound)
		want(t, "other unbound", s.Append(t.Context(), use("acm")), "")
	})
}

// appended is the row, where rows of its kind are appended, or a usage of its tenant.
func appended(row core.Row) core.Row {
	switch row.(type) {
	case *core.CallRecord, *core.LiveSession, *core.Replica, *core.Entry, *core.Revocation, *core.Anchor:
		return clone(row)
	}
	return &core.Usage{Tenant: row.Key().Tenant, Day: "2026-03-29"}
}
