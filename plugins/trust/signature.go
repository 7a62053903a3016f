package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// Form is the form of a signature.
type Form string

// The forms.
const (
	FormSallyport Form = "sallyport" // a signed statement of ours, ed25519
	FormCosign    Form = "cosign"    // simple signing payload, ECDSA P-256 over SHA-256
)

// MaxSignature is the most bytes of a signature's body.
const MaxSignature = 16 << 10

// Signature is a signature as it was found; nothing of it is believed before Verify.
type Signature struct {
	Form   Form   `json:"form"`
	Body   []byte `json:"body"`             // the whole file of ours; the payload of cosign
	Cosign string `json:"cosign,omitempty"` // base64 of the ASN.1 signature of the payload
}

const statementHead = "sallyport-signature/v1"

// Statement is what our signature says. Its text, from the first byte to the line
// break before the signature, is what is signed; the first line keeps it apart from
// anything else that the key may sign.
//
//	sallyport-signature/v1
//	digest sha256:…
//	name acme/weather
//	version 1.4.0
//	key 0f1e2d3c4b5a6978
//	signed 2026-11-22T00:00:00Z
//	expires 2027-11-22T00:00:00Z
//	signature (base64)
type Statement struct {
	Subject
	Key             string
	Signed, Expires time.Time // Expires zero = never
}

func (s *Statement) text() string {
	return fmt.Sprintf("%s\ndigest %s\nname %s\nversion %s\nkey %s\nsigned %s\nexpires %s\n",
		statementHead, s.Digest, s.Name, s.Version, s.Key, moment(s.Signed), moment(s.Expires))
}

// Sign makes a signature. now is the time that it states; expires may be zero for
// never. A key that has expired does not sign.
func Sign(k PrivateKey, s Subject, now, expires time.Time) (Signature, error) {
	if err := CheckDigest(s.Digest); err != nil {
		return Signature{}, err
	}
	if !manifest.ValidVersion(s.Version) || s.Name == "" || len(s.Name) > 256 || strings.ContainsAny(s.Name, " \r\n") {
		return Signature{}, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("cannot sign %q version %q", s.Name, s.Version), Fix: "take name and version from the manifest"}
	}
	if !k.Expires.IsZero() && !now.Before(k.Expires) {
		return Signature{}, &core.Error{Code: core.CodeDenied, Message: "key " + k.ID + " has expired", Fix: "make a new one and have it trusted", Err: ErrExpired}
	}
	if !expires.IsZero() && !expires.After(now) {
		return Signature{}, &core.Error{Code: core.CodeInvalid, Message: "the signature would expire before it is made", Fix: "choose a later time"}
	}
	st := Statement{Subject: s, Key: k.ID, Signed: now.UTC().Truncate(time.Second)}
	if !expires.IsZero() {
		st.Expires = expires.UTC().Truncate(time.Second)
	}
	text := st.text()
	sum := ed25519.Sign(ed25519.NewKeyFromSeed(k.seed), []byte(text))
	return Signature{Form: FormSallyport, Body: []byte(text + "signature " + base64.StdEncoding.EncodeToString(sum) + "\n")}, nil
}

// ParseStatement reads what a signature of ours says, and proves nothing: for
// `plugin inspect`. Only the one spelling that Sign writes is read.
func ParseStatement(body []byte) (Statement, error) {
	st, _, _, err := split(body)
	return st, err
}

func split(body []byte) (st Statement, signed string, sum []byte, err error) {
	damaged := fmt.Errorf("%w: the statement is damaged", ErrSignature)
	if len(body) > MaxSignature {
		return st, "", nil, damaged
	}
	lines := strings.Split(string(body), "\n")
	if len(lines) != 9 || lines[0] != statementHead || lines[8] != "" {
		return st, "", nil, damaged
	}
	var values [8]string
	for i, name := range []string{1: "digest ", 2: "name ", 3: "version ", 4: "key ", 5: "signed ", 6: "expires ", 7: "signature "} {
		value, ok := strings.CutPrefix(lines[i], name)
		if i > 0 && !ok {
			return st, "", nil, damaged
		}
		values[i] = value
	}
	signedAt, ok := parseMoment(values[5])
	expires, also := parseMoment(values[6])
	sum, fault := base64.StdEncoding.Strict().DecodeString(values[7])
	if !ok || !also || fault != nil || len(sum) != ed25519.SignatureSize {
		return st, "", nil, damaged
	}
	st = Statement{Subject: Subject{values[1], values[2], values[3]}, Key: values[4], Signed: signedAt, Expires: expires}
	signed = st.text()
	if !strings.HasPrefix(string(body), signed) {
		return st, "", nil, damaged
	}
	return st, signed, sum, nil
}

