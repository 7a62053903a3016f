package documents

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/core"
)

// guard is the setting of a tenant that every publication writes. Two that were checked
// against the same documents cannot both write it, so nothing is published that was not
// checked beside everything else that is.
const guard = "documents.published"

// snapshot is everything that a tenant serves from the store.
type snapshot struct {
	tenant    string
	guard     core.Setting
	documents map[string]*core.Document // also those that are gone
}

func (d *Desk) snapshot(ctx context.Context, tenant string) (*snapshot, error) {
	s := &snapshot{tenant: tenant, guard: core.Setting{Tenant: tenant, Name: guard}, documents: map[string]*core.Document{}}
	// The guard is read first: whatever is published while the rest is read raises it.
	if err := d.o.Store.Get(ctx, &s.guard); err != nil && !isCode(err, core.CodeNotFound) {
		return nil, err
	}
	list, err := all[core.Document](ctx, d.o.Store, core.Query{Tenant: tenant})
	if err != nil {
		return nil, err
	}
	for i := range list {
		s.documents[list[i].Name] = &list[i]
	}
	return s, nil
}

// document returns what stands in the store under a name, or what would: never nil.
func (s *snapshot) document(name string) *core.Document {
	if one := s.documents[name]; one != nil {
		return one
	}
	return &core.Document{Tenant: s.tenant, Name: name}
}

// served lists what would be served with changes, sorted by name.
func (s *snapshot) served(changes ...change) []core.Document {
	var list []core.Document
	for _, one := range s.documents {
		if !one.Gone && one.Number > 0 && !slices.ContainsFunc(changes, func(c change) bool { return c.name == one.Name }) {
			list = append(list, *one)
		}
	}
	for _, c := range changes {
		if !c.delete {
			one := *s.document(c.name)
			one.Number, one.Text, one.Gone = one.Number+1, c.text, false
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b core.Document) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// change is one document that is to be published.
type change struct {
	name   string
	text   string
	delete bool
	from   int64       // a rollback: the number whose text it is
	base   int64       // the number that it goes on from, or Any
	draft  *core.Draft // that goes with it; nil = none
}

// check says what would be wrong with the tenant after changes.
func (d *Desk) check(ctx context.Context, s *snapshot, changes ...change) []core.Problem {
	list := s.served(changes...)
	total := 0
	for i := range list {
		total += len(list[i].Text)
	}
	if total > MaxTotal {
		return []core.Problem{{Message: fmt.Sprintf("the documents together have %d bytes", total), Fix: fmt.Sprintf("a tenant has at most %d MiB", MaxTotal>>20)}}
	}
	problems := d.o.Check(ctx, s.tenant, list)
	for _, c := range changes {
		if c.delete {
			continue
		}
		_, _, found := d.o.Parse(c.name+".yaml", []byte(c.text))
		for _, p := range found {
			if p.Warning {
				problems = append(problems, p)
			}
		}
	}
	return distinct(problems)
}

// distinct sorts problems by their places and leaves out what is said twice.
func distinct(problems []core.Problem) []core.Problem {
	list := slices.Clone(problems)
	slices.SortStableFunc(list, func(a, b core.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(list, func(a, b core.Problem) bool {
		a.Fix, b.Fix = "", ""
		return a == b
	})
}

// refused tells whether one of the problems is more than a warning.
func refused(problems []core.Problem) bool {
	return slices.ContainsFunc(problems, func(p core.Problem) bool { return !p.Warning })
}

// Validate says everything that is wrong with the draft of a document, beside everything
// else that the tenant serves. It changes nothing.
func (d *Desk) Validate(ctx context.Context, tenant, name string) ([]core.Problem, error) {
	draft, err := d.Draft(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	s, err := d.snapshot(ctx, tenant)
	if err != nil {
		return nil, err
	}
	problems := d.check(ctx, s, fromDraft(draft))
	if number := s.document(name).Number; number != draft.Base {
		problems = append(problems, core.Problem{
			File: name + ".yaml", Warning: true,
			Message: fmt.Sprintf("version %d was published since this draft began from version %d", number, draft.Base),
			Fix:     "compare the two, put the newer changes into the draft, and save it on base " + strconv.FormatInt(number, 10),
		})
	}
	return problems, nil
}

func fromDraft(draft *core.Draft) change {
	return change{name: draft.Name, text: draft.Text, delete: draft.Delete, base: draft.Base, draft: draft}
}

// WithDrafts returns the documents that the tenant would serve if these drafts were
// published: for running a draft before it is.
func (d *Desk) WithDrafts(ctx context.Context, tenant string, names ...string) ([]core.Document, error) {
	s, err := d.snapshot(ctx, tenant)
	if err != nil {
		return nil, err
	}
	changes := make([]change, 0, len(names))
	for _, name := range names {
		draft, err := d.Draft(ctx, tenant, name)
		if err != nil {
			return nil, err
		}
		changes = append(changes, fromDraft(draft))
	}
	return s.served(changes...), nil
}
