package authz

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/core"
)

// Few names, so that roles, policies and objects often meet.
var (
	someTenants = rapid.SampledFrom([]string{"acme", "other", "default", ""})
	someRoles   = rapid.SampledFrom([]string{"member", "viewer", "admin", "anonymous", "own", "ops", "ghost", "everywhere/admin", "open/", "?"})
	someKinds   = rapid.SampledFrom([]string{"tool", "prompt", "server", "document", "audit", "tenant", "tool", "nokind"})
	someActions = rapid.SampledFrom([]string{"call", "list", "read", "write", "call", "noaction"})
	someMatches = rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "star") {
			return "*"
		}
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"*", "a", "b", "/", "ab", "*"}), 1, 5).Draw(t, "parts"), "")
	})
	someNames    = rapid.SampledFrom([]string{"", "a", "b", "ab", "a/b", "bab", strings.Repeat("ab", 60)})
	somePolicies = rapid.Custom(func(t *rapid.T) core.Policy {
		return core.Policy{
			Tenant: rapid.SampledFrom([]string{"acme", "other", "default"}).Draw(t, "tenant"),
			Role:   someRoles.Draw(t, "role"),
			Kind:   rapid.OneOf(someKinds, rapid.Just("*")).Draw(t, "kind"),
			Action: rapid.OneOf(someActions, rapid.Just("*")).Draw(t, "action"),
			Match:  someMatches.Draw(t, "match"),
			Deny:   rapid.Bool().Draw(t, "deny"),
		}
	})
	someStates = rapid.Custom(func(t *rapid.T) *core.State {
		s := &core.State{
			Roles:    []core.Role{{Tenant: "acme", Name: "own"}, {Tenant: "other", Name: "own"}, {Tenant: "default", Name: "ops"}, {Tenant: "acme", Name: "ops"}},
			Policies: rapid.SliceOfN(somePolicies, 0, 25).Draw(t, "policies"),
		}
		for i := range s.Policies {
			s.Policies[i].ID = fmt.Sprintf("p%d", i)
		}
		return s
	})
	someCallers = rapid.Custom(func(t *rapid.T) core.Identity {
		who := core.Identity{
			Tenant: someTenants.Draw(t, "tenant"),
			Roles:  rapid.SliceOfN(someRoles, 0, 3).Draw(t, "roles"),
		}
		if rapid.IntRange(0, 4).Draw(t, "known") == 0 {
			return who
		}
		who.Subject = "u1"
		who.Everywhere = rapid.SliceOfN(someRoles, 0, 1).Draw(t, "everywhere")
		who.Via = rapid.SampledFrom([]core.Via{core.ViaLogin, core.ViaToken, core.ViaOAuth}).Draw(t, "via")
		if who.Via != core.ViaLogin && rapid.Bool().Draw(t, "narrowed") {
			who.Scopes = []string{}
			for range rapid.IntRange(0, 2).Draw(t, "scopes") {
				who.Scopes = append(who.Scopes, Permission{
					rapid.OneOf(someKinds, rapid.Just("*")).Draw(t, "kind"),
					rapid.OneOf(someActions, rapid.Just("*")).Draw(t, "action"),
					someMatches.Draw(t, "match"),
				}.String())
			}
		}
		return who
	})
	someObjects = rapid.Custom(func(t *rapid.T) core.Object {
		return core.Object{
			Kind:   someKinds.Draw(t, "kind"),
			Tenant: rapid.OneOf(someTenants, rapid.Just("*")).Draw(t, "tenant"),
			Server: someNames.Draw(t, "server"),
			Name:   someNames.Draw(t, "name"),
			Open:   rapid.IntRange(0, 3).Draw(t, "open") == 0,
		}
	})
	someAsked = rapid.Custom(func(t *rapid.T) asked {
		return asked{someCallers.Draw(t, "who"), core.Action(someActions.Draw(t, "do")), someObjects.Draw(t, "on")}
	})
)

type asked struct {
	who core.Identity
	do  core.Action
	on  core.Object
}

func (q asked) allowed(a *Authz) bool {
	return a.Authorize(context.Background(), q.who, q.do, q.on) == nil
}

// agree tells whether the snapshot answers as Casbin does: Explain compares.
func agree(a *Authz, q asked) error {
	got, err := a.Explain(context.Background(), q.who, q.do, q.on)
	if err == nil && got.Allowed != q.allowed(a) {
		return fmt.Errorf("Authorize says %v, Explain %+v", q.allowed(a), got)
	}
	return err
}

func TestSnapshotAgreesWithCasbin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := using(t, someStates.Draw(t, "state"))
		for range 30 {
			q := someAsked.Draw(t, "asked")
			if err := agree(a, q); err != nil {
				t.Fatalf("%+v: %v", q, err)
			}
		}
	})
}

