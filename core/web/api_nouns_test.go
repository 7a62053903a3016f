package web

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/core"
)

// lastEntry returns the newest line of the audit trail about an action.
func lastEntry(t *testing.T, r *apiRig, action string) core.AuditEntry {
	t.Helper()
	var rows []core.AuditEntry
	if _, err := r.store.List(context.Background(), &rows, core.Query{Tenant: core.DefaultTenant, Equal: map[string]string{"action": action}, Newest: true, Limit: 1}); err != nil || len(rows) != 1 {
		t.Fatal(err, len(rows))
	}
	return rows[0]
}

// recorded checks the line that a change left in the trail.
func recorded(action, reason, fields string) func(*testing.T, *apiRig, apiAnswer) {
	return func(t *testing.T, r *apiRig, _ apiAnswer) {
		t.Helper()
		e := lastEntry(t, r, action)
		if e.Action != action || e.Reason != reason || e.Outcome != "ok" || e.Request == "" || e.Address != "127.0.0.1" || e.Actor == "" ||
			fields != "" && string(e.Details) != `{"fields":[`+fields+`]}` {
			t.Errorf("%+v %s", e, e.Details)
		}
	}
}

func userScenarios() []scenario {
	return []scenario{
		{name: "list", as: "admin", method: "GET", path: "/users", status: 200, holds: []string{`"name":"viewer"`, `"id":"$viewer"`}, lacks: []string{"acme", "argon2", `"next"`}},
		{name: "a page", as: "admin", method: "GET", path: "/users?limit=3", status: 200, holds: []string{`"next":"`}, save: "next=next"},
		{name: "the next page", as: "admin", method: "GET", path: "/users?limit=1000&after=$next", status: 200, lacks: []string{`"next"`}},
		{name: "by name", as: "admin", method: "GET", path: "/users?name=editor", status: 200, holds: []string{"$editor"}, lacks: []string{"$viewer"}},
		{name: "of another tenant, as its own", as: "acme-admin", method: "GET", path: "/users", status: 200, holds: []string{"acme-viewer"}, lacks: []string{"canary-default"}},
		{name: "of another tenant, as everybody's", as: "super", method: "GET", path: "/users?tenant=acme", status: 200, holds: []string{"acme-viewer"}, lacks: []string{"canary-default"}},
		{name: "of another tenant", as: "admin", method: "GET", path: "/users?tenant=acme", status: 404, lacks: []string{"acme-viewer"}},
		{name: "of no tenant", as: "super", method: "GET", path: "/users?tenant=acmi", status: 404},
		{
			name: "make", as: "admin", method: "POST", path: "/users", body: `{"name":"ann","title":"Ann","roles":["editor","editor"],"reason":"new colleague"}`, status: 201,
			holds: []string{`"name":"ann"`, `"roles":["editor"]`, `"version":1`, `"by":"$admin"`, `"everywhere":[]`}, save: "ann=id",
			after: recorded("user.write", "new colleague", `"name","title","roles"`),
		},
		{name: "make another of that name", as: "admin", method: "POST", path: "/users", body: `{"name":"ann"}`, status: 409, holds: []string{`"code":"conflict"`}},
		{name: "make with mistakes", as: "admin", method: "POST", path: "/users", body: `{"name":"Ann X","roles":["editr"],"nmae":1,"title":2}`, status: 422, holds: []string{`"path":"/nmae"`, `"fix":"write name"`, `"path":"/title"`}},
		{name: "make with a role that is not there", as: "admin", method: "POST", path: "/users", body: `{"name":"Ann X","roles":["editr"]}`, status: 422, holds: []string{`"path":"/roles"`, `"fix":"write editor"`, `"path":"/name"`}},
		{name: "make without a name", as: "admin", method: "POST", path: "/users", body: `{}`, status: 422, holds: []string{`"path":"/name"`, "name is missing"}},
		{name: "make with provider alone", as: "admin", method: "POST", path: "/users", body: `{"name":"x","provider":"p"}`, status: 422, holds: []string{`/external`}},
		{name: "make one of everywhere, as an administrator of a tenant", as: "admin", method: "POST", path: "/users", body: `{"name":"x","everywhere":["admin"]}`, status: 403, holds: []string{`"code":"denied"`}},
		{name: "make one of everywhere by token", as: "super", method: "POST", path: "/users", body: `{"name":"x","everywhere":["admin"]}`, status: 403, holds: []string{`"code":"reauth"`}},
		{name: "make one of everywhere", as: "operator", method: "POST", path: "/users", body: `{"name":"root2","everywhere":["admin"]}`, status: 201, save: "root2=id"},
		{name: "one of everywhere in another tenant", as: "operator", method: "POST", path: "/users?tenant=acme", body: `{"name":"x","everywhere":["admin"]}`, status: 422, holds: []string{`"/everywhere"`}},
		{name: "read", as: "admin", method: "GET", path: "/users/$ann", status: 200, holds: []string{`"title":"Ann"`}},
		{name: "read head", as: "admin", method: "HEAD", path: "/users/$ann", status: 200},
		{name: "read one of another tenant", as: "admin", method: "GET", path: "/users/$acme-viewer", status: 404},
		{name: "read nobody", as: "admin", method: "GET", path: "/users/x", status: 404, holds: []string{`"code":"not_found"`}},
		{name: "change without a match", as: "admin", method: "PUT", path: "/users/$ann", body: `{"name":"ann"}`, status: 428, holds: []string{`"code":"match_required"`}},
		{name: "change with a match of nothing", as: "admin", method: "PUT", path: "/users/$ann", body: `{"name":"ann"}`, headers: []string{"If-Match: *"}, status: 400},
		{name: "change with an old match", as: "admin", method: "PUT", path: "/users/$ann", body: `{"name":"ann"}`, headers: []string{`If-Match: "7"`}, status: 412, holds: []string{`"code":"changed"`, `"version":1`}},
		{
			name: "change", as: "admin", method: "PUT", path: "/users/$ann", body: `{"name":"ann","title":"Ann B.","roles":["editor"]}`, headers: []string{"If-Match: $etag", "X-Reason: married"}, status: 200,
			holds: []string{`"version":2`, `"title":"Ann B."`}, after: recorded("user.write", "married", `"title"`),
		},
		{name: "change another tenant's", as: "admin", method: "PUT", path: "/users/$acme-viewer", body: `{"name":"x"}`, headers: []string{`If-Match: "1"`}, status: 404},
		{name: "change oneself", as: "admin", method: "PUT", path: "/users/$admin", body: `{"name":"admin","roles":["viewer"]}`, headers: []string{`If-Match: "1"`}, status: 409},
		{name: "rule somebody of everywhere", as: "admin", method: "PUT", path: "/users/$super", body: `{"name":"super"}`, headers: []string{`If-Match: "1"`}, status: 403},
		{name: "reset the password of somebody of everywhere", as: "admin", method: "POST", path: "/users/$super/password", body: `{}`, headers: []string{`If-Match: "1"`}, status: 403},
		{
			name: "reset a password", as: "operator", method: "POST", path: "/users/$ann/password", body: `{"reason":"forgotten"}`, headers: []string{`If-Match: "2"`}, status: 200, holds: []string{`{"password":"`},
			after: func(t *testing.T, r *apiRig, got apiAnswer) {
				t.Helper()
				temporary := strings.Split(got.body, `"`)[3]
				in := r.ask("", "POST", "/api/v1/login", `{"name":"ann","password":"`+temporary+`"}`)
				if in.status != 200 || !strings.Contains(in.body, `"mustChangePassword":true`) {
					t.Fatalf("%d %s", in.status, in.body)
				}
				cookie, _, _ := strings.Cut(in.header.Get("Set-Cookie"), ";")
				if got := r.ask("", "GET", "/api/v1/documents", "", "Cookie: "+cookie); got.status != 403 || got.problem().Code != codePassword {
					t.Errorf("before the password is changed: %d %s", got.status, got.body)
				}
				if got := r.ask("", "GET", "/api/v1/me", "", "Cookie: "+cookie); got.status != 200 {
					t.Errorf("before the password is changed: %d %s", got.status, got.body)
				}
			},
		},
		{name: "a program", as: "admin", method: "POST", path: "/users", body: `{"name":"robot","service":true}`, status: 201, save: "robot=id"},
		{name: "has no password", as: "operator", method: "POST", path: "/users/$robot/password", body: `{}`, headers: []string{"If-Match: $etag"}, status: 409},
		{name: "delete by token", as: "admin", method: "DELETE", path: "/users/$robot", headers: []string{"If-Match: $etag"}, status: 403, holds: []string{`"code":"reauth"`}},
		{name: "delete", as: "operator", method: "DELETE", path: "/users/$robot", headers: []string{"If-Match: $etag"}, status: 204, after: recorded("user.delete", "", "")},
		{name: "is gone", as: "admin", method: "GET", path: "/users/$robot", status: 404},
		{name: "delete a viewer with what is its own", as: "operator", method: "DELETE", path: "/users/$nobody", headers: []string{`If-Match: "1"`}, status: 204, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
			t.Helper()
			if got := r.ask("nobody", "GET", "/api/v1/me", ""); got.status != 401 {
				t.Errorf("its token still opens: %d", got.status)
			}
		}},
	}
}

