package web

import (
	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/documents"
)

func publishRoutes() []apiRoute {
	return []apiRoute{
		{
			Method: "POST", Pattern: "/documents/{name}/publish", Summary: "Publish the draft that was read", Noun: "documents", On: "document", Do: core.ActionPublish, Name: "name",
			Body: reasoned{}, Match: true, Stored: true, Needs: writes, Answer: published{}, Also: []int{422}, Handle: publishOne,
		},
		{
			Method: "POST", Pattern: "/documents/publish", Summary: "Publish several drafts in one transaction, or tell what that would do", Noun: "documents", On: "document", Do: core.ActionPublish,
			Body: publishForm{}, Stored: true, Needs: writes, Answer: published{}, Also: []int{412, 422}, Handle: publishSeveral,
		},
		{
			Method: "POST", Pattern: "/documents/{name}/rollback", Summary: "Publish an older version again; If-Match is the ETag of the document that is served", Noun: "documents",
			On: "document", Do: core.ActionPublish, Name: "name", Body: rollbackForm{}, Match: true, Stored: true, Needs: writes, Answer: published{}, Also: []int{422}, Handle: rollback,
		},
	}
}

// publishForm says what to publish.
type publishForm struct {
	reasoned

	Names  []string `json:"names,omitempty"` // of the documents whose drafts are published, whatever they are by then
	Drafts []struct {
		Name    string `json:"name"`
		Version int64  `json:"version,omitempty"` // of the draft that was looked at; absent = whatever it is
	} `json:"drafts,omitempty"`
	DryRun bool `json:"dryRun,omitempty"` // only tell what would happen
}

// rollbackForm says which version comes back.
type rollbackForm struct {
	reasoned

	Number int64 `json:"number"`
}

// published is what a publication did, or would do.
type published struct {
	problemsOf

	Versions []versionOf        `json:"versions"`
	Affected documents.Affected `json:"affected"`
}

// versionOf is a version that was made.
type versionOf struct {
	Document string `json:"document"`
	versionListed
}

func versionsOf(versions []core.DocumentVersion) []versionOf {
	list := make([]versionOf, len(versions))
	for i, v := range listedVersions(versions) {
		list[i] = versionOf{versions[i].Document, v}
	}
	return list
}

func (c *apiCall) replyPublished(done *documents.Published, err error) error {
	if err != nil {
		return err
	}
	return c.reply(published{judged(done.Problems), versionsOf(done.Versions), c.affected(done.Affected)})
}

func publishOne(c *apiCall) error {
	return c.replyPublished(c.desk().Publish(c.ctx, c.act(), c.tenant, documents.Publication{Drafts: []documents.Pick{{Name: c.path("name"), Match: c.match}}}))
}

func publishSeveral(c *apiCall) error {
	form := c.body.(*publishForm)
	p := documents.Publication{DryRun: form.DryRun}
	for _, name := range form.Names {
		p.Drafts = append(p.Drafts, documents.Pick{Name: name})
	}
	for _, one := range form.Drafts {
		p.Drafts = append(p.Drafts, documents.Pick{Name: one.Name, Match: one.Version})
	}
	for _, one := range p.Drafts {
		// Policies may deny some documents.
		if err := c.may(core.ActionPublish, core.Object{Kind: "document", Tenant: c.tenant, Name: one.Name}); err != nil {
			return err
		}
	}
	return c.replyPublished(c.desk().Publish(c.ctx, c.act(), c.tenant, p))
}

func rollback(c *apiCall) error {
	return c.replyPublished(c.desk().Rollback(c.ctx, c.act(), c.tenant, c.path("name"), c.body.(*rollbackForm).Number, c.match))
}
