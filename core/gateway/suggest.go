package gateway

import (
	"slices"
	"strings"
)

// suggest says which of the known names was probably meant, or what there is.
func suggest(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return "did you mean " + quoted(near) + "?"
	}
	switch {
	case len(known) == 0:
		return "remove it"
	case len(known) <= 12:
		quotedNames := make([]string, len(known))
		for i, one := range slices.Sorted(slices.Values(known)) {
			quotedNames[i] = quoted(one)
		}
		return "known are " + strings.Join(quotedNames, ", ")
	default:
		return ""
	}
}

// nearest returns the known name at the smallest edit distance from name, when it
// is near enough to be a slip of the pen; "" otherwise.
func nearest(name string, known []string) string {
	if len(name) > 128 {
		return ""
	}
	best, bestDistance := "", 0
	for _, one := range known {
		if one == name || len(one) > 128 {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(one))
		if d <= min(3, max(len(name), len(one))/3) && (best == "" || d < bestDistance) {
			best, bestDistance = one, d
		}
	}
	return best
}

// distance is the edit distance of two strings, a swap of neighbours counted as one.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, next := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		next[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			next[j+1] = min(last[j+1]+1, next[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(y)]
}
