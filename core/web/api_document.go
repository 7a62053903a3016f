package web

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/documents"
)

// The bodies that documents come in.
const (
	draftBody   = 8 << 20
	archiveBody = 32 << 20
)

func writes(o *APIOptions) bool { return o.Documents != nil }

func documentRoutes() []apiRoute {
	list := []apiRoute{
		{
			Method: "GET", Pattern: "/documents", Summary: "List the gateway documents, those of files too, and the state of their drafts", On: "document", Do: core.ActionRead,
			Query: []apiParam{{Name: "gone", About: "Whether deleted ones are listed.", Enum: []string{"true", "false"}}}, Paged: true,
			Answer: pageOf[documents.Entry]{}, Handle: listDocuments,
		},
		{
			Method: "GET", Pattern: "/documents/{name}", Summary: "Read what is served of a document; with Accept: application/yaml its text, byte for byte", On: "document", Do: core.ActionRead, Name: "name",
			Query:  []apiParam{{Name: "origin", About: "Which one is meant where the store and a file have the name.", Enum: []string{"store", "file"}}},
			Answer: documentShown{}, Type: jsonType + "|" + yamlType, Handle: readDocument,
		},
		{
			Method: "GET", Pattern: "/documents/{name}/text", Summary: "Read a text of a document byte for byte", On: "document", Do: core.ActionRead, Name: "name",
			Query: []apiParam{{Name: "of", About: "Which one: served, draft, or the number of a version; served."}}, Type: yamlType, Handle: readText,
		},
		{
			Method: "GET", Pattern: "/documents/{name}/diff", Summary: "Compare two texts of a document, and tell who is affected", On: "document", Do: core.ActionRead, Name: "name",
			Query: []apiParam{
				{Name: "from", About: "served, draft, nothing, or the number of a version; served."},
				{Name: "to", About: "The same; draft."},
			},
			Answer: documents.Diff{}, Handle: diffDocument,
		},
		{
			Method: "GET", Pattern: "/documents/{name}/versions", Summary: "List the versions of a document, the newest first", On: "document", Do: core.ActionRead, Name: "name",
			Paged: true, Answer: pageOf[versionListed]{}, Handle: listVersions,
		},
		{
			Method: "GET", Pattern: "/documents/{name}/versions/{number}", Summary: "Read a version of a document", On: "document", Do: core.ActionRead, Name: "name",
			Answer: core.DocumentVersion{}, Handle: readVersion,
		},
		{
			Method: "GET", Pattern: "/documents/schema", Summary: "Read the JSON Schema of documents, for editors", On: "document", Do: core.ActionRead,
			Type: jsonType, Answer: json.RawMessage{}, Handle: readSchema,
		},
	}
	for i := range list {
		list[i].Noun, list[i].Stored, list[i].Needs = "documents", true, writes
	}
	schema := &list[len(list)-1]
	schema.Stored, schema.Needs = false, func(o *APIOptions) bool { return o.DocumentSchema != nil }
	return append(append(append(list, draftRoutes()...), publishRoutes()...), archiveRoutes()...)
}

const yamlType = "application/yaml"

// act says who does something to documents, and why.
func (c *apiCall) act() documents.Act {
	who := c.who
	if who.Address == "" {
		who.Address = c.request.address
	}
	return documents.Act{Who: who, Reason: c.why, Request: c.request.id}
}

func (c *apiCall) desk() *documents.Desk { return c.api.o.Documents }

func listDocuments(c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	all, err := c.desk().List(c.ctx, c.tenant, c.asked("gone") == "true")
	if err != nil {
		return err
	}
	page := pageOf[documents.Entry]{Items: []documents.Entry{}}
	for i := range all {
		one := &all[i]
		if cursor := one.Name + "." + string(one.Origin); cursor <= q.After || !c.reads("document", one.Name) {
			continue
		}
		if len(page.Items) == q.Limit {
			last := &page.Items[q.Limit-1]
			page.Next = last.Name + "." + string(last.Origin)
			break
		}
		page.Items = append(page.Items, *one)
	}
	return c.reply(page)
}

// documentShown is a document with its text.
type documentShown struct {
	documents.Entry

	Text string `json:"text"` // that is served; "" when none is
}

func readDocument(c *apiCall) error {
	entry, text, err := c.desk().Get(c.ctx, c.tenant, c.path("name"), documents.Origin(c.asked("origin")))
	if err != nil {
		return err
	}
	text = c.shown(entry.Name, text, entry.Origin)
	if entry.Number > 0 {
		c.set("ETag", etag(entry.Number))
	}
	if accepts(c.request.header.Get("Accept"), yamlType) {
		if entry.Gone || entry.Number == 0 && entry.Origin == documents.FromStore {
			return missing("text")
		}
		c.answer, c.contentType = []byte(text), yamlType
		return nil
	}
	return c.reply(documentShown{*entry, text})
}

