package authz

import (
	"slices"

	"github.com/sallyport/sallyport/core"
)

// RoleLines is a role of a tenant and what it may, for the admin plane.
type RoleLines struct {
	Name    string   `json:"name"`
	Title   string   `json:"title,omitempty"`
	Summary string   `json:"summary,omitempty"` // of built-in ones
	BuiltIn bool     `json:"builtIn"`
	Allow   []string `json:"allow"` // permissions
	Deny    []string `json:"deny"`  // permissions; they win
}

// Roles returns the roles of a tenant, the built-in ones first, with what they may there.
func (a *Authz) Roles(tenant string) []RoleLines {
	s := a.current.Load()
	if s == nil {
		return nil
	}
	out := make([]RoleLines, 0, len(builtIns))
	for i := range builtIns {
		out = append(out, s.roleLines(tenant, RoleLines{Name: builtIns[i].Name, Summary: builtIns[i].Summary, BuiltIn: true}))
	}
	for i := range s.state.Roles {
		if r := &s.state.Roles[i]; r.Tenant == tenant && !builtIn(r.Name) {
			out = append(out, s.roleLines(tenant, RoleLines{Name: r.Name, Title: r.Title}))
		}
	}
	return out
}

func (s *snapshot) roleLines(tenant string, r RoleLines) RoleLines {
	r.Allow, r.Deny = permissions(s.role(tenant, r.Name).policy)
	return r
}

// PolicyLines returns every line that holds in a tenant: those of the built-in roles (of
// tenant core.EveryTenant, which are not stored), then its own.
func (a *Authz) PolicyLines(tenant string) []core.Policy {
	s := a.current.Load()
	if s == nil {
		return nil
	}
	var out []core.Policy
	for i := range builtIns {
		out = append(out, builtIns[i].lines()...)
	}
	for i := range s.state.Policies {
		if p := &s.state.Policies[i]; p.Tenant == tenant {
			out = append(out, *p)
		}
	}
	return out
}

// Rights is what a caller may in its own tenant.
type Rights struct {
	Roles      []string `json:"roles"`      // in its tenant
	Everywhere []string `json:"everywhere"` // in every tenant
	Allow      []string `json:"allow"`      // permissions
	Deny       []string `json:"deny"`       // permissions; they win
	// Scopes narrow all of it; null = not narrowed.
	Scopes []string `json:"scopes"`
}

// Rights returns what a caller may in its own tenant, for /me. It is told for people and
// pages: whoever decides calls Authorize.
func (a *Authz) Rights(who core.Identity) Rights {
	r := Rights{Roles: []string{}, Everywhere: []string{}, Allow: []string{}, Deny: []string{}}
	s := a.current.Load()
	if s == nil {
		return r
	}
	everywhere, home := s.held(&who)
	var lines []core.Policy
	for _, role := range everywhere {
		lines = append(lines, s.role(core.DefaultTenant, role).policy...)
	}
	for _, role := range home {
		lines = append(lines, s.role(who.In(), role).policy...)
	}
	r.Roles = append(r.Roles, sortedSet(slices.Clone(home))...)
	r.Everywhere = append(r.Everywhere, sortedSet(slices.Clone(everywhere))...)
	r.Allow, r.Deny = permissions(lines)
	r.Scopes = slices.Clone(scopesOf(&who))
	return r
}

// permissions writes lines as permissions, each once, sorted; never nil.
func permissions(lines []core.Policy) (allow, deny []string) {
	allow, deny = []string{}, []string{}
	for i := range lines {
		text := Permission{lines[i].Kind, lines[i].Action, lines[i].Match}.String()
		if lines[i].Deny {
			deny = append(deny, text)
		} else {
			allow = append(allow, text)
		}
	}
	return sortedSet(allow), sortedSet(deny)
}
