package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/core"
)

func runScenarios() []scenario {
	session := &core.LiveSession{
		Tenant: core.DefaultTenant, ID: "s1", Replica: "r1", Server: "shop", Subject: "u1", Revision: "2025-06-18", Client: "test 1",
		Made: time.Unix(1, 0), Seen: time.Unix(2, 0), Expires: time.Now().Add(time.Hour),
	}
	pin := &core.Pin{Tenant: core.DefaultTenant, Server: "up stream", Of: "tool", Name: "a/b", Sum: "00", Text: "{}", State: "quarantined"}
	kv := &core.Entry{Tenant: core.DefaultTenant, Namespace: "cache", Name: "k/1", Value: []byte("v")}
	own := &core.Entry{Tenant: core.DefaultTenant, Namespace: ".accounts", Name: "x", Value: []byte(secretCanary)}
	pinPath, kvPath, ownPath := "/pins/"+opaque("up stream", "tool", "a/b"), "/kv/entries/"+opaque("cache", "k/1"), "/kv/entries/"+opaque(".accounts", "x")
	return []scenario{
		{name: "the description", method: "GET", path: "/openapi.yaml", status: 200, holds: []string{"openapi: \"3.1.0\""}},
		{name: "health", as: "operator", method: "GET", path: "/health", status: 200, holds: []string{`"version":"dev"`, `"ready":true`}},
		{name: "replicas", as: "super", method: "GET", path: "/replicas", status: 200, holds: []string{`"id":"r1"`}, before: func(r *apiRig) {
			if err := r.store.Append(context.Background(), &core.Replica{ID: "r1", Name: "host", Version: "dev", Started: time.Unix(1, 0), Seen: time.Unix(2, 0)}, session); err != nil {
				r.t.Fatal(err)
			}
			r.put(pin, kv, own)
		}},
		{name: "plugins", as: "viewer", method: "GET", path: "/plugins", status: 200, holds: []string{`{"plugins":[{"name":"weather"`, `"cpuSeconds":1.5`, `"degradedUntil":"1970-01-01T00:00:05Z"`, `"refused":[]`, "GET of default"}},
		{name: "plugins of another tenant", as: "operator", method: "GET", path: "/plugins?tenant=acme", status: 200, holds: []string{"GET of acme"}},
		{name: "a plugin", as: "viewer", method: "GET", path: "/plugins/weather", status: 200, holds: []string{`{"name":"weather"`}},
		{name: "upstreams", as: "viewer", method: "GET", path: "/upstreams", status: 200, holds: []string{`{"items":[{"name":"wiki","transport":"http","state":"down","error":"it refuses connections","sessions":0`, `"held":2`}},
		{name: "upstreams of a tenant without", as: "operator", method: "GET", path: "/upstreams?tenant=acme", status: 200, holds: []string{`{"items":[]}`}},
		{name: "upstreams of another tenant", as: "viewer", method: "GET", path: "/upstreams?tenant=acme", status: 404},
		{name: "no plugin", as: "viewer", method: "GET", path: "/plugins/wether", status: 404},
		{name: "reload", as: "operator", method: "POST", path: "/reload", status: 200, holds: []string{`"revision":"abc"`, `"warning":true`, `"problem":"odd"`}},
		{name: "sessions", as: "viewer", method: "GET", path: "/sessions?server=shop", status: 200, holds: []string{`"id":"s1"`}},
		{name: "a viewer ends no session", as: "viewer", method: "DELETE", path: "/sessions/s1", status: 403},
		{name: "end a session", as: "admin", method: "DELETE", path: "/sessions/s1", headers: []string{"X-Reason: stolen"}, status: 204, after: func(t *testing.T, r *apiRig, _ apiAnswer) {
			t.Helper()
			if len(r.live.ended) != 1 || r.live.ended[0] != "s1" {
				t.Errorf("%q", r.live.ended)
			}
			recorded("session.revoke", "stolen", "")(t, r, apiAnswer{})
		}},
		{name: "end none", as: "admin", method: "DELETE", path: "/sessions/s2", status: 404},
		{name: "revocations", as: "viewer", method: "GET", path: "/revocations?of=session", status: 200, holds: []string{`"id":"s1"`, `"reason":"stolen"`}},
		{name: "revoke", as: "admin", method: "POST", path: "/revocations", body: `{"of":"subject","id":"u9","until":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`, status: 201, holds: []string{"u9"}},
		{name: "revoke with mistakes", as: "admin", method: "POST", path: "/revocations", body: `{"of":"person","id":"","until":"2000-01-01T00:00:00Z"}`, status: 422, holds: []string{`"/of"`, `"/id"`, `"/until"`}},
		{name: "keys", as: "super", method: "GET", path: "/keys", status: 200, holds: []string{`{"active":"k2","keys":["k2","k1"]}`}},
		{name: "rotate by token", as: "super", method: "POST", path: "/keys/rotate", body: `{}`, status: 403, holds: []string{"reauth"}},
		{name: "rotate", as: "operator", method: "POST", path: "/keys/rotate", body: `{}`, status: 200, holds: []string{`"key":"k3"`}},
		{name: "pins", as: "viewer", method: "GET", path: "/pins?state=quarantined", status: 200, holds: []string{`"name":"a/b"`}},
		{name: "a pin", as: "viewer", method: "GET", path: pinPath, status: 200},
		{name: "no pin", as: "admin", method: "GET", path: "/pins/~x", status: 404},
		{name: "approve as a viewer", as: "viewer", method: "POST", path: pinPath + "/approve", body: `{}`, headers: []string{"If-Match: $etag"}, status: 403},
		{name: "approve", as: "admin", method: "POST", path: pinPath + "/approve", body: `{"reason":"read it"}`, headers: []string{"If-Match: $etag"}, status: 200, holds: []string{`"state":"approved"`, `"approvedBy":"$admin"`}, after: recorded("pin.approve", "read it", `"state"`)},
		{name: "namespaces", as: "admin", method: "GET", path: "/kv", status: 200, holds: []string{`{"namespace":"cache","entries":1,"bytes":4}`}, lacks: []string{"accounts"}},
		{name: "entries", as: "admin", method: "GET", path: "/kv/entries?namespace=cache", status: 200, holds: []string{`"name":"k/1"`, `"value":"dg=="`}},
		{name: "all entries", as: "admin", method: "GET", path: "/kv/entries", status: 200, lacks: []string{"accounts"}},
		{name: "an entry", as: "admin", method: "GET", path: kvPath, status: 200},
		{name: "an entry of ours", as: "admin", method: "GET", path: ownPath, status: 404},
		{name: "delete an entry of ours", as: "admin", method: "DELETE", path: ownPath, headers: []string{`If-Match: "1"`}, status: 404},
		{name: "delete an entry", as: "admin", method: "DELETE", path: kvPath, headers: []string{`If-Match: "1"`}, status: 204},
	}
}