func policyScenarios() []scenario {
	return []scenario{
		{name: "permissions", as: "auditor", method: "GET", path: "/permissions", status: 200, holds: []string{`"name":"viewer"`, `"builtIn":true`, `"document:read"`, `"actions":["list"`}},
		{name: "make a role", as: "admin", method: "POST", path: "/roles", body: `{"name":"helpdesk","title":"Help desk"}`, status: 201},
		{name: "make a built-in role", as: "admin", method: "POST", path: "/roles", body: `{"name":"viewer"}`, status: 422},
		{name: "make a role of a strange name", as: "admin", method: "POST", path: "/roles", body: `{"name":"Help/Desk"}`, status: 422, holds: []string{"/name"}},
		{name: "list roles", as: "admin", method: "GET", path: "/roles", status: 200, holds: []string{"helpdesk"}},
		{name: "read a role", as: "admin", method: "GET", path: "/roles/helpdesk", status: 200},
		{name: "rename a role", as: "admin", method: "PUT", path: "/roles/helpdesk", body: `{"name":"x"}`, headers: []string{"If-Match: $etag"}, status: 422, holds: []string{"cannot be changed"}},
		{name: "change a role", as: "admin", method: "PUT", path: "/roles/helpdesk", body: `{"title":"Desk"}`, headers: []string{"If-Match: $etag"}, status: 200, holds: []string{"Desk"}},
		{name: "a policy of no role", as: "admin", method: "POST", path: "/policies", body: `{"role":"helpdsk","kind":"user","match":"*","action":"writ"}`, status: 422, holds: []string{`"/role"`, `"/action"`, "helpdesk"}},
		{name: "make a policy", as: "admin", method: "POST", path: "/policies", body: `{"role":"helpdesk","kind":"user","match":"*","action":"write"}`, status: 201, save: "p1=id"},
		{name: "another", as: "admin", method: "POST", path: "/policies", body: `{"role":"helpdesk","kind":"user","match":"*","action":"read"}`, status: 201, save: "p2=id"},
		{name: "list policies", as: "auditor", method: "GET", path: "/policies?role=helpdesk&action=write", status: 200, holds: []string{"$p1"}, lacks: []string{"$p2"}},
		{name: "read a policy", as: "admin", method: "GET", path: "/policies/$p1", status: 200},
		{name: "a role of everywhere is the affair of those who have it", as: "admin", method: "POST", path: "/policies", body: `{"role":"admin","kind":"*","match":"*","action":"*","deny":true}`, status: 403},
		{name: "delete a role in use", as: "admin", method: "DELETE", path: "/roles/helpdesk", headers: []string{`If-Match: "2"`}, status: 409},
		{name: "make one of the help desk", as: "admin", method: "POST", path: "/users", body: `{"name":"desk","roles":["helpdesk"]}`, status: 201, save: "desk=id", after: func(t *testing.T, r *apiRig, _ apiAnswer) {
			t.Helper()
			r.mint(t, "desk")
		}},
		{name: "the help desk makes a user", as: "desk", method: "POST", path: "/users", body: `{"name":"new"}`, status: 201, save: "new=id"},
		{name: "the help desk gives no roles", as: "desk", method: "POST", path: "/users", body: `{"name":"new2","roles":["admin"]}`, status: 403},
		{name: "the help desk gives itself no roles", as: "desk", method: "PUT", path: "/users/$desk", body: `{"name":"desk","roles":["admin"]}`, headers: []string{`If-Match: "1"`}, status: 409},
		{name: "the help desk rules no administrator", as: "desk", method: "PUT", path: "/users/$admin", body: `{"name":"admin","disabled":true,"roles":["admin"]}`, headers: []string{`If-Match: "1"`}, status: 403},
		{name: "a rule for a group", as: "admin", method: "POST", path: "/group-roles", body: `{"provider":"*","group":"staff","role":"viewer"}`, status: 201, save: "g=id"},
		{name: "a rule of no provider", as: "admin", method: "POST", path: "/group-roles", body: `{"provider":"none","group":"","role":"viewr"}`, status: 422, holds: []string{`"/provider"`, `"/group"`, `"/role"`}},
		{name: "list rules", as: "admin", method: "GET", path: "/group-roles?group=staff", status: 200, holds: []string{"$g"}},
		{name: "read a rule", as: "admin", method: "GET", path: "/group-roles/$g", status: 200},
		{name: "change a rule", as: "admin", method: "PUT", path: "/group-roles/$g", body: `{"provider":"*","group":"people","role":"viewer"}`, headers: []string{"If-Match: $etag"}, status: 200},
		{name: "delete a rule", as: "admin", method: "DELETE", path: "/group-roles/$g", headers: []string{"If-Match: $etag"}, status: 204},
		{name: "explain a no", as: "auditor", method: "POST", path: "/explain", body: `{"subject":"$viewer","action":"write","object":{"kind":"document","name":"shop"}}`, status: 200, holds: []string{`"allowed":false`, `"fix":"`}},
		{name: "explain a yes", as: "auditor", method: "POST", path: "/explain", body: `{"subject":"$desk","action":"write","object":{"kind":"user"}}`, status: 200, holds: []string{`"allowed":true`, `"roles":["helpdesk"]`}},
		{name: "explain nobody", as: "auditor", method: "POST", path: "/explain", body: `{"action":"call","object":{"kind":"tool","server":"shop","name":"buy","open":true}}`, status: 200, holds: []string{`"allowed":true`}},
		{name: "explain with mistakes", as: "auditor", method: "POST", path: "/explain", body: `{"subject":"a","token":"b","action":"call","object":{"kind":"tol"}}`, status: 422, holds: []string{`"/object/kind"`, "write tool", `"/token"`}},
		{name: "explain somebody unknown", as: "auditor", method: "POST", path: "/explain", body: `{"subject":"$acme-viewer","action":"call","object":{"kind":"tool"}}`, status: 422, holds: []string{`"/subject"`}},
		{name: "explain an unknown token", as: "auditor", method: "POST", path: "/explain", body: `{"token":"x","action":"call","object":{"kind":"tool"}}`, status: 422, holds: []string{`"/token"`}},
		{name: "change a policy", as: "admin", method: "PUT", path: "/policies/$p1", body: `{"role":"helpdesk","kind":"user","match":"*","action":"write","deny":true,"note":"enough"}`, headers: []string{`If-Match: "1"`}, status: 200, holds: []string{`"deny":true`}},
		{name: "which holds at once", as: "desk", method: "POST", path: "/users", body: `{"name":"new3"}`, status: 403},
		{name: "delete a policy", as: "admin", method: "DELETE", path: "/policies/$p1", headers: []string{`If-Match: "2"`}, status: 204},
		{name: "delete the other", as: "admin", method: "DELETE", path: "/policies/$p2", headers: []string{`If-Match: "1"`}, status: 204},
		{name: "delete a role", as: "admin", method: "DELETE", path: "/roles/helpdesk", headers: []string{`If-Match: "2"`}, status: 204},
	}
}

