// Package trust decides whether a plugin may be loaded: is it the content that was
// pinned, did somebody who is trusted sign it, is it not older than what runs, and did
// people approve what it asks for beyond that.
//
//	content ─sha256─► digest ──────► Match(pin)                wrong hash: refused at every level
//	                    │
//	signatures ─────────┴─► Policy.Verify(subject, signatures) ─► Verdict (who signed) or an error
//	    ed25519: statement{digest, name, version, key, signed, expires}
//	    cosign:  simple signing payload, ECDSA P-256
//	running, next ────────► Policy.Upgrade                     older, or asks for more: refused
//
// The digest of a plugin is that of its OCI manifest (plugins/registry.Pack makes the
// same one for files), so one signature covers module, plugin.yaml and where they came
// from does not matter.
//
//	key, err := trust.ParseKey(text)  // our form, or cosign.pub
//	policy := trust.Policy{Level: trust.Required, Keys: []trust.Trusted{{Key: key, Names: []string{"acme/*"}}}, Now: time.Now}
//	verdict, err := policy.Verify(trust.Subject{Digest: digest, Name: m.Name, Version: m.Version}, signatures)
//	if err != nil {
//		return err // *core.Error; errors.Is(err, trust.ErrUnsigned), …
//	}
//	log.Info("plugin trusted", "plugin", m.Name, "digest", digest, "signer", verdict.Signer)
//
// Signed content may still do harm: what it can reach is decided by the grant.
package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
)

// Level says what happens to a plugin that nobody trusted signed.
type Level string

// The levels. A digest that is not the pinned one is refused at every level, and
// growth needs approval at every level.
const (
	Required Level = "required" // refused; the zero Level means this
	Warn     Level = "warn"     // loaded, with warnings
	Off      Level = "off"      // loaded; signatures are not looked at
)

// ParseLevel reads a level as settings spell it.
func ParseLevel(s string) (Level, error) {
	switch l := Level(s); l {
	case Required, Warn, Off:
		return l, nil
	}
	return Required, &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("trust level %q", s), Fix: "write required, warn or off"}
}

// Why something was refused, for errors.Is. The errors of this package are
// *core.Error with CodeDenied, or CodeInvalid for a file that cannot be read.
var (
	ErrDigest    = errors.New("wrong digest")
	ErrUnsigned  = errors.New("not signed")
	ErrSignature = errors.New("wrong signature")
	ErrKey       = errors.New("unknown key")
	ErrScope     = errors.New("key is not for this plugin")
	ErrExpired   = errors.New("expired")
	ErrSubject   = errors.New("signature of something else")
	ErrDowngrade = errors.New("older than what runs")
	ErrGrowth    = errors.New("asks for more than was approved")
)

// Subject is what a signature is for. Name and Version come from the manifest whose
// bytes the digest covers.
type Subject struct {
	Digest  string // sha256:…, of the OCI manifest
	Name    string // acme/weather
	Version string // 1.4.0
}

// Trusted is a key and what the operator trusts it with.
type Trusted struct {
	Key     Key
	Names   []string  // plugins it may sign: acme/weather, acme/* or *; empty = every plugin
	Expires time.Time // zero = as the key file says
}

func (t *Trusted) signs(name string) bool {
	return len(t.Names) == 0 || slices.ContainsFunc(t.Names, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return p == name || wild && strings.HasPrefix(name, prefix)
	})
}

// expired reports whether the key may not be used any more; the earlier end counts.
func (t *Trusted) expired(now time.Time) bool {
	return !t.Expires.IsZero() && !now.Before(t.Expires) || !t.Key.Expires.IsZero() && !now.Before(t.Key.Expires)
}

// Policy is the operator's. The zero value requires a signature and trusts no key.
type Policy struct {
	Level Level
	Keys  []Trusted
	Now   func() time.Time // required unless Level is Off
}

// Verdict says what was found, for the audit trail.
type Verdict struct {
	Signer   string    // id of the key; "" when nobody trusted signed
	Owner    string    // whose key, as the key file says
	Form     Form      // of the signature
	Expires  time.Time // of the signature; zero = never
	Warnings []string  // at level warn: what would have been refused
}

