package egress

import (
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Character classes of RFC 9110 5.6.2 (token) and 5.5 (field-value), as bits.
const (
	classToken = 1 << iota
	classText  // VCHAR, obs-text, SP, HTAB
	classURI   // may stand in a path or a query as it is
)

var classes = func() (t [256]byte) {
	for c := range 256 {
		b := byte(c)
		letter := 'a' <= b|0x20 && b|0x20 <= 'z' && c < 0x80
		if letter || '0' <= b && b <= '9' || c < 0x80 && strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0 {
			t[c] |= classToken
		}
		if b >= 0x20 && b != 0x7F || b == '\t' {
			t[c] |= classText
		}
		if letter || '0' <= b && b <= '9' || c < 0x80 && strings.IndexByte("-._~!$&'()*+,;=:@/%[]", b) >= 0 {
			t[c] |= classURI
		}
	}
	return t
}()

func all(s string, class byte) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// token tells whether s is a token: a header name or a method.
func token(s string) bool { return s != "" && all(s, classToken) }

// fieldText tells whether s has no control character but HTAB.
func fieldText(s string) bool { return all(s, classText) }

// fieldValue tells whether s is a field value as it stands: nothing a receiver
// would refuse, trim or read as the start of another field.
func fieldValue(s string) bool {
	if s == "" {
		return true
	}
	first, last := s[0], s[len(s)-1]
	return first != ' ' && first != '\t' && last != ' ' && last != '\t' && fieldText(s)
}

// fold compares with lower, which is in lower case.
func fold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// listed tells whether a comma-separated list holds want (lower case).
func listed(list, want string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if fold(strings.Trim(item, " \t"), want) {
			return true
		}
	}
	return false
}

// hopByHop tells whether a field belongs to one connection (RFC 9110 7.6.1).
func hopByHop(name string) bool {
	switch len(name) {
	case 2:
		return fold(name, "te")
	case 7:
		return fold(name, "trailer") || fold(name, "upgrade")
	case 10:
		return fold(name, "connection") || fold(name, "keep-alive")
	case 16:
		return fold(name, "proxy-connection")
	case 17:
		return fold(name, "transfer-encoding")
	case 18:
		return fold(name, "proxy-authenticate")
	case 19:
		return fold(name, "proxy-authorization")
	}
	return false
}

// reserved tells whether a field may not come from a tool or a client: it steers
// the connection, or is a credential (which comes from Connection.Secret only).
func reserved(name string) bool {
	switch len(name) {
	case 4:
		return fold(name, "host")
	case 6:
		return fold(name, "expect")
	case 13:
		return fold(name, "authorization")
	case 14:
		return fold(name, "content-length") || fold(name, "http2-settings")
	}
	return hopByHop(name)
}

// checkField says what is wrong with a header, or "". The value is never repeated.
func checkField(f core.Field) string {
	switch {
	case !token(f.Name):
		return "a header name is not a token (RFC 9110 5.6.2)"
	case reserved(f.Name):
		return "the header " + f.Name + " may not be set here"
	case !fieldValue(f.Value):
		return "the value of the header " + f.Name + " holds a control character, or a blank at its start or end"
	}
	return ""
}

// checkPath says what is wrong with an escaped path, or "".
func checkPath(path string) string {
	if path == "" || path[0] != '/' {
		return "the path does not begin with /"
	}
	if !all(path, classURI) || !escapes(path) {
		return "the path holds a character that is not escaped, or a broken escape"
	}
	if strings.Contains(path, "/.") || strings.Contains(path, "/%2") {
		for segment := range strings.SplitSeq(path, "/") {
			if dots(segment) {
				return "the path holds a . or .. segment"
			}
		}
	}
	return ""
}

// dots tells whether a segment is . or .., escaped or not.
func dots(segment string) bool {
	n := 0
	for segment != "" {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e':
			segment = segment[3:]
		default:
			return false
		}
		n++
	}
	return n == 1 || n == 2
}

// checkQuery says what is wrong with an escaped query, or "".
func checkQuery(query string) string {
	for i := range len(query) {
		if classes[query[i]]&classURI == 0 && query[i] != '?' {
			return "the query holds a character that is not escaped"
		}
	}
	if !escapes(query) {
		return "the query holds a broken escape"
	}
	return ""
}

// escapes tells whether every % of s begins a whole escape.
func escapes(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return true
		}
		if len(s) < i+3 || !hex(s[i+1]) || !hex(s[i+2]) {
			return false
		}
		s = s[i+3:]
	}
}

func hex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
