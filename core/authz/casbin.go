package authz

import (
	"slices"
	"strings"
	"sync"

	casbinlib "github.com/casbin/casbin/v2"
	casbinmodel "github.com/casbin/casbin/v2/model"

	"github.com/sallyport/sallyport/core"
)

// rules is the policy model: roles with domains, which are tenants; nothing is allowed
// unless a line says so; a line that denies wins.
const rules = `
[request_definition]
r = sub, dom, kind, path, act

[policy_definition]
p = sub, dom, kind, match, act, eft, id

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = (p.dom == "*" || p.dom == r.dom) && g(r.sub, p.sub, r.dom) && covers(r.kind, r.path, r.act, p.kind, p.match, p.act) && (r.kind != "tenant" || p.eft == "deny" || wide(p.sub))
`

// Subjects of lines beside the roles. No role has a slash or a question mark in its name.
const (
	asker    = "?"           // who is asked about
	wideRole = "everywhere/" // before a role that is held in every tenant
	openRole = "open/"       // everybody, where a server lets anonymous callers in
)

// casbin holds the policy as written and explains it. Calls and lists do not wait for it:
// it weighs every line, which takes a millisecond for a thousand.
type casbin struct {
	mu       sync.Mutex // over the roles of the asker
	enforcer *casbinlib.Enforcer
	policies map[string]*core.Policy // by id in a line
}

func newCasbin(s *snapshot) (*casbin, error) {
	m, err := casbinmodel.NewModelFromString(rules)
	if err != nil {
		return nil, err
	}
	enforcer, err := casbinlib.NewEnforcer(m, false)
	if err != nil {
		return nil, err
	}
	enforcer.AddFunction("covers", covers)
	enforcer.AddFunction("wide", func(args ...any) (any, error) {
		return strings.HasPrefix(args[0].(string), wideRole), nil
	})
	enforcer.AddNamedDomainMatchingFunc("g", "every", func(asked, held string) bool {
		return held == core.EveryTenant || asked == held
	})
	c := &casbin{enforcer: enforcer, policies: map[string]*core.Policy{}}
	if _, err := enforcer.AddPolicies(c.lines(s)); err != nil {
		return nil, err
	}
	return c, nil
}

// lines writes every policy as Casbin has it. A role held everywhere is one of the default
// tenant, so lines of that tenant stand for it a second time.
func (c *casbin) lines(s *snapshot) [][]string {
	var out [][]string
	add := func(role, domain string, p *core.Policy) {
		effect := "allow"
		if p.Deny {
			effect = "deny"
		}
		id := p.Tenant + "/" + p.ID
		c.policies[id] = p
		out = append(out, []string{role, domain, p.Kind, p.Match, p.Action, effect, id})
	}
	for i := range builtIns {
		for _, p := range builtIns[i].lines() {
			add(p.Role, core.EveryTenant, &p)
			add(wideRole+p.Role, core.EveryTenant, &p)
		}
	}
	for i := range openly.policy {
		p := openly.policy[i]
		p.ID = openRole + p.Kind + ":" + p.Action
		add(openRole, core.EveryTenant, &p)
	}
	for i := range s.state.Policies {
		p := &s.state.Policies[i]
		_, kind := kindPlaces[p.Kind]
		_, action := actionPlaces[core.Action(p.Action)]
		if !kind || !action || s.role(p.Tenant, p.Role) == nil {
			continue // the log told already
		}
		add(p.Role, p.Tenant, p)
		if p.Tenant == core.DefaultTenant {
			add(wideRole+p.Role, core.EveryTenant, p)
		}
	}
	return out
}

// enforce asks Casbin whether a caller with these roles may, and which line said so: nil =
// none did.
func (c *casbin) enforce(tenant string, everywhere, home []string, do core.Action, on *core.Object) (bool, *core.Policy, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hats [][]string
	for _, role := range everywhere {
		hats = append(hats, []string{asker, wideRole + role, core.EveryTenant})
	}
	for _, role := range home {
		hats = append(hats, []string{asker, role, tenant})
	}
	if on.Open && on.In() == tenant && tenant != core.EveryTenant {
		hats = append(hats, []string{asker, openRole, tenant})
	}
	hats = slices.CompactFunc(sorted(hats), slices.Equal[[]string])
	if len(hats) > 0 {
		if _, err := c.enforcer.AddGroupingPolicies(hats); err != nil {
			return false, nil, err
		}
	}
	ok, line, err := c.enforcer.EnforceEx(asker, on.In(), on.Kind, on.Path(), string(do))
	if len(hats) > 0 {
		if _, wrong := c.enforcer.RemoveGroupingPolicies(hats); wrong != nil && err == nil {
			err = wrong
		}
	}
	if err != nil || len(line) == 0 {
		return false, nil, err
	}
	return ok, c.policies[line[len(line)-1]], nil
}

func sorted(hats [][]string) [][]string {
	slices.SortFunc(hats, slices.Compare[[]string])
	return hats
}

// covers is what a line is held against: kind, path and action asked for, then those of
// the line.
func covers(args ...any) (any, error) {
	text := func(i int) string { return args[i].(string) }
	p := Permission{Kind: text(3), Match: text(4), Action: text(5)}
	return p.covers(text(0), core.Action(text(2)), []byte(text(1))), nil
}
