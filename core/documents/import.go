package documents

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Export returns everything that a tenant serves from the store, and says so in the audit
// trail.
func (d *Desk) Export(ctx context.Context, act Act, tenant string) (*Archive, error) {
	if err := act.check(); err != nil {
		return nil, err
	}
	s, err := d.snapshot(ctx, tenant)
	if err != nil {
		return nil, err
	}
	a := &Archive{Manifest: Manifest{Format: archiveFormat, Tenant: tenant, Exported: d.o.Now().UTC()}, Texts: map[string][]byte{}}
	for _, one := range s.served() {
		a.Texts[one.Name] = []byte(one.Text)
		a.Manifest.Documents = append(a.Manifest.Documents, ManifestEntry{
			Name: one.Name, File: one.Name + ".yaml", Size: len(one.Text), Sum: sumOf(one.Text), Number: one.Number, Published: one.Updated.UTC(), By: one.By,
		})
	}
	entry := d.entry(act, tenant, "export", "")
	entry.Details = details(map[string]any{"documents": len(a.Texts)})
	if err := d.o.Store.Audit(ctx, entry); err != nil {
		return nil, err
	}
	return a, nil
}

// Import says how an archive comes in.
type Import struct {
	DryRun  bool // only say what would happen
	Publish bool // publish at once, in one transaction; otherwise drafts are made
	// Replace lets it change documents and drafts that are there with another text. Without
	// it they are conflicts, and nothing at all is imported.
	Replace bool
}

// State says how an imported document stands to what is there.
type State string

// The states.
const (
	IsNew    State = "new"
	IsSame   State = "same"     // is served with this very text: nothing is to be done
	Changes  State = "changes"  // is there with another text, which Replace lets it change
	Conflict State = "conflict" // likewise, without Replace
)

// Imported is one document of an import.
type Imported struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Why   string `json:"why,omitempty"`  // of a conflict: with what
	Diff  *Diff  `json:"diff,omitempty"` // to what is served; nil when that is the same
}

// ImportResult tells what an import did, or would do.
type ImportResult struct {
	Documents []Imported
	Problems  []core.Problem // of everything together, as it would be published
	Affected  Affected
	Versions  []core.DocumentVersion // published
	Drafts    []string               // made
}

// Import takes an archive into a tenant: as drafts, or published. A document that is there
// with another text, or has a draft with another, is never overwritten unless
// Import.Replace says so; documents that are not in the archive stay.
func (d *Desk) Import(ctx context.Context, act Act, tenant string, a *Archive, how Import) (*ImportResult, error) {
	if err := act.check(); err != nil {
		return nil, err
	}
	s, err := d.snapshot(ctx, tenant)
	if err != nil {
		return nil, err
	}
	result := &ImportResult{}
	plan, err := d.plan(ctx, s, a, how, result)
	if err != nil {
		return nil, err
	}
	var conflicts []string
	for _, one := range result.Documents {
		if one.State == Conflict {
			conflicts = append(conflicts, one.Name)
		}
	}
	if how.DryRun || !how.Publish {
		result.Problems = d.check(ctx, s, plan...)
		result.Affected = d.affected(s.served(), s.served(plan...))
	}
	switch {
	case how.DryRun:
		return result, nil
	case len(conflicts) > 0:
		return nil, &core.Error{
			Code: core.CodeConflict, Message: "these documents are there already with another text: " + strings.Join(conflicts, ", "),
			Fix: "look at what would change (dry run), and say that they are replaced", Details: details(map[string]any{"documents": conflicts}),
		}
	case len(plan) == 0:
		return result, nil
	case how.Publish:
		return result, d.importPublished(ctx, act, tenant, a, how, result)
	}
	return result, d.importDrafts(ctx, act, s, plan, result)
}

