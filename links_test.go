package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fencedBlock = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan    = regexp.MustCompile("`[^`\n]*`")
)

// TestLinksLeadSomewhere follows every relative link of every page, and its #heading.
func TestLinksLeadSomewhere(t *testing.T) {
	followed := 0
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "data"}, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		for _, dead := range deadLinks(t, name, &followed) {
			t.Errorf("%s: %s leads nowhere", name, dead)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if followed < 20 {
		t.Errorf("only %d links were found", followed)
	}
}

// The test would see a dead link, and a dead heading.
func TestDeadLinksAreSeen(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	text := "# One, two\n[a](page.md#one-two) [b](#one-two) [c](https://example.com/x) [d](gone.md) [e](page.md#three) `[f](code.md)`\n"
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	followed := 0
	if dead := deadLinks(t, page, &followed); !slices.Equal(dead, []string{"gone.md", "page.md#three"}) || followed != 4 {
		t.Errorf("dead: %v, of %d", dead, followed)
	}
}

func deadLinks(t *testing.T, page string, followed *int) (dead []string) {
	t.Helper()
	for _, m := range linkPattern.FindAllStringSubmatch(codeSpan.ReplaceAllString(prose(t, page), ""), -1) {
		target, heading, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, ":") {
			continue // elsewhere
		}
		*followed++
		file := page
		if target != "" {
			file = filepath.Join(filepath.Dir(page), filepath.FromSlash(target))
		}
		if _, err := os.Stat(file); err != nil || heading != "" && !slices.Contains(headings(t, file), heading) {
			dead = append(dead, m[1])
		}
	}
	return dead
}

// prose is a page without its blocks of code.
func prose(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return fencedBlock.ReplaceAllString(string(text), "")
}

// headings are the anchors of a page, made as forges make them.
func headings(t *testing.T, page string) (all []string) {
	t.Helper()
	for line := range strings.Lines(prose(t, page)) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title)))
	}
	return all
}

// TestPictureIsTrue compares the picture of the house in RATIONALE.md with its rooms.
func TestPictureIsTrue(t *testing.T) {
	text, err := os.ReadFile("RATIONALE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, picture, _ := strings.Cut(string(text), "```\n")
	picture, _, _ = strings.Cut(picture, "```")
	var want, drawn []string
	for _, wing := range []string{"core", "plugins"} {
		found, err := os.ReadDir(wing)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range found {
			if entry.IsDir() {
				want = append(want, entry.Name())
			}
		}
	}
	for line := range strings.Lines(picture) {
		if name, _, isRoom := strings.Cut(line, "/ "); isRoom && strings.HasPrefix(line, "  ") {
			drawn = append(drawn, strings.TrimSpace(name))
		}
	}
	slices.Sort(want)
	slices.Sort(drawn)
	if !slices.Equal(want, drawn) {
		t.Errorf("the picture in RATIONALE.md has the rooms\n%v\nthe house has\n%v", drawn, want)
	}
}
