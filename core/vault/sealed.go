package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// What is sealed is text: sv1.<kid>.<base64url of raw>, where raw is
//
//	2 bytes      length of the wrapped data key
//	…            wrapped data key
//	16 bytes     seal of the head: kid and wrapped key, by the data key
//	12 bytes     nonce
//	…            sealed text and its tag
//
// The seal of the head makes every bit count whoever wrapped the key, and is made anew
// when the key is wrapped anew; nonce and sealed text stay as they are then.
const (
	mark       = "sv1."
	headSize   = 16
	maxWrapped = 4 << 10
)

// encoding refuses trailing bits that mean nothing: one sealed text has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// errNotOurs is the reason of everything that does not open.
var errNotOurs = errors.New("it was not sealed with these keys, or for something else, or it was changed")

// missingKeyError says that a key is not among those of the vault.
type missingKeyError struct{ kid string }

func (m *missingKeyError) Error() string {
	return "it was sealed with the key " + m.kid + ", which is not among those of the vault"
}

// sealed is a sealed text, taken apart.
type sealed struct {
	kid     string
	wrapped []byte
	head    []byte
	box     []byte // nonce and what it seals
}

// parse takes a sealed text apart. It tells nothing about whether it can be opened.
func parse(token string) (sealed, bool) {
	kid, text, found := strings.Cut(strings.TrimPrefix(token, mark), ".")
	// The decoder would pass over line breaks.
	if !found || !strings.HasPrefix(token, mark) || !isKid(kid) || strings.ContainsAny(text, "\r\n") {
		return sealed{}, false
	}
	raw, err := encoding.DecodeString(text)
	if err != nil {
		return sealed{}, false
	}
	return parseRaw(kid, raw)
}

func parseRaw(kid string, raw []byte) (sealed, bool) {
	if len(raw) < 2 {
		return sealed{}, false
	}
	size := int(binary.BigEndian.Uint16(raw))
	raw = raw[2:]
	if size == 0 || size > maxWrapped || len(raw) < size+headSize+nonceSize+tagSize {
		return sealed{}, false
	}
	return sealed{kid: kid, wrapped: raw[:size], head: raw[size : size+headSize], box: raw[size+headSize:]}, true
}

// raw is the part behind the kid.
func (s *sealed) raw() []byte {
	b := make([]byte, 0, 2+len(s.wrapped)+len(s.head)+len(s.box))
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.wrapped))) // at most maxWrapped
	return append(append(append(b, s.wrapped...), s.head...), s.box...)
}

func (s *sealed) String() string { return mark + s.kid + "." + encoding.EncodeToString(s.raw()) }

// recordKey is the key of one record, in its two uses.
type recordKey struct{ text, head []byte }

func recordKeyOf(secret []byte) (recordKey, error) {
	b, err := hkdf.Expand(sha256.New, secret, "sallyport record", 2*keySize)
	if err != nil {
		return recordKey{}, fmt.Errorf("derive the keys of a record: %w", err)
	}
	return recordKey{b[:keySize], b[keySize:]}, nil
}

func (k recordKey) wipe() {
	clear(k.text)
	clear(k.head)
}

// headSeal is the seal of kid and wrapped key.
func (k recordKey) headSeal(kid string, wrapped []byte) []byte {
	mac := hmac.New(sha256.New, k.head)
	_, _ = mac.Write(associated("head", []string{kid, string(wrapped)})) // a hash does not fail
	return mac.Sum(nil)[:headSize]
}

// seal seals plain with a data key of its own.
func (v *Vault) seal(purpose string, plain []byte, bind []string) (sealed, error) {
	var secret [keySize]byte
	defer clear(secret[:])
	if _, err := io.ReadFull(v.o.Rand, secret[:]); err != nil {
		return sealed{}, fmt.Errorf("seal: read randomness: %w", err)
	}
	data := associated(purpose, bind)
	kid, wrapped, err := v.wrap(secret[:], digest(data))
	if err != nil {
		return sealed{}, err
	}
	keys, err := recordKeyOf(secret[:])
	if err != nil {
		return sealed{}, err
	}
	defer keys.wipe()
	aead, err := gcm(keys.text)
	if err != nil {
		return sealed{}, err
	}
	box := make([]byte, nonceSize, nonceSize+len(plain)+tagSize)
	if _, err := io.ReadFull(v.o.Rand, box); err != nil {
		return sealed{}, fmt.Errorf("seal: read randomness: %w", err)
	}
	return sealed{kid: kid, wrapped: wrapped, head: keys.headSeal(kid, wrapped), box: aead.Seal(box, box, plain, data)}, nil
}

// open returns the plain text; its errors are errNotOurs, *missingKeyError, or those of the
// command.
func (v *Vault) open(s *sealed, purpose string, bind []string) ([]byte, error) {
	data := associated(purpose, bind)
	keys, err := v.unseal(s, data)
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	aead, err := gcm(keys.text)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, s.box[:nonceSize], s.box[nonceSize:], data)
	if err != nil {
		return nil, errNotOurs
	}
	return plain, nil
}

// unseal returns the data key, its head proven.
func (v *Vault) unseal(s *sealed, data []byte) (recordKey, error) {
	secret, err := v.unwrap(s.kid, s.wrapped, digest(data))
	if err != nil {
		return recordKey{}, err
	}
	defer clear(secret)
	keys, err := recordKeyOf(secret)
	if err != nil {
		return recordKey{}, err
	}
	if !hmac.Equal(keys.headSeal(s.kid, s.wrapped), s.head) {
		keys.wipe()
		return recordKey{}, errNotOurs
	}
	return keys, nil
}

// rewrap wraps the data key with the key that seals now. The sealed text is not opened.
func (v *Vault) rewrap(s sealed, purpose string, bind []string) (sealed, error) {
	context := digest(associated(purpose, bind))
	secret, err := v.unwrap(s.kid, s.wrapped, context)
	if err != nil {
		return sealed{}, err
	}
	defer clear(secret)
	keys, err := recordKeyOf(secret)
	if err != nil {
		return sealed{}, err
	}
	defer keys.wipe()
	if !hmac.Equal(keys.headSeal(s.kid, s.wrapped), s.head) {
		return sealed{}, errNotOurs
	}
	if s.kid, s.wrapped, err = v.wrap(secret, context); err != nil {
		return sealed{}, err
	}
	s.head = keys.headSeal(s.kid, s.wrapped)
	return s, nil
}

func digest(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// associated writes purpose and bind so that no two lists look alike: each text behind
// its length, and all behind the version.
func associated(purpose string, bind []string) []byte {
	size := len(mark) + 4 + len(purpose)
	for _, text := range bind {
		size += 4 + len(text)
	}
	b := append(make([]byte, 0, size), mark...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(purpose))), purpose...)
	for _, text := range bind {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b
}

// closed makes of a reason what callers get (core.Sealer): not found, or that a key
// cannot be reached.
func closed(err error) error {
	var e *core.Error
	if errors.As(err, &e) {
		return err
	}
	return &core.Error{Code: core.CodeNotFound, Message: "what is sealed cannot be opened", Err: err}
}
