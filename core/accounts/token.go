package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/core/wire"
)

const (
	maxToken  = 16 << 10         // bytes of one token
	leeway    = 60 * time.Second // a token is renewed that long before it ends, or a quarter of its life
	longest   = 10 * 365 * 24 * time.Hour
	bearer    = "bearer"
	invalidID = "invalid_grant"
)

// token is what an authorization server gave for one account. It is passed by pointer
// only.
type token struct {
	access, refresh core.Secret
	issuer, scope   string
	renew, expires  time.Time // zero = never
}

// tokenText is the JSON that is sealed in a row.
type tokenText struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"`
	Issuer  string    `json:"issuer"`
	Scope   string    `json:"scope,omitempty"`
	Renew   time.Time `json:"renew"`
	Expires time.Time `json:"expires"`
}

// fresh tells whether a token need not be renewed, good whether it can be used.
func (t *token) fresh(now time.Time) bool { return t.renew.IsZero() || now.Before(t.renew) }
func (t *token) good(now time.Time) bool  { return t.expires.IsZero() || now.Before(t.expires) }

// String hides the token.
func (t *token) String() string { return "token" }

// GoString hides the token.
func (t *token) GoString() string { return "token" }

// text writes what is sealed.
func (t *token) text() ([]byte, error) {
	b, err := wire.Marshal(tokenText{t.access.Reveal(), t.refresh.Reveal(), t.issuer, t.scope, t.renew, t.expires})
	if err != nil {
		return nil, fmt.Errorf("write a token: %w", err)
	}
	return b, nil
}

func parseToken(b []byte) (*token, error) {
	var text tokenText
	if err := wire.Unmarshal(b, &text); err != nil || text.Access == "" {
		return nil, &core.Error{Code: core.CodeInternal, Message: "a connected account holds no token", Err: errors.New("what is sealed is of another form")}
	}
	return &token{core.Secret(text.Access), core.Secret(text.Refresh), text.Issuer, text.Scope, text.Renew, text.Expires}, nil
}

// grant is the answer of a token endpoint (RFC 6749, sections 5.1 and 5.2).
type grant struct {
	Access  string          `json:"access_token"`
	Refresh string          `json:"refresh_token"`
	Type    string          `json:"token_type"`
	Expires json.RawMessage `json:"expires_in"`
	Scope   string          `json:"scope"`
	Error   string          `json:"error"`
}

// token checks a grant. before is the token that it renews; nil = none.
func (g *grant) token(issuer string, now time.Time, before *token) (*token, error) {
	odd := func(what string) error {
		return &core.Error{Code: core.CodeUnavailable, Message: "the authorization server answered with a token that cannot be used: " + what}
	}
	switch {
	case !isToken(g.Access):
		return nil, odd("access_token is missing, too long, or holds characters that no header carries")
	case g.Refresh != "" && !isToken(g.Refresh):
		return nil, odd("refresh_token is too long, or holds control characters")
	case !strings.EqualFold(g.Type, bearer):
		return nil, odd("token_type is not Bearer")
	}
	t := &token{access: core.Secret(g.Access), refresh: core.Secret(g.Refresh), issuer: issuer, scope: g.Scope}
	if life, ok := lifeOf(g.Expires); ok {
		t.expires = now.Add(life)
		t.renew = t.expires.Add(-min(leeway, life/4))
	}
	if before != nil && t.refresh == "" {
		t.refresh = before.refresh // it goes on being good (RFC 6749, section 6)
	}
	return t, nil
}

// lifeOf reads expires_in: seconds, which some servers write as text.
func lifeOf(raw json.RawMessage) (time.Duration, bool) {
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || !(seconds >= 0) {
		return 0, false
	}
	return time.Duration(min(seconds, longest.Seconds()) * float64(time.Second)), true
}

// isToken tells whether a header can carry s (RFC 6750, section 2.1, and what servers
// send beyond it: visible ASCII).
func isToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