// plan says for each document of an archive how it stands to what is there, and returns the
// changes that it makes.
func (d *Desk) plan(ctx context.Context, s *snapshot, a *Archive, how Import, result *ImportResult) ([]change, error) {
	drafts, err := all[core.Draft](ctx, d.o.Store, core.Query{Tenant: s.tenant})
	if err != nil {
		return nil, err
	}
	draftOf := map[string]*core.Draft{}
	names := map[string]bool{}
	for i := range drafts {
		draftOf[drafts[i].Name] = &drafts[i]
		names[drafts[i].Name] = true
	}
	for name := range s.documents {
		names[name] = true
	}
	var changes []change
	for _, entry := range a.Manifest.Documents {
		if err := CheckName(entry.Name); err != nil {
			return nil, err
		}
		names[entry.Name] = true
		text := string(a.Texts[entry.Name])
		document, draft := s.document(entry.Name), draftOf[entry.Name]
		one := Imported{Name: entry.Name, State: IsNew}
		exists := document.Number > 0 && !document.Gone
		switch {
		case exists && document.Text == text:
			one.State = IsSame
			result.Documents = append(result.Documents, one)
			continue
		case exists:
			one.State, one.Why = Conflict, fmt.Sprintf("version %d is served with another text", document.Number)
		case draft != nil && (draft.Delete || draft.Text != text):
			one.State, one.Why = Conflict, "there is a draft with another text"
		}
		if draft != nil && one.State == Conflict && draft.Text == text && !draft.Delete && !how.Publish {
			one.State, one.Why = IsSame, ""
			result.Documents = append(result.Documents, one)
			continue
		}
		if one.State == Conflict && how.Replace {
			one.State = Changes
		}
		one.Diff = d.toServed(document, change{name: entry.Name, text: text})
		result.Documents = append(result.Documents, one)
		changes = append(changes, change{name: entry.Name, text: text, base: document.Number, draft: draft})
	}
	if len(names) > MaxDocuments {
		return nil, &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("the tenant would have %d documents", len(names)), Fix: fmt.Sprintf("at most %d: put several servers into one document", MaxDocuments)}
	}
	return changes, nil
}

// toServed compares what is served with what an import brings.
func (d *Desk) toServed(document *core.Document, to change) *Diff {
	from := change{name: document.Name, text: document.Text, delete: document.Number == 0 || document.Gone}
	diff := &Diff{Name: to.name, From: Side{Ref: Served.String(), Number: document.Number}, To: Side{Ref: "import", There: true, Size: len(to.text), Sum: sumOf(to.text)}}
	if from.delete {
		from.text = ""
	} else {
		diff.From.There, diff.From.Size, diff.From.Sum = true, len(from.text), sumOf(from.text)
	}
	d.fill(diff, from, to)
	return diff
}

// importPublished publishes an import. What was planned is planned again on what is there
// when it is checked, so that a conflict that came up meanwhile is one.
func (d *Desk) importPublished(ctx context.Context, act Act, tenant string, a *Archive, how Import, result *ImportResult) error {
	done, err := d.publish(ctx, act, tenant, "import", false, func(ctx context.Context, s *snapshot) ([]change, error) {
		again := &ImportResult{}
		plan, err := d.plan(ctx, s, a, how, again)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(again.Documents, func(one Imported) bool { return one.State == Conflict }); i >= 0 {
			return nil, &core.Error{Code: core.CodeChanged, Message: fmt.Sprintf("document %q was changed meanwhile", again.Documents[i].Name), Fix: "look again at what would change"}
		}
		result.Documents = again.Documents
		return plan, nil
	})
	if err != nil {
		return err
	}
	result.Versions, result.Problems, result.Affected = done.Versions, done.Problems, done.Affected
	return nil
}

// importDrafts makes drafts of an import, in one transaction.
func (d *Desk) importDrafts(ctx context.Context, act Act, s *snapshot, plan []change, result *ImportResult) error {
	entry := d.entry(act, s.tenant, "import", strings.Join(namesOf(plan), " "))
	entry.Details = details(map[string]any{"drafts": namesOf(plan)})
	return d.o.Store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		result.Drafts = nil
		for _, c := range plan {
			draft := core.Draft{Tenant: s.tenant, Name: c.name}
			if c.draft != nil {
				draft = *c.draft // its version must still be the one that was planned on
			}
			draft.Text, draft.Delete, draft.Base, draft.By = c.text, false, c.base, act.Who.Subject
			if err := tx.Put(ctx, &draft); err != nil {
				if isCode(err, core.CodeConflict) || isCode(err, core.CodeChanged) {
					return draftMoved(&draft, true)
				}
				return err
			}
			result.Drafts = append(result.Drafts, c.name)
		}
		return nil
	})
}
