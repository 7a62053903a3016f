package core

import "context"

// within is the key of what WithTenant and AcrossTenants leave in a context.
type within struct{}

// WithTenant returns a context within which a Store hands out, and changes, rows of this
// tenant only: whatever is asked for another one is an *Error with CodeInternal. It is set
// once, where a request has been authorised; code that forgets its tenant is stopped by it.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, within{}, tenant)
}

// AcrossTenants returns a context within which a Store compares no tenant, as it does where
// WithTenant was never called. The reason, for those who read the code, says why rows of
// several tenants are rightly asked for.
func AcrossTenants(ctx context.Context, reason string) context.Context {
	if reason == "" {
		return ctx // whoever has no reason gets nothing wider
	}
	return context.WithValue(ctx, within{}, EveryTenant)
}

// TenantOf returns the tenant that ctx is bound to; false = it is bound to none.
func TenantOf(ctx context.Context) (tenant string, bound bool) {
	tenant, bound = ctx.Value(within{}).(string)
	return tenant, bound && tenant != EveryTenant
}
