package documents

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Origin says where a document comes from.
type Origin string

// The origins. One from a file cannot be changed here.
const (
	FromFile  Origin = "file"
	FromStore Origin = "store"
)

// Entry is a document in a list.
type Entry struct {
	Name    string      `json:"name"`
	Origin  Origin      `json:"origin"`
	Path    string      `json:"path,omitempty"`    // of a file
	Number  int64       `json:"number"`            // of the version that is served; 0 = none is yet, or it comes from a file
	Gone    bool        `json:"gone"`              // deleted
	Size    int         `json:"size"`              // bytes of what is served
	Sum     string      `json:"sum,omitempty"`     // SHA-256 of what is served, hexadecimal
	Updated *time.Time  `json:"updated,omitempty"` // nil = nothing was published yet, or it comes from a file
	By      string      `json:"by,omitempty"`      // subject of who published it last
	Draft   *DraftState `json:"draft,omitempty"`
}

// DraftState says of a draft what a list shows.
type DraftState struct {
	Version int64     `json:"version"` // its ETag
	Base    int64     `json:"base"`    // number of the version that it goes on from
	Stale   bool      `json:"stale"`   // what is served is newer than its base: publishing it is refused
	Delete  bool      `json:"delete"`
	Same    bool      `json:"same"` // its text is what is served
	Size    int       `json:"size"`
	Updated time.Time `json:"updated"`
	By      string    `json:"by,omitempty"`
}

// List lists the documents of a tenant by their names: those of the store, those that are
// only drafts, and those from files. With gone also deleted ones.
func (d *Desk) List(ctx context.Context, tenant string, gone bool) ([]Entry, error) {
	documents, err := all[core.Document](ctx, d.o.Store, core.Query{Tenant: tenant})
	if err != nil {
		return nil, err
	}
	drafts, err := all[core.Draft](ctx, d.o.Store, core.Query{Tenant: tenant})
	if err != nil {
		return nil, err
	}
	draftOf := map[string]*core.Draft{}
	for i := range drafts {
		draftOf[drafts[i].Name] = &drafts[i]
	}
	var list []Entry
	for i := range documents {
		one := &documents[i]
		draft := draftOf[one.Name]
		delete(draftOf, one.Name)
		if !one.Gone || gone || draft != nil {
			list = append(list, stored(one, draft))
		}
	}
	for _, draft := range draftOf {
		list = append(list, stored(&core.Document{Name: draft.Name}, draft))
	}
	for _, file := range d.files(tenant) {
		list = append(list, fromFile(file))
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Origin, a.Origin))
	})
	return list, nil
}

func stored(document *core.Document, draft *core.Draft) Entry {
	e := Entry{
		Name: document.Name, Origin: FromStore, Number: document.Number, Gone: document.Gone,
		By: document.By,
	}
	if document.Number > 0 {
		at := document.Updated.UTC()
		e.Updated = &at
	}
	if document.Number > 0 && !document.Gone {
		e.Size, e.Sum = len(document.Text), sumOf(document.Text)
	}
	if draft != nil {
		e.Draft = &DraftState{
			Version: draft.Version, Base: draft.Base, Stale: draft.Base != document.Number, Delete: draft.Delete,
			Same: same(document, draft.Text, draft.Delete), Size: len(draft.Text), Updated: draft.Updated, By: draft.By,
		}
	}
	return e
}

// same tells whether publishing this would change nothing.
func same(document *core.Document, text string, del bool) bool {
	if document.Number == 0 || document.Gone {
		return del
	}
	return !del && document.Text == text
}

func fromFile(file File) Entry {
	return Entry{Name: file.Name, Origin: FromFile, Path: file.Path, Size: len(file.Text), Sum: sumOf(string(file.Text))}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Get returns a document and the text that is served of it. One that is only a draft has no
// text; of a name that the store and a file have it is that of the store, unless origin
// says FromFile. origin "" is either.
func (d *Desk) Get(ctx context.Context, tenant, name string, origin Origin) (*Entry, string, error) {
	if origin != FromFile {
		document := &core.Document{Tenant: tenant, Name: name}
		err := d.o.Store.Get(ctx, document)
		if err != nil && !isCode(err, core.CodeNotFound) {
			return nil, "", err
		}
		draft, wrong := d.Draft(ctx, tenant, name)
		if wrong != nil && !isCode(wrong, core.CodeNotFound) {
			return nil, "", wrong
		}
		if err == nil || draft != nil {
			e := stored(document, draft)
			text := document.Text
			if document.Gone {
				text = ""
			}
			return &e, text, nil
		}
	}
	if file, found := d.file(tenant, name); found && origin != FromStore {
		e := fromFile(file)
		return &e, string(file.Text), nil
	}
	return nil, "", missing(name)
}
