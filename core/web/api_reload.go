package web

import "github.com/sallyport/sallyport/core"

// reloaded is what a reload answers.
type reloaded struct {
	Revision string        `json:"revision"` // of the documents that are served now
	Problems []ToldProblem `json:"problems"` // warnings
}

func reloadRoutes() []apiRoute {
	return []apiRoute{{
		Method: "POST", Pattern: "/reload", Summary: "Read documents, plugins and the tags of registries again",
		On: "document", Do: core.ActionPublish, Whole: true, Needs: func(o *APIOptions) bool { return o.Reload != nil },
		Answer: reloaded{}, Also: []int{422},
		Handle: func(c *apiCall) error {
			done := c.api.o.Reload(c.ctx)
			if !done.Applied {
				problems := done.Problems
				if len(problems) == 0 {
					problems = []core.Problem{{Message: "it is not known what", Fix: "look into the gateway's log"}}
				}
				return &core.Error{
					Code: core.CodeInvalid, Message: "the documents have mistakes; what was served before still is",
					Fix: "mend them and reload again", Problems: problems,
				}
			}
			return c.reply(reloaded{done.Revision, Told(done.Problems)})
		},
	}}
}
