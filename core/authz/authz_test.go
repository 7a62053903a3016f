package authz

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// may tells whether somebody may do "kind:action" on an object; any error but a refusal
// fails the test.
func may(t testing.TB, a *Authz, who core.Identity, do string, on core.Object) bool {
	t.Helper()
	kind, action, _ := strings.Cut(do, ":")
	on.Kind = kind
	err := a.Authorize(context.Background(), who, core.Action(action), on)
	if err == nil {
		return true
	}
	if e := core.AsError(err); e.Code != core.CodeDenied || e.Message == "" || e.Fix == "" {
		t.Fatalf("%s: a refusal is %#v", do, err)
	}
	return false
}

func using(t interface {
	Helper()
	Fatal(args ...any)
}, state *core.State,
) *Authz {
	t.Helper()
	a := New(Options{})
	if err := a.Use(state); err != nil {
		t.Fatal(err)
	}
	return a
}

func user(tenant string, roles ...string) core.Identity {
	return core.Identity{Subject: "u1", Tenant: tenant, Roles: roles, Via: core.ViaLogin}
}

func token(tenant string, scopes []string, roles ...string) core.Identity {
	return core.Identity{Subject: "u1", Tenant: tenant, Roles: roles, Scopes: scopes, Via: core.ViaToken}
}

var (
	operator = core.Identity{Subject: "op", Everywhere: []string{"admin"}, Via: core.ViaOperator}
	stranger = core.Identity{Tenant: "acme"}
)

// acme is a state with a role and policies of tenant acme, and one of the default tenant.
func acme() *core.State {
	return &core.State{
		Roles: []core.Role{{Tenant: "acme", Name: "support"}, {Tenant: "default", Name: "oncall"}},
		Policies: []core.Policy{
			{Tenant: "acme", ID: "p1", Role: "support", Kind: "tool", Match: "github/*", Action: "*"},
			{Tenant: "acme", ID: "p2", Role: "support", Kind: "tool", Match: "github/delete_*", Action: "call", Deny: true},
			{Tenant: "acme", ID: "p3", Role: "member", Kind: "tool", Match: "*/drop_*", Action: "call", Deny: true, Note: "no drops"},
			{Tenant: "acme", ID: "p4", Role: "viewer", Kind: "audit", Match: "*", Action: "read"},
			{Tenant: "acme", ID: "p5", Role: "anonymous", Kind: "tool", Match: "open/secret", Action: "call", Deny: true},
			{Tenant: "acme", ID: "p6", Role: "admin", Kind: "tool", Match: "*", Action: "call", Deny: true},
			{Tenant: "default", ID: "p1", Role: "oncall", Kind: "session", Match: "*", Action: "revoke"},
		},
	}
}

