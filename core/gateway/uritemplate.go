package gateway

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// uriLimit is the longest URI that is matched, in bytes.
const uriLimit = 8 << 10

// uriTemplate matches URIs against an RFC 6570 template of level 1, with reserved
// expansion beside it: {name} stands for one segment, {+path} for any rest.
type uriTemplate struct {
	text  string
	names []string
	wide  map[string]bool // {+name}: may hold slashes
	match *regexp.Regexp
}

// parseURITemplate returns the template, or what is wrong with it.
func parseURITemplate(text string) (*uriTemplate, *fault) {
	wrong := func(message, fix string) (*uriTemplate, *fault) {
		return nil, &fault{message: message, fix: fix}
	}
	if text == "" {
		return wrong("is empty", "write a URI with places, for example books://{id}")
	}
	if len(text) > uriLimit {
		return wrong("is longer than 8 KiB", "shorten it")
	}
	t := &uriTemplate{text: text, wide: map[string]bool{}}
	var pattern strings.Builder
	pattern.WriteString(`(?s)\A`)
	rest, first := text, true
	for rest != "" {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			open = len(rest)
		}
		literal := rest[:open]
		if f := checkURIText(literal); f != nil {
			return nil, f
		}
		if first {
			if !hasScheme(literal) {
				return wrong("does not begin with a scheme", "begin it with one that is fixed, for example books://{id}")
			}
			first = false
		} else if literal == "" && open < len(rest) && rest[open] == '{' {
			return wrong("has two places side by side", "put something fixed between them, for example {a}/{b}")
		}
		pattern.WriteString(regexp.QuoteMeta(literal))
		if open == len(rest) {
			break
		}
		if rest[open] == '}' {
			return wrong("has a } without its {", "write a place as {name}")
		}
		end := strings.IndexByte(rest[open:], '}')
		if end < 0 {
			return wrong("has a { without its }", "write a place as {name}")
		}
		name := rest[open+1 : open+end]
		rest = rest[open+end+1:]
		wide := strings.HasPrefix(name, "+")
		name = strings.TrimPrefix(name, "+")
		if !isVariable(name) {
			return wrong("has the place "+quoted("{"+name+"}")+", which is not supported", "write {name} for one segment or {+name} for any rest; name of letters, digits and _")
		}
		if name == "uri" {
			return wrong("has a place named uri, which is the name of the whole URI", "choose another name")
		}
		if slices.Contains(t.names, name) {
			return wrong("has the place "+quoted(name)+" twice", "give each place its own name")
		}
		t.names = append(t.names, name)
		if wide {
			t.wide[name] = true
			pattern.WriteString(`(.+)`)
		} else {
			pattern.WriteString(`([^/?#]+)`)
		}
	}
	if len(t.names) == 0 {
		return wrong("has no place", "write {name} where something varies, or list it under resources")
	}
	pattern.WriteString(`\z`)
	match, err := regexp.Compile(pattern.String())
	if err != nil {
		return wrong("cannot be matched: "+err.Error(), "simplify it")
	}
	t.match = match
	return t, nil
}

// variables returns what the places of the template hold in uri, percent-decoded
// once. A value that does not decode to clean UTF-8 is no match.
func (t *uriTemplate) variables(uri string) (map[string]string, bool) {
	if len(uri) > uriLimit {
		return nil, false
	}
	found := t.match.FindStringSubmatch(uri)
	if found == nil {
		return nil, false
	}
	values := make(map[string]string, len(t.names))
	for i, name := range t.names {
		value, err := url.PathUnescape(found[i+1])
		if err != nil || !utf8.ValidString(value) || hasControl(value) {
			return nil, false
		}
		values[name] = value
	}
	return values, true
}

// checkURI says what is wrong with the URI of a resource (RFC 3986, absolute).
func checkURI(uri string) *fault {
	switch {
	case uri == "":
		return &fault{message: "is required", fix: "give an absolute URI, for example docs://readme"}
	case len(uri) > uriLimit:
		return &fault{message: "is longer than 8 KiB", fix: "shorten it"}
	case strings.ContainsAny(uri, "{}"):
		return &fault{message: "has a { or }", fix: "list it under resourceTemplates as uriTemplate, or write %7B and %7D"}
	case !hasScheme(uri):
		return &fault{message: "is not an absolute URI", fix: "begin it with a scheme, for example docs://readme"}
	}
	if f := checkURIText(uri); f != nil {
		return f
	}
	if _, err := url.Parse(uri); err != nil {
		return &fault{message: "is not a URI", fix: "see RFC 3986; percent-encode what is not allowed"}
	}
	return nil
}

// checkURIText refuses what cannot stand in a URI at all.
func checkURIText(text string) *fault {
	if !utf8.ValidString(text) || hasControl(text) || strings.ContainsAny(text, " \"<>\\^`|") {
		return &fault{message: "has a character that cannot stand in a URI", fix: "percent-encode it, for example a blank as %20"}
	}
	for i := range len(text) {
		if text[i] == '%' && (i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2])) {
			return &fault{message: "has a % without two hexadecimal digits", fix: "write a percent sign as %25"}
		}
	}
	return nil
}

// hasScheme tells whether s begins with a scheme and a colon (RFC 3986 section 3.1).
func hasScheme(s string) bool {
	colon := strings.IndexByte(s, ':')
	if colon <= 0 {
		return false
	}
	for i := range colon {
		c := s[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || s[i] != '+' && s[i] != '-' && s[i] != '.' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return true
}

// isVariable tells whether name is a variable name without dots (RFC 6570 section 2.3).
func isVariable(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// hasControl tells whether s holds a control character.
func hasControl(s string) bool {
	for _, r := range s {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return true
		}
	}
	return false
}
