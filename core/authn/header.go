package authn

import (
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
	body := strings.TrimRight(token, "=")
	if body == "" {
		return "", unfit
	}
	for i := range len(body) { // token68 of RFC 9110, section 11.2
		c := body[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return "", unfit
		}
	}
	return token, bearer
}
