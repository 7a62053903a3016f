package authz

import (
	"fmt"
	"slices"
	"strings"
)

// unknown says that a word is none of those that are known.
func unknown(what, word string) string {
	if word == "" {
		return "the " + what + " is missing"
	}
	return fmt.Sprintf("there is no %s %q", what, shorten(word))
}

// suggest says which word was probably meant, or which there are.
func suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "use one of " + strings.Join(known, ", ") + ", or * for all"
}

// nearest returns the known word at the smallest edit distance, when that may be a slip of
// the pen; "" otherwise.
func nearest(word string, known []string) string {
	if word == "" || len(word) > 64 {
		return ""
	}
	best, least := "", 1+max(1, len(word)/3)
	for _, one := range known {
		if d := distance(strings.ToLower(word), one); d < least {
			best, least = one, d
		}
	}
	return best
}

// distance counts the bytes to insert, delete or change to turn a into b.
func distance(a, b string) int {
	last, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = slices.Min([]int{row[j] + 1, last[j+1] + 1, last[j] + cost})
		}
		last, row = row, last
	}
	return last[len(b)]
}