// skew is how far clocks may differ.
const skew = 5 * time.Minute

func (p *Policy) statement(s Subject, signature *Signature, now time.Time) (Verdict, error) {
	st, signed, sum, err := split(signature.Body)
	if err != nil {
		return Verdict{}, err
	}
	refused := fmt.Errorf("%w: %s", ErrKey, clip(st.Key))
	for i := range p.Keys { // a key may be listed again for other plugins
		by := &p.Keys[i]
		if len(by.Key.Ed25519) != ed25519.PublicKeySize || by.Key.ID != st.Key {
			continue
		}
		if !ed25519.Verify(by.Key.Ed25519, []byte(signed), sum) {
			return Verdict{}, fmt.Errorf("%w: key %s did not make it", ErrSignature, by.Key.ID)
		}
		switch {
		case st.Subject != s:
			return Verdict{}, fmt.Errorf("%w: of %s %s (%s)", ErrSubject, clip(st.Name), clip(st.Version), clip(st.Digest))
		case !st.Expires.IsZero() && !now.Before(st.Expires):
			return Verdict{}, fmt.Errorf("%w: the signature, on %s", ErrExpired, moment(st.Expires))
		case st.Signed.After(now.Add(skew)):
			return Verdict{}, fmt.Errorf("%w: it is dated in the future (%s); compare the clocks", ErrSignature, moment(st.Signed))
		}
		if refused = by.usable(s, now); refused == nil {
			return Verdict{Signer: by.Key.ID, Owner: by.Key.Owner, Form: FormSallyport, Expires: st.Expires}, nil
		}
	}
	return Verdict{}, refused
}

// simple is the simple signing payload that cosign signs; containers-signature(5).
type simple struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
}

// The types of a simple signing payload: cosign's own, and the older one of the
// format, which cosign takes as well.
const (
	cosignType = "cosign container image signature"
	atomicType = "atomic container signature"
)

// cosign verifies a signature made by `cosign sign --key`. It covers the digest and
// neither a time nor a name: expiry is that of the trusted key, and the name is that
// of the manifest which the digest covers. The payload's docker-reference is not
// compared: content that is mirrored keeps its signature.
func (p *Policy) cosign(s Subject, signature *Signature, now time.Time) (Verdict, error) {
	if len(signature.Body) > MaxSignature || len(signature.Cosign) > 1024 {
		return Verdict{}, fmt.Errorf("%w: too long", ErrSignature)
	}
	der, err := base64.StdEncoding.DecodeString(signature.Cosign)
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: not base64", ErrSignature)
	}
	sum := sha256.Sum256(signature.Body)
	refused := fmt.Errorf("%w: no trusted cosign key made it", ErrKey)
	for i := range p.Keys {
		by := &p.Keys[i]
		if by.Key.ECDSA == nil || !ecdsa.VerifyASN1(by.Key.ECDSA, sum[:], der) {
			continue
		}
		// Only now is the payload worth reading.
		var said simple
		if err := wire.Unmarshal(signature.Body, &said); err != nil {
			return Verdict{}, fmt.Errorf("%w: the payload is no simple signing document", ErrSignature)
		}
		if t := said.Critical.Type; t != cosignType && t != atomicType {
			return Verdict{}, fmt.Errorf("%w: the payload has type %q", ErrSubject, clip(t))
		}
		if said.Critical.Image.Digest != s.Digest {
			return Verdict{}, fmt.Errorf("%w: of %s", ErrSubject, clip(said.Critical.Image.Digest))
		}
		if err := by.usable(s, now); err != nil {
			refused = err // the same key may be listed again for other plugins
			continue
		}
		return Verdict{Signer: by.Key.ID, Owner: by.Key.Owner, Form: FormCosign}, nil
	}
	return Verdict{}, refused
}

func clip(s string) string {
	if len(s) > 80 {
		s = s[:77] + "…"
	}
	return fmt.Sprintf("%q", s)
}