func tenantScenarios() []scenario {
	return []scenario{
		{name: "list", as: "super", method: "GET", path: "/tenants", status: 200, holds: []string{`"id":"acme"`, `"id":"default"`}},
		{name: "list, as an administrator of one", as: "acme-admin", method: "GET", path: "/tenants", status: 403},
		{name: "make", as: "super", method: "POST", path: "/tenants", body: `{"id":"globex","title":"Globex"}`, status: 201},
		{name: "make one of a word of ours", as: "super", method: "POST", path: "/tenants", body: `{"id":"api"}`, status: 422},
		{name: "make one of no name", as: "super", method: "POST", path: "/tenants", body: `{"id":"*"}`, status: 422},
		{name: "read", as: "super", method: "GET", path: "/tenants/globex", status: 200},
		{name: "change", as: "super", method: "PUT", path: "/tenants/globex", body: `{"title":"Globex Inc.","disabled":true}`, headers: []string{"If-Match: $etag"}, status: 200, holds: []string{`"disabled":true`}},
		{name: "disable the default", as: "super", method: "PUT", path: "/tenants/default", body: `{"disabled":true}`, headers: []string{`If-Match: "1"`}, status: 422},
		{name: "delete one with users", as: "operator", method: "DELETE", path: "/tenants/acme", headers: []string{`If-Match: "1"`}, status: 409, holds: []string{"users"}},
		{name: "delete by token", as: "super", method: "DELETE", path: "/tenants/globex", headers: []string{"If-Match: $etag"}, status: 403, holds: []string{"reauth"}},
		{name: "delete the default", as: "operator", method: "DELETE", path: "/tenants/default", headers: []string{`If-Match: "1"`}, status: 409},
		{name: "delete", as: "operator", method: "DELETE", path: "/tenants/globex", headers: []string{`If-Match: "2"`}, status: 204},
	}
}

