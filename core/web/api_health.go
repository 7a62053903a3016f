package web

import (
	_ "embed"

	"github.com/sallyport/sallyport/core"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the description of the API (OpenAPI 3.1, YAML).
func OpenAPI() []byte { return append([]byte(nil), openAPI...) }

func healthRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/openapi.yaml", Summary: "This description", Noun: "health", Public: "it is published with the sources",
			Type: "application/yaml", Handle: func(c *apiCall) error {
				c.answer, c.contentType = openAPI, "application/yaml"
				return nil
			},
		},
		{
			Method: "GET", Pattern: "/health", Summary: "Tell how this process does", On: "health", Do: core.ActionRead, Whole: true,
			Needs: func(o *APIOptions) bool { return o.Health != nil }, Answer: Health{},
			Handle: func(c *apiCall) error { return c.reply(c.api.o.Health()) },
		},
		{
			Method: "GET", Pattern: "/replicas", Summary: "List the processes that serve from the store", Noun: "health",
			On: "health", Do: core.ActionRead, Whole: true, Stored: true, Paged: true, Answer: pageOf[core.Replica]{}, Handle: listReplicas,
		},
	}
}

func listReplicas(c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	page := pageOf[core.Replica]{}
	if page.Next, err = c.api.o.Store.List(c.ctx, &page.Items, q); err != nil {
		return err
	}
	return c.reply(page)
}
