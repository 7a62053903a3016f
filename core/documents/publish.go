package documents

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Pick is one draft to publish.
type Pick struct {
	Name  string
	Match int64 // version of the draft that was looked at; 0 or Any = whatever it is
}

// Publication is what to publish in one transaction: all of it or nothing.
type Publication struct {
	Drafts []Pick
	DryRun bool // only say what would happen
}

// Published tells what a publication did, or would do.
type Published struct {
	Versions []core.DocumentVersion // none after a dry run
	Problems []core.Problem         // after a dry run all of them, otherwise warnings
	Affected Affected
}

// attempts is how often a publication is checked again because something else was
// published meanwhile.
const attempts = 4

// Publish makes drafts what is served. They are checked together, beside everything else
// that the tenant serves: mistakes are an *core.Error with CodeInvalid and Problems. A
// draft whose base is no longer what is served is CodeChanged: its details say who
// published since, and when.
func (d *Desk) Publish(ctx context.Context, act Act, tenant string, p Publication) (*Published, error) {
	if len(p.Drafts) == 0 {
		return nil, invalid("no draft is named", "name those that are to be published")
	}
	seen := map[string]bool{}
	for _, pick := range p.Drafts {
		if seen[pick.Name] {
			return nil, invalid(strconv.Quote(pick.Name)+" is named twice", "name each draft once")
		}
		seen[pick.Name] = true
	}
	looked := map[string]int64{} // the versions of the drafts at the first attempt
	ask := func(ctx context.Context, s *snapshot) ([]change, error) {
		changes := []change{}
		for _, pick := range p.Drafts {
			want := pick.Match
			if before, again := looked[pick.Name]; again {
				want = before
			}
			draft, err := d.Draft(ctx, tenant, pick.Name)
			if isCode(err, core.CodeNotFound) && want != 0 && want != Any {
				return nil, draftMoved(&core.Draft{Name: pick.Name}, false) // it was looked at
			}
			if err != nil {
				return nil, err
			}
			if want != 0 && want != Any && want != draft.Version {
				return nil, draftMoved(draft, true)
			}
			looked[pick.Name] = draft.Version
			if same(s.document(pick.Name), draft.Text, draft.Delete) {
				return nil, invalid(fmt.Sprintf("the draft of %q is what is served already", pick.Name), "discard it, or change it first")
			}
			changes = append(changes, fromDraft(draft))
		}
		return changes, nil
	}
	return d.publish(ctx, act, tenant, "publish", p.DryRun, ask)
}

// Rollback publishes the text of an older version again, as a new one. match is the number
// that is served now, or Any. The draft, if there is one, stays as it is.
func (d *Desk) Rollback(ctx context.Context, act Act, tenant, name string, number, match int64) (*Published, error) {
	old, err := d.Version(ctx, tenant, name, number)
	if err != nil {
		return nil, err
	}
	return d.publish(ctx, act, tenant, "rollback", false, func(_ context.Context, s *snapshot) ([]change, error) {
		if same(s.document(name), old.Text, old.Delete) {
			return nil, invalid(fmt.Sprintf("version %d of %q is what is served already", number, name), "name another version")
		}
		return []change{{name: name, text: old.Text, delete: old.Delete, from: number, base: match}}, nil
	})
}

// publish checks changes and makes them what is served. They are asked for again when
// something else was published between the check and the transaction.
func (d *Desk) publish(ctx context.Context, act Act, tenant, verb string, dry bool, ask func(context.Context, *snapshot) ([]change, error)) (*Published, error) {
	if err := act.check(); err != nil {
		return nil, err
	}
	var moved error
	for range attempts {
		s, err := d.snapshot(ctx, tenant)
		if err != nil {
			return nil, err
		}
		changes, err := ask(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			if err := d.base(ctx, s, c); err != nil {
				return nil, err
			}
		}
		done := &Published{Problems: d.check(ctx, s, changes...)}
		if ctx.Err() != nil {
			return nil, &core.Error{Code: core.CodeCancelled, Message: "the documents were not checked to the end", Fix: "try again", Err: ctx.Err()}
		}
		if dry {
			done.Affected = d.affected(s.served(), s.served(changes...))
			return done, nil
		}
		if refused(done.Problems) {
			return nil, &core.Error{Code: core.CodeInvalid, Message: "the documents have mistakes; nothing was published", Fix: "mend them and publish again", Problems: done.Problems}
		}
		err = d.commit(ctx, act, s, verb, changes, done)
		switch {
		case err == nil:
			done.Affected = d.affected(s.served(), s.served(changes...))
			d.o.Log.Info("documents published", "tenant", tenant, "action", verb, "documents", namesOf(changes))
			return done, nil
		case !isCode(err, core.CodeChanged) && !isCode(err, core.CodeConflict):
			return nil, err
		}
		moved = err
	}
	return nil, &core.Error{Code: core.CodeChanged, Message: "others publish in this tenant at the same time", Fix: "try again", Err: moved}
}

