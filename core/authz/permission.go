package authz

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/core"
)

// Any stands in a permission or a policy for every kind, action or object.
const Any = "*"

// maxMatch bounds the glob of a policy or scope, in bytes.
const maxMatch = 512

// Permission is what a scope of an API token, or one line of a role, names: an action on a
// kind of objects whose path matches. It is written kind:action or kind:action:match, and
// the match may hold colons.
type Permission struct {
	Kind   string // one of core.ObjectKinds, or Any
	Action string // one of core.Actions, or Any
	Match  string // glob over Object.Path; "" = Any
}

// ParsePermission reads a permission. The error, with CodeInvalid, says which part is
// wrong and what was probably meant.
func ParsePermission(text string) (Permission, error) {
	kind, rest, two := strings.Cut(text, ":")
	if !two {
		return Permission{}, &core.Error{
			Code:    core.CodeInvalid,
			Message: fmt.Sprintf("%q is no permission: it has one part", shorten(text)),
			Fix:     "write kind:action or kind:action:match, such as tool:call:github/*",
		}
	}
	action, match, three := strings.Cut(rest, ":")
	p := Permission{kind, action, match}
	if three && match == "" {
		return Permission{}, &core.Error{
			Code:    core.CodeInvalid,
			Message: fmt.Sprintf("permission %q ends with a colon", shorten(text)),
			Fix:     "name objects behind it, or leave the colon out for all of them",
		}
	}
	for _, wrong := range p.problems() {
		return Permission{}, &core.Error{
			Code:    core.CodeInvalid,
			Message: fmt.Sprintf("permission %q: %s", shorten(text), wrong.Message),
			Fix:     wrong.Fix,
		}
	}
	if p.Match == Any {
		p.Match = ""
	}
	return p, nil
}

// String writes the permission as ParsePermission reads it, in its shortest form.
func (p Permission) String() string {
	if p.Match == "" || p.Match == Any {
		return p.Kind + ":" + p.Action
	}
	return p.Kind + ":" + p.Action + ":" + p.Match
}

// covers tells whether the permission speaks of an action on an object.
func (p Permission) covers(kind string, action core.Action, path []byte) bool {
	if p.Kind != Any && p.Kind != kind || p.Action != Any && p.Action != string(action) {
		return false
	}
	if p.Match == "" {
		return true
	}
	g := core.NewGlob(p.Match)
	return g.Match(path)
}

// problems tells what is wrong with the parts, each at /kind, /action or /match.
func (p Permission) problems() []core.Problem {
	var wrong []core.Problem
	if p.Kind != Any && !slices.Contains(core.ObjectKinds, p.Kind) {
		wrong = append(wrong, core.Problem{Path: "/kind", Message: unknown("kind", p.Kind), Fix: suggest(p.Kind, core.ObjectKinds)})
	}
	if p.Action != Any && !slices.Contains(core.Actions, core.Action(p.Action)) {
		wrong = append(wrong, core.Problem{Path: "/action", Message: unknown("action", p.Action), Fix: suggest(p.Action, actionNames)})
	}
	if message, fix := matchProblem(p.Match); message != "" {
		wrong = append(wrong, core.Problem{Path: "/match", Message: message, Fix: fix})
	}
	return wrong
}

// matchProblem tells what is wrong with a glob; "" = nothing.
func matchProblem(match string) (message, fix string) {
	switch {
	case len(match) > maxMatch:
		return fmt.Sprintf("the match has %d bytes, more than %d", len(match), maxMatch), "use * for the parts that do not matter"
	case !printable(match):
		return "the match holds control characters, or is not UTF-8", "write the path as lists show it"
	}
	return "", ""
}

// printable tells whether a text is UTF-8 without control characters.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// actionNames are core.Actions as texts.
var actionNames = func() []string {
	names := make([]string, len(core.Actions))
	for i, a := range core.Actions {
		names[i] = string(a)
	}
	return names
}()

// shorten cuts what somebody typed for a message.
func shorten(text string) string {
	if len(text) <= 80 {
		return text
	}
	return text[:80] + "…"
}
