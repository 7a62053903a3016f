package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sallyport/sallyport/core"
)

// A token is base64url of: version, key id, nonce, sealed text with its tag.
const (
	version   = 1
	nonceSize = 12
	headSize  = 1 + kidSize + nonceSize
	tagSize   = 16
)

// encoding refuses trailing bits that mean nothing: one token has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// Sealer seals with AES-256-GCM. Each purpose has a key of its own, derived from
// the keyring's by HKDF-SHA256 (RFC 5869); nonces are random, so one keyring key
// should seal at most 2^32 tokens of a purpose (NIST SP 800-38D, section 8.3).
type Sealer struct {
	keys   *Keyring
	random io.Reader

	mu    sync.RWMutex
	aeads map[derived]cipher.AEAD
}

type derived struct {
	kid     [kidSize]byte
	purpose string
}

// maxDerived bounds the derived keys that are kept; there are a handful of
// purposes, and old key ids go away with their keys.
const maxDerived = 64

// NewSealer seals with the newest key of keys and opens with any of them. random
// nil means crypto/rand.
func NewSealer(keys *Keyring, random io.Reader) *Sealer {
	if random == nil {
		random = rand.Reader
	}
	return &Sealer{keys: keys, random: random, aeads: map[derived]cipher.AEAD{}}
}

// Seal returns a token of URL-safe ASCII, 44 bytes and a third longer than plain.
func (s *Sealer) Seal(purpose string, plain []byte, bind ...string) (string, error) {
	key := s.keys.current()
	aead, err := s.aead(key, purpose)
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", purpose, err)
	}
	raw := make([]byte, headSize, headSize+len(plain)+tagSize)
	raw[0] = version
	copy(raw[1:], key.id[:])
	if _, err := io.ReadFull(s.random, raw[1+kidSize:headSize]); err != nil {
		return "", fmt.Errorf("seal %s: read randomness: %w", purpose, err)
	}
	raw = aead.Seal(raw, raw[1+kidSize:headSize], plain, associated(purpose, bind))
	return encoding.EncodeToString(raw), nil
}

// Open returns what was sealed for the same purpose and bind. Any other token
// gives the same error, with core.CodeNotFound.
func (s *Sealer) Open(purpose, token string, bind ...string) ([]byte, error) {
	// The decoder would pass over line breaks.
	for i := range len(token) {
		if c := token[i]; c == '\r' || c == '\n' {
			return nil, errNoToken()
		}
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) < headSize+tagSize || raw[0] != version {
		return nil, errNoToken()
	}
	key, found := s.keys.find([kidSize]byte(raw[1 : 1+kidSize]))
	if !found {
		return nil, errNoToken()
	}
	aead, err := s.aead(key, purpose)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	plain, err := aead.Open(nil, raw[1+kidSize:headSize], raw[headSize:], associated(purpose, bind))
	if err != nil {
		return nil, errNoToken()
	}
	return plain, nil
}

func errNoToken() error {
	return &core.Error{Code: core.CodeNotFound, Message: "not found", Err: errors.New("the token was not sealed here, or for someone else")}
}

// aead returns the cipher of one key and purpose, made once.
func (s *Sealer) aead(key key, purpose string) (cipher.AEAD, error) {
	name := derived{key.id, purpose}
	s.mu.RLock()
	aead := s.aeads[name]
	s.mu.RUnlock()
	if aead != nil {
		return aead, nil
	}
	secret, err := hkdf.Key(sha256.New, key.secret[:], key.id[:], "sallyport "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	if aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.aeads) >= maxDerived {
		clear(s.aeads)
	}
	s.aeads[name] = aead
	return aead, nil
}

// associated writes purpose and bind so that no two lists look alike: each text
// behind its length.
func associated(purpose string, bind []string) []byte {
	size := 1 + 4 + len(purpose)
	for _, text := range bind {
		size += 4 + len(text)
	}
	b := append(make([]byte, 0, size), version)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(purpose))), purpose...)
	for _, text := range bind {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b
}

var _ core.Sealer = (*Sealer)(nil)