const secretCanary = "canary-secret-value"

func secretScenarios() []scenario {
	hidden := []string{secretCanary, "sealed.", "Sealed"}
	return []scenario{
		{
			name: "make a secret", as: "admin", method: "POST", path: "/credentials", body: `{"name":"GITHUB_TOKEN","value":"` + secretCanary + `","note":"for the shop"}`, status: 201, holds: []string{`"name":"GITHUB_TOKEN"`, `"set":"2`}, lacks: hidden,
			after: func(t *testing.T, r *apiRig, _ apiAnswer) {
				t.Helper()
				e := lastEntry(t, r, "credential.write")
				if e.Name != "GITHUB_TOKEN" || !strings.Contains(string(e.Details), `"value"`) || strings.Contains(string(e.Details), secretCanary) {
					t.Errorf("%+v %s", e, e.Details)
				}
				var rows []core.Credential
				if _, err := r.store.List(context.Background(), &rows, core.Query{Tenant: core.DefaultTenant, Equal: map[string]string{"name": "GITHUB_TOKEN"}}); err != nil || len(rows) != 1 {
					t.Fatal(err, rows)
				}
				if plain, err := (openSealer{}).Open(core.SealedRow, rows[0].Sealed, core.CredentialBind(&rows[0])...); err != nil || string(plain) != secretCanary {
					t.Error(err, "the secret is not bound to its row")
				}
			},
		},
		{name: "again", as: "admin", method: "POST", path: "/credentials", body: `{"name":"GITHUB_TOKEN","value":"x"}`, status: 409},
		{name: "without a value", as: "admin", method: "POST", path: "/credentials", body: `{"name":"X"}`, status: 422, holds: []string{"/value"}},
		{name: "of a strange name", as: "admin", method: "POST", path: "/credentials", body: `{"name":"1 2","value":"x"}`, status: 422, holds: []string{"/name"}},
		{name: "list secrets", as: "admin", method: "GET", path: "/credentials", status: 200, holds: []string{"GITHUB_TOKEN"}, lacks: hidden},
		{name: "a viewer sees none", as: "viewer", method: "GET", path: "/credentials", status: 403},
		{name: "read a secret", as: "admin", method: "GET", path: "/credentials/GITHUB_TOKEN", status: 200, lacks: hidden},
		{name: "read none", as: "admin", method: "GET", path: "/credentials/GITHUB", status: 404},
		{name: "change what is said of it", as: "admin", method: "PUT", path: "/credentials/GITHUB_TOKEN", body: `{"note":"x","expires":"2040-01-01T00:00:00Z"}`, headers: []string{"If-Match: $etag"}, status: 200, holds: []string{`"expires":"2040`}, after: recorded("credential.write", "", `"note","expires"`)},
		{name: "empty it", as: "admin", method: "PUT", path: "/credentials/GITHUB_TOKEN", body: `{"value":""}`, headers: []string{"If-Match: $etag"}, status: 422},
		{name: "delete it", as: "admin", method: "DELETE", path: "/credentials/GITHUB_TOKEN", headers: []string{"If-Match: $etag"}, status: 204},

		{name: "make a provider", as: "admin", method: "POST", path: "/providers", body: `{"id":"corp","title":"Corp","issuer":"https://id.example.com","login":true,"clientId":"gw","clientSecret":"` + secretCanary + `","scopes":["email"],"provision":true,"roles":["viewer"]}`, status: 201, holds: []string{`"clientSecret":{"set":true}`}, lacks: hidden},
		{name: "a provider with mistakes", as: "admin", method: "POST", path: "/providers", body: `{"id":"prove","issuer":"http://id.example.com","login":true}`, status: 422, holds: []string{`"/id"`}},
		{name: "a provider with more mistakes", as: "admin", method: "POST", path: "/providers", body: `{"id":"x","issuer":"http://id.example.com","login":true,"jwksUri":"https://u:p@id.example.com/","roles":["nobody"]}`, status: 422, holds: []string{`"/issuer"`, `"/clientId"`, `"/jwksUri"`, `"/roles"`}},
		{name: "list providers", as: "viewer", method: "GET", path: "/providers?login=true", status: 200, holds: []string{"corp"}, lacks: hidden},
		{name: "read a provider", as: "viewer", method: "GET", path: "/providers/corp", status: 200, lacks: hidden},
		{name: "a secret stays with its issuer", as: "admin", method: "PUT", path: "/providers/corp", body: `{"issuer":"https://evil.example.com","login":true,"clientId":"gw"}`, headers: []string{"If-Match: $etag"}, status: 422, holds: []string{"/clientSecret"}},
		{name: "change a provider", as: "admin", method: "PUT", path: "/providers/corp", body: `{"issuer":"https://id.example.com","login":true,"clientId":"gw2"}`, headers: []string{"If-Match: $etag"}, status: 200, holds: []string{`"clientSecret":{"set":true}`, "gw2"}},
		{name: "those who log in see it", method: "GET", path: "/login/providers", status: 200, holds: []string{`"path":"/api/v1/login/corp"`}, lacks: []string{"gw2"}},
		{name: "take the secret away", as: "admin", method: "PUT", path: "/providers/corp", body: `{"issuer":"https://id.example.com","clientSecret":""}`, headers: []string{"If-Match: $etag"}, status: 200, holds: []string{`"clientSecret":{"set":false}`}, after: recorded("provider.write", "", `"login","clientId","clientSecret"`)},
		{name: "delete a provider", as: "admin", method: "DELETE", path: "/providers/corp", headers: []string{"If-Match: $etag"}, status: 204},

		{name: "make a connector", as: "admin", method: "POST", path: "/connectors", body: `{"name":"github","issuer":"https://github.example.com","clientId":"gw","clientSecret":"` + secretCanary + `","extra":{"access_type":"offline"}}`, status: 201, holds: []string{`"clientSecret":{"set":true}`, "offline"}, lacks: hidden},
		{name: "a connector with mistakes", as: "admin", method: "POST", path: "/connectors", body: `{"name":"x","issuer":"ftp://x","clientId":"","extra":{"redirect_uri":"https://evil.example"}}`, status: 422, holds: []string{`"/issuer"`, `"/clientId"`, `"/extra/redirect_uri"`}},
		{name: "list connectors", as: "viewer", method: "GET", path: "/connectors", status: 200, holds: []string{"github"}, lacks: hidden},
		{name: "read a connector", as: "viewer", method: "GET", path: "/connectors/github", status: 200, lacks: hidden},
		{name: "a secret stays with its server", as: "admin", method: "PUT", path: "/connectors/github", body: `{"issuer":"https://github.example.com","tokenEndpoint":"https://evil.example.com/token","clientId":"gw"}`, headers: []string{"If-Match: $etag"}, status: 422, holds: []string{"/clientSecret"}},
		{name: "change a connector", as: "admin", method: "PUT", path: "/connectors/github", body: `{"issuer":"https://github.example.com","clientId":"gw","title":"GitHub"}`, headers: []string{"If-Match: $etag"}, status: 200},
		{name: "delete a connector", as: "admin", method: "DELETE", path: "/connectors/github", headers: []string{"If-Match: $etag"}, status: 204},
	}
}