// base refuses a change that goes on from something else than what is served.
func (d *Desk) base(ctx context.Context, s *snapshot, c change) error {
	document := s.document(c.name)
	if c.base == Any || c.base == document.Number {
		return nil
	}
	by, reason := document.By, ""
	at := document.Updated
	if version, err := d.Version(ctx, s.tenant, c.name, document.Number); err == nil {
		at, reason = version.Published, version.Reason
		if version.ByName != "" {
			by = version.ByName
		}
	}
	if by == "" {
		by = "somebody"
	}
	return &core.Error{
		Code:    core.CodeChanged,
		Message: fmt.Sprintf("version %d of %q was published by %s at %s; this goes on from version %d", document.Number, c.name, by, at.UTC().Format(time.RFC3339), c.base),
		Fix:     fmt.Sprintf("compare with what is served, put the newer changes in, and save the draft on base %d", document.Number),
		Details: details(map[string]any{"document": c.name, "base": c.base, "number": document.Number, "by": by, "published": at.UTC(), "reason": reason}),
	}
}

// commit writes changes in one transaction, if nothing was published since the snapshot.
func (d *Desk) commit(ctx context.Context, act Act, s *snapshot, verb string, changes []change, done *Published) error {
	now := d.o.Now().UTC()
	entry := d.entry(act, s.tenant, verb, strings.Join(namesOf(changes), " "))
	return d.o.Store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		done.Versions = nil
		var told []map[string]any
		for _, c := range changes {
			version, err := d.put(ctx, tx, act, s, c, now)
			if err != nil {
				return err
			}
			done.Versions = append(done.Versions, *version)
			one := map[string]any{"document": c.name, "number": version.Number, "sum": version.Sum}
			if version.Delete {
				one["delete"] = true
			}
			if version.From > 0 {
				one["from"] = version.From
			}
			told = append(told, one)
		}
		entry.Details = details(map[string]any{"documents": told})
		g := s.guard
		g.Value, g.By = string(details(map[string]any{"at": now, "documents": namesOf(changes)})), act.Who.Subject
		return tx.Put(ctx, &g)
	})
}

// put writes one change: the document, its version, and that its draft is gone.
func (d *Desk) put(ctx context.Context, tx core.Tx, act Act, s *snapshot, c change, now time.Time) (*core.DocumentVersion, error) {
	document := *s.document(c.name)
	document.Number++
	document.Text, document.Gone, document.By = c.text, c.delete, act.Who.Subject
	if c.delete {
		document.Text = ""
	}
	if err := tx.Put(ctx, &document); err != nil {
		return nil, err
	}
	version := &core.DocumentVersion{
		Tenant: s.tenant, Document: c.name, Number: document.Number, Text: document.Text, Sum: sumOf(document.Text), Delete: c.delete,
		By: act.Who.Subject, ByName: act.Who.Name, Reason: act.Reason, From: c.from, Published: now,
	}
	if err := tx.Put(ctx, version); err != nil {
		return nil, err
	}
	if c.draft == nil {
		return version, nil
	}
	draft := *c.draft
	err := tx.Delete(ctx, &draft)
	if isCode(err, core.CodeNotFound) {
		return nil, &core.Error{Code: core.CodeChanged, Message: fmt.Sprintf("the draft of %q is gone", c.name), Fix: "somebody discarded it: look again"}
	}
	return version, err
}

func namesOf(changes []change) []string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.name
	}
	slices.Sort(names)
	return names
}
