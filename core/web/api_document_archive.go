package web

import (
	"bytes"
	"encoding/base64"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/documents"
)

func archiveRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "GET", Pattern: "/documents/export", Summary: "Export what is served from the store: a tar.gz with one YAML for each document and a manifest", Noun: "documents",
			On: "document", Do: core.ActionExport, Stored: true, Needs: writes, Type: "application/gzip", Handle: exportDocuments,
		},
		{
			Method: "POST", Pattern: "/documents/import", Summary: "Import documents as drafts, or published, or tell what that would change", Noun: "documents",
			On: "document", Do: core.ActionWrite, Body: importForm{}, Limit: archiveBody, Stored: true, Needs: writes, Answer: importDone{}, Also: []int{409, 412, 413, 422}, Handle: importDocuments,
		},
	}
}

func exportDocuments(c *apiCall) error {
	archive, err := c.desk().Export(c.ctx, c.act(), c.tenant)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := archive.Write(&b); err != nil {
		return err
	}
	c.set("Content-Disposition", `attachment; filename="documents-`+c.tenant+`.tar.gz"`)
	c.answer, c.contentType = b.Bytes(), "application/gzip"
	return nil
}

// importForm is what comes in: an archive, or texts.
type importForm struct {
	reasoned

	Archive   string `json:"archive,omitempty"` // base64 of the tar.gz of an export
	Documents []struct {
		Name string `json:"name"`
		Text string `json:"text"`
	} `json:"documents,omitempty"`
	DryRun  bool `json:"dryRun,omitempty"`  // only tell what would happen
	Publish bool `json:"publish,omitempty"` // publish at once, instead of making drafts
	// Replace lets it change documents and drafts that are there with another text; without
	// it they are conflicts, and nothing is imported.
	Replace bool `json:"replace,omitempty"`
}

// importDone is what an import did, or would do.
type importDone struct {
	problemsOf

	Documents []documents.Imported `json:"documents"`
	Affected  documents.Affected   `json:"affected"`
	Versions  []versionOf          `json:"versions"` // published
	Drafts    []string             `json:"drafts"`   // made
}

func (c *apiCall) archive(form *importForm) (*documents.Archive, error) {
	if (form.Archive == "") == (len(form.Documents) == 0) {
		return nil, invalid(wrong("", "there is neither an archive nor documents, or both", "send one of them"))
	}
	if form.Archive != "" {
		b, err := base64.StdEncoding.DecodeString(form.Archive)
		if err != nil {
			return nil, invalid(wrong("/archive", "this is not base64", "encode the tar.gz in base64 (RFC 4648, section 4)"))
		}
		return documents.ReadArchive(bytes.NewReader(b))
	}
	texts := map[string][]byte{}
	for i, one := range form.Documents {
		if _, twice := texts[one.Name]; twice {
			return nil, invalid(wrong("/documents/"+decimal(int64(i))+"/name", "this name comes twice", "send each document once"))
		}
		texts[one.Name] = []byte(one.Text)
	}
	return documents.NewArchive(c.tenant, c.api.o.Now(), texts)
}

func importDocuments(c *apiCall) error {
	form := c.body.(*importForm)
	archive, err := c.archive(form)
	if err != nil {
		return err
	}
	for _, one := range archive.Manifest.Documents {
		on := core.Object{Kind: "document", Tenant: c.tenant, Name: one.Name}
		if err := c.may(core.ActionWrite, on); err != nil {
			return err
		}
		if !form.Publish {
			continue
		}
		if err := c.may(core.ActionPublish, on); err != nil {
			return err
		}
	}
	done, err := c.desk().Import(c.ctx, c.act(), c.tenant, archive, documents.Import{DryRun: form.DryRun, Publish: form.Publish, Replace: form.Replace})
	if err != nil {
		return err
	}
	return c.reply(importDone{judged(done.Problems), done.Documents, c.affected(done.Affected), versionsOf(done.Versions), done.Drafts})
}
