package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
)

type adminExport struct {
	adminTarget

	Out string `help:"File to write (tar.gz)." default:"documents.tar.gz" placeholder:"FILE"`
}

func (k *adminExport) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "export", func(a *adminClient) error {
		answer, err := a.call(ctx, "GET", "/documents/export", nil)
		if err != nil {
			return err
		}
		if err := os.WriteFile(k.Out, answer.body, 0o600); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "wrote %s, %d bytes\n", k.Out, len(answer.body))
		return nil
	})
}

type adminImport struct {
	adminTarget

	Files   []string `arg:"" help:"An archive of sallyport admin export, or YAML files that become documents of their names." type:"existingfile"`
	DryRun  bool     `name:"dry-run" help:"Only say what would happen."`
	Publish bool     `help:"Serve them at once; otherwise they become drafts."`
	Replace bool     `help:"Take the place of documents that are there already."`
	Reason  string   `help:"Why, for the audit trail." placeholder:"TEXT"`
}

func (k *adminImport) run(ctx context.Context, c console) int {
	return k.with(ctx, c, "import", func(a *adminClient) error {
		body, err := archiveOf(k.Files)
		if err != nil {
			return err
		}
		answer, err := a.call(ctx, "POST", "/documents/import", map[string]any{
			"archive": base64.StdEncoding.EncodeToString(body), "dryRun": k.DryRun, "publish": k.Publish, "replace": k.Replace, "reason": k.Reason,
		})
		if err != nil {
			return err
		}
		return a.print(answer)
	})
}
