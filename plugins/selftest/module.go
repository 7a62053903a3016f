package selftest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/core"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// heading begins one suite in the section: the start of a YAML document, with the name
// of the file as a comment.
const heading = "--- # "

// Embed returns the module with these suites as its custom section, in the place of any
// that are there; none removes the section's content.
func Embed(wasm []byte, suites []*Suite) ([]byte, error) {
	var b strings.Builder
	for _, s := range suites {
		file := strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return '_'
			}
			return c
		}, s.File)
		b.WriteString(heading + file + "\n")
		for n, line := range strings.Split(strings.TrimSuffix(string(s.Text), "\n"), "\n") {
			if marker(line) {
				if rest := strings.TrimSpace(line[3:]); rest != "" && !strings.HasPrefix(rest, "#") {
					return nil, one(s.File, n+1, "content behind "+line[:3], "write it on a line of its own")
				}
				line = "" // one file is one document: nothing is lost, and lines keep their numbers
			}
			b.WriteString(line + "\n")
		}
	}
	return rewrite.WithCustomSection(wasm, Section, []byte(b.String())), nil
}

// marker reports whether YAML takes the line for the begin or the end of a document.
func marker(line string) bool {
	if !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "...") {
		return false
	}
	return len(line) == 3 || strings.ContainsAny(line[3:4], " \t\r")
}

func one(file string, line int, message, fix string) error {
	return &manifest.InvalidError{Problems: []core.Problem{{File: file, Line: line, Column: min(line, 1), Message: message, Fix: fix}}}
}

// FromModule returns the suites that a module carries; none when it has no section.
func FromModule(wasm []byte) ([]*Suite, error) {
	text, found := rewrite.CustomSection(wasm, Section)
	if !found {
		return nil, nil
	}
	if len(text) > maxSection {
		return nil, one("#"+Section, 0, fmt.Sprintf("fixtures of more than %d bytes", maxSection), "embed fewer")
	}
	var suites []*Suite
	var file string
	var lines []string
	begun := false
	flush := func() error {
		body := strings.Join(lines, "\n")
		lines = lines[:0]
		if !begun && strings.TrimSpace(body) == "" {
			return nil
		}
		if len(suites) >= maxSuites {
			return one("#"+Section, 0, "more than "+strconv.Itoa(maxSuites)+" suites", "embed fewer")
		}
		if file == "" {
			file = "suite " + strconv.Itoa(len(suites)+1)
		}
		s, err := Parse(file, []byte(body))
		if err != nil {
			return err
		}
		suites = append(suites, s)
		return nil
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if !marker(line) || line[0] == '.' {
			lines = append(lines, line)
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
		file, begun = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line[3:]), "# ")), true
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return suites, nil
}

const (
	maxSection = 8 << 20
	maxSuites  = 256
)
