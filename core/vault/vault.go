package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/core"
)

// Options says where the keys are; see the package comment. The zero value has none.
type Options struct {
	Dir         string        // of the key file, and of the root beside it; "" = neither
	Keys        core.Secret   // kid:base64key[,kid:base64key…]; "" = none
	Command     []string      // program and arguments that wrap data keys; nil = none
	Environment []string      // of the program, NAME=value; nil = empty
	Timeout     time.Duration // of one run of it; 0 = 10 s
	Now         func() time.Time
	Rand        io.Reader    // crypto/rand
	Log         *slog.Logger // nil = none
}

// Vault seals and opens, and hands out secrets. It is safe for concurrent use.
type Vault struct {
	o    Options
	ring *ring
	hook *hook // nil = none
	root atomic.Pointer[[keySize]byte]
	held atomic.Pointer[secrets]
}

// Open reads the keys, and makes a key file where there is no other source. Errors say
// what is wrong with a source, and nothing of its keys.
func Open(ctx context.Context, o Options) (*Vault, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var given []*key
	if o.Keys != "" {
		var err error
		if given, err = parseKeys(o.Keys); err != nil {
			return nil, err
		}
	}
	o.Keys = ""
	first := len(given) == 0 && len(o.Command) == 0 // the file is the source
	switch {
	case len(given) > 0 && len(o.Command) > 0:
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the vault is given both keys and a command", Fix: "give one of them"}
	case first && o.Dir == "":
		return nil, &core.Error{Code: core.CodeInvalid, Message: "the vault has no keys", Fix: "give keys, a command, or a directory for a key file"}
	}
	path := ""
	if o.Dir != "" {
		path = filepath.Join(o.Dir, keyFile)
	}
	v := &Vault{o: o}
	var err error
	if v.ring, err = openRing(path, given, first, o.Now, o.Rand); err != nil {
		return nil, err
	}
	if len(o.Command) > 0 {
		if v.hook, err = openHook(ctx, &o); err != nil {
			return nil, err
		}
	}
	v.held.Store(&secrets{})
	return v, v.recall()
}

// Seal seals plain (core.Sealer).
func (v *Vault) Seal(purpose string, plain []byte, bind ...string) (string, error) {
	s, err := v.seal(purpose, plain, bind)
	if err != nil {
		return "", err
	}
	return s.String(), nil
}

// Open returns what was sealed for the same purpose and bind (core.Sealer).
func (v *Vault) Open(purpose, token string, bind ...string) ([]byte, error) {
	plain, err := v.openText(purpose, token, bind)
	if err != nil {
		return nil, closed(err)
	}
	return plain, nil
}

func (v *Vault) openText(purpose, token string, bind []string) ([]byte, error) {
	s, ok := parse(token)
	if !ok {
		return nil, errNotOurs
	}
	return v.open(&s, purpose, bind)
}

// wrap wraps a data key by the source that seals.
func (v *Vault) wrap(secret, about []byte) (kid string, wrapped []byte, err error) {
	if v.hook != nil {
		return v.hook.wrap(context.Background(), secret, about)
	}
	return v.ring.wrap(secret, about)
}

// unwrap finds the source of a kid.
func (v *Vault) unwrap(kid string, wrapped, about []byte) ([]byte, error) {
	if k := v.ring.find(kid); k != nil {
		return k.unwrap(wrapped, about)
	}
	if v.hook != nil {
		return v.hook.unwrap(context.Background(), kid, wrapped, about)
	}
	return nil, &missingKeyError{kid}
}

// Kid names the key that seals.
func (v *Vault) Kid() string {
	if v.hook != nil {
		return v.hook.sealing()
	}
	return v.ring.sealing().id
}

// Kids names the keys that are in this process, those that only open included.
func (v *Vault) Kids() []string { return v.ring.ids() }

// String says nothing of the keys.
func (v *Vault) String() string { return "vault" }

// GoString says nothing of the keys.
func (v *Vault) GoString() string { return "vault" }

// MarshalJSON says nothing of the keys.
func (v *Vault) MarshalJSON() ([]byte, error) { return []byte(`"vault"`), nil }

// LogValue says nothing of the keys.
func (v *Vault) LogValue() slog.Value { return slog.StringValue("vault") }

// howToGive says how a key that is missing can be given.
const howToGive = "give it back: as the key file " + keyFile + " in the data directory, as one of the keys in the settings (kid:base64key, not as the first), or by the command that knows it"

// refusal is the error of a start with wrong keys.
func refusal(what string, err error) error {
	var missing *missingKeyError
	var e *core.Error
	switch {
	case errors.As(err, &missing):
		return &core.Error{Code: core.CodeDenied, Message: what + " was sealed with the key " + missing.kid + ", which the vault does not have", Fix: howToGive}
	case errors.As(err, &e):
		return err
	}
	return &core.Error{Code: core.CodeDenied, Message: what + " does not open: a key of the vault has the right id and another value, or the store was changed", Fix: howToGive, Err: err}
}

var (
	_ core.Vault  = (*Vault)(nil)
	_ core.Sealer = (*Vault)(nil)
)