// shown is a text of a document as the caller may see it: secrets that are written out in
// it, and headers, only of a document of the store that the caller may write.
func (c *apiCall) shown(name, text string, from documents.Origin) string {
	if from == documents.FromStore && c.may(core.ActionWrite, core.Object{Kind: "document", Tenant: c.tenant, Name: name}) == nil {
		return text
	}
	return c.desk().Shown(name, text)
}

// accepts tells whether a client names a type, whatever it likes better.
func accepts(header, media string) bool {
	for one := range strings.SplitSeq(header, ",") {
		name, _, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(name), media) {
			return true
		}
	}
	return false
}

// ref reads a query parameter that names a text.
func (c *apiCall) ref(name string, otherwise documents.Ref) (documents.Ref, error) {
	text := c.asked(name)
	if text == "" {
		return otherwise, nil
	}
	return documents.ParseRef(text)
}

func readText(c *apiCall) error {
	of, err := c.ref("of", documents.Served)
	if err != nil {
		return err
	}
	name, text, from := c.path("name"), "", documents.FromStore
	switch of {
	case documents.Served:
		var entry *documents.Entry
		if entry, text, err = c.desk().Get(c.ctx, c.tenant, name, ""); err == nil && (entry.Gone || entry.Number == 0 && entry.Origin == documents.FromStore) {
			err = missing("text")
		}
		if entry != nil {
			from = entry.Origin
		}
	case documents.InDraft:
		var draft *core.Draft
		if draft, err = c.desk().Draft(c.ctx, c.tenant, name); err == nil {
			c.set("ETag", etag(draft.Version))
			text = draft.Text
		}
	case documents.Nothing:
		err = missing("text")
	default:
		var version *core.DocumentVersion
		if version, err = c.desk().Version(c.ctx, c.tenant, name, int64(of)); err == nil {
			text = version.Text
		}
	}
	if err != nil {
		return err
	}
	c.answer, c.contentType = []byte(c.shown(name, text, from)), yamlType
	return nil
}

func diffDocument(c *apiCall) error {
	from, err := c.ref("from", documents.Served)
	if err != nil {
		return err
	}
	to, err := c.ref("to", documents.InDraft)
	if err != nil {
		return err
	}
	diff, err := c.desk().Diff(c.ctx, c.tenant, c.path("name"), from, to)
	if err != nil {
		return err
	}
	diff.Affected = c.affected(diff.Affected)
	return c.reply(diff)
}

// affected leaves out what stands in documents that the caller may not read.
func (c *apiCall) affected(a documents.Affected) documents.Affected {
	var servers []documents.AffectedServer
	for i := range a.Servers {
		if c.reads("document", a.Servers[i].Document) {
			servers = append(servers, a.Servers[i])
		}
	}
	a.Servers = servers
	return a
}

// versionListed is a version without its text.
type versionListed struct {
	Number    int64     `json:"number"`
	Sum       string    `json:"sum"`
	Size      int       `json:"size"`
	Delete    bool      `json:"delete"`
	By        string    `json:"by"`
	ByName    string    `json:"byName,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	From      int64     `json:"from,omitempty"`
	Published time.Time `json:"published"`
}

func listedVersions(versions []core.DocumentVersion) []versionListed {
	list := make([]versionListed, len(versions))
	for i := range versions {
		v := &versions[i]
		list[i] = versionListed{v.Number, v.Sum, len(v.Text), v.Delete, v.By, v.ByName, v.Reason, v.From, v.Published.UTC()}
	}
	return list
}

func listVersions(c *apiCall) error {
	q, err := c.page()
	if err != nil {
		return err
	}
	versions, next, err := c.desk().Versions(c.ctx, c.tenant, c.path("name"), q.After, q.Limit)
	if err != nil {
		return err
	}
	return c.reply(pageOf[versionListed]{Items: listedVersions(versions), Next: next})
}

func readVersion(c *apiCall) error {
	number, err := strconv.ParseInt(c.path("number"), 10, 64)
	if err != nil || number < 1 {
		return missing("version")
	}
	version, err := c.desk().Version(c.ctx, c.tenant, c.path("name"), number)
	if err != nil {
		return err
	}
	version.Text = c.shown(version.Document, version.Text, documents.FromStore)
	return c.reply(version)
}

func readSchema(c *apiCall) error {
	return c.reply(c.api.o.DocumentSchema())
}

// problemsOf is what is wrong with documents.
type problemsOf struct {
	Good     bool          `json:"good"` // there are only warnings, or none
	Problems []ToldProblem `json:"problems"`
}

func judged(problems []core.Problem) problemsOf {
	return problemsOf{Good: len(grave(problems)) == 0, Problems: Told(problems)}
}
