package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/audit"
)

// auditCommands read the audit trail of a store.
type auditCommands struct {
	Verify auditVerify `cmd:"" help:"Check that nobody changed the audit trail. Exit code 1 when somebody did."`
	Export auditExport `cmd:"" help:"Write entries of the audit trail to a file that can be verified by itself."`
}

type auditVerify struct {
	adminTarget

	File string `help:"A file of sallyport audit export, instead of the store; the key of the store is still needed." placeholder:"FILE"`
}

func (k *auditVerify) run(ctx context.Context, c console) int {
	broken := false
	code := k.onTrail(ctx, c, "verify", func(h *gatehouse, key []byte) error {
		var report *audit.Report
		var err error
		if k.File != "" {
			file, openErr := os.Open(k.File)
			if openErr != nil {
				return openErr
			}
			defer func() { _ = file.Close() }() // it was only read
			report, err = audit.VerifyExport(file, key)
		} else {
			var heads []audit.Head
			if heads, err = headsFrom(h.settings.Audit.Anchors, key); err == nil {
				report, err = audit.Verify(ctx, h.door.late, audit.VerifyOptions{Key: key, Heads: heads})
			}
		}
		if err != nil {
			return err
		}
		broken = !report.OK()
		if k.JSON {
			return report.JSON(c.out)
		}
		return report.Text(c.out)
	})
	if code == exitOK && broken {
		return exitWrong
	}
	return code
}

// headsFrom reads the file of anchors that the settings name; none is no error.
func headsFrom(path string, key []byte) ([]audit.Head, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	return audit.ReadHeads(file, key)
}

type auditExport struct {
	adminTarget

	Out    string `help:"File to write." default:"audit.jsonl" placeholder:"FILE"`
	Format string `help:"jsonl or csv." default:"jsonl" enum:"jsonl,csv" placeholder:"jsonl|csv"`
	Since  string `help:"First day or moment (2026-11-30, or RFC 3339)." placeholder:"TIME"`
	Until  string `help:"Day or moment before which it ends." placeholder:"TIME"`
}

func (k *auditExport) run(ctx context.Context, c console) int {
	return k.onTrail(ctx, c, "export", func(h *gatehouse, key []byte) error {
		q := core.Query{Tenant: core.EveryTenant}
		if k.Tenant != "" {
			q.Tenant = k.Tenant
		}
		var err error
		if q.Since, err = dayOrMoment(k.Since); err != nil {
			return err
		}
		if q.Until, err = dayOrMoment(k.Until); err != nil {
			return err
		}
		file, err := os.OpenFile(k.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return &core.Error{Code: core.CodeInvalid, Message: "make the file " + k.Out, Fix: "name a file that is not there yet with --out FILE", Err: err}
		}
		summary, err := audit.Export(ctx, h.door.late, file, q, audit.ExportOptions{Key: key, Format: audit.Format(k.Format), Now: time.Now})
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return errors.Join(err, os.Remove(k.Out))
		}
		fmt.Fprintf(c.out, "wrote %s, %d entries\n", k.Out, summary.Count)
		return h.door.late.Audit(ctx, &core.AuditEntry{
			Tenant: core.DefaultTenant, Via: core.ViaOperator, ActorName: "sallyport audit export", Action: "audit.export", Kind: "audit", Outcome: "ok",
		})
	})
}

func dayOrMoment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &core.Error{Code: core.CodeInvalid, Message: strings.TrimSpace(text) + " is no moment", Fix: "write a day such as 2026-11-30, or RFC 3339"}
}

// onTrail runs f on the store with the key of its audit trail.
func (t *adminTarget) onTrail(ctx context.Context, c console, doing string, f func(h *gatehouse, key []byte) error) int {
	return t.onStore(ctx, c, "audit "+doing, func(h *gatehouse) error {
		key, err := h.door.vault.Derive(auditKey)
		if err != nil {
			return err
		}
		return f(h, key)
	})
}
