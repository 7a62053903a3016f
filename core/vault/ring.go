package vault

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	keyFile = "vault-keys.json"
	// rereadEvery bounds how often an unknown kid makes us read the file again (another
	// replica may have rotated).
	rereadEvery = 5 * time.Second
	maxKeyFile  = 1 << 20
)

// ring holds the key-encryption keys that are in this process.
type ring struct {
	path  string // of the key file; "" = none
	given []*key // Options.Keys
	seals bool   // the file is where the key that seals comes from
	now   func() time.Time
	rand  io.Reader

	mu     sync.RWMutex
	filed  []*key // newest first
	reread time.Time
}

// openRing reads the key file. One that seals is made when it is not there.
func openRing(path string, given []*key, seals bool, now func() time.Time, random io.Reader) (*ring, error) {
	r := &ring{path: path, given: given, seals: seals, now: now, rand: random}
	if path == "" {
		return r, nil
	}
	keys, err := r.read()
	if errors.Is(err, fs.ErrNotExist) {
		if !seals {
			return r, nil
		}
		if err = r.create(); err != nil {
			return nil, err
		}
		keys, err = r.read()
	}
	if err != nil {
		return nil, err
	}
	r.filed = keys
	return r, nil
}

// sealing returns the key that seals, or nil.
func (r *ring) sealing() *key {
	if len(r.given) > 0 {
		return r.given[0]
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.filed) > 0 {
		return r.filed[0]
	}
	return nil
}

// find returns a key, or nil.
func (r *ring) find(id string) *key {
	if k := find(r.given, id); k != nil || r.path == "" {
		return k
	}
	r.mu.RLock()
	k := find(r.filed, id)
	r.mu.RUnlock()
	if k != nil {
		return k
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.reread) >= rereadEvery || now.Before(r.reread) {
		r.reread = now
		if keys, err := r.read(); err == nil {
			r.filed = keys
		}
	}
	return find(r.filed, id)
}

// ids returns the ids of all keys.
func (r *ring) ids() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []string
	for _, k := range slices.Concat(r.given, r.filed) {
		if !slices.Contains(all, k.id) {
			all = append(all, k.id)
		}
	}
	return all
}

// rotate puts a new key in front of the file.
func (r *ring) rotate() (*key, error) {
	return r.change(func(keys []*key) ([]*key, error) {
		next, err := makeKey(r.now(), r.rand)
		if err != nil {
			return nil, err
		}
		return slices.Insert(keys, 0, next), nil
	})
}

// forget takes a key out of the file.
func (r *ring) forget(id string) error {
	_, err := r.change(func(keys []*key) ([]*key, error) {
		switch {
		case find(keys, id) == nil:
			return nil, &core.Error{Code: core.CodeNotFound, Message: "the key file holds no such key"}
		case keys[0].id == id && r.seals:
			return nil, &core.Error{Code: core.CodeConflict, Message: "this key seals", Fix: "rotate first"}
		}
		return slices.DeleteFunc(keys, func(k *key) bool { return k.id == id }), nil
	})
	return err
}

// change rewrites the file, from what stands there now, and returns its first key.
func (r *ring) change(f func([]*key) ([]*key, error)) (*key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, err := r.read() // another process may have changed it
	if err != nil {
		return nil, err
	}
	if keys, err = f(keys); err != nil {
		return nil, err
	}
	if err := r.write(keys, os.Rename); err != nil {
		return nil, err
	}
	r.filed = keys
	if len(keys) == 0 {
		return nil, nil
	}
	return keys[0], nil
}

// keysText is the file.
type keysText struct {
	Keys []keyText `json:"keys"` // newest first
}

type keyText struct {
	Kid  string    `json:"kid"`
	Key  string    `json:"key"` // base64
	Made time.Time `json:"made"`
}

// read reads the file. Errors say nothing of what stands in it.
func (r *ring) read() ([]*key, error) {
	b, err := readPrivate(r.path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	wrong := func(what string) error {
		return &core.Error{
			Code: core.CodeInvalid, Message: "the key file of the vault, " + r.path + ", " + what,
			Fix: "restore it from a backup: without its keys nothing that was sealed can be opened",
		}
	}
	var text keysText
	if err := wire.Unmarshal(b, &text); err != nil {
		return nil, wrong("is damaged")
	}
	var keys []*key
	for i, one := range text.Keys {
		secret, err := decodeKey(one.Key)
		if err != nil || !isKid(one.Kid) || find(keys, one.Kid) != nil {
			return nil, wrong(fmt.Sprintf("is damaged at key %d", i+1))
		}
		k, err := newKey(one.Kid, secret, one.Made)
		clear(secret)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 && r.seals {
		return nil, wrong("holds no key")
	}
	return keys, nil
}

// create makes the file unless somebody else is faster.
func (r *ring) create() error {
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return fmt.Errorf("make the directory of the vault: %w", err)
	}
	first, err := makeKey(r.now(), r.rand)
	if err != nil {
		return err
	}
	// A link, unlike a rename, does not replace what is there.
	err = r.write([]*key{first}, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (r *ring) write(keys []*key, place func(from, to string) error) error {
	text := keysText{Keys: []keyText{}}
	for _, k := range keys {
		text.Keys = append(text.Keys, keyText{Kid: k.id, Key: base64.StdEncoding.EncodeToString(k.secret[:]), Made: k.made})
	}
	b, err := wire.Marshal(text)
	if err != nil {
		return fmt.Errorf("write the key file of the vault: %w", err)
	}
	defer clear(b)
	if err := writePrivate(r.path, append(b, '\n'), place); err != nil {
		return fmt.Errorf("write the key file of the vault: %w", err)
	}
	return nil
}

// wrap wraps a data key with the key that seals.
func (r *ring) wrap(secret, context []byte) (kid string, wrapped []byte, err error) {
	k := r.sealing()
	nonce := make([]byte, nonceSize, nonceSize+keySize+tagSize)
	if _, err := io.ReadFull(r.rand, nonce); err != nil {
		return "", nil, fmt.Errorf("wrap a data key: read randomness: %w", err)
	}
	return k.id, k.aead.Seal(nonce, nonce, secret, associated("data key", []string{k.id, string(context)})), nil
}

// unwrap returns the data key.
func (k *key) unwrap(wrapped, context []byte) ([]byte, error) {
	if len(wrapped) != nonceSize+keySize+tagSize {
		return nil, errNotOurs
	}
	secret, err := k.aead.Open(nil, wrapped[:nonceSize], wrapped[nonceSize:], associated("data key", []string{k.id, string(context)}))
	if err != nil {
		return nil, errNotOurs
	}
	return secret, nil
}
