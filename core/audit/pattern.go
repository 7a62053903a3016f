package audit

import (
	"regexp"
	"strings"
)

// patterns find secrets in texts.
type patterns struct {
	whole  []*regexp.Regexp // replaced whole
	named  *regexp.Regexp   // name = value: the value is replaced
	opened *regexp.Regexp   // name = { or [: everything after is
	card   *regexp.Regexp
}

// Values that are secrets wherever they stand. Each matches also where its end was cut.
var secretShapes = []*regexp.Regexp{
	regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]{1,64}-----.*?(?:-----END [A-Z0-9 ]{1,64}-----|$)`), // PEM (RFC 7468)
	regexp.MustCompile(`(?i)\b(?:set-)?cookie2?\s*:[^\r\n]*`),
	regexp.MustCompile(`(?i)\b(?:proxy-)?authorization\\*["']?\s*[:=]\s*\\*["']?[^\r\n"'\\]*`),           // RFC 9110 section 11.6.2
	regexp.MustCompile(`(?i)\b(?:bearer|dpop)\s+[A-Za-z0-9._~+/=-]{8,}`),                                 // RFC 6750, RFC 9449
	regexp.MustCompile(`(?i)\bbasic\s+(?:[A-Za-z0-9+/]{6,}={1,2}|[A-Za-z0-9+/]{16,})`),                   // RFC 7617
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,4}`),                               // JWS and JWE (RFC 7519)
	regexp.MustCompile(`\bspt_[A-Za-z0-9_]{4,}`),                                                         // API tokens of ours
	regexp.MustCompile(`\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|sk_|rk_)[A-Za-z0-9_-]{16,}`), // of others, by their prefixes
	regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`),
	regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{30,}`),
}

// user:password in the authority of a URI (RFC 3986 section 3.2.1).
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@"'<>]+@`)

var mailShape = regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)

func newPatterns(names []string, emails bool) *patterns {
	parts := make([]string, 0, len(names))
	for _, name := range names {
		words := strings.FieldsFunc(name, func(c rune) bool { return c == '_' || c == '-' || c == ' ' || c == '.' })
		for i := range words {
			words[i] = regexp.QuoteMeta(words[i])
		}
		parts = append(parts, strings.Join(words, `[\W_]?`))
	}
	// A name, perhaps quoted (also within a quoted text), then = or :, then a value,
	// perhaps quoted likewise.
	name := `(?is)([A-Za-z0-9_.\-]*(?:` + strings.Join(parts, "|") + `)[A-Za-z0-9_.\-]*(?:\\*["'])?\s*(?:[:=]|=>)\s*)`
	p := &patterns{
		named:  regexp.MustCompile(name + `(?:\\*"[^"\\]*|\\*'[^'\\]*|[^\s"',;&}\]]+)`),
		opened: regexp.MustCompile(name + `[\[{].*`),
		card:   regexp.MustCompile(`\b[2-6][0-9](?:[ -]?[0-9]){11,17}\b`),
		whole:  secretShapes,
	}
	if emails {
		p.whole = append(p.whole[:len(p.whole):len(p.whole)], mailShape)
	}
	return p
}

// redact returns a text without what looks like a secret.
func (p *patterns) redact(s string) string {
	for _, shape := range p.whole {
		s = shape.ReplaceAllLiteralString(s, redacted)
	}
	s = userinfo.ReplaceAllString(s, "${1}"+redacted+"@")
	s = p.opened.ReplaceAllString(s, "${1}"+redacted)
	s = p.named.ReplaceAllStringFunc(s, func(found string) string {
		at := p.named.FindStringSubmatchIndex(found)
		if strings.HasPrefix(found[at[3]:], redacted[:len(redacted)-1]) {
			return found
		}
		return found[:at[3]] + redacted
	})
	return p.card.ReplaceAllStringFunc(s, func(found string) string {
		if isCard(found) {
			return redacted
		}
		return found
	})
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
	return n >= 13 && n <= 19 && sum%10 == 0 && s[0] >= '2' && s[0] <= '6'
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
