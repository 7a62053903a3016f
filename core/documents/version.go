package documents

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Versions lists the versions of a document, the newest first. after is the cursor of the
// page before, and limit how many there are at most (0 = 100).
func (d *Desk) Versions(ctx context.Context, tenant, name, after string, limit int) (versions []core.DocumentVersion, next string, err error) {
	document := &core.Document{Tenant: tenant, Name: name}
	if err := d.o.Store.Get(ctx, document); err != nil {
		if isCode(err, core.CodeNotFound) {
			if _, wrong := d.Draft(ctx, tenant, name); wrong == nil {
				return nil, "", nil // a draft that was never published
			}
			if _, found := d.file(tenant, name); found {
				return nil, "", nil
			}
			return nil, "", missing(name)
		}
		return nil, "", err
	}
	next, err = d.o.Store.List(ctx, &versions, core.Query{Tenant: tenant, Equal: map[string]string{"document": name}, After: after, Limit: limit, Newest: true})
	return versions, next, err
}

// Version returns one version of a document.
func (d *Desk) Version(ctx context.Context, tenant, name string, number int64) (*core.DocumentVersion, error) {
	version := &core.DocumentVersion{Tenant: tenant, Document: name, Number: number}
	if err := d.o.Store.Get(ctx, version); err != nil {
		if isCode(err, core.CodeNotFound) {
			return nil, &core.Error{Code: core.CodeNotFound, Message: fmt.Sprintf("document %q has no version %d", name, number), Fix: "list its versions"}
		}
		return nil, err
	}
	return version, nil
}

// Ref names one text of a document: the number of a version, or one of those below.
type Ref int64

// The texts that are not named by a number.
const (
	Served  Ref = 0  // what is served now; nothing when nothing is
	InDraft Ref = -1 // the draft
	Nothing Ref = -2 // no text at all
)

// ParseRef reads what String writes.
func ParseRef(s string) (Ref, error) {
	switch strings.TrimSpace(s) {
	case "served":
		return Served, nil
	case "draft":
		return InDraft, nil
	case "nothing":
		return Nothing, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, invalid("that names no text of a document", "write served, draft, nothing or the number of a version")
	}
	return Ref(n), nil
}

// String returns served, draft, nothing or a number.
func (r Ref) String() string {
	switch r {
	case Served:
		return "served"
	case InDraft:
		return "draft"
	case Nothing:
		return "nothing"
	}
	return strconv.FormatInt(int64(r), 10)
}

// text returns the text that a Ref names. there is false for a document that does not exist
// at that point.
func (d *Desk) text(ctx context.Context, tenant, name string, ref Ref) (text string, number int64, there bool, err error) {
	switch ref {
	case Nothing:
		return "", 0, false, nil
	case InDraft:
		draft, err := d.Draft(ctx, tenant, name)
		if err != nil {
			return "", 0, false, err
		}
		return draft.Text, 0, !draft.Delete, nil
	case Served:
		document := &core.Document{Tenant: tenant, Name: name}
		err := d.o.Store.Get(ctx, document)
		if isCode(err, core.CodeNotFound) {
			return "", 0, false, nil
		}
		if err != nil {
			return "", 0, false, err
		}
		return document.Text, document.Number, !document.Gone, nil
	}
	version, err := d.Version(ctx, tenant, name, int64(ref))
	if err != nil {
		return "", 0, false, err
	}
	return version.Text, version.Number, !version.Delete, nil
}
