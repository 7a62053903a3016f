package authz

import (
	"slices"

	"github.com/sallyport/sallyport/core"
)

// BuiltIn is a role that every tenant has and nobody can change. Own policies of a tenant
// may add to it and deny from it.
type BuiltIn struct {
	Name        string
	Summary     string   // a sentence for the docs and the admin plane
	Permissions []string // as ParsePermission reads them
}

// Anonymous is the role of callers whom nobody knows.
const Anonymous = "anonymous"

// builtIns is the table of roles, the least powerful first. Changing a line changes what
// people may at every installation: say so in the changelog.
var builtIns = []BuiltIn{
	{
		Anonymous,
		"Callers whom nobody knows. It may nothing by itself: a server lets them in, and policies may deny them.",
		nil,
	},
	{
		"member",
		"Uses the servers of the tenant: lists, calls and reads their tools, prompts and resources. Its own profile, tokens and connected accounts need no permission.",
		served,
	},
	{
		"viewer",
		"Sees how the tenant is set up and how it fares: servers, documents, plugins, limits, sessions, calls and health. Calls nothing, and sees no secrets, people or audit trail.",
		viewing,
	},
	{
		"editor",
		"A viewer who writes drafts of documents and tests them.",
		editing,
	},
	{
		"publisher",
		"An editor who makes drafts what is served, and rolls back.",
		publishing,
	},
	{
		"auditor",
		"Reads, verifies and exports the audit trail, and reads who may what and what was called. Changes nothing.",
		[]string{
			"audit:read", "audit:verify", "audit:export",
			"call:read", "call:export", "usage:read", "usage:export",
			"user:read", "role:read", "policy:read", "token:read",
		},
	},
	{
		"admin",
		"Everything in the tenant. Making and disabling tenants takes it in every tenant.",
		[]string{"*:*"},
	},
}

// served is what members may, and what a server whose document lets anonymous callers in
// allows to everybody (core.Object.Open).
var served = []string{
	"server:list", "server:call", "server:read",
	"tool:list", "tool:call", "tool:read",
	"prompt:list", "prompt:call", "prompt:read",
	"resource:list", "resource:call", "resource:read",
}

var (
	viewing = []string{
		"server:read", "tool:read", "prompt:read", // and no list: MCP lists show what the caller may use
		"document:read", "plugin:read", "pin:read", "connector:read", "provider:read", "limit:read", "setting:read",
		"session:read", "call:read", "usage:read", "health:read",
	}
	editing    = slices.Concat(viewing, []string{"document:write", "document:test", "document:export"})
	publishing = slices.Concat(editing, []string{"document:publish"})
)

// BuiltIns returns the built-in roles, the least powerful first.
func BuiltIns() []BuiltIn {
	out := slices.Clone(builtIns)
	for i := range out {
		out[i].Permissions = slices.Clone(out[i].Permissions)
	}
	return out
}

// builtIn tells whether a role is a built-in one.
func builtIn(name string) bool {
	return slices.ContainsFunc(builtIns, func(r BuiltIn) bool { return r.Name == name })
}

// lines returns what a built-in role may as policies of every tenant.
func (r *BuiltIn) lines() []core.Policy {
	out := make([]core.Policy, 0, len(r.Permissions))
	for _, text := range r.Permissions {
		p, err := ParsePermission(text)
		if err != nil {
			panic("built-in role " + r.Name + ": " + err.Error()) // the table above is wrong; a test reads all of it
		}
		out = append(out, core.Policy{
			Tenant: core.EveryTenant,
			ID:     "builtin:" + r.Name + "/" + text,
			Role:   r.Name,
			Kind:   p.Kind,
			Match:  Any,
			Action: p.Action,
			Note:   "built in",
		})
	}
	return out
}
