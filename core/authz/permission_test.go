package authz

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

func TestParsePermission(t *testing.T) {
	good := map[string]Permission{
		"tool:call":                {"tool", "call", ""},
		"tool:call:*":              {"tool", "call", ""},
		"tool:call:github/*":       {"tool", "call", "github/*"},
		"*:*":                      {"*", "*", ""},
		"*:read":                   {"*", "read", ""},
		"resource:read:db:/x?a=b:": {"resource", "read", "db:/x?a=b:"},
	}
	for text, want := range good {
		got, err := ParsePermission(text)
		if err != nil || got != want {
			t.Errorf("ParsePermission(%q) = %+v, %v", text, got, err)
		}
	}
	bad := []struct{ text, says string }{
		{"", "one part"},
		{"tool", "write kind:action"},
		{"tol:call", `did you mean "tool"?`},
		{"documents:read", `did you mean "document"?`},
		{"tool:cal", `did you mean "call"?`},
		{"zebra:call", "use one of server, tool"},
		{"tool:", "the action is missing"},
		{":call", "the kind is missing"},
		{"tool:call:", "ends with a colon"},
		{"tool:call:a\x00b", "control characters"},
		{"tool:call:\xff", "not UTF-8"},
		{"tool:call:" + strings.Repeat("a", maxMatch+1), "more than 512"},
		{"Tool:call", `did you mean "tool"?`},
		{"tool :call", `did you mean "tool"?`},
	}
	for _, tt := range bad {
		got, err := ParsePermission(tt.text)
		if e := core.AsError(err); err == nil || e.Code != core.CodeInvalid || !strings.Contains(e.Error(), tt.says) || e.Fix == "" {
			t.Errorf("ParsePermission(%.40q) = %+v, %v, want %q", tt.text, got, err, tt.says)
		}
	}
}

func FuzzParsePermission(f *testing.F) {
	for _, text := range []string{"tool:call", "tool:call:github/*", "*:*", "a:b:c:d", ":", "tool:call:*"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePermission(text)
		if err != nil {
			if e := core.AsError(err); e.Code != core.CodeInvalid || len(e.Message) > 600 {
				t.Errorf("ParsePermission(%q): %v", text, err)
			}
			return
		}
		again, err := ParsePermission(p.String())
		if err != nil || again != p {
			t.Errorf("%q is printed %q, which is %+v, %v", text, p.String(), again, err)
		}
	})
}

func TestBuiltIns(t *testing.T) {
	a := using(t, &core.State{})
	may := func(role, do string) bool {
		kind, action, _ := strings.Cut(do, ":")
		return asked{user("acme", role), core.Action(action), core.Object{Kind: kind, Tenant: "acme", Name: "x"}}.allowed(a)
	}
	tests := []struct {
		role     string
		yes, not string // permissions, with blanks between
	}{
		{"anonymous", "", "server:list tool:list tool:call resource:read health:read document:read"},
		{"member", "server:list tool:list tool:call prompt:list prompt:call resource:list resource:read", "document:read audit:read token:read user:read credential:read call:read"},
		{"viewer", "document:read plugin:read session:read call:read usage:read health:read tool:read", "tool:list tool:call prompt:call resource:read audit:read credential:read kv:read user:read token:read document:write key:read setting:write"},
		{"editor", "document:read document:write document:test call:read", "document:publish tool:call credential:write policy:write audit:read plugin:approve"},
		{"publisher", "document:read document:write document:test document:publish", "credential:write policy:write user:read pin:approve"},
		{"auditor", "audit:read audit:verify audit:export call:read call:export usage:read user:read role:read policy:read token:read", "user:write token:revoke credential:read document:write tool:call"},
		{"admin", "user:write policy:write credential:write tool:call audit:export key:write pin:approve token:revoke", "tenant:read tenant:write"},
	}
	if len(tests) != len(BuiltIns()) {
		t.Errorf("%d built-in roles, %d tested", len(BuiltIns()), len(tests))
	}
	for _, tt := range tests {
		for _, do := range strings.Fields(tt.yes) {
			if !may(tt.role, do) {
				t.Errorf("%s lacks %s", tt.role, do)
			}
		}
		for _, do := range strings.Fields(tt.not) {
			if may(tt.role, do) {
				t.Errorf("%s has %s", tt.role, do)
			}
		}
	}
	for _, r := range BuiltIns() {
		if r.Summary == "" || !slug(r.Name) {
			t.Errorf("%+v", r)
		}
		for _, text := range r.Permissions {
			if p, err := ParsePermission(text); err != nil || p.String() != text {
				t.Errorf("role %s: %q is %+v, %v", r.Name, text, p, err)
			}
		}
	}
	BuiltIns()[1].Permissions[0] = "*:*"
	if may("member", "user:write") || builtIns[1].Permissions[0] == "*:*" {
		t.Error("what BuiltIns returns is not a copy")
	}
}
