// Package authz decides who may do what. Casbin holds the policy and explains it; calls
// and lists ask a snapshot that is compiled from the same lines.
//
//	core.State ─► Use ─► compile ─┬► tables: role → kind → action → globs ─► Authorize
//	                              └► Casbin (roles with domains) ─► Explain
//
//	caller ─► view (roles held everywhere, roles in the tenant, scopes) ─► decision ─► nil | CodeDenied
//
// Nothing is allowed unless a line says so, and a line that denies wins. A line belongs to
// a role of a tenant. A caller acts only on objects of its own tenant, save with roles that
// it holds everywhere: these are given by the default tenant, so that tenant's lines say
// what they may, in every tenant, and no other tenant can widen or narrow them. Tenants
// themselves are managed by such roles only. Scopes of an API token narrow all of it.
//
//	access := authz.New(authz.Options{Log: log})
//	if err := access.Use(state); err != nil {
//		return err // the policy that was there before still holds
//	}
//	err := access.Authorize(ctx, who, core.ActionCall, core.Object{
//		Kind: "tool", Tenant: "acme", Server: "github", Name: "create_issue",
//	})
//	why, err := access.Explain(ctx, who, core.ActionCall, object)
package authz
