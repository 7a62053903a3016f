package authz

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// Explain says why somebody may do something, or may not. Casbin answers; an answer that
// is not the one calls get is CodeInternal.
func (a *Authz) Explain(_ context.Context, who core.Identity, do core.Action, on core.Object) (core.Explanation, error) {
	s := a.current.Load()
	if s == nil {
		return core.Explanation{}, unready()
	}
	everywhere, home := s.held(&who)
	atHome := who.In() == on.In() && who.In() != core.EveryTenant
	x := &explaining{snapshot: s, who: &who, do: do, on: &on, everywhere: everywhere, home: home, atHome: atHome}
	if !atHome {
		x.home = nil
	}
	ok, line, err := s.casbin.enforce(who.In(), everywhere, x.home, do, &on)
	if err != nil {
		return core.Explanation{}, &core.Error{Code: core.CodeInternal, Message: "the policy cannot be explained", Err: err}
	}
	if !slices.Contains(core.ObjectKinds, on.Kind) || !slices.Contains(core.Actions, do) {
		ok, line = false, nil // whatever * says: nothing of the kind is ever allowed
	}
	out := x.reason(ok, line)
	if got := s.ask(&who, do, &on); (got == allowed) != out.Allowed {
		a.log.Error("the compiled policy and Casbin disagree", "kind", on.Kind, "action", string(do), "tenant", on.In())
		return core.Explanation{}, &core.Error{Code: core.CodeInternal, Message: "the policy is answered in two ways; this is a mistake of ours", Fix: "report it with the roles and policies that it is about"}
	}
	return out, nil
}

// explaining is one question on its way to an answer.
type explaining struct {
	snapshot         *snapshot
	who              *core.Identity
	do               core.Action
	on               *core.Object
	everywhere, home []string // roles that count there
	atHome           bool
}

// reason puts the answer of Casbin, and what it does not know (scopes), into words.
func (x *explaining) reason(ok bool, line *core.Policy) core.Explanation {
	asked := x.on.Kind + ":" + string(x.do)
	out := core.Explanation{
		Allowed: ok,
		Roles:   sortedSet(slices.Concat(x.everywhere, x.home)),
		Matched: x.matched(line),
	}
	switch {
	case ok && !x.scoped():
		out.Allowed = false
		out.Reason = "denied: the API token is narrowed to " + orNothing(x.who.Scopes)
		out.Fix = "use a token with the scope " + Permission{x.on.Kind, string(x.do), x.on.Path()}.String()
	case ok && strings.HasPrefix(line.ID, openRole):
		out.Reason = fmt.Sprintf("allowed: the server lets everybody in, anonymous callers too, and no policy denies %s", asked)
	case ok && line.Tenant == core.EveryTenant:
		out.Reason = fmt.Sprintf("allowed: role %s (%s) allows %s:%s on %s", line.Role, x.origin(line.Role), line.Kind, line.Action, line.Match)
	case ok:
		out.Reason = fmt.Sprintf("allowed: policy %s allows role %s (%s) %s:%s on %s", named(line), line.Role, x.origin(line.Role), line.Kind, line.Action, line.Match)
	case line != nil:
		out.Reason = fmt.Sprintf("denied: policy %s denies role %s %s:%s on %s", named(line), line.Role, line.Kind, line.Action, line.Match)
		out.Fix = "remove or narrow that policy"
	case !slices.Contains(core.ObjectKinds, x.on.Kind):
		out.Reason = "denied: " + unknown("kind", x.on.Kind)
		out.Fix = suggest(x.on.Kind, core.ObjectKinds)
	case !slices.Contains(core.Actions, x.do):
		out.Reason = "denied: " + unknown("action", string(x.do))
		out.Fix = suggest(string(x.do), actionNames)
	case x.on.Kind == "tenant":
		out.Reason = fmt.Sprintf("denied: %s takes a role that is held in every tenant", asked)
		out.Fix = x.advice("in every tenant")
	case !x.atHome:
		out.Reason = fmt.Sprintf("denied: the caller is of another tenant, and no role held in every tenant allows %s", asked)
		out.Fix = x.advice("in every tenant")
	default:
		out.Reason = fmt.Sprintf("denied: no policy allows %s on %s", asked, pathOr(x.on))
		out.Fix = x.advice("")
	}
	return out
}

// matched returns the policies that speak of it: the one that decided, then those that
// deny, then the others, as they stand in the state.
func (x *explaining) matched(first *core.Policy) []core.Policy {
	out := []core.Policy{}
	add := func(p core.Policy) {
		same := func(q core.Policy) bool { return q.ID == p.ID && q.Tenant == p.Tenant }
		if !slices.ContainsFunc(out, same) {
			out = append(out, p)
		}
	}
	if first != nil && !strings.HasPrefix(first.ID, openRole) {
		add(*first)
	}
	path := []byte(x.on.Path())
	for _, deny := range []bool{true, false} {
		each := func(tenant string, roles []string) {
			for _, role := range roles {
				for _, p := range x.snapshot.role(tenant, role).policy {
					if p.Deny == deny && (Permission{p.Kind, p.Action, p.Match}).covers(x.on.Kind, x.do, path) {
						add(p)
					}
				}
			}
		}
		each(core.DefaultTenant, x.everywhere)
		each(x.who.In(), x.home)
	}
	return out
}

// scoped tells whether the scopes of the token reach.
func (x *explaining) scoped() bool {
	scopes := scopesOf(x.who)
	if scopes == nil {
		return true
	}
	path := []byte(x.on.Path())
	return slices.ContainsFunc(scopes, func(text string) bool {
		p, err := ParsePermission(text)
		return err == nil && p.covers(x.on.Kind, x.do, path)
	})
}

// origin says how the caller came to a role.
func (x *explaining) origin(role string) string {
	if slices.Contains(x.everywhere, role) {
		return "held in every tenant"
	}
	if role == Anonymous && nobody(x.who) {
		return "of every anonymous caller"
	}
	state := x.snapshot.state
	at := slices.IndexFunc(state.Users, func(u core.User) bool { return u.ID == x.who.Subject && u.Tenant == x.who.In() })
	if at < 0 {
		return "given when it proved who it is"
	}
	user := &state.Users[at]
	if slices.Contains(user.Roles, role) {
		return "given by hand"
	}
	for _, g := range state.Groups {
		if g.Tenant == user.Tenant && g.Role == role && slices.Contains(user.Groups, g.Group) && (g.Provider == Any || g.Provider == user.Provider) {
			return "of the group " + g.Group
		}
	}
	return "given when it proved who it is"
}

// advice names the least powerful built-in role that would allow it.
func (x *explaining) advice(where string) string {
	kind, action := kindPlaces[x.on.Kind], actionPlaces[x.do]
	for i := range builtIns {
		if ok, _ := x.snapshot.builtin[builtIns[i].Name].ask(kind, action, []byte(x.on.Path())); ok {
			return strings.TrimSpace(fmt.Sprintf("give a role such as %s %s", builtIns[i].Name, where))
		}
	}
	return "add a policy that allows it" // not reached: admin may everything
}

// named is how people know a policy.
func named(p *core.Policy) string {
	if p.Note == "" {
		return p.ID
	}
	return fmt.Sprintf("%s (%s)", p.ID, p.Note)
}

func pathOr(on *core.Object) string {
	if path := on.Path(); path != "" {
		return shorten(path)
	}
	return "the " + on.Kind + " as a whole"
}

func orNothing(scopes []string) string {
	if len(scopes) == 0 {
		return "nothing"
	}
	return strings.Join(scopes, ", ")
}

func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
