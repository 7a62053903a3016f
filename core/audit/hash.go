package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
)

// The first byte of every encoding says what it is of, and by which rules: another set
// of rules gets other letters, so that two of them never mean the same bytes.
const (
	formEntry   = 'e'
	formAnchor  = 'a'
	formCall    = 'c'
	formSummary = 's'
	formVersion = 1
)

// Hash returns what AuditEntry.Hash must be: HMAC-SHA256 over every other field, in
// hexadecimal. Whoever has no key can compute none, so an entry cannot be changed and
// linked anew. The encoding is one version byte, one letter, and each field in the order
// of core.AuditEntry as its length (8 bytes, big-endian) and its bytes; times are
// microseconds since 1970, as that is what databases keep.
func Hash(key []byte, e *core.AuditEntry) string {
	f := newForm(hmac.New(sha256.New, key), formEntry)
	f.time(e.Time)
	f.text(e.Tenant)
	f.text(e.Actor)
	f.text(e.ActorName)
	f.text(string(e.Via))
	f.text(e.Credential)
	f.text(e.Address)
	f.text(e.Action)
	f.text(e.Kind)
	f.text(e.Name)
	f.text(e.Outcome)
	f.text(e.Reason)
	f.text(e.Request)
	f.text(e.Trace)
	f.bytes(compact(e.Details))
	f.text(e.Replica)
	f.number(e.Seq)
	f.text(e.Prev)
	return f.sum()
}

// AnchorMAC returns what Anchor.MAC must be, likewise.
func AnchorMAC(key []byte, a *core.Anchor) string {
	f := newForm(hmac.New(sha256.New, key), formAnchor)
	f.text(a.Replica)
	f.number(a.Seq)
	f.text(a.Hash)
	f.time(a.Time)
	return f.sum()
}

// Normalize makes of an entry what every database gives back unchanged: a time of UTC
// and whole microseconds, texts of valid UTF-8 without NUL, details without white space.
// Stores call it before Hash, and keep what it left.
func Normalize(e *core.AuditEntry) {
	e.Time = wholeTime(e.Time)
	for _, s := range []*string{
		&e.Tenant, &e.Actor, &e.ActorName, (*string)(&e.Via), &e.Credential, &e.Address, &e.Action, &e.Kind, &e.Name,
		&e.Outcome, &e.Reason, &e.Request, &e.Trace, &e.Replica, &e.Prev,
	} {
		*s = plain(*s)
	}
	e.Details = json.RawMessage(plain(string(compact(e.Details))))
	if len(e.Details) == 0 {
		e.Details = nil
	}
}

func wholeTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// plain returns s as databases take it: Postgres refuses NUL and broken UTF-8.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// compact returns JSON without white space; what is no JSON stays as it is.
func compact(raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// form writes fields into a hash so that no two lists of fields give the same bytes.
type form struct {
	to  hash.Hash
	len [8]byte
}

func newForm(to hash.Hash, letter byte) *form {
	f := &form{to: to}
	_, _ = to.Write([]byte{formVersion, letter})
	return f
}

func (f *form) bytes(b []byte) {
	binary.BigEndian.PutUint64(f.len[:], uint64(len(b)))
	_, _ = f.to.Write(f.len[:])
	_, _ = f.to.Write(b)
}

func (f *form) text(s string) { f.bytes([]byte(s)) }

func (f *form) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	f.bytes(b[:])
}

func (f *form) time(t time.Time) { f.number(t.UnixMicro()) }

func (f *form) sum() string { return hex.EncodeToString(f.to.Sum(nil)) }
