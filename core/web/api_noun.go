package web

import (
	"context"
	"maps"
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
	only    map[string]string // rows that this noun is about
	without []string          // of list, make, read, change, delete
	whole   bool
	proof   bool // deleting is dangerous
	needs   func(*APIOptions) bool

	// key returns a row whose key is set; one that is new may have no id, which the store
	// then gives it.
	key func(tenant, id string) P
	// find reads the row that the path names, where its key is something else; nil = by key.
	find func(ctx context.Context, c *apiCall, from core.Reader, id string) (P, error)
	// hides tells that a row is not for this noun, where only rows that it would have cannot
	// be asked for; nil = none is.
	hides func(P) bool
	// made fills in what of the key people choose; nil = nothing.
	made func(row P, form *F) error
	// write takes what people wrote into a row, and returns the names of what JSON hides
	// and is changed. It checks what it takes. P is as stored; fresh is a new one.
	write func(ctx context.Context, c *apiCall, tx core.Tx, row P, form *F, fresh bool) (hidden []string, err error)
	// deleted is told before a row goes; nil = nothing to do.
	deleted func(ctx context.Context, c *apiCall, tx core.Tx, row P) error
	// after is told when a change is done; nil = nothing to do.
	after func(c *apiCall, row P)
	show  func(P) V
	name  func(P) string // that policies call it
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

// fetch reads the row that the path names, and holds it against If-Match.
func (n noun[R, P, F, V]) fetch(ctx context.Context, c *apiCall, from core.Reader) (P, error) {
	if n.find == nil {
		row := n.key(c.tenant, c.path(n.param))
		return row, c.fetch(ctx, from, row)
	}
	row, err := n.find(ctx, c, from, c.path(n.param))
	if err != nil {
		return nil, err
	}
	return row, c.unchanged(row)
}

func (n noun[R, P, F, V]) list(c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	q.Equal = maps.Clone(n.only)
	if q.Equal == nil {
		q.Equal = make(map[string]string)
	}
	for _, p := range n.filter {
		if text := c.asked(p.Name); text != "" {
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
		if row := P(&rows[i]); (n.hides == nil || !n.hides(row)) && c.reads(n.kind, n.name(row)) {
			page.Items = append(page.Items, n.show(row))
		}
	}
	return c.reply(page)
}

func (n noun[R, P, F, V]) read(c *apiCall) error {
	row, err := n.fetch(c.ctx, c, c.api.o.Store)
	if err != nil {
		return err
	}
	return c.replyRow(row, n.show(row))
}

func (n noun[R, P, F, V]) create(c *apiCall) error {
	form := c.body.(*F)
	row := n.key(c.tenant, "")
	if n.made != nil {
		if err := n.made(row, form); err != nil {
			return err
		}
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
		entry.Name = n.name(row)
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
		var err error
		if row, err = n.fetch(ctx, c, tx); err != nil {
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
	if n.after != nil {
		n.after(c, row)
	}
	return c.replyRow(row, n.show(row))
}

func (n noun[R, P, F, V]) remove(c *apiCall) error {
	var row P
	err := c.change(n.kind+".delete", n.kind, c.path(n.param), func(ctx context.Context, tx core.Tx, _ *core.AuditEntry) error {
		var err error
		if row, err = n.fetch(ctx, c, tx); err != nil {
			return err
		}
		if n.deleted != nil {
			if err := n.deleted(ctx, c, tx, row); err != nil {
				return err
			}
		}
		return tx.Delete(ctx, row)
	})
	if err == nil && n.after != nil {
		n.after(c, row)
	}
	return err
}

// shown shows a row as it is.
func shown[R any, P rowOf[R]](row P) R { return *row }
