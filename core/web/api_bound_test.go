package web

import (
	"testing"

	"github.com/sallyport/sallyport/core"
)

// A handler that forgets its tenant is stopped by the store, and would not be without what
// the dispatcher binds it to.
func TestAPIBindsHandlers(t *testing.T) {
	t.Parallel()
	r := startAPI(t, func(o *APIOptions, _ *Options) {
		o.more = append(o.more, apiRoute{
			Method: "GET", Pattern: "/forgetful", Summary: "List the users of all tenants by mistake", On: "user", Do: core.ActionRead, Answer: pageOf[core.User]{},
			Handle: func(c *apiCall) error {
				var page pageOf[core.User]
				if _, err := c.api.o.Store.List(c.ctx, &page.Items, core.Query{Tenant: core.EveryTenant}); err != nil {
					return err
				}
				return c.reply(page)
			},
		})
	})
	if got := r.ask("admin", "GET", "/api/v1/forgetful", ""); got.status != 500 {
		t.Errorf("status %d", got.status)
	}
	r.api.lax.bound = true // the test of the test
	if got := r.ask("admin", "GET", "/api/v1/forgetful", ""); got.status != 200 {
		t.Errorf("status %d of a handler that is not bound", got.status)
	}
}