// The property must see a snapshot whose denying lines do not win, and one that forgets
// whose tenant an object is.
func TestSnapshotAgreesWithCasbinBites(t *testing.T) {
	faults := map[string]func(*snapshot){
		"denies do not win": withoutDenies,
		"lines of a tenant hold in another": func(s *snapshot) {
			s.own["acme"], s.own["other"] = s.own["other"], s.own["acme"]
		},
		"a built-in role allows less": func(s *snapshot) { s.builtin["viewer"] = newTable() },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for i := range 2000 {
				a := using(t, someStates.Example(i))
				fault(a.current.Load())
				for j := range 10 {
					if agree(a, someAsked.Example(i*10+j)) != nil {
						return
					}
				}
			}
			t.Error("no example shows the fault")
		})
	}
}

// The order of policies and of roles does not matter.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := someStates.Draw(t, "state")
		turned := *state
		seed := rapid.Uint64().Draw(t, "seed")
		turned.Policies = slices.Clone(state.Policies)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(turned.Policies), func(i, j int) {
			turned.Policies[i], turned.Policies[j] = turned.Policies[j], turned.Policies[i]
		})
		a, b := using(t, state), using(t, &turned)
		for range 20 {
			q := someAsked.Draw(t, "asked")
			r := q
			r.who.Roles = slices.Clone(q.who.Roles)
			slices.Reverse(r.who.Roles)
			if q.allowed(a) != r.allowed(b) {
				t.Fatalf("%+v: %v, and in another order %v", q, q.allowed(a), r.allowed(b))
			}
		}
	})
}

// One more denying line allows nothing that was not allowed, and one more allowing line
// denies nothing.
func TestLinesAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := someStates.Draw(t, "state")
		more := *state
		line := somePolicies.Draw(t, "line")
		line.ID = "more"
		more.Policies = append(slices.Clone(state.Policies), line)
		a, b := using(t, state), using(t, &more)
		for range 20 {
			q := someAsked.Draw(t, "asked")
			before, after := q.allowed(a), q.allowed(b)
			if line.Deny && after && !before {
				t.Fatalf("%+v: denying %+v allowed it", q, line)
			}
			if !line.Deny && before && !after {
				t.Fatalf("%+v: allowing %+v denied it", q, line)
			}
		}
	})
}

// Whatever the policies: nobody without a role everywhere reaches another tenant, and
// policies of a tenant change nothing for another.
func TestTenantsAreApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := someStates.Draw(t, "state")
		a := using(t, state)
		without := *state
		without.Policies = slices.DeleteFunc(slices.Clone(state.Policies), func(p core.Policy) bool { return p.Tenant == "other" })
		b := using(t, &without)
		for range 20 {
			q := someAsked.Draw(t, "asked")
			if len(q.who.Everywhere) == 0 && q.who.In() != q.on.In() && q.allowed(a) {
				t.Fatalf("%+v reaches another tenant", q)
			}
			if q.who.In() != "other" && q.allowed(a) != q.allowed(b) {
				t.Fatalf("%+v: the policies of another tenant change the answer", q)
			}
		}
	})
}

// A token never allows more than its user may.
func TestScopesNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := using(t, someStates.Draw(t, "state"))
		for range 20 {
			q := someAsked.Draw(t, "asked")
			wide := q
			wide.who.Scopes = nil
			if q.allowed(a) && !wide.allowed(a) {
				t.Fatalf("%+v is allowed to the token and not to its user", q)
			}
		}
	})
}

// Where every policy that denies is about all actions, what lists show may be called, and
// what may not be called is not shown, for roles that hold both.
func TestListThenCall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := someStates.Draw(t, "state")
		for i := range state.Policies {
			state.Policies[i].Action = "*"
		}
		a := using(t, state)
		for range 20 {
			q := someAsked.Draw(t, "asked")
			q.who.Scopes, q.on.Kind = nil, "tool"
			q.who.Roles = slices.DeleteFunc(slices.Clone(q.who.Roles), func(r string) bool { return r == "viewer" })           // it sees and does not call
			q.who.Everywhere = slices.DeleteFunc(slices.Clone(q.who.Everywhere), func(r string) bool { return r == "viewer" }) // likewise
			list, call := q, q
			list.do, call.do = core.ActionList, core.ActionCall
			if list.allowed(a) != call.allowed(a) {
				t.Fatalf("%+v: list %v, call %v", q, list.allowed(a), call.allowed(a))
			}
		}
	})
}

// Callers that differ in anything that counts are never taken for each other, however
// often they were asked about.
func TestViewsAreTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := someStates.Draw(t, "state")
		a := using(t, state)
		qs := rapid.SliceOfN(someAsked, 2, 12).Draw(t, "asked")
		for range 2 {
			for _, q := range qs {
				if fresh := using(t, state); q.allowed(a) != q.allowed(fresh) {
					t.Fatalf("%+v: kept %v, fresh %v", q, q.allowed(a), q.allowed(fresh))
				}
			}
		}
	})
}
