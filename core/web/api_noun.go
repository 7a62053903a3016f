package web

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// rowOf is a row by its pointer.
type rowOf[R any] interface {
	*R
	core.Row
}

// noun makes the five routes of something that is kept as rows: list, make, read, change,
// delete. R is the row, F what people write of it, V how it is shown.
type noun[R any, P rowOf[R], F, V any] struct {
	kind    string // of core.ObjectKinds
	path    string // /limits
	param   string // {id}
	one     string // a limit
	many    string // limits
	filter  []apiParam
	without []string // of list, make, read, change, delete
	whole   bool
	proof   bool // deleting is dangerous
	needs   func(*APIOptions) bool

	// key returns a row whose key is set.
	key func(tenant, id string) P
	// made fills in the key of a new row.
	made func(c *apiCall, row P, form *F) error
	// write takes what people wrote into a row, and returns the names of what JSON hides
	// and is changed. It checks what it takes. P is as stored; fresh is a new one.
	write func(ctx context.Context, c *apiCall, tx core.Tx, row P, form *F, fresh bool) (hidden []string, err error)
	// deleted is told before a row goes; nil = nothing to do.
	deleted func(ctx context.Context, c *apiCall, tx core.Tx, row P) error
	show    func(P) V
	name    func(P) string // that policies call it
}

func (n noun[R, P, F, V]) routes() []apiRoute {
	var form F
	var view V
	all := []apiRoute{
		{
			Method: "GET", Pattern: n.path, Summary: "List " + n.many, On: n.kind, Do: core.ActionRead,
			Query: n.filter, Paged: true, Answer: pageOf[V]{}, Handle: n.list,
		},
		{
			Method: "POST", Pattern: n.path, Summary: "Make " + n.one, On: n.kind, Do: core.ActionWrite,
			Body: form, Status: 201, Answer: view, Also: []int{409}, Handle: n.create,
		},
		{
			Method: "GET", Pattern: n.path + "/{" + n.param + "}", Summary: "Read " + n.one, On: n.kind, Do: core.ActionRead, Name: n.param,
			Answer: view, Handle: n.read,
		},
		{
			Method: "PUT", Pattern: n.path + "/{" + n.param + "}", Summary: "Change " + n.one, On: n.kind, Do: core.ActionWrite, Name: n.param,
			Body: form, Match: true, Answer: view, Also: []int{409}, Handle: n.update,
		},
		{
			Method: "DELETE", Pattern: n.path + "/{" + n.param + "}", Summary: "Delete " + n.one, On: n.kind, Do: core.ActionWrite, Name: n.param,
			Match: true, Status: 204, Proof: n.proof, Also: []int{409}, Handle: n.remove,
		},
	}
	words := []string{"list", "make", "read", "change", "delete"}
	var kept []apiRoute
	for i := range all {
		if slices.Contains(n.without, words[i]) {
			continue
		}
		all[i].Stored, all[i].Whole, all[i].Needs = true, n.whole, n.needs
		kept = append(kept, all[i])
	}
	return kept
}

func (n noun[R, P, F, V]) list(c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	for _, p := range n.filter {
		if text := c.asked(p.Name); text != "" {
			if q.Equal == nil {
				q.Equal = make(map[string]string)
			}
			q.Equal[p.Name] = text
		}
	}
	var rows []R
	next, err := c.api.o.Store.List(c.ctx, &rows, q)
	if err != nil {
		return err
	}
	page := pageOf[V]{Items: []V{}, Next: next}
	for i := range rows {
		if row := P(&rows[i]); c.reads(n.kind, n.name(row)) {
			page.Items = append(page.Items, n.show(row))
		}
	}
	return c.reply(page)
}

func (n noun[R, P, F, V]) read(c *apiCall) error {
	row := n.key(c.tenant, c.path(n.param))
	if err := c.fetch(c.ctx, c.api.o.Store, row); err != nil {
		return err
	}
	return c.replyRow(row, n.show(row))
}

func (n noun[R, P, F, V]) create(c *apiCall) error {
	form := c.body.(*F)
	row := n.key(c.tenant, "")
	if err := n.made(c, row, form); err != nil {
		return err
	}
	// The name is known only now: a policy may allow some and not others.
	if err := c.may(core.ActionWrite, core.Object{Kind: n.kind, Tenant: c.tenant, Name: n.name(row)}); err != nil {
		return err
	}
	blank := *row
	err := c.change(n.kind+".write", n.kind, n.name(row), func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
		*row = blank // f may run twice
		hidden, err := n.write(ctx, c, tx, row, form, true)
		if err != nil {
			return err
		}
		c.stamp(row)
		if err := tx.Put(ctx, row); err != nil {
			return err
		}
		return details(entry, append(differing(P(new(R)), row), hidden...)...)
	})
	if err != nil {
		return err
	}
	c.set("Location", apiRoot+n.path+"/"+n.name(row))
	return c.replyRow(row, n.show(row))
}

func (n noun[R, P, F, V]) update(c *apiCall) error {
	form := c.body.(*F)
	var row P
	err := c.change(n.kind+".write", n.kind, c.path(n.param), func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
		row = n.key(c.tenant, c.path(n.param))
		if err := c.fetch(ctx, tx, row); err != nil {
			return err
		}
		before := *row
		hidden, err := n.write(ctx, c, tx, row, form, false)
		if err != nil {
			return err
		}
		c.stamp(row)
		if err := tx.Put(ctx, row); err != nil {
			return err
		}
		return details(entry, append(differing(P(&before), row), hidden...)...)
	})
	if err != nil {
		return err
	}
	return c.replyRow(row, n.show(row))
}

func (n noun[R, P, F, V]) remove(c *apiCall) error {
	return c.change(n.kind+".delete", n.kind, c.path(n.param), func(ctx context.Context, tx core.Tx, _ *core.AuditEntry) error {
		row := n.key(c.tenant, c.path(n.param))
		if err := c.fetch(ctx, tx, row); err != nil {
			return err
		}
		if n.deleted != nil {
			if err := n.deleted(ctx, c, tx, row); err != nil {
				return err
			}
		}
		return tx.Delete(ctx, row)
	})
}

// shown shows a row as it is.
func shown[R any, P rowOf[R]](row P) R { return *row }
