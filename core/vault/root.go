package vault

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// The settings that the vault keeps in the store.
const (
	checkSetting = "vault.check" // a known text, sealed: it tells right keys from wrong ones
	rootSetting  = "vault.root"  // a random secret, sealed: keys for other uses come from it

	checkPurpose = "vault check"
	rootPurpose  = "vault root"
	sentinel     = "sallyport vault"

	rootFile = "vault-root.json" // the sealed root, for starts without the store
)

// Check refuses a store that was sealed with other keys: the error says which key is
// missing and how to give it. In a store that is new it leaves what the next start
// checks, and the root of derived keys; replicas that start at once agree on one.
func (v *Vault) Check(ctx context.Context, store core.Store) error {
	const tries = 5
	for range tries {
		again, err := v.check(ctx, store)
		if err != nil || !again {
			return err
		}
	}
	return &core.Error{Code: core.CodeConflict, Message: "another process keeps changing what the vault checks in the store", Fix: "start again"}
}

// check is one try; again says that another replica was faster.
func (v *Vault) check(ctx context.Context, store core.Store) (again bool, err error) {
	checked, check, err := readSetting(ctx, store, checkSetting)
	if err != nil {
		return false, err
	}
	rooted, root, err := readSetting(ctx, store, rootSetting)
	if err != nil {
		return false, err
	}
	if checked != nil {
		plain, err := v.openText(checkPurpose, check, core.SettingBind(checked))
		if err == nil && string(plain) != sentinel {
			err = errNotOurs
		}
		if err != nil {
			return false, refusal("the store", err)
		}
	}
	if rooted != nil {
		if err := v.keepRoot(root); err != nil {
			return false, err
		}
	}
	if checked != nil && rooted != nil {
		return false, nil
	}
	return true, v.found(ctx, store, checked == nil, rooted == nil)
}

// found writes the settings that are missing. That somebody else has is no error.
func (v *Vault) found(ctx context.Context, store core.Store, check, root bool) error {
	var rows []*core.Setting
	add := func(name, purpose string, plain []byte) error {
		row := &core.Setting{Tenant: core.DefaultTenant, Name: name}
		token, err := v.Seal(purpose, plain, core.SettingBind(row)...)
		if err != nil {
			return err
		}
		row.Value = quoted(token)
		rows = append(rows, row)
		return nil
	}
	if check {
		if err := add(checkSetting, checkPurpose, []byte(sentinel)); err != nil {
			return err
		}
	}
	if root {
		if v.root.Load() == nil {
			if err := v.Propose(); err != nil {
				return err
			}
		}
		if err := add(rootSetting, rootPurpose, v.root.Load()[:]); err != nil {
			return err
		}
	}
	entry := &core.AuditEntry{
		Time: v.o.Now(), Tenant: core.DefaultTenant, Via: core.ViaOperator, Action: "key.write", Kind: "key", Name: v.Kid(), Outcome: "ok", Reason: "first start of the vault",
	}
	err := store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		for _, row := range rows {
			fresh := *row // the transaction may run twice
			if err := tx.Put(ctx, &fresh); err != nil {
				return err
			}
		}
		return nil
	})
	var e *core.Error
	if errors.As(err, &e) && (e.Code == core.CodeConflict || e.Code == core.CodeChanged) {
		return nil
	}
	return err
}

// Propose makes a root, where none is known yet, that Check writes into a store which
// has none. Derive works with it from now on: the first entry of the audit trail, which
// Check makes, needs its key already. When Check finds another root, Derive gives other
// keys from then on, and nothing was written with these.
func (v *Vault) Propose() error {
	if v.root.Load() != nil {
		return nil
	}
	var root [keySize]byte
	if _, err := io.ReadFull(v.o.Rand, root[:]); err != nil {
		return fmt.Errorf("make the root of the vault: read randomness: %w", err)
	}
	v.root.CompareAndSwap(nil, &root)
	return nil
}

// keepRoot opens the root and keeps it, in memory and beside the keys.
func (v *Vault) keepRoot(token string) error {
	if err := v.takeRoot(token); err != nil {
		return refusal("the root of the vault", err)
	}
	if v.o.Dir == "" {
		return nil
	}
	path := filepath.Join(v.o.Dir, rootFile)
	text := append([]byte(`{"root":`), quoted(token)...)
	text = append(text, "}\n"...)
	if before, err := readPrivate(path, maxKeyFile); err == nil && bytes.Equal(before, text) {
		return nil
	}
	if err := writePrivate(path, text, os.Rename); err != nil {
		return fmt.Errorf("keep the root of the vault: %w", err)
	}
	return nil
}

func (v *Vault) takeRoot(token string) error {
	row := &core.Setting{Tenant: core.DefaultTenant, Name: rootSetting}
	plain, err := v.openText(rootPurpose, token, core.SettingBind(row))
	if err != nil {
		return err
	}
	defer clear(plain)
	if len(plain) != keySize {
		return errNotOurs
	}
	root := [keySize]byte(plain)
	v.root.Store(&root)
	return nil
}

// recall takes the root that is kept beside the keys, if there is one that opens: the
// store says later which one is right.
func (v *Vault) recall() error {
	if v.o.Dir == "" {
		return nil
	}
	b, err := readPrivate(filepath.Join(v.o.Dir, rootFile), maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var text struct {
		Root string `json:"root"`
	}
	if err = wire.Unmarshal(b, &text); err == nil {
		err = v.takeRoot(text.Root)
	}
	if err != nil {
		v.o.Log.Warn("the root kept beside the vault's keys does not open; it is read from the store", "error", err)
	}
	return nil
}

// Derive returns 32 bytes for a purpose: the same on all replicas of a store, and
// whatever keys are rotated (HKDF-SHA256, RFC 5869). Before Check has succeeded once in
// this directory there is no root, and the error has CodeUnavailable.
func (v *Vault) Derive(purpose string) ([]byte, error) {
	root := v.root.Load()
	if root == nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Message: "the root of the vault is not known yet", Fix: "let the store be reached once"}
	}
	b, err := hkdf.Key(sha256.New, root[:], nil, "sallyport "+purpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return b, nil
}

// readSetting returns a sealed setting and its text; nil when it is not there.
func readSetting(ctx context.Context, store core.Reader, name string) (*core.Setting, string, error) {
	row := &core.Setting{Tenant: core.DefaultTenant, Name: name}
	if err := store.Get(ctx, row); err != nil {
		var e *core.Error
		if errors.As(err, &e) && e.Code == core.CodeNotFound {
			return nil, "", nil
		}
		return nil, "", fmt.Errorf("read the setting %s: %w", name, err)
	}
	var token string
	if err := wire.Unmarshal([]byte(row.Value), &token); err != nil {
		return nil, "", refusal("the setting "+name, errNotOurs)
	}
	return row, token, nil
}

func quoted(token string) string { return string(wire.AppendString(nil, token)) }
