package web

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

// peopleRoutes are the logins of people, which are no MCP sessions.
func peopleRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/logins", Summary: "List who is logged in to the admin plane", On: "login", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{{Name: "user", About: "Only those of this user, by its id."}}, Answer: pageOf[core.Login]{},
			Handle: func(c *apiCall) error { return listLogins(c, c.asked("user")) },
		},
		{
			Method: "DELETE", Pattern: "/logins/{id}", Summary: "End a login", On: "login", Do: core.ActionRevoke, Name: "id", Stored: true, Needs: logsIn, Status: 204,
			Handle: func(c *apiCall) error { return endLogin(c, "") },
		},
	}
}

func listLogins(c *apiCall, user string) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	if user != "" {
		q.Equal = map[string]string{"user": user}
	}
	page := pageOf[core.Login]{}
	if page.Next, err = c.api.o.Store.List(c.ctx, &page.Items, q); err != nil {
		return err
	}
	return c.reply(page)
}

// endLogin ends a login; owner is whose it must be, "" = anybody's.
func endLogin(c *apiCall, owner string) error {
	row := &core.Login{Tenant: c.tenant, ID: c.path("id")}
	err := c.change("login.revoke", "login", c.path("id"), func(ctx context.Context, tx core.Tx, _ *core.AuditEntry) error {
		*row = core.Login{Tenant: c.tenant, ID: c.path("id")}
		if err := c.fetch(ctx, tx, row); err != nil {
			return err
		}
		if owner != "" && row.User != owner {
			return missing("login")
		}
		return tx.Delete(ctx, row)
	})
	if err != nil {
		return err
	}
	// This process may have remembered it for some seconds.
	return c.api.o.Logins.End(c.ctx, c.who, row, c.from())
}
