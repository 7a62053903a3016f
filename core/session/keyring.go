package session

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/core/wire"
)

const (
	kidSize     = 4
	keySize     = 32
	keyringFile = "keyring.json"
	// rereadEvery bounds how often tokens with an unknown key id make us read the
	// file again (another replica may have rotated).
	rereadEvery = 5 * time.Second
)

// Keyring holds the keys that a Sealer works with: the newest seals, all open.
type Keyring struct {
	o    KeyringOptions
	path string // "" = in memory only

	mu     sync.RWMutex
	keys   []key // newest first, never empty
	reread time.Time
}

type key struct {
	id     [kidSize]byte
	secret [keySize]byte
	made   time.Time
}

// KeyringOptions configures a Keyring; the zero value works.
type KeyringOptions struct {
	Keep time.Duration // how long a replaced key still opens: 48h; keep it above the life of any token
	Now  func() time.Time
	Rand io.Reader // crypto/rand
}

func (o KeyringOptions) filled() KeyringOptions {
	if o.Keep == 0 {
		o.Keep = 48 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}

// NewKeyring makes a keyring that lives and dies with the process.
func NewKeyring(o KeyringOptions) (*Keyring, error) {
	k := &Keyring{o: o.filled()}
	first, err := k.make()
	if err != nil {
		return nil, err
	}
	k.keys = []key{first}
	return k, nil
}

// OpenKeyring reads the keyring in the directory dir, and makes both when they
// are missing. The file is for its owner alone (mode 0600); one that others may
// read is refused. Processes that start at the same moment agree on one keyring.
func OpenKeyring(dir string, o KeyringOptions) (*Keyring, error) {
	k := &Keyring{o: o.filled(), path: filepath.Join(dir, keyringFile)}
	keys, err := k.read()
	if errors.Is(err, fs.ErrNotExist) {
		if err = k.create(dir); err != nil {
			return nil, err
		}
		keys, err = k.read()
	}
	if err != nil {
		return nil, err
	}
	k.keys = keys
	return k, nil
}

// Rotate puts a new key in front, drops those that were replaced longer than
// Keep ago, and writes the file.
func (k *Keyring) Rotate() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := k.keys
	if k.path != "" {
		// Another process may have rotated too.
		fresh, err := k.read()
		if err != nil {
			return err
		}
		keys = fresh
	}
	next, err := k.make()
	if err != nil {
		return err
	}
	keys = append([]key{next}, keys...)
	kept := keys[:1:1]
	for i := 1; i < len(keys); i++ {
		// A key was replaced when the one before it was made.
		if next.made.Sub(keys[i-1].made) <= k.o.Keep {
			kept = append(kept, keys[i])
		}
	}
	if k.path != "" {
		if err := k.write(kept, os.Rename); err != nil {
			return err
		}
	}
	k.keys = kept
	return nil
}

// Made returns when the newest key was made.
func (k *Keyring) Made() time.Time { return k.current().made }

func (k *Keyring) current() key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[0]
}

func (k *Keyring) find(id [kidSize]byte) (key, bool) {
	k.mu.RLock()
	found, ok := lookup(k.keys, id)
	k.mu.RUnlock()
	if ok || k.path == "" {
		return found, ok
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	if now.Sub(k.reread) < rereadEvery {
		return lookup(k.keys, id)
	}
	k.reread = now
	if keys, err := k.read(); err == nil {
		k.keys = keys
	}
	return lookup(k.keys, id)
}

func lookup(keys []key, id [kidSize]byte) (key, bool) {
	for i := range keys {
		if keys[i].id == id {
			return keys[i], true
		}
	}
	return key{}, false
}

func (k *Keyring) make() (key, error) {
	one := key{made: k.o.Now().UTC().Truncate(time.Second)}
	if _, err := io.ReadFull(k.o.Rand, one.id[:]); err != nil {
		return key{}, fmt.Errorf("make a key: read randomness: %w", err)
	}
	if _, err := io.ReadFull(k.o.Rand, one.secret[:]); err != nil {
		return key{}, fmt.Errorf("make a key: read randomness: %w", err)
	}
	return one, nil
}

// keyringText is the file.
type keyringText struct {
	Keys []keyText `json:"keys"` // newest first
}

type keyText struct {
	ID     string    `json:"id"`     // hexadecimal
	Secret string    `json:"secret"` // base64
	Made   time.Time `json:"made"`
}

func (k *Keyring) read() ([]key, error) {
	file, err := os.Open(k.path)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	if about.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("open keyring %s: others may read it (mode %#o); run chmod 600 on it, or delete it to make new keys", k.path, about.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(file, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read keyring %s: %w", k.path, err)
	}
	var text keyringText
	if err := wire.Unmarshal(b, &text); err != nil {
		return nil, fmt.Errorf("read keyring %s: %w; restore it, or delete it to make new keys", k.path, err)
	}
	if len(text.Keys) == 0 {
		return nil, fmt.Errorf("read keyring %s: it holds no keys; restore it, or delete it to make new ones", k.path)
	}
	keys := make([]key, 0, len(text.Keys))
	for i, one := range text.Keys {
		id, err := hex.DecodeString(one.ID)
		if err != nil || len(id) != kidSize {
			return nil, fmt.Errorf("read keyring %s: id of key %d is not %d hexadecimal digits", k.path, i, 2*kidSize)
		}
		secret, err := base64.StdEncoding.DecodeString(one.Secret)
		if err != nil || len(secret) != keySize {
			return nil, fmt.Errorf("read keyring %s: secret of key %d is not %d bytes of base64", k.path, i, keySize)
		}
		if slices.ContainsFunc(keys, func(k key) bool { return k.id == [kidSize]byte(id) }) {
			return nil, fmt.Errorf("read keyring %s: key %s stands there twice", k.path, one.ID)
		}
		keys = append(keys, key{id: [kidSize]byte(id), secret: [keySize]byte(secret), made: one.Made})
	}
	return keys, nil
}

// create makes the file unless someone else is faster.
func (k *Keyring) create(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	first, err := k.make()
	if err != nil {
		return err
	}
	// A link, unlike a rename, does not replace what is there.
	err = k.write([]key{first}, func(from, to string) error {
		defer os.Remove(from) //nolint:errcheck // a left-over temporary file harms nobody
		return os.Link(from, to)
	})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// write puts the keys in a file beside the keyring and lets place move it there.
func (k *Keyring) write(keys []key, place func(from, to string) error) error {
	var text keyringText
	for i := range keys {
		text.Keys = append(text.Keys, keyText{
			ID:     hex.EncodeToString(keys[i].id[:]),
			Secret: base64.StdEncoding.EncodeToString(keys[i].secret[:]),
			Made:   keys[i].made,
		})
	}
	b, err := wire.Marshal(text)
	if err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(k.path), ".keyring-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	_, err = file.Write(append(b, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = place(file.Name(), k.path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("write keyring %s: %w", k.path, err)
	}
	return nil
}
