package web

import "github.com/sallyport/sallyport/core"

// limitStates is what of limits is used up now.
type limitStates struct {
	Items []LimitState `json:"items"`
}

func usageRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/usage", Summary: "List what was used, by day, caller and tool", On: "usage", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{
				{Name: "day", About: "Only this day of UTC: 2030-01-31."}, {Name: "subject", About: "Only of this user, by its id."},
				{Name: "server", About: "Only on this server."}, {Name: "name", About: "Only of this tool."},
			},
			Answer: pageOf[core.Usage]{}, Handle: listOf[core.Usage],
		},
		{
			Method: "GET", Pattern: "/usage/now", Summary: "Tell how much of the limits is used up in this process", On: "usage", Do: core.ActionRead,
			Needs: func(o *APIOptions) bool { return o.Limits != nil }, Answer: limitStates{},
			Handle: func(c *apiCall) error { return c.reply(limitStates{c.api.o.Limits(c.tenant)}) },
		},
	}
}
