package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
)

type adminDocuments struct {
	List     adminDocumentsList     `cmd:"" help:"List the documents of a tenant."`
	Get      adminDocumentsGet      `cmd:"" help:"Print a document as it is served."`
	Draft    adminDocumentsDraft    `cmd:"" help:"Write a file as the draft of a document, and say what is wrong with it."`
	Diff     adminDocumentsDiff     `cmd:"" help:"Print what a draft would change."`
	Publish  adminDocumentsPublish  `cmd:"" help:"Serve drafts from now on."`
	Versions adminDocumentsVersions `cmd:"" help:"List the versions of a document."`
	Rollback adminDocumentsRollback `cmd:"" help:"Serve an older version again, as a new one."`
}

type adminDocumentsList struct{ adminTarget }

func (k *adminDocumentsList) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents list", func(a *adminClient) error {
		return a.list(ctx, "/documents", "name", "origin", "number", "size", "updated", "by")
	})
}

type adminDocumentsGet struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
}

func (k *adminDocumentsGet) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents get", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/documents/"+url.PathEscape(k.Name), nil, "Accept", "application/yaml")
		if err != nil {
			return err
		}
		_, err = c.out.Write(answer.body)
		return err
	})
}

type adminDocumentsDraft struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
	File string `arg:"" help:"YAML file." type:"existingfile"`
}

func (k *adminDocumentsDraft) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents draft", func(a *adminClient) error {
		text, err := os.ReadFile(k.File)
		if err != nil {
			return err
		}
		path := "/documents/" + url.PathEscape(k.Name) + "/draft"
		header := []string{"If-None-Match", "*"}
		if before, err := a.call(ctx, "GET", path, nil); err == nil {
			header = []string{"If-Match", before.etag}
		}
		answer, err := a.call(ctx, "PUT", path, map[string]string{"text": string(text)}, header...)
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}

type adminDocumentsDiff struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
}

func (k *adminDocumentsDiff) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents diff", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/documents/"+url.PathEscape(k.Name)+"/diff", nil)
		if err != nil || a.raw {
			if err == nil {
				err = a.print(answer)
			}
			return err
		}
		var diff struct{ Text string }
		if err := json.Unmarshal(answer.body, &diff); err != nil {
			return err
		}
		fmt.Fprint(c.out, diff.Text)
		return nil
	})
}

type adminDocumentsPublish struct {
	adminTarget

	Names  []string `arg:"" help:"Names of the documents whose drafts are served from now on, together."`
	Reason string   `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminDocumentsPublish) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents publish", func(a *adminClient) error {
		answer, err := a.call(ctx, "POST", "/documents/publish", map[string]any{"names": k.Names, "reason": k.Reason})
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}

type adminDocumentsVersions struct {
	adminTarget

	Name string `arg:"" help:"Name of the document."`
}

func (k *adminDocumentsVersions) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents versions", func(a *adminClient) error {
		return a.list(ctx, "/documents/"+url.PathEscape(k.Name)+"/versions", "number", "published", "byName", "reason", "from", "sum")
	})
}

type adminDocumentsRollback struct {
	adminTarget

	Name   string `arg:"" help:"Name of the document."`
	Number int64  `arg:"" help:"Number of the version."`
	Reason string `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminDocumentsRollback) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "documents rollback", func(a *adminClient) error {
		path := "/documents/" + url.PathEscape(k.Name)
		now, err := a.call(ctx, "GET", path, nil)
		if err != nil {
			return err
		}
		answer, err := a.call(ctx, "POST", path+"/rollback", map[string]any{"number": k.Number, "reason": k.Reason}, "If-Match", now.etag)
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}
