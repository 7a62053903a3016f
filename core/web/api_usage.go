package web

import "github.com/sallyport/sallyport/core"

func usageRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/usage", Summary: "List what was used, by day, caller and tool", On: "usage", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{
				{Name: "day", About: "Only this day of UTC: 2030-01-31."},
				{Name: "subject", About: "Only of this user, by its id."},
				{Name: "server", About: "Only on this server."},
				{Name: "name", About: "Only of this tool."},
			},
			Answer: pageOf[core.Usage]{}, Handle: listOf[core.Usage],
		},
		{
			Method: "GET", Pattern: "/usage/now", Summary: "Tell what a user used today, and what its limits leave", On: "usage", Do: core.ActionRead,
			Query: []apiParam{{Name: "subject", About: "The user, by its id; yourself without it."}},
			Needs: counts, Stored: true, Answer: Use{}, Handle: func(c *apiCall) error {
				subject := c.asked("subject")
				if subject == "" {
					subject = c.who.Subject
				}
				return c.tellUse(subject)
			},
		},
	}
}

func counts(o *APIOptions) bool { return o.Used != nil }

// tellUse answers with what a user of the tenant used today.
func (c *apiCall) tellUse(subject string) error {
	used, err := c.api.o.Used(c.ctx, c.tenant, subject)
	if err != nil {
		return err
	}
	return c.reply(used)
}
