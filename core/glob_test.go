package core_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "github/list_issues", true},
		{"**", "a", true},
		{"github/*", "github/list", true},
		{"github/*", "github/", true},
		{"github/*", "github", false},
		{"github/*", "agithub/list", false},
		{"github/*", "GitHub/list", false},
		{"*/list_*", "github/list_issues", true},
		{"*/list_*", "list_issues", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "acb", false},
		{"a*bb*b", "abb", false},
		{"*.example", "db:/x.example", true},
		{"a?c", "abc", false},
		{"a[b]c", "a[b]c", true},
		{"a.c", "abc", false},
		{"ü*", "über", true},
		{"a*", "a\nb", true},
	}
	for _, tt := range tests {
		g := core.NewGlob(tt.pattern)
		if got := g.Match([]byte(tt.text)); got != tt.want {
			t.Errorf("NewGlob(%q).Match(%q) = %v", tt.pattern, tt.text, got)
		}
	}
}

// FuzzGlob holds globs against the regular expressions that say the same.
func FuzzGlob(f *testing.F) {
	f.Add("a*b*", "aabb")
	f.Add("*a", "ba")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		same, err := regexp.Compile(`(?s)\A` + strings.Join(parts, `.*`) + `\z`)
		if err != nil || strings.ContainsRune(pattern+text, '�') {
			return // a dot is no half of a character
		}
		g := core.NewGlob(pattern)
		if got, want := g.Match([]byte(text)), same.MatchString(text); got != want {
			t.Errorf("NewGlob(%q).Match(%q) = %v, a regular expression says %v", pattern, text, got, want)
		}
		head, tail := g.Ends()
		if g.Match([]byte(text)) && !(strings.HasPrefix(text, head) && strings.HasSuffix(text, tail)) {
			t.Errorf("%q matches %q, which does not begin and end with %q, %q", pattern, text, head, tail)
		}
		if g.Match([]byte(text)) && !strings.Contains(text, g.Core()) {
			t.Errorf("%q matches %q, which does not hold %q", pattern, text, g.Core())
		}
		if g.All() != (pattern != "" && strings.Trim(pattern, "*") == "") || g.Exact() != !strings.Contains(pattern, "*") {
			t.Errorf("%q: All = %v, Exact = %v", pattern, g.All(), g.Exact())
		}
	})
}
