package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// granted is what the built-in roles may on the admin plane, written down once more: the
// table of core/authz and this one must change together.
var granted = map[string][]string{
	"viewer": {
		"document:read", "plugin:read", "pin:read", "connector:read", "provider:read", "limit:read", "setting:read",
		"session:read", "call:read", "usage:read", "health:read",
	},
	"auditor": {
		"audit:read", "audit:verify", "audit:export", "call:read", "call:export", "usage:read", "usage:export",
		"user:read", "role:read", "policy:read", "token:read",
	},
	"member": nil,
	"nobody": nil,
}

// expected tells whether a role lets somebody use a route, in the own tenant or in another.
func expected(r *apiRoute, role string, other bool) bool {
	switch {
	case r.Public != "":
		return true
	case role == "anonymous":
		return false
	case r.Self != "":
		return true
	case role == "operator", role == "super":
		return true
	case r.Whole, other, r.On == "tenant":
		return false
	case role == "admin":
		return true
	}
	permission := r.permission()
	switch role {
	case "editor":
		return slices.Contains(granted["viewer"], permission) || slices.Contains([]string{"document:write", "document:test", "document:export"}, permission)
	case "publisher":
		return expected(r, "editor", false) || permission == "document:publish"
	}
	return slices.Contains(granted[role], permission)
}

// matrix asks every route as every role, in both tenants, and returns what was not as the
// table says.
func matrix(t *testing.T, r *apiRig) (faults []string, asked int) {
	t.Helper()
	ran := ""
	r.strict = false // the handlers are others
	for _, route := range r.api.routes.routes {
		route.Handle = func(c *apiCall) error {
			ran = c.tenant
			c.status = 204
			return nil
		}
		// What is asked for behind the permission is no part of this.
		route.Parts, route.Body, route.Match, route.Proof, route.Needs, route.Stored, route.Feed = nil, nil, false, false, nil, false, false
	}
	roles := slices.Concat([]string{"anonymous", "operator", "super", "nobody"}, builtInRoles)
	for _, route := range r.api.routes.routes {
		path := apiRoot + route.Pattern
		for _, name := range route.names {
			path = strings.Replace(path, "{"+name+"}", "x1", 1)
		}
		for _, role := range roles {
			for _, other := range []bool{false, true} {
				target := path
				if other {
					if !route.tenanted() {
						continue
					}
					target += "?tenant=acme"
				}
				ran = ""
				got := r.ask(role, route.Method, target, "")
				asked++
				want := expected(route, role, other)
				line := fmt.Sprintf("%s %s as %s", route.Method, target, role)
				switch {
				case want != (ran != "" || got.status == 204):
					faults = append(faults, fmt.Sprintf("%s: %d, allowed should be %v", line, got.status, want))
				case want && other && ran != "acme":
					faults = append(faults, line+": ran in tenant "+ran)
				case want && route.Whole && ran != core.EveryTenant:
					faults = append(faults, line+": ran in tenant "+ran)
				case !want && role == "anonymous" && got.status != 401:
					faults = append(faults, fmt.Sprintf("%s: %d, want 401", line, got.status))
				case !want && role != "anonymous" && other && got.status != 404:
					faults = append(faults, fmt.Sprintf("%s: %d, want 404: another tenant looks like one that is not there", line, got.status))
				case !want && role != "anonymous" && !other && got.status != 403:
					faults = append(faults, fmt.Sprintf("%s: %d, want 403", line, got.status))
				}
			}
		}
	}
	return faults, asked
}

// Every route × every role × own and other tenant: allowed exactly where the table says.
func TestAPIMatrix(t *testing.T) {
	t.Parallel()
	faults, asked := matrix(t, startAPI(t, nil))
	for _, f := range faults {
		t.Error(f)
	}
	t.Logf("%d requests", asked)
}

// The matrix must see a dispatcher that lets everybody through, and one that takes any
// tenant.
func TestAPIMatrixBites(t *testing.T) {
	t.Parallel()
	t.Run("no permission is asked for", func(t *testing.T) {
		t.Parallel()
		r := startAPI(t, nil)
		r.api.lax.permission = true
		if faults, _ := matrix(t, r); len(faults) < 100 {
			t.Errorf("%d faults", len(faults))
		}
	})
	t.Run("another tenant is taken from whoever asks", func(t *testing.T) {
		t.Parallel()
		r := startAPI(t, nil)
		r.api.lax.tenant = true
		if faults, _ := matrix(t, r); len(faults) < 100 {
			t.Errorf("%d faults", len(faults))
		}
	})
}

// A route says which permission it needs, or why none; otherwise the API does not even
// start.
func TestRouteWithoutPermission(t *testing.T) {
	t.Parallel()
	nothing := func(*apiCall) error { return nil }
	for _, test := range []struct {
		name  string
		route apiRoute
		ok    bool
	}{
		{"whole", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", On: "user", Do: core.ActionRead, Handle: nothing}, true},
		{"none", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", Handle: nothing}, false},
		{"two", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", On: "user", Do: core.ActionRead, Public: "why", Handle: nothing}, false},
		{"unknown kind", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", On: "users", Do: core.ActionRead, Handle: nothing}, false},
		{"unknown action", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", On: "user", Do: "peek", Handle: nothing}, false},
		{"an action on nothing", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", Self: "why", Do: core.ActionRead, Handle: nothing}, false},
		{"a name that the path lacks", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", On: "user", Do: core.ActionRead, Name: "id", Handle: nothing}, false},
		{"no handler", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", On: "user", Do: core.ActionRead}, false},
		{"no summary", apiRoute{Method: "GET", Pattern: "/x", On: "user", Do: core.ActionRead, Handle: nothing}, false},
		{"unknown method", apiRoute{Method: "FETCH", Pattern: "/x", Summary: "X", On: "user", Do: core.ActionRead, Handle: nothing}, false},
		{"a body of GET", apiRoute{Method: "GET", Pattern: "/x", Summary: "X", On: "user", Do: core.ActionRead, Body: roleForm{}, Handle: nothing}, false},
		{"a route twice", apiRoute{Method: "GET", Pattern: "/users", Summary: "X", On: "user", Do: core.ActionRead, Handle: nothing}, false},
	} {
		_, err := NewAPI(APIOptions{more: []apiRoute{test.route}})
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
