package trust

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Digest returns "sha256:" and the hexadecimal SHA-256 of b.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// CheckDigest refuses what is not "sha256:" and 64 hexadecimal digits in lower case.
// No other algorithm is known: a choice would let an attacker choose.
func CheckDigest(digest string) error {
	digits, ok := strings.CutPrefix(digest, "sha256:")
	if ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == "" {
		return nil
	}
	if len(digest) > 80 {
		digest = digest[:77] + "…"
	}
	return &core.Error{Code: core.CodeInvalid, Message: fmt.Sprintf("%q is no digest", digest), Fix: "write sha256: and 64 hexadecimal digits in small letters", Err: ErrDigest}
}

// Match refuses content whose digest is not want. what names it in the error.
func Match(what string, b []byte, want string) error {
	if err := CheckDigest(want); err != nil {
		return err
	}
	got := Digest(b)
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1 {
		return nil
	}
	return &core.Error{
		Code: core.CodeDenied, Err: ErrDigest,
		Message: fmt.Sprintf("%s has digest %s, and %s is pinned", what, got, want),
		Fix:     "find out why it changed; if it was meant, review it and pin the new digest",
	}
}