func TestAuthorize(t *testing.T) {
	on := func(tenant, server, name string) core.Object {
		return core.Object{Tenant: tenant, Server: server, Name: name}
	}
	open := func(server, name string) core.Object {
		return core.Object{Tenant: "acme", Server: server, Name: name, Open: true}
	}
	tests := []struct {
		name string
		who  core.Identity
		do   string
		on   core.Object
		want bool
	}{
		{"no role, nothing", user("acme"), "tool:call", on("acme", "github", "list"), false},
		{"member calls", user("acme", "member"), "tool:call", on("acme", "github", "list"), true},
		{"member reads no documents", user("acme", "member"), "document:read", on("acme", "", "shop"), false},
		{"own role by glob", user("acme", "support"), "tool:call", on("acme", "github", "list"), true},
		{"glob is anchored", user("acme", "support"), "tool:call", on("acme", "mygithub", "list"), false},
		{"deny of the same role", user("acme", "support"), "tool:call", on("acme", "github", "delete_repo"), false},
		{"deny is of call only", user("acme", "support"), "tool:list", on("acme", "github", "delete_repo"), true},
		{"deny of another role wins", user("acme", "member", "support"), "tool:call", on("acme", "github", "drop_table"), false},
		{"built-in role with an own line", user("acme", "viewer"), "audit:read", on("acme", "", ""), true},
		{"own line holds in its tenant only", user("other", "viewer"), "audit:read", on("other", "", ""), false},
		{"own role of another tenant is no role", user("other", "support"), "tool:call", on("other", "github", "list"), false},
		{"unknown role is ignored", user("acme", "boss", "member"), "tool:call", on("acme", "github", "list"), true},
		{"other tenant", user("acme", "admin"), "document:read", on("other", "", "shop"), false},
		{"other tenant, open", user("other", "member"), "tool:call", open("open", "echo"), false},
		{"empty tenant is the default", user("", "member"), "tool:call", on("default", "github", "list"), true},
		{"all tenants", user("acme", "admin"), "audit:read", on("*", "", ""), false},
		{"a caller of all tenants is of none", user("*", "admin"), "audit:read", on("*", "", ""), false},

		{"operator in another tenant", operator, "document:write", on("acme", "", "shop"), true},
		{"operator over all tenants", operator, "audit:read", on("*", "", ""), true},
		{"a tenant cannot shut out operators", operator, "tool:call", on("acme", "github", "list"), true},
		{"but its own admins", user("acme", "admin"), "tool:call", on("acme", "github", "list"), false},
		{"tenants take a role everywhere", user("default", "admin"), "tenant:write", on("default", "", "acme"), false},
		{"even one's own", user("acme", "admin"), "tenant:read", on("acme", "", "acme"), false},
		{"operator makes tenants", operator, "tenant:write", on("", "", "acme"), true},
		{"own role of the default tenant, everywhere", core.Identity{Subject: "x", Everywhere: []string{"oncall"}}, "session:revoke", on("acme", "", "s1"), true},
		{"and nothing else of it", core.Identity{Subject: "x", Everywhere: []string{"oncall"}}, "session:read", on("acme", "", "s1"), false},
		{"a tenant's role is none everywhere", core.Identity{Subject: "x", Tenant: "acme", Everywhere: []string{"support"}}, "tool:call", on("acme", "github", "list"), false},
		{"roles do not become wide by name", user("acme", "everywhere/admin"), "document:read", on("other", "", "shop"), false},

		{"anonymous, closed", stranger, "tool:call", on("acme", "open", "echo"), false},
		{"anonymous, open", stranger, "tool:call", open("open", "echo"), true},
		{"anonymous, open, denied", stranger, "tool:call", open("open", "secret"), false},
		{"anonymous, open, denied call is listed", stranger, "tool:list", open("open", "secret"), true},
		{"open is for everybody", user("acme"), "resource:read", open("open", "db:/x"), true},
		{"open opens nothing of the admin plane", stranger, "document:read", open("open", ""), false},
		{"open does not write", stranger, "tool:write", open("open", "echo"), false},
		{"anonymous holds nothing everywhere", core.Identity{Everywhere: []string{"admin"}}, "tenant:write", on("", "", "acme"), false},

		{"scope and role", token("acme", []string{"tool:call:github/*"}, "member"), "tool:call", on("acme", "github", "list"), true},
		{"role without scope", token("acme", []string{"tool:call:github/*"}, "member"), "tool:call", on("acme", "jira", "list"), false},
		{"scope without role", token("acme", []string{"document:*"}, "member"), "document:read", on("acme", "", "shop"), false},
		{"scope with any action", token("acme", []string{"tool:*"}, "member"), "tool:list", on("acme", "jira", "list"), true},
		{"no scope at all", token("acme", []string{}, "member"), "tool:call", on("acme", "jira", "list"), false},
		{"not narrowed", token("acme", nil, "member"), "tool:call", on("acme", "jira", "list"), true},
		{"broken scope says nothing", token("acme", []string{"tool", "tol:call", "*:*:"}, "member"), "tool:call", on("acme", "jira", "list"), false},
		{"scopes narrow an open server", token("acme", []string{"prompt:*"}, "member"), "tool:call", open("open", "echo"), false},
		{"scopes narrow operators", core.Identity{Subject: "op", Everywhere: []string{"admin"}, Via: core.ViaToken, Scopes: []string{"audit:*"}}, "document:write", on("acme", "", "shop"), false},
		{"scopes of an access token are another's affair", core.Identity{Subject: "u", Tenant: "acme", Roles: []string{"member"}, Via: core.ViaOAuth, Scopes: []string{"mcp"}}, "tool:call", on("acme", "jira", "list"), true},

		{"unknown kind", operator, "toll:call", on("acme", "github", "list"), false},
		{"unknown action", operator, "tool:fly", on("acme", "github", "list"), false},
		{"a star is no kind to ask for", operator, "*:call", on("acme", "github", "list"), false},
		{"a star is no action to ask for", operator, "tool:*", on("acme", "github", "list"), false},
	}
	a := using(t, acme())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second answer is a kept one
				if got := may(t, a, tt.who, tt.do, tt.on); got != tt.want {
					t.Errorf("%s by %+v on %+v = %v", tt.do, tt.who, tt.on, got)
				}
			}
			kind, action, _ := strings.Cut(tt.do, ":")
			tt.on.Kind = kind
			why, err := a.Explain(context.Background(), tt.who, core.Action(action), tt.on)
			if err != nil || why.Allowed != tt.want || !strings.HasPrefix(why.Reason, map[bool]string{true: "allowed: ", false: "denied: "}[tt.want]) {
				t.Errorf("Explain = %+v, %v", why, err)
			}
			if (why.Fix == "") != tt.want {
				t.Errorf("Fix = %q", why.Fix)
			}
		})
	}
}

