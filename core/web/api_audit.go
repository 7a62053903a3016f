package web

import (
	"bytes"
	"time"

	"github.com/sallyport/sallyport/core"
)

func auditRoutes() []apiRoute {
	trails := func(o *APIOptions) bool { return o.Trail != nil }
	return []apiRoute{
		{
			Method: "GET", Pattern: "/audit", Summary: "List the audit trail", On: "audit", Do: core.ActionRead, Stored: true, Paged: true,
			Query: append(auditFilters(), sinceParam, untilParam, orderParam), Answer: pageOf[core.AuditEntry]{}, Handle: func(c *apiCall) error {
				q, err := c.timed()
				if err != nil {
					return err
				}
				page := pageOf[core.AuditEntry]{}
				if page.Next, err = c.api.o.Store.List(c.ctx, &page.Items, q); err != nil {
					return err
				}
				return c.reply(page)
			},
		},
		{
			Method: "GET", Pattern: "/audit/feed", Summary: "Follow the audit trail", On: "audit", Do: core.ActionRead, Stored: true, Query: auditFilters(),
			Feed: true, Answer: core.AuditEntry{}, Handle: func(c *apiCall) error {
				return follow(c, feed[core.AuditEntry]{name: "audit", when: entryID, show: func(e *core.AuditEntry) any { return e }})
			},
		},
		{
			Method: "GET", Pattern: "/audit/verify", Summary: "Check that the audit trail is as it was written", On: "audit", Do: core.ActionVerify, Whole: true,
			Stored: true, Needs: trails, Slow: true, Answer: TrailReport{}, Handle: func(c *apiCall) error {
				report, err := c.api.o.Trail.Verify(c.ctx)
				if err != nil {
					return err
				}
				return c.reply(report)
			},
		},
		{
			Method: "GET", Pattern: "/audit/export", Summary: "Write out the audit trail, in a form that can be verified by itself", On: "audit", Do: core.ActionExport,
			Stored: true, Needs: trails, Slow: true, Type: "application/jsonl|text/csv", Also: []int{413, 503},
			Query:  append(auditFilters(), sinceParam, untilParam, apiParam{Name: "format", About: "How: jsonl, one entry a line; or csv.", Enum: []string{"jsonl", "csv"}, Apart: true}),
			Handle: exportAudit,
		},
	}
}

var exportTypes = map[string]string{"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}

// mostExport bounds what an export holds in memory, in bytes.
const mostExport = 64 << 20

func exportAudit(c *apiCall) error {
	q := core.Query{Tenant: c.tenant, Equal: c.filters()}
	var err error
	if q.Since, err = c.when("since"); err != nil {
		return err
	}
	if q.Until, err = c.when("until"); err != nil {
		return err
	}
	format := c.asked("format")
	if format == "" {
		format = "jsonl"
	}
	out := &boundedBuffer{most: mostExport}
	if err := c.api.o.Trail.Export(c.ctx, out, q, format); err != nil {
		if out.full {
			return &core.Error{Code: core.CodeTooLarge, Message: "the export is too large", Fix: "ask for less with since and until, or use sallyport audit export"}
		}
		return err
	}
	entry := c.entry("audit.export", "audit", "")
	if err := c.api.o.Store.Audit(c.ctx, entry); err != nil { // nothing leaves that the trail does not tell
		return err
	}
	c.answer, c.contentType = out.Bytes(), exportTypes[format]
	c.set("Content-Disposition", `attachment; filename="audit.`+format+`"`)
	return nil
}

// boundedBuffer takes only so many bytes.
type boundedBuffer struct {
	bytes.Buffer

	most int
	full bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		b.full = true
		return 0, &core.Error{Code: core.CodeTooLarge, Message: "the export is too large"}
	}
	return b.Buffer.Write(p)
}

// slowest is how long a route may take that reads everything.
const slowest = 5 * time.Minute
