package app

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/plugins/guests"
	"github.com/sallyport/sallyport/plugins/manifest"
	"github.com/sallyport/sallyport/plugins/rewrite"
)

// camp is one tenant with its mark in every field that it has.
type camp struct {
	id, mark string
	tokens   map[string]string // by role
	ids      map[string][]string
}

// settle fills a tenant, everything marked.
func (r *house) settle(id string) *camp {
	r.t.Helper()
	c := &camp{id: id, mark: "canary-of-" + id, tokens: map[string]string{}, ids: map[string][]string{}}
	query := "?tenant=" + id
	keep := func(kind string, made map[string]any) {
		for _, member := range []string{"id", "name"} {
			if text, ok := made[member].(string); ok {
				c.ids[kind] = append(c.ids[kind], text)
			}
		}
	}
	r.admin("POST", "/tenants", map[string]any{"id": id, "title": c.mark})
	for _, role := range []string{"member", "viewer", "auditor", "admin"} {
		c.tokens[role] = r.program(id, role+"-"+c.mark, []string{role})
	}
	keep("users", r.admin("POST", "/users"+query, map[string]any{"name": "person-" + c.mark, "title": c.mark, "email": c.mark + "@example.com"}))
	keep("roles", r.admin("POST", "/roles"+query, map[string]any{"name": c.mark, "title": c.mark}))
	keep("policies", r.admin("POST", "/policies"+query, map[string]any{"role": c.mark, "kind": "tool", "action": "call", "match": c.mark + "/*", "note": c.mark}))
	keep("credentials", r.admin("POST", "/credentials"+query, map[string]any{"name": "key", "value": "secret-" + c.mark, "note": c.mark}))
	keep("limits", r.admin("POST", "/limits"+query, map[string]any{"per": "identity", "rate": 1000, "burst": 1000, "note": c.mark}))
	document := fmt.Sprintf(`
servers:
  - name: shop
    title: %[1]s
    instructions: %[1]s
    tools:
      - {name: get, description: %[1]s, invoker: {kind: echo}}
    prompts:
      - {name: greet, description: %[1]s, messages: [{role: user, text: %[1]s}]}
    resources:
      - {uri: "note:a", name: %[1]s, text: %[1]s}
`, c.mark)
	r.admin("PUT", "/documents/"+c.mark+"/draft"+query, map[string]any{"text": document}, "If-None-Match", "*")
	r.admin("POST", "/documents/publish"+query, map[string]any{"names": []string{c.mark}, "reason": c.mark})
	c.ids["documents"] = []string{c.mark}
	wasm, err := manifest.Embed(guests.Echo(), []byte("apiVersion: sallyport/v1\nname: "+c.mark+"/echo\nversion: 1.0.0\nabi: sallyport/1\nkinds: [invoker]\ntools: [{name: echo, description: "+c.mark+"}]\n"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, more := range []string{"", c.mark} { // the second one waits
		got, digest := r.upload(operatorToken, query, rewrite.WithCustomSection(wasm, "more", []byte(more)))
		if got.status != 201 {
			r.t.Fatalf("%d %s", got.status, got.body)
		}
		if more == "" {
			r.admin("POST", "/modules/"+c.mark+"-echo/approve"+query, map[string]any{"digest": digest})
		}
	}
	c.ids["modules"] = []string{c.mark + "-echo"}
	return c
}

// routesToRead lists the paths of the admin API that GET takes, from its description.
func routesToRead(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../web/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var described struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &described); err != nil {
		t.Fatal(err)
	}
	var list []string
	for path, methods := range described.Paths {
		if methods["get"] != nil && !strings.Contains(path, "feed") && !strings.Contains(path, "login/{") && !strings.Contains(path, "connect/{") {
			list = append(list, strings.TrimPrefix(path, "/api/v1"))
		}
	}
	if len(list) < 20 {
		t.Fatalf("only %d paths were read", len(list))
	}
	return list
}

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

// No byte of one tenant reaches another: whoever asks for whatever, by its own names or
// by those of the other, and nothing of either stands in the log.
func TestNoByteCrossesTenants(t *testing.T) {
	r := serve(t, "", "--audit-calls", "payload", "--plugins-trust", "off")
	red, blue := r.settle("red"), r.settle("blue")
	paths := routesToRead(t)
	for _, c := range []*camp{red, blue} { // what is fuzzed below must work for its own tenant
		if got := r.tool("/"+c.id+"/shop/mcp", c.tokens["member"], "get", map[string]any{"say": c.mark}); !strings.Contains(got.body, c.mark) {
			t.Fatalf("%s cannot use its own server: %d %s", c.id, got.status, got.body)
		}
		got := r.send("GET", "/api/v1/users", c.tokens["admin"], nil)
		if got.status != 200 || !strings.Contains(got.body, c.mark) {
			t.Fatalf("%s does not see its own users: %d %s", c.id, got.status, got.body)
		}
	}
	eventually(t, "calls are recorded", func() bool {
		return strings.Contains(r.send("GET", "/api/v1/calls", red.tokens["admin"], nil).body, `"get"`)
	})
	seen := 0
	rapid.Check(t, func(rt *rapid.T) {
		mine, theirs := red, blue
		if rapid.Bool().Draw(rt, "swap") {
			mine, theirs = blue, red
		}
		role := rapid.SampledFrom([]string{"member", "viewer", "auditor", "admin", "anonymous"}).Draw(rt, "role")
		token := mine.tokens[role]
		var got reply
		var asked string
		switch rapid.IntRange(0, 2).Draw(rt, "way") {
		case 0:
			path := rapid.SampledFrom(paths).Draw(rt, "path")
			kind := strings.Split(path, "/")[1]
			ids := append(append([]string{"nothing"}, mine.ids[kind]...), theirs.ids[kind]...)
			asked = parameter.ReplaceAllStringFunc(path, func(string) string { return rapid.SampledFrom(ids).Draw(rt, "id") })
			asked += rapid.SampledFrom([]string{"", "?tenant=" + theirs.id, "?tenant=" + mine.id, "?tenant=*", "?tenant=default"}).Draw(rt, "tenant")
			got = r.send("GET", "/api/v1"+asked, token, nil)
		case 1:
			asked = "/" + rapid.SampledFrom([]string{mine.id, theirs.id}).Draw(rt, "whose") + "/shop/mcp"
			method := rapid.SampledFrom([]string{"tools/list", "prompts/list", "resources/list", "server/discover"}).Draw(rt, "method")
			got = r.rpc(asked, token, method, "", nil)
			asked += " " + method
		default:
			asked = "/" + rapid.SampledFrom([]string{mine.id, theirs.id}).Draw(rt, "whose") + "/shop/mcp"
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				got = r.tool(asked, token, "get", nil)
			case 1:
				got = r.rpc(asked, token, "prompts/get", "greet", map[string]any{"name": "greet"})
			default:
				got = r.rpc(asked, token, "resources/read", "note:a", map[string]any{"uri": "note:a"})
			}
		}
		// What the caller wrote itself may come back in a message: take it out.
		said := strings.ReplaceAll(got.body, asked, "")
		for _, own := range strings.FieldsFunc(asked, func(c rune) bool { return strings.ContainsRune("/?= ", c) }) {
			if len(own) > 3 {
				said = strings.ReplaceAll(said, `\"`+own+`\"`, "")
			}
		}
		if strings.Contains(said, theirs.mark) {
			rt.Fatalf("%s of %s asked for %s and read of %s: %d %s", role, mine.id, asked, theirs.id, got.status, got.body)
		}
		for name, values := range got.header {
			if strings.Contains(strings.Join(values, " "), theirs.mark) {
				rt.Fatalf("header %s: %v", name, values)
			}
		}
		if strings.Contains(got.body, mine.mark) {
			seen++
		}
	})
	if seen == 0 {
		t.Error("nobody saw even what is theirs: this test proves nothing")
	}
	for _, c := range []*camp{red, blue} {
		if strings.Contains(r.log.String(), "secret-"+c.mark) {
			t.Error("the log holds a secret")
		}
	}
	if metrics := r.send("GET", "/metrics", "", nil); strings.Contains(metrics.body, red.mark) || strings.Contains(metrics.body, blue.mark) {
		t.Error("the metrics hold marks of tenants")
	}
}

// The operator sees both tenants: the marks are there to be seen.
func TestMarksAreThere(t *testing.T) {
	r := serve(t, "", "--plugins-trust", "off")
	red := r.settle("red")
	for _, path := range []string{"/users", "/roles", "/policies", "/credentials", "/limits", "/documents", "/modules"} {
		got := r.send("GET", "/api/v1"+path+"?tenant=red", operatorToken, nil)
		var list struct{ Items []json.RawMessage }
		if err := json.Unmarshal([]byte(got.body), &list); err != nil || !strings.Contains(got.body, red.mark) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if strings.Contains(got.body, "secret-"+red.mark) {
			t.Errorf("%s shows a secret", path)
		}
	}
}
