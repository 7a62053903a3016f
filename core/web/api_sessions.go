package web

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// revocationForm refuses something that would otherwise still be good.
type revocationForm struct {
	reasoned

	Of    string    `json:"of"` // session, jwt, subject
	ID    string    `json:"id"`
	Until time.Time `json:"until"` // when what it refuses has expired
}

var revokedKinds = []string{"session", "jwt", "subject"}

func sessionRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/sessions", Summary: "List the MCP sessions that are open", On: "session", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{
				{Name: "server", About: "Only those on this server."},
				{Name: "subject", About: "Only those of this user, by its id."},
				{Name: "replica", About: "Only those of this replica, by its id."},
				{Name: "revision", About: "Only those of this revision of MCP."},
			},
			Answer: pageOf[core.LiveSession]{}, Handle: listOf[core.LiveSession],
		},
		{
			Method: "DELETE", Pattern: "/sessions/{id}", Summary: "End an MCP session", On: "session", Do: core.ActionRevoke, Name: "id", Stored: true, Status: 204,
			Handle: endSession,
		},
		{
			Method: "GET", Pattern: "/revocations", Summary: "List what is refused although it has not expired", On: "session", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{{Name: "of", About: "Only those of this sort.", Enum: revokedKinds}}, Answer: pageOf[core.Revocation]{}, Handle: listOf[core.Revocation],
		},
		{
			Method: "POST", Pattern: "/revocations", Summary: "Refuse a session, an access token, or all that a user was given until now", On: "session", Do: core.ActionRevoke, Stored: true,
			Body: revocationForm{}, Status: 201, Answer: core.Revocation{}, Handle: func(c *apiCall) error {
				form := c.body.(*revocationForm)
				var problems []core.Problem
				if !slices.Contains(revokedKinds, form.Of) {
					problems = append(problems, wrong("/of", "this is not known", "write session, jwt or subject"))
				}
				if problems = needShort(problems, "/id", form.ID, 500); form.ID == "" {
					problems = append(problems, wrong("/id", "the id is empty", "write what is to be refused"))
				}
				if now := c.api.o.Now(); !form.Until.After(now) || form.Until.After(now.Add(400*24*time.Hour)) {
					problems = append(problems, wrong("/until", "this is over already, or more than a year away", "write when what is refused expires by itself"))
				}
				if problems != nil {
					return invalid(problems...)
				}
				row, err := c.revoke(form.Of, form.ID, form.Until)
				if err != nil {
					return err
				}
				return c.reply(row)
			},
		},
	}
}

// listOf answers a page of rows as they are, filtered by the query.
func listOf[R any](c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	q.Equal = c.filters()
	page := pageOf[R]{}
	if page.Next, err = c.api.o.Store.List(c.ctx, &page.Items, q); err != nil {
		return err
	}
	return c.reply(page)
}

// filters returns the query parameters of the route's own that were sent.
func (c *apiCall) filters() map[string]string {
	equal := make(map[string]string)
	for _, p := range c.route.Query {
		if text := c.asked(p.Name); text != "" && !p.Apart {
			equal[p.Name] = text
		}
	}
	return equal
}

// revoke refuses something from now on, in every replica.
func (c *apiCall) revoke(of, id string, until time.Time) (*core.Revocation, error) {
	row := &core.Revocation{
		Tenant: c.tenant, Of: of, ID: id, At: c.api.o.Now().UTC(), Until: until.UTC(), Reason: c.why, Revoker: c.who.Subject,
	}
	err := c.change("session.revoke", of, id, func(ctx context.Context, tx core.Tx, _ *core.AuditEntry) error { return tx.Put(ctx, row) })
	if err == nil && of == "session" && c.api.o.Sessions != nil {
		c.api.o.Sessions.EndLive(id)
	}
	return row, err
}

func endSession(c *apiCall) error {
	row := &core.LiveSession{Tenant: c.tenant, ID: c.path("id")}
	if err := c.fetch(c.ctx, c.api.o.Store, row); err != nil {
		return err
	}
	_, err := c.revoke("session", row.ID, row.Expires)
	return err
}