// maxSignatures is how many signatures are looked at: each costs a public-key
// operation and comes from a stranger.
const maxSignatures = 32

// Verify looks for one signature of the subject by a key that is trusted with it.
func (p *Policy) Verify(s Subject, signatures []Signature) (Verdict, error) {
	if err := CheckDigest(s.Digest); err != nil {
		return Verdict{}, err
	}
	if p.Level == Off {
		return Verdict{}, nil
	}
	var reasons []error
	if len(signatures) > maxSignatures {
		reasons = append(reasons, fmt.Errorf("%w: only %d of %d signatures were looked at", ErrSignature, maxSignatures, len(signatures)))
		signatures = signatures[:maxSignatures]
	}
	for i := range signatures {
		verdict, err := p.verify(s, &signatures[i])
		if err == nil {
			return verdict, nil
		}
		reasons = append(reasons, err)
	}
	if len(reasons) == 0 {
		reasons = append(reasons, ErrUnsigned)
	}
	cause := errors.Join(reasons...)
	message := fmt.Sprintf("plugin %s %s (%s) has no valid signature: %s", s.Name, s.Version, s.Digest, oneLine(cause))
	if p.Level == Warn {
		return Verdict{Warnings: []string{message}}, nil
	}
	return Verdict{}, &core.Error{
		Code: core.CodeDenied, Message: message, Err: cause,
		Fix: "sign it with `sallyport plugin sign` and a key that the settings trust for this plugin, or set trust: warn while developing",
	}
}

func (p *Policy) verify(s Subject, signature *Signature) (Verdict, error) {
	now := p.Now()
	switch signature.Form {
	case FormSallyport:
		return p.statement(s, signature, now)
	case FormCosign:
		return p.cosign(s, signature, now)
	}
	return Verdict{}, fmt.Errorf("%w: unknown form %q", ErrSignature, signature.Form)
}

// usable says why a key whose signature is right must not be believed.
func (t *Trusted) usable(s Subject, now time.Time) error {
	switch {
	case t.expired(now):
		return fmt.Errorf("%w: key %s", ErrExpired, t.Key.ID)
	case !t.signs(s.Name):
		return fmt.Errorf("%w: key %s is trusted for %s", ErrScope, t.Key.ID, strings.Join(t.Names, ", "))
	}
	return nil
}

// Upgrade says whether next may take the place of running. With running nil it may:
// who configures a plugin and its grants has approved it. approved are digests whose capabilities people approved; digest is that of next.
//
// An older version is refused when Level is required, unless its digest is approved:
// it may bring back a hole that was closed. Growth is refused at every level until the
// digest is approved; the error's message lists what is new.
func (p *Policy) Upgrade(running, next *manifest.Manifest, digest string, approved []string) (Verdict, error) {
	var verdict Verdict
	if err := CheckDigest(digest); err != nil {
		return verdict, err
	}
	if running == nil || slices.Contains(approved, digest) {
		return verdict, nil
	}
	if running.Name != next.Name {
		return verdict, &core.Error{
			Code: core.CodeDenied, Err: ErrSubject,
			Message: fmt.Sprintf("%s %s is not a version of %s", next.Name, next.Version, running.Name),
			Fix:     "configure it as a plugin of its own",
		}
	}
	if p.Level != Off && manifest.CompareVersions(next.Version, running.Version) < 0 {
		message := fmt.Sprintf("%s %s is older than %s, which runs", next.Name, next.Version, running.Version)
		if p.Level != Warn {
			return verdict, &core.Error{Code: core.CodeDenied, Message: message, Err: ErrDowngrade, Fix: "approve digest " + digest + " if going back is meant"}
		}
		verdict.Warnings = append(verdict.Warnings, message)
	}
	if grown := manifest.Grown(running, next); len(grown) > 0 {
		return verdict, &core.Error{
			Code: core.CodeDenied, Err: ErrGrowth,
			Message: fmt.Sprintf("%s %s asks for more than was approved: %s", next.Name, next.Version, strings.Join(grown, "; ")),
			Fix:     "approve digest " + digest + "; until then the version that runs stays",
		}
	}
	return verdict, nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
