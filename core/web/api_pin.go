package web

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// pinState is a pin as it is shown.
type pinState struct {
	ID string `json:"id"`
	core.Pin
}

// opaque makes an id of names that may hold anything.
func opaque(parts ...string) string {
	return "~" + base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "\x1f")))
}

// parts takes an id apart; false when it is none.
func parts(id string, n int) ([]string, bool) {
	text, found := strings.CutPrefix(id, "~")
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !found || err != nil {
		return nil, false
	}
	list := strings.Split(string(b), "\x1f")
	return list, len(list) == n
}

// pinKinds are the kinds of pins: of definitions as they were approved, or that are new; and
// of those that changed since.
var pinKinds = []string{
	"tool", "prompt", "resource", "template", "tool" + core.PinWaits, "prompt" + core.PinWaits, "resource" + core.PinWaits, "template" + core.PinWaits,
}

func pinRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/pins", Summary: "List the definitions of upstreams that were seen and approved", On: "pin", Do: core.ActionRead, Stored: true, Paged: true,
			Query: []apiParam{
				{Name: "server", About: "Only those on this server."},
				{Name: "kind", About: "Only of these.", Enum: pinKinds},
				{Name: "name", About: "Only of this name."},
				{Name: "state", About: "Only in this state.", Enum: []string{"approved", "quarantined"}},
			},
			Answer: pageOf[pinState]{}, Handle: func(c *apiCall) error {
				q, err := c.page()
				if err != nil {
					return err
				}
				q.Equal = c.filters()
				var rows []core.Pin
				page := pageOf[pinState]{Items: []pinState{}}
				if page.Next, err = c.api.o.Store.List(c.ctx, &rows, q); err != nil {
					return err
				}
				for _, p := range rows {
					if c.may(core.ActionRead, core.Object{Kind: "pin", Tenant: c.tenant, Server: p.Server, Name: p.Name}) == nil {
						page.Items = append(page.Items, pinState{opaque(p.Server, p.Of, p.Name), p})
					}
				}
				return c.reply(page)
			},
		},
		{
			Method: "GET", Pattern: "/pins/{id}", Summary: "Read a pin", On: "pin", Do: core.ActionRead, Name: "id", Object: pinObject, Stored: true,
			Answer: pinState{}, Handle: func(c *apiCall) error {
				pin, err := c.pin(c.ctx, c.api.o.Store)
				if err != nil {
					return err
				}
				return c.replyRow(pin, pinState{c.path("id"), *pin})
			},
		},
		{
			Method: "POST", Pattern: "/pins/{id}/approve", Summary: "Approve a definition as it is now", On: "pin", Do: core.ActionApprove, Name: "id", Object: pinObject,
			Stored: true, Body: reasoned{}, Match: true, Answer: pinState{}, Handle: func(c *apiCall) error {
				var pin *core.Pin
				err := c.change("pin.approve", "pin", "", func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
					var err error
					if pin, err = c.pin(ctx, tx); err != nil {
						return err
					}
					entry.Name = pin.Server + "/" + pin.Name
					pin.State, pin.Approved = "approved", c.who.Subject
					c.stamp(pin)
					if err := tx.Put(ctx, pin); err != nil {
						return err
					}
					return details(entry, "state")
				})
				if err != nil {
					return err
				}
				return c.replyRow(pin, pinState{c.path("id"), *pin})
			},
		},
	}
}

func pinObject(id string) (server, name string, ok bool) {
	list, ok := parts(id, 3)
	if !ok {
		return "", "", false
	}
	return list[0], list[2], true
}

func (c *apiCall) pin(ctx context.Context, from core.Reader) (*core.Pin, error) {
	list, ok := parts(c.path("id"), 3)
	if !ok {
		return nil, missing("pin")
	}
	pin := &core.Pin{Tenant: c.tenant, Server: list[0], Of: list[1], Name: list[2]}
	return pin, c.fetch(ctx, from, pin)
}
