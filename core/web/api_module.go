package web

import (
	"context"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// Modules knows what modules of plugins are. core/app has it.
type Modules interface {
	// Read checks an upload, and makes the row that keeps it: all but tenant, stamp and
	// approval. Mistakes are an *core.Error with CodeInvalid and Problems.
	Read(upload ModuleUpload) (*core.Module, error)
	// Users lists the documents that name a module of a tenant (source: store:NAME), of
	// those that are published and, where the tenant has any, of those in files.
	Users(tenant, module string, published []core.Document) []string
	// Refused tells why the newest state of a tenant is not served here; nil = it is, or
	// only warnings are said of it.
	Refused(tenant string) []core.Problem
}

// ModuleUpload is a module with what may go with it; nil = it did not come.
type ModuleUpload struct{ Module, Manifest, Signature, Cosign []byte }

// Bounds of the parts of an upload, in bytes: those of what loads plugins.
const (
	ModuleMost    = 32 << 20
	ManifestMost  = 1 << 20
	signatureMost = 64 << 10
	moduleBody    = ModuleMost + ManifestMost + 2*signatureMost + 64<<10 // and what stands around them
)

const wasmType = "application/wasm"

// moduleListed is a module as a list shows it.
type moduleListed struct {
	Name    string   `json:"name"`  // documents name it as store:NAME
	State   string   `json:"state"` // approved: documents may name it; waiting: it was uploaded, and nobody approved it yet
	Plugin  string   `json:"plugin"`
	Release string   `json:"release"` // as its manifest says
	Digest  string   `json:"digest"`  // of module and manifest: what is signed and pinned
	Size    int      `json:"size"`    // bytes of the module
	Kinds   []string `json:"kinds"`
	Asks    []string `json:"asks"` // what its manifest asks for, in words
	// Grants is what was approved for this digest, in words. Documents grant it, or less.
	Grants     []string   `json:"grants"`
	Approved   *time.Time `json:"approved,omitempty"`
	ApprovedBy string     `json:"approvedBy,omitempty"`
	core.Stamp
}

type moduleShown struct {
	moduleListed

	// New is what an upload that waits asks for and what runs was not approved for.
	New      []string `json:"asksAnew"`
	Manifest string   `json:"manifest,omitempty"` // YAML; none = it stands in the module
}

// moduleTaken is a module that was approved, and what became of the documents that name it:
// with problems they are not good with it, and what was served before still is.
type moduleTaken struct {
	moduleShown
	problemsOf
}

// Words of ModuleListed.State, and of the query that chooses one.
const (
	moduleApproved = "approved"
	moduleWaiting  = "waiting"
)

func moduleRoutes() []apiRoute {
	keeps := func(o *APIOptions) bool { return o.Modules != nil }
	which := []apiParam{{Name: "of", About: "Which one: what is approved, or the upload that waits; the approved one, where there is one.", Enum: []string{moduleApproved, moduleWaiting}}}
	list := []apiRoute{
		{
			Method: "GET", Pattern: "/modules", Summary: "List the plugin modules of the store, and the uploads that wait for approval", On: "plugin", Do: core.ActionRead,
			Paged: true, Answer: pageOf[moduleListed]{}, Handle: listModules,
		},
		{
			Method: "POST", Pattern: "/modules", Summary: "Upload a plugin module; it waits until somebody approves what it asks for", On: "plugin", Do: core.ActionWrite,
			Parts: []apiPart{
				{Name: "module", About: "The .wasm file.", Limit: ModuleMost, Needed: true, Type: wasmType},
				{Name: "manifest", About: "The plugin.yaml, for a module that has none in it.", Limit: ManifestMost, Type: yamlType},
				{Name: "signature", About: "The .sig file: statements of sallyport plugin sign.", Limit: signatureMost},
				{Name: "cosign", About: "The .cosign.json file.", Limit: signatureMost, Type: jsonType},
				{Name: "reason", About: "Why, for the audit trail.", Limit: 2000},
			},
			Limit: moduleBody, Slow: true, Status: 201, Answer: moduleShown{}, Handle: uploadModule,
		},
		{
			Method: "GET", Pattern: "/modules/{name}", Summary: "Read what is known of a plugin module", On: "plugin", Do: core.ActionRead, Name: "name",
			Query: which, Answer: moduleShown{}, Handle: readModule,
		},
		{
			Method: "GET", Pattern: "/modules/{name}/content", Summary: "Download a plugin module, byte for byte", On: "plugin", Do: core.ActionRead, Name: "name",
			Query: which, Type: wasmType, Slow: true, Handle: downloadModule,
		},
		{
			Method: "POST", Pattern: "/modules/{name}/approve", Summary: "Approve what an upload asks for: documents that name the module run it from now on", On: "plugin", Do: core.ActionApprove, Name: "name",
			Body: approval{}, Slow: true, Answer: moduleTaken{}, Also: []int{412}, Handle: approveModule,
		},
		{
			Method: "DELETE", Pattern: "/modules/{name}", Summary: "Delete a plugin module that no published document names, or an upload that waits", On: "plugin", Do: core.ActionWrite, Name: "name",
			Query: which, Match: true, Status: 204, Handle: deleteModule,
		},
	}
	for i := range list {
		list[i].Stored, list[i].Needs = true, keeps
	}
	return list
}

// approval names the content that was looked at.
type approval struct {
	reasoned

	Digest string `json:"digest"` // of the upload that waits
}

func listedModule(m *core.Module) moduleListed {
	name, waits := strings.CutSuffix(m.Name, core.ModuleWaits)
	l := moduleListed{
		Name: name, State: moduleApproved, Plugin: m.Plugin, Release: m.Release, Digest: m.Digest, Size: m.Size, Kinds: itemsOf(m.Kinds), Asks: itemsOf(m.Asks),
		Grants: itemsOf(m.Grants), Approved: m.Approved, ApprovedBy: m.ApprovedBy, Stamp: m.Stamp,
	}
	if waits {
		l.State = moduleWaiting
	}
	return l
}

// itemsOf is a list that JSON shows as one.
func itemsOf(list []string) []string { return append([]string{}, list...) }

// shownModule shows a module; before is what runs beside an upload that waits, or nil.
func shownModule(m, before *core.Module) moduleShown {
	s := moduleShown{moduleListed: listedModule(m), New: []string{}, Manifest: m.Manifest}
	if s.State == moduleApproved {
		return s
	}
	known := map[string]bool{}
	if before != nil {
		for _, one := range before.Grants {
			known[one] = true
		}
	}
	for _, one := range m.Asks {
		if !known[one] {
			s.New = append(s.New, one)
		}
	}
	return s
}

func listModules(c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	var rows []core.Module
	page := pageOf[moduleListed]{Items: []moduleListed{}}
	if page.Next, err = c.api.o.Store.List(c.ctx, &rows, q); err != nil {
		return err
	}
	for i := range rows {
		if one := listedModule(&rows[i]); c.reads("plugin", one.Name) {
			page.Items = append(page.Items, one)
		}
	}
	return c.reply(page)
}

// module reads a row without its content; nil = there is none.
func (c *apiCall) module(ctx context.Context, from core.Reader, name string) (*core.Module, error) {
	var rows []core.Module
	if _, err := from.List(ctx, &rows, core.Query{Tenant: c.tenant, Equal: map[string]string{"name": name}}); err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// modules reads both rows of a name.
func (c *apiCall) modules(ctx context.Context, from core.Reader, name string) (approved, waiting *core.Module, err error) {
	if approved, err = c.module(ctx, from, name); err == nil {
		waiting, err = c.module(ctx, from, name+core.ModuleWaits)
	}
	return approved, waiting, err
}

// chosen reads the row that path and query name, and that which runs.
func (c *apiCall) chosen(ctx context.Context, from core.Reader) (one, approved *core.Module, err error) {
	approved, waiting, err := c.modules(ctx, from, c.path("name"))
	switch one = approved; {
	case err != nil:
		return nil, nil, err
	case c.asked("of") == moduleWaiting, one == nil && c.asked("of") == "":
		one = waiting
	}
	if one == nil {
		return nil, nil, missing("module")
	}
	return one, approved, nil
}

func readModule(c *apiCall) error {
	one, approved, err := c.chosen(c.ctx, c.api.o.Store)
	if err != nil {
		return err
	}
	return c.replyRow(one, shownModule(one, approved))
}

func downloadModule(c *apiCall) error {
	one, _, err := c.chosen(c.ctx, c.api.o.Store)
	if err != nil {
		return err
	}
	if err := c.fetch(c.ctx, c.api.o.Store, one); err != nil { // with the content
		return err
	}
	c.set("ETag", etag(one.Version))
	c.set("Content-Disposition", `attachment; filename="`+c.path("name")+`.wasm"`)
	c.answer, c.contentType = one.Bytes, wasmType
	return nil
}

func uploadModule(c *apiCall) error {
	up, err := c.api.o.Modules.Read(ModuleUpload{Module: c.form["module"], Manifest: c.form["manifest"], Signature: c.form["signature"], Cosign: c.form["cosign"]})
	if err != nil {
		return err
	}
	name := up.Name
	// The name is known only now: a policy may allow some and not others.
	if err := c.may(core.ActionWrite, core.Object{Kind: "plugin", Tenant: c.tenant, Name: name}); err != nil {
		return err
	}
	var kept, before *core.Module
	err = c.change("plugin.upload", "plugin", name, func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
		approved, waiting, err := c.modules(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, other := range []*core.Module{approved, waiting} {
			if other != nil && other.Plugin != up.Plugin {
				return &core.Error{Code: core.CodeConflict, Message: "module " + name + " is there already, of the plugin " + other.Plugin, Fix: "delete that one first, or give this plugin another name"}
			}
		}
		row := *up
		row.Tenant, before = c.tenant, approved
		switch {
		case approved != nil && approved.Digest == up.Digest: // what runs, perhaps with newer signatures
			row = *approved
			if up.Signatures != "" {
				row.Signatures = up.Signatures
			}
		default:
			row.Name += core.ModuleWaits
			if waiting != nil {
				row.Stamp = waiting.Stamp
			}
		}
		c.stamp(&row)
		if err := tx.Put(ctx, &row); err != nil {
			return err
		}
		kept = &row
		return digested(entry, &row)
	})
	if err != nil {
		return err
	}
	c.set("Location", apiRoot+"/modules/"+name)
	return c.replyRow(kept, shownModule(kept, before))
}

// digested notes in the audit trail which content a change is about.
func digested(entry *core.AuditEntry, m *core.Module) error {
	b, err := wire.Marshal(map[string]any{"digest": m.Digest, "release": m.Release})
	entry.Details = b
	return err
}

func approveModule(c *apiCall) error {
	form, name := c.body.(*approval), c.path("name")
	var kept *core.Module
	err := c.change("plugin.approve", "plugin", name, func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
		approved, waiting, err := c.modules(ctx, tx, name)
		switch {
		case err != nil:
			return err
		case waiting == nil:
			return missing("upload")
		case waiting.Digest != form.Digest:
			return &core.Error{Code: core.CodeChanged, Message: "another content waits than that which was looked at", Fix: "look at what waits now, and approve its digest"}
		}
		if err := tx.Get(ctx, waiting); err != nil { // with the content
			return err
		}
		row, now := *waiting, c.api.o.Now().UTC()
		row.Name, row.Stamp = name, core.Stamp{}
		if approved != nil {
			row.Stamp = approved.Stamp
		}
		row.Grants, row.Approved, row.ApprovedBy = itemsOf(row.Asks), &now, c.who.Subject
		c.stamp(&row)
		if err := tx.Put(ctx, &row); err != nil {
			return err
		}
		kept = &row
		if err := tx.Delete(ctx, waiting); err != nil {
			return err
		}
		return digested(entry, &row)
	})
	if err != nil {
		return err
	}
	return c.replyRow(kept, moduleTaken{shownModule(kept, nil), judged(c.api.o.Modules.Refused(c.tenant))})
}

func deleteModule(c *apiCall) error {
	name := c.path("name")
	return c.change("plugin.delete", "plugin", name, func(ctx context.Context, tx core.Tx, entry *core.AuditEntry) error {
		one, approved, err := c.chosen(ctx, tx)
		if err != nil {
			return err
		}
		if err := c.unchanged(one); err != nil {
			return err
		}
		if one == approved {
			if err := c.unused(ctx, tx, name); err != nil {
				return err
			}
			if waiting, err := c.module(ctx, tx, name+core.ModuleWaits); err != nil {
				return err
			} else if waiting != nil {
				if err := tx.Delete(ctx, waiting); err != nil {
					return err
				}
			}
		}
		if err := tx.Delete(ctx, one); err != nil {
			return err
		}
		return digested(entry, one)
	})
}

// unused refuses to delete a module that documents name.
func (c *apiCall) unused(ctx context.Context, tx core.Tx, name string) error {
	var published []core.Document
	for q := (core.Query{Tenant: c.tenant, Limit: pageDefault}); ; {
		var rows []core.Document
		next, err := tx.List(ctx, &rows, q)
		if err != nil {
			return err
		}
		for i := range rows {
			if !rows[i].Gone && rows[i].Number > 0 {
				published = append(published, rows[i])
			}
		}
		if q.After = next; next == "" {
			break
		}
	}
	users := c.api.o.Modules.Users(c.tenant, name, published)
	if len(users) == 0 {
		return nil
	}
	return &core.Error{
		Code: core.CodeConflict, Message: "module " + name + " is in use: " + strings.Join(users, ", ") + " names it (source: store:" + name + ")",
		Fix: "take it out of there and publish that, then delete the module",
	}
}
