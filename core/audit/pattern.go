package audit

import (
	"regexp"
	"slices"
	"strings"
)

// patterns find secrets in texts.
type patterns struct {
	names  []string // folded: without one of them in it, a text has no named secret
	card   *regexp.Regexp
	shapes []shape
}

// shape is how a value looks that is a secret wherever it stands. The pattern matches also
// where its end was cut. It is tried only where one of the hints, in lower case, is found:
// that is a hundred times faster.
type shape struct {
	hints   []string
	pattern *regexp.Regexp
}

var secretShapes = []shape{
	{[]string{"-----begin"}, regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]{1,64}-----.*?(?:-----END [A-Z0-9 ]{1,64}-----|$)`)},                            // PEM (RFC 7468)
	{[]string{"cookie"}, regexp.MustCompile(`(?i)\b(?:set-)?cookie2?\s*:[^\r\n]*`)},                                                                      // RFC 6265
	{[]string{"authorization"}, regexp.MustCompile(`(?i)\b(?:proxy-)?authorization\\*["']?\s*[:=]\s*\\*["']?[^\r\n"'\\]*`)},                              // RFC 9110 section 11.6.2
	{[]string{"bearer", "dpop"}, regexp.MustCompile(`(?i)\b(?:bearer|dpop)\s+[A-Za-z0-9._~+/=-]{8,}`)},                                                   // RFC 6750, RFC 9449
	{[]string{"basic"}, regexp.MustCompile(`(?i)\bbasic\s+(?:[A-Za-z0-9+/]{6,}={1,2}|[A-Za-z0-9+/]{16,})`)},                                              // RFC 7617
	{[]string{"eyj"}, regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,4}`)},                                                            // JWS and JWE (RFC 7519)
	{[]string{"spt_"}, regexp.MustCompile(`\bspt_[A-Za-z0-9_]{4,}`)},                                                                                     // API tokens of ours
	{[]string{"gh", "glpat-", "xox", "sk", "rk_"}, regexp.MustCompile(`\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|sk_|rk_)[A-Za-z0-9_-]{16,}`)}, // of others, by how they begin
	{[]string{"akia", "asia"}, regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`)},
	{[]string{"aiza"}, regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{30,}`)},
}

func containsAny(s string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(s, word) })
}

// user:password in the authority of a URI (RFC 3986 section 3.2.1).
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@"'<>]+@`)

var cardShape = regexp.MustCompile(`\b[2-6][0-9](?:[ -]?[0-9]){11,17}\b`)

var mailShape = regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)

func newPatterns(names []string, emails bool) *patterns {
	p := &patterns{names: names, card: cardShape, shapes: secretShapes}
	if emails {
		p.shapes = append(slices.Clone(p.shapes), shape{[]string{"@"}, mailShape})
	}
	return p
}

// redact returns a text without what looks like a secret.
func (p *patterns) redact(s string) string {
	lower := strings.ToLower(s)
	for i := range p.shapes {
		if containsAny(lower, p.shapes[i].hints) {
			s = p.shapes[i].pattern.ReplaceAllLiteralString(s, redacted)
		}
	}
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "${1}"+redacted+"@")
	}
	s = named(s, p.names)
	if countDigits(s) < leastCard {
		return s
	}
	return p.card.ReplaceAllStringFunc(s, func(found string) string {
		if isCard(found) {
			return redacted
		}
		return found
	})
}

const leastCard, mostCard = 13, 19 // digits

func countDigits(s string) (n int) {
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

// isCard tells whether digits, perhaps in groups, are the number of a payment card: 13 to
// 19 of them that begin as those do, with the check digit of Luhn (ISO/IEC 7812-1).
func isCard(s string) bool {
	n, sum := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		c := s[i]
		if c == ' ' || c == '-' {
			continue
		}
		if c < '0' || c > '9' {
			return false
		}
		d := int(c - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= leastCard && n <= mostCard && sum%10 == 0 && s[0] >= '2' && s[0] <= '6'
}

// binaryText tells whether a text is binary content in base64, and returns what stands in
// its place.
func binaryText(s string) (string, bool) {
	const least = 256
	if len(s) < least {
		return "", false
	}
	body := s
	if strings.HasPrefix(s, "data:") {
		if at := strings.Index(s, ";base64,"); at >= 0 && at < least {
			body = s[at+len(";base64,"):]
		}
	}
	mixed := 0
	for i := range len(body) {
		switch c := body[i]; {
		case c >= 'a' && c <= 'z':
			mixed |= 1
		case c >= 'A' && c <= 'Z':
			mixed |= 2
		case c >= '0' && c <= '9', c == '+', c == '/', c == '-', c == '_':
			mixed |= 4
		case c == '=', c == '\n', c == '\r':
		default:
			return "", false
		}
	}
	if mixed != 7 {
		return "", false
	}
	return sizeAndHash([]byte(s)), true
}
