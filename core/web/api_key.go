package web

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

func keyRoutes() []apiRoute {
	keys := func(o *APIOptions) bool { return o.Keys != nil }
	return []apiRoute{
		{
			Method: "GET", Pattern: "/keys", Summary: "List the ids of the keys that secrets are sealed with", On: "key", Do: core.ActionRead, Whole: true,
			Needs: keys, Answer: keyList{}, Handle: func(c *apiCall) error {
				return c.reply(keyList{Active: c.api.o.Keys.Kid(), Keys: c.api.o.Keys.Kids()})
			},
		},
		{
			Method: "POST", Pattern: "/keys/rotate", Summary: "Make a new key, and seal with it what is stored", On: "key", Do: core.ActionWrite, Whole: true, Proof: true,
			Stored: true, Needs: keys, Slow: true, Body: reasoned{}, Answer: KeyRotation{}, Handle: func(c *apiCall) error {
				// What was begun is ended: a client that leaves stops no rotation halfway.
				ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), slowest)
				defer cancel()
				done, err := c.api.o.Keys.Rotate(ctx, c.entry("key.rotate", "key", ""))
				if err != nil {
					return err
				}
				return c.reply(done)
			},
		},
	}
}

// keyList is the keys, of which only ids are known outside.
type keyList struct {
	Active string   `json:"active"` // the one that seals
	Keys   []string `json:"keys"`
}
