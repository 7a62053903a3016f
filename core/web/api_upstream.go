package web

import (
	"github.com/sallyport/sallyport/core"
)

// upstreamList lists upstreams.
type upstreamList struct {
	Items []core.RemoteStatus `json:"items"`
}

func upstreamRoutes() []apiRoute {
	return []apiRoute{{
		Method: "GET", Pattern: "/upstreams", Summary: "List the upstream MCP servers of a tenant, and how they are, as the replica that answers sees them", On: "health", Do: core.ActionRead,
		Needs: func(o *APIOptions) bool { return o.Upstreams != nil }, Answer: upstreamList{}, Handle: func(c *apiCall) error {
			list := upstreamList{Items: c.api.o.Upstreams(c.tenant)}
			if list.Items == nil {
				list.Items = []core.RemoteStatus{}
			}
			return c.reply(list)
		},
	}}
}
