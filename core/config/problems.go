package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Merge joins the problems that Read found (structural) with those that
// gateway.Build found in the same Config (semantic). A semantic problem at the place
// of a structural one, or below it, only says again what is already known and is
// dropped. The whole document ("") is the place of nothing else.
func Merge(structural, semantic []core.Problem) []core.Problem {
	broken := map[string]bool{}
	for _, p := range structural {
		if p.Path != "" && !p.Warning {
			broken[p.File+"\x00"+p.Path] = true
		}
	}
	all := slices.Clone(structural)
	for _, p := range semantic {
		known := false
		for path := p.Path; path != "" && !known; {
			known = broken[p.File+"\x00"+path]
			path = path[:max(0, strings.LastIndexByte(path, '/'))]
		}
		if !known {
			all = append(all, p)
		}
	}
	return Sorted(all)
}

// Sorted returns the problems in the order of files, lines and columns, each once.
// What has no place at all, such as how many problems were left out, comes last.
func Sorted(problems []core.Problem) []core.Problem {
	all := slices.Clone(problems)
	slices.SortStableFunc(all, func(a, b core.Problem) int {
		return cmp.Or(nowhere(a)-nowhere(b), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(all, func(a, b core.Problem) bool {
		a.Fix, b.Fix = "", ""
		return a == b
	})
}

func nowhere(p core.Problem) int {
	if p.File == "" && p.Path == "" {
		return 1
	}
	return 0
}

// Refused tells whether one of the problems is more than a warning.
func Refused(problems []core.Problem) bool {
	return slices.ContainsFunc(problems, func(p core.Problem) bool { return !p.Warning })
}

// Format writes the problems for a terminal, sorted, one a line:
//
//	file:line:column: path: message; fix
//
// Parts that are unknown are left out. What came from a document cannot move the
// cursor or begin a new line.
func Format(problems []core.Problem) string {
	var b strings.Builder
	for _, p := range Sorted(problems) {
		if p.File != "" {
			b.WriteString(tame(p.File))
			if p.Line > 0 {
				fmt.Fprintf(&b, ":%d:%d", p.Line, max(p.Column, 1))
			}
			b.WriteString(": ")
		}
		if p.Warning {
			b.WriteString("warning: ")
		}
		if p.Path != "" {
			b.WriteString(tame(p.Path))
			b.WriteString(": ")
		}
		b.WriteString(tame(p.Message))
		if p.Fix != "" {
			b.WriteString("; ")
			b.WriteString(tame(p.Fix))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// tame makes control characters visible.
func tame(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}