func recordScenarios() []scenario {
	when := time.Now().Add(-time.Minute).UTC()
	return []scenario{
		{
			name: "calls", as: "viewer", method: "GET", path: "/calls?server=shop&outcome=ok&since=" + when.Add(-time.Hour).Format(time.RFC3339), status: 200,
			holds: []string{`"name":"buy"`, `"millis":1.5`}, lacks: []string{"acme"}, before: func(r *apiRig) {
				for _, tenant := range []string{core.DefaultTenant, "acme"} {
					record := &core.CallRecord{
						ID: "c1-" + tenant, Time: when, Replica: "r1", Tenant: tenant, Subject: "u1", Who: "canary-" + tenant, Via: core.ViaToken, Server: "shop", Kind: "tool", Name: "buy",
						Outcome: "ok", Duration: 1500 * time.Microsecond, In: 3, Out: 4,
					}
					if err := r.store.Append(context.Background(), record); err != nil {
						r.t.Fatal(err)
					}
				}
			},
		},
		{name: "no calls", as: "viewer", method: "GET", path: "/calls?order=oldest&until=2000-01-01T00:00:00Z", status: 200, holds: []string{`"items":[]`}},
		{name: "calls of no time", as: "viewer", method: "GET", path: "/calls?since=yesterday", status: 400},
		{name: "a call", as: "viewer", method: "GET", path: "/calls/c1-default", status: 200, holds: []string{`"bytesIn":3`}},
		{name: "another tenant's call", as: "viewer", method: "GET", path: "/calls/c1-acme", status: 404},
		{name: "a member sees no calls", as: "member", method: "GET", path: "/calls", status: 403},
		{name: "the trail", as: "auditor", method: "GET", path: "/audit?action=user.write&limit=2", status: 200, holds: []string{`"action":"user.write"`, `"next":"`}, lacks: []string{"user.delete"}},
		{name: "a viewer sees no trail", as: "viewer", method: "GET", path: "/audit", status: 403},
		{name: "verify, as an auditor of one tenant", as: "auditor", method: "GET", path: "/audit/verify", status: 403},
		{name: "verify", as: "super", method: "GET", path: "/audit/verify", status: 200, holds: []string{`"whole":false`, `"kind":"edited"`}},
		{name: "export", as: "auditor", method: "GET", path: "/audit/export?format=csv", status: 200, holds: []string{"csv of default"}, after: recorded("audit.export", "", "")},
		{name: "export lines", as: "auditor", method: "GET", path: "/audit/export?since=2000-01-01T00:00:00Z", status: 200, holds: []string{"jsonl of default"}},
	}
}

