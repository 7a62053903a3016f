package authz

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// says writes problems in a line: path message; fix.
func says(problems []core.Problem) string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Path+" "+p.Message+"; "+p.Fix)
	}
	return strings.Join(out, "\n")
}

func TestCheckPolicy(t *testing.T) {
	good := core.Policy{Tenant: "acme", ID: "p", Role: "support", Kind: "tool", Match: "github/*", Action: "call"}
	tests := []struct {
		name   string
		change func(*core.Policy)
		want   []string // parts of what is said
	}{
		{"good", func(*core.Policy) {}, nil},
		{"built-in role", func(p *core.Policy) { p.Role = "viewer" }, nil},
		{"stars", func(p *core.Policy) { p.Kind, p.Action, p.Match = "*", "*", "*" }, nil},
		{"no role", func(p *core.Policy) { p.Role = "" }, []string{"/role the role is missing"}},
		{"near role", func(p *core.Policy) { p.Role = "suport" }, []string{`/role there is no role "suport"; did you mean "support"?`}},
		{"far role", func(p *core.Policy) { p.Role = "chief-of-all" }, []string{"make the role first"}},
		{"near kind", func(p *core.Policy) { p.Kind = "tools" }, []string{`/kind there is no kind "tools"; did you mean "tool"?`}},
		{"near action", func(p *core.Policy) { p.Action = "pubish" }, []string{`/action there is no action "pubish"; did you mean "publish"?`}},
		{"all at once", func(p *core.Policy) { *p = core.Policy{Tenant: "acme"} }, []string{"/role", "/kind", "/action", "/match the match is missing"}},
		{"control characters", func(p *core.Policy) { p.Match = "a\tb" }, []string{"/match"}},
		{"long note", func(p *core.Policy) { p.Note = strings.Repeat("n", maxNote+1) }, []string{"/note"}},
		{"tenants", func(p *core.Policy) { p.Kind = "tenant" }, []string{"/kind a policy of this tenant cannot"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := good
			tt.change(&p)
			got := CheckPolicy(&p, []string{"support"})
			for _, want := range tt.want {
				if !strings.Contains(says(got), want) {
					t.Errorf("%q does not say %q", says(got), want)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d problems, want %d: %s", len(got), len(tt.want), says(got))
			}
			// What is found good compiles.
			if !slices.ContainsFunc(got, func(p core.Problem) bool { return !p.Warning }) {
				using(t, &core.State{Policies: []core.Policy{p}})
			}
		})
	}
}

func TestCheckRole(t *testing.T) {
	for name, want := range map[string]string{
		"support": "", "a": "", "on-call-2": "",
		"": "/name", "Support": "/name", "2nd": "/name", "a b": "/name", "everywhere/admin": "/name", "open/": "/name", "?": "/name", "ä": "/name",
		strings.Repeat("a", 64): "/name",
		"admin":                 `role "admin" is built in`, "anonymous": "built in",
	} {
		got := says(CheckRole(&core.Role{Tenant: "acme", Name: name}))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("CheckRole(%.20q) says %q, want %q", name, got, want)
		}
	}
	if got := CheckRole(&core.Role{Name: "a", Title: strings.Repeat("t", maxNote+1)}); len(got) != 1 || got[0].Path != "/title" {
		t.Errorf("a long title: %v", got)
	}
}

func TestCheckScopes(t *testing.T) {
	got := CheckScopes([]string{"tool:call:github/*", "tool:cal", "*:read"})
	if len(got) != 1 || got[0].Path != "/scopes/1" || got[0].Fix != `did you mean "call"?` {
		t.Errorf("CheckScopes = %+v", got)
	}
}

func TestRolesAndRights(t *testing.T) {
	a := using(t, acme())
	roles := a.Roles("acme")
	names := []string{}
	for _, r := range roles {
		names = append(names, r.Name)
		if r.Allow == nil || r.Deny == nil || r.BuiltIn != builtIn(r.Name) || r.BuiltIn && r.Summary == "" {
			t.Errorf("%+v", r)
		}
	}
	if want := "anonymous member viewer editor publisher auditor admin support"; strings.Join(names, " ") != want {
		t.Errorf("roles are %v, want %s", names, want)
	}
	support := roles[len(roles)-1]
	if !slices.Equal(support.Allow, []string{"tool:*:github/*"}) || !slices.Equal(support.Deny, []string{"tool:call:github/delete_*"}) {
		t.Errorf("support is %+v", support)
	}
	if viewer := roles[2]; !slices.Contains(viewer.Allow, "audit:read") {
		t.Errorf("viewer lacks the tenant's own line: %+v", viewer)
	}
	if viewer := a.Roles("other")[2]; slices.Contains(viewer.Allow, "audit:read") {
		t.Errorf("viewer has the line of another tenant: %+v", viewer)
	}

	r := a.Rights(token("acme", []string{"tool:call"}, "support", "ghost", "member"))
	if !slices.Equal(r.Roles, []string{"member", "support"}) || !slices.Contains(r.Allow, "tool:call") || !slices.Contains(r.Deny, "tool:call:*/drop_*") || !slices.Equal(r.Scopes, []string{"tool:call"}) {
		t.Errorf("Rights = %+v", r)
	}
	if r := a.Rights(operator); !slices.Equal(r.Everywhere, []string{"admin"}) || !slices.Equal(r.Allow, []string{"*:*"}) || r.Scopes != nil {
		t.Errorf("Rights of the operator = %+v", r)
	}

	lines := a.PolicyLines("acme")
	own := slices.IndexFunc(lines, func(p core.Policy) bool { return p.Tenant == "acme" })
	if own < 1 || len(lines)-own != 6 || lines[0].Tenant != core.EveryTenant {
		t.Errorf("%d lines, own ones from %d", len(lines), own)
	}
	for _, p := range lines {
		if p.Tenant == core.DefaultTenant {
			t.Errorf("a line of another tenant: %+v", p)
		}
	}
}
