package authn

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/core"
)

// claims is what a token, or the answer of an introspection, says. Numbers are
// json.Number.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

func (c claims) has(name string) bool { return c[name] != nil }

// texts returns a claim that is a text or a list of texts; nil for anything else.
func (c claims) texts(name string) []string { return texts(c[name]) }

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil
			}
			out = append(out, s)
		}
		return out
	}
	return nil
}

// moment returns a NumericDate (RFC 7519, section 2).
func (c claims) moment(name string) (t time.Time, found bool) {
	n, ok := c[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > 253402300799 { // the end of the year 9999
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

// at follows a path such as realm_access.roles. A claim whose own name has the dots (as
// https://example.com/groups) is found first.
func (c claims) at(path string) any {
	if v, ok := c[path]; ok {
		return v
	}
	var here any = map[string]any(c)
	for name := range strings.SplitSeq(path, ".") {
		object, ok := here.(map[string]any)
		if !ok {
			return nil
		}
		here = object[name]
	}
	return here
}

// scopes returns what was granted: scope as a text (RFC 9068, section 2.2.3), or scp as
// some write it. It is never nil: a token without scopes has none.
func (c claims) scopes() []string {
	out := []string{}
	for _, name := range []string{"scope", "scp"} {
		for _, one := range c.texts(name) {
			out = append(out, strings.Fields(one)...)
		}
	}
	if len(out) > maxScopes {
		out = out[:maxScopes]
	}
	return out
}

// Bounds on what a stranger's token may make us keep.
const (
	maxScopes  = 200
	maxGroups  = 1000
	maxSubject = 255 // OpenID Connect Core 1.0, section 2
	maxName    = 64
	maxTitle   = 200
)

// groups returns the groups of a user as a provider names them; found is false where the
// claim is not there.
func (c claims) groups(p *core.Provider) (groups []string, found bool) {
	path := p.GroupClaim
	if path == "" {
		path = "groups"
	}
	v := c.at(path)
	if v == nil {
		return nil, false
	}
	groups = texts(v)
	if len(groups) > maxGroups {
		groups = groups[:maxGroups]
	}
	return groups, true
}

// name returns what a provisioned user is called; "" where no claim gives a usable name.
// It is for people: nobody is found by it.
func (c claims) name(p *core.Provider) string {
	paths := []string{"preferred_username", "email"}
	if p.NameClaim != "" {
		paths = []string{p.NameClaim}
	}
	for _, path := range paths {
		s, _ := c.at(path).(string)
		s = strings.ToLower(norm.NFC.String(s))
		name := strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._@+-", r) {
				return r
			}
			return -1
		}, s)
		if name != "" {
			return cut(name, maxName)
		}
	}
	return ""
}

// title returns the name claim for people, without control characters.
func (c claims) title() string {
	return cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, c.text("name")), maxTitle)
}

// cut shortens a text to at most size bytes, between characters.
func cut(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && s[size]&0xC0 == 0x80 {
		size--
	}
	return s[:size]
}
