package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// twoDoors has one server for everybody, and one for those who are known.
const twoDoors = `
servers:
  - name: open
    access: {anonymous: true}
    tools:
      - {name: get_a, invoker: {kind: echo}}
      - {name: del_b, invoker: {kind: echo}}
    prompts:
      - {name: greet, arguments: [{name: who, values: [ada, alan]}], messages: [{role: user, text: "Hello {{who}}"}]}
    resources:
      - {uri: "note:a", name: a, text: one}
    resourceTemplates:
      - {uriTemplate: "note:{id}", name: any, invoker: {kind: echo}, completions: {id: [a, b]}}
  - name: closed
    tools:
      - {name: get_a, invoker: {kind: echo}}
      - {name: del_b, invoker: {kind: echo}}
    prompts:
      - {name: greet, arguments: [{name: who, values: [ada, alan]}], messages: [{role: user, text: "Hello {{who}}"}]}
    resources:
      - {uri: "note:a", name: a, text: one}
    resourceTemplates:
      - {uriTemplate: "note:{id}", name: any, invoker: {kind: echo}, completions: {id: [a, b]}}
`

// Every list and call of MCP by every role: exactly what the table says.
func TestEveryCallByEveryRole(t *testing.T) {
	r := serve(t, twoDoors)
	r.admin("POST", "/tenants", map[string]any{"id": "acme"})
	r.admin("POST", "/roles", map[string]any{"name": "support"})
	for _, policy := range []map[string]any{
		{"role": "support", "kind": "tool", "action": "list", "match": "*/get_*"},
		{"role": "support", "kind": "tool", "action": "call", "match": "*/get_*"},
		{"role": "support", "kind": "server", "action": "list", "match": "*"},
		{"role": "careful", "kind": "tool", "action": "*", "match": "*/del_*", "deny": true},
	} {
		if policy["role"] == "careful" {
			r.admin("POST", "/roles", map[string]any{"name": "careful"})
		}
		r.admin("POST", "/policies", policy)
	}
	all := map[string]string{"anonymous": "", "operator": operatorToken, "wrong": "spt_live_x_y_z"}
	for _, role := range []string{"member", "viewer", "editor", "publisher", "auditor", "admin", "support"} {
		all[role] = r.program("default", role, []string{role})
	}
	all["nothing"] = r.program("default", "nothing", nil)
	all["member and careful"] = r.program("default", "mc", []string{"member", "careful"})
	all["member of acme"] = r.program("acme", "m", []string{"member"})
	all["narrowed to get_a"] = r.program("default", "narrow", []string{"member"}, "tool:*:closed/get_a")

	// What each may use of each server: g = get_a, d = del_b, p = prompt with its
	// completion, r = resource and template; "" = the server is there and nothing of it,
	// - = as if it were not there, 401 = not let in.
	const everything = "gdpr"
	for _, row := range []struct{ who, open, closed string }{
		{"anonymous", everything, "401"},
		{"wrong", "401", "401"},
		{"operator", everything, everything},
		{"member", everything, everything},
		{"admin", everything, everything},
		{"viewer", everything, "-"},
		{"editor", everything, "-"},
		{"publisher", everything, "-"},
		{"auditor", everything, "-"},
		{"nothing", everything, "-"},
		{"support", everything, "g"},
		{"member and careful", "gpr", "gpr"},
		{"member of acme", "401", "401"},
		{"narrowed to get_a", "", "g"},
	} {
		for server, want := range map[string]string{"open": row.open, "closed": row.closed} {
			t.Run(row.who+"/"+server, func(t *testing.T) {
				if got := r.may("/"+server+"/mcp", all[row.who]); got != want {
					t.Errorf("may %q, want %q", got, want)
				}
			})
		}
	}
	t.Run("what is forbidden looks like what is missing", func(t *testing.T) {
		hidden, missing := r.tool("/closed/mcp", all["support"], "del_b", nil), r.tool("/closed/mcp", all["support"], "del_x", nil)
		if hidden.status != missing.status || strings.ReplaceAll(hidden.body, "del_b", "") != strings.ReplaceAll(missing.body, "del_x", "") {
			t.Errorf("%d %s\n%d %s", hidden.status, hidden.body, missing.status, missing.body)
		}
		for _, who := range []string{"viewer", "anonymous"} {
			there, none := r.rpc("/closed/mcp", all[who], "tools/list", "", nil), r.rpc("/nowhere/mcp", all[who], "tools/list", "", nil)
			if there.status != none.status || there.body != none.body || there.header.Get("WWW-Authenticate") != strings.ReplaceAll(none.header.Get("WWW-Authenticate"), "nowhere", "closed") {
				t.Errorf("%s: %d %s %v\n%d %s %v", who, there.status, there.body, there.header, none.status, none.body, none.header)
			}
		}
	})
	t.Run("lists are private", func(t *testing.T) {
		if got := r.rpc("/open/mcp", "", "tools/list", "", nil); !strings.Contains(got.body, `"cacheScope":"private"`) {
			t.Error(got.body)
		}
	})
}

