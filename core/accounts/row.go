package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/sallyport/sallyport/core"
)

// newRow returns the row of an account, without a token. Its id comes from the account,
// so that two replicas cannot make two.
func newRow(of account) *core.Credential {
	sum := sha256.Sum256([]byte(of.key()))
	return &core.Credential{Tenant: of.tenant, ID: "account-" + hex.EncodeToString(sum[:12]), Name: of.connector, Owner: of.user, Connector: of.connector}
}

// put writes an account's token, over the row that is there now.
func (a *Accounts) put(ctx context.Context, tx core.Tx, row *core.Credential, t *token) error {
	if err := tx.Get(ctx, row); err != nil && !hasCode(err, core.CodeNotFound) {
		return err
	}
	if err := a.fill(row, t); err != nil {
		return err
	}
	return tx.Put(ctx, row)
}

// fill seals a token into its row.
func (a *Accounts) fill(row *core.Credential, t *token) error {
	text, err := t.text()
	if err != nil {
		return err
	}
	defer clear(text)
	if row.Sealed, err = a.o.Sealer.Seal(core.SealedRow, text, core.CredentialBind(row)...); err != nil {
		return err
	}
	row.Set, row.Expires = a.o.Now().UTC(), nil
	if t.refresh == "" && !t.expires.IsZero() {
		until := t.expires.UTC()
		row.Expires = &until
	}
	return nil
}

func (a *Accounts) entry(who core.Identity, action, connector string) *core.AuditEntry {
	return &core.AuditEntry{
		Time: a.o.Now(), Tenant: who.In(), Actor: who.Subject, ActorName: who.Name, Via: who.Via, Credential: who.Credential, Address: who.Address,
		Action: action, Kind: "connector", Name: connector, Outcome: "ok",
	}
}