func mistakeScenarios() []scenario {
	const form = `{"per":"tenant","perDay":1}`
	return []scenario{
		{name: "no route", as: "admin", method: "GET", path: "/usrs", status: 404, holds: []string{"openapi.yaml"}},
		{name: "no route, for nobody", method: "GET", path: "/usrs", status: 401},
		{name: "no method", as: "admin", method: "PATCH", path: "/users", body: `{}`, status: 405, holds: []string{`GET, POST`}},
		{name: "unknown parameter", as: "admin", method: "GET", path: "/users?nam=x", status: 400, holds: []string{"write name"}},
		{name: "a parameter twice", as: "admin", method: "GET", path: "/users?name=x&name=y", status: 400},
		{name: "a parameter of no known value", as: "admin", method: "GET", path: "/users?service=maybe", status: 400, holds: []string{"true, false"}},
		{name: "a limit of 0", as: "admin", method: "GET", path: "/users?limit=0", status: 400},
		{name: "a cursor of nobody", as: "admin", method: "GET", path: "/users?after=zzz", status: 400},
		{name: "a query that is none", as: "admin", method: "GET", path: "/users?name=%zz", status: 400},
		{name: "a body where none is", as: "admin", method: "DELETE", path: "/tokens/x", body: `{}`, status: 400},
		{name: "no body", as: "admin", method: "POST", path: "/limits", headers: []string{"Content-Type: application/json"}, status: 422},
		{name: "a list", as: "admin", method: "POST", path: "/limits", body: `[]`, status: 422, holds: []string{"expected an object, got a list"}},
		{name: "no JSON", as: "admin", method: "POST", path: "/limits", body: `{per}`, status: 422},
		{name: "a key twice", as: "admin", method: "POST", path: "/limits", body: `{"per":"tenant","per":"tool","perDay":1}`, status: 422, holds: []string{`"path":"/per"`}},
		{name: "a key in another case", as: "admin", method: "POST", path: "/limits", body: `{"Per":"tenant","perDay":1}`, status: 422, holds: []string{`"/Per"`, "write per"}},
		{name: "a form", as: "admin", method: "POST", path: "/limits", body: form, headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415},
		{name: "a text", as: "admin", method: "POST", path: "/limits", body: form, headers: []string{"Content-Type: text/plain"}, status: 415},
		{name: "several types", as: "admin", method: "POST", path: "/limits", body: form, headers: []string{"Content-Type: text/plain, application/json"}, status: 415},
		{name: "another charset", as: "admin", method: "POST", path: "/limits", body: form, headers: []string{"Content-Type: application/json; charset=utf-16"}, status: 415},
		{name: "a boundary", as: "admin", method: "POST", path: "/limits", body: form, headers: []string{"Content-Type: application/json; boundary=x"}, status: 415},
		{name: "packed", as: "admin", method: "POST", path: "/limits", body: form, headers: []string{"Content-Encoding: gzip"}, status: 415},
		{name: "too large", as: "admin", method: "POST", path: "/limits", body: `{"per":"tenant","note":"` + strings.Repeat("x", 70<<10) + `"}`, status: 413},
		{name: "a reason that is too long", as: "admin", method: "POST", path: "/limits", body: `{"per":"tenant","perDay":1,"reason":"` + strings.Repeat("x", 3000) + `"}`, status: 400},
		{name: "the charset that it has", as: "admin", method: "POST", path: "/limits", body: form, headers: []string{"Content-Type: application/json; charset=UTF-8"}, status: 201},
		{name: "another method by a header", as: "viewer", method: "GET", path: "/limits", headers: []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"}, status: 200},
		{name: "another path by a header", as: "viewer", method: "GET", path: "/limits", headers: []string{"X-Original-URL: /api/v1/users", "X-Rewrite-URL: /api/v1/users"}, status: 200, lacks: []string{"canary"}},
		{name: "the store is away", as: "viewer", method: "GET", path: "/limits", status: 503, before: func(r *apiRig) { r.away = &core.Error{Message: "away"} }, after: func(t *testing.T, r *apiRig, got apiAnswer) {
			t.Helper()
			r.away = nil
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}},
		{name: "and who may not learns nothing of it", as: "member", method: "GET", path: "/limits", status: 403, before: func(r *apiRig) { r.away = &core.Error{Message: "away"} }, after: func(_ *testing.T, r *apiRig, _ apiAnswer) { r.away = nil }},
	}
}
