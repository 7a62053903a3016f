package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/documents"
	"github.com/sallyport/sallyport/store"
)

type adminBackup struct {
	adminTarget

	Out string `help:"File to write." default:"sallyport.backup" placeholder:"FILE"`
}

// The file holds everything of the store; secrets in it are sealed with the keys of the
// gateway, which it does not hold.
func (k *adminBackup) run(ctx context.Context, c console) int {
	return k.onStore(ctx, c, "admin backup", func(h *gatehouse) error {
		file, err := os.OpenFile(k.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return &core.Error{Code: core.CodeInvalid, Message: "make the file " + k.Out, Fix: "name a file that is not there yet with --out FILE", Err: err}
		}
		if err := errors.Join(h.door.late.Backup(ctx, file), file.Sync(), file.Close()); err != nil {
			return errors.Join(err, os.Remove(k.Out))
		}
		fmt.Fprintf(c.out, "wrote %s; keep the key of the store with it: without %s its secrets cannot be read\n", k.Out, h.door.vault.Kid())
		return nil
	})
}

type adminRestore struct {
	adminTarget

	File string `arg:"" help:"File of sallyport admin backup." type:"existingfile"`
}

func (k *adminRestore) run(ctx context.Context, c console) int {
	return k.onVault(ctx, c, "admin restore", func(h *gatehouse) error {
		file, err := os.Open(k.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // it was only read
		s, err := store.Open(ctx, h.settings.Database(), store.Options{Replica: h.replica, Log: h.log})
		if err != nil {
			return err
		}
		if err := errors.Join(s.Restore(ctx, file), s.Close()); err != nil {
			return err
		}
		// Opening it tells whether its secrets can be read with the keys that are here.
		if err := h.door.late.begin(ctx, false); err != nil {
			return err
		}
		fmt.Fprintln(c.out, "restored")
		return nil
	})
}

// onStore opens the store itself, and runs f on it.
func (t *adminTarget) onStore(ctx context.Context, c console, doing string, f func(h *gatehouse) error) int {
	return t.onVault(ctx, c, doing, func(h *gatehouse) error {
		if err := h.door.late.begin(ctx, false); err != nil {
			return err
		}
		return f(h)
	})
}

// onVault reads the keys, and runs f before the store is opened.
func (t *adminTarget) onVault(ctx context.Context, c console, doing string, f func(h *gatehouse) error) int {
	if t.URL != "" {
		return c.complain(doing, &core.Error{Code: core.CodeInvalid, Message: doing + " works on the store itself", Fix: "leave out --url, and name the store with --data, --settings or SALLYPORT_STORE_URL; with SQLite stop the gateway first"})
	}
	settings, err := t.settings(c)
	if err != nil {
		return c.complain(doing, err)
	}
	house, err := newGatehouse(ctx, settings, c, kinds())
	if err != nil {
		return c.complain(doing, err)
	}
	defer house.close(context.WithoutCancel(ctx))
	if err := f(house); err != nil {
		return c.complain(doing, err)
	}
	return exitOK
}

// archiveOf reads an archive, or makes one of YAML files.
func archiveOf(files []string) ([]byte, error) {
	if len(files) == 1 && strings.HasSuffix(files[0], ".gz") {
		return os.ReadFile(files[0])
	}
	texts := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		base := filepath.Base(file)
		texts[strings.TrimSuffix(base, filepath.Ext(base))] = text
	}
	archive, err := documents.NewArchive(core.DefaultTenant, time.Now(), texts)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := archive.Write(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
