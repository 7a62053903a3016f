package authz

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// maxNote bounds notes and titles, in bytes.
const maxNote = 500

// CheckPolicy tells what is wrong with a policy before it is stored. roles are the
// tenant's own roles; the built-in ones are known. Problems stand at the JSON names of the
// fields (/kind); only those without Warning forbid storing it.
func CheckPolicy(p *core.Policy, roles []string) []core.Problem {
	var wrong []core.Problem
	if !builtIn(p.Role) && !slices.Contains(roles, p.Role) {
		known := slices.Clone(roles)
		for _, r := range builtIns {
			known = append(known, r.Name)
		}
		fix := "make the role first"
		if near := nearest(p.Role, known); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		wrong = append(wrong, core.Problem{Path: "/role", Message: unknown("role", p.Role), Fix: fix})
	}
	wrong = append(wrong, Permission{p.Kind, p.Action, p.Match}.problems()...)
	if p.Match == "" {
		wrong = append(wrong, core.Problem{Path: "/match", Message: "the match is missing", Fix: "write * for all objects of the kind, or a path such as github/list_*"})
	}
	if len(p.Note) > maxNote {
		wrong = append(wrong, core.Problem{Path: "/note", Message: fmt.Sprintf("the note has %d bytes, more than %d", len(p.Note), maxNote), Fix: "say it shorter"})
	}
	if p.Kind == "tenant" && !p.Deny && p.Tenant != core.DefaultTenant {
		wrong = append(wrong, core.Problem{
			Path: "/kind", Warning: true,
			Message: "a policy of this tenant cannot allow anything on tenants",
			Fix:     "tenants are managed by roles that somebody of the default tenant has everywhere",
		})
	}
	return wrong
}

// CheckRole tells what is wrong with a role of a tenant's own before it is stored.
func CheckRole(r *core.Role) []core.Problem {
	var wrong []core.Problem
	switch {
	case !slug(r.Name):
		wrong = append(wrong, core.Problem{
			Path:    "/name",
			Message: fmt.Sprintf("%q cannot name a role", shorten(r.Name)),
			Fix:     "use 1 to 63 small letters, digits and hyphens, beginning with a letter",
		})
	case builtIn(r.Name):
		wrong = append(wrong, core.Problem{
			Path:    "/name",
			Message: fmt.Sprintf("role %q is built in", r.Name),
			Fix:     "choose another name, or add policies to the built-in role",
		})
	}
	if len(r.Title) > maxNote {
		wrong = append(wrong, core.Problem{Path: "/title", Message: fmt.Sprintf("the title has %d bytes, more than %d", len(r.Title), maxNote), Fix: "say it shorter"})
	}
	return wrong
}

// CheckScopes tells what is wrong with the scopes of an API token before it is stored.
// Problems stand at /scopes/0 and so on.
func CheckScopes(scopes []string) []core.Problem {
	var wrong []core.Problem
	for i, scope := range scopes {
		if _, err := ParsePermission(scope); err != nil {
			e := core.AsError(err)
			wrong = append(wrong, core.Problem{Path: fmt.Sprintf("/scopes/%d", i), Message: e.Message, Fix: e.Fix})
		}
	}
	return wrong
}

// slug tells whether a text may name a role.
func slug(name string) bool {
	if name == "" || len(name) > 63 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// compiles refuses a line that cannot mean anything. An unknown kind or action is none of
// these: a newer replica may have written it, and here nothing of that kind is ever asked
// for.
func compiles(p *core.Policy) error {
	var wrong string
	switch {
	case p.Tenant == "" || p.Tenant == core.EveryTenant:
		wrong = "it belongs to no tenant"
	case p.Role == "":
		wrong = "it names no role"
	case !word(p.Kind):
		wrong = "it names no kind"
	case !word(p.Action):
		wrong = "it names no action"
	case p.Match == "":
		wrong = "it matches no object"
	default:
		wrong, _ = matchProblem(p.Match)
	}
	if wrong == "" {
		return nil
	}
	return &core.Error{
		Code:    core.CodeInvalid,
		Message: fmt.Sprintf("policy %q of tenant %q does not compile: %s", p.ID, p.Tenant, wrong),
		Fix:     "change or delete it; until then the policies that stood before hold",
	}
}

// word tells whether a text may be a kind or an action, of this version or a newer one.
func word(text string) bool {
	if text == Any {
		return true
	}
	if text == "" || len(text) > 63 {
		return false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
