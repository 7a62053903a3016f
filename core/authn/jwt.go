package authn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

// leeway is how far the clocks of an issuer and ours may be apart.
const leeway = time.Minute

// errRefused is the inner error of whatever is not believed. Callers never see why: which
// of the checks failed would help who guesses.
var errRefused = errors.New("not believed")

// access is an access token that was believed, or the answer of an introspection.
type access struct {
	claims
	provider  *core.Provider
	id        string // SHA-256 of the token, hexadecimal
	expires   time.Time
	audiences []string // nil = good for every server of the tenant
}

// aim is what a token must be good for.
type aim struct {
	tenant, resource string
	now              time.Time
}

// signed is a JWT taken apart, before its signature is looked at.
type signed struct {
	header, claims claims
}

// takeApart reads a JWT strictly: no name twice, nothing behind it.
func takeApart(token string) (*signed, bool) {
	parts := strings.Split(token, ".")
	if len(token) > maxCredential || len(parts) != 3 {
		return nil, false
	}
	header, err1 := wire.DecodeObject(decode64(parts[0]))
	payload, err2 := wire.DecodeObject(decode64(parts[1]))
	if err1 != nil || err2 != nil || len(parts[2]) == 0 {
		return nil, false
	}
	return &signed{header: header, claims: payload}, true
}

// check is one reason not to believe a token. Tests leave one out and see the attack that
// it stops succeed.
type check struct {
	name  string
	holds func(a *Authn, ix *index, s *access, t *signed, to aim) bool
}

// checks are held against every access token that is a JWT; t is nil for the answer of an
// introspection, which the issuer itself gave us.
var checks = []check{
	{"issuer", func(_ *Authn, _ *index, s *access, t *signed, _ aim) bool {
		return t == nil && !s.has("iss") || s.text("iss") == s.provider.Issuer
	}},
	{"critical", func(_ *Authn, _ *index, _ *access, t *signed, _ aim) bool {
		return t == nil || !t.header.has("crit") // RFC 7515, section 4.1.11: we know none
	}},
	{"type", func(_ *Authn, _ *index, _ *access, t *signed, _ aim) bool {
		return t == nil || t.kind() == "at+jwt" || t.kind() == "jwt" || t.kind() == ""
	}},
	{"id token", func(_ *Authn, _ *index, s *access, t *signed, _ aim) bool {
		return t == nil || t.kind() == "at+jwt" || !s.isIDToken()
	}},
	{"subject", func(_ *Authn, _ *index, s *access, _ *signed, _ aim) bool {
		sub := s.text("sub")
		return sub != "" && len(sub) <= maxSubject
	}},
	{"expired", func(_ *Authn, _ *index, s *access, t *signed, to aim) bool {
		exp, found := s.moment("exp")
		return t == nil && !s.has("exp") || found && to.now.Before(exp.Add(leeway))
	}},
	{"not yet", func(_ *Authn, _ *index, s *access, _ *signed, to aim) bool {
		nbf, found := s.moment("nbf")
		return !s.has("nbf") || found && !to.now.Add(leeway).Before(nbf)
	}},
	{"issued", func(_ *Authn, _ *index, s *access, _ *signed, to aim) bool {
		iat, found := s.moment("iat")
		return !s.has("iat") || found && !to.now.Add(leeway).Before(iat)
	}},
	{"audience", func(_ *Authn, _ *index, s *access, _ *signed, to aim) bool {
		return s.good(to.resource)
	}},
	{"revoked", func(_ *Authn, ix *index, s *access, _ *signed, to aim) bool {
		return !ix.revokedToken(to.tenant, s.id, s.text("iss"), s.text("jti"))
	}},
}

// kind returns the typ of the header, in lower case (RFC 7515, section 4.1.9).
func (t *signed) kind() string {
	return strings.TrimPrefix(strings.ToLower(t.header.text("typ")), "application/")
}

// isIDToken tells whether a token says who logged in, at whom, instead of opening
// something (RFC 8725, section 3.11).
func (s *access) isIDToken() bool {
	switch strings.ToLower(s.text("typ")) { // as Keycloak writes it
	case "id", "refresh", "offline", "logout":
		return true
	}
	if s.has("at_hash") || s.has("c_hash") || s.has("s_hash") {
		return true
	}
	client := s.provider.ClientID
	return s.has("nonce") && client != "" && slices.Contains(s.texts("aud"), client)
}

// good tells whether the token is for a resource, or for an audience that its provider's
// settings name. audiences is set by it.
func (s *access) good(resource string) bool {
	aud := s.texts("aud")
	for _, one := range s.provider.Audiences {
		if one != "" && slices.Contains(aud, one) {
			s.audiences = nil
			return true
		}
	}
	s.audiences = make([]string, len(aud))
	for i, one := range aud {
		s.audiences[i] = canonical(one)
	}
	return slices.Contains(s.audiences, canonical(resource))
}

// canonical writes a resource as MCP wants it: scheme and host in lower case, no slash at
// the end (RFC 8707, section 2).
func canonical(resource string) string {
	u, err := url.Parse(resource)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return resource
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	return strings.TrimSuffix(u.String(), "/")
}

// believe runs the checks.
func (a *Authn) believe(ix *index, s *access, t *signed, to aim) error {
	for _, c := range checks {
		if !a.skip[c.name] && !c.holds(a, ix, s, t, to) {
			return errRefused
		}
	}
	if exp, found := s.moment("exp"); found {
		s.expires = exp.Add(leeway)
	}
	return nil
}

// openJWT believes an access token that is a JWT (RFC 9068, and those before it), or not.
func (a *Authn) openJWT(ctx context.Context, ix *index, token string, to aim) (*access, error) {
	t, ok := takeApart(token)
	if !ok {
		return nil, errRefused
	}
	err := errRefused
	for _, p := range ix.providersFor(to.tenant, a.skip["tenant"]) {
		if p.Issuer != t.claims.text("iss") && !a.skip["issuer"] {
			continue
		}
		if err = a.verify(ctx, a.issuerOf(p), token, t); err != nil {
			continue
		}
		s := &access{claims: t.claims, provider: p, id: TokenSum(token)}
		if err = a.believe(ix, s, t, to); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// verifyJWT holds a signature against the keys of an issuer.
func verifyJWT(ctx context.Context, is *issuer, token string, t *signed) error {
	var away error
	_, err := jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()).
		ParseWithClaims(token, jwt.MapClaims{}, func(*jwt.Token) (any, error) {
			public, err := is.find(ctx, t.header.text("kid"), t.header.text("alg"))
			away = err
			return public, err
		})
	switch {
	case err == nil:
		return nil
	case away != nil:
		return away
	}
	return errRefused
}

// RevokedToken is the Revocation.ID (Of jwt) of one access token.
func RevokedToken(token string) string { return TokenSum(token) }

// RevokedJTI is the Revocation.ID (Of jwt) of what an issuer names by jti.
func RevokedJTI(issuer, jti string) string {
	sum := sha256.Sum256([]byte(issuer + "\x1f" + jti))
	return hex.EncodeToString(sum[:])
}
