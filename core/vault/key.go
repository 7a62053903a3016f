package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

const (
	keySize   = 32
	nonceSize = 12
	tagSize   = 16
	maxKid    = 64
)

// key is a key-encryption key. It is passed by pointer only, so that no verb of fmt
// reaches the bytes in it.
type key struct {
	id     string
	secret [keySize]byte
	made   time.Time // zero = not known
	aead   cipher.AEAD
}

// newKey takes the secret over.
func newKey(id string, secret []byte, made time.Time) (*key, error) {
	k := &key{id: id, secret: [keySize]byte(secret), made: made}
	var err error
	k.aead, err = gcm(secret)
	return k, err
}

func gcm(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return aead, nil
}

// String hides the key.
func (k *key) String() string { return "key " + k.id }

// GoString hides the key.
func (k *key) GoString() string { return k.String() }

// makeKey makes a random key with an id that sorts by time.
func makeKey(now time.Time, random io.Reader) (*key, error) {
	var b [4 + keySize]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("make a vault key: read randomness: %w", err)
	}
	defer clear(b[:])
	return newKey(now.UTC().Format("20060102")+"-"+hex.EncodeToString(b[:4]), b[4:], now.UTC().Truncate(time.Second))
}

// isKid tells whether s can name a key.
func isKid(s string) bool {
	if s == "" || len(s) > maxKid {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

const keysForm = "write kid:key[,kid:key…], each key 32 random bytes in base64, such as openssl rand -base64 32 prints; the first one seals"

// parseKeys reads Options.Keys. Its errors say which key is wrong by its place, and
// nothing of it.
func parseKeys(text core.Secret) ([]*key, error) {
	var keys []*key
	for part := range strings.SplitSeq(text.Reveal(), ",") {
		wrong := func(what string) error {
			return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("the keys of the vault: key %d %s", len(keys)+1, what), Fix: keysForm}
		}
		kid, encoded, found := strings.Cut(strings.TrimSpace(part), ":")
		switch {
		case !found:
			return nil, wrong("has no colon")
		case !isKid(kid):
			return nil, wrong("has an id that is not 1 to 64 letters, digits, - and _")
		case find(keys, kid) != nil:
			return nil, wrong("has the id of one before it")
		}
		secret, err := decodeKey(encoded)
		if err != nil {
			return nil, wrong("is " + err.Error())
		}
		k, err := newKey(kid, secret, time.Time{})
		clear(secret)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// decodeKey reads a key in base64, of either alphabet, padded or not.
func decodeKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	secret, err := base64.RawStdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil || strings.ContainsAny(text, "\r\n"):
		return nil, errors.New("not base64")
	case len(secret) != keySize:
		return nil, fmt.Errorf("%d bytes long instead of %d", len(secret), keySize)
	case weak(secret):
		return nil, errors.New("not random")
	}
	return secret, nil
}

// weak finds keys that somebody typed instead of drawing them: few different bytes. 32
// random bytes have fewer than 16 different ones less than once in 10^9 times.
func weak(secret []byte) bool {
	seen := map[byte]bool{}
	for _, b := range secret {
		seen[b] = true
	}
	return len(seen) < 16
}

func find(keys []*key, id string) *key {
	for _, k := range keys {
		if k.id == id {
			return k
		}
	}
	return nil
}
