package audit

import (
	"slices"
	"strings"
)

// bound is how far names, and white space around = and :, are looked at.
const (
	longestName  = 128
	longestBlank = 16
)

// named replaces values that stand behind a denied name in a text: name=value, name: value,
// "name": "value", also where all of that is quoted once more. It reads the text once.
func named(s string, names []string) string {
	var out strings.Builder
	done := 0 // what of s is in out
	for i := 0; i < len(s); i++ {
		if s[i] != '=' && s[i] != ':' || !deniedName(nameBefore(s[:i]), names) {
			continue
		}
		from := i + 1
		if from < len(s) && s[from] == '>' {
			from++
		}
		for n := 0; n < longestBlank && from < len(s) && isBlank(s[from]); n++ {
			from++
		}
		if strings.HasPrefix(s[from:], redacted) || strings.HasPrefix(s[i:], "://") {
			continue
		}
		to := valueEnd(s, from)
		if to <= from {
			continue
		}
		out.WriteString(s[done:from])
		out.WriteString(redacted)
		done, i = to, to-1
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isWord tells whether a byte may stand in a name without quotes.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c >= 0x80
}

// nameBefore returns the name at the end of s: what is between quotes, or one or two words.
func nameBefore(s string) string {
	end := len(s)
	for n := 0; n < longestBlank && end > 0 && isBlank(s[end-1]); n++ {
		end--
	}
	if end == 0 {
		return ""
	}
	least := max(0, end-longestName)
	if q := s[end-1]; q == '"' || q == '\'' {
		end--
		return s[least:end][strings.LastIndexByte(s[least:end], q)+1:]
	}
	start := end
	for range 2 {
		for start > least && isWord(s[start-1]) {
			start--
		}
		if start == least || s[start-1] != ' ' {
			break
		}
		start--
	}
	return s[start:end]
}

func deniedName(name string, names []string) bool {
	if name == "" {
		return false
	}
	folded := fold(name)
	return slices.ContainsFunc(names, func(part string) bool { return strings.Contains(folded, part) })
}

// valueEnd returns where the value ends that begins at from: at its closing quote, which has
// no more backslashes before it than the opening one; behind { and [ nowhere.
func valueEnd(s string, from int) int {
	at := from
	for at < len(s) && s[at] == '\\' {
		at++
	}
	if at == len(s) {
		return at
	}
	switch q := s[at]; q {
	case '{', '[':
		return len(s)
	case '"', '\'':
		slashes := 0
		for i := at + 1; i < len(s); i++ {
			switch {
			case s[i] == '\\':
				slashes++
				continue
			case s[i] == q && slashes <= at-from:
				return i + 1
			}
			slashes = 0
		}
		return len(s)
	}
	for at < len(s) && !isBlank(s[at]) && strings.IndexByte(`"',;&)}]`, s[at]) < 0 {
		at++
	}
	return at
}
