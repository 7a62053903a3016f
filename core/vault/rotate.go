package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/core"
)

// Rotate makes a new key that seals from now on; the old ones go on opening. Only keys
// of the file can be rotated here. It returns the id of the new one.
func (v *Vault) Rotate() (kid string, err error) {
	switch {
	case v.hook != nil:
		return "", &core.Error{Code: core.CodeReadOnly, Message: "keys are kept by the command of the vault", Fix: "rotate them in the service behind it: from then on its answers to wrap have another kid"}
	case len(v.ring.given) > 0:
		return "", &core.Error{Code: core.CodeReadOnly, Message: "keys are given in the settings", Fix: "put a new one in front of them, on every replica first behind the old one, and start again"}
	}
	k, err := v.ring.rotate()
	if err != nil {
		return "", err
	}
	v.o.Log.Info("the vault has a new key", "kid", k.id)
	return k.id, nil
}

// Rewrap wraps the data key of a sealed text with the key that seals now. The text
// itself is not opened. changed is false when it is wrapped with that key already.
func (v *Vault) Rewrap(token, purpose string, bind ...string) (fresh string, changed bool, err error) {
	s, ok := parse(token)
	if !ok {
		return "", false, closed(errNotOurs)
	}
	if s.kid == v.Kid() {
		return token, false, nil
	}
	if s, err = v.rewrap(s, purpose, bind); err != nil {
		return "", false, closed(err)
	}
	return s.String(), true, nil
}

// Rotation is what RotateStore did.
type Rotation struct {
	Looked  int      `json:"looked"`  // sealed texts that were looked at
	Changed int      `json:"changed"` // of them wrapped anew
	Failed  []string `json:"failed"`  // rows that do not open: kind/tenant/id, at most 20
}

const (
	batch     = 50
	maxFailed = 20
	maxTries  = 5 // of a batch whose rows others change
)

// RotateStore wraps everything sealed in the store with the key that seals now, while
// others go on. It takes small transactions, each with an audit entry like entry; what
// was done stays done when it is stopped, and the next run goes on from there.
func (v *Vault) RotateStore(ctx context.Context, store core.Store, entry *core.AuditEntry) (Rotation, error) {
	var r Rotation
	if v.hook != nil {
		// Learn the kid of now.
		if _, err := v.seal("probe", nil, nil); err != nil {
			return r, err
		}
	}
	for _, one := range columns {
		after := ""
		for {
			cells, next, err := one.list(ctx, store, after)
			if err != nil {
				return r, fmt.Errorf("rotate %s: %w", one.kind, err)
			}
			if err := v.rotatePage(ctx, store, entry, cells, &r); err != nil {
				return r, fmt.Errorf("rotate %s: %w", one.kind, err)
			}
			if after = next; after == "" {
				break
			}
		}
	}
	if len(r.Failed) > 0 {
		return r, &core.Error{
			Code: core.CodeDenied, Message: strconv.Itoa(len(r.Failed)) + " sealed values or more do not open and were left as they are, the first in " + r.Failed[0],
			Fix: "give the vault the key that they were sealed with, or set them anew",
		}
	}
	return r, nil
}

// rotatePage wraps the cells of a page that need it.
func (v *Vault) rotatePage(ctx context.Context, store core.Store, entry *core.AuditEntry, cells []cell, r *Rotation) error {
	now := v.Kid()
	var old []cell
	for _, c := range cells {
		r.Looked++
		if s, ok := parse(c.token()); !ok || s.kid != now {
			old = append(old, c)
		}
	}
	for part := range slices.Chunk(old, batch) {
		changed, failed, err := v.rotateBatch(ctx, store, entry, part)
		if err != nil {
			return err
		}
		r.Changed += changed
		r.Failed = append(r.Failed, failed[:min(len(failed), maxFailed-len(r.Failed))]...)
	}
	return nil
}

// rotateBatch is one transaction. Rows are read again in it, so that what others wrote
// meanwhile is what is wrapped.
func (v *Vault) rotateBatch(ctx context.Context, store core.Store, entry *core.AuditEntry, cells []cell) (changed int, failed []string, err error) {
	for try := 1; ; try++ {
		told := *entry
		err = store.Change(ctx, &told, func(ctx context.Context, tx core.Tx) error {
			changed, failed = 0, nil
			for _, c := range cells {
				did, err := v.rotateCell(ctx, tx, c)
				var e *core.Error
				switch {
				case errors.As(err, &e) && e.Code == core.CodeNotFound: // the row is gone
				case errors.Is(err, errLeft):
					failed = append(failed, c.name())
				case err != nil:
					return err
				case did:
					changed++
				}
			}
			if changed == 0 {
				return errNothing // no empty entry in the trail
			}
			told.Action, told.Kind, told.Name, told.Outcome = "key.rewrap", "key", v.Kid(), "ok"
			told.Details = json.RawMessage(`{"rewrapped":` + strconv.Itoa(changed) + `}`)
			return nil
		})
		var e *core.Error
		switch {
		case err == nil || errors.Is(err, errNothing):
			return changed, failed, nil
		case errors.As(err, &e) && e.Code == core.CodeChanged && try < maxTries:
			continue
		}
		return 0, nil, err
	}
}

var (
	errLeft    = errors.New("does not open")
	errNothing = errors.New("nothing to change")
)

func (v *Vault) rotateCell(ctx context.Context, tx core.Tx, c cell) (bool, error) {
	c = c.again()
	if err := tx.Get(ctx, c.row()); err != nil {
		return false, err
	}
	if c.token() == "" {
		return false, nil
	}
	fresh, changed, err := v.Rewrap(c.token(), c.purpose(), c.bind()...)
	var e *core.Error
	switch {
	case errors.As(err, &e) && e.Code == core.CodeNotFound:
		return false, errLeft
	case err != nil || !changed:
		return false, err
	}
	c.set(fresh)
	return true, tx.Put(ctx, c.row())
}

// Unused names keys of this process that nothing in the store is wrapped with, the one
// that seals left out.
func (v *Vault) Unused(ctx context.Context, store core.Store) ([]string, error) {
	used := map[string]bool{v.Kid(): true}
	for _, one := range columns {
		after := ""
		for {
			cells, next, err := one.list(ctx, store, after)
			if err != nil {
				return nil, fmt.Errorf("look for keys in %s: %w", one.kind, err)
			}
			for _, c := range cells {
				if s, ok := parse(c.token()); ok {
					used[s.kid] = true
				}
			}
			if after = next; after == "" {
				break
			}
		}
	}
	return slices.DeleteFunc(v.Kids(), func(kid string) bool { return used[kid] }), nil
}

// Forget takes a key out of the key file, once nothing in the store needs it.
func (v *Vault) Forget(ctx context.Context, store core.Store, kid string) error {
	unused, err := v.Unused(ctx, store)
	if err != nil {
		return err
	}
	if !slices.Contains(unused, kid) {
		return &core.Error{Code: core.CodeConflict, Message: "the store holds what only this key opens, or there is no such key", Fix: "rotate what is stored first"}
	}
	if err := v.ring.forget(kid); err != nil {
		return err
	}
	v.o.Log.Info("the vault forgot a key that nothing needed", "kid", kid)
	return nil
}
