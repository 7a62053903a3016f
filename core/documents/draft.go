package documents

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/core"
)

// Edit is what somebody wants a draft to be.
type Edit struct {
	Name   string
	Text   []byte
	Delete bool // publishing it deletes the document; Text is then not looked at
	// Match is the version (Stamp.Version, the ETag) of the draft that was edited: 0 = there
	// must be none yet, Any = whatever there is.
	Match int64
	// Base is the number of the version that the text goes on from; nil = that of the draft
	// there is, or what is served. Whoever merged a newer version into a draft says so here.
	Base *int64
	// Unchecked leaves out what is wrong with it: for saving while somebody types.
	Unchecked bool
}

// Any as a Match is whatever there is.
const Any int64 = -1

// SaveDraft keeps a text as the draft of a document. It is never refused for what it says:
// what is wrong is returned beside it.
func (d *Desk) SaveDraft(ctx context.Context, act Act, tenant string, edit Edit) (*core.Draft, []core.Problem, error) {
	if err := CheckName(edit.Name); err != nil {
		return nil, nil, err
	}
	if edit.Delete {
		edit.Text = nil
	}
	if err := checkText(edit.Name, edit.Text); err != nil {
		return nil, nil, err
	}
	if err := act.check(); err != nil {
		return nil, nil, err
	}
	saved := &core.Draft{}
	_, fromFile := d.file(tenant, edit.Name) // before the transaction, which must not wait for files
	entry := d.entry(act, tenant, "draft", edit.Name)
	err := d.o.Store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		return d.putDraft(ctx, tx, act, tenant, edit, fromFile, saved)
	})
	if err != nil {
		return nil, nil, err
	}
	if edit.Unchecked {
		return saved, nil, nil
	}
	problems, err := d.Validate(ctx, tenant, edit.Name)
	return saved, problems, err
}

// putDraft writes a draft within a transaction.
func (d *Desk) putDraft(ctx context.Context, tx core.Tx, act Act, tenant string, edit Edit, fromFile bool, saved *core.Draft) error {
	document := core.Document{Tenant: tenant, Name: edit.Name}
	if err := tx.Get(ctx, &document); err != nil && !isCode(err, core.CodeNotFound) {
		return err
	}
	if fromFile && document.Number == 0 {
		return &core.Error{Code: core.CodeReadOnly, Message: "document " + strconv.Quote(edit.Name) + " comes from a file", Fix: "change the file, or take it over by importing it"}
	}
	draft := core.Draft{Tenant: tenant, Name: edit.Name}
	err := tx.Get(ctx, &draft)
	there := err == nil
	if !there && !isCode(err, core.CodeNotFound) {
		return err
	}
	if !there {
		draft = core.Draft{Tenant: tenant, Name: edit.Name, Base: document.Number}
		if document.Number == 0 {
			if err := room(ctx, tx, tenant); err != nil {
				return err
			}
		}
	}
	if edit.Match != Any && edit.Match != draft.Version {
		return draftMoved(&draft, there)
	}
	if edit.Delete && (document.Number == 0 || document.Gone) {
		return missing(edit.Name)
	}
	if edit.Base != nil {
		if *edit.Base < 0 || *edit.Base > document.Number {
			return invalid(fmt.Sprintf("document %s has no version %d", edit.Name, *edit.Base), fmt.Sprintf("name one from 0 to %d", document.Number))
		}
		draft.Base = *edit.Base
	}
	draft.Text, draft.Delete, draft.By = string(edit.Text), edit.Delete, act.Who.Subject
	if err := tx.Put(ctx, &draft); err != nil {
		if isCode(err, core.CodeConflict) {
			return draftMoved(&draft, true)
		}
		return err
	}
	*saved = draft
	return nil
}

// room refuses one document more than a tenant may have.
func room(ctx context.Context, tx core.Tx, tenant string) error {
	names := map[string]bool{}
	drafts, err := all[core.Draft](ctx, tx, core.Query{Tenant: tenant})
	if err != nil {
		return err
	}
	for i := range drafts {
		names[drafts[i].Name] = true
	}
	documents, err := all[core.Document](ctx, tx, core.Query{Tenant: tenant})
	if err != nil {
		return err
	}
	for i := range documents {
		names[documents[i].Name] = true
	}
	if len(names) >= MaxDocuments {
		return &core.Error{Code: core.CodeTooLarge, Message: fmt.Sprintf("the tenant has %d documents", len(names)), Fix: "put several servers into one document"}
	}
	return nil
}

func draftMoved(draft *core.Draft, there bool) error {
	e := &core.Error{Code: core.CodeChanged, Message: "there is no draft of " + strconv.Quote(draft.Name) + " any more", Fix: "somebody published or discarded it: begin a new one"}
	if there {
		e.Message = fmt.Sprintf("the draft of %q was changed by somebody else", draft.Name)
		e.Fix = "read it again, and put your change into it"
		e.Details = details(map[string]any{"version": draft.Version, "by": draft.By, "updated": draft.Updated})
	}
	return e
}

func details(of any) json.RawMessage {
	b, err := json.Marshal(of)
	if err != nil { // maps of texts, numbers and times always marshal
		return nil
	}
	return b
}

// Draft returns the draft of a document.
func (d *Desk) Draft(ctx context.Context, tenant, name string) (*core.Draft, error) {
	draft := &core.Draft{Tenant: tenant, Name: name}
	if err := d.o.Store.Get(ctx, draft); err != nil {
		if isCode(err, core.CodeNotFound) {
			return nil, &core.Error{Code: core.CodeNotFound, Message: "there is no draft of " + strconv.Quote(name), Fix: "save one"}
		}
		return nil, err
	}
	return draft, nil
}

// MarkDelete makes the draft of a document one that deletes it.
func (d *Desk) MarkDelete(ctx context.Context, act Act, tenant, name string, match int64) (*core.Draft, []core.Problem, error) {
	return d.SaveDraft(ctx, act, tenant, Edit{Name: name, Delete: true, Match: match})
}

// DeleteDraft discards a draft. match is its version, or Any.
func (d *Desk) DeleteDraft(ctx context.Context, act Act, tenant, name string, match int64) error {
	if err := act.check(); err != nil {
		return err
	}
	return d.o.Store.Change(ctx, d.entry(act, tenant, "discard", name), func(ctx context.Context, tx core.Tx) error {
		draft := core.Draft{Tenant: tenant, Name: name}
		if err := tx.Get(ctx, &draft); err != nil {
			if isCode(err, core.CodeNotFound) {
				return &core.Error{Code: core.CodeNotFound, Message: "there is no draft of " + strconv.Quote(name), Fix: "list the documents"}
			}
			return err
		}
		if match != Any && match != draft.Version {
			return draftMoved(&draft, true)
		}
		return tx.Delete(ctx, &draft)
	})
}
