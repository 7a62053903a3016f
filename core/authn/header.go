package authn

import (
	"crypto/sha256"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// maxCredential bounds an Authorization header, and so the tokens in it.
const maxCredential = 8 << 10

// repeated is what a core.HeaderSource may have beside: all values of a name, as
// http.Header has. One that does not must refuse requests with two Authorization headers
// itself.
type repeated interface{ Values(name string) []string }

// presented is what a request carries for a credential.
type presented int

const (
	nothing presented = iota
	bearer
	unfit // something is there, and it is not one bearer token
)

// credentialOf reads the bearer token of a request (RFC 6750, section 2.1), from the
// Authorization header only: a token in a query ends up in logs, and one in a body is
// read by whoever parses it.
func credentialOf(header core.HeaderSource) (string, presented) {
	if header == nil {
		return "", nothing
	}
	value := header.Get("Authorization")
	if all, ok := header.(repeated); ok && len(all.Values("Authorization")) > 1 {
		return "", unfit
	}
	return parseBearer(value)
}

func parseBearer(value string) (string, presented) {
	if value == "" {
		return "", nothing
	}
	const scheme = "bearer "
	if len(value) > maxCredential || len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", unfit
	}
	token := strings.Trim(value[len(scheme):], " ")
	if token == "" {
		return "", unfit
	}
	return token, bearer
}

// wellFormed tells whether a token has the characters that it may. It is asked of those
// that the cache does not know: of a JWT that takes longer than the rest together.
func wellFormed(token string) bool {
	token = strings.TrimRight(token, "=")
	for i := range len(token) {
		if !token68[token[i]] {
			return false
		}
	}
	return token != ""
}

// token68 are the characters of a token but for its padding (RFC 9110, section 11.2).
var token68 = func() (table [256]bool) {
	for _, c := range []byte(digits + "-._~+/") {
		table[c] = true
	}
	return table
}()

// sumOf is the SHA-256 of a credential. It makes no copy of a usual one on the heap.
func sumOf(credential string) [32]byte {
	var room [160]byte // an API token is shorter
	if len(credential) <= len(room) {
		return sha256.Sum256(room[:copy(room[:], credential)])
	}
	return sumOfLong(credential)
}

func sumOfLong(credential string) [32]byte {
	var room [2048]byte
	if len(credential) <= len(room) {
		return sha256.Sum256(room[:copy(room[:], credential)])
	}
	return sha256.Sum256([]byte(credential))
}