func limitScenarios() []scenario {
	return []scenario{
		{name: "make a limit", as: "admin", method: "POST", path: "/limits", body: `{"per":"identity","objects":"github/*","rate":2.5,"burst":5}`, status: 201, holds: []string{`"rate":2.5`}, save: "l=id"},
		{name: "a limit with mistakes", as: "admin", method: "POST", path: "/limits", body: `{"per":"person","burst":-1}`, status: 422, holds: []string{`"/per"`, `"/burst"`, "limits nothing"}},
		{name: "a limit with a number that is a text", as: "admin", method: "POST", path: "/limits", body: `{"per":"tenant","perDay":"7"}`, status: 422, holds: []string{`"/perDay"`, "expected a whole number, got a string"}},
		{name: "list limits", as: "viewer", method: "GET", path: "/limits?per=identity", status: 200, holds: []string{"$l"}},
		{name: "read a limit", as: "viewer", method: "GET", path: "/limits/$l", status: 200},
		{name: "change a limit", as: "admin", method: "PUT", path: "/limits/$l", body: `{"per":"tool","perDay":9007199254740993}`, headers: []string{"If-Match: $etag"}, status: 422},
		{name: "change a limit well", as: "admin", method: "PUT", path: "/limits/$l", body: `{"per":"tool","perDay":100}`, headers: []string{"If-Match: $etag"}, status: 200, after: recorded("limit.write", "", `"per","objects","rate","burst","perDay"`)},
		{name: "a viewer changes none", as: "viewer", method: "PUT", path: "/limits/$l", body: `{"per":"tool","perDay":100}`, headers: []string{"If-Match: $etag"}, status: 403},
		{name: "delete a limit", as: "admin", method: "DELETE", path: "/limits/$l", headers: []string{"If-Match: $etag"}, status: 204},
		{name: "usage", as: "viewer", method: "GET", path: "/usage?day=2030-01-31", status: 200, holds: []string{`"items":[]`}},
		{name: "usage now", as: "viewer", method: "GET", path: "/usage/now", status: 200, holds: []string{`"used":7`}},
		{name: "my usage now", as: "viewer", method: "GET", path: "/me/usage", status: 200, holds: []string{`"used":7`}},

		{name: "make a setting", as: "admin", method: "POST", path: "/settings", body: `{"name":"banner","value":{"text":"<hi>","list":[1,2]}}`, status: 201, holds: []string{`"value":{"list":[1,2],"text":"<hi>"}`}},
		{name: "a setting of ours", as: "admin", method: "POST", path: "/settings", body: `{"name":"setup","value":1}`, status: 422},
		{name: "a setting of the vault", as: "admin", method: "POST", path: "/settings", body: `{"name":"vault.root","value":1}`, status: 422},
		{name: "list settings", as: "viewer", method: "GET", path: "/settings", status: 200, holds: []string{"banner"}, lacks: []string{"vault"}, before: func(r *apiRig) {
			r.t.Helper()
			r.put(&core.Setting{Tenant: core.DefaultTenant, Name: "vault.root", Value: `"` + secretCanary + `"`})
		}},
		{name: "read a setting of ours", as: "admin", method: "GET", path: "/settings/vault.root", status: 404, lacks: []string{secretCanary}},
		{name: "delete a setting of ours", as: "admin", method: "DELETE", path: "/settings/vault.root", headers: []string{`If-Match: "1"`}, status: 404},
		{name: "read a setting", as: "viewer", method: "GET", path: "/settings/banner", status: 200},
		{name: "change a setting", as: "admin", method: "PUT", path: "/settings/banner", body: `{"value":null}`, headers: []string{"If-Match: $etag"}, status: 200, holds: []string{`"value":null`}},
		{name: "delete a setting", as: "admin", method: "DELETE", path: "/settings/banner", headers: []string{"If-Match: $etag"}, status: 204},
	}
}

