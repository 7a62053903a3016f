package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/core"
)

// Key is a public key: ed25519 (ours) or ECDSA P-256 (cosign.pub). Exactly one of
// Ed25519 and ECDSA is set.
type Key struct {
	ID      string // 16 hexadecimal digits, made from the key itself
	Owner   string // one line for people; says nothing that anybody proved
	Expires time.Time
	Ed25519 ed25519.PublicKey
	ECDSA   *ecdsa.PublicKey
}

// PrivateKey signs. It has the form of a file with mode 0600; there is no password:
// keep it where secrets are kept.
type PrivateKey struct {
	Key
	seed []byte
}

// String prints the id only, whatever is asked for.
func (k PrivateKey) String() string { return "private key " + k.ID }

// GoString is String.
func (k PrivateKey) GoString() string { return k.String() }

const (
	publicHead  = "sallyport-key/v1 public"
	privateHead = "sallyport-key/v1 private"
	never       = "never"
	maxKeyFile  = 16 << 10
)

// Generate makes a key. expires may be zero for never.
func Generate(random io.Reader, owner string, expires time.Time) (PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return PrivateKey{}, fmt.Errorf("generate key: %w", err)
	}
	if err := checkOwner(owner); err != nil {
		return PrivateKey{}, err
	}
	k := fromSeed(seed)
	k.Owner = owner
	if !expires.IsZero() {
		k.Expires = expires.UTC().Truncate(time.Second)
	}
	return k, nil
}

func fromSeed(seed []byte) PrivateKey {
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	return PrivateKey{Key: Key{ID: keyID(public), Ed25519: public}, seed: seed}
}

func keyID(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

func checkOwner(owner string) error {
	if len(owner) <= 128 && strings.TrimSpace(owner) == owner && strings.IndexFunc(owner, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return nil
	}
	return invalid("owner of a key", "write one line of at most 128 bytes")
}

// Text returns the file of a public key:
//
//	sallyport-key/v1 public
//	id 0f1e2d3c4b5a6978
//	owner acme releases
//	expires 2028-01-01T00:00:00Z
//	key (base64)
func (k Key) Text() []byte { return k.text(publicHead, k.Ed25519) }

// Text returns the file of a private key, which has the seed in place of the key.
func (k PrivateKey) Text() []byte { return k.text(privateHead, k.seed) }

func (k Key) text(head string, key []byte) []byte {
	return fmt.Appendf(nil, "%s\nid %s\nowner %s\nexpires %s\nkey %s\n", head, k.ID, k.Owner, moment(k.Expires), base64.StdEncoding.EncodeToString(key))
}

func moment(t time.Time) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format(time.RFC3339)
}

func parseMoment(s string) (time.Time, bool) {
	if s == never {
		return time.Time{}, true
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	return t, err == nil
}

// ParseKey reads a public key: the file that Text writes, or a PEM "PUBLIC KEY" with
// an ECDSA P-256 key, which is what cosign writes to cosign.pub.
func ParseKey(b []byte) (Key, error) {
	if len(b) > maxKeyFile {
		return Key{}, invalid("the key file is too long", "name a public key")
	}
	if bytes.Contains(b, []byte("PRIVATE KEY-----")) || bytes.HasPrefix(b, []byte(privateHead)) {
		return Key{}, invalid("a private key where a public one belongs", "name the public key, and keep the private one away from the gateway")
	}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN")) {
		return parsePEM(b)
	}
	k, key, err := parseLines(b, publicHead)
	if err != nil {
		return Key{}, err
	}
	if len(key) != ed25519.PublicKeySize || k.ID != keyID(key) {
		return Key{}, invalid("the key file is damaged: its id is not that of its key", "get it again")
	}
	k.Ed25519 = key
	return k, nil
}

// ParsePrivateKey reads the file that PrivateKey.Text writes.
func ParsePrivateKey(b []byte) (PrivateKey, error) {
	k, seed, err := parseLines(b, privateHead)
	if err != nil {
		return PrivateKey{}, err
	}
	if len(seed) != ed25519.SeedSize {
		return PrivateKey{}, invalid("the key file is damaged", "get it again")
	}
	p := fromSeed(seed)
	if p.ID != k.ID {
		return PrivateKey{}, invalid("the key file is damaged: its id is not that of its key", "get it again")
	}
	p.Owner, p.Expires = k.Owner, k.Expires
	return p, nil
}

// ReadPrivateKey reads a private key from a file that only its owner may read.
func ReadPrivateKey(path string) (PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("open private key: %w", err)
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return PrivateKey{}, fmt.Errorf("open private key: %w", err)
	}
	if about.Mode().Perm()&0o077 != 0 {
		return PrivateKey{}, &core.Error{Code: core.CodeDenied, Message: "others may read the private key " + path, Fix: "chmod 600 it, and think about whether they already did"}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read private key: %w", err)
	}
	return ParsePrivateKey(b)
}

// parseLines reads the five lines of a key file.
func parseLines(b []byte, head string) (Key, []byte, error) {
	damaged := invalid("no key file", "name a file that `sallyport plugin keygen` or cosign wrote")
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(b) > maxKeyFile || len(lines) != 5 || lines[0] != head {
		return Key{}, nil, damaged
	}
	var values [5]string
	for i, name := range []string{1: "id ", 2: "owner ", 3: "expires ", 4: "key "} {
		value, ok := strings.CutPrefix(lines[i], name)
		if i > 0 && !ok {
			return Key{}, nil, damaged
		}
		values[i] = value
	}
	expires, ok := parseMoment(values[3])
	key, err := base64.StdEncoding.Strict().DecodeString(values[4])
	if !ok || err != nil || checkOwner(values[2]) != nil {
		return Key{}, nil, damaged
	}
	return Key{ID: values[1], Owner: values[2], Expires: expires}, key, nil
}

func parsePEM(b []byte) (Key, error) {
	const fix = "name a cosign.pub made by `cosign generate-key-pair`, or a key of `sallyport plugin keygen`"
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, invalid("the PEM file does not hold exactly one PUBLIC KEY", fix)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, invalid("the PEM file holds no key that can be read", fix)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return Key{}, invalid("the PEM file holds a key that is not ECDSA P-256", fix)
	}
	return Key{ID: keyID(block.Bytes), ECDSA: key}, nil
}

func invalid(message, fix string) error {
	return &core.Error{Code: core.CodeInvalid, Message: message, Fix: fix, Err: errors.New("key")}
}
