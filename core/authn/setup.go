package authn

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// setupName is the Setting of DefaultTenant that keeps the hash of the setup token.
const setupName = "setup"

// setupToken is its value.
type setupToken struct {
	Sum  string `json:"sum"` // SHA-256, hexadecimal
	Made string `json:"made"`
}

// EnsureSetup returns a new setup token when there is no user at all, for the caller to
// print: whoever has it may make the first administrator. The one of the start before is
// good no more. needed is false, and a left-over token is gone, once there is a user.
func (l *Logins) EnsureSetup(ctx context.Context) (token core.Secret, needed bool, err error) {
	text, err := randomText(l.a.random, 32, secretChars)
	if err != nil {
		return "", false, err
	}
	now := l.a.now()
	value, err := wire.Marshal(setupToken{Sum: hexSum(text), Made: now.UTC().Format("2006-01-02T15:04:05Z")})
	if err != nil {
		return "", false, err
	}
	entry := &core.AuditEntry{Time: now, Tenant: core.DefaultTenant, Via: core.ViaOperator, Action: "setup.begin", Kind: "setting", Name: setupName, Outcome: "ok"}
	for range 3 {
		err = l.a.store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
			row := &core.Setting{Tenant: core.DefaultTenant, Name: setupName}
			missing, err := get(ctx, tx, row)
			if err != nil {
				return err
			}
			some, err := anybody(ctx, tx)
			if err != nil {
				return err
			}
			if needed = !some; needed {
				entry.Action = "setup.begin"
				row.Value = string(value)
				return tx.Put(ctx, row)
			}
			if missing {
				return errNothing
			}
			entry.Action = "setup.end"
			return tx.Delete(ctx, row)
		})
		if err == nil || core.AsError(err).Code != core.CodeChanged && core.AsError(err).Code != core.CodeConflict {
			break // replicas that start together make theirs one after the other
		}
	}
	switch {
	case errors.Is(err, errNothing):
		return "", false, nil
	case err != nil:
		return "", false, err
	case !needed:
		return "", false, nil
	}
	return core.Secret(text), true, nil
}

// get is tx.Get that tells a missing row from a failure.
func get(ctx context.Context, tx core.Reader, row core.Row) (missing bool, err error) {
	err = tx.Get(ctx, row)
	if err != nil && core.AsError(err).Code == core.CodeNotFound {
		return true, nil
	}
	return false, err
}

// anybody tells whether there is a user.
func anybody(ctx context.Context, tx core.Reader) (bool, error) {
	var users []core.User
	_, err := tx.List(ctx, &users, core.Query{Tenant: core.EveryTenant, Limit: 1})
	return len(users) > 0, err
}

// SetupWanted tells whether the first administrator is still to be made.
func (l *Logins) SetupWanted(ctx context.Context) (bool, error) {
	some, err := anybody(ctx, l.a.store)
	return err == nil && !some, err
}

// FirstUser is who sets the gateway up.
type FirstUser struct {
	Name, Title, Email string
	Password           core.Secret
}

// Setup makes the first administrator of everything and logs it in, for whoever has the
// setup token, which is good once. The error has CodeUnauthenticated when it does not fit
// or there is no setup any more.
func (l *Logins) Setup(ctx context.Context, token core.Secret, first FirstUser, from From) (*Granted, error) {
	try, err := l.begin(ctx, core.DefaultTenant, "\x00setup", from)
	if err != nil {
		return nil, err
	}
	if err := holdsSetup(ctx, l.a.store, token); err != nil { // before any work is done for a stranger
		return nil, l.failed(ctx, core.DefaultTenant, nil, from, err)
	}
	try.forgive()
	name := CanonicalName(first.Name)
	if name == "" || len(name) > maxName {
		return nil, &core.Error{Code: core.CodeInvalid, Message: "a user needs a name of 1 to 64 bytes", Fix: "give one, such as ada"}
	}
	if err := CheckPassword(name, first.Password); err != nil {
		return nil, err
	}
	hash, err := l.passwords.Hash(ctx, first.Password)
	if err != nil {
		return nil, err
	}
	id, err := NewID(l.a.random)
	if err != nil {
		return nil, err
	}
	g, err := l.fresher(core.DefaultTenant, id, "", from)
	if err != nil {
		return nil, err
	}
	made := g.Login.Made
	u := core.User{
		Tenant: core.DefaultTenant, ID: id, Name: name, Title: cut(first.Title, maxTitle), Email: cut(first.Email, 254), Password: hash,
		Groups: []string{}, Roles: []string{}, Everywhere: []string{"admin"}, LastLogin: &made, Stamp: core.Stamp{By: id},
	}
	entry := ok(l.entry(core.DefaultTenant, &u, "setup.done", "", from), &u, g.Login.ID)
	entry.Kind = "user"
	var kept core.User
	err = l.a.store.Change(ctx, entry, func(ctx context.Context, tx core.Tx) error {
		if err := holdsSetup(ctx, tx, token); err != nil {
			return err
		}
		if err := tx.Delete(ctx, &core.Setting{Tenant: core.DefaultTenant, Name: setupName}); err != nil {
			return err
		}
		kept = u
		if err := tx.Put(ctx, &kept); err != nil {
			return err
		}
		return tx.Put(ctx, g.Login)
	})
	if err != nil {
		return nil, err
	}
	return l.dress(ctx, g, &kept)
}

// holdsSetup tells whether a token is the setup token, and setting up is still to be done.
func holdsSetup(ctx context.Context, tx core.Reader, token core.Secret) error {
	wrong := &core.Error{
		Code: core.CodeUnauthenticated, Message: "the setup token is not valid",
		Fix: "use the one that the gateway printed at its last start; there is none once somebody has an account",
	}
	row := &core.Setting{Tenant: core.DefaultTenant, Name: setupName}
	missing, err := get(ctx, tx, row)
	if err != nil {
		return err
	}
	var is setupToken
	if missing || json.Unmarshal([]byte(row.Value), &is) != nil || is.Sum == "" || !equal(hexSum(token.Reveal()), is.Sum) {
		return wrong
	}
	some, err := anybody(ctx, tx)
	if err != nil {
		return err
	}
	if some {
		return wrong
	}
	return nil
}
