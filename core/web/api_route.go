package web

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/core"
)

// apiRoutes is every route of the admin plane: one line a noun.
func apiRoutes() []apiRoute {
	return slices.Concat(
		setupRoutes(),
		loginRoutes(),
		meRoutes(),
		healthRoutes(),
		reloadRoutes(),
		tenantRoutes(),
		userRoutes(),
		roleRoutes(),
		policyRoutes(),
		groupRoutes(),
		explainRoutes(),
		tokenRoutes(),
		providerRoutes(),
		credentialRoutes(),
		connectorRoutes(),
		connectRoutes(),
		limitRoutes(),
		usageRoutes(),
		settingRoutes(),
		sessionRoutes(),
		peopleRoutes(),
		recordRoutes(),
		auditRoutes(),
		documentRoutes(),
		servedRoutes(),
		pluginRoutes(),
		moduleRoutes(),
		pinRoutes(),
		upstreamRoutes(),
		kvRoutes(),
		keyRoutes(),
	)
}

// apiRoute is one route: what it needs, takes and answers. openapi.yaml is written from it.
type apiRoute struct {
	Method  string
	Pattern string // below apiRoot: /users/{id}; a parameter is one plain segment
	Summary string
	Noun    string // its group in the description; "" = the first segment

	// Who may use it. Exactly one of On, Self and Public is set.
	On   string      // kind of the object, one of core.ObjectKinds …
	Do   core.Action // … and what is done to it
	Name string      // parameter that names the object; "" = the kind as a whole
	// Object takes apart what that parameter holds; nil = it is the name. False is a name of
	// nothing.
	Object func(value string) (server, name string, ok bool)
	Self   string // why it needs no permission: whoever is known may
	Public string // why nobody need be known

	// Whole says that it is about the installation and not about one tenant: only roles
	// that hold everywhere count.
	Whole bool
	// Proof says that it is dangerous: a password or provider must have been asked lately.
	Proof bool
	// Early lets those use it who have to change their password first.
	Early bool
	// Stored says that it needs the store, so that it is refused at once while that is away.
	Stored bool
	Needs  func(*APIOptions) bool // nil = nothing else

	Query   []apiParam
	Paged   bool      // limit and after
	Body    any       // a zero value of what the body is decoded into; nil = there is no body
	Parts   []apiPart // the body is a form of these, in place of Body
	Limit   int       // bytes of the body; 0 = 64 KiB. Who may use the route may send that much, whatever the edge takes of others
	Match   bool      // If-Match is needed
	Status  int       // of success; 0 = 200
	Answer  any       // a zero value of what it answers; nil = nothing
	Type    string
	Feed    bool // answers SSE
	Slow    bool // may take minutes
	Also    []int
	Handle  func(*apiCall) error
	names   []string
	literal bool
}

// apiParam is one query parameter.
type apiParam struct {
	Name, About string
	Enum        []string
	Apart       bool // no field of the rows that are listed
}

const (
	apiRoot       = "/api/v1"
	apiBody       = 64 << 10
	pageDefault   = 100
	pageMost      = 1000
	problemType   = "application/problem+json"
	jsonType      = "application/json"
	eventType     = "text/event-stream"
	parameterName = "tenant"
)

// kind is the permission as policies and tokens write it.
func (r *apiRoute) permission() string {
	if r.On == "" {
		return ""
	}
	return r.On + ":" + string(r.Do)
}

// tenanted tells whether it acts in the tenant that ?tenant= names.
func (r *apiRoute) tenanted() bool { return r.On != "" && !r.Whole }

// check returns what is wrong with a route: a mistake of whoever wrote its line.
func (r *apiRoute) check() error {
	wrong := func(what string) error {
		return &core.Error{Code: core.CodeInternal, Message: fmt.Sprintf("route %s %s: %s", r.Method, r.Pattern, what)}
	}
	permissions := 0
	for _, one := range []bool{r.On != "", r.Self != "", r.Public != ""} {
		if one {
			permissions++
		}
	}
	switch {
	case permissions != 1:
		return wrong("says no permission, or two: set On and Do, or Self or Public with the reason")
	case r.On != "" && !slices.Contains(core.ObjectKinds, r.On):
		return wrong("is on an object of no known kind")
	case r.On != "" && !slices.Contains(core.Actions, r.Do):
		return wrong("does no known action")
	case r.On == "" && (r.Do != "" || r.Name != "" || r.Whole):
		return wrong("has an action without an object")
	case r.Name != "" && !slices.Contains(r.names, r.Name):
		return wrong("names its object by a parameter that its path does not have")
	case r.Handle == nil:
		return wrong("has no handler")
	case r.Summary == "":
		return wrong("has no summary")
	case !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, r.Method):
		return wrong("has an unknown method")
	case (r.Method == "GET" || r.Method == "DELETE") && (r.Body != nil || r.Parts != nil):
		return wrong("has a body")
	case r.Body != nil && reflect.TypeOf(r.Body).Kind() != reflect.Struct:
		return wrong("has a body that is no struct")
	case r.Parts != nil && (r.Body != nil || r.Limit == 0):
		return wrong("is a form and has another body, or no bound")
	}
	return nil
}

// routeTable finds routes by path.
type routeTable struct {
	routes []*apiRoute
	bySize map[int][]*apiRoute // by the number of segments; those without parameters first
}

func newRouteTable(routes []apiRoute) (*routeTable, error) {
	t := &routeTable{bySize: make(map[int][]*apiRoute)}
	seen := make(map[string]bool)
	for _, r := range routes {
		shape := r.Method
		segments := strings.Split(r.Pattern[1:], "/")
		for _, s := range segments {
			if name, found := strings.CutPrefix(s, "{"); found {
				r.names = append(r.names, strings.TrimSuffix(name, "}"))
				s = "{}"
			}
			shape += "/" + s
		}
		r.literal = len(r.names) == 0
		if err := r.check(); err != nil {
			return nil, err
		}
		if seen[shape] {
			return nil, &core.Error{Code: core.CodeInternal, Message: "two routes are " + shape}
		}
		seen[shape] = true
		t.routes = append(t.routes, &r)
		t.bySize[len(segments)] = append(t.bySize[len(segments)], &r)
	}
	for _, list := range t.bySize {
		slices.SortStableFunc(list, func(a, b *apiRoute) int { return len(a.names) - len(b.names) })
	}
	return t, nil
}

// find returns the route of a path below apiRoot, read as it was sent: an escape, an empty
// or a dot segment, another case lead nowhere. allow lists the methods when only the
// method is wrong.
func (t *routeTable) find(method, path string) (r *apiRoute, values []string, allow []string) {
	if path == "" || path[0] != '/' {
		return nil, nil, nil
	}
	segments := strings.Split(path[1:], "/")
	for _, s := range segments {
		if !plain(s) {
			return nil, nil, nil
		}
	}
	for _, r := range t.bySize[len(segments)] {
		values, ok := r.match(segments)
		if !ok {
			continue
		}
		if r.Method == method || r.Method == "GET" && method == "HEAD" && !r.Feed {
			return r, values, nil
		}
		if !slices.Contains(allow, r.Method) {
			allow = append(allow, r.Method)
		}
	}
	return nil, nil, allow
}

func (r *apiRoute) match(segments []string) (values []string, ok bool) {
	rest := r.Pattern[1:]
	for _, s := range segments {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if part[0] == '{' {
			values = append(values, s)
		} else if part != s {
			return nil, false
		}
	}
	return values, true
}