// What is not there yet allows nothing, and what does not compile changes nothing.
func TestUse(t *testing.T) {
	a := New(Options{})
	on := core.Object{Kind: "tool", Tenant: "acme", Server: "github", Name: "list"}
	if err := a.Authorize(context.Background(), operator, core.ActionCall, on); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("before the first state: %v", err)
	}
	if _, err := a.Explain(context.Background(), operator, core.ActionCall, on); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("Explain before the first state: %v", err)
	}
	if a.Roles("acme") != nil || a.PolicyLines("acme") != nil || len(a.Rights(operator).Allow) != 0 {
		t.Error("roles before the first state")
	}
	broken := []*core.State{
		nil,
		{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "", Kind: "tool", Match: "*", Action: "call"}}},
		{Policies: []core.Policy{{Tenant: "", ID: "x", Role: "member", Kind: "tool", Match: "*", Action: "call"}}},
		{Policies: []core.Policy{{Tenant: "*", ID: "x", Role: "member", Kind: "tool", Match: "*", Action: "call"}}},
		{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "member", Kind: "", Match: "*", Action: "call"}}},
		{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "member", Kind: "Tool", Match: "*", Action: "call"}}},
		{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "member", Kind: "tool", Match: "*", Action: "ca ll"}}},
		{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "member", Kind: "tool", Match: "", Action: "call"}}},
		{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "member", Kind: "tool", Match: "a\nb", Action: "call"}}},
		{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "member", Kind: "tool", Match: strings.Repeat("a", maxMatch+1), Action: "call"}}},
	}
	for i, state := range broken {
		if err := a.Use(state); core.AsError(err).Code != core.CodeInvalid {
			t.Errorf("state %d: Use = %v", i, err)
		}
	}
	if err := a.Authorize(context.Background(), operator, core.ActionCall, on); core.AsError(err).Code != core.CodeUnavailable {
		t.Errorf("after states that do not compile: %v", err)
	}
	if err := a.Use(&core.State{}); err != nil {
		t.Fatal(err)
	}
	for _, state := range broken {
		_ = a.Use(state)
		if !may(t, a, operator, "tool:call", on) || may(t, a, user("acme"), "tool:call", on) {
			t.Fatal("a state that does not compile changed the answer")
		}
	}
	if err := a.Use(&core.State{Policies: []core.Policy{{Tenant: "default", ID: "x", Role: "admin", Kind: "tool", Match: "*", Action: "call", Deny: true}}}); err != nil {
		t.Fatal(err)
	}
	if may(t, a, operator, "tool:call", on) {
		t.Error("the old state's decision outlived it")
	}
}

