package manifest

import (
	"cmp"
	"regexp"
	"strings"
)

// semver is the grammar of Semantic Versioning 2.0.0.
var semver = regexp.MustCompile(`^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$`)

const maxVersion = 64

// ValidVersion reports whether v is a semantic version of at most 64 bytes, without a
// leading v.
func ValidVersion(v string) bool { return len(v) <= maxVersion && semver.MatchString(v) }

// CompareVersions orders versions as Semantic Versioning 2.0.0, section 11: -1 when a
// is older than b. What is no version is older than every version.
func CompareVersions(a, b string) int {
	x, y := ValidVersion(a), ValidVersion(b)
	if !x || !y {
		switch {
		case x:
			return 1
		case y:
			return -1
		}
		return 0
	}
	p, q := semver.FindStringSubmatch(a), semver.FindStringSubmatch(b)
	for i := 1; i <= 3; i++ {
		if c := number(p[i], q[i]); c != 0 {
			return c
		}
	}
	switch {
	case p[4] == q[4]:
		return 0
	case p[4] == "":
		return 1
	case q[4] == "":
		return -1
	}
	s, t := strings.Split(p[4], "."), strings.Split(q[4], ".")
	for i := range min(len(s), len(t)) {
		if c := identifier(s[i], t[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(s), len(t))
}

// number compares digits without leading zeros.
func number(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func identifier(a, b string) int {
	x, y := strings.Trim(a, "0123456789") == "", strings.Trim(b, "0123456789") == ""
	switch {
	case x && y:
		return number(a, b)
	case x:
		return -1
	case y:
		return 1
	}
	return cmp.Compare(a, b)
}
