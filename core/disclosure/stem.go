package disclosure

import "strings"

// stem cuts the endings of English plurals and verbs off: step 1 of Porter's algorithm (An
// algorithm for suffix stripping, Program 14 no. 3, 1980), and the final e. The steps after
// that cut more, and confuse more words than they bring together in texts as short as these.
// Words of other than ASCII letters stay.
func stem(s string) string {
	if len(s) < 3 {
		return s
	}
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return s
		}
	}
	switch { // step 1a
	case strings.HasSuffix(s, "sses"), strings.HasSuffix(s, "ies") && len(s) > 4:
		s = s[:len(s)-2]
	case strings.HasSuffix(s, "ies"), strings.HasSuffix(s, "s") && !strings.HasSuffix(s, "ss") && !strings.HasSuffix(s, "us") && !strings.HasSuffix(s, "is"):
		s = s[:len(s)-1]
	}
	s = past(s)
	if y, ok := strings.CutSuffix(s, "y"); ok && hasVowel(y) && len(y) > 2 { // step 1c
		s = y + "i"
	}
	if e, ok := strings.CutSuffix(s, "e"); ok && len(e) > 2 && measure(e) > 0 { // of step 5a
		s = e
	}
	return s
}

// past is step 1b: -eed, -ed, -ing.
func past(s string) string {
	if root, ok := strings.CutSuffix(s, "eed"); ok {
		if measure(root) > 0 {
			return root + "ee"
		}
		return s
	}
	root, ok := strings.CutSuffix(s, "ed")
	if !ok {
		root, ok = strings.CutSuffix(s, "ing")
	}
	if !ok || !hasVowel(root) {
		return s
	}
	n := len(root)
	switch {
	case strings.HasSuffix(root, "at"), strings.HasSuffix(root, "bl"), strings.HasSuffix(root, "iz"):
		return root + "e"
	case n > 1 && root[n-1] == root[n-2] && !vowel(root, n-1) && !strings.ContainsRune("lsz", rune(root[n-1])):
		return root[:n-1] // running
	case measure(root) == 1 && short(root):
		return root + "e" // filing
	}
	return root
}

// vowel tells whether the letter at i is one; y is after a consonant.
func vowel(s string, i int) bool {
	switch s[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return true
	case 'y':
		return i > 0 && !vowel(s, i-1)
	}
	return false
}

func hasVowel(s string) bool {
	for i := range len(s) {
		if vowel(s, i) {
			return true
		}
	}
	return false
}

// measure counts how often consonants follow vowels.
func measure(s string) int {
	n := 0
	for i := 1; i < len(s); i++ {
		if vowel(s, i-1) && !vowel(s, i) {
			n++
		}
	}
	return n
}

// short tells whether a root ends with consonant, vowel, consonant, the last not w, x, y.
func short(s string) bool {
	n := len(s)
	return n > 2 && !vowel(s, n-3) && vowel(s, n-2) && !vowel(s, n-1) && !strings.ContainsRune("wxy", rune(s[n-1]))
}