func tokenScenarios() []scenario {
	return []scenario{
		{name: "mint", as: "admin", method: "POST", path: "/tokens", body: `{"user":"$viewer","name":"ci","scopes":["document:read"],"expires":"2090-01-01T00:00:00Z"}`, status: 201, holds: []string{`"token":"spt_live_`, `"hint":"`}, save: "tk=id", after: func(t *testing.T, r *apiRig, got apiAnswer) {
			t.Helper()
			secret := strings.Split(got.body[strings.Index(got.body, `"token":"`):], `"`)[3]
			if e := lastEntry(t, r, "token.write"); strings.Contains(string(e.Details), secret) || e.Name == "" {
				t.Errorf("%+v", e)
			}
			r.tokens["ci"] = secret
			if got := r.ask("ci", "GET", "/api/v1/plugins", ""); got.status != 403 {
				t.Errorf("a narrowed token reads more: %d", got.status)
			}
			if got := r.ask("ci", "GET", "/api/v1/me", ""); got.status != 200 || !strings.Contains(got.body, `"scopes":["document:read"]`) {
				t.Errorf("%d %s", got.status, got.body)
			}
		}},
		{name: "explain by token", as: "auditor", method: "POST", path: "/explain", body: `{"token":"$tk","action":"read","object":{"kind":"plugin"}}`, status: 200, holds: []string{`"allowed":false`}},
		{name: "mint with mistakes", as: "admin", method: "POST", path: "/tokens", body: `{"user":"$viewer","name":"","scopes":["documnt:read"],"expires":"2000-01-01T00:00:00Z"}`, status: 422, holds: []string{`"/name"`, `"/scopes/0"`, `"/expires"`}},
		{name: "mint for nobody", as: "admin", method: "POST", path: "/tokens", body: `{"user":"$acme-viewer","name":"x"}`, status: 422, holds: []string{`"/user"`}},
		{name: "mint for somebody of everywhere", as: "admin", method: "POST", path: "/tokens", body: `{"user":"$super","name":"x"}`, status: 403},
		{name: "list", as: "auditor", method: "GET", path: "/tokens?user=$viewer", status: 200, holds: []string{"$tk"}, lacks: []string{"acme", `"sum"`}},
		{name: "read", as: "auditor", method: "GET", path: "/tokens/$tk", status: 200, holds: []string{`"name":"ci"`}, lacks: []string{`"token"`}},
		{name: "revoke", as: "admin", method: "DELETE", path: "/tokens/$tk", status: 204, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
			t.Helper()
			if got := r.ask("ci", "GET", "/api/v1/me", ""); got.status != 401 {
				t.Errorf("a revoked token opens: %d", got.status)
			}
		}},
		{name: "revoke another tenant's", as: "admin", method: "DELETE", path: "/tokens/x", status: 404},
		{name: "a token mints none for oneself", as: "viewer", method: "POST", path: "/me/tokens", body: `{"name":"x"}`, status: 403},
		{name: "one's own tokens", as: "viewer", method: "GET", path: "/me/tokens", status: 200, holds: []string{`"user":"$viewer"`}, lacks: []string{"$editor"}},
	}
}
