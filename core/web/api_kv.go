package web

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// kvNamespace is what a namespace of the key-value store of plugins holds.
type kvNamespace struct {
	Namespace string `json:"namespace"`
	Entries   int    `json:"entries"`
	Bytes     int    `json:"bytes"`
}

// kvNamespaces lists them.
type kvNamespaces struct {
	Items []kvNamespace `json:"items"`
}

// kvState is an entry as it is shown.
type kvState struct {
	ID string `json:"id"`
	core.Entry
}

func kvRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/kv", Summary: "List the namespaces of the key-value store of plugins", On: "kv", Do: core.ActionRead, Stored: true,
			Answer: kvNamespaces{}, Handle: func(c *apiCall) error {
				list := kvNamespaces{Items: []kvNamespace{}}
				err := all(c.ctx, c.api.o.Store, core.Query{Tenant: c.tenant}, func(e *core.Entry) error {
					if ownSpace(e.Namespace) {
						return nil
					}
					last := len(list.Items) - 1 // rows come in the order of their keys
					if last < 0 || list.Items[last].Namespace != e.Namespace {
						list.Items = append(list.Items, kvNamespace{Namespace: e.Namespace})
						last++
					}
					list.Items[last].Entries++
					list.Items[last].Bytes += len(e.Name) + len(e.Value)
					return nil
				})
				if err != nil {
					return err
				}
				return c.reply(list)
			},
		},
		{
			Method: "GET", Pattern: "/kv/entries", Summary: "List entries of the key-value store of plugins", On: "kv", Do: core.ActionRead, Stored: true, Paged: true,
			Query:  []apiParam{{Name: "namespace", About: "Only those in it."}, {Name: "name", About: "Only those of this name."}},
			Answer: pageOf[kvState]{}, Handle: func(c *apiCall) error {
				q, err := c.page()
				if err != nil {
					return err
				}
				q.Equal = c.filters()
				var rows []core.Entry
				page := pageOf[kvState]{Items: []kvState{}}
				if page.Next, err = c.api.o.Store.List(c.ctx, &rows, q); err != nil {
					return err
				}
				for _, e := range rows {
					if !ownSpace(e.Namespace) && c.may(core.ActionRead, core.Object{Kind: "kv", Tenant: c.tenant, Server: e.Namespace, Name: e.Name}) == nil {
						page.Items = append(page.Items, kvState{opaque(e.Namespace, e.Name), e})
					}
				}
				return c.reply(page)
			},
		},
		{
			Method: "GET", Pattern: "/kv/entries/{id}", Summary: "Read an entry", On: "kv", Do: core.ActionRead, Name: "id", Object: kvObject, Stored: true,
			Answer: kvState{}, Handle: func(c *apiCall) error {
				e, err := c.kvEntry(c.ctx, c.api.o.Store)
				if err != nil {
					return err
				}
				return c.replyRow(e, kvState{c.path("id"), *e})
			},
		},
		{
			Method: "DELETE", Pattern: "/kv/entries/{id}", Summary: "Delete an entry", On: "kv", Do: core.ActionWrite, Name: "id", Object: kvObject, Stored: true,
			Match: true, Status: 204, Handle: func(c *apiCall) error {
				return c.change("kv.delete", "kv", "", func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
					e, err := c.kvEntry(ctx, tx)
					if err != nil {
						return err
					}
					entry.Name = e.Namespace + "/" + e.Name
					return tx.Delete(ctx, e)
				})
			},
		},
	}
}

// ownSpace tells whether a namespace is the gateway's own: no plugin can be granted it.
func ownSpace(namespace string) bool { return strings.HasPrefix(namespace, ".") }

func kvObject(id string) (server, name string, ok bool) {
	list, ok := parts(id, 2)
	if !ok {
		return "", "", false
	}
	return list[0], list[1], true
}

func (c *apiCall) kvEntry(ctx context.Context, from core.Reader) (*core.Entry, error) {
	list, ok := parts(c.path("id"), 2)
	if !ok || ownSpace(list[0]) {
		return nil, missing("entry")
	}
	e := &core.Entry{Tenant: c.tenant, Namespace: list[0], Name: list[1]}
	return e, c.fetch(ctx, from, e)
}
