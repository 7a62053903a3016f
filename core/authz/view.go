package authz

import (
	"slices"
	"sync/atomic"

	"github.com/sallyport/sallyport/core"
)

// verdict is a decision and its reason.
type verdict uint8

const (
	silent   verdict = iota // no line allows it
	allowed                 // a line allows it, and none denies it
	denied                  // a line denies it
	narrowed                // allowed, but not by the scopes of the API token
)

// view is what callers with the same tenant, roles and scopes may. It is made once and
// then only read.
type view struct {
	hash       uint64
	tenant     string
	anonymous  bool
	roles      []string
	everywhere []string
	scopes     []string // of an API token; nil = not narrowed

	hats   *hats
	narrow *table // the scopes; nil = not narrowed
}

// hats are the roles of callers who hold the same ones.
type hats struct {
	tables []*table // of roles held everywhere, then of roles in the tenant
	wide   int      // how many are the former
	// merged is what all of them together say of a kind and an action in the tenant, made
	// when it is first asked for.
	merged []atomic.Pointer[cell]
}

// at returns what the roles together say of a kind and an action in the tenant.
func (h *hats) at(kind, action int) *cell {
	kept := &h.merged[kind*anyAction+action]
	if c := kept.Load(); c != nil {
		return c
	}
	c := &cell{}
	for i, t := range h.tables {
		for _, one := range t.cells(kind, action) {
			if one == nil {
				continue
			}
			c.deny.merge(&one.deny)
			// Tenants are no affair of what somebody is in one of them.
			if kind != tenantKind || i < h.wide {
				c.allow.merge(&one.allow)
			}
		}
	}
	kept.Store(c)
	return c
}

// ask tells what the roles say: in the tenant, or with home unset beyond it.
func (h *hats) ask(q question, path []byte) (allowed, denied bool) {
	if q.home {
		c := h.at(q.kind, q.action)
		return c.allow.match(path), c.deny.match(path)
	}
	for _, t := range h.tables[:h.wide] {
		a, d := t.ask(q.kind, q.action, path)
		if d {
			return false, true
		}
		allowed = allowed || a
	}
	return allowed, false
}

// scopesOf returns what narrows the caller. What an authorization server granted is
// weighed elsewhere.
func scopesOf(who *core.Identity) []string {
	if who.Via == core.ViaOAuth {
		return nil
	}
	return who.Scopes
}

// nobody tells whether the caller has no name and proved nothing.
func nobody(who *core.Identity) bool { return who.Anonymous() && who.Via == core.ViaNothing }

// of tells whether the view is that of a caller.
func (v *view) of(who *core.Identity) bool {
	scopes := scopesOf(who)
	return v.tenant == who.In() && v.anonymous == nobody(who) &&
		slices.Equal(v.roles, who.Roles) && slices.Equal(v.everywhere, who.Everywhere) &&
		(v.scopes == nil) == (scopes == nil) && slices.Equal(v.scopes, scopes)
}

// question is what is asked of a view, beside the path of the object.
type question struct {
	kind, action int  // places
	home         bool // the object is of the caller's tenant
	open         bool // its server lets everybody in
}

// pack makes a number of it that no other question has.
func (q question) pack() uint64 {
	n := uint64(q.kind)<<16 | uint64(q.action)<<8
	if q.home {
		n |= 1
	}
	if q.open {
		n |= 2
	}
	return n
}

// decide answers from the lines.
func (v *view) decide(q question, path []byte) verdict {
	ok := q.home && q.open && openly.rows[q.kind] != nil && openly.rows[q.kind].cells[q.action] != nil
	a, d := v.hats.ask(q, path)
	if d {
		return denied
	}
	ok = ok || a
	if !ok {
		return silent
	}
	if v.narrow != nil {
		if a, _ := v.narrow.ask(q.kind, q.action, path); !a {
			return narrowed
		}
	}
	return allowed
}

// openly is what an open server allows to everybody of its tenant.
var openly = func() *table {
	t := newTable()
	for _, text := range served {
		p, err := ParsePermission(text)
		if err != nil {
			panic(err) // the table of roles is wrong; a test reads all of it
		}
		t.add(&core.Policy{Kind: p.Kind, Action: p.Action, Match: Any})
	}
	return t
}()