// What a newer replica wrote, and what names no role, is ignored and told, not fatal.
func TestUseIgnores(t *testing.T) {
	var log strings.Builder
	a := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	err := a.Use(&core.State{
		Roles: []core.Role{{Tenant: "acme", Name: "admin"}}, // somebody's mistake: no way to empty a built-in role
		Policies: []core.Policy{
			{Tenant: "acme", ID: "newer", Role: "member", Kind: "robot", Match: "*", Action: "call"},
			{Tenant: "acme", ID: "verb", Role: "member", Kind: "tool", Match: "*", Action: "fly"},
			{Tenant: "acme", ID: "nobody", Role: "ghost", Kind: "tool", Match: "*", Action: "call"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	on := core.Object{Tenant: "acme", Name: "x"}
	if !may(t, a, user("acme", "admin"), "user:write", on) || may(t, a, user("acme", "ghost"), "tool:call", on) {
		t.Error("roles are not what they should be")
	}
	may(t, a, user("acme", "ghost"), "tool:call", on)
	may(t, a, user("acme", "ghost", "member"), "tool:call", on)
	may(t, a, token("acme", []string{"oops"}, "member"), "tool:call", on)
	for _, want := range []string{"policy=newer", "policy=verb", "policy=nobody", "name=ghost", "name=oops"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("%s stands %d times in the log:\n%s", want, strings.Count(log.String(), want), log.String())
		}
	}
}

// States are swapped while calls are decided: each answer is that of one of them.
func TestUseAtOnce(t *testing.T) {
	yes := acme()
	no := &core.State{Policies: []core.Policy{{Tenant: "acme", ID: "x", Role: "member", Kind: "tool", Match: "*", Action: "call", Deny: true}}}
	a := using(t, yes)
	on := core.Object{Kind: "tool", Tenant: "acme", Server: "github", Name: "list"}
	other := core.Object{Kind: "audit", Tenant: "acme"}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 500 {
				_ = a.Authorize(context.Background(), user("acme", "member"), core.ActionCall, on)
				if j%50 == i {
					_, _ = a.Explain(context.Background(), user("acme", "member"), core.ActionCall, on)
				}
				if a.Authorize(context.Background(), user("acme", "member"), core.ActionRead, other) == nil {
					t.Error("what no state allows is allowed")
				}
			}
		})
	}
	all.Go(func() {
		for i := range 20 {
			if err := a.Use([]*core.State{no, yes}[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	if !may(t, a, user("acme", "member"), "tool:call", on) {
		t.Error("the last state does not hold")
	}
}

// A refusal names neither other tenants nor policies nor the object.
func TestRefusalIsBlind(t *testing.T) {
	a := using(t, acme())
	for _, who := range []core.Identity{user("acme", "support", "admin"), user("other", "member"), token("acme", []string{"user:read"}, "member"), stranger} {
		err := a.Authorize(context.Background(), who, core.ActionCall, core.Object{Kind: "tool", Tenant: "acme", Server: "canary-server", Name: "drop_canary"})
		var e *core.Error
		if !errors.As(err, &e) || e.Code != core.CodeDenied {
			t.Fatalf("%+v: %v", who, err)
		}
		if !strings.Contains(e.Message, "tool:call") {
			t.Errorf("%q does not say what was asked", e.Message)
		}
		for _, name := range []string{"canary", "acme", "p6", "support"} {
			if strings.Contains(e.Error(), name) {
				t.Errorf("%q names %s", e.Error(), name)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	state := acme()
	state.Users = []core.User{{Tenant: "acme", ID: "u1", Provider: "corp", Roles: []string{"editor", "member"}, Groups: []string{"helpers"}}}
	state.Groups = []core.GroupRole{
		{Tenant: "acme", ID: "g0", Provider: "elsewhere", Group: "helpers", Role: "support"},
		{Tenant: "acme", ID: "g1", Provider: "*", Group: "helpers", Role: "support"},
	}
	a := using(t, state)
	github := func(name string) core.Object {
		return core.Object{Kind: "tool", Tenant: "acme", Server: "github", Name: name}
	}
	tests := []struct {
		name   string
		who    core.Identity
		do     core.Action
		on     core.Object
		reason string
		fix    string
		first  string // id of the policy that decided
	}{
		{
			"by hand", user("acme", "editor"), "write",
			core.Object{Kind: "document", Tenant: "acme", Name: "shop"},
			"allowed: role editor (given by hand) allows document:write on *", "", "builtin:editor/document:write",
		},
		{
			"by group", user("acme", "support"), "call", github("list"),
			"allowed: policy p1 allows role support (of the group helpers) tool:* on github/*", "", "p1",
		},
		{
			"by deny", user("acme", "support", "member"), "call", github("delete_x"),
			"denied: policy p2 denies role support tool:call on github/delete_*", "remove or narrow that policy", "p2",
		},
		{
			"by deny with a note", user("acme", "member"), "call", github("drop_x"),
			"denied: policy p3 (no drops) denies role member tool:call on */drop_*", "remove or narrow that policy", "p3",
		},
		{
			"by nothing", user("acme"), "call", github("list"),
			"denied: no policy allows tool:call on github/list", "give a role such as member", "",
		},
		{
			"by nothing, no object", user("acme", "member"), "read",
			core.Object{Kind: "audit", Tenant: "acme"},
			"denied: no policy allows audit:read on the audit as a whole", "give a role such as auditor", "",
		},
		{
			"by scope", token("acme", []string{"tool:list", "prompt:*"}, "member"), "call", github("list"),
			"denied: the API token is narrowed to tool:list, prompt:*", "use a token with the scope tool:call:github/list", "builtin:member/tool:call",
		},
		{
			"by no scope", token("acme", []string{}, "member"), "call", github("list"),
			"denied: the API token is narrowed to nothing", "use a token with the scope tool:call:github/list", "builtin:member/tool:call",
		},
		{
			"by open", stranger, "call",
			core.Object{Kind: "tool", Tenant: "acme", Server: "open", Name: "echo", Open: true},
			"allowed: the server lets everybody in, anonymous callers too, and no policy denies tool:call", "", "",
		},
		{
			"by tenant", user("other", "admin"), "call", github("list"),
			"denied: the caller is of another tenant, and no role held in every tenant allows tool:call", "give a role such as member in every tenant", "",
		},
		{
			"tenants", user("default", "admin"), "write",
			core.Object{Kind: "tenant", Name: "acme"},
			"denied: tenant:write takes a role that is held in every tenant", "give a role such as admin in every tenant", "builtin:admin/*:*",
		},
		{
			"everywhere", operator, "call", github("list"),
			"allowed: role admin (held in every tenant) allows *:* on *", "", "builtin:admin/*:*",
		},
		{
			"unknown kind", operator, "call",
			core.Object{Kind: "tol"},
			`denied: there is no kind "tol"`, `did you mean "tool"?`, "builtin:admin/*:*",
		},
		{
			"unknown action", operator, "cal", github("x"),
			`denied: there is no action "cal"`, `did you mean "call"?`, "builtin:admin/*:*",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := a.Explain(context.Background(), tt.who, tt.do, tt.on)
			if err != nil || got.Reason != tt.reason || got.Fix != tt.fix || got.Allowed != strings.HasPrefix(tt.reason, "allowed") {
				t.Errorf("Explain = %+v, %v", got, err)
			}
			first := ""
			if len(got.Matched) > 0 {
				first = got.Matched[0].ID
			}
			if first != tt.first {
				t.Errorf("decided by %q: %+v", first, got.Matched)
			}
		})
	}
	got, _ := a.Explain(context.Background(), user("acme", "support", "member", "ghost"), "call", github("delete_x"))
	ids := []string{}
	for _, p := range got.Matched {
		ids = append(ids, p.ID)
	}
	if want := []string{"p2", "p1", "builtin:member/tool:call"}; !slices.Equal(ids, want) {
		t.Errorf("matched %v, want %v", ids, want)
	}
	if want := []string{"member", "support"}; !slices.Equal(got.Roles, want) {
		t.Errorf("roles %v, want %v", got.Roles, want)
	}
}

// A snapshot that answers otherwise than Casbin is found, not explained away.
func TestExplainSeesDisagreement(t *testing.T) {
	a := using(t, acme())
	withoutDenies(a.current.Load())
	_, err := a.Explain(context.Background(), user("acme", "support"), "call", core.Object{Kind: "tool", Tenant: "acme", Server: "github", Name: "delete_x"})
	if core.AsError(err).Code != core.CodeInternal {
		t.Errorf("Explain = %v", err)
	}
}

// withoutDenies breaks a snapshot: its denying lines are gone.
func withoutDenies(s *snapshot) {
	for _, tables := range s.own {
		for _, t := range tables {
			for _, r := range t.rows {
				if r == nil {
					continue
				}
				for _, c := range r.cells {
					if c != nil {
						c.deny = lines{}
					}
				}
			}
		}
	}
}