// may tells what a caller may use of a server, by asking for each thing. Lists and calls
// must agree.
func (r *house) may(path, token string) string {
	r.t.Helper()
	list := r.rpc(path, token, "tools/list", "", nil)
	switch list.status {
	case 404:
		return "-"
	case 401:
		if got := r.tool(path, token, "get_a", nil); got.status != 401 {
			r.t.Errorf("lists say 401 and calls %d", got.status)
		}
		return "401"
	}
	may := ""
	for _, one := range []struct{ letter, tool string }{{"g", "get_a"}, {"d", "del_b"}} {
		listed := slices.Contains(namesIn(r.t, list.body, "tools", "name"), one.tool)
		called := r.tool(path, token, one.tool, map[string]any{"x": 1})
		worked := called.status == 200 && strings.Contains(called.body, `"content"`)
		if listed != worked {
			r.t.Errorf("%s is listed: %t, works: %t: %s", one.tool, listed, worked, called.body)
		}
		if worked {
			may += one.letter
		}
	}
	works := func(got reply, part string) bool { return got.status == 200 && strings.Contains(got.body, part) }
	prompt := map[bool]int{}
	prompt[len(namesIn(r.t, r.rpc(path, token, "prompts/list", "", nil).body, "prompts", "name")) > 0]++
	prompt[works(r.rpc(path, token, "prompts/get", "greet", map[string]any{"name": "greet", "arguments": map[string]any{"who": "ada"}}), "Hello ada")]++
	prompt[works(r.rpc(path, token, "completion/complete", "", map[string]any{"ref": map[string]any{"type": "ref/prompt", "name": "greet"}, "argument": map[string]any{"name": "who", "value": "a"}}), "alan")]++
	if len(prompt) > 1 {
		r.t.Errorf("a prompt is partly there: %v", prompt)
	}
	if prompt[true] > 0 {
		may += "p"
	}
	resource := map[bool]int{}
	resource[len(namesIn(r.t, r.rpc(path, token, "resources/list", "", nil).body, "resources", "uri")) > 0]++
	resource[len(namesIn(r.t, r.rpc(path, token, "resources/templates/list", "", nil).body, "resourceTemplates", "uriTemplate")) > 0]++
	resource[works(r.rpc(path, token, "resources/read", "note:a", map[string]any{"uri": "note:a"}), "one")]++
	resource[works(r.rpc(path, token, "resources/read", "note:z", map[string]any{"uri": "note:z"}), `"contents"`)]++
	resource[works(r.rpc(path, token, "completion/complete", "", map[string]any{"ref": map[string]any{"type": "ref/resource", "uri": "note:{id}"}, "argument": map[string]any{"name": "id", "value": ""}}), `"b"`)]++
	if len(resource) > 1 {
		r.t.Errorf("a resource is partly there: %v", resource)
	}
	if resource[true] > 0 {
		may += "r"
	}
	return may
}

// namesIn lists a member of the items of a list.
func namesIn(t *testing.T, body, list, member string) []string {
	t.Helper()
	var answer struct{ Result map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var items []map[string]any
	if raw := answer.Result[list]; raw != nil {
		if err := json.Unmarshal(raw, &items); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, item := range items {
		names = append(names, fmt.Sprint(item[member]))
	}
	return names
}

// What metrics and mistakes name is for callers on this machine, and for whoever may.
func TestMetricsAreNotForStrangers(t *testing.T) {
	r := serve(t, twoDoors, "--trusted-proxies", "127.0.0.1/32")
	member := r.program("default", "m", []string{"member"})
	for _, row := range []struct {
		name, from, token string
		want              int
	}{
		{"on this machine", "", "", 200},
		{"from elsewhere", "203.0.113.9", "", 404},
		{"from elsewhere with a token that may not", "203.0.113.9", member, 404},
		{"from elsewhere with the operator's", "203.0.113.9", operatorToken, 200},
	} {
		var header []string
		if row.from != "" {
			header = []string{"X-Forwarded-For", row.from}
		}
		if got := r.send("GET", "/metrics", row.token, nil, header...); got.status != row.want {
			t.Errorf("%s: %d", row.name, got.status)
		}
	}
}

// A server of the default tenant that stands where a tenant does is said to be out of
// reach.
func TestShadowedServer(t *testing.T) {
	r := serve(t, "servers:\n  - name: acme\n    tools:\n      - {name: say, invoker: {kind: echo}}\n")
	r.admin("POST", "/tenants", map[string]any{"id": "acme"})
	got := r.admin("POST", "/reload", nil)
	if text := fmt.Sprint(got["problems"]); !strings.Contains(text, "the tenant acme stands at /acme") {
		t.Error(text)
	}
}
