package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// The cookie of a login reads <43 characters: 32 random bytes>.<tenant>. The row's id, what
// the row keeps of the cookie and the CSRF token are all made of the secret, each in its
// own way, so none of them leads to another.
const cookieChars = 43

func loginID(secret string) string {
	sum := sha256.Sum256([]byte("login id\x00" + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// CSRF returns the token that changes must carry with this cookie; "" for what is no
// cookie of ours. The web layer hands it to its own pages.
func CSRF(cookie core.Secret) core.Secret {
	secret, _, ok := parseCookie(cookie.Reveal())
	if !ok {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("csrf"))
	return core.Secret(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

func parseCookie(cookie string) (secret, tenant string, ok bool) {
	secret, tenant, ok = strings.Cut(cookie, ".")
	if !ok || len(secret) != cookieChars || tenant == "" || len(tenant) > 128 {
		return "", "", false
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(secret); err != nil || len(b) != 32 {
		return "", "", false
	}
	return secret, tenant, true
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// equal compares secrets in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// From says where somebody comes from, for the row of a login and for the audit trail.
type From struct {
	Address string // of the client, without a port; tries are counted by it
	Agent   string // User-Agent; cut to 200 bytes
	Request string // id
}

// Found is a login that is good.
type Found struct {
	Who   core.Identity
	Login *core.Login
	// MustChange says that the password must be changed before anything else: until then
	// Who has no roles.
	MustChange bool
}

// Granted is a login that was just made.
type Granted struct {
	Found
	Cookie core.Secret // the value of the cookie: set it __Host-, Secure, HttpOnly, SameSite=Strict
	CSRF   core.Secret
}
